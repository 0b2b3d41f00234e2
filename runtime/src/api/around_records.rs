//! In charge of what stands around a record: its history, its members, its notes, its activities.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{delete, get, put};
use engine::Submission;
use engine::records::{ListRequest, Member};
use indexmap::IndexMap;
use model::{Code, Input, Message, Violation};
use serde_json::{Value as Json, json};

use super::lists::asked;
use super::records::{idempotency, shown, write};
use super::shape::{LIST, list};
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Lines of a page of history that names no number.
const LINES: u32 = 50;
/// The most lines of a timeline.
const MOST_LINES: u32 = 200;
/// The relations whose records are about this one.
const ABOUT: [&str; 4] = ["notes", "activities", "tasks", "files"];

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/records/{entity}/{id}/history", get(history))
        .route("/records/{entity}/{id}/timeline", get(timeline))
        .route("/records/{entity}/{id}/members", get(members).post(set_member))
        .route("/records/{entity}/{id}/members/{user}", delete(end_member))
        .route("/records/{entity}/{id}/followers", get(followers))
        .route("/records/{entity}/{id}/followers/me", put(follow).delete(unfollow))
        .route("/records/{entity}/{id}/notes", get(notes).post(add_note))
        .route("/records/{entity}/{id}/activities", get(activities).post(add_activity))
}

async fn members(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let members = state.engine().members(&caller.cx, entity, id(&record)?).await?;
    Ok(answer::ok(&json!({"data": members.into_iter().map(Member::to_json).collect::<Vec<_>>()})))
}

async fn followers(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    query.only(&["after"])?;
    let found = state.engine().followers(&caller.cx, entity, id(&record)?, query.filled("after")).await.map_err(asked)?;
    Ok(answer::ok(&json!({"data": found.data, "next": found.next, "mine": found.mine})))
}

async fn follow(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    state.engine().follow(&caller.cx, entity, id(&record)?, true).await?;
    Ok(answer::empty())
}

async fn unfollow(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    state.engine().follow(&caller.cx, entity, id(&record)?, false).await?;
    Ok(answer::empty())
}

/// `{"user", "right": "read" or "write"}`.
async fn set_member(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let (mut user, mut may_write, mut faults) = (None, false, Vec::new());
    for (key, input) in body.into_map()? {
        match (key.as_str(), input.as_text()) {
            ("user", Some(text)) if uuid::Uuid::try_parse(text).is_ok() => user = uuid::Uuid::try_parse(text).ok(),
            ("right", Some("read")) => may_write = false,
            ("right", Some("write")) => may_write = true,
            ("user" | "right", _) => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("wrong_type").with("expected", "\"…\""))),
            _ => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("unknown_key").with("name", &key))),
        }
    }
    let Some(user) = user.filter(|_| faults.is_empty()) else {
        if faults.is_empty() {
            faults.push(Violation::of_field("user", Code::Malformed, Message::new("required")));
        }
        return Err(Problem::faults(faults));
    };
    state.engine().set_member(&caller.cx, entity, id(&record)?, Member { user, may_write }).await?;
    Ok(answer::empty())
}

async fn end_member(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record, user)): At<(String, String, String)>,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    state.engine().end_member(&caller.cx, entity, id(&record)?, id(&user)?).await?;
    Ok(answer::empty())
}

async fn history(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    query.only(&["after", "limit"])?;
    let limit = query.limit()?.unwrap_or(LINES);
    let lines = state.engine().history(&caller.cx, entity, id(&record)?, query.filled("after"), limit).await.map_err(asked)?;
    Ok(answer::ok(&lines))
}

/// Everything that happened, newest first: the record's own history, and what was added about it.
async fn timeline(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    let def = state.engine().entity(&caller.cx, &entity)?;
    let (entity, record) = (def.id, id(&record)?);
    query.only(&["limit"])?;
    let limit = query.limit()?.unwrap_or(LINES).clamp(1, MOST_LINES);
    let history = state.engine().history(&caller.cx, entity, record, None, limit).await.map_err(asked)?;
    let mut lines: Vec<Json> = history["data"].as_array().cloned().unwrap_or_default();
    for line in &mut lines {
        line["kind"] = "change".into();
    }
    for inverse in ABOUT {
        let Some(relation) = def.inverses.get(inverse).filter(|relation| caller.cx.grants.sees(relation.entity)) else { continue };
        let request = ListRequest { sort: Some("-created_at".to_owned()), limit: Some(limit), ..ListRequest::of(relation.entity) };
        let page = state.engine().related(&caller.cx, entity, record, inverse, request).await.map_err(asked)?;
        let name = caller.cx.app.schema.entity(relation.entity).name.to_string();
        for row in page.rows {
            let record: Json = serde_json::from_slice(&row).unwrap_or_default();
            lines.push(json!({"kind": inverse, "entity": name, "at": record["created_at"], "by": record["created_by"], "record": record}));
        }
    }
    lines.sort_by(|one, other| other["at"].as_str().cmp(&one["at"].as_str()));
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(answer::ok(&json!({"data": lines, "next": null})))
}

async fn notes(state: State<RuntimeState>, caller: Caller, at: At<(String, String)>, query: Query, headers: HeaderMap) -> Result<Response, Problem> {
    related(state, caller, at, query, headers, "notes").await
}

async fn activities(
    state: State<RuntimeState>,
    caller: Caller,
    at: At<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    related(state, caller, at, query, headers, "activities").await
}

async fn related(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
    headers: HeaderMap,
    inverse: &str,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    query.only(&LIST).map_err(Problem::asking)?;
    let request = list(entity, &query, &headers).map_err(Problem::asking)?;
    let answer = state.engine().related(&caller.cx, entity, id(&record)?, inverse, request).await.map_err(asked)?;
    Ok(answer::bytes(StatusCode::OK, answer.to_json()))
}

async fn add_note(
    state: State<RuntimeState>,
    caller: Caller,
    at: At<(String, String)>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    add(state, caller, at, headers, body, "core.note").await
}

async fn add_activity(
    state: State<RuntimeState>,
    caller: Caller,
    at: At<(String, String)>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    add(state, caller, at, headers, body, "core.activity").await
}

/// Adds what is about a record.
async fn add(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    headers: HeaderMap,
    body: JsonBody,
    kind: &str,
) -> Result<Response, Problem> {
    let (about, record) = (state.engine().entity(&caller.cx, &entity)?.name.to_string(), id(&record)?);
    let target = state.engine().entity(&caller.cx, kind)?.id;
    let idempotency = idempotency(&headers, &format!("POST {kind} about {about}/{record}"), &body.bytes)?;
    let mut values = body.into_map()?;
    if values.contains_key("about") {
        let fault = Violation::of_field("about", Code::Malformed, Message::new("unknown_key").with("name", "about"));
        return Err(Problem::faults(vec![fault]));
    }
    let about = IndexMap::from([("entity".to_owned(), Input::Text(about)), ("id".to_owned(), Input::Text(record.to_string()))]);
    values.insert("about".to_owned(), Input::Map(about));
    let shape = engine::records::Shape { numbers: answer::numbers(&headers), ..engine::records::Shape::default() };
    let written = write(&state, &caller.cx, target, Submission::Create { id: None, values }, shape, idempotency).await?;
    Ok(shown(StatusCode::CREATED, written))
}
