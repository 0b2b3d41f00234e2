//! In charge of the kind `formula`: computed from other fields by an expression.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Condition;
use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};

/// The kind.
pub struct Formula;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The expression.
    pub expr: String,
    /// The kind of the result; text where absent.
    pub result: Option<String>,
    /// Digits behind the point of the result.
    pub scale: Option<u8>,
    /// The currency of a money result.
    pub currency: Option<String>,
    /// When its value stays as it is.
    pub frozen_if: Option<Condition>,
}

impl FieldKind for Formula {
    fn name(&self) -> &'static str {
        "formula"
    }

    fn group(&self) -> Group {
        Group::Computed
    }

    fn icon(&self) -> &'static str {
        "math-function"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let mut like = Field::of_kind(settings.result.as_deref().unwrap_or("text"));
        if let Some(scale) = settings.scale {
            like.settings.insert("scale".to_owned(), scale.into());
        }
        if let Some(currency) = settings.currency {
            like.settings.insert("currency".to_owned(), currency.into());
        }
        if matches!(like.kind.as_str(), "formula" | "lookup" | "rollup" | "lines" | "stage" | "autonumber" | "secret") {
            return Err(vec![Diagnostic::error("/result", format!("`{}` cannot be a result", like.kind))]);
        }
        let role = Role::Formula { expression: settings.expr, frozen_if: settings.frozen_if };
        Ok(Compiled { role, shape: Shape::Like(Box::new(like)) })
    }
}
