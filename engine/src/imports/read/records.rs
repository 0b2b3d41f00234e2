//! In charge of splitting text into records and cells: CSV in all its dialects.
//! Invariant: a record that is broken costs itself alone: reading goes on at the next line.
//! Invariant: a record has a greatest size, so an open quote cannot make memory grow.
//!
//! The crate `csv` takes everything up to the next quote for one cell, however far it is; a file with one stray quote
//! would lose all rows behind it. So records are split here; a test holds this against what `csv` writes.

use std::io::{self, Read};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// The greatest size of a record in bytes.
pub(crate) const MAX_RECORD: usize = 2 << 20;

/// What is wrong with a record; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordFault {
    /// A quote is not closed, or something stands behind a closing one.
    Quote,
    /// It is too long.
    TooLong,
}

/// One record, reused for the next.
#[derive(Debug, Default)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line that it begins on, from 1.
    pub(crate) line: u64,
    /// What is wrong with it; its cells then are those of its first line.
    pub(crate) fault: Option<RecordFault>,
}

impl Record {
    fn clear(&mut self, line: u64) {
        self.bytes.clear();
        self.ends.clear();
        self.line = line;
        self.fault = None;
    }

    fn end_cell(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Its cells.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// How many cells it has.
    pub(crate) fn width(&self) -> usize {
        self.ends.len()
    }
}

/// Where in a record the reading is; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote between quotes: the end, or the first of two.
    Closing,
    /// Behind the closing quote and a blank.
    Closed,
}

/// Splits an input into records.
pub(crate) struct Records<R> {
    input: R,
    delimiter: u8,
    chunk: Vec<u8>,
    chunk_at: usize,
    chunk_end: usize,
    /// Bytes that were given back, to be read again before the input.
    again: Vec<u8>,
    again_at: usize,
    /// The record's bytes as they came.
    raw: Vec<u8>,
    line: u64,
    /// The last byte was a carriage return that ended a line.
    after_return: bool,
}

impl<R: Read> Records<R> {
    /// Splits `input` at `delimiter`.
    pub(crate) fn new(input: R, delimiter: u8) -> Self {
        Self {
            input,
            delimiter,
            chunk: vec![0; CHUNK],
            chunk_at: 0,
            chunk_end: 0,
            again: Vec::new(),
            again_at: 0,
            raw: Vec::new(),
            line: 1,
            after_return: false,
        }
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.again.get(self.again_at) {
            self.again_at += 1;
            return Ok(Some(*byte));
        }
        if self.chunk_at == self.chunk_end {
            self.chunk_end = self.input.read(&mut self.chunk)?;
            self.chunk_at = 0;
            if self.chunk_end == 0 {
                return Ok(None);
            }
        }
        let byte = self.chunk.get(self.chunk_at).copied();
        self.chunk_at += 1;
        Ok(byte)
    }

    /// The next byte; the second of a line's two end bytes is passed over.
    fn take(&mut self) -> io::Result<Option<u8>> {
        let mut byte = self.next_byte()?;
        if self.after_return && byte == Some(b'\n') {
            byte = self.next_byte()?;
        }
        self.after_return = false;
        Ok(byte)
    }

    /// Reads the next record that is not blank; false at the end.
    ///
    /// # Errors
    /// Where the input cannot be read.
    pub(crate) fn read(&mut self, record: &mut Record) -> io::Result<bool> {
        record.clear(self.line);
        self.raw.clear();
        let mut state = State::Start;
        // Ends of lines between quotes: they count when the record turns out well.
        let mut within = 0;
        loop {
            let Some(byte) = self.take()? else {
                return Ok(match state {
                    State::Quoted => self.broken(record, RecordFault::Quote)?,
                    State::Start if self.raw.is_empty() => false,
                    State::Start | State::Plain | State::Closing | State::Closed => {
                        record.end_cell();
                        true
                    }
                });
            };
            let ends_line = matches!(byte, b'\n' | b'\r');
            if ends_line && state != State::Quoted {
                self.after_return = byte == b'\r';
                self.line += 1 + within;
                if self.raw.is_empty() {
                    record.clear(self.line);
                    continue;
                }
                record.end_cell();
                return Ok(true);
            }
            self.raw.push(byte);
            if self.raw.len() > MAX_RECORD {
                return self.broken(record, RecordFault::TooLong);
            }
            state = match (state, byte) {
                (State::Quoted, b'"') => State::Closing,
                (State::Quoted, byte) => {
                    within += u64::from(byte == b'\n');
                    record.bytes.push(byte);
                    State::Quoted
                }
                (State::Closing, b'"') => {
                    record.bytes.push(b'"');
                    State::Quoted
                }
                (_, byte) if byte == self.delimiter => {
                    record.end_cell();
                    State::Start
                }
                (State::Closing | State::Closed, b' ') => State::Closed,
                (State::Closing | State::Closed, _) => return self.broken(record, RecordFault::Quote),
                (State::Start, b'"') => State::Quoted,
                (State::Start | State::Plain, byte) => {
                    record.bytes.push(byte);
                    State::Plain
                }
            };
        }
    }

