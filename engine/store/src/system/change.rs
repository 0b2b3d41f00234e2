//! In charge of the change log: history, audit, feed and events read it.
//! Invariant: numbers are given in the order in which changes may be seen, whole transactions together, none missed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::{Storage, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::Table;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::Tx;

/// The log as it is read.
pub static CHANGE: Table = Table {
    name: "sys_change",
    columns: &[
        ("seq", Storage::Int),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("op", Storage::Text),
        ("version", Storage::Int),
        ("at", Storage::Timestamp),
        ("by", Storage::Uuid),
        ("cause", Storage::Text),
        ("change_set", Storage::Uuid),
        ("depth", Storage::Int),
        ("patch", Storage::Json),
    ],
    key: &["seq"],
    indexes: &[],
};

/// Changes that belong together.
pub static CHANGE_SET: Table = Table {
    name: "sys_change_set",
    columns: &[("id", Storage::Uuid), ("at", Storage::Timestamp), ("by", Storage::Uuid), ("label", Storage::Text), ("undone_at", Storage::Timestamp)],
    key: &["id"],
    indexes: &[],
};

/// One change as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRow {
    /// The entity's qualified name.
    pub entity: String,
    /// The record.
    pub record: Uuid,
    /// What happened.
    pub op: String,
    /// The record's version after it.
    pub version: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who; nobody where the engine did it.
    pub by: Option<Uuid>,
    /// Why.
    pub cause: String,
    /// The changes that it belongs to.
    pub change_set: Option<Uuid>,
    /// How many changes deep it was caused.
    pub depth: i64,
    /// By field: what it was and what it is.
    pub patch: Json,
}

/// A change that is to be appended: like [`ChangeRow`], with what it was and what it is as JSON text already.
#[derive(Clone, Debug)]
pub struct NewChange {
    /// The entity's qualified name.
    pub entity: Arc<str>,
    /// The record.
    pub record: Uuid,
    /// What happened.
    pub op: &'static str,
    /// The record's version after it.
    pub version: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who; nobody where the engine did it.
    pub by: Option<Uuid>,
    /// Why.
    pub cause: &'static str,
    /// The changes that it belongs to.
    pub change_set: Option<Uuid>,
    /// How many changes deep it was caused.
    pub depth: i64,
    /// By field: what it was and what it is, a JSON object.
    pub patch: String,
}

/// The statements that make the log.
pub(crate) fn create(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "CREATE TABLE \"sys_change\" (\"seq\" INTEGER PRIMARY KEY AUTOINCREMENT, \"entity\" TEXT NOT NULL, \"record\" BLOB NOT NULL, \"op\" TEXT NOT NULL,
             \"version\" INTEGER NOT NULL, \"at\" INTEGER NOT NULL, \"by\" BLOB, \"cause\" TEXT NOT NULL, \"change_set\" BLOB, \"depth\" INTEGER NOT NULL, \"patch\" TEXT NOT NULL);
             CREATE INDEX \"i_sys_change_record\" ON \"sys_change\" (\"record\", \"seq\");
             CREATE INDEX \"i_sys_change_set\" ON \"sys_change\" (\"change_set\") WHERE \"change_set\" IS NOT NULL;"
        }
        Dialect::Postgres => {
            "CREATE TABLE \"sys_change\" (\"n\" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \"tx\" bigint NOT NULL DEFAULT txid_current(), \"seq\" bigint UNIQUE,
             \"entity\" text COLLATE \"C\" NOT NULL, \"record\" uuid NOT NULL, \"op\" text NOT NULL, \"version\" bigint NOT NULL, \"at\" timestamptz NOT NULL, \"by\" uuid,
             \"cause\" text NOT NULL, \"change_set\" uuid, \"depth\" bigint NOT NULL, \"patch\" jsonb NOT NULL);
             CREATE INDEX \"i_sys_change_record\" ON \"sys_change\" (\"record\", \"seq\");
             CREATE INDEX \"i_sys_change_set\" ON \"sys_change\" (\"change_set\") WHERE \"change_set\" IS NOT NULL;
             CREATE INDEX \"i_sys_change_unnumbered\" ON \"sys_change\" (\"tx\", \"n\") WHERE \"seq\" IS NULL;"
        }
    }
}

