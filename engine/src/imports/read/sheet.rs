//! In charge of workbooks: XLSX row by row, the older and rarer kinds as a whole.
//! Invariant: typed cells stay typed: a number is exact, a day is a day, a moment is of the reader's zone.

use std::io::{BufReader, SeekFrom};

use calamine::{Data, DataRef, ExcelDateTime, Reader, Sheets, Xlsx, open_workbook_from_rs};
use chrono::{NaiveDateTime, NaiveTime, Timelike};
use chrono_tz::Tz;
use model::{Message, Value};
use rust_decimal::Decimal;

use super::zip_guard::{Office, Refused, check};
use super::{Options, Piece, Row, Seekable, Take, header_of, unreadable};

type Input = BufReader<Box<dyn Seekable>>;

/// The largest workbook of a kind that is read as a whole, in bytes.
const MAX_WHOLE: u64 = 64 << 20;
/// The most columns.
const MAX_COLUMNS: u32 = 16_384;

/// Hands on the header and the rows of a sheet.
pub(super) fn rows(mut input: Box<dyn Seekable>, is_old: bool, options: &Options, take: &mut Take<'_>) -> Result<(), Message> {
    let size = input.seek(SeekFrom::End(0)).map_err(|error| unreadable(&error))?;
    let office = if is_old {
        None
    } else {
        Some(check(&mut input).map_err(|refused| match refused {
            Refused::NotSheets => Message::new("import_not_rows"),
            Refused::Bomb => Message::new("import_bomb"),
        })?)
    };
    if office != Some(Office::Xlsx) && size > MAX_WHOLE {
        return Err(Message::new("import_whole_too_large").with("max", MAX_WHOLE >> 20));
    }
    input.seek(SeekFrom::Start(0)).map_err(|error| unreadable(&error))?;
    let input = BufReader::new(input);
    let mut rows = Rows { header: None, header_row: options.header_row, zone: options.zone, row: Vec::new(), at: 0, fault: None, take };
    match office {
        Some(Office::Xlsx) => streamed(open_workbook_from_rs(input).map_err(broken)?, options, &mut rows)?,
        Some(Office::Xlsb) => whole(Sheets::Xlsb(open_workbook_from_rs(input).map_err(broken)?), options, &mut rows)?,
        Some(Office::Ods) => whole(Sheets::Ods(open_workbook_from_rs(input).map_err(broken)?), options, &mut rows)?,
        None => whole(Sheets::Xls(open_workbook_from_rs(input).map_err(broken)?), options, &mut rows)?,
    }
    if rows.header.is_none() { Err(Message::new("import_empty")) } else { Ok(()) }
}

fn broken(error: impl std::fmt::Display) -> Message {
    Message::new("import_unreadable").with("detail", error)
}

/// The sheet that is meant.
fn sheet_of(names: &[String], options: &Options) -> Result<String, Message> {
    match &options.sheet {
        None => names.first().cloned().ok_or_else(|| Message::new("import_empty")),
        Some(wanted) => names
            .iter()
            .find(|name| *name == wanted)
            .or_else(|| names.iter().find(|name| model::text::fold(name.trim()) == model::text::fold(wanted.trim())))
            .cloned()
            .ok_or_else(|| Message::new("import_no_sheet").with("name", wanted).with("known", names.join(", "))),
    }
}

fn streamed(mut book: Xlsx<Input>, options: &Options, rows: &mut Rows<'_, '_>) -> Result<(), Message> {
    let sheet = sheet_of(&book.sheet_names(), options)?;
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(broken)?;
    while let Some(cell) = cells.next_cell().map_err(broken)? {
        let (row, column) = cell.get_position();
        if !rows.cell(row, column, cell.get_value()) {
            return Ok(());
        }
    }
    rows.end();
    Ok(())
}

fn whole(mut book: Sheets<Input>, options: &Options, rows: &mut Rows<'_, '_>) -> Result<(), Message> {
    let sheet = sheet_of(&book.sheet_names(), options)?;
    let range = book.worksheet_range(&sheet).map_err(broken)?;
    let (first_row, first_column) = range.start().unwrap_or_default();
    for (row, column, data) in range.used_cells() {
        let (row, column) = (u32::try_from(row).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX));
        if !rows.cell(row.saturating_add(first_row), column.saturating_add(first_column), &of_data(data)) {
            return Ok(());
        }
    }
    rows.end();
    Ok(())
}

fn of_data(data: &Data) -> DataRef<'_> {
    match data {
        Data::Int(number) => DataRef::Int(*number),
        Data::Float(number) => DataRef::Float(*number),
        Data::String(text) => DataRef::SharedString(text),
        Data::Bool(truth) => DataRef::Bool(*truth),
        Data::DateTime(moment) => DataRef::DateTime(*moment),
        Data::DateTimeIso(text) => DataRef::DateTimeIso(text.clone()),
        Data::DurationIso(text) => DataRef::DurationIso(text.clone()),
        Data::Error(error) => DataRef::Error(error.clone()),
        _ => DataRef::Empty,
    }
}

