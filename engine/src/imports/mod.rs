//! In charge of files that become records: read, mapped, written slice by slice.
//! Reading order: `job` (what is asked), `plan` and `recipe` (a document for one header), `run`; then `slice` and `resolve`.
//! Invariant: rows are written by the one write path; a row that fails stands in the error file with its reason.

pub(crate) mod ghosts;
pub(crate) mod job;
mod lines;
pub(crate) mod plan;
mod progress;
pub(crate) mod read;
mod reading;
mod recipe;
mod refusal;
pub(crate) mod report;
mod resolve;
pub(crate) mod run;
mod slice;
pub(crate) mod words;

pub use job::{ImportRequest, ImportSpec};
pub(crate) use refusal::reason;
