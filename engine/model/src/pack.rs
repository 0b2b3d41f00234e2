//! In charge of values as bytes: what is sealed, page markers and encrypted fields, is made of them.
//! Invariant: what was packed is unpacked to the same values; bytes that were not packed here give none.

use rust_decimal::Decimal;

use crate::value::Value;

/// Values as bytes, one after the other.
#[must_use]
pub fn pack(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        write(value, &mut out);
    }
    out
}

/// The values that [`pack`] made into these bytes; none where it did not.
#[must_use]
pub fn unpack(mut bytes: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(read(&mut bytes)?);
    }
    Some(values)
}

/// One value as a tag, a length and its bytes.
fn write(value: &Value, out: &mut Vec<u8>) {
    let (tag, bytes): (u8, Vec<u8>) = match value {
        Value::Null => (0, Vec::new()),
        Value::Bool(truth) => (1, vec![u8::from(*truth)]),
        Value::Int(number) => (2, number.to_be_bytes().to_vec()),
        Value::Decimal(number) => (3, number.serialize().to_vec()),
        Value::Text(text) => (4, text.as_bytes().to_vec()),
        Value::Date(day) => (5, day.to_string().into_bytes()),
        Value::Time(time) => (6, time.to_string().into_bytes()),
        Value::Timestamp(moment) => (7, moment.timestamp_micros().to_be_bytes().to_vec()),
        Value::Uuid(id) => (8, id.as_bytes().to_vec()),
        Value::Bytes(bytes) => (9, bytes.to_vec()),
        Value::Json(json) => (10, json.to_string().into_bytes()),
        Value::List(items) => (11, pack(items)),
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
        10 => Value::Json(std::sync::Arc::new(serde_json::from_slice(bytes).ok()?)),
        11 => Value::List(unpack(bytes)?.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_comes_back() {
        let values = vec![
            Value::Null,
            Value::Bool(true),
            Value::Int(-7),
            Value::Decimal(Decimal::new(-12_345, 2)),
            Value::text("张三"),
            Value::Date("2026-02-28".parse().expect("a day")),
            Value::Time("23:59:59".parse().expect("a time")),
            Value::Timestamp(chrono::DateTime::from_timestamp_micros(1_700_000_000_123_456).expect("a moment")),
            Value::Uuid(uuid::Uuid::nil()),
            Value::Bytes([1, 2, 3][..].into()),
            Value::Json(std::sync::Arc::new(serde_json::json!({"a": [1, null]}))),
            Value::list(vec![Value::text("a"), Value::list(vec![Value::Int(1)])]),
        ];
        assert_eq!(unpack(&pack(&values)).expect("packed here"), values);
    }

    #[test]
    fn other_bytes_give_nothing() {
        assert_eq!(unpack(&[4, 0, 0, 0, 9, b'a']), None);
        assert_eq!(unpack(&[99, 0, 0, 0, 0]), None);
        assert_eq!(unpack(&[1]), None);
    }
}
