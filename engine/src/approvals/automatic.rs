//! In charge of what follows from a change of a record: a flow that starts by itself, one that begins again.
//! Invariant: the flow's own steps set off nothing here.

use std::sync::Arc;

use flow::approval::{Actor, Do, Selection};
use model::doc::approval::LockMode;
use model::{Code, EntityId};
use serde_json::Value as Json;
use store::Tx;
use uuid::Uuid;

use crate::approvals::drive::{Driver, Start, own_facts, plan_of};
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::ChangeNote;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;

/// Looks at a record after a change of it.
pub(crate) fn after_write(w: &Writer<'_>, entity: EntityId, id: Uuid, before: Option<&model::Cells>) -> Result<(), Error> {
    if !w.app.flows.has(entity) || w.cx.cause == Cause::Flow || w.is_preview {
        return Ok(());
    }
    let def = w.def(entity);
    let Some(after) = w.reader.read(entity, id)?.filter(|cells| is_live(def, cells)) else { return Ok(()) };
    let live = if before.is_none() { Vec::new() } else { rows::of_record(w.tx, id, true)? };
    let cx = own_facts(w.cx);
    let writer = Writer::new(&cx, w.tx);
    let mut driver = Driver::new(&writer);
    for row in &live {
        let plan = plan_of(w, row)?;
        if plan.flow.settings.lock.mode == LockMode::RestartOnChange {
            driver.obey(row.id, Actor::default(), &Do::Changed, None, None)?;
        }
    }
    for plan in w.app.flows.of(entity).filter(|plan| plan.flow.start.automatic) {
        let runs = live.iter().any(|row| row.flow == plan.name);
        let holds = |cells: &model::Cells| match plan.conditions.get("start/when") {
            Some(condition) => crate::records::check::holds(w, &plan.app, def, condition, None, cells),
            None => true,
        };
        let became = holds(&after) && before.is_none_or(|before| !holds(before));
        if runs || !became {
            continue;
        }
        let start = Start {
            plan,
            record: id,
            initiator: w.cx.caller.user(),
            parent: None,
            select: Selection::new(),
            opinion: None,
            then: Json::Null,
            request: None,
        };
        match driver.start(start) {
            // Another flow holds the record: this one waits for its next change.
            Ok(_) => {}
            Err(Error::Invalid(faults)) if faults.iter().all(|fault| fault.code == Code::AlreadyRunning) => {}
            Err(error) => return Err(error),
        }
    }
    let notes = driver.finish()?;
    w.log.borrow_mut().told.extend(notes);
    Ok(())
}

/// Begins a flow within an open transaction: by an automation, or for a move that waits for it.
pub(crate) fn begin_in(
    cx: &Ctx,
    tx: &Tx,
    plan: &Arc<FlowPlan>,
    record: Uuid,
    initiator: Option<Uuid>,
    select: Selection,
    then: Json,
) -> Result<(Uuid, Vec<ChangeNote>), Error> {
    let facts = own_facts(cx);
    let writer = Writer::new(&facts, tx);
    let mut driver = Driver::new(&writer);
    let start = Start { plan, record, initiator, parent: None, select, opinion: None, then, request: None };
    let (id, _) = driver.start(start)?;
    Ok((id, driver.finish()?))
}
