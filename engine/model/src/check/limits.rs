//! In charge of the sizes that documents may have.

use serde_json::{Map, Value as Json};

use super::checking::Checking;
use crate::fault::escape_pointer;
use crate::filter::{MAX_DEPTH, MAX_LEAVES};
use crate::package::{MAX_DOCUMENT, app_to_json};

/// The most live fields of an entity.
pub const MAX_FIELDS: usize = 400;
/// The most entities of an app.
pub const MAX_ENTITIES: usize = 300;

/// Checks how many there are of everything, and how large each document is.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    let own = app.entities.values().filter(|entity| entity.extends.is_none()).count();
    if own > MAX_ENTITIES {
        c.error("/entities", format!("{own} entities: an app has {MAX_ENTITIES} at most"));
    }
    for (key, entity) in &app.entities {
        let name = entity.extends.as_deref().unwrap_or(key);
        let fields = c.world.entity(c.name, name).map_or(entity.fields.len(), |known| known.fields.len());
        if fields > MAX_FIELDS {
            c.error(format!("/entities/{}/fields", escape_pointer(key)), format!("{fields} fields: an entity has {MAX_FIELDS} at most"));
        }
    }
    let whole = app_to_json(app);
    filters(c, "", &whole);
    for (folder, documents) in whole.as_object().into_iter().flatten() {
        if folder == "app" {
            continue;
        }
        for (name, document) in documents.as_object().into_iter().flatten() {
            let bytes = serde_json::to_vec(document).map_or(0, |bytes| bytes.len());
            if bytes > MAX_DOCUMENT {
                c.error(format!("/{folder}/{}", escape_pointer(name)), format!("{bytes} bytes: a document has {MAX_DOCUMENT} at most"));
            }
        }
    }
}

/// How deep and how large the filters of all documents are, wherever they stand.
fn filters(c: &mut Checking<'_, '_>, at: &str, json: &Json) {
    match json {
        Json::Object(map) if is_filter(map) => {
            let (depth, leaves) = measure(json);
            if depth > MAX_DEPTH {
                c.error(at, format!("a filter is nested {MAX_DEPTH} deep at most"));
            }
            if leaves > MAX_LEAVES {
                c.error(at, format!("{leaves} conditions: a filter has {MAX_LEAVES} at most"));
            }
        }
        Json::Object(map) => map.iter().for_each(|(key, inner)| filters(c, &format!("{at}/{}", escape_pointer(key)), inner)),
        Json::Array(items) => items.iter().enumerate().for_each(|(index, inner)| filters(c, &format!("{at}/{index}"), inner)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn is_filter(map: &Map<String, Json>) -> bool {
    let is_leaf = map.contains_key("field") && map.contains_key("op");
    let is_group =
        map.len() == 1 && (["all", "any"].iter().any(|key| map.get(*key).is_some_and(Json::is_array)) || map.get("not").is_some_and(Json::is_object));
    is_leaf || is_group || ["some", "none", "every"].iter().any(|key| map.get(*key).is_some_and(Json::is_string) && map.len() <= 2)
}

/// The depth and the number of leaves of a filter.
fn measure(json: &Json) -> (usize, usize) {
    let parts: Vec<&Json> = match json {
        Json::Object(map) => {
            let inner = ["all", "any"].iter().filter_map(|key| map.get(*key)?.as_array()).flatten();
            inner.chain(["not", "where"].iter().filter_map(|key| map.get(*key))).collect()
        }
        _ => Vec::new(),
    };
    let is_leaf = json.get("field").is_some();
    let (deepest, leaves) = parts.iter().map(|part| measure(part)).fold((0, 0), |(deepest, sum), (depth, leaves)| (deepest.max(depth), sum + leaves));
    (deepest + 1, leaves + usize::from(is_leaf))
}
