//! In charge of what all number kinds share: exact reading, limits, output.
//! Invariant: no number passes through a float; at most 18 digits in all, alike on both databases.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::fault::Code;
use crate::field::{AcceptContext, ColumnSpec, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The most digits of a number.
pub const MAX_DIGITS: u32 = 18;

/// The operators of what has an order.
pub const ORDER_OPERATORS: &[Op] = &[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::In, Op::NotIn, Op::Between, Op::IsEmpty, Op::IsSet];

/// Limits of a number, as written: a number, or a string where a float would lose digits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Limit {
    /// A JSON number.
    Number(serde_json::Number),
    /// Its digits.
    Digits(String),
    /// No limit.
    #[default]
    None,
}

impl Limit {
    /// The exact limit.
    #[must_use]
    pub fn exact(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => exact(&number.to_string()),
            Self::Digits(digits) => exact(digits),
            Self::None => None,
        }
    }
}

/// The exact decimal that `digits` spell, with or without an exponent.
#[must_use]
pub fn exact(digits: &str) -> Option<Decimal> {
    let digits = digits.trim();
    if digits.len() > 64 {
        return None;
    }
    if digits.contains(['e', 'E']) { Decimal::from_scientific(digits).ok() } else { Decimal::from_str_exact(digits).ok() }
}

/// Rounds half away from zero to `scale` digits: what computed values do, once, at the end.
#[must_use]
pub fn round(number: Decimal, scale: u8) -> Decimal {
    number.round_dp_with_strategy(u32::from(scale), RoundingStrategy::MidpointAwayFromZero)
}

/// Whether `number` has at most [`MAX_DIGITS`] digits at `scale`.
#[must_use]
pub fn fits(number: Decimal, scale: u8) -> bool {
    let mut number = number.abs();
    number.rescale(u32::from(scale));
    number.scale() == u32::from(scale) && number.mantissa() < 10_i128.pow(MAX_DIGITS)
}

/// The number of an input: a JSON number, or a string of digits.
///
/// # Errors
/// Where it is neither.
pub fn read(input: &Input) -> Result<Decimal, Reject> {
    match input {
        Input::Number(digits) => exact(digits).ok_or_else(|| Reject::new(Code::OutOfRange, Message::new("too_many_digits"))),
        Input::Text(digits) => exact(digits).ok_or_else(|| Reject::wrong_type("1.23")),
        Input::Null | Input::Bool(_) | Input::List(_) | Input::Map(_) => Err(Reject::wrong_type("1.23")),
    }
}

/// How a number is shown behind its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Alone.
    None,
    /// With a percent sign.
    Percent,
    /// With a currency.
    Currency(String),
}

/// The values of a number kind.
#[derive(Clone, Debug)]
pub struct NumberField {
    /// Digits behind the point; none is a whole number.
    pub scale: Option<u8>,
    /// The least.
    pub min: Option<Decimal>,
    /// The most.
    pub max: Option<Decimal>,
    /// What stands behind it.
    pub unit: Unit,
}

impl NumberField {
    fn places(&self) -> u8 {
        self.scale.unwrap_or(0)
    }

    /// The cell of an exact number.
    ///
    /// # Errors
    /// Every limit that it breaks.
    pub fn check(&self, number: Decimal) -> Result<Value, Vec<Reject>> {
        let mut faults = Vec::new();
        let normal = number.normalize();
        if normal.scale() > u32::from(self.places()) {
            let expected = format!("{:.*}", usize::from(self.places()), Decimal::ZERO);
            faults.push(Reject::new(Code::BadFormat, Message::new("bad_format").with("expected", expected)));
        } else if !fits(number, self.places()) {
            faults.push(Reject::new(Code::OutOfRange, Message::new("too_many_digits")));
        }
        if let Some(min) = self.min.filter(|min| number < *min) {
            faults.push(Reject::new(Code::OutOfRange, Message::new("out_of_range_min").with("min", min)));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            faults.push(Reject::new(Code::OutOfRange, Message::new("out_of_range_max").with("max", max)));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        match self.scale {
            Some(scale) => {
                let mut number = number;
                number.rescale(u32::from(scale));
                Ok(Value::Decimal(number))
            }
            None => {
                i64::try_from(normal.mantissa()).map(Value::Int).map_err(|_| vec![Reject::new(Code::OutOfRange, Message::new("too_many_digits"))])
            }
        }
    }
}

impl TypedField for NumberField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(self.scale.map_or(Storage::Int, Storage::Decimal))]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        if input.as_text() == Some("") {
            return Ok(vec![Value::Null]);
        }
        let number = read(input).map_err(|reject| vec![reject])?;
        Ok(vec![self.check(number)?])
    }

    fn write_json(&self, cells: &[Value], numbers: Numbers, out: &mut Vec<u8>) {
        match cells.first().and_then(Value::as_decimal) {
            Some(number) => crate::json::write_decimal(number, self.places(), numbers, out),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn operators(&self) -> &'static [Op] {
        ORDER_OPERATORS
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        read(input).map(Value::Decimal)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        let Some(mut number) = cells.first().and_then(Value::as_decimal) else { return String::new() };
        number.rescale(u32::from(self.places()));
        match &self.unit {
            Unit::None => number.to_string(),
            Unit::Percent => format!("{} %", number.normalize()),
            Unit::Currency(code) => format!("{code} {number}"),
        }
    }

    fn value_schema(&self) -> serde_json::Value {
        let kind = if self.scale.is_some() { "number" } else { "integer" };
        serde_json::json!({"type": [kind, "null"]})
    }
}
