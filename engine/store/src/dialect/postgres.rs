//! In charge of how PostgreSQL keeps values: each in the type that it has for them.
//! Invariant: decoded by our metadata, never by the driver's guess.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use model::{Storage, Value};
use rust_decimal::Decimal;
use sea_orm::sqlx::{Row, postgres::PgRow};
use sea_orm::{DbErr, sea_query, sqlx};
use uuid::Uuid;

use crate::fault::Fault;
use crate::sql::Decode;

pub(crate) fn column_type(storage: Storage) -> String {
    match storage {
        Storage::Bool => "boolean".to_owned(),
        Storage::Int => "bigint".to_owned(),
        Storage::Decimal(scale) => format!("numeric(30,{scale})"),
        Storage::Text => "text COLLATE \"C\"".to_owned(),
        Storage::Date => "date".to_owned(),
        Storage::Time => "time".to_owned(),
        Storage::Timestamp => "timestamptz".to_owned(),
        Storage::Uuid => "uuid".to_owned(),
        Storage::Json => "jsonb".to_owned(),
        Storage::Bytes => "bytea".to_owned(),
    }
}

/// A value as a typed parameter; an empty one keeps the type.
pub(crate) fn encode(storage: Storage, value: &Value) -> sea_query::Value {
    use sea_query::Value as Kept;
    match storage {
        Storage::Bool => Kept::Bool(value.as_bool()),
        Storage::Int => Kept::BigInt(match value {
            Value::Decimal(number) => rust_decimal::prelude::ToPrimitive::to_i64(number),
            value => value.as_int(),
        }),
        Storage::Decimal(_) => Kept::Decimal(value.as_decimal()),
        Storage::Text => Kept::String(value.as_text().map(str::to_owned)),
        Storage::Date => Kept::ChronoDate(value.as_date()),
        Storage::Time => Kept::ChronoTime(match value {
            Value::Time(time) => Some(*time),
            _ => None,
        }),
        Storage::Timestamp => Kept::ChronoDateTimeUtc(value.as_timestamp()),
        Storage::Uuid => Kept::Uuid(value.as_uuid()),
        Storage::Json => Kept::Json(json(value).map(Box::new)),
        Storage::Bytes => Kept::Bytes(match value {
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            _ => None,
        }),
    }
}

fn json(value: &Value) -> Option<serde_json::Value> {
    match value {
        Value::Null => None,
        Value::Json(json) => Some(serde_json::Value::clone(json)),
        other => {
            let mut bytes = Vec::new();
            model::json::write_value(other, &mut bytes);
            serde_json::from_slice(&bytes).ok()
        }
    }
}

/// The value in a column of a row.
pub(crate) fn decode(how: Decode, row: &PgRow, index: usize) -> Result<Value, Fault> {
    Ok(match how {
        Decode::Plain(storage) => plain(storage, row, index)?,
        Decode::Number(_) => get::<Decimal>(row, index)?.map_or(Value::Null, Value::Decimal),
        Decode::Ids => list(get::<serde_json::Value>(row, index)?, |text| Uuid::try_parse(text).ok().map(Value::Uuid)),
        Decode::Texts => list(get::<serde_json::Value>(row, index)?, |text| Some(Value::text(text))),
    })
}

fn get<'r, T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>>(row: &'r PgRow, index: usize) -> Result<Option<T>, Fault> {
    row.try_get::<Option<T>, usize>(index).map_err(|error| Fault::Sql(error.to_string()))
}

fn plain(storage: Storage, row: &PgRow, index: usize) -> Result<Value, Fault> {
    Ok(match storage {
        Storage::Bool => get::<bool>(row, index)?.map(Value::Bool),
        Storage::Int => match row.try_get::<Option<i64>, usize>(index) {
            Ok(number) => number.map(Value::Int),
            // Differences of days and a few functions give 32 bits.
            Err(_) => get::<i32>(row, index)?.map(|number| Value::Int(i64::from(number))),
        },
        Storage::Decimal(_) => get::<Decimal>(row, index)?.map(Value::Decimal),
        Storage::Text => get::<String>(row, index)?.map(|text| Value::Text(Arc::from(text))),
        Storage::Date => get::<NaiveDate>(row, index)?.map(Value::Date),
        Storage::Time => get::<NaiveTime>(row, index)?.map(Value::Time),
        Storage::Timestamp => get::<DateTime<Utc>>(row, index)?.map(Value::Timestamp),
        Storage::Uuid => get::<Uuid>(row, index)?.map(Value::Uuid),
        Storage::Json => get::<serde_json::Value>(row, index)?.map(|json| Value::Json(Arc::new(json))),
        Storage::Bytes => get::<Vec<u8>>(row, index)?.map(|bytes| Value::Bytes(bytes.into())),
    }
    .unwrap_or_default())
}

fn list(json: Option<serde_json::Value>, read: impl Fn(&str) -> Option<Value>) -> Value {
    let items = json.and_then(|json| json.as_array().cloned()).unwrap_or_default();
    Value::list(items.iter().filter_map(serde_json::Value::as_str).filter_map(read).collect())
}

/// What went wrong, in the store's words.
pub(crate) fn fault(error: &DbErr) -> Fault {
    let text = error.to_string();
    let code = match error {
        DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) => {
            error.as_database_error().and_then(|error| error.code()).map(|code| code.to_string())
        }
        _ => None,
    };
    match code.as_deref() {
        Some("40001" | "40P01") => Fault::Collision,
        Some("23505") => Fault::Unique(text),
        Some("53100") => Fault::Full,
        Some("55P03" | "53300" | "57014") => Fault::Busy,
        Some("57P01" | "57P02" | "57P03") => Fault::Gone(text),
        Some(_) => Fault::Sql(text),
        None if matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) || is_connection(&text) => Fault::Gone(text),
        None => Fault::Sql(text),
    }
}

fn is_connection(text: &str) -> bool {
    ["onnection", "closed", "pool timed out", "broken pipe", "unexpected end of file"].iter().any(|word| text.contains(word))
}
