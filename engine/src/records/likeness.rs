//! In charge of what a write does with records that may be the same thing as those it is about, and of looking before it.
//! Invariant: whoever asks is shown those alone that they see, by fields that they may compare by; of others only that there
//! is one.
//! Invariant: two who send the same at once are one after the other, so that the second finds the first.

use std::collections::{BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;
use model::doc::DuplicateThen;
use model::{EntityDef, EntityId, Input, Message, Wording};
use rules::query::Predicate;
use serde_json::json;
use store::Tx;
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::duplicates::DuplicatePlan;
use crate::records::lookup::is_live;
use crate::records::slice::{Row, Slice, Writer};
use crate::records::submission::{Channel, Submission};
use crate::records::{Shape, drafted, read, write_in};

/// The most records of one rule that are shown.
const SHOWN: usize = 10;

/// That records may be the same thing as one that was sent, by one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// Where the record stands in what was sent; empty for the whole.
    pub pointer: String,
    /// The rule of the entity's `duplicates`.
    pub rule: String,
    /// The field that the rule compares by first, where the caller sees it.
    pub field: Option<String>,
    /// Whether saying that it is another thing does not help.
    pub blocks: bool,
    /// What a person reads.
    pub wording: Wording,
    /// Those of the records that the caller sees, the oldest first.
    pub records: Vec<Alike>,
}

/// A record that may be the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Its entity, qualified.
    pub entity: String,
    /// The record.
    pub id: Uuid,
    /// Its title as the caller sees it.
    pub title: String,
}

impl Likeness {
    /// What a person reads of it where there are no links: the words, and where the records are.
    #[must_use]
    pub fn told(&self, locale: &str) -> String {
        let places: Vec<String> = self.records.iter().map(|record| format!("/r/{}/{}", record.entity, record.id)).collect();
        let said = self.wording.text(locale);
        if places.is_empty() { said } else { format!("{said} ({})", places.join(", ")) }
    }
}

impl Engine {
    /// The records that the caller sees and that may be the same thing as one with these values, new or there already; by rule.
    ///
    /// # Errors
    /// `NotFound` where the record is not there or out of sight; faults of values that could not be read.
    pub async fn duplicates(&self, cx: &Ctx, entity: EntityId, id: Option<Uuid>, values: IndexMap<String, Input>) -> Result<Vec<Likeness>, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| looked(&cx, tx, entity, id, &values)).await
    }
}

fn looked(cx: &Ctx, tx: &Tx, entity: EntityId, id: Option<Uuid>, values: &IndexMap<String, Input>) -> Result<Vec<Likeness>, Error> {
    let w = Writer::preview(cx, tx);
    let def = w.def(entity);
    if !cx.grants.sees(entity) {
        return Err(Error::Forbidden);
    }
    let (row, _) = drafted(&w, def, id, values)?;
    let unread: Vec<_> = row.faults.iter().filter(|fault| fault.code.status() == 400).cloned().collect();
    if !unread.is_empty() {
        return Err(Error::Invalid(unread));
    }
    let mut found = Vec::new();
    for rule in &w.plan(entity).duplicates {
        let records = seen(&w, def, rule, &row)?;
        if !records.is_empty() {
            found.push(likeness(&w, def, rule, records));
        }
    }
    Ok(found)
}

/// What a write with the caller's rights would find by a rule, of what the caller sees.
fn seen(w: &Writer<'_>, def: &EntityDef, rule: &DuplicatePlan, row: &Row) -> Result<Vec<Alike>, Error> {
    let Some(plan) = as_seen(w, def, rule) else { return Ok(Vec::new()) };
    let within = Predicate::clone(&w.cx.grants.entity(def.id).read);
    let found = plan.find(w, def, &row.after, within, &HashSet::from([row.id]))?;
    alike(w, def, found.into_iter().map(|(id, _)| id))
}

/// The rule as the caller may use it: none where it compares by what they may not.
fn as_seen(w: &Writer<'_>, def: &EntityDef, rule: &DuplicatePlan) -> Option<DuplicatePlan> {
    let json = def.doc.duplicates.get(rule.name.as_str())?;
    DuplicatePlan::compile(&w.app.schema, def, &rule.name, json, &*w.cx.grants, "", &mut Vec::new())
}

/// The records among these that the caller sees, with their titles.
fn alike(w: &Writer<'_>, def: &EntityDef, ids: impl Iterator<Item = Uuid>) -> Result<Vec<Alike>, Error> {
    let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
    let mut records = Vec::new();
    for id in ids {
        if records.len() == SHOWN {
            break;
        }
        if let Some(found) = read::one(w.cx, w.tx, def.id, id, &shape)?.filter(|found| !found.binned) {
            records.push(Alike { entity: def.name.to_string(), id, title: found.title });
        }
    }
    Ok(records)
}

