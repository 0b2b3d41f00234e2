//! In charge of page markers: where a list goes on, sealed since it holds values.
//! Invariant: a marker fits only the entity, order and person that it was made for; any other is refused.

use model::{Code, Message, Value, Violation};
use rust_decimal::Decimal;

use crate::error::Error;
use crate::keys::MasterKey;

const PURPOSE: &str = "cursor";

/// Seals the sort values and the id of a page's last row.
pub(crate) fn seal(key: &MasterKey, context: &str, values: &[Value]) -> Result<String, Error> {
    let mut bytes = Vec::new();
    for value in values {
        write(value, &mut bytes);
    }
    key.seal_text(PURPOSE, context.as_bytes(), &bytes)
}

/// What [`seal`] sealed.
pub(crate) fn open(key: &MasterKey, context: &str, text: &str) -> Result<Vec<Value>, Error> {
    let refused = || Violation::at("/after", Code::Malformed, Message::new("bad_cursor"));
    let bytes = key.open_text(PURPOSE, context.as_bytes(), text).ok_or_else(refused)?;
    let mut rest = bytes.as_slice();
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(read(&mut rest).ok_or_else(refused)?);
    }
    Ok(values)
}

/// One value as a tag, a length and its bytes.
fn write(value: &Value, out: &mut Vec<u8>) {
    let (tag, bytes): (u8, Vec<u8>) = match value {
        Value::Null | Value::Json(_) | Value::List(_) => (0, Vec::new()),
        Value::Bool(truth) => (1, vec![u8::from(*truth)]),
        Value::Int(number) => (2, number.to_be_bytes().to_vec()),
        Value::Decimal(number) => (3, number.serialize().to_vec()),
        Value::Text(text) => (4, text.as_bytes().to_vec()),
        Value::Date(day) => (5, day.to_string().into_bytes()),
        Value::Time(time) => (6, time.to_string().into_bytes()),
        Value::Timestamp(moment) => (7, moment.timestamp_micros().to_be_bytes().to_vec()),
        Value::Uuid(id) => (8, id.as_bytes().to_vec()),
        Value::Bytes(bytes) => (9, bytes.to_vec()),
    };
    out.push(tag);
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn read(rest: &mut &[u8]) -> Option<Value> {
    let (tag, after) = rest.split_first()?;
    let (length, after) = after.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    let text = || std::str::from_utf8(bytes).ok();
    Some(match tag {
        0 => Value::Null,
        1 => Value::Bool(bytes.first() == Some(&1)),
        2 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        3 => Value::Decimal(Decimal::deserialize(bytes.try_into().ok()?)),
        4 => Value::Text(text()?.into()),
        5 => Value::Date(text()?.parse().ok()?),
        6 => Value::Time(text()?.parse().ok()?),
        7 => Value::Timestamp(chrono::DateTime::from_timestamp_micros(i64::from_be_bytes(bytes.try_into().ok()?))?),
        8 => Value::Uuid(uuid::Uuid::from_slice(bytes).ok()?),
        9 => Value::Bytes(bytes.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_holds_every_kind_of_value() {
        let key = MasterKey::generate().expect("random");
        let values = vec![
            Value::Null,
            Value::Bool(true),
            Value::Int(-7),
            Value::Decimal(Decimal::new(-12_345, 2)),
            Value::text("张三"),
            Value::Date("2026-02-28".parse().expect("a day")),
            Value::Timestamp(chrono::DateTime::from_timestamp_micros(1_700_000_000_123_456).expect("a moment")),
            Value::Uuid(uuid::Uuid::nil()),
            Value::Bytes([1, 2, 3][..].into()),
        ];
        let sealed = seal(&key, "sales.deal -amount", &values).expect("sealed");
        assert_eq!(open(&key, "sales.deal -amount", &sealed).expect("opened"), values);
        assert!(open(&key, "sales.deal amount", &sealed).is_err());
        assert!(open(&key, "sales.deal -amount", "AAAA").is_err());
    }
}
