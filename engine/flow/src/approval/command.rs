//! In charge of what may be asked of an instance, by whom, and why it is refused.
//! Invariant: a command is checked whole before its first event; one that is refused changes nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::Name;
use model::doc::approval::Mode;
use serde_json::Value as Json;
use uuid::Uuid;

use super::effect::{Change, Effect};
use super::event::Event;
use super::facts::{Facts, Trouble};
use super::instance::{Instance, Place, SeatId, State, TokenId, VisitId};
use super::machine::Machine;
use super::plan::Flow;
use super::timer::{TimerChange, TimerId};

/// Who acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The person; the system where absent.
    pub person: Option<Uuid>,
    /// Whether they manage this flow.
    pub manages: bool,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Command {
    /// By whom.
    pub actor: Actor,
    /// What.
    pub act: Do,
}

/// A vote; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes; done, of what is to be done.
    Approve,
    /// No.
    Reject,
}

/// How those who were added decide; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignMode {
    /// Everybody.
    #[default]
    All,
    /// One of them.
    Any,
    /// One after the other.
    Sequential,
}

impl SignMode {
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::All => Mode::All,
            Self::Any => Mode::Any,
            Self::Sequential => Mode::Sequential,
        }
    }
}

/// Whom somebody chose, by step.
pub type Selection = BTreeMap<Name, Vec<Uuid>>;

/// What an administrator does; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAct {
    /// Moves it to a step.
    Jump {
        /// The step.
        to: Name,
    },
    /// Puts somebody in another's place in all open tasks.
    Replace {
        /// Whose.
        user: Uuid,
        /// Who.
        by: Uuid,
    },
    /// Ends it.
    End {
        /// As what.
        result: Result,
    },
    /// Lets the record be changed.
    Unlock,
    /// Lets it rest.
    Suspend,
    /// Lets it go on.
    Resume,
}

/// As what an administrator ends it; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Neither.
    Ended,
}

/// What may be asked; closed.
#[derive(Clone, Debug)]
pub enum Do {
    /// Begin, or come back after a return.
    Submit {
        /// Who was chosen.
        select: Selection,
        /// In words.
        opinion: Option<String>,
        /// Whether a move of the record waits for it.
        moves: bool,
    },
    /// Vote.
    Decide {
        /// The seat.
        seat: SeatId,
        /// The vote.
        verdict: Verdict,
        /// In words.
        opinion: Option<String>,
        /// The signature.
        signature: Option<Json>,
        /// What hangs on it.
        files: Vec<Json>,
        /// Who was chosen.
        select: Selection,
    },
    /// Send it back.
    Return {
        /// The seat.
        seat: SeatId,
        /// `initiator`, `previous`, or a step.
        to: String,
        /// In words.
        opinion: Option<String>,
        /// Whether it comes straight back, where the flow asks.
        straight: Option<bool>,
        /// What hangs on it.
        files: Vec<Json>,
    },
    /// Hand it on.
    Transfer {
        /// The seat.
        seat: SeatId,
        /// To whom.
        to: Uuid,
        /// In words.
        opinion: Option<String>,
    },
    /// Ask an opinion.
    Delegate {
        /// The seat.
        seat: SeatId,
        /// Whose.
        to: Uuid,
        /// In words.
        opinion: Option<String>,
    },
    /// Give it.
    Opinion {
        /// The seat.
        seat: SeatId,
        /// In words.
        opinion: Option<String>,
    },
    /// Take the question back.
    Recall {
        /// The seat.
        seat: SeatId,
    },
    /// Have others decide, too.
    AddSign {
        /// The seat.
        seat: SeatId,
        /// Before it, after it, with it.
        place: Place,
        /// Who.
        users: Vec<Uuid>,
        /// How they decide.
        mode: SignMode,
        /// In words.
        opinion: Option<String>,
    },
    /// Take away somebody who was added.
    RemoveSign {
        /// Whom.
        user: Uuid,
        /// In words.
        opinion: Option<String>,
    },
    /// Take a task that is anybody's.
    Claim {
        /// The seat.
        seat: SeatId,
    },
    /// Give it back.
    Release {
        /// The seat.
        seat: SeatId,
    },
    /// Take the request back.
    Withdraw {
        /// In words.
        opinion: Option<String>,
    },
    /// Take one's own decision back.
    TakeBack {
        /// In words.
        opinion: Option<String>,
    },
    /// Have an approval undone.
    Revoke {
        /// In words.
        opinion: Option<String>,
    },
    /// Remind those who have to decide.
    Urge {
        /// In words.
        opinion: Option<String>,
    },
    /// Write.
    Comment {
        /// What.
        text: String,
        /// Who is named in it.
        mentions: Vec<Uuid>,
        /// What hangs on it.
        files: Vec<Json>,
    },
    /// Give copies.
    Copy {
        /// To whom.
        people: Vec<Uuid>,
    },
    /// Step in.
    Admin {
        /// How.
        act: AdminAct,
        /// Why.
        opinion: Option<String>,
    },
    /// A timer is due.
    Due {
        /// It.
        timer: TimerId,
    },
    /// Steps were run.
    Acted {
        /// Where they stand.
        at: String,
        /// The token that waits for them.
        token: Option<TokenId>,
        /// What went wrong.
        error: Option<String>,
    },
    /// The move that waited was made.
    Moved {
        /// The token that waits for it.
        token: TokenId,
        /// What went wrong.
        error: Option<String>,
    },
    /// Flows were started.
    Started {
        /// The token that stands, or stood, there.
        token: TokenId,
        /// The visit that waits for them.
        visit: Option<VisitId>,
        /// The step.
        node: Name,
        /// Their instances, and how those that are over at once ended.
        children: Vec<(Uuid, State)>,
        /// What went wrong.
        error: Option<String>,
    },
    /// A flow that was started is over.
    ChildEnded {
        /// Its instance.
        child: Uuid,
        /// How.
        state: State,
    },
    /// A watched field of the record changed.
    Changed,
    /// The record went to the bin.
    Gone,
    /// From now on somebody stands in for somebody, in open tasks, too.
    Substitute {
        /// For whom.
        principal: Uuid,
        /// Who.
        proxy: Uuid,
        /// Until when.
        until: Option<DateTime<Utc>>,
    },
}

