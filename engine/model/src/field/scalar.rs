//! In charge of kinds that are one plain cell: true or false, days, moments, times, spans.
//! Invariant: what is read is exact; a day that is not in the calendar is refused.

use chrono::{DateTime, NaiveDate, NaiveTime, Timelike, Utc};

use crate::fault::Code;
use crate::field::number::ORDER_OPERATORS;
use crate::field::{AcceptContext, ColumnSpec, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The operators of days and moments.
const TIME_OPERATORS: &[Op] = &[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::In, Op::NotIn, Op::Between, Op::Within, Op::IsEmpty, Op::IsSet];

const BOOLEAN_OPERATORS: &[Op] = &[Op::Eq, Op::Ne, Op::IsEmpty, Op::IsSet];

/// Which plain kind; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A moment.
    Datetime,
    /// A time of day.
    Time,
    /// A span of time, in seconds.
    Duration,
}

/// The first and the last year that are read: both databases and four-digit output hold them.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// A day, `2026-11-23`; a moment at midnight fits too (a file's date cells come so).
#[must_use]
pub fn read_date(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    let day = match text.split_once(['T', ' ']) {
        Some((day, time)) if time.trim_end_matches('Z').split(':').all(|part| part.parse() == Ok(0.0_f32)) => day,
        Some(_) => return None,
        None => text,
    };
    let well_formed =
        day.len() == 10 && day.bytes().enumerate().all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    well_formed.then(|| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()).flatten().filter(|day| YEARS.contains(&chrono::Datelike::year(day)))
}

/// A moment, RFC 3339, to the microsecond.
#[must_use]
pub fn read_datetime(text: &str) -> Option<DateTime<Utc>> {
    let moment = DateTime::parse_from_rfc3339(text.trim()).ok()?.with_timezone(&Utc);
    let moment = DateTime::from_timestamp_micros(moment.timestamp_micros())?;
    YEARS.contains(&chrono::Datelike::year(&moment)).then_some(moment)
}

fn read_time(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok().filter(|time| time.nanosecond() == 0)
}

/// Seconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds. Months and years have no fixed
/// length and are refused.
#[must_use]
pub fn read_duration(text: &str) -> Option<i64> {
    let (sign, rest) = text.trim().strip_prefix('-').map_or((1, text.trim()), |rest| (-1, rest));
    let rest = rest.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').map_or((rest, ""), |(days, time)| (days, time));
    if rest.is_empty() || rest.ends_with('T') {
        return None;
    }
    let total = spans(days, &[('W', 604_800), ('D', 86_400)])?.checked_add(spans(time, &[('H', 3_600), ('M', 60), ('S', 1)])?)?;
    total.checked_mul(sign)
}

fn spans(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let (mut rest, mut total, mut next) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest.get(..end)?.parse().ok()?;
        let unit = rest.get(end..)?.chars().next()?;
        let place = units.iter().skip(next).position(|(letter, _)| *letter == unit)? + next;
        total = total.checked_add(count.checked_mul(units.get(place)?.1)?)?;
        next = place + 1;
        rest = rest.get(end + 1..)?;
    }
    Some(total)
}

/// An ISO 8601 duration of so many seconds.
#[must_use]
pub fn write_duration(seconds: i64) -> String {
    let (sign, total) = if seconds < 0 { ("-", seconds.unsigned_abs()) } else { ("", seconds.unsigned_abs()) };
    let (days, hours, minutes, rest) = (total / 86_400, total / 3_600 % 24, total / 60 % 60, total % 60);
    let mut text = format!("{sign}P");
    if days > 0 {
        text.push_str(&format!("{days}D"));
    }
    if hours + minutes + rest > 0 || days == 0 {
        text.push('T');
        for (count, unit) in [(hours, 'H'), (minutes, 'M'), (rest, 'S')] {
            if count > 0 {
                text.push_str(&format!("{count}{unit}"));
            }
        }
        if hours + minutes + rest == 0 {
            text.push_str("0S");
        }
    }
    text
}

impl Scalar {
    fn read(self, input: &Input) -> Result<Value, Reject> {
        let text = || input.as_text().ok_or_else(|| Reject::wrong_type(self.example()));
        let read = match self {
            Self::Boolean => return input.as_bool().map(Value::Bool).ok_or_else(|| Reject::wrong_type("true")),
            Self::Date => read_date(text()?).map(Value::Date),
            Self::Datetime => read_datetime(text()?).map(Value::Timestamp),
            Self::Time => read_time(text()?).map(Value::Time),
            Self::Duration => read_duration(text()?).map(Value::Int),
        };
        read.ok_or_else(|| Reject::new(Code::BadFormat, Message::new("bad_format").with("expected", self.example())))
    }

    fn example(self) -> &'static str {
        match self {
            Self::Boolean => "true",
            Self::Date => "\"2026-11-23\"",
            Self::Datetime => "\"2026-11-23T09:30:00Z\"",
            Self::Time => "\"09:30\"",
            Self::Duration => "\"PT1H30M\"",
        }
    }
}

impl TypedField for Scalar {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(match self {
            Self::Boolean => Storage::Bool,
            Self::Date => Storage::Date,
            Self::Datetime => Storage::Timestamp,
            Self::Time => Storage::Time,
            Self::Duration => Storage::Int,
        })]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        if input.as_text() == Some("") && *self != Self::Boolean {
            return Ok(vec![Value::Null]);
        }
        self.read(input).map(|value| vec![value]).map_err(|reject| vec![reject])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        match (self, cells.first()) {
            (Self::Duration, Some(Value::Int(seconds))) => crate::json::write_text(&write_duration(*seconds), out),
            (_, cell) => crate::json::write_value(cell.unwrap_or(&Value::Null), out),
        }
    }

    fn operators(&self) -> &'static [Op] {
        match self {
            Self::Boolean => BOOLEAN_OPERATORS,
            Self::Date | Self::Datetime => TIME_OPERATORS,
            Self::Time | Self::Duration => ORDER_OPERATORS,
        }
    }

    /// A moment is also compared with a day: the typed filter turns that into its borders.
    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        match (self, input.as_text().and_then(read_date)) {
            (Self::Datetime, Some(day)) if input.as_text().is_some_and(|text| text.len() == 10) => Ok(Value::Date(day)),
            _ => self.read(input),
        }
    }

    fn text(&self, cells: &[Value], cx: TextContext<'_>) -> String {
        match cells.first() {
            Some(Value::Bool(truth)) => match (cx.locale, truth) {
                ("zh-CN" | "zh-TW", true) => "是".to_owned(),
                ("zh-CN" | "zh-TW", false) => "否".to_owned(),
                (_, true) => "Yes".to_owned(),
                (_, false) => "No".to_owned(),
            },
            Some(Value::Date(day)) => day.to_string(),
            Some(Value::Timestamp(moment)) => moment.with_timezone(&cx.zone).format("%Y-%m-%d %H:%M").to_string(),
            Some(Value::Time(time)) => time.format("%H:%M").to_string(),
            Some(Value::Int(seconds)) => write_duration(*seconds),
            _ => String::new(),
        }
    }

    fn value_schema(&self) -> serde_json::Value {
        match self {
            Self::Boolean => serde_json::json!({"type": ["boolean", "null"]}),
            Self::Date => serde_json::json!({"type": ["string", "null"], "format": "date"}),
            Self::Datetime => serde_json::json!({"type": ["string", "null"], "format": "date-time"}),
            Self::Time => serde_json::json!({"type": ["string", "null"], "pattern": "^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"}),
            Self::Duration => serde_json::json!({"type": ["string", "null"], "format": "duration"}),
        }
    }
}
