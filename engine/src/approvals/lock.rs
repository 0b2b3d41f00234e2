//! In charge of the lock of records under approval, on every channel.
//! Invariant: only the flow's own steps pass it, the open task of whoever writes, and an administrator's unlocking.

use flow::approval::State;
use model::doc::approval::{LockMode, TaskAccess};
use model::{Code, EntityDef, FieldId, Message, Value, Violation};
use uuid::Uuid;

use crate::approvals::drive::plan_of;
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, Row as Instance};
use crate::ctx::Cause;
use crate::error::Error;
use crate::records::slice::{Row, Writer};

/// Refuses changes of fields that are closed.
pub(crate) fn check(w: &Writer<'_>, def: &EntityDef, row: &mut Row) -> Result<(), Error> {
    if w.cx.cause == Cause::Flow {
        return Ok(());
    }
    if let (Some(line), false) = (def.line_of, w.within_parent.get()) {
        // A line is a part of its parent.
        for cells in [row.before.as_deref(), Some(&row.after)].into_iter().flatten() {
            let parent = def.field(line.by).cells(cells).first().and_then(Value::as_uuid);
            if let Some(parent) = parent
                && closed(w, w.def(line.parent), parent, &[line.lines])?.contains(&line.lines)
            {
                row.failed = Some(Error::of(Code::Locked, Message::new("approval_locked")));
            }
        }
    }
    if row.before.is_none() || !w.app.flows.has(def.id) {
        return Ok(());
    }
    let changed: Vec<FieldId> =
        row.sent.iter().copied().filter(|field| row.changed(def, *field)).chain(row.lines.iter().map(|lines| lines.field)).collect();
    for field in closed(w, def, row.id, &changed)? {
        row.faults.push(Violation::of_field(def.field(field).name.as_str(), Code::Locked, Message::new("approval_locked")));
    }
    Ok(())
}

/// Refuses the end of a record under approval.
pub(crate) fn check_delete(w: &Writer<'_>, def: &EntityDef, id: Uuid) -> Result<(), Error> {
    if w.cx.cause == Cause::Flow {
        return Ok(());
    }
    let mut locked = is_locked(w, def, id)?;
    if let Some(line) = def.line_of.filter(|_| !w.within_parent.get())
        && let Some(cells) = w.reader.read(def.id, id)?
        && let Some(parent) = def.field(line.by).cells(&cells).first().and_then(Value::as_uuid)
    {
        locked |= !closed(w, w.def(line.parent), parent, &[line.lines])?.is_empty();
    }
    if locked { Err(Error::of(Code::Locked, Message::new("approval_locked"))) } else { Ok(()) }
}

fn is_locked(w: &Writer<'_>, def: &EntityDef, id: Uuid) -> Result<bool, Error> {
    if !w.app.flows.has(def.id) {
        return Ok(false);
    }
    Ok(rows::of_record(w.tx, id, true)?.iter().any(|row| !row.instance.unlocked))
}

/// Which of these fields are closed to whoever writes.
fn closed(w: &Writer<'_>, def: &EntityDef, id: Uuid, fields: &[FieldId]) -> Result<Vec<FieldId>, Error> {
    if fields.is_empty() || !w.app.flows.has(def.id) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for row in rows::of_record(w.tx, id, true)? {
        let plan = plan_of(w, &row)?;
        if row.instance.unlocked || plan.flow.settings.lock.mode != LockMode::Locked {
            continue;
        }
        found.extend(fields.iter().copied().filter(|field| {
            let kept = plan.lock.editable.contains(field) || (!plan.lock.only.is_empty() && !plan.lock.only.contains(field));
            !kept && !open_to(w.cx.caller.user(), &plan, &row, def.field(*field).name.as_str())
        }));
    }
    found.dedup();
    Ok(found)
}

/// Whether a task that is before a person opens a field.
pub(crate) fn open_to(person: Option<Uuid>, plan: &FlowPlan, row: &Instance, field: &str) -> bool {
    let Some(person) = person else { return false };
    row.instance.tasks().filter(|seat| seat.is_before(person) && seat.is_of(person)).any(|seat| {
        let Some(visit) = row.instance.visit(seat.visit) else { return false };
        let Some(fields) = plan.flow.fields(visit.node.as_str()) else { return false };
        let mine = row.instance.state == State::Returned && visit.node == *plan.flow.first();
        match fields.get(field) {
            Some(TaskAccess::Write | TaskAccess::Required) => true,
            Some(TaskAccess::Hidden | TaskAccess::Read) => false,
            // What came back without a list of fields is open as far as the role goes.
            None => mine && !fields.values().any(|access| matches!(access, TaskAccess::Write | TaskAccess::Required)),
        }
    })
}
