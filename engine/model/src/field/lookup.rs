//! In charge of the kind `lookup`: a field of a referenced record, followed for ever.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Role, Shape};

/// The kind.
pub struct Lookup;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The path, `account.sector`.
    pub path: String,
}

impl FieldKind for Lookup {
    fn name(&self) -> &'static str {
        "lookup"
    }

    fn group(&self) -> Group {
        Group::Computed
    }

    fn icon(&self) -> &'static str {
        "eye"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        if !settings.path.contains('.') {
            return Err(vec![Diagnostic::error("/path", "a path walks at least one reference, such as `account.sector`")]);
        }
        Ok(Compiled { role: Role::Lookup { path: settings.path.clone() }, shape: Shape::Path(settings.path) })
    }
}
