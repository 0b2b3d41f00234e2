//! In charge of working time: what a calendar counts, forwards from a moment and between two.
//! Invariant: hours are counted within periods of work; a day of work is the same time on the next day that has work.
//! Invariant: a deadline may stand at the very end of a period.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use model::Name;
use model::doc::{App, Calendar};

use super::moment;

/// Days that are looked through before a calendar is taken to have no work at all.
const FAR: u64 = 4_000;
/// The days of a week as documents name them, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A calendar, compiled with its holidays.
#[derive(Clone, Debug)]
pub struct WorkingTime {
    zone: Tz,
    /// Periods of each day of the week, Monday first, in order.
    week: [Vec<Period>; 7],
    make_up: Vec<Period>,
    holidays: BTreeSet<NaiveDate>,
    made_up: BTreeSet<NaiveDate>,
}

/// From and until; an end at midnight is that of the day.
type Period = (NaiveTime, Option<NaiveTime>);

impl WorkingTime {
    /// All calendars of a workspace, by qualified name.
    pub(crate) fn all(apps: &IndexMap<Name, Arc<App>>) -> HashMap<String, Arc<Self>> {
        let mut found = HashMap::new();
        for (app_name, app) in apps {
            for (name, calendar) in &app.calendars {
                found.insert(format!("{app_name}.{name}"), Arc::new(Self::compile(apps, calendar)));
            }
        }
        found
    }

    fn compile(apps: &IndexMap<Name, Arc<App>>, calendar: &Calendar) -> Self {
        let week = DAYS.map(|day| calendar.week.get(day).map_or_else(Vec::new, |written| periods(written)));
        let years = apps.values().flat_map(|app| app.holidays.values()).filter(|year| calendar.holidays.as_ref() == Some(&year.set));
        let (mut holidays, mut made_up) = (BTreeSet::new(), BTreeSet::new());
        for year in years {
            holidays.extend(&year.holidays);
            made_up.extend(&year.make_up);
        }
        let make_up = calendar.make_up.as_ref().map_or_else(|| week[0].clone(), |written| periods(written));
        Self { zone: calendar.zone.parse().unwrap_or(Tz::UTC), week, make_up, holidays, made_up }
    }

