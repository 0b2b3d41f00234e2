//! In charge of the kind `geo`: a point on the earth.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::places::GeoField;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Geo;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `device`: taken from the device that enters it.
    pub capture: Option<String>,
}

impl FieldKind for Geo {
    fn name(&self) -> &'static str {
        "geo"
    }

    fn group(&self) -> Group {
        Group::Contact
    }

    fn icon(&self) -> &'static str {
        "current-location"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let Settings { capture: _ } = read_settings(field)?;
        Ok(Compiled::plain(GeoField))
    }
}
