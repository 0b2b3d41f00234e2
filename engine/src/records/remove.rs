//! In charge of the end of records: to the recycle bin, back from it, and for good.
//! Invariant: a delete with all that follows is one change set; a restore brings back that set.
//! Invariant: what restricts a delete is told before anything is written.

use std::sync::Arc;

use model::field::{OnDelete, Role};
use model::schema::Via;
use model::{Cells, Code, EntityDef, EntityId, FieldId, Message, Value};
use rules::query::{Column, Leaf, Path, Predicate, Test};
use store::system::Cond;
use store::system::change;
use store::system::merged::MERGED;
use store::{Binned, Lock, Select};
use uuid::Uuid;

use crate::ctx::Cause;
use crate::error::Error;
use crate::records::accept::set_cells;
use crate::records::check::holds;
use crate::records::consequences::{self, Touched};
use crate::records::history::Op;
use crate::records::lookup::is_live;
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::submission::{Channel, Outcome, Written};
use crate::records::{formulas, integrity, lines, persist};

/// Records of one question.
const PAGE: u32 = 500;

/// Puts a record into the bin, with all that follows it.
pub(crate) fn delete(w: &Writer<'_>, entity: EntityId, id: Uuid, version: Option<i64>) -> Result<Written, Error> {
    let def = w.def(entity);
    integrity::lock_tree(w, def)?;
    w.reader.preload(entity, &[id], Lock::Update)?;
    let before = w.reader.read(entity, id)?.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
    let grant = w.cx.grants.entity(entity);
    if !rules::eval::matches(&grant.read, &w.app.schema, entity, &before, &w.reader)? {
        return Err(Error::NotFound);
    }
    if !rules::eval::matches(&grant.delete, &w.app.schema, entity, &before, &w.reader)? {
        return Err(Error::Forbidden);
    }
    let own = def.slot("version").and_then(|slot| before.get(slot)).and_then(Value::as_int).unwrap_or_default();
    let current = lines::comes_alone(w, def, &before, -1)?.unwrap_or(own);
    if let Some(yours) = version.filter(|yours| *yours != current) {
        return Err(Error::StaleVersion { current, yours });
    }
    if let Some(condition) = &w.plan(entity).locked_if
        && w.cx.channel != Channel::Engine
        && holds(w, def.name.app(), def, condition, None, &before)
    {
        return Err(Error::of(Code::Locked, Message::new("locked")));
    }
    integrity::may_go(w, def, id, &before)?;
    crate::approvals::lock::check_delete(w, def, &[id])?;
    crate::automations::raise::before_removal(w, def, id, Op::Deleted, &before)?;
    let set = w.cx.change_set.or(w.log.borrow().change_set).unwrap_or_else(|| w.cx.new_id());
    let outer = w.log.borrow_mut().change_set.replace(set);
    let result = bin(w, entity, &[id], Op::Deleted, w.cx.cause);
    w.log.borrow_mut().change_set = outer;
    let touched = result?;
    if let Some(line) = def.line_of.filter(|_| !w.within_parent.get())
        && let Some(parent) = def.field(line.by).cells(&before).first().and_then(Value::as_uuid)
    {
        lines::raise(w, line, &[parent])?;
    }
    consequences::run(w, touched, None)?;
    crate::approvals::after_changes(w)?;
    Ok(Written { id, version: current + 1, outcome: Outcome::Deleted, json: None, left_sight: true, approval: None })
}

/// Puts a record into the bin that was merged into another, which holds already what pointed at it.
pub(crate) fn merge_away(w: &Writer<'_>, entity: EntityId, id: Uuid) -> Result<(), Error> {
    let def = w.def(entity);
    crate::approvals::lock::check_delete(w, def, &[id])?;
    let touched = bin(w, entity, &[id], Op::Merged, Cause::Merge)?;
    consequences::run(w, touched, None)
}

