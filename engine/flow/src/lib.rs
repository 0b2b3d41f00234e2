//! In charge of what moves through time: where a run of an automation stands, what an approval came to.
//! Invariant: pure: told what happened and when, it says what follows; the engine keeps it and does it.

pub mod automation;
