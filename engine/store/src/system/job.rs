//! In charge of jobs: work that goes on behind a request.

use model::Storage;

use super::Table;

/// Jobs by id.
pub static JOB: Table = Table {
    name: "sys_job",
    columns: &[
        ("id", Storage::Uuid),
        ("kind", Storage::Text),
        ("state", Storage::Text),
        ("by", Storage::Uuid),
        ("at", Storage::Timestamp),
        ("body", Storage::Json),
        ("progress", Storage::Json),
        ("lease", Storage::Timestamp),
    ],
    key: &["id"],
    indexes: &[&["state"]],
};
