//! In charge of what follows from a change of a record: a flow that starts by itself, one that begins again.
//! Invariant: the flow's own steps set off nothing here; what follows from a write is looked at like what was written.

use std::sync::Arc;

use flow::approval::{Actor, Do, Selection};
use indexmap::IndexMap;
use model::doc::approval::LockMode;
use model::{Code, EntityDef, Input};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use uuid::Uuid;

use crate::approvals::drive::{Driver, Start, own_facts, plan_of};
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, Row};
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::ChangeNote;
use crate::records::consequences::Touched;
use crate::records::lookup::is_live;
use crate::records::slice::{Awaited, Writer};

/// Records that a write changed, its lines and all that followed from it: looked at when the whole of it stands.
pub(crate) fn note_changes(w: &Writer<'_>, touched: &[Touched]) {
    if w.is_preview || w.filling.is_some() {
        return;
    }
    // The flow's own steps set off nothing, but what they delete is decided no more.
    let counts = |row: &&Touched| w.cx.cause != Cause::Flow || !is_live(w.def(row.entity), &row.after);
    let mut changed = w.changed.borrow_mut();
    for row in touched.iter().filter(|row| w.app.flows.has(row.entity)).filter(counts) {
        match changed.iter_mut().find(|there| (there.entity, there.id) == (row.entity, row.id)) {
            Some(there) => there.after = Arc::clone(&row.after),
            None => changed.push(row.clone()),
        }
    }
}

/// Looks at what changed, once the whole write stands.
pub(crate) fn after_changes(w: &Writer<'_>) -> Result<(), Error> {
    if w.within_parent.get() {
        return Ok(());
    }
    let changed = std::mem::take(&mut *w.changed.borrow_mut());
    let older: Vec<Uuid> = changed.iter().filter(|row| row.before.is_some()).map(|row| row.id).collect();
    let live = rows::live_of(w.tx, &older)?;
    for row in &changed {
        let own: Vec<&Row> = live.iter().filter(|live| live.record == row.id).collect();
        after_change(w, row, &own)?;
    }
    Ok(())
}

/// Looks at a record after a change of it; `live` are its instances that run.
fn after_change(w: &Writer<'_>, row: &Touched, live: &[&Row]) -> Result<(), Error> {
    let def = w.def(row.entity);
    let automatic: Vec<&Arc<FlowPlan>> = w.app.flows.of(row.entity).filter(|plan| plan.flow.start.automatic).collect();
    if live.is_empty() && automatic.is_empty() {
        return Ok(());
    }
    let after = w.reader.read(row.entity, row.id)?.filter(|cells| is_live(def, cells));
    let cx = own_facts(w.cx);
    let writer = Writer::new(&cx, w.tx);
    let mut driver = Driver::new(&writer);
    for row in live {
        let act = match &after {
            None => Do::Gone,
            Some(_) if plan_of(w, row)?.flow.settings.lock.mode == LockMode::RestartOnChange => Do::Changed,
            Some(_) => continue,
        };
        driver.obey(row.id, Actor::default(), &act, None, None)?;
    }
    for plan in automatic {
        let Some(after) = &after else { break };
        let runs = live.iter().any(|row| row.flow == plan.name);
        let holds = |cells: &model::Cells| match plan.conditions.get("start/when") {
            Some(condition) => crate::records::check::holds(w, &plan.app, def, condition, None, cells),
            None => true,
        };
        let became = holds(after) && row.before.as_ref().is_none_or(|before| !holds(before));
        if runs || !became {
            continue;
        }
        let start = Start {
            plan,
            record: row.id,
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
    if !notes.is_empty() {
        w.log.borrow_mut().told.extend(notes);
        // What was read before may be another record now.
        w.reader.forget();
    }
    Ok(())
}

/// Begins the flow that a move has to pass first; the move is kept with it.
pub(crate) fn begin_move(
    w: &Writer<'_>,
    def: &EntityDef,
    id: Uuid,
    awaited: &Awaited,
    values: &IndexMap<String, Input>,
) -> Result<Option<Uuid>, Error> {
    if w.is_preview {
        return Ok(None);
    }
    let plan = w.app.flows.find(&awaited.flow).ok_or(Error::NotFound)?;
    let stage = def.field(awaited.moving.field).name.as_str();
    let values: Map<String, Json> = values.iter().filter(|(name, _)| *name != stage).map(|(name, value)| (name.clone(), value.to_json())).collect();
    let then = json!({"field": stage, "to": awaited.moving.to, "values": values, "skip": awaited.moving.skip});
    let (instance, notes) = begin_in(w.cx, w.tx, plan, id, w.cx.caller.user(), Selection::new(), then)?;
    w.log.borrow_mut().told.extend(notes);
    Ok(Some(instance))
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
