//! In charge of who calls: by the session's cookie, or by a token as `Authorization: Bearer`.
//! Invariant: a write that a cookie vouches for needs the session's own word, and comes from one of our own pages.
//! Invariant: a token with scopes does only what they name.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use engine::auth::{Scope, Verified, secret};
use engine::{Caller as Who, Ctx, Error, Face, Via};
use model::{Code, Message, Value};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::cookie;
use super::facts::Facts;
use super::locale;
use super::problem::Problem;
use crate::state::RuntimeState;

/// The longest name of a device that is kept.
const DEVICE: usize = 200;
/// The header in which a page sends the session's word.
const CSRF: &str = "x-csrf-token";

/// A caller of the API.
#[derive(Clone)]
pub struct Caller {
    /// The request's facts, with the caller's rights.
    pub cx: Ctx,
    /// What vouches for them.
    pub verified: Arc<Verified>,
    /// The session's word, where a cookie vouches.
    pub csrf: Option<String>,
    /// Where the request comes from.
    pub facts: Facts,
}

/// A person who looks at a page.
#[derive(Clone)]
pub struct Page {
    /// The request's facts, with the person's rights.
    pub cx: Ctx,
    /// The session.
    pub verified: Arc<Verified>,
    /// The session's word, for the page to send back.
    pub csrf: String,
    /// How many approvals wait for the person.
    pub tasks: u64,
    /// Where the request comes from.
    pub facts: Facts,
}

/// Somebody who need not be signed in.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Where the request comes from.
    pub facts: Facts,
    /// The language of the answer.
    pub locale: String,
}

/// What was found of a caller.
struct Found {
    verified: Arc<Verified>,
    csrf: Option<String>,
    facts: Facts,
}

fn facts_of(parts: &Parts, state: &RuntimeState) -> Facts {
    parts.extensions.get::<Facts>().cloned().unwrap_or_else(|| Facts::of(parts, state.settings()))
}

async fn find(parts: &Parts, state: &RuntimeState) -> Result<Found, Error> {
    let facts = facts_of(parts, state);
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or(Error::Unauthenticated)?;
        // A session's secret is for its cookie alone: no script may replay one.
        let claims = secret::Opens::of(token.trim());
        if !matches!(claims, Some(secret::Opens::ApiToken | secret::Opens::SessionToken)) {
            return Err(Error::Unauthenticated);
        }
        return Ok(Found { verified: state.auth().verify(token.trim()).await?, csrf: None, facts });
    }
    let secret = cookie::read(&parts.headers, facts.secure).ok_or(Error::Unauthenticated)?;
    if secret::Opens::of(secret) != Some(secret::Opens::Session) {
        return Err(Error::Unauthenticated);
    }
    Ok(Found { verified: state.auth().verify(secret).await?, csrf: Some(secret::csrf(secret)), facts })
}

async fn context(state: &RuntimeState, found: &Found, face: Face) -> Result<Ctx, Error> {
    let mut cx = state.engine().context(found.verified.user, found.facts.asked_locale.as_deref()).await?;
    cx.via = Some(Arc::new(Via { face, device: found.facts.client.agent.chars().take(DEVICE).collect() }));
    if found.facts.asked_locale.is_none()
        && let Some(preferred) = found.facts.preferred_locale
        && let Who::Person(person) = &cx.caller
        && !has_language(&cx, &person.cells)
    {
        preferred.clone_into(&mut cx.locale);
    }
    locale::settle(&cx.locale);
    Ok(cx)
}

/// Whether a person chose a language themselves.
fn has_language(cx: &Ctx, cells: &[Value]) -> bool {
    let slot = cx.app.schema.find("core.user").and_then(|user| user.slot("locale"));
    slot.and_then(|slot| cells.get(slot)).is_some_and(|value| !value.is_null())
}

/// Whether a method changes nothing.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// That a write comes from a page of ours.
pub(super) fn from_our_page(headers: &HeaderMap, foreign: bool, csrf: &str, sent: Option<&str>) -> Result<(), Problem> {
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let sent = sent.or_else(|| headers.get(CSRF).and_then(|word| word.to_str().ok()));
    if elsewhere || foreign || !sent.is_some_and(|sent| secret::same(csrf, sent)) {
        return Err(Problem::of(Code::Forbidden, Message::new("csrf")));
    }
    Ok(())
}

/// What a request to `path` needs of a token.
fn needed(method: &Method, path: &str) -> Scope {
    let rest = path.strip_prefix("/api/v1/").unwrap_or(path);
    if rest.starts_with("admin") {
        return Scope::Admin;
    }
    let asks = is_safe(method) || ["/query", "/aggregate", "/duplicates"].iter().any(|asking| rest.ends_with(asking));
    match (rest.starts_with("design"), asks) {
        (true, false) => Scope::Design,
        (_, true) => Scope::Read,
        (false, false) => Scope::Write,
    }
}

