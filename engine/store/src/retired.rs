//! In charge of columns that no schema names any more: what rests in them is sealed anew or emptied.
//! Invariant: a page at a time, by id, so that no writer waits for long.

use model::{Storage, Value};
use uuid::Uuid;

use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::Tx;

impl Tx {
    /// Empties columns of the records behind `after`, `limit` at once; the last of them, where there may be more.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn empty_retired(&self, table: &str, columns: &[String], after: Option<Uuid>, limit: u32) -> Result<Option<Uuid>, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT \"id\" FROM ").name(table);
        if let Some(after) = after {
            sql.push(" WHERE \"id\" > ").bind(Storage::Uuid, Value::Uuid(after));
        }
        sql.push(&format!(" ORDER BY \"id\" LIMIT {limit}"));
        let ids: Vec<Uuid> = self.query(&sql, &[Decode::Plain(Storage::Uuid)])?.iter().filter_map(|row| row.first()?.as_uuid()).collect();
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(None) };
        let mut sql = self.sql();
        sql.push("UPDATE ").name(table).push(" SET ").list(columns, ", ", |sql, name| {
            sql.name(name).push(" = NULL");
        });
        sql.push(" WHERE \"id\" >= ").bind(Storage::Uuid, Value::Uuid(*first)).push(" AND \"id\" <= ").bind(Storage::Uuid, Value::Uuid(*last));
        sql.push(" AND (").list(columns, " OR ", |sql, name| {
            sql.name(name).push(" IS NOT NULL");
        });
        sql.push(")");
        self.execute(&sql)?;
        Ok((ids.len() >= limit as usize).then_some(*last))
    }

    /// What rests in a column, by record, in their order behind `after`.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn retired_cells(&self, table: &str, column: &str, storage: Storage, after: Option<Uuid>, limit: u32) -> Result<Vec<(Uuid, Value)>, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT \"id\", ").name(column).push(" FROM ").name(table).push(" WHERE ").name(column).push(" IS NOT NULL");
        if let Some(after) = after {
            sql.push(" AND \"id\" > ").bind(Storage::Uuid, Value::Uuid(after));
        }
        sql.push(&format!(" ORDER BY \"id\" LIMIT {limit}"));
        let rows = self.query(&sql, &[Decode::Plain(Storage::Uuid), Decode::Plain(storage)])?;
        Ok(rows.into_iter().filter_map(|mut row| Some((row.first()?.as_uuid()?, row.pop()?))).collect())
    }

    /// Puts something sealed into a column of a record.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn put_sealed(&self, table: &str, column: &str, id: Uuid, sealed: Value) -> Result<(), Fault> {
        let mut sql = self.sql();
        sql.push("UPDATE ").name(table).push(" SET ").name(column).push(" = ").bind(Storage::Bytes, sealed);
        sql.push(" WHERE \"id\" = ").bind(Storage::Uuid, Value::Uuid(id));
        self.execute(&sql).map(drop)
    }
}
