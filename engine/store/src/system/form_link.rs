//! In charge of links by which a visitor reaches a public form about one record: their hashes, never the links.

use chrono::{DateTime, Utc};
use model::{Storage, Value};
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::{Lock, Tx};

/// Links by hash.
pub static FORM_LINK: Table = Table {
    name: "sys_form_link",
    columns: &[
        ("hash", Storage::Bytes),
        ("form", Storage::Text),
        ("record", Storage::Uuid),
        ("at", Storage::Timestamp),
        ("expires_at", Storage::Timestamp),
        ("used_at", Storage::Timestamp),
    ],
    key: &["hash"],
    indexes: &[&["record"], &["expires_at"]],
};

/// A link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormLink {
    /// The record.
    pub record: Uuid,
    /// When it ends; never where none.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last.
    pub used_at: Option<DateTime<Utc>>,
}

fn by(hash: &[u8; 32]) -> Cond<'static> {
    Cond::Eq("hash", Value::Bytes(hash[..].into()))
}

/// Keeps a new link.
///
/// # Errors
/// Where the database cannot.
pub fn put(tx: &Tx, hash: &[u8; 32], form: &str, record: Uuid, now: DateTime<Utc>, expires_at: Option<DateTime<Utc>>) -> Result<(), Fault> {
    let row = vec![
        Value::Bytes(hash[..].into()),
        Value::text(form),
        Value::Uuid(record),
        Value::Timestamp(now),
        expires_at.map_or(Value::Null, Value::Timestamp),
        Value::Null,
    ];
    tx.put(&FORM_LINK, &[row])
}

/// The link of a form with this hash, locked where it is about to be used.
///
/// # Errors
/// Where the database cannot.
pub fn get(tx: &Tx, hash: &[u8; 32], form: &str, lock: Lock) -> Result<Option<FormLink>, Fault> {
    let rows = tx.find_locked(&FORM_LINK, &[by(hash), Cond::Eq("form", Value::text(form))], &[], 1, lock)?;
    let read = |row: &Vec<Value>| {
        let [_, _, record, _, expires_at, used_at] = row.as_slice() else { return None };
        Some(FormLink { record: record.as_uuid()?, expires_at: expires_at.as_timestamp(), used_at: used_at.as_timestamp() })
    };
    Ok(rows.first().and_then(read))
}

/// Takes note that a link was used.
///
/// # Errors
/// Where the database cannot.
pub fn used(tx: &Tx, hash: &[u8; 32], now: DateTime<Utc>) -> Result<(), Fault> {
    tx.change(&FORM_LINK, &[("used_at", Value::Timestamp(now))], &[by(hash)]).map(drop)
}

/// Forgets links that ended before a moment; how many.
///
/// # Errors
/// Where the database cannot.
pub fn sweep(tx: &Tx, before: DateTime<Utc>, limit: u32) -> Result<u64, Fault> {
    let rows = tx.find(&FORM_LINK, &[Cond::Lt("expires_at", Value::Timestamp(before))], &[("expires_at", false)], limit)?;
    tx.remove(&FORM_LINK, &[Cond::In("hash", rows.iter().filter_map(|row| row.first()).cloned().collect())])
}
