//! In charge of public pools over HTTP: a record is claimed, given to somebody, given back, protected.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use engine::pools::{PoolAsk, PoolDeed};
use model::{Code, Input, Message, Violation};

use super::records::shown;
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/records/{entity}/{id}/pool", get(standing))
        .route("/records/{entity}/{id}/claim", post(claim))
        .route("/records/{entity}/{id}/release", post(release))
        .route("/records/{entity}/{id}/protect", post(protect))
        .route("/records/{entity}/{id}/unprotect", post(unprotect))
}

/// What may be done with a record, and until when it is protected.
async fn standing(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let (entity, record) = (state.engine().entity(&caller.cx, &entity)?.id, id(&record)?);
    state.engine().get(&caller.cx, entity, record, &engine::records::Shape::default()).await?;
    Ok(answer::ok(&state.engine().pool_standing(&caller.cx, entity, record).await?))
}

async fn claim(state: State<RuntimeState>, caller: Caller, at: At<(String, String)>, body: JsonBody) -> Result<Response, Problem> {
    act(state, caller, at, body, PoolDeed::Claim { to: None }).await
}

async fn release(state: State<RuntimeState>, caller: Caller, at: At<(String, String)>, body: JsonBody) -> Result<Response, Problem> {
    act(state, caller, at, body, PoolDeed::Release { reason: None }).await
}

async fn protect(state: State<RuntimeState>, caller: Caller, at: At<(String, String)>, body: JsonBody) -> Result<Response, Problem> {
    act(state, caller, at, body, PoolDeed::Protect).await
}

async fn unprotect(state: State<RuntimeState>, caller: Caller, at: At<(String, String)>, body: JsonBody) -> Result<Response, Problem> {
    act(state, caller, at, body, PoolDeed::Unprotect).await
}

async fn act(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    body: JsonBody,
    deed: PoolDeed,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let (mut deed, mut pool, mut faults) = (deed, None, Vec::new());
    for (key, input) in body.into_map()? {
        match (key.as_str(), input, &mut deed) {
            ("pool", Input::Text(name), _) => pool = Some(name),
            ("to", Input::Text(person), PoolDeed::Claim { to }) => *to = Some(id(&person)?),
            ("reason", Input::Text(text), PoolDeed::Release { reason }) => *reason = Some(text),
            ("pool", Input::Null, _) | ("to", Input::Null, PoolDeed::Claim { .. }) | ("reason", Input::Null, PoolDeed::Release { .. }) => {}
            ("pool", ..) | ("to", _, PoolDeed::Claim { .. }) | ("reason", _, PoolDeed::Release { .. }) => {
                faults.push(Violation::of_field(&key, Code::Malformed, Message::new("wrong_type").with("expected", "\"…\"")));
            }
            _ => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("unknown_key").with("name", &key))),
        }
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    let written = state.engine().pool(&caller.cx, PoolAsk { entity, record: id(&record)?, pool, deed }).await?;
    Ok(shown(StatusCode::OK, written))
}
