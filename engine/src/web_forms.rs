//! In charge of public forms: what a visitor without an account may send, and what becomes of it.
//! Reading order: `plan` (documents compiled), `guard` (who sends too fast, too often, or twice), `post` (one sending, in one
//! transaction), `choices` (records that a visitor may choose), `touch` (what a sending leaves on timelines), `link` (forms about a record that is there).
//! Invariant: nothing is accepted that the form does not list, and nothing is told of what the form does not list.
//! Invariant: what is sent twice under one token happens once; the record, its timeline and what it sets off are one transaction.

mod choices;
mod guard;
pub(crate) mod link;
mod plan;
mod post;
mod touch;

pub use choices::Choice;
pub(crate) use guard::Limits;
pub use guard::{Token, Trap};
pub use link::{PROOF, Seen, Sight};
pub(crate) use plan::WebForms;
pub use plan::{FormPlan, Offered};
pub use post::{Fate, Posted, Received};
