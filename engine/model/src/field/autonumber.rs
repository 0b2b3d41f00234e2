//! In charge of the kind `autonumber`: a number given once, `HT-{yyyy}-{0000}`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Condition;
use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::text_settings::{TextField, TextRules};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use std::sync::Arc;

/// The kind.
pub struct Autonumber;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The pattern: text, `{yyyy}`, `{yy}`, `{MM}`, `{dd}`, `{path.of.field}`, and `{0000}` for the counter.
    pub pattern: String,
    /// When a number is given; always where absent.
    pub given_if: Option<Condition>,
    /// Whether gaps are forbidden, where the law wants it.
    pub no_gaps: bool,
}

impl FieldKind for Autonumber {
    fn name(&self) -> &'static str {
        "autonumber"
    }

    fn group(&self) -> Group {
        Group::Other
    }

    fn icon(&self) -> &'static str {
        "number"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let counters = settings.pattern.match_indices("{0").count();
        if counters != 1 {
            return Err(vec![Diagnostic::error("/pattern", "needs exactly one counter such as {0000}")]);
        }
        let role = Role::Autonumber { pattern: settings.pattern, given_if: settings.given_if, no_gaps: settings.no_gaps };
        let rules = TextRules { max_length: 200, pattern: None, normalise: Vec::new() };
        Ok(Compiled { role, shape: Shape::Own(Arc::new(TextField { rules, check: None })) })
    }
}
