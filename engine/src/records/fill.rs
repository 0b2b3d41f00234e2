//! In charge of step 5 of a write: what the engine itself puts into a record.
//! Invariant: a value that was sent wins, an empty one too; what follows the owner follows every time.

use std::collections::BTreeSet;

use model::doc::{DepartmentMode, OwnerMode};
use model::field::Role;
use model::{Cells, Code, EntityDef, FieldDef, FieldId, Message, Slot, Value, Violation};
use rules::query::{Path, Predicate};
use store::{Binned, Lock, Select};
use uuid::Uuid;

use crate::error::Error;
use crate::published::{FillPlan, FillSource};
use crate::records::accept::set_cells;
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::{money, numbering};

/// Fills system fields, defaults, copies and numbers.
pub(crate) fn fill(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    preload(w, slice)?;
    let mut rows = std::mem::take(&mut slice.rows);
    for row in rows.iter_mut().filter(|row| row.goes_on()) {
        system(w, slice, row)?;
        if row.doing == Doing::Create {
            defaults(w, slice, row)?;
        }
        copies(w, slice, row)?;
        money::convert(w, slice.def, row)?;
        numbering::give(w, slice, row)?;
    }
    slice.rows = rows;
    Ok(())
}

/// Reads all records that the rows refer to, one query per entity.
fn preload(w: &Writer<'_>, slice: &Slice<'_>) -> Result<(), Error> {
    let mut wanted: std::collections::BTreeMap<model::EntityId, Vec<Uuid>> = std::collections::BTreeMap::new();
    for field in slice.def.fields.iter().filter(|field| matches!(field.role, Role::Reference(_))) {
        let Some(target) = field.targets.first() else { continue };
        let ids = slice.well().filter_map(|row| field.cells(&row.after).first().and_then(Value::as_uuid));
        wanted.entry(*target).or_default().extend(ids);
    }
    if let (Some(user), Some(me)) = (w.app.schema.find("core.user"), w.cx.caller.user()) {
        wanted.entry(user.id).or_default().push(me);
    }
    for (entity, ids) in wanted {
        w.reader.preload(entity, &ids, Lock::None)?;
    }
    Ok(())
}

fn user_value(user: Option<Uuid>) -> Value {
    user.map_or(Value::Null, Value::Uuid)
}

fn system(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row) -> Result<(), Error> {
    let (def, now, me) = (slice.def, Value::Timestamp(w.cx.now), user_value(w.cx.caller.user()));
    match row.doing {
        Doing::Create => {
            row.set(def, "id", Value::Uuid(row.id));
            row.set(def, "version", Value::Int(1));
            row.set(def, "created_at", now.clone());
            row.set(def, "created_by", me.clone());
            let sent_owner = def.find("owner").is_some_and(|field| row.sent.contains(&field.id));
            if def.owner != OwnerMode::None && !sent_owner && !me.is_null() {
                row.set(def, "owner", me.clone());
            }
        }
        Doing::Update => {
            let version = row.before.as_ref().and_then(|before| def.slot("version").and_then(|slot| before.get(slot))).and_then(Value::as_int);
            row.set(def, "version", Value::Int(version.unwrap_or_default() + 1));
        }
    }
    row.set(def, "updated_at", now.clone());
    row.set(def, "updated_by", me);
    let Some(owner) = def.find("owner") else { return department(w, slice, row, false) };
    let owner_changed = row.changed(def, owner.id);
    if owner_changed {
        // Nobody owns it since no moment.
        row.set(def, "owner_since", if row.value(def, owner.id).is_null() { Value::Null } else { now });
    }
    department(w, slice, row, owner_changed)
}

