//! In charge of what belongs to one person: saved views, preferences.

use model::Storage;

use super::Table;

/// Saved views by id.
pub static SAVED_VIEW: Table = Table {
    name: "sys_saved_view",
    columns: &[
        ("id", Storage::Uuid),
        ("user", Storage::Uuid),
        ("entity", Storage::Text),
        ("label", Storage::Text),
        ("body", Storage::Json),
        ("at", Storage::Timestamp),
    ],
    key: &["id"],
    indexes: &[&["user"]],
};

/// Preferences by person.
pub static PREFERENCE: Table =
    Table { name: "sys_preference", columns: &[("user", Storage::Uuid), ("value", Storage::Json)], key: &["user"], indexes: &[] };
