//! In charge of automations: when – if – then.
//! Reading order: `plan` (documents compiled), `trigger` (what sets one off), `raise` (runs written with the change, and those
//! that act inside it), `running` (what a step works with), `steps` (one file for each kind), `script` (what scripts may ask),
//! `runner` (durable runs), `careful` (runs that may end the process), `schedule` (what the clock sets off), `buttons`, `verbs`
//! (what people do with runs), `manage` (which there are), `replay` (what they would have done).
//! Invariant: an `after` run is a row written with the change; a step's own writes and its note are one transaction, so no crash
//! loses or doubles a step.
//! Invariant: a run keeps the definition that it began with; its step acts with the rights that the document says.

pub mod buttons;
pub(crate) mod careful;
pub(crate) mod compile;
pub(crate) mod lookups;
mod manage;
pub(crate) mod people;
pub(crate) mod plan;
pub(crate) mod raise;
pub mod replay;
pub(crate) mod runner;
pub(crate) mod running;
pub(crate) mod schedule;
pub(crate) mod script;
pub(crate) mod spent;
pub(crate) mod steps;
pub(crate) mod trigger;
pub mod verbs;

pub(crate) use plan::Automations;
