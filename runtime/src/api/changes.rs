//! In charge of the change feed as it is read page by page.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::lists::asked;
use crate::http::Caller;
use crate::http::answer;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Changes of a page that names no number.
const CHANGES: u32 = 200;
/// The most changes that are looked at for one page.
const MOST: u32 = 1_000;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/changes", get(changes))
}

async fn changes(State(state): State<RuntimeState>, caller: Caller, query: Query) -> Result<Response, Problem> {
    query.only(&["after", "limit"])?;
    let limit = query.limit()?.unwrap_or(CHANGES).clamp(1, MOST);
    let page = state.engine().changes(&caller.cx, query.filled("after"), limit).await.map_err(asked)?;
    Ok(answer::ok(&page))
}
