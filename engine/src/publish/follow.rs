//! In charge of what changes while a publish fills: records that others write meanwhile are filled again.
//! Invariant: the change log names every record that was written since a mark, so none is missed, whichever process wrote it.
//! Invariant: how a record was before is not asked for; what may follow from it is counted anew.

use std::collections::{BTreeMap, BTreeSet};

use model::field::Role;
use model::{Cells, EntityDef, EntityId, Value};
use serde_json::Value as Json;
use store::Lock;
use store::system::Cond;
use store::system::change::{self, ChangeRow};
use uuid::Uuid;

use crate::error::Error;
use crate::publish::fill::Fillings;
use crate::published::Published;
use crate::records::consequences::{self, Touched};
use crate::records::slice::Writer;

/// Fills what changed behind `mark`, at most `limit` changes: the new mark, and how many changes there were.
pub(super) fn follow(w: &Writer<'_>, old: &Published, fillings: &Fillings, mark: i64, limit: u32) -> Result<(i64, usize), Error> {
    let rows = w.tx.find(&change::CHANGE, &[Cond::Gt("seq", Value::Int(mark))], &[("seq", false)], limit)?;
    let changes: Vec<(i64, ChangeRow)> = rows.iter().filter_map(|row| change::read(row)).collect();
    let Some((newest, _)) = changes.last() else { return Ok((mark, 0)) };
    let newest = *newest;
    let mut changed: BTreeMap<EntityId, BTreeSet<Uuid>> = BTreeMap::new();
    let mut former: BTreeSet<(EntityId, Uuid)> = BTreeSet::new();
    for (_, row) in &changes {
        let Some(def) = w.app.schema.find(&row.entity) else { continue };
        changed.entry(def.id).or_default().insert(row.record);
        pointed_at(w, def, &row.patch, &mut former);
    }
    // All locks first, in the order in which everybody takes them.
    for (entity, ids) in &changed {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        w.reader.preload(*entity, &ids, Lock::Change)?;
    }
    let mut touched = Vec::new();
    for filling in &fillings.of {
        let Some(ids) = changed.get(&filling.entity) else { continue };
        let mut records: Vec<Cells> = Vec::new();
        for id in ids {
            records.extend(w.reader.read(filling.entity, *id)?.map(|cells| Vec::clone(&cells)));
        }
        let (filled, _) = filling.rows(w, old, &records)?;
        let entity = filling.entity;
        touched.extend(filled.into_iter().map(|(id, before, after)| Touched { entity, id, before: Some(before), after }));
    }
    consequences::run(w, touched, None)?;
    let changed: Vec<(EntityId, Uuid)> = changed.into_iter().flat_map(|(entity, ids)| ids.into_iter().map(move |id| (entity, id))).collect();
    let former: Vec<(EntityId, Uuid)> = former.into_iter().collect();
    consequences::count_anew(w, &changed, &former)?;
    Ok((newest, changes.len()))
}

/// The records that a changed one pointed at, before or after.
fn pointed_at(w: &Writer<'_>, def: &EntityDef, patch: &Json, found: &mut BTreeSet<(EntityId, Uuid)>) {
    for (name, change) in patch.as_object().into_iter().flatten() {
        let Some(field) = def.find(name) else { continue };
        if !matches!(field.role, Role::Reference(_) | Role::References(_) | Role::AnyReference { .. }) {
            continue;
        }
        let mut ids = Vec::new();
        collect(change, &mut ids);
        let anywhere: Vec<EntityId>;
        let targets = if field.targets.is_empty() {
            anywhere = w.app.schema.entities.iter().map(|def| def.id).collect();
            &anywhere
        } else {
            &field.targets
        };
        found.extend(targets.iter().flat_map(|target| ids.iter().map(|id| (*target, *id))));
    }
}

fn collect(json: &Json, ids: &mut Vec<Uuid>) {
    match json {
        Json::String(text) => ids.extend(Uuid::try_parse(text)),
        Json::Array(items) => items.iter().for_each(|item| collect(item, ids)),
        Json::Object(map) => map.values().for_each(|item| collect(item, ids)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}
