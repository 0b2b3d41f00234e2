//! In charge of copies: people are told, and nothing waits for them. One copy per person and instance.

use indexmap::IndexMap;
use model::Label;
use model::doc::approval::{CopyDoc, TaskAccess};
use serde::Deserialize;

use super::{Next, NodeKind};
use crate::approval::facts::Told;
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Copy(CopyDoc);

impl NodeKind for Copy {
    fn word(&self) -> &'static str {
        "cc"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, _token: TokenId) -> Told<Next> {
        let people = machine.found(&node.name, &format!("steps/{}/to", node.name), &self.0.to)?;
        machine.copy(Some(&node.name), None, &people)?;
        Ok(Next::On)
    }

    fn fields(&self) -> Option<&IndexMap<String, TaskAccess>> {
        Some(&self.0.fields)
    }
}
