//! In charge of values while an expression runs, and of what operators make of them.
//! Reading order: `Item`, then arithmetic, then comparison.
//! Invariant: arithmetic with an empty operand is empty; an ordering comparison with one is false.
//! Invariant: numbers are exact (28 digits); nothing overflows silently and nothing panics.

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, Days, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use model::Value;
use rust_decimal::Decimal;

/// The longest text that an expression may make, in bytes.
pub const MAX_TEXT: usize = 100_000;

/// A value on its way.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// What a record can hold.
    Value(Value),
    /// A span of calendar days.
    Days(i64),
    /// A span of time, in microseconds.
    Hours(i64),
}

/// Why an operator or function gives no value; closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A divisor was 0.
    #[error("division by zero")]
    DivisionByZero,
    /// A number beyond what fits.
    #[error("a number became too large")]
    Overflow,
    /// A date or moment beyond what fits.
    #[error("a date became too far away")]
    DateOutOfRange,
    /// A text beyond [`MAX_TEXT`].
    #[error("a text became too long")]
    TooLong,
    /// Operands that do not go together.
    #[error("{0}")]
    Kinds(String),
    /// An argument out of its range.
    #[error("{0}")]
    Argument(String),
}

impl Item {
    /// Nothing.
    pub const EMPTY: Self = Self::Value(Value::Null);

    /// A truth.
    #[must_use]
    pub fn truth(truth: bool) -> Self {
        Self::Value(Value::Bool(truth))
    }

    /// A text; empty where there are no characters.
    ///
    /// # Errors
    /// Where it is longer than [`MAX_TEXT`].
    pub fn text(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_TEXT { Err(Refusal::TooLong) } else { Ok(Self::Value(Value::text(text))) }
    }

    /// Whether this is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Value(Value::Null))
    }

    /// What people call a value of this kind.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Days(_) => "a number of days",
            Self::Hours(_) => "a number of hours",
            Self::Value(value) => match value {
                Value::Null => "nothing",
                Value::Bool(_) => "true or false",
                Value::Int(_) | Value::Decimal(_) => "a number",
                Value::Text(_) => "a text",
                Value::Date(_) => "a date",
                Value::Time(_) => "a time of day",
                Value::Timestamp(_) => "a date with time",
                Value::Uuid(_) => "a record",
                Value::Json(_) => "a structured value",
                Value::Bytes(_) => "bytes",
                Value::List(_) => "a list",
            },
        }
    }

    /// The truth of a condition: an empty value is false.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn as_truth(&self) -> Result<bool, Refusal> {
        match self {
            Self::Value(Value::Bool(truth)) => Ok(*truth),
            Self::Value(Value::Null) => Ok(false),
            other => Err(Refusal::Kinds(format!("{} stands where true or false is asked", other.word()))),
        }
    }
}

impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// An operator of arithmetic; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`, also joins texts.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, always a decimal.
    Divide,
    /// `%`, the remainder, with the sign of the left.
    Remainder,
    /// `**`, with a whole exponent.
    Power,
}

impl Arithmetic {
    /// As written.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "**",
        }
    }

    /// The operator that `sign` writes.
    #[must_use]
    pub fn parse(sign: &str) -> Option<Self> {
        [Self::Add, Self::Subtract, Self::Multiply, Self::Divide, Self::Remainder, Self::Power].into_iter().find(|operator| operator.sign() == sign)
    }

    /// What it makes of two values.
    ///
    /// # Errors
    /// Where the values do not go together or the result does not fit.
    pub fn apply(self, left: &Item, right: &Item, zone: Tz) -> Result<Item, Refusal> {
        if left.is_empty() || right.is_empty() {
            return Ok(Item::EMPTY);
        }
        if let (Item::Value(a), Item::Value(b)) = (left, right) {
            if let (Value::Int(a), Value::Int(b)) = (a, b) {
                return self.whole(*a, *b).map(Item::Value);
            }
            if let (Some(a), Some(b)) = (a.as_decimal(), b.as_decimal()) {
                return self.exact(a, b).map(|number| Item::Value(Value::Decimal(number)));
            }
        }
        match self {
            Self::Add => add(left, right, zone),
            Self::Subtract => subtract(left, right, zone),
            Self::Multiply | Self::Divide | Self::Remainder | Self::Power => None,
        }
        .unwrap_or_else(|| Err(Refusal::Kinds(format!("`{}` cannot take {} and {}", self.sign(), left.word(), right.word()))))
    }

    fn whole(self, a: i64, b: i64) -> Result<Value, Refusal> {
        let number = match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => return self.exact(Decimal::from(a), Decimal::from(b)).map(Value::Decimal),
            Self::Remainder if b == 0 => return Err(Refusal::DivisionByZero),
            Self::Remainder => a.checked_rem(b),
            Self::Power => match u32::try_from(b) {
                Ok(exponent) => a.checked_pow(exponent),
                Err(_) => return self.exact(Decimal::from(a), Decimal::from(b)).map(Value::Decimal),
            },
        };
        number.map(Value::Int).ok_or(Refusal::Overflow)
    }

    fn exact(self, a: Decimal, b: Decimal) -> Result<Decimal, Refusal> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide | Self::Remainder if b.is_zero() => return Err(Refusal::DivisionByZero),
            Self::Divide => a.checked_div(b),
            Self::Remainder => a.checked_rem(b),
            Self::Power => return power(a, b),
        }
        .ok_or(Refusal::Overflow)
    }
}

