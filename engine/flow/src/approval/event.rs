//! In charge of what happened: the facts that an instance is made of, and that its timeline shows.
//! Invariant: past tense; an event holds everything that its application needs.

use chrono::{DateTime, Utc};
use model::Name;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use uuid::Uuid;

use super::instance::{Group, Seat, SeatId, SeatState, State, Straight, TokenId, VisitId, VisitOutcome};
use super::timer::{Timer, TimerId};

/// Why something happened without a person; closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Reason {
    /// Nobody was found.
    Empty,
    /// The initiator alone would have decided.
    Initiator,
    /// The same person approved before.
    Earlier,
    /// A deadline.
    Timeout,
    /// A step without people says so.
    Document {
        /// In which step.
        node: Name,
    },
    /// The vote stands from before.
    Carried,
    /// Those who were added said so.
    Signers,
    /// A sub-flow was rejected.
    Child,
    /// An administrator.
    Admin,
    /// A watched field changed.
    Changed,
    /// Its record is gone.
    Gone,
    /// Whoever was to decide has left.
    Left,
}

/// What happened; closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It was submitted, or came back and was submitted again.
    Submitted {
        /// By whom.
        by: Option<Uuid>,
        /// When.
        at: DateTime<Utc>,
        /// Whom the initiator chose, by step.
        select: BTreeMap<Name, Vec<Uuid>>,
        /// The watched fields.
        watched: Json,
        /// In words.
        opinion: Option<String>,
        /// Whether a move of the record waits for it.
        #[serde(default)]
        moves: bool,
    },
    /// The first token was made.
    Begun {
        /// At which step.
        at: Name,
    },
    /// A token came to a step.
    Entered {
        /// The token.
        token: TokenId,
        /// The step.
        node: Name,
        /// Whether by a return.
        back: bool,
    },
    /// A split sent out tokens.
    Forked {
        /// The token that waits at the join.
        token: TokenId,
        /// The split.
        node: Name,
        /// The branches and their tokens.
        open: Vec<(Name, TokenId)>,
        /// Branches that had finished before a return, and stay so.
        finished: Vec<(Name, TokenId)>,
    },
    /// A token reached the end of its branch.
    Arrived {
        /// The token.
        token: TokenId,
    },
    /// All tokens of a split have arrived.
    Joined {
        /// The token that waited.
        token: TokenId,
    },
    /// A token is no more.
    TokenEnded {
        /// The token.
        token: TokenId,
    },
    /// A way was chosen.
    BranchTaken {
        /// The split.
        node: Name,
        /// The branches.
        branches: Vec<Name>,
    },
    /// People were asked.
    VisitOpened {
        /// The visit.
        visit: VisitId,
        /// The step.
        node: Name,
        /// The token.
        token: TokenId,
        /// When.
        at: DateTime<Utc>,
        /// Whether by a return.
        back: bool,
        /// Whether it is an approval: its votes may count again later.
        approves: bool,
        /// The seats, in order.
        seats: Vec<Seat>,
        /// Those who may claim the only seat.
        pool: Vec<Uuid>,
        /// Why those decide who do, where it was not the document's first choice.
        reason: Option<Reason>,
    },
    /// A seat's turn has come.
    SeatOpened {
        /// The seat.
        seat: SeatId,
        /// When.
        at: DateTime<Utc>,
    },
    /// A seat said yes or no.
    Voted {
        /// The seat.
        seat: SeatId,
        /// What it is now.
        state: SeatState,
        /// Who acted.
        by: Option<Uuid>,
        /// When.
        at: DateTime<Utc>,
        /// In words.
        opinion: Option<String>,
        /// The signature: the picture, what was signed, by which seat, when.
        signature: Option<Json>,
        /// What hangs on it.
        #[serde(default)]
        files: Vec<Json>,
        /// Why, where nobody acted.
        reason: Option<Reason>,
        /// The watched fields as they were.
        watched: Json,
    },
    /// Whom the next are was chosen.
    Selected {
        /// In which visit.
        visit: VisitId,
        /// By whom.
        by: Option<Uuid>,
        /// By step.
        select: BTreeMap<Name, Vec<Uuid>>,
    },
    /// A seat's vote is not needed any more.
    SeatClosed {
        /// The seat.
        seat: SeatId,
        /// What it is now.
        state: SeatState,
    },
    /// A visit is over.
    VisitEnded {
        /// The visit.
        visit: VisitId,
        /// How.
        outcome: VisitOutcome,
        /// When.
        at: DateTime<Utc>,
        /// Why, where votes do not say it.
        reason: Option<Reason>,
    },
    /// Votes of visits count no longer.
    Superseded {
        /// The visits.
        visits: Vec<VisitId>,
    },
    /// A seat was handed on.
    Transferred {
        /// The seat.
        seat: SeatId,
        /// Who acted.
        by: Option<Uuid>,
        /// Whose it was.
        from: Option<Uuid>,
        /// Whose it is.
        to: Uuid,
        /// Who acts for them.
        holder: Uuid,
        /// Until when.
        proxy_until: Option<DateTime<Utc>>,
        /// In words.
        opinion: Option<String>,
        /// Why, where nobody acted.
        reason: Option<Reason>,
    },
    /// Another acts for the same principal.
    HolderChanged {
        /// The seat.
        seat: SeatId,
        /// Who.
        holder: Uuid,
        /// Until when.
        until: Option<DateTime<Utc>>,
    },
    /// Somebody's opinion was asked.
    Delegated {
        /// The seat.
        seat: SeatId,
        /// Who asked.
        by: Uuid,
        /// Whose.
        to: Uuid,
        /// In words.
        opinion: Option<String>,
    },
    /// The opinion came.
    OpinionGiven {
        /// The seat.
        seat: SeatId,
        /// Whose.
        by: Uuid,
        /// In words.
        opinion: Option<String>,
    },
    /// The question was taken back.
    Recalled {
        /// The seat.
        seat: SeatId,
        /// By whom.
        by: Uuid,
    },
    /// Seats were added.
    SeatsAdded {
        /// By whom.
        by: Option<Uuid>,
        /// The group that decides together; none where they join the others.
        group: Option<Group>,
        /// The visit.
        visit: VisitId,
        /// The seats.
        seats: Vec<Seat>,
        /// The seat behind which they stand.
        behind: SeatId,
        /// In words.
        opinion: Option<String>,
        /// Why, where nobody acted.
        reason: Option<Reason>,
    },
    /// A seat was taken away.
    SeatRemoved {
        /// The seat.
        seat: SeatId,
        /// By whom.
        by: Option<Uuid>,
        /// In words.
        opinion: Option<String>,
    },
    /// A seat waits: for those before it, for those after it, or is open again.
    SeatWaits {
        /// The seat.
        seat: SeatId,
        /// What it is now.
        state: SeatState,
    },
    /// Somebody took the task.
    Claimed {
        /// The seat.
        seat: SeatId,
        /// Who.
        by: Uuid,
    },
    /// Somebody gave the task back.
    Released {
        /// The seat.
        seat: SeatId,
        /// Who.
        by: Uuid,
    },
    /// It went back.
    Returned {
        /// The visit that returned it.
        visit: VisitId,
        /// By whom.
        by: Option<Uuid>,
        /// The token that goes back.
        token: TokenId,
        /// Where to.
        to: Name,
        /// How it comes back straight, where it does.
        straight: Option<Straight>,
        /// In words.
        opinion: Option<String>,
    },
    /// What was returned is with the initiator.
    WithInitiator,
    /// A token came back straight.
    StraightTaken {
        /// The token.
        token: TokenId,
    },
    /// People got a copy.
    Copied {
        /// At which step.
        node: Option<Name>,
        /// By whom.
        by: Option<Uuid>,
        /// Who.
        people: Vec<Uuid>,
    },
    /// A timer was set.
    TimerSet {
        /// It.
        timer: Timer,
    },
    /// A timer is over.
    TimerCleared {
        /// It.
        timer: TimerId,
    },
    /// A timer fell due and did its work.
    TimerFired {
        /// It.
        timer: Timer,
        /// When.
        at: DateTime<Utc>,
    },
    /// Holders were urged.
    Urged {
        /// By whom.
        by: Option<Uuid>,
        /// When.
        at: DateTime<Utc>,
        /// About which tasks.
        seats: Vec<SeatId>,
        /// In words.
        opinion: Option<String>,
    },
    /// Somebody wrote.
    Commented {
        /// Who.
        by: Option<Uuid>,
        /// What.
        text: String,
        /// Who is named in it.
        mentions: Vec<Uuid>,
        /// What hangs on it.
        files: Vec<Json>,
    },
    /// Steps were run.
    Acted {
        /// The token that waited for them.
        token: Option<TokenId>,
        /// Where they stand.
        at: String,
        /// What went wrong.
        error: Option<String>,
    },
    /// Everybody agreed: the move that waited is made.
    Moving {
        /// The token that waits for it.
        token: TokenId,
    },
    /// A flow was started.
    ChildStarted {
        /// The token that waits for it.
        token: TokenId,
        /// Its instance.
        child: Uuid,
        /// Whether it is waited for.
        wait: bool,
        /// The visit that waits for it.
        visit: Option<VisitId>,
    },
    /// A flow that was started is over.
    ChildEnded {
        /// Its instance.
        child: Uuid,
        /// How.
        state: State,
    },
    /// It stands still.
    Parked {
        /// The token.
        token: TokenId,
        /// At which step.
        at: Name,
        /// Why.
        reason: String,
    },
    /// It goes on.
    Unparked {
        /// The token.
        token: TokenId,
    },
    /// It rests.
    Suspended {
        /// By whom.
        by: Option<Uuid>,
        /// Why.
        opinion: Option<String>,
    },
    /// It goes on.
    Resumed {
        /// By whom.
        by: Option<Uuid>,
        /// Why.
        opinion: Option<String>,
    },
    /// The record may be changed.
    Unlocked {
        /// By whom.
        by: Option<Uuid>,
        /// Why.
        opinion: Option<String>,
    },
    /// It was moved to a step.
    Jumped {
        /// By whom.
        by: Option<Uuid>,
        /// The token.
        token: TokenId,
        /// The step.
        to: Name,
        /// Why.
        opinion: Option<String>,
    },
    /// Its revocation was asked for: it goes the way again, backwards in meaning.
    RevocationBegun {
        /// By whom.
        by: Option<Uuid>,
        /// When.
        at: DateTime<Utc>,
        /// Why.
        opinion: Option<String>,
    },
    /// A decision was taken back.
    TakenBack {
        /// The visit.
        visit: VisitId,
        /// By whom.
        by: Uuid,
        /// In words.
        opinion: Option<String>,
    },
    /// The way began again.
    Restarted {
        /// Why.
        reason: Reason,
        /// The watched fields.
        watched: Json,
    },
    /// It is over.
    Ended {
        /// How.
        state: State,
        /// By whom, where it was not the flow's own way.
        by: Option<Uuid>,
        /// When.
        at: DateTime<Utc>,
        /// In words.
        opinion: Option<String>,
        /// Why.
        reason: Option<Reason>,
    },
}
