//! In charge of what a paper is given: values with the text that people read, records with their fields, lists of records.
//! Invariant: a template reads what is in the tree and nothing else; what is not there is empty.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Something that a template may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Shown {
    /// Nothing: not set, not there, or not for the reader.
    #[default]
    Empty,
    /// A value.
    Value(Text),
    /// A record, or another thing with parts: its title, and its parts by name.
    Thing(String, BTreeMap<String, Shown>),
    /// Several.
    List(Vec<Shown>),
    /// A value that is no field's: a setting, the language.
    Plain(serde_json::Value),
}

/// A value: the text that people read, and what it counts as.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    /// As it is read.
    pub text: String,
    /// What conditions and sums look at.
    pub plain: Plain,
    /// The address of its picture, with the bytes in it.
    pub picture: Option<String>,
}

/// What a value counts as; closed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Plain {
    /// Nothing.
    #[default]
    Nothing,
    /// A yes or no.
    Truth(bool),
    /// A number, exact.
    Number(Decimal),
    /// A text: the name of an option or a stage, a day as `2026-03-05`.
    Text(String),
    /// Names of several options.
    Names(Vec<String>),
}

impl Shown {
    /// A text that counts as itself.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Value(Text { plain: Plain::Text(text.clone()), text, picture: None }) }
    }

    pub(super) fn value(&self) -> minijinja::Value {
        match self {
            Self::Empty => minijinja::Value::from_object(Text::default()),
            Self::Value(text) => minijinja::Value::from_object(text.clone()),
            Self::Thing(title, parts) => {
                let parts = parts.iter().map(|(name, part)| (name.clone(), part.value())).collect();
                minijinja::Value::from_object(Thing { title: title.clone(), parts })
            }
            Self::List(items) => items.iter().map(Self::value).collect(),
            Self::Plain(json) => minijinja::Value::from(minijinja::value::Serde(json)),
        }
    }
}

impl Text {
    /// A number, written so.
    #[must_use]
    pub fn number(text: String, number: Decimal) -> Self {
        Self { text, plain: Plain::Number(number), picture: None }
    }

    fn is_empty(&self) -> bool {
        match &self.plain {
            Plain::Nothing => self.text.is_empty(),
            Plain::Truth(truth) => !truth,
            Plain::Number(number) => number.is_zero(),
            Plain::Text(text) => text.is_empty(),
            Plain::Names(names) => names.is_empty(),
        }
    }
}

impl Object for Text {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<minijinja::Value> {
        (key == "value").then(|| match &self.plain {
            Plain::Nothing => minijinja::Value::from(()),
            Plain::Truth(truth) => minijinja::Value::from(*truth),
            // Whole numbers stay exact; others are compared, not added: `sum` adds exactly.
            Plain::Number(number) if number.fract().is_zero() => {
                number.to_i64().map_or_else(|| minijinja::Value::from(number.to_f64().unwrap_or_default()), minijinja::Value::from)
            }
            Plain::Number(number) => minijinja::Value::from(number.to_f64().unwrap_or_default()),
            Plain::Text(text) => minijinja::Value::from(text.as_str()),
            Plain::Names(names) => names.iter().map(String::as_str).collect(),
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.is_empty()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(match (&self.plain, &other.plain) {
            (Plain::Number(a), Plain::Number(b)) => a.cmp(b),
            (Plain::Text(a), Plain::Text(b)) => a.cmp(b),
            (Plain::Truth(a), Plain::Truth(b)) => a.cmp(b),
            // What is empty stands first.
            (Plain::Nothing, Plain::Nothing) => self.text.cmp(&other.text),
            (Plain::Nothing, _) => Ordering::Less,
            (_, Plain::Nothing) => Ordering::Greater,
            _ => self.text.cmp(&other.text),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A record on a paper.
#[derive(Debug)]
struct Thing {
    title: String,
    parts: BTreeMap<String, minijinja::Value>,
}

impl Object for Thing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<minijinja::Value> {
        self.parts.get(key).cloned()
    }

    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.parts.get(key.as_str()?).cloned()
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.title.cmp(&other.title))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}
