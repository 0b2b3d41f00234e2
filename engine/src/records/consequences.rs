//! In charge of step 12 of a write: what follows from changes in other records' roll-ups and formulas.
//! Invariant: in the same transaction, under the locks of all records that follow, taken in the order (entity, id).
//! Invariant: asks for none of the caller's rights and raises no version; each round follows from the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::{Cells, Code, EntityDef, EntityId, FieldId, Message, Value};
use rules::query::{Column, Hop, Leaf, Path, Predicate, Test};
use rust_decimal::Decimal;
use store::{Binned, Lock, Select};
use uuid::Uuid;

use crate::ctx::Cause;
use crate::error::Error;
use crate::records::accept::differs;
use crate::records::lookup::is_live;
use crate::records::slice::{Slice, Writer};
use crate::records::{check, formulas, persist, rollups};

/// The most rounds: roll-ups may stand on roll-ups 8 deep, with formulas between.
const MAX_ROUNDS: usize = 18;
/// Records that are read at once when a far field changes.
const PAGE: u32 = 500;

/// A record that changed.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    pub(crate) entity: EntityId,
    pub(crate) id: Uuid,
    pub(crate) before: Option<Arc<Cells>>,
    pub(crate) after: Arc<Cells>,
}

/// What is to be done to one record.
#[derive(Default)]
struct Todo {
    differences: BTreeMap<FieldId, Decimal>,
    recounts: BTreeSet<FieldId>,
    /// Clocks that start anew, each with the moment.
    restarts: Vec<(usize, DateTime<Utc>)>,
}

type Work = BTreeMap<(EntityId, Uuid), Todo>;

/// Follows changes until nothing more follows.
pub(crate) fn run(w: &Writer<'_>, touched: Vec<Touched>, slice: Option<&Slice<'_>>) -> Result<(), Error> {
    // A slice has been put there before its lines were written: what these changed of it stands.
    for row in touched.iter().filter(|_| slice.is_none()) {
        w.reader.put(row.entity, row.id, Arc::clone(&row.after));
    }
    crate::approvals::note_changes(w, &touched);
    crate::clocks::retime::moved(w, &touched)?;
    let mut queue = touched;
    for _ in 0..MAX_ROUNDS {
        if queue.is_empty() {
            return Ok(());
        }
        let work = collect(w, &queue)?;
        queue = apply(w, work, slice)?;
        crate::approvals::note_changes(w, &queue);
    }
    Err(Error::of(Code::DepthExceeded, Message::new("depth_exceeded")))
}

/// Counts anew what may follow from records of which it is not known how they were: `former` are the records that they
/// pointed at, by entity. What the records themselves are made of is the caller's.
pub(crate) fn count_anew(w: &Writer<'_>, changed: &[(EntityId, Uuid)], former: &[(EntityId, Uuid)]) -> Result<(), Error> {
    let mut work = Work::new();
    for (entity, id) in changed {
        for rollup in w.app.graph.rollups_of(*entity).filter(|rollup| w.computes(rollup.parent, rollup.field)) {
            let everything = rules::compute::Rollup { filter: None, ..rollup.clone() };
            let cells = w.reader.read(*entity, *id)?.map(|cells| alive(w.def(*entity), &cells));
            for parent in rollups::contribution(w, &everything, cells.as_ref())?.parents {
                recount_above(w, rollup, parent, &mut work)?;
            }
        }
        for far in w.app.graph.read_from_afar(*entity) {
            for id in leading_to(w, &far.hops, vec![*id])? {
                match far.rollup {
                    None => {
                        work.entry((far.entity, id)).or_default();
                    }
                    Some(index) => refilter(w, index, far.entity, id, &mut work)?,
                }
            }
        }
    }
    for (entity, id) in former {
        for rollup in w.app.graph.rollups_on(*entity).filter(|rollup| w.computes(rollup.parent, rollup.field)) {
            recount_above(w, rollup, *id, &mut work)?;
        }
    }
    let next = apply(w, work, None)?;
    run(w, next, None)
}

/// A record as if it were not in the bin: what it counted for before it went there.
fn alive(def: &EntityDef, cells: &Cells) -> Cells {
    let mut cells = cells.clone();
    if let Some(cell) = def.slot("deleted_at").and_then(|slot| cells.get_mut(slot)) {
        *cell = Value::Null;
    }
    cells
}

fn recount_above(w: &Writer<'_>, rollup: &rules::compute::Rollup, parent: Uuid, work: &mut Work) -> Result<(), Error> {
    let parents = if rollup.below { rollups::with_ancestors(w, w.def(rollup.parent), parent)? } else { vec![parent] };
    for parent in parents {
        work.entry((rollup.parent, parent)).or_default().recounts.insert(rollup.field);
    }
    Ok(())
}

