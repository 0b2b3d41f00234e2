//! In charge of what a client asks of records: the input of the write path.

use indexmap::IndexMap;
use model::{Input, Name};
use uuid::Uuid;

/// One thing asked of one record of an entity.
#[derive(Clone, Debug)]
pub enum Submission {
    /// A new record.
    Create {
        /// The id to give; a new one where absent. Only the engine's own callers set it.
        id: Option<Uuid>,
        /// The values, by field.
        values: IndexMap<String, Input>,
    },
    /// Changed values.
    Update {
        /// The record.
        id: Uuid,
        /// The version that the client saw; a lost update is refused where it is given.
        version: Option<i64>,
        /// The values, by field; `null` empties.
        values: IndexMap<String, Input>,
    },
    /// A move to another stage.
    Move {
        /// The record.
        id: Uuid,
        /// The version that the client saw.
        version: Option<i64>,
        /// The stage field; the entity's only one where absent.
        field: Option<Name>,
        /// The stage to move to.
        to: String,
        /// Values that the move asks for.
        values: IndexMap<String, Input>,
        /// Steps of the checklist that are skipped, each with its reason.
        skip: IndexMap<String, String>,
    },
    /// To the recycle bin.
    Delete {
        /// The record.
        id: Uuid,
        /// The version that the client saw.
        version: Option<i64>,
    },
    /// Back from the recycle bin.
    Restore {
        /// The record.
        id: Uuid,
    },
}

/// Which channel asks; closed. It decides what binds (semantics.md: a stage's `requires` does not bind an import's creation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A person or a program through the API or a page.
    Request,
    /// Rows of a file, of a seed or of a demo.
    Import,
    /// The engine itself.
    Engine,
}

/// What was done to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The record.
    pub id: Uuid,
    /// Its version now.
    pub version: i64,
    /// What happened.
    pub outcome: Outcome,
    /// The record as the caller sees it, where that was asked.
    pub json: Option<Vec<u8>>,
    /// Whether the record left the caller's sight: it is answered without.
    pub left_sight: bool,
    /// The approval that was begun instead: the record moves once it has passed.
    pub approval: Option<Uuid>,
}

/// What happened to a record; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Created,
    /// It changed.
    Updated,
    /// Nothing was different.
    Unchanged,
    /// It is in the bin.
    Deleted,
    /// It is back.
    Restored,
}

impl Outcome {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
        }
    }
}
