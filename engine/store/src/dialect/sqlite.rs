//! In charge of how SQLite keeps values: decimals as scaled integers, days and moments as integers, ids as 16 bytes.
//! Invariant: the order of what is kept is the order of the values.

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike};
use model::{Storage, Value};
use rusqlite::types::{ToSqlOutput, Value as Kept, ValueRef};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::fault::Fault;
use crate::sql::Decode;

pub(crate) fn column_type(storage: Storage) -> &'static str {
    match storage {
        Storage::Bool | Storage::Int | Storage::Decimal(_) | Storage::Date | Storage::Time | Storage::Timestamp => "INTEGER",
        Storage::Text | Storage::Json => "TEXT",
        Storage::Uuid | Storage::Bytes => "BLOB",
    }
}

/// A value as it is kept; texts and bytes are lent, not copied.
pub(crate) fn encode(storage: Storage, value: &Value) -> ToSqlOutput<'_> {
    let whole = |number: i64| ToSqlOutput::Owned(Kept::Integer(number));
    match (storage, value) {
        (_, Value::Null) => ToSqlOutput::Owned(Kept::Null),
        (Storage::Decimal(scale), value) => {
            ToSqlOutput::Owned(value.as_decimal().and_then(|number| scaled(number, scale)).map_or(Kept::Null, Kept::Integer))
        }
        (Storage::Int, Value::Decimal(number)) => ToSqlOutput::Owned(scaled(*number, 0).map_or(Kept::Null, Kept::Integer)),
        (_, Value::Bool(truth)) => whole(i64::from(*truth)),
        (_, Value::Int(number)) => whole(*number),
        (_, Value::Decimal(number)) => ToSqlOutput::Owned(Kept::Text(number.to_string())),
        (_, Value::Text(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        (_, Value::Date(day)) => whole(i64::from(day.num_days_from_ce())),
        (_, Value::Time(time)) => whole(i64::from(time.num_seconds_from_midnight())),
        (_, Value::Timestamp(moment)) => whole(moment.timestamp_micros()),
        (_, Value::Uuid(id)) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
        (_, Value::Json(json)) => ToSqlOutput::Owned(Kept::Text(json.to_string())),
        (_, Value::Bytes(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        (_, Value::List(_)) => {
            let mut bytes = Vec::new();
            model::json::write_value(value, &mut bytes);
            ToSqlOutput::Owned(Kept::Text(String::from_utf8(bytes).unwrap_or_default()))
        }
    }
}

fn scaled(number: Decimal, scale: u8) -> Option<i64> {
    let mut number = number;
    number.rescale(u32::from(scale));
    if number.scale() != u32::from(scale) {
        return None;
    }
    i64::try_from(number.mantissa()).ok()
}

/// A kept value as it was.
pub(crate) fn decode(how: Decode, kept: ValueRef<'_>) -> Result<Value, Fault> {
    let wrong = || Fault::Sql(format!("a column of {how:?} holds {:?}", kept.data_type()));
    let storage = match (how, kept) {
        (_, ValueRef::Null) => return Ok(Value::Null),
        (Decode::Ids, ValueRef::Text(bytes)) => return Ok(list(bytes, |text| Uuid::try_parse(text).ok().map(Value::Uuid))),
        (Decode::Texts, ValueRef::Text(bytes)) => return Ok(list(bytes, |text| Some(Value::text(text)))),
        (Decode::Number(scale), ValueRef::Integer(number)) => return Ok(Value::Decimal(Decimal::new(number, u32::from(scale)))),
        (Decode::Number(scale), ValueRef::Text(bytes)) => {
            let digits: i128 = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
            return Decimal::try_from_i128_with_scale(digits, u32::from(scale)).map(Value::Decimal).map_err(|_| wrong());
        }
        (Decode::Plain(storage), _) => storage,
        (Decode::Ids | Decode::Texts | Decode::Number(_), _) => return Err(wrong()),
    };
    Ok(match (storage, kept) {
        (Storage::Bool, ValueRef::Integer(number)) => Value::Bool(number != 0),
        (Storage::Int, ValueRef::Integer(number)) => Value::Int(number),
        (Storage::Decimal(scale), ValueRef::Integer(number)) => Value::Decimal(Decimal::new(number, u32::from(scale))),
        (Storage::Text, ValueRef::Text(bytes)) => Value::Text(Arc::from(std::str::from_utf8(bytes).map_err(|_| wrong())?)),
        (Storage::Date, ValueRef::Integer(days)) => {
            Value::Date(i32::try_from(days).ok().and_then(NaiveDate::from_num_days_from_ce_opt).ok_or_else(wrong)?)
        }
        (Storage::Time, ValueRef::Integer(seconds)) => {
            Value::Time(u32::try_from(seconds).ok().and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0)).ok_or_else(wrong)?)
        }
        (Storage::Timestamp, ValueRef::Integer(micros)) => Value::Timestamp(DateTime::from_timestamp_micros(micros).ok_or_else(wrong)?),
        (Storage::Uuid, ValueRef::Blob(bytes)) => Value::Uuid(Uuid::from_slice(bytes).map_err(|_| wrong())?),
        (Storage::Json, ValueRef::Text(bytes)) => Value::Json(Arc::new(serde_json::from_slice(bytes).map_err(|_| wrong())?)),
        (Storage::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(Arc::from(bytes)),
        _ => return Err(wrong()),
    })
}

fn list(bytes: &[u8], read: impl Fn(&str) -> Option<Value>) -> Value {
    let items: Vec<String> = serde_json::from_slice(bytes).unwrap_or_default();
    Value::list(items.iter().filter_map(|item| read(item)).collect())
}

/// What went wrong, in the store's words.
pub(crate) fn fault(error: &rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode;
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => match failure.code {
            ErrorCode::DiskFull => Fault::Full,
            // A question that took too long was interrupted.
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted => Fault::Busy,
            // A file that may not grow any more: a limit, a quota.
            ErrorCode::SystemIoFailure if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE => Fault::Full,
            ErrorCode::ConstraintViolation => Fault::Unique(message.clone().unwrap_or_default()),
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => {
                Fault::Gone(error.to_string())
            }
            _ => Fault::Sql(error.to_string()),
        },
        _ => Fault::Sql(error.to_string()),
    }
}
