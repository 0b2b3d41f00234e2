//! In charge of who follows which record.

use model::Storage;

use super::Table;

/// Followers by record.
pub static FOLLOWER: Table = Table {
    name: "sys_follower",
    columns: &[("record", Storage::Uuid), ("user", Storage::Uuid), ("entity", Storage::Text), ("since", Storage::Timestamp)],
    key: &["record", "user"],
    indexes: &[&["user"]],
};
