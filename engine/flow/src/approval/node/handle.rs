//! In charge of a step at which people do something; there is nothing to reject.

use indexmap::IndexMap;
use model::Label;
use model::doc::approval::{DecisionDoc, TaskAccess, Then};
use serde::Deserialize;

use super::{Next, NodeKind, Steps};
use crate::approval::facts::Told;
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Handle(DecisionDoc);

impl NodeKind for Handle {
    fn word(&self) -> &'static str {
        "handle"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, token: TokenId) -> Told<Next> {
        machine.ask(node, &self.0, token)
    }

    fn blocks(&self) -> Vec<Steps<'_>> {
        if self.0.on_reject.then == Then::Branch { vec![(None, self.0.on_reject.steps.as_slice())] } else { Vec::new() }
    }

    fn decision(&self) -> Option<&DecisionDoc> {
        Some(&self.0)
    }

    fn fields(&self) -> Option<&IndexMap<String, TaskAccess>> {
        Some(&self.0.fields)
    }
}
