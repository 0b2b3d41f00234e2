//! In charge of expressions: one line that looks at one record and gives a value.
//! Reading order: `Expression`; then `kind` (what the check knows), `parse` (Rhai's parser), `names` (what names mean),
//! `lower` (tree to nodes, with all checks), `node`, `run`; `item` and `functions` hold what operators and functions do.
//!
//! The language is Rhai's, its meaning is ours: a tree from Rhai's parser is checked against the schema and compiled to
//! nodes that read cells in place. Rhai's own evaluator would need every value copied into it beforehand, could not read
//! a reference only when it is asked for, and compares different kinds silently.
//!
//! Invariant: what compiles has only known names and, where that can be seen, fitting kinds.
//! Invariant: an expression has no loops, so it ends; texts in it are capped; numbers in it are exact.

use std::sync::Arc;

use model::{EntityId, Schema, Storage, Value};

use crate::eval::HostFault;
use crate::query::Path;
use crate::scope::Scope;

mod clock;
pub(crate) mod constants;
mod fit;
pub(crate) mod functions;
pub(crate) mod item;
mod kind;
pub(crate) mod lower;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod parse;
pub(crate) mod run;
pub(crate) mod stage;

pub use clock::{ClockExpr, ClockTerm, is_on_read};
pub use fit::fit;
pub use functions::{FUNCTIONS, Function};
pub use item::{MAX_TEXT, Refusal, decimal, from_json, same_text};
pub use kind::Kind;
pub use node::Given;
pub use parse::{MAX_DEPTH, MAX_LENGTH};
pub use run::stored_json;

/// A place in an expression's text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The line.
    pub line: u32,
    /// The character in it.
    pub column: u32,
}

impl Spot {
    /// Where every expression begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong with an expression as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionFault {
    /// The line, from 1.
    pub line: u32,
    /// The character in it, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What was likely meant.
    pub hint: Option<String>,
}

impl ExpressionFault {
    pub(crate) fn new(spot: Spot, message: impl Into<String>) -> Self {
        Self { line: spot.line, column: spot.column, message: message.into(), hint: None }
    }
}

/// Why an expression gave no value this time.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvalFault {
    /// An operator or a function refused.
    #[error("{refusal} ({spot})")]
    Refused {
        /// Where.
        spot: Spot,
        /// Why.
        refusal: Refusal,
    },
    /// A record could not be read.
    #[error(transparent)]
    Host(#[from] HostFault),
}

impl EvalFault {
    fn at(spot: Spot, refusal: Refusal) -> Self {
        Self::Refused { spot, refusal }
    }
}

/// What an expression is for; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A formula field: nobody's person, no past, and nothing that is itself computed on read.
    Formula,
    /// Gives true or false.
    Condition,
    /// Any value.
    Value,
}

/// Where an expression stands: what its names may mean.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// The entity of the record.
    pub entity: EntityId,
    /// The app whose settings it reads.
    pub app: &'a str,
    /// What it is for.
    pub usage: Use,
    /// What is given by name beside the record.
    pub given: &'a [(String, Given)],
}

impl<'a> Place<'a> {
    /// On a record of `entity`, in the entity's own app, with nothing given.
    #[must_use]
    pub fn of(schema: &'a Schema, entity: EntityId, usage: Use) -> Self {
        Self { schema, entity, app: schema.entity(entity).name.app(), usage, given: &[] }
    }
}

/// A compiled expression, shared by all that run it.
#[derive(Clone, Debug)]
pub struct Expression(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    node: node::Node,
    kind: Kind,
    reads: Vec<Path>,
    given_reads: Vec<(Arc<str>, Path)>,
    uses_clock: bool,
    items: Kind,
    on_read: Option<ClockExpr>,
    /// What a rule forgives being empty.
    forgiven: Vec<node::Node>,
}

impl Expression {
    /// Compiles `text` as it stands on a record of `entity`.
    ///
    /// # Errors
    /// Every fault found, each with its place.
    pub fn compile(schema: &Schema, entity: EntityId, text: &str, usage: Use) -> Result<Self, Vec<ExpressionFault>> {
        Self::compile_at(Place::of(schema, entity, usage), text)
    }

