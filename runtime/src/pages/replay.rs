//! In charge of the page on which an administrator replays an automation on the past: a span of days, and what would have come
//! of it.
//! Invariant: looking at it changes nothing.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use engine::automations::replay::ReplayAsked;
use engine::{Ctx, Error};
use serde::Serialize;
use serde_json::Value as Json;

use super::automations::{name_of, step};
use super::course::local;
use super::env;
use super::inbox::{moment, text};
use super::query::with;
use super::shell::{Missed, Shell, missed, shell, told};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Days of the past that are offered at first.
const DAYS: u64 = 30;

#[derive(Serialize)]
struct ReplayPage {
    shell: Shell,
    name: String,
    from: String,
    until: String,
    error: Option<String>,
    answer: Option<Answer>,
}

#[derive(Serialize)]
struct Answer {
    runs: u64,
    looked: u64,
    counts: Vec<(String, &'static str, u64)>,
    lines: Vec<Line>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Line {
    at: String,
    title: String,
    href: String,
    outcome: String,
    color: &'static str,
    error: String,
    waited: u64,
    steps: Vec<super::automations::Step>,
}

fn color_of(outcome: &str) -> &'static str {
    match outcome {
        "done" => "green",
        "failed" => "red",
        _ => "gray",
    }
}

/// The first moment of a day on the reader's clock.
fn begins(cx: &Ctx, day: NaiveDate) -> DateTime<Utc> {
    let wanted = day.and_time(NaiveTime::MIN);
    cx.zone.from_local_datetime(&wanted).earliest().map_or_else(|| Utc.from_utc_datetime(&wanted), |at| at.with_timezone(&Utc))
}

/// Asks for a span of days; with one, shows what would have come of it.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, Path(name): Path<String>, query: Query) -> Result<Response, Missed> {
    let cx = &page.cx;
    let all = state.engine().automations(cx).await.map_err(missed(&page))?;
    let found = all["data"].as_array().into_iter().flatten().find(|one| text(one, "automation") == name);
    let title = found.map(name_of).ok_or(Error::NotFound).map_err(missed(&page))?;
    let today = cx.now.with_timezone(&cx.zone).date_naive();
    let day = |key: &str| query.filled(key).and_then(|text| text.parse::<NaiveDate>().ok());
    let from = day("from").unwrap_or_else(|| today.checked_sub_days(Days::new(DAYS)).unwrap_or(today));
    let until = day("until").unwrap_or(today);
    let mut context = ReplayPage {
        shell: shell(&page, format!("{} · {title}", env::text(&cx.locale, "replay")), "/admin/automations"),
        name: name.clone(),
        from: from.to_string(),
        until: until.to_string(),
        error: None,
        answer: None,
    };
    let mut status = StatusCode::OK;
    if query.filled("from").is_some() {
        let end = until.checked_add_days(Days::new(1)).unwrap_or(until);
        let after = query.filled("after").and_then(|after| after.parse().ok());
        let asked = ReplayAsked { from: begins(cx, from), until: begins(cx, end), after, limit: None };
        match state.engine().replay_automation(cx, &name, asked).await {
            Ok(json) => context.answer = Some(answer(cx, &name, &query, &json)),
            Err(error @ Error::Invalid(_)) => {
                let (code, text) = told(&error, &cx.locale);
                status = code;
                context.error = Some(text);
            }
            Err(error) => return Err(missed(&page)(error)),
        }
    }
    Ok(env::page(status, "replay.html", &context))
}

fn answer(cx: &Ctx, name: &str, query: &Query, json: &Json) -> Answer {
    let word = |outcome: &str| env::text(&cx.locale, &format!("replay_{outcome}"));
    let line = |one: &Json| Line {
        at: moment(one, "at").map(|at| local(cx, at)).unwrap_or_default(),
        title: one["title"].as_str().map_or_else(|| env::text(&cx.locale, "record_gone"), str::to_owned),
        href: format!("/r/{}/{}", text(one, "entity"), text(one, "record")),
        outcome: word(text(one, "outcome")),
        color: color_of(text(one, "outcome")),
        error: text(one, "error").to_owned(),
        waited: one["waited"].as_u64().unwrap_or_default(),
        steps: one["steps"].as_array().into_iter().flatten().map(|json| step(cx, json)).collect(),
    };
    Answer {
        runs: json["runs"].as_u64().unwrap_or_default(),
        looked: json["looked"].as_u64().unwrap_or_default(),
        counts: ["done", "failed", "unfinished"]
            .into_iter()
            .filter_map(|outcome| Some((word(outcome), color_of(outcome), json["counts"][outcome].as_u64()?)))
            .collect(),
        lines: json["data"].as_array().into_iter().flatten().map(line).collect(),
        next: json["next"].as_str().map(|next| with(&format!("/admin/automations/{name}/replay"), query, "after", Some(next))),
    }
}
