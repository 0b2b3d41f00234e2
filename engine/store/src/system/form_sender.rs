//! In charge of how often one sender sent one public form within an hour, for all servers of a workspace.
//! Invariant: who sends is counted under a lock, so that several servers count as one.

use chrono::{DateTime, Duration, Utc};
use model::{Storage, Value};

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::Tx;

/// Senders by form; a sender is an address, or the network of one.
pub static FORM_SENDER: Table = Table {
    name: "sys_form_sender",
    columns: &[("form", Storage::Text), ("sender", Storage::Text), ("since", Storage::Timestamp), ("count", Storage::Int)],
    key: &["form", "sender"],
    indexes: &[&["since"]],
};

/// Counts one more sending; where there were `most` since an hour ago already, it is not counted, and this is when they end.
///
/// # Errors
/// Where the database cannot.
pub fn count(tx: &Tx, form: &str, sender: &str, most: u32, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Fault> {
    tx.lock_key(&format!("form:{form}:{sender}"))?;
    let fit = [Cond::Eq("form", Value::text(form)), Cond::Eq("sender", Value::text(sender))];
    let there = tx.find(&FORM_SENDER, &fit, &[], 1)?.pop();
    let counted = there.as_deref().and_then(|row| match row {
        [_, _, since, count] => Some((since.as_timestamp()?, count.as_int()?)),
        _ => None,
    });
    // A machine's clock that was set back does not lock anybody out.
    let (since, count) = counted.filter(|(since, _)| (Duration::zero()..Duration::hours(1)).contains(&(now - *since))).unwrap_or((now, 0));
    if count >= i64::from(most) {
        return Ok(Some(since + Duration::hours(1)));
    }
    tx.put_over(&FORM_SENDER, vec![Value::text(form), Value::text(sender), Value::Timestamp(since), Value::Int(count + 1)])?;
    Ok(None)
}

/// Forgets some of those who sent before a moment; how many.
///
/// # Errors
/// Where the database cannot.
pub fn sweep(tx: &Tx, before: DateTime<Utc>, most: u32) -> Result<u64, Fault> {
    let old = tx.find(&FORM_SENDER, &[Cond::Lt("since", Value::Timestamp(before))], &[], most)?;
    for row in &old {
        if let [form, sender, ..] = row.as_slice() {
            tx.remove(&FORM_SENDER, &[Cond::Eq("form", form.clone()), Cond::Eq("sender", sender.clone())])?;
        }
    }
    Ok(u64::try_from(old.len()).unwrap_or_default())
}
