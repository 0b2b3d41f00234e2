//! In charge of bytes: each content once, under the hash of what it holds.
//! Invariant: a content is whole or not there: written beside, synced, then renamed.
//! Invariant: paths are made of hashes alone; nothing that came from outside is part of one.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use model::{Code, Message};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::scratch::Scratch;
use crate::error::Error;
use crate::imports::read::Seekable;

/// The first bytes that say what a file is.
const HEAD: usize = 8 << 10;

/// Where bytes are; closed.
#[derive(Clone, Debug)]
pub enum Content {
    /// In a file.
    Path(PathBuf),
    /// In memory.
    Bytes(Bytes),
}

impl Content {
    /// Opens the bytes for reading from any place.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Seekable>> {
        Ok(match self {
            Self::Path(path) => Box::new(File::open(path)?),
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
        })
    }
}

/// The store of files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileStore {
    place: Arc<Place>,
    scratch: Scratch,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Memory(Mutex<HashMap<[u8; 32], Bytes>>),
}

/// A file that is being taken. What is not finished is gone when this is dropped.
#[derive(Debug)]
pub struct Upload {
    to: Target,
    hasher: Sha256,
    size: u64,
    limit: u64,
    head: Vec<u8>,
}

#[derive(Debug)]
enum Target {
    File(File, Temporary),
    Memory(Vec<u8>),
}

/// A file that goes away unless it was renamed.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is not there any more when it was kept.
        let _gone = fs::remove_file(&self.0);
    }
}

/// A content that was kept.
pub(crate) struct Kept {
    pub(crate) hash: [u8; 32],
    pub(crate) size: u64,
    pub(crate) head: Vec<u8>,
}

/// An error of the disk, in the engine's words.
pub(crate) fn disk(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Error::Store(store::Fault::Full),
        _ => Error::Internal(format!("files: {error}")),
    }
}

/// A hash in hexadecimal digits.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Upload {
    /// Takes more bytes.
    ///
    /// # Errors
    /// `too_large` beyond the limit; that the disk could not.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.limit {
            return Err(Error::of(Code::TooLarge, Message::new("file_too_large").with("max", self.limit >> 20)));
        }
        if self.head.len() < HEAD {
            self.head.extend_from_slice(bytes.get(..bytes.len().min(HEAD - self.head.len())).unwrap_or_default());
        }
        self.hasher.update(bytes);
        match &mut self.to {
            Target::File(file, _) => file.write_all(bytes).map_err(|error| disk(&error)),
            Target::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, bytes).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileStore {
    /// The store below `data_dir`; in memory where there is none.
    #[must_use]
    pub fn new(data_dir: Option<&Path>) -> Self {
        let place = match data_dir {
            Some(folder) => Place::Folder(folder.join("files")),
            None => Place::Memory(Mutex::default()),
        };
        Self { place: Arc::new(place), scratch: Scratch::new(data_dir) }
    }

    /// The files of jobs under way.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    pub(crate) fn begin(&self, limit: u64) -> Result<Upload, Error> {
        let to = match &*self.place {
            Place::Memory(_) => Target::Memory(Vec::new()),
            Place::Folder(folder) => {
                let folder = folder.join("tmp");
                fs::create_dir_all(&folder).map_err(|error| disk(&error))?;
                let path = folder.join(hex(&crate::keys::random::<16>()?));
                let file = File::options().write(true).create_new(true).open(&path).map_err(|error| disk(&error))?;
                Target::File(file, Temporary(path))
            }
        };
        Ok(Upload { to, hasher: Sha256::new(), size: 0, limit, head: Vec::new() })
    }

    /// Keeps what was taken. It is on disk when this returns.
    pub(crate) async fn finish(&self, upload: Upload) -> Result<Kept, Error> {
        let place = Arc::clone(&self.place);
        let kept = tokio::task::spawn_blocking(move || keep(&place, upload)).await;
        kept.map_err(|error| Error::Internal(error.to_string()))?
    }

    /// The same for whoever is on a thread that may wait.
    pub(crate) fn keep(&self, upload: Upload) -> Result<Kept, Error> {
        keep(&self.place, upload)
    }

    /// The content with this hash.
    pub(crate) fn content(&self, hash: &[u8; 32]) -> Option<Content> {
        match &*self.place {
            Place::Memory(all) => all.lock().get(hash).cloned().map(Content::Bytes),
            Place::Folder(folder) => Some(path_of(folder, hash)).filter(|path| path.is_file()).map(Content::Path),
        }
    }

    /// The bytes that there are of a content; none where it is not there.
    pub(crate) fn size(&self, hash: &[u8; 32]) -> Option<u64> {
        match &*self.place {
            Place::Memory(all) => all.lock().get(hash).map(|bytes| bytes.len() as u64),
            Place::Folder(folder) => fs::metadata(path_of(folder, hash)).ok().filter(fs::Metadata::is_file).map(|about| about.len()),
        }
    }

    /// Removes a content; whether it was there.
    pub(crate) fn remove(&self, hash: &[u8; 32]) -> bool {
        match &*self.place {
            Place::Memory(all) => all.lock().remove(hash).is_some(),
            Place::Folder(folder) => fs::remove_file(path_of(folder, hash)).is_ok(),
        }
    }

    /// The hashes of contents that were last kept before `before`.
    pub(crate) fn old_hashes(&self, before: DateTime<Utc>) -> Result<Vec<[u8; 32]>, Error> {
        let Place::Folder(folder) = &*self.place else { return Ok(Vec::new()) };
        let mut hashes = Vec::new();
        let before = SystemTime::from(before);
        for first in folders(folder)? {
            for second in folders(&first)? {
                for entry in fs::read_dir(&second).map_err(|error| disk(&error))?.flatten() {
                    let is_old = entry.metadata().and_then(|about| about.modified()).is_ok_and(|at| at < before);
                    if let (true, Some(hash)) = (is_old, entry.file_name().to_str().and_then(of_hex)) {
                        hashes.push(hash);
                    }
                }
            }
        }
        Ok(hashes)
    }
}

/// The two-digit folders in a folder.
fn folders(of: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(of) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk(&error)),
    };
    let is_ours = |path: &PathBuf| path.is_dir() && path.file_name().is_some_and(|name| name.len() == 2);
    Ok(entries.flatten().map(|entry| entry.path()).filter(is_ours).collect())
}

fn of_hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    (text.len() == 64).then_some(hash)
}

fn path_of(folder: &Path, hash: &[u8; 32]) -> PathBuf {
    let name = hex(hash);
    folder.join(name.get(..2).unwrap_or_default()).join(name.get(2..4).unwrap_or_default()).join(&name)
}

fn keep(place: &Place, upload: Upload) -> Result<Kept, Error> {
    let Upload { to, hasher, size, head, .. } = upload;
    let hash: [u8; 32] = hasher.finalize().into();
    match (place, to) {
        (Place::Memory(all), Target::Memory(bytes)) => {
            all.lock().insert(hash, bytes.into());
        }
        (Place::Folder(folder), Target::File(file, temporary)) => {
            let path = path_of(folder, &hash);
            let parent = path.parent().unwrap_or(folder);
            // Renamed over what is there already too, so that its age begins anew.
            let kept = fs::create_dir_all(parent)
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&temporary.0, &path))
                .and_then(|()| File::open(parent)?.sync_all());
            kept.map_err(|error| disk(&error))?;
        }
        (Place::Memory(_), Target::File(..)) | (Place::Folder(_), Target::Memory(_)) => {
            return Err(Error::Internal("an upload of another store".to_owned()));
        }
    }
    Ok(Kept { hash, size, head })
}
