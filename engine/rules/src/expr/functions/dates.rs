//! In charge of functions over days and moments.
//! Invariant: a day of a moment is the day that clocks in the run's zone show.

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use model::Value;
use rust_decimal::Decimal;

use super::{Clock, refused};
use crate::expr::item::{Item, Refusal, at_local, days_from, is_writable, whole};

/// Microseconds in an hour.
const HOUR: i64 = 3_600_000_000;
/// More months than any calendar that we write.
const MAX_MONTHS: i64 = 120_000;

pub(super) fn today(clock: Clock<'_>, _: &[Item]) -> Result<Item, Refusal> {
    Ok(Item::Value(Value::Date(local_day(clock.now, clock))))
}

pub(super) fn now(clock: Clock<'_>, _: &[Item]) -> Result<Item, Refusal> {
    Ok(Item::Value(Value::Timestamp(clock.now)))
}

fn local_day(moment: DateTime<Utc>, clock: Clock<'_>) -> NaiveDate {
    moment.with_timezone(&clock.zone).date_naive()
}

fn number(name: &str, argument: Option<&Item>) -> Result<Decimal, Refusal> {
    match argument {
        Some(Item::Value(value)) => value.as_decimal().ok_or_else(|| refused(name, &Item::Value(value.clone()))),
        Some(other) => Err(refused(name, other)),
        None => Err(refused(name, &Item::EMPTY)),
    }
}

/// `days(n)`: n calendar days, a whole number.
pub(super) fn days(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    whole(number("days", arguments.first())?)
        .map(Item::Days)
        .ok_or_else(|| Refusal::Argument("`days` takes a whole number; parts of a day are `hours`".to_owned()))
}

/// `hours(n)`: n hours, also parts of them.
pub(super) fn hours(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let hours = number("hours", arguments.first())?;
    let micros = hours.checked_mul(Decimal::from(HOUR)).ok_or(Refusal::Overflow)?;
    whole(micros.trunc()).map(Item::Hours).ok_or(Refusal::Overflow)
}

/// `add_months(d, n)`: the same day n months on, or the last of that month where it is shorter.
pub(super) fn add_months(clock: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let months = whole(number("add_months", arguments.get(1))?)
        .filter(|months| months.abs() <= MAX_MONTHS)
        .ok_or_else(|| Refusal::Argument("`add_months` takes a whole number of months".to_owned()))?;
    match arguments.first() {
        Some(Item::Value(Value::Date(day))) => shift(*day, months).map(|day| Item::Value(Value::Date(day))),
        Some(Item::Value(Value::Timestamp(moment))) => {
            let local = moment.with_timezone(&clock.zone).naive_local();
            at_local(shift(local.date(), months)?.and_time(local.time()), clock.zone).map(|moment| Item::Value(Value::Timestamp(moment)))
        }
        Some(other) => Err(refused("add_months", other)),
        None => Ok(Item::EMPTY),
    }
}

fn shift(day: NaiveDate, months: i64) -> Result<NaiveDate, Refusal> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).map_err(|_| Refusal::DateOutOfRange)?);
    let shifted = if months < 0 { day.checked_sub_months(count) } else { day.checked_add_months(count) };
    shifted.filter(|day| is_writable(*day)).ok_or(Refusal::DateOutOfRange)
}

/// `days_between(a, b)`: b minus a in days; between moments, whole days that passed. A day and a moment count by the
/// moment's day.
pub(super) fn days_between(clock: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let [from, to] = arguments else { return Ok(Item::EMPTY) };
    let days = match (from, to) {
        (Item::Value(Value::Date(_)), Item::Value(Value::Timestamp(_))) => days_from(from, &day_of(to, clock)?),
        (Item::Value(Value::Timestamp(_)), Item::Value(Value::Date(_))) => days_from(&day_of(from, clock)?, to),
        (from, to) => days_from(from, to),
    };
    days.map(|days| Item::Value(Value::Int(days)))
        .ok_or_else(|| refused("days_between", if matches!(from, Item::Value(Value::Date(_) | Value::Timestamp(_))) { to } else { from }))
}

/// `hours_between(a, b)`: b minus a in hours, with what is behind the point.
pub(super) fn hours_between(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    match arguments {
        [Item::Value(Value::Timestamp(from)), Item::Value(Value::Timestamp(to))] => {
            let micros = to.signed_duration_since(*from).num_microseconds().ok_or(Refusal::Overflow)?;
            let hours = Decimal::from(micros).checked_div(Decimal::from(HOUR)).ok_or(Refusal::Overflow)?;
            Ok(Item::Value(Value::Decimal(hours)))
        }
        [Item::Value(Value::Timestamp(_)), other] | [other, ..] => Err(refused("hours_between", other)),
        [] => Ok(Item::EMPTY),
    }
}

/// `day(moment)`: the day of a moment.
pub(super) fn day(clock: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    arguments.first().map_or(Ok(Item::EMPTY), |argument| day_of(argument, clock))
}

fn day_of(argument: &Item, clock: Clock<'_>) -> Result<Item, Refusal> {
    the_day(argument, clock).map(|day| Item::Value(Value::Date(day))).ok_or_else(|| refused("day", argument))
}

fn the_day(argument: &Item, clock: Clock<'_>) -> Option<NaiveDate> {
    match argument {
        Item::Value(Value::Date(day)) => Some(*day),
        Item::Value(Value::Timestamp(moment)) => Some(local_day(*moment, clock)),
        Item::Value(_) | Item::Days(_) | Item::Hours(_) => None,
    }
}

/// `year(d)`: four digits.
pub(super) fn year(clock: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    part(clock, arguments, "year", |day| i64::from(day.year()))
}

/// `month(d)`: 1 to 12.
pub(super) fn month(clock: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    part(clock, arguments, "month", |day| i64::from(day.month()))
}

fn part(clock: Clock<'_>, arguments: &[Item], name: &str, of: impl Fn(NaiveDate) -> i64) -> Result<Item, Refusal> {
    let Some(argument) = arguments.first() else { return Ok(Item::EMPTY) };
    the_day(argument, clock).map(|day| Item::Value(Value::Int(of(day)))).ok_or_else(|| refused(name, argument))
}
