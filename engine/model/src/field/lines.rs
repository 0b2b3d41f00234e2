//! In charge of the kind `lines`: rows that are part of the record.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use crate::name::Name;

/// The kind.
pub struct Lines;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The entity of the rows.
    pub of: String,
    /// Its reference to this record.
    pub by: String,
    /// The least rows.
    pub min: Option<u32>,
    /// The most rows; 500 where absent.
    pub max: Option<u32>,
}

impl FieldKind for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn group(&self) -> Group {
        Group::Relation
    }

    fn icon(&self) -> &'static str {
        "list-details"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let Some(by) = Name::parse(&settings.by) else {
            return Err(vec![Diagnostic::error("/by", "names no field of the line entity")]);
        };
        Ok(Compiled { role: Role::Lines { of: settings.of, by, min: settings.min, max: settings.max.or(Some(500)) }, shape: Shape::Nothing })
    }
}
