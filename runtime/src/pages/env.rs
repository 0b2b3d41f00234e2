//! In charge of templates and their words in every language.
//! Invariant: values are escaped; a name that a template does not get is an error, never nothing.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use rust_embed::RustEmbed;
use serde::Serialize;

use super::assets;

#[derive(RustEmbed)]
#[folder = "templates"]
struct Templates;

type Words = HashMap<String, String>;

static WORDS: LazyLock<HashMap<&'static str, Words>> = LazyLock::new(|| {
    let read = |text: &str| serde_json::from_str::<Words>(text).unwrap_or_default();
    [
        ("en", read(include_str!("../../locales/en.json"))),
        ("zh-CN", read(include_str!("../../locales/zh-CN.json"))),
        ("zh-TW", read(include_str!("../../locales/zh-TW.json"))),
    ]
    .into_iter()
    .collect()
});

/// The words for `key` in `locale`.
#[must_use]
pub(super) fn text(locale: &str, key: &str) -> String {
    let words = WORDS.get(locale).or_else(|| WORDS.get("en"));
    words.and_then(|words| words.get(key)).cloned().unwrap_or_else(|| key.to_owned())
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_loader(|name| Ok(Templates::get(name).map(|file| String::from_utf8_lossy(&file.data).into_owned())));
    environment.add_function("t", |locale: &str, key: &str| text(locale, key));
    environment.add_function("asset", |path: &str| assets::url(path));
    // The name comes from a document: it is kept to what a name may hold.
    environment.add_function("icon", |name: &str| {
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let sprite = assets::url("vendor/icons/sprite.svg");
        minijinja::Value::from_safe_string(format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"{sprite}#{name}\"/></svg>"))
    });
    environment
});

/// A page.
pub(super) fn page(status: StatusCode, template: &str, context: &impl Serialize) -> Response {
    let rendered = ENVIRONMENT.get_template(template).and_then(|template| template.render(Serde(context)));
    match rendered {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, template, "a page was not rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_in_every_language() {
        let mut english: Vec<&String> = WORDS["en"].keys().collect();
        english.sort();
        assert!(!english.is_empty());
        for locale in ["zh-CN", "zh-TW"] {
            let mut keys: Vec<&String> = WORDS[locale].keys().collect();
            keys.sort();
            assert_eq!(keys, english, "{locale}");
        }
    }

    #[test]
    fn every_template_compiles() {
        for name in Templates::iter() {
            assert!(ENVIRONMENT.get_template(&name).is_ok(), "{name}");
        }
    }
}
