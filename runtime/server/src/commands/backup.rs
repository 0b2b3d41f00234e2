//! In charge of `trellis backup` and `trellis restore`: everything of a workspace in one ZIP file.
//! Invariant: the database is copied as of one moment; files are only ever added, so they are copied after it.
//! Invariant: a file stands under its name only when it is whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use engine::{Engine, Error};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::cli::{Backup, Common, Restore};
use crate::terminal::Terminal;
use crate::workspace;

/// The name of the database in the archive.
const DATABASE: &str = "database";
/// The folder with files.
const FILES: &str = "files";
/// The file with the master key.
const KEY: &str = "key";

pub(super) async fn backup(engine: &Engine, asked: &Backup, terminal: &Terminal) -> Result<u8, Error> {
    let target = terminal.path(&asked.file);
    let Some(data) = engine.data_dir().map(Path::to_path_buf) else {
        terminal.complain("trellis: a workspace in memory has nothing to back up");
        return Ok(crate::FAILED);
    };
    if target.exists() {
        terminal.complain(format!("trellis: {} is there already", target.display()));
        return Ok(crate::FAILED);
    }
    let failed = |error: io::Error| Error::Internal(format!("the backup could not be written: {error}"));
    let scratch = tempfile::Builder::new().prefix("backup").tempdir_in(&data).map_err(failed)?;
    let copy = scratch.path().join(DATABASE);
    engine.store().backup(copy.clone()).await?;
    let with_key = asked.with_key;
    let to = target.clone();
    let written = tokio::task::spawn_blocking(move || pack(&copy, &data, &to, with_key)).await;
    written.map_err(|error| Error::Internal(error.to_string()))?.map_err(failed)?;
    terminal.say(target.display().to_string());
    if !asked.with_key {
        terminal.complain("The master key is not in it: keep the file `key` of the data folder apart, or encrypted fields are lost.");
    }
    Ok(crate::DONE)
}

fn pack(database: &Path, data: &Path, target: &Path, with_key: bool) -> io::Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut unfinished = tempfile::NamedTempFile::new_in(folder)?;
    let mut writer = ZipWriter::new(unfinished.as_file_mut());
    add(&mut writer, database, DATABASE)?;
    if with_key {
        add(&mut writer, &data.join(KEY), KEY)?;
    }
    let files = data.join(FILES);
    if files.is_dir() {
        add_folder(&mut writer, &files, FILES)?;
    }
    writer.finish()?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(target).map(drop).map_err(|error| error.error)
}

fn add_folder<W: Write + io::Seek>(writer: &mut ZipWriter<W>, folder: &Path, name: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
        // Uploads under way are nobody's yet.
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "tmp" {
                add_folder(writer, &entry.path(), &inner)?;
            }
        } else {
            add(writer, &entry.path(), &inner)?;
        }
    }
    Ok(())
}

fn add<W: Write + io::Seek>(writer: &mut ZipWriter<W>, path: &Path, name: &str) -> io::Result<()> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true);
    writer.start_file(name, options)?;
    io::copy(&mut File::open(path)?, writer).map(drop)
}

pub(super) fn restore(common: &Common, asked: &Restore, terminal: &Terminal) -> u8 {
    let done = (|| {
        if common.database.is_some() {
            return Err("a backup fills a data folder; --database names another place".to_owned());
        }
        let held = workspace::hold(common).map_err(|refusal| refusal.to_string())?;
        let store::Location::SqliteFile(database) = workspace::location(common).map_err(|refusal| refusal.to_string())? else {
            return Err("the data folder has no place for a database".to_owned());
        };
        if database.exists() {
            return Err(format!("{} is not empty", common.data.display()));
        }
        let source = terminal.path(&asked.file);
        unpack(&source, &common.data, &database).map_err(|error| format!("{}: {error}", source.display()))?;
        drop(held);
        Ok(())
    })();
    match done {
        Ok(()) => {
            terminal.say(format!("restored into {}", common.data.display()));
            crate::DONE
        }
        Err(reason) => {
            terminal.complain(format!("trellis: {reason}"));
            crate::FAILED
        }
    }
}

fn unpack(source: &Path, data: &Path, database: &Path) -> io::Result<()> {
    let mut archive = ZipArchive::new(File::open(source)?)?;
    if archive.index_for_name(DATABASE).is_none() {
        return Err(io::Error::other("this is no backup of a workspace"));
    }
    // The database comes last: a folder without it is one that can be filled again.
    let mut order: Vec<usize> = (0..archive.len()).collect();
    if let Some(last) = archive.index_for_name(DATABASE) {
        order.retain(|index| *index != last);
        order.push(last);
    }
    for index in order {
        let mut entry = archive.by_index(index)?;
        let name = entry.enclosed_name().ok_or_else(|| io::Error::other("a name in it leads astray"))?;
        let known = name == Path::new(DATABASE) || name == Path::new(KEY) || name.starts_with(FILES);
        if entry.is_dir() || !known {
            continue;
        }
        let target = if name == Path::new(DATABASE) { database.to_path_buf() } else { data.join(&name) };
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        if name == Path::new(KEY) {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let mut file = options.open(&target)?;
        io::copy(&mut entry, &mut file)?;
        file.sync_all()?;
    }
    Ok(())
}
