//! In charge of the kind `text`: one line.

use regex::RegexBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::text_settings::{Normalise, TEXT_OPERATORS, TextRules, text_operand};
use crate::field::{
    AcceptContext, ColumnSpec, Comparable, CompileContext, Compiled, FieldKind, Group, Numbers, Reject, TextContext, TypedField, read_settings,
};
use crate::filter::Op;
use crate::input::Input;
use crate::value::{Storage, Value};

/// The longest text where the field does not say.
const DEFAULT_MAX: usize = 255;

/// The kind.
pub struct Text;

/// Settings of a text field.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
    /// The most characters, as people count them; 255 where absent.
    #[schemars(range(min = 1, max = 1000))]
    pub max_length: Option<usize>,
    /// A regular expression that the whole text must match.
    pub pattern: Option<String>,
    /// What is done to the text before it is checked and stored.
    pub normalise: Vec<Normalise>,
}

#[derive(Debug)]
struct TextField(TextRules);

impl FieldKind for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn group(&self) -> Group {
        Group::Text
    }

    fn icon(&self) -> &'static str {
        "letter-case"
    }

    fn settings_schema(&self) -> schemars::Schema {
        schemars::schema_for!(TextSettings)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: TextSettings = read_settings(field)?;
        let pattern = settings
            .pattern
            .map(|pattern| RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build())
            .transpose()
            .map_err(|error| vec![Diagnostic::error("/pattern", error.to_string())])?;
        Ok(Compiled::plain(TextField(TextRules { max_length: settings.max_length.unwrap_or(DEFAULT_MAX), pattern, normalise: settings.normalise })))
    }
}

impl TypedField for TextField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Text), ColumnSpec::FOLD, ColumnSpec::SORT]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        Ok(vec![self.0.accept(input)?])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(&cells[0], out);
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
        serde_json::json!({"type": ["string", "null"], "maxLength": self.0.max_length})
    }
}
