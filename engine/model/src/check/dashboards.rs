//! In charge of checking dashboards: widgets, what they group by and measure, and their places.

use serde_json::{Map, Value as Json};

use super::checking::Checking;
use super::world::Known;
use crate::doc::{Place, Widget};
use crate::name::Name;

/// The kinds of widgets.
const KINDS: [&str; 13] =
    ["number", "trend", "bar", "line", "pie", "funnel", "table", "gauge", "heatmap", "pivot", "forecast", "quality", "adoption"];
/// Functions over a field.
const FUNCTIONS: [&str; 7] = ["count", "sum", "average", "min", "max", "distinct", "median"];
/// Measures that need no field.
const WORDS: [&str; 3] = ["count", "conversion", "time_in_stage"];
/// Buckets of dates.
const BUCKETS: [&str; 8] = ["hour", "day", "weekday", "week", "month", "quarter", "year", "time"];
/// Columns of the grid.
const GRID: u8 = 12;

/// Checks every dashboard of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, dashboard) in &app.dashboards {
        let at = format!("/dashboards/{name}");
        c.roles(&format!("{at}/roles"), &dashboard.roles);
        c.order(&format!("{at}/order"), "widget", dashboard.order.iter().flatten().map(Name::as_str), dashboard.widgets.keys().map(Name::as_str));
        for (name, widget) in &dashboard.widgets {
            self::widget(c, &format!("{at}/widgets/{name}"), widget);
        }
    }
}

fn widget(c: &mut Checking<'_, '_>, at: &str, widget: &Widget) {
    c.one_of(format!("{at}/kind"), "kind of widget", &widget.kind, KINDS);
    if let Some(place) = widget.at {
        self::place(c, &format!("{at}/at"), place);
    }
    for (name, series) in &widget.series {
        self::series(c, &format!("{at}/series/{name}"), series);
    }
    match &widget.entity {
        Some(entity) => {
            if !widget.series.is_empty() {
                c.error(format!("{at}/series"), "a widget is of one entity, or of several by `series`");
            }
            if let Some(entity) = c.entity(&format!("{at}/entity"), entity) {
                for (index, by) in widget.by.iter().enumerate() {
                    group(c, &format!("{at}/by/{index}"), entity, by);
                }
                for (index, measure) in widget.measures.iter().enumerate() {
                    self::measure(c, &format!("{at}/measures/{index}"), entity, measure);
                }
            }
        }
        None if widget.series.is_empty() && widget.kind != "adoption" => c.error(format!("{at}/entity"), "`entity` is missing: what is counted"),
        None => {}
    }
}

fn place(c: &mut Checking<'_, '_>, at: &str, place: Place) {
    if place.w == 0 || place.h == 0 {
        c.error(at, "a widget is at least one column wide and one row high");
    } else if u16::from(place.x) + u16::from(place.w) > u16::from(GRID) {
        c.error(at, format!("the grid has {GRID} columns: x and w together are {GRID} at most"));
    }
}

/// A group: a path, or `{"field", "by"}` with a bucket or bands.
fn group<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, by: &Json) {
    match by {
        Json::String(path) => {
            c.path(at, entity, path);
        }
        Json::Object(map) => {
            c.keys(at, map, &["field", "on", "by", "bands", "label", "as"]);
            if let Some(path) = map.get("field").and_then(Json::as_str) {
                c.path(format!("{at}/field"), entity, path);
            } else if !map.contains_key("on") {
                c.error(at, "`field` is missing");
            }
            if let Some(bucket) = map.get("by").and_then(Json::as_str) {
                c.one_of(format!("{at}/by"), "bucket", bucket, BUCKETS);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => c.error(at, "expected a field or an object with `field`"),
    }
}

/// A measure: a word, or `{"sum": "amount", "as": "signed"}`.
fn measure<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, measure: &Json) {
    match measure {
        Json::String(word) => {
            c.one_of(at, "measure", word, WORDS);
        }
        Json::Object(map) => {
            c.keys(at, map, &[FUNCTIONS.as_slice(), &["as", "label", "conversion", "time_in_stage", "where"]].concat());
            function(c, at, entity, map);
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => c.error(at, "expected `count`, or an object such as {\"sum\": \"amount\"}"),
    }
}

fn function<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, map: &Map<String, Json>) {
    for (key, path) in map.iter().filter(|(key, _)| FUNCTIONS.contains(&key.as_str())) {
        if let Some(path) = path.as_str() {
            c.path(format!("{at}/{key}"), entity, path);
        }
    }
}

/// One of several entities side by side: `{"entity", "sum", "on", "filter"}`.
fn series(c: &mut Checking<'_, '_>, at: &str, series: &Json) {
    let Some(map) = series.as_object() else { return c.error(at, "expected an object with `entity` and a function") };
    c.keys(at, map, &[FUNCTIONS.as_slice(), &["entity", "on", "filter", "label", "by"]].concat());
    let Some(name) = map.get("entity").and_then(Json::as_str) else { return c.error(format!("{at}/entity"), "`entity` is missing") };
    let Some(entity) = c.entity(&format!("{at}/entity"), name) else { return };
    function(c, at, entity, map);
    if let Some(on) = map.get("on").and_then(Json::as_str) {
        c.path_of(format!("{at}/on"), entity, on, &["date", "datetime"], "a date");
    }
}
