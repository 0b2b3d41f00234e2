//! In charge of many writes in one request: all or nothing, or a result each.
//! Invariant: what is malformed is told for all operations at once, before any is tried.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use engine::records::{Batch, Outcome, Written};
use engine::{Ctx, Submission};
use indexmap::IndexMap;
use model::{Code, Input, Message, Violation};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::records::idempotency;
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::At;
use crate::http::problem::Problem;
use crate::state::RuntimeState;

/// The most operations of one request.
const MOST: usize = 1_000;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/records/{entity}/batch", post(batch))
}

async fn batch(
    State(state): State<RuntimeState>,
    caller: Caller,
    At(entity): At<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let def = state.engine().entity(&caller.cx, &entity)?;
    let (entity, name) = (def.id, def.name.to_string());
    let idempotency = idempotency(&headers, &format!("POST /records/{name}/batch"), &body.bytes)?;
    let (atomic, asks, submissions) = operations(body.into_map()?)?;
    let cx = Ctx { asks, ..caller.cx.clone() };
    let results = state.engine().write(&cx, Batch { entity, submissions, atomic, idempotency, answer: None }).await?;
    let results: Vec<Json> = results.into_iter().map(result).collect();
    Ok(answer::json(StatusCode::OK, &json!({"results": results})))
}

fn result(result: Result<Written, engine::Error>) -> Json {
    match result {
        Ok(written) => {
            let status = match written.outcome {
                Outcome::Created => 201,
                Outcome::Deleted => 204,
                Outcome::Updated | Outcome::Unchanged | Outcome::Restored => 200,
            };
            match written.approval {
                Some(approval) => json!({"status": 202, "id": written.id, "version": written.version, "approval": approval}),
                None => json!({"status": status, "id": written.id, "version": written.version}),
            }
        }
        Err(error) => {
            let (status, body) = Problem::from(error).parts();
            json!({"status": status, "error": body})
        }
    }
}

/// Whether all or nothing, whether to ask about what may be there already, and the operations.
fn operations(body: IndexMap<String, Input>) -> Result<(bool, bool, Vec<Submission>), Problem> {
    let (mut atomic, mut asks, mut submissions, mut faults) = (true, true, Vec::new(), Vec::new());
    let mut listed = false;
    for (key, input) in body {
        match (key.as_str(), input) {
            ("atomic", Input::Bool(truth)) => atomic = truth,
            ("duplicates", Input::Text(word)) if matches!(word.as_str(), "ask" | "accept") => asks = word == "ask",
            ("duplicates", _) => faults.push(wrong("duplicates", "\"accept\"")),
            ("operations", Input::List(items)) if items.len() > MOST => {
                return Err(Problem::faults(vec![Violation::of_field("operations", Code::Limit, Message::new("too_many").with("max", MOST))]));
            }
            ("operations", Input::List(items)) => {
                listed = true;
                for (index, item) in items.into_iter().enumerate() {
                    match operation(item) {
                        Ok(submission) => submissions.push(submission),
                        Err(more) => faults.extend(more.into_iter().map(|fault| fault.under(&format!("/operations/{index}")))),
                    }
                }
            }
            ("atomic", _) => faults.push(wrong("atomic", "true")),
            ("operations", _) => {
                listed = true;
                faults.push(wrong("operations", "[…]"));
            }
            _ => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("unknown_key").with("name", &key))),
        }
    }
    if !listed {
        faults.push(Violation::of_field("operations", Code::Malformed, Message::new("required")));
    }
    if faults.is_empty() { Ok((atomic, asks, submissions)) } else { Err(Problem::faults(faults)) }
}

fn wrong(key: &str, expected: &str) -> Violation {
    Violation::of_field(key, Code::Malformed, Message::new("wrong_type").with("expected", expected))
}

fn operation(item: Input) -> Result<Submission, Vec<Violation>> {
    let Input::Map(mut map) = item else {
        return Err(vec![Violation::at("", Code::Malformed, Message::new("wrong_type").with("expected", "{…}"))]);
    };
    let mut faults = Vec::new();
    let op = map.shift_remove("op");
    let id = match map.shift_remove("id") {
        None | Some(Input::Null) => None,
        Some(Input::Text(text)) => match Uuid::try_parse(&text) {
            Ok(id) => Some(id),
            Err(_) => {
                faults.push(wrong("id", "\"0190…\""));
                None
            }
        },
        Some(_) => {
            faults.push(wrong("id", "\"0190…\""));
            None
        }
    };
    let version = match map.shift_remove("version") {
        None | Some(Input::Null) => None,
        Some(number) => {
            let version = number.as_int();
            if version.is_none() {
                faults.push(wrong("version", "3"));
            }
            version
        }
    };
    let values = match map.shift_remove("values") {
        None | Some(Input::Null) => IndexMap::new(),
        Some(Input::Map(values)) => values,
        Some(_) => {
            faults.push(wrong("values", "{…}"));
            IndexMap::new()
        }
    };
    faults.extend(map.keys().map(|key| Violation::of_field(key, Code::Malformed, Message::new("unknown_key").with("name", key))));
    let needs_id = |faults: &mut Vec<Violation>| {
        if id.is_none() && !faults.iter().any(|fault| fault.field.as_deref() == Some("id")) {
            faults.push(Violation::of_field("id", Code::Malformed, Message::new("required")));
        }
    };
    let word = op.as_ref().and_then(Input::as_text).unwrap_or_default().to_owned();
    match word.as_str() {
        "create" => {}
        "update" | "delete" | "restore" => needs_id(&mut faults),
        _ => faults.push(wrong("op", "\"create\", \"update\", \"delete\"")),
    }
    match (word.as_str(), id) {
        _ if !faults.is_empty() => Err(faults),
        ("update", Some(id)) => Ok(Submission::Update { id, version, values }),
        ("delete", Some(id)) => Ok(Submission::Delete { id, version }),
        ("restore", Some(id)) => Ok(Submission::Restore { id }),
        _ => Ok(Submission::Create { id: None, values }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(bool, bool, Vec<Submission>), Problem> {
        let Ok(Input::Map(map)) = Input::parse(text.as_bytes()) else { return Err(Problem::faults(Vec::new())) };
        operations(map)
    }

    #[test]
    fn operations_are_read() {
        let id = Uuid::nil();
        let (atomic, asks, read) = read(&format!(
            r#"{{"atomic": false, "operations": [{{"op": "create", "values": {{"name": "a"}}}}, {{"op": "update", "id": "{id}", "version": 2, "values": {{}}}}, {{"op": "delete", "id": "{id}"}}]}}"#
        ))
        .expect("good");
        assert!(!atomic && asks);
        assert_eq!(read.len(), 3);
        assert!(matches!(&read[1], Submission::Update { version: Some(2), .. }));
    }

    #[test]
    fn likely_duplicates_are_accepted_in_so_many_words() {
        assert!(matches!(read(r#"{"duplicates": "accept", "operations": []}"#), Ok((true, false, _))));
        assert!(read(r#"{"duplicates": true, "operations": []}"#).is_err());
    }

    #[test]
    fn all_faults_at_once() {
        let problem = read(r#"{"operations": [{"op": "nothing"}, {"op": "update"}, 7], "atmic": true}"#).expect_err("faulty");
        let (status, body) = problem.parts();
        assert_eq!(status, 400);
        assert_eq!(body["errors"].as_array().map(Vec::len), Some(4));
        assert_eq!(body["errors"][1]["pointer"], "/operations/1/id");
    }
}
