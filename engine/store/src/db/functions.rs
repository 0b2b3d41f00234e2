//! In charge of functions that SQLite lacks: exact sums, medians, days.
//! Invariant: each gives for the same values what the other database gives.

use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};

/// Adds them to a connection; days are counted from the common era.
pub(super) fn add(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_aggregate_function("exact_sum", 1, flags, ExactSum)?;
    connection.create_aggregate_function("exact_median", 1, flags, Median)?;
    connection.create_scalar_function("local_day", 2, flags, |context| {
        let (micros, zone) = (context.get::<Option<i64>>(0)?, context.get::<String>(1)?);
        let day = micros.and_then(chrono::DateTime::from_timestamp_micros).map(|moment| {
            let zone: chrono_tz::Tz = zone.parse().unwrap_or(chrono_tz::UTC);
            chrono::Datelike::num_days_from_ce(&moment.with_timezone(&zone).date_naive())
        });
        Ok(day)
    })?;
    connection.create_scalar_function("bucket_day", 2, flags, |context| {
        let (unit, day) = (context.get::<String>(0)?, context.get::<Option<i32>>(1)?);
        let day = day.and_then(chrono::NaiveDate::from_num_days_from_ce_opt);
        let start = day.and_then(|day| crate::select::aggregate::bucket_start(&unit, day));
        Ok(start.map(|day| chrono::Datelike::num_days_from_ce(&day)))
    })
}

/// The middle of whole numbers, ten times: the mean of the two middle ones where they are even.
struct Median;

impl Aggregate<Vec<i64>, Option<String>> for Median {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Vec<i64>> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut Context<'_>, numbers: &mut Vec<i64>) -> rusqlite::Result<()> {
        numbers.extend(context.get::<Option<i64>>(0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, numbers: Option<Vec<i64>>) -> rusqlite::Result<Option<String>> {
        let mut numbers = numbers.unwrap_or_default();
        numbers.sort_unstable();
        let (low, high) = (numbers.get(numbers.len().saturating_sub(1) / 2), numbers.get(numbers.len() / 2));
        Ok(low.zip(high).map(|(low, high)| ((i128::from(*low) + i128::from(*high)) * 5).to_string()))
    }
}

/// A sum of whole numbers that cannot overflow: a number while it fits, else its digits.
struct ExactSum;

impl Aggregate<Option<i128>, Option<String>> for ExactSum {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<i128>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Option<i128>) -> rusqlite::Result<()> {
        if let Some(number) = context.get::<Option<i64>>(0)? {
            *sum = Some(sum.unwrap_or_default().saturating_add(i128::from(number)));
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Option<i128>>) -> rusqlite::Result<Option<String>> {
        Ok(sum.flatten().map(|sum| sum.to_string()))
    }
}
