//! In charge of the HTTP contract: each file one resource, each story on both databases from one text.
//! Reading order: `records`, `lists`, `access`; then as you need.
//! Invariant: a story speaks HTTP only; what it checks a client could check.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod access;
mod accounts;
mod aggregate;
mod approval_rights;
mod approvals;
mod apps;
mod automations;
mod bad_input;
mod batches;
mod change_sets;
mod changes;
mod clocks;
mod conversions;
mod duplicates;
mod exchange;
mod faults;
mod files;
mod followers;
mod history;
mod idempotency;
mod lists;
mod meta;
mod moves;
mod notices;
mod pools;
mod prints;
mod problems;
mod publishing;
mod records;
mod replays;
mod scripts;
mod sealed;
mod search;
mod sign_in;
mod web_forms;