    /// The periods of a day, as moments.
    fn of_day(&self, day: NaiveDate) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        let index = usize::try_from(day.weekday().num_days_from_monday()).unwrap_or_default();
        let periods = if self.made_up.contains(&day) {
            &self.make_up
        } else if self.holidays.contains(&day) {
            return Vec::new();
        } else {
            self.week.get(index).unwrap_or(&self.make_up)
        };
        let end = |until: &Option<NaiveTime>| match until {
            Some(until) => moment(self.zone, day, *until),
            None => moment(self.zone, day.checked_add_days(Days::new(1)).unwrap_or(day), NaiveTime::MIN),
        };
        periods.iter().map(|(from, until)| (moment(self.zone, day, *from), end(until))).collect()
    }

    /// Whether there is work on a day.
    #[must_use]
    pub fn works(&self, day: NaiveDate) -> bool {
        !self.of_day(day).is_empty()
    }

    fn days_from(&self, from: DateTime<Utc>) -> impl Iterator<Item = NaiveDate> + use<'_> {
        let first = from.with_timezone(&self.zone).date_naive();
        (0..FAR).filter_map(move |days| first.checked_add_days(Days::new(days)))
    }

    /// The moment that lies so much working time after `from`.
    #[must_use]
    pub fn after(&self, from: DateTime<Utc>, days: i64, rest: Duration) -> DateTime<Utc> {
        let from = self.days_after(from, days);
        if rest <= Duration::zero() {
            return from;
        }
        let mut left = rest;
        for day in self.days_from(from) {
            for (start, end) in self.of_day(day) {
                let start = start.max(from);
                let length = end - start;
                if length <= Duration::zero() {
                    continue;
                }
                if left <= length {
                    return start + left;
                }
                left -= length;
            }
        }
        from + rest
    }

    /// The same time so many working days later, moved into the next period where it falls outside.
    fn days_after(&self, from: DateTime<Utc>, days: i64) -> DateTime<Utc> {
        let Some(steps) = usize::try_from(days).ok().filter(|days| *days > 0) else { return from };
        let time = from.with_timezone(&self.zone).time();
        let working = self.days_from(from).skip(1).filter(|day| !self.of_day(*day).is_empty());
        let Some(day) = working.take(steps).last() else { return from + Duration::days(days) };
        let wanted = moment(self.zone, day, time);
        if self.of_day(day).iter().any(|(start, end)| (*start..=*end).contains(&wanted)) { wanted } else { self.next_start(wanted) }
    }

    /// The start of the first period from a moment on; the moment itself where it is within one.
    fn next_start(&self, from: DateTime<Utc>) -> DateTime<Utc> {
        for day in self.days_from(from) {
            if let Some((start, _)) = self.of_day(day).into_iter().find(|(_, end)| *end > from) {
                return start.max(from);
            }
        }
        from
    }

    /// The moment that lies so much working time before `until`.
    #[must_use]
    pub fn before(&self, until: DateTime<Utc>, days: i64, rest: Duration) -> DateTime<Utc> {
        let until = self.days_before(until, days);
        if rest <= Duration::zero() {
            return until;
        }
        let mut left = rest;
        for day in self.days_back(until) {
            for (start, end) in self.of_day(day).into_iter().rev() {
                let end = end.min(until);
                let length = end - start;
                if length <= Duration::zero() {
                    continue;
                }
                if left <= length {
                    return end - left;
                }
                left -= length;
            }
        }
        until - rest
    }

    /// The same time so many working days earlier, moved to the end of the period before where it falls outside.
    fn days_before(&self, until: DateTime<Utc>, days: i64) -> DateTime<Utc> {
        let Some(steps) = usize::try_from(days).ok().filter(|days| *days > 0) else { return until };
        let time = until.with_timezone(&self.zone).time();
        let working = self.days_back(until).skip(1).filter(|day| !self.of_day(*day).is_empty());
        let Some(day) = working.take(steps).last() else { return until - Duration::days(days) };
        let wanted = moment(self.zone, day, time);
        let periods = self.of_day(day);
        if periods.iter().any(|(start, end)| (*start..=*end).contains(&wanted)) {
            return wanted;
        }
        let earlier = self.days_back(wanted).find_map(|day| self.of_day(day).into_iter().rev().map(|(_, end)| end).find(|end| *end <= wanted));
        earlier.unwrap_or(wanted)
    }

    fn days_back(&self, from: DateTime<Utc>) -> impl Iterator<Item = NaiveDate> + use<'_> {
        let first = from.with_timezone(&self.zone).date_naive();
        (0..FAR).filter_map(move |days| first.checked_sub_days(Days::new(days)))
    }

    /// The working time between two moments.
    #[must_use]
    pub fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Duration {
        let mut total = Duration::zero();
        for day in self.days_from(from) {
            for (start, end) in self.of_day(day) {
                let (start, end) = (start.max(from), end.min(until));
                if end > start {
                    total += end - start;
                }
            }
            if moment(self.zone, day, NaiveTime::MIN) > until {
                break;
            }
        }
        total
    }
}

fn periods(written: &[[String; 2]]) -> Vec<Period> {
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").ok();
    let mut periods: Vec<Period> = written
        .iter()
        .filter_map(|[from, until]| {
            let until = if until == "24:00" { None } else { Some(time(until)?) };
            Some((time(from)?, until))
        })
        .collect();
    periods.sort_unstable();
    periods
}

#[cfg(test)]
mod tests {
    use super::*;

