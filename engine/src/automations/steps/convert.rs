//! In charge of `convert`: a record becomes others, with the rights of whoever acts.

use indexmap::IndexMap;
use model::doc::Step;
use model::fault::escape_pointer;
use model::{Code, EntityId, Input, Message};
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::{Compiling, ValuePlan};
use crate::automations::running::{Hand, Running, held, nothing_there};
use crate::conversions::{Asked, convert_in};
use crate::error::Error;

/// `convert`.
pub(super) struct Convert;

#[derive(Debug)]
struct Converting {
    /// The conversion's qualified name.
    conversion: String,
    /// Values in place of the document's, by target.
    values: Vec<(String, EntityId, Vec<ValuePlan>)>,
    /// Which targets, as the verb takes it.
    targets: Input,
}

/// The targets of the conversion that a step names, with their entities.
pub(super) fn targets(c: &Compiling<'_>, step: &Step) -> Vec<(String, EntityId)> {
    let name = step.settings.get("conversion").and_then(Json::as_str).unwrap_or_default();
    let conversion = c.schema.apps.get(c.app).and_then(|app| app.conversions.get(name));
    let targets = conversion.into_iter().flat_map(|conversion| &conversion.targets);
    targets.filter_map(|(name, target)| Some((name.to_string(), c.find(&target.entity)?))).collect()
}

impl StepKind for Convert {
    fn name(&self) -> &'static str {
        "convert"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let Some(about) = about else {
            c.fault(at, "there is no record to convert: name one with `record`");
            return None;
        };
        if c.before {
            c.fault(at, "a record is converted after its save: use `run: after`");
        }
        let name = settings.get("conversion").and_then(Json::as_str)?;
        // What is not there was told by the check.
        let conversion = c.schema.apps.get(c.app)?.conversions.get(name)?;
        let from = c.find(&conversion.from)?;
        if from != about {
            let (from, about) = (c.def(from).name.to_string(), c.def(about).name.to_string());
            c.fault(format!("{at}/conversion"), format!("`{name}` converts `{from}`, not `{about}`"));
        }
        let mut values = Vec::new();
        for (target, json) in settings.get("values").and_then(Json::as_object).into_iter().flatten() {
            let place = format!("{at}/values/{}", escape_pointer(target));
            match conversion.targets.get(target.as_str()).and_then(|there| c.find(&there.entity)) {
                Some(entity) => values.push((target.clone(), entity, c.values(entity, Some(json), &place))),
                None => c.fault(place, format!("`{name}` has no target `{target}`")),
            }
        }
        for (place, target) in named(settings.get("targets"), &format!("{at}/targets")) {
            if !conversion.targets.contains_key(target.as_str()) {
                c.fault(place, format!("`{name}` has no target `{target}`"));
            }
        }
        let targets = settings.get("targets").map_or(Input::Null, Input::from);
        Some(Box::new(Converting { conversion: format!("{}.{name}", c.app), values, targets }))
    }
}

/// The targets that a list or a map names, each with its place.
fn named(json: Option<&Json>, at: &str) -> Vec<(String, String)> {
    match json {
        Some(Json::Array(names)) => {
            names.iter().enumerate().filter_map(|(index, name)| Some((format!("{at}/{index}"), name.as_str()?.to_owned()))).collect()
        }
        Some(Json::Object(map)) => map.keys().map(|name| (format!("{at}/{}", escape_pointer(name)), name.clone())).collect(),
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) | None => Vec::new(),
    }
}

impl Action for Converting {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        let plan = running.cx.app.conversions.named(hand.entity, &self.conversion).cloned();
        let plan = plan.ok_or_else(|| Error::of(Code::BadReference, Message::new("bad_reference")))?;
        let mut values = IndexMap::new();
        for (target, entity, plans) in &self.values {
            values.insert(target.clone(), Input::Map(running.values(*entity, plans)?));
        }
        let asked = Asked::read(&plan, &Input::Map(values), &self.targets, &Input::Null).map_err(Error::Invalid)?;
        let made = convert_in(running.cx, running.tx, &plan, hand.id, &asked)?;
        running.notes.borrow_mut().extend(made.notes);
        running.wrote.set(true);
        let targets: Map<String, Json> = made.targets.iter().map(|(name, entity, id)| (name.clone(), held(running.cx, *entity, *id))).collect();
        Ok(After::next(json!({"conversion": made.id, "became": targets})).saving(Json::Object(targets)))
    }
}
