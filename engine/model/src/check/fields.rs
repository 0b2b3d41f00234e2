//! In charge of checking one field: its kind's settings, and everything that it names.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::checking::{Checking, result_kind};
use super::world::{Known, qualify};
use crate::doc::{ChoiceOption, Field, Fill, ValueSpec};
use crate::field::{self, AcceptContext, CompileContext, Compiled, Shape};
use crate::input::Input;
use crate::name::Name;
use crate::schema::option_list;

/// Kinds over which nothing is added up.
const NO_SUM: [&str; 14] =
    ["text", "long_text", "rich_text", "boolean", "choice", "choices", "tags", "stage", "reference", "references", "email", "phone", "url", "json"];

/// Kinds whose values cannot be told apart by a key.
pub(super) const NOT_UNIQUE: [&str; 11] =
    ["lines", "json", "rich_text", "secret", "file", "files", "image", "signature", "choices", "tags", "references"];

/// Whether the engine computes the field.
pub(super) fn is_computed(field: &Field) -> bool {
    matches!(field.kind.as_str(), "formula" | "lookup" | "rollup")
}

/// Checks the field called `name` of `entity`.
pub(super) fn check<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, name: &str, field: &'a Field) {
    let compiled = settings(c, at, field);
    targets(c, at, entity, field);
    match field.kind.as_str() {
        "stage" => stage(c, at, entity, field),
        "lines" => lines(c, at, entity, field),
        "rollup" => rollup(c, at, entity, field),
        "lookup" => path_in(c, at, "path", entity, field.settings.get("path")),
        "money" => {
            path_in(c, at, "currency/from", entity, field.settings.get("currency").and_then(|currency| currency.get("from")));
            if let Some(day) = text(field, "rate_on") {
                c.path_of(format!("{at}/rate_on"), entity, day, &["date", "datetime"], "a date");
            }
        }
        "phone" => path_in(c, at, "region/from", entity, field.settings.get("region").and_then(|region| region.get("from"))),
        "choice" | "choices" => depends_on(c, at, entity, field, compiled.as_ref()),
        "autonumber" => pattern(c, at, entity, field),
        _ => {}
    }
    common(c, at, entity, name, field);
    if let (Some(default), Some(compiled)) = (&field.common.default, &compiled) {
        default_fits(c, at, default, compiled);
    }
}

fn text<'f>(field: &'f Field, key: &str) -> Option<&'f str> {
    field.settings.get(key).and_then(Json::as_str)
}

fn path_in<'a>(c: &mut Checking<'_, 'a>, at: &str, key: &str, entity: &Known<'a>, path: Option<&Json>) {
    if let Some(path) = path.and_then(Json::as_str) {
        c.path(format!("{at}/{key}"), entity, path);
    }
}

/// Reads the settings as the kind does; its own faults, with likely names for lists that are not there.
fn settings(c: &mut Checking<'_, '_>, at: &str, field: &Field) -> Option<Compiled> {
    let app = c.app;
    let Some(kind) = field::kind(&field.kind) else {
        c.missing(format!("{at}/kind"), "kind", &field.kind, field::KINDS.iter().map(|kind| kind.name()));
        return None;
    };
    let options = |name: &str| -> Option<IndexMap<Name, ChoiceOption>> { option_list(c.world.apps, c.name, name) };
    let stages = |name: &str| app.pipelines.get(name).map(crate::doc::Pipeline::stage_options);
    let currency = app.app.currency.as_deref().unwrap_or("USD");
    match kind.compile(field, &CompileContext { currency, options: &options, stages: &stages }) {
        Ok(compiled) => Some(compiled),
        Err(faults) => {
            for mut fault in faults {
                if fault.pointer == "/options"
                    && let Some(name) = text(field, "options")
                {
                    fault.hint = crate::hint::nearest(name, app.options.keys().map(Name::as_str));
                }
                // Pipelines that are not there are told with their place in the list.
                if !fault.pointer.starts_with("/pipelines/") {
                    fault.pointer = format!("{at}{}", fault.pointer);
                    c.push(fault);
                }
            }
            None
        }
    }
}

/// Entities that a relation points at.
fn targets<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, field: &Field) {
    let key = if field.kind == "lines" { "of" } else { "to" };
    match field.settings.get(key) {
        Some(Json::String(name)) if matches!(field.kind.as_str(), "reference" | "references" | "lines") => {
            let target = c.entity(&format!("{at}/{key}"), name);
            if field.settings.get("tree") == Some(&Json::Bool(true)) && target.is_some_and(|target| target.name != entity.name) {
                c.error(format!("{at}/tree"), "a tree's parent is a record of the same entity");
            }
        }
        Some(Json::Array(names)) => {
            for (index, name) in names.iter().enumerate() {
                if let Some(name) = name.as_str() {
                    c.entity(&format!("{at}/{key}/{index}"), name);
                }
            }
        }
        _ => {}
    }
}

