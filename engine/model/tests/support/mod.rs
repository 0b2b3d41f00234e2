//! In charge of finding the apps of the repository for tests.

#![allow(dead_code, clippy::expect_used, clippy::panic, reason = "a test that finds no app fails, and each uses a part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::App;
use model::package::Package;
use model::{Diagnostic, Name};

/// Every app of the repository, by its folder.
pub const APPS: [&str; 4] = ["engine/core_app", "examples/sales", "examples/service_desk", "tests/apps/kitchen_sink"];

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn files(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let top = root().join(folder);
    let mut found = BTreeMap::new();
    let mut waiting = vec![top.clone()];
    while let Some(here) = waiting.pop() {
        for entry in std::fs::read_dir(&here).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(&top).expect("below the top").to_string_lossy().replace('\\', "/");
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

pub fn package(folder: &str) -> Package {
    Package::from_files(None, files(folder)).unwrap_or_else(|faults| panic!("{folder}:\n{}", told(&faults)))
}

pub fn told(faults: &[Diagnostic]) -> String {
    let line = |fault: &Diagnostic| {
        let hint = fault.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint}?)"));
        format!("{} {}: {}{hint}", fault.file.as_deref().unwrap_or("-"), fault.pointer, fault.message)
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The core app, and beside it the app of `folder`.
pub fn workspace(folder: &str) -> IndexMap<Name, Arc<App>> {
    ["engine/core_app", folder]
        .into_iter()
        .map(|folder| package(folder).app)
        .map(|app| (Name::parse(&app.app.name).expect("a name"), Arc::new(app)))
        .collect()
}
