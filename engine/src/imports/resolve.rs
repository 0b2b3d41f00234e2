//! In charge of finding records for rows: one question for each look-up and slice, with what was found before kept.
//! Invariant: only records that the caller sees are found; more than one is as bad as none, and said so.
//! Invariant: what was not found is not kept: a later row may bring it.

use std::collections::{HashMap, HashSet};

use model::{EntityId, FieldId, Slot, Value};
use rules::query::{Column, Leaf, Path, Predicate, Test};
use store::{Binned, Select, Tx};
use uuid::Uuid;

use super::plan::{Find, KeyField, Plan, Sought, key_text};
use crate::ctx::Ctx;
use crate::error::Error;

/// Keys of one question.
const CHUNK: usize = 500;
/// Records that a look-up keeps; beyond that it begins anew, so that memory stays flat.
const KEPT: usize = 50_000;

/// What a key leads to; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This record.
    One(Uuid),
    /// Several.
    Many,
}

/// What look-ups found, by look-up and key.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<HashMap<String, Uuid>>);

impl Known {
    pub(crate) fn get(&self, find: usize, key: &str) -> Option<Uuid> {
        self.0.get(find).and_then(|known| known.get(key)).copied()
    }

    pub(crate) fn extend(&mut self, found: Vec<(usize, String, Uuid)>) {
        for (find, key, id) in found {
            if self.0.len() <= find {
                self.0.resize_with(find + 1, HashMap::new);
            }
            if let Some(known) = self.0.get_mut(find) {
                if known.len() >= KEPT {
                    known.clear();
                }
                known.insert(key, id);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

fn leaf(entity: EntityId, field: FieldId, slot: Slot, test: Test) -> Predicate {
    Predicate::Leaf(Leaf { path: Path::own(entity, field), column: Column::Slot(slot), test, negated: false })
}

/// The live records in the caller's sight that a filter leads to: the cells of `slots` and the id of each.
fn select(cx: &Ctx, tx: &Tx, entity: EntityId, filter: Predicate, slots: &[Slot], limit: usize) -> Result<Vec<(Vec<Value>, Uuid)>, Error> {
    let def = cx.app.schema.entity(entity);
    let mut wanted = slots.to_vec();
    wanted.extend(def.slot("id"));
    wanted.sort_unstable();
    wanted.dedup();
    let filter = Predicate::all(vec![filter, Predicate::clone(&cx.grants.entity(entity).read)]);
    let query = Select { limit: u32::try_from(limit).unwrap_or(u32::MAX), slots: wanted, ..Select::of(entity, filter, Binned::Live) };
    let rows = tx.select(&cx.app.schema, &query)?;
    let id = def.slot("id").unwrap_or_default();
    let cell = |row: &store::Row, slot: Slot| row.cells.get(slot).cloned().unwrap_or_default();
    Ok(rows.iter().filter_map(|row| Some((slots.iter().map(|slot| cell(row, *slot)).collect(), cell(row, id).as_uuid()?))).collect())
}

/// What the keys of a look-up lead to.
pub(crate) fn find(cx: &Ctx, tx: &Tx, find: &Find, sought: &[&Sought]) -> Result<HashMap<String, Seen>, Error> {
    let mut found: HashMap<String, Seen> = HashMap::new();
    let mut keys: HashSet<&str> = HashSet::new();
    let distinct: Vec<&&Sought> = sought.iter().filter(|sought| !sought.value.is_null() && keys.insert(sought.key.as_str())).collect();
    for chunk in distinct.chunks(CHUNK) {
        let values = chunk.iter().map(|sought| sought.value.clone()).collect();
        let filter = leaf(find.entity, find.field, find.slot, Test::In(values));
        for (cells, id) in select(cx, tx, find.entity, filter, &[find.slot], chunk.len() * 4 + 100)? {
            if let Some(value) = cells.first() {
                note(&mut found, key_text(value), id);
            }
        }
    }
    Ok(found)
}

fn note(found: &mut HashMap<String, Seen>, key: String, id: Uuid) {
    found.entry(key).and_modify(|seen| *seen = if *seen == Seen::One(id) { *seen } else { Seen::Many }).or_insert(Seen::One(id));
}

/// A row's key as text; the parts are told apart.
pub(crate) fn joined(key: &[Value]) -> String {
    key.iter().map(key_text).collect::<Vec<_>>().join("\u{1F}")
}

/// The records that have the keys of rows.
pub(crate) fn by_key(cx: &Ctx, tx: &Tx, plan: &Plan, fields: &[KeyField], keys: &[Vec<Value>]) -> Result<HashMap<String, Seen>, Error> {
    let mut found = HashMap::new();
    let slots: Vec<Slot> = fields.iter().map(|field| field.slot).collect();
    for chunk in keys.chunks(CHUNK) {
        let filter = match fields {
            [only] => leaf(plan.entity, only.field, only.slot, Test::In(chunk.iter().filter_map(|key| key.first().cloned()).collect())),
            _ => Predicate::any(
                chunk
                    .iter()
                    .map(|key| {
                        let parts =
                            fields.iter().zip(key).map(|(field, value)| leaf(plan.entity, field.field, field.slot, Test::Equal(value.clone())));
                        Predicate::all(parts.collect())
                    })
                    .collect(),
            ),
        };
        for (cells, id) in select(cx, tx, plan.entity, filter, &slots, chunk.len() * 4 + 100)? {
            note(&mut found, joined(&cells), id);
        }
    }
    Ok(found)
}
