//! In charge of the steps at which people decide: `approve`, where they say yes or no, and `handle`, where something is done.
//! Invariant: who is asked, and how their votes count, is the same; of what is to be done there is nothing to reject.

use indexmap::IndexMap;
use model::Label;
use model::doc::approval::{DecisionDoc, TaskAccess, Then};
use serde::Deserialize;

use super::{Next, NodeKind, Steps};
use crate::approval::facts::Told;
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step; `APPROVES` where its votes are approvals.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Decision<const APPROVES: bool>(DecisionDoc);

/// A step at which people approve or reject.
pub(crate) type Approve = Decision<true>;
/// A step at which people do something.
pub(crate) type Handle = Decision<false>;

impl<const APPROVES: bool> NodeKind for Decision<APPROVES> {
    fn word(&self) -> &'static str {
        if APPROVES { "approve" } else { "handle" }
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

    fn approves(&self) -> bool {
        APPROVES
    }

    fn decision(&self) -> Option<&DecisionDoc> {
        Some(&self.0)
    }

    fn fields(&self) -> Option<&IndexMap<String, TaskAccess>> {
        Some(&self.0.fields)
    }
}
