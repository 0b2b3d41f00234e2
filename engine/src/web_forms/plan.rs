//! In charge of public forms compiled against the schema: inputs, values put in beside them, the rule of duplicates.

use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::{DuplicateThen, FormOn, WebForm, WebFormField};
use model::{Diagnostic, EntityDef, EntityId, FieldDef, FieldId, Name, Schema};
use rules::expr::{Given, Place, Use};
use rules::query::{Path, SystemView, resolve_path};
use rules::value::CompiledValue;

use super::choices::ChoicePlan;
use crate::records::duplicates::DuplicatePlan;
use crate::times::Span;

/// The public forms of a workspace, by qualified name.
#[derive(Debug, Default)]
pub(crate) struct WebForms(IndexMap<String, Arc<FormPlan>>);

/// A public form, compiled.
#[derive(Debug)]
pub struct FormPlan {
    /// Its qualified name.
    pub name: String,
    /// The app that it is of.
    pub app: String,
    /// The entity of the records that it makes, or is about.
    pub entity: EntityId,
    /// The document.
    pub doc: WebForm,
    inputs: IndexMap<Name, WebFormField>,
    /// What is shown of a record that is there.
    pub(crate) shown: Vec<FieldId>,
    /// What a visitor says to show who they are.
    pub(crate) verify: Option<Path>,
    /// How long a link lasts.
    pub(crate) lasts: Option<Span>,
    pub(crate) values: Vec<(FieldId, CompiledValue)>,
    pub(crate) duplicate: Option<(DuplicatePlan, DuplicateThen)>,
    /// The names of the address that its values look at.
    pub(crate) asks: Vec<String>,
    /// The records that may be chosen, by the reference.
    pub(crate) choices: IndexMap<Name, ChoicePlan>,
}

/// One input of a form, as a page shows it.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The field.
    pub field: &'a FieldDef,
    /// What the form says of it.
    pub input: &'a WebFormField,
}

impl WebForms {
    /// Compiles the forms of all apps.
    pub(crate) fn compile(schema: &Schema, faults: &mut Vec<Diagnostic>) -> Self {
        let mut forms = IndexMap::new();
        for (app, documents) in &schema.apps {
            for (name, doc) in &documents.web_forms {
                let at = format!("/{app}/web_forms/{name}");
                // An entity that is not there was told by the check.
                let Some(def) = schema.find_from(app.as_str(), &doc.entity) else { continue };
                let name = format!("{app}.{name}");
                forms.insert(name.clone(), Arc::new(FormPlan::compile(schema, app.as_str(), name, def, doc, &at, faults)));
            }
        }
        Self(forms)
    }

    /// The form that an address names: qualified, or bare while only one app has it.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<FormPlan>> {
        if name.contains('.') {
            return self.0.get(name);
        }
        let mut fitting = self.0.iter().filter(|(there, _)| there.split_once('.').is_some_and(|(_, bare)| bare == name));
        let (_, plan) = fitting.next()?;
        fitting.next().is_none().then_some(plan)
    }
}

