//! In charge of the kit that the suites share.
//! Invariant: what a test needs and cannot have is a failure; nothing is ever skipped.
