//! In charge of text kept in several languages: an object of locale to text.

use std::sync::Arc;

use crate::fault::Code;
use crate::field::text_settings::{TEXT_OPERATORS, TextRules, text_operand};
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The values of a text with `locales`.
#[derive(Clone, Debug)]
pub struct LocalisedText {
    /// Limits of each text.
    pub rules: TextRules,
    /// The locales.
    pub locales: Vec<String>,
}

impl TypedField for LocalisedText {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Json), ColumnSpec::FOLD, ColumnSpec::SORT]
    }

    /// A bare text is that of the first locale.
    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let mut texts = serde_json::Map::new();
        let mut faults = Vec::new();
        match (input, self.locales.first()) {
            (Input::Text(_), Some(locale)) => {
                let text = self.rules.accept(input)?;
                texts.insert(locale.clone(), text.into());
            }
            (Input::Map(map), _) => {
                for (locale, text) in map {
                    let at = format!("/{}", crate::fault::escape_pointer(locale));
                    if !self.locales.contains(locale) {
                        let message = Message::new("not_an_option").with("value", locale);
                        faults.push(Reject { code: Code::OutOfRange, message, pointer: at });
                    } else if *text != Input::Null {
                        match self.rules.accept(text) {
                            Ok(text) if text.is_empty() => {}
                            Ok(text) => {
                                texts.insert(locale.clone(), text.into());
                            }
                            Err(rejects) => faults.extend(rejects.into_iter().map(|reject| Reject { pointer: at.clone(), ..reject })),
                        }
                    }
                }
            }
            _ => faults.push(Reject::wrong_type("{\"en\": \"…\"}")),
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(vec![if texts.is_empty() { Value::Null } else { Value::Json(Arc::new(texts.into())) }])
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

    fn text(&self, cells: &[Value], cx: TextContext<'_>) -> String {
        let Some(Value::Json(json)) = cells.first() else { return String::new() };
        crate::label::fallbacks(cx.locale)
            .iter()
            .find_map(|locale| json.get(*locale))
            .or_else(|| json.as_object().and_then(|map| map.values().next()))
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["object", "string", "null"], "additionalProperties": {"type": "string"}})
    }
}
