//! In charge of the kind `references`: several records of another entity.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::references::{IdField, ReferenceSettings};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use std::sync::Arc;

/// The kind.
pub struct References;

impl FieldKind for References {
    fn name(&self) -> &'static str {
        "references"
    }

    fn group(&self) -> Group {
        Group::Relation
    }

    fn icon(&self) -> &'static str {
        "arrows-right"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        ReferenceSettings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: ReferenceSettings = read_settings(field)?;
        let many = Some(settings.max.unwrap_or(1_000));
        Ok(Compiled { role: Role::References(settings.spec()), shape: Shape::Own(Arc::new(IdField { many })) })
    }
}
