//! In charge of the page that says what went wrong where no other page can: an address that leads nowhere, a fault of ours.
//! Invariant: it needs nobody who is signed in, and tells what the problem's answer tells, never more.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::env;
use super::shell::title_of;

#[derive(Serialize)]
struct Lost<'a> {
    locale: &'a str,
    title: String,
    text: &'a str,
    /// By which the fault is found in the log.
    request: Option<&'a str>,
}

/// The page instead of a problem of `status` that says `text`; `request` names the request in the log.
pub(crate) fn page(status: StatusCode, locale: &str, text: &str, request: &str) -> Response {
    let request = Some(request).filter(|_| status.is_server_error());
    env::page(status, "lost.html", &Lost { locale, title: env::text(locale, title_of(status)), text, request })
}