impl FormPlan {
    fn compile(schema: &Schema, app: &str, name: String, def: &EntityDef, doc: &WebForm, at: &str, faults: &mut Vec<Diagnostic>) -> Self {
        let given = [("query".to_owned(), Given::Values)];
        let mut values = Vec::new();
        for (field, spec) in &doc.values {
            let at = format!("{at}/values/{field}");
            let Some(field) = def.find(field.as_str()) else { continue };
            let place = Place { schema, entity: def.id, app, usage: Use::Value, given: &given };
            match CompiledValue::compile(place, spec) {
                Ok(value) if value.rule().find.is_some() => faults.push(Diagnostic::error(at, "a public form looks no records up")),
                Ok(value) => values.push((field.id, value)),
                Err(more) => faults.extend(more.into_iter().map(|(message, hint)| Diagnostic::error(&at, message).with_hint(hint))),
            }
        }
        let duplicate = doc.duplicate.as_ref().and_then(|duplicate| {
            let rule = def.doc.duplicates.get(&duplicate.rule)?;
            let at = format!("/{}/entities/{}/duplicates/{}", def.name.app(), def.name.bare(), duplicate.rule);
            let plan = DuplicatePlan::compile(schema, def, duplicate.rule.as_str(), rule, &SystemView, &at, faults)?;
            let then = duplicate.then.unwrap_or(plan.then);
            Some((plan, then))
        });
        let verify = doc.verify.as_ref().and_then(|verify| match resolve_path(schema, def.id, &verify.field, &SystemView, "") {
            Ok(path) => Some(path),
            Err(fault) => {
                faults.push(Diagnostic::error(format!("{at}/verify/field"), fault.wording.text("en")));
                None
            }
        });
        let lasts = doc.expires.as_ref().and_then(|text| {
            let span = Span::read(&text.clone().into());
            if span.is_none() {
                faults.push(Diagnostic::error(format!("{at}/expires"), "a link lasts a fixed time, such as P14D"));
            }
            span
        });
        let shown = doc.show.iter().filter_map(|name| def.find(name.as_str())).map(|field| field.id).collect();
        let mut choices = IndexMap::new();
        for (name, input) in &doc.fields {
            let at = format!("{at}/fields/{name}/choose");
            if let (Some(choice), Some(field)) = (&input.choose, def.find(name.as_str()))
                && let Some(plan) = ChoicePlan::compile(schema, field, choice, &at, faults)
            {
                choices.insert(name.clone(), plan);
            }
        }
        let asks = doc.values.values().flat_map(|spec| asked(&serde_json::to_value(spec).unwrap_or_default())).collect();
        let inputs = doc.inputs();
        Self { name, app: app.to_owned(), entity: def.id, doc: doc.clone(), inputs, shown, verify, lasts, values, duplicate, asks, choices }
    }

    /// The inputs in order.
    pub fn offered<'a>(&'a self, def: &'a EntityDef) -> impl Iterator<Item = Offered<'a>> {
        self.inputs.iter().filter_map(|(name, input)| Some(Offered { field: def.find(name.as_str())?, input }))
    }

    /// Whether a visitor enters the field called `name`.
    #[must_use]
    pub fn lists(&self, name: &str) -> bool {
        self.inputs.contains_key(name)
    }

    /// Whether a visitor may choose a record for the field called `name`.
    #[must_use]
    pub fn opens(&self, name: &str) -> bool {
        self.choices.contains_key(name)
    }

    /// Whether it is about a record that is there.
    #[must_use]
    pub fn is_about_one(&self) -> bool {
        self.doc.on == FormOn::Existing
    }

    /// Whether a page of `origin` may hold this form, or send it.
    #[must_use]
    pub fn embeds(&self, origin: &str) -> bool {
        self.doc.embed.iter().any(|there| there.eq_ignore_ascii_case(origin.trim_end_matches('/')))
    }

    /// The names of the address that the form's values look at: a page carries no others along.
    #[must_use]
    pub fn asks(&self, name: &str) -> bool {
        self.asks.iter().any(|asked| asked == name)
    }

    /// How often one address may send it in an hour.
    #[must_use]
    pub fn per_hour(&self) -> u32 {
        const USUAL: u32 = 60;
        self.doc.limit.map_or(USUAL, |limit| limit.per_hour)
    }
}

/// The names behind `query.` in a value, wherever they stand in it.
fn asked(json: &serde_json::Value) -> Vec<String> {
    use serde_json::Value as Json;
    match json {
        Json::String(text) => text
            .match_indices("query.")
            .map(|(at, word)| text.get(at + word.len()..).unwrap_or_default())
            .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>())
            .filter(|name| !name.is_empty())
            .collect(),
        Json::Array(items) => items.iter().flat_map(asked).collect(),
        Json::Object(map) => map.values().flat_map(asked).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) => Vec::new(),
    }
}
