//! In charge of the kind `tags`: free words, as many as wanted.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::lists::TextList;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Tags;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most tags; 50 where absent.
    pub max: Option<usize>,
}

impl FieldKind for Tags {
    fn name(&self) -> &'static str {
        "tags"
    }

    fn group(&self) -> Group {
        Group::Choice
    }

    fn icon(&self) -> &'static str {
        "tags"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        Ok(Compiled::plain(TextList { max: settings.max.unwrap_or(50).min(1_000), max_length: 100 }))
    }
}
