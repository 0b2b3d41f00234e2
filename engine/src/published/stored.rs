//! In charge of what has to be stored because the database looks records up by it: fields of unique keys and of indexes.
//! Invariant: a field that is computed on read has no column, so no key and no index would ever hold it.

use model::{Diagnostic, EntityDef};

/// Keys and indexes that name a field without a column.
pub(super) fn faults(def: &EntityDef, at: &str) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let mut look = |name: &str, pointer: String, whole: &str| {
        if def.find(name).is_some_and(|field| field.on_read) {
            let message = format!("`{name}` depends on the clock and is computed when it is read: {whole} cannot hold it");
            faults.push(Diagnostic::error(pointer, message));
        }
    };
    for field in def.fields.iter().filter(|field| field.doc.common.unique) {
        let at = format!("/{}/entities/{}/fields/{}/unique", field.app, def.name.bare(), field.name);
        look(field.name.as_str(), at, "a unique key");
    }
    for (key, doc) in &def.doc.unique {
        for (index, name) in doc.fields.iter().enumerate() {
            look(name.as_str(), format!("{at}/unique/{key}/fields/{index}"), "a unique key");
        }
        for (index, name) in doc.period.iter().flatten().enumerate() {
            look(name.as_str(), format!("{at}/unique/{key}/period/{index}"), "a unique key");
        }
    }
    for (number, columns) in def.doc.indexes.iter().enumerate() {
        for (index, column) in columns.iter().enumerate() {
            let name = column.strip_prefix('-').unwrap_or(column);
            look(name, format!("{at}/indexes/{number}/{index}"), "an index");
        }
    }
    faults
}