/// Why a command is refused; closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The task is no longer, or not yet, to be decided.
    #[error("the task is closed")]
    TaskClosed,
    /// It is another's.
    #[error("it is not your task")]
    NotYourTask,
    /// It cannot go there, or to that person.
    #[error("it cannot go there")]
    TargetRefused,
    /// It is too late, or never was possible.
    #[error("it is too late for that")]
    WindowClosed,
    /// It runs.
    #[error("it runs already")]
    AlreadyRunning,
    /// That person decides already.
    #[error("that person decides already")]
    AlreadySeated,
    /// Those who were added cannot add others.
    #[error("those who were added cannot add others")]
    NestedSign,
    /// It was done a moment ago.
    #[error("it was done a moment ago")]
    TooSoon,
    /// Another was quicker.
    #[error("another was quicker")]
    ClaimLost,
    /// Not this person, or not in this flow.
    #[error("that is not allowed")]
    Forbidden,
    /// Something is missing.
    #[error("`{0}` is missing")]
    Required(&'static str),
    /// There is no such person, or they have left.
    #[error("`{0}` names nobody who is there")]
    BadPerson(&'static str),
    /// What must be known cannot be known.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What becomes of the record.
    pub changes: Vec<Change>,
    /// What is to be done outside, in order.
    pub effects: Vec<Effect>,
    /// What becomes of timers.
    pub timers: Vec<TimerChange>,
    /// The instance as it is now.
    pub instance: Instance,
}

/// Does what is asked of an instance. The instance itself is not changed: what happened is told.
///
/// # Errors
/// Why it is refused; then nothing happened.
pub fn step(flow: &Flow, instance: &Instance, command: &Command, facts: &dyn Facts, now: DateTime<Utc>) -> std::result::Result<Step, Refusal> {
    let mut machine = Machine::new(flow, instance, command.actor, facts, now, false);
    machine.obey(&command.act)?;
    Ok(machine.finish(instance))
}
