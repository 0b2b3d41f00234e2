//! In charge of records whose stage or option goes with a publish: how many there are, and where they go.
//! Invariant: no record is left in a place that its documents do not know; history keeps the name of the former one.
//! Invariant: a retired option stays readable, so nobody has to leave it; a retired stage is left, or kept by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use model::field::Role;
use model::{Cells, EntityDef, EntityId, FieldDef, FieldId, Schema, Value};
use rules::query::{Column, Leaf, Path, Predicate, Test};
use store::{Binned, Lock, Select, Tx};
use uuid::Uuid;

use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::publish::fill::id_of;
use crate::published::Published;
use crate::records::accept::set_cells;
use crate::records::consequences::{self, Touched};
use crate::records::slice::Writer;
use crate::records::{Op, formulas, lookup, persist, remove};

/// Records that are moved at once.
const PAGE: u32 = 200;

/// Where records go, by field (`sales.deal.stage`), from the value that goes to the one that they get.
pub type Targets = IndexMap<String, IndexMap<String, String>>;

/// Records that need another place before a publish can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The field, `sales.deal.stage`.
    pub field: String,
    /// The value that goes.
    pub value: String,
    /// How many records have it, those in the bin among them.
    pub count: u64,
    /// Where they can go.
    pub offered: Vec<String>,
}

/// Records of one field that get other values.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    entity: EntityId,
    field: FieldId,
    targets: IndexMap<String, String>,
}

/// The values of a field, each with whether it is retired; none where it is no choice.
fn values(schema: &Schema, field: &FieldDef) -> Option<BTreeMap<String, bool>> {
    match &field.role {
        Role::Choice { options, .. } => Some(options.iter().map(|(name, option)| (name.to_string(), option.retired)).collect()),
        Role::Stage { pipelines, .. } => {
            let app = schema.apps.get(field.app.as_str())?;
            let stages = pipelines.iter().filter_map(|name| app.pipelines.get(name)).flat_map(|pipeline| &pipeline.stages);
            Some(stages.map(|(name, stage)| (name.to_string(), stage.retired)).collect())
        }
        _ => None,
    }
}

/// The values that go, each with whether it may be kept.
fn going(old: &Schema, was: &FieldDef, new: &Schema, field: &FieldDef) -> Vec<(String, bool)> {
    let (Some(before), Some(after)) = (values(old, was), values(new, field)) else { return Vec::new() };
    let is_stage = matches!(field.role, Role::Stage { .. });
    before
        .into_iter()
        .filter_map(|(name, was_retired)| match after.get(&name) {
            None => Some((name, false)),
            Some(true) if is_stage && !was_retired => Some((name, true)),
            Some(_) => None,
        })
        .collect()
}

/// What is to be moved; every value with records that nothing is said of is told.
pub(super) fn plan(tx: &Tx, old: &Published, new: &Published, targets: &Targets) -> Result<Vec<Moving>, Error> {
    let (mut moving, mut unplaced) = (Vec::new(), Vec::new());
    for def in &new.schema.entities {
        let Some(before) = old.schema.find(def.name.as_str()) else { continue };
        for field in &def.fields {
            let Some(was) = before.find(field.name.as_str()) else { continue };
            let name = format!("{}.{}", def.name, field.name);
            let offered = || -> Vec<String> {
                let values = values(&new.schema, field).into_iter().flatten();
                values.filter(|(_, is_retired)| !is_retired).map(|(name, _)| name).collect()
            };
            let mut moves = IndexMap::new();
            for (value, may_stay) in going(&old.schema, was, &new.schema, field) {
                let count = tx.count(&old.schema, before.id, &has(before, was, &value), Binned::Any, None)?;
                if count == 0 {
                    continue;
                }
                match targets.get(&name).and_then(|targets| targets.get(&value)) {
                    Some(target) if *target == value && may_stay => {}
                    Some(target) if offered().contains(target) => {
                        moves.insert(value, target.clone());
                    }
                    Some(_) | None => unplaced.push(Unplaced { field: name.clone(), value, count, offered: offered() }),
                }
            }
            if !moves.is_empty() {
                moving.push(Moving { entity: def.id, field: field.id, targets: moves });
            }
        }
    }
    if unplaced.is_empty() { Ok(moving) } else { Err(Error::Unplaced(unplaced)) }
}

