//! In charge of the kind `decimal`: an exact number with a fixed count of digits behind the point.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::number::{Limit, NumberField, Unit};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct DecimalKind;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The least.
    pub min: Limit,
    /// The most.
    pub max: Limit,
    /// Digits behind the point, 0 to 9; 2 where absent.
    #[schemars(range(max = 9))]
    pub scale: Option<u8>,
}

impl FieldKind for DecimalKind {
    fn name(&self) -> &'static str {
        "decimal"
    }

    fn group(&self) -> Group {
        Group::Number
    }

    fn icon(&self) -> &'static str {
        "decimal"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let scale = scale_of(settings.scale, 2, 9)?;
        Ok(Compiled::plain(NumberField { scale: Some(scale), min: settings.min.exact(), max: settings.max.exact(), unit: Unit::None }))
    }
}

/// The scale as written or `default`, refused over `most`.
pub(super) fn scale_of(written: Option<u8>, default: u8, most: u8) -> Result<u8, Vec<Diagnostic>> {
    match written.unwrap_or(default) {
        scale if scale <= most => Ok(scale),
        scale => Err(vec![Diagnostic::error("/scale", format!("{scale} digits behind the point: {most} at most"))]),
    }
}
