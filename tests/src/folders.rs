//! In charge of apps as folders of the repository: read, changed in memory, packed.
//! Invariant: a test never writes into the repository.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

/// The top of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder, by path below it; `demo` is left out.
#[must_use]
pub fn read(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let top = root().join(folder);
    walk(&top, &top, &mut files);
    files.sort();
    files
}

fn walk(top: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
        let path = entry.path();
        let name = path.strip_prefix(top).expect("below the top").to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            if name != "demo" {
                walk(top, &path, files);
            }
        } else if !name.ends_with(".md") {
            files.push((name, fs::read(&path).expect("a readable file")));
        }
    }
}

/// Changes one JSON document among files.
pub fn edit(files: &mut [(String, Vec<u8>)], path: &str, change: impl FnOnce(&mut Json)) {
    let (_, bytes) = files.iter_mut().find(|(name, _)| name == path).unwrap_or_else(|| panic!("there is no {path}"));
    let mut document: Json = serde_json::from_slice(bytes).expect("a JSON document");
    change(&mut document);
    *bytes = serde_json::to_vec_pretty(&document).expect("a document");
}

/// Files as a zip.
#[must_use]
pub fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("a file in a zip");
        writer.write_all(bytes).expect("a file in a zip");
    }
    writer.finish().expect("a zip").into_inner()
}

/// The files of a zip, sorted.
#[must_use]
pub fn unzip(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a zip");
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).expect("a file");
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut content).expect("a readable file");
        let name = file.name().expect("a name in UTF-8").into_owned();
        files.push((name, content));
    }
    files.sort();
    files
}

/// The sales example without the rows for show.
#[must_use]
pub fn sales() -> Vec<(String, Vec<u8>)> {
    let mut files = read("examples/sales");
    edit(&mut files, "app.json", |app| {
        if let Some(members) = app.as_object_mut() {
            members.remove("demo");
        }
    });
    files
}
