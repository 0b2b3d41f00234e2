//! In charge of automations: their runs, buttons on records, calls from other systems, secrets of apps.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use engine::automations::buttons::{Button, Pressed};
use engine::automations::replay::ReplayAsked;
use engine::automations::verbs::RunFilter;
use indexmap::IndexMap;
use model::{Code, Input, Message, Violation};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::http::query::{Query, wrong};
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/automations", get(all))
        .route("/automations/{automation}/switch", post(switch))
        .route("/automations/{automation}/replay", post(replay))
        .route("/automations/runs", get(runs))
        .route("/automations/runs/{id}", get(run))
        .route("/automations/runs/{id}/retry", post(retry))
        .route("/automations/runs/{id}/cancel", post(cancel))
        .route("/automations/{automation}/hook", get(hook_address))
        .route("/records/{entity}/{id}/buttons", get(buttons))
        .route("/records/{entity}/{id}/buttons/{button}", post(press))
        .route("/records/{entity}/buttons/{button}", post(press_many))
        .route("/admin/secrets/{app}", get(secrets).patch(set_secrets))
}

/// What other systems call: no session, a secret in the address.
pub(crate) fn hooks() -> Router<RuntimeState> {
    Router::new().route("/hooks/{automation}/{secret}", post(hook))
}

/// All automations.
async fn all(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().automations(&caller.cx).await?))
}

/// `{"on", "cancel_waiting"}`: a new revision; what waits of it goes on, unless it is to be cancelled.
async fn switch(State(state): State<RuntimeState>, caller: Caller, At(automation): At<String>, body: JsonBody) -> Result<Response, Problem> {
    let flag = |name: &str| match body.input.get(name) {
        None | Some(Input::Null) => Ok(None),
        Some(Input::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Problem::faults(vec![Violation::of_field(name, Code::WrongType, Message::new("wrong_type").with("expected", "true"))])),
    };
    let on = flag("on")?.ok_or_else(|| Problem::faults(vec![Violation::of_field("on", Code::Required, Message::new("required"))]))?;
    let (revision, cancelled) = state.engine().switch_automation(&caller.cx, &automation, on, flag("cancel_waiting")?.unwrap_or(false)).await?;
    Ok(answer::ok(&json!({"revision": revision, "cancelled": cancelled})))
}

/// `{"from", "until", "after", "limit"}`: what it would have done on what happened then, with nothing of it kept.
async fn replay(State(state): State<RuntimeState>, caller: Caller, At(automation): At<String>, body: JsonBody) -> Result<Response, Problem> {
    let mut faults = Vec::new();
    let mut wrong = |name: &str, expected: &str| {
        faults.push(Violation::of_field(name, Code::WrongType, Message::new("wrong_type").with("expected", expected)));
    };
    let (mut from, mut until, mut after, mut limit) = (None, None, None, None);
    for (key, input) in body.into_map()? {
        match (key.as_str(), &input) {
            (_, Input::Null) => {}
            ("from", Input::Text(text)) => from = model::field::scalar::read_datetime(text),
            ("until", Input::Text(text)) => until = model::field::scalar::read_datetime(text),
            ("after", Input::Text(text)) => match text.parse::<i64>() {
                Ok(seq) if seq >= 0 => after = Some(seq),
                Ok(_) | Err(_) => wrong("after", "\"…\""),
            },
            ("limit", Input::Number(digits)) => match digits.parse::<u32>() {
                Ok(number) => limit = Some(number),
                Err(_) => wrong("limit", "20"),
            },
            (key, _) => wrong(key, "from, until, after, limit"),
        }
    }
    for (name, moment) in [("from", from), ("until", until)] {
        if moment.is_none() {
            wrong(name, "2026-03-02T09:00:00Z");
        }
    }
    let (Some(from), Some(until), true) = (from, until, faults.is_empty()) else { return Err(Problem::faults(faults)) };
    Ok(answer::ok(&state.engine().replay_automation(&caller.cx, &automation, ReplayAsked { from, until, after, limit }).await?))
}

/// Runs, newest first: `automation`, `state`, `record`, `before`, `limit`.
async fn runs(State(state): State<RuntimeState>, caller: Caller, query: Query) -> Result<Response, Problem> {
    query.only(&["automation", "state", "record", "before", "limit"])?;
    let uuid = |name: &str| -> Result<Option<Uuid>, Problem> {
        query.filled(name).map(|text| Uuid::try_parse(text).map_err(|_| wrong(name, &format!("`{text}` is no id")))).transpose()
    };
    let filter = RunFilter {
        automation: query.filled("automation").map(str::to_owned),
        state: query.filled("state").map(str::to_owned),
        record: uuid("record")?,
        before: uuid("before")?,
        limit: query.limit()?,
    };
    Ok(answer::ok(&state.engine().runs(&caller.cx, filter).await?))
}

