//! In charge of plain forms of our pages: what a browser sends without any script.
//! Invariant: the session's word is checked before any field is looked at.

use axum::extract::{FromRequest, Multipart, Request};
use model::{Code, Message};

use super::body;
use super::caller::{self, Page, Turned};
use super::problem::Problem;
use super::query::Query;
use crate::state::RuntimeState;

/// The most bytes of a form.
const MAX_FORM: usize = 1 << 20;
/// The field with the session's word.
const CSRF: &str = "_csrf";

/// A form of a page, sent by somebody who is signed in.
#[derive(Clone)]
pub struct PageForm {
    /// Who sent it.
    pub page: Page,
    /// Its fields.
    pub fields: Query,
}

/// A form that anybody may send: the sign-in page's.
#[derive(Clone, Debug)]
pub struct GuestForm {
    /// Who sent it.
    pub guest: super::Guest,
    /// Its fields.
    pub fields: Query,
}

/// A form with a file, of which the session's word is the first part.
pub struct PageUpload {
    /// Who sent it.
    pub page: Page,
    /// Its further parts.
    pub parts: Multipart,
}

impl FromRequest<RuntimeState> for PageUpload {
    type Rejection = Turned;

    async fn from_request(request: Request, state: &RuntimeState) -> Result<Self, Self::Rejection> {
        let malformed = |detail: String| Problem::of(Code::Malformed, Message::new("malformed").with("detail", detail));
        let (parts, body) = request.into_parts();
        let page = Page::find(&parts, state).await?;
        let headers = parts.headers.clone();
        let mut parts = Multipart::from_request(Request::from_parts(parts, body), state).await.map_err(|error| malformed(error.body_text()))?;
        let first = parts.next_field().await.map_err(|error| malformed(error.body_text()))?;
        let word = match first.filter(|part| part.name() == Some(CSRF)) {
            Some(mut part) => {
                // A word that is longer than any of ours is none.
                let piece = part.chunk().await.map_err(|error| malformed(error.body_text()))?.unwrap_or_default();
                String::from_utf8_lossy(&piece).into_owned()
            }
            None => String::new(),
        };
        caller::from_our_page(&headers, page.facts.foreign, &page.csrf, Some(&word))?;
        Ok(Self { page, parts })
    }
}

impl FromRequest<RuntimeState> for PageForm {
    type Rejection = Turned;

    async fn from_request(request: Request, state: &RuntimeState) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let page = Page::find(&parts, state).await?;
        let bytes = body::read(&parts.headers, body, MAX_FORM).await?;
        let fields = Query::parse(&String::from_utf8_lossy(&bytes))?;
        caller::from_our_page(&parts.headers, page.facts.foreign, &page.csrf, fields.get(CSRF))?;
        Ok(Self { page, fields })
    }
}

impl FromRequest<RuntimeState> for GuestForm {
    type Rejection = super::Problem;

    async fn from_request(request: Request, state: &RuntimeState) -> Result<Self, Self::Rejection> {
        use axum::extract::FromRequestParts;
        let (mut parts, body) = request.into_parts();
        let guest = super::Guest::from_request_parts(&mut parts, state).await?;
        let bytes = body::read(&parts.headers, body, MAX_FORM).await?;
        Ok(Self { guest, fields: Query::parse(&String::from_utf8_lossy(&bytes))? })
    }
}
