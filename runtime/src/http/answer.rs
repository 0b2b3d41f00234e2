//! In charge of answers and of what makes them depend on a version.
//! Invariant: an `ETag` is a version for `If-Match`. It is no validator for caches: roll-ups and titles change without it.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::field::Numbers;
use model::{Code, Message, Violation};
use serde_json::Value as Json;

use super::problem::Problem;

/// JSON that is written already.
#[must_use]
pub fn bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

/// JSON.
#[must_use]
pub fn json(status: StatusCode, body: &Json) -> Response {
    bytes(status, body.to_string().into_bytes())
}

/// JSON with 200.
#[must_use]
pub fn ok(body: &Json) -> Response {
    json(StatusCode::OK, body)
}

/// Nothing with 204.
#[must_use]
pub fn empty() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// What was asked for is at another address for now.
#[must_use]
pub fn elsewhere(address: &str) -> Response {
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    if let Ok(value) = HeaderValue::from_str(address) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// A record with its version.
#[must_use]
pub fn record(status: StatusCode, version: i64, body: Vec<u8>) -> Response {
    let mut response = bytes(status, body);
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// The version that `If-Match` asks for.
///
/// # Errors
/// Where it is none.
pub fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_start_matches("W/").trim_matches('"').parse();
    version.map(Some).map_err(|_| Problem::faults(vec![Violation::at("", Code::Malformed, Message::new("precondition"))]))
}

/// How the client wants numbers: `Accept: application/json;numbers=string` keeps every digit in clients that read floats.
#[must_use]
pub fn numbers(headers: &HeaderMap) -> Numbers {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.replace(' ', "").contains("numbers=string") { Numbers::Strings } else { Numbers::Numbers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_str(text).expect("a header"));
            if_match(&headers).ok()
        };
        assert_eq!(read("\"7\""), Some(Some(7)));
        assert_eq!(read("W/\"7\""), Some(Some(7)));
        assert_eq!(read("*"), Some(None));
        assert_eq!(read("\"abc\""), None);
        assert_eq!(if_match(&HeaderMap::new()).ok(), Some(None));
    }
}
