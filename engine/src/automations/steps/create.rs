//! In charge of `create`: a new record.

use model::EntityId;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::{Compiling, ValuePlan};
use crate::automations::running::{Hand, Running, held};
use crate::error::Error;
use crate::records::Submission;

/// `create`.
pub(super) struct Create;

#[derive(Debug)]
struct Creating {
    entity: EntityId,
    values: Vec<ValuePlan>,
}

impl StepKind for Create {
    fn name(&self) -> &'static str {
        "create"
    }

    fn compile(&self, c: &mut Compiling<'_>, _: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let entity = settings.get("entity").and_then(Json::as_str).and_then(|name| c.find(name))?;
        let values = c.values(entity, settings.get("values"), &format!("{at}/values"));
        Some(Box::new(Creating { entity, values }))
    }
}

impl Action for Creating {
    fn run(&self, running: &Running<'_>, _: Option<Hand>) -> Result<After, Error> {
        let values = running.values(self.entity, &self.values)?;
        let told: Map<String, Json> = values.iter().map(|(name, input)| (name.clone(), input.to_json())).collect();
        let written = running.write(self.entity, Submission::Create { id: None, values })?;
        let made = held(running.cx, self.entity, written.id);
        Ok(After::next(json!({"created": made, "values": told})).saving(made))
    }
}
