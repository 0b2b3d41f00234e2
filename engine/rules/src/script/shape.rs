//! In charge of shapes: what the check of a script knows of a value before there is one.
//! Invariant: what is not known is `Kind::Any`; it fits everywhere and the run checks it.

use std::sync::Arc;

use model::field::Role;
use model::{FieldDef, Schema};

use crate::expr::Kind;

/// What a value in a script is; closed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// One value of a kind, or a record.
    Kind(Kind),
    /// Several of one shape.
    List(Box<Shape>),
    /// Values by key; where the keys are known, these and no others.
    Map(Option<Arc<[(String, Shape)]>>),
}

impl Shape {
    pub const ANY: Self = Self::Kind(Kind::Any);
    pub const EMPTY: Self = Self::Kind(Kind::Empty);
    pub const TRUTH: Self = Self::Kind(Kind::Truth);
    pub const NUMBER: Self = Self::Kind(Kind::Number);
    pub const TEXT: Self = Self::Kind(Kind::Text);

    /// That of values of a kind.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::List => Self::list(Self::ANY),
            kind => Self::Kind(kind),
        }
    }

    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// That of a field's values.
    pub fn of_field(field: &FieldDef) -> Self {
        match (&field.role, field.targets.as_slice()) {
            (Role::References(_), [target]) => Self::list(Self::Kind(Kind::Record(*target))),
            // Of which entity the record is, is known when it is there.
            (Role::AnyReference { .. }, _) => Self::ANY,
            _ => Self::of(Kind::of(field)),
        }
    }

    /// The kind, as far as kinds tell it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Kind(kind) => *kind,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Structure,
        }
    }

    /// What people call it.
    pub fn word(&self, schema: &Schema) -> String {
        match self {
            Self::Kind(kind) => kind.word(schema),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }

    /// The shape that holds for both, where they may stand in one place.
    pub fn both(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Kind(Kind::Empty), shape) | (shape, Self::Kind(Kind::Empty)) => Some(shape.clone()),
            (Self::Kind(Kind::Any), _) | (_, Self::Kind(Kind::Any)) => Some(Self::ANY),
            (Self::Kind(one), Self::Kind(another)) => one.both(*another).map(Self::Kind),
            (Self::List(one), Self::List(another)) => Some(Self::list(one.join(another))),
            (Self::Map(one), Self::Map(another)) => Some(Self::Map(one.clone().filter(|_| one == another))),
            (Self::Kind(_) | Self::List(_) | Self::Map(_), _) => None,
        }
    }

    /// The shape of what may be either.
    pub fn join(&self, other: &Self) -> Self {
        self.both(other).unwrap_or(Self::ANY)
    }

    /// Whether it may stand where true or false is asked.
    pub fn is_truth(&self) -> bool {
        matches!(self, Self::Kind(kind) if kind.is_truth())
    }

    /// Whether a value of this shape may be written to a field; false only where it is sure that it may not.
    pub fn fits(&self, field: &FieldDef) -> bool {
        use Kind::{Any, Day, Empty, Id, List, Moment, Number, Record, Sealed, Structure, Text, Time};
        match (Kind::of(field), self.kind()) {
            (_, Any | Empty) | (Any | Sealed | Structure, _) => true,
            (Day | Moment | Time | Id | Record(_), Text) | (Record(_), Id) | (Id, Record(_)) => true,
            (Text, Number | Day | Moment | Time | Id | Record(_)) => true,
            (Moment, Day) => true,
            (List, List) => true,
            (one, another) => one == another,
        }
    }
}
