//! In charge of one's own notices: what one was told, newest first; opening one marks it as read and leads to what it is about.
//! Invariant: only the reader's own are listed, an administrator's too.
//! Invariant: a notice about an approval leads to the approval, any other to its record.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::records::{Batch, Shape};
use engine::{Error, Submission};
use indexmap::IndexMap;
use model::Input;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::cell::cell;
use super::env;
use super::inbox::text;
use super::query::with;
use super::shell::{Missed, Shell, missed, shell};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The entity of notices.
pub(super) const NOTICE: &str = "core.notification";

#[derive(Serialize)]
struct NoticesPage {
    shell: Shell,
    rows: Vec<Told>,
    has_unread: bool,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Serialize)]
struct Told {
    id: String,
    subject: String,
    text: String,
    at: String,
    unread: bool,
}

/// The notices.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    let cx = &page.cx;
    let list = state.engine().own_notices(cx, query.filled("after").map(str::to_owned)).await.map_err(missed(&page))?;
    let def = state.engine().entity(cx, NOTICE).map_err(missed(&page))?;
    let rows: Vec<Told> = list
        .rows
        .iter()
        .map(|row| {
            let row: Json = serde_json::from_slice(row).unwrap_or_default();
            let part = |name: &str| text(&row, name).to_owned();
            let at = cell(cx, def, "created_at", &row).text;
            Told { id: part("id"), subject: part("subject"), text: part("text"), at, unread: row["read_at"].is_null() }
        })
        .collect();
    let context = NoticesPage {
        has_unread: rows.iter().any(|row| row.unread),
        rows,
        next: list.next.as_deref().map(|next| with("/notices", &query, "after", Some(next))),
        first: query.filled("after").map(|_| with("/notices", &query, "after", None)),
        shell: shell(&page, env::text(&cx.locale, "notices"), "/notices"),
    };
    Ok(env::page(StatusCode::OK, "notices.html", &context))
}

/// All of them are read.
pub(super) async fn read(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    state.engine().read_notices(&form.page.cx, None).await.map_err(missed(&form.page))?;
    Ok(Redirect::to("/notices").into_response())
}

/// Opens a notice.
pub(super) async fn open(State(state): State<RuntimeState>, page: Page, Path(id): Path<Uuid>) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, NOTICE).map_err(missed(&page))?;
    let found = state.engine().get(cx, def.id, id, &Shape::default()).await.map_err(missed(&page))?;
    let notice: Json = serde_json::from_slice(&found.json).unwrap_or_default();
    if notice["read_at"].is_null() && notice["owner"].as_str() == Some(page.verified.user.to_string().as_str()) {
        let values = IndexMap::from([("read_at".to_owned(), Input::Text(cx.now.to_rfc3339()))]);
        match state.engine().write(cx, Batch::one(def.id, Submission::Update { id, version: None, values })).await {
            // Whoever may not mark it as read may still open it.
            Ok(_) | Err(Error::Forbidden | Error::Invalid(_)) => {}
            Err(error) => return Err(missed(&page)(error)),
        }
    }
    let Some((entity, record)) = notice["about"]["entity"].as_str().zip(notice["about"]["id"].as_str().and_then(|id| Uuid::try_parse(id).ok()))
    else {
        return Ok(Redirect::to("/notices").into_response());
    };
    let to = match notice["approval"].as_str() {
        Some(flow) => approval(&state, &page, entity, record, flow).await?,
        None => None,
    };
    Ok(Redirect::to(&to.unwrap_or_else(|| format!("/r/{entity}/{record}"))).into_response())
}

/// The approval that a notice is about: the reader's task, else the newest of its flow.
async fn approval(state: &RuntimeState, page: &Page, entity: &str, record: Uuid, flow: &str) -> Result<Option<String>, Missed> {
    let Ok(def) = state.engine().entity(&page.cx, entity) else { return Ok(None) };
    let found = match state.engine().approvals_of(&page.cx, def.id, record).await {
        Ok(found) => found,
        // A record out of sight may still be decided upon by who had a task there.
        Err(Error::NotFound) => {
            return Ok(state.engine().approval_meant(&page.cx, record, None, true).await.ok().map(|id| format!("/approvals/{id}")));
        }
        Err(error) => return Err(missed(page)(error)),
    };
    let of_flow = |line: &&Json| text(line, "flow").split_once('.').is_some_and(|(_, bare)| bare == flow);
    let mut lines: Vec<&Json> = found["data"].as_array().into_iter().flatten().filter(of_flow).collect();
    lines.sort_by_key(|line| line["task"].is_null());
    Ok(lines.first().map(|line| format!("/approvals/{}", line["task"].as_str().unwrap_or_else(|| text(line, "id")))))
}
