//! In charge of the kind `color`: a colour, `#1d5fd1`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::text_settings::{Normalise, TextField, TextRules};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Color;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

impl FieldKind for Color {
    fn name(&self) -> &'static str {
        "color"
    }

    fn group(&self) -> Group {
        Group::Other
    }

    fn icon(&self) -> &'static str {
        "palette"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let Settings {} = read_settings(field)?;
        let rules = TextRules { max_length: 7, pattern: None, normalise: vec![Normalise::Trim, Normalise::Lower] };
        Ok(Compiled::plain(TextField { rules, check: Some(is_color) }))
    }
}

fn is_color(text: &str) -> Result<String, &'static str> {
    let fits = text.len() == 7 && text.strip_prefix('#').is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if fits { Ok(text.to_owned()) } else { Err("#1d5fd1") }
}
