//! In charge of writing an export: CSV, or a workbook with one row in memory at a time.
//! Invariant: no cell is a formula: in a workbook texts are texts, in CSV they are written so that no sheet takes them for one.
//! Invariant: a number keeps its digits: one that a workbook cannot hold exactly is written as text.

use std::io::{Read, Seek, SeekFrom};

use chrono::Datelike;
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::columns::{Cell, Column};
use crate::error::Error;
use crate::files::Upload;
use crate::imports::report::harmless;

/// Rows of one sheet, the header with them.
const MAX_ROWS: u32 = 1_048_576;
/// Digits that a workbook holds exactly.
const EXACT: usize = 15;
/// The longest text of a workbook's cell, in characters.
const MAX_TEXT: usize = 32_767;

/// Where an export is written to.
pub(crate) enum Sink {
    Csv(Box<csv::Writer<Upload>>),
    Xlsx(Box<Book>),
}

/// A workbook that is being written.
pub(crate) struct Book {
    workbook: Workbook,
    sheet: usize,
    row: u32,
    headers: Vec<String>,
    zone: Tz,
    day: Format,
    moment: Format,
    head: Format,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("an export could not be written: {error}"))
}

impl Sink {
    /// A text.
    pub(crate) fn csv(mut upload: Upload, columns: &[Column], bom: bool) -> Result<Self, Error> {
        if bom {
            upload.write(b"\xEF\xBB\xBF")?;
        }
        let mut writer = csv::Writer::from_writer(upload);
        writer.write_record(columns.iter().map(|column| harmless(column.header.clone()))).map_err(failed)?;
        Ok(Self::Csv(Box::new(writer)))
    }

    /// A workbook; moments are of `zone`.
    pub(crate) fn xlsx(columns: &[Column], zone: Tz) -> Result<Self, Error> {
        let mut book = Book {
            workbook: Workbook::new(),
            sheet: 0,
            row: 0,
            headers: columns.iter().map(|column| column.header.clone()).collect(),
            zone,
            day: Format::new().set_num_format("yyyy-mm-dd"),
            moment: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
            head: Format::new().set_bold(),
        };
        book.begin_sheet().map_err(failed)?;
        Ok(Self::Xlsx(Box::new(book)))
    }

    /// Writes a row.
    pub(crate) fn row(&mut self, cells: &[Cell]) -> Result<(), Error> {
        match self {
            Self::Csv(writer) => writer.write_record(cells.iter().map(text_of)).map_err(failed),
            Self::Xlsx(book) => book.row(cells).map_err(failed),
        }
    }

    /// Ends it; what is to be kept. `begin` starts the file that a workbook is copied to.
    pub(crate) fn end(self, begin: impl FnOnce() -> Result<Upload, Error>) -> Result<Upload, Error> {
        match self {
            Self::Csv(writer) => writer.into_inner().map_err(failed),
            Self::Xlsx(mut book) => {
                let mut file = tempfile::tempfile().map_err(failed)?;
                book.workbook.save_to_writer(&mut file).map_err(failed)?;
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                let mut upload = begin()?;
                let mut chunk = vec![0; 64 << 10];
                loop {
                    let length = file.read(&mut chunk).map_err(failed)?;
                    if length == 0 {
                        return Ok(upload);
                    }
                    upload.write(chunk.get(..length).unwrap_or_default())?;
                }
            }
        }
    }
}

/// A cell of a text.
fn text_of(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => harmless(text.clone()),
        Cell::Number(number) => number.to_string(),
        Cell::Truth(truth) => truth.to_string(),
        Cell::Day(day) => day.to_string(),
        Cell::Moment(at) => at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
    }
}

impl Book {
    fn begin_sheet(&mut self) -> Result<(), XlsxError> {
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        for (column, header) in self.headers.iter().enumerate() {
            sheet.write_string_with_format(0, place(column), header, &self.head)?;
        }
        self.row = 1;
        Ok(())
    }

    fn row(&mut self, cells: &[Cell]) -> Result<(), XlsxError> {
        if self.row == MAX_ROWS {
            self.sheet += 1;
            self.begin_sheet()?;
        }
        let row = self.row;
        self.row += 1;
        let sheet = self.workbook.worksheet_from_index(self.sheet)?;
        for (column, cell) in cells.iter().enumerate() {
            let column = place(column);
            match cell {
                Cell::Empty => {}
                Cell::Text(text) => text_cell(sheet, row, column, text)?,
                Cell::Number(number) => match exact(*number) {
                    Some(number) => sheet.write_number(row, column, number).map(drop)?,
                    None => text_cell(sheet, row, column, &number.to_string())?,
                },
                Cell::Truth(truth) => sheet.write_boolean(row, column, *truth).map(drop)?,
                Cell::Day(day) => match ExcelDateTime::from_ymd(u16::try_from(day.year()).unwrap_or_default(), byte(day.month()), byte(day.day())) {
                    Ok(date) => sheet.write_datetime_with_format(row, column, &date, &self.day).map(drop)?,
                    // Sheets know no day before 1900.
                    Err(_) => text_cell(sheet, row, column, &day.to_string())?,
                },
                Cell::Moment(at) => {
                    let text = at.with_timezone(&self.zone).format("%Y-%m-%dT%H:%M:%S").to_string();
                    match ExcelDateTime::parse_from_str(&text) {
                        Ok(date) => sheet.write_datetime_with_format(row, column, &date, &self.moment).map(drop)?,
                        Err(_) => text_cell(sheet, row, column, &text)?,
                    }
                }
            }
        }
        Ok(())
    }
}

fn place(column: usize) -> u16 {
    u16::try_from(column).unwrap_or(u16::MAX)
}

fn byte(number: u32) -> u8 {
    u8::try_from(number).unwrap_or_default()
}

fn text_cell(sheet: &mut Worksheet, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
    let cut = text.char_indices().nth(MAX_TEXT).map_or(text, |(end, _)| text.get(..end).unwrap_or(text));
    sheet.write_string(row, column, cut).map(drop)
}

/// The number as a workbook holds it, where it holds it exactly.
fn exact(number: Decimal) -> Option<f64> {
    let digits = number.normalize().mantissa().unsigned_abs().to_string().len();
    number.to_f64().filter(|_| digits <= EXACT)
}
