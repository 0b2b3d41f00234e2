//! In charge of deeds over many records: bulk edits, merges, and taking them back.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use engine::change_sets::{BulkRequest, MergeRequest};
use engine::jobs::JobView;
use serde_json::json;

use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/records/{entity}/bulk", post(bulk))
        .route("/records/{entity}/{id}/merge", post(merge))
        .route("/change-sets", get(sets))
        .route("/change-sets/{id}/undo", post(undo))
        .route("/jobs/{id}", get(job))
}

/// 202: it goes on behind the request.
fn begun(job: &JobView) -> Response {
    let mut response = answer::json(StatusCode::ACCEPTED, &job.json);
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `{"filter" or "ids", "values" or "delete": true, "dry_run"}`.
async fn bulk(State(state): State<RuntimeState>, caller: Caller, At(entity): At<String>, body: JsonBody) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let request = BulkRequest::parse(body.into_map()?).map_err(super::lists::asked)?;
    Ok(begun(&state.engine().bulk(&caller.cx, entity, request).await?))
}

/// `{"from": [ids], "keep": {field: id}, "version"}`.
async fn merge(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let record = id(&record)?;
    let request = MergeRequest::parse(body.into_map()?).map_err(super::lists::asked)?;
    let merged = state.engine().merge(&caller.cx, entity, record, request).await?;
    Ok(answer::ok(&json!({"id": record, "version": merged.version, "change_set": merged.change_set})))
}

async fn sets(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&json!({"data": state.engine().change_sets(&caller.cx).await?})))
}

async fn undo(State(state): State<RuntimeState>, caller: Caller, At(set): At<String>) -> Result<Response, Problem> {
    Ok(begun(&state.engine().undo(&caller.cx, id(&set)?).await?))
}

async fn job(State(state): State<RuntimeState>, caller: Caller, At(job): At<String>) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().job(&caller.cx, id(&job)?).await?.json))
}
