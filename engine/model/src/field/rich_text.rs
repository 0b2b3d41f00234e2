//! In charge of the kind `rich_text`: text with headings, lists and links, as a structured document.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::documents::RichTextField;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct RichText;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

impl FieldKind for RichText {
    fn name(&self) -> &'static str {
        "rich_text"
    }

    fn group(&self) -> Group {
        Group::Text
    }

    fn icon(&self) -> &'static str {
        "text-plus"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let Settings {} = read_settings(field)?;
        Ok(Compiled::plain(RichTextField))
    }
}
