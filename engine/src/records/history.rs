//! In charge of the change log: what each change was, as history, audit, feed and events read it.
//! Invariant: written in the change's own transaction; encrypted and secret values never enter it.

use std::sync::Arc;

use model::field::Numbers;
use model::{Cells, EntityDef, EntityId, FieldDef, Value};
use serde_json::Value as Json;
use store::Tx;
use store::system::change::{self, NewChange};
use uuid::Uuid;

use crate::automations::raise::{Happened, sets_off};
use crate::automations::trigger::Event;
use crate::clocks::{Saying, Sayings};
use crate::ctx::{Cause, Ctx};
use crate::records::accept::differs;

/// What happened to a record; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It is new.
    Created,
    /// Values changed.
    Updated,
    /// It went to the bin.
    Deleted,
    /// It went to the bin, and leads to another that holds what hung on it.
    Merged,
    /// It came back.
    Restored,
    /// It is gone for good.
    Purged,
}

impl Op {
    /// The word in the feed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Merged => "merged",
            Self::Restored => "restored",
            Self::Purged => "purged",
        }
    }

    /// What the word in the log means.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Created, Self::Updated, Self::Deleted, Self::Merged, Self::Restored, Self::Purged].into_iter().find(|op| op.as_str() == word)
    }
}

/// The changes of one transaction, in order.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) rows: Vec<NewChange>,
    /// What listeners are told after the commit: entity and record.
    pub(crate) touched: Vec<(EntityId, Uuid, Op)>,
    /// The change set of what is being done, where it is not the request's.
    pub(crate) change_set: Option<Uuid>,
    /// What may set automations off.
    pub(crate) happened: Vec<Happened>,
    /// What clocks said.
    pub(crate) sayings: Vec<Saying>,
    /// What others are told beside: what automations wrote inside the transaction.
    pub(crate) told: Vec<super::ChangeNote>,
}

impl Log {
    /// Adds one change; an update without a difference adds nothing.
    pub(crate) fn add(&mut self, cx: &Ctx, def: &EntityDef, op: Op, cause: Cause, before: Option<&Cells>, after: &Cells) {
        let Some(id) = def.slot("id").and_then(|slot| after.get(slot)).and_then(Value::as_uuid) else { return };
        let changed = changed(def, before, after);
        if op == Op::Updated && changed.is_empty() {
            return;
        }
        let version = def.slot("version").and_then(|slot| after.get(slot)).and_then(Value::as_int).unwrap_or_default();
        self.touched.push((def.id, id, op));
        if sets_off(cause) && cx.app.automations.concern(def.id) {
            let (before, after) = (before.map(|cells| Arc::new(cells.clone())), Arc::new(after.clone()));
            let event = Event { op, computed: cause == Cause::Computed, before, after };
            self.happened.push(Happened { entity: def.id, id, event });
        }
        let entity = match self.rows.last() {
            Some(last) if *last.entity == *def.name.as_str() => Arc::clone(&last.entity),
            Some(_) | None => def.name.as_str().into(),
        };
        self.rows.push(NewChange {
            entity,
            record: id,
            op: op.as_str(),
            version,
            at: cx.now,
            by: cx.caller.user(),
            cause: cause.as_str(),
            change_set: self.change_set.or(cx.change_set),
            depth: i64::from(cx.depth),
            patch: patch(&changed, before, after),
        });
    }

    /// Keeps what the clocks of a record said.
    pub(crate) fn say(&mut self, entity: EntityId, record: Uuid, sayings: &Sayings) {
        self.sayings.extend(sayings.iter().map(|(clock, said)| Saying { entity, record, clock: *clock, said: *said }));
    }

    /// Adds a change of what is no field of the record: `patch` is an object of what was and what is.
    pub(crate) fn note(&mut self, cx: &Ctx, def: &EntityDef, op: Op, cells: &Cells, patch: &Json) {
        let Some(id) = def.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid) else { return };
        self.touched.push((def.id, id, op));
        self.rows.push(NewChange {
            entity: def.name.as_str().into(),
            record: id,
            op: op.as_str(),
            version: def.slot("version").and_then(|slot| cells.get(slot)).and_then(Value::as_int).unwrap_or_default(),
            at: cx.now,
            by: cx.caller.user(),
            cause: cx.cause.as_str(),
            change_set: self.change_set.or(cx.change_set),
            depth: i64::from(cx.depth),
            patch: patch.to_string(),
        });
    }

    /// Writes the changes.
    pub(crate) fn flush(&mut self, tx: &Tx) -> Result<(), store::Fault> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { change::append(tx, rows) }
    }
}

/// The fields that differ, by name.
fn changed<'a>(def: &'a EntityDef, before: Option<&Cells>, after: &Cells) -> Vec<&'a FieldDef> {
    let is_set = |field: &FieldDef| field.cells(after).iter().any(|cell| !cell.is_null());
    let differs = |field: &&FieldDef| before.map_or_else(|| is_set(field), |before| differs(def, field, before, after));
    let mut fields: Vec<&FieldDef> = def.fields.iter().filter(|field| told(field)).filter(differs).collect();
    fields.sort_unstable_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    fields
}

/// What each of `fields` was and what it is, as a JSON object.
fn patch(fields: &[&FieldDef], before: Option<&Cells>, after: &Cells) -> String {
    let mut json = Vec::with_capacity(64 * fields.len() + 2);
    json.push(b'{');
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        model::json::write_text(field.name.as_str(), &mut json);
        json.extend_from_slice(b":[");
        match before {
            Some(before) if !sealed(field) => write(field, before, &mut json),
            Some(_) | None => json.extend_from_slice(b"null"),
        }
        json.push(b',');
        if sealed(field) {
            json.extend_from_slice(b"null")
        } else {
            write(field, after, &mut json)
        }
        json.push(b']');
    }
    json.push(b'}');
    String::from_utf8(json).unwrap_or_else(|_| "{}".to_owned())
}

/// Writes a field's value; long digits stay exact as a string.
fn write(field: &FieldDef, cells: &Cells, json: &mut Vec<u8>) {
    let cells = field.cells(cells);
    match &field.typed {
        Some(typed) if !cells.iter().all(Value::is_null) => typed.write_json(cells, Numbers::Strings, json),
        Some(_) | None => json.extend_from_slice(b"null"),
    }
}

/// Whether a field's changes are told: what every write changes is in the row's own columns.
fn told(field: &FieldDef) -> bool {
    let of_every_write = |name: &str| matches!(name, "id" | "version" | "created_at" | "created_by" | "updated_at" | "updated_by" | "owner_since");
    !(field.inner() || field.system && of_every_write(field.name.as_str()))
}

/// Whether a field's values never leave the record.
pub(crate) fn sealed(field: &FieldDef) -> bool {
    field.typed.as_ref().is_some_and(|typed| typed.sealed_for().is_some())
}

/// A field's value as JSON; long digits stay exact as a string.
pub(crate) fn json_of(field: &FieldDef, cells: &Cells) -> Json {
    let mut bytes = Vec::new();
    write(field, cells, &mut bytes);
    serde_json::from_slice(&bytes).unwrap_or_default()
}
