//! In charge of imports, exports and the jobs that do them.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use engine::exports::ExportRequest;
use engine::files::MAX_IMPORT;
use engine::imports::{ImportRequest, ImportSpec};
use engine::jobs::JobView;
use serde_json::{Value as Json, json};

use super::admin::administrator;
use super::files::{broken, hand_out, malformed, next_piece, parts, take};
use super::lists::asked;
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::{JsonBody, MAX_JSON};
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::http::query::{Query, wrong};
use crate::state::RuntimeState;

/// Jobs of a list.
const JOBS: u32 = 100;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/imports", post(import).get(imports))
        .route("/imports/{id}", get(job))
        .route("/imports/{id}/errors", get(errors))
        .route("/imports/{id}/{verb}", post(steer))
        .route("/exports", post(export).get(exports))
        .route("/exports/{id}", get(job))
        .route("/exports/{id}/file", get(exported))
        .route("/exports/{id}/{verb}", post(steer))
        .route("/admin/jobs", get(jobs))
        .route("/admin/jobs/{id}", get(job))
        .route("/admin/jobs/{id}/{verb}", post(steer))
        .layer(DefaultBodyLimit::disable())
}

/// `multipart/form-data`: `file` (one for each part of the document), `spec`, `dry_run`, `entity`.
async fn import(State(state): State<RuntimeState>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let mut parts = parts(request, &state).await?;
    let mut asked_for = ImportRequest { spec: ImportSpec::None, files: Vec::new(), dry_run: false, entity: None };
    while let Some(field) = parts.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            asked_for.files.push(take(&state, &caller.cx, field, MAX_IMPORT).await?.id);
            continue;
        }
        let text = short(field).await?;
        match name.as_str() {
            "spec" => asked_for.spec = ImportSpec::parse(&text)?,
            "dry_run" => asked_for.dry_run = matches!(text.trim(), "true" | "1" | "on"),
            "entity" => asked_for.entity = Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            other => return Err(malformed(&format!("there is no part `{other}` here"))),
        }
    }
    if asked_for.files.is_empty() {
        return Err(malformed("there is no part `file`"));
    }
    let job = state.engine().import(&caller.cx, asked_for).await?;
    Ok(begun("/api/v1/imports", &job))
}

/// The text of a part that is no file.
async fn short(mut field: axum::extract::multipart::Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(piece) = next_piece(&mut field).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_JSON {
            return Err(Problem::of(model::Code::TooLarge, model::Message::new("too_large").with("max", MAX_JSON)));
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("a part is no UTF-8"))
}

fn begun(route: &str, job: &JobView) -> Response {
    let mut response = answer::json(StatusCode::ACCEPTED, &job.json);
    if let Ok(location) = HeaderValue::from_str(&format!("{route}/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn export(State(state): State<RuntimeState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    let request = ExportRequest::parse(&body.input.to_json())?;
    let job = state.engine().export(&caller.cx, request).await.map_err(asked)?;
    Ok(begun("/api/v1/exports", &job))
}

async fn job(State(state): State<RuntimeState>, caller: Caller, At(job): At<String>) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().job(&caller.cx, id(&job)?).await?.json))
}

/// `pause`, `resume` or `cancel`.
async fn steer(State(state): State<RuntimeState>, caller: Caller, At((job, verb)): At<(String, String)>) -> Result<Response, Problem> {
    let (job, engine) = (id(&job)?, state.engine());
    let view = match verb.as_str() {
        "pause" => engine.pause_job(&caller.cx, job).await?,
        "resume" => engine.resume_job(&caller.cx, job).await?,
        "cancel" => engine.cancel_job(&caller.cx, job).await?,
        _ => return Err(engine::Error::NotFound.into()),
    };
    Ok(answer::ok(&view.json))
}

/// The rows that failed, as they were, with their reasons.
async fn errors(
    State(state): State<RuntimeState>,
    caller: Caller,
    At(job): At<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["part"])?;
    let part = match query.filled("part") {
        Some(text) => Some(text.parse().map_err(|_| wrong("part", "no whole number"))?),
        None => None,
    };
    hand_out(state.engine().import_errors(&caller.cx, id(&job)?, part).await?, &headers).await
}

async fn exported(State(state): State<RuntimeState>, caller: Caller, At(job): At<String>, headers: HeaderMap) -> Result<Response, Problem> {
    hand_out(state.engine().export_file(&caller.cx, id(&job)?).await?, &headers).await
}

async fn list(state: &RuntimeState, caller: &Caller, kind: Option<&str>) -> Result<Response, Problem> {
    let data: Vec<Json> = state.engine().job_list(&caller.cx, kind, JOBS).await?.into_iter().map(|job| job.json).collect();
    Ok(answer::ok(&json!({"data": data})))
}

async fn imports(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    list(&state, &caller, Some("import")).await
}

async fn exports(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    list(&state, &caller, Some("export")).await
}

async fn jobs(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    administrator(&caller.cx)?;
    list(&state, &caller, None).await
}
