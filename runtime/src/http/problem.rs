//! In charge of errors in answers: `application/problem+json` (RFC 9457) in the caller's language.
//! Invariant: a 500 shows no cause; it logs one under the request id that it returns.
//! Invariant: faults of several kinds give 400 if any is a 400, else the lowest status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Error;
use model::{Code, Diagnostic, Message, Severity, Violation};
use serde_json::{Map, Value as Json, json};
use store::Fault;

use super::locale;

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    what: What,
    locale: String,
    /// Whether the request only asks: then every fault of it is one of its names and words.
    asking: bool,
    extra: Vec<(&'static str, Json)>,
}

#[derive(Debug)]
enum What {
    Error(Error),
    /// What only HTTP knows of: a status, a word, a text.
    Http(u16, &'static str, Message),
}

impl Problem {
    /// `error`, told in `locale`.
    #[must_use]
    pub fn new(error: impl Into<Error>, locale: &str) -> Self {
        Self { what: What::Error(error.into()), locale: locale.to_owned(), asking: false, extra: Vec::new() }
    }

    /// One fault of the whole request.
    #[must_use]
    pub fn of(code: Code, message: Message) -> Self {
        Self::from(Error::of(code, message))
    }

    /// What only HTTP knows of.
    #[must_use]
    pub fn http(status: StatusCode, code: &'static str, message: Message) -> Self {
        Self { what: What::Http(status.as_u16(), code, message), locale: locale::current(), asking: false, extra: Vec::new() }
    }

    /// Several faults.
    #[must_use]
    pub fn faults(faults: Vec<Violation>) -> Self {
        Self::from(Error::Invalid(faults))
    }

    /// With a further member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Json) -> Self {
        self.extra.push((name, value));
        self
    }

    /// The fault of a request that only asks: a wrong kind of value in a filter is a 400.
    #[must_use]
    pub fn asking(mut self) -> Self {
        self.asking = true;
        self
    }

    /// The status and the body.
    #[must_use]
    pub fn parts(&self) -> (u16, Json) {
        let told = self.tell();
        (told.status, self.body(&told))
    }

    fn tell(&self) -> Told {
        let mut told = match &self.what {
            What::Error(error) => tell(error, &self.locale),
            What::Http(status, code, message) => Told { status: *status, ..Told::of(*status, code, message.text(&self.locale)) },
        };
        if self.asking && told.status == 422 && told.code != Code::Limit.as_str() {
            told.status = 400;
        }
        told
    }

