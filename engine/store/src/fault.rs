//! In charge of what can go wrong with a database, in the store's words.
//! Invariant: a fault never holds a value of a record.

/// Why the store could not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Too much is waiting already.
    #[error("the database is busy")]
    Busy,
    /// There is no space left, or no more is allowed.
    #[error("the disk is full, or a limit is reached")]
    Full,
    /// The database is not there, or went away.
    #[error("the database is gone: {0}")]
    Gone(String),
    /// Two records with one key.
    #[error("a unique index was violated: {0}")]
    Unique(String),
    /// Two transactions got into each other's way; trying again may help.
    #[error("transactions collided")]
    Collision,
    /// The transaction was undone with its neighbours; trying again may help.
    #[error("the transaction was undone with its batch")]
    Undone,
    /// A job panicked.
    #[error("a job panicked: {0}")]
    Panicked(String),
    /// Anything else.
    #[error("database: {0}")]
    Sql(String),
}

impl Fault {
    /// Whether the same transaction may succeed when it is tried again at once.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Collision | Self::Undone)
    }
}
