//! In charge of the kind `secret`: written once and never read back.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::documents::SecretField;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use std::sync::Arc;

/// The kind.
pub struct Secret;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

impl FieldKind for Secret {
    fn name(&self) -> &'static str {
        "secret"
    }

    fn group(&self) -> Group {
        Group::Other
    }

    fn icon(&self) -> &'static str {
        "lock"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let Settings {} = read_settings(field)?;
        Ok(Compiled { role: Role::Secret, shape: Shape::Own(Arc::new(SecretField)) })
    }
}
