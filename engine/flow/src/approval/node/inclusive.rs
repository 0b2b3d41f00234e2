//! In charge of the split that takes every way whose condition holds, else the default; which ways is settled at the split.

use model::Label;
use model::doc::approval::SplitDoc;
use serde::Deserialize;

use super::{Next, NodeKind, Steps, branches, ordered};
use crate::approval::event::Event;
use crate::approval::facts::Told;
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Inclusive(SplitDoc);

impl NodeKind for Inclusive {
    fn word(&self) -> &'static str {
        "inclusive"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, _token: TokenId) -> Told<Next> {
        let (mut taken, mut otherwise) = (Vec::new(), Vec::new());
        for name in ordered(&self.0) {
            let Some(branch) = self.0.branches.get(name) else { continue };
            if branch.otherwise {
                otherwise.push(name.clone());
            } else if branch.when.is_none() || machine.facts.holds(&format!("steps/{}/branches/{name}/when", node.name))? {
                taken.push(name.clone());
            }
        }
        if taken.is_empty() {
            taken = otherwise;
        }
        machine.emit(Event::BranchTaken { node: node.name.clone(), branches: taken.clone() });
        Ok(if taken.is_empty() { Next::On } else { Next::Fork(taken) })
    }

    fn blocks(&self) -> Vec<Steps<'_>> {
        branches(&self.0)
    }

    fn forks(&self) -> bool {
        true
    }
}
