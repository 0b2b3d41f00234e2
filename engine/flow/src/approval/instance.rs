//! In charge of the state of an instance.
//! Invariant: tokens, visits and seats are never removed; their number is their place.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::Name;
use model::doc::approval::Mode;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::event::Reason;
use super::timer::Timer;

/// A token's number.
pub type TokenId = u32;
/// A visit's number.
pub type VisitId = u32;
/// A seat's number.
pub type SeatId = u32;

/// What an instance is; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was submitted.
    #[default]
    None,
    /// People decide.
    Running,
    /// It is with the initiator again.
    Returned,
    /// It passed.
    Approved,
    /// It did not.
    Rejected,
    /// The initiator took it back.
    Withdrawn,
    /// It passed, and does not count any more.
    Revoked,
    /// An administrator ended it.
    Ended,
}

impl State {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Returned => "returned",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
        }
    }

    /// Whether it is under way.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Returned)
    }
}

/// How a token stands; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// At a step.
    Active,
    /// At a join, for its children.
    Forked,
    /// At the end of its branch.
    Arrived,
    /// Nowhere.
    Ended,
}

/// Why a token stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// In words, for administrators.
    pub reason: String,
}

/// How a token that went back comes straight to where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Straight {
    /// The step that returned it.
    pub node: Name,
    /// The step that it went back to.
    pub to: Name,
    /// The splits on the way there, from the outside: the split, the branch on the way, the other open ones, the finished.
    pub path: Vec<StraightSplit>,
    /// The watched fields as they were.
    pub watched: Json,
}

/// One split on the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StraightSplit {
    /// The split.
    pub node: Name,
    /// The branch on the way.
    pub branch: Name,
    /// The other branches that had not finished.
    pub open: Vec<Name>,
    /// Those that had.
    pub finished: Vec<Name>,
}

/// A position in the flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// The token that waits for it.
    pub parent: Option<TokenId>,
    /// The split and the branch that it is of.
    pub branch: Option<(Name, Name)>,
    /// Where it is.
    pub at: Name,
    /// How.
    pub state: TokenState,
    /// The approvals directly before.
    pub before: Vec<VisitId>,
    /// How it comes back straight.
    pub straight: Option<Straight>,
    /// Why it stands still.
    pub parked: Option<Parked>,
    /// Whether it came to where it is by a return.
    pub back: bool,
    /// Whether the system did something since the last decision of people.
    pub acted: bool,
    /// Whether it has come to the end and waits for the move that is to be made there.
    #[serde(default)]
    pub at_end: bool,
}

/// How a visit ended; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitOutcome {
    /// It passed.
    Passed,
    /// It was rejected.
    Rejected,
    /// It went back.
    Returned,
    /// Something else made it needless.
    Cancelled,
}

/// One activation of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// Its number.
    pub id: VisitId,
    /// The step.
    pub node: Name,
    /// The token.
    pub token: TokenId,
    /// The round of submission.
    pub round: u32,
    /// How it ended.
    pub outcome: Option<VisitOutcome>,
    /// Whether its votes count no longer.
    pub superseded: bool,
    /// Whether it was entered by a return.
    pub back: bool,
    /// When it began.
    pub entered_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The seats that decide it, in order.
    pub order: Vec<SeatId>,
    /// Those who may claim the only seat.
    pub pool: Vec<Uuid>,
    /// The groups that were added.
    pub groups: Vec<Group>,
    /// Why it is as it is, where votes do not say it.
    pub reason: Option<Reason>,
    /// Whether a person did anything in it.
    pub touched: bool,
    /// Whether it is an approval: its votes may count again later.
    pub approves: bool,
}

/// Where seats were added; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// They decide first.
    Before,
    /// They decide afterwards.
    After,
    /// They decide with the others.
    Parallel,
}

/// Seats that were added before or after one, and decide among themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The seat.
    pub of: SeatId,
    /// Where.
    pub place: Place,
    /// How they decide.
    pub mode: Mode,
    /// They.
    pub seats: Vec<SeatId>,
}

/// What a seat is; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    /// Its turn has not come.
    Waiting,
    /// Nobody has claimed it.
    Unclaimed,
    /// It is to decide.
    Open,
    /// An opinion was asked for.
    Delegated,
    /// It waits for those who were added before it.
    Behind,
    /// It said yes and waits for those who were added after it.
    Ahead,
    /// It said yes.
    Approved,
    /// It said no.
    Rejected,
    /// It sent it back.
    Returned,
    /// It was not needed.
    NotNeeded,
    /// It was cancelled.
    Cancelled,
    /// It was taken away.
    Removed,
}

impl SeatState {
    /// Whether it may still vote.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Unclaimed | Self::Open | Self::Delegated | Self::Behind | Self::Ahead => true,
            Self::Approved | Self::Rejected | Self::Returned | Self::NotNeeded | Self::Cancelled | Self::Removed => false,
        }
    }

    /// Whether somebody has it before them.
    #[must_use]
    pub fn is_task(self) -> bool {
        matches!(self, Self::Open | Self::Delegated | Self::Unclaimed)
    }

    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unclaimed => "unclaimed",
            Self::Open => "open",
            Self::Delegated => "delegated",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Returned => "returned",
            Self::NotNeeded => "not_needed",
            Self::Cancelled => "cancelled",
            Self::Removed => "removed",
        }
    }
}

