//! In charge of timelines: records as bars over days, weeks or months, in groups by whom or what they belong to.
//! Invariant: bars are cells of a table, so that they are read aloud, printed and shown without a script or a style of their own.

use axum::http::StatusCode;
use axum::response::Response;
use chrono::{Datelike, Days, Months, NaiveDate};
use engine::Error;
use engine::records::ListRequest;
use indexmap::IndexMap;
use model::doc::View;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::calendar::{day_of, moment_field, month_name, month_of, overlaps};
use super::cell::cell;
use super::env;
use super::shell::Missed;
use super::viewing::{Frame, Turning, Viewing};

/// Bars of a page.
const BARS: u32 = 60;

#[derive(Serialize)]
struct TimelinePage {
    #[serde(flatten)]
    frame: Frame,
    span: &'static str,
    spans: Vec<(String, String, bool)>,
    period: String,
    previous: String,
    next_period: String,
    today: String,
    units: Vec<Unit>,
    groups: Vec<BarGroup>,
    #[serde(flatten)]
    turning: Turning,
}

/// A column: a day, a week, a month.
#[derive(Serialize)]
struct Unit {
    label: String,
    is_now: bool,
}

#[derive(Serialize)]
struct BarGroup {
    label: String,
    bars: Vec<Bar>,
}

/// A record: so many columns of nothing, so many of it, so many of nothing.
#[derive(Serialize)]
struct Bar {
    href: String,
    title: String,
    before: usize,
    length: usize,
    after: usize,
    color: String,
    days: String,
}

/// What is shown at once; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    Month,
    Quarter,
    Year,
}

impl Span {
    const ALL: [Self; 3] = [Self::Month, Self::Quarter, Self::Year];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    const fn months(self) -> u32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }

    /// The first day of the span in which `month` lies.
    fn first(self, month: NaiveDate) -> NaiveDate {
        month.checked_sub_months(Months::new(month.month0() % self.months())).unwrap_or(month)
    }

    /// The first days of its columns.
    fn units(self, first: NaiveDate) -> Vec<NaiveDate> {
        let end = first + Months::new(self.months());
        let next = |day: &NaiveDate| match self {
            Self::Month => day.succ_opt(),
            Self::Quarter => day.checked_add_days(Days::new(7)),
            Self::Year => day.checked_add_months(Months::new(1)),
        };
        std::iter::successors(Some(first), next).take_while(|day| *day < end).collect()
    }
}

/// The column in which a day lies.
fn column(units: &[NaiveDate], day: NaiveDate) -> usize {
    units.partition_point(|unit| *unit <= day).saturating_sub(1)
}

