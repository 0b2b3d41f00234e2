//! In charge of translations: texts of `locales/*.json` put into the labels that they translate.
//! Invariant: documents are never stored localised; a file's translation wins over one written in place.

use serde_json::{Map, Value as Json};

use crate::doc::App;
use crate::package::{app_to_json, read_app};

/// The app with its translations in its labels: what is checked, compiled and shown. Doing it twice is doing it once.
#[must_use]
pub fn localise(app: &App) -> App {
    if app.locales.is_empty() {
        return app.clone();
    }
    let mut json = app_to_json(app);
    let base = app.app.locales.first().map_or("en", String::as_str);
    for (locale, texts) in &app.locales {
        for (pointer, text) in texts {
            translate(&mut json, pointer, (base, locale), text);
        }
    }
    // Only labels became richer; where that is no document any more, the check has told it and the app stays as it is.
    read_app(&json).unwrap_or_else(|_| app.clone())
}

fn translate(json: &mut Json, pointer: &str, (base, locale): (&str, &str), text: &str) {
    if let Some(there) = json.pointer_mut(pointer) {
        match there {
            Json::String(written) if base != locale => {
                *there = Json::Object(Map::from_iter([(base.to_owned(), written.as_str().into()), (locale.to_owned(), text.into())]));
            }
            Json::String(_) => *there = text.into(),
            Json::Object(texts) => {
                texts.insert(locale.to_owned(), text.into());
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => {}
        }
        return;
    }
    // A label that is not written shows the name: that stays so in the other locales.
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let name = parent.rsplit('/').next().unwrap_or_default();
    if !TRANSLATABLE.contains(&key) {
        return;
    }
    if let Some(Json::Object(holder)) = json.pointer_mut(parent) {
        let texts = Map::from_iter([(base.to_owned(), name.into()), (locale.to_owned(), text.into())]);
        holder.insert(key.to_owned(), Json::Object(texts));
    }
}

/// The keys of texts that people see, which may be translated even where they are not written.
pub(crate) const TRANSLATABLE: [&str; 6] = ["label", "plural", "help", "placeholder", "message", "text"];
