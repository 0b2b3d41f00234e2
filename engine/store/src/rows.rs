//! In charge of records as rows: loading, inserting, updating, erasing, and the link tables of fields that hold many.
//! Invariant: the cells of a record stand in the order of its entity's columns, each fitting its storage.
//! Invariant: a list is kept twice, in its column and in its link table, written together.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};

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

/// Whether a column decides what a unique index refuses.
fn is_in_unique_index(def: &EntityDef, slot: Slot) -> bool {
    def.columns.get(slot).is_some_and(|column| {
        let field = def.field(column.field);
        crate::ddl::is_unique(field) || field.name.as_str() == "deleted_at"
    })
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
    pub fn insert<R: Borrow<Cells>>(&self, def: &EntityDef, rows: &[R]) -> Result<(), Fault> {
        static NULL: Value = Value::Null;
        let columns: Vec<(&str, Storage)> = def.columns.iter().map(|column| (&*column.name, column.storage)).collect();
        let per_statement = (MAX_BINDS / columns.len().max(1)).clamp(1, 100);
        self.insert_rows(&def.table, &columns, per_statement, rows, |cells, slot| cells.borrow().get(slot).unwrap_or(&NULL))?;
        for field in def.fields.iter().filter(|field| field.link_table.is_some()) {
            let lists = rows.iter().filter_map(|cells| Some((id_of(def, cells.borrow())?, field.cells(cells.borrow()).first()?)));
            self.link(field, lists)?;
        }
        Ok(())
    }

    /// Writes what differs between records before and after.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn update(&self, def: &EntityDef, rows: &[(Cells, Cells)]) -> Result<(), Fault> {
        // What changes in the same columns is written at once where a statement costs a round trip.
        let joins = self.dialect().joins_updates();
        let mut alike: BTreeMap<Vec<Slot>, Vec<(Uuid, &Cells)>> = BTreeMap::new();
        for (before, after) in rows {
            let Some(id) = id_of(def, after) else { continue };
            let changed: Vec<Slot> = (0..def.columns.len()).filter(|slot| before.get(*slot) != after.get(*slot)).collect();
            match changed.is_empty() {
                true => {}
                false if joins && !changed.iter().any(|slot| is_in_unique_index(def, *slot)) => alike.entry(changed).or_default().push((id, after)),
                // One may take what another gives up: in the order of the rows.
                false => self.update_one(def, &changed, id, after)?,
            }
        }
        for (changed, rows) in alike {
            for chunk in rows.chunks((MAX_BINDS / (changed.len() + 1)).clamp(1, MAX_IDS)) {
                match chunk {
                    [(id, cells)] => self.update_one(def, &changed, *id, cells)?,
                    chunk => self.update_many(def, &changed, chunk)?,
                }
            }
        }
        for (before, after) in rows {
            let Some(id) = id_of(def, after) else { continue };
            for field in def.fields.iter().filter(|field| field.link_table.is_some()) {
                if field.cells(before) != field.cells(after) {
                    self.unlink(field, &[id])?;
                    self.link(field, field.cells(after).first().map(|list| (id, list)))?;
                }
            }
        }
        Ok(())
    }

    fn update_one(&self, def: &EntityDef, changed: &[Slot], id: Uuid, cells: &Cells) -> Result<(), Fault> {
        let mut sql = self.sql();
        sql.push("UPDATE ").name(&def.table).push(" SET ").list(changed, ", ", |sql, slot| {
            if let (Some(column), Some(value)) = (def.columns.get(*slot), cells.get(*slot)) {
                sql.name(&column.name).push(" = ").bind(column.storage, value.clone());
            }
        });
        sql.push(" WHERE \"id\" = ").bind(Storage::Uuid, Value::Uuid(id));
        self.execute(&sql).map(drop)
    }

    /// Writes the same columns of several records.
    fn update_many(&self, def: &EntityDef, changed: &[Slot], rows: &[(Uuid, &Cells)]) -> Result<(), Fault> {
        let mut sql = self.sql();
        sql.push("UPDATE ").name(&def.table).push(" SET ").list(changed, ", ", |sql, slot| {
            if let Some(column) = def.columns.get(*slot) {
                sql.name(&column.name).push(" = v.").name(&column.name);
            }
        });
        sql.push(" FROM (VALUES ").list(rows, ", ", |sql, (id, cells)| {
            sql.push("(").bind(Storage::Uuid, Value::Uuid(*id));
            for slot in changed {
                if let (Some(column), Some(value)) = (def.columns.get(*slot), cells.get(*slot)) {
                    sql.push(", ").bind(column.storage, value.clone());
                }
            }
            sql.push(")");
        });
        sql.push(") AS v (\"id\"").list(changed, "", |sql, slot| {
            if let Some(column) = def.columns.get(*slot) {
                sql.push(", ").name(&column.name);
            }
        });
        sql.push(") WHERE ").name(&def.table).push(".\"id\" = v.\"id\"");
        self.execute(&sql).map(drop)
    }

    /// Gives a value to every record that has none in a field.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn fill_empty(&self, def: &EntityDef, field: &str, value: &Value) -> Result<(), Fault> {
        let Some(column) = def.slot(field).and_then(|slot| def.columns.get(slot)) else { return Ok(()) };
        let mut sql = self.sql();
        sql.push("UPDATE ").name(&def.table).push(" SET ").name(&column.name).push(" = ").bind(column.storage, value.clone());
        sql.push(" WHERE ").name(&column.name).push(" IS NULL");
        self.execute(&sql).map(drop)
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

    fn link<'a>(&self, field: &FieldDef, lists: impl IntoIterator<Item = (Uuid, &'a Value)>) -> Result<(), Fault> {
        let Some(table) = &field.link_table else { return Ok(()) };
        let mut links: Vec<[Value; 2]> = Vec::new();
        for (owner, list) in lists {
            let items = list.items();
            let is_first = |(index, item): &(usize, &Value)| !items.iter().take(*index).any(|there| there == *item);
            links.extend(items.iter().enumerate().filter(is_first).map(|(_, item)| [Value::Uuid(owner), item.clone()]));
        }
        if links.is_empty() {
            return Ok(());
        }
        let columns = [("owner", Storage::Uuid), ("value", item_storage(field))];
        self.insert_rows(table, &columns, MAX_IDS, &links, |link, column| if column == 0 { &link[0] } else { &link[1] })
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
