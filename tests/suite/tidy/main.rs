//! In charge of the house rules that no compiler keeps: floors, homes, sizes, headers, words, licences, vendored files.
//! Reading order: `house` (manifests), `sources` (Rust files), `pages` (templates and vendored files), `kinds`, `papers`.
//! Invariant: a rule is read from the tree itself, never from a list that has to be kept beside it, but for the tables of
//! floors and homes, which are the decision.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod house;
mod kinds;
mod pages;
mod papers;
mod sources;
mod tree;

/// Fails with every fault at once.
fn assert_clean(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}: {} fault(s)\n  {}", faults.len(), faults.join("\n  "));
}