fn department(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row, owner_changed: bool) -> Result<(), Error> {
    let def = slice.def;
    let Some(field) = def.find("department") else { return Ok(()) };
    match def.department {
        Some(DepartmentMode::FollowsOwner) if owner_changed || row.doing == Doing::Create => {
            let owner = def.slot("owner").and_then(|slot| row.after.get(slot)).and_then(Value::as_uuid);
            let value = department_of(w, owner)?;
            row.set(def, "department", value);
        }
        Some(DepartmentMode::Kept) if row.doing == Doing::Create && !row.sent.contains(&field.id) && def.name.as_str() != "core.user" => {
            let value = department_of(w, w.cx.caller.user())?;
            row.set(def, "department", value);
        }
        Some(DepartmentMode::FollowsOwner | DepartmentMode::Kept) | None => {}
    }
    Ok(())
}

fn department_of(w: &Writer<'_>, user: Option<Uuid>) -> Result<Value, Error> {
    let (Some(user), Some(def)) = (user, w.app.schema.find("core.user")) else { return Ok(Value::Null) };
    let Some(cells) = w.reader.read(def.id, user)? else { return Ok(Value::Null) };
    Ok(def.slot("department").and_then(|slot| cells.get(slot)).cloned().unwrap_or_default())
}

/// The values of a new record that were not sent.
fn defaults(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row) -> Result<(), Error> {
    let def = slice.def;
    for field in &def.fields {
        if row.sent.contains(&field.id) || field.slot().is_none() {
            continue;
        }
        if let Some(default) = &slice.plan.field(field.id).default {
            let made = w.on_scope(field.app.as_str(), def.id, &row.after, None, |scope| default.make(scope, field));
            match made {
                Ok(cells) => set_cells(def, field, cells, &mut row.after),
                Err(reject) => row.faults.push(Violation::of_field(field.name.as_str(), reject.code, reject.message)),
            }
        }
    }
    for stages in &slice.plan.stages {
        let field = def.field(stages.field);
        if row.value(def, stages.field).is_null()
            && let Some((_, pipeline)) = stages.pipeline(def, &row.after)
            && let Some(first) = pipeline.doc.first_stage()
        {
            set_cells(def, field, vec![Value::text(first.as_str())], &mut row.after);
        }
    }
    rollups_of_nothing(slice, row);
    Ok(())
}

/// A record that is new has no related records yet: counts and sums are 0.
fn rollups_of_nothing(slice: &Slice<'_>, row: &mut Row) {
    use model::field::RollupFn;
    for field in &slice.def.fields {
        if let Role::Rollup(spec) = &field.role
            && matches!(spec.function, RollupFn::Count | RollupFn::Sum | RollupFn::Distinct)
        {
            let zero = crate::records::rollups::zero_of(slice.def, field);
            set_cells(slice.def, field, vec![zero], &mut row.after);
        }
    }
}

/// Values that are copied when something else is set.
fn copies(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row) -> Result<(), Error> {
    let def = slice.def;
    for field in &def.fields {
        let Some(plan) = &slice.plan.field(field.id).fill else { continue };
        if row.sent.contains(&field.id) {
            if plan.keep_edits && row.changed(def, field.id) {
                // A form sends what it was shown: the same as would be copied is no edit.
                let is_copy = gives(w, slice, plan, &row.after, field)?;
                mark(def, field, row, is_copy);
            }
            continue;
        }
        if !triggered(slice, row, &plan.when) {
            continue;
        }
        if row.doing == Doing::Update && plan.keep_edits && edited(w, slice, row, field, plan)? {
            continue;
        }
        let after = row.after.clone();
        let value = source_value(w, slice, plan, &after)?;
        fit_copy(slice, field, value, row);
        if plan.keep_edits {
            mark(def, field, row, true);
        }
    }
    Ok(())
}

/// The slot that tells whether a field's value is the one that was copied into it.
fn mark_of(def: &EntityDef, field: &FieldDef) -> Option<Slot> {
    def.fields.iter().find(|mark| mark.copied.as_ref() == Some(&field.name)).and_then(FieldDef::slot)
}

fn mark(def: &EntityDef, field: &FieldDef, row: &mut Row, is_copy: bool) {
    if let Some(cell) = mark_of(def, field).and_then(|slot| row.after.get_mut(slot)) {
        *cell = Value::Bool(is_copy);
    }
}

