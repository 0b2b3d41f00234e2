//! In charge of the faces of a workspace: its HTTP API and its pages.
//! Reading order: `RuntimeState`, `router`; then `http` (what all handlers share), `api`.
//! Invariant: no rule of the product is here; every right and check is the engine's.

use axum::Router;
use axum::middleware;

pub mod api;
pub mod http;
mod pages;
mod state;

pub use http::serve::serve;
pub use state::{RuntimeState, Settings};

/// Everything that is served, ready to run.
pub fn router(state: RuntimeState) -> Router {
    Router::new()
        .merge(api::router())
        .merge(api::health::router())
        .merge(pages::router())
        .fallback(http::caller::nothing_here)
        .layer(middleware::from_fn_with_state(state.clone(), http::around::around))
        .with_state(state)
}
