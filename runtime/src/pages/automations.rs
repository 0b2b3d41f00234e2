//! In charge of the administrator's pages of automations: which there are, their runs, what each step of a run did.
//! Invariant: a run is an administrator's to see; trying again and giving up are requests of the API's.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::automations::verbs::RunFilter;
use engine::{Ctx, Error};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::course::{local, span};
use super::inbox::{moment, text};
use super::query::{with, without};
use super::shell::{Missed, Shell, missed, shell, told};
use super::{env, toast};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The states of runs, in the order of the filter.
const STATES: [&str; 6] = ["dead", "failed", "waiting", "running", "done", "cancelled"];

#[derive(Serialize)]
struct ListPage {
    shell: Shell,
    groups: Vec<Group>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Group {
    label: String,
    lines: Vec<Automation>,
}

#[derive(Serialize)]
struct Automation {
    name: String,
    label: String,
    trigger: String,
    entity: String,
    off: bool,
    waiting: u64,
    failed: u64,
    dead: u64,
    last: String,
    /// What its scripts inside saves cost.
    spent: String,
    href: String,
    /// Where it is replayed on the past, where that can be.
    replay: Option<String>,
}

#[derive(Serialize)]
struct RunsPage {
    shell: Shell,
    automation: String,
    automations: Vec<(String, String)>,
    states: Vec<(String, String, Option<&'static str>)>,
    state: String,
    all: String,
    runs: Vec<RunLine>,
    next: Option<String>,
    first: Option<String>,
    clear: Option<String>,
}

#[derive(Serialize)]
struct RunLine {
    id: String,
    href: String,
    label: String,
    state: String,
    color: &'static str,
    at: String,
    due: String,
    record: Option<String>,
    error: String,
    tries: u64,
}

#[derive(Serialize)]
struct RunPage {
    shell: Shell,
    run: RunLine,
    took: String,
    trigger: String,
    may_retry: bool,
    may_cancel: bool,
    /// Whether it goes on by itself just now.
    moves: bool,
    steps: Vec<Step>,
    error: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Step {
    name: String,
    state: String,
    color: &'static str,
    at: String,
    took: String,
    data: String,
    error: String,
}

fn color_of(state: &str) -> &'static str {
    match state {
        "done" => "green",
        "dead" => "red",
        "failed" => "orange",
        "waiting" | "running" => "blue",
        _ => "gray",
    }
}

fn state_text(cx: &Ctx, state: &str) -> String {
    env::text(&cx.locale, &format!("run_{state}"))
}

/// What sets an automation off, in words.
fn trigger(cx: &Ctx, on: &Json) -> String {
    const KINDS: [&str; 10] = ["record", "stage", "approval", "clock", "schedule", "date", "webhook", "form", "message", "button"];
    let Some(kind) = KINDS.into_iter().find(|kind| on.get(*kind).is_some()) else { return String::new() };
    let detail = match &on[kind] {
        Json::String(word) => word.clone(),
        Json::Object(map) => map.get("en").and_then(Json::as_str).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let word = env::text(&cx.locale, &format!("trigger_{kind}"));
    let known = match kind {
        "record" | "stage" | "approval" => Some(env::text(&cx.locale, &format!("word_{detail}"))),
        _ => None,
    };
    let detail = known.filter(|word| !word.starts_with("word_")).unwrap_or(detail);
    if detail.is_empty() { word } else { format!("{word} · {detail}") }
}

pub(super) fn name_of(json: &Json) -> String {
    json["label"].as_str().unwrap_or_else(|| text(json, "automation")).to_owned()
}

/// All automations, by app.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    list(&state, &page, &query, None).await
}

async fn list(state: &RuntimeState, page: &Page, query: &Query, failed: Option<&Error>) -> Result<Response, Missed> {
    let cx = &page.cx;
    let found = state.engine().automations(cx).await.map_err(missed(page))?;
    let mut groups: Vec<Group> = Vec::new();
    for (app, document) in &cx.app.schema.apps {
        let of_app = found["data"].as_array().into_iter().flatten().filter(|one| text(one, "app") == app.as_str());
        let lines: Vec<Automation> = of_app
            .map(|one| Automation {
                name: text(one, "automation").to_owned(),
                label: name_of(one),
                trigger: trigger(cx, &one["on"]),
                entity: one["entity"]
                    .as_str()
                    .and_then(|name| cx.app.schema.find(name))
                    .map(|def| def.plural(&cx.locale).to_owned())
                    .unwrap_or_default(),
                off: one["off"] == true,
                waiting: one["waiting"].as_u64().unwrap_or_default(),
                failed: one["failed"].as_u64().unwrap_or_default(),
                dead: one["dead"].as_u64().unwrap_or_default(),
                spent: spent(cx, &one["spent"]),
                last: moment(one, "last").map(|at| local(cx, at)).unwrap_or_default(),
                href: format!("/admin/automations/runs?automation={}", text(one, "automation")),
                replay: ["record", "stage"]
                    .iter()
                    .any(|kind| one["on"].get(*kind).is_some())
                    .then(|| format!("/admin/automations/{}/replay", text(one, "automation"))),
            })
            .collect();
        if !lines.is_empty() {
            groups.push(Group { label: super::shell::label(document.app.label.as_ref(), app.as_str(), &cx.locale), lines });
        }
    }
    let context = ListPage {
        shell: toast::told(shell(page, env::text(&cx.locale, "automations"), "/admin/automations"), None, query),
        groups,
        error: failed.map(|error| told(error, &cx.locale).1),
    };
    Ok(env::page(failed.map_or(StatusCode::OK, |error| told(error, &cx.locale).0), "automations.html", &context))
}

/// What scripts inside saves cost, in words.
fn spent(cx: &Ctx, json: &Json) -> String {
    let Some(times) = json["times"].as_u64() else { return String::new() };
    let milliseconds = |key: &str| format!("{:.1}", json[key].as_f64().unwrap_or_default());
    let words = env::text(&cx.locale, "spent_in_saves").replace("{times}", &times.to_string());
    words.replace("{each}", &milliseconds("milliseconds")).replace("{longest}", &milliseconds("longest"))
}

/// Switches an automation on or off.
pub(super) async fn switch(State(state): State<RuntimeState>, Path(name): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let on = form.fields.get("on") == Some("true");
    match state.engine().switch_automation(&page.cx, &name, on, form.fields.get("given_up").is_some()).await {
        Ok(_) => Ok(Redirect::to("/admin/automations?done=saved").into_response()),
        Err(error @ Error::Invalid(_)) => list(&state, page, &Query::default(), Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}

fn line(cx: &Ctx, json: &Json) -> RunLine {
    let state = text(json, "state");
    RunLine {
        id: text(json, "id").to_owned(),
        href: format!("/admin/automations/runs/{}", text(json, "id")),
        label: name_of(json),
        state: state_text(cx, state),
        color: color_of(state),
        at: moment(json, "at").map(|at| local(cx, at)).unwrap_or_default(),
        due: moment(json, "due_at").map(|at| local(cx, at)).unwrap_or_default(),
        record: json["entity"].as_str().zip(json["record"].as_str()).map(|(entity, id)| format!("/r/{entity}/{id}")),
        error: text(json, "error").to_owned(),
        tries: json["tries"].as_u64().unwrap_or_default(),
    }
}

/// Runs, newest first.
pub(super) async fn runs(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    const PATH: &str = "/admin/automations/runs";
    let cx = &page.cx;
    let id = |name: &str| query.filled(name).and_then(|text| Uuid::try_parse(text).ok());
    let word = query.filled("state").filter(|word| STATES.contains(word));
    let filter = RunFilter {
        automation: query.filled("automation").map(str::to_owned),
        state: word.map(str::to_owned),
        record: id("record"),
        before: id("after"),
        limit: Some(50),
    };
    let found = state.engine().runs(cx, filter).await.map_err(missed(&page))?;
    let all = state.engine().automations(cx).await.map_err(missed(&page))?;
    let narrowed = ["automation", "state", "record"].iter().any(|name| query.filled(name).is_some());
    let context = RunsPage {
        shell: toast::told(shell(&page, env::text(&cx.locale, "runs"), "/admin/automations"), None, &query),
        automation: query.get("automation").unwrap_or_default().to_owned(),
        automations: all["data"].as_array().into_iter().flatten().map(|one| (text(one, "automation").to_owned(), name_of(one))).collect(),
        states: STATES.map(|state| (state_text(cx, state), with(PATH, &query, "state", Some(state)), (word == Some(state)).then_some("true"))).into(),
        state: word.unwrap_or_default().to_owned(),
        all: without(PATH, &query, &["state"]),
        runs: found["data"].as_array().into_iter().flatten().map(|run| line(cx, run)).collect(),
        next: found["next"].as_str().map(|next| with(PATH, &query, "after", Some(next))),
        first: query.filled("after").map(|_| with(PATH, &query, "after", None)),
        clear: narrowed.then(|| PATH.to_owned()),
    };
    Ok(env::page(StatusCode::OK, "runs.html", &context))
}

/// One run.
pub(super) async fn run(State(state): State<RuntimeState>, page: Page, Path(id): Path<Uuid>, query: Query) -> Result<Response, Missed> {
    one(&state, &page, id, &query, None).await
}

/// What a step did, as a page shows it.
pub(super) fn step(cx: &Ctx, json: &Json) -> Step {
    let micros = |micros: u64| if micros < 1_000 { format!("{micros} µs") } else { format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100) };
    Step {
        name: text(json, "step").to_owned(),
        state: state_text(cx, text(json, "state")),
        color: color_of(text(json, "state")),
        at: moment(json, "at").map(|at| local(cx, at)).unwrap_or_default(),
        took: json["micros"].as_u64().map(micros).unwrap_or_default(),
        data: if json["data"].is_null() { String::new() } else { serde_json::to_string_pretty(&json["data"]).unwrap_or_default() },
        error: text(json, "error").to_owned(),
    }
}

async fn one(state: &RuntimeState, page: &Page, id: Uuid, query: &Query, failed: Option<&Error>) -> Result<Response, Missed> {
    let cx = &page.cx;
    let json = state.engine().run(cx, id).await.map_err(missed(page))?;
    let word = text(&json, "state");
    let ended = moment(&json, "ended_at").zip(moment(&json, "at"));
    let context = RunPage {
        shell: toast::told(shell(page, name_of(&json), "/admin/automations"), None, query),
        took: ended.map(|(ended, at)| span(&cx.locale, (ended - at).num_seconds())).unwrap_or_default(),
        trigger: if json["trigger"].is_null() { String::new() } else { serde_json::to_string_pretty(&json["trigger"]).unwrap_or_default() },
        may_retry: matches!(word, "failed" | "dead"),
        moves: word == "running" || (word == "waiting" && moment(&json, "due_at").is_none_or(|due| due <= cx.now)),
        may_cancel: matches!(word, "waiting" | "running" | "failed" | "dead"),
        steps: json["steps"].as_array().into_iter().flatten().map(|json| step(cx, json)).collect(),
        error: failed.map(|error| told(error, &cx.locale).1),
        run: line(cx, &json),
    };
    Ok(env::page(failed.map_or(StatusCode::OK, |error| told(error, &cx.locale).0), "run.html", &context))
}

/// Lets a run go on, or gives it up.
pub(super) async fn turn(State(state): State<RuntimeState>, Path((id, verb)): Path<(Uuid, String)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let (done, word) = match verb.as_str() {
        "retry" => (state.engine().retry_run(&page.cx, id).await, "retried"),
        "cancel" => (state.engine().cancel_run(&page.cx, id).await, "cancelled"),
        _ => return Err(missed(page)(Error::NotFound)),
    };
    match done {
        Ok(_) => Ok(Redirect::to(&format!("/admin/automations/runs/{id}?done={word}")).into_response()),
        Err(error @ Error::Invalid(_)) => one(&state, page, id, &Query::default(), Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}
