//! In charge of errors in answers: `application/problem+json` (RFC 9457) in the caller's language.
//! Invariant: a 500 shows no cause; it logs one under the request id that it returns.
//! Invariant: faults of several kinds give 400 if any is a 400, else the lowest status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Error;
use model::{Code, Diagnostic, Message, Severity, Violation};
use serde_json::{Value as Json, json};

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    /// What went wrong.
    pub error: Error,
    /// The caller's language.
    pub locale: String,
    /// Further members of the answer, such as both versions of a stale record.
    pub extra: Vec<(&'static str, Json)>,
}

impl Problem {
    /// `error`, told in `locale`.
    #[must_use]
    pub fn new(error: impl Into<Error>, locale: &str) -> Self {
        Self { error: error.into(), locale: locale.to_owned(), extra: Vec::new() }
    }

    /// One fault of the whole request.
    #[must_use]
    pub fn of(code: Code, message: Message, locale: &str) -> Self {
        Self::new(Error::of(code, message), locale)
    }

    /// With a further member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Json) -> Self {
        self.extra.push((name, value));
        self
    }
}

/// The status of a set of faults: 400 if any is one, else the lowest.
fn status_of(faults: &[Violation]) -> u16 {
    faults.iter().map(|fault| fault.code.status()).min().unwrap_or(422)
}

struct Told {
    status: u16,
    code: &'static str,
    detail: String,
    errors: Vec<Json>,
    retry_after: Option<u64>,
}

fn told(status: u16, code: &'static str, detail: Message, locale: &str) -> Told {
    Told { status, code, detail: detail.text(locale), errors: Vec::new(), retry_after: None }
}

fn tell(error: &Error, locale: &str) -> Told {
    match error {
        Error::Invalid(faults) => {
            let status = status_of(faults);
            let leading = faults.iter().find(|fault| fault.code.status() == status).or_else(|| faults.first());
            Told {
                status,
                code: leading.map_or("rule_failed", |fault| fault.code.as_str()),
                detail: leading.map(|fault| fault.wording.text(locale)).unwrap_or_default(),
                errors: faults.iter().map(|fault| fault_json(fault, locale)).collect(),
                retry_after: None,
            }
        }
        Error::NotFound => told(404, Code::NotFound.as_str(), Message::new("not_found"), locale),
        Error::Forbidden => told(403, Code::Forbidden.as_str(), Message::new("forbidden"), locale),
        Error::Unauthenticated => told(401, Code::Unauthenticated.as_str(), Message::new("unauthenticated"), locale),
        Error::StaleVersion { .. } => told(412, Code::StaleVersion.as_str(), Message::new("stale_version"), locale),
        Error::RateLimited { retry_after } => {
            Told { retry_after: Some(*retry_after), ..told(429, Code::RateLimited.as_str(), Message::new("rate_limited"), locale) }
        }
        Error::IdempotencyMismatch => told(422, Code::IdempotencyMismatch.as_str(), Message::new("idempotency_mismatch"), locale),
        Error::IdempotencyRunning => Told { retry_after: Some(1), ..told(409, Code::Busy.as_str(), Message::new("busy"), locale) },
        Error::Documents(faults) => Told {
            status: 422,
            code: "invalid_documents",
            detail: Message::new("invalid_documents").with("count", faults.len()).text(locale),
            errors: faults.iter().map(diagnostic_json).collect(),
            retry_after: None,
        },
        Error::Store(fault) if fault.is_temporary() => {
            Told { retry_after: Some(1), ..told(503, Code::Busy.as_str(), Message::new("busy"), locale) }
        }
        Error::Superseded => Told { retry_after: Some(1), ..told(503, Code::Busy.as_str(), Message::new("busy"), locale) },
        Error::Store(_) | Error::Internal(_) => told(500, "internal", Message::new("internal"), locale),
    }
}

/// One fault as a member of `errors`.
#[must_use]
pub fn fault_json(fault: &Violation, locale: &str) -> Json {
    json!({"pointer": fault.pointer, "field": fault.field, "code": fault.code.as_str(), "message": fault.wording.text(locale)})
}

fn diagnostic_json(fault: &Diagnostic) -> Json {
    let severity = match fault.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({"file": fault.file, "pointer": fault.pointer, "severity": severity, "message": fault.message, "hint": fault.hint})
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = tell(&self.error, &self.locale);
        if told.status == 500 {
            tracing::error!(error = %self.error, "request failed");
        }
        let mut body = json!({
            "type": format!("urn:trellis:error:{}", told.code),
            "title": told.code.replace('_', " "),
            "status": told.status,
            "code": told.code,
            "detail": told.detail,
            "errors": told.errors,
        });
        if let Some(map) = body.as_object_mut() {
            for (name, value) in self.extra {
                map.insert(name.to_owned(), value);
            }
        }
        let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = told.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
