//! In charge of tables: records as rows, on SQLite and PostgreSQL from the same code.
//! Reading order: `Store`, `Tx`; then `rows` (records), `select` (lists), `ddl` (structure), `system` (own tables).
//! Invariant: everything is read and written through a `Tx`; only `dialect` and `db` know which database there is.
//! Invariant: a write that was answered is on disk; a write that failed left nothing.

mod db;
mod ddl;
mod dialect;
mod fault;
mod predicate;
mod retired;
mod rows;
mod search;
mod select;
mod sql;
pub mod system;
mod tree;
mod tx;

pub use db::{Location, Store};
pub use ddl::{Keyed, Leftover, Plan, Step};
pub use fault::Fault;
pub use search::IndexedText;
pub use select::{Aggregate, Binned, Bucket, Function, GroupBy, Measure, Row, Select};
pub use tx::{Lock, Tx};
