//! In charge of the kind `signature`: a signature drawn by hand.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::stored_file::FileField;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use std::sync::Arc;

/// The kind.
pub struct Signature;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `camera`: taken with the camera.
    pub capture: Option<String>,
    /// What is written over a picture.
    pub watermark: Option<serde_json::Value>,
    /// The most files, or for one file the most bytes.
    pub max: Option<u64>,
}

impl FieldKind for Signature {
    fn name(&self) -> &'static str {
        "signature"
    }

    fn group(&self) -> Group {
        Group::File
    }

    fn icon(&self) -> &'static str {
        "signature"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let _checked: Settings = read_settings(field)?;
        let many: Option<usize> = None;
        let role = Role::Files { many: many.is_some() };
        Ok(Compiled { role, shape: Shape::Own(Arc::new(FileField { many, pictures: true })) })
    }
}