/// Appends changes.
///
/// # Errors
/// Where the database cannot.
pub fn append(tx: &Tx, rows: Vec<NewChange>) -> Result<(), Fault> {
    tx.appends();
    let is_text = tx.dialect() == Dialect::Sqlite;
    // What is numbered later has no number yet.
    let mut columns: Vec<(&str, Storage)> = CHANGE.columns.get(1..).unwrap_or_default().to_vec();
    if let (true, Some((_, storage))) = (is_text, columns.last_mut()) {
        *storage = Storage::Text;
    }
    let mut words = Words::default();
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let id = |id: Option<Uuid>| id.map_or(Value::Null, Value::Uuid);
        let patch = if is_text {
            Value::Text(row.patch.into())
        } else {
            Value::Json(Arc::new(serde_json::from_str(&row.patch).map_err(|error| Fault::Sql(format!("a change: {error}")))?))
        };
        let (op, cause) = (words.text(row.op), words.text(row.cause));
        values.push([
            Value::Text(row.entity),
            Value::Uuid(row.record),
            op,
            Value::Int(row.version),
            Value::Timestamp(row.at),
            id(row.by),
            cause,
            id(row.change_set),
            Value::Int(row.depth),
            patch,
        ]);
    }
    tx.insert_rows(CHANGE.name, &columns, 100, &values, |row, column| row.get(column).unwrap_or(&Value::Null))
}

/// Words that come again and again, each made once.
#[derive(Default)]
struct Words(Vec<(&'static str, Arc<str>)>);

impl Words {
    fn text(&mut self, word: &'static str) -> Value {
        if let Some((_, text)) = self.0.iter().find(|(there, _)| *there == word) {
            return Value::Text(Arc::clone(text));
        }
        let text: Arc<str> = word.into();
        self.0.push((word, Arc::clone(&text)));
        Value::Text(text)
    }
}

/// A row of [`CHANGE`] as it was appended, with its number.
#[must_use]
pub fn read(row: &[Value]) -> Option<(i64, ChangeRow)> {
    let [seq, entity, record, op, version, at, by, cause, change_set, depth, patch] = row else { return None };
    let patch = match patch {
        Value::Json(json) => Json::clone(json),
        _ => Json::Null,
    };
    Some((
        seq.as_int()?,
        ChangeRow {
            entity: entity.as_text()?.to_owned(),
            record: record.as_uuid()?,
            op: op.as_text()?.to_owned(),
            version: version.as_int()?,
            at: at.as_timestamp()?,
            by: by.as_uuid(),
            cause: cause.as_text()?.to_owned(),
            change_set: change_set.as_uuid(),
            depth: depth.as_int()?,
            patch,
        },
    ))
}

/// Numbers the changes that were committed without a number. On SQLite they have theirs from the start.
///
/// # Errors
/// Where the database cannot.
pub fn number(tx: &Tx) -> Result<(), Fault> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    tx.script("SELECT pg_advisory_xact_lock(hashtext(current_schema()), 2)")?;
    tx.script(
        "WITH todo AS (SELECT n, row_number() OVER (ORDER BY last, n) AS place FROM (SELECT n, max(n) OVER (PARTITION BY tx) AS last FROM sys_change WHERE seq IS NULL) AS fresh),
              top AS (SELECT coalesce(max(seq), 0) AS seq FROM sys_change)
         UPDATE sys_change SET seq = top.seq + todo.place FROM todo, top WHERE sys_change.n = todo.n",
    )
}

impl Tx {
    /// When the newest change was made; none where there is none.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn newest_moment(&self) -> Result<Option<DateTime<Utc>>, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT max(\"at\") FROM \"sys_change\"");
        let rows = self.query(&sql, &[Decode::Plain(Storage::Timestamp)])?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_timestamp))
    }

    /// The number of the newest change.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn newest_change(&self) -> Result<i64, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT max(\"seq\") FROM \"sys_change\"");
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default())
    }
}
