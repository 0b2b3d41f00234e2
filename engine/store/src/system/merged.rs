//! In charge of where merged records lead.

use model::Storage;

use super::Table;

/// By record that went: the one that stayed.
pub static MERGED: Table = Table {
    name: "sys_merged",
    columns: &[("record", Storage::Uuid), ("into", Storage::Uuid), ("at", Storage::Timestamp)],
    key: &["record"],
    indexes: &[],
};
