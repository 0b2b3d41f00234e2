//! In charge of the data folder: one process at a time.
//! Invariant: who holds the lock owns the workspace; the lock ends with the process, however it ends.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;

use engine::clock::SystemClock;
use engine::{Engine, Options};

use crate::cli::Place;

/// A workspace that this process owns.
pub struct Opened {
    /// It.
    pub engine: Engine,
    _lock: File,
}

/// Why a workspace is not opened.
pub enum Refused {
    /// Another process owns it.
    Held,
    /// Anything else, for people.
    Failed(String),
}

impl Place {
    /// The socket on which the process that owns the workspace takes commands.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data.join("trellis.sock")
    }

    /// Opens the workspace.
    ///
    /// # Errors
    /// Where another process owns it, or it cannot be opened.
    pub async fn open(&self) -> Result<Opened, Refused> {
        let failed = |error: &dyn std::fmt::Display| Refused::Failed(format!("{}: {error}", self.data.display()));
        std::fs::create_dir_all(&self.data).map_err(|error| failed(&error))?;
        #[cfg(unix)]
        std::fs::set_permissions(&self.data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(|error| failed(&error))?;
        let lock = File::create(self.data.join("lock")).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refused::Held),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let location = engine::location_of(self.database.as_deref(), &self.data).ok_or_else(|| Refused::Failed("this is no database: use postgres://… or sqlite:PATH".to_owned()))?;
        let options = Options { location, data_dir: Some(self.data.clone()), clock: Arc::new(SystemClock) };
        let engine = Engine::open(options).await.map_err(|error| failed(&error))?;
        Ok(Opened { engine, _lock: lock })
    }
}
