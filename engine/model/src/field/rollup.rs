//! In charge of the kind `rollup`: computed over related records.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, RollupFn, RollupSpec, Shape};
use crate::filter::Filter;
use crate::name::Name;

/// The kind.
pub struct Rollup;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The relation: an inverse or lines.
    pub of: String,
    /// The function.
    #[serde(rename = "fn")]
    pub function: Option<RollupFn>,
    /// The field that is rolled up; absent only for `count`.
    pub field: Option<Name>,
    /// Which related records count.
    pub filter: Option<Filter>,
    /// Whether records below in the tree count too.
    pub below: bool,
    /// Digits behind the point of an average.
    pub scale: Option<u8>,
}

impl FieldKind for Rollup {
    fn name(&self) -> &'static str {
        "rollup"
    }

    fn group(&self) -> Group {
        Group::Computed
    }

    fn icon(&self) -> &'static str {
        "sum"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let Some(of) = Name::parse(&settings.of) else {
            return Err(vec![Diagnostic::error("/of", "names no relation")]);
        };
        let function = settings.function.unwrap_or(RollupFn::Count);
        if settings.field.is_none() && function != RollupFn::Count {
            return Err(vec![Diagnostic::error("/field", "names no field to roll up")]);
        }
        let spec = RollupSpec { of, function, field: settings.field, filter: settings.filter, below: settings.below, scale: settings.scale };
        Ok(Compiled { role: Role::Rollup(spec), shape: Shape::Rollup })
    }
}