/// Cells on their way to rows.
struct Rows<'a, 'b> {
    header: Option<usize>,
    header_row: u32,
    zone: Tz,
    /// The cells of the row that is being filled.
    row: Vec<Value>,
    /// Its place in the sheet, from 0.
    at: u32,
    fault: Option<Message>,
    take: &'a mut Take<'b>,
}

impl Rows<'_, '_> {
    /// Takes a cell; cells come row by row. False where no more is wanted.
    fn cell(&mut self, row: u32, column: u32, data: &DataRef<'_>) -> bool {
        if row != self.at && !self.end() {
            return false;
        }
        self.at = row;
        if column >= MAX_COLUMNS {
            return true;
        }
        let value = match value_of(data, self.zone) {
            Ok(value) => value,
            Err(shown) => {
                self.fault = Some(Message::new("row_cell_error").with("value", &shown).with("column", column_name(column)));
                Value::text(&shown)
            }
        };
        let column = column as usize;
        if !value.is_null() {
            if self.row.len() <= column {
                self.row.resize(column + 1, Value::Null);
            }
            if let Some(cell) = self.row.get_mut(column) {
                *cell = value;
            }
        }
        true
    }

    /// Hands on the row that was filled.
    fn end(&mut self) -> bool {
        let mut cells = std::mem::take(&mut self.row);
        let fault = self.fault.take();
        if cells.is_empty() {
            return true;
        }
        let number = u64::from(self.at) + 1;
        let Some(width) = self.header else {
            if number < u64::from(self.header_row) {
                return true;
            }
            let names = header_of(cells.iter().map(|cell| cell_text(cell, self.zone)));
            self.header = Some(names.len());
            return (self.take)(Piece::Header(names));
        };
        // What stands to the right of the table is not of it.
        cells.resize(width, Value::Null);
        if cells.iter().all(Value::is_null) {
            return true;
        }
        (self.take)(Piece::Row(Row { number, cells, fault }))
    }
}

/// A column's letters, from 0.
fn column_name(column: u32) -> String {
    let (mut rest, mut letters) = (column + 1, Vec::new());
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + u8::try_from(rest % 26).unwrap_or_default()));
        rest /= 26;
    }
    letters.iter().rev().collect()
}

/// The value of a cell; an error of the sheet is told by what it shows.
fn value_of(data: &DataRef<'_>, zone: Tz) -> Result<Value, String> {
    Ok(match data {
        DataRef::Int(number) => Value::Int(*number),
        DataRef::Float(number) => number_of(*number),
        DataRef::String(text) => Value::text(text),
        DataRef::SharedString(text) => Value::text(text),
        DataRef::Bool(truth) => Value::Bool(*truth),
        DataRef::DateTime(moment) => moment_of(*moment, zone),
        DataRef::DateTimeIso(text) => iso(text, zone),
        DataRef::DurationIso(text) => Value::text(text),
        DataRef::Error(error) => return Err(error.to_string()),
        _ => Value::Null,
    })
}

/// A sheet's number with the 15 digits that sheets show: what is behind them is noise of binary fractions.
fn number_of(number: f64) -> Value {
    let exact = Decimal::from_scientific(&format!("{number:.14e}")).map(|number| number.normalize());
    match exact {
        Ok(number) if number.scale() == 0 => i64::try_from(number.mantissa()).map_or(Value::Decimal(number), Value::Int),
        Ok(number) => Value::Decimal(number),
        Err(_) => Value::text(&number.to_string()),
    }
}

fn moment_of(moment: ExcelDateTime, zone: Tz) -> Value {
    const DAY: f64 = 1.0;
    if moment.is_duration() || moment.as_f64() < DAY {
        let seconds = moment.as_duration().map_or(0, |span| (span.num_milliseconds() + 500) / 1_000);
        let within_day = u32::try_from(seconds).ok().and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0));
        return within_day.map_or_else(|| Value::text(&model::field::scalar::write_duration(seconds)), Value::Time);
    }
    match moment.as_datetime() {
        Some(local) => local_value(local, zone),
        None => number_of(moment.as_f64()),
    }
}

fn iso(text: &str, zone: Tz) -> Value {
    if let Some(day) = model::field::scalar::read_date(text) {
        return Value::Date(day);
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"].iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    local.map_or_else(|| Value::text(text), |local| local_value(local, zone))
}

/// A day where the time is zero, else a moment of the zone.
fn local_value(local: NaiveDateTime, zone: Tz) -> Value {
    // Fractions of a day come with some noise.
    let local = local + chrono::Duration::milliseconds(500);
    let local = local.with_nanosecond(0).unwrap_or(local);
    if local.num_seconds_from_midnight() == 0 {
        return Value::Date(local.date());
    }
    super::super::words::moment(local, zone).map_or(Value::Null, Value::Timestamp)
}

/// A cell as text.
fn cell_text(value: &Value, zone: Tz) -> String {
    super::super::words::text_of(value, zone)
}
