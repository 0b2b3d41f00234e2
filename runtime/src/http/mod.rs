//! In charge of what HTTP asks of every handler: who calls, what was sent, how it is answered.
//! Reading order: `around` (the one middleware), `facts`, `caller`; `body`, `query`, `path` (in); `answer`, `problem` (out); `serve`.

pub mod answer;
pub mod around;
pub mod body;
pub mod caller;
pub mod cookie;
pub mod facts;
pub mod form;
pub mod locale;
pub mod metrics;
pub mod path;
pub mod problem;
pub mod query;
pub mod serve;

pub use caller::{Caller, Guest, Page};
pub use problem::Problem;
