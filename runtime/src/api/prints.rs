//! In charge of papers over HTTP: which a record offers, and one of them as a page.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use engine::prints::{OfferedPrint, Printed};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use render::paper::sheet::{Frame, whole};
use serde_json::{Value as Json, json};

use crate::http::Caller;
use crate::http::answer;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::state::RuntimeState;

/// A paper runs nothing and loads nothing; its style and its pictures are in it.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/records/{entity}/{id}/prints", get(offered)).route("/records/{entity}/{id}/prints/{print}", get(print))
}

/// What a record offers.
async fn offered(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let (entity, record) = (state.engine().entity(&caller.cx, &entity)?.id, id(&record)?);
    let offered = state.engine().prints(&caller.cx, entity, record).await?;
    Ok(answer::ok(&json!({"data": offered.iter().map(OfferedPrint::to_json).collect::<Vec<Json>>()})))
}

/// A paper.
async fn print(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((entity, record, print)): At<(String, String, String)>,
) -> Result<Response, Problem> {
    let (entity, record) = (state.engine().entity(&caller.cx, &entity)?.id, id(&record)?);
    let printed = state.engine().print(&caller.cx, entity, record, &print).await?;
    Ok(page(&printed, "", POLICY))
}

/// A paper as an answer, with the policy that makes it harmless; `bar` stands above it on a screen.
pub(crate) fn page(printed: &Printed, bar: &str, policy: &str) -> Response {
    let frame = Frame { locale: &printed.locale, title: &printed.file_name, paper: printed.sheet.as_ref(), bar };
    let mut response = Html(whole(frame, &printed.body)).into_response();
    let headers = response.headers_mut();
    let name = utf8_percent_encode(&printed.file_name, NON_ALPHANUMERIC);
    let values = [
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"paper.html\"; filename*=UTF-8''{name}.html")),
        (header::CONTENT_LANGUAGE, printed.locale.clone()),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
