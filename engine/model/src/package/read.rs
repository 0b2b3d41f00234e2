//! In charge of reading a folder file by file: which document each is, and what is wrong with it.
//! Invariant: a fault in one file keeps no other from being read; what a faulty one still says is kept for the check.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value as Json};

use super::{MAX_DOCUMENT, explain, is_locale, parse, read_app, repair};
use crate::doc::Package;
use crate::doc::folders::{FOLDERS, Folder, Written, folder};
use crate::fault::{Diagnostic, escape_pointer};
use crate::hint;
use crate::name::{EntityName, is_name};

/// Folders whose files belong to an app without being documents.
const FILE_FOLDERS: [&str; 5] = ["seed", "demo", "prints", "files", "assets"];

/// A folder, read as far as it can be.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What could be read: whole where there are no faults, else with the faulty parts left out, so that the rest
    /// can be checked too.
    pub package: Package,
    /// Everything wrong with the text and the shape of the files.
    pub faults: Vec<Diagnostic>,
    suspects: Suspects,
}

/// What was lost or guessed while a folder was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspects {
    /// The names by which it may be missed elsewhere.
    pub(super) names: HashSet<String>,
    /// Where it was: what is below is not what was written.
    pub(super) places: Vec<String>,
}

impl Suspects {
    pub(super) fn note(&mut self, name: &str, place: String) {
        self.names.insert(name.to_owned());
        self.places.push(place);
    }
}

impl Examined {
    /// Whether a fault found later may only follow from one of these: it is about something that was lost.
    #[must_use]
    pub fn may_explain(&self, fault: &Diagnostic) -> bool {
        let is_missed =
            |text: &str| text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|word| self.suspects.names.contains(word));
        let is_below = self
            .suspects
            .places
            .iter()
            .any(|place| fault.pointer.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        is_below || (!self.suspects.names.is_empty() && is_missed(&fault.message))
    }
}

/// Reads a folder as far as it can be: for a check of everything at once.
#[must_use]
pub fn examine(app_hint: Option<&str>, files: BTreeMap<String, Vec<u8>>) -> Examined {
    let mut reading = Reading { whole: Map::new(), files: BTreeMap::new(), faults: Vec::new(), suspects: Suspects::default() };
    let files = strip_top(files);
    if !files.contains_key("app.json") {
        reading.fault("app.json", Diagnostic::error("/app", "`app.json` is missing: this is no folder of an app"));
    }
    for (path, bytes) in files {
        reading.file(path, bytes, app_hint);
    }
    reading.finish(app_hint)
}

struct Reading {
    whole: Map<String, Json>,
    files: BTreeMap<String, Vec<u8>>,
    faults: Vec<Diagnostic>,
    suspects: Suspects,
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

    /// A document's JSON; of a faulty one, what it still says.
    fn json(&mut self, path: &str, kind: &'static str, at: &str, bytes: &[u8]) -> Option<Json> {
        let mut json = match parse::document(bytes, at) {
            Ok(json) => json,
            Err(faults) => {
                self.lost(at);
                faults.into_iter().for_each(|fault| self.fault(path, fault));
                return None;
            }
        };
        let faults = explain::faults(kind, &json, at);
        if !faults.is_empty() {
            faults.into_iter().for_each(|fault| self.fault(path, fault));
            let Some(repaired) = repair::repaired(kind, json, at, &mut self.suspects) else {
                self.lost(at);
                return None;
            };
            json = repaired;
        }
        if let Some(map) = json.as_object_mut() {
            map.shift_remove("$schema");
        }
        Some(json)
    }

    /// Notes that the document at `at` says nothing that can be read.
    fn lost(&mut self, at: &str) {
        let name = at.rsplit('/').next().unwrap_or_default();
        // Without `app.json` nobody knows what the app may name.
        self.suspects.note(if name == "app" { "requires" } else { name }, at.to_owned());
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

    fn finish(mut self, app_hint: Option<&str>) -> Examined {
        let mut whole = Json::Object(std::mem::take(&mut self.whole));
        let app = match read_app(&whole) {
            Ok(app) => app,
            Err(faults) => {
                for fault in &faults {
                    repair::remove(&mut whole, &fault.pointer);
                    self.lost(&fault.pointer);
                }
                self.faults.extend(faults);
                read_app(&whole).unwrap_or_default()
            }
        };
        self.faults.sort_by(|a, b| (&a.file, &a.pointer).cmp(&(&b.file, &b.pointer)));
        let mut package = Package { app, files: self.files };
        if let Some(hint) = app_hint.filter(|_| package.app.app.name.is_empty()) {
            package.app.app.name = hint.to_owned();
        }
        Examined { package, faults: self.faults, suspects: self.suspects }
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
