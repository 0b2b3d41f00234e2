//! In charge of functions over numbers.
//! Invariant: half is rounded away from zero; shares add up to what was shared.

use model::Value;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Clock, refused};
use crate::expr::item::{Comparison, Item, Refusal, from_json, whole};

/// The most digits behind the point.
const MAX_PLACES: i64 = 28;
/// The most shares of one amount.
const MAX_SHARES: i64 = 1_000;
/// The mean radius of the earth, in metres.
const EARTH: f64 = 6_371_008.8;

fn number(function: &str, argument: &Item) -> Result<Decimal, Refusal> {
    match argument {
        Item::Value(value) => value.as_decimal().ok_or_else(|| refused(function, argument)),
        Item::Days(_) | Item::Hours(_) => Err(refused(function, argument)),
    }
}

/// A whole number from `least` to `most`.
fn count(function: &str, argument: &Item, least: i64, most: i64) -> Result<i64, Refusal> {
    whole(number(function, argument)?)
        .filter(|count| (least..=most).contains(count))
        .ok_or_else(|| Refusal::Argument(format!("`{function}` takes a whole number from {least} to {most} here")))
}

fn places(function: &str, argument: Option<&Item>) -> Result<Option<u32>, Refusal> {
    let Some(argument) = argument else { return Ok(None) };
    let places = count(function, argument, 0, MAX_PLACES)?;
    u32::try_from(places).map(Some).map_err(|_| Refusal::Overflow)
}

/// The number with at most `places` digits behind the point, half away from zero.
pub fn round_to(number: Decimal, places: u32) -> Decimal {
    number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

fn exact(number: Decimal) -> Item {
    Item::Value(Value::Decimal(number))
}

pub(super) fn round(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let places = places("round", arguments.get(1))?.unwrap_or(0);
    map(arguments, "round", |number| round_to(number, places))
}

pub(super) fn floor(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    map(arguments, "floor", |number| number.floor())
}

pub(super) fn ceil(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    map(arguments, "ceil", |number| number.ceil())
}

pub(super) fn abs(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    map(arguments, "abs", |number| number.abs())
}

/// A whole number stays one where nothing behind the point came to it.
fn map(arguments: &[Item], name: &str, function: impl Fn(Decimal) -> Decimal) -> Result<Item, Refusal> {
    let Some(argument) = arguments.first() else { return Ok(Item::EMPTY) };
    let result = function(number(name, argument)?);
    match argument {
        Item::Value(Value::Int(_)) => whole(result).map(|number| Item::Value(Value::Int(number))).ok_or(Refusal::Overflow),
        Item::Value(_) | Item::Days(_) | Item::Hours(_) => Ok(exact(result)),
    }
}

pub(super) fn min(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    pick(arguments, Comparison::Less)
}

pub(super) fn max(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    pick(arguments, Comparison::Greater)
}

fn pick(arguments: &[Item], better: Comparison) -> Result<Item, Refusal> {
    let mut best = Item::EMPTY;
    for argument in arguments {
        if best.is_empty() || better.holds(argument, &best)? {
            best = argument.clone();
        }
    }
    Ok(best)
}

/// `split_amount(total, n)`: n shares with the digits of the total (or with as many as the third argument says), the last
/// takes the remainder.
pub(super) fn split_amount(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let [total, shares, ..] = arguments else { return Ok(Item::EMPTY) };
    let total = number("split_amount", total)?;
    let shares = count("split_amount", shares, 1, MAX_SHARES)?;
    let places = places("split_amount", arguments.get(2))?.unwrap_or_else(|| total.scale());
    let share = total.checked_div(Decimal::from(shares)).ok_or(Refusal::Overflow)?.round_dp_with_strategy(places, RoundingStrategy::ToZero);
    let before = share.checked_mul(Decimal::from(shares - 1)).ok_or(Refusal::Overflow)?;
    let last = total.checked_sub(before).ok_or(Refusal::Overflow)?;
    let mut items: Vec<Value> = (1..shares).map(|_| Value::Decimal(share)).collect();
    items.push(Value::Decimal(last));
    Ok(Item::Value(Value::list(items)))
}

/// `distance(a, b)`: metres between two places over the ground, to the metre.
pub(super) fn distance(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let [from, to] = arguments else { return Ok(Item::EMPTY) };
    let ((from_lat, from_lng), (to_lat, to_lng)) = (place(from)?, place(to)?);
    let half_lat = (to_lat - from_lat) / 2.0;
    let half_lng = (to_lng - from_lng) / 2.0;
    let chord = half_lat.sin().powi(2) + from_lat.cos() * to_lat.cos() * half_lng.sin().powi(2);
    let metres = 2.0 * EARTH * chord.clamp(0.0, 1.0).sqrt().asin();
    Decimal::from_f64(metres.round()).and_then(|metres| metres.to_i64()).map(|metres| Item::Value(Value::Int(metres))).ok_or(Refusal::Overflow)
}

/// The latitude and longitude of a place, in radians.
fn place(argument: &Item) -> Result<(f64, f64), Refusal> {
    let Item::Value(Value::Json(json)) = argument else { return Err(refused("distance", argument)) };
    let part =
        |name: &str| json.get(name).map(from_json).and_then(|value| value.as_decimal()).and_then(|degrees| degrees.to_f64()).map(f64::to_radians);
    part("lat").zip(part("lng")).ok_or_else(|| Refusal::Argument("`distance` takes places with `lat` and `lng`".to_owned()))
}
