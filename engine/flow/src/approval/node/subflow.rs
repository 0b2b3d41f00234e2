//! In charge of flows within flows: started here, waited for or not.

use model::Label;
use model::doc::approval::{ChildRejected, SubflowDoc};
use serde::Deserialize;

use super::{Next, NodeKind};
use crate::approval::effect::Effect;
use crate::approval::facts::Told;
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Subflow(SubflowDoc);

impl NodeKind for Subflow {
    fn word(&self) -> &'static str {
        "subflow"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn is_open_ended(&self) -> bool {
        true
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, token: TokenId) -> Told<Next> {
        if machine.ahead || machine.instance.reverse {
            return Ok(Next::On);
        }
        let record = self.0.record.clone().filter(|path| path != "record");
        let waits = self.0.wait.unwrap_or(true);
        // What is waited for belongs to this visit: another one starts its own.
        let visit = waits.then(|| machine.open(node, token, Vec::new(), Vec::new(), None));
        machine.effects.push(Effect::Start { token, visit, node: node.name.clone(), approval: self.0.approval.clone(), record });
        Ok(if waits { Next::Wait } else { Next::On })
    }

    fn child_rejects(&self) -> bool {
        self.0.on_reject == ChildRejected::Reject
    }
}
