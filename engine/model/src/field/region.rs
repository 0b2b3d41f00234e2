//! In charge of the kind `region`: places from the largest to the smallest, as codes.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::lists::TextList;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Region;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

impl FieldKind for Region {
    fn name(&self) -> &'static str {
        "region"
    }

    fn group(&self) -> Group {
        Group::Contact
    }

    fn icon(&self) -> &'static str {
        "map"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let Settings {} = read_settings(field)?;
        Ok(Compiled::plain(TextList { max: 8, max_length: 40 }))
    }
}
