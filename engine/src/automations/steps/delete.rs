//! In charge of `delete`: a record goes to the bin.

use model::EntityId;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running, held, nothing_there};
use crate::error::Error;
use crate::records::Submission;

/// `delete`.
pub(super) struct Delete;

#[derive(Debug)]
struct Deleting;

impl StepKind for Delete {
    fn name(&self) -> &'static str {
        "delete"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        if about.is_none() {
            c.fault(at, "there is no record to delete: name one with `record`");
            return None;
        }
        if c.before && !settings.contains_key("record") {
            c.fault(at, "a record cannot be deleted while it is being saved: use `run: after`");
        }
        Some(Box::new(Deleting))
    }
}

impl Action for Deleting {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        running.write(hand.entity, Submission::Delete { id: hand.id, version: None })?;
        Ok(After::next(json!({"deleted": held(running.cx, hand.entity, hand.id)})))
    }
}
