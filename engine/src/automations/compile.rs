//! In charge of compiling automations: triggers, conditions, values, people, texts, each against the schema.
//! Invariant: every fault is found at once, with its place; what compiles can run.

use std::collections::HashMap;

use chrono::Duration;
use indexmap::IndexMap;
use model::doc::{Condition, Field, MessageTemplate, RunAs, RunWhen, Step, ValueSpec};
use model::fault::escape_pointer;
use model::field::{CompileContext, Role, Shape};
use model::{Diagnostic, EntityDef, EntityId, FieldId, Filter, Input, Label, Name, Schema};
use rules::condition::CompiledCondition;
use rules::expr::{Expression, Given, Kind, Place, Use};
use rules::query::{Path, SystemView, TypedFilter, resolve_path};
use rules::text::{Escape, TextTemplate};
use rules::value::CompiledValue;
use serde_json::{Map, Value as Json};

use super::people::Who;
use super::plan::{AutomationPlan, Definition, StepPlan};
use super::steps;
use super::trigger::{ButtonPlan, Question, Trigger};
use crate::records::Op;

/// A record that a step is about, where that is not the trigger's.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What the path begins at: something given, or the trigger's record.
    pub(crate) from: Option<String>,
    /// The path, ending in a reference; none where the given record itself is meant.
    pub(crate) path: Option<Path>,
    /// Its entity.
    pub(crate) entity: EntityId,
}

/// A value of a field.
#[derive(Debug)]
pub(crate) struct ValuePlan {
    pub(crate) field: FieldId,
    pub(crate) value: CompiledValue,
    /// The entity and field by which a record is looked up.
    pub(crate) find: Option<(EntityId, FieldId)>,
}

/// A text in several languages, each a template.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<(String, TextTemplate)>);

impl Texts {
    /// The one for a language.
    pub(crate) fn get(&self, locale: &str) -> Option<&TextTemplate> {
        let fitting = |name: &str| self.0.iter().find(|(there, _)| there == name).map(|(_, template)| template);
        model::label::fallbacks(locale).iter().find_map(|name| fitting(name)).or_else(|| self.0.first().map(|(_, template)| template))
    }
}

/// What is being compiled.
pub(crate) struct Compiling<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) app: &'a str,
    pub(crate) definition: &'a Definition,
    pub(crate) entity: Option<EntityId>,
    pub(crate) before: bool,
    pub(crate) given: Vec<(String, Given)>,
    pub(crate) faults: &'a mut Vec<Diagnostic>,
}

/// Compiles an automation.
pub(crate) fn automation(
    schema: &Schema,
    definition: &Definition,
    at: &str,
    faults: &mut Vec<Diagnostic>,
    hash: String,
    body: Json,
) -> AutomationPlan {
    let doc = &definition.automation;
    let mut c = Compiling { schema, app: &definition.app, definition, entity: None, before: doc.run == RunWhen::Before, given: Vec::new(), faults };
    c.entity = entity_of(&c, &doc.on);
    let trigger = c.trigger(&doc.on, &format!("{at}/on"));
    c.given = given(&c, &doc.on, &trigger);
    let condition = doc.condition.as_ref().and_then(|condition| match c.entity {
        Some(entity) => c.condition(entity, condition, &format!("{at}/if")),
        None => c.recordless(condition, &format!("{at}/if")),
    });
    let mut steps = HashMap::new();
    for (name, step) in &doc.steps {
        if let Some(plan) = c.step(step, &format!("{at}/steps/{name}")) {
            steps.insert(name.to_string(), plan);
        }
    }
    AutomationPlan {
        name: format!("{}.{}", definition.app, definition.name),
        app: definition.app.clone(),
        label: doc.label.clone(),
        entity: c.entity,
        trigger,
        when: doc.run,
        run_as: doc.run_as,
        off: doc.off,
        condition,
        steps,
        root: doc.root.iter().map(Name::to_string).collect(),
        given: c.given,
        hash,
        body,
        spent: super::spent::Spent::default(),
    }
}

