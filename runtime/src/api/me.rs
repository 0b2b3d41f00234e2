//! In charge of one's own account: who I am, my sessions, my tokens, my preferences.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{delete, get};
use chrono::{DateTime, Utc};
use engine::auth::NewToken;
use engine::{Caller as Who, Error};
use model::{Code, Input, Message, Value, Violation};
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::personal::PREFERENCE;
use uuid::Uuid;

use super::auth::MADE;
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::state::RuntimeState;

/// The most bytes that one person's preferences take.
const MAX_PREFERENCES: usize = 64 << 10;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/me", get(me))
        .route("/me/sessions", get(sessions).delete(end_others))
        .route("/me/sessions/{id}", delete(end_session))
        .route("/me/tokens", get(tokens).post(make_token))
        .route("/me/tokens/{id}", delete(end_token))
        .route("/me/preferences", get(preferences).patch(prefer))
        .route("/meta", get(meta))
}

async fn me(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    let Who::Person(person) = &caller.cx.caller else { return Err(Error::Unauthenticated.into()) };
    let user = state.auth().user(person.id).await?;
    let mut told = json!({
        "id": person.id,
        "email": user.email,
        "name": user.name,
        "roles": person.roles,
        "admin": person.admin,
        "department": person.department,
        "locale": caller.cx.locale,
        "time_zone": person.zone.name(),
    });
    if let (Some(csrf), Some(map)) = (&caller.csrf, told.as_object_mut()) {
        map.insert("csrf".to_owned(), csrf.clone().into());
    }
    Ok(answer::ok(&told))
}

async fn meta(State(state): State<RuntimeState>, caller: Caller) -> Response {
    answer::ok(&state.engine().meta(&caller.cx))
}

async fn sessions(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    let data: Vec<Json> = state
        .auth()
        .sessions(caller.verified.user)
        .await?
        .into_iter()
        .map(|session| {
            json!({
                "id": session.id,
                "created_at": session.created_at,
                "seen_at": session.seen_at,
                "expires_at": session.expires_at,
                "address": session.address,
                "agent": session.agent,
                "current": session.id == caller.verified.id,
            })
        })
        .collect();
    Ok(answer::ok(&json!({"data": data})))
}

async fn end_others(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    state.auth().end_all(caller.verified.user, Some(&caller.verified)).await?;
    Ok(answer::empty())
}

async fn end_session(State(state): State<RuntimeState>, caller: Caller, At(session): At<String>) -> Result<Response, Problem> {
    state.auth().end(caller.verified.user, id(&session)?).await?;
    Ok(answer::empty())
}

async fn tokens(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    let data: Vec<Json> = state.auth().tokens(caller.verified.user).await?.iter().map(token_json).collect();
    Ok(answer::ok(&json!({"data": data})))
}

fn token_json(token: &engine::auth::TokenInfo) -> Json {
    json!({"id": token.id, "name": token.name, "scopes": token.scopes, "created_at": token.created_at, "expires_at": token.expires_at})
}

/// `{"name", "scopes", "expires_at"}`; the secret is in this answer and never again.
async fn make_token(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    // A token with scopes must not make itself one without.
    if !caller.verified.scopes.is_empty() {
        return Err(Problem::of(Code::Forbidden, Message::new("scope")));
    }
    let (secret, token) = state.auth().make_token(caller.verified.user, new_token(&body.input)?).await?;
    let mut told = token_json(&token);
    if let Some(map) = told.as_object_mut() {
        map.insert("token".to_owned(), secret.into());
    }
    Ok(answer::json(MADE, &told))
}

fn new_token(body: &Input) -> Result<NewToken, Problem> {
    let mut faults = Vec::new();
    // A term that nobody reads would make a token without end.
    if let Input::Map(map) = body {
        for key in map.keys().filter(|key| !["name", "scopes", "expires_at"].contains(&key.as_str())) {
            faults.push(Violation::of_field(key, Code::Malformed, Message::new("unknown_key").with("name", key)));
        }
    }
    let mut wrong =
        |key: &str, expected: &str| faults.push(Violation::of_field(key, Code::WrongType, Message::new("wrong_type").with("expected", expected)));
    let name = match body.get("name") {
        None | Some(Input::Null) => String::new(),
        Some(Input::Text(text)) => text.clone(),
        Some(_) => {
            wrong("name", "\"…\"");
            String::new()
        }
    };
    let scopes = match body.get("scopes") {
        None | Some(Input::Null) => Vec::new(),
        Some(Input::List(words)) => words.iter().map(|word| word.as_text().unwrap_or_default().to_owned()).collect(),
        Some(_) => {
            wrong("scopes", "[\"read\"]");
            Vec::new()
        }
    };
    let expires_at = match body.get("expires_at") {
        None | Some(Input::Null) => None,
        Some(moment) => {
            let read = moment.as_text().and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map(|moment| moment.with_timezone(&Utc));
            if read.is_none() {
                wrong("expires_at", "\"2030-01-31T12:00:00Z\"");
            }
            read
        }
    };
    if faults.is_empty() { Ok(NewToken { name, scopes, expires_at }) } else { Err(Problem::faults(faults)) }
}

async fn end_token(State(state): State<RuntimeState>, caller: Caller, At(token): At<String>) -> Result<Response, Problem> {
    state.auth().end_token(caller.verified.user, id(&token)?).await?;
    Ok(answer::empty())
}

async fn preferences(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&Json::Object(preferences_of(&state, caller.verified.user).await?)))
}

pub(crate) async fn preferences_of(state: &RuntimeState, user: Uuid) -> Result<Map<String, Json>, Error> {
    let rows = state.engine().store().read::<_, Error, _>(move |tx| Ok(tx.find(&PREFERENCE, &[Cond::Eq("user", user.into())], &[], 1)?)).await?;
    Ok(rows.first().and_then(|row| row.get(1)).and_then(object).unwrap_or_default())
}

fn object(value: &Value) -> Option<Map<String, Json>> {
    match value {
        Value::Json(json) => json.as_object().cloned(),
        _ => None,
    }
}

/// A merge patch; `null` takes a preference away.
async fn prefer(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    let patch = body.into_map()?;
    let user = caller.verified.user;
    let merged = state
        .engine()
        .store()
        .write::<_, Error, _>(move |tx| {
            let rows = tx.find(&PREFERENCE, &[Cond::Eq("user", user.into())], &[], 1)?;
            let mut merged = rows.first().and_then(|row| row.get(1)).and_then(object).unwrap_or_default();
            for (name, value) in &patch {
                if *value == Input::Null {
                    merged.remove(name);
                } else {
                    merged.insert(name.clone(), value.to_json());
                }
            }
            let whole = Json::Object(merged);
            if whole.to_string().len() > MAX_PREFERENCES {
                return Err(Error::of(Code::TooLarge, Message::new("too_large").with("max", MAX_PREFERENCES)));
            }
            tx.put_over(&PREFERENCE, vec![user.into(), Value::Json(Arc::new(whole.clone()))])?;
            Ok(whole)
        })
        .await?;
    Ok(answer::ok(&merged))
}
