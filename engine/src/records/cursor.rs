//! In charge of page markers: where a list goes on, sealed since it holds values.
//! Invariant: a marker fits only the entity, order and person that it was made for; any other is refused.

use model::pack::{pack, unpack};
use model::{Code, Message, Value, Violation};

use crate::error::Error;
use crate::keys::MasterKey;

const PURPOSE: &str = "cursor";

/// Seals the sort values and the id of a page's last row.
pub(crate) fn seal(key: &MasterKey, context: &str, values: &[Value]) -> Result<String, Error> {
    key.seal_text(PURPOSE, context.as_bytes(), &pack(values))
}

/// What [`seal`] sealed.
pub(crate) fn open(key: &MasterKey, context: &str, text: &str) -> Result<Vec<Value>, Error> {
    let refused = || Violation::at("/after", Code::Malformed, Message::new("bad_cursor"));
    let bytes = key.open_text(PURPOSE, context.as_bytes(), text).ok_or_else(refused)?;
    Ok(unpack(&bytes).ok_or_else(refused)?)
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
            Value::Decimal(rust_decimal::Decimal::new(-12_345, 2)),
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