/// Shows a timeline.
pub(super) async fn show(viewing: &Viewing<'_>, view: &View) -> Result<Response, Missed> {
    let (cx, def) = (viewing.cx(), viewing.def);
    let start = moment_field(cx, def, view.start.as_ref()).ok_or_else(|| viewing.missed(Error::NotFound))?;
    let end = moment_field(cx, def, view.end.as_ref());
    let span = Span::ALL.into_iter().find(|span| viewing.query.get("span") == Some(span.as_str())).unwrap_or(Span::Quarter);
    let first = span.first(month_of(cx, viewing.query));
    let units = span.units(first);
    let after = first + Months::new(span.months());
    let last = after.pred_opt().unwrap_or(after);
    let today = cx.now.with_timezone(&cx.zone).date_naive();
    let mut within = overlaps(start.name.as_str(), end.map(|end| end.name.as_str()), first, last);
    // What has no end yet goes on until today.
    if let (Some(end), Some(any)) = (end, within.get_mut("any").and_then(Json::as_array_mut))
        && first <= today
    {
        let open = json!({"field": end.name, "op": "is_empty"});
        any.push(json!({"all": [{"field": start.name, "op": "<", "value": first.to_string()}, open]}));
    }
    let parts: Vec<Json> = viewing.filter().into_iter().chain([within]).collect();
    let rows = view.rows.as_ref().and_then(|name| cx.grants.field(def, name.as_str())).filter(|field| cx.grants.entity(def.id).comparable(field.id));
    let color = view.color.as_ref().and_then(|name| cx.grants.field(def, name.as_str()));
    let own = if view.sort.is_empty() { vec![start.name.to_string()] } else { view.sort.clone() };
    let sort: Vec<String> = rows.map(|field| field.name.to_string()).into_iter().chain(own).collect();
    let fields = [Some(start), end, rows, color].into_iter().flatten().map(|field| field.name.to_string()).collect();
    let request = ListRequest { filter: Some(json!({"all": parts})), sort: Some(sort.join(",")), limit: Some(BARS), ..viewing.request(fields) };
    let found = viewing.list(request).await?;
    let mut groups: IndexMap<String, Vec<Bar>> = IndexMap::new();
    for (row, (id, title)) in found.rows.iter().zip(&found.titles) {
        let row: Json = serde_json::from_slice(row).unwrap_or_default();
        let day = |field: &model::FieldDef| row.get(field.name.as_str()).and_then(|value| day_of(cx, value)).map(|(day, _)| day);
        let Some(begins) = day(start) else { continue };
        let known_end = end.and_then(day);
        let ends = known_end.unwrap_or_else(|| if end.is_some() { today } else { begins }).max(begins);
        let (from, to) = (column(&units, begins.max(first)), column(&units, ends.min(last).max(first)));
        let group = rows.map(|field| cell(cx, def, field.name.as_str(), &row).text).unwrap_or_default();
        groups.entry(group).or_default().push(Bar {
            href: format!("/r/{}/{id}", def.name),
            title: title.clone(),
            before: from,
            length: to - from + 1,
            after: units.len().saturating_sub(to + 1),
            color: color.and_then(|field| cell(cx, def, field.name.as_str(), &row).color).unwrap_or_default(),
            days: format!("{begins} – {}", known_end.map_or_else(|| "…".to_owned(), |day| day.to_string())),
        });
    }
    let to = |month: NaiveDate| viewing.with("month", Some(&month.format("%Y-%m").to_string()));
    let now = (first..after).contains(&today).then(|| column(&units, today));
    let context = TimelinePage {
        frame: viewing.frame(&view.quick_filters).await?,
        span: span.as_str(),
        spans: Span::ALL.map(|one| (env::text(&cx.locale, one.as_str()), viewing.with("span", Some(one.as_str())), one == span)).to_vec(),
        period: match span {
            Span::Month => month_name(&cx.locale, first),
            Span::Quarter | Span::Year => format!("{} – {}", month_name(&cx.locale, first), month_name(&cx.locale, last)),
        },
        previous: to(first - Months::new(span.months())),
        next_period: to(after),
        today: viewing.with("month", None),
        units: units
            .iter()
            .enumerate()
            .map(|(index, day)| Unit {
                label: match span {
                    Span::Month => day.day().to_string(),
                    Span::Quarter => format!("{}/{}", day.month(), day.day()),
                    Span::Year => day.month().to_string(),
                },
                is_now: now == Some(index),
            })
            .collect(),
        groups: groups.into_iter().map(|(label, bars)| BarGroup { label, bars }).collect(),
        turning: viewing.turning(&found),
    };
    Ok(env::page(StatusCode::OK, "timeline.html", &context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_lie_in_their_columns() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        assert_eq!(Span::Quarter.first(day("2026-11-01")), day("2026-10-01"));
        let weeks = Span::Quarter.units(day("2026-10-01"));
        assert_eq!(weeks.len(), 14);
        assert_eq!(column(&weeks, day("2026-10-07")), 0);
        assert_eq!(column(&weeks, day("2026-10-08")), 1);
        assert_eq!(Span::Year.units(day("2026-01-01")).len(), 12);
        assert_eq!(Span::Month.units(day("2024-02-01")).len(), 29);
    }
}