    fn body(&self, told: &Told) -> Json {
        let mut body = Map::new();
        body.insert("type".to_owned(), format!("urn:trellis:error:{}", told.code).into());
        body.insert("title".to_owned(), told.code.replace('_', " ").into());
        body.insert("status".to_owned(), told.status.into());
        body.insert("code".to_owned(), told.code.into());
        body.insert("detail".to_owned(), told.detail.clone().into());
        body.insert("errors".to_owned(), Json::Array(told.errors.clone()));
        if let What::Error(Error::StaleVersion { current, yours }) = &self.what {
            body.insert("current".to_owned(), (*current).into());
            body.insert("yours".to_owned(), (*yours).into());
        }
        body.extend(self.extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Json::Object(body)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::new(error, &locale::current())
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

impl Told {
    fn of(status: u16, code: &'static str, detail: String) -> Self {
        Self { status, code, detail, errors: Vec::new(), retry_after: None }
    }

    fn code(code: Code, message: &'static str, locale: &str) -> Self {
        Self::of(code.status(), code.as_str(), Message::new(message).text(locale))
    }

    fn busy(status: u16, locale: &str) -> Self {
        Self::waiting(status, "busy", locale)
    }

    fn waiting(status: u16, message: &'static str, locale: &str) -> Self {
        Self { status, retry_after: Some(1), ..Self::code(Code::Busy, message, locale) }
    }
}

fn tell(error: &Error, locale: &str) -> Told {
    match error {
        Error::Invalid(faults) => {
            let status = status_of(faults);
            let leading = faults.iter().find(|fault| fault.code.status() == status).or_else(|| faults.first());
            Told {
                errors: faults.iter().map(|fault| fault_json(fault, locale)).collect(),
                ..Told::of(
                    status,
                    leading.map_or("rule_failed", |fault| fault.code.as_str()),
                    leading.map(|fault| fault.wording.text(locale)).unwrap_or_default(),
                )
            }
        }
        Error::NotFound => Told::code(Code::NotFound, "not_found", locale),
        Error::Forbidden => Told::code(Code::Forbidden, "forbidden", locale),
        Error::Unauthenticated => Told::code(Code::Unauthenticated, "unauthenticated", locale),
        Error::StaleVersion { .. } => Told::code(Code::StaleVersion, "stale_version", locale),
        Error::RateLimited { retry_after } => Told { retry_after: Some(*retry_after), ..Told::code(Code::RateLimited, "rate_limited", locale) },
        Error::IdempotencyMismatch => Told::code(Code::IdempotencyMismatch, "idempotency_mismatch", locale),
        Error::IdempotencyRunning => Told::busy(409, locale),
        Error::Documents(faults) => Told {
            errors: faults.iter().map(diagnostic_json).collect(),
            ..Told::of(422, "invalid_documents", Message::new("invalid_documents").with("count", faults.len()).text(locale))
        },
        Error::Duplicates(found) => Told {
            errors: found.iter().map(|likeness| likeness_json(likeness, locale)).collect(),
            ..Told::of(409, Code::DuplicateFound.as_str(), found.first().map(|one| one.wording.text(locale)).unwrap_or_default())
        },
        Error::Conflicts(conflicts) => Told {
            errors: conflicts.iter().map(|conflict| conflict_json(conflict, locale)).collect(),
            ..Told::of(409, "conflicts", Message::new("conflicts").with("count", conflicts.len()).text(locale))
        },
        Error::Unplaced(values) => Told {
            errors: values.iter().map(|unplaced| unplaced_json(unplaced, locale)).collect(),
            ..Told::of(422, "needs_target", Message::new("needs_targets").text(locale))
        },
        Error::Store(Fault::Unique(_)) => Told::code(Code::NotUnique, "not_unique", locale),
        Error::Store(Fault::Full) => Told::waiting(503, "no_room", locale),
        Error::Superseded | Error::Store(Fault::Busy | Fault::Gone(_) | Fault::Collision | Fault::Undone) => Told::busy(503, locale),
        Error::Store(Fault::Panicked(_) | Fault::Sql(_)) | Error::Internal(_) => Told::of(500, "internal", Message::new("internal").text(locale)),
    }
}

/// One fault as a member of `errors`.
#[must_use]
pub fn fault_json(fault: &Violation, locale: &str) -> Json {
    json!({"pointer": fault.pointer, "field": fault.field, "code": fault.code.as_str(), "message": fault.wording.text(locale)})
}

/// What may be there already, by one rule.
#[must_use]
pub fn likeness_json(likeness: &engine::records::Likeness, locale: &str) -> Json {
    let record = |alike: &engine::records::Alike| json!({"entity": alike.entity, "id": alike.id, "title": alike.title});
    json!({
        "pointer": likeness.pointer,
        "field": likeness.field,
        "code": Code::DuplicateFound.as_str(),
        "message": likeness.wording.text(locale),
        "rule": likeness.rule,
        "blocks": likeness.blocks,
        "records": likeness.records.iter().map(record).collect::<Vec<_>>(),
    })
}

/// What both sides of an upgrade changed; `theirs` or `ours` is chosen by its pointer.
fn conflict_json(conflict: &model::merge::Conflict, locale: &str) -> Json {
    json!({
        "pointer": conflict.pointer,
        "code": "conflict",
        "message": Message::new("conflict").text(locale),
        "base": conflict.base,
        "ours": conflict.ours,
        "theirs": conflict.theirs,
    })
}

/// A stage or an option that goes though records have it.
fn unplaced_json(unplaced: &engine::Unplaced, locale: &str) -> Json {
    let message = Message::new("needs_target").with("count", unplaced.count).with("value", &unplaced.value).with("field", &unplaced.field);
    json!({
        "pointer": "",
        "field": unplaced.field,
        "code": "needs_target",
        "message": message.text(locale),
        "value": unplaced.value,
        "count": unplaced.count,
        "offered": unplaced.offered,
    })
}

/// One fault of a document.
#[must_use]
pub fn diagnostic_json(fault: &Diagnostic) -> Json {
    let severity = match fault.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({"file": fault.file, "pointer": fault.pointer, "severity": severity, "message": fault.message, "hint": fault.hint})
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = self.tell();
        let mut body = self.body(&told);
        if told.status >= 500 {
            let id = super::around::request_id();
            if let What::Error(error) = &self.what {
                if told.status == 500 {
                    tracing::error!(request = %id, error = %error, "request failed");
                } else {
                    tracing::warn!(request = %id, error = %error, "request refused");
                }
            }
            if let Some(body) = body.as_object_mut() {
                body.insert("request_id".to_owned(), id.into());
            }
        }
        let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"trellis\""));
        }
        if let Some(seconds) = told.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_status_leads_and_all_faults_are_told() {
        let faults = vec![
            Violation::of_field("a", Code::Required, Message::new("required")),
            Violation::of_field("b", Code::UnknownField, Message::new("unknown_field").with("name", "b")),
            Violation::of_field("c", Code::NotUnique, Message::new("not_unique")),
        ];
        let (status, body) = Problem::faults(faults).parts();
        assert_eq!((status, body["code"].as_str()), (400, Some("unknown_field")));
        assert_eq!(body["errors"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn a_wrong_value_in_a_question_is_a_malformed_question() {
        let fault = || vec![Violation::of_field("a", Code::WrongType, Message::new("wrong_type").with("expected", "1"))];
        assert_eq!(Problem::faults(fault()).parts().0, 422);
        assert_eq!(Problem::faults(fault()).asking().parts().0, 400);
        assert_eq!(Problem::of(Code::Limit, Message::new("limit_range")).asking().parts().0, 422);
    }

    #[test]
    fn a_500_shows_no_cause() {
        let (status, body) = Problem::new(Error::Internal("password is hunter2".to_owned()), "zh-CN").parts();
        assert_eq!(status, 500);
        assert!(!body.to_string().contains("hunter2"));
    }
}
