//! In charge of the search page: records of all kinds by words, Chinese and pinyin too.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value as Json;

use super::env;
use super::shell::{Missed, Shell, missed, shell};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

#[derive(Serialize)]
struct SearchPage {
    shell: Shell,
    q: String,
    hits: Vec<Hit>,
}

#[derive(Serialize)]
struct Hit {
    href: String,
    title: String,
    subtitle: String,
}

/// Shows what is found.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    let words = query.get("q").unwrap_or_default().trim().to_owned();
    let found = if words.is_empty() { Json::Null } else { state.engine().search(&page.cx, &words, 50).await.map_err(missed(&page))? };
    let text = |hit: &Json, key: &str| hit.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let hits = found
        .get("data")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|hit| Hit {
            href: format!("/r/{}/{}", text(hit, "entity"), text(hit, "id")),
            title: text(hit, "title"),
            subtitle: text(hit, "subtitle"),
        })
        .collect();
    let title = env::text(&page.cx.locale, "search");
    Ok(env::page(StatusCode::OK, "search.html", &SearchPage { shell: shell(&page, title, "/search"), q: words, hits }))
}
