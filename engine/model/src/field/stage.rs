//! In charge of the kind `stage`: where a record stands in a pipeline.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::options::ChoiceField;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};
use crate::name::Name;
use indexmap::IndexMap;
use std::sync::Arc;

/// The kind.
pub struct Stage;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The pipelines, by name; several need `by`.
    pub pipelines: Vec<Name>,
    /// The choice field whose option is the name of the record's pipeline.
    pub by: Option<Name>,
}

impl FieldKind for Stage {
    fn name(&self) -> &'static str {
        "stage"
    }

    fn group(&self) -> Group {
        Group::Choice
    }

    fn icon(&self) -> &'static str {
        "stairs"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, cx: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let mut options = IndexMap::new();
        let mut faults = Vec::new();
        for (index, name) in settings.pipelines.iter().enumerate() {
            match (cx.stages)(name.as_str()) {
                Some(stages) => {
                    for (stage, option) in stages {
                        options.entry(stage).or_insert(option);
                    }
                }
                None => faults.push(Diagnostic::error(format!("/pipelines/{index}"), format!("there is no pipeline `{name}`"))),
            }
        }
        if settings.pipelines.is_empty() {
            faults.push(Diagnostic::error("/pipelines", "names no pipeline"));
        }
        if settings.pipelines.len() > 1 && settings.by.is_none() {
            faults.push(Diagnostic::error("/by", "several pipelines need the choice field that says which one a record is in"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let typed = ChoiceField { options: Arc::new(options), depends_on: None, many: None };
        Ok(Compiled { role: Role::Stage { pipelines: settings.pipelines, by: settings.by }, shape: Shape::Own(Arc::new(typed)) })
    }
}
