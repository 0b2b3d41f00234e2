//! In charge of the kind `long_text`: several lines.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::localised_text::LocalisedText;
use crate::field::text_settings::{LongTextField, Normalise, TextRules, compile_pattern};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct LongText;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most characters, as people count them.
    #[schemars(range(min = 1))]
    pub max_length: Option<usize>,
    /// A regular expression that the whole text must match.
    pub pattern: Option<String>,
    /// What is done to the text before it is checked and stored.
    pub normalise: Vec<Normalise>,
    /// Kept in these languages.
    pub locales: Vec<String>,
}

impl FieldKind for LongText {
    fn name(&self) -> &'static str {
        "long_text"
    }

    fn group(&self) -> Group {
        Group::Text
    }

    fn icon(&self) -> &'static str {
        "align-left"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let rules = TextRules {
            max_length: settings.max_length.unwrap_or(20_000).min(200_000),
            pattern: compile_pattern(settings.pattern.as_deref())?,
            normalise: settings.normalise,
        };
        if settings.locales.is_empty() {
            Ok(Compiled::plain(LongTextField { rules }))
        } else {
            Ok(Compiled::plain(LocalisedText { rules, locales: settings.locales }))
        }
    }
}