/// The largest exponent of `**`.
const MAX_EXPONENT: i64 = 1_000;

fn power(base: Decimal, exponent: Decimal) -> Result<Decimal, Refusal> {
    let whole = whole(exponent).filter(|exponent| exponent.abs() <= MAX_EXPONENT);
    let exponent = whole.ok_or_else(|| Refusal::Argument(format!("the exponent of `**` must be a whole number up to {MAX_EXPONENT}")))?;
    let mut result = Decimal::ONE;
    for _ in 0..exponent.unsigned_abs() {
        result = result.checked_mul(base).ok_or(Refusal::Overflow)?;
    }
    if exponent >= 0 {
        return Ok(result);
    }
    if result.is_zero() { Err(Refusal::DivisionByZero) } else { Decimal::ONE.checked_div(result).ok_or(Refusal::Overflow) }
}

/// The whole number that a decimal is, where it is one of 64 bits.
#[must_use]
pub fn whole(number: Decimal) -> Option<i64> {
    use rust_decimal::prelude::ToPrimitive;
    if number.fract().is_zero() { number.to_i64() } else { None }
}

fn add(left: &Item, right: &Item, zone: Tz) -> Option<Result<Item, Refusal>> {
    match (left, right) {
        (Item::Value(Value::Date(day)), Item::Days(days)) | (Item::Days(days), Item::Value(Value::Date(day))) => {
            Some(shift_days(*day, *days).map(|day| Item::Value(Value::Date(day))))
        }
        (Item::Value(Value::Timestamp(moment)), Item::Days(days)) | (Item::Days(days), Item::Value(Value::Timestamp(moment))) => {
            Some(shift_moment(*moment, *days, zone).map(|moment| Item::Value(Value::Timestamp(moment))))
        }
        (Item::Value(Value::Timestamp(moment)), Item::Hours(span)) | (Item::Hours(span), Item::Value(Value::Timestamp(moment))) => Some(
            moment
                .checked_add_signed(TimeDelta::microseconds(*span))
                .map(|moment| Item::Value(Value::Timestamp(moment)))
                .ok_or(Refusal::DateOutOfRange),
        ),
        (Item::Days(a), Item::Days(b)) => Some(a.checked_add(*b).map(Item::Days).ok_or(Refusal::Overflow)),
        (Item::Hours(a), Item::Hours(b)) => Some(a.checked_add(*b).map(Item::Hours).ok_or(Refusal::Overflow)),
        (Item::Value(a), Item::Value(b)) if a.as_text().is_some() || b.as_text().is_some() => Some(join(a, b)),
        _ => None,
    }
}

fn subtract(left: &Item, right: &Item, zone: Tz) -> Option<Result<Item, Refusal>> {
    match (left, right) {
        (Item::Value(Value::Date(_) | Value::Timestamp(_)), Item::Value(Value::Date(_) | Value::Timestamp(_))) => {
            days_from(right, left).map(|days| Ok(Item::Value(Value::Int(days))))
        }
        (_, Item::Days(days)) => match days.checked_neg() {
            Some(days) => add(left, &Item::Days(days), zone),
            None => Some(Err(Refusal::Overflow)),
        },
        (_, Item::Hours(span)) => match span.checked_neg() {
            Some(span) => add(left, &Item::Hours(span), zone),
            None => Some(Err(Refusal::Overflow)),
        },
        _ => None,
    }
}