/// Whether a record's value is what its source gives for it.
fn gives(w: &Writer<'_>, slice: &Slice<'_>, plan: &FillPlan, record: &Cells, field: &FieldDef) -> Result<bool, Error> {
    let given = money::entered(&source_value(w, slice, plan, record)?);
    Ok(money::entered(field.cells(record)).order(&given) == Some(std::cmp::Ordering::Equal))
}

fn triggered(slice: &Slice<'_>, row: &Row, when: &BTreeSet<FieldId>) -> bool {
    when.iter().any(|field| row.changed(slice.def, *field))
}

/// Whether a person changed the value since it was filled. What the source gives may be another value by now.
fn edited(w: &Writer<'_>, slice: &Slice<'_>, row: &Row, field: &FieldDef, plan: &FillPlan) -> Result<bool, Error> {
    let Some(before) = &row.before else { return Ok(false) };
    let was = money::entered(field.cells(before));
    if was.is_null() {
        return Ok(false);
    }
    match mark_of(slice.def, field).and_then(|slot| before.get(slot)).and_then(Value::as_bool) {
        Some(is_copy) => Ok(!is_copy),
        // Written before anything was noted of it.
        None => Ok(!gives(w, slice, plan, before, field)?),
    }
}

/// The cells that a source gives for a record.
fn source_value(w: &Writer<'_>, slice: &Slice<'_>, plan: &FillPlan, record: &model::Cells) -> Result<Vec<Value>, Error> {
    match &plan.source {
        FillSource::Path(path) => along(w, path, record),
        FillSource::Find { entity, filter, sort, take } => {
            let params = w.params(slice.def.name.app(), slice.def.id, record);
            let predicate = filter.bind(&w.app.schema, &params);
            if predicate == Predicate::False {
                return Ok(Vec::new());
            }
            let far = w.def(*entity);
            let sort = match sort {
                Some(text) => rules::query::parse_sort(&w.app.schema, *entity, text, &rules::query::SystemView, w.cx.moment(), "/sort")
                    .map_err(Error::Invalid)?,
                None => Vec::new(),
            };
            let take = far.field(*take);
            let query = Select { sort, limit: 1, slots: take.slots.clone().collect(), ..Select::of(*entity, predicate, Binned::Live) };
            let found = w.tx.select(&w.app.schema, &query)?;
            Ok(found.first().map(|row| take.cells(&row.cells).to_vec()).unwrap_or_default())
        }
    }
}

/// The cells of the field at the end of a path.
pub(crate) fn along(w: &Writer<'_>, path: &Path, record: &model::Cells) -> Result<Vec<Value>, Error> {
    let here = along_hops(w, &path.hops, record)?;
    Ok(here.map(|cells| w.def(path.entity).field(path.field).cells(&cells).to_vec()).unwrap_or_default())
}

/// The record that references lead to from another; none where one of them is empty.
pub(crate) fn along_hops(w: &Writer<'_>, hops: &[rules::query::Hop], record: &model::Cells) -> Result<Option<std::sync::Arc<model::Cells>>, Error> {
    let mut here = std::sync::Arc::new(record.clone());
    for hop in hops {
        let Some(id) = w.def(hop.from).field(hop.field).cells(&here).first().and_then(Value::as_uuid) else { return Ok(None) };
        match w.reader.read(hop.to, id)? {
            Some(cells) => here = cells,
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}

/// Puts copied cells into a field of perhaps another scale or shape.
fn fit_copy(slice: &Slice<'_>, field: &FieldDef, cells: Vec<Value>, row: &mut Row) {
    let Some(column) = field.slot().and_then(|slot| slice.def.columns.get(slot)) else { return };
    match rules::expr::fit(money::entered(&cells), column.storage) {
        Ok(value) if money::is_varying(field) => {
            let currency = cells.get(2).cloned().unwrap_or_default();
            set_cells(slice.def, field, vec![Value::Null, value, currency], &mut row.after);
        }
        Ok(value) => set_cells(slice.def, field, vec![value], &mut row.after),
        Err(_) => row.faults.push(Violation::of_field(field.name.as_str(), Code::OutOfRange, Message::new("too_many_digits"))),
    }
}
