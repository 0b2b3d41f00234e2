//! In charge of numbers in questions as a column holds them: what it cannot hold is no number of it.

use model::{Storage, Value};
use rust_decimal::{Decimal, RoundingStrategy};

/// A number as the column holds it; none where the column cannot hold it.
pub(super) fn exact(storage: Storage, value: Value) -> Option<Value> {
    match floor(storage, &value)? {
        Floor::Same(value) => Some(value),
        Floor::Below(_) | Floor::Nothing(_) => None,
    }
}

/// What of a column is not above a number.
pub(super) enum Floor {
    /// The number itself.
    Same(Value),
    /// This is the largest, and the number is above it.
    Below(Value),
    /// Nothing: this, the least value of the column, is above the number.
    Nothing(Value),
}

pub(super) fn floor(storage: Storage, value: &Value) -> Option<Floor> {
    let (scale, least, most) = match storage {
        Storage::Int => (0, Decimal::from(i64::MIN), Decimal::from(i64::MAX)),
        Storage::Decimal(scale) => {
            let most = Decimal::try_from_i128_with_scale(10_i128.pow(model::field::number::MAX_DIGITS) - 1, u32::from(scale)).ok()?;
            (u32::from(scale), -most, most)
        }
        _ => return Some(Floor::Same(value.clone())),
    };
    let number = value.as_decimal()?;
    if number < least {
        return Some(Floor::Nothing(number_of(storage, least)?));
    }
    let mut low = number.min(most).round_dp_with_strategy(scale, RoundingStrategy::ToNegativeInfinity);
    low.rescale(scale);
    let is_same = low == number;
    let low = number_of(storage, low)?;
    Some(if is_same { Floor::Same(low) } else { Floor::Below(low) })
}

fn number_of(storage: Storage, number: Decimal) -> Option<Value> {
    use rust_decimal::prelude::ToPrimitive;
    if storage == Storage::Int { number.to_i64().map(Value::Int) } else { Some(Value::Decimal(number)) }
}
