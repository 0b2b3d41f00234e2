//! In charge of apps as ZIP files, in and out.
//! Invariant: what is unpacked is counted as it comes, never believed from the archive's own figures.
//! Invariant: no name leads out of the app's folder, and no link is followed: names are keys of a map, never paths on disk.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use model::{Code, Message};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use engine::Error;

/// The most bytes of an archive.
pub const MAX_ARCHIVE: usize = 64 << 20;
/// The most bytes that it unpacks to.
const MAX_UNPACKED: u64 = 128 << 20;
/// The most files in it.
const MAX_FILES: usize = 5_000;

fn malformed(detail: impl std::fmt::Display) -> Error {
    Error::of(Code::Malformed, Message::new("archive").with("detail", detail))
}

/// The files of an archive by path within the app's folder.
///
/// # Errors
/// Where it is none, is too large, or a name in it leads astray.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(malformed)?;
    if archive.len() > MAX_FILES {
        return Err(Error::of(Code::Limit, Message::new("too_many").with("max", MAX_FILES)));
    }
    let (mut files, mut left) = (BTreeMap::new(), MAX_UNPACKED);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(malformed)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(malformed)?.into_owned();
        if entry.is_symlink() {
            return Err(malformed(format!("`{name}` is a link")));
        }
        if !is_plain(&name) {
            return Err(malformed(format!("`{name}` is no plain path")));
        }
        let mut content = Vec::new();
        entry.take(left + 1).read_to_end(&mut content).map_err(malformed)?;
        left = left
            .checked_sub(u64::try_from(content.len()).unwrap_or(u64::MAX))
            .ok_or_else(|| Error::of(Code::TooLarge, Message::new("too_large").with("max", MAX_UNPACKED)))?;
        if name.split('/').all(|part| !part.starts_with('.') && part != "__MACOSX") {
            files.insert(name, content);
        }
    }
    Ok(without_folder(files))
}

/// Whether a name is made of plain parts below the folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 512
        && !name.contains(['\\', '\0', ':'])
        && !name.chars().any(char::is_control)
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// An archive of a folder, as most programs make them, is the same as one of what is in it.
fn without_folder(files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    if files.contains_key("app.json") {
        return files;
    }
    let folder =
        files.keys().find_map(|name| name.strip_suffix("/app.json").filter(|folder| !folder.contains('/')).map(|folder| format!("{folder}/")));
    match folder {
        Some(folder) if files.keys().all(|name| name.starts_with(&folder)) => {
            files.into_iter().map(|(name, content)| (name.get(folder.len()..).unwrap_or_default().to_owned(), content)).collect()
        }
        Some(_) | None => files,
    }
}

/// An archive of files: the same files make the same bytes.
///
/// # Errors
/// Where it cannot be made.
pub fn write(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Internal(format!("an archive could not be made: {error}"));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).last_modified_time(zip::DateTime::default());
    for (name, content) in files {
        writer.start_file(name.as_str(), options).map_err(|error| failed(&error))?;
        writer.write_all(content).map_err(|error| failed(&error))?;
    }
    writer.finish().map(Cursor::into_inner).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_goes_in_comes_out() {
        let app = files(&["app.json", "entities/deal.json"]);
        let archive = write(&app).expect("writes");
        assert_eq!(read(&archive).expect("reads"), app);
        assert_eq!(write(&app).expect("writes"), archive);
    }

    #[test]
    fn a_folder_around_the_app_is_taken_off() {
        let archive = write(&files(&["sales/app.json", "sales/entities/deal.json"])).expect("writes");
        let read = read(&archive).expect("reads");
        assert_eq!(read.keys().collect::<Vec<_>>(), ["app.json", "entities/deal.json"]);
    }

    #[test]
    fn names_that_lead_astray_are_refused() {
        for name in ["../app.json", "a/../../b", "/etc/passwd", "c:\\x", "a//b"] {
            let archive = write(&files(&[name])).expect("writes");
            assert!(read(&archive).is_err(), "{name}");
        }
        assert!(read(b"no archive").is_err());
    }
}
