//! In charge of one's own notices over the API: how many are unread, and that they were read.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use model::{Code, Input, Message, Violation};
use serde_json::json;
use uuid::Uuid;

use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::problem::Problem;
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/me/notices", get(unread)).route("/me/notices/read", post(read))
}

/// `{"unread": 3}`.
async fn unread(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&json!({"unread": state.engine().unread(&caller.cx).await?})))
}

/// `{"id": …}`, or all where none is named; how many are unread then.
async fn read(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    let only = match body.input.get("id") {
        None | Some(Input::Null) => None,
        Some(id) => {
            let wrong =
                || Problem::faults(vec![Violation::of_field("id", Code::WrongType, Message::new("wrong_type").with("expected", "\"0193…\""))]);
            Some(id.as_text().and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(wrong)?)
        }
    };
    state.engine().read_notices(&caller.cx, only).await?;
    unread(State(state), caller).await
}
