//! In charge of deeds over many records: bulk edits, merges, and taking a change set back.
//! Reading order: `bulk`, `merge`, `undo`; `steps` is what those share that go on behind a request.
//! Invariant: whatever is done to many records at once is one change set, and can be taken back as one.
//! Invariant: each record goes through the one write path, with the rights of the person who asked.

pub(crate) mod bulk;
mod merge;
mod steps;
pub(crate) mod undo;

use model::Value;
use store::Tx;
use store::system::change::CHANGE_SET;
use uuid::Uuid;

pub use bulk::{BulkRequest, Deed};
pub use merge::{MergeRequest, Merged};

use crate::ctx::Ctx;
use crate::error::Error;

/// Notes a change set.
pub(crate) fn begin(cx: &Ctx, tx: &Tx, id: Uuid, label: &str) -> Result<(), Error> {
    let by = cx.caller.user().map_or(Value::Null, Value::Uuid);
    Ok(tx.put_over(&CHANGE_SET, vec![Value::Uuid(id), Value::Timestamp(cx.now), by, Value::text(label), Value::Null])?)
}
