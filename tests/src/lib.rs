//! In charge of the kit that the suites share: databases, a running workspace, a client.
//! Invariant: what a test needs and cannot have is a failure; nothing is ever skipped.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]
#![allow(clippy::missing_panics_doc, reason = "everything here panics where a test cannot go on")]

pub mod app;
pub mod backend;
pub mod chance;
pub mod client;
pub mod folders;
pub mod instances;
pub mod program;
pub mod recount;
pub mod serve;
pub mod sinks;
