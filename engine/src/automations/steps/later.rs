//! In charge of kinds of steps whose part of the engine is not there yet: documents with them check and export; a run that
//! comes to one stops there and says so, and goes on from it when it is replayed.

use model::{Code, EntityId, Message};
use serde_json::{Map, Value as Json};

use super::{Action, After, StepKind};
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running};
use crate::error::Error;

pub(super) static PRINT: Later = Later("print");

/// A kind that cannot act yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later(&'static str);

impl StepKind for Later {
    fn name(&self) -> &'static str {
        self.0
    }

    fn compile(&self, _: &mut Compiling<'_>, _: Option<EntityId>, _: &Map<String, Json>, _: &str) -> Option<Box<dyn Action>> {
        Some(Box::new(*self))
    }
}

impl Action for Later {
    fn run(&self, _: &Running<'_>, _: Option<Hand>) -> Result<After, Error> {
        Err(Error::of(Code::Limit, Message::new("step_not_there").with("kind", self.0)))
    }
}
