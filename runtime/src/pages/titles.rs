//! In charge of the titles of records that a row does not tell: of any kind, or of before and after a change.
//! Invariant: one question for each entity; what the reader does not see has no title and no address.

use std::collections::{BTreeMap, HashMap};

use engine::records::{ListRequest, Shape};
use model::EntityId;
use serde_json::json;
use uuid::Uuid;

use super::cell::Cell;
use super::shell::{Missed, missed};
use crate::http::caller::Page;
use crate::state::RuntimeState;

/// The titles of records by their ids.
pub(super) async fn titles(state: &RuntimeState, page: &Page, wanted: BTreeMap<EntityId, Vec<Uuid>>) -> Result<HashMap<Uuid, String>, Missed> {
    let mut titles = HashMap::new();
    for (entity, mut ids) in wanted {
        ids.sort_unstable();
        ids.dedup();
        let request = ListRequest {
            filter: Some(json!({"field": "id", "op": "in", "value": ids})),
            limit: Some(1_000),
            shape: Shape { fields: Some(Vec::new()), ..Shape::default() },
            ..ListRequest::of(entity)
        };
        titles.extend(state.engine().list(&page.cx, request).await.map_err(missed(page))?.titles);
    }
    Ok(titles)
}

/// Gives the cells that point at records of any kind their titles and addresses.
pub(super) async fn told<'a>(state: &RuntimeState, page: &Page, cells: impl Iterator<Item = &'a mut Cell>) -> Result<(), Missed> {
    let schema = &page.cx.app.schema;
    let seen = |name: &str| schema.find(name).filter(|def| page.cx.grants.sees(def.id));
    let mut untold: Vec<&mut Cell> = cells.filter(|cell| cell.untold.is_some()).collect();
    let mut wanted: BTreeMap<EntityId, Vec<Uuid>> = BTreeMap::new();
    for (def, id) in untold.iter().filter_map(|cell| cell.untold.as_ref()).filter_map(|(name, id)| Some((seen(name)?, *id))) {
        wanted.entry(def.id).or_default().push(id);
    }
    let titles = titles(state, page, wanted).await?;
    for cell in &mut untold {
        let Some((entity, id)) = cell.untold.take() else { continue };
        if let Some(title) = titles.get(&id) {
            cell.href = cell.href.take().or_else(|| Some(format!("/r/{entity}/{id}")));
            cell.text = if title.is_empty() { "—".to_owned() } else { title.clone() };
        }
    }
    Ok(())
}
