//! In charge of what a record was in the course of an approval: as it was submitted each time, and what deciders changed in it.
//! Invariant: kept once, with the event, and never changed; a reader gets of it what they see of the record within the approval.
//! Invariant: what rests encrypted is not kept here.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::field::Role;
use model::{Cells, EntityDef, FieldDef, Value};
use rules::policy::Grants;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::approval::APPROVAL_DATA;
use store::{Lock, Tx};
use uuid::Uuid;

use crate::approvals::facts::Known;
use crate::approvals::plan::FlowPlan;
use crate::error::Error;
use crate::records::history::{json_of, sealed};
use crate::records::slice::Writer;

/// What is kept with one event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Data {
    /// The record as it was submitted, by field; lines as lists of such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<Map<String, Json>>,
    /// What somebody changed with their decision: before and after, by field.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) changes: Map<String, Json>,
}

impl Data {
    /// Keeps it with the event of a number; nothing where there is nothing.
    pub(super) fn keep(&self, tx: &Tx, instance: Uuid, seq: i64) -> Result<(), Error> {
        if *self == Self::default() {
            return Ok(());
        }
        let body = serde_json::to_value(self).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(tx.put(&APPROVAL_DATA, &[vec![Value::Uuid(instance), Value::Int(seq), Value::Json(Arc::new(body))]])?)
    }
}

/// What is kept of an instance, by the number of the event.
pub(super) fn of(tx: &Tx, instance: Uuid) -> Result<BTreeMap<i64, Data>, Error> {
    let rows = tx.find(&APPROVAL_DATA, &[Cond::Eq("instance", Value::Uuid(instance))], &[("seq", false)], 10_000)?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let [_, seq, Value::Json(body)] = row.as_slice() else { continue };
        let data = serde_json::from_value(Json::clone(body)).map_err(|error| Error::Internal(format!("an approval cannot be read: {error}")))?;
        if let Some(seq) = seq.as_int() {
            found.insert(seq, data);
        }
    }
    Ok(found)
}

/// Whether a field is kept: an app's own, with a value that may rest in the clear.
fn is_kept(field: &FieldDef) -> bool {
    !field.system && !field.on_read && field.typed.is_some() && !sealed(field)
}

fn values_of(def: &EntityDef, cells: &Cells) -> Map<String, Json> {
    def.fields.iter().filter(|field| is_kept(field)).map(|field| (field.name.to_string(), json_of(field, cells))).collect()
}

/// A record as it is now, with its lines.
pub(super) fn now(w: &Writer<'_>, plan: &FlowPlan, record: Uuid) -> Result<Map<String, Json>, Error> {
    let def = w.def(plan.entity);
    let Some(cells) = w.tx.load(def, &[record], Lock::None)?.pop().flatten() else { return Ok(Map::new()) };
    let mut values = values_of(def, &cells);
    for field in def.fields.iter().filter(|field| matches!(field.role, Role::Lines { .. })) {
        let known = Known::new(w, plan, Uuid::nil(), record);
        let found = known.records(field.name.as_str());
        if let Some(error) = known.failed.take() {
            return Err(error);
        }
        // More lines than one looks at are not kept, rather than a part of them.
        let Ok(found) = found else { continue };
        let Some((line, _)) = found.first() else {
            values.insert(field.name.to_string(), json!([]));
            continue;
        };
        let line = w.def(*line);
        let ids: Vec<Uuid> = found.iter().map(|(_, id)| *id).collect();
        let mut rows: Vec<Cells> = w.tx.load(line, &ids, Lock::None)?.into_iter().flatten().collect();
        rows.sort_by_key(|cells| line.slot("position").and_then(|slot| cells.get(slot)).and_then(Value::as_int));
        values.insert(field.name.to_string(), rows.iter().map(|cells| Json::Object(values_of(line, cells))).collect());
    }
    Ok(values)
}

/// What is different, by field: before and after.
pub(super) fn changes(before: &Map<String, Json>, after: &Map<String, Json>) -> Map<String, Json> {
    let was = |name: &String| before.get(name).cloned().unwrap_or_default();
    after.iter().filter(|(name, is)| was(name) != **is).map(|(name, is)| (name.clone(), json!([was(name), is]))).collect()
}

/// What a reader sees of kept values: fields that are not hidden, of lines, too.
pub(super) fn shown(w: &Writer<'_>, grants: &Grants, def: &EntityDef, values: &Map<String, Json>) -> Map<String, Json> {
    let told = |(name, json): (&String, &Json)| {
        let field = def.find(name).filter(|field| grants.entity(def.id).comparable(field.id))?;
        let Role::Lines { of, .. } = &field.role else { return Some((name.clone(), json.clone())) };
        let line = w.app.schema.find_from(field.app.as_str(), of).filter(|line| grants.sees(line.id))?;
        Some((name.clone(), lines(w, grants, line, json)))
    };
    values.iter().filter_map(told).collect()
}

/// Lines, or lists of them: before and after.
fn lines(w: &Writer<'_>, grants: &Grants, line: &EntityDef, json: &Json) -> Json {
    match json {
        Json::Object(values) => Json::Object(shown(w, grants, line, values)),
        Json::Array(items) => items.iter().map(|item| lines(w, grants, line, item)).collect(),
        other => other.clone(),
    }
}
