//! In charge of trees: what is above and below a record.
//! Invariant: ends also on a ring, which data may hold until `doctor` mends it.

use model::{EntityDef, FieldId, Storage, Value};
use uuid::Uuid;

use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::Tx;

impl Tx {
    /// The record and all above it, by the tree's field of the parent.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn ancestors(&self, def: &EntityDef, parent: FieldId, id: Uuid) -> Result<Vec<Uuid>, Fault> {
        self.walk(def, parent, id, true)
    }

    /// The record and all below it.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn descendants(&self, def: &EntityDef, parent: FieldId, id: Uuid) -> Result<Vec<Uuid>, Fault> {
        self.walk(def, parent, id, false)
    }

    fn walk(&self, def: &EntityDef, parent: FieldId, id: Uuid, up: bool) -> Result<Vec<Uuid>, Fault> {
        let Some(column) = def.field(parent).slot().and_then(|slot| def.columns.get(slot)) else { return Ok(vec![id]) };
        let mut sql = self.sql();
        sql.push("WITH RECURSIVE walk(\"id\") AS (SELECT ").bind(Storage::Uuid, Value::Uuid(id)).push(" UNION SELECT ");
        if up {
            sql.column("t", &column.name).push(" FROM ").name(&def.table).push(" t JOIN walk ON t.\"id\" = walk.\"id\" WHERE ");
            sql.column("t", &column.name).push(" IS NOT NULL");
        } else {
            sql.push("t.\"id\" FROM ").name(&def.table).push(" t JOIN walk ON ").column("t", &column.name).push(" = walk.\"id\"");
        }
        sql.push(") SELECT \"id\" FROM walk");
        let rows = self.query(&sql, &[Decode::Plain(Storage::Uuid)])?;
        Ok(rows.into_iter().filter_map(|row| row.first().and_then(Value::as_uuid)).collect())
    }
}
