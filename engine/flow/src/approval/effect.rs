//! In charge of what a step wants done outside itself: people told, steps run, other flows started.
//! Invariant: an effect is told once, in the transaction of the events that it follows from.

use model::Name;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::instance::{SeatId, State, TokenId, VisitId};

/// What somebody is told; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// There is something to decide.
    Task,
    /// An opinion is asked for.
    Delegated,
    /// An opinion has come.
    Opinion,
    /// It came back.
    Returned,
    /// It is still to be decided.
    Reminder,
    /// Somebody waits for it.
    Urged,
    /// It is over.
    Ended,
    /// Somebody wrote.
    Comment,
    /// It stands still and needs a manager.
    Parked,
    /// A copy, to be read.
    Copy,
}

/// What is to be done outside; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell somebody.
    Notify {
        /// Whom.
        person: Uuid,
        /// What.
        notice: Notice,
        /// About which task.
        seat: Option<SeatId>,
    },
    /// Run the steps that the document has at `at`: `steps/{node}`, `on_approved`, ….
    Run {
        /// Where they stand.
        at: String,
        /// The token that waits for them.
        token: Option<TokenId>,
    },
    /// Make the move that waited.
    Move {
        /// The token that waits for it; none where the instance is over already, so that it must not fail.
        token: Option<TokenId>,
    },
    /// Start another flow.
    Start {
        /// The token that stands there.
        token: TokenId,
        /// The visit that waits for them; none where nothing waits.
        visit: Option<VisitId>,
        /// The step.
        node: Name,
        /// The flow.
        approval: Name,
        /// A path to its records; this one where absent.
        record: Option<String>,
    },
    /// End what a step started and no longer waits for.
    CancelChildren {
        /// Their instances.
        children: Vec<Uuid>,
    },
}

/// What becomes of the record; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The state of its approval.
    State(State),
}
