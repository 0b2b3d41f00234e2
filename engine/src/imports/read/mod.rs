//! In charge of files of rows: whatever people call a table, read row by row.
//! Reading order: `Options`, `Row`, `rows`; then `csv` and `sheet`.
//! Invariant: what a file is, its first bytes say, never its name.
//! Invariant: rows come one by one; memory does not grow with a text file or an XLSX.

use std::io::{Read, Seek, SeekFrom};

use chrono_tz::Tz;
use model::{Message, Value};

use crate::files::Content;

mod csv;
pub(crate) mod encoding;
pub(crate) mod records;
mod sheet;
mod zip_guard;

/// How a file is to be read.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The encoding's name; found out where absent.
    pub(crate) encoding: Option<String>,
    /// The character between cells; found out where absent.
    pub(crate) delimiter: Option<u8>,
    /// The sheet; the first where absent.
    pub(crate) sheet: Option<String>,
    /// The row of the headers, from 1.
    pub(crate) header_row: u32,
    /// The zone of a sheet's moments.
    pub(crate) zone: Tz,
    /// The reader's language, which hints at an encoding.
    pub(crate) locale: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { encoding: None, delimiter: None, sheet: None, header_row: 1, zone: chrono_tz::UTC, locale: "en".to_owned() }
    }
}

/// One row of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Where it stands in the file: its line, or the row of the sheet.
    pub(crate) number: u64,
    /// Its cells, one for each column of the header unless there is a fault.
    pub(crate) cells: Vec<Value>,
    /// What is wrong with it as a row.
    pub(crate) fault: Option<Message>,
}

/// What a file gives, the header first; closed.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The names of the columns.
    Header(Vec<String>),
    /// A row.
    Row(Row),
}

/// Takes pieces one by one; false ends the reading.
pub(crate) type Take<'a> = dyn FnMut(Piece) -> bool + 'a;

/// An input that may be read from any place.
pub(crate) trait Seekable: Read + Seek + Send {}

impl<T: Read + Seek + Send> Seekable for T {}

/// The first bytes of an old office file.
const COMPOUND: [u8; 8] = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

/// Hands on the header and the rows of a file.
///
/// # Errors
/// What is wrong with the file as a whole, as a person is told.
pub(crate) fn rows(content: &Content, options: &Options, take: &mut Take<'_>) -> Result<(), Message> {
    let mut input = content.open().map_err(|error| unreadable(&error))?;
    let mut head = [0; 8];
    let length = input.read(&mut head).map_err(|error| unreadable(&error))?;
    input.seek(SeekFrom::Start(0)).map_err(|error| unreadable(&error))?;
    let head = head.get(..length).unwrap_or_default();
    if head.is_empty() {
        return Err(Message::new("import_empty"));
    }
    if head.starts_with(b"PK") || head == COMPOUND {
        return sheet::rows(input, head == COMPOUND, options, take);
    }
    csv::rows(input, options, take)
}

/// The rows of a text, which is quick to count; none where the file is no text, or none that can be read.
pub(crate) fn count(content: &Content, options: &Options) -> Option<u64> {
    let mut head = [0; 8];
    let length = content.open().ok()?.read(&mut head).ok()?;
    let head = head.get(..length).unwrap_or_default();
    if head.starts_with(b"PK") || head == COMPOUND {
        return None;
    }
    let mut count = 0;
    rows(content, options, &mut |piece| {
        count += u64::from(matches!(piece, Piece::Row(_)));
        true
    })
    .ok()?;
    Some(count)
}

fn unreadable(error: &std::io::Error) -> Message {
    Message::new("import_unreadable").with("detail", error)
}

/// Column names as people wrote them: trimmed, an empty one stays empty, a name that comes again is numbered.
fn header_of(cells: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for cell in cells {
        let name = cell.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut unique = name.clone();
        let mut count = 1;
        while !name.is_empty() && names.contains(&unique) {
            count += 1;
            unique = format!("{name} ({count})");
        }
        names.push(unique);
    }
    while names.last().is_some_and(String::is_empty) {
        names.pop();
    }
    names
}

#[cfg(test)]
mod tests;
