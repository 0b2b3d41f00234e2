//! In charge of the lock of records under approval, on every channel.
//! Invariant: only the flow's own steps pass its lock, the open task of whoever writes, and an administrator's unlocking; what
//! an app's automations do because of a flow's step does not, nor do the steps of another flow.

use std::collections::HashMap;

use flow::approval::{MAX_DEPTH, State};
use model::doc::approval::{LockMode, TaskAccess};
use model::schema::LineOf;
use model::{Cells, Code, EntityDef, FieldId, Message, Value, Violation};
use uuid::Uuid;

use crate::approvals::drive::plan_of;
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, Row as Instance};
use crate::error::Error;
use crate::records::slice::{Row, Writer};

/// Records of one question.
const PAGE: usize = 500;

fn locked() -> Error {
    Error::of(Code::Locked, Message::new("approval_locked"))
}

/// What runs on the records that a slice changes, read once for all of them.
pub(crate) struct Running(HashMap<Uuid, Vec<Instance>>);

impl Running {
    pub(crate) fn of(w: &Writer<'_>, def: &EntityDef, rows: &[Row]) -> Result<Self, Error> {
        let mut ids = Vec::new();
        if w.app.flows.has(def.id) {
            let changes = |row: &&Row| row.goes_on() && row.before.is_some() && changed(def, row).next().is_some();
            ids.extend(rows.iter().filter(changes).map(|row| row.id));
        }
        if let Some(line) = line_under_lock(w, def) {
            ids.extend(rows.iter().filter(|row| row.goes_on()).flat_map(|row| parents(def, line, row)));
        }
        ids.sort_unstable();
        ids.dedup();
        let mut found: HashMap<Uuid, Vec<Instance>> = HashMap::new();
        for row in rows::live_of(w.tx, &ids)? {
            found.entry(row.record).or_default().push(row);
        }
        Ok(Self(found))
    }

    fn on(&self, record: Uuid) -> &[Instance] {
        self.0.get(&record).map_or(&[], Vec::as_slice)
    }
}

/// What makes records of an entity lines of those that may come under approval, where they are not written as part of them.
fn line_under_lock(w: &Writer<'_>, def: &EntityDef) -> Option<LineOf> {
    def.line_of.filter(|line| !w.within_parent.get() && w.app.flows.has(line.parent))
}

/// The records that a line is, and will be, a part of.
fn parents(def: &EntityDef, line: LineOf, row: &Row) -> impl Iterator<Item = Uuid> {
    let of = |cells: &Cells| def.field(line.by).cells(cells).first().and_then(Value::as_uuid);
    [row.before.as_deref().and_then(of), of(&row.after)].into_iter().flatten()
}

/// The fields that were sent and change.
fn changed<'a>(def: &'a EntityDef, row: &'a Row) -> impl Iterator<Item = FieldId> + 'a {
    row.sent.iter().copied().filter(|field| row.changed(def, *field)).chain(row.lines.iter().map(|lines| lines.field))
}

/// Refuses changes of fields that are closed.
pub(crate) fn check(w: &Writer<'_>, def: &EntityDef, row: &mut Row, running: &Running) -> Result<(), Error> {
    if let Some(line) = line_under_lock(w, def) {
        for parent in parents(def, line, row).collect::<Vec<_>>() {
            if !closed_by(w, w.def(line.parent), running.on(parent), &[line.lines], w.flow.get())?.is_empty() {
                row.failed = Some(locked());
            }
        }
    }
    if row.before.is_none() || running.on(row.id).is_empty() {
        return Ok(());
    }
    // What an automation set on the way is not the flow's own.
    let (set, sent): (Vec<FieldId>, Vec<FieldId>) = changed(def, row).partition(|field| row.set.contains(field));
    for (fields, flow) in [(sent, w.flow.get()), (set, None)] {
        for field in closed_by(w, def, running.on(row.id), &fields, flow)? {
            row.faults.push(Violation::of_field(def.field(field).name.as_str(), Code::Locked, Message::new("approval_locked")));
        }
    }
    Ok(())
}

