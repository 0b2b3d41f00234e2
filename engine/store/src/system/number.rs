//! In charge of the counters of autonumbers.
//! Invariant: a number is given once; creates queue behind each other only where gaps are forbidden.

use model::{Storage, Value};

use super::Table;
use crate::fault::Fault;
use crate::sql::{Decode, Sql};
use crate::tx::Tx;

/// The last number by key.
pub static NUMBER: Table = Table { name: "sys_number", columns: &[("key", Storage::Text), ("last", Storage::Int)], key: &["key"], indexes: &[] };

impl Tx {
    /// The next number of a counter, from 1. Who asks next waits until this transaction ends, so that none is missing.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn next_number(&self, key: &str) -> Result<i64, Fault> {
        self.query(&self.drawing(key), &[Decode::Plain(Storage::Int)]).map(drawn)
    }

    /// The next number of a counter, from 1. Nobody waits for it: a transaction that fails leaves a gap.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn next_number_apart(&self, key: &str) -> Result<i64, Fault> {
        self.query_apart(&self.drawing(key), &[Decode::Plain(Storage::Int)]).map(drawn)
    }

    fn drawing(&self, key: &str) -> Sql {
        let mut sql = self.sql();
        sql.push("INSERT INTO \"sys_number\" (\"key\", \"last\") VALUES (").bind(Storage::Text, Value::text(key)).push(", ");
        sql.bind(Storage::Int, Value::Int(1)).push(") ON CONFLICT (\"key\") DO UPDATE SET \"last\" = \"sys_number\".\"last\" + 1 RETURNING \"last\"");
        sql
    }
}

fn drawn(rows: Vec<Vec<Value>>) -> i64 {
    rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or(1)
}
