//! In charge of lists, groups and search.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};

use super::shape::{LIST, list, list_of_body};
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::http::query::{Query, wrong};
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/records/{entity}/query", post(query))
        .route("/records/{entity}/aggregate", post(aggregate))
        .route("/records/{entity}/{id}/related/{inverse}", get(related))
        .route("/search", get(search))
        .route("/recycle-bin", get(bin))
}

/// `GET /records/{entity}`; its route stands with the records.
pub(super) async fn page(
    State(state): State<RuntimeState>,
    caller: Caller,
    At(entity): At<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    query.only(&LIST).map_err(Problem::asking)?;
    let request = list(entity, &query, &headers).map_err(Problem::asking)?;
    let answer = state.engine().list(&caller.cx, request).await.map_err(asked)?;
    Ok(answer::bytes(StatusCode::OK, answer.to_json()))
}

async fn query(
    State(state): State<RuntimeState>,
    caller: Caller,
    At(entity): At<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let request = list_of_body(entity, &body.into_map()?, &headers).map_err(Problem::asking)?;
    let answer = state.engine().list(&caller.cx, request).await.map_err(asked)?;
    Ok(answer::bytes(StatusCode::OK, answer.to_json()))
}

async fn aggregate(State(state): State<RuntimeState>, caller: Caller, At(entity): At<String>, body: JsonBody) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let asked_for = body.input.to_json();
    let answer = state.engine().aggregate(&caller.cx, entity, asked_for).await.map_err(asked)?;
    Ok(answer::ok(&answer))
}

async fn related(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record, inverse)): At<(String, String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    query.only(&LIST).map_err(Problem::asking)?;
    let request = list(entity, &query, &headers).map_err(Problem::asking)?;
    let answer = state.engine().related(&caller.cx, entity, id(&record)?, &inverse, request).await.map_err(asked)?;
    Ok(answer::bytes(StatusCode::OK, answer.to_json()))
}

async fn search(State(state): State<RuntimeState>, caller: Caller, query: Query) -> Result<Response, Problem> {
    query.only(&["q", "limit"])?;
    let Some(words) = query.filled("q") else { return Err(wrong("q", "what to look for")) };
    let found = state.engine().search(&caller.cx, words, query.limit()?.unwrap_or(20)).await.map_err(asked)?;
    Ok(answer::ok(&found))
}

/// What lies in the bin of one entity.
async fn bin(State(state): State<RuntimeState>, caller: Caller, query: Query, headers: HeaderMap) -> Result<Response, Problem> {
    let known: Vec<&str> = LIST.into_iter().chain(["entity"]).collect();
    query.only(&known)?;
    let Some(name) = query.filled("entity") else { return Err(wrong("entity", "whose bin")) };
    let entity = state.engine().entity(&caller.cx, name)?.id;
    let request = engine::records::ListRequest { bin: true, ..list(entity, &query, &headers).map_err(Problem::asking)? };
    let answer = state.engine().list(&caller.cx, request).await.map_err(asked)?;
    Ok(answer::bytes(StatusCode::OK, answer.to_json()))
}

/// The fault of a request that only asks.
pub(super) fn asked(error: engine::Error) -> Problem {
    Problem::from(error).asking()
}
