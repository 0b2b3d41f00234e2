//! In charge of what is to happen later: deadlines of seats, pauses, the end of a stand-in.
//! Invariant: a timer belongs to one thing of one instance; when that is over, so is the timer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::instance::{SeatId, TokenId};

/// A timer within its instance.
pub type TimerId = u32;

/// What falls due; closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum TimerKind {
    /// A deadline of a seat.
    Deadline {
        /// The seat.
        seat: SeatId,
        /// Which of its step's deadlines.
        rule: usize,
        /// How often it has come before.
        past: u32,
    },
    /// The end of a pause.
    Delay {
        /// The token that waits.
        token: TokenId,
    },
    /// Whoever stands in for somebody stops doing so.
    ProxyEnds {
        /// The seat.
        seat: SeatId,
    },
}

/// Something that falls due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Its number.
    pub id: TimerId,
    /// When.
    pub due: DateTime<Utc>,
    /// What.
    pub kind: TimerKind,
}

/// What becomes of a timer; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerChange {
    /// It is set.
    Set(Timer),
    /// It is over.
    Clear(TimerId),
}