fn likeness(w: &Writer<'_>, def: &EntityDef, rule: &DuplicatePlan, records: Vec<Alike>) -> Likeness {
    let wording = match (&rule.message, records.first()) {
        (Some(label), _) => Wording::Label(label.clone()),
        (None, Some(first)) => Wording::Message(Message::new("duplicate_found").with("title", &first.title)),
        (None, None) => Wording::Message(Message::new("duplicate_unseen")),
    };
    let name = rule.reads.first().map(|field| def.field(*field).name.as_str());
    let field = name.and_then(|name| w.cx.grants.field(def, name)).map(|field| field.name.to_string());
    Likeness { pointer: String::new(), rule: rule.name.clone(), field, blocks: rule.then == DuplicateThen::Block, wording, records }
}

/// Step 9, after uniqueness: rows that are like others are refused, or note it.
pub(crate) fn check(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    if slice.plan.duplicates.is_empty() || w.cx.channel == Channel::Engine || w.filling.is_some() {
        return Ok(());
    }
    let mut rows = std::mem::take(&mut slice.rows);
    // Who has looked already says what is done; what blocks binds all the same.
    let binds = |rule: &&DuplicatePlan| w.settled.as_ref().is_none_or(|settled| *settled != rule.name && rule.then == DuplicateThen::Block);
    for rule in slice.plan.duplicates.iter().filter(binds) {
        look(w, slice.def, rule, &mut rows)?;
    }
    for row in &mut rows {
        if !row.alike.is_empty() && row.is_well() {
            row.failed = Some(Error::Duplicates(std::mem::take(&mut row.alike)));
        }
    }
    slice.rows = rows;
    Ok(())
}

fn look(w: &Writer<'_>, def: &EntityDef, rule: &DuplicatePlan, rows: &mut [Row]) -> Result<(), Error> {
    let mut wanted: Vec<(usize, String)> = Vec::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.is_well() && rule.concerns(def, row)) {
        if let Some(key) = rule.key(w, &row.after)? {
            wanted.push((index, key));
        }
    }
    let keys: BTreeSet<&str> = wanted.iter().map(|(_, key)| key.as_str()).collect();
    for key in keys {
        rule.lock_key(w, def, key)?;
    }
    // What is stored of these rows is about to change: they are compared as they will be.
    let own: HashSet<Uuid> = wanted.iter().map(|(index, _)| rows[*index].id).collect();
    let mut earlier: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, key) in &wanted {
        let stored = rule.find(w, def, &rows[*index].after, Predicate::True, &own)?;
        let siblings = earlier.entry(key).or_default();
        let mut first = stored.first().map(|(id, _)| *id);
        let mut is_like = first.is_some();
        for sibling in siblings.iter() {
            if rule.is_like(w, &rows[*index].after, &rows[*sibling].after)? {
                is_like = true;
                first = first.or(Some(rows[*sibling].id));
            }
        }
        siblings.push(*index);
        if !is_like {
            continue;
        }
        let refuses = match rule.then {
            DuplicateThen::Block => true,
            DuplicateThen::Warn | DuplicateThen::Append => w.cx.asks,
            DuplicateThen::Link => false,
        };
        if refuses {
            let records = seen(w, def, rule, &rows[*index])?;
            let found = likeness(w, def, rule, records);
            rows[*index].alike.push(found);
        } else if let Some(first) = first {
            rows[*index].resembles.push((first, rule.then != DuplicateThen::Warn));
        }
    }
    Ok(())
}

/// After the rows are written: the timeline of each that is like another says so, and that of the other where the rule wants it.
pub(crate) fn note(w: &Writer<'_>, slice: &Slice<'_>) -> Result<(), Error> {
    let def = slice.def;
    for row in slice.well() {
        let Some((other, _)) = row.resembles.first() else { continue };
        let both = row.resembles.iter().any(|(there, both)| there == other && *both);
        w.reader.preload(def.id, &[*other], store::Lock::None)?;
        if !w.reader.read(def.id, *other)?.is_some_and(|cells| is_live(def, &cells)) {
            continue;
        }
        line(w, def, row.id, "record_resembles", *other)?;
        if both {
            line(w, def, *other, "record_resembled", row.id)?;
        }
    }
    Ok(())
}

/// A note about one record that names another by its address alone: who may not see that one learns nothing of it.
fn line(w: &Writer<'_>, def: &EntityDef, about: Uuid, key: &'static str, other: Uuid) -> Result<(), Error> {
    let Some(entity) = w.app.schema.find("core.note") else { return Ok(()) };
    let locale = w.app.app(def.name.app()).and_then(|app| app.app.locales.first().cloned()).unwrap_or_else(|| "en".to_owned());
    let text = Message::new(key).with("record", format!("/r/{}/{other}", def.name)).text(&locale);
    let mut values: IndexMap<String, Input> = IndexMap::new();
    values.insert("text".to_owned(), Input::Text(text));
    values.insert("about".to_owned(), Input::from(&json!({"entity": def.name.as_str(), "id": about})));
    let engine = Ctx { depth: w.cx.depth + 1, ..w.cx.as_system() };
    let (results, notes) = write_in(&engine, w.tx, entity.id, &[Submission::Create { id: None, values }])?;
    results.into_iter().collect::<Result<Vec<_>, _>>()?;
    w.log.borrow_mut().told.extend(notes);
    Ok(())
}
