//! In charge of what all text kinds share: normalising, length as people count it, patterns, text operators.
//! Invariant: what is stored has no NUL and is not empty.

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::fault::{Code, Diagnostic};
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The operators of text.
pub const TEXT_OPERATORS: &[Op] =
    &[Op::Eq, Op::Ne, Op::In, Op::NotIn, Op::Contains, Op::NotContains, Op::StartsWith, Op::EndsWith, Op::IsEmpty, Op::IsSet];

/// The bytes that a character, as people count it, may have on the average: a family of four with its skins has fewer.
/// A letter under thousands of accents is one character, too.
const BYTES: usize = 48;

/// A step of normalising, in the order as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// White space at both ends goes.
    Trim,
    /// Runs of white space become one space; both ends go.
    Squash,
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
}

impl Normalise {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Trim => text.trim().to_owned(),
            Self::Squash => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
        }
    }
}

/// Limits of a text.
#[derive(Clone, Debug)]
pub struct TextRules {
    /// The most characters, as people count them (grapheme clusters).
    pub max_length: usize,
    /// What the whole text must match, in linear time.
    pub pattern: Option<Regex>,
    /// What is done to it first.
    pub normalise: Vec<Normalise>,
}

impl TextRules {
    /// Reads a text.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn accept(&self, input: &Input) -> Result<String, Vec<Reject>> {
        let Some(text) = input.as_text() else {
            return Err(vec![Reject::wrong_type("\"…\"")]);
        };
        let text = self.normalise.iter().fold(text.to_owned(), |text, step| step.apply(&text));
        let mut faults = Vec::new();
        if text.contains('\0') {
            faults.push(Reject::new(Code::BadFormat, Message::new("nul")));
        }
        // Counting clusters is dear; a text of few bytes cannot have more of them than bytes.
        let is_long = || text.len() / BYTES > self.max_length || text.graphemes(true).count() > self.max_length;
        if text.len() > self.max_length && is_long() {
            faults.push(Reject::new(Code::OutOfRange, Message::new("too_long").with("max", self.max_length)));
        }
        if !text.is_empty() && self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
            faults.push(Reject::new(Code::BadFormat, Message::new("bad_pattern")));
        }
        if faults.is_empty() { Ok(text) } else { Err(faults) }
    }
}

/// The whole-text pattern of a document, in linear time.
///
/// # Errors
/// Where it is no regular expression.
pub fn compile_pattern(pattern: Option<&str>) -> Result<Option<Regex>, Vec<Diagnostic>> {
    pattern
        .map(|pattern| RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build())
        .transpose()
        .map_err(|error| vec![Diagnostic::error("/pattern", error.to_string())])
}

/// One operand of a text operator, folded.
///
/// # Errors
/// Where it is no text.
pub fn text_operand(input: &Input) -> Result<Value, Reject> {
    match input.as_text() {
        Some(text) if text.contains('\0') => Err(Reject::new(Code::BadFormat, Message::new("nul"))),
        Some(text) => Ok(Value::Text(crate::text::fold(text).into())),
        None => Err(Reject::wrong_type("\"…\"")),
    }
}

/// Checks a text that is not empty and gives its canonical form, or what it should look like.
pub type TextCheck = fn(&str) -> Result<String, &'static str>;

/// The values of a kind that is one line of text.
#[derive(Clone, Debug)]
pub struct TextField {
    /// Limits.
    pub rules: TextRules,
    /// A further check.
    pub check: Option<TextCheck>,
}

impl TypedField for TextField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Text), ColumnSpec::FOLD, ColumnSpec::SORT]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let mut text = self.rules.accept(input)?;
        if let Some(check) = self.check.filter(|_| !text.is_empty()) {
            text = check(&text).map_err(|expected| vec![Reject::bad_format(expected)])?;
        }
        Ok(vec![Value::text(&text)])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        TEXT_OPERATORS
    }

    fn comparable(&self) -> Comparable {
        Comparable::Folded
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        text_operand(input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        cells.first().and_then(Value::as_text).unwrap_or_default().to_owned()
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["string", "null"], "maxLength": self.rules.max_length})
    }
}

/// The values of a kind that is several lines of text: not sorted by.
#[derive(Clone, Debug)]
pub struct LongTextField {
    /// Limits.
    pub rules: TextRules,
}

impl TypedField for LongTextField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Text), ColumnSpec::FOLD]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        Ok(vec![Value::text(&self.rules.accept(input)?)])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        TEXT_OPERATORS
    }

    fn comparable(&self) -> Comparable {
        Comparable::Folded
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        text_operand(input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        cells.first().and_then(Value::as_text).unwrap_or_default().to_owned()
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["string", "null"], "maxLength": self.rules.max_length})
    }
}
