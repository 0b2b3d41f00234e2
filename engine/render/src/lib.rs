//! In charge of turning documents and data into what people look at outside the pages: papers. It also holds the embedded
//! front-end assets.
//! Reading order: `words` (values as their reader writes them), `paper` (a template, what it reads, what comes of it).
//! Invariant: knows nothing of requests, sessions, or where data comes from; what it is not given, it cannot show.

pub mod paper;
pub mod words;
