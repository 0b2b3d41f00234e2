//! In charge of the file of rows that failed: the input as CSV with the row's place and the reason behind.
//! Invariant: what a sheet would take for a formula is written so that it is none; an import reads it back as it was.

use chrono_tz::Tz;
use model::Value;

use super::plan::Mapped;
use super::words::text_of;
use crate::error::Error;

/// The columns that are added.
const ADDED: [&str; 2] = ["_row", "_reason"];
/// What tells sheets that a text is UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// A text that no sheet takes for a formula.
pub(crate) fn harmless(text: String) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_number = || super::words::number(&text, super::words::DecimalSign::Point).is_some();
    if is_formula && !is_number() { format!("'{text}") } else { text }
}

/// The columns of the input that are written; those of an earlier report are not.
fn kept(columns: &[String]) -> impl Iterator<Item = (usize, &String)> {
    columns.iter().enumerate().filter(|(_, name)| !ADDED.contains(&name.as_str()))
}

/// A report that begins with `lines`. Where they are more than plain letters, sheets are told what they are.
pub(crate) fn begun(columns: &[String], lines: &[u8]) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = kept(columns).map(|(_, name)| harmless(name.clone())).chain(ADDED.map(str::to_owned));
    writer.write_record(names).map_err(internal)?;
    let header = writer.into_inner().map_err(internal)?;
    let mark = if header.is_ascii() && lines.is_ascii() { &[][..] } else { MARK };
    Ok([mark, &header, lines].concat())
}

/// Lines of rows with their reasons.
pub(crate) fn lines<'a>(columns: &[String], rows: impl Iterator<Item = (&'a Mapped, &'a str)>, zone: Tz) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (mapped, reason) in rows {
        let cell = |index: usize| harmless(text_of(mapped.row.cells.get(index).unwrap_or(&Value::Null), zone));
        let mut record: Vec<String> = kept(columns).map(|(index, _)| cell(index)).collect();
        // Cells beyond the header are what is wrong with a ragged row.
        let beyond = mapped.row.cells.get(columns.len()..).unwrap_or_default();
        let reason = if beyond.is_empty() {
            reason.to_owned()
        } else {
            format!("{reason}: {}", beyond.iter().map(|cell| text_of(cell, zone)).collect::<Vec<_>>().join(", "))
        };
        record.push(mapped.row.number.to_string());
        record.push(harmless(reason));
        writer.write_record(record).map_err(internal)?;
    }
    writer.into_inner().map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_texts_and_numbers_stay() {
        for text in ["=1+1", "@cmd", "+cmd|' /C calc'!A0", "-2+3", "\tx"] {
            assert_eq!(harmless(text.to_owned()), format!("'{text}"));
            assert_eq!(super::super::words::unescaped(&harmless(text.to_owned())), text);
        }
        for text in ["-5", "+1.50", "-1,234.50", "plain", "a=b", ""] {
            assert_eq!(harmless(text.to_owned()), text);
        }
    }
}
