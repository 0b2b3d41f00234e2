//! In charge of the sizes that documents may have.

use super::checking::Checking;
use crate::fault::escape_pointer;
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