/// Bins records and what their going does to others.
fn bin(w: &Writer<'_>, entity: EntityId, ids: &[Uuid], op: Op, cause: Cause) -> Result<Vec<Touched>, Error> {
    let def = w.def(entity);
    w.reader.preload(entity, ids, Lock::Update)?;
    let mut touched = Vec::new();
    let mut pairs = Vec::new();
    for id in ids {
        let Some(before) = w.reader.read(entity, *id)?.filter(|cells| is_live(def, cells)) else { continue };
        let mut after = Vec::clone(&before);
        stamp(w, def, &mut after);
        if let Some(cell) = def.slot("deleted_at").and_then(|slot| after.get_mut(slot)) {
            *cell = Value::Timestamp(w.cx.now);
        }
        pairs.push((*id, before, Arc::new(after)));
    }
    if cause == Cause::Cascade {
        let going: Vec<Uuid> = pairs.iter().map(|(id, ..)| *id).collect();
        crate::approvals::lock::check_delete(w, def, &going)?;
    }
    // First the record itself, so that a ring of cascades ends.
    write(w, def, &pairs, op, cause)?;
    w.tx.unindex_text(def.name.as_str(), ids);
    touched.extend(pairs.into_iter().map(|(id, before, after)| Touched { entity, id, before: Some(before), after }));
    for referrer in &def.referrers {
        let from = w.def(referrer.entity);
        let field = from.field(referrer.field);
        if field.system {
            continue;
        }
        let is_line = from.line_of.is_some_and(|line| line.parent == entity && line.by == field.id);
        let referring = referring(w, from, field.id, referrer.via, def.name.as_str(), ids)?;
        if referring.is_empty() {
            continue;
        }
        match referrer.on_delete {
            _ if is_line => touched.extend(bin(w, from.id, &referring, Op::Deleted, Cause::Cascade)?),
            OnDelete::Cascade => touched.extend(bin(w, from.id, &referring, Op::Deleted, Cause::Cascade)?),
            OnDelete::Restrict => {
                let message = Message::new("restricted").with("count", referring.len()).with("entity", from.plural(&w.cx.locale));
                return Err(Error::of(Code::Restricted, message));
            }
            OnDelete::Clear => touched.extend(clear(w, from, field.id, &referring, ids)?),
        }
    }
    Ok(touched)
}

/// What every write changes: version, when, who.
pub(crate) fn stamp(w: &Writer<'_>, def: &EntityDef, cells: &mut Cells) {
    let version = def.slot("version").and_then(|slot| cells.get(slot)).and_then(Value::as_int).unwrap_or_default();
    for (name, value) in [
        ("version", Value::Int(version + 1)),
        ("updated_at", Value::Timestamp(w.cx.now)),
        ("updated_by", w.cx.caller.user().map_or(Value::Null, Value::Uuid)),
    ] {
        if let Some(cell) = def.slot(name).and_then(|slot| cells.get_mut(slot)) {
            *cell = value;
        }
    }
}

fn write(w: &Writer<'_>, def: &EntityDef, pairs: &[(Uuid, Arc<Cells>, Arc<Cells>)], op: Op, cause: Cause) -> Result<(), Error> {
    let rows: Vec<(Cells, Cells)> = pairs.iter().map(|(_, before, after)| (Vec::clone(before), Vec::clone(after))).collect();
    w.tx.update(def, &rows)?;
    for (id, before, after) in pairs {
        w.log.borrow_mut().add(w.cx, def, op, cause, Some(before), after);
        w.reader.put(def.id, *id, Arc::clone(after));
        match op {
            Op::Deleted | Op::Merged | Op::Purged => crate::clocks::disarm(w, def, *id)?,
            Op::Created | Op::Updated | Op::Restored => crate::clocks::arm(w, def, *id, after)?,
        }
    }
    Ok(())
}

