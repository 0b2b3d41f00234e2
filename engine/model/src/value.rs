//! In charge of typed values: what a cell of a record holds, and what a column needs to know of it.
//! Invariant: a stored `Value` fits the `Storage` of its column or is `Null`; an empty text or list is `Null`.

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// What a column must be able to hold; closed, each database gives each its own type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// True or false.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// An exact decimal with this many digits behind the point, 18 digits in all.
    Decimal(u8),
    /// Text in UTF-8, without NUL.
    Text,
    /// A day.
    Date,
    /// A time of day, to the second.
    Time,
    /// A moment, in UTC, to the microsecond.
    Timestamp,
    /// An id.
    Uuid,
    /// Any JSON.
    Json,
    /// Bytes: sort keys and encrypted values.
    Bytes,
}

/// One typed value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Value {
    /// Empty.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// An exact decimal.
    Decimal(Decimal),
    /// A text.
    Text(Arc<str>),
    /// A day.
    Date(NaiveDate),
    /// A time of day.
    Time(NaiveTime),
    /// A moment.
    Timestamp(DateTime<Utc>),
    /// An id.
    Uuid(Uuid),
    /// Any JSON.
    Json(Arc<serde_json::Value>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// Several values: the cell of a kind that holds many (stored as JSON, indexed by a link table).
    List(Arc<[Value]>),
}

impl Value {
    /// A text, or `Null` where it is empty.
    #[must_use]
    pub fn text(text: &str) -> Self {
        if text.is_empty() { Self::Null } else { Self::Text(Arc::from(text)) }
    }

    /// A list, or `Null` where it is empty.
    #[must_use]
    pub fn list(items: Vec<Value>) -> Self {
        if items.is_empty() { Self::Null } else { Self::List(items.into()) }
    }

    /// Whether this is empty.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, where this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The id, where this is one.
    #[must_use]
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Self::Uuid(id) => Some(*id),
            _ => None,
        }
    }

    /// The whole number, where this is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth, where this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The number as an exact decimal, where this is a number.
    #[must_use]
    pub fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Decimal(number) => Some(*number),
            Self::Int(number) => Some(Decimal::from(*number)),
            _ => None,
        }
    }

    /// The day, where this is one.
    #[must_use]
    pub fn as_date(&self) -> Option<NaiveDate> {
        match self {
            Self::Date(day) => Some(*day),
            _ => None,
        }
    }

    /// The moment, where this is one.
    #[must_use]
    pub fn as_timestamp(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Timestamp(moment) => Some(*moment),
            _ => None,
        }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The order of two values of one column, empty first; `None` where their kinds differ.
    #[must_use]
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            (Self::Null, _) => Some(Ordering::Less),
            (_, Self::Null) => Some(Ordering::Greater),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Int(_) | Self::Decimal(_), Self::Int(_) | Self::Decimal(_)) => Some(self.as_decimal().cmp(&other.as_decimal())),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Uuid(a), Self::Uuid(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (
                Self::Bool(_)
                | Self::Int(_)
                | Self::Decimal(_)
                | Self::Text(_)
                | Self::Date(_)
                | Self::Time(_)
                | Self::Timestamp(_)
                | Self::Uuid(_)
                | Self::Json(_)
                | Self::Bytes(_)
                | Self::List(_),
                _,
            ) => None,
        }
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Uuid(id)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(moment: DateTime<Utc>) -> Self {
        Self::Timestamp(moment)
    }
}