    /// The first line of what was read is the broken record; what is behind it is read again.
    fn broken(&mut self, record: &mut Record, fault: RecordFault) -> io::Result<bool> {
        let mut raw = std::mem::take(&mut self.raw);
        let end = raw.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        record.clear(self.line);
        record.fault = Some(fault);
        self.line += 1;
        match end {
            Some(end) => {
                let two = raw.get(end..end + 2) == Some(b"\r\n");
                let mut again = raw.split_off(end + 1 + usize::from(two));
                self.after_return = raw.get(end) == Some(&b'\r') && !two;
                raw.truncate(end);
                again.extend_from_slice(self.again.get(self.again_at..).unwrap_or_default());
                self.again = again;
                self.again_at = 0;
            }
            None => self.rest_of_line(&mut raw)?,
        }
        for cell in raw.split(|byte| *byte == self.delimiter) {
            record.bytes.extend_from_slice(cell);
            record.end_cell();
        }
        self.raw = raw;
        Ok(true)
    }

    /// Reads up to the end of the line, keeping as much as a record may have.
    fn rest_of_line(&mut self, raw: &mut Vec<u8>) -> io::Result<()> {
        while let Some(byte) = self.next_byte()? {
            if matches!(byte, b'\n' | b'\r') {
                self.after_return = byte == b'\r';
                break;
            }
            if raw.len() < MAX_RECORD {
                raw.push(byte);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = Vec<(u64, Vec<String>, Option<RecordFault>)>;

    fn split(text: &str, delimiter: u8) -> Rows {
        let mut records = Records::new(text.as_bytes(), delimiter);
        let (mut record, mut rows) = (Record::default(), Vec::new());
        while records.read(&mut record).expect("reads") {
            let cells = record.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
            rows.push((record.line, cells, record.fault));
        }
        rows
    }

    fn plain(text: &str) -> Vec<Vec<String>> {
        split(text, b',').into_iter().map(|(_, cells, _)| cells).collect()
    }

    #[test]
    fn lines_end_in_three_ways_and_blank_ones_do_not_count() {
        for text in ["a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r1,2", "a,b\n\n\n1,2\n\n"] {
            assert_eq!(plain(text), [["a", "b"], ["1", "2"]], "{text:?}");
        }
        assert_eq!(split("a\r\n\r\nb\r\n", b',').iter().map(|row| row.0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(plain("a,\n,b"), [["a", ""], ["", "b"]]);
        assert!(plain("").is_empty());
    }

    #[test]
    fn quotes_hold_delimiters_lines_and_quotes() {
        let rows = split("name;note\r\n\"Müller; Söhne\";\"two\r\nlines, \"\"said\"\"\"\r\nx;\"\" \r\n", b';');
        assert_eq!(rows[1].1, ["Müller; Söhne", "two\r\nlines, \"said\""]);
        assert_eq!(rows[2].1, ["x", ""]);
        assert_eq!(plain("5\" pipe,x"), [["5\" pipe", "x"]]);
    }

    #[test]
    fn a_broken_quote_costs_its_own_line_only() {
        let rows = split("a,b\n\"open,1\n\"two\",2\nthree,3\n", b',');
        assert_eq!(rows.iter().map(|row| row.2).collect::<Vec<_>>(), [None, Some(RecordFault::Quote), None, None]);
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(rows[2].1, ["two", "2"]);
        let rows = split("a,b\nx,\"never closed\ny,2\n", b',');
        assert_eq!(rows.iter().map(|row| row.2).collect::<Vec<_>>(), [None, Some(RecordFault::Quote), None]);
        assert_eq!(rows[2].1, ["y", "2"]);
        let rows = split("\"a\"b,c\nd,e", b',');
        assert_eq!(rows.iter().map(|row| row.2).collect::<Vec<_>>(), [Some(RecordFault::Quote), None]);
    }

    #[test]
    fn a_record_that_is_too_long_is_told_and_passed_over() {
        let text = format!("a,b\n{},1\nc,d\n\"{}\ne,f\n", "x".repeat(MAX_RECORD + 10), "y\n".repeat(MAX_RECORD));
        let rows = split(&text, b',');
        assert_eq!(rows[1].2, Some(RecordFault::TooLong));
        assert_eq!(rows[2].1, ["c", "d"]);
        assert_eq!(rows[3].2, Some(RecordFault::TooLong));
        assert_eq!(rows.last().map(|row| row.1.clone()), Some(vec!["e".to_owned(), "f".to_owned()]));
    }

    #[test]
    fn what_csv_writes_is_read_as_it_was() {
        let cells = ["", "a", "\"", "\"\"", ",", "\n", "\r\n", " x ", "a\"b", "\",\"", "è", "客户\n", "-1"];
        let mut seed = 7_usize;
        let mut rows: Vec<Vec<String>> = Vec::new();
        for _ in 0..2_000 {
            let row = (0..4).map(|column| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if column == 0 { "k".to_owned() } else { cells[(seed >> 33) % cells.len()].to_owned() }
            });
            rows.push(row.collect());
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).expect("writes");
        }
        let bytes = writer.into_inner().expect("flushes");
        assert_eq!(plain(std::str::from_utf8(&bytes).expect("text")), rows);
    }
}
