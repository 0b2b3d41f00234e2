//! In charge of behaviours written as data: operators over a small world, and what becomes of data when an app changes.
//! Invariant: a case is a file under tests/cases; both databases must agree with it.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod migrations;
mod queries;
mod world;
