//! In charge of calendars: a month of days, each with the records that fall on it; a drag or a key moves one to another day.
//! Invariant: a move is a write of the record's own dates with all its checks; the time of day and the length stay.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, TimeZone, Utc};
use engine::records::{Batch, ListRequest, Shape};
use engine::{Ctx, Error, Submission};
use indexmap::IndexMap;
use model::doc::View;
use model::{EntityDef, FieldDef, Input};
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::cell::cell;
use super::env;
use super::query::{address, kept};
use super::shell::{Missed, missed, told};
use super::viewing::{Frame, Viewing, find};
use crate::http::answer;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Records of a month that are drawn.
const MOST: u32 = 1_000;
/// Records of a day that are drawn; the rest is a link.
const A_DAY: usize = 5;

#[derive(Serialize)]
struct CalendarPage {
    #[serde(flatten)]
    frame: Frame,
    period: String,
    previous: String,
    next_period: String,
    today: String,
    weekdays: Vec<String>,
    weeks: Vec<Vec<Day>>,
    is_cut: bool,
    start: String,
}

#[derive(Default, Serialize)]
struct Day {
    date: String,
    number: u32,
    label: String,
    in_month: bool,
    is_today: bool,
    entries: Vec<Entry>,
    /// How many more there are, and where.
    more: usize,
    all: String,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    href: String,
    title: String,
    time: String,
    color: String,
    /// Whether it began on an earlier day.
    goes_on: bool,
}

/// The day of a value, in the reader's zone, and its time of day where it has one.
pub(super) fn day_of(cx: &Ctx, value: &Json) -> Option<(NaiveDate, String)> {
    let text = value.as_str()?;
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some((day, String::new()));
    }
    let local = model::field::scalar::read_datetime(text)?.with_timezone(&cx.zone);
    Some((local.date_naive(), local.format("%H:%M").to_string()))
}

/// The condition that a record lies within some days, first and last included.
pub(super) fn overlaps(start: &str, end: Option<&str>, first: NaiveDate, last: NaiveDate) -> Json {
    let leaf = |field: &str, op: &str, day: NaiveDate| json!({"field": field, "op": op, "value": day.to_string()});
    let starts = json!({"all": [leaf(start, ">=", first), leaf(start, "<=", last)]});
    match end {
        None => starts,
        Some(end) => json!({"any": [starts, {"all": [leaf(start, "<", first), leaf(end, ">=", first)]}]}),
    }
}

/// The field of a view that holds a moment, as the reader sees it.
pub(super) fn moment_field<'a>(cx: &Ctx, def: &'a EntityDef, name: Option<&model::Name>) -> Option<&'a FieldDef> {
    cx.grants.field(def, name?.as_str()).filter(|field| cx.grants.entity(def.id).comparable(field.id))
}

/// The first day of the month that the address asks for, else of this month.
pub(super) fn month_of(cx: &Ctx, query: &Query) -> NaiveDate {
    let today = cx.now.with_timezone(&cx.zone).date_naive();
    let asked = query.filled("month").and_then(|month| format!("{month}-01").parse::<NaiveDate>().ok());
    // Far enough from the ends of time that the months around it exist.
    asked.filter(|day| (1900..2200).contains(&day.year())).unwrap_or(today).with_day(1).unwrap_or(today)
}

/// What a month is called.
pub(super) fn month_name(locale: &str, day: NaiveDate) -> String {
    if locale.starts_with("zh") { format!("{}年{}月", day.year(), day.month()) } else { day.format("%B %Y").to_string() }
}

/// Shows a calendar.
pub(super) async fn show(viewing: &Viewing<'_>, view: &View) -> Result<Response, Missed> {
    let (cx, def) = (viewing.cx(), viewing.def);
    let start = moment_field(cx, def, view.start.as_ref()).ok_or_else(|| viewing.missed(Error::NotFound))?;
    let end = moment_field(cx, def, view.end.as_ref());
    let month = month_of(cx, viewing.query);
    let first = month - Days::new(u64::from(month.weekday().num_days_from_monday()));
    let after = month + Months::new(1);
    let weeks = (after - first).num_days().div_euclid(7) + i64::from((after - first).num_days() % 7 != 0);
    let last = first + Days::new(u64::try_from(weeks * 7 - 1).unwrap_or(34));
    let within = overlaps(start.name.as_str(), end.map(|end| end.name.as_str()), first, last);
    let parts: Vec<Json> = viewing.filter().into_iter().chain([within]).collect();
    let color = view.color.as_ref().and_then(|name| cx.grants.field(def, name.as_str()));
    let fields = [Some(start), end, color].into_iter().flatten().map(|field| field.name.to_string()).collect();
    let request = ListRequest {
        filter: Some(json!({"all": parts})),
        sort: Some(start.name.to_string()),
        limit: Some(MOST),
        after: None,
        ..viewing.request(fields)
    };
    let found = viewing.list(request).await?;
    let today = cx.now.with_timezone(&cx.zone).date_naive();
    let mut days: Vec<Day> = first
        .iter_days()
        .take(usize::try_from(weeks * 7).unwrap_or_default())
        .map(|day| Day {
            date: day.to_string(),
            number: day.day(),
            label: day.to_string(),
            in_month: day.month() == month.month(),
            is_today: day == today,
            all: list_of_day(def, start, viewing.query, day),
            ..Day::default()
        })
        .collect();
    for (row, (id, title)) in found.rows.iter().zip(&found.titles) {
        let row: Json = serde_json::from_slice(row).unwrap_or_default();
        let Some((begins, time)) = row.get(start.name.as_str()).and_then(|value| day_of(cx, value)) else { continue };
        let ends = end.and_then(|end| row.get(end.name.as_str())).and_then(|value| day_of(cx, value)).map_or(begins, |(day, _)| day.max(begins));
        let color = color.and_then(|field| cell(cx, def, field.name.as_str(), &row).color).unwrap_or_default();
        for day in begins.max(first).iter_days().take_while(|day| *day <= ends.min(last)) {
            let Some(there) = usize::try_from((day - first).num_days()).ok().and_then(|index| days.get_mut(index)) else { continue };
            if there.entries.len() == A_DAY {
                there.more += 1;
                continue;
            }
            let goes_on = day != begins;
            there.entries.push(Entry {
                id: id.to_string(),
                href: format!("/r/{}/{id}", def.name),
                title: title.clone(),
                time: if goes_on { String::new() } else { time.clone() },
                color: color.clone(),
                goes_on,
            });
        }
    }
    let mut rest = days.into_iter();
    let weeks = std::iter::from_fn(|| Some(rest.by_ref().take(7).collect::<Vec<Day>>()).filter(|week| !week.is_empty())).collect();
    let to = |month: NaiveDate| viewing.with("month", Some(&month.format("%Y-%m").to_string()));
    let context = CalendarPage {
        frame: viewing.frame(&view.quick_filters).await?,
        period: month_name(&cx.locale, month),
        previous: to(month - Months::new(1)),
        next_period: to(after),
        today: viewing.with("month", None),
        weekdays: (0..7).map(|day| env::text(&cx.locale, &format!("weekday_{day}"))).collect(),
        weeks,
        is_cut: found.next.is_some(),
        start: start.name.to_string(),
    };
    Ok(env::page(StatusCode::OK, "calendar.html", &context))
}

