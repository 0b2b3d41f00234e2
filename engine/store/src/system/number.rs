//! In charge of the counters of autonumbers.
//! Invariant: a number is given once.

use model::{Storage, Value};

use super::Table;
use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::Tx;

/// The last number by key.
pub static NUMBER: Table = Table { name: "sys_number", columns: &[("key", Storage::Text), ("last", Storage::Int)], key: &["key"], indexes: &[] };

impl Tx {
    /// The next number of a counter, from 1.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn next_number(&self, key: &str) -> Result<i64, Fault> {
        let mut sql = self.sql();
        sql.push("INSERT INTO \"sys_number\" (\"key\", \"last\") VALUES (").bind(Storage::Text, Value::text(key)).push(", ");
        sql.bind(Storage::Int, Value::Int(1)).push(") ON CONFLICT (\"key\") DO UPDATE SET \"last\" = \"sys_number\".\"last\" + 1 RETURNING \"last\"");
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or(1))
    }
}
