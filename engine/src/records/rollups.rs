//! In charge of roll-ups: what a record contributes, and what a parent's value is.
//! Invariant: counts and sums are kept by differences under the parent's lock; other functions are computed anew.
//! Invariant: a binned record contributes nothing.

use std::sync::Arc;

use model::field::{Role, RollupFn};
use model::schema::Via;
use model::{Cells, Code, EntityDef, FieldDef, FieldId, Message, Storage, Value, Violation};
use rules::compute::Rollup;
use rules::query::{Column, Leaf, Path, Predicate, RelatedVia, SystemView, Test};
use rust_decimal::Decimal;
use store::{Aggregate, Binned, Function, Measure, Select};
use uuid::Uuid;

use crate::error::Error;
use crate::records::accept::set_cells;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;

/// What a record gives to each of some parents.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contribution {
    pub(crate) parents: Vec<Uuid>,
    pub(crate) value: Value,
}

/// Whether a function follows by differences.
pub(crate) fn is_additive(function: RollupFn) -> bool {
    match function {
        RollupFn::Count | RollupFn::Sum => true,
        RollupFn::Min | RollupFn::Max | RollupFn::Average | RollupFn::First | RollupFn::Last | RollupFn::Distinct => false,
    }
}

/// What `cells`, a record of the roll-up's source, contributes.
pub(crate) fn contribution(w: &Writer<'_>, rollup: &Rollup, cells: Option<&Cells>) -> Result<Contribution, Error> {
    let nothing = Contribution::default();
    let Some(cells) = cells else { return Ok(nothing) };
    let source = w.def(rollup.source);
    if !is_live(source, cells) {
        return Ok(nothing);
    }
    let parents = parents(w, rollup, source, cells);
    if parents.is_empty() {
        return Ok(nothing);
    }
    if let Some(filter) = &rollup.filter {
        let predicate = bound(w, rollup, filter);
        if !rules::eval::matches(&predicate, &w.app.schema, source.id, cells, &w.reader)? {
            return Ok(nothing);
        }
    }
    let value = match (rollup.function, rollup.value) {
        (RollupFn::Count, _) | (_, None) => Value::Int(1),
        (_, Some(field)) => source.field(field).cells(cells).first().cloned().unwrap_or_default(),
    };
    Ok(Contribution { parents, value })
}

/// A roll-up's filter: with nobody's person, and the workspace's days.
fn bound(w: &Writer<'_>, rollup: &Rollup, filter: &rules::query::TypedFilter) -> Predicate {
    let app = w.def(rollup.parent).field(rollup.field).app.clone();
    let params = rules::query::Params { zone: w.cx.workspace_zone(), me: None, me_cells: None, ..w.cx.params(app.as_str(), None) };
    filter.bind(&w.app.schema, &params)
}

fn parents(w: &Writer<'_>, rollup: &Rollup, source: &EntityDef, cells: &Cells) -> Vec<Uuid> {
    match &rollup.via {
        RelatedVia::Inverse(inverse) => {
            let by = source.field(inverse.by).cells(cells);
            match (inverse.via, by) {
                (Via::Column, [Value::Uuid(id), ..]) => vec![*id],
                (Via::Link, [Value::List(items), ..]) => items.iter().filter_map(Value::as_uuid).collect(),
                (Via::AnyColumn, [Value::Uuid(id), Value::Text(entity), ..]) if **entity == *w.def(rollup.parent).name.as_str() => vec![*id],
                _ => Vec::new(),
            }
        }
        // The parent holds the list: the records of a list do not know it.
        RelatedVia::References(..) => Vec::new(),
    }
}

/// The amount of a contribution to a count or sum.
pub(crate) fn amount(value: &Value) -> Decimal {
    value.as_decimal().unwrap_or_default()
}

/// The value over no rows.
pub(crate) fn zero_of(def: &EntityDef, field: &FieldDef) -> Value {
    number_of(def, field, Decimal::ZERO)
}

/// A value that its column cannot hold. Its field may be out of the caller's sight and is not named.
fn too_large() -> Error {
    Violation::at(String::new(), Code::OutOfRange, Message::new("rollup_too_large")).into()
}

fn number_of(def: &EntityDef, field: &FieldDef, number: Decimal) -> Value {
    let storage = field.slot().and_then(|slot| def.columns.get(slot)).map_or(Storage::Int, |column| column.storage);
    rules::expr::fit(Value::Decimal(number), storage).unwrap_or_default()
}

/// Adds to a count or sum.
///
/// # Errors
/// Where it becomes more than its column holds: what would make it so is refused, as every later difference would be wrong.
pub(crate) fn add(def: &EntityDef, field: &FieldDef, cells: &mut Cells, difference: Decimal) -> Result<(), Error> {
    let now = field.cells(cells).first().and_then(Value::as_decimal).unwrap_or_default();
    let value = now.checked_add(difference).map(|sum| number_of(def, field, sum)).filter(|value| !value.is_null());
    put(def, field, value.ok_or_else(too_large)?, cells);
    Ok(())
}

/// Puts a roll-up's value into its cells; of money that varies the amount is told in the base currency.
fn put(def: &EntityDef, field: &FieldDef, value: Value, cells: &mut Cells) {
    let varying = matches!(field.role, Role::Rollup(_)) && field.slots.len() == 3;
    let values = if varying { vec![value.clone(), value, Value::Null] } else { vec![value] };
    set_cells(def, field, values, cells);
}

