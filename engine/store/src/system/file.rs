//! In charge of what is known of stored files; their bytes lie in the file store, by content hash.

use model::Storage;

use super::Table;

/// Files by id.
pub static FILE: Table = Table {
    name: "sys_file",
    columns: &[
        ("id", Storage::Uuid),
        ("hash", Storage::Bytes),
        ("name", Storage::Text),
        ("type", Storage::Text),
        ("size", Storage::Int),
        ("at", Storage::Timestamp),
        ("by", Storage::Uuid),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
    ],
    key: &["id"],
    indexes: &[&["hash"], &["record"]],
};
