//! In charge of `update`: values of the trigger's record, or of the one that `record` names.

use model::EntityId;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::{Compiling, ValuePlan};
use crate::automations::running::{Hand, Running, held, nothing_there};
use crate::error::Error;
use crate::records::{Outcome, Submission};

/// `update`.
pub(super) struct Update;

#[derive(Debug)]
struct Updating {
    values: Vec<ValuePlan>,
}

impl StepKind for Update {
    fn name(&self) -> &'static str {
        "update"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let Some(entity) = about else {
            c.fault(at, "there is no record to update: name one with `record`");
            return None;
        };
        let values = c.values(entity, settings.get("values"), &format!("{at}/values"));
        if c.before && !settings.contains_key("record") && values.iter().any(|value| c.is_stage(entity, value.field)) {
            c.fault(format!("{at}/values"), "a record moves between stages after its save: use `run: after`");
        }
        Some(Box::new(Updating { values }))
    }
}

impl Action for Updating {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        if let Some(in_hand) = running.in_hand.filter(|_| running.record.as_ref().is_some_and(|own| own.id == hand.id)) {
            running.set_in_hand(in_hand, hand.entity, &self.values)?;
            return Ok(After::next(Json::Null));
        }
        let values = running.values(hand.entity, &self.values)?;
        let told: Map<String, Json> = values.iter().map(|(name, input)| (name.clone(), input.to_json())).collect();
        let written = running.write(hand.entity, Submission::Update { id: hand.id, version: None, values })?;
        let record = held(running.cx, hand.entity, hand.id);
        Ok(After::next(json!({"updated": record, "changed": written.outcome != Outcome::Unchanged, "values": told})))
    }
}
