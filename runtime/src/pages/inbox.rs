//! In charge of the boxes of approvals: to decide, decided, asked for, copies; filtered, paged, and approved many at a time.
//! Invariant: a box holds what the API would answer to the same person; each task of many is decided for itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use engine::approvals::{Ask, AskFor, Box as Which, BoxRequest, Place};
use engine::{Ctx, Error};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::cell::plain;
use super::course::local;
use super::env;
use super::query::{with, without};
use super::shell::{Missed, Shell, missed, shell, told};
use super::{deciders, toast};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The boxes, in the order of their tabs.
const BOXES: [&str; 4] = ["todo", "done", "mine", "copied"];
/// Tasks that are decided at once, at most.
const MOST: usize = 200;
/// Before the id of a task, in the name of its box to tick.
const TICK: &str = "t:";

#[derive(Serialize)]
struct InboxPage {
    shell: Shell,
    which: String,
    tabs: Vec<Tab>,
    lines: Vec<Line>,
    /// Whether any of the lines may be approved with others.
    bulk: bool,
    filters: Filters,
    results: Vec<BulkResult>,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Serialize)]
struct Tab {
    name: &'static str,
    href: String,
    count: Option<u64>,
}

#[derive(Serialize)]
struct Filters {
    q: String,
    since: String,
    flow: String,
    flows: Vec<(String, String)>,
    step: String,
    steps: Vec<(String, String)>,
    person: String,
    person_name: String,
    clear: Option<String>,
}

#[derive(Serialize)]
struct Line {
    task: Option<String>,
    href: String,
    title: String,
    number: String,
    step: String,
    initiator: String,
    at: String,
    due: String,
    overdue: bool,
    state: String,
    color: &'static str,
    summary: Vec<(String, String)>,
    bulk: bool,
}

/// What became of one of many.
#[derive(Serialize)]
struct BulkResult {
    title: String,
    href: String,
    error: Option<String>,
}

/// The color of a state of an approval.
pub(super) fn color_of(state: &str) -> &'static str {
    match state {
        "running" => "blue",
        "returned" => "orange",
        "approved" => "green",
        "rejected" | "revoked" => "red",
        _ => "gray",
    }
}

/// A state of an approval in words.
pub(super) fn state_text(locale: &str, state: &str) -> String {
    env::text(locale, &format!("approval_{state}"))
}

pub(super) fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

pub(super) fn moment(json: &Json, key: &str) -> Option<DateTime<Utc>> {
    json.get(key).and_then(Json::as_str).and_then(model::field::scalar::read_datetime)
}

/// Shows a box.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    render(&state, &page, &query, Vec::new()).await
}

fn since(cx: &Ctx, query: &Query) -> Option<DateTime<Utc>> {
    let day: NaiveDate = query.filled("since")?.parse().ok()?;
    cx.zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest().map(|at| at.with_timezone(&Utc))
}

async fn render(state: &RuntimeState, page: &Page, query: &Query, results: Vec<BulkResult>) -> Result<Response, Missed> {
    let cx = &page.cx;
    let which = query.filled("box").filter(|name| BOXES.contains(name)).unwrap_or("todo");
    let flows = state.engine().approval_flows(cx);
    let person = deciders::person(state, page, query, "who").await?.unwrap_or(None);
    let flow = query.filled("flow").map(str::to_owned);
    let request = BoxRequest {
        which: Which::parse(which).unwrap_or_default(),
        step: query.filled("step").filter(|_| flow.is_some()).map(str::to_owned),
        flow: flow.clone(),
        initiator: person,
        since: since(cx, query),
        text: query.filled("q").map(str::to_owned),
        limit: 50,
        after: query.filled("after").and_then(Place::parse),
        ..BoxRequest::default()
    };
    let found = state.engine().approval_box(cx, request).await.map_err(missed(page))?;
    let lines: Vec<Line> = found["data"].as_array().into_iter().flatten().map(|json| line(cx, which, json)).collect();
    let listed = |json: &Json, name: &str| (text(json, name).to_owned(), text(json, "label").to_owned());
    let flows = flows["data"].as_array().map_or(&[][..], Vec::as_slice);
    let chosen = flows.iter().find(|one| Some(text(one, "flow")) == flow.as_deref());
    let narrowed = ["q", "since", "flow", "who"].iter().any(|name| query.filled(name).is_some());
    let context = InboxPage {
        shell: toast::told(shell(page, env::text(&cx.locale, "approvals"), "/inbox"), None, query),
        tabs: BOXES.map(|name| tab(query, name, &found["counts"])).into(),
        bulk: which == "todo" && lines.iter().any(|line| line.bulk),
        lines,
        filters: Filters {
            q: query.get("q").unwrap_or_default().to_owned(),
            since: query.get("since").unwrap_or_default().to_owned(),
            flow: flow.unwrap_or_default(),
            flows: flows.iter().map(|one| listed(one, "flow")).collect(),
            step: query.get("step").unwrap_or_default().to_owned(),
            steps: chosen.and_then(|one| one["steps"].as_array()).into_iter().flatten().map(|one| listed(one, "step")).collect(),
            person_name: deciders::name(state, page, person).await?,
            person: person.map(|id| id.to_string()).unwrap_or_default(),
            clear: narrowed.then(|| without("/inbox", query, &["q", "since", "flow", "step", "who", "who:text"])),
        },
        which: which.to_owned(),
        results,
        next: found["next"].as_str().map(|next| with("/inbox", query, "after", Some(next))),
        first: query.filled("after").map(|_| with("/inbox", query, "after", None)),
    };
    Ok(env::page(StatusCode::OK, "inbox.html", &context))
}

