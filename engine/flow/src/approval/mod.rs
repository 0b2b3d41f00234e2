//! In charge of approvals: a flow as compiled, an instance as a fold of its events, and one function that moves it.
//! Reading order: `plan` (the document as blocks), `instance` (the state, and what each event does to it), `event`,
//! `command`, `effect`, `timer`; `machine` (tokens), `people` (who decides), `quorum` (what votes come to), `node` (each kind
//! of step); then the commands: `control`, `decide`, `back`, `sign`, `admin`, `due`; `forecast` runs the same code ahead.
//! Invariant: votes are facts of a seat in a visit; an outcome is derived from them by one function, never stored twice.
//! Invariant: a visit is one activation of a step; its votes never count in another.
//! Invariant: the state is what its events make it: applying them again gives the same, bit for bit.

mod admin;
mod apply;
mod back;
mod command;
mod control;
mod decide;
mod due;
mod effect;
mod event;
mod facts;
mod forecast;
mod instance;
mod machine;
mod node;
mod people;
mod plan;
mod quorum;
mod sign;
mod timer;

pub use command::{Actor, AdminAct, Command, Do, Refusal, Result as AdminResult, Selection, SignMode, Step, Verdict, step};
pub use effect::{Change, Effect, Notice};
pub use event::{Event, Reason};
pub use facts::{Department, Facts, Person, Proxy, Subject, Told, Trouble};
pub use forecast::{Forecast, Foreseen, Uncertain, forecast};
pub use instance::{
    Child, Group, Instance, Parked, Place, Seat, SeatId, SeatState, State, Straight, Token, TokenId, TokenState, Visit, VisitId, VisitOutcome,
};
pub use people::{choosable, managers};
pub use plan::{Block, Flow, Node, RESULTS};
pub use quorum::{Ballot, Outcome, Vote, outcome};
pub use timer::{Timer, TimerChange, TimerId, TimerKind};

/// How often an instance may come to one step; then it is parked with the reason.
pub const MAX_VISITS: u32 = 20;
/// How deep flows may start one another.
pub const MAX_DEPTH: u32 = 5;
/// How long one has to wait before the same task is urged again, in minutes.
pub const URGE_EVERY: i64 = 30;
