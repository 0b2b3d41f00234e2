//! In charge of the pages that people work in: rendered on the server, usable with a keyboard and on a phone.
//! Reading order: `shell` (what surrounds every page), `cell` (a value on a page), then a file per page.
//! Invariant: a page shows what the API would answer to the same person, and nothing else.

use axum::Router;
use axum::routing::{get, post};

use crate::state::RuntimeState;

mod assets;
mod board;
mod cell;
mod env;
mod form;
mod list;
mod query;
mod record;
mod search;
mod shell;
mod sign;

/// The routes of all pages and their assets.
pub(crate) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/", get(list::home))
        .route("/login", get(sign::show).post(sign::sign_in))
        .route("/logout", post(sign::sign_out))
        .route("/reset/{secret}", get(sign::show_reset).post(sign::reset))
        .route("/search", get(search::show))
        .route("/assets/{*path}", get(assets::get))
        .route("/a/{app}/view/{view}", get(list::view))
        .route("/r/{entity}", get(list::entity))
        .route("/r/{entity}/new", get(form::show_new).post(form::create))
        .route("/r/{entity}/state", post(form::state))
        .route("/r/{entity}/{id}", get(record::show))
        .route("/r/{entity}/{id}/edit", get(form::show_edit).post(form::update))
        .route("/r/{entity}/{id}/move", post(record::move_to))
        .route("/r/{entity}/{id}/note", post(record::note))
        .route("/r/{entity}/{id}/delete", post(record::delete))
        .route("/r/{entity}/{id}/restore", post(record::restore))
}
