//! In charge of `move`: a record moves to another stage, with the checks of a move.

use model::EntityId;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::{Compiling, ValuePlan};
use crate::automations::running::{Hand, Running, held, nothing_there};
use crate::error::Error;
use crate::records::Submission;

/// `move`.
pub(super) struct Move;

#[derive(Debug)]
struct Moving {
    to: String,
    field: Option<model::Name>,
    values: Vec<ValuePlan>,
}

impl StepKind for Move {
    fn name(&self) -> &'static str {
        "move"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let Some(entity) = about else {
            c.fault(at, "there is no record to move: name one with `record`");
            return None;
        };
        if c.before && !settings.contains_key("record") {
            c.fault(at, "a record moves between stages after its save: use `run: after`");
        }
        if c.def(entity).stages.is_empty() {
            let name = c.def(entity).name.to_string();
            c.fault(at, format!("`{name}` has no stages"));
        }
        let values = c.values(entity, settings.get("values"), &format!("{at}/values"));
        let to = settings.get("to").and_then(Json::as_str)?.to_owned();
        Some(Box::new(Moving { to, field: settings.get("field").and_then(Json::as_str).and_then(model::Name::parse), values }))
    }
}

impl Action for Moving {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        let values = running.values(hand.entity, &self.values)?;
        let to = self.to.clone();
        let skip = indexmap::IndexMap::new();
        running.write(hand.entity, Submission::Move { id: hand.id, version: None, field: self.field.clone(), to, values, skip })?;
        Ok(After::next(json!({"moved": held(running.cx, hand.entity, hand.id), "to": self.to})))
    }
}