/// The live records whose `field` points at one of `ids`.
pub(crate) fn referring(w: &Writer<'_>, from: &EntityDef, field: FieldId, via: Via, target: &str, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    let (Some(slot), Some(id_slot)) = (from.field(field).slot(), from.slot("id")) else { return Ok(Vec::new()) };
    let leaf = |slot: usize, test: Test| Predicate::Leaf(Leaf { path: Path::own(from.id, field), column: Column::Slot(slot), test, negated: false });
    let filter = match via {
        Via::Column => leaf(slot, Test::In(ids.iter().copied().map(Value::Uuid).collect())),
        Via::Link => Predicate::any(ids.iter().map(|id| leaf(slot, Test::Has(Value::Uuid(*id)))).collect()),
        Via::AnyColumn => Predicate::all(vec![
            leaf(slot, Test::In(ids.iter().copied().map(Value::Uuid).collect())),
            leaf(slot + 1, Test::Equal(Value::text(target))),
        ]),
    };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let query = Select { after: after.take(), limit: PAGE, slots: vec![id_slot], ..Select::of(from.id, filter.clone(), Binned::Live) };
        let rows = w.tx.select(&w.app.schema, &query)?;
        found.extend(rows.iter().filter_map(|row| row.cells.get(id_slot).and_then(Value::as_uuid)));
        match rows.last() {
            Some(last) if rows.len() >= PAGE as usize => after = Some(last.keys.clone()),
            Some(_) | None => return Ok(found),
        }
    }
}

/// Empties references, or takes the targets out of lists.
fn clear(w: &Writer<'_>, from: &EntityDef, field: FieldId, referring: &[Uuid], gone: &[Uuid]) -> Result<Vec<Touched>, Error> {
    w.reader.preload(from.id, referring, Lock::Change)?;
    let field = from.field(field);
    crate::approvals::lock::check_change(w, from, referring, &[field.id])?;
    let mut pairs = Vec::new();
    for id in referring {
        let Some(before) = w.reader.read(from.id, *id)? else { continue };
        let mut after = Vec::clone(&before);
        let left = match field.cells(&before).first() {
            Some(Value::List(items)) => {
                Value::list(items.iter().filter(|item| item.as_uuid().is_none_or(|id| !gone.contains(&id))).cloned().collect())
            }
            _ => Value::Null,
        };
        set_cells(from, field, if left.is_null() { Vec::new() } else { vec![left] }, &mut after);
        stamp(w, from, &mut after);
        formulas::follow(w, from, &before, &mut after, &[])?;
        pairs.push((*id, before, Arc::new(after)));
    }
    write(w, from, &pairs, Op::Updated, Cause::Cascade)?;
    Ok(pairs.into_iter().map(|(id, before, after)| Touched { entity: from.id, id, before: Some(before), after }).collect())
}

/// Brings a record back from the bin, with what went with it.
pub(crate) fn restore(w: &Writer<'_>, entity: EntityId, id: Uuid) -> Result<Written, Error> {
    let def = w.def(entity);
    integrity::lock_tree(w, def)?;
    w.reader.preload(entity, &[id], Lock::Update)?;
    let binned = w.reader.read(entity, id)?.filter(|cells| !is_live(def, cells)).ok_or(Error::NotFound)?;
    let grant = w.cx.grants.entity(entity);
    let matches = |predicate| rules::eval::matches(predicate, &w.app.schema, entity, &binned, &w.reader);
    if !matches(&grant.read)? || !matches(&grant.delete)? {
        return Err(Error::NotFound);
    }
    lines::comes_alone(w, def, &binned, 1)?;
    crate::automations::raise::before_removal(w, def, id, Op::Restored, &binned)?;
    let changes = change_set_of(w, id)?;
    let mut touched = Vec::new();
    let mut version = 0;
    for row in &changes {
        let Some(other) = w.app.schema.find(&row.entity) else { continue };
        match row.op.as_str() {
            "deleted" | "merged" => {
                let back = unbin(w, other, row.record)?;
                if row.record == id {
                    version = back
                        .as_ref()
                        .and_then(|row| other.slot("version").and_then(|slot| row.after.get(slot)).and_then(Value::as_int))
                        .unwrap_or_default();
                }
                touched.extend(back);
            }
            "updated" => touched.extend(give_back(w, other, row)?),
            _ => {}
        }
    }
    if !changes.iter().any(|row| row.record == id && matches!(row.op.as_str(), "deleted" | "merged")) {
        let back = unbin(w, def, id)?;
        version = back.as_ref().and_then(|row| def.slot("version").and_then(|slot| row.after.get(slot)).and_then(Value::as_int)).unwrap_or_default();
        touched.extend(back);
    }
    consequences::run(w, touched, None)?;
    crate::approvals::after_changes(w)?;
    Ok(Written { id, version, outcome: Outcome::Restored, json: None, left_sight: false, approval: None })
}

