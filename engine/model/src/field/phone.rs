//! In charge of the kind `phone`: a number to call, kept in E.164.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::phone_number::{PhoneField, PhoneRegion};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Phone;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The country of numbers without a prefix: a code, or `{"from": "country"}`.
    pub region: Option<PhoneRegion>,
    /// Whether what is no number is refused; true where absent.
    pub strict: Option<bool>,
}

impl FieldKind for Phone {
    fn name(&self) -> &'static str {
        "phone"
    }

    fn group(&self) -> Group {
        Group::Contact
    }

    fn icon(&self) -> &'static str {
        "phone"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        Ok(Compiled::plain(PhoneField { region: settings.region, strict: settings.strict.unwrap_or(true) }))
    }
}
