//! In charge of the jump to another step when a condition holds; how often one comes to a step is limited.

use model::Label;
use model::doc::approval::RouteDoc;
use serde::Deserialize;

use super::{Next, NodeKind};
use crate::approval::facts::{Told, Trouble};
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Route(RouteDoc);

impl NodeKind for Route {
    fn word(&self) -> &'static str {
        "route"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, _token: TokenId) -> Told<Next> {
        if self.0.when.is_some() && !machine.facts.holds(&format!("steps/{}/when", node.name))? {
            return Ok(Next::On);
        }
        if machine.flow.splits(node.name.as_str()) != machine.flow.splits(self.0.to.as_str()) {
            return Err(Trouble(format!("`{}` is in another branch: a jump cannot go there", self.0.to)));
        }
        Ok(Next::Jump(self.0.to.clone()))
    }
}
