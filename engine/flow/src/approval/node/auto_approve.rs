//! In charge of the step that says yes by itself, with its reason on the timeline.

use model::Label;
use model::doc::approval::AutoDoc;
use serde::Deserialize;

use super::{Next, NodeKind};
use crate::approval::event::Reason;
use crate::approval::facts::Told;
use crate::approval::instance::{TokenId, VisitOutcome};
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct AutoApprove(AutoDoc);

impl NodeKind for AutoApprove {
    fn word(&self) -> &'static str {
        "auto_approve"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, token: TokenId) -> Told<Next> {
        machine.pass_by(node, token, Reason::Document { node: node.name.clone() }, VisitOutcome::Passed);
        Ok(Next::On)
    }
}