/// The days from one day to another, or the whole days that passed from one moment to another.
#[must_use]
pub fn days_from(from: &Item, to: &Item) -> Option<i64> {
    match (from, to) {
        (Item::Value(Value::Date(from)), Item::Value(Value::Date(to))) => Some(to.signed_duration_since(*from).num_days()),
        (Item::Value(Value::Timestamp(from)), Item::Value(Value::Timestamp(to))) => Some(to.signed_duration_since(*from).num_days()),
        _ => None,
    }
}

/// `day` and `days` more.
///
/// # Errors
/// Where no such day can be written.
pub fn shift_days(day: chrono::NaiveDate, days: i64) -> Result<chrono::NaiveDate, Refusal> {
    let count = Days::new(days.unsigned_abs());
    let shifted = if days < 0 { day.checked_sub_days(count) } else { day.checked_add_days(count) };
    shifted.filter(|day| is_writable(*day)).ok_or(Refusal::DateOutOfRange)
}

/// Whether a day has a year of four digits: what the databases and ISO 8601 agree on.
#[must_use]
pub fn is_writable(day: chrono::NaiveDate) -> bool {
    (0..=9999).contains(&chrono::Datelike::year(&day))
}

/// The text that this is.
pub fn text_of(item: &Item) -> Option<&str> {
    match item {
        Item::Value(value) => value.as_text(),
        Item::Days(_) | Item::Hours(_) => None,
    }
}

/// The same time of day in `zone`, `days` later; where a clock change skips it, the first moment after.
fn shift_moment(moment: DateTime<Utc>, days: i64, zone: Tz) -> Result<DateTime<Utc>, Refusal> {
    let local = moment.with_timezone(&zone).naive_local();
    at_local(shift_days(local.date(), days)?.and_time(local.time()), zone)
}

/// The moment when clocks in `zone` show `local`: the first where they do so twice, the first after where they skip it.
///
/// # Errors
/// Where no such moment can be written.
pub fn at_local(local: chrono::NaiveDateTime, zone: Tz) -> Result<DateTime<Utc>, Refusal> {
    // No zone skips more than a day; the search goes in steps of a quarter of an hour, which all zones use.
    (0..=96)
        .filter_map(|quarter| local.checked_add_signed(TimeDelta::minutes(15 * quarter)))
        .find_map(|local| zone.from_local_datetime(&local).earliest())
        .map(|moment| moment.with_timezone(&Utc))
        .ok_or(Refusal::DateOutOfRange)
}

fn join(a: &Value, b: &Value) -> Result<Item, Refusal> {
    let mut text = plain(a).ok_or_else(|| Refusal::Kinds(format!("`+` cannot join a text and {}", Item::Value(a.clone()).word())))?;
    text.push_str(&plain(b).ok_or_else(|| Refusal::Kinds(format!("`+` cannot join a text and {}", Item::Value(b.clone()).word())))?);
    Item::text(&text)
}

/// The plain text of a value: digits, ISO dates; none for what has no text.
#[must_use]
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Decimal(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.to_string()),
        Value::Date(day) => Some(day.to_string()),
        Value::Time(time) => Some(time.format("%H:%M").to_string()),
        Value::Timestamp(moment) => Some(moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        Value::Uuid(id) => Some(id.to_string()),
        Value::Json(_) | Value::Bytes(_) | Value::List(_) => None,
    }
}