fn entity_of(c: &Compiling<'_>, on: &Map<String, Json>) -> Option<EntityId> {
    let text = |key: &str| on.get(key).and_then(Json::as_str);
    if let Some(form) = text("form") {
        let form = c.schema.apps.get(c.app)?.web_forms.get(form)?;
        return c.schema.find_from(c.app, &form.entity).map(|def| def.id);
    }
    text("entity").and_then(|name| c.schema.find_from(c.app, name)).map(|def| def.id)
}

/// What steps see by name: answers, what was sent, results of steps, the items of loops.
fn given(c: &Compiling<'_>, on: &Map<String, Json>, trigger: &Trigger) -> Vec<(String, Given)> {
    let mut found: Vec<(String, Given)> = Vec::new();
    if let Trigger::Button(button) = trigger {
        let kinds = button.ask.iter().map(|question| {
            let stored = || question.typed.columns().first().map_or(Kind::Any, |column| Kind::stored_as(column.storage));
            (question.name.clone(), question.to.map_or_else(stored, Kind::Record))
        });
        found.push(("ask".to_owned(), Given::Fields(kinds.collect())));
    }
    if on.contains_key("webhook") || on.contains_key("message") {
        found.push(("payload".to_owned(), Given::Values));
    }
    if on.contains_key("form") {
        found.push(("sent".to_owned(), Given::Values));
    }
    let steps = &c.definition.automation.steps;
    // A loop may go through what another step found, wherever that stands.
    for _ in 0..4 {
        for step in steps.values() {
            let text = |key: &str| step.settings.get(key).and_then(Json::as_str);
            if let Some(name) = text("save")
                && let Some(what) = steps::result_of(c, step)
            {
                put(&mut found, name, what);
            }
            if step.kind == "for_each"
                && let (Some(name), Some(over)) = (text("as"), step.settings.get("over"))
            {
                let entity = over.as_str().and_then(|over| steps::entity_over(c, &found, over));
                let written = over.as_str().or_else(|| over.get("expr").and_then(Json::as_str));
                let items = || written.map_or(Kind::Any, |text| items_of(c, &found, text));
                let what = entity.map_or_else(|| Given::Value(items()), Given::Record);
                put(&mut found, name, what);
            }
        }
    }
    found
}

/// What the items of a list are that an expression gives.
fn items_of(c: &Compiling<'_>, given: &[(String, Given)], text: &str) -> Kind {
    let place = Place { schema: c.schema, entity: c.entity.unwrap_or_else(|| c.nobody()), app: c.app, usage: Use::Value, given };
    Expression::compile_at(place, text).map_or(Kind::Any, |compiled| compiled.items())
}

/// What a chain of names begins at and what is behind it: one of several records that are given is named by both names.
pub(crate) fn split_given<'t>(given: &[(String, Given)], text: &'t str) -> (&'t str, Option<&'t str>) {
    let mut dots = text.match_indices('.').map(|(index, _)| index);
    let (one, two) = (dots.next().unwrap_or(text.len()), dots.next().unwrap_or(text.len()));
    let is_given = |end: usize| given.iter().any(|(name, _)| text.get(..end) == Some(name));
    let (first, rest) = text.split_at(if is_given(two) { two } else { one });
    (first, rest.strip_prefix('.'))
}

fn put(found: &mut Vec<(String, Given)>, name: &str, what: Given) {
    if let Given::Records(records) = &what {
        for (key, entity) in records {
            put(found, &format!("{name}.{key}"), Given::Record(*entity));
        }
    }
    match found.iter_mut().find(|(there, _)| there == name) {
        Some((_, there)) => *there = what,
        None => found.push((name.to_owned(), what)),
    }
}