fn stage<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, field: &Field) {
    let app = c.app;
    let pipelines: Vec<&str> = field.settings.get("pipelines").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    for (index, name) in pipelines.iter().enumerate() {
        let at = format!("{at}/pipelines/{index}");
        match app.pipelines.get(*name) {
            None => c.missing(at, "pipeline", name, app.pipelines.keys().map(Name::as_str)),
            Some(pipeline) if qualify(c.name, &pipeline.entity) != entity.name => {
                c.error(at, format!("the pipeline `{name}` is for `{}`", pipeline.entity));
            }
            Some(_) => {}
        }
    }
    let Some(by) = text(field, "by") else { return };
    let at = format!("{at}/by");
    let Some(choice) = c.field(&at, entity, by) else { return };
    if choice.kind != "choice" {
        return c.error(at, format!("`{by}` is of kind `{}`: a choice whose options are the pipelines' names is needed", choice.kind));
    }
    let options = options_of(c, choice);
    for option in options.iter().filter(|option| !pipelines.contains(&option.as_str())) {
        c.error(&at, format!("the option `{option}` of `{by}` is no pipeline of this field"));
    }
    for pipeline in pipelines.iter().filter(|pipeline| !options.iter().any(|option| option == *pipeline)) {
        c.error(&at, format!("`{by}` has no option `{pipeline}`: no record could be in that pipeline"));
    }
}

/// The names of a choice's options.
fn options_of(c: &Checking<'_, '_>, field: &Field) -> Vec<String> {
    match field.settings.get("options") {
        Some(Json::Object(options)) => options.keys().cloned().collect(),
        Some(Json::String(list)) => {
            option_list(c.world.apps, c.name, list).into_iter().flat_map(|options| options.into_keys().map(|name| name.to_string())).collect()
        }
        _ => Vec::new(),
    }
}

fn depends_on<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, field: &Field, compiled: Option<&Compiled>) {
    let Some(other) = text(field, "depends_on") else { return };
    let is_inline = field.settings.get("options").is_some_and(Json::is_object);
    let place = |name: &Name| if is_inline { format!("{at}/options/{name}/for") } else { format!("{at}/options") };
    let at = format!("{at}/depends_on");
    let Some(other_field) = c.field(&at, entity, other) else { return };
    if !matches!(other_field.kind.as_str(), "choice" | "lookup") {
        return c.error(at, format!("`{other}` is of kind `{}`: options depend on a choice", other_field.kind));
    }
    let known = options_of(c, other_field);
    if let Some(Compiled { role: field::Role::Choice { options, .. }, .. }) = compiled
        && other_field.kind == "choice"
    {
        for (name, option) in options.iter() {
            for wrong in option.for_options.iter().flatten().filter(|wanted| !known.iter().any(|there| there == wanted.as_str())) {
                c.missing(place(name), "option", wrong.as_str(), known.iter().map(String::as_str));
            }
        }
    }
}

fn lines<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, field: &Field) {
    let (Some(of), Some(by)) = (text(field, "of"), text(field, "by")) else { return };
    // That the line entity is not there was told with the targets.
    let Some(line) = c.world.entity(c.name, of) else { return };
    let at = format!("{at}/by");
    let Some(reference) = c.field(&at, line, by) else { return };
    let target = reference.settings.get("to").and_then(Json::as_str).map(|to| qualify(line.app, to));
    if reference.kind != "reference" || target.as_deref() != Some(entity.name.as_str()) {
        c.error(at, format!("`{by}` of `{of}` is no reference to `{}`", entity.name));
    } else if !reference.common.required {
        c.warn(at, format!("a line belongs to a record: `{by}` of `{of}` should be required"));
    }
}

fn rollup<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, field: &Field) {
    let Some(of) = text(field, "of") else { return };
    let Some(many) = entity.relations.get(of) else {
        let offered: Vec<&str> = entity.relations.keys().copied().collect();
        return c.missing(format!("{at}/of"), "relation to many", of, offered);
    };
    if field.settings.get("below") == Some(&Json::Bool(true))
        && !entity.fields.values().any(|(_, field)| field.settings.get("tree") == Some(&Json::Bool(true)))
    {
        c.error(format!("{at}/below"), format!("`{}` is no tree: `below` needs a reference with `tree`", entity.name));
    }
    let Some(name) = text(field, "field") else { return };
    let Some(many) = c.world.entity("", many) else { return };
    let Some(source) = c.field(format!("{at}/field"), many, name) else { return };
    if matches!(text(field, "fn"), Some("sum" | "average")) && NO_SUM.contains(&result_kind(source)) {
        c.error(format!("{at}/field"), format!("`{name}` is of kind `{}`: there is nothing to add up", source.kind));
    }
}

