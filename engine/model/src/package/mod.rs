//! In charge of an app as a folder of files: reading one, and writing it out in its canonical form.
//! Reading order: `Package::from_files`, `explain` (what a schema refuses), `canonical`, `localise`.
//! Invariant: a package that was read is canonical; writing it out and reading it again gives the same bytes.
//! Invariant: reading reports every fault at once, each with its file and the pointer into the one document.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::doc::App;
pub use crate::doc::Package;
use crate::doc::folders::{FOLDERS, Folder, Written, folder};
use crate::fault::{Diagnostic, escape_pointer};
use crate::hint;
use crate::name::{EntityName, is_name};

mod canonical;
mod explain;
mod localise;
mod parse;

pub use canonical::canonicalise;
pub(crate) use localise::TRANSLATABLE;
pub use localise::localise;
pub use parse::MAX_DOCUMENT;

/// Folders whose files belong to an app without being documents.
const FILE_FOLDERS: [&str; 5] = ["seed", "demo", "prints", "files", "assets"];

impl Package {
    /// Reads a folder's files by their path in it. `app_hint` is the name where `app.json` says none.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn from_files(app_hint: Option<&str>, files: BTreeMap<String, Vec<u8>>) -> Result<Self, Vec<Diagnostic>> {
        let mut reading = Reading { whole: Map::new(), files: BTreeMap::new(), faults: Vec::new() };
        let files = strip_top(files);
        if !files.contains_key("app.json") {
            reading.fault("app.json", Diagnostic::error("/app", "`app.json` is missing: this is no folder of an app"));
        }
        for (path, bytes) in files {
            reading.file(path, bytes, app_hint);
        }
        reading.finish()
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

/// Takes away the one folder that a zip may have around the app.
fn strip_top(files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let files: BTreeMap<_, _> =
        files.into_iter().map(|(path, bytes)| (path.replace('\\', "/"), bytes)).filter(|(path, _)| !is_hidden(path)).collect();
    if files.contains_key("app.json") {
        return files;
    }
    let top = files.keys().find_map(|path| path.strip_suffix("/app.json").filter(|top| !top.contains('/'))).map(|top| format!("{top}/"));
    match top {
        Some(top) if files.keys().all(|path| path.starts_with(&top)) => {
            files.into_iter().map(|(path, bytes)| (path[top.len()..].to_owned(), bytes)).collect()
        }
        _ => files,
    }
}

/// What editors, version control and archives leave in a folder.
fn is_hidden(path: &str) -> bool {
    path.ends_with('/') || path.split('/').any(|part| part.starts_with('.') && part != ".." && part != ".") || path.starts_with("__MACOSX/")
}

struct Reading {
    whole: Map<String, Json>,
    files: BTreeMap<String, Vec<u8>>,
    faults: Vec<Diagnostic>,
}

impl Reading {
    fn fault(&mut self, file: &str, mut fault: Diagnostic) {
        fault.file = Some(file.to_owned());
        self.faults.push(fault);
    }

    fn file(&mut self, path: String, bytes: Vec<u8>, app_hint: Option<&str>) {
        if path.starts_with('/') || path.split('/').any(|part| part.is_empty() || part == ".." || part == ".") {
            self.fault(&path, Diagnostic::error("", "is no path within the app's folder"));
        } else if path == "app.json" {
            self.app_json(&bytes, app_hint);
        } else if let Some((folder, name)) = document_at(&path) {
            self.document(&path, folder, name, &bytes);
        } else {
            self.other(path, bytes);
        }
    }

    fn app_json(&mut self, bytes: &[u8], app_hint: Option<&str>) {
        let Some(mut json) = self.json("app.json", "app", "/app", bytes) else { return };
        if let (Some(map), Some(hint)) = (json.as_object_mut(), app_hint) {
            map.entry("name").or_insert_with(|| hint.into());
        }
        self.whole.insert("app".to_owned(), json);
    }

