//! In charge of settings that an administrator changes without a publish.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::admin::administrator;
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::problem::Problem;
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/admin/settings", get(settings).patch(set))
}

async fn settings(caller: Caller) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    Ok(answer::ok(&json!({"data": caller.cx.app.settings})))
}

/// `{"sales": {"price_factor": 1.1}}`; `null` brings an app's own default back.
async fn set(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    state.engine().set_settings(&caller.cx, &body.into_map()?).await?;
    Ok(answer::ok(&json!({"data": state.engine().current().settings})))
}
