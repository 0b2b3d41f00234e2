//! In charge of an app as a folder of files: reading one, and writing it out in its canonical form.
//! Reading order: `Package::from_files`, `read` (file by file), `parse` (strict JSON), `explain` (what a schema refuses),
//! `repair` (what a faulty document still says), `canonical`, `localise`.
//! Invariant: a package that was read is canonical; writing it out and reading it again gives the same bytes.
//! Invariant: reading reports every fault at once, each with its file and the pointer into the one document.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::doc::App;
pub use crate::doc::Package;
use crate::doc::folders::{Written, folder};
use crate::fault::{Diagnostic, escape_pointer};

mod canonical;
pub(crate) mod explain;
mod localise;
mod parse;
mod read;
mod repair;

pub use canonical::canonicalise;
pub(crate) use localise::TRANSLATABLE;
pub use localise::localise;
pub use parse::MAX_DOCUMENT;
pub use read::{Examined, examine};

impl Package {
    /// Reads a folder's files by their path in it. `app_hint` is the name where `app.json` says none.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn from_files(app_hint: Option<&str>, files: BTreeMap<String, Vec<u8>>) -> Result<Self, Vec<Diagnostic>> {
        let examined = examine(app_hint, files);
        if examined.faults.is_empty() { Ok(examined.package) } else { Err(examined.faults) }
    }

    /// The folder's files: the canonical export.
    #[must_use]
    pub fn to_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.files.clone();
        let Json::Object(whole) = app_to_json(&self.app) else { return files };
        for (key, documents) in whole {
            let Some(folder) = folder(&key) else {
                files.insert("app.json".to_owned(), pretty(&documents));
                continue;
            };
            let Json::Object(documents) = documents else { continue };
            for (name, document) in documents {
                let bytes = match folder.written {
                    Written::Json => pretty(&document),
                    Written::Script => document.as_str().unwrap_or_default().as_bytes().to_vec(),
                };
                files.insert(folder.file(&name), bytes);
            }
        }
        files
    }
}

/// The app that the one document describes, canonical; pointers are into it.
///
/// # Errors
/// Every fault of the document.
pub fn app_from_json(json: &Json) -> Result<App, Vec<Diagnostic>> {
    let faults = explain::faults("whole", json, "");
    if faults.is_empty() { read_app(json) } else { Err(faults.into_iter().map(with_file).collect()) }
}

/// The app that [`app_to_json`] wrote: checked when it came in, so its schema is not asked again.
#[must_use]
pub fn app_from_stored(json: &Json) -> Option<App> {
    read_app(json).ok()
}

/// The one document of an app.
#[must_use]
pub fn app_to_json(app: &App) -> Json {
    // Maps by name of plain values always serialise.
    serde_json::to_value(app).unwrap_or_default()
}

/// Reads a document that its schema let through.
pub(crate) fn read_app(json: &Json) -> Result<App, Vec<Diagnostic>> {
    match serde_json::from_value::<App>(json.clone()) {
        Ok(mut app) => {
            canonicalise(&mut app);
            Ok(app)
        }
        Err(error) => Err(narrowed(json, &error)),
    }
}

/// The documents that a failure to read the whole is about.
fn narrowed(json: &Json, error: &serde_json::Error) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (key, documents) in json.as_object().into_iter().flatten() {
        if key == "app" {
            faults.extend(unreadable(Map::from_iter([(key.clone(), documents.clone())]), "/app"));
            continue;
        }
        for (name, document) in documents.as_object().into_iter().flatten() {
            let one = Json::Object(Map::from_iter([(name.clone(), document.clone())]));
            faults.extend(unreadable(Map::from_iter([(key.clone(), one)]), &format!("/{key}/{}", escape_pointer(name))));
        }
    }
    if faults.is_empty() {
        faults.push(Diagnostic::error("", error.to_string()));
    }
    faults
}

fn unreadable(part: Map<String, Json>, at: &str) -> Option<Diagnostic> {
    serde_json::from_value::<App>(Json::Object(part)).err().map(|error| with_file(Diagnostic::error(at, error.to_string())))
}

/// The file of a pointer into the one document: `/entities/deal/fields/x` is in `entities/deal.json`.
#[must_use]
pub fn file_of(pointer: &str) -> Option<String> {
    let mut tokens = pointer.split('/').skip(1);
    let first = tokens.next()?;
    if first == "app" {
        return Some("app.json".to_owned());
    }
    let name = tokens.next()?.replace("~1", "/").replace("~0", "~");
    folder(first).map(|folder| folder.file(&name))
}

fn with_file(mut fault: Diagnostic) -> Diagnostic {
    fault.file = fault.file.or_else(|| file_of(&fault.pointer));
    fault
}

fn pretty(json: &Json) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(json).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Whether `text` may be a locale: `en`, `zh-CN`, `zh-Hant-TW`.
#[must_use]
pub fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    language && text.len() <= 12 && parts.all(|part| (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
