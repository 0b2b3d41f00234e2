//! In charge of writing JSON straight from values into bytes.
//! Invariant: numbers leave with exactly their digits.

use std::io::Write;

use chrono::{SecondsFormat, Timelike};
use rust_decimal::Decimal;

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
    let _infallible = match numbers {
        Numbers::Numbers => write!(out, "{number}"),
        Numbers::Strings => write!(out, "\"{number}\""),
    };
}

/// Writes a value in its plain form: the default of kinds without a form of their own.
pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    let _infallible = match value {
        Value::Null | Value::Bytes(_) => out.write_all(b"null"),
        Value::Bool(truth) => write!(out, "{truth}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Decimal(number) => write!(out, "{number}"),
        Value::Text(text) => {
            write_text(text, out);
            Ok(())
        }
        Value::Date(day) => write!(out, "\"{day}\""),
        Value::Time(time) if time.second() == 0 => write!(out, "\"{}\"", time.format("%H:%M")),
        Value::Time(time) => write!(out, "\"{}\"", time.format("%H:%M:%S")),
        Value::Timestamp(moment) => write!(out, "\"{}\"", moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Value::Uuid(id) => write!(out, "\"{id}\""),
        Value::Json(json) => {
            let _infallible = serde_json::to_writer(out, json);
            Ok(())
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
            Ok(())
        }
    };
}
