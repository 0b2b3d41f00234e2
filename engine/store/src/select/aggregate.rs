//! In charge of groups and measures: one statement, exact numbers.
//! Invariant: sums are exact and cannot overflow; an average is the sum by the count, with 4 more places.
//! Invariant: a bucket of days is that of the asked time zone, whose name is a parameter, never text.

use chrono::NaiveDate;
use chrono_tz::Tz;
use model::{EntityId, Schema, Storage, Value};
use rules::query::{Column, Path, Predicate};
use rust_decimal::Decimal;

use super::{Binned, MAIN, condition};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::predicate::Writer;
use crate::rows::decode_of;
use crate::sql::{Decode, Sql};
use crate::tx::Tx;

/// A span of days that a group is; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the span that its name says")]
pub enum Bucket {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// What groups are by.
#[derive(Clone, Debug)]
pub struct GroupBy {
    /// The field.
    pub path: Path,
    /// What of it.
    pub column: Column,
    /// The span, of a day or moment.
    pub bucket: Option<Bucket>,
    /// Whose days.
    pub zone: Tz,
}

/// What is computed of a group; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the function that its name says")]
pub enum Function {
    Count,
    Sum,
    Average,
    Min,
    Max,
    Distinct,
    Median,
}

/// One measure.
#[derive(Clone, Debug)]
pub struct Measure {
    /// The function.
    pub function: Function,
    /// The field; none to count records.
    pub path: Option<Path>,
    /// What of it.
    pub column: Option<Column>,
}

/// A question for groups.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// The entity.
    pub entity: EntityId,
    /// Which records.
    pub filter: Predicate,
    /// What groups are by.
    pub groups: Vec<GroupBy>,
    /// What is computed.
    pub measures: Vec<Measure>,
    /// The most groups.
    pub limit: u32,
}

impl Aggregate {
    /// One group of all records that fit, with nothing computed yet.
    #[must_use]
    pub fn of(entity: EntityId, filter: Predicate) -> Self {
        Self { entity, filter, groups: Vec::new(), measures: Vec::new(), limit: 1_000 }
    }
}

/// More places of an average and a median.
const MORE_PLACES: u8 = 4;

impl Tx {
    /// The groups, each with the values that it is by and its measures.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn aggregate(&self, schema: &Schema, query: &Aggregate) -> Result<Vec<Vec<Value>>, Fault> {
        let def = schema.entity(query.entity);
        let mut sql = self.sql();
        let mut writer = Writer::new(schema);
        let mut how = Vec::new();
        sql.push("SELECT ");
        for (index, group) in query.groups.iter().enumerate() {
            how.push(write_group(&mut sql, &mut writer, schema, group));
            sql.push(" AS ").name(&format!("g{index}")).push(", ");
        }
        for measure in &query.measures {
            write_measure(&mut sql, &mut writer, schema, measure, &mut how);
            sql.push(", ");
        }
        sql.push("count(*) FROM ").name(&def.table).push(" ").push(MAIN).push(" WHERE ");
        condition(&mut sql, &mut writer, query.entity, &query.filter, Binned::Live);
        let count_at = how.len();
        how.push(Decode::Plain(Storage::Int));
        if !query.groups.is_empty() {
            let names: Vec<String> = (0..query.groups.len()).map(|index| format!("g{index}")).collect();
            sql.push(" GROUP BY ").list(&names, ", ", |sql, name| {
                sql.name(name);
            });
            let direction = self.dialect().direction(false);
            sql.push(" ORDER BY ").list(&names, ", ", |sql, name| {
                sql.name(name).push(direction);
            });
        }
        sql.push(" LIMIT ").bind(Storage::Int, Value::Int(i64::from(query.limit)));
        let mut rows = Vec::new();
        self.each(&sql, &how, |row| rows.push(finish(schema, query, count_at, row)))?;
        Ok(rows)
    }
}

fn storage_of(schema: &Schema, path: &Path, column: &Column) -> Storage {
    match column {
        Column::Slot(slot) => schema.entity(path.entity).columns.get(*slot).map_or(Storage::Text, |column| column.storage),
        Column::Clock(..) => Storage::Int,
    }
}

fn decode(schema: &Schema, path: &Path, column: &Column) -> Decode {
    match column {
        Column::Slot(slot) => decode_of(schema.entity(path.entity), *slot),
        Column::Clock(..) => Decode::Plain(Storage::Int),
    }
}

fn text_of(sql: &mut Sql, writer: &mut Writer<'_>, path: &Path, column: &Column) -> String {
    let mut inner = Sql::new(sql.dialect);
    inner.binds = std::mem::take(&mut sql.binds);
    writer.value(&mut inner, path, column, MAIN);
    sql.binds = inner.binds;
    inner.text
}

fn write_group(sql: &mut Sql, writer: &mut Writer<'_>, schema: &Schema, group: &GroupBy) -> Decode {
    let value = text_of(sql, writer, &group.path, &group.column);
    let storage = storage_of(schema, &group.path, &group.column);
    let Some(bucket) = group.bucket else {
        sql.push(&value);
        return decode(schema, &group.path, &group.column);
    };
    let day = if storage == Storage::Timestamp {
        let mut inner = Sql::new(sql.dialect);
        inner.binds = std::mem::take(&mut sql.binds);
        let zone = Value::text(group.zone.name());
        match sql.dialect {
            Dialect::Sqlite => inner.push("local_day(").push(&value).push(", ").bind(Storage::Text, zone).push(")"),
            Dialect::Postgres => inner.push("CAST((").push(&value).push(" AT TIME ZONE ").bind(Storage::Text, zone).push(") AS date)"),
        };
        sql.binds = inner.binds;
        inner.text
    } else {
        value
    };
    write_bucket(sql, bucket, &day)
}

