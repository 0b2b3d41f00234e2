//! In charge of records: the one write path and the one read path.
//! Reading order: `submission` (what is asked), `write` (the ordered list), `consequences`; `read`, `shape`; `feed`.

pub(crate) mod accept;
mod aggregate;
mod batch;
pub(crate) mod check;
mod choices;
pub(crate) mod consequences;
mod cursor;
pub(crate) mod duplicates;
mod feed;
pub(crate) mod fill;
pub(crate) mod formulas;
pub(crate) mod history;
pub(crate) mod integrity;
mod lines;
pub(crate) mod lookup;
mod members;
mod money;
mod moves;
mod numbering;
mod permit;
pub(crate) mod persist;
mod preview;
mod read;
pub(crate) mod remove;
pub(crate) mod rollups;
pub(crate) mod shape;
pub(crate) mod slice;
mod submission;
pub(crate) mod write;

pub use batch::{Batch, ChangeNote, Idempotency};
pub(crate) use batch::{known, notes_of, remember_answer, write_in};
pub use choices::Choosing;
pub(crate) use fill::along;
pub use history::Op;
pub(crate) use history::{json_of, sealed};
pub use members::Member;
pub(crate) use numbering::flow_number;
pub(crate) use preview::drafted;
pub use preview::{Allowed, FieldState, FormState, MoveChoice};
pub(crate) use read::list as list_in;
pub(crate) use read::one as one_in;
pub use read::{ListAnswer, ListRequest, RecordAnswer, Total};
pub use shape::Shape;
pub use submission::{Channel, Outcome, Submission, Written};
