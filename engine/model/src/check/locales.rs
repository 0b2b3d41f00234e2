//! In charge of checking translations: that what they translate is there.

use serde_json::Value as Json;

use super::checking::Checking;
use crate::fault::escape_pointer;
use crate::package::{TRANSLATABLE, app_to_json};

/// Checks every translation of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    if app.locales.is_empty() {
        return;
    }
    let whole = app_to_json(app);
    for (locale, texts) in &app.locales {
        let at = format!("/locales/{}", escape_pointer(locale));
        if !app.app.locales.contains(locale) {
            c.warn(&at, format!("`locales` in app.json does not name `{locale}`"));
        }
        for pointer in texts.keys() {
            let at = format!("{at}/{}", escape_pointer(pointer));
            match whole.pointer(pointer) {
                Some(Json::String(_)) => {}
                Some(Json::Object(texts)) if texts.values().all(Json::is_string) => {}
                Some(_) => c.error(at, format!("{pointer} is no text to translate")),
                None => absent(c, &at, &whole, pointer),
            }
        }
    }
}

/// A label that is not written may be translated; anything else is a pointer that leads nowhere.
fn absent(c: &mut Checking<'_, '_>, at: &str, whole: &Json, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match whole.pointer(parent) {
        Some(Json::Object(_)) if TRANSLATABLE.contains(&key) => {}
        Some(Json::Object(there)) => {
            let hint = crate::hint::nearest(key, there.keys().map(String::as_str)).map(|name| format!("{parent}/{name}"));
            c.push(crate::fault::Diagnostic::error(at, format!("{pointer} leads nowhere")).with_hint(hint));
        }
        _ => {
            let (above, last) = parent.rsplit_once('/').unwrap_or(("", parent));
            let near = whole.pointer(above).and_then(Json::as_object);
            let hint =
                near.and_then(|there| crate::hint::nearest(last, there.keys().map(String::as_str))).map(|name| format!("{above}/{name}/{key}"));
            c.push(crate::fault::Diagnostic::error(at, format!("{pointer} leads nowhere")).with_hint(hint));
        }
    }
}
