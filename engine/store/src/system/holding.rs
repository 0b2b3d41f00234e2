//! In charge of who held which record: of entities with public pools, every owner with from when and until when.
//! Invariant: of each record at most one holding is open.

use chrono::{DateTime, Utc};
use model::{Storage, Value};
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::Tx;

/// Holdings by record.
pub static HOLDING: Table = Table {
    name: "sys_holding",
    columns: &[
        ("id", Storage::Uuid),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("owner", Storage::Uuid),
        ("since", Storage::Timestamp),
        ("until", Storage::Timestamp),
        ("pool", Storage::Text),
        ("protected_until", Storage::Timestamp),
    ],
    key: &["id"],
    indexes: &[&["record"], &["owner", "since"]],
};

/// A record that comes into other hands.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The id of the new holding.
    pub id: Uuid,
    /// The record's entity.
    pub entity: &'a str,
    /// The record.
    pub record: Uuid,
    /// Who had it, and since when.
    pub from: Option<(Uuid, DateTime<Utc>)>,
    /// Who has it now.
    pub to: Option<Uuid>,
    /// When.
    pub at: DateTime<Utc>,
}

fn row(passing: &Passing<'_>, owner: Uuid, since: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Vec<Value> {
    vec![
        Value::Uuid(passing.id),
        Value::text(passing.entity),
        Value::Uuid(passing.record),
        Value::Uuid(owner),
        Value::Timestamp(since),
        until.map_or(Value::Null, Value::Timestamp),
        Value::Null,
        Value::Null,
    ]
}

/// Ends the open holding of a record, and begins the next; what was held before it was kept here is kept, too. `spare` is the id
/// for that.
///
/// # Errors
/// Where the database cannot.
pub fn pass(tx: &Tx, passing: Passing<'_>, spare: Uuid) -> Result<(), Fault> {
    let open = [Cond::Eq("record", Value::Uuid(passing.record)), Cond::Empty("until")];
    let set = [("until", Value::Timestamp(passing.at)), ("protected_until", Value::Null)];
    let ended = tx.change(&HOLDING, &set, &open)?;
    if let (0, Some((owner, since))) = (ended, passing.from) {
        tx.put(&HOLDING, &[row(&Passing { id: spare, ..passing }, owner, since, Some(passing.at))])?;
    }
    match passing.to {
        Some(owner) => tx.put(&HOLDING, &[row(&passing, owner, passing.at, None)]),
        None => Ok(()),
    }
}

/// Notes that the open holding of a record came by a claim.
///
/// # Errors
/// Where the database cannot.
pub fn claimed(tx: &Tx, record: Uuid, pool: &str) -> Result<(), Fault> {
    let open = [Cond::Eq("record", Value::Uuid(record)), Cond::Empty("until")];
    tx.change(&HOLDING, &[("pool", Value::text(pool))], &open).map(drop)
}

/// How often a person claimed from a pool since a moment, counted up to `most`.
///
/// # Errors
/// Where the database cannot.
pub fn claims_since(tx: &Tx, owner: Uuid, pool: &str, since: DateTime<Utc>, most: u32) -> Result<usize, Fault> {
    let from = since - chrono::Duration::microseconds(1);
    let fit = [Cond::Eq("owner", Value::Uuid(owner)), Cond::Gt("since", Value::Timestamp(from)), Cond::Eq("pool", Value::text(pool))];
    Ok(tx.find(&HOLDING, &fit, &[], most)?.len())
}

/// When a person last lost a record.
///
/// # Errors
/// Where the database cannot.
pub fn lost_at(tx: &Tx, record: Uuid, owner: Uuid) -> Result<Option<DateTime<Utc>>, Fault> {
    let fit = [Cond::Eq("record", Value::Uuid(record)), Cond::Eq("owner", Value::Uuid(owner)), Cond::Set("until")];
    let rows = tx.find(&HOLDING, &fit, &[("until", true)], 1)?;
    Ok(rows.first().and_then(|row| row.get(5)).and_then(Value::as_timestamp))
}

/// Until when the owner of a record keeps it from coming back.
///
/// # Errors
/// Where the database cannot.
pub fn protected_until(tx: &Tx, record: Uuid) -> Result<Option<DateTime<Utc>>, Fault> {
    let open = [Cond::Eq("record", Value::Uuid(record)), Cond::Empty("until")];
    let rows = tx.find(&HOLDING, &open, &[], 1)?;
    Ok(rows.first().and_then(|row| row.get(7)).and_then(Value::as_timestamp))
}

/// Keeps a record from coming back, or no longer.
///
/// # Errors
/// Where the database cannot.
pub fn protect(tx: &Tx, holding: Passing<'_>, until: Option<DateTime<Utc>>) -> Result<(), Fault> {
    let open = [Cond::Eq("record", Value::Uuid(holding.record)), Cond::Empty("until")];
    let set = ("protected_until", until.map_or(Value::Null, Value::Timestamp));
    if tx.change(&HOLDING, std::slice::from_ref(&set), &open)? > 0 {
        return Ok(());
    }
    let (Some((owner, since)), Some(_)) = (holding.from, until) else { return Ok(()) };
    tx.put(&HOLDING, &[row(&holding, owner, since, None)])?;
    tx.change(&HOLDING, &[set], &open).map(drop)
}

/// How many records of an entity a person keeps from coming back at a moment.
///
/// # Errors
/// Where the database cannot.
pub fn protected_by(tx: &Tx, owner: Uuid, entity: &str, now: DateTime<Utc>, most: u32) -> Result<usize, Fault> {
    let fit = [
        Cond::Eq("owner", Value::Uuid(owner)),
        Cond::Eq("entity", Value::text(entity)),
        Cond::Empty("until"),
        Cond::Gt("protected_until", Value::Timestamp(now)),
    ];
    Ok(tx.find(&HOLDING, &fit, &[], most)?.len())
}
