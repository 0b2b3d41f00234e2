//! In charge of what machines ask a server: does it live, can it work, what does it count.
//! Invariant: no name and no number of a record is told here.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use engine::Error;

use crate::http::Guest;
use crate::http::problem::Problem;
use crate::state::RuntimeState;

pub(crate) fn router() -> Router<RuntimeState> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn alive() -> &'static str {
    "ok\n"
}

/// Whether the database answers.
async fn ready(State(state): State<RuntimeState>) -> Response {
    let answer = state.engine().store().read::<_, Error, _>(|tx| Ok(tx.revision()?)).await;
    match answer {
        Ok(_) if !*state.stopping().borrow() => "ok\n".into_response(),
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

async fn metrics(State(state): State<RuntimeState>, guest: Guest) -> Result<Response, Problem> {
    if !guest.facts.local && !state.settings().open_metrics {
        return Err(Error::Forbidden.into());
    }
    let mut response = state.metrics().text(state.engine().current().revision).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(response)
}