impl Compiling<'_> {
    pub(crate) fn fault(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Diagnostic::error(at, message));
    }

    pub(crate) fn def(&self, entity: EntityId) -> &EntityDef {
        self.schema.entity(entity)
    }

    /// The entity that a document of the app names; the check has told it where there is none.
    pub(crate) fn find(&self, name: &str) -> Option<EntityId> {
        self.schema.find_from(self.app, name).map(|def| def.id)
    }

    /// The entity whose record stands where there is none: nothing of it may be read.
    pub(crate) fn nobody(&self) -> EntityId {
        self.schema.find("core.user").map_or(EntityId(0), |def| def.id)
    }

    fn place(&self, entity: EntityId, usage: Use) -> Place<'_> {
        Place { schema: self.schema, entity, app: self.app, usage, given: &self.given }
    }

    pub(crate) fn condition(&mut self, entity: EntityId, condition: &Condition, at: &str) -> Option<CompiledCondition> {
        // A filter's faults have places of their own within it.
        if let Condition::Filter(filter) = condition
            && let Err(faults) = TypedFilter::compile(self.schema, entity, filter, &SystemView, at)
        {
            self.faults.extend(faults.into_iter().map(|fault| Diagnostic::error(fault.pointer, fault.wording.text("en"))));
            return None;
        }
        match CompiledCondition::compile(self.place(entity, Use::Condition), condition) {
            Ok(compiled) => Some(compiled),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(at, message).with_hint(hint)));
                None
            }
        }
    }

    /// A condition where there is no record.
    fn recordless(&mut self, condition: &Condition, at: &str) -> Option<CompiledCondition> {
        let compiled = self.condition(self.nobody(), condition, at)?;
        if compiled.reads().is_empty() {
            return Some(compiled);
        }
        self.fault(at, "there is no record here");
        None
    }

    /// A condition as it stands in a step.
    pub(crate) fn json_condition(&mut self, entity: Option<EntityId>, json: Option<&Json>, at: &str) -> Option<CompiledCondition> {
        let condition = match json? {
            Json::String(text) => Condition::Expression(text.clone()),
            json => match Filter::parse(json, at) {
                Ok(filter) => Condition::Filter(filter),
                Err(faults) => {
                    self.faults.extend(faults.into_iter().map(|fault| Diagnostic::error(fault.pointer, fault.wording.text("en"))));
                    return None;
                }
            },
        };
        match entity {
            Some(entity) => self.condition(entity, &condition, at),
            None => self.recordless(&condition, at),
        }
    }

    pub(crate) fn filter(&mut self, entity: EntityId, json: &Json, at: &str) -> Option<TypedFilter> {
        let compiled =
            Filter::parse(json, at).and_then(|filter| TypedFilter::compile_with_record(self.schema, entity, &filter, &SystemView, at, self.entity));
        match compiled {
            Ok(filter) => Some(filter),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|fault| Diagnostic::error(fault.pointer, fault.wording.text("en"))));
                None
            }
        }
    }

    pub(crate) fn expression(&mut self, text: &str, at: &str) -> Option<Expression> {
        let entity = self.entity.unwrap_or_else(|| self.nobody());
        match Expression::compile_at(self.place(entity, Use::Value), text) {
            Ok(compiled) if self.entity.is_some() || compiled.reads().is_empty() => Some(compiled),
            Ok(_) => {
                self.fault(at, "there is no record here");
                None
            }
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|fault| {
                    Diagnostic::error(at, format!("{} (line {}, column {})", fault.message, fault.line, fault.column)).with_hint(fault.hint)
                }));
                None
            }
        }
    }

    /// A value on its own.
    pub(crate) fn value(&mut self, json: &Json, at: &str) -> Option<CompiledValue> {
        let spec: ValueSpec = match serde_json::from_value(json.clone()) {
            Ok(spec) => spec,
            Err(error) => {
                self.fault(at, error.to_string());
                return None;
            }
        };
        let entity = self.entity.unwrap_or_else(|| self.nobody());
        match CompiledValue::compile(self.place(entity, Use::Value), &spec) {
            Ok(compiled) if self.entity.is_some() || compiled.reads().is_empty() => Some(compiled),
            Ok(_) => {
                self.fault(at, "there is no record here");
                None
            }
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(at, message).with_hint(hint)));
                None
            }
        }
    }

    /// Values of fields of `entity`, as `values` of a step.
    pub(crate) fn values(&mut self, entity: EntityId, json: Option<&Json>, at: &str) -> Vec<ValuePlan> {
        let mut plans = Vec::new();
        for (name, json) in json.and_then(Json::as_object).into_iter().flatten() {
            let at = format!("{at}/{}", escape_pointer(name));
            // A name that is not there was told by the check, where the entity was known to it.
            let Some(field) = self.def(entity).find(name).map(|field| field.id) else {
                let message = format!("`{}` has no field `{name}`", self.def(entity).name);
                self.fault(&at, message);
                continue;
            };
            let Some(value) = self.value(json, &at) else { continue };
            let find = value.rule().find.clone().and_then(|by| {
                let target = self.find(&by.entity)?;
                Some((target, self.def(target).find(&by.by)?.id))
            });
            plans.push(ValuePlan { field, value, find });
        }
        plans
    }

    /// A text in every language.
    pub(crate) fn texts(&mut self, label: &Label, at: &str) -> Texts {
        let all: Vec<(String, &str)> = match label {
            Label::Plain(text) => vec![("en".to_owned(), text)],
            Label::Localised(texts) => texts.iter().map(|(locale, text)| (locale.clone(), text.as_str())).collect(),
        };
        let mut compiled = Vec::new();
        for (locale, text) in all {
            match TextTemplate::compile(text, Escape::None) {
                Ok(template) => {
                    self.template_names(&template, at);
                    compiled.push((locale, template));
                }
                Err(message) => self.fault(at, message),
            }
        }
        Texts(compiled)
    }

    /// Every name that a template reads is there.
    fn template_names(&mut self, template: &TextTemplate, at: &str) {
        for name in template.names() {
            let Some((mut first, mut rest)) = name.split_first() else { continue };
            let both = name.get(..2).map(|both| both.join("."));
            if let Some((both, behind)) = both.as_ref().zip(name.get(2..)).filter(|(both, _)| self.given.iter().any(|(there, _)| there == *both)) {
                (first, rest) = (both, behind);
            }
            let (entity, rest) = match self.given.iter().find(|(there, _)| there == first) {
                Some((_, Given::Record(entity))) => (*entity, rest),
                Some(_) => continue,
                None => match self.entity {
                    Some(entity) if first == "record" => (entity, rest),
                    Some(entity) => (entity, &name[..]),
                    None => {
                        self.fault(at, format!("`{}` is nothing here: there is no record", name.join(".")));
                        continue;
                    }
                },
            };
            if rest.is_empty() {
                continue;
            }
            if let Err(fault) = resolve_path(self.schema, entity, &rest.join("."), &SystemView, at) {
                self.fault(at, fault.wording.text("en"));
            }
        }
    }

    /// `subject` and `body` of a message, or those of its template.
    pub(crate) fn message(&mut self, settings: &Map<String, Json>, at: &str) -> (Texts, Texts) {
        let written: Option<MessageTemplate> = match settings.get("template").and_then(Json::as_str) {
            Some(name) => self.definition.templates.get(name).cloned(),
            None => {
                let part = |key: &str| settings.get(key).cloned().unwrap_or_else(|| Json::String(String::new()));
                serde_json::from_value(serde_json::json!({"subject": part("subject"), "body": part("body")})).ok()
            }
        };
        let Some(written) = written else { return (Texts::default(), Texts::default()) };
        (self.texts(&written.subject, &format!("{at}/subject")), self.texts(&written.body, &format!("{at}/body")))
    }

    /// The record that `text` names: something given, or a path over references.
    pub(crate) fn target(&mut self, text: &str, at: &str) -> Option<Target> {
        let (first, rest) = split_given(&self.given, text);
        let given = self.given.iter().find(|(name, _)| name == first).map(|(_, given)| given.clone());
        let (from, entity, rest) = match given {
            Some(Given::Record(entity)) => (Some(first.to_owned()), entity, rest),
            Some(_) => {
                self.fault(at, format!("`{first}` is no record"));
                return None;
            }
            None if first == "record" => (None, self.entity?, rest),
            None => match self.entity {
                Some(entity) => (None, entity, Some(text)),
                None => {
                    self.fault(at, format!("`{first}` is nothing here: there is no record"));
                    return None;
                }
            },
        };
        let Some(rest) = rest else { return Some(Target { from, path: None, entity }) };
        match resolve_path(self.schema, entity, rest, &SystemView, at) {
            Ok(path) => match path.target(self.schema).targets.as_slice() {
                [entity] => Some(Target { from, entity: *entity, path: Some(path) }),
                _ => {
                    self.fault(at, format!("`{text}` leads to no record"));
                    None
                }
            },
            Err(fault) => {
                self.fault(at, fault.wording.text("en"));
                None
            }
        }
    }

    /// People, one or several.
    pub(crate) fn people(&mut self, json: Option<&Json>, at: &str) -> Vec<Who> {
        let all: Vec<(String, &Json)> = match json {
            Some(Json::Array(items)) => items.iter().enumerate().map(|(index, item)| (format!("{at}/{index}"), item)).collect(),
            Some(one) => vec![(at.to_owned(), one)],
            None => Vec::new(),
        };
        all.into_iter().filter_map(|(at, json)| Who::compile(self, json, &at)).collect()
    }

    fn step(&mut self, step: &Step, at: &str) -> Option<StepPlan> {
        let settings = &step.settings;
        let kind = steps::kind(&step.kind)?;
        let target = match settings.get("record").and_then(Json::as_str) {
            Some(text) => Some(self.target(text, &format!("{at}/record"))?),
            None => None,
        };
        let about = target.as_ref().map(|target| target.entity).or(self.entity);
        let condition = self.json_condition(about, settings.get("if"), &format!("{at}/if"));
        let action = kind.compile(self, about, settings, at)?;
        let run_as = match settings.get("as").and_then(Json::as_str) {
            // A loop's `as` names its item.
            Some("user") if step.kind != "for_each" => Some(RunAs::User),
            Some("system") if step.kind != "for_each" => Some(RunAs::System),
            _ => None,
        };
        let save = settings.get("save").and_then(Json::as_str).map(str::to_owned);
        Some(StepPlan { target, condition, save, run_as, usual: kind.rights(), action })
    }

    fn trigger(&mut self, on: &Map<String, Json>, at: &str) -> Trigger {
        let text = |key: &str| on.get(key).and_then(Json::as_str);
        let field = |c: &Self, name: &str| c.entity.and_then(|entity| c.def(entity).find(name)).map(|field| field.id);
        if let Some(event) = text("record") {
            let op = match event {
                "created" => Op::Created,
                "updated" => Op::Updated,
                "deleted" => Op::Deleted,
                _ => Op::Restored,
            };
            let names = on.get("fields").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
            return Trigger::Record { op, fields: names.filter_map(|name| field(self, name)).collect() };
        }
        if let Some(event) = text("stage") {
            let own = self.entity.and_then(|entity| self.def(entity).stages.first().copied());
            let Some(field) = text("field").and_then(|name| field(self, name)).or(own) else {
                self.fault(format!("{at}/stage"), "the entity has no stages");
                return Trigger::Unknown;
            };
            return Trigger::Stage { entered: event == "entered", field, value: text("value").map(str::to_owned) };
        }
        if let Some(word) = text("approval") {
            return Trigger::Approval { word: word.to_owned(), flow: text("flow").map(str::to_owned), result: text("result").map(str::to_owned) };
        }
        if let Some(name) = text("clock") {
            return Trigger::Clock { name: name.to_owned(), at: text("at").map(str::to_owned) };
        }
        if let Some(line) = text("schedule") {
            if let Err(message) = crate::times::schedule(line) {
                self.fault(format!("{at}/schedule"), message);
            }
            return Trigger::Schedule { line: line.to_owned(), zone: text("zone").and_then(|zone| zone.parse().ok()) };
        }
        if let Some(name) = text("date") {
            let Some(field) = field(self, name) else {
                self.fault(format!("{at}/date"), "the date is a field of the record itself");
                return Trigger::Unknown;
            };
            let span = |key: &str| text(key).and_then(model::field::scalar::read_duration).map(Duration::seconds);
            let offset = span("after").unwrap_or_default() - span("before").unwrap_or_default();
            let time = text("at").and_then(|time| chrono::NaiveTime::parse_from_str(time, "%H:%M").ok());
            return Trigger::Date { field, offset, at: time };
        }
        if on.contains_key("webhook") {
            return Trigger::Webhook;
        }
        if let Some(form) = text("form") {
            return Trigger::Form { form: format!("{}.{form}", self.app) };
        }
        if on.contains_key("message") {
            return Trigger::Message;
        }
        if on.contains_key("button") {
            return Trigger::Button(self.button(on, at));
        }
        Trigger::Unknown
    }

    fn button(&mut self, on: &Map<String, Json>, at: &str) -> ButtonPlan {
        let show_if = self.json_condition(self.entity, on.get("show_if"), &format!("{at}/show_if"));
        let roles = on.get("roles").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
        let mut ask = Vec::new();
        for (name, json) in on.get("ask").and_then(Json::as_object).into_iter().flatten() {
            let Ok(field) = serde_json::from_value::<Field>(json.clone()) else { continue };
            match question(self.schema, self.app, name, &field) {
                Ok(question) => ask.push(question),
                Err(message) => self.fault(format!("{at}/ask/{}", escape_pointer(name)), message),
            }
        }
        let name = on.get("button").and_then(Json::as_str).unwrap_or(self.definition.name.as_str()).to_owned();
        let label = on.get("label").and_then(|label| serde_json::from_value(label.clone()).ok()).or_else(|| self.definition.automation.label.clone());
        ButtonPlan { name, label, show_if, roles, many: on.get("many") == Some(&Json::Bool(true)), ask }
    }

    /// Whether a field of `entity` is a stage.
    pub(crate) fn is_stage(&self, entity: EntityId, field: FieldId) -> bool {
        matches!(self.def(entity).field(field).role, Role::Stage { .. })
    }
}

