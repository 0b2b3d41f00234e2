//! In charge of plain forms of our pages: what a browser sends without any script.
//! Invariant: the session's word is checked before any field is looked at.

use axum::extract::{FromRequest, Request};

use super::body;
use super::caller::{self, Page, Turned};
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
