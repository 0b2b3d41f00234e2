//! In charge of records as rows: loading, inserting, updating, erasing, and the link tables of fields that hold many.
//! Invariant: the cells of a record stand in the order of its entity's columns, each fitting its storage.
//! Invariant: a list is kept twice, in its column and in its link table, written together.

use std::collections::HashMap;

use model::field::{Comparable, Role};
use model::{Cells, EntityDef, FieldDef, Slot, Storage, Value};
use uuid::Uuid;

use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::{Lock, Tx};

/// Parameters of one statement; both databases take more.
const MAX_BINDS: usize = 16_000;
/// Ids of one question.
const MAX_IDS: usize = 1_000;

/// How a column of an entity is read.
pub(crate) fn decode_of(def: &EntityDef, slot: Slot) -> Decode {
    let Some(column) = def.columns.get(slot) else { return Decode::Plain(Storage::Text) };
    if column.storage != Storage::Json {
        return Decode::Plain(column.storage);
    }
    let field = def.field(column.field);
    match (&field.role, field.typed.as_ref().map(|typed| typed.comparable())) {
        (Role::References(_), _) => Decode::Ids,
        (_, Some(Comparable::List)) => Decode::Texts,
        _ => Decode::Plain(Storage::Json),
    }
}

/// How all columns of an entity are read.
fn decode_all(def: &EntityDef) -> Vec<Decode> {
    (0..def.columns.len()).map(|slot| decode_of(def, slot)).collect()
}

fn id_of(def: &EntityDef, cells: &Cells) -> Option<Uuid> {
    def.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid)
}

/// The storage of the items of a field that holds many.
pub(crate) fn item_storage(field: &FieldDef) -> Storage {
    if matches!(field.role, Role::References(_)) { Storage::Uuid } else { Storage::Text }
}

impl Tx {
    /// The records with these ids, in this order, binned ones too.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn load(&self, def: &EntityDef, ids: &[Uuid], lock: Lock) -> Result<Vec<Option<Cells>>, Fault> {
        let mut found: HashMap<Uuid, Cells> = HashMap::with_capacity(ids.len());
        let how = decode_all(def);
        // Locks are taken in the order of ids, so that two transactions do not wait for each other.
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        for chunk in sorted.chunks(MAX_IDS) {
            let mut sql = self.sql();
            sql.push("SELECT ").list(&def.columns, ", ", |sql, column| {
                sql.name(&column.name);
            });
            sql.push(" FROM ").name(&def.table).push(" WHERE \"id\"");
            match chunk {
                [id] => {
                    sql.push(" = ").bind(Storage::Uuid, Value::Uuid(*id));
                }
                chunk => {
                    sql.push(" IN (").list(chunk, ", ", |sql, id| {
                        sql.bind(Storage::Uuid, Value::Uuid(*id));
                    });
                    sql.push(")");
                }
            }
            if lock != Lock::None {
                sql.push(" ORDER BY \"id\"");
                let clause = self.dialect().lock(lock);
                sql.push(clause);
            }
            self.each(&sql, &how, |cells| {
                if let Some(id) = id_of(def, &cells) {
                    found.insert(id, cells);
                }
            })?;
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    /// Inserts new records.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn insert(&self, def: &EntityDef, rows: &[Cells]) -> Result<(), Fault> {
        let per_statement = (MAX_BINDS / def.columns.len().max(1)).clamp(1, 100);
        for chunk in rows.chunks(per_statement) {
            let mut sql = self.sql();
            sql.push("INSERT INTO ").name(&def.table).push(" (").list(&def.columns, ", ", |sql, column| {
                sql.name(&column.name);
            });
            sql.push(") VALUES ").list(chunk, ", ", |sql, cells| {
                sql.push("(").list(def.columns.iter().zip(cells), ", ", |sql, (column, value)| {
                    sql.bind(column.storage, value.clone());
                });
                sql.push(")");
            });
            self.execute(&sql)?;
        }
        for field in def.fields.iter().filter(|field| field.link_table.is_some()) {
            for cells in rows {
                if let Some(id) = id_of(def, cells) {
                    self.link(field, id, field.cells(cells).first().unwrap_or(&Value::Null))?;
                }
            }
        }
        Ok(())
    }

    /// Writes what differs between records before and after.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn update(&self, def: &EntityDef, rows: &[(Cells, Cells)]) -> Result<(), Fault> {
        for (before, after) in rows {
            let Some(id) = id_of(def, after) else { continue };
            let changed: Vec<Slot> = (0..def.columns.len()).filter(|slot| before.get(*slot) != after.get(*slot)).collect();
            if changed.is_empty() {
                continue;
            }
            let mut sql = self.sql();
            sql.push("UPDATE ").name(&def.table).push(" SET ").list(&changed, ", ", |sql, slot| {
                if let (Some(column), Some(value)) = (def.columns.get(*slot), after.get(*slot)) {
                    sql.name(&column.name).push(" = ").bind(column.storage, value.clone());
                }
            });
            sql.push(" WHERE \"id\" = ").bind(Storage::Uuid, Value::Uuid(id));
            self.execute(&sql)?;
            for field in def.fields.iter().filter(|field| field.link_table.is_some()) {
                if field.cells(before) != field.cells(after) {
                    self.unlink(field, &[id])?;
                    self.link(field, id, field.cells(after).first().unwrap_or(&Value::Null))?;
                }
            }
        }
        Ok(())
    }

    /// Removes records for good.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn erase(&self, def: &EntityDef, ids: &[Uuid]) -> Result<(), Fault> {
        for chunk in ids.chunks(MAX_IDS) {
            for field in def.fields.iter().filter(|field| field.link_table.is_some()) {
                self.unlink(field, chunk)?;
            }
            let mut sql = self.sql();
            sql.push("DELETE FROM ").name(&def.table).push(" WHERE \"id\" IN (").list(chunk, ", ", |sql, id| {
                sql.bind(Storage::Uuid, Value::Uuid(*id));
            });
            sql.push(")");
            self.execute(&sql)?;
        }
        Ok(())
    }

    fn link(&self, field: &FieldDef, owner: Uuid, list: &Value) -> Result<(), Fault> {
        let Some(table) = &field.link_table else { return Ok(()) };
        let storage = item_storage(field);
        let mut items: Vec<Value> = Vec::with_capacity(list.items().len());
        for item in list.items() {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        for chunk in items.chunks(MAX_IDS) {
            let mut sql = self.sql();
            sql.push("INSERT INTO ").name(table).push(" (\"owner\", \"value\") VALUES ").list(chunk, ", ", |sql, item| {
                sql.push("(").bind(Storage::Uuid, Value::Uuid(owner)).push(", ").bind(storage, item.clone()).push(")");
            });
            self.execute(&sql)?;
        }
        Ok(())
    }

    fn unlink(&self, field: &FieldDef, owners: &[Uuid]) -> Result<(), Fault> {
        let Some(table) = &field.link_table else { return Ok(()) };
        let mut sql = self.sql();
        sql.push("DELETE FROM ").name(table).push(" WHERE \"owner\" IN (").list(owners, ", ", |sql, id| {
            sql.bind(Storage::Uuid, Value::Uuid(*id));
        });
        sql.push(")");
        self.execute(&sql).map(drop)
    }
}
