//! In charge of the example lived through at the engine's own door, without HTTP: from an empty database to closed deals.
//! Invariant: the same story gives the same figures on both databases.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod hand;
mod sales;