/// The paths within an autonumber's pattern.
fn pattern<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, field: &Field) {
    let Some(pattern) = text(field, "pattern") else { return };
    for part in pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(part, _)| part) {
        let is_date = matches!(part, "yyyy" | "yy" | "MM" | "mm" | "M" | "dd" | "d");
        if !is_date && !part.bytes().all(|byte| byte == b'0') {
            c.path(format!("{at}/pattern"), entity, part);
        }
    }
}

/// What every field may name.
fn common<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, name: &str, field: &'a Field) {
    let app = c.app;
    let common = &field.common;
    if common.unique && NOT_UNIQUE.contains(&field.kind.as_str()) {
        c.error(format!("{at}/unique"), format!("a field of kind `{}` cannot be unique", field.kind));
    }
    if let Some(system) = &common.source
        && !app.connectors.values().any(|connector| connector.system == *system)
        && !app.connectors.contains_key(system.as_str())
    {
        c.missing(format!("{at}/source"), "connector", system, app.connectors.keys().map(Name::as_str));
    }
    if let Some(default) = &common.default {
        c.value(&format!("{at}/default"), default);
    }
    if is_computed(field) {
        for (key, is_written) in [("required", common.required), ("default", common.default.is_some()), ("fill", common.fill.is_some())] {
            if is_written {
                c.error(format!("{at}/{key}"), format!("`{name}` is computed: `{key}` has nothing to say"));
            }
        }
    }
    match &common.fill {
        None => {}
        Some(Fill::From(fill)) => {
            c.path(format!("{at}/fill/from"), entity, &fill.from);
            when(c, &format!("{at}/fill/when"), entity, &fill.when);
        }
        Some(Fill::Find(fill)) => {
            let at = format!("{at}/fill");
            if let Some(found) = c.entity(&format!("{at}/find/entity"), &fill.find.entity) {
                c.field(format!("{at}/find/take"), found, fill.find.take.as_str());
                for part in fill.find.sort.iter().flat_map(|sort| sort.split(',')) {
                    c.path(format!("{at}/find/sort"), found, part.trim().trim_start_matches('-'));
                }
            }
            if fill.when.is_empty() {
                c.error(format!("{at}/when"), "names no field whose change fills");
            }
            when(c, &format!("{at}/when"), entity, &fill.when);
        }
    }
}

fn when<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, fields: &[Name]) {
    for (index, name) in fields.iter().enumerate() {
        c.field(format!("{at}/{index}"), entity, name.as_str());
    }
}

/// A default that is a plain value is one that the field takes.
pub(super) fn default_fits(c: &mut Checking<'_, '_>, at: &str, default: &ValueSpec, compiled: &Compiled) {
    let (ValueSpec::Plain(json), Shape::Own(typed)) = (default, &compiled.shape) else { return };
    let is_reference = matches!(compiled.role, field::Role::Reference(_) | field::Role::References(_) | field::Role::AnyReference { .. });
    // A placeholder such as `$me` is known only when the record is made.
    if json.is_null() || is_reference || json.as_str().is_some_and(|text| text.starts_with('$')) {
        return;
    }
    let cx = AcceptContext { now: chrono::DateTime::UNIX_EPOCH, sibling: &|_| None };
    if let Err(rejects) = typed.accept(&Input::from(json), &cx) {
        for reject in rejects {
            c.error(format!("{at}/default{}", reject.pointer), format!("the field does not take its own default: {}", reject.message.text("en")));
        }
    }
}

/// Checks a field that stands on its own, such as a setting or a question of a button.
pub(super) fn alone(c: &mut Checking<'_, '_>, at: &str, field: &Field) {
    let compiled = settings(c, at, field);
    if matches!(field.kind.as_str(), "stage" | "lines" | "rollup" | "lookup" | "formula" | "autonumber") {
        c.error(format!("{at}/kind"), format!("a value that stands on its own cannot be of kind `{}`", field.kind));
    }
    if let (Some(default), Some(compiled)) = (&field.common.default, &compiled) {
        default_fits(c, at, default, compiled);
    }
}
