//! In charge of turning views and forms into pages; the crate holds the embedded front-end assets so far, and no code.
