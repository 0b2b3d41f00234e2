//! In charge of the kind `choice`: one of some options.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::options::{ChoiceField, ChoiceSettings};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use std::sync::Arc;

/// The kind.
pub struct Choice;

impl FieldKind for Choice {
    fn name(&self) -> &'static str {
        "choice"
    }

    fn group(&self) -> Group {
        Group::Choice
    }

    fn icon(&self) -> &'static str {
        "circle-dot"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        ChoiceSettings::json_schema(generator)
    }

    fn compile(&self, field: &Field, cx: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: ChoiceSettings = read_settings(field)?;
        let options = settings.resolve(cx)?;
        let typed = ChoiceField { options: Arc::clone(&options), depends_on: settings.depends_on.clone(), many: None };
        Ok(Compiled { role: Role::Choice { many: false, options, depends_on: settings.depends_on }, shape: Shape::Own(Arc::new(typed)) })
    }
}