async fn run(State(state): State<RuntimeState>, caller: Caller, At(run): At<String>) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().run(&caller.cx, id(&run)?).await?))
}

async fn retry(State(state): State<RuntimeState>, caller: Caller, At(run): At<String>) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().retry_run(&caller.cx, id(&run)?).await?))
}

async fn cancel(State(state): State<RuntimeState>, caller: Caller, At(run): At<String>) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().cancel_run(&caller.cx, id(&run)?).await?))
}

/// Where another system calls an automation: `{"path"}`, for an administrator.
async fn hook_address(State(state): State<RuntimeState>, caller: Caller, At(automation): At<String>) -> Result<Response, Problem> {
    if !caller.cx.caller.is_admin() {
        return Err(engine::Error::Forbidden.into());
    }
    Ok(answer::ok(&json!({"path": format!("/hooks/{automation}/{}", state.engine().hook_secret(&automation))})))
}

/// The buttons that the caller may press on a record.
async fn buttons(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let found = state.engine().buttons(&caller.cx, entity, id(&record)?).await?;
    let data: Vec<Json> = found.iter().map(Button::to_json).collect();
    Ok(answer::ok(&json!({"data": data})))
}

/// Presses a button: the body holds the answers to what it asks, by name.
async fn press(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record, button)): At<(String, String, String)>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let answers = body.input.as_map().cloned().unwrap_or_default();
    let pressed = state.engine().press(&caller.cx, entity, &[id(&record)?], &button, answers).await?;
    Ok(answer::ok(&pressed.first().map(told).unwrap_or_default()))
}

/// Presses a button on several records, all or none: `{"ids": […], "values": {…}}`.
async fn press_many(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, button)): At<(String, String)>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    let ids = body.input.get("ids").and_then(Input::as_list).unwrap_or_default();
    let ids: Vec<Uuid> = ids.iter().filter_map(|id| id.as_text().and_then(|text| Uuid::try_parse(text).ok())).collect();
    if ids.is_empty() {
        return Err(Problem::faults(vec![Violation::of_field("ids", Code::Required, Message::new("required"))]));
    }
    let answers: IndexMap<String, Input> = body.input.get("values").and_then(Input::as_map).cloned().unwrap_or_default();
    let pressed = state.engine().press(&caller.cx, entity, &ids, &button, answers).await?;
    Ok(answer::ok(&json!({"data": pressed.iter().map(told).collect::<Vec<_>>()})))
}

fn told(pressed: &Pressed) -> Json {
    json!({"run": pressed.run, "state": pressed.state})
}

/// A call from another system. What it sent is `payload` to the steps.
async fn hook(
    State(state): State<RuntimeState>,
    At((automation, secret)): At<(String, String)>,
    _: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let run = state.engine().hook(&automation, &secret, body.input.to_json()).await?;
    Ok(answer::json(StatusCode::ACCEPTED, &json!({"run": run})))
}

/// The names of an app's secrets; what they are is never told.
async fn secrets(State(state): State<RuntimeState>, caller: Caller, At(app): At<String>) -> Result<Response, Problem> {
    let names = state.engine().secret_names(&caller.cx, &app).await?;
    Ok(answer::ok(&json!({"data": names})))
}

/// Sets secrets of an app: `{"name": "secret"}`; `null` removes one.
async fn set_secrets(State(state): State<RuntimeState>, caller: Caller, At(app): At<String>, body: JsonBody) -> Result<Response, Problem> {
    let (mut secrets, mut faults) = (Vec::new(), Vec::new());
    for (name, input) in body.input.as_map().into_iter().flatten() {
        match input {
            Input::Null => secrets.push((name.clone(), None)),
            Input::Text(text) => secrets.push((name.clone(), Some(text.clone()))),
            Input::Bool(_) | Input::Number(_) | Input::List(_) | Input::Map(_) => {
                faults.push(Violation::of_field(name, Code::WrongType, Message::new("wrong_type").with("expected", "\"…\"")));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    state.engine().set_secrets(&caller.cx, &app, &secrets).await?;
    Ok(answer::empty())
}
