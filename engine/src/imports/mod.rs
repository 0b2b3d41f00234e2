//! In charge of files that become records: read, mapped, written slice by slice.
//! Reading order: `request` (what is asked), `plan` (a document for one header), `run`; then `slice` and `resolve`.
//! Invariant: rows are written by the one write path; a row that fails stands in the error file with its reason.

pub(crate) mod read;
pub(crate) mod words;
