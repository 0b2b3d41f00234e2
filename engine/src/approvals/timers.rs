//! In charge of the timers of approvals: rows of the workspace's timers, and what they do when they are due.

use flow::approval::{Actor, Do, TimerChange};
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::timer::{self, Timer};
use uuid::Uuid;

use crate::approvals::drive::{Driver, own_facts};
use crate::approvals::rows;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::scheduler::{Due, TimerKind};

/// The word in the table of timers.
const APPROVAL: &str = "approval";

fn key(instance: Uuid, timer: u32) -> String {
    format!("approval:{instance}:{timer}")
}

/// Sets and drops timers of an instance.
pub(crate) fn change(cx: &Ctx, tx: &Tx, instance: Uuid, changes: &[TimerChange]) -> Result<(), Error> {
    let mut set = Vec::new();
    for change in changes {
        match change {
            TimerChange::Set(timer) => set.push(Timer {
                id: cx.new_id(),
                kind: APPROVAL.to_owned(),
                key: Some(key(instance, timer.id)),
                subject: Some(instance),
                due_at: timer.due,
                tries: 0,
                body: json!({"instance": instance, "timer": timer.id}),
            }),
            TimerChange::Clear(timer) => {
                timer::drop_key(tx, &key(instance, *timer))?;
            }
        }
    }
    Ok(timer::set(tx, &set)?)
}

/// A timer of an approval that is due.
pub(crate) struct ApprovalTimer;

impl TimerKind for ApprovalTimer {
    fn name(&self) -> &'static str {
        APPROVAL
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let id = timer.body.get("instance").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let number = timer.body.get("timer").and_then(Json::as_u64).and_then(|number| u32::try_from(number).ok());
        let (Some(instance), Some(timer)) = (id, number) else { return Ok(()) };
        // A timer of what is not there any more does nothing; whatever else goes wrong undoes the whole step.
        if rows::get(due.tx, instance)?.is_none() {
            return Ok(());
        }
        let cx = own_facts(due.cx);
        let writer = Writer::new(&cx, due.tx);
        let mut driver = Driver::new(&writer);
        driver.obey(instance, Actor { person: None, manages: true }, &Do::Due { timer }, None, None)?;
        due.note(driver.finish()?);
        Ok(())
    }
}
