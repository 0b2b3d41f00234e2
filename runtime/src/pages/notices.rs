//! In charge of opening a notice: it is read then, and leads to what it is about.
//! Invariant: a notice about an approval leads to the approval, any other to its record.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use engine::records::{Batch, Shape};
use engine::{Error, Submission};
use indexmap::IndexMap;
use model::Input;
use serde_json::Value as Json;
use uuid::Uuid;

use super::inbox::text;
use super::shell::{Missed, missed};
use crate::http::caller::Page;
use crate::state::RuntimeState;

/// The entity of notices.
pub(super) const NOTICE: &str = "core.notification";

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
        return Ok(Redirect::to(&format!("/r/{NOTICE}")).into_response());
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