/// Computes a roll-up of one parent anew.
pub(crate) fn recount(w: &Writer<'_>, rollup: &Rollup, parent: Uuid, cells: &mut Cells) -> Result<(), Error> {
    let (def, source) = (w.def(rollup.parent), w.def(rollup.source));
    let field = def.field(rollup.field);
    let filter = Predicate::all(vec![
        of_parent(w, rollup, source, parent, cells),
        rollup.filter.as_ref().map_or(Predicate::True, |filter| bound(w, rollup, filter)),
    ]);
    let value = match rollup.function {
        RollupFn::First | RollupFn::Last => end(w, rollup, source, filter)?,
        RollupFn::Count => aggregate(w, source, filter, Function::Count, None)?,
        RollupFn::Sum => aggregate(w, source, filter, Function::Sum, rollup.value)?,
        RollupFn::Min => aggregate(w, source, filter, Function::Min, rollup.value)?,
        RollupFn::Max => aggregate(w, source, filter, Function::Max, rollup.value)?,
        RollupFn::Average => aggregate(w, source, filter, Function::Average, rollup.value)?,
        RollupFn::Distinct => aggregate(w, source, filter, Function::Distinct, rollup.value)?,
    };
    let storage = field.slot().and_then(|slot| def.columns.get(slot)).map_or(Storage::Int, |column| column.storage);
    let mut value = rules::expr::fit(value, storage).map_err(|_| too_large())?;
    if value.is_null() && matches!(rollup.function, RollupFn::Count | RollupFn::Sum | RollupFn::Distinct) {
        value = zero_of(def, field);
    }
    put(def, field, value, cells);
    Ok(())
}

/// The records of the source that belong to a parent, or to it and those below.
fn of_parent(w: &Writer<'_>, rollup: &Rollup, source: &EntityDef, parent: Uuid, cells: &Cells) -> Predicate {
    match &rollup.via {
        RelatedVia::Inverse(inverse) => {
            let by = source.field(inverse.by);
            let slot = by.slot().unwrap_or_default();
            let tree = w.def(rollup.parent).tree.filter(|_| rollup.below);
            let test = match (tree, inverse.via) {
                (Some(tree), _) => Test::Under { entity: rollup.parent, parent: tree, top: parent },
                (None, Via::Link) => Test::Has(Value::Uuid(parent)),
                (None, Via::Column | Via::AnyColumn) => Test::Equal(Value::Uuid(parent)),
            };
            Predicate::Leaf(Leaf { path: Path::own(source.id, by.id), column: Column::Slot(slot), test, negated: false })
        }
        RelatedVia::References(field, _) => {
            let ids = w.def(rollup.parent).field(*field).cells(cells).first().map_or(&[][..], Value::items).to_vec();
            let id = source.find("id").map_or(FieldId(0), |field| field.id);
            let slot = source.slot("id").unwrap_or_default();
            Predicate::Leaf(Leaf { path: Path::own(source.id, id), column: Column::Slot(slot), test: Test::In(ids), negated: false })
        }
    }
}

fn aggregate(w: &Writer<'_>, source: &EntityDef, filter: Predicate, function: Function, value: Option<FieldId>) -> Result<Value, Error> {
    let measure = Measure {
        function,
        path: value.map(|field| Path::own(source.id, field)),
        column: value.and_then(|field| source.field(field).slot()).map(Column::Slot),
    };
    let query = Aggregate { measures: vec![measure], ..Aggregate::of(source.id, filter) };
    let rows = w.tx.aggregate(&w.app.schema, &query)?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or_default())
}

/// The value of the first or last record, in the order of creation.
fn end(w: &Writer<'_>, rollup: &Rollup, source: &EntityDef, filter: Predicate) -> Result<Value, Error> {
    let Some(field) = rollup.value.map(|field| source.field(field)) else { return Ok(Value::Null) };
    let order = if rollup.function == RollupFn::Last { "-id" } else { "id" };
    let sort = rules::query::parse_sort(&w.app.schema, source.id, order, &SystemView, w.cx.moment(), "").map_err(Error::Invalid)?;
    let query = Select { sort, limit: 1, slots: field.slots.clone().collect(), ..Select::of(source.id, filter, Binned::Live) };
    let found = w.tx.select(&w.app.schema, &query)?;
    Ok(found.first().and_then(|row| field.cells(&row.cells).first().cloned()).unwrap_or_default())
}

/// The record and those above it in its tree.
pub(crate) fn with_ancestors(w: &Writer<'_>, def: &EntityDef, id: Uuid) -> Result<Vec<Uuid>, Error> {
    let Some(tree) = def.tree else { return Ok(vec![id]) };
    // Nobody may move within the tree between this look and the sums that follow from it.
    w.tx.share_key(&format!("tree:{}", def.name))?;
    let mut ids = w.tx.ancestors(def, tree, id)?;
    if !ids.contains(&id) {
        ids.insert(0, id);
    }
    Ok(ids)
}

/// A record's own parent in its tree.
pub(crate) fn tree_parent(def: &EntityDef, cells: Option<&Arc<Cells>>) -> Option<Uuid> {
    let cells = cells.filter(|cells| is_live(def, cells))?;
    def.field(def.tree?).cells(cells).first().and_then(Value::as_uuid)
}
