//! In charge of conversions: one record becomes others, in one transaction.
//! Reading order: `plan` (a document compiled), `asked` (what somebody wants), `decide` (what would be made, matched, left out),
//! `act` (doing it), `origins` (what came of what), `verbs` (how the faces call it).
//! Invariant: a preview and the deed decide by the same code; only the deed writes, and through the write path.
//! Invariant: what a caller may not read reaches no field that they read.

mod act;
mod asked;
mod decide;
mod lines;
mod origins;
mod plan;
mod told;
mod verbs;

pub(crate) use act::convert_in;
pub(crate) use asked::Asked;
pub(crate) use plan::Conversions;
pub(crate) use verbs::of_entity;
pub use verbs::{ConversionAsked, Offered, OfferedTarget};