fn has(def: &EntityDef, field: &FieldDef, value: &str) -> Predicate {
    let Some(slot) = field.slot() else { return Predicate::False };
    let value = Value::text(value);
    let test = if matches!(field.role, Role::Choice { many: true, .. }) { Test::Has(value) } else { Test::Equal(value) };
    Predicate::Leaf(Leaf { path: Path::own(def.id, field.id), column: Column::Slot(slot), test, negated: false })
}

impl Moving {
    /// Moves the records, with all that follows from it.
    pub(super) fn run(&self, context: &Ctx, tx: &Tx) -> Result<(), Error> {
        let cx = Ctx { cause: Cause::Publish, ..context.clone() };
        let writer = Writer::new(&cx, tx);
        for value in self.targets.keys() {
            while self.some(&writer, value)? {}
        }
        writer.log.borrow_mut().flush(tx)?;
        Ok(())
    }

    /// Moves some records out of `value`; whether there may be more.
    fn some(&self, w: &Writer<'_>, value: &str) -> Result<bool, Error> {
        let def = w.def(self.entity);
        let field = def.field(self.field);
        let slots = (0..def.columns.len()).collect();
        let query = Select { limit: PAGE, slots, lock: Lock::Change, ..Select::of(def.id, has(def, field, value), Binned::Any) };
        let rows = w.tx.select(&w.app.schema, &query)?;
        let mut moved: Vec<(Uuid, Arc<Cells>, Arc<Cells>)> = Vec::new();
        for row in rows {
            let Some(id) = id_of(def, &row.cells) else { continue };
            let mut after = row.cells.clone();
            set_cells(def, field, vec![self.moved(field.cells(&row.cells).first())], &mut after);
            remove::stamp(w, def, &mut after);
            formulas::follow(w, def, &row.cells, &mut after, &[])?;
            moved.push((id, Arc::new(row.cells), Arc::new(after)));
        }
        let pairs: Vec<(Cells, Cells)> = moved.iter().map(|(_, before, after)| (Vec::clone(before), Vec::clone(after))).collect();
        w.tx.update(def, &pairs)?;
        let mut touched = Vec::new();
        for (id, before, after) in &moved {
            w.log.borrow_mut().add(w.cx, def, Op::Updated, Cause::Publish, Some(before), after);
            persist::stays(w, def, *id, Some(before), after)?;
            w.reader.put(def.id, *id, Arc::clone(after));
            if lookup::is_live(def, after) {
                touched.push(Touched { entity: def.id, id: *id, before: Some(Arc::clone(before)), after: Arc::clone(after) });
            }
        }
        crate::clocks::written(w, def, touched.iter().map(|row| (row.id, row.before.as_deref(), &*row.after)))?;
        let texts: Vec<(Uuid, Option<&Cells>, &Cells)> = touched.iter().map(|row| (row.id, row.before.as_deref(), &*row.after)).collect();
        persist::index(w, def, w.plan(def.id), &texts, false);
        let has_more = moved.len() >= PAGE as usize;
        consequences::run(w, touched, None)?;
        Ok(has_more)
    }

    fn moved(&self, value: Option<&Value>) -> Value {
        let target = |value: &Value| value.as_text().and_then(|name| self.targets.get(name)).map_or_else(|| value.clone(), |to| Value::text(to));
        match value {
            Some(Value::List(items)) => {
                let mut moved: Vec<Value> = Vec::new();
                for item in items.iter().map(target) {
                    if !moved.contains(&item) {
                        moved.push(item);
                    }
                }
                Value::list(moved)
            }
            Some(value) => target(value),
            None => Value::Null,
        }
    }
}
