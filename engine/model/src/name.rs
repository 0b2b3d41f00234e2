//! In charge of names: the identity of every definition.
//! Invariant: a `Name` matches `^[a-z][a-z0-9_]{0,47}$`, or is the engine's own for a part of one; it is never changed once published.
//! Invariant: an `EntityName` is an app's name, a dot and an entity's name.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name in bytes.
pub const MAX_NAME: usize = 48;

/// The identity of one definition within its kind and app.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name that `text` spells, or none where it is no name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(Arc::from(text)))
    }

    /// What the engine calls a part of something named: `first_reply.due_at`. No author can write it as a name of his own.
    pub(crate) fn part(&self, part: &str) -> Self {
        Self(Arc::from(format!("{self}.{part}")))
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` may be a name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= MAX_NAME
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a name: a small letter, then small letters, digits and _, 48 at most")))
    }
}

impl schemars::JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[a-z][a-z0-9_]{0,47}$",
            "description": "The identity of a definition: a small letter, then small letters, digits and _."
        })
    }
}

/// An entity's qualified name, `sales.deal`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityName(Arc<str>);

impl EntityName {
    /// The qualified name of `entity` in `app`.
    #[must_use]
    pub fn new(app: &Name, entity: &Name) -> Self {
        Self(Arc::from(format!("{app}.{entity}")))
    }

    /// The qualified name that `text` spells, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (app, entity) = text.split_once('.')?;
        (is_name(app) && is_name(entity)).then(|| Self(Arc::from(text)))
    }

    /// `app.entity`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The app's name.
    #[must_use]
    pub fn app(&self) -> &str {
        self.0.split_once('.').map_or("", |(app, _)| app)
    }

    /// The entity's bare name.
    #[must_use]
    pub fn bare(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, entity)| entity)
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Borrow<str> for EntityName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for EntityName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
