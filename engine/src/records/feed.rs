//! In charge of what the change log tells: a record's history, and the feed of all changes.
//! Invariant: a hidden field is in no line, and a change of hidden fields alone is no line at all.
//! Invariant: the feed gives every committed change that the caller may see, in commit order, none missed, none twice.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use model::field::{AcceptContext, Role};
use model::{Cells, EntityDef, EntityId, FieldDef, Input, Value};
use rules::query::Predicate;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use store::system::Cond;
use store::system::change::{self, ChangeRow};
use store::{Lock, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::{Caller, Cause, Ctx};
use crate::error::Error;
use crate::records::accept::set_cells;
use crate::records::history::sealed;
use crate::records::lookup::Reader;
use crate::records::read;
use crate::records::shape::{Shape, mask};

/// The most lines of an answer.
const MAX_LINES: u32 = 200;

impl Engine {
    /// What happened to a record, newest first: `{"data": […], "next"}`.
    ///
    /// # Errors
    /// `NotFound` where it is not there or out of sight.
    pub async fn history(&self, cx: &Ctx, entity: EntityId, id: Uuid, after: Option<&str>, limit: u32) -> Result<Json, Error> {
        let (cx, after) = (cx.clone(), after.and_then(|text| text.parse::<i64>().ok()));
        self.store().read(move |tx| history(&cx, tx, entity, id, after, limit.clamp(1, MAX_LINES))).await
    }

    /// The changes after `after` that the caller may see.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn changes(&self, cx: &Ctx, after: Option<&str>, limit: u32) -> Result<Json, Error> {
        let after = match after.filter(|text| !text.is_empty()) {
            None => 0,
            Some(text) => text
                .parse::<i64>()
                .ok()
                .filter(|seq| *seq >= 0)
                .ok_or_else(|| Error::Invalid(vec![model::Violation::at("/after", model::Code::Malformed, model::Message::new("bad_cursor"))]))?,
        };
        let cx = cx.clone();
        self.store().read(move |tx| feed(&cx, tx, after, limit.clamp(1, MAX_LINES * 5))).await
    }
}

fn history(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid, after: Option<i64>, limit: u32) -> Result<Json, Error> {
    let def = cx.app.schema.entity(entity);
    read::one(cx, tx, entity, id, &Shape { fields: Some(Vec::new()), ..Shape::default() })?.ok_or(Error::NotFound)?;
    let mut fit = vec![Cond::Eq("record", Value::Uuid(id))];
    fit.extend(after.map(|after| Cond::Lt("seq", Value::Int(after))));
    let rows = tx.find(&change::CHANGE, &fit, &[("seq", true)], limit + 1)?;
    let has_more = rows.len() > limit as usize;
    let changes: Vec<(i64, ChangeRow)> = rows.iter().filter_map(|row| change::read(row)).take(limit as usize).collect();
    let names = names_of(cx, tx, changes.iter().filter_map(|(_, row)| row.by))?;
    let next = changes.last().filter(|_| has_more).map(|(seq, _)| seq.to_string());
    let reader = Reader::new(tx, &cx.app.schema);
    let mut data = Vec::new();
    for (seq, row) in &changes {
        data.extend(line(cx, &reader, def, *seq, row, &names)?);
    }
    Ok(json!({"data": data, "next": next}))
}

fn line(cx: &Ctx, reader: &Reader<'_>, def: &EntityDef, seq: i64, row: &ChangeRow, names: &HashMap<Uuid, String>) -> Result<Option<Json>, Error> {
    let mut changes = Vec::new();
    for (name, change) in row.patch.as_object().into_iter().flatten() {
        let Some(field) = cx.grants.field(def, name) else { continue };
        let is_computed = row.cause == Cause::Computed.as_str();
        if sealed(field) || (is_computed && !field.doc.common.track) {
            continue;
        }
        let plain = cx.grants.entity(def.id).comparable(field.id);
        let shown = |value: Option<&Json>| match value {
            None | Some(Json::Null) => Json::Null,
            Some(value) if plain => value.clone(),
            Some(value) => Json::String(mask(value.as_str().unwrap_or_default())),
        };
        changes.push(json!({
            "field": name,
            "label": field.doc.label(name, &cx.locale),
            "before": in_sight(cx, reader, field, shown(change.get(0)))?,
            "after": in_sight(cx, reader, field, shown(change.get(1)))?,
        }));
    }
    if changes.is_empty() && row.op == "updated" {
        return Ok(None);
    }
    Ok(Some(json!({
        "seq": seq.to_string(),
        "at": row.at,
        "by": row.by,
        "by_title": row.by.and_then(|id| names.get(&id)),
        "op": row.op,
        "cause": row.cause,
        "version": row.version,
        "changes": changes,
    })))
}