/// An operator of comparison; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// As written.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    /// The operator that `sign` writes.
    #[must_use]
    pub fn parse(sign: &str) -> Option<Self> {
        [Self::Equal, Self::Unequal, Self::Less, Self::AtMost, Self::Greater, Self::AtLeast].into_iter().find(|operator| operator.sign() == sign)
    }

    /// Whether it asks for an order, not only for equality.
    #[must_use]
    pub fn is_order(self) -> bool {
        match self {
            Self::Equal | Self::Unequal => false,
            Self::Less | Self::AtMost | Self::Greater | Self::AtLeast => true,
        }
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// Where the values are of different kinds, or have no order and one is asked for.
    pub fn holds(self, left: &Item, right: &Item) -> Result<bool, Refusal> {
        if left.is_empty() || right.is_empty() {
            let both = left.is_empty() && right.is_empty();
            return Ok(match self {
                Self::Equal => both,
                Self::Unequal => !both,
                Self::Less | Self::AtMost | Self::Greater | Self::AtLeast => false,
            });
        }
        match self {
            Self::Equal => equal(left, right),
            Self::Unequal => equal(left, right).map(|same| !same),
            Self::Less => order(left, right).map(Ordering::is_lt),
            Self::AtMost => order(left, right).map(Ordering::is_le),
            Self::Greater => order(left, right).map(Ordering::is_gt),
            Self::AtLeast => order(left, right).map(Ordering::is_ge),
        }
    }
}

fn different(left: &Item, right: &Item) -> Refusal {
    Refusal::Kinds(format!("{} and {} cannot be compared", left.word(), right.word()))
}

fn equal(left: &Item, right: &Item) -> Result<bool, Refusal> {
    let (Item::Value(a), Item::Value(b)) = (left, right) else {
        return if std::mem::discriminant(left) == std::mem::discriminant(right) { Ok(left == right) } else { Err(different(left, right)) };
    };
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(same_text(a, b)),
        (Value::Uuid(id), Value::Text(text)) | (Value::Text(text), Value::Uuid(id)) => {
            uuid::Uuid::try_parse(text).map(|other| other == *id).map_err(|_| different(left, right))
        }
        (Value::Json(a), Value::Json(b)) => Ok(a == b),
        (Value::List(a), Value::List(b)) => {
            Ok(a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(&Item::Value(a.clone()), &Item::Value(b.clone())).unwrap_or(false)))
        }
        _ => a.order(b).map(Ordering::is_eq).ok_or_else(|| different(left, right)),
    }
}

fn order(left: &Item, right: &Item) -> Result<Ordering, Refusal> {
    match (left, right) {
        (Item::Value(Value::Text(a)), Item::Value(Value::Text(b))) => Ok(model::text::fold(a).cmp(&model::text::fold(b))),
        (Item::Value(Value::Bool(_) | Value::Uuid(_) | Value::Bytes(_)), _) => Err(Refusal::Kinds(format!("{} has no order", left.word()))),
        (Item::Value(a), Item::Value(b)) => a.order(b).ok_or_else(|| different(left, right)),
        (Item::Days(a), Item::Days(b)) | (Item::Hours(a), Item::Hours(b)) => Ok(a.cmp(b)),
        (Item::Days(_) | Item::Hours(_) | Item::Value(_), _) => Err(different(left, right)),
    }
}

/// Whether two texts are the same to a person.
#[must_use]
pub fn same_text(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { model::text::fold(a) == model::text::fold(b) }
}

/// Whether `list` holds `item`, or the text `list` holds the text `item`.
///
/// # Errors
/// Where `list` is neither a list nor a text, or a text is asked for something else.
pub fn holds(list: &Item, item: &Item) -> Result<bool, Refusal> {
    if list.is_empty() || item.is_empty() {
        return Ok(false);
    }
    match (list, item) {
        (Item::Value(Value::List(items)), _) => {
            for there in items.iter() {
                if Comparison::Equal.holds(&Item::Value(there.clone()), item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Item::Value(Value::Text(text)), Item::Value(Value::Text(part))) => Ok(model::text::fold(text).contains(&model::text::fold(part))),
        (list, item) => Err(Refusal::Kinds(format!("{} cannot hold {}", list.word(), item.word()))),
    }
}

/// The value that JSON from outside (settings, payloads) stands for.
#[must_use]
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => {
            number.as_i64().map(Value::Int).or_else(|| decimal(&number.to_string()).map(Value::Decimal)).unwrap_or(Value::Null)
        }
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_json).collect()),
        serde_json::Value::Object(_) => Value::Json(Arc::new(json.clone())),
    }
}

/// The decimal that digits spell, with or without an exponent.
#[must_use]
pub fn decimal(digits: &str) -> Option<Decimal> {
    digits.parse().or_else(|_| Decimal::from_scientific(digits)).ok()
}
