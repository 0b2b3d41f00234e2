//! In charge of one record: made, read, changed, moved, put into the bin and taken out.
//! Invariant: a record that leaves the writer's sight is answered without: 204.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use engine::records::{Batch, Idempotency, Shape, Written};
use engine::{Ctx, Submission};
use indexmap::IndexMap;
use model::{Code, EntityId, Input, Message, Name, Violation};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::lists::{asked, page};
use super::shape::{SHAPE, WRITE, asking, shape};
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::{Problem, likeness_json};
use crate::http::query::{Query, wrong};
use crate::state::RuntimeState;

/// The longest idempotency key.
const LONGEST_KEY: usize = 255;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/records/{entity}", get(page).post(create))
        .route("/records/{entity}/{id}", get(read).patch(change).delete(remove))
        .route("/records/{entity}/{id}/restore", post(restore))
        .route("/records/{entity}/{id}/move", post(step))
        .route("/records/{entity}/duplicates", post(duplicates))
}

async fn create(
    State(state): State<RuntimeState>,
    caller: Caller,
    At(entity): At<String>,
    query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let def = state.engine().entity(&caller.cx, &entity)?;
    let (entity, name) = (def.id, def.name.to_string());
    query.only(&WRITE)?;
    let shape = shape(&query, &headers)?;
    let idempotency = idempotency(&headers, &format!("POST /records/{name}"), &body.bytes)?;
    let submission = Submission::Create { id: None, values: body.into_map()? };
    let written = write(&state, &asking(&caller.cx, &query)?, entity, submission, shape, idempotency).await?;
    let location = format!("/api/v1/records/{name}/{}", written.id);
    let mut response = shown(StatusCode::CREATED, written);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn read(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let def = state.engine().entity(&caller.cx, &entity)?;
    let (entity, name) = (def.id, def.name.to_string());
    query.only(&SHAPE).map_err(Problem::asking)?;
    let shape = shape(&query, &headers).map_err(Problem::asking)?;
    let record = id(&record)?;
    let found = state.engine().get(&caller.cx, entity, record, &shape).await;
    // What was merged into another leads there.
    if found.as_ref().map_or_else(|error| matches!(error, engine::Error::NotFound), |answer| answer.binned)
        && let Some(into) = state.engine().merged_into(&caller.cx, entity, record).await?
    {
        return Ok(answer::elsewhere(&format!("/api/v1/records/{name}/{into}")));
    }
    let answer = found.map_err(asked)?;
    Ok(answer::record(StatusCode::OK, answer.version, answer.json))
}

async fn change(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let def = state.engine().entity(&caller.cx, &entity)?;
    let (entity, name) = (def.id, def.name.to_string());
    query.only(&WRITE)?;
    let shape = shape(&query, &headers)?;
    let id = id(&record)?;
    let idempotency = idempotency(&headers, &format!("PATCH /records/{name}/{id}"), &body.bytes)?;
    let mut values = body.into_map()?;
    let version = version(&headers, &mut values)?;
    let written = write(&state, &asking(&caller.cx, &query)?, entity, Submission::Update { id, version, values }, shape, idempotency).await?;
    Ok(moved(written))
}

async fn remove(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    query.only(&["version"])?;
    let named = match query.filled("version") {
        Some(text) => Some(text.parse().map_err(|_| wrong("version", "no whole number"))?),
        None => None,
    };
    let version = answer::if_match(&headers)?.or(named);
    let batch = Batch::one(entity, Submission::Delete { id: id(&record)?, version });
    done(&state, &caller.cx, batch).await?;
    Ok(answer::empty())
}

async fn restore(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    query.only(&SHAPE)?;
    let written = write(&state, &caller.cx, entity, Submission::Restore { id: id(&record)? }, shape(&query, &headers)?, None).await?;
    Ok(shown(StatusCode::OK, written))
}

/// A move in a pipeline: `{"stage", "values", "skip", "field", "version"}`.
async fn step(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let def = state.engine().entity(&caller.cx, &entity)?;
    let (entity, name) = (def.id, def.name.to_string());
    query.only(&WRITE)?;
    let shape = shape(&query, &headers)?;
    let id = id(&record)?;
    let idempotency = idempotency(&headers, &format!("POST /records/{name}/{id}/move"), &body.bytes)?;
    let mut asked_for = body.into_map()?;
    let version = version(&headers, &mut asked_for)?;
    let submission = moving(id, version, asked_for)?;
    let written = write(&state, &asking(&caller.cx, &query)?, entity, submission, shape, idempotency).await?;
    Ok(moved(written))
}

/// What may be there already, looked at before saving: `{"values", "id"}`, with the record where it is one that is there.
async fn duplicates(State(state): State<RuntimeState>, caller: Caller, At(entity): At<String>, body: JsonBody) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let (mut values, mut record, mut faults) = (IndexMap::new(), None, Vec::new());
    let wrong = |key: &str, expected: &str| Violation::of_field(key, Code::Malformed, Message::new("wrong_type").with("expected", expected));
    for (key, input) in body.into_map()? {
        match (key.as_str(), input) {
            ("values", Input::Map(map)) => values = map,
            ("id", Input::Text(text)) => record = Some(id(&text)?),
            ("id", Input::Null) => {}
            ("values", _) => faults.push(wrong("values", "{…}")),
            ("id", _) => faults.push(wrong("id", "\"0190…\"")),
            _ => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("unknown_key").with("name", &key))),
        }
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    let found = state.engine().duplicates(&caller.cx, entity, record, values).await?;
    let data: Vec<_> = found.iter().map(|likeness| likeness_json(likeness, &caller.cx.locale)).collect();
    Ok(answer::ok(&json!({"data": data})))
}

