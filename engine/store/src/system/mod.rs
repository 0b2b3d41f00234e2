//! In charge of the workspace's own tables: what is not a record.
//! Reading order: `Table` (a declaration), `migrate` (the tables as the program declares them), then one file per table.
//! Invariant: a row's values stand in the order of its table's columns.

use model::{Storage, Value};

use crate::fault::Fault;
use crate::sql::{Decode, Sql};
use crate::tx::{Lock, Tx};

pub mod access;
pub mod approval;
pub mod change;
pub mod conversion;
pub mod file;
pub mod follower;
pub mod form_link;
pub mod form_sender;
pub mod holding;
pub mod idempotency;
pub mod job;
pub mod member;
pub mod merged;
mod migrate;
pub mod number;
pub mod outbox;
pub mod personal;
pub mod revision;
pub mod run;
pub mod stay;
pub mod timer;
pub mod worker;

pub(crate) use migrate::migrate;

/// One of the workspace's own tables.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in the order of rows.
    pub columns: &'static [(&'static str, Storage)],
    /// The columns of its key.
    pub key: &'static [&'static str],
    /// Further indexes.
    pub indexes: &'static [&'static [&'static str]],
}

/// One condition on a column; closed.
#[derive(Clone, Debug)]
pub enum Cond<'a> {
    /// It is this.
    Eq(&'a str, Value),
    /// It is one of these.
    In(&'a str, Vec<Value>),
    /// It is less.
    Lt(&'a str, Value),
    /// It is more.
    Gt(&'a str, Value),
    /// It is empty.
    Empty(&'a str),
    /// It is not empty.
    Set(&'a str),
}

/// An order: a column, and whether it falls.
pub type Order<'a> = (&'a str, bool);

impl Table {
    fn storage(&self, name: &str) -> Storage {
        self.columns.iter().find(|(there, _)| *there == name).map_or(Storage::Text, |(_, storage)| *storage)
    }

    fn decodes(&self) -> Vec<Decode> {
        self.columns.iter().map(|(_, storage)| Decode::Plain(*storage)).collect()
    }
}

/// The JSON that a cell holds.
pub(crate) fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Json(json) => serde_json::Value::clone(json),
        _ => serde_json::Value::Null,
    }
}

fn conditions(sql: &mut Sql, table: &Table, conditions: &[Cond<'_>]) {
    sql.push(" WHERE 1 = 1");
    for condition in conditions {
        sql.push(" AND ");
        match condition {
            Cond::Eq(name, value) => sql.name(name).push(" = ").bind(table.storage(name), value.clone()),
            Cond::Lt(name, value) => sql.name(name).push(" < ").bind(table.storage(name), value.clone()),
            Cond::Gt(name, value) => sql.name(name).push(" > ").bind(table.storage(name), value.clone()),
            Cond::Empty(name) => sql.name(name).push(" IS NULL"),
            Cond::Set(name) => sql.name(name).push(" IS NOT NULL"),
            Cond::In(_, values) if values.is_empty() => sql.push("1 = 0"),
            Cond::In(name, values) => {
                let storage = table.storage(name);
                sql.name(name).push(" IN (").list(values, ", ", |sql, value| {
                    sql.bind(storage, value.clone());
                });
                sql.push(")")
            }
        };
    }
}

impl Tx {
    /// Inserts rows; values stand in the order of the table's columns.
    ///
    /// # Errors
    /// Where the key is taken, or the database cannot.
    pub fn put(&self, table: &Table, rows: &[Vec<Value>]) -> Result<(), Fault> {
        self.insert_rows(table.name, table.columns, 100, rows, |row, column| row.get(column).unwrap_or(&Value::Null))
    }

    /// Inserts a row, or puts it in the place of the one with its key.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn put_over(&self, table: &Table, row: Vec<Value>) -> Result<(), Fault> {
        let mut sql = self.inserting(table, &[row]);
        let others: Vec<&str> = table.columns.iter().map(|(name, _)| *name).filter(|name| !table.key.contains(name)).collect();
        self.dialect().upsert(&mut sql, table.key, &others);
        self.execute(&sql).map(drop)
    }

    fn inserting(&self, table: &Table, rows: &[Vec<Value>]) -> Sql {
        let mut sql = self.sql();
        sql.push("INSERT INTO ").name(table.name).push(" (").list(table.columns, ", ", |sql, (name, _)| {
            sql.name(name);
        });
        sql.push(") VALUES ").list(rows, ", ", |sql, row| {
            sql.push("(").list(table.columns.iter().zip(row), ", ", |sql, ((_, storage), value)| {
                sql.bind(*storage, value.clone());
            });
            sql.push(")");
        });
        sql
    }

    /// The rows that fit, at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn find(&self, table: &Table, fit: &[Cond<'_>], order: &[Order<'_>], limit: u32) -> Result<Vec<Vec<Value>>, Fault> {
        self.find_locked(table, fit, order, limit, Lock::None)
    }

    /// The rows that fit, at most `limit`, locked until the transaction ends.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn find_locked(&self, table: &Table, fit: &[Cond<'_>], order: &[Order<'_>], limit: u32, lock: Lock) -> Result<Vec<Vec<Value>>, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT ").list(table.columns, ", ", |sql, (name, _)| {
            sql.name(name);
        });
        sql.push(" FROM ").name(table.name);
        conditions(&mut sql, table, fit);
        if !order.is_empty() {
            let dialect = self.dialect();
            sql.push(" ORDER BY ").list(order, ", ", |sql, (name, falls)| {
                sql.name(name).push(dialect.direction(*falls));
            });
        }
        sql.push(" LIMIT ").bind(Storage::Int, Value::Int(i64::from(limit)));
        sql.push(self.dialect().lock(lock));
        self.query(&sql, &table.decodes())
    }

    /// How many rows fit.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn how_many(&self, table: &Table, fit: &[Cond<'_>]) -> Result<u64, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT count(*) FROM ").name(table.name);
        conditions(&mut sql, table, fit);
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        let count = rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Sets columns of the rows that fit; how many there were.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn change(&self, table: &Table, set: &[(&str, Value)], fit: &[Cond<'_>]) -> Result<u64, Fault> {
        let mut sql = self.sql();
        sql.push("UPDATE ").name(table.name).push(" SET ").list(set, ", ", |sql, (name, value)| {
            sql.name(name).push(" = ").bind(table.storage(name), value.clone());
        });
        conditions(&mut sql, table, fit);
        self.execute(&sql)
    }

    /// Removes the rows that fit; how many there were.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn remove(&self, table: &Table, fit: &[Cond<'_>]) -> Result<u64, Fault> {
        let mut sql = self.sql();
        sql.push("DELETE FROM ").name(table.name);
        conditions(&mut sql, table, fit);
        self.execute(&sql)
    }
}

/// What PostgreSQL knows of its own damages: pages whose checksum was wrong, indexes that cannot be used.
pub(crate) fn damages(tx: &Tx) -> Result<Vec<String>, Fault> {
    let mut sql = tx.sql();
    sql.push(
        "SELECT CAST(checksum_failures AS text) || ' pages with a wrong checksum' FROM pg_stat_database
         WHERE datname = current_database() AND checksum_failures > 0
         UNION ALL SELECT 'the index ' || CAST(c.relname AS text) || ' cannot be used' FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
         WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND NOT i.indisvalid",
    );
    let rows = tx.query(&sql, &[Decode::Plain(Storage::Text)])?;
    Ok(rows.into_iter().filter_map(|row| row.first().and_then(Value::as_text).map(str::to_owned)).collect())
}
