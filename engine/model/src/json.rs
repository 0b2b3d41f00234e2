//! In charge of writing JSON straight from values into bytes.
//! Invariant: numbers leave with exactly their digits.

use std::io::Write;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::field::Numbers;
use crate::value::Value;

/// Writes a string with its quotes.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail; serde_json only passes the writer's errors on.
    let _infallible = serde_json::to_writer(out, text);
}

/// Writes a decimal with exactly `scale` digits behind the point.
pub fn write_decimal(number: Decimal, scale: u8, numbers: Numbers, out: &mut Vec<u8>) {
    let mut number = number;
    number.rescale(u32::from(scale));
    match numbers {
        Numbers::Numbers => write_digits(number, out),
        Numbers::Strings => {
            out.push(b'"');
            write_digits(number, out);
            out.push(b'"');
        }
    }
}

/// Writes a decimal as it is. Pages hold hundreds of numbers: those that fit a machine word skip the general way.
fn write_digits(number: Decimal, out: &mut Vec<u8>) {
    let Ok(mantissa) = u64::try_from(number.mantissa().unsigned_abs()) else {
        let _infallible = write!(out, "{number}");
        return;
    };
    if number.is_sign_negative() && mantissa != 0 {
        out.push(b'-');
    }
    let scale = usize::try_from(number.scale()).unwrap_or_default();
    write_whole(mantissa, scale + 1, out);
    if scale > 0 {
        out.insert(out.len() - scale, b'.');
    }
}

/// Writes a whole number with at least so many digits.
fn write_whole(number: u64, least: usize, out: &mut Vec<u8>) {
    let (mut number, start) = (number, out.len());
    while number > 0 || out.len() - start < least {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

fn write_day(day: NaiveDate, out: &mut Vec<u8>) {
    match u64::try_from(day.year()) {
        Ok(year) if year <= 9_999 => {
            write_whole(year, 4, out);
            out.push(b'-');
            write_whole(u64::from(day.month()), 2, out);
            out.push(b'-');
            write_whole(u64::from(day.day()), 2, out);
        }
        // Years before our own or of five digits have a sign.
        _ => {
            let _infallible = write!(out, "{day}");
        }
    }
}

/// Writes hours and minutes, and seconds where asked or where there are any.
fn write_time(time: NaiveTime, with_seconds: bool, out: &mut Vec<u8>) {
    write_whole(u64::from(time.hour()), 2, out);
    out.push(b':');
    write_whole(u64::from(time.minute()), 2, out);
    if with_seconds || time.second() > 0 {
        out.push(b':');
        write_whole(u64::from(time.second()), 2, out);
    }
}

/// Writes a moment in UTC; of its fraction as many thirds as say something.
fn write_moment(moment: DateTime<Utc>, out: &mut Vec<u8>) {
    write_day(moment.date_naive(), out);
    out.push(b'T');
    write_time(moment.time(), true, out);
    let nanos = u64::from(moment.timestamp_subsec_nanos());
    if nanos > 0 {
        out.push(b'.');
        match (nanos % 1_000_000, nanos % 1_000) {
            (0, _) => write_whole(nanos / 1_000_000, 3, out),
            (_, 0) => write_whole(nanos / 1_000, 6, out),
            _ => write_whole(nanos, 9, out),
        }
    }
    out.push(b'Z');
}

fn write_id(id: Uuid, out: &mut Vec<u8>) {
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Writes a value in its plain form: the default of kinds without a form of their own.
pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Bytes(_) => out.extend_from_slice(b"null"),
        Value::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::Int(number) => {
            if *number < 0 {
                out.push(b'-');
            }
            write_whole(number.unsigned_abs(), 1, out);
        }
        Value::Decimal(number) => write_digits(*number, out),
        Value::Text(text) => write_text(text, out),
        Value::Date(day) => quoted(out, |out| write_day(*day, out)),
        Value::Time(time) => quoted(out, |out| write_time(*time, false, out)),
        Value::Timestamp(moment) => quoted(out, |out| write_moment(*moment, out)),
        Value::Uuid(id) => quoted(out, |out| write_id(*id, out)),
        Value::Json(json) => {
            // Writing to a Vec cannot fail.
            let _infallible = serde_json::to_writer(out, json);
        }
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    use super::*;

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_the_library_writes_them(mantissa in any::<i64>(), scale in 0_u32..19) {
            let number = Decimal::new(mantissa, scale);
            prop_assert_eq!(written(&Value::Decimal(number)), number.to_string());
            prop_assert_eq!(written(&Value::Int(mantissa)), mantissa.to_string());
        }

        #[test]
        fn moments_are_written_as_the_library_writes_them(seconds in -200_000_000_000_i64..300_000_000_000, nanos in prop::sample::select(vec![0_u32, 5_000_000, 7_000, 9, 999_999_999])) {
            let moment = DateTime::from_timestamp(seconds, nanos).expect("in range");
            prop_assert_eq!(written(&Value::Timestamp(moment)), format!("\"{}\"", moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)));
            prop_assert_eq!(written(&Value::Date(moment.date_naive())), format!("\"{}\"", moment.date_naive()));
        }
    }

    #[test]
    fn digits_of_wide_numbers_stay() {
        let wide = Decimal::from_i128_with_scale(79_228_162_514_264_337_593_543_950_335, 4);
        assert_eq!(written(&Value::Decimal(wide)), wide.to_string());
        assert_eq!(written(&Value::Decimal(Decimal::new(-5, 2))), "-0.05");
        assert_eq!(written(&Value::Time(NaiveTime::from_hms_opt(9, 5, 0).expect("a time"))), "\"09:05\"");
    }
}
