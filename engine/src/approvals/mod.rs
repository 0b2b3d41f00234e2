//! In charge of approvals in a workspace: the pure machine of `flow`, over open transactions.
//! Reading order: `plan` (a flow compiled against the schema), `facts` (what the machine asks), `rows` (instances as rows),
//! `data` (the record in the course of them), `drive` (one command, with all that follows), `lock` (records under approval),
//! `sight` (who sees what of them), `tell` (people), `timers`; then what callers use: `verbs`, `inbox`, `kept`, `detail`, `foresee`, `may`, `proxies`.
//! Invariant: one writer per instance: its row is locked before anything is looked at.
//! Invariant: a record changes through the one write path, with the cause `flow`.

mod automatic;
mod data;
mod detail;
mod drive;
mod enclosed;
mod facts;
mod foresee;
mod inbox;
mod kept;
pub(crate) mod lock;
mod may;
pub(crate) mod plan;
pub(crate) mod proxies;
mod rows;
mod sight;
mod steps;
mod tell;
pub(crate) mod timers;
mod verbs;

pub use ::flow::approval::{AdminAct, AdminResult, Place as SignPlace, Selection, SignMode};
pub(crate) use automatic::{after_changes, begin_in, begin_move, note_changes};
pub(crate) use detail::detail as told_in;
pub use foresee::{ForecastAsked, Foresight, PathStep};
pub use inbox::{Box, BoxRequest, Place};
pub use kept::Kept;
pub use plan::FlowPlan;
pub(crate) use plan::taken_away;
pub use proxies::NewProxy;
pub(crate) use rows::ids_of as of_record;
pub(crate) use sight::{at_work, by_copy};
pub(crate) use tell::state_key;
pub(crate) use verbs::THING;
pub use verbs::{Ask, AskFor, Begin, Done};