fn tab(query: &Query, name: &'static str, counts: &Json) -> Tab {
    let count = match name {
        "todo" => counts["todo"].as_u64(),
        "mine" => counts["mine_running"].as_u64(),
        "copied" => counts["copied_unread"].as_u64(),
        _ => None,
    };
    let path = without("/inbox", query, &["box"]);
    let join = if path.contains('?') { '&' } else { '?' };
    Tab { name, href: if name == "todo" { path } else { format!("{path}{join}box={name}") }, count: count.filter(|count| *count > 0) }
}

fn line(cx: &Ctx, which: &str, json: &Json) -> Line {
    let def = cx.app.schema.find(text(json, "entity"));
    let summary = def.into_iter().flat_map(|def| {
        let shown = json["summary"].as_object().into_iter().flatten().filter(|(name, _)| !["id", "version", "titles"].contains(&name.as_str()));
        shown.filter_map(|(name, value)| {
            // What the box holds the reader sees there, also where their role does not show it elsewhere.
            let field = def.find(name).filter(|_| !value.is_null())?;
            let title = json.pointer(&format!("/summary/titles/{name}")).and_then(Json::as_str);
            Some((super::control::label_of(cx, field), title.map_or_else(|| plain(cx, def, field, value), str::to_owned)))
        })
    });
    let due = moment(json, "due_at");
    let (state, id) = (text(json, "state"), text(json, "id"));
    let task = json["task"].as_str().map(str::to_owned);
    let at = moment(json, if which == "todo" { "submitted_at" } else { "at" }).or_else(|| moment(json, "at"));
    Line {
        href: format!("/approvals/{}", task.as_deref().unwrap_or(id)),
        title: text(json, "title").to_owned(),
        number: text(json, "number").to_owned(),
        step: text(json, "step_label").to_owned(),
        initiator: json.pointer("/initiator/name").and_then(Json::as_str).unwrap_or_default().to_owned(),
        at: at.map(|at| local(cx, at)).unwrap_or_default(),
        due: due.map(|at| local(cx, at)).unwrap_or_default(),
        overdue: due.is_some_and(|due| due < cx.now),
        state: state_text(&cx.locale, state),
        color: color_of(state),
        summary: summary.filter(|(_, text)| !text.is_empty()).collect(),
        bulk: which == "todo" && json["bulk"].as_bool().unwrap_or(false) && json["task_state"] == "open",
        task,
    }
}

/// Approves many, each for itself; what was refused says why.
pub(super) async fn approve(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let cx = &page.cx;
    let ticked: Vec<Uuid> = form.fields.pairs().filter_map(|(name, _)| Uuid::try_parse(name.strip_prefix(TICK)?).ok()).take(MOST).collect();
    let opinion = form.fields.filled("opinion").map(str::to_owned);
    let (mut results, mut all_well) = (Vec::new(), true);
    for task in &ticked {
        let ask = Ask { opinion: opinion.clone(), bulk: true, ..Ask::new(*task, AskFor::Approve) };
        let done = state.engine().ask_approval(cx, ask).await;
        let error = match done {
            Ok(_) => None,
            Err(error @ Error::Internal(_)) => return Err(missed(page)(error)),
            Err(error) => Some(told(&error, &cx.locale).1),
        };
        all_well &= error.is_none();
        let title = match state.engine().approval(cx, *task).await {
            Ok(json) => text(&json, "title").to_owned(),
            Err(Error::NotFound) => "…".to_owned(),
            Err(error) => return Err(missed(page)(error)),
        };
        results.push(BulkResult { title, href: format!("/approvals/{task}"), error });
    }
    if all_well && results.len() <= 1 {
        let done = if results.is_empty() { "" } else { "?done=approved" };
        return Ok(Redirect::to(&format!("/inbox{done}")).into_response());
    }
    let mut page = page.clone();
    page.tasks = state.engine().approval_count(cx).await.map_err(missed(&page))?;
    render(&state, &page, &Query::default(), results).await
}
