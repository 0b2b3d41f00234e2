//! In charge of timers: what is to be done at a moment, kept until it was done.
//! Invariant: a timer goes in the transaction that did what it is for; a crash before that leaves it, a crash after it finds it gone.
//! Invariant: several processes share the timers: a row that one is working on is passed over by the others.

use chrono::{DateTime, Utc};
use model::{Storage, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::{Lock, Tx};

/// Timers by id.
pub static TIMER: Table = Table {
    name: "sys_timer",
    columns: &[
        ("id", Storage::Uuid),
        ("kind", Storage::Text),
        ("key", Storage::Text),
        ("subject", Storage::Uuid),
        ("due_at", Storage::Timestamp),
        ("visible_at", Storage::Timestamp),
        ("tries", Storage::Int),
        ("body", Storage::Json),
    ],
    key: &["id"],
    indexes: &[&["visible_at"], &["key"], &["subject"]],
};

/// One timer.
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    /// Its id.
    pub id: Uuid,
    /// What it is for: who acts when it is due.
    pub kind: String,
    /// A name of its own: setting a timer of the same key replaces it.
    pub key: Option<String>,
    /// What it belongs to: an instance, a record. All of it are dropped together.
    pub subject: Option<Uuid>,
    /// When.
    pub due_at: DateTime<Utc>,
    /// How often it was tried in vain.
    pub tries: i64,
    /// What whoever acts needs to know.
    pub body: Json,
}

impl Timer {
    fn row(&self) -> Vec<Value> {
        vec![
            Value::Uuid(self.id),
            Value::text(&self.kind),
            self.key.as_deref().map_or(Value::Null, Value::text),
            self.subject.map_or(Value::Null, Value::Uuid),
            Value::Timestamp(self.due_at),
            Value::Timestamp(self.due_at),
            Value::Int(self.tries),
            Value::Json(std::sync::Arc::new(self.body.clone())),
        ]
    }

    fn read(row: &[Value]) -> Option<Self> {
        let [id, kind, key, subject, due_at, _, tries, body] = row else { return None };
        Some(Self {
            id: id.as_uuid()?,
            kind: kind.as_text()?.to_owned(),
            key: key.as_text().map(str::to_owned),
            subject: subject.as_uuid(),
            due_at: due_at.as_timestamp()?,
            tries: tries.as_int()?,
            body: super::json_of(body),
        })
    }
}

/// Sets timers; one that has a key takes the place of the one with that key.
///
/// # Errors
/// Where the database cannot.
pub fn set(tx: &Tx, timers: &[Timer]) -> Result<(), Fault> {
    if timers.is_empty() {
        return Ok(());
    }
    let keys: Vec<Value> = timers.iter().filter_map(|timer| timer.key.as_deref()).map(Value::text).collect();
    if !keys.is_empty() {
        tx.remove(&TIMER, &[Cond::In("key", keys)])?;
    }
    tx.put(&TIMER, &timers.iter().map(Timer::row).collect::<Vec<_>>())?;
    tx.stir();
    Ok(())
}

/// Drops the timer of a key; whether there was one.
///
/// # Errors
/// Where the database cannot.
pub fn drop_key(tx: &Tx, key: &str) -> Result<bool, Fault> {
    Ok(tx.remove(&TIMER, &[Cond::Eq("key", Value::text(key))])? > 0)
}

/// Drops all timers of a subject.
///
/// # Errors
/// Where the database cannot.
pub fn drop_of(tx: &Tx, subject: Uuid) -> Result<(), Fault> {
    tx.remove(&TIMER, &[Cond::Eq("subject", Value::Uuid(subject))]).map(drop)
}

/// The timer of a key.
///
/// # Errors
/// Where the database cannot.
pub fn of_key(tx: &Tx, key: &str) -> Result<Option<Timer>, Fault> {
    let rows = tx.find(&TIMER, &[Cond::Eq("key", Value::text(key))], &[], 1)?;
    Ok(rows.first().and_then(|row| Timer::read(row)))
}

/// Timers that are due, the earliest first, locked until the transaction ends.
///
/// # Errors
/// Where the database cannot.
pub fn due(tx: &Tx, now: DateTime<Utc>, limit: u32) -> Result<Vec<Timer>, Fault> {
    let upto = now + chrono::Duration::microseconds(1);
    let rows =
        tx.find_locked(&TIMER, &[Cond::Lt("visible_at", Value::Timestamp(upto))], &[("visible_at", false), ("id", false)], limit, Lock::Free)?;
    Ok(rows.iter().filter_map(|row| Timer::read(row)).collect())
}

/// Removes timers that were done.
///
/// # Errors
/// Where the database cannot.
pub fn done(tx: &Tx, ids: &[Uuid]) -> Result<(), Fault> {
    tx.remove(&TIMER, &[Cond::In("id", ids.iter().copied().map(Value::Uuid).collect())]).map(drop)
}

/// Puts a timer off that could not be done.
///
/// # Errors
/// Where the database cannot.
pub fn put_off(tx: &Tx, id: Uuid, until: DateTime<Utc>, tries: i64) -> Result<(), Fault> {
    let set = [("visible_at", Value::Timestamp(until)), ("tries", Value::Int(tries))];
    tx.change(&TIMER, &set, &[Cond::Eq("id", Value::Uuid(id))]).map(drop)
}

/// When the next timer is due.
///
/// # Errors
/// Where the database cannot.
pub fn earliest(tx: &Tx) -> Result<Option<DateTime<Utc>>, Fault> {
    let rows = tx.find(&TIMER, &[], &[("visible_at", false)], 1)?;
    Ok(rows.first().and_then(|row| row.get(5)).and_then(Value::as_timestamp))
}
