//! In charge of who holds the data folder, and of opening the workspace in it.
//! Invariant: one process works on one data folder at a time; the second one is told who holds it.
//! Invariant: the lock is the system's: it ends with its process, however that ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::clock::SystemClock;
use engine::{Engine, Options};
use store::Location;

use crate::cli::Common;

const LOCK: &str = "lock";
const SOCKET: &str = "socket";

/// Why a workspace is not opened; closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Somebody else works on it.
    #[error("the data folder is in use{}", .0.map_or_else(String::new, |pid| format!(" by process {pid}")))]
    Held(Option<u32>),
    /// It was asked for wrongly.
    #[error("{0}")]
    Wrong(String),
    /// It cannot be opened.
    #[error("{0}")]
    Broken(String),
}

/// The data folder, held.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
    folder: PathBuf,
}

impl Held {
    /// Where the server of this folder listens for commands.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }
}

/// Where a server of `folder` listens for commands.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

/// Holds the data folder.
pub(crate) fn hold(common: &Common) -> Result<Held, Refusal> {
    let folder = &common.data;
    let failed = |what: &Path, error: &std::io::Error| Refusal::Broken(format!("{}: {error}", what.display()));
    make_private(folder).map_err(|error| failed(folder, &error))?;
    let path = folder.join(LOCK);
    let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(|error| failed(&path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The number helps a person; without it the refusal holds all the same.
            let _unread = lock.read_to_string(&mut text);
            return Err(Refusal::Held(text.trim().parse().ok()));
        }
        Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
    }
    lock.set_len(0).and_then(|()| lock.write_all(std::process::id().to_string().as_bytes())).map_err(|error| failed(&path, &error))?;
    Ok(Held { _lock: lock, folder: folder.clone() })
}

/// Makes the folder, for its owner alone.
fn make_private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Where the database is.
pub(crate) fn location(common: &Common) -> Result<Location, Refusal> {
    let wrong = || Refusal::Wrong("--database names no database that this program knows; see --help".to_owned());
    engine::location_of(common.database.as_deref(), &common.data).ok_or_else(wrong)
}

/// Opens the workspace of a folder that is held.
pub(crate) async fn open(common: &Common, _held: &Held) -> Result<Engine, Refusal> {
    let options = Options { location: location(common)?, data_dir: Some(common.data.clone()), clock: Arc::new(SystemClock) };
    Engine::open(options).await.map_err(|error| Refusal::Broken(format!("the workspace does not open: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_folder_is_held_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let cli = Cli::try_parse_from(["trellis", "doctor", "--data", &data.to_string_lossy()]).expect("good");
        let held = hold(&cli.common).expect("free");
        assert!(matches!(hold(&cli.common), Err(Refusal::Held(Some(pid))) if pid == std::process::id()));
        drop(held);
        assert!(hold(&cli.common).is_ok());
    }
}
