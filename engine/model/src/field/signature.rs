//! In charge of the kind `signature`: a signature drawn by hand.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::stored_file::{FileSettings, one};
use crate::field::{CompileContext, Compiled, FieldKind, Group};

/// The kind.
pub struct Signature;

impl FieldKind for Signature {
    fn name(&self) -> &'static str {
        "signature"
    }

    fn group(&self) -> Group {
        Group::File
    }

    fn icon(&self) -> &'static str {
        "signature"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        FileSettings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        one(field, true)
    }
}
