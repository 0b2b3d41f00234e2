//! In charge of steps 10 and 11 of a write: rows, links, log, stays, search.
//! Invariant: only rows without a fault arrive here; what did not change is not written.

use std::sync::Arc;

use model::field::{Role, TextContext};
use model::{Cells, EntityDef, Value};
use store::IndexedText;
use store::system::stay;
use uuid::Uuid;

use crate::ctx::Cause;
use crate::error::Error;
use crate::published::EntityPlan;
use crate::records::accept::differs;
use crate::records::consequences::Touched;
use crate::records::history::Op;
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::submission::Outcome;

/// Writes the rows that are well.
pub(crate) fn persist(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let def = slice.def;
    let mut updates = Vec::new();
    for row in slice.rows.iter_mut().filter(|row| row.is_well()) {
        match (row.doing, &row.before) {
            (Doing::Create, _) => {
                row.outcome = Some(Outcome::Created);
            }
            (Doing::Update, Some(before)) => {
                if is_changed(def, before, row) {
                    row.outcome = Some(Outcome::Updated);
                    updates.push((Vec::clone(before), row.after.clone()));
                } else {
                    row.outcome = Some(Outcome::Unchanged);
                    row.after = Vec::clone(before);
                }
            }
            (Doing::Update, None) => {}
        }
        row.version = def.slot("version").and_then(|slot| row.after.get(slot)).and_then(Value::as_int);
    }
    let inserts: Vec<&Cells> = slice.well().filter(|row| row.doing == Doing::Create).map(|row| &row.after).collect();
    if !inserts.is_empty() {
        w.tx.insert(def, &inserts)?;
    }
    if !updates.is_empty() {
        w.tx.update(def, &updates)?;
    }
    let cause = w.cx.cause;
    for row in slice.well().filter(|row| row.outcome != Some(Outcome::Unchanged)) {
        let op = if row.doing == Doing::Create { Op::Created } else { Op::Updated };
        w.log.borrow_mut().add(w.cx, def, op, cause, row.before.as_deref(), &row.after);
        stays(w, def, row.id, row.before.as_deref(), &row.after)?;
        crate::pools::held(w, def, row.id, row.before.as_deref(), &row.after)?;
        crate::pools::recycle::watch(w, def, row.id, &row.after)?;
    }
    let changed = || slice.well().filter(|row| row.outcome != Some(Outcome::Unchanged));
    for row in changed().filter(|row| !row.sayings.is_empty()) {
        w.log.borrow_mut().say(def.id, row.id, &row.sayings);
    }
    crate::clocks::written(w, def, changed().map(|row| (row.id, row.before.as_deref(), &row.after)))?;
    let texts: Vec<(Uuid, Option<&Cells>, &Cells)> =
        slice.well().filter(|row| row.outcome != Some(Outcome::Unchanged)).map(|row| (row.id, row.before.as_deref(), &row.after)).collect();
    index(w, def, slice.plan, &texts, true);
    Ok(())
}

/// Whether anything but what every write changes is different; lines that were sent count as a change.
fn is_changed(def: &EntityDef, before: &Cells, row: &Row) -> bool {
    let of_every_write = |name: &str| matches!(name, "version" | "updated_at" | "updated_by");
    !row.lines.is_empty() || def.fields.iter().any(|field| !of_every_write(field.name.as_str()) && differs(def, field, before, &row.after))
}

/// What followed from the rows, for the consequences.
pub(crate) fn touched(slice: &Slice<'_>) -> Vec<Touched> {
    slice
        .well()
        .filter(|row| row.outcome.is_some_and(|outcome| outcome != Outcome::Unchanged))
        .map(|row| Touched { entity: slice.def.id, id: row.id, before: row.before.clone(), after: Arc::new(row.after.clone()) })
        .collect()
}

/// Records how long a record is in which stage.
pub(crate) fn stays(w: &Writer<'_>, def: &EntityDef, id: Uuid, before: Option<&Cells>, after: &Cells) -> Result<(), Error> {
    for field in def.stages.iter().map(|stage| def.field(*stage)) {
        let was = before.and_then(|before| field.cells(before).first().cloned()).unwrap_or_default();
        let is = field.cells(after).first().cloned().unwrap_or_default();
        if was != is {
            let (entity, field, stage) = (def.name.as_str(), field.name.as_str(), is.as_text());
            stay::enter(w.tx, stay::Entering { id: w.cx.new_id(), entity, record: id, field, stage, at: w.cx.now, by: w.cx.caller.user() })?;
        }
    }
    Ok(())
}

/// Brings the search index up to date; `new` where a record without a state before was never in it.
pub(crate) fn index(w: &Writer<'_>, def: &EntityDef, plan: &EntityPlan, rows: &[(Uuid, Option<&Cells>, &Cells)], new: bool) {
    if plan.search.is_empty() {
        return;
    }
    let changed = |before: Option<&Cells>, after: &Cells| match before {
        None => true,
        Some(before) => plan.search.iter().any(|field| differs(def, def.field(*field), before, after)),
    };
    let text = |(id, before, after): &(Uuid, Option<&Cells>, &Cells)| IndexedText {
        record: *id,
        tokens: tokens(def, plan, after, |_| true),
        is_new: new && before.is_none(),
    };
    let texts: Vec<IndexedText> = rows.iter().filter(|(_, before, after)| changed(*before, after)).map(text).collect();
    w.tx.index_text(def.name.as_str(), texts);
}

/// The tokens that a record is found by, over the searchable fields that `seen` allows.
pub(crate) fn tokens(def: &EntityDef, plan: &EntityPlan, cells: &Cells, seen: impl Fn(&model::FieldDef) -> bool) -> String {
    let mut text = String::new();
    for field in plan.search.iter().map(|field| def.field(*field)).filter(|field| seen(field) && !super::history::sealed(field)) {
        let values = field.cells(cells);
        if matches!(field.role, Role::Secret) || values.iter().all(Value::is_null) {
            continue;
        }
        if let Some(typed) = &field.typed {
            text.push_str(&typed.text(values, TextContext { locale: "en", zone: chrono_tz::UTC }));
            text.push('\n');
        }
    }
    rules::keys::search_tokens(&text)
}

/// Writes a record that the engine itself computed: no new version, its own cause in the log.
pub(crate) fn computed(w: &Writer<'_>, def: &EntityDef, changes: &[(Uuid, Arc<Cells>, Arc<Cells>)]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let pairs: Vec<(Cells, Cells)> = changes.iter().map(|(_, before, after)| (Vec::clone(before), Vec::clone(after))).collect();
    w.tx.update(def, &pairs)?;
    for (id, before, after) in changes {
        // What a publish fills is told by its revision: whoever follows the feed reads again from its new epoch.
        if w.filling.is_none() {
            w.log.borrow_mut().add(w.cx, def, Op::Updated, Cause::Computed, Some(before), after);
        }
        w.reader.put(def.id, *id, Arc::clone(after));
    }
    if w.filling.is_some() {
        return Ok(());
    }
    for (id, _, after) in changes {
        crate::pools::recycle::watch(w, def, *id, after)?;
    }
    crate::clocks::written(w, def, changes.iter().map(|(id, before, after)| (*id, Some(&**before), &**after)))?;
    let texts: Vec<(Uuid, Option<&Cells>, &Cells)> = changes.iter().map(|(id, before, after)| (*id, Some(&**before), &**after)).collect();
    index(w, def, w.plan(def.id), &texts, false);
    Ok(())
}
