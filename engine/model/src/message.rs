//! In charge of the engine's own messages in every language.
//! Invariant: every key has a text in en, zh-CN and zh-TW (a test holds it).

use std::collections::HashMap;
use std::sync::LazyLock;

/// A message of the engine: a key of the catalogue and what fills its gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The key in `locales/*.json`.
    pub key: &'static str,
    /// What stands for `{name}` in the text.
    pub args: Vec<(&'static str, String)>,
}

impl Message {
    /// A message without gaps.
    #[must_use]
    pub fn new(key: &'static str) -> Self {
        Self { key, args: Vec::new() }
    }

    /// The same with `{name}` filled.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.args.push((name, value.to_string()));
        self
    }

    /// The words in `locale`.
    #[must_use]
    pub fn text(&self, locale: &str) -> String {
        let template = crate::label::fallbacks(locale)
            .iter()
            .find_map(|name| CATALOGUES.get(*name).and_then(|texts| texts.get(self.key)))
            .map_or(self.key, String::as_str);
        let mut text = template.to_owned();
        for (name, value) in &self.args {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }
}

static CATALOGUES: LazyLock<HashMap<&'static str, HashMap<String, String>>> = LazyLock::new(|| {
    [("en", include_str!("../locales/en.json")), ("zh-CN", include_str!("../locales/zh-CN.json")), ("zh-TW", include_str!("../locales/zh-TW.json"))]
        .into_iter()
        .map(|(locale, text)| (locale, serde_json::from_str(text).unwrap_or_default()))
        .collect()
});

#[cfg(test)]
mod tests {
    use super::CATALOGUES;

    #[test]
    fn every_key_has_a_text_in_every_language() {
        let english = &CATALOGUES["en"];
        assert!(!english.is_empty());
        for locale in ["zh-CN", "zh-TW"] {
            let mut missing: Vec<_> = english.keys().filter(|key| !CATALOGUES[locale].contains_key(*key)).collect();
            missing.sort();
            assert!(missing.is_empty(), "{locale} lacks {missing:?}");
            let mut extra: Vec<_> = CATALOGUES[locale].keys().filter(|key| !english.contains_key(*key)).collect();
            extra.sort();
            assert!(extra.is_empty(), "{locale} has more: {extra:?}");
        }
    }
}
