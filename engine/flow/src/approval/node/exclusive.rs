//! In charge of the split that takes one way: the first whose condition holds, else the default.

use model::Label;
use model::doc::approval::SplitDoc;
use serde::Deserialize;

use super::{Next, NodeKind, Steps, branches, ordered};
use crate::approval::event::Event;
use crate::approval::facts::{Told, Trouble};
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Exclusive(SplitDoc);

impl NodeKind for Exclusive {
    fn word(&self) -> &'static str {
        "exclusive"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, _token: TokenId) -> Told<Next> {
        let mut chosen = None;
        for name in ordered(&self.0) {
            let Some(branch) = self.0.branches.get(name).filter(|branch| !branch.otherwise && branch.when.is_some()) else { continue };
            if branch.when.is_some() && machine.facts.holds(&format!("steps/{}/branches/{name}/when", node.name))? {
                chosen = Some(name);
                break;
            }
        }
        let otherwise =
            || ordered(&self.0).into_iter().find(|name| self.0.branches.get(*name).is_some_and(|branch| branch.otherwise || branch.when.is_none()));
        let Some(taken) = chosen.or_else(otherwise) else { return Err(Trouble("no branch fits, and there is no default".to_owned())) };
        machine.emit(Event::BranchTaken { node: node.name.clone(), branches: vec![taken.clone()] });
        Ok(Next::Into(taken.clone()))
    }

    fn blocks(&self) -> Vec<Steps<'_>> {
        branches(&self.0)
    }
}
