//! In charge of what a bound filter is: a tree that memory and SQL evaluate alike.
//! Invariant: no placeholder is left; negation stands only at the leaves.
//! Invariant: the value of a test has the storage of the column that it is compared with.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use model::schema::InverseDef;
use model::{EntityId, FieldId, Slot, Value};
use uuid::Uuid;

use crate::expr::ClockExpr;
use crate::query::{Hop, Path};

/// A condition on one record; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// Always.
    True,
    /// Never.
    False,
    /// All hold.
    All(Vec<Predicate>),
    /// At least one holds.
    Any(Vec<Predicate>),
    /// A field compared.
    Leaf(Leaf),
    /// About related records.
    Related(Related),
    /// The record that a reference points at fits.
    Through(Through),
    /// The record that an any-reference points at fits, by its entity.
    ThroughAny(ThroughAny),
    /// The user is a member of the record.
    Member {
        /// The user.
        user: Uuid,
        /// With the right to write.
        write: bool,
    },
}

/// A field compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// The field. One out of sight, or behind an empty reference, counts as empty.
    pub path: Path,
    /// What is compared.
    pub column: Column,
    /// How.
    pub test: Test,
    /// Whether the test must not hold.
    pub negated: bool,
}

/// What is asked of a value; closed. Every test but `Empty` is false on an empty value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is empty.
    Empty,
    /// It is this.
    Equal(Value),
    /// It is one of these.
    In(Vec<Value>),
    /// It is less.
    Less(Value),
    /// It is less or the same.
    LessEqual(Value),
    /// It is more.
    Greater(Value),
    /// It is more or the same.
    GreaterEqual(Value),
    /// It is from the first on and before the second; an open end is `None`.
    Range(Option<Value>, Option<Value>),
    /// The folded text contains this.
    Contains(Arc<str>),
    /// The folded text starts with this.
    StartsWith(Arc<str>),
    /// The folded text ends with this.
    EndsWith(Arc<str>),
    /// The list holds this.
    Has(Value),
    /// The record that it points at (or is) is this one or below it in the tree of `entity` along `parent`.
    Under {
        /// The tree's entity.
        entity: EntityId,
        /// Its field of the parent.
        parent: FieldId,
        /// The record at the top.
        top: Uuid,
    },
    /// It compares so with another field.
    Field(Compare, Path, Column),
}

/// What of a field is compared, sorted or grouped by; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// A cell: the value, or its folded or sorted twin.
    Slot(Slot),
    /// A formula that is computed on read, at this moment.
    Clock(Arc<ClockExpr>, Moment),
}

/// The moment at which a formula is computed on read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The day in the reader's time zone.
    pub today: NaiveDate,
    /// The moment itself.
    pub now: DateTime<Utc>,
}

/// How two fields compare; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the comparison that its name says")]
pub enum Compare {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// About related records: at least one fits, or none does.
#[derive(Clone, Debug, PartialEq)]
pub struct Related {
    /// The references walked first.
    pub hops: Vec<Hop>,
    /// The entity that has the relation.
    pub entity: EntityId,
    /// How the related records are found.
    pub via: RelatedVia,
    /// Which of them are in sight.
    pub rows: Arc<Predicate>,
    /// What they must fit.
    pub filter: Box<Predicate>,
    /// Whether none may fit.
    pub negated: bool,
}

/// How related records are found; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum RelatedVia {
    /// They point here.
    Inverse(InverseDef),
    /// A list of references points at them.
    References(FieldId, EntityId),
}

impl RelatedVia {
    /// The entity of the related records.
    #[must_use]
    pub fn entity(&self) -> EntityId {
        match self {
            Self::Inverse(inverse) => inverse.entity,
            Self::References(_, entity) => *entity,
        }
    }
}

/// The record that a reference points at fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Through {
    /// The reference.
    pub field: FieldId,
    /// Where it leads.
    pub to: EntityId,
    /// What the target must fit.
    pub filter: Arc<Predicate>,
}

/// The record that an any-reference points at fits.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughAny {
    /// The any-reference.
    pub field: FieldId,
    /// What the target must fit, by its entity; others do not.
    pub targets: Vec<(EntityId, Arc<Predicate>)>,
}

impl Predicate {
    /// The references of the record itself whose targets it asks.
    #[must_use]
    pub fn through(&self) -> Vec<FieldId> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::through).collect(),
            Self::Through(through) => vec![through.field],
            Self::ThroughAny(through) => vec![through.field],
            Self::True | Self::False | Self::Leaf(_) | Self::Related(_) | Self::Member { .. } => Vec::new(),
        }
    }

    /// All of `parts`, made plain.
    #[must_use]
    pub fn all(parts: Vec<Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::All(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::True,
            1 => kept.remove(0),
            _ => Self::All(kept),
        }
    }

    /// Any of `parts`, made plain.
    #[must_use]
    pub fn any(parts: Vec<Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Any(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::False,
            1 => kept.remove(0),
            _ => Self::Any(kept),
        }
    }
}
