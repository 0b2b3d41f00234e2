//! In charge of statements as text: identifiers from metadata, values as parameters.
//! Invariant: no value ever becomes part of the text; an identifier is quoted and comes from a schema or a static.
//! Invariant: the same question gives the same text, so that the database finds its prepared statement.

use model::{Storage, Value};

use crate::dialect::Dialect;

/// A statement under construction.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) binds: Vec<(Storage, Value)>,
    pub(crate) dialect: Dialect,
}

impl Sql {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { text: String::with_capacity(256), binds: Vec::new(), dialect }
    }

    /// Adds text as it is; never a value.
    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds an identifier in quotes.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.text.push('"');
        // Names are validated; doubling is the second lock.
        for (index, part) in name.split('"').enumerate() {
            if index > 0 {
                self.text.push_str("\"\"");
            }
            self.text.push_str(part);
        }
        self.text.push('"');
        self
    }

    /// Adds a column of an alias.
    pub(crate) fn column(&mut self, alias: &str, name: &str) -> &mut Self {
        self.push(alias).push(".").name(name)
    }

    /// Adds a parameter.
    pub(crate) fn bind(&mut self, storage: Storage, value: Value) -> &mut Self {
        self.binds.push((storage, value));
        let index = self.binds.len();
        self.dialect.parameter(index, &mut self.text);
        self
    }

    /// Adds the place of the parameter at `index`, from 1, whose value comes later.
    pub(crate) fn parameter(&mut self, index: usize) {
        self.dialect.parameter(index, &mut self.text);
    }

    /// Adds a whole number that is part of the question's shape, not of its values.
    pub(crate) fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        let number: u64 = number.into();
        self.text.push_str(&number.to_string());
        self
    }

    /// Adds items with a separator.
    pub(crate) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, separator: &str, mut write: impl FnMut(&mut Self, T)) -> &mut Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            write(self, item);
        }
        self
    }
}

/// How a column of an answer is read; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decode {
    /// By its storage.
    Plain(Storage),
    /// A list of ids, as JSON.
    Ids,
    /// A list of texts, as JSON.
    Texts,
    /// An exact number of any size: sums.
    Number(u8),
}
