//! In charge of what people sign in with: credentials, sessions, tokens, links to set a password.
//! Invariant: of secrets only hashes are kept.

use model::Storage;

use super::Table;

/// Password hashes.
pub static CREDENTIAL: Table = Table {
    name: "sys_credential",
    columns: &[("user", Storage::Uuid), ("hash", Storage::Text), ("changed_at", Storage::Timestamp)],
    key: &["user"],
    indexes: &[],
};

/// Signed-in browsers and programs, by the hash of their secret.
pub static SESSION: Table = Table {
    name: "sys_session",
    columns: &[
        ("hash", Storage::Bytes),
        ("id", Storage::Uuid),
        ("user", Storage::Uuid),
        ("kind", Storage::Text),
        ("created_at", Storage::Timestamp),
        ("seen_at", Storage::Timestamp),
        ("expires_at", Storage::Timestamp),
        ("agent", Storage::Text),
        ("parent", Storage::Uuid),
    ],
    key: &["hash"],
    indexes: &[&["user"]],
};

/// Tokens of programs, by their hash.
pub static API_TOKEN: Table = Table {
    name: "sys_api_token",
    columns: &[
        ("hash", Storage::Bytes),
        ("id", Storage::Uuid),
        ("user", Storage::Uuid),
        ("name", Storage::Text),
        ("scopes", Storage::Json),
        ("created_at", Storage::Timestamp),
        ("expires_at", Storage::Timestamp),
    ],
    key: &["hash"],
    indexes: &[&["user"]],
};

/// Links by which a password is set once.
pub static RESET: Table = Table {
    name: "sys_reset",
    columns: &[("hash", Storage::Bytes), ("user", Storage::Uuid), ("expires_at", Storage::Timestamp)],
    key: &["hash"],
    indexes: &[&["user"]],
};
