//! In charge of the kind `files`: several stored files.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::stored_file::{FileSettings, several};
use crate::field::{CompileContext, Compiled, FieldKind, Group};

/// The kind.
pub struct Files;

impl FieldKind for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn group(&self) -> Group {
        Group::File
    }

    fn icon(&self) -> &'static str {
        "files"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        FileSettings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        several(field)
    }
}
