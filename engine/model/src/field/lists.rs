//! In charge of kinds that hold several short texts: tags, codes of a region.

use crate::fault::Code;
use crate::field::options::{MANY, accept_list, write_list_or_value};
use crate::field::text_settings::text_operand;
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The values of such a kind.
#[derive(Clone, Debug)]
pub struct TextList {
    /// The most texts.
    pub max: usize,
    /// The longest text, in characters.
    pub max_length: usize,
}

impl TypedField for TextList {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Json)]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let list = accept_list(input, self.max, |item| {
            let text = item.as_text().ok_or_else(|| Reject::wrong_type("\"…\""))?.trim();
            if text.contains('\0') {
                return Err(Reject::new(Code::BadFormat, Message::new("nul")));
            }
            if text.chars().count() > self.max_length {
                return Err(Reject::new(Code::OutOfRange, Message::new("too_long").with("max", self.max_length)));
            }
            Ok(Value::text(text))
        })?;
        Ok(vec![list])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        write_list_or_value(cells, out);
    }

    fn operators(&self) -> &'static [Op] {
        MANY
    }

    fn comparable(&self) -> Comparable {
        Comparable::List
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        text_operand(input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        cells.first().map(Value::items).unwrap_or_default().iter().filter_map(Value::as_text).collect::<Vec<_>>().join(", ")
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["array", "null"], "items": {"type": "string", "maxLength": self.max_length}, "maxItems": self.max})
    }
}