/// The fields of a record that are closed to whoever writes, and whether its end is.
pub(crate) fn closed_now(w: &Writer<'_>, def: &EntityDef, id: Uuid) -> Result<(Vec<FieldId>, bool), Error> {
    let fields: Vec<FieldId> = def.fields.iter().map(|field| field.id).collect();
    let live = live(w, def, &[id])?;
    let held = live.iter().any(|row| !row.instance.unlocked);
    Ok((closed_by(w, def, &live, &fields, None)?, held))
}

/// Refuses a change of fields that follows from another record's end or return.
pub(crate) fn check_change(w: &Writer<'_>, def: &EntityDef, ids: &[Uuid], fields: &[FieldId]) -> Result<(), Error> {
    check_line(w, def, ids)?;
    if closed(w, def, ids, fields, w.flow.get())?.is_empty() { Ok(()) } else { Err(locked()) }
}

/// Refuses the end of records under approval.
pub(crate) fn check_delete(w: &Writer<'_>, def: &EntityDef, ids: &[Uuid]) -> Result<(), Error> {
    check_line(w, def, ids)?;
    for row in live(w, def, ids)? {
        if !row.instance.unlocked && !passes(w, w.flow.get(), row.id)? {
            return Err(locked());
        }
    }
    Ok(())
}

/// Refuses that lines of a record under approval come or go.
pub(crate) fn check_line(w: &Writer<'_>, def: &EntityDef, ids: &[Uuid]) -> Result<(), Error> {
    let Some(line) = line_under_lock(w, def) else { return Ok(()) };
    let mut parents = Vec::new();
    for id in ids {
        if let Some(cells) = w.reader.read(def.id, *id)? {
            parents.extend(def.field(line.by).cells(&cells).first().and_then(Value::as_uuid));
        }
    }
    parents.sort_unstable();
    parents.dedup();
    if closed(w, w.def(line.parent), &parents, &[line.lines], w.flow.get())?.is_empty() { Ok(()) } else { Err(locked()) }
}

/// The running instances of records.
fn live(w: &Writer<'_>, def: &EntityDef, ids: &[Uuid]) -> Result<Vec<Instance>, Error> {
    if !w.app.flows.has(def.id) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for page in ids.chunks(PAGE) {
        found.extend(rows::live_of(w.tx, page)?);
    }
    Ok(found)
}

/// Whether a flow's own step passes the lock of an instance: its own, or that of a flow that it runs within.
fn passes(w: &Writer<'_>, flow: Option<Uuid>, instance: Uuid) -> Result<bool, Error> {
    let mut at = flow;
    for _ in 0..=MAX_DEPTH {
        let Some(own) = at else { return Ok(false) };
        if own == instance {
            return Ok(true);
        }
        at = rows::get(w.tx, own)?.and_then(|row| row.parent);
    }
    Ok(false)
}

/// Which of these fields are closed, on any of these records, to whoever writes; `flow` is the one whose own step it is.
pub(crate) fn closed(w: &Writer<'_>, def: &EntityDef, ids: &[Uuid], fields: &[FieldId], flow: Option<Uuid>) -> Result<Vec<FieldId>, Error> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    closed_by(w, def, &live(w, def, ids)?, fields, flow)
}

/// The same of instances that were read.
fn closed_by(w: &Writer<'_>, def: &EntityDef, live: &[Instance], fields: &[FieldId], flow: Option<Uuid>) -> Result<Vec<FieldId>, Error> {
    let mut found = Vec::new();
    for row in live {
        let plan = plan_of(w, row)?;
        if row.instance.unlocked || plan.flow.settings.lock.mode != LockMode::Locked || passes(w, flow, row.id)? {
            continue;
        }
        found.extend(fields.iter().copied().filter(|field| {
            let kept = plan.lock.editable.contains(field) || (!plan.lock.only.is_empty() && !plan.lock.only.contains(field));
            // The engine's own fields are nobody's to change, so nothing needs to close them.
            !kept && !def.field(*field).system && !open_to(w.cx.caller.user(), &plan, row, def.field(*field).name.as_str())
        }));
    }
    found.sort_unstable();
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
