//! In charge of idempotency keys: what a request that is sent again is answered.
//! Invariant: written in the transaction of the request, so that both are there or neither.

use chrono::{DateTime, Utc};
use model::{Storage, Value};

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::Tx;

/// Answers by caller, route and key.
pub static IDEMPOTENCY: Table = Table {
    name: "sys_idempotency",
    columns: &[
        ("caller", Storage::Text),
        ("route", Storage::Text),
        ("key", Storage::Text),
        ("body", Storage::Bytes),
        ("answer", Storage::Json),
        ("at", Storage::Timestamp),
    ],
    key: &["caller", "route", "key"],
    indexes: &[&["at"]],
};

/// Forgets answers of before `before`; how many.
///
/// # Errors
/// Where the database cannot.
pub fn sweep(tx: &Tx, before: DateTime<Utc>, limit: u32) -> Result<u64, Fault> {
    let rows = tx.find(&IDEMPOTENCY, &[Cond::Lt("at", Value::Timestamp(before))], &[("at", false)], limit)?;
    let mut swept = 0;
    for row in &rows {
        let [caller, route, key, ..] = row.as_slice() else { continue };
        swept += tx.remove(&IDEMPOTENCY, &[Cond::Eq("caller", caller.clone()), Cond::Eq("route", route.clone()), Cond::Eq("key", key.clone())])?;
    }
    Ok(swept)
}