/// The first day of the bucket that a day is in.
fn write_bucket(sql: &mut Sql, bucket: Bucket, day: &str) -> Decode {
    let unit = match bucket {
        Bucket::Day => {
            sql.push(day);
            return Decode::Plain(Storage::Date);
        }
        Bucket::Week => "week",
        Bucket::Month => "month",
        Bucket::Quarter => "quarter",
        Bucket::Year => "year",
    };
    match sql.dialect {
        Dialect::Postgres => {
            sql.push("CAST(date_trunc('").push(unit).push("', ").push(day).push(") AS date)");
        }
        Dialect::Sqlite => {
            sql.push("bucket_day('").push(unit).push("', ").push(day).push(")");
        }
    }
    Decode::Plain(Storage::Date)
}

fn scale_of(storage: Storage) -> u8 {
    match storage {
        Storage::Decimal(scale) => scale,
        _ => 0,
    }
}

/// Writes the columns of a measure.
fn write_measure(sql: &mut Sql, writer: &mut Writer<'_>, schema: &Schema, measure: &Measure, how: &mut Vec<Decode>) {
    let (Some(path), Some(column)) = (&measure.path, &measure.column) else {
        sql.push("count(*)");
        how.push(Decode::Plain(Storage::Int));
        return;
    };
    let value = text_of(sql, writer, path, column);
    let storage = storage_of(schema, path, column);
    let scale = scale_of(storage);
    let sum = sql.dialect.sum(&value);
    match measure.function {
        Function::Count => {
            sql.push("count(").push(&value).push(")");
            how.push(Decode::Plain(Storage::Int));
        }
        Function::Sum => {
            sql.push(&sum);
            how.push(Decode::Number(scale));
        }
        Function::Average => {
            sql.push(&sum).push(", count(").push(&value).push(")");
            how.extend([Decode::Number(scale), Decode::Plain(Storage::Int)]);
        }
        Function::Min | Function::Max => {
            sql.push(if measure.function == Function::Min { "min(" } else { "max(" }).push(&value).push(")");
            how.push(decode(schema, path, column));
        }
        Function::Distinct => {
            sql.push("count(DISTINCT ").push(&value).push(")");
            how.push(Decode::Plain(Storage::Int));
        }
        Function::Median => match sql.dialect {
            Dialect::Sqlite => {
                sql.push("exact_median(").push(&value).push(")");
                how.push(Decode::Number(scale + 1));
            }
            Dialect::Postgres => {
                sql.push("(CAST(percentile_disc(0.5) WITHIN GROUP (ORDER BY ")
                    .push(&value)
                    .push(") AS numeric) + CAST(percentile_disc(0.5) WITHIN GROUP (ORDER BY ");
                sql.push(&value).push(" DESC) AS numeric)) / 2");
                how.push(Decode::Number(scale + 1));
            }
        },
    }
}

/// The values of a group as they are told: averages divided, sums of nothing 0.
fn finish(schema: &Schema, query: &Aggregate, count_at: usize, row: Vec<Value>) -> Vec<Value> {
    let mut columns = row.into_iter().take(count_at);
    let mut values: Vec<Value> = columns.by_ref().take(query.groups.len()).collect();
    for measure in &query.measures {
        let value = columns.next().unwrap_or_default();
        let scale = measure.path.as_ref().zip(measure.column.as_ref()).map_or(0, |(path, column)| scale_of(storage_of(schema, path, column)));
        values.push(match (measure.function, &measure.path) {
            (Function::Sum, Some(_)) if value.is_null() => Value::Decimal(Decimal::new(0, u32::from(scale))),
            (Function::Average, Some(_)) => {
                let count = columns.next().and_then(|count| count.as_decimal()).unwrap_or_default();
                average(value.as_decimal(), count, scale)
            }
            (Function::Median, Some(_)) => value.as_decimal().map_or(Value::Null, |median| Value::Decimal(median.normalize())),
            _ => value,
        });
    }
    values
}

fn average(sum: Option<Decimal>, count: Decimal, scale: u8) -> Value {
    match sum.filter(|_| !count.is_zero()).and_then(|sum| sum.checked_div(count)) {
        Some(average) => Value::Decimal(model::field::number::round(average, scale + MORE_PLACES)),
        None => Value::Null,
    }
}

/// The first day of the bucket called `unit` that `day` is in.
pub(crate) fn bucket_start(unit: &str, day: NaiveDate) -> Option<NaiveDate> {
    use chrono::Datelike;
    match unit {
        "week" => day.checked_sub_days(chrono::Days::new(u64::from(day.weekday().num_days_from_monday()))),
        "month" => day.with_day(1),
        "quarter" => NaiveDate::from_ymd_opt(day.year(), (day.month() - 1) / 3 * 3 + 1, 1),
        "year" => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        _ => Some(day),
    }
}
