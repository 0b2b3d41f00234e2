//! In charge of which processes are up: a row from the start of a process to its orderly end.
//! Invariant: a row that is there when its process starts says that the one before did not end by itself.

use chrono::{DateTime, Utc};
use model::{Storage, Value};

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::Tx;

/// Processes by the name of their worker.
pub static WORKER: Table =
    Table { name: "sys_worker", columns: &[("worker", Storage::Text), ("at", Storage::Timestamp)], key: &["worker"], indexes: &[] };

/// Takes note that a process starts; whether the one before it, or any where `alone`, broke off.
///
/// # Errors
/// Where the database cannot.
pub fn begins(tx: &Tx, worker: &str, alone: bool, now: DateTime<Utc>) -> Result<bool, Fault> {
    let left = if alone { tx.remove(&WORKER, &[])? } else { tx.remove(&WORKER, &[Cond::Eq("worker", Value::text(worker))])? };
    tx.put(&WORKER, &[vec![Value::text(worker), Value::Timestamp(now)]])?;
    Ok(left > 0)
}

/// Takes note that a process ends in order.
///
/// # Errors
/// Where the database cannot.
pub fn ends(tx: &Tx, worker: &str) -> Result<(), Fault> {
    tx.remove(&WORKER, &[Cond::Eq("worker", Value::text(worker))]).map(drop)
}
