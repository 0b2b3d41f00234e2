//! In charge of bringing a computed value into the form of its column: the one rounding.
//! Invariant: half goes away from zero; what does not fit in 18 digits is refused, never cut.

use model::{Storage, Value};
use rust_decimal::{Decimal, RoundingStrategy};

use super::item::{Refusal, plain, whole};

/// The most digits of a stored number.
const MAX_DIGITS: u32 = 18;

/// `value` as a column of `storage` holds it.
///
/// # Errors
/// Where it has too many digits or is of another kind.
pub fn fit(value: Value, storage: Storage) -> Result<Value, Refusal> {
    match (storage, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Storage::Int, Value::Int(number)) => Ok(Value::Int(number)),
        (Storage::Int, Value::Decimal(number)) => whole(rounded(number, 0)).map(Value::Int).ok_or(Refusal::Overflow),
        (Storage::Decimal(scale), value @ (Value::Int(_) | Value::Decimal(_))) => {
            let number = value.as_decimal().ok_or(Refusal::Overflow)?;
            decimal(number, u32::from(scale)).map(Value::Decimal)
        }
        (Storage::Text, value @ Value::Text(_))
        | (Storage::Bool, value @ Value::Bool(_))
        | (Storage::Date, value @ Value::Date(_))
        | (Storage::Time, value @ Value::Time(_))
        | (Storage::Timestamp, value @ Value::Timestamp(_))
        | (Storage::Uuid, value @ Value::Uuid(_))
        | (Storage::Json, value @ (Value::Json(_) | Value::List(_)))
        | (Storage::Bytes, value @ Value::Bytes(_)) => Ok(value),
        (Storage::Text, value) => plain(&value).map(|text| Value::text(&text)).ok_or_else(|| other_kind(&value)),
        (Storage::Json, Value::Text(text)) => Ok(Value::List([Value::Text(text)].into())),
        (
            Storage::Int
            | Storage::Decimal(_)
            | Storage::Bool
            | Storage::Date
            | Storage::Time
            | Storage::Timestamp
            | Storage::Uuid
            | Storage::Json
            | Storage::Bytes,
            value,
        ) => Err(other_kind(&value)),
    }
}

fn other_kind(value: &Value) -> Refusal {
    Refusal::Kinds(format!("{} does not fit the field", super::item::Item::Value(value.clone()).word()))
}

fn rounded(number: Decimal, scale: u32) -> Decimal {
    number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)
}

fn decimal(number: Decimal, scale: u32) -> Result<Decimal, Refusal> {
    let mut fitted = rounded(number, scale);
    fitted.rescale(scale);
    // Where the digits do not allow the scale, rescaling stops short of it; so does the limit of what is stored.
    let limit = 10_i128.checked_pow(MAX_DIGITS).ok_or(Refusal::Overflow)?;
    if fitted.scale() != scale || fitted.mantissa().abs() >= limit { Err(Refusal::Overflow) } else { Ok(fitted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: &str) -> Value {
        Value::Decimal(digits.parse().expect("digits"))
    }

    #[test]
    fn half_goes_away_from_zero_once() {
        assert_eq!(fit(number("2.345"), Storage::Decimal(2)), Ok(number("2.35")));
        assert_eq!(fit(number("-2.345"), Storage::Decimal(2)), Ok(number("-2.35")));
        assert_eq!(fit(number("0.5"), Storage::Int), Ok(Value::Int(1)));
        assert_eq!(fit(Value::Int(3), Storage::Decimal(2)), Ok(number("3.00")));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(fit(number("10000000000000000.00"), Storage::Decimal(2)), Err(Refusal::Overflow));
        assert_eq!(fit(number("9999999999999999.99"), Storage::Decimal(2)), Ok(number("9999999999999999.99")));
        assert_eq!(fit(number("79228162514264337593543950335"), Storage::Decimal(9)), Err(Refusal::Overflow));
        assert_eq!(fit(number("9999999999999999999"), Storage::Int), Err(Refusal::Overflow));
        assert!(fit(Value::Bool(true), Storage::Int).is_err());
    }
}
