//! In charge of saying what a JSON Schema refuses, in words and at the exact place.
//! Invariant: of the ways in which a document may be written, the one that the author most likely meant is explained.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value as Json;

use crate::doc::COMMON_KEYS;
use crate::fault::{Diagnostic, escape_pointer};
use crate::{hint, schemas};

/// A schema with its compiled validator.
struct Compiled {
    schema: Json,
    validator: Validator,
}

static COMPILED: LazyLock<Mutex<HashMap<String, Arc<Compiled>>>> = LazyLock::new(Mutex::default);

fn compiled(kind: &str) -> Option<Arc<Compiled>> {
    let mut cache = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(there) = cache.get(kind) {
        return Some(Arc::clone(there));
    }
    let schema = schemas::of_kind(kind).or_else(|| schemas::of_part(kind))?;
    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).ok()?;
    let compiled = Arc::new(Compiled { schema, validator });
    cache.insert(kind.to_owned(), Arc::clone(&compiled));
    Some(compiled)
}

/// What the schema of `kind`, of a document or a part of one, refuses in `json`; pointers begin with `at`.
pub(crate) fn faults(kind: &str, json: &Json, at: &str) -> Vec<Diagnostic> {
    let Some(compiled) = compiled(kind) else { return Vec::new() };
    let mut explaining = Explaining { schema: &compiled.schema, document: json, at, found: Vec::new() };
    for error in compiled.validator.iter_errors(json) {
        explaining.explain(&error);
    }
    explaining.finish()
}

struct Explaining<'a> {
    schema: &'a Json,
    document: &'a Json,
    at: &'a str,
    found: Vec<Diagnostic>,
}

impl Explaining<'_> {
    fn explain(&mut self, error: &ValidationError<'_>) {
        let path = error.instance_path().as_str();
        match error.kind() {
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => self.branches(path, error, context),
            ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.known_keys(error);
                for key in unexpected.iter().filter(|key| !known.has(key)) {
                    self.unknown_key(path, key, &known);
                }
            }
            ValidationErrorKind::Enum { options } => {
                let words: Vec<String> = options.as_array().into_iter().flatten().map(word).collect();
                self.not_one_of(path, error.instance(), &words);
            }
            ValidationErrorKind::Constant { expected_value } => self.not_one_of(path, error.instance(), &[word(expected_value)]),
            ValidationErrorKind::Required { property } => self.say(path, format!("`{}` is missing", word(property))),
            ValidationErrorKind::Type { kind } => self.say(path, format!("expected {}, found {}", types(kind), found(error.instance()))),
            ValidationErrorKind::Pattern { .. } if self.is_name(error) => self.say(path, not_a_name(&word(error.instance()))),
            ValidationErrorKind::PropertyNames { error } => self.say(path, error.to_string()),
            _ => self.say(path, error.to_string()),
        }
    }

    /// Explains the branch that the author most likely meant, or names all words where each branch is one word.
    fn branches(&mut self, path: &str, error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) {
        let words: Vec<String> = context.iter().filter_map(|branch| only_constant(branch, path)).flatten().collect();
        let best = context.iter().min_by_key(|branch| weight(branch, path));
        match best {
            Some(branch) if weight(branch, path) < WRONG_TYPE => {
                let only_words = only_constant(branch, path).is_some();
                if only_words {
                    self.not_one_of(path, error.instance(), &words);
                } else {
                    for error in branch {
                        self.explain(error);
                    }
                }
            }
            _ => {
                let mut kinds: Vec<String> = context.iter().flatten().flat_map(|error| types_of(error, path)).collect();
                kinds.dedup();
                self.say(path, format!("expected {}, found {}", kinds.join(" or "), found(error.instance())));
            }
        }
    }

    fn say(&mut self, path: &str, message: String) {
        self.found.push(Diagnostic::error(format!("{}{path}", self.at), message));
    }

    fn unknown_key(&mut self, path: &str, key: &str, known: &Known) {
        let at = format!("{}{path}/{}", self.at, escape_pointer(key));
        let diagnostic = match known {
            Known::Names => Diagnostic::error(at, not_a_name(key)),
            Known::Keys(keys) => {
                Diagnostic::error(at, format!("`{key}` is not known here")).with_hint(hint::nearest(key, keys.iter().map(String::as_str)))
            }
        };
        self.found.push(diagnostic);
    }

    fn not_one_of(&mut self, path: &str, instance: &Json, words: &[String]) {
        let written = word(instance);
        let message = match words {
            [only] => format!("expected `{only}`, found `{written}`"),
            words if words.len() > 12 => format!("there is no `{written}`"),
            words => format!("`{written}` is not one of {}", words.join(", ")),
        };
        let hint = hint::nearest(&written, words.iter().map(String::as_str));
        self.found.push(Diagnostic::error(format!("{}{path}", self.at), message).with_hint(hint));
    }

    /// The keys that the refusing schema knows.
    fn known_keys(&self, error: &ValidationError<'_>) -> Known {
        let place = error.schema_path().as_str();
        let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
        let Some(schema) = self.schema.pointer(parent) else { return Known::Keys(Vec::new()) };
        let mut keys: Vec<String> = schema.get("properties").and_then(Json::as_object).into_iter().flat_map(|map| map.keys().cloned()).collect();
        if keys.is_empty() && schema.get("patternProperties").is_some() {
            return Known::Names;
        }
        if let Some(settings) = settings_of(schema, error.instance()) {
            keys.extend(settings.keys().cloned());
            keys.extend(COMMON_KEYS.iter().map(|key| (*key).to_owned()));
        }
        Known::Keys(keys)
    }

    fn is_name(&self, error: &ValidationError<'_>) -> bool {
        error.schema_path().as_str().starts_with("/$defs/Name/")
            || matches!(error.kind(), ValidationErrorKind::Pattern { pattern } if pattern.starts_with("^[a-z][a-z0-9_]"))
    }

    /// Leaves out what only follows from another fault: unknown settings of an unknown kind.
    fn finish(mut self) -> Vec<Diagnostic> {
        let kinds: Vec<String> = self.found.iter().filter_map(|fault| fault.pointer.strip_suffix("/kind").map(str::to_owned)).collect();
        let at = self.at;
        let document = self.document;
        self.found.retain(|fault| {
            let Some((parent, _)) = fault.pointer.rsplit_once('/') else { return true };
            let is_setting = fault.message.ends_with("is not known here") && kinds.iter().any(|kind| kind == parent);
            let lacks_kind = fault.message.ends_with("is not known here")
                && parent.strip_prefix(at).and_then(|rest| document.pointer(rest)).is_some_and(|json| json.get("kind").is_none())
                && parent.rsplit('/').nth(1) == Some("fields");
            !is_setting && !lacks_kind
        });
        self.found
    }
}

