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

/// A record that enters a stage, or none.
#[derive(Clone, Copy, Debug)]
pub struct Entering<'a> {
    /// The id of the new stay.
    pub id: Uuid,
    /// The record's entity.
    pub entity: &'a str,
    /// The record.
    pub record: Uuid,
    /// Its stage field.
    pub field: &'a str,
    /// The stage; none where the record has none any more.
    pub stage: Option<&'a str>,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: Option<Uuid>,
}

/// Ends the open stay of a record, and begins the next.
///
/// # Errors
/// Where the database cannot.
pub fn enter(tx: &Tx, entering: Entering<'_>) -> Result<(), Fault> {
    let Entering { id, entity, record, field, stage, at, by } = entering;
    let open = [Cond::Eq("record", Value::Uuid(record)), Cond::Eq("field", Value::text(field)), Cond::Empty("left_at")];
    tx.change(&STAY, &[("left_at", Value::Timestamp(at))], &open)?;
    let Some(stage) = stage else { return Ok(()) };
    let row = vec![
        Value::Uuid(id),
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