impl FromRequestParts<RuntimeState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &RuntimeState) -> Result<Self, Self::Rejection> {
        let found = find(parts, state).await?;
        // With a session's cookie it is a page that asks.
        let cx = context(state, &found, if found.csrf.is_some() { Face::Web } else { Face::Api }).await?;
        if let Some(csrf) = &found.csrf
            && !is_safe(&parts.method)
        {
            from_our_page(&parts.headers, found.facts.foreign, csrf, None)?;
        }
        let path = parts.extensions.get::<axum::extract::OriginalUri>().map_or_else(|| parts.uri.path(), |uri| uri.0.path());
        if !found.verified.allows(needed(&parts.method, path)) {
            return Err(Problem::of(Code::Forbidden, Message::new("scope")));
        }
        Ok(Self { cx, verified: found.verified, csrf: found.csrf, facts: found.facts })
    }
}

/// Why a page is not shown; closed.
#[derive(Debug)]
pub enum Turned {
    /// To the sign-in page, and then back.
    Away(String),
    /// With a problem.
    Down(Problem),
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self::Down(problem)
    }
}

impl From<Error> for Turned {
    fn from(error: Error) -> Self {
        Self::Down(error.into())
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::Away(next) => {
                let to = format!("/login?next={}", utf8_percent_encode(&next, NON_ALPHANUMERIC));
                // An htmx request follows redirects by itself and would put the sign-in page into a corner of this one.
                ([("hx-redirect", to.clone())], Redirect::to(&to)).into_response()
            }
            Self::Down(problem) => problem.into_response(),
        }
    }
}

impl Page {
    /// Who looks, without the check of a write's word.
    pub(super) async fn find(parts: &Parts, state: &RuntimeState) -> Result<Self, Turned> {
        let away = || {
            let next = if is_safe(&parts.method) { parts.uri.path_and_query().map_or("/", |uri| uri.as_str()) } else { "/" };
            Turned::Away(next.to_owned())
        };
        let found = match find(parts, state).await {
            Ok(found) => found,
            Err(Error::Unauthenticated) => return Err(away()),
            Err(error) => return Err(error.into()),
        };
        let Some(csrf) = found.csrf.clone() else { return Err(away()) };
        let cx = context(state, &found, Face::Web).await?;
        let tasks = state.engine().approval_count(&cx).await?;
        Ok(Self { cx, verified: found.verified, csrf, tasks, facts: found.facts })
    }
}

impl FromRequestParts<RuntimeState> for Page {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, state: &RuntimeState) -> Result<Self, Self::Rejection> {
        let page = Self::find(parts, state).await?;
        if !is_safe(&parts.method) {
            from_our_page(&parts.headers, page.facts.foreign, &page.csrf, None)?;
        }
        Ok(page)
    }
}

impl FromRequestParts<RuntimeState> for Guest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &RuntimeState) -> Result<Self, Self::Rejection> {
        let facts = facts_of(parts, state);
        if !is_safe(&parts.method) && facts.foreign {
            return Err(Problem::of(Code::Forbidden, Message::new("csrf")));
        }
        Ok(Self { locale: facts.locale(), facts })
    }
}

/// What is wrong with the method.
pub async fn wrong_method() -> Problem {
    Problem::http(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", Message::new("method_not_allowed"))
}

/// That there is nothing at this address.
pub async fn nothing_here() -> Problem {
    Error::NotFound.into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_write_by_cookie_needs_our_page() {
        assert!(from_our_page(&headers(&[("x-csrf-token", "word")]), false, "word", None).is_ok());
        assert!(from_our_page(&headers(&[]), false, "word", Some("word")).is_ok());
        assert!(from_our_page(&headers(&[]), false, "word", None).is_err());
        assert!(from_our_page(&headers(&[("x-csrf-token", "other")]), false, "word", None).is_err());
        assert!(from_our_page(&headers(&[("x-csrf-token", "word"), ("sec-fetch-site", "cross-site")]), false, "word", None).is_err());
        assert!(from_our_page(&headers(&[("x-csrf-token", "word")]), true, "word", None).is_err());
    }

    #[test]
    fn scopes_follow_method_and_place() {
        assert_eq!(needed(&Method::GET, "/api/v1/records/sales.deal"), Scope::Read);
        assert_eq!(needed(&Method::POST, "/api/v1/records/sales.deal/query"), Scope::Read);
        assert_eq!(needed(&Method::POST, "/api/v1/records/sales.deal"), Scope::Write);
        assert_eq!(needed(&Method::GET, "/api/v1/admin/users"), Scope::Admin);
        assert_eq!(needed(&Method::POST, "/api/v1/design/apps"), Scope::Design);
        assert_eq!(needed(&Method::GET, "/api/v1/design/apps"), Scope::Read);
    }
}