/// What an object may have as keys.
enum Known {
    /// These.
    Keys(Vec<String>),
    /// Any name.
    Names,
}

impl Known {
    /// Whether a key is known all the same: its own value is at fault then, which is told.
    fn has(&self, key: &str) -> bool {
        matches!(self, Self::Keys(keys) if keys.iter().any(|known| known == key))
    }
}

/// Weight of a branch of which the value has not even the type.
const WRONG_TYPE: usize = 10_000;

/// How unlikely it is that the author meant this branch.
fn weight(branch: &[ValidationError<'static>], path: &str) -> usize {
    branch
        .iter()
        .map(|error| {
            let here = error.instance_path().as_str() == path;
            match error.kind() {
                ValidationErrorKind::Type { .. } if here => WRONG_TYPE,
                ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. } if here => 100,
                ValidationErrorKind::Required { .. } if here => 10,
                ValidationErrorKind::AdditionalProperties { unexpected } if here => 10 * unexpected.len(),
                ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } if here => {
                    context.iter().map(|branch| weight(branch, path)).min().unwrap_or(WRONG_TYPE)
                }
                _ => 1,
            }
        })
        .sum()
}

/// The words of a branch that is nothing but words.
fn only_constant(branch: &[ValidationError<'static>], path: &str) -> Option<Vec<String>> {
    let [error] = branch else { return None };
    if error.instance_path().as_str() != path {
        return None;
    }
    match error.kind() {
        ValidationErrorKind::Constant { expected_value } => Some(vec![word(expected_value)]),
        ValidationErrorKind::Enum { options } => Some(options.as_array().into_iter().flatten().map(word).collect()),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let words: Option<Vec<Vec<String>>> = context.iter().map(|branch| only_constant(branch, path)).collect();
            words.map(|words| words.into_iter().flatten().collect())
        }
        _ => None,
    }
}

fn types_of(error: &ValidationError<'_>, path: &str) -> Vec<String> {
    match error.kind() {
        ValidationErrorKind::Type { kind } if error.instance_path().as_str() == path => {
            Some(types(kind)).filter(|kind| kind != "null").into_iter().collect()
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().flat_map(|error| types_of(error, path)).collect()
        }
        _ => Vec::new(),
    }
}

/// The settings that a field's own kind takes, where `schema` is that of a field.
fn settings_of<'s>(schema: &'s Json, field: &Json) -> Option<&'s serde_json::Map<String, Json>> {
    let kind = field.get("kind")?;
    let branches = schema.get("allOf")?.as_array()?;
    let branch = branches.iter().find(|branch| branch.pointer("/if/properties/kind/const") == Some(kind))?;
    branch.pointer("/then/properties")?.as_object()
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => kind.as_str().to_owned(),
        TypeKind::Multiple(kinds) => kinds.iter().map(|kind| kind.as_str().to_owned()).filter(|kind| kind != "null").collect::<Vec<_>>().join(" or "),
    }
}

fn found(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn word(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn not_a_name(text: &str) -> String {
    format!("`{text}` is not a name: a small letter, then small letters, digits and _, 48 at most")
}
