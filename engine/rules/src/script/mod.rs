//! In charge of scripts: functions in Rhai's syntax that look at records, decide, and write.
//! Reading order: `Script`, `ScriptPlace`, `Host` (what a script may ask); then `shape` (what the check knows), `parse`,
//! `names`, `lower`, `statements`, `branches` and `closures` (tree to nodes, with all checks), `calls` and `ask` (functions of
//! the host and their checks), `node`, `thing` (values while it runs), `run`, `control`, `fields` (reading), `places` (assigning), `act` (asking the host), `values` (lists, maps, texts), `limits`.
//!
//! The language is Rhai's, its meaning is that of expressions: the same operators, the same functions, the same kinds, so a
//! condition means the same wherever it stands. Rhai's own evaluator would compare different kinds silently and needs
//! everything that it calls to be shared between threads, which an open transaction is not.
//!
//! Invariant: what compiles has only known names and, where that can be seen, fitting kinds.
//! Invariant: a script reaches nothing but its host; it ends by its limits, whatever is written in it.
//! Invariant: what it assigns to fields is written when it ends well, and not at all when it does not.

use std::sync::Arc;

use indexmap::IndexMap;
use model::{EntityId, FieldId, Schema, Value};

use crate::expr::{ExpressionFault, Kind};

mod act;
mod ask;
mod branches;
mod calls;
mod closures;
mod control;
mod fields;
mod host;
mod limits;
mod lower;
mod names;
mod node;
mod parse;
mod places;
mod run;
mod shape;
mod statements;
mod thing;
mod values;

pub use host::{Found, Host, Message, Tell, Wanted};
pub use limits::{Cost, Limit, Limits};
pub use parse::MAX_LENGTH;
pub use run::{Change, Done, Ended, Stop, Why};

/// Where a script stands: what its names may mean.
#[derive(Clone, Copy)]
pub struct ScriptPlace<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// The app whose names and settings it uses.
    pub app: &'a str,
    /// The entity of the record that it is given; none where it runs without one.
    pub entity: Option<EntityId>,
    /// What else it is given, by key: the answers to what a button asked. Any keys where none are known.
    pub given: Option<&'a [(String, Kind)]>,
    /// Whether it runs while a record is being saved: it reaches nothing outside then.
    pub before: bool,
    /// Whether nobody with whose rights it may run can see a field.
    pub hidden: &'a dyn Fn(EntityId, FieldId) -> bool,
}

/// A compiled script, shared by all that run it.
#[derive(Clone, Debug)]
pub struct Script(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    app: String,
    bodies: Vec<node::Body>,
    /// The one that runs.
    run: usize,
}

impl Script {
    /// Compiles `text` as it stands at `place`.
    ///
    /// # Errors
    /// Every fault found, each with its place.
    pub fn compile(place: ScriptPlace<'_>, text: &str) -> Result<Self, Vec<ExpressionFault>> {
        let (bodies, run) = statements::compile(place, text)?;
        Ok(Self(Arc::new(Compiled { app: place.app.to_owned(), bodies, run })))
    }

    /// Runs it on a record, with what else it is given.
    pub fn run<H: Host>(&self, host: &H, record: Option<(EntityId, uuid::Uuid)>, given: &IndexMap<String, Value>, limits: Limits) -> Ended<H::Fault> {
        run::run(&self.0, host, record, given, limits)
    }
}
