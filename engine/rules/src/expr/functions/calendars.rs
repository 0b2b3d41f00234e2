//! In charge of functions over rules of repetition and working time.
//! Invariant: what repeats has an end; days without work in the calendar that is named are left out, and count for nothing.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use model::Value;
use rrule::{RRule, RRuleSet, Unvalidated};
use rust_decimal::Decimal;

use super::{Clock, refused};
use crate::expr::item::{Item, Refusal, is_writable, text_of};

/// The most occurrences that a rule gives.
const MOST: usize = 1_000;
/// The most moments that are looked at: of most of them a calendar may have no work.
const LOOKED_AT: usize = 10_000;
/// Microseconds in an hour.
const HOUR: i64 = 3_600_000_000;

/// A rule of repetition as RFC 5545 writes it, with its end apart: the end counts what a calendar leaves.
struct Rule {
    repeats: RRule<Unvalidated>,
    count: Option<usize>,
    until: Option<Until>,
}

/// Until when; closed.
#[derive(Clone, Copy)]
enum Until {
    Day(NaiveDate),
    Moment(DateTime<Utc>),
}

/// Why a text is no rule; none where it is one.
pub(crate) fn fault_of(text: &str) -> Option<String> {
    read(text).err()
}

fn read(text: &str) -> Result<Rule, String> {
    let wrong = |detail: &str| format!("`{text}` is no rule such as FREQ=WEEKLY;BYDAY=MO;COUNT=10: {detail}");
    let (mut parts, mut count, mut until) = (Vec::new(), None, None);
    for part in text.trim().trim_start_matches("RRULE:").split(';').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("COUNT") => {
                count = Some(value.parse().ok().filter(|count| (1..=MOST).contains(count)).ok_or_else(|| wrong("COUNT is a number from 1 to 1000"))?);
            }
            Some((key, value)) if key.eq_ignore_ascii_case("UNTIL") => {
                let day = NaiveDate::parse_from_str(value, "%Y%m%d").ok().map(Until::Day);
                let moment = || chrono::NaiveDateTime::parse_from_str(value, "%Y%m%dT%H%M%SZ").ok().map(|moment| Until::Moment(moment.and_utc()));
                until = Some(day.or_else(moment).ok_or_else(|| wrong("UNTIL is 20261231 or 20261231T235959Z"))?);
            }
            Some(_) => parts.push(part),
            None => return Err(wrong(&format!("`{part}` has no `=`"))),
        }
    }
    if count.is_none() && until.is_none() {
        return Err(wrong("it has no end: COUNT or UNTIL"));
    }
    let repeats: RRule<Unvalidated> = parts.join(";").parse().map_err(|error: rrule::RRuleError| wrong(&error.to_string()))?;
    Ok(Rule { repeats, count, until })
}

/// `occurrences(rule, start, calendar)`: the days or moments, from `start` on, on which something repeats by a rule of RFC 5545;
/// moments keep their time of day in the run's zone. With a calendar, days without work are left out.
pub(super) fn occurrences(clock: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let (Some(rule), Some(start)) = (arguments.first(), arguments.get(1)) else { return Ok(Item::EMPTY) };
    let rule = read(text_of(rule).ok_or_else(|| refused("occurrences", rule))?).map_err(Refusal::Argument)?;
    let (first, zone, is_day) = match start {
        // A day repeats by itself: no clock is moved in it.
        Item::Value(Value::Date(day)) => (chrono_tz::UTC.from_utc_datetime(&day.and_time(NaiveTime::MIN)), chrono_tz::UTC, true),
        Item::Value(Value::Timestamp(moment)) => (moment.with_timezone(&clock.zone), clock.zone, false),
        other => return Err(refused("occurrences", other)),
    };
    let first = first.with_timezone(&rrule::Tz::from(zone));
    let repeats = rule.repeats.validate(first).map_err(|error| Refusal::Argument(error.to_string()))?;
    let set = RRuleSet::new(first).rrule(repeats).limit();
    let mut found = Vec::new();
    for (looked_at, moment) in (&set).into_iter().enumerate() {
        let day = moment.date_naive();
        let past = match rule.until {
            Some(Until::Day(until)) => day > until,
            Some(Until::Moment(until)) => moment.with_timezone(&Utc) > until,
            None => false,
        };
        if past || rule.count.is_some_and(|count| found.len() >= count) {
            break;
        }
        if found.len() >= MOST || looked_at >= LOOKED_AT || !is_writable(day) {
            return Err(Refusal::Argument(format!("a rule gives at most {MOST} occurrences")));
        }
        if let Some(calendar) = arguments.get(2).and_then(text_of)
            && !clock.working.is_some_and(|working| working.works(calendar, day))
        {
            continue;
        }
        found.push(if is_day { Value::Date(day) } else { Value::Timestamp(moment.with_timezone(&Utc)) });
    }
    Ok(Item::Value(Value::list(found)))
}

/// `working_time(a, b, calendar)`: the hours of work between two moments, with what is behind the point; 0 where b is not after a.
pub(super) fn working_time(clock: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let [Item::Value(Value::Timestamp(from)), Item::Value(Value::Timestamp(until)), calendar] = arguments else {
        return Err(refused("working_time", arguments.first().unwrap_or(&Item::EMPTY)));
    };
    let calendar = text_of(calendar).ok_or_else(|| refused("working_time", calendar))?;
    let Some(span) = clock.working.and_then(|working| working.between(calendar, *from, *until)) else { return Ok(Item::EMPTY) };
    let micros = span.num_microseconds().ok_or(Refusal::Overflow)?;
    let hours = Decimal::from(micros).checked_div(Decimal::from(HOUR)).ok_or(Refusal::Overflow)?;
    Ok(Item::Value(Value::Decimal(hours)))
}
