//! In charge of signing in and out, and of passwords.
//! Invariant: no answer tells whether an address has an account.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use engine::auth::secret;
use indexmap::IndexMap;
use model::{Code, Input, Message, Violation};
use serde_json::{Map, json};

use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::cookie;
use crate::http::problem::Problem;
use crate::http::{Caller, Guest};
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/auth/login", post(login))
        .route("/auth/logout", post(logout))
        .route("/auth/password", post(password))
        .route("/auth/reset", post(reset))
}

async fn login(State(state): State<RuntimeState>, guest: Guest, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    let body = body.into_map()?;
    let [email, password] = texts(&body, ["email", "password"])?;
    let with_token = body.get("token").and_then(Input::as_bool).unwrap_or_default() || !headers.contains_key(header::ORIGIN);
    let signed_in = state.auth().sign_in(&email, &password, &guest.facts.client, with_token).await?;
    let mut told = Map::new();
    told.insert("user".to_owned(), json!({"id": signed_in.user}));
    told.insert("csrf".to_owned(), secret::csrf(&signed_in.secret).into());
    if let Some(token) = &signed_in.token {
        told.insert("token".to_owned(), token.clone().into());
    }
    let mut response = answer::ok(&told.into());
    if let Some(cookie) = cookie::set(&signed_in, guest.facts.secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn logout(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    state.auth().end_own(&caller.verified).await?;
    let mut response = answer::empty();
    if let Some(cookie) = cookie::clear(caller.facts.secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// One's own password: `{"current", "new"}`. All other sessions end.
async fn password(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    let [current, new] = texts(&body.into_map()?, ["current", "new"])?;
    state.auth().change_password(&caller.verified, &current, &new, &caller.facts.client).await?;
    Ok(answer::empty())
}

/// A password by a link: `{"token", "password"}`.
async fn reset(State(state): State<RuntimeState>, guest: Guest, body: JsonBody) -> Result<Response, Problem> {
    let [token, new] = texts(&body.into_map()?, ["token", "password"])?;
    state.auth().set_by_link(&token, &new, &guest.facts.client).await?;
    Ok(answer::empty())
}

/// Texts of a body; every one that is missing or none is a fault.
pub(super) fn texts<const N: usize>(body: &IndexMap<String, Input>, keys: [&str; N]) -> Result<[String; N], Problem> {
    let mut faults = Vec::new();
    let texts = keys.map(|key| match body.get(key) {
        Some(Input::Text(text)) if !text.is_empty() => text.clone(),
        None | Some(Input::Null | Input::Text(_)) => {
            faults.push(Violation::of_field(key, Code::Required, Message::new("required")));
            String::new()
        }
        Some(_) => {
            faults.push(Violation::of_field(key, Code::WrongType, Message::new("wrong_type").with("expected", "\"…\"")));
            String::new()
        }
    });
    if faults.is_empty() { Ok(texts) } else { Err(Problem::faults(faults)) }
}

/// The status of something that was made.
pub(super) const MADE: StatusCode = StatusCode::CREATED;
