//! In charge of the page of a job: how far it is, what it left and why, its file, and the way back.
//! Invariant: a job is shown to whoever asked for it; a page of one under way loads itself again, without any script.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::jobs::State as JobState;
use engine::{Ctx, Error};
use model::EntityId;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::shell::{Missed, Shell, missed, shell, told};
use super::{env, many, titles};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;
use render::words::grouped;

/// How long a page waits for the end of a job.
const SOON: Duration = Duration::from_millis(700);

#[derive(Serialize)]
struct JobPage {
    shell: Shell,
    here: String,
    back: String,
    state: String,
    color: &'static str,
    /// Whether it is under way.
    moves: bool,
    done: u64,
    total: u64,
    /// What became of how many: the word and the number.
    counts: Vec<(String, String)>,
    error: Option<String>,
    left: Vec<Left>,
    /// The file that it made, or that holds what failed: its label and address.
    file: Option<(String, String)>,
    /// Whether it can be taken back.
    undo: bool,
    /// Whether it only tried an import that can now be made.
    tried: bool,
    may_cancel: bool,
}

/// A record that was left as it is.
#[derive(Serialize)]
struct Left {
    title: String,
    href: String,
    reason: String,
}

/// To the page of a job, and from there back to `back`.
pub(super) fn follow(job: Uuid, back: &str) -> Response {
    Redirect::to(&format!("/jobs/{job}?back={}", utf8_percent_encode(back, NON_ALPHANUMERIC))).into_response()
}

fn count(json: &Json, key: &str) -> u64 {
    json.get(key).and_then(Json::as_u64).unwrap_or_default()
}

fn color_of(state: JobState) -> &'static str {
    match state {
        JobState::Queued | JobState::Running => "blue",
        JobState::Paused | JobState::Cancelled => "gray",
        JobState::Done => "green",
        JobState::Failed => "red",
    }
}

/// Shows a job.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, Path(id): Path<Uuid>, query: Query) -> Result<Response, Missed> {
    render(&state, &page, id, &query, None).await
}

async fn render(state: &RuntimeState, page: &Page, id: Uuid, query: &Query, failed: Option<&Error>) -> Result<Response, Missed> {
    let cx = &page.cx;
    // Most are done at once: who asked for little sees at once what became of it.
    let done = tokio::time::timeout(SOON, state.engine().wait_job(cx, id, |_| {})).await;
    let job = match done {
        Ok(job) => job,
        Err(_) => state.engine().job(cx, id).await,
    };
    let job = job.map_err(missed(page))?;
    let json = &job.json;
    let word = |key: &str| env::text(&cx.locale, key);
    let dry = json.get("dry_run").and_then(Json::as_bool).unwrap_or_default();
    let url = |key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let file = url("file_url").map(|url| (word("download"), url)).or_else(|| url("errors_url").map(|url| (word("rows_that_failed"), url)));
    let counts =
        ["created", "updated", "skipped", "waiting", "failed"].into_iter().map(|key| (key, count(json, key))).filter(|(_, count)| *count > 0);
    let said = json.get("error").and_then(Json::as_str).map(str::to_owned);
    let (status, refused) = failed.map_or((StatusCode::OK, None), |error| {
        let (status, text) = told(error, &cx.locale);
        (status, Some(text))
    });
    let title = word(&format!("job_{}{}", job.kind, if dry { "_dry" } else { "" }));
    let context = JobPage {
        shell: shell(page, title, ""),
        here: format!("/jobs/{id}"),
        back: many::back(query).to_owned(),
        state: word(&format!("job_is_{}", job.state.as_str())),
        color: color_of(job.state),
        moves: matches!(job.state, JobState::Queued | JobState::Running),
        done: count(json, "done"),
        total: count(json, "total"),
        counts: counts.map(|(key, count)| (word(&format!("job_{key}")), grouped(&count.to_string()))).collect(),
        error: refused.or(said),
        left: left(state, page, json).await?,
        file,
        undo: job.state == JobState::Done && !dry && json.get("change_set").is_some_and(Json::is_string) && job.kind != "export",
        tried: job.state == JobState::Done && dry && job.kind == "import",
        may_cancel: matches!(job.state, JobState::Queued | JobState::Running | JobState::Paused),
    };
    Ok(env::page(status, "job.html", &context))
}

/// The records that were left as they are, by their titles.
async fn left(state: &RuntimeState, page: &Page, json: &Json) -> Result<Vec<Left>, Missed> {
    let cx: &Ctx = &page.cx;
    let rows: Vec<(&str, Uuid, &str)> = json
        .get("left")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|row| Some((row.get("entity")?.as_str()?, Uuid::try_parse(row.get("id")?.as_str()?).ok()?, row.get("reason")?.as_str()?)))
        .collect();
    let mut wanted: BTreeMap<EntityId, Vec<Uuid>> = BTreeMap::new();
    for (entity, id, _) in &rows {
        if let Some(def) = cx.app.schema.find(entity).filter(|def| cx.grants.sees(def.id)) {
            wanted.entry(def.id).or_default().push(*id);
        }
    }
    let titles = titles::titles(state, page, wanted).await?;
    Ok(rows
        .into_iter()
        .map(|(entity, id, reason)| Left {
            title: titles.get(&id).cloned().unwrap_or_else(|| "…".to_owned()),
            href: format!("/r/{entity}/{id}"),
            reason: reason.to_owned(),
        })
        .collect())
}

/// Takes back, cancels, or makes for good what was only tried.
pub(super) async fn turn(State(state): State<RuntimeState>, Path((id, verb)): Path<(Uuid, String)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let engine = state.engine();
    let done = match verb.as_str() {
        "undo" => {
            let job = engine.job(&page.cx, id).await.map_err(missed(page))?;
            let set = job.json.get("change_set").and_then(Json::as_str).and_then(|set| Uuid::try_parse(set).ok());
            let set = set.ok_or_else(|| missed(page)(Error::NotFound))?;
            engine.undo(&page.cx, set).await
        }
        "cancel" => engine.cancel_job(&page.cx, id).await,
        "import" => engine.import_for_good(&page.cx, id).await,
        _ => return Err(missed(page)(Error::NotFound)),
    };
    match done {
        Ok(job) => Ok(follow(job.id, many::back(&form.fields))),
        Err(error @ Error::Invalid(_)) => render(&state, page, id, &form.fields, Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}

/// Takes a merge or another change set back.
pub(super) async fn undo_set(State(state): State<RuntimeState>, Path(set): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let job = state.engine().undo(&page.cx, set).await.map_err(missed(page))?;
    Ok(follow(job.id, many::back(&form.fields)))
}
