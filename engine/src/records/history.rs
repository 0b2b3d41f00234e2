//! In charge of the change log: what each change was, as history, audit, feed and events read it.
//! Invariant: written in the change's own transaction; encrypted and secret values never enter it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::field::{Numbers, Role};
use model::{Cells, EntityDef, EntityId, FieldDef, Value};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use store::system::change::{self, ChangeRow};
use uuid::Uuid;

use crate::automations::raise::{Happened, sets_off};
use crate::automations::trigger::Event;
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
            Self::Restored => "restored",
            Self::Purged => "purged",
        }
    }
}

/// The changes of one transaction, in order.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) rows: Vec<ChangeRow>,
    /// What listeners are told after the commit: entity and record.
    pub(crate) touched: Vec<(EntityId, Uuid, Op)>,
    /// The change set of what is being done, where it is not the request's.
    pub(crate) change_set: Option<Uuid>,
    /// What may set automations off.
    pub(crate) happened: Vec<Happened>,
    /// What others are told beside: what automations wrote inside the transaction.
    pub(crate) told: Vec<super::ChangeNote>,
}

impl Log {
    /// Adds one change; an update without a difference adds nothing.
    pub(crate) fn add(&mut self, cx: &Ctx, def: &EntityDef, op: Op, cause: Cause, before: Option<&Cells>, after: &Cells) {
        let Some(id) = def.slot("id").and_then(|slot| after.get(slot)).and_then(Value::as_uuid) else { return };
        let fields = patch(def, before, after);
        if op == Op::Updated && fields.is_empty() {
            return;
        }
        let version = def.slot("version").and_then(|slot| after.get(slot)).and_then(Value::as_int).unwrap_or_default();
        self.touched.push((def.id, id, op));
        if sets_off(cause) && cx.app.automations.concern(def.id) {
            let (before, after) = (before.map(|cells| Arc::new(cells.clone())), Arc::new(after.clone()));
            let event = Event { op, computed: cause == Cause::Computed, before, after };
            self.happened.push(Happened { entity: def.id, id, event });
        }
        self.rows.push(ChangeRow {
            entity: def.name.as_str().to_owned(),
            record: id,
            op: op.as_str().to_owned(),
            version,
            at: cx.now,
            by: cx.caller.user(),
            cause: cause.as_str().to_owned(),
            change_set: self.change_set.or(cx.change_set),
            depth: i64::from(cx.depth),
            patch: Json::Object(fields),
        });
    }

    /// Writes the changes.
    pub(crate) fn flush(&mut self, tx: &Tx) -> Result<(), store::Fault> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { change::append(tx, &rows) }
    }
}

/// The fields that differ, each with what it was and what it is.
fn patch(def: &EntityDef, before: Option<&Cells>, after: &Cells) -> Map<String, Json> {
    let empty;
    let before = match before {
        Some(before) => before,
        None => {
            empty = def.empty();
            &empty
        }
    };
    let mut fields = BTreeMap::new();
    for field in def.fields.iter().filter(|field| told(field) && differs(def, field, before, after)) {
        let change = if sealed(field) { json!([null, null]) } else { json!([json_of(field, before), json_of(field, after)]) };
        fields.insert(field.name.to_string(), change);
    }
    fields.into_iter().collect()
}

/// Whether a field's changes are told: what every write changes is in the row's own columns.
fn told(field: &FieldDef) -> bool {
    !(field.system && matches!(field.name.as_str(), "id" | "version" | "created_at" | "created_by" | "updated_at" | "updated_by" | "owner_since"))
}

/// Whether a field's values never leave the record.
pub(crate) fn sealed(field: &FieldDef) -> bool {
    field.doc.common.encrypted || matches!(field.role, Role::Secret)
}

/// A field's value as JSON; long digits stay exact as a string.
pub(crate) fn json_of(field: &FieldDef, cells: &Cells) -> Json {
    let Some(typed) = &field.typed else { return Json::Null };
    let cells = field.cells(cells);
    if cells.iter().all(Value::is_null) {
        return Json::Null;
    }
    let mut bytes = Vec::new();
    typed.write_json(cells, Numbers::Strings, &mut bytes);
    serde_json::from_slice(&bytes).unwrap_or_default()
}
