//! In charge of the nouns: what an admin may write, and what a record holds.
//!
//! Reading order: `name`, `label`, `value`, `filter`; then `doc` (documents as written), `field` (kinds),
//! `schema` (documents compiled), `package` (a folder of documents read and written), `check` (what is wrong with
//! them), `schemas` (their JSON Schemas), `patch`, `diff` and `merge` (what becomes of them).
//!
//! Invariant: pure. No clock, no database, no HTTP, nothing async; the same documents give the same schema.

pub mod check;
pub mod diff;
pub mod doc;
pub mod fault;
pub mod field;
pub mod filter;
pub mod hint;
pub mod input;
pub mod json;
pub mod label;
pub mod merge;
pub mod message;
pub mod name;
pub mod pack;
pub mod package;
pub mod patch;
pub mod schema;
pub mod schemas;
pub mod text;
pub mod value;

pub use fault::{Code, Diagnostic, Severity, Violation, Wording};
pub use filter::{Filter, Op};
pub use input::Input;
pub use label::Label;
pub use message::Message;
pub use name::{EntityName, Name};
pub use schema::{Cells, EntityDef, EntityId, FieldDef, FieldId, Schema, Slot};
pub use value::{Storage, Value};
