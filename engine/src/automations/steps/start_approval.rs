//! In charge of `start_approval`: an approval flow begins on a record.

use flow::approval::Selection;
use model::{Code, EntityId, Message};
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::approvals::begin_in;
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running, nothing_there};
use crate::error::Error;

/// `start_approval`.
pub(super) struct StartApproval;

#[derive(Debug)]
struct Starting {
    /// The flow's qualified name.
    flow: String,
}

impl StepKind for StartApproval {
    fn name(&self) -> &'static str {
        "start_approval"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let Some(name) = settings.get("approval").and_then(Json::as_str) else {
            c.fault(format!("{at}/approval"), "`approval` is missing: which flow begins");
            return None;
        };
        if about.is_none() {
            c.fault(at, "there is no record to approve: name one with `record`");
        }
        let flow = if name.contains('.') { name.to_owned() } else { format!("{}.{name}", c.app) };
        Some(Box::new(Starting { flow }))
    }
}

impl Action for Starting {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        let plan = running.cx.app.flows.find(&self.flow).filter(|plan| plan.entity == hand.entity).cloned();
        let plan = plan.ok_or_else(|| Error::of(Code::BadReference, Message::new("bad_reference")))?;
        let (id, notes) = begin_in(running.cx, running.tx, &plan, hand.id, running.asker.user(), Selection::new(), Json::Null)?;
        running.notes.borrow_mut().extend(notes);
        running.wrote.set(true);
        Ok(After::next(json!({"approval": id})))
    }
}
