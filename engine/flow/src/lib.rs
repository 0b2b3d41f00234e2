//! In charge of what moves through time: approvals, automations and clocks.
//! Reading order: `approval` (flows, instances, and the one function that moves them), `automation` (where a run stands), `clock` (how much time something has).
//! Invariant: pure: no clock, no database, nothing that waits; what must be known is asked of a trait, what must be done
//! outside is told as an effect.

pub mod approval;
pub mod automation;
pub mod clock;
