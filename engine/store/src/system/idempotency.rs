//! In charge of idempotency keys: what a request that is sent again is answered.
//! Invariant: written in the transaction of the request, so that both are there or neither.

use model::Storage;

use super::Table;

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
