//! In charge of the kind `json`: any JSON, checked against a schema where one is given.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::documents::JsonField;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct JsonKind;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A JSON Schema (draft 2020-12) that values must fit.
    pub schema: Option<serde_json::Value>,
}

impl FieldKind for JsonKind {
    fn name(&self) -> &'static str {
        "json"
    }

    fn group(&self) -> Group {
        Group::Other
    }

    fn icon(&self) -> &'static str {
        "braces"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        JsonField::new(settings.schema.as_ref()).map(Compiled::plain)
    }
}
