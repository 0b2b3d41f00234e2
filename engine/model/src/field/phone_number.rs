//! In charge of phone numbers: read with a country's rules, kept in E.164.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Code;
use crate::field::text_settings::{TEXT_OPERATORS, text_operand};
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::name::Name;
use crate::value::{Storage, Value};

/// Where the country of a number without a prefix comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PhoneRegion {
    /// ISO 3166 code of two letters.
    Code(String),
    /// A field that holds the code.
    From {
        /// The field.
        from: Name,
    },
}

/// The values of a phone field.
#[derive(Clone, Debug)]
pub struct PhoneField {
    /// The country of numbers without a prefix.
    pub region: Option<PhoneRegion>,
    /// Whether what is no number is refused; kept as typed otherwise.
    pub strict: bool,
}

impl PhoneField {
    fn canonical(&self, text: &str, cx: &AcceptContext<'_>) -> Option<String> {
        let region = match &self.region {
            None => None,
            Some(PhoneRegion::Code(code)) => Some(code.clone()),
            Some(PhoneRegion::From { from }) => (cx.sibling)(from.as_str()),
        };
        let country = region.and_then(|code| code.to_uppercase().parse().ok());
        let number = phonenumber::parse(country, text).ok()?;
        number.is_valid().then(|| number.format().mode(phonenumber::Mode::E164).to_string())
    }
}

impl TypedField for PhoneField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Text), ColumnSpec::FOLD, ColumnSpec::SORT]
    }

    fn accept(&self, input: &Input, cx: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let text = input.as_text().ok_or_else(|| vec![Reject::wrong_type("\"+8613812345678\"")])?.trim();
        if text.is_empty() {
            return Ok(vec![Value::Null]);
        }
        if text.len() > 100 || text.contains('\0') {
            return Err(vec![Reject::new(Code::BadFormat, Message::new("bad_format").with("expected", "+8613812345678"))]);
        }
        match self.canonical(text, cx) {
            Some(number) => Ok(vec![Value::text(&number)]),
            None if self.strict => Err(vec![Reject::bad_format("+8613812345678")]),
            None => Ok(vec![Value::text(text)]),
        }
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        TEXT_OPERATORS
    }

    fn comparable(&self) -> Comparable {
        Comparable::Folded
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        text_operand(input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        cells.first().and_then(Value::as_text).unwrap_or_default().to_owned()
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["string", "null"], "description": "E.164"})
    }
}
