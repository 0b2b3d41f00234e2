//! In charge of the step of the initiator: passed on submission, open again after a return.

use indexmap::IndexMap;
use model::Label;
use model::doc::approval::{StartDoc, TaskAccess};
use serde::Deserialize;

use super::{Next, NodeKind};
use crate::approval::facts::Told;
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The initiator's step.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Start(StartDoc);

impl NodeKind for Start {
    fn word(&self) -> &'static str {
        "start"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, token: TokenId) -> Told<Next> {
        machine.at_start(node, token)
    }

    fn is_start(&self) -> bool {
        true
    }

    fn fields(&self) -> Option<&IndexMap<String, TaskAccess>> {
        Some(&self.0.fields)
    }
}
