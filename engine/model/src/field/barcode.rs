//! In charge of the kind `barcode`: a code that scanners read; EAN and UPC are checked by their last digit.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::text_settings::{Normalise, TextCheck, TextField, TextRules};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};

/// The kind.
pub struct Barcode;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `any`, `ean13`, `ean8`, `upc`.
    pub format: Option<Format>,
}

impl FieldKind for Barcode {
    fn name(&self) -> &'static str {
        "barcode"
    }

    fn group(&self) -> Group {
        Group::Other
    }

    fn icon(&self) -> &'static str {
        "barcode"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, _: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let rules = TextRules { max_length: 200, pattern: None, normalise: vec![Normalise::Trim] };
        let check: Option<TextCheck> = match settings.format {
            None | Some(Format::Any) => None,
            Some(Format::Ean13) => Some(|text| digits_checked(text, 13, "4006381333931")),
            Some(Format::Ean8) => Some(|text| digits_checked(text, 8, "73513537")),
            Some(Format::Upc) => Some(|text| digits_checked(text, 12, "036000291452")),
        };
        Ok(Compiled::plain(TextField { rules, check }))
    }
}

/// A form of barcode; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Any text.
    Any,
    /// EAN-13.
    Ean13,
    /// EAN-8.
    Ean8,
    /// UPC-A.
    Upc,
}

/// GS1's check: from the right, digits weigh 1 and 3 in turn, and the sum is a multiple of ten.
fn digits_checked(text: &str, length: usize, example: &'static str) -> Result<String, &'static str> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(10)).collect();
    let sum = digits
        .filter(|digits| digits.len() == length)
        .map(|digits| digits.iter().rev().enumerate().map(|(place, digit)| if place % 2 == 0 { *digit } else { digit * 3 }).sum::<u32>());
    if sum.is_some_and(|sum| sum % 10 == 0) { Ok(text.to_owned()) } else { Err(example) }
}
