//! In charge of conversions over HTTP: what a record may become, a preview, the deed, where it came from.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use engine::conversions::ConversionAsked;
use model::{Code, Input, Message, Violation};
use serde_json::Value as Json;

use super::records::idempotency;
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/records/{entity}/{id}/convert", post(convert)).route("/records/{entity}/{id}/conversions", get(conversions))
}

/// Converts a record: `{"conversion", "values", "targets", "lines", "dry_run"}`.
async fn convert(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record)): At<(String, String)>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let def = state.engine().entity(&caller.cx, &entity)?;
    let (entity, record) = (def.id, id(&record)?);
    let idempotency = idempotency(&headers, &format!("POST /records/{}/{record}/convert", def.name), &body.bytes)?;
    let mut asked = ConversionAsked { idempotency, ..ConversionAsked::of("") };
    let mut faults = Vec::new();
    for (key, input) in body.into_map()? {
        match (key.as_str(), input) {
            ("conversion", Input::Text(name)) => asked.conversion = name,
            ("dry_run", Input::Bool(dry_run)) => asked.dry_run = dry_run,
            ("values", input) => asked.values = input,
            ("targets", input) => asked.targets = input,
            ("lines", input) => asked.lines = input,
            ("conversion", _) => faults.push(wrong("conversion", "\"…\"")),
            ("dry_run", _) => faults.push(wrong("dry_run", "true, false")),
            (key, _) => faults.push(Violation::of_field(key, Code::Malformed, Message::new("unknown_key").with("name", key))),
        }
    }
    if asked.conversion.is_empty() && faults.is_empty() {
        faults.push(Violation::of_field("conversion", Code::Required, Message::new("required")));
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    Ok(answer::ok(&state.engine().convert(&caller.cx, entity, record, asked).await?))
}

fn wrong(key: &str, expected: &str) -> Violation {
    Violation::of_field(key, Code::Malformed, Message::new("wrong_type").with("expected", expected))
}

/// What a record may become now, what it came of, what it became.
async fn conversions(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let (entity, record) = (state.engine().entity(&caller.cx, &entity)?.id, id(&record)?);
    let offered = state.engine().conversions(&caller.cx, entity, record).await?;
    let mut told = state.engine().origins(&caller.cx, entity, record).await?;
    told["data"] = offered.iter().map(engine::conversions::Offered::to_json).collect::<Vec<Json>>().into();
    Ok(answer::ok(&told))
}
