//! In charge of the split that takes all ways at once; its join waits for all of them.

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
pub(crate) struct Parallel(SplitDoc);

impl NodeKind for Parallel {
    fn word(&self) -> &'static str {
        "parallel"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, _token: TokenId) -> Told<Next> {
        let all: Vec<_> = ordered(&self.0).into_iter().cloned().collect();
        machine.emit(Event::BranchTaken { node: node.name.clone(), branches: all.clone() });
        Ok(Next::Fork(all))
    }

    fn blocks(&self) -> Vec<Steps<'_>> {
        branches(&self.0)
    }

    fn forks(&self) -> bool {
        true
    }
}
