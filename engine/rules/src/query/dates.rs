//! In charge of relative days: what `within` and a day stand for in a person's time zone.
//! Invariant: ranges are half open; a day begins at its first moment, also where the clock skips midnight.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

/// A unit of relative days; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the span that its name says")]
pub enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "day" | "days" => Some(Self::Day),
            "week" | "weeks" => Some(Self::Week),
            "month" | "months" => Some(Self::Month),
            "quarter" | "quarters" => Some(Self::Quarter),
            "year" | "years" => Some(Self::Year),
            _ => None,
        }
    }

    /// The first day of the unit that holds `day`; weeks begin on Monday.
    fn start(self, day: NaiveDate) -> NaiveDate {
        let first = |month: u32| NaiveDate::from_ymd_opt(day.year(), month, 1).unwrap_or(day);
        match self {
            Self::Day => day,
            Self::Week => day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))).unwrap_or(day),
            Self::Month => first(day.month()),
            Self::Quarter => first((day.month() - 1) / 3 * 3 + 1),
            Self::Year => first(1),
        }
    }

    /// `day` moved by `count` units.
    fn add(self, day: NaiveDate, count: i64) -> NaiveDate {
        let months = |each: i64| {
            let months = Months::new(u32::try_from(count.unsigned_abs().saturating_mul(each.unsigned_abs())).unwrap_or(u32::MAX));
            if count < 0 { day.checked_sub_months(months) } else { day.checked_add_months(months) }
        };
        let days = |each: u64| {
            let days = Days::new(count.unsigned_abs().saturating_mul(each));
            if count < 0 { day.checked_sub_days(days) } else { day.checked_add_days(days) }
        };
        let moved = match self {
            Self::Day => days(1),
            Self::Week => days(7),
            Self::Month => months(1),
            Self::Quarter => months(3),
            Self::Year => months(12),
        };
        moved.unwrap_or(if count < 0 { NaiveDate::MIN } else { NaiveDate::MAX })
    }
}

/// A span of days relative to today; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// This unit, moved by so many: `this_week` is 0, `last_week` -1, `tomorrow` 1.
    Whole(Unit, i64),
    /// The last so many units up to and with today.
    Last(u32, Unit),
    /// The next so many units from today on.
    Next(u32, Unit),
    /// Before now.
    Past,
    /// After now.
    Future,
}

/// Days from the first on and before the second; an open end is `None`.
pub type DayRange = (Option<NaiveDate>, Option<NaiveDate>);

impl Within {
    /// What the JSON of a filter spells.
    #[must_use]
    pub fn parse(json: &serde_json::Value) -> Option<Self> {
        if let Some(word) = json.as_str() {
            return match word {
                "today" => Some(Self::Whole(Unit::Day, 0)),
                "yesterday" => Some(Self::Whole(Unit::Day, -1)),
                "tomorrow" => Some(Self::Whole(Unit::Day, 1)),
                "past" => Some(Self::Past),
                "future" => Some(Self::Future),
                _ => {
                    let (which, unit) = word.split_once('_')?;
                    let unit = Unit::parse(unit).filter(|unit| *unit != Unit::Day)?;
                    match which {
                        "this" => Some(Self::Whole(unit, 0)),
                        "last" => Some(Self::Whole(unit, -1)),
                        "next" => Some(Self::Whole(unit, 1)),
                        _ => None,
                    }
                }
            };
        }
        let map = json.as_object().filter(|map| map.len() == 2)?;
        let unit = Unit::parse(map.get("unit")?.as_str()?)?;
        let count = |key: &str| map.get(key)?.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|count| (1..=10_000).contains(count));
        count("last").map(|count| Self::Last(count, unit)).or_else(|| count("next").map(|count| Self::Next(count, unit)))
    }

    /// The days that it stands for when today is `today`. `Past` is every day before, `Future` every day after.
    #[must_use]
    pub fn days(self, today: NaiveDate) -> DayRange {
        let tomorrow = Unit::Day.add(today, 1);
        match self {
            Self::Whole(unit, moved) => {
                let start = unit.add(unit.start(today), moved);
                (Some(start), Some(unit.add(start, 1)))
            }
            Self::Last(count, unit) => (Some(Unit::Day.add(unit.add(today, -i64::from(count)), 1)), Some(tomorrow)),
            Self::Next(count, unit) => (Some(today), Some(unit.add(today, i64::from(count)))),
            Self::Past => (None, Some(today)),
            Self::Future => (Some(tomorrow), None),
        }
    }
}

/// The first moment of `day` in `zone`.
#[must_use]
pub fn day_start(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    if let Some(moment) = zone.from_local_datetime(&midnight).earliest() {
        return moment.with_timezone(&Utc);
    }
    // The clock was put forward over midnight: the day begins when it starts again, within three hours.
    (1..=12)
        .find_map(|quarter| zone.from_local_datetime(&(midnight + chrono::Duration::minutes(15 * quarter))).earliest())
        .map_or_else(|| Utc.from_utc_datetime(&midnight), |moment| moment.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn words_stand_for_half_open_ranges() {
        let today = day("2026-11-25");
        let range = |json: serde_json::Value| Within::parse(&json).expect("known").days(today);
        assert_eq!(range("this_week".into()), (Some(day("2026-11-23")), Some(day("2026-11-30"))));
        assert_eq!(range("last_quarter".into()), (Some(day("2026-07-01")), Some(day("2026-10-01"))));
        assert_eq!(range(serde_json::json!({"last": 7, "unit": "day"})), (Some(day("2026-11-19")), Some(day("2026-11-26"))));
        assert_eq!(range(serde_json::json!({"next": 45, "unit": "day"})), (Some(today), Some(day("2027-01-09"))));
        assert_eq!(Within::parse(&"this_day".into()), None);
    }

    #[test]
    fn a_day_without_midnight_begins_when_the_clock_does() {
        let start = day_start(day("2018-11-04"), chrono_tz::America::Sao_Paulo);
        assert_eq!(start.to_rfc3339(), "2018-11-04T03:00:00+00:00");
    }
}
