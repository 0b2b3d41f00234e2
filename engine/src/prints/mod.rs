//! In charge of papers: a record, its lines and its approvals as a page that is printed or kept as a file.
//! Reading order: `plan` (a document compiled), `verbs` (what a record offers, a paper), `data` (what a template reads, with the
//! reader's eyes), `acts` (approvals), `keep` (a paper as a file on its record).
//! Invariant: what a template reads comes through the reader's grant, over every hop and list; what they may not read is empty.
//! Invariant: a record that is out of sight, or for which a paper is not, answers like one that is not there.

mod acts;
mod data;
pub(crate) mod keep;
mod plan;
mod verbs;

pub(crate) use plan::Prints;
pub(crate) use verbs::of_entity;
pub use verbs::{OfferedPrint, Printed};