    /// Compiles `text` as it stands at `place`.
    ///
    /// # Errors
    /// Every fault found, each with its place.
    pub fn compile_at(place: Place<'_>, text: &str) -> Result<Self, Vec<ExpressionFault>> {
        let lowered = lower::lower(place, text)?;
        let on_read = clock::of(&lowered.node, place);
        if place.usage == Use::Formula && on_read.is_none() && is_on_read(text) {
            let message = "what depends on the clock like this may only use date fields of the record, all with or all without a time";
            return Err(vec![ExpressionFault::new(Spot::START, message)]);
        }
        let forgiven = lowered.node.forgiven();
        Ok(Self(Arc::new(Compiled {
            kind: lowered.kind,
            reads: lowered.reads,
            given_reads: lowered.given_reads,
            uses_clock: lowered.uses_clock,
            items: lowered.items,
            on_read,
            forgiven,
            node: lowered.node,
        })))
    }

    /// Its value on `scope`; numbers are not yet rounded to any field (see [`fit`]).
    ///
    /// # Errors
    /// Where an operator or function refuses, or a record cannot be read.
    pub fn eval(&self, scope: &Scope<'_>) -> Result<Value, EvalFault> {
        match run::run(&self.0.node, scope)? {
            item::Item::Value(value) => Ok(value),
            span @ (item::Item::Days(_) | item::Item::Hours(_)) => {
                Err(EvalFault::at(Spot::START, Refusal::Kinds(format!("{} is no value of its own", span.word()))))
            }
        }
    }

    /// Whether it holds; an empty value does not.
    ///
    /// # Errors
    /// As [`Self::eval`], and where its value is neither true nor false.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvalFault> {
        run::truth(&self.0.node, scope, Spot::START)
    }

    /// Whether a rule that requires it passes: it holds, or something that it compares is empty and is nowhere in it
    /// tested for being empty (`x == ()`, `x != ()`) or given a default (`x ?? 0`).
    ///
    /// # Errors
    /// As [`Self::holds`].
    pub fn passes(&self, scope: &Scope<'_>) -> Result<bool, EvalFault> {
        if self.holds(scope)? {
            return Ok(true);
        }
        for leaf in &self.0.forgiven {
            if run::run(leaf, scope)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What kind of value it gives.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What kind the items are of a list that it gives; `Any` where that is not known.
    #[must_use]
    pub fn items(&self) -> Kind {
        self.0.items
    }

    /// Whether its value may be stored in a column.
    #[must_use]
    pub fn fits(&self, storage: Storage) -> bool {
        match Kind::stored_as(storage) {
            Kind::Id => matches!(self.kind(), Kind::Any | Kind::Empty | Kind::Id | Kind::Record(_)),
            // A list of names or texts is stored as JSON.
            Kind::Structure => matches!(self.kind(), Kind::Any | Kind::Empty | Kind::Structure | Kind::List),
            wanted => wanted.both(self.kind()).is_some(),
        }
    }

    /// The fields of the record, and over its references, that it reads; each once. What it reads of the past, of the
    /// person and of what is given is not among them.
    #[must_use]
    pub fn reads(&self) -> &[Path] {
        &self.0.reads
    }

    /// The fields of what is given by `name`, and over its references, that it reads.
    pub fn reads_of<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Path> {
        self.0.given_reads.iter().filter(move |(given, _)| **given == *name).map(|(_, path)| path)
    }

    /// Whether its value depends on the time.
    #[must_use]
    pub fn uses_clock(&self) -> bool {
        self.0.uses_clock
    }

    /// The expression in the closed form that SQL can compute on read, where it has it.
    #[must_use]
    pub fn on_read(&self) -> Option<&ClockExpr> {
        self.0.on_read.as_ref()
    }
}

/// The names that a choice or stage field may hold, in order; none for any other.
#[must_use]
pub fn option_names(schema: &Schema, field: &model::FieldDef) -> Option<Vec<String>> {
    stage::names_of(schema, field)
}
