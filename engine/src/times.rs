//! In charge of moments that people name: a time of day in a zone, working time in a calendar, the next moment of a schedule.
//! Invariant: a time that a change of clocks leaves out is the first moment after it; one that comes twice is its first.

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

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