    fn document(&mut self, path: &str, folder: &'static Folder, name: &str, bytes: &[u8]) {
        let at = format!("/{}/{}", folder.folder, escape_pointer(name));
        if let Some(message) = bad_file_name(folder, name) {
            self.fault(path, Diagnostic::error(&at, message));
            return;
        }
        let document = match folder.written {
            Written::Script => match std::str::from_utf8(bytes) {
                Ok(text) if bytes.len() <= MAX_DOCUMENT => Json::from(text),
                Ok(_) => return self.fault(path, Diagnostic::error(&at, format!("a script has {MAX_DOCUMENT} bytes at most"))),
                Err(_) => return self.fault(path, Diagnostic::error(&at, "is not UTF-8")),
            },
            Written::Json => {
                let Some(mut json) = self.json(path, folder.kind, &at, bytes) else { return };
                self.own_name(path, &at, name, &mut json);
                json
            }
        };
        if let Some(documents) = self.whole.entry(folder.folder).or_insert_with(|| Json::Object(Map::new())).as_object_mut() {
            documents.insert(name.to_owned(), document);
        }
    }

    /// A document's JSON, where text and schema are without fault.
    fn json(&mut self, path: &str, kind: &'static str, at: &str, bytes: &[u8]) -> Option<Json> {
        let read = parse::document(bytes, at).and_then(|json| {
            let faults = explain::faults(kind, &json, at);
            if faults.is_empty() { Ok(json) } else { Err(faults) }
        });
        match read {
            Ok(mut json) => {
                if let Some(map) = json.as_object_mut() {
                    map.shift_remove("$schema");
                }
                Some(json)
            }
            Err(faults) => {
                for fault in faults {
                    self.fault(path, fault);
                }
                None
            }
        }
    }

    /// The key `name` of a document may say its file's name again.
    fn own_name(&mut self, path: &str, at: &str, name: &str, json: &mut Json) {
        let Some(map) = json.as_object_mut() else { return };
        let written = map.shift_remove("name");
        if written.as_ref().is_some_and(|written| written != name) {
            let fault = Diagnostic::error(format!("{at}/name"), format!("the file's name is the name: `{name}`"));
            self.fault(path, fault.with_hint(Some(name.to_owned())));
        }
    }

    fn other(&mut self, path: String, bytes: Vec<u8>) {
        let top = path.split_once('/').map_or("", |(top, _)| top);
        let is_text = path.ends_with(".md") || path.ends_with(".txt");
        // A licence, a picture: what stands beside `app.json` and is no document goes along.
        let is_beside = top.is_empty() && !path.ends_with(".json") && !path.ends_with(".rhai");
        if is_text || is_beside || FILE_FOLDERS.contains(&top) && !path.ends_with(".rhai") {
            self.files.insert(path, bytes);
            return;
        }
        let likely = match folder(top) {
            Some(folder) => Some(folder.file("name")),
            None => hint::nearest(top, FOLDERS.iter().map(|folder| folder.folder).chain(FILE_FOLDERS)),
        };
        self.fault(&path, Diagnostic::error("", "nothing of an app is kept here").with_hint(likely));
    }

    fn finish(mut self) -> Result<Package, Vec<Diagnostic>> {
        if self.faults.is_empty() {
            match read_app(&Json::Object(self.whole)) {
                Ok(app) => return Ok(Package { app, files: self.files }),
                Err(faults) => self.faults.extend(faults),
            }
        }
        self.faults.sort_by(|a, b| (&a.file, &a.pointer).cmp(&(&b.file, &b.pointer)));
        Err(self.faults)
    }
}

/// The kind and name of the document at a path, where a document is kept there.
fn document_at(path: &str) -> Option<(&'static Folder, &str)> {
    let (top, file) = path.split_once('/')?;
    let folder = folder(top)?;
    let name = match folder.written {
        Written::Json => file.strip_suffix(".json")?,
        Written::Script => file.strip_suffix(".rhai")?,
    };
    (!name.contains('/')).then_some((folder, name))
}

/// Why a file may not be called so.
fn bad_file_name(folder: &Folder, name: &str) -> Option<String> {
    let fits = match folder.kind {
        "locale" => is_locale(name),
        "entity" => is_name(name) || EntityName::parse(name).is_some(),
        _ => is_name(name),
    };
    (!fits).then(|| match folder.kind {
        "locale" => format!("`{name}` is no locale such as en or zh-CN"),
        _ => format!("`{name}` is not a name: a small letter, then small letters, digits and _, 48 at most"),
    })
}

/// Whether `text` may be a locale: `en`, `zh-CN`, `zh-Hant-TW`.
#[must_use]
pub fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    language && text.len() <= 12 && parts.all(|part| (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