/// A record that was changed; of a move that has to be approved first, the approval that was begun.
fn moved(written: Written) -> Response {
    match written.approval {
        Some(approval) => answer::json(StatusCode::ACCEPTED, &json!({"approval": approval})),
        None => shown(StatusCode::OK, written),
    }
}

fn moving(id: uuid::Uuid, version: Option<i64>, body: IndexMap<String, Input>) -> Result<Submission, Problem> {
    let (mut to, mut field, mut values, mut skip, mut faults) = (None, None, IndexMap::new(), IndexMap::new(), Vec::new());
    let wrong = |key: &str, expected: &str| Violation::of_field(key, Code::Malformed, Message::new("wrong_type").with("expected", expected));
    for (key, input) in body {
        match (key.as_str(), input) {
            ("stage", Input::Text(text)) => to = Some(text),
            ("field", Input::Text(text)) => match Name::parse(&text) {
                Some(name) => field = Some(name),
                None => faults.push(wrong("field", "\"stage\"")),
            },
            ("values", Input::Map(map)) => values = map,
            ("skip", Input::Map(map)) => {
                for (step, reason) in map {
                    match reason {
                        Input::Text(reason) => drop(skip.insert(step, reason)),
                        _ => faults.push(wrong("skip", "{\"step\": \"why\"}")),
                    }
                }
            }
            ("field" | "values" | "skip", Input::Null) => {}
            ("stage" | "field", _) => faults.push(wrong(&key, "\"…\"")),
            ("values" | "skip", _) => faults.push(wrong(&key, "{…}")),
            _ => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("unknown_key").with("name", &key))),
        }
    }
    match to {
        Some(to) if faults.is_empty() => Ok(Submission::Move { id, version, field, to, values, skip }),
        Some(_) => Err(Problem::faults(faults)),
        None => {
            if !faults.iter().any(|fault| fault.field.as_deref() == Some("stage")) {
                faults.push(Violation::of_field("stage", Code::Required, Message::new("required")));
            }
            Err(Problem::faults(faults))
        }
    }
}

/// The version that the client saw: by `If-Match`, else as a member of the body.
fn version(headers: &HeaderMap, values: &mut IndexMap<String, Input>) -> Result<Option<i64>, Problem> {
    let named = match values.shift_remove("version") {
        None | Some(Input::Null) => None,
        Some(number) => {
            let wrong = || Violation::of_field("version", Code::WrongType, Message::new("wrong_type").with("expected", "3"));
            Some(number.as_int().ok_or_else(|| Problem::faults(vec![wrong()]))?)
        }
    };
    Ok(answer::if_match(headers)?.or(named))
}

/// The key under which the request may be sent again.
pub(super) fn idempotency(headers: &HeaderMap, route: &str, body: &Bytes) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY => {
            Ok(Some(Idempotency { key: key.to_owned(), route: route.to_owned(), body_hash: Sha256::digest(body).into() }))
        }
        Ok(_) | Err(_) => Err(wrong("Idempotency-Key", "1 to 255 plain characters")),
    }
}

pub(super) async fn write(
    state: &RuntimeState,
    cx: &Ctx,
    entity: EntityId,
    submission: Submission,
    shape: Shape,
    idempotency: Option<Idempotency>,
) -> Result<Written, Problem> {
    done(state, cx, Batch { idempotency, answer: Some(shape), ..Batch::one(entity, submission) }).await
}

async fn done(state: &RuntimeState, cx: &Ctx, batch: Batch) -> Result<Written, Problem> {
    let results = state.engine().write(cx, batch).await?;
    let result = results.into_iter().next().ok_or_else(|| engine::Error::Internal("a write without a result".to_owned()))?;
    Ok(result?)
}

/// A record that was written, as far as the writer still sees it.
pub(super) fn shown(status: StatusCode, written: Written) -> Response {
    match written.json {
        Some(json) => answer::record(status, written.version, json),
        None => answer::empty(),
    }
}
