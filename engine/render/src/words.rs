//! In charge of values as people read them on paper: numbers with their thousands apart, money, days and moments in the
//! reader's language.
//! Invariant: made from cells and a field's own text; nothing is rounded here.

use chrono::{DateTime, Datelike, NaiveDate};
use chrono_tz::Tz;
use model::field::TextContext;
use model::{FieldDef, Storage, Value};

const MONTHS: [&str; 12] = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// A number with its thousands apart; what stands before and behind its digits stays.
#[must_use]
pub fn grouped(text: &str) -> String {
    let (head, digits) = text.find(|c: char| c.is_ascii_digit()).map_or(("", text), |at| text.split_at(at));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{head}{out}{rest}")
}

/// A day: `5 March 2026`, `2026年3月5日`.
#[must_use]
pub fn day(locale: &str, day: NaiveDate) -> String {
    if is_chinese(locale) {
        return format!("{}年{}月{}日", day.year(), day.month(), day.day());
    }
    let month = MONTHS.get(day.month0() as usize).copied().unwrap_or_default();
    format!("{} {month} {}", day.day(), day.year())
}

/// A moment on the reader's clock: the day and `14:05`.
#[must_use]
pub fn moment(locale: &str, at: DateTime<Tz>) -> String {
    let clock = at.format("%H:%M");
    if is_chinese(locale) { format!("{} {clock}", day(locale, at.date_naive())) } else { format!("{}, {clock}", day(locale, at.date_naive())) }
}

fn is_chinese(locale: &str) -> bool {
    locale == "zh" || locale.starts_with("zh-")
}

/// The text of a field's cells as its reader writes it.
#[must_use]
pub fn text(field: &FieldDef, cells: &[Value], locale: &str, zone: Tz) -> String {
    let Some(typed) = &field.typed else { return String::new() };
    match cells.first() {
        Some(Value::Date(date)) => return day(locale, *date),
        Some(Value::Timestamp(at)) => return moment(locale, at.with_timezone(&zone)),
        _ => {}
    }
    let text = typed.text(cells, TextContext { locale, zone });
    let storage = typed.columns().first().map(|column| column.storage);
    let is_number = matches!(storage, Some(Storage::Int | Storage::Decimal(_))) && field.doc.kind != "duration";
    // Four digits may be a year; they are read as well without a mark.
    let is_short = storage == Some(Storage::Int) && text.len() <= 4;
    if is_number && !is_short { grouped(&text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped("USD 1234567.50"), "USD 1,234,567.50");
        assert_eq!(grouped("-999"), "-999");
        assert_eq!(grouped("15 %"), "15 %");
    }

    #[test]
    fn days_and_moments_are_written_as_the_reader_does() {
        let date = NaiveDate::from_ymd_opt(2026, 3, 5).expect("a day");
        assert_eq!(day("en", date), "5 March 2026");
        assert_eq!(day("zh-CN", date), "2026年3月5日");
        let at = date.and_hms_opt(6, 5, 0).expect("a time").and_utc().with_timezone(&chrono_tz::Asia::Shanghai);
        assert_eq!(moment("en", at), "5 March 2026, 14:05");
        assert_eq!(moment("zh-TW", at), "2026年3月5日 14:05");
    }
}
