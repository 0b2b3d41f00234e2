//! In charge of reasoning over one record: filters, expressions, texts, rights, order and search keys.
//! Reading order: `query` (filters), `eval` (their meaning in memory), `expr` (expressions), `condition`, `value`,
//! `script`, `text` (templates), `policy` (rights), `compute` (what is computed from what), `clock`, `keys` (order and search).
//!
//! Invariant: pure. No clock, no database, nothing async: time, person and other records are handed in.

pub mod clock;
pub mod compute;
pub mod condition;
pub mod eval;
pub mod expr;
pub mod keys;
pub mod policy;
pub mod query;
pub mod scope;
pub mod script;
pub mod text;
pub mod value;