    fn office() -> WorkingTime {
        let json = serde_json::json!({
            "zone": "Asia/Shanghai", "holidays": "cn", "make_up": [["09:00", "12:00"], ["13:00", "17:00"]],
            "week": {"mon": [["09:00", "12:00"], ["13:00", "18:00"]], "tue": [["09:00", "12:00"], ["13:00", "18:00"]],
                     "wed": [["09:00", "12:00"], ["13:00", "18:00"]], "thu": [["09:00", "12:00"], ["13:00", "18:00"]],
                     "fri": [["09:00", "12:00"], ["13:00", "18:00"]]}
        });
        let calendar: Calendar = serde_json::from_value(json).expect("a calendar");
        let mut time = WorkingTime::compile(&IndexMap::new(), &calendar);
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        time.holidays = (1..=7).filter_map(|n| NaiveDate::from_ymd_opt(2026, 10, n)).collect();
        time.made_up = [day("2026-10-10")].into();
        time
    }

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}:00+08:00").parse::<DateTime<chrono::FixedOffset>>().expect("a moment").with_timezone(&Utc)
    }

    #[test]
    fn hours_are_counted_within_periods() {
        let office = office();
        let after = |from: &str, hours: i64| office.after(at(from), 0, Duration::hours(hours));
        assert_eq!(after("2026-03-02T10:00", 2), at("2026-03-02T12:00"), "the very end of a period");
        assert_eq!(after("2026-03-02T10:00", 3), at("2026-03-02T14:00"));
        assert_eq!(after("2026-03-02T17:00", 8), at("2026-03-03T17:00"));
        assert_eq!(after("2026-03-06T17:00", 2), at("2026-03-09T10:00"), "over a weekend");
        assert_eq!(after("2026-09-30T17:00", 2), at("2026-10-08T10:00"), "over a holiday");
        assert_eq!(after("2026-10-09T17:00", 8), at("2026-10-10T17:00"), "a make-up Saturday has its own hours");
    }

    #[test]
    fn a_day_is_the_same_time_on_the_next_working_day() {
        let office = office();
        let after = |from: &str, days: i64| office.after(at(from), days, Duration::zero());
        assert_eq!(after("2026-03-02T10:00", 1), at("2026-03-03T10:00"));
        assert_eq!(after("2026-03-06T10:00", 1), at("2026-03-09T10:00"));
        assert_eq!(after("2026-03-07T10:00", 1), at("2026-03-09T10:00"), "from a Saturday");
        assert_eq!(after("2026-03-02T12:30", 1), at("2026-03-03T13:00"), "out of the lunch break");
        assert_eq!(after("2026-03-02T20:00", 1), at("2026-03-04T09:00"), "after hours");
        assert_eq!(after("2026-03-02T18:00", 1), at("2026-03-03T18:00"), "the very end");
        assert_eq!(after("2026-10-09T17:30", 1), at("2026-10-12T09:00"), "the make-up day ends at five");
    }

    #[test]
    fn before_is_the_way_back() {
        let office = office();
        let before = |until: &str, days: i64, hours: i64| office.before(at(until), days, Duration::hours(hours));
        assert_eq!(before("2026-03-02T14:00", 0, 3), at("2026-03-02T10:00"), "over the lunch break");
        assert_eq!(before("2026-03-09T10:00", 0, 2), at("2026-03-06T17:00"), "over a weekend");
        assert_eq!(before("2026-10-08T10:00", 0, 2), at("2026-09-30T17:00"), "over a holiday");
        assert_eq!(before("2026-03-09T10:00", 1, 0), at("2026-03-06T10:00"), "a day is the same time on the working day before");
        assert_eq!(before("2026-10-12T17:30", 1, 0), at("2026-10-10T17:00"), "the make-up day ends at five");
        assert_eq!(before("2026-03-02T18:00", 0, 0), at("2026-03-02T18:00"));
    }

    #[test]
    fn between_counts_what_after_adds() {
        let office = office();
        for (from, hours) in [("2026-03-02T10:00", 1), ("2026-03-06T17:00", 9), ("2026-09-30T11:15", 30), ("2026-03-07T03:00", 12)] {
            let until = office.after(at(from), 0, Duration::hours(hours));
            assert_eq!(office.between(at(from), until), Duration::hours(hours), "{from}");
        }
    }
}