/// The changes that were made together with the record's last deletion.
fn change_set_of(w: &Writer<'_>, id: Uuid) -> Result<Vec<change::ChangeRow>, Error> {
    let rows = w.tx.find(
        &change::CHANGE,
        &[Cond::Eq("record", Value::Uuid(id)), Cond::In("op", vec![Value::text("deleted"), Value::text("merged")])],
        &[("seq", true)],
        1,
    )?;
    let Some(set) = rows.first().and_then(|row| change::read(row)).and_then(|(_, row)| row.change_set) else { return Ok(Vec::new()) };
    let rows = w.tx.find(&change::CHANGE, &[Cond::Eq("change_set", Value::Uuid(set))], &[("seq", false)], 100_000)?;
    Ok(rows.iter().filter_map(|row| change::read(row)).map(|(_, row)| row).collect())
}

fn unbin(w: &Writer<'_>, def: &EntityDef, id: Uuid) -> Result<Option<Touched>, Error> {
    w.reader.preload(def.id, &[id], Lock::Update)?;
    let Some(before) = w.reader.read(def.id, id)?.filter(|cells| !is_live(def, cells)) else { return Ok(None) };
    crate::approvals::lock::check_line(w, def, &[id])?;
    let mut after = Vec::clone(&before);
    if let Some(cell) = def.slot("deleted_at").and_then(|slot| after.get_mut(slot)) {
        *cell = Value::Null;
    }
    stamp(w, def, &mut after);
    let plan = w.plan(def.id);
    formulas::follow(w, def, &before, &mut after, &[])?;
    // What is unique among live records may have been taken meanwhile.
    let mut row = Row::new(id, Doing::Create, None);
    row.after.clone_from(&after);
    let mut slice = Slice { def, plan, grant: w.cx.grants.entity(def.id), rows: vec![row] };
    integrity::unique_only(w, &mut slice)?;
    if let Some(row) = slice.rows.pop().filter(|row| !row.faults.is_empty()) {
        return Err(Error::Invalid(row.faults));
    }
    let after = Arc::new(after);
    w.tx.remove(&MERGED, &[Cond::Eq("record", Value::Uuid(id))])?;
    write(w, def, &[(id, Arc::clone(&before), Arc::clone(&after))], Op::Restored, w.cx.cause)?;
    persist::index(w, def, plan, &[(id, None, &after)], false);
    Ok(Some(Touched { entity: def.id, id, before: Some(before), after }))
}

/// Sets references again that a deletion cleared and nobody set since.
fn give_back(w: &Writer<'_>, def: &EntityDef, row: &change::ChangeRow) -> Result<Option<Touched>, Error> {
    w.reader.preload(def.id, &[row.record], Lock::Update)?;
    let Some(before) = w.reader.read(def.id, row.record)?.filter(|cells| is_live(def, cells)) else { return Ok(None) };
    let mut after = Vec::clone(&before);
    let accept = model::field::AcceptContext { now: w.cx.now, sibling: &|_| None };
    let mut given = Vec::new();
    for (name, change) in row.patch.as_object().into_iter().flatten() {
        let Some(field) = def.find(name).filter(|field| matches!(field.role, Role::Reference(_) | Role::References(_) | Role::AnyReference { .. }))
        else {
            continue;
        };
        let was = change.get(0).cloned().unwrap_or_default();
        let left = change.get(1).cloned().unwrap_or_default();
        if crate::records::history::json_of(field, &before) != left || was.is_null() {
            continue;
        }
        if let Some(Ok(values)) = field.typed.as_ref().map(|typed| typed.accept(&model::Input::from(&was), &accept)) {
            set_cells(def, field, values, &mut after);
            given.push(field.id);
        }
    }
    if *before == after {
        return Ok(None);
    }
    crate::approvals::lock::check_change(w, def, &[row.record], &given)?;
    stamp(w, def, &mut after);
    formulas::follow(w, def, &before, &mut after, &[])?;
    let after = Arc::new(after);
    write(w, def, &[(row.record, Arc::clone(&before), Arc::clone(&after))], Op::Updated, Cause::Cascade)?;
    Ok(Some(Touched { entity: def.id, id: row.record, before: Some(before), after }))
}
