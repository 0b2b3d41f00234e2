//! In charge of signing in and out, and of setting a password by a link.
//! Invariant: says the same whether the address or the password was wrong; leads only to pages of this server.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use engine::Error;
use serde::Serialize;

use super::env;
use super::shell::told;
use crate::http::caller::Guest;
use crate::http::cookie;
use crate::http::form::{GuestForm, PageForm};
use crate::http::query::Query;
use crate::state::RuntimeState;

#[derive(Serialize)]
struct SignPage {
    locale: String,
    next: String,
    email: String,
    error: Option<String>,
    secret: Option<String>,
}

/// A path of this server, else the first page.
pub(super) fn safe(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if is_path { next } else { "/" }
}

fn page(status: StatusCode, guest: &Guest, next: &str, email: &str, error: Option<String>) -> Response {
    let context = SignPage { locale: guest.locale.clone(), next: safe(next).to_owned(), email: email.to_owned(), error, secret: None };
    env::page(status, "sign_in.html", &context)
}

/// The sign-in page.
pub(super) async fn show(guest: Guest, query: Query) -> Response {
    page(StatusCode::OK, &guest, query.get("next").unwrap_or("/"), "", None)
}

/// Signs in.
pub(super) async fn sign_in(State(state): State<RuntimeState>, form: GuestForm) -> Response {
    let (guest, fields) = (&form.guest, &form.fields);
    let (email, next) = (fields.get("email").unwrap_or_default(), fields.get("next").unwrap_or("/"));
    match state.auth().sign_in(email, fields.get("password").unwrap_or_default(), &guest.facts.client, false).await {
        Ok(signed_in) => {
            let mut response = Redirect::to(safe(next)).into_response();
            if let Some(cookie) = cookie::set(&signed_in, guest.facts.secure) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(Error::RateLimited { .. }) => {
            page(StatusCode::TOO_MANY_REQUESTS, guest, next, email, Some(model::Message::new("rate_limited").text(&guest.locale)))
        }
        Err(Error::Store(_) | Error::Internal(_)) => {
            page(StatusCode::SERVICE_UNAVAILABLE, guest, next, email, Some(model::Message::new("busy").text(&guest.locale)))
        }
        Err(_) => page(StatusCode::UNAUTHORIZED, guest, next, email, Some(env::text(&guest.locale, "wrong_sign_in"))),
    }
}

/// Signs out.
pub(super) async fn sign_out(State(state): State<RuntimeState>, form: PageForm) -> Response {
    if let Err(error) = state.auth().end_own(&form.page.verified).await {
        tracing::warn!(%error, "a session was not ended");
    }
    let mut response = Redirect::to("/login").into_response();
    if let Some(cookie) = cookie::clear(form.page.facts.secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn reset_page(status: StatusCode, guest: &Guest, secret: &str, error: Option<String>) -> Response {
    let context = SignPage { locale: guest.locale.clone(), next: "/".to_owned(), email: String::new(), error, secret: Some(secret.to_owned()) };
    env::page(status, "sign_in.html", &context)
}

/// The page of a link that sets a password.
pub(super) async fn show_reset(guest: Guest, Path(secret): Path<String>) -> Response {
    reset_page(StatusCode::OK, &guest, &secret, None)
}

/// Sets a password by a link.
pub(super) async fn reset(State(state): State<RuntimeState>, Path(secret): Path<String>, form: GuestForm) -> Response {
    let password = form.fields.get("password").unwrap_or_default();
    match state.auth().set_by_link(&secret, password, &form.guest.facts.client).await {
        Ok(_) => Redirect::to("/login").into_response(),
        Err(error) => {
            let (status, text) = told(&error, &form.guest.locale);
            reset_page(status, &form.guest, &secret, Some(text))
        }
    }
}
