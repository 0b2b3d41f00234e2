//! In charge of the bin: what was deleted and can be brought back.
//! Invariant: only what its reader may delete is there.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use engine::records::{ListRequest, Shape, Total};
use engine::{Ctx, Error};
use model::EntityDef;
use rules::query::Predicate;
use serde::Serialize;
use serde_json::Value as Json;

use super::cell::cell;
use super::env;
use super::query::with;
use super::shell::{Missed, Shell, missed, shell};
use super::toast;
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

#[derive(Serialize)]
struct BinPage {
    shell: Shell,
    entity: String,
    kinds: Vec<Kind>,
    rows: Vec<Binned>,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Serialize)]
struct Kind {
    name: String,
    label: String,
    count: u64,
    href: String,
}

#[derive(Serialize)]
struct Binned {
    id: String,
    title: String,
    at: String,
    by: String,
}

/// The kinds of records that the reader may delete.
fn kinds(cx: &Ctx) -> impl Iterator<Item = &EntityDef> {
    let may = |def: &&EntityDef| cx.grants.sees(def.id) && *cx.grants.entity(def.id).delete != Predicate::False && def.line_of.is_none();
    cx.app.schema.entities.iter().filter(may)
}

/// Shows the bin.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    let cx = &page.cx;
    let mut found = Vec::new();
    for def in kinds(cx) {
        let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
        let request = ListRequest { bin: true, limit: Some(1), total: Total::Exact, shape, ..ListRequest::of(def.id) };
        let count = state.engine().list(cx, request).await.map_err(missed(&page))?.total.unwrap_or_default();
        if count > 0 || query.get("entity") == Some(def.name.as_str()) {
            found.push((def, count));
        }
    }
    let chosen = match query.filled("entity") {
        Some(name) => Some(found.iter().find(|(def, _)| def.name.as_str() == name).ok_or_else(|| missed(&page)(Error::NotFound))?.0),
        None => found.first().map(|(def, _)| *def),
    };
    let (mut rows, mut next) = (Vec::new(), None);
    if let Some(def) = chosen {
        let request = ListRequest {
            bin: true,
            sort: Some("-updated_at".to_owned()),
            after: query.filled("after").map(str::to_owned),
            shape: Shape { fields: Some(vec!["deleted_at".to_owned(), "updated_by".to_owned()]), titles: true, ..Shape::default() },
            ..ListRequest::of(def.id)
        };
        let list = state.engine().list(cx, request).await.map_err(missed(&page))?;
        next = list.next.as_deref().map(|next| with("/bin", &query, "after", Some(next)));
        rows = list
            .rows
            .iter()
            .zip(list.titles)
            .map(|(row, (id, title))| {
                let row: Json = serde_json::from_slice(row).unwrap_or_default();
                let shown = |name: &str| cell(cx, def, name, &row).text;
                Binned { id: id.to_string(), title, at: shown("deleted_at"), by: shown("updated_by") }
            })
            .collect();
    }
    let context = BinPage {
        shell: toast::told(shell(&page, env::text(&cx.locale, "bin"), "/bin"), None, &query),
        entity: chosen.map(|def| def.name.to_string()).unwrap_or_default(),
        kinds: found
            .iter()
            .map(|(def, count)| Kind {
                name: def.name.to_string(),
                label: def.plural(&cx.locale).to_owned(),
                count: *count,
                href: format!("/bin?entity={}", def.name),
            })
            .collect(),
        rows,
        next,
        first: query.filled("after").map(|_| with("/bin", &query, "after", None)),
    };
    Ok(env::page(StatusCode::OK, "bin.html", &context))
}