/// The list of one day's records.
fn list_of_day(def: &EntityDef, start: &FieldDef, query: &Query, day: NaiveDate) -> String {
    let (from, until, day) = (format!("f.{}~from", start.name), format!("f.{}~until", start.name), day.to_string());
    let kept = kept(query).filter(|(key, _)| *key != "month" && *key != from && *key != until);
    let pairs: Vec<(&str, &str)> = kept.chain([(from.as_str(), day.as_str()), (until.as_str(), day.as_str())]).collect();
    address(&format!("/r/{}", def.name), pairs.into_iter())
}

/// Moves a record to another day, as JSON: what came of it is told in words.
pub(super) async fn place(
    State(state): State<RuntimeState>,
    Path((app, name, id)): Path<(String, String, Uuid)>,
    form: PageForm,
) -> Result<Response, Missed> {
    let page = &form.page;
    let cx = &page.cx;
    let gone = || missed(page)(Error::NotFound);
    let (view, def) = find(cx, &app, &name).ok_or_else(gone)?;
    let start = moment_field(cx, def, view.start.as_ref()).ok_or_else(gone)?;
    let end = moment_field(cx, def, view.end.as_ref());
    let day = form.fields.get("day").and_then(|day| day.parse::<NaiveDate>().ok()).ok_or_else(gone)?;
    let fields = [Some(start), end].into_iter().flatten().map(|field| field.name.to_string()).collect();
    let found = state.engine().get(cx, def.id, id, &Shape { fields: Some(fields), ..Shape::default() }).await.map_err(missed(page))?;
    let row: Json = serde_json::from_slice(&found.json).unwrap_or_default();
    let value = |field: &FieldDef| row.get(field.name.as_str()).filter(|value| !value.is_null());
    let days = value(start).and_then(|value| day_of(cx, value)).map_or(0, |(there, _)| (day - there).num_days());
    let mut values = IndexMap::new();
    for field in [Some(start), end].into_iter().flatten() {
        if let Some(moved) = value(field).and_then(|value| moved(cx, value, days)) {
            values.insert(field.name.to_string(), Input::Text(moved));
        }
    }
    let submission = Submission::Update { id, version: None, values };
    let done = match state.engine().write(cx, Batch::one(def.id, submission)).await {
        Ok(mut results) => results.pop().unwrap_or(Err(Error::NotFound)),
        Err(error) => Err(error),
    };
    Ok(match done {
        Ok(_) => answer::ok(&json!({"days": days})),
        Err(error) => {
            let (status, text) = told(&error, &cx.locale);
            answer::json(status, &json!({"detail": text}))
        }
    })
}

/// A date or a moment so many days later; a moment keeps its time of day on the clock on the wall.
fn moved(cx: &Ctx, value: &Json, days: i64) -> Option<String> {
    let text = value.as_str()?;
    let later = TimeDelta::try_days(days)?;
    if let Ok(day) = text.parse::<NaiveDate>() {
        return day.checked_add_signed(later).map(|day| day.to_string());
    }
    let at: DateTime<Utc> = model::field::scalar::read_datetime(text)?;
    let local = at.with_timezone(&cx.zone).naive_local().checked_add_signed(later)?;
    // An hour that a change of the clocks leaves out: the moment just so much later.
    let there = cx.zone.from_local_datetime(&local).earliest().map_or_else(|| at + later, |moment| moment.with_timezone(&Utc));
    Some(there.to_rfc3339())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_lies_within_days_by_start_or_by_both_ends() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let alone = overlaps("start", None, day("2026-11-01"), day("2026-11-30"));
        assert_eq!(alone["all"][1]["value"], "2026-11-30");
        let both = overlaps("start", Some("end"), day("2026-11-01"), day("2026-11-30"));
        assert_eq!(both["any"][1]["all"][1], json!({"field": "end", "op": ">=", "value": "2026-11-01"}));
    }

    #[test]
    fn months_have_names() {
        let day = "2026-11-01".parse().expect("a day");
        assert_eq!(month_name("en", day), "November 2026");
        assert_eq!(month_name("zh-TW", day), "2026年11月");
    }
}
