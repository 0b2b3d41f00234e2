//! In charge of text files of rows: encoding and delimiter found out, ragged rows told.
//! Invariant: a row whose cells do not fit the header is a faulty row, not a shifted one.

use std::io::{BufReader, Read, SeekFrom};

use encoding_rs::UTF_8;
use model::{Message, Value};

use super::encoding::{Decoding, Detected, MARK, detect, named};
use super::records::{MAX_RECORD, Record, RecordFault, Records};
use super::{Options, Piece, Row, Seekable, Take, header_of, unreadable};

/// The characters that may stand between cells; the first wins a tie.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Characters at the start by which the delimiter is found out.
const SAMPLE: u64 = 64 << 10;

/// Hands on the header and the rows of a text.
pub(super) fn rows(mut input: Box<dyn Seekable>, options: &Options, take: &mut Take<'_>) -> Result<(), Message> {
    let encoding = match options.encoding.as_deref().filter(|name| !name.eq_ignore_ascii_case("auto")) {
        Some(name) => named(name).ok_or_else(|| Message::new("import_encoding").with("name", name))?,
        None => match detect(&mut input, &options.locale).map_err(|error| unreadable(&error))? {
            Detected::Text(encoding) => encoding,
            Detected::Binary => return Err(Message::new("import_not_rows")),
        },
    };
    let open = |input: &mut Box<dyn Seekable>| input.seek(SeekFrom::Start(0)).map_err(|error| unreadable(&error));
    let delimiter = match options.delimiter {
        Some(delimiter) => delimiter,
        None => {
            open(&mut input)?;
            let mut sample = Vec::new();
            Decoding::new(&mut input, encoding).take(SAMPLE).read_to_end(&mut sample).map_err(|error| unreadable(&error))?;
            delimiter_of(&sample)
        }
    };
    open(&mut input)?;
    if encoding == UTF_8 {
        // The usual case is read without a detour; what is no UTF-8 shows when a cell is made.
        let mut input = BufReader::new(input);
        skip_mark(&mut input)?;
        return split(Records::new(input, delimiter), options, take);
    }
    split(Records::new(Decoding::new(input, encoding), delimiter), options, take)
}

/// Passes over a byte order mark.
fn skip_mark(input: &mut BufReader<Box<dyn Seekable>>) -> Result<(), Message> {
    use std::io::BufRead;
    let start = input.fill_buf().map_err(|error| unreadable(&error))?;
    if start.starts_with(b"\xEF\xBB\xBF") {
        input.consume(3);
    }
    Ok(())
}

/// The delimiter that splits the first records most evenly; `sep=;` on the first line says it.
fn delimiter_of(sample: &[u8]) -> u8 {
    if let Some([delimiter, b'\r' | b'\n', ..]) = sample.strip_prefix(b"sep=") {
        return *delimiter;
    }
    let score = |delimiter: u8| {
        let mut records = Records::new(sample, delimiter);
        let mut record = Record::default();
        let (mut width, mut even, mut all) = (0, 0_usize, 0_usize);
        while all < 50 && records.read(&mut record).unwrap_or(false) {
            if all == 0 {
                width = record.width();
            }
            even += usize::from(record.width() == width && record.fault.is_none());
            all += 1;
        }
        if width < 2 { 0 } else { even * 1_000 / all.max(1) * 1_000 + width.min(900) }
    };
    // Of equals the first: `max_by_key` would give the last.
    DELIMITERS.iter().rev().copied().max_by_key(|delimiter| score(*delimiter)).unwrap_or(b',')
}

fn split<R: Read>(mut records: Records<R>, options: &Options, take: &mut Take<'_>) -> Result<(), Message> {
    let mut record = Record::default();
    let mut header: Option<usize> = None;
    while records.read(&mut record).map_err(|error| unreadable(&error))? {
        let Some(width) = header else {
            let is_directive = record.line == 1 && record.cells().next().is_some_and(|cell| cell.starts_with(b"sep="));
            if record.line < u64::from(options.header_row) || is_directive {
                continue;
            }
            let names = header_of(record.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()));
            if names.is_empty() {
                continue;
            }
            header = Some(names.len());
            if !take(Piece::Header(names)) {
                return Ok(());
            }
            continue;
        };
        if record.cells().all(<[u8]>::is_empty) {
            continue;
        }
        if !take(Piece::Row(row(&record, width))) {
            return Ok(());
        }
    }
    if header.is_none() { Err(Message::new("import_empty")) } else { Ok(()) }
}

fn row(record: &Record, width: usize) -> Row {
    let mut row = Row { number: record.line, cells: Vec::with_capacity(width), fault: None };
    let mut is_text = true;
    for cell in record.cells() {
        row.cells.push(match std::str::from_utf8(cell) {
            Ok(text) if !text.contains(MARK) => Value::text(text),
            Ok(text) => {
                is_text = false;
                Value::text(&text.replace(MARK, "\u{FFFD}"))
            }
            Err(_) => {
                is_text = false;
                Value::text(&String::from_utf8_lossy(cell))
            }
        });
    }
    // Columns without a name at the end may be there or not.
    while row.cells.len() > width && row.cells.last().is_some_and(Value::is_null) {
        row.cells.pop();
    }
    row.fault = match record.fault {
        Some(RecordFault::Quote) => Some(Message::new("row_quote")),
        Some(RecordFault::TooLong) => Some(Message::new("row_too_long").with("max", MAX_RECORD)),
        None if !is_text => Some(Message::new("row_encoding")),
        None if row.cells.len() != width => Some(Message::new("row_ragged").with("found", row.cells.len()).with("expected", width)),
        None => None,
    };
    row
}