/// The value of a reference as the caller may hear it: a target out of sight is none.
fn in_sight(cx: &Ctx, reader: &Reader<'_>, field: &FieldDef, value: Json) -> Result<Json, Error> {
    let [target] = field.targets.as_slice() else { return Ok(value) };
    if !matches!(field.role, Role::Reference(_) | Role::References(_)) || *cx.grants.entity(*target).read == Predicate::True {
        return Ok(value);
    }
    let sees = |value: &Json| match value.as_str().and_then(|id| Uuid::try_parse(id).ok()) {
        Some(id) => reader.in_sight(cx, *target, id),
        None => Ok(false),
    };
    Ok(match value {
        Json::Array(items) => {
            let mut kept = Vec::new();
            for item in items {
                if sees(&item)? {
                    kept.push(item);
                }
            }
            Json::Array(kept)
        }
        one => {
            if sees(&one)? {
                one
            } else {
                Json::Null
            }
        }
    })
}

/// The titles of people whom the caller sees.
fn names_of(cx: &Ctx, tx: &Tx, ids: impl Iterator<Item = Uuid>) -> Result<HashMap<Uuid, String>, Error> {
    let Some(def) = cx.app.schema.find("core.user") else { return Ok(HashMap::new()) };
    let mut names = HashMap::new();
    for id in ids {
        if !names.contains_key(&id)
            && let Some(answer) = read::one(cx, tx, def.id, id, &Shape { fields: Some(Vec::new()), ..Shape::default() })?
        {
            names.insert(id, answer.title);
        }
    }
    Ok(names)
}

fn feed(cx: &Ctx, tx: &Tx, after: i64, limit: u32) -> Result<Json, Error> {
    let rows = tx.find(&change::CHANGE, &[Cond::Gt("seq", Value::Int(after))], &[("seq", false)], limit)?;
    let reader = Reader::new(tx, &cx.app.schema);
    let changes: Vec<(i64, ChangeRow)> = rows.iter().filter_map(|row| change::read(row)).collect();
    let mut touched: HashMap<EntityId, Vec<Uuid>> = HashMap::new();
    for (_, row) in &changes {
        if let Some(def) = cx.app.schema.find(&row.entity).filter(|def| cx.grants.sees(def.id)) {
            touched.entry(def.id).or_default().push(row.record);
        }
    }
    for (entity, ids) in &touched {
        reader.preload(*entity, ids, Lock::None)?;
    }
    let (mut data, mut last) = (Vec::new(), after);
    for (seq, row) in &changes {
        last = *seq;
        data.extend(told(cx, &reader, *seq, row)?);
    }
    Ok(json!({"data": data, "next": last.to_string(), "epoch": epoch(cx)}))
}

/// What the caller's sight is made of, in short: another one says that everything may be another.
#[must_use]
pub fn epoch(cx: &Ctx) -> String {
    let Caller::Person(person) = &cx.caller else { return cx.app.revision.to_string() };
    let mut hash = Sha256::new();
    for role in &person.roles {
        hash.update(role.as_bytes());
        hash.update([0]);
    }
    for id in person.department.iter().chain(&person.reports).chain(&person.departments_below) {
        hash.update(id.as_bytes());
    }
    let digest = hash.finalize();
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{short}", cx.app.revision)
}

/// A record as it was before a change, as far as the change tells.
fn before_it(def: &EntityDef, cells: &Cells, row: &ChangeRow, now: DateTime<Utc>) -> Cells {
    let mut before = Vec::clone(cells);
    let accept = AcceptContext { now, sibling: &|_| None };
    for (name, change) in row.patch.as_object().into_iter().flatten() {
        let Some(field) = def.find(name) else { continue };
        let was = change.get(0).cloned().unwrap_or_default();
        let values = if was.is_null() { Some(Ok(Vec::new())) } else { field.typed.as_ref().map(|typed| typed.accept(&Input::from(&was), &accept)) };
        if let Some(Ok(values)) = values {
            set_cells(def, field, values, &mut before);
        }
    }
    before
}

/// A change as the feed tells it; nothing where the caller may not know of it.
fn told(cx: &Ctx, reader: &Reader<'_>, seq: i64, row: &ChangeRow) -> Result<Option<Json>, Error> {
    let Some(def) = cx.app.schema.find(&row.entity).filter(|def| cx.grants.sees(def.id)) else { return Ok(None) };
    let fields: Vec<&str> =
        row.patch.as_object().map(Map::keys).into_iter().flatten().map(String::as_str).filter(|name| cx.grants.field(def, name).is_some()).collect();
    let sight = &cx.grants.entity(def.id).read;
    let Some(cells) = reader.read(def.id, row.record)? else { return Ok(None) };
    let matches = |cells: &Cells| rules::eval::matches(sight, &cx.app.schema, def.id, cells, reader);
    let op = match (matches(&cells)?, row.op.as_str()) {
        (true, "updated") if fields.is_empty() && row.cause != Cause::Computed.as_str() => return Ok(None),
        (true, op) => op,
        // Who saw it before learns that it went; others never hear of it.
        (false, "updated") if matches(&before_it(def, &cells, row, cx.now))? => "hidden",
        (false, _) => return Ok(None),
    };
    let fields = if op == "hidden" { Vec::new() } else { fields };
    Ok(Some(json!({
        "seq": seq.to_string(),
        "entity": row.entity,
        "id": row.record,
        "op": op,
        "version": row.version,
        "at": row.at,
        "by": row.by.filter(|_| op != "hidden"),
        "fields": fields,
    })))
}
