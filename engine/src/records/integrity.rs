//! In charge of step 9 of a write, the last before anything is written: references, uniqueness, and likeness.
//! Invariant: a reference that is set points at a live record that the caller sees and that fits its filter.
//! Invariant: unique holds among live records; a conflict with a record out of sight says only that.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::field::{ColumnUse, Role};
use model::{Cells, Code, EntityDef, EntityId, FieldDef, FieldId, Message, Slot, Value, Violation, Wording};
use rules::query::{Column, Leaf, Path, Predicate, Test};
use store::{Binned, Lock, Select};
use uuid::Uuid;

use crate::error::Error;
use crate::people::{administers, others_administer};
use crate::published::UniquePlan;
use crate::records::likeness;
use crate::records::lookup::is_live;
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::submission::Channel;

/// Checks all rows.
pub(crate) fn check(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    references(w, slice)?;
    administered(w, slice)?;
    unique_only(w, slice)?;
    likeness::check(w, slice)
}

/// Nobody takes the last administrator from a workspace: it could be mended from the command line alone.
fn administered(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    if w.cx.caller.user().is_none() {
        return Ok(());
    }
    let def = slice.def;
    let leaves = |row: &Row| row.before.as_ref().is_some_and(|before| administers(def, before) && !administers(def, &row.after));
    let leaving: Vec<Uuid> = slice.well().filter(|row| leaves(row)).map(|row| row.id).collect();
    let comes = || slice.well().any(|row| administers(def, &row.after));
    if leaving.is_empty() || comes() || others_administer(w, &leaving)? {
        return Ok(());
    }
    for row in slice.rows.iter_mut().filter(|row| leaving.contains(&row.id)) {
        let name = if def.find("roles").is_some_and(|roles| row.changed(def, roles.id)) { "roles" } else { "active" };
        row.faults.push(Violation::of_field(name, Code::RuleFailed, Message::new("last_administrator")));
    }
    Ok(())
}

/// Why a record may not go to the bin: with it the workspace would have no administrator.
pub(crate) fn may_go(w: &Writer<'_>, def: &EntityDef, id: Uuid, cells: &Cells) -> Result<(), Error> {
    if w.cx.caller.user().is_none() || !administers(def, cells) || others_administer(w, &[id])? {
        return Ok(());
    }
    Err(Error::of(Code::Restricted, Message::new("last_administrator")))
}

/// Checks uniqueness alone: of a record that comes back.
pub(crate) fn unique_only(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let mut rows = std::mem::take(&mut slice.rows);
    for plan in &slice.plan.unique {
        unique(w, slice.def, plan, &mut rows)?;
    }
    slice.rows = rows;
    Ok(())
}

/// The ids that a field's cells point at, by entity.
fn targets(w: &Writer<'_>, field: &FieldDef, cells: &[Value]) -> Vec<(Option<EntityId>, Uuid)> {
    match (&field.role, cells) {
        (Role::Reference(_), [Value::Uuid(id), ..]) => vec![(field.targets.first().copied(), *id)],
        (Role::References(_), [Value::List(items), ..]) => {
            items.iter().filter_map(Value::as_uuid).map(|id| (field.targets.first().copied(), id)).collect()
        }
        (Role::AnyReference { .. }, [Value::Uuid(id), Value::Text(entity), ..]) => {
            let target = w.app.schema.find(entity).map(|def| def.id).filter(|id| field.targets.is_empty() || field.targets.contains(id));
            vec![(target, *id)]
        }
        _ => Vec::new(),
    }
}

fn references(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let def = slice.def;
    let fields: Vec<&FieldDef> = def
        .fields
        .iter()
        .filter(|field| matches!(field.role, Role::Reference(_) | Role::References(_) | Role::AnyReference { .. }) && !field.computed())
        .collect();
    lock_targets(w, slice, &fields)?;
    let mut rows = std::mem::take(&mut slice.rows);
    for row in rows.iter_mut().filter(|row| row.goes_on()) {
        for field in &fields {
            let changed = row.changed(def, field.id);
            let filter_moved =
                slice.plan.field(field.id).choices.as_ref().is_some_and(|plan| plan.record_fields.iter().any(|field| row.changed(def, *field)));
            if changed || (filter_moved && !field.cells(&row.after).iter().all(Value::is_null)) {
                reference(w, slice, row, field, changed)?;
            }
        }
    }
    slice.rows = rows;
    Ok(())
}

