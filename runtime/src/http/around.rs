//! In charge of what surrounds every request: its id, its language, its time limit, its log line, its security headers.
//! Invariant: no request ends the process: a panic is caught, logged and answered with a 500.
//! Invariant: a header that a handler set itself (a download's own policy) stays.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::Error;
use futures_util::FutureExt;
use model::Message;

use super::facts::Facts;
use super::locale;
use super::problem::Problem;
use crate::state::RuntimeState;

/// How long a request may take that neither streams nor carries files.
const LIMIT: Duration = Duration::from_secs(30);

/// The header of the request's id.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a page may load, from whom, and where its forms lead.
macro_rules! policy {
    () => {
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "
    };
}

/// The policy of a page that pages of these origins may hold in a frame.
#[must_use]
pub fn framed_by(origins: &[String]) -> String {
    format!("{}{}", policy!(), origins.join(" "))
}

/// What every answer carries unless its handler says otherwise.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", concat!(policy!(), "'none'")),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

tokio::task_local! {
    static ID: String;
}

/// The id of the request at hand.
#[must_use]
pub fn request_id() -> String {
    ID.try_with(Clone::clone).unwrap_or_default()
}

/// The one middleware.
pub async fn around(State(state): State<RuntimeState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    let facts = Facts::of(&parts, state.settings());
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let (locale, secure) = (facts.locale(), facts.secure);
    let id = uuid::Uuid::new_v4().simple().to_string();
    parts.extensions.insert(facts);
    let reads = reads_pages(&parts.headers, &path);
    let request = Request::from_parts(parts, body);
    let _running = state.metrics().begin();
    let answered = async {
        let response = guarded(request, next, is_long(&path)).await;
        if reads { in_words(response).await } else { response }
    };
    let mut response = ID.scope(id.clone(), locale::within(locale, answered)).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if secure {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HeaderValue::from_static("max-age=31536000"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID.clone(), value);
    }
    let took = started.elapsed();
    state.metrics().end(response.status(), took);
    tracing::debug!(request = %id, %method, path = shown(&path), status = response.status().as_u16(), micros = took.as_micros(), "answered");
    response
}

/// The handlers, with what may go wrong in them caught.
async fn guarded(request: Request, next: Next, long: bool) -> Response {
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    let done = if long { Ok(work.await) } else { tokio::time::timeout(LIMIT, work).await };
    match done {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Problem::from(Error::Internal(format!("a handler panicked: {}", text.unwrap_or_default()))).into_response()
        }
        Err(_) => Problem::http(StatusCode::SERVICE_UNAVAILABLE, "busy", Message::new("timed_out")).into_response(),
    }
}

/// Whether somebody reads the answer in a browser's window: problems are told them in words.
fn reads_pages(headers: &HeaderMap, path: &str) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accepts.contains("text/html") && !path.starts_with("/api/")
}

/// A problem as a page; anything else as it is.
async fn in_words(response: Response) -> Response {
    /// No problem is longer.
    const MOST: usize = 1 << 20;
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
    if !is_problem || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MOST).await.unwrap_or_default();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = problem.get("detail").and_then(serde_json::Value::as_str).unwrap_or_default();
    let mut page = crate::pages::lost::page(parts.status, &locale::current(), detail, &request_id());
    if let Some(wait) = parts.headers.get(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    page
}

/// A path for the log: a secret in it stays out.
fn shown(path: &str) -> &str {
    match path.strip_prefix("/f/").and_then(|rest| rest.split_once('/')) {
        Some((_, "thanks")) => path,
        Some(_) => "/f/…",
        None if path.starts_with("/reset/") => "/reset/…",
        None if path.starts_with("/hooks/") => "/hooks/…",
        None => path,
    }
}

/// Whether the request streams or carries files, or changes what the CRM is.
fn is_long(path: &str) -> bool {
    path.strip_prefix("/api/v1/").is_some_and(|rest| ["events", "files", "imports", "exports", "design/"].iter().any(|long| rest.starts_with(long)))
        || path.starts_with("/design/")
        || path.strip_prefix("/r/").is_some_and(|rest| rest.ends_with("/import") || rest.contains("/upload/"))
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn secrets_stay_out_of_the_log() {
        for path in ["/f/sales.accept/s3cret", "/reset/s3cret", "/hooks/sales.from_shop/s3cret", "/hooks/s3cret"] {
            assert!(!shown(path).contains("s3cret"), "{path}");
        }
        for path in ["/r/sales.deal", "/f/sales.contact", "/f/sales.contact/thanks", "/api/v1/records/sales.deal"] {
            assert_eq!(shown(path), path);
        }
    }
}
