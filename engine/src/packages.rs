//! In charge of apps as folders on disk.
//! Invariant: only files below the folder are read; hidden ones and links are left out.

use std::collections::BTreeMap;
use std::path::Path;

use model::doc::Package;
use model::{Diagnostic, Severity};

use crate::error::Error;

/// The most that an app's files may hold together, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// Reads an app's folder.
///
/// # Errors
/// Every fault of its documents; where it cannot be read.
pub fn read_folder(folder: &Path) -> Result<Package, Error> {
    let mut files = BTreeMap::new();
    let mut size = 0;
    collect(folder, "", &mut files, &mut size)
        .map_err(|error| Error::Documents(vec![Diagnostic::error("", format!("{}: {error}", folder.display()))]))?;
    read_files(files)
}

/// Reads an app's files by their path in its folder.
///
/// # Errors
/// Every fault: of the files, and of what they still say, seen with the core app.
pub fn read_files(files: BTreeMap<String, Vec<u8>>) -> Result<Package, Error> {
    let examined = model::package::examine(None, files);
    if examined.faults.is_empty() {
        return Ok(examined.package);
    }
    let later =
        crate::examine_package(&examined.package).into_iter().filter(|fault| fault.severity == Severity::Error && !examined.may_explain(fault));
    let mut faults: Vec<Diagnostic> = examined.faults.iter().cloned().chain(later).collect();
    faults.sort_by(|a, b| (&a.file, &a.pointer).cmp(&(&b.file, &b.pointer)));
    Err(Error::Documents(faults))
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>, size: &mut u64) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if name.starts_with('.') || kind.is_symlink() {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if kind.is_dir() {
            collect(&entry.path(), &path, files, size)?;
            continue;
        }
        *size += entry.metadata()?.len();
        if *size > MAX_SIZE {
            return Err(std::io::Error::other("the app is larger than 64 MB"));
        }
        files.insert(path, std::fs::read(entry.path())?);
    }
    Ok(())
}

/// Writes an app's folder in its canonical form.
///
/// # Errors
/// Where it cannot be written.
pub fn write_folder(package: &Package, folder: &Path) -> Result<(), Error> {
    for (path, bytes) in package.to_files() {
        let target = folder.join(&path);
        let failed = |error: std::io::Error| Error::Internal(format!("{}: {error}", target.display()));
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&target, bytes).map_err(failed)?;
    }
    Ok(())
}
