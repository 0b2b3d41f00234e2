//! In charge of the kind `integer`: a whole number of up to 18 digits.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::number::{Limit, NumberField, Unit};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Integer;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The least.
    pub min: Limit,
    /// The most.
    pub max: Limit,
}

impl FieldKind for Integer {
    fn name(&self) -> &'static str {
        "integer"
    }

    fn group(&self) -> Group {
        Group::Number
    }

    fn icon(&self) -> &'static str {
        "hash"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        Ok(Compiled::plain(NumberField { scale: None, min: settings.min.exact(), max: settings.max.exact(), unit: Unit::None }))
    }
}
