//! In charge of what must hold for any data: properties with generated input, on both databases.
//! Invariant: a property is checked against something simpler than the thing itself: a recount, a plain loop, a twin.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod approvals;
mod filters;
mod hidden;
mod leads;
mod rollups;
mod versions;
