//! In charge of the HTTP API under `/api/v1`: one file for each noun.
//! Invariant: a handler reads the request, calls one verb of the engine, and writes the answer; it decides nothing.
//! Invariant: everything but signing in needs a caller, and is told so before anything else is looked at.

use axum::Router;

use crate::http::caller::{nothing_here, wrong_method};
use crate::state::RuntimeState;

mod admin;
mod approvals;
pub mod archive;
mod around_records;
mod auth;
pub(crate) mod automations;
mod batch;
mod change_sets;
mod changes;
mod conversions;
mod design;
mod docs;
mod events;
mod exchange;
pub(crate) mod files;
pub mod health;
mod lists;
mod me;
mod notices;
mod pools;
pub(crate) mod prints;
mod records;
pub(crate) mod saved_views;
mod settings;
mod shape;

/// All routes of the API.
pub(crate) fn router() -> Router<RuntimeState> {
    let routes = Router::new()
        .merge(admin::router())
        .merge(approvals::router())
        .merge(around_records::router())
        .merge(auth::router())
        .merge(automations::router())
        .merge(batch::router())
        .merge(change_sets::router())
        .merge(changes::router())
        .merge(conversions::router())
        .merge(design::router())
        .merge(docs::router())
        .merge(events::router())
        .merge(exchange::router())
        .merge(files::router())
        .merge(lists::router())
        .merge(me::router())
        .merge(notices::router())
        .merge(pools::router())
        .merge(prints::router())
        .merge(records::router())
        .merge(saved_views::router())
        .merge(settings::router());
    Router::new().nest("/api/v1", routes.fallback(nothing_here)).method_not_allowed_fallback(wrong_method)
}