fn collect(w: &Writer<'_>, queue: &[Touched]) -> Result<Work, Error> {
    let mut work = Work::new();
    for row in queue {
        contributions(w, row, &mut work)?;
        tree_moves(w, row, &mut work)?;
        for (entity, id, clock, at) in crate::clocks::restarts(w, row) {
            work.entry((entity, id)).or_default().restarts.push((clock, at));
        }
    }
    far_fields(w, queue, &mut work)?;
    Ok(work)
}

/// Roll-ups that the record itself counts for.
fn contributions(w: &Writer<'_>, row: &Touched, work: &mut Work) -> Result<(), Error> {
    for rollup in w.app.graph.rollups_of(row.entity) {
        let was = rollups::contribution(w, rollup, row.before.as_deref())?;
        let is = rollups::contribution(w, rollup, Some(&row.after))?;
        if was == is {
            continue;
        }
        for (contribution, sign) in [(was, -Decimal::ONE), (is, Decimal::ONE)] {
            for parent in contribution.parents {
                let parents = if rollup.below { rollups::with_ancestors(w, w.def(rollup.parent), parent)? } else { vec![parent] };
                for parent in parents {
                    let todo = work.entry((rollup.parent, parent)).or_default();
                    if is_added(w, rollup) {
                        *todo.differences.entry(rollup.field).or_default() += sign * rollups::amount(&contribution.value);
                    } else {
                        todo.recounts.insert(rollup.field);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Whether a roll-up follows by differences; while it is filled there is nothing yet to differ from.
fn is_added(w: &Writer<'_>, rollup: &rules::compute::Rollup) -> bool {
    rollups::is_additive(rollup.function) && w.filling.is_none()
}

/// Roll-ups over a tree, where a record came under another parent.
fn tree_moves(w: &Writer<'_>, row: &Touched, work: &mut Work) -> Result<(), Error> {
    let def = w.def(row.entity);
    if def.tree.is_none() {
        return Ok(());
    }
    let (was, is) = (rollups::tree_parent(def, row.before.as_ref()), rollups::tree_parent(def, Some(&row.after)));
    if was == is {
        return Ok(());
    }
    for rollup in w.app.graph.rollups_on(row.entity).filter(|rollup| rollup.below) {
        let own = def.field(rollup.field).cells(&row.after).first().map(rollups::amount).unwrap_or_default();
        for (parent, sign) in [(was, -Decimal::ONE), (is, Decimal::ONE)] {
            let Some(parent) = parent else { continue };
            for ancestor in rollups::with_ancestors(w, def, parent)? {
                let todo = work.entry((row.entity, ancestor)).or_default();
                if is_added(w, rollup) {
                    *todo.differences.entry(rollup.field).or_default() += sign * own;
                } else {
                    todo.recounts.insert(rollup.field);
                }
            }
        }
    }
    Ok(())
}

/// Formulas and roll-up filters elsewhere that read a changed field over references, and lists held by the record itself.
fn far_fields(w: &Writer<'_>, queue: &[Touched], work: &mut Work) -> Result<(), Error> {
    for row in queue {
        for rollup in w.app.graph.rollups_on(row.entity) {
            if let rules::query::RelatedVia::References(list, _) = rollup.via
                && row.before.as_ref().is_none_or(|before| differs(w.def(row.entity), w.def(row.entity).field(list), before, &row.after))
            {
                work.entry((row.entity, row.id)).or_default().recounts.insert(rollup.field);
            }
        }
    }
    let mut by_entity: BTreeMap<EntityId, Vec<&Touched>> = BTreeMap::new();
    for row in queue.iter().filter(|row| row.before.is_some()) {
        by_entity.entry(row.entity).or_default().push(row);
    }
    for (entity, rows) in by_entity {
        let def = w.def(entity);
        for far in w.app.graph.read_from_afar(entity) {
            let changed: Vec<Uuid> = rows
                .iter()
                .filter(|row| {
                    row.before.as_ref().is_some_and(|before| {
                        is_live(def, before) != is_live(def, &row.after) || differs(def, def.field(far.field), before, &row.after)
                    })
                })
                .map(|row| row.id)
                .collect();
            if changed.is_empty() {
                continue;
            }
            for id in leading_to(w, &far.hops, changed)? {
                match far.rollup {
                    None => {
                        work.entry((far.entity, id)).or_default();
                    }
                    Some(index) => refilter(w, index, far.entity, id, work)?,
                }
            }
        }
    }
    Ok(())
}

/// A record may newly fit a roll-up's filter, or no longer: its parents are counted anew.
fn refilter(w: &Writer<'_>, index: usize, source: EntityId, id: Uuid, work: &mut Work) -> Result<(), Error> {
    let (Some(rollup), Some(cells)) = (w.app.graph.rollup(index), w.reader.read(source, id)?) else { return Ok(()) };
    let everything = rules::compute::Rollup { filter: None, ..rollup.clone() };
    for parent in rollups::contribution(w, &everything, Some(&cells))?.parents {
        let parents = if rollup.below { rollups::with_ancestors(w, w.def(rollup.parent), parent)? } else { vec![parent] };
        for parent in parents {
            work.entry((rollup.parent, parent)).or_default().recounts.insert(rollup.field);
        }
    }
    Ok(())
}

/// The records from which `hops` lead to one of `ids`.
fn leading_to(w: &Writer<'_>, hops: &[Hop], ids: Vec<Uuid>) -> Result<Vec<Uuid>, Error> {
    let mut ids = ids;
    for hop in hops.iter().rev() {
        if ids.is_empty() {
            break;
        }
        ids = referring(w, w.def(hop.from), hop.field, &ids)?;
    }
    Ok(ids)
}

/// The live records of `def` whose reference `field` points at one of `ids`.
pub(crate) fn referring(w: &Writer<'_>, def: &EntityDef, field: FieldId, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    let (Some(slot), Some(id_slot)) = (def.field(field).slot(), def.slot("id")) else { return Ok(Vec::new()) };
    let test = Test::In(ids.iter().copied().map(Value::Uuid).collect());
    let filter = Predicate::Leaf(Leaf { path: Path::own(def.id, field), column: Column::Slot(slot), test, negated: false });
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let query = Select { after: after.take(), limit: PAGE, slots: vec![id_slot], ..Select::of(def.id, filter.clone(), Binned::Live) };
        let rows = w.tx.select(&w.app.schema, &query)?;
        found.extend(rows.iter().filter_map(|row| row.cells.get(id_slot).and_then(Value::as_uuid)));
        match rows.last() {
            Some(last) if rows.len() >= PAGE as usize => after = Some(last.keys.clone()),
            Some(_) | None => return Ok(found),
        }
    }
}

fn apply(w: &Writer<'_>, work: Work, slice: Option<&Slice<'_>>) -> Result<Vec<Touched>, Error> {
    let mut by_entity: BTreeMap<EntityId, Vec<(Uuid, Todo)>> = BTreeMap::new();
    for ((entity, id), todo) in work {
        by_entity.entry(entity).or_default().push((id, todo));
    }
    // All locks are taken before any value is computed.
    for (entity, todos) in &by_entity {
        let ids: Vec<Uuid> = todos.iter().map(|(id, _)| *id).collect();
        w.reader.preload(*entity, &ids, Lock::Change)?;
    }
    let mut next = Vec::new();
    for (entity, todos) in by_entity {
        let def = w.def(entity);
        let mut changes = Vec::new();
        for (id, todo) in todos {
            let Some(before) = w.reader.read(entity, id)? else { continue };
            let after = recomputed(w, def, id, &before, &todo)?;
            if *before != after {
                check_rules(w, def, &before, &after, slice)?;
                changes.push((id, before, Arc::new(after)));
            }
        }
        persist::computed(w, def, &changes)?;
        next.extend(changes.into_iter().map(|(id, before, after)| Touched { entity, id, before: Some(before), after }));
    }
    Ok(next)
}

fn recomputed(w: &Writer<'_>, def: &EntityDef, id: Uuid, before: &Arc<Cells>, todo: &Todo) -> Result<Cells, Error> {
    let mut cells = Vec::clone(before);
    for (field, difference) in todo.differences.iter().filter(|(field, _)| !todo.recounts.contains(field)) {
        rollups::add(def, def.field(*field), &mut cells, *difference)?;
    }
    for field in todo.recounts.iter().filter(|field| w.computes(def.id, **field)) {
        if let Some(rollup) = w.app.graph.rollups_on(def.id).find(|rollup| rollup.field == *field) {
            rollups::recount(w, rollup, id, &mut cells)?;
        }
    }
    formulas::follow(w, def, before, &mut cells, &todo.restarts)?;
    Ok(cells)
}

/// Rules of a parent over its roll-ups bind the child's write.
fn check_rules(w: &Writer<'_>, def: &EntityDef, before: &Cells, after: &Cells, slice: Option<&Slice<'_>>) -> Result<(), Error> {
    if w.filling.is_some() || (slice.is_none() && matches!(w.cx.cause, Cause::Cascade | Cause::Publish | Cause::Flow)) {
        return Ok(());
    }
    let faults = check::rules_broken(w, def, &w.plan(def.id).rules, Some(before), after, true);
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults.into_iter().map(|fault| on_child(fault, def, slice)).collect())) }
}

/// The fault on the child's form: of the parent's own field only where the parent is what is written.
fn on_child(mut fault: model::Violation, def: &EntityDef, slice: Option<&Slice<'_>>) -> model::Violation {
    if slice.is_none_or(|slice| slice.def.id != def.id) {
        fault.pointer = String::new();
        fault.field = None;
    }
    fault
}
