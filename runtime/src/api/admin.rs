//! In charge of administration: people, departments.
//! Invariant: for administrators alone; what is written still goes through the path of all records.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use engine::auth::NewUser;
use engine::records::{Batch, Shape};
use engine::{Ctx, Error, Submission};
use model::{Code, Input, Message, Violation};
use serde_json::json;
use uuid::Uuid;

use super::lists::asked;
use super::shape::{LIST, list};
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/admin/users", get(users).post(add_user))
        .route("/admin/users/{id}", get(user).patch(change_user))
        .route("/admin/users/{id}/reset-password", post(reset_password))
        .route("/admin/users/{id}/sessions", axum::routing::delete(end_sessions))
        .route("/admin/departments", get(departments).post(add_department))
}

/// That an administrator asks.
pub(super) fn administrator(cx: &Ctx) -> Result<(), Error> {
    if cx.caller.is_admin() { Ok(()) } else { Err(Error::Forbidden) }
}

async fn all(state: &RuntimeState, caller: &Caller, entity: &str, query: &Query, headers: &HeaderMap) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    query.only(&LIST).map_err(Problem::asking)?;
    let entity = state.engine().entity(&caller.cx, entity)?.id;
    let request = list(entity, query, headers).map_err(Problem::asking)?;
    let answer = state.engine().list(&caller.cx, request).await.map_err(asked)?;
    Ok(answer::bytes(StatusCode::OK, answer.to_json()))
}

async fn users(State(state): State<RuntimeState>, caller: Caller, query: Query, headers: HeaderMap) -> Result<Response, Problem> {
    all(&state, &caller, "core.user", &query, &headers).await
}

async fn departments(State(state): State<RuntimeState>, caller: Caller, query: Query, headers: HeaderMap) -> Result<Response, Problem> {
    all(&state, &caller, "core.department", &query, &headers).await
}

/// `{"email", "name", "roles", "department", "manager", "password", …}`.
async fn add_user(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    let mut more = body.into_map()?;
    let password = match more.shift_remove("password") {
        None | Some(Input::Null) => None,
        Some(Input::Text(password)) => Some(password),
        Some(_) => {
            let message = Message::new("wrong_type").with("expected", "\"…\"");
            return Err(Problem::faults(vec![Violation::of_field("password", Code::WrongType, message)]));
        }
    };
    let user = state.auth().create_user(&caller.cx, NewUser { password, more, ..NewUser::default() }).await?;
    let mut response = one(&state, &caller, user, StatusCode::CREATED).await?;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/admin/users/{user}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn one(state: &RuntimeState, caller: &Caller, user: Uuid, status: StatusCode) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, "core.user")?.id;
    let answer = state.engine().get(&caller.cx, entity, user, &Shape::default()).await?;
    Ok(answer::record(status, answer.version, answer.json))
}

async fn user(State(state): State<RuntimeState>, caller: Caller, At(user): At<String>) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    one(&state, &caller, id(&user)?, StatusCode::OK).await
}

async fn change_user(
    State(state): State<RuntimeState>,
    caller: Caller,
    At(user): At<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    let user = id(&user)?;
    let mut values = body.into_map()?;
    let named = values.shift_remove("version").and_then(|version| version.as_int());
    state.auth().update_user(&caller.cx, user, answer::if_match(&headers)?.or(named), values).await?;
    one(&state, &caller, user, StatusCode::OK).await
}

/// Ends the person's sessions; answers a link by which they set a new password, good once and for a day.
async fn reset_password(State(state): State<RuntimeState>, caller: Caller, At(user): At<String>) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    let token = state.auth().reset_password(id(&user)?).await?;
    let base = state.settings().base_url.clone().unwrap_or_default();
    Ok(answer::ok(&json!({"token": token, "link": format!("{base}/reset/{token}")})))
}

async fn end_sessions(State(state): State<RuntimeState>, caller: Caller, At(user): At<String>) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    state.auth().end_all(id(&user)?, None).await?;
    Ok(answer::empty())
}

async fn add_department(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    let entity = state.engine().entity(&caller.cx, "core.department")?.id;
    let submission = Submission::Create { id: None, values: body.into_map()? };
    let batch = Batch { answer: Some(Shape::default()), ..Batch::one(entity, submission) };
    let written = state.engine().write(&caller.cx, batch).await?.pop().ok_or_else(|| Error::Internal("a write without a result".to_owned()))??;
    Ok(super::records::shown(StatusCode::CREATED, written))
}
