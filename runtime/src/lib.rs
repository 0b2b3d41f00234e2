//! In charge of the faces of a workspace: its HTTP API and its pages.
//! Reading order: `RuntimeState`, `router`; then `http` (what all handlers share), `api`.
//! Invariant: no rule of the product is here; every right and check is the engine's.

use axum::Router;
use axum::middleware;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

pub mod api;
pub mod http;
mod pages;
mod state;

pub use http::serve::serve;
pub use state::{RuntimeState, Settings};

/// What is smaller than this is not worth the work of packing it.
const PACKED: u64 = 1_024;

/// Pages and assets are packed. Answers of the API are not: most are small, and their time is counted.
fn smaller() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(PACKED))
}

/// Everything that is served, ready to run.
pub fn router(state: RuntimeState) -> Router {
    Router::new()
        .merge(api::router())
        .merge(api::health::router())
        .merge(api::automations::hooks())
        .merge(pages::router().layer(smaller()))
        .fallback(http::caller::nothing_here)
        .layer(middleware::from_fn_with_state(state.clone(), http::around::around))
        .with_state(state)
}