/// One vote in a visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    /// Its number.
    pub id: SeatId,
    /// The visit.
    pub visit: VisitId,
    /// Whose authority it is; nobody's until it is claimed.
    pub principal: Option<Uuid>,
    /// Who acts.
    pub holder: Option<Uuid>,
    /// What it is.
    pub state: SeatState,
    /// What it weighs.
    pub weight: u32,
    /// Whether its rejection decides.
    pub veto: bool,
    /// Who added it, and where.
    pub added: Option<(Option<Uuid>, Place)>,
    /// When its turn came.
    pub opened_at: Option<DateTime<Utc>>,
    /// When it voted.
    pub decided_at: Option<DateTime<Utc>>,
    /// Who voted.
    pub decided_by: Option<Uuid>,
    /// In words.
    pub opinion: Option<String>,
    /// Why it voted without a person.
    pub reason: Option<Reason>,
    /// The watched fields when it voted.
    pub watched: Json,
    /// Whose opinion was asked.
    pub delegate: Option<Uuid>,
    /// Until when somebody stands in.
    pub proxy_until: Option<DateTime<Utc>>,
    /// When it was urged last.
    pub urged_at: Option<DateTime<Utc>>,
}

impl Seat {
    /// A seat that has not done anything.
    #[must_use]
    pub fn new(id: SeatId, visit: VisitId, principal: Option<Uuid>) -> Self {
        Self {
            id,
            visit,
            principal,
            holder: principal,
            state: SeatState::Waiting,
            weight: 1,
            veto: false,
            added: None,
            opened_at: None,
            decided_at: None,
            decided_by: None,
            opinion: None,
            reason: None,
            watched: Json::Null,
            delegate: None,
            proxy_until: None,
            urged_at: None,
        }
    }

    /// Whether `person` may vote with it.
    #[must_use]
    pub fn is_of(&self, person: Uuid) -> bool {
        self.holder == Some(person) || self.principal == Some(person)
    }

    /// Whether `person` has it before them: to decide, or to say their opinion.
    #[must_use]
    pub fn is_before(&self, person: Uuid) -> bool {
        match self.state {
            SeatState::Open => self.is_of(person),
            SeatState::Delegated => self.delegate == Some(person),
            SeatState::Waiting
            | SeatState::Unclaimed
            | SeatState::Behind
            | SeatState::Ahead
            | SeatState::Approved
            | SeatState::Rejected
            | SeatState::Returned
            | SeatState::NotNeeded
            | SeatState::Cancelled
            | SeatState::Removed => false,
        }
    }
}

/// A flow that this one started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its instance.
    pub id: Uuid,
    /// The token that stands there.
    pub token: TokenId,
    /// Whether it is waited for.
    pub wait: bool,
    /// The visit that waits for it.
    pub visit: Option<VisitId>,
    /// How it ended.
    pub state: Option<State>,
}

/// One run of a flow for one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// What it is.
    pub state: State,
    /// How often it was submitted.
    pub round: u32,
    /// Who started it; nobody where the system did.
    pub initiator: Option<Uuid>,
    /// When it was submitted.
    pub submitted_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it was approved.
    pub approved_at: Option<DateTime<Utc>>,
    /// Whether it goes its way again to be revoked.
    pub reverse: bool,
    /// Whether it rests.
    pub suspended: bool,
    /// Whether an administrator unlocked its record.
    pub unlocked: bool,
    /// Whether a person has decided.
    pub decided: bool,
    /// Whether a move of the record waits for it: it is approved once that is made.
    #[serde(default)]
    pub moves: bool,
    /// The positions.
    pub tokens: Vec<Token>,
    /// The activations of steps.
    pub visits: Vec<Visit>,
    /// The votes.
    pub seats: Vec<Seat>,
    /// What is to happen later.
    pub timers: Vec<Timer>,
    /// How many timers there were.
    pub timers_made: u32,
    /// How often each step was entered.
    pub counts: BTreeMap<Name, u32>,
    /// Who was chosen, by step.
    pub select: BTreeMap<Name, Vec<Uuid>>,
    /// In which visit and by whom, where an approver chose.
    pub selected: BTreeMap<Name, (VisitId, Option<Uuid>)>,
    /// Who has a copy, and of which step.
    pub copied: BTreeMap<Uuid, Option<Name>>,
    /// Flows that it started.
    pub children: Vec<Child>,
    /// The watched fields when it was submitted last.
    pub watched: Json,
}

impl Instance {
    /// The token.
    #[must_use]
    pub fn token(&self, id: TokenId) -> Option<&Token> {
        self.tokens.get(id as usize)
    }

    /// The visit.
    #[must_use]
    pub fn visit(&self, id: VisitId) -> Option<&Visit> {
        self.visits.get(id as usize)
    }

    /// The seat.
    #[must_use]
    pub fn seat(&self, id: SeatId) -> Option<&Seat> {
        self.seats.get(id as usize)
    }

    /// The tasks that are before people.
    pub fn tasks(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| seat.state.is_task())
    }

    /// The visits that are under way.
    pub fn open_visits(&self) -> impl Iterator<Item = &Visit> {
        self.visits.iter().filter(|visit| visit.outcome.is_none())
    }

    /// The tokens that stand still.
    pub fn parked(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| token.parked.is_some() && token.state == TokenState::Active)
    }
}
