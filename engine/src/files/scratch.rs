//! In charge of what jobs write as they go: error rows, rows that wait.
//! Invariant: a piece is written at a known place, cutting off what is behind: writing it again changes nothing.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use super::Content;

/// The files of jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Scratch(Arc<Place>);

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Memory(Mutex<HashMap<(Uuid, &'static str), Vec<u8>>>),
}

impl Scratch {
    pub(crate) fn new(data_dir: Option<&Path>) -> Self {
        Self(Arc::new(match data_dir {
            Some(folder) => Place::Folder(folder.join("jobs")),
            None => Place::Memory(Mutex::default()),
        }))
    }

    /// Puts `bytes` at `at` of a job's file, which ends behind them. They are on disk when this returns.
    pub(crate) fn write_at(&self, job: Uuid, name: &'static str, at: u64, bytes: &[u8]) -> io::Result<()> {
        match &*self.0 {
            Place::Memory(all) => {
                let mut all = all.lock();
                let file = all.entry((job, name)).or_default();
                file.truncate(usize::try_from(at).unwrap_or(usize::MAX));
                file.extend_from_slice(bytes);
                Ok(())
            }
            Place::Folder(folder) => {
                let folder = folder.join(job.to_string());
                fs::create_dir_all(&folder)?;
                let mut file = File::options().write(true).create(true).truncate(false).open(folder.join(name))?;
                file.set_len(at)?;
                file.seek(SeekFrom::Start(at))?;
                file.write_all(bytes)?;
                file.sync_data()
            }
        }
    }

    /// A job's file; none where nothing was written to it.
    pub(crate) fn content(&self, job: Uuid, name: &'static str) -> Option<Content> {
        match &*self.0 {
            Place::Memory(all) => all.lock().get(&(job, name)).map(|bytes| Content::Bytes(Bytes::copy_from_slice(bytes))),
            Place::Folder(folder) => Some(folder.join(job.to_string()).join(name)).filter(|path| path.is_file()).map(Content::Path),
        }
    }

    /// Removes what a job wrote.
    pub(crate) fn remove(&self, job: Uuid) {
        match &*self.0 {
            Place::Memory(all) => all.lock().retain(|(there, _), _| *there != job),
            Place::Folder(folder) => {
                // It may never have written anything.
                let _gone = fs::remove_dir_all(folder.join(job.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_piece_written_again_is_there_once() {
        let folder = std::env::temp_dir().join(format!("scratch-{}", std::process::id()));
        for scratch in [Scratch::new(None), Scratch::new(Some(&folder))] {
            let job = Uuid::nil();
            scratch.write_at(job, "errors", 0, b"one\n").expect("writes");
            scratch.write_at(job, "errors", 4, b"two, never committed\n").expect("writes");
            scratch.write_at(job, "errors", 4, b"two\n").expect("writes");
            let mut text = String::new();
            scratch.content(job, "errors").expect("there").open().expect("opens").read_to_string(&mut text).expect("reads");
            assert_eq!(text, "one\ntwo\n");
            scratch.remove(job);
            assert!(scratch.content(job, "errors").is_none());
        }
        let _gone = fs::remove_dir_all(folder);
    }
}
