//! In charge of the kind `file`: one stored file.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::stored_file::{FileSettings, one};
use crate::field::{CompileContext, Compiled, FieldKind, Group};

/// The kind.
pub struct File;

impl FieldKind for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn group(&self) -> Group {
        Group::File
    }

    fn icon(&self) -> &'static str {
        "file"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        FileSettings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        one(field, false)
    }
}
