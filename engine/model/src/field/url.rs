//! In charge of the kind `url`: an address of the web.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::text_settings::{Normalise, TextField, TextRules};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct UrlKind;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

impl FieldKind for UrlKind {
    fn name(&self) -> &'static str {
        "url"
    }

    fn group(&self) -> Group {
        Group::Contact
    }

    fn icon(&self) -> &'static str {
        "link"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let Settings {} = read_settings(field)?;
        let rules = TextRules { max_length: 2_000, pattern: None, normalise: vec![Normalise::Trim] };
        Ok(Compiled::plain(TextField { rules, check: Some(web_address) }))
    }
}

/// Only http and https, so that no link runs a script; `example.com` becomes `https://example.com/`.
fn web_address(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "https://example.com";
    let written = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    match url::Url::parse(&written) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url.into()),
        Ok(_) | Err(_) => Err(EXPECTED),
    }
}
