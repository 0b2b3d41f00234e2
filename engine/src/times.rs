//! In charge of moments that people name: a time of day in a zone, spans in natural and working time, the next moment of a schedule.
//! Invariant: a time that a change of clocks leaves out is the first moment after it; one that comes twice is its first.

use std::str::FromStr;

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use model::{Schema, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::error::Error;
use crate::published::Published;
use crate::records::slice::Writer;

pub mod calendar;

/// The moment at which the clocks of `zone` show `time` on `day`.
pub(crate) fn moment(zone: Tz, day: NaiveDate, time: NaiveTime) -> DateTime<Utc> {
    let mut wanted = day.and_time(time);
    // Clocks are moved by an hour or two, never by a day.
    for _ in 0..96 {
        match zone.from_local_datetime(&wanted).earliest() {
            Some(found) => return found.with_timezone(&Utc),
            None => wanted += Duration::minutes(15),
        }
    }
    Utc.from_utc_datetime(&day.and_time(time))
}

/// A moment as JSON holds it; a day is its beginning in `zone`.
pub(crate) fn read_moment(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    match text.parse::<DateTime<chrono::FixedOffset>>() {
        Ok(moment) => Some(moment.with_timezone(&Utc)),
        Err(_) => text.parse::<NaiveDate>().ok().map(|day| moment(zone, day, NaiveTime::MIN)),
    }
}

/// A span: `"PT24H"`, or `{"span": "P1D", "calendar": "office"}` in working time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Days as written, weeks in them.
    pub(crate) days: i64,
    /// What is shorter than a day.
    pub(crate) rest: Duration,
    /// The calendar, as the document names it.
    pub(crate) calendar: Option<String>,
}

impl Span {
    /// Reads a span.
    pub(crate) fn read(json: &Json) -> Option<Self> {
        let (text, calendar) = match json {
            Json::String(text) => (text.as_str(), None),
            Json::Object(map) => (map.get("span")?.as_str()?, map.get("calendar").and_then(Json::as_str).map(str::to_owned)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => return None,
        };
        let whole = model::field::scalar::read_duration(text)?;
        // Days are counted as days only where they are written so.
        let (days, rest) = match text.split_once('T') {
            Some((days, _)) if days == "P" || days == "-P" => (0, whole),
            Some((days, _)) => {
                let days = model::field::scalar::read_duration(days)?;
                (days / 86_400, whole - days)
            }
            None => (whole / 86_400, 0),
        };
        Some(Self { days, rest: Duration::seconds(rest), calendar })
    }
}

/// The moment that lies a span after another.
pub(crate) fn after(app: &Published, of: &str, from: DateTime<Utc>, span: &Span) -> DateTime<Utc> {
    let named = span.calendar.as_deref().and_then(|name| app.calendar(of, name));
    match named {
        Some(calendar) => calendar.after(from, span.days, span.rest),
        None => from + Duration::days(span.days) + span.rest,
    }
}

/// The calendar of a department, or of the nearest above it that has one.
pub(crate) fn calendar_of_department(w: &Writer<'_>, department: Uuid) -> Result<Option<String>, Error> {
    const DEEPEST: usize = 50;
    let Some(def) = w.app.schema.find("core.department") else { return Ok(None) };
    let mut at = Some(department);
    for _ in 0..DEEPEST {
        let Some(id) = at else { break };
        let Some(cells) = w.reader.read(def.id, id)? else { break };
        let get = |name: &str| def.slot(name).and_then(|slot| cells.get(slot));
        if let Some(name) = get("calendar").and_then(Value::as_text) {
            return Ok(Some(name.to_owned()));
        }
        at = get("parent").and_then(Value::as_uuid);
    }
    Ok(None)
}

/// What is wrong with the name of a calendar.
pub(crate) fn calendar_fault(schema: &Schema, app: &str, name: &str) -> Option<String> {
    let (app, bare) = name.split_once('.').unwrap_or((app, name));
    let is_there = name == "natural" || schema.apps.get(app).is_some_and(|app| app.calendars.contains_key(bare));
    (!is_there).then(|| format!("there is no calendar `{name}`"))
}

/// A cron line of five or six parts, or an alias such as `@daily`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn schedule(line: &str) -> Result<Cron, String> {
    Cron::from_str(line).map_err(|error| format!("`{line}` is no cron line: {error}"))
}

/// The next moment after `now` at which a cron line is due, by the clocks of `zone`.
pub(crate) fn next_of(cron: &Cron, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    cron.find_next_occurrence(&now.with_timezone(&zone), false).ok().map(|next| next.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    #[test]
    fn schedules_follow_the_clocks_of_their_zone() {
        let daily = schedule("30 2 * * *").expect("a line");
        let berlin = chrono_tz::Europe::Berlin;
        // Clocks go forward over half past two: it is due once, right after.
        let next = next_of(&daily, berlin, at("2026-03-28T12:00:00Z")).expect("due");
        assert!(next >= at("2026-03-29T01:00:00Z") && next <= at("2026-03-29T01:30:00Z"), "{next}");
        assert_eq!(next_of(&daily, berlin, next), Some(at("2026-03-30T00:30:00Z")));
        // Clocks go back over it: it is due once, the first time.
        let next = next_of(&daily, berlin, at("2026-10-24T12:00:00Z")).expect("due");
        assert_eq!(next, at("2026-10-25T00:30:00Z"));
        assert_eq!(next_of(&daily, berlin, next), Some(at("2026-10-26T01:30:00Z")));
        assert!(schedule("61 * * * *").is_err());
    }

    #[test]
    fn spans_keep_their_days_apart() {
        let read = |json: Json| Span::read(&json).map(|span| (span.days, span.rest.num_seconds()));
        assert_eq!(read("PT24H".into()), Some((0, 86_400)));
        assert_eq!(read("P1D".into()), Some((1, 0)));
        assert_eq!(read("P1W2DT3H".into()), Some((9, 10_800)));
        assert_eq!(read(serde_json::json!({"span": "P1D", "calendar": "office"})), Some((1, 0)));
        assert_eq!(read("a day".into()), None);
    }
}
