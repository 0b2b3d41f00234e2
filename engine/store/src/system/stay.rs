//! In charge of stays: how long a record was in which stage.
//! Invariant: of each record and stage field at most one stay is open.

use chrono::{DateTime, Utc};
use model::{Storage, Value};
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::Tx;

/// Stays by record.
pub static STAY: Table = Table {
    name: "sys_stay",
    columns: &[
        ("id", Storage::Uuid),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("field", Storage::Text),
        ("stage", Storage::Text),
        ("entered_at", Storage::Timestamp),
        ("entered_by", Storage::Uuid),
        ("left_at", Storage::Timestamp),
    ],
    key: &["id"],
    indexes: &[&["record", "field"], &["entity", "stage"]],
};

/// Ends the open stay of a record, and begins one in `stage`.
///
/// # Errors
/// Where the database cannot.
pub fn enter(tx: &Tx, entity: &str, record: Uuid, field: &str, stage: Option<&str>, at: DateTime<Utc>, by: Option<Uuid>) -> Result<(), Fault> {
    let open = [Cond::Eq("record", Value::Uuid(record)), Cond::Eq("field", Value::text(field)), Cond::Empty("left_at")];
    tx.change(&STAY, &[("left_at", Value::Timestamp(at))], &open)?;
    let Some(stage) = stage else { return Ok(()) };
    let row = vec![
        Value::Uuid(Uuid::now_v7()),
        Value::text(entity),
        Value::Uuid(record),
        Value::text(field),
        Value::text(stage),
        Value::Timestamp(at),
        by.map_or(Value::Null, Value::Uuid),
        Value::Null,
    ];
    tx.put(&STAY, &[row])
}
