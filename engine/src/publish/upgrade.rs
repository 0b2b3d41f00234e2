//! In charge of bringing an installed app to a new version without losing what the workspace made of it.
//! Invariant: what only one side changed is taken; where both did, a person chooses, and until then nothing is published.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use model::doc::{App, Package};
use model::fault::escape_pointer;
use model::merge::{Conflict, merge3};
use serde_json::Value as Json;

use crate::error::Error;

/// Whose change counts; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The workspace's.
    Ours,
    /// The new version's.
    Theirs,
}

/// What was chosen where both sides changed something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// By pointer.
    pub by_pointer: IndexMap<String, Side>,
    /// For all others; none asks.
    pub otherwise: Option<Side>,
}

impl Choices {
    fn of(&self, pointer: &str) -> Option<Side> {
        self.by_pointer.get(pointer).copied().or(self.otherwise)
    }
}

/// What `theirs`, the new version, and `ours`, the workspace's edits, make of `base`, the version that was installed.
pub(super) fn merged(base: Option<&Package>, ours: &Package, theirs: &Package, choices: &Choices) -> Result<Package, Error> {
    if base == Some(ours) {
        return Ok(theirs.clone());
    }
    let nothing = Package { app: App::default(), files: BTreeMap::new() };
    let base = base.unwrap_or(&nothing);
    let mut merged = merge3(&base.app, &ours.app, &theirs.app);
    let mut open = Vec::new();
    for conflict in std::mem::take(&mut merged.conflicts) {
        match choices.of(&conflict.pointer) {
            None => open.push(conflict),
            Some(Side::Ours) => {}
            Some(Side::Theirs) => put(&mut merged.json, &conflict.pointer, conflict.theirs),
        }
    }
    let files = files(base, ours, theirs, choices, &mut open);
    if !open.is_empty() {
        return Err(Error::Conflicts(open));
    }
    Ok(Package { app: merged.app().map_err(Error::Documents)?, files })
}

/// Puts a value at a pointer, or takes away what is there.
fn put(json: &mut Json, pointer: &str, value: Option<Json>) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        *json = value.unwrap_or_default();
        return;
    };
    let Some(Json::Object(map)) = json.pointer_mut(parent) else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    match value {
        Some(value) => map.insert(key, value),
        None => map.shift_remove(&key),
    };
}

/// Files beside the documents are whole: each is the one or the other.
fn files(base: &Package, ours: &Package, theirs: &Package, choices: &Choices, open: &mut Vec<Conflict>) -> BTreeMap<String, Vec<u8>> {
    let paths: BTreeSet<&String> = base.files.keys().chain(ours.files.keys()).chain(theirs.files.keys()).collect();
    let mut files = BTreeMap::new();
    for path in paths {
        let (was, own, new) = (base.files.get(path), ours.files.get(path), theirs.files.get(path));
        let taken = if own == new || new == was {
            own
        } else if own == was {
            new
        } else {
            let pointer = format!("/files/{}", escape_pointer(path));
            match choices.of(&pointer) {
                Some(Side::Theirs) => new,
                Some(Side::Ours) => own,
                None => {
                    let told = |bytes: Option<&Vec<u8>>| bytes.map(|bytes| Json::String(told(bytes)));
                    open.push(Conflict { pointer, base: told(was), ours: told(own), theirs: told(new) });
                    own
                }
            }
        };
        files.extend(taken.map(|bytes| (path.clone(), bytes.clone())));
    }
    files
}

/// A file as a person compares it: its text, else its bytes in Base64.
fn told(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| STANDARD.encode(bytes), str::to_owned)
}