/// Locks all records that the rows come to point at, entity by entity, so that none is deleted meanwhile.
fn lock_targets(w: &Writer<'_>, slice: &Slice<'_>, fields: &[&FieldDef]) -> Result<(), Error> {
    let mut wanted: BTreeMap<EntityId, Vec<Uuid>> = BTreeMap::new();
    for row in slice.rows.iter().filter(|row| row.goes_on()) {
        for field in fields.iter().filter(|field| row.changed(slice.def, field.id)) {
            for (entity, id) in targets(w, field, field.cells(&row.after)) {
                if let Some(entity) = entity {
                    wanted.entry(entity).or_default().push(id);
                }
            }
        }
    }
    for (entity, ids) in wanted {
        w.reader.preload(entity, &ids, Lock::Share)?;
    }
    Ok(())
}

fn reference(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row, field: &FieldDef, changed: bool) -> Result<(), Error> {
    let bad = || Violation::of_field(field.name.as_str(), Code::BadReference, Message::new("bad_reference"));
    for (entity, id) in targets(w, field, field.cells(&row.after)) {
        let Some(entity) = entity else {
            row.faults.push(bad());
            continue;
        };
        let is_own = entity == slice.def.id && id == row.id;
        let target = if is_own { Some(std::sync::Arc::new(row.after.clone())) } else { w.reader.read(entity, id)? };
        let Some(target) = target.filter(|cells| is_live(w.def(entity), cells)) else {
            row.faults.push(bad());
            continue;
        };
        let by_engine = field.system && !row.sent.contains(&field.id);
        if changed && !by_engine && !w.cx.grants.is_all() && !is_own && !w.reader.in_sight(w.cx, entity, id)? {
            row.faults.push(bad());
            continue;
        }
        if let Some(choices) = &slice.plan.field(field.id).choices
            && (choices.strict || w.cx.channel == Channel::Request)
        {
            let params = w.params(field.app.as_str(), slice.def.id, &row.after);
            let filter = choices.filter.bind(&w.app.schema, &params);
            if !rules::eval::matches(&filter, &w.app.schema, entity, &target, &w.reader)? {
                row.faults.push(bad());
            }
        }
        if let Role::Reference(spec) = &field.role
            && spec.tree
            && changed
            && ring(w, slice.def, field, row, id)?
        {
            row.faults.push(bad());
        }
    }
    Ok(())
}

/// Keeps the entity's tree as it is for this transaction alone: taken before any row is locked, where a record may move in it.
pub(crate) fn lock_tree(w: &Writer<'_>, def: &EntityDef) -> Result<(), Error> {
    if def.tree.is_some() {
        w.tx.lock_key(&format!("tree:{}", def.name))?;
    }
    Ok(())
}

/// Whether the record would be above itself.
fn ring(w: &Writer<'_>, def: &EntityDef, field: &FieldDef, row: &Row, parent: Uuid) -> Result<bool, Error> {
    if parent == row.id {
        return Ok(true);
    }
    if row.doing == Doing::Create {
        return Ok(false);
    }
    // Two records that come to be each other's parent at once would not see each other.
    lock_tree(w, def)?;
    Ok(w.tx.ancestors(def, field.id, parent)?.contains(&row.id))
}

/// The slot that uniqueness compares: the folded text, else the value.
fn key_slot(def: &EntityDef, field: FieldId) -> Option<Slot> {
    let field = def.field(field);
    let fold = field.slots.clone().find(|slot| def.columns.get(*slot).is_some_and(|column| column.purpose == ColumnUse::Fold));
    fold.or(field.slot())
}

