//! In charge of revisions: the documents that were published, the pointer to the current one, settings.
//! Invariant: a revision never changes; the pointer moves in the transaction that switches.

use model::{Storage, Value};

use super::{Cond, Table};
use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::Tx;

/// Which revision is current: one row.
pub static POINTER: Table = Table { name: "sys_pointer", columns: &[("one", Storage::Int), ("revision", Storage::Int)], key: &["one"], indexes: &[] };

/// Published documents.
pub static REVISION: Table = Table {
    name: "sys_revision",
    columns: &[
        ("number", Storage::Int),
        ("at", Storage::Timestamp),
        ("by", Storage::Uuid),
        ("note", Storage::Text),
        ("apps", Storage::Json),
        ("layout", Storage::Json),
    ],
    key: &["number"],
    indexes: &[],
};

/// A publish that is under way, or was left unfinished: what it added that no revision uses yet.
pub static PUBLISHING: Table = Table {
    name: "sys_publishing",
    columns: &[("id", Storage::Uuid), ("at", Storage::Timestamp), ("note", Storage::Text), ("added", Storage::Json)],
    key: &["id"],
    indexes: &[],
};

/// Values of settings.
pub static SETTING: Table = Table {
    name: "sys_setting",
    columns: &[("app", Storage::Text), ("name", Storage::Text), ("value", Storage::Json)],
    key: &["app", "name"],
    indexes: &[],
};

impl Tx {
    /// The current revision's number; 0 before the first.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn revision(&self) -> Result<i64, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT \"revision\" FROM \"sys_pointer\" WHERE \"one\" = ").bind(Storage::Int, Value::Int(1));
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default())
    }

    /// Moves the pointer.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn switch_to(&self, revision: i64) -> Result<(), Fault> {
        let moved = self.change(&POINTER, &[("revision", Value::Int(revision))], &[Cond::Eq("one", Value::Int(1))])?;
        if moved == 0 { self.put(&POINTER, &[vec![Value::Int(1), Value::Int(revision)]]) } else { Ok(()) }
    }

    /// Holds a switch off until the transaction ends, or with `exclusive` the writers until the switch is done.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn lock_revision(&self, exclusive: bool) -> Result<(), Fault> {
        match (self.dialect(), exclusive) {
            (crate::dialect::Dialect::Sqlite, _) => Ok(()),
            (crate::dialect::Dialect::Postgres, true) => self.script("SELECT pg_advisory_xact_lock(hashtext(current_schema()), 1)"),
            (crate::dialect::Dialect::Postgres, false) => self.script("SELECT pg_advisory_xact_lock_shared(hashtext(current_schema()), 1)"),
        }
    }
}
