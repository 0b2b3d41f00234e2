//! In charge of the kind `any_reference`: one record of any of some entities.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::references::AnyIdField;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{OnDelete, Role, Shape};
use crate::name::Name;
use std::sync::Arc;

/// The kind.
pub struct AnyReference;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The entities; any where empty.
    pub to: Vec<String>,
    /// What the deletion of the target does.
    pub on_delete: OnDelete,
    /// What the other side is called, on each target.
    pub inverse: Option<Name>,
}

impl FieldKind for AnyReference {
    fn name(&self) -> &'static str {
        "any_reference"
    }

    fn group(&self) -> Group {
        Group::Relation
    }

    fn icon(&self) -> &'static str {
        "arrow-fork"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let role = Role::AnyReference { to: settings.to, on_delete: settings.on_delete, inverse: settings.inverse };
        Ok(Compiled { role, shape: Shape::Own(Arc::new(AnyIdField)) })
    }
}
