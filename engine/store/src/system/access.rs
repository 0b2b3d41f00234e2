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

/// Signed-in browsers, by the hash of their secret.
pub static SESSION: Table = Table {
    name: "sys_session",
    columns: &[
        ("id", Storage::Text),
        ("handle", Storage::Uuid),
        ("user", Storage::Uuid),
        ("csrf", Storage::Text),
        ("created_at", Storage::Timestamp),
        ("seen_at", Storage::Timestamp),
        ("expires_at", Storage::Timestamp),
        ("address", Storage::Text),
        ("agent", Storage::Text),
    ],
    key: &["id"],
    indexes: &[&["user"], &["expires_at"]],
};

/// Tokens of programs, by their hash.
pub static API_TOKEN: Table = Table {
    name: "sys_api_token",
    columns: &[
        ("id", Storage::Text),
        ("handle", Storage::Uuid),
        ("user", Storage::Uuid),
        ("label", Storage::Text),
        ("scopes", Storage::Json),
        ("created_at", Storage::Timestamp),
        ("seen_at", Storage::Timestamp),
        ("expires_at", Storage::Timestamp),
        ("session", Storage::Text),
    ],
    key: &["id"],
    indexes: &[&["user"], &["session"]],
};

/// Links by which a password is set once, by the hash of their secret.
pub static LINK: Table = Table {
    name: "sys_link",
    columns: &[
        ("id", Storage::Text),
        ("user", Storage::Uuid),
        ("purpose", Storage::Text),
        ("created_at", Storage::Timestamp),
        ("expires_at", Storage::Timestamp),
    ],
    key: &["id"],
    indexes: &[&["user"]],
};
