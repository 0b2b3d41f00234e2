//! In charge of the kind `rating`: a few stars.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::number::{NumberField, Unit};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use rust_decimal::Decimal;

/// The kind.
pub struct Rating;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most stars; 5 where absent.
    #[schemars(range(min = 1, max = 10))]
    pub max: Option<u8>,
}

impl FieldKind for Rating {
    fn name(&self) -> &'static str {
        "rating"
    }

    fn group(&self) -> Group {
        Group::Number
    }

    fn icon(&self) -> &'static str {
        "star"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let max = settings.max.unwrap_or(5);
        Ok(Compiled::plain(NumberField { scale: None, min: Some(Decimal::ONE), max: Some(Decimal::from(max)), unit: Unit::None }))
    }
}
