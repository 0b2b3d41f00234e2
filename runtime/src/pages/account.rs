//! In charge of one's own account: language, time zone, password, sessions, tokens.
//! Invariant: a token's secret is on the page that made it and never again.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Days, Utc};
use engine::Error;
use engine::auth::NewToken;
use serde::Serialize;
use uuid::Uuid;

use super::env;
use super::proxies::{self, StandIns};
use super::shell::{Missed, Shell, missed, shell, told};
use super::toast;
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The languages that the pages speak, by what they call themselves.
const LANGUAGES: [(&str, &str); 3] = [("en", "English"), ("zh-CN", "简体中文"), ("zh-TW", "繁體中文")];
/// What a token may be used for.
const SCOPES: [&str; 4] = ["read", "write", "design", "admin"];
/// How long a token may last, in days.
const LIVES: [u64; 4] = [30, 90, 365, 0];

#[derive(Serialize)]
struct AccountPage {
    shell: Shell,
    name: String,
    email: String,
    languages: [(&'static str, &'static str); 3],
    language: String,
    zones: Vec<&'static str>,
    zone: String,
    zone_now: String,
    sessions: Vec<SessionLine>,
    tokens: Vec<TokenLine>,
    stand_ins: StandIns,
    scopes: [&'static str; 4],
    lives: [u64; 4],
    /// The secret of the token that was just made.
    secret: Option<String>,
    /// What was refused, and the part of the page that it belongs to.
    error: Option<String>,
    part: &'static str,
}

#[derive(Serialize)]
struct SessionLine {
    id: String,
    seen: String,
    address: String,
    agent: String,
    /// What the browser calls itself.
    sent: String,
    current: bool,
}

#[derive(Serialize)]
struct TokenLine {
    id: String,
    name: String,
    scopes: String,
    made: String,
    ends: String,
}

/// Shows the account.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    render(&state, &page, &query, None, None, &Query::default()).await
}

async fn render(
    state: &RuntimeState,
    page: &Page,
    query: &Query,
    secret: Option<String>,
    failed: Option<(&'static str, &Error)>,
    fields: &Query,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let user = page.verified.user;
    let fault = missed(page);
    let (language, zone) = state.auth().own(user).await.map_err(&fault)?;
    let info = state.auth().user(user).await.map_err(&fault)?;
    let sessions = state.auth().sessions(user).await.map_err(&fault)?;
    let tokens = state.auth().tokens(user).await.map_err(&fault)?;
    let at = |moment: DateTime<Utc>| moment.with_timezone(&cx.zone).format("%Y-%m-%d %H:%M").to_string();
    let (status, error) = failed.map_or((StatusCode::OK, None), |(_, error)| {
        let (status, text) = told(error, &cx.locale);
        (status, Some(text))
    });
    let context = AccountPage {
        shell: toast::told(shell(page, env::text(&cx.locale, "account"), "/me"), None, query),
        name: info.name,
        email: info.email,
        languages: LANGUAGES,
        language,
        zones: engine::people::time_zones().collect(),
        zone,
        zone_now: cx.zone.name().to_owned(),
        sessions: sessions
            .into_iter()
            .map(|session| SessionLine {
                id: session.id.to_string(),
                seen: at(session.seen_at),
                address: session.address,
                agent: super::agent::known(&session.agent).unwrap_or_else(|| session.agent.clone()),
                sent: session.agent,
                current: session.id == page.verified.id,
            })
            .collect(),
        tokens: tokens
            .into_iter()
            .map(|token| TokenLine {
                id: token.id.to_string(),
                name: token.name,
                scopes: token.scopes.iter().map(|scope| env::text(&cx.locale, &format!("scope_{scope}"))).collect::<Vec<_>>().join(", "),
                made: at(token.created_at),
                ends: token.expires_at.map(at).unwrap_or_default(),
            })
            .collect(),
        stand_ins: proxies::of(state, page, fields).await?,
        scopes: SCOPES,
        lives: LIVES,
        secret,
        error,
        part: failed.map_or("", |(part, _)| part),
    };
    let mut response = env::page(status, "account.html", &context);
    if context.secret.is_some() {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

pub(super) fn saved() -> Response {
    Redirect::to("/me?done=saved").into_response()
}

/// The account's page with what was refused, and what was entered.
pub(super) async fn refused(state: &RuntimeState, page: &Page, part: &'static str, error: &Error, fields: &Query) -> Result<Response, Missed> {
    render(state, page, &Query::default(), None, Some((part, error)), fields).await
}

/// Sets the language and the time zone.
pub(super) async fn settings(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let locale = form.fields.get("locale").filter(|locale| LANGUAGES.iter().any(|(name, _)| name == locale)).unwrap_or_default();
    match state.auth().set_own(&page.cx, locale, form.fields.get("time_zone").unwrap_or_default()).await {
        Ok(()) => Ok(saved()),
        Err(error) => refused(&state, page, "settings", &error, &Query::default()).await,
    }
}

/// Changes the password; every other session ends.
pub(super) async fn password(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let text = |name: &str| form.fields.get(name).unwrap_or_default();
    match state.auth().change_password(&page.verified, text("current"), text("new"), &page.facts.client).await {
        Ok(()) => Ok(saved()),
        Err(error) => refused(&state, page, "password", &error, &Query::default()).await,
    }
}

/// Ends one session, or all others.
pub(super) async fn end_session(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let done = match form.fields.filled("session").map(Uuid::try_parse) {
        Some(Ok(session)) => state.auth().end(page.verified.user, session).await,
        Some(Err(_)) => Err(Error::NotFound),
        None => state.auth().end_all(page.verified.user, Some(&page.verified)).await,
    };
    done.map_err(missed(page))?;
    Ok(saved())
}

/// Makes a token; the answer is the page with its secret.
pub(super) async fn make_token(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let days = form.fields.filled("days").and_then(|days| days.parse::<u64>().ok()).filter(|days| LIVES.contains(days)).unwrap_or(30);
    let new = NewToken {
        name: form.fields.get("name").unwrap_or_default().trim().to_owned(),
        scopes: SCOPES.iter().filter(|scope| form.fields.get(&format!("scope.{scope}")).is_some()).map(|scope| (*scope).to_owned()).collect(),
        expires_at: (days > 0).then(|| page.cx.now + Days::new(days)),
    };
    match state.auth().make_token(page.verified.user, new).await {
        Ok((secret, _)) => render(&state, page, &Query::default(), Some(secret), None, &Query::default()).await,
        Err(error) => refused(&state, page, "tokens", &error, &Query::default()).await,
    }
}

/// Ends a token.
pub(super) async fn end_token(State(state): State<RuntimeState>, Path(token): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    state.auth().end_token(form.page.verified.user, token).await.map_err(missed(&form.page))?;
    Ok(saved())
}