fn unique(w: &Writer<'_>, def: &EntityDef, plan: &UniquePlan, rows: &mut [Row]) -> Result<(), Error> {
    let slots: Vec<Slot> = plan.fields.iter().filter_map(|field| key_slot(def, *field)).collect();
    let looked_at: Vec<FieldId> = plan.fields.iter().copied().chain(plan.period.iter().flat_map(|(from, until)| [*from, *until])).collect();
    let mut wanted: Vec<(usize, Vec<Value>)> = Vec::new();
    let mut own: HashMap<Vec<u8>, usize> = HashMap::new();
    let ids: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
    for (index, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.goes_on()) {
        let relevant = plan.filter.is_some() || looked_at.iter().any(|field| row.changed(def, *field));
        let Some(key) = unique_key(w, def, plan, &row.after)? else { continue };
        if plan.period.is_none()
            && let Some(first) = own.insert(format!("{key:?}").into_bytes(), index)
            && first != index
        {
            row.faults.push(conflict(def, plan));
            continue;
        }
        if relevant {
            if let Some(fault) = backwards(def, plan, row) {
                row.faults.push(fault);
                continue;
            }
            wanted.push((index, key));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    if plan.period.is_some() || plan.fields.len() > 1 || plan.filter.is_some() {
        for (_, key) in &wanted {
            w.tx.lock_key(&format!("unique:{}:{:?}:{key:?}", def.name, plan.name))?;
        }
    }
    if plan.period.is_some() {
        for (index, key) in wanted {
            if overlaps(w, def, plan, &slots, &key, &rows[index])? || overlaps_sibling(def, plan, &slots, &key, rows, index) {
                rows[index].faults.push(conflict(def, plan));
            }
        }
        return Ok(());
    }
    for key in taken(w, def, plan, &slots, &wanted, &ids)? {
        for (index, wanted) in &wanted {
            if *wanted == key {
                rows[*index].faults.push(conflict(def, plan));
            }
        }
    }
    Ok(())
}

/// The values by which a record must differ from others; none where it does not count, or lacks one of them.
pub(crate) fn unique_key(w: &Writer<'_>, def: &EntityDef, plan: &UniquePlan, cells: &Cells) -> Result<Option<Vec<Value>>, Error> {
    let mut key = Vec::with_capacity(plan.fields.len());
    for slot in plan.fields.iter().filter_map(|field| key_slot(def, *field)) {
        match cells.get(slot) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => key.push(value.clone()),
        }
    }
    if let Some(filter) = &plan.filter {
        let params = w.params(def.name.app(), def.id, cells);
        if !rules::eval::matches(&filter.bind(&w.app.schema, &params), &w.app.schema, def.id, cells, &w.reader)? {
            return Ok(None);
        }
    }
    Ok(Some(key))
}

fn plain_leaf(def: &EntityDef, field: FieldId, slot: Slot, test: Test) -> Leaf {
    Leaf { path: Path::own(def.id, field), column: Column::Slot(slot), test, negated: false }
}

fn leaf(def: &EntityDef, field: FieldId, slot: Slot, test: Test) -> Predicate {
    Predicate::Leaf(plain_leaf(def, field, slot, test))
}

fn bound(w: &Writer<'_>, def: &EntityDef, plan: &UniquePlan) -> Predicate {
    match &plan.filter {
        Some(filter) => filter.bind(&w.app.schema, &w.cx.params(def.name.app(), None)),
        None => Predicate::True,
    }
}

/// The keys among the wanted that other live records have.
fn taken(
    w: &Writer<'_>,
    def: &EntityDef,
    plan: &UniquePlan,
    slots: &[Slot],
    wanted: &[(usize, Vec<Value>)],
    own: &HashSet<Uuid>,
) -> Result<Vec<Vec<Value>>, Error> {
    let filter = match (plan.fields.as_slice(), slots) {
        ([field], [slot]) => leaf(def, *field, *slot, Test::In(wanted.iter().filter_map(|(_, key)| key.first().cloned()).collect())),
        _ => Predicate::any(
            wanted
                .iter()
                .map(|(_, key)| {
                    let parts = plan.fields.iter().zip(slots).zip(key);
                    Predicate::all(parts.map(|((field, slot), value)| leaf(def, *field, *slot, Test::Equal(value.clone()))).collect())
                })
                .collect(),
        ),
    };
    let mut needed: Vec<Slot> = slots.to_vec();
    needed.extend(def.slot("id"));
    let query = Select {
        limit: u32::try_from(wanted.len() * 2).unwrap_or(u32::MAX).max(2),
        slots: needed,
        ..Select::of(def.id, Predicate::all(vec![filter, bound(w, def, plan)]), Binned::Live)
    };
    let id_slot = def.slot("id").unwrap_or_default();
    let found = w.tx.select(&w.app.schema, &query)?;
    Ok(found
        .into_iter()
        .filter(|row| row.cells.get(id_slot).and_then(Value::as_uuid).is_some_and(|id| !own.contains(&id)))
        .map(|row| slots.iter().map(|slot| row.cells.get(*slot).cloned().unwrap_or_default()).collect())
        .collect())
}

/// A period that ends before it starts: it would overlap nothing, whatever lies between.
fn backwards(def: &EntityDef, plan: &UniquePlan, row: &Row) -> Option<Violation> {
    let (from, until) = plan.period?;
    let is_backwards = row.value(def, until).order(row.value(def, from)) == Some(std::cmp::Ordering::Less);
    let ends = def.field(until).name.as_str();
    (is_backwards && !row.value(def, until).is_null()).then(|| Violation::of_field(ends, Code::OutOfRange, Message::new("ends_before_start")))
}

/// Whether another live record with the same key has a period that overlaps; the end of a period is free, and one without
/// an end goes on for ever.
fn overlaps(w: &Writer<'_>, def: &EntityDef, plan: &UniquePlan, slots: &[Slot], key: &[Value], row: &Row) -> Result<bool, Error> {
    let Some((from, until)) = plan.period else { return Ok(false) };
    let (start, end) = (row.value(def, from).clone(), row.value(def, until).clone());
    if start.is_null() {
        return Ok(false);
    }
    let slot = |field: FieldId| def.field(field).slot().unwrap_or_default();
    let mut parts: Vec<Predicate> =
        plan.fields.iter().zip(slots).zip(key).map(|((field, slot), value)| leaf(def, *field, *slot, Test::Equal(value.clone()))).collect();
    if end.is_null() {
        parts.push(Predicate::Leaf(Leaf { negated: true, ..plain_leaf(def, from, slot(from), Test::Empty) }));
    } else {
        parts.push(leaf(def, from, slot(from), Test::Less(end)));
    }
    parts.push(Predicate::any(vec![leaf(def, until, slot(until), Test::Greater(start)), leaf(def, until, slot(until), Test::Empty)]));
    parts.push(bound(w, def, plan));
    let query = Select { limit: 2, slots: def.slot("id").into_iter().collect(), ..Select::of(def.id, Predicate::all(parts), Binned::Live) };
    let id_slot = def.slot("id").unwrap_or_default();
    let found = w.tx.select(&w.app.schema, &query)?;
    Ok(found.iter().any(|other| other.cells.get(id_slot).and_then(Value::as_uuid) != Some(row.id)))
}

/// The same among the rows of this write.
fn overlaps_sibling(def: &EntityDef, plan: &UniquePlan, slots: &[Slot], key: &[Value], rows: &[Row], index: usize) -> bool {
    let Some((from, until)) = plan.period else { return false };
    let Some(row) = rows.get(index) else { return false };
    rows.iter().take(index).filter(|other| other.is_well()).any(|other| {
        slots.iter().zip(key).all(|(slot, value)| other.after.get(*slot) == Some(value))
            && begins_before(other.value(def, from), row.value(def, until))
            && begins_before(row.value(def, from), other.value(def, until))
    })
}

/// Whether what starts then starts before the end of something else; without an end that goes on for ever.
pub(crate) fn begins_before(start: &Value, end: &Value) -> bool {
    !start.is_null() && (end.is_null() || start.order(end) == Some(std::cmp::Ordering::Less))
}

/// What is told of a record that does not differ.
pub(crate) fn conflict(def: &EntityDef, plan: &UniquePlan) -> Violation {
    let field = plan.fields.last().map(|field| def.field(*field).name.to_string());
    let pointer = field.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    let wording = plan.message.clone().map_or_else(|| Wording::Message(Message::new("not_unique")), Wording::Label);
    Violation { pointer, field, code: Code::NotUnique, wording }
}
