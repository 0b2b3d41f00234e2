//! In charge of what every check of a document says: this name is not there, this order does not fit.
//! Invariant: pointers are into the app's one document; the file follows from the pointer.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::world::{Known, Lost, Reached, World};
use crate::doc::{App, ValueSpec};
use crate::fault::{Diagnostic, escape_pointer};
use crate::field::scalar::read_duration;
use crate::hint::nearest;
use crate::package::{explain, file_of};

/// One run over the documents of an app.
pub(super) struct Checking<'w, 'a> {
    pub(super) world: &'w World<'a>,
    /// The app's name.
    pub(super) name: &'a str,
    pub(super) app: &'a App,
    found: Vec<Diagnostic>,
    /// What does not fit a type; told where nothing better is said of the same place.
    shapes: Vec<Diagnostic>,
}

/// What a list of names is about, for the words of a fault.
pub(super) type What = &'static str;

impl<'w, 'a> Checking<'w, 'a> {
    pub(super) fn new(world: &'w World<'a>, name: &'a str, app: &'a App) -> Self {
        Self { world, name, app, found: Vec::new(), shapes: Vec::new() }
    }

    /// Everything found; a fault told twice at one place is told once.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let mut seen = HashSet::new();
        let mut found = self.found;
        let told: HashSet<String> = found.iter().map(|fault| fault.pointer.clone()).collect();
        found.extend(self.shapes.into_iter().filter(|fault| {
            let lacks = fault.message.strip_suffix("` is missing").and_then(|rest| rest.strip_prefix('`'));
            !told.contains(&fault.pointer) && !lacks.is_some_and(|key| told.contains(&format!("{}/{key}", fault.pointer)))
        }));
        found.retain(|fault| seen.insert((fault.pointer.clone(), fault.message.clone())));
        for fault in &mut found {
            fault.file = file_of(&fault.pointer);
        }
        found
    }

    pub(super) fn error(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.found.push(Diagnostic::error(at, message));
    }

    pub(super) fn warn(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.found.push(Diagnostic::warning(at, message));
    }

    pub(super) fn push(&mut self, fault: Diagnostic) {
        self.found.push(fault);
    }

    /// There is no `what` called `name`; one of `offered` may be meant.
    pub(super) fn missing<'n>(&mut self, at: impl Into<String>, what: What, name: &str, offered: impl IntoIterator<Item = &'n str>) {
        self.found.push(Diagnostic::error(at, format!("there is no {what} `{name}`")).with_hint(nearest(name, offered)));
    }

    /// Tells it where `name` is not one of `offered`.
    pub(super) fn one_of<'n>(&mut self, at: impl Into<String>, what: What, name: &str, offered: impl IntoIterator<Item = &'n str> + Clone) -> bool {
        let is_there = offered.clone().into_iter().any(|offer| offer == name);
        if !is_there {
            self.missing(at, what, name, offered);
        }
        is_there
    }

    /// The entity called `name` here, or a fault.
    pub(super) fn entity(&mut self, at: &str, name: &str) -> Option<&'w Known<'a>> {
        let world = self.world;
        if let Some((app, _)) = name.split_once('.')
            && !self.reaches(at, app)
        {
            return None;
        }
        let known = world.entity(self.name, name);
        if known.is_none() {
            let names = world.entity_names(self.name);
            self.missing(at, "entity", name, names.iter().map(String::as_str));
        }
        known
    }

    /// Whether documents of this app may name things of `app`.
    pub(super) fn reaches(&mut self, at: &str, app: &str) -> bool {
        if app == self.name || (self.app.app.requires.contains_key(app) && self.world.apps.contains_key(app)) {
            return true;
        }
        if !self.app.app.requires.contains_key(app) {
            let message = format!("`requires` in app.json does not name the app `{app}`");
            let names: Vec<String> = self.app.app.requires.keys().map(ToString::to_string).collect();
            self.push(Diagnostic::error(at, message).with_hint(nearest(app, names.iter().map(String::as_str))));
        }
        // An app that is required and not installed is told at `requires`.
        false
    }

    /// A field of `entity`, of an app or of the engine.
    pub(super) fn field(&mut self, at: impl Into<String>, entity: &Known<'a>, name: &str) -> Option<&'a crate::doc::Field> {
        if !entity.has(name) {
            let offered: Vec<&str> = entity.field_names().collect();
            let message = format!("`{}` has no field `{name}`", entity.name);
            self.push(Diagnostic::error(at, message).with_hint(nearest(name, offered)));
        }
        entity.field(name)
    }

    /// A path over references from `entity`.
    pub(super) fn path(&mut self, at: impl Into<String>, entity: &Known<'a>, path: &str) -> Option<Reached<'a>> {
        match self.world.path(entity, path) {
            Ok(reached) => Some(reached),
            Err(Lost { message, hint }) => {
                self.push(Diagnostic::error(at, message).with_hint(hint));
                None
            }
        }
    }

    /// A field of the kinds given, at the end of a path.
    pub(super) fn path_of(&mut self, at: impl Into<String>, entity: &Known<'a>, path: &str, kinds: &[&str], expected: &str) {
        let at = at.into();
        if let Some(Reached::Field(field)) = self.path(at.clone(), entity, path)
            && !kinds.contains(&result_kind(field))
            // What these take from elsewhere is known once compiled.
            && !matches!(field.kind.as_str(), "lookup" | "rollup")
        {
            self.error(at, format!("`{path}` is a field of kind `{}`: {expected} is needed", field.kind));
        }
    }

    /// An `order` names only what is there, and nothing twice.
    pub(super) fn order<'n>(&mut self, at: &str, what: What, order: impl IntoIterator<Item = &'n str>, there: impl Iterator<Item = &'n str>) {
        let there: HashSet<&str> = there.collect();
        let mut seen = HashSet::new();
        for (index, name) in order.into_iter().enumerate() {
            let at = format!("{at}/{index}");
            if !there.contains(name) {
                self.missing(at, what, name, there.iter().copied());
            } else if !seen.insert(name) {
                self.error(at, format!("`{name}` stands here twice"));
            }
        }
    }

    /// Roles: bare ones of this app, qualified ones of another.
    pub(super) fn roles(&mut self, at: &str, roles: &[String]) {
        for (index, role) in roles.iter().enumerate() {
            self.role(&format!("{at}/{index}"), role);
        }
    }

    pub(super) fn role(&mut self, at: &str, role: &str) {
        let (app, bare) = role.split_once('.').unwrap_or((self.name, role));
        if !self.reaches(at, app) {
            return;
        }
        let Some(roles) = self.world.apps.get(app).map(|app| &app.roles) else { return };
        // A bare name means a role of another app, too, while only one has it.
        let elsewhere =
            self.app.app.requires.keys().filter(|name| self.world.apps.get(*name).is_some_and(|app| app.roles.contains_key(bare))).count();
        if !roles.contains_key(bare) && (role.contains('.') || elsewhere != 1) {
            let offered: Vec<String> = roles.keys().map(|name| if app == self.name { name.to_string() } else { format!("{app}.{name}") }).collect();
            self.missing(at, "role", role, offered.iter().map(String::as_str));
        }
    }

    /// A length of time: ISO 8601, or `{"span", "calendar"}`.
    pub(super) fn duration(&mut self, at: &str, json: &Json) {
        match json {
            Json::String(text) => self.duration_text(at, text),
            Json::Object(map) => {
                self.keys(at, map, &["span", "calendar"]);
                match map.get("span").and_then(Json::as_str) {
                    Some(text) => self.duration_text(&format!("{at}/span"), text),
                    None => self.error(at, "`span` is missing"),
                }
                if let Some(calendar) = map.get("calendar") {
                    self.calendar(&format!("{at}/calendar"), calendar);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => self.error(at, "expected a duration such as P14D"),
        }
    }

    pub(super) fn duration_text(&mut self, at: &str, text: &str) {
        // A month or a year has no fixed length; a duration of them is read where dates are counted.
        let in_months =
            text.strip_prefix('P').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || b"YMWD".contains(&byte)));
        if read_duration(text).is_none() && !in_months {
            self.error(at, format!("`{text}` is no duration such as P14D or PT4H"));
        }
    }

    /// A length of time that is the same whenever it begins.
    pub(super) fn fixed_duration(&mut self, at: &str, text: &str) {
        if read_duration(text).is_none_or(|seconds| seconds <= 0) {
            self.error(at, format!("`{text}` is no duration such as P14D or PT4H"));
        }
    }

    /// A calendar by its name; `natural` is every hour of every day.
    pub(super) fn calendar(&mut self, at: &str, json: &Json) {
        let Some(name) = json.as_str() else { return self.error(at, "expected the name of a calendar") };
        let app = self.app;
        if name != "natural" && !name.contains('.') {
            let names: Vec<&str> = app.calendars.keys().map(crate::name::Name::as_str).collect();
            self.one_of(at, "calendar", name, names);
        }
    }

    /// What of a part of a document that stands in it as plain JSON does not fit its type, wherever in it.
    pub(super) fn shape(&mut self, part: &str, at: &str, json: &Json) {
        self.shapes.extend(explain::faults(part, json, at));
    }

    /// No key that is not known here.
    pub(super) fn keys(&mut self, at: &str, map: &Map<String, Json>, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let message = format!("`{key}` is not known here");
            let hint = nearest(key, known.iter().copied());
            self.push(Diagnostic::error(format!("{at}/{}", escape_pointer(key)), message).with_hint(hint));
        }
    }

    /// Values by field: each key is a field that may be written.
    pub(super) fn values<'v>(&mut self, at: &str, entity: &Known<'a>, values: impl Iterator<Item = (&'v str, &'v ValueSpec)>) {
        for (name, value) in values {
            let at = format!("{at}/{}", escape_pointer(name));
            self.field(at.as_str(), entity, name);
            self.value(&at, value);
        }
    }

    /// What a value names: an entity and a field to find by.
    pub(super) fn value(&mut self, at: &str, value: &ValueSpec) {
        let ValueSpec::Rule(rule) = value else { return };
        if let Some(find) = &rule.find {
            let at = format!("{at}/find");
            if let Some(entity) = self.entity(&format!("{at}/entity"), &find.entity) {
                self.path(format!("{at}/by"), entity, &find.by);
            }
        }
        if let Some(otherwise) = &rule.otherwise {
            self.value(&format!("{at}/else"), otherwise);
        }
        for (name, inner) in rule.values.iter().flatten() {
            self.value(&format!("{at}/values/{}", escape_pointer(name)), inner);
        }
    }

    /// The same for values that stand as plain JSON in a step.
    pub(super) fn json_values(&mut self, at: &str, entity: Option<&Known<'a>>, json: &Json) {
        let Some(map) = json.as_object() else { return self.error(at, "expected values by field") };
        for (name, value) in map {
            let at = format!("{at}/{}", escape_pointer(name));
            if let Some(entity) = entity {
                self.field(at.as_str(), entity, name);
            }
            match serde_json::from_value::<ValueSpec>(value.clone()) {
                Ok(spec) => self.value(&at, &spec),
                Err(error) => self.error(&at, error.to_string()),
            }
        }
    }

    /// A stage of any pipeline of `entity`.
    pub(super) fn stage(&mut self, at: &str, entity: &Known<'a>, stage: &str) {
        let stages = self.stages_of(entity);
        if !stages.contains(&stage) {
            self.missing(at, "stage", stage, stages);
        }
    }

    /// The stages of every pipeline of `entity`.
    pub(super) fn stages_of(&self, entity: &Known<'a>) -> Vec<&'a str> {
        entity
            .pipelines()
            .filter_map(|(app, pipeline)| self.world.apps.get(app)?.pipelines.get(pipeline))
            .flat_map(|pipeline| pipeline.stages.keys().map(crate::name::Name::as_str))
            .collect()
    }
}

/// The kind of a field's values: a formula's is its result's.
pub(super) fn result_kind(field: &crate::doc::Field) -> &str {
    match field.kind.as_str() {
        "formula" => field.settings.get("result").and_then(Json::as_str).unwrap_or("text"),
        kind => kind,
    }
}
