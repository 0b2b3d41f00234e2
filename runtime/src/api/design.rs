//! In charge of apps as documents: installed, exported, rolled back.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use engine::{Choices, Ctx, Error, Wishes};
use model::doc::Package;
use model::{Code, Diagnostic, Message, Violation};
use serde_json::{Value as Json, json};

use super::archive;
use crate::http::Caller;
use crate::http::path::At;
use crate::http::problem::{Problem, diagnostic_json};
use crate::http::query::Query;
use crate::http::{answer, body};
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/design/apps", get(apps).post(install))
        .route("/design/apps/{app}/export", get(export))
        .route("/design/revisions", get(revisions))
        .route("/design/revisions/{number}/rollback", post(rollback))
        .route("/design/schemas", get(schemas))
        .route("/design/schemas/{kind}", get(schema))
}

fn designer(cx: &Ctx) -> Result<(), Error> {
    if cx.caller.is_admin() { Ok(()) } else { Err(Error::Forbidden) }
}

async fn apps(caller: Caller) -> Result<Response, Problem> {
    designer(&caller.cx)?;
    let data: Vec<Json> = caller
        .cx
        .app
        .schema
        .apps
        .iter()
        .map(|(name, app)| {
            json!({
                "name": name,
                "label": app.app.label.as_ref().map_or(name.as_str(), |label| label.get(&caller.cx.locale)),
                "version": app.app.version,
                "requires": app.app.requires,
                "entities": app.entities.keys().collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(answer::ok(&json!({"data": data, "revision": caller.cx.app.revision})))
}

/// A new app or a new version: a ZIP file, or the app as one document.
async fn install(State(state): State<RuntimeState>, caller: Caller, query: Query, headers: HeaderMap, sent: Body) -> Result<Response, Problem> {
    designer(&caller.cx)?;
    query.only(&["note", "choices", "conflicts", "targets"])?;
    let wishes = wishes(&query)?;
    let bytes = body::read(&headers, sent, archive::MAX_ARCHIVE).await?;
    let package = tokio::task::spawn_blocking(move || package(&bytes)).await.map_err(|error| Error::Internal(error.to_string()))??;
    let installed = state.engine().install_with(&caller.cx, package, wishes).await?;
    let status = if installed.upgraded { StatusCode::OK } else { StatusCode::CREATED };
    Ok(answer::json(
        status,
        &json!({
            "app": installed.app,
            "revision": installed.revision,
            "upgraded": installed.upgraded,
            "warnings": installed.warnings.iter().map(diagnostic_json).collect::<Vec<_>>(),
            "seed_faults": installed.seed_faults,
        }),
    ))
}

/// What a request says to a publish: `choices` (`{pointer: "ours" or "theirs"}`), `conflicts` (one of them for all others),
/// `targets` (`{"sales.deal.stage": {from: to}}`).
fn wishes(query: &Query) -> Result<Wishes, Problem> {
    fn read<T: serde::de::DeserializeOwned>(query: &Query, name: &str, json: impl Fn(&str) -> String) -> Result<Option<T>, Problem> {
        let text = query.filled(name).map(json);
        let read = text.map(|text| serde_json::from_str(&text)).transpose();
        read.map_err(|error| {
            Problem::faults(vec![Violation::at(format!("/{name}"), Code::Malformed, Message::new("malformed").with("detail", error))])
        })
    }
    let as_written = |text: &str| text.to_owned();
    Ok(Wishes {
        note: query.get("note").unwrap_or("installed").to_owned(),
        targets: read(query, "targets", as_written)?.unwrap_or_default(),
        choices: Choices {
            by_pointer: read(query, "choices", as_written)?.unwrap_or_default(),
            otherwise: read(query, "conflicts", |word| Json::from(word).to_string())?,
        },
    })
}

fn package(bytes: &[u8]) -> Result<Package, Error> {
    if bytes.starts_with(b"PK") {
        return engine::packages::read_files(archive::read(bytes)?);
    }
    let document = serde_json::from_slice(bytes)
        .map_err(|error| Error::Documents(vec![Diagnostic::error("", format!("neither a ZIP file nor JSON: {error}"))]))?;
    let app = model::package::app_from_json(&document).map_err(Error::Documents)?;
    Ok(Package { app, files: BTreeMap::new() })
}

async fn export(State(state): State<RuntimeState>, caller: Caller, At(app): At<String>) -> Result<Response, Problem> {
    let package = state.engine().export_app(&caller.cx, &app)?;
    let bytes = archive::write(&package.to_files())?;
    let mut response = answer::bytes(StatusCode::OK, bytes);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{app}.zip\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

async fn revisions(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().revisions(&caller.cx).await?))
}

async fn rollback(State(state): State<RuntimeState>, caller: Caller, query: Query, At(number): At<String>) -> Result<Response, Problem> {
    designer(&caller.cx)?;
    query.only(&["targets"])?;
    let targets = wishes(&query)?.targets;
    let number = number.parse().map_err(|_| Error::NotFound)?;
    let revision = state.engine().rollback(&caller.cx, number, &targets).await?;
    Ok(answer::ok(&json!({"revision": revision})))
}

async fn schemas(_caller: Caller) -> Response {
    answer::ok(&json!({"data": model::schemas::all().keys().collect::<Vec<_>>()}))
}

async fn schema(_caller: Caller, At(kind): At<String>) -> Result<Response, Problem> {
    let schema = model::schemas::all().shift_remove(kind.as_str()).ok_or(Error::NotFound)?;
    Ok(answer::ok(&schema))
}
