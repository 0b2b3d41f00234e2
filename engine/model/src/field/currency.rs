//! In charge of currencies: their minor units, and money whose currency varies.
//! Invariant: filters, sorts and sums of varying money look at its third cell, the amount in the app's currency.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Code;
use crate::field::number::{NumberField, ORDER_OPERATORS};
use crate::field::{AcceptContext, ColumnSpec, ColumnUse, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// A currency as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WrittenCurrency {
    /// A code, or `any`.
    Word(String),
    /// From a path of the record.
    From(CurrencyPath),
}

/// `{"from": "quote.currency"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurrencyPath {
    /// The path.
    pub from: String,
}

/// ISO 4217 codes whose minor unit is not a hundredth.
const OTHER_UNITS: [(&str, u8); 25] = [
    ("BIF", 0),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("ISK", 0),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("PYG", 0),
    ("RWF", 0),
    ("UGX", 0),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
    ("BHD", 3),
    ("IQD", 3),
    ("JOD", 3),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("TND", 3),
    ("CLF", 4),
    ("UYW", 4),
];

/// The digits of a currency's minor unit.
#[must_use]
pub fn minor_unit(code: &str) -> u8 {
    OTHER_UNITS.iter().find(|(other, _)| *other == code).map_or(2, |(_, digits)| *digits)
}

/// Whether `code` has the form of an ISO 4217 code. Codes come and go; the form is what stays.
#[must_use]
pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The values of money whose currency varies: the amount in the app's currency first (what is compared), the
/// amount as entered, its currency.
#[derive(Clone, Debug)]
pub struct VaryingMoney {
    /// Limits of the amount.
    pub amount: NumberField,
    /// Whether each value has a currency of its own; else it comes from a path.
    pub own_currency: bool,
    /// The currency of a bare number.
    pub default: String,
}

impl VaryingMoney {
    fn scale(&self) -> u8 {
        self.amount.scale.unwrap_or(2)
    }
}

impl TypedField for VaryingMoney {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![
            ColumnSpec { suffix: "base", storage: Storage::Decimal(self.scale()), purpose: ColumnUse::Value },
            ColumnSpec::part("", Storage::Decimal(self.scale())),
            ColumnSpec::part("currency", Storage::Text),
        ]
    }

    /// The base amount is left empty: the engine fills it by the rate of the day.
    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let (amount, currency) = match input {
            Input::Map(map) if self.own_currency && map.keys().all(|key| matches!(key.as_str(), "amount" | "currency")) => {
                let amount = map.get("amount").ok_or_else(|| vec![Reject::wrong_type("{\"amount\": 1.23, \"currency\": \"USD\"}")])?;
                let currency = match map.get("currency").map(Input::as_text) {
                    None => self.default.clone(),
                    Some(Some(code)) if is_currency(code) => code.to_owned(),
                    Some(_) => {
                        let message = Message::new("bad_format").with("expected", "USD");
                        return Err(vec![Reject { code: Code::BadFormat, message, pointer: "/currency".to_owned() }]);
                    }
                };
                (amount, currency)
            }
            Input::Map(map) if !self.own_currency => (map.get("amount").unwrap_or(input), String::new()),
            other => (other, if self.own_currency { self.default.clone() } else { String::new() }),
        };
        if amount.as_text() == Some("") || *amount == Input::Null {
            return Ok(vec![Value::Null; 3]);
        }
        let amount = self.amount.check(crate::field::number::read(amount).map_err(|reject| vec![reject])?)?;
        Ok(vec![Value::Null, amount, Value::text(&currency)])
    }

    fn write_json(&self, cells: &[Value], numbers: Numbers, out: &mut Vec<u8>) {
        let [_, Value::Decimal(amount), currency, ..] = cells else {
            out.extend_from_slice(b"null");
            return;
        };
        out.extend_from_slice(b"{\"amount\":");
        crate::json::write_decimal(*amount, self.scale(), numbers, out);
        out.extend_from_slice(b",\"currency\":");
        crate::json::write_value(currency, out);
        out.push(b'}');
    }

    fn operators(&self) -> &'static [Op] {
        ORDER_OPERATORS
    }

    fn operand(&self, op: Op, input: &Input) -> Result<Value, Reject> {
        self.amount.operand(op, input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        match cells {
            [_, Value::Decimal(amount), Value::Text(currency), ..] => format!("{currency} {amount}"),
            [_, Value::Decimal(amount), ..] => amount.to_string(),
            _ => String::new(),
        }
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["object", "number", "null"], "properties": {"amount": {"type": "number"}, "currency": {"type": "string"}}})
    }
}
