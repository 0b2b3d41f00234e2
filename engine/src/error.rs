//! In charge of what can go wrong with a request, in the engine's words.
//! Invariant: an error that a caller sees never tells of what the caller may not see.

use model::{Code, Diagnostic, Message, Violation, Wording};

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data or the request is not acceptable; every fault at once.
    #[error("{} fault(s), first {}", .0.len(), first(.0))]
    Invalid(Vec<Violation>),
    /// There may be such a record already; a person says whether it is another thing.
    #[error("{} likeness(es)", .0.len())]
    Duplicates(Vec<crate::records::Likeness>),
    /// There is no such record, or none that the caller may see.
    #[error("not found")]
    NotFound,
    /// The caller may see the thing but not do this to it.
    #[error("forbidden")]
    Forbidden,
    /// Nobody is signed in, or the session has ended.
    #[error("unauthenticated")]
    Unauthenticated,
    /// Somebody changed the record meanwhile.
    #[error("stale version: {current} is current")]
    StaleVersion {
        /// The record's version now.
        current: i64,
        /// The version that was sent.
        yours: i64,
    },
    /// Too many tries; again after so many seconds.
    #[error("rate limited")]
    RateLimited {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The same key was used for another request.
    #[error("idempotency key used for another request")]
    IdempotencyMismatch,
    /// The same key is being worked on.
    #[error("idempotency key in use")]
    IdempotencyRunning,
    /// Documents are at fault; every fault at once.
    #[error("{} fault(s) in documents", .0.len())]
    Documents(Vec<Diagnostic>),
    /// The workspace and a new version of an app changed the same; a person chooses.
    #[error("{} conflict(s)", .0.len())]
    Conflicts(Vec<model::merge::Conflict>),
    /// Stages or options go that records have; a person says where those go.
    #[error("{} value(s) with records go", .0.len())]
    Unplaced(Vec<crate::publish::Unplaced>),
    /// The snapshot that the request began with is no longer current; the engine begins again.
    #[error("the revision changed")]
    Superseded,
    /// The store could not: busy, full, gone.
    #[error(transparent)]
    Store(#[from] store::Fault),
    /// The engine contradicts itself; never the caller's fault.
    #[error("internal: {0}")]
    Internal(String),
}

fn first(faults: &[Violation]) -> String {
    faults.first().map(|fault| format!("{} {}", fault.code, fault.pointer)).unwrap_or_default()
}

impl Error {
    /// One fault of the whole request.
    #[must_use]
    pub fn of(code: Code, message: Message) -> Self {
        Self::Invalid(vec![Violation { pointer: String::new(), field: None, code, wording: Wording::Message(message) }])
    }

    /// The name of an entity that is not there or out of sight.
    #[must_use]
    pub fn unknown_entity(name: &str) -> Self {
        Self::of(Code::UnknownEntity, Message::new("unknown_entity").with("name", name))
    }
}

impl From<rules::eval::HostFault> for Error {
    fn from(fault: rules::eval::HostFault) -> Self {
        Self::Internal(fault.0)
    }
}

impl From<Vec<Violation>> for Error {
    fn from(faults: Vec<Violation>) -> Self {
        Self::Invalid(faults)
    }
}

impl From<Violation> for Error {
    fn from(fault: Violation) -> Self {
        Self::Invalid(vec![fault])
    }
}

impl From<Vec<Diagnostic>> for Error {
    fn from(faults: Vec<Diagnostic>) -> Self {
        Self::Documents(faults)
    }
}
