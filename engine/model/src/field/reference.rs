//! In charge of the kind `reference`: one record of another entity.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::references::{IdField, ReferenceSettings};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use std::sync::Arc;

/// The kind.
pub struct Reference;

impl FieldKind for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn group(&self) -> Group {
        Group::Relation
    }

    fn icon(&self) -> &'static str {
        "arrow-right"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        ReferenceSettings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: ReferenceSettings = read_settings(field)?;
        Ok(Compiled { role: Role::Reference(settings.spec()), shape: Shape::Own(Arc::new(IdField { many: None })) })
    }
}
