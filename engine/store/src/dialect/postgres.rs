//! In charge of how PostgreSQL keeps values: each in the type that it has for them.
//! Invariant: decoded by our metadata, never by the driver's guess.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use model::{Storage, Value};
use rust_decimal::Decimal;
use sea_orm::sqlx::{Row, postgres::PgRow};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, sea_query, sqlx};
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
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            of_driver(error)
        }
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => Fault::Busy,
        DbErr::Conn(_) | DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => Fault::Gone(error.to_string()),
        _ => Fault::Sql(error.to_string()),
    }
}

/// What the driver says: by the kind of its error, never by its words, which the server says in its own language.
pub(crate) fn of_driver(error: &sqlx::Error) -> Fault {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(told) => of_state(told.code().as_deref().unwrap_or_default(), text),
        // A connection that broke off, whatever of the protocol was under way.
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Fault::Gone(text)
        }
        // Asked again and again already, as long as a request may wait.
        sqlx::Error::PoolTimedOut => Fault::Busy,
        _ => Fault::Sql(text),
    }
}

/// What a code of the standard means: the first two characters are its class.
fn of_state(code: &str, text: String) -> Fault {
    match code {
        "40001" | "40P01" => Fault::Collision,
        "23505" => Fault::Unique(text),
        "53100" => Fault::Full,
        // A lock, a statement's time, a shortage of connections or memory.
        "55P03" | "57014" => Fault::Busy,
        // Shut down, starting up, idle for too long.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Fault::Gone(text),
        code => match code.get(..2) {
            Some("08") => Fault::Gone(text),
            Some("53") => Fault::Busy,
            Some(_) | None => Fault::Sql(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_server_that_is_gone_is_told_by_the_kind_of_error() {
        let broken = |kind: io::ErrorKind| sqlx::Error::Io(io::Error::new(kind, "unbekannt"));
        let gone = [
            broken(io::ErrorKind::UnexpectedEof),
            broken(io::ErrorKind::ConnectionRefused),
            broken(io::ErrorKind::ConnectionReset),
            sqlx::Error::Protocol("expected to read 5 bytes, got 0 bytes at EOF".to_owned()),
            sqlx::Error::PoolClosed,
            sqlx::Error::WorkerCrashed,
        ];
        for error in gone {
            let told = error.to_string();
            assert!(matches!(fault(&DbErr::Query(RuntimeErr::SqlxError(error.into()))), Fault::Gone(_)), "{told}");
        }
        assert_eq!(fault(&DbErr::Conn(RuntimeErr::SqlxError(sqlx::Error::PoolTimedOut.into()))), Fault::Busy);
        assert!(matches!(fault(&DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::RowNotFound.into()))), Fault::Sql(_)));
    }

    #[test]
    fn codes_mean_what_their_class_means() {
        let told = |code: &str| of_state(code, String::new());
        for code in ["08006", "08P01", "57P01", "57P02", "57P03"] {
            assert_eq!(told(code), Fault::Gone(String::new()), "{code}");
        }
        for code in ["53300", "53200", "55P03", "57014"] {
            assert_eq!(told(code), Fault::Busy, "{code}");
        }
        assert_eq!((told("53100"), told("40P01"), told("42703")), (Fault::Full, Fault::Collision, Fault::Sql(String::new())));
    }
}
