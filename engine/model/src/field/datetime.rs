//! In charge of the kind `datetime`: a moment, kept in UTC.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::scalar::Scalar;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Datetime;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

impl FieldKind for Datetime {
    fn name(&self) -> &'static str {
        "datetime"
    }

    fn group(&self) -> Group {
        Group::Date
    }

    fn icon(&self) -> &'static str {
        "calendar-time"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let Settings {} = read_settings(field)?;
        Ok(Compiled::plain(Scalar::Datetime))
    }
}
