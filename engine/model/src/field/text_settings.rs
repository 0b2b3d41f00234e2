//! In charge of what all text kinds share: normalising, length as people count it, patterns, text operators.
//! Invariant: what is stored has no NUL and is not empty.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::fault::Code;
use crate::field::Reject;
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::Value;

/// The operators of text.
pub const TEXT_OPERATORS: &[Op] = &[
    Op::Eq,
    Op::Ne,
    Op::In,
    Op::NotIn,
    Op::Contains,
    Op::NotContains,
    Op::StartsWith,
    Op::EndsWith,
    Op::IsEmpty,
    Op::IsSet,
];

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
    pub fn accept(&self, input: &Input) -> Result<Value, Vec<Reject>> {
        let Some(text) = input.as_text() else {
            return Err(vec![Reject::wrong_type("\"…\"")]);
        };
        let text = self.normalise.iter().fold(text.to_owned(), |text, step| step.apply(&text));
        let mut faults = Vec::new();
        if text.contains('\0') {
            faults.push(Reject::new(Code::BadFormat, Message::new("nul")));
        }
        // Counting clusters is dear; a text of few bytes cannot have more of them than bytes.
        if text.len() > self.max_length && text.graphemes(true).count() > self.max_length {
            faults.push(Reject::new(Code::OutOfRange, Message::new("too_long").with("max", self.max_length)));
        }
        if !text.is_empty() && self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
            faults.push(Reject::new(Code::BadFormat, Message::new("bad_pattern")));
        }
        if faults.is_empty() { Ok(Value::text(&text)) } else { Err(faults) }
    }
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
