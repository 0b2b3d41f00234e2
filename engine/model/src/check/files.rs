//! In charge of checking that the files which documents name are in the folder, and that seeds have the columns they need.

use crate::doc::Package;
use crate::fault::{Diagnostic, escape_pointer};
use crate::hint::nearest;
use crate::package::file_of;

/// What is wrong between an app's documents and its other files.
#[must_use]
pub fn files(package: &Package) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let app = &package.app;
    for (name, print) in &app.prints {
        named(package, &mut found, "prints", &format!("/prints/{name}/template"), &print.template);
    }
    for (index, file) in app.app.demo.iter().flat_map(|demo| &demo.load).enumerate() {
        named(package, &mut found, "demo", &format!("/app/demo/load/{index}/file"), &file.file);
    }
    for (name, seed) in &app.app.seed {
        let at = format!("/app/seed/{name}");
        let path = format!("seed/{name}.csv");
        let Some(bytes) = package.files.get(&path) else {
            found.push(Diagnostic::error(at, format!("there is no file `{path}`")));
            continue;
        };
        let columns = header(bytes);
        for (index, key) in seed.key.iter().enumerate().filter(|(_, key)| !columns.iter().any(|column| column == key.as_str())) {
            let hint = nearest(key.as_str(), columns.iter().map(String::as_str));
            found.push(Diagnostic::error(format!("{at}/key/{index}"), format!("`{path}` has no column `{key}`")).with_hint(hint));
        }
    }
    for path in package.files.keys().filter_map(|path| path.strip_prefix("seed/")) {
        let name = path.strip_suffix(".csv").unwrap_or(path);
        if !path.ends_with(".md") && !app.app.seed.contains_key(name) {
            let at = format!("/app/seed/{}", escape_pointer(name));
            found.push(Diagnostic::warning(at, format!("`seed/{path}` is never loaded: `seed` in app.json does not name it")));
        }
    }
    for fault in &mut found {
        fault.file = file_of(&fault.pointer);
    }
    found
}

fn named(package: &Package, found: &mut Vec<Diagnostic>, folder: &str, at: &str, file: &str) {
    if package.files.contains_key(&format!("{folder}/{file}")) {
        return;
    }
    let prefix = format!("{folder}/");
    let offered: Vec<&str> = package.files.keys().filter_map(|path| path.strip_prefix(&prefix)).collect();
    found.push(Diagnostic::error(at, format!("there is no file `{folder}/{file}`")).with_hint(nearest(file, offered)));
}

/// The names in the first line of a CSV file; enough to tell a missing column.
fn header(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches('\r').split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
}
