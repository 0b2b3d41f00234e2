//! In charge of text that people see: one string, or one per locale.
//! Invariant: asking for any locale gives some text when the label holds any.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text that a person sees: a string, or a map of locale to string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Label {
    /// The same text in every locale.
    Plain(String),
    /// A text per locale, such as `{"en": "Deal", "zh-CN": "商机"}`.
    Localised(IndexMap<String, String>),
}

impl Label {
    /// The text for `locale`: itself, then its fallbacks (zh-TW, zh-CN, en), then the first there is.
    #[must_use]
    pub fn get(&self, locale: &str) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Localised(texts) => {
                fallbacks(locale).iter().find_map(|name| texts.get(*name)).or_else(|| texts.values().next()).map_or("", String::as_str)
            }
        }
    }
}

/// The locales to try for `locale`, in order.
#[must_use]
pub fn fallbacks(locale: &str) -> &'static [&'static str] {
    match locale {
        "zh-TW" => &["zh-TW", "zh-CN", "en"],
        "zh-CN" => &["zh-CN", "zh-TW", "en"],
        _ => &["en", "zh-CN", "zh-TW"],
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}