/// A question as a field on its own; why it is none.
fn question(schema: &Schema, app: &str, name: &str, field: &Field) -> Result<Question, String> {
    let cannot = || format!("`{}` cannot be asked", field.kind);
    let kind = model::field::kind(&field.kind).ok_or_else(cannot)?;
    let own = schema.apps.get(app).ok_or_else(cannot)?;
    let options = |name: &str| own.options.get(name).map(model::doc::OptionList::in_order);
    let compiled = kind.compile(field, &CompileContext { currency: "USD", options: &options, stages: &|_| None }).map_err(|_| cannot())?;
    let Shape::Own(typed) = compiled.shape else { return Err(cannot()) };
    let to = match &compiled.role {
        Role::Reference(spec) if spec.filter.is_some() => return Err("a question offers every record in sight: it takes no `filter`".to_owned()),
        Role::Reference(spec) => Some(schema.find_from(app, &spec.to).ok_or_else(|| format!("there is no entity `{}`", spec.to))?.id),
        // What has no single value, or lives in a record alone, is no answer.
        Role::References(_) | Role::AnyReference { .. } | Role::Stage { .. } | Role::Autonumber { .. } | Role::Files { .. } | Role::Secret => {
            return Err(cannot());
        }
        Role::Plain
        | Role::Money { .. }
        | Role::Choice { .. }
        | Role::Lines { .. }
        | Role::Formula { .. }
        | Role::Lookup { .. }
        | Role::Rollup(_) => None,
    };
    let default = match &field.common.default {
        Some(ValueSpec::Plain(json)) => Some(Input::from(json)),
        Some(ValueSpec::Rule(_)) | None => None,
    };
    Ok(Question { name: name.to_owned(), doc: field.clone(), role: compiled.role, typed, default, to })
}

/// Values by name, as a payload.
pub(crate) fn payload(c: &mut Compiling<'_>, json: Option<&Json>, at: &str) -> IndexMap<String, CompiledValue> {
    let mut plans = IndexMap::new();
    for (name, json) in json.and_then(Json::as_object).into_iter().flatten() {
        if let Some(value) = c.value(json, &format!("{at}/{}", escape_pointer(name))) {
            plans.insert(name.clone(), value);
        }
    }
    plans
}
