//! In charge of kinds: what the check of an expression knows of a value before there is one.
//! Invariant: `Any` means "seen only at run time"; it fits everywhere and the run checks it.

use model::field::{Comparable, Role};
use model::{EntityId, FieldDef, Schema, Storage};

/// What a value in an expression is; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Known only when it is there.
    Any,
    /// Always empty.
    Empty,
    /// True or false.
    Truth,
    /// A whole number or an exact decimal.
    Number,
    /// A text; choices and stages are the text of their name.
    Text,
    /// A day.
    Day,
    /// A moment.
    Moment,
    /// A time of day.
    Time,
    /// A span of calendar days.
    Days,
    /// A span of hours.
    Hours,
    /// An id of some record.
    Id,
    /// A record of one entity, as its id.
    Record(EntityId),
    /// Several values.
    List,
    /// A structured value with parts, such as an address.
    Structure,
    /// Only whether it is empty may be asked: encrypted and secret values.
    Sealed,
}

impl Kind {
    /// The kind of a field's values.
    #[must_use]
    pub fn of(field: &FieldDef) -> Self {
        if field.typed.as_ref().is_some_and(|typed| typed.sealed_for().is_some()) {
            return Self::Sealed;
        }
        match &field.role {
            Role::Secret => Self::Sealed,
            Role::Reference(_) => field.targets.first().map_or(Self::Id, |target| Self::Record(*target)),
            Role::References(_) | Role::Files { many: true, .. } | Role::Choice { many: true, .. } | Role::Lines { .. } => Self::List,
            Role::Choice { many: false, .. } | Role::Stage { .. } => Self::Text,
            Role::Plain
            | Role::Money { .. }
            | Role::AnyReference { .. }
            | Role::Files { many: false, .. }
            | Role::Autonumber { .. }
            | Role::Formula { .. }
            | Role::Lookup { .. }
            | Role::Rollup(_) => field.typed.as_ref().map_or(Self::Any, |typed| {
                if typed.comparable() == Comparable::List {
                    return Self::List;
                }
                typed.columns().first().map_or(Self::Any, |column| Self::stored_as(column.storage))
            }),
        }
    }

    /// The kind of values of a column.
    #[must_use]
    pub fn stored_as(storage: Storage) -> Self {
        match storage {
            Storage::Bool => Self::Truth,
            Storage::Int | Storage::Decimal(_) => Self::Number,
            Storage::Text => Self::Text,
            Storage::Date => Self::Day,
            Storage::Time => Self::Time,
            Storage::Timestamp => Self::Moment,
            Storage::Uuid => Self::Id,
            Storage::Json => Self::Structure,
            Storage::Bytes => Self::Sealed,
        }
    }

    /// What people call it.
    #[must_use]
    pub fn word(self, schema: &Schema) -> String {
        match self {
            Self::Any => "a value".to_owned(),
            Self::Empty => "nothing".to_owned(),
            Self::Truth => "true or false".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Day => "a date".to_owned(),
            Self::Moment => "a date with time".to_owned(),
            Self::Time => "a time of day".to_owned(),
            Self::Days => "a number of days".to_owned(),
            Self::Hours => "a number of hours".to_owned(),
            Self::Id => "an id".to_owned(),
            Self::Record(entity) => format!("a record of `{}`", schema.entity(entity).name),
            Self::List => "a list".to_owned(),
            Self::Structure => "a structured value".to_owned(),
            Self::Sealed => "an encrypted value".to_owned(),
        }
    }

    /// The kind that holds for both, where they may stand in one place.
    #[must_use]
    pub fn both(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Empty, kind) | (kind, Self::Empty) => Some(kind),
            (Self::Any, _) | (_, Self::Any) => Some(Self::Any),
            (Self::Id, Self::Record(_)) | (Self::Record(_), Self::Id) => Some(Self::Id),
            (one, another) => (one == another).then_some(one),
        }
    }

    /// Whether values of this kind have an order.
    pub(crate) fn is_ordered(self) -> bool {
        match self {
            Self::Any | Self::Empty | Self::Number | Self::Text | Self::Day | Self::Moment | Self::Time => true,
            Self::Truth | Self::Days | Self::Hours | Self::Id | Self::Record(_) | Self::List | Self::Structure | Self::Sealed => false,
        }
    }

    /// Whether it may stand where true or false is asked.
    pub(crate) fn is_truth(self) -> bool {
        matches!(self, Self::Any | Self::Empty | Self::Truth)
    }
}
