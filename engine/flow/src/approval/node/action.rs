//! In charge of steps that the system runs; where they fail the token stays here and a manager is told.

use model::Label;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Next, NodeKind};
use crate::approval::effect::Effect;
use crate::approval::facts::Told;
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// What the machine reads of the step; its steps are the runner's business.
#[derive(Debug, Deserialize)]
pub(crate) struct ActionDoc {
    #[serde(default)]
    label: Option<Label>,
    #[serde(default)]
    steps: Json,
}

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Action(ActionDoc);

impl NodeKind for Action {
    fn word(&self) -> &'static str {
        "action"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn is_open_ended(&self) -> bool {
        true
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, token: TokenId) -> Told<Next> {
        let is_empty = self.0.steps.as_object().is_none_or(serde_json::Map::is_empty);
        if is_empty || machine.ahead || machine.instance.reverse {
            return Ok(Next::On);
        }
        machine.effects.push(Effect::Run { at: format!("steps/{}", node.name), token: Some(token) });
        Ok(Next::Wait)
    }
}
