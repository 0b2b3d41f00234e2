//! In charge of rows that belong to an app: loaded when it is installed, looked at again when it is upgraded.
//! Invariant: an upgrade never takes back what a person changed, unless the app says that its rows rule.

use model::doc::{Import, ImportMode, OnUpgrade};

use crate::Engine;
use crate::demo::{finished, prepared, reasons};
use crate::error::Error;
use crate::files::Content;

/// Loads the seeds of an installed app; the reasons of rows that failed. `upgrade` says that an earlier version was there.
///
/// # Errors
/// `NotFound` where the app is not installed; what is wrong with a file; that the store could not.
pub async fn load(engine: &Engine, app: &str, upgrade: bool) -> Result<Vec<String>, Error> {
    let package = engine.current().packages.get(app).cloned().ok_or(Error::NotFound)?;
    let mut failed = Vec::new();
    let of_order = |name: &str| package.app.app.seed.get_index_of(name).unwrap_or(usize::MAX);
    let mut files: Vec<(&str, &String)> =
        package.files.keys().filter_map(|path| Some((path.strip_prefix("seed/")?.strip_suffix(".csv")?, path))).collect();
    // As the app lists them: later files may look up rows of earlier ones.
    files.sort_by_key(|(name, _)| (of_order(name), *name));
    for (name, path) in files {
        let seed = package.app.app.seed.get(name);
        let on_upgrade = seed.and_then(|seed| seed.on_upgrade).unwrap_or(OnUpgrade::KeepEdits);
        let key = seed.map(|seed| seed.key.clone()).unwrap_or_default();
        if upgrade && (on_upgrade == OnUpgrade::Skip || key.is_empty()) {
            continue;
        }
        let mode = if key.is_empty() { ImportMode::Create } else { ImportMode::Upsert };
        let document = match package.app.imports.get(name) {
            // A document of the file's own name reads it.
            Some(document) => Import { key: if document.key.is_empty() { key } else { document.key.clone() }, ..document.clone() },
            None => Import { entity: name.to_owned(), key, mode: Some(mode), ..Import::default() },
        };
        let bytes = package.files.get(path).cloned().unwrap_or_default();
        let mut run = prepared(engine, app, &document, Content::Bytes(bytes.into()))?;
        run.keep_edits = upgrade && on_upgrade == OnUpgrade::KeepEdits;
        finished(run.run().await)?;
        failed.extend(reasons(engine, &run, path));
    }
    Ok(failed)
}
