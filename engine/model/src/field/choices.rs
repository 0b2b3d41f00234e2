//! In charge of the kind `choices`: several of some options.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::options::{ChoiceField, ChoiceSettings};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use std::sync::Arc;

/// The kind.
pub struct Choices;

impl FieldKind for Choices {
    fn name(&self) -> &'static str {
        "choices"
    }

    fn group(&self) -> Group {
        Group::Choice
    }

    fn icon(&self) -> &'static str {
        "list-check"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        ChoiceSettings::json_schema(generator)
    }

    fn compile(&self, field: &Field, cx: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: ChoiceSettings = read_settings(field)?;
        let options = settings.resolve(cx)?;
        let many = Some(settings.max.unwrap_or(MOST));
        let typed = ChoiceField { options: Arc::clone(&options), depends_on: settings.depends_on.clone(), many };
        Ok(Compiled { role: Role::Choice { many: true, options, depends_on: settings.depends_on }, shape: Shape::Own(Arc::new(typed)) })
    }
}

/// The most options that may be chosen where the field does not say.
const MOST: usize = 100;
