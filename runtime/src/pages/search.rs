//! In charge of the search page: records of all kinds by words, Chinese and pinyin too.
//! Invariant: what stands beside a title is what a list of the same records would show to the same person.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use engine::Ctx;
use engine::records::{ListRequest, Shape};
use model::doc::ViewKind;
use model::{EntityDef, EntityId};
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::cell::{Cell, cell, field_at, says};
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
    /// What tells it from others with the same title.
    cells: Vec<Cell>,
}

/// The most values beside a title.
const BESIDE: usize = 4;

/// Shows what is found.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    let words = query.get("q").unwrap_or_default().trim().to_owned();
    let found = if words.is_empty() { Json::Null } else { state.engine().search(&page.cx, &words, 50).await.map_err(missed(&page))? };
    let text = |hit: &Json, key: &str| hit.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let found: Vec<(String, Uuid, &Json)> = found
        .get("data")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|hit| Some((text(hit, "entity"), Uuid::try_parse(hit.get("id")?.as_str()?).ok()?, hit)))
        .collect();
    let mut beside = beside(&state, &page, &found).await?;
    let hits = found
        .iter()
        .map(|(entity, id, hit)| {
            let title = text(hit, "title");
            let mut cells = beside.remove(id).unwrap_or_default();
            cells.retain(|cell| !cell.text.is_empty() && cell.untold.is_none() && !says(&title, &cell.text));
            cells.truncate(BESIDE);
            Hit { href: format!("/r/{entity}/{id}"), title, subtitle: text(hit, "subtitle"), cells }
        })
        .collect();
    let title = env::text(&page.cx.locale, "search");
    Ok(env::page(StatusCode::OK, "search.html", &SearchPage { shell: shell(&page, title, "/search"), q: words, hits }))
}

/// The columns of the first table of an entity's records that the person may open.
fn columns(cx: &Ctx, def: &EntityDef) -> Vec<String> {
    let views = cx.app.schema.apps.iter().flat_map(|(app, compiled)| compiled.views.values().map(move |view| (app.as_str(), view)));
    let table = views
        .filter(|(app, view)| view.kind == ViewKind::Table && !view.columns.is_empty() && cx.has_role(app, &view.roles))
        .find(|(app, view)| cx.app.schema.find_from(app, &view.entity).is_some_and(|entity| entity.id == def.id));
    let names = table.map(|(_, view)| view.order.clone().unwrap_or_else(|| view.columns.keys().cloned().collect())).unwrap_or_default();
    names.into_iter().filter(|name| field_at(cx, def, name).is_some()).collect()
}

/// What stands beside the titles of what was found, in one question for each entity.
async fn beside(state: &RuntimeState, page: &Page, found: &[(String, Uuid, &Json)]) -> Result<HashMap<Uuid, Vec<Cell>>, Missed> {
    let cx = &page.cx;
    let mut wanted: BTreeMap<EntityId, Vec<Uuid>> = BTreeMap::new();
    for (def, id) in found.iter().filter_map(|(entity, id, _)| Some((cx.app.schema.find(entity)?, *id))) {
        wanted.entry(def.id).or_default().push(id);
    }
    let mut cells = HashMap::new();
    for (entity, ids) in wanted {
        let def = cx.app.schema.entity(entity);
        let names = columns(cx, def);
        if names.is_empty() {
            continue;
        }
        let request = ListRequest {
            limit: u32::try_from(ids.len()).ok(),
            filter: Some(json!({"field": "id", "op": "in", "value": ids})),
            shape: Shape { fields: Some(names.clone()), titles: true, ..Shape::default() },
            ..ListRequest::of(entity)
        };
        let list = state.engine().list(cx, request).await.map_err(missed(page))?;
        for (row, (id, _)) in list.rows.iter().zip(&list.titles) {
            let row: Json = serde_json::from_slice(row).unwrap_or_default();
            cells.insert(*id, names.iter().map(|name| Cell { href: None, ..cell(cx, def, name, &row) }).collect());
        }
    }
    Ok(cells)
}
