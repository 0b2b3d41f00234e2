//! In charge of step 6 of a write: formulas and lookups of the record itself, in the order of what they need, and its clocks.
//! Invariant: what is stored is rounded once, at the end; a formula that refuses is empty, never a wrong number.

use chrono::{DateTime, Utc};
use model::{Cells, EntityDef, FieldId, Value};
use rules::compute::Source;

use crate::error::Error;
use crate::published::EntityPlan;
use crate::records::accept::set_cells;
use crate::records::fill::along;
use crate::records::slice::{Slice, Writer};

/// Computes all rows.
pub(crate) fn compute(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let (def, plan) = (slice.def, slice.plan);
    for row in slice.rows.iter_mut().filter(|row| row.goes_on()) {
        let before = row.before.clone();
        own(w, def, plan, before.as_deref(), &mut row.after)?;
    }
    Ok(())
}

/// Brings the clocks of all rows in line with what they will be; what is computed from clocks follows.
pub(crate) fn clocks(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let (def, plan) = (slice.def, slice.plan);
    if def.clocks.is_empty() || w.is_preview {
        return Ok(());
    }
    for row in slice.rows.iter_mut().filter(|row| row.goes_on()) {
        let before = row.before.clone();
        row.sayings = crate::clocks::own(w, def, before.as_deref(), &mut row.after, &[])?;
        own(w, def, plan, before.as_deref(), &mut row.after)?;
    }
    Ok(())
}

/// Computes the formulas and clocks of one record that something else changed; what its clocks say is kept for the end.
pub(crate) fn follow(w: &Writer<'_>, def: &EntityDef, before: &Cells, cells: &mut Cells, restarts: &[(usize, DateTime<Utc>)]) -> Result<(), Error> {
    let plan = w.plan(def.id);
    own(w, def, plan, Some(before), cells)?;
    if def.clocks.is_empty() || w.filling.is_some() {
        return Ok(());
    }
    let sayings = crate::clocks::own(w, def, Some(before), cells, restarts)?;
    own(w, def, plan, Some(before), cells)?;
    if let Some(id) = def.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid) {
        w.log.borrow_mut().say(def.id, id, &sayings);
    }
    Ok(())
}

/// Computes the formulas of one record; the fields whose value changed.
pub(crate) fn own(w: &Writer<'_>, def: &EntityDef, plan: &EntityPlan, before: Option<&Cells>, cells: &mut Cells) -> Result<Vec<FieldId>, Error> {
    let mut changed = Vec::new();
    for computed in w.app.graph.formulas(def.id) {
        let field = def.field(computed.field);
        let Some(slot) = field.slot() else { continue };
        if !w.computes(def.id, field.id) {
            continue;
        }
        if let (Some(frozen), Some(_), None) = (&plan.field(field.id).frozen_if, before, w.filling) {
            let is_frozen = w.on_scope(field.app.as_str(), def.id, cells, before, |scope| frozen.holds(scope)).unwrap_or(false);
            if is_frozen {
                continue;
            }
        }
        let was = field.cells(cells).to_vec();
        match &computed.source {
            Source::Path(path) => {
                let far = along(w, path, cells)?;
                for (index, slot) in field.slots.clone().enumerate() {
                    if let Some(cell) = cells.get_mut(slot) {
                        *cell = far.get(index).cloned().unwrap_or_default();
                    }
                }
            }
            Source::Expression(expression) => {
                let value = w.on_scope(field.app.as_str(), def.id, cells, before, |scope| expression.eval(scope));
                let storage = def.columns.get(slot).map_or(model::Storage::Text, |column| column.storage);
                let value = match value {
                    Ok(value) => rules::expr::fit(value, storage).unwrap_or(Value::Null),
                    Err(rules::expr::EvalFault::Host(fault)) => return Err(Error::Internal(fault.to_string())),
                    Err(rules::expr::EvalFault::Refused { .. }) => Value::Null,
                };
                set_cells(def, field, vec![value], cells);
            }
        }
        if field.cells(cells) != was.as_slice() {
            changed.push(field.id);
        }
    }
    Ok(changed)
}
