//! In charge of what an expression, a condition or a text looks at: one record and what surrounds it.
//! Invariant: a scope only borrows; looking at it changes nothing.

use indexmap::IndexMap;
use model::{Cells, EntityId, Schema, Value};

use crate::eval::Lookup;
use crate::query::Params;

/// One record, in memory, with what surrounds it.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The schema that everything here is of.
    pub schema: &'a Schema,
    /// The record's entity.
    pub entity: EntityId,
    /// The record.
    pub record: &'a Cells,
    /// The record before the change; none where it is new.
    pub old: Option<&'a Cells>,
    /// Who acts, when, where, and the app's settings. Its `record` is not looked at: it is always the one above.
    pub params: &'a Params<'a>,
    /// The language of labels.
    pub locale: &'a str,
    /// What reads other records.
    pub lookup: &'a dyn Lookup,
    /// What was given by name beside the record: `ask`, `line`, `row`, results of steps.
    pub extra: &'a [(&'a str, Extra<'a>)],
}

/// One thing given by name; closed.
#[derive(Clone, Debug)]
pub enum Extra<'a> {
    /// A record.
    Record(EntityId, &'a Cells),
    /// Values by key.
    Values(&'a IndexMap<String, Value>),
    /// One value.
    Value(Value),
}

impl<'a> Scope<'a> {
    /// What was given by `name`.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&'a Extra<'a>> {
        self.extra.iter().find(|(there, _)| *there == name).map(|(_, extra)| extra)
    }

    /// The placeholders of filters with this record as `$record`.
    #[must_use]
    pub fn placeholders(&self) -> Params<'a> {
        Params { record: Some((self.entity, self.record)), ..self.params.clone() }
    }
}
