//! In charge of merging records: what points at the others points at the one that stays, which takes the values that a person
//! chose; the others go to the bin and lead to it.
//! Invariant: one transaction, one change set; taken back, everything is as it was.

use indexmap::IndexMap;
use model::field::{Numbers, Role};
use model::schema::Via;
use model::{Cells, Code, EntityDef, EntityId, FieldDef, Input, Message, Value, Violation};
use store::system::Cond;
use store::system::member::MEMBER;
use store::system::merged::MERGED;
use store::{Lock, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Submission, notes_of, remove, write};

/// The most records that are merged into one at once.
const MOST: usize = 20;

/// A merge as it is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MergeRequest {
    /// The records that go.
    pub from: Vec<Uuid>,
    /// By field: the record whose value is kept. Others keep the value of the one that stays, or, where it is empty, take the
    /// first that is there.
    pub keep: IndexMap<String, Uuid>,
    /// The version of the one that stays that the person saw.
    pub version: Option<i64>,
}

/// What a merge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// What it can be taken back by.
    pub change_set: Uuid,
    /// The version of the record that stays.
    pub version: i64,
}

impl MergeRequest {
    /// The request that a body makes.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn parse(body: IndexMap<String, Input>) -> Result<Self, Error> {
        let mut request = Self::default();
        let mut faults = Vec::new();
        let id = |input: &Input| input.as_text().and_then(|text| Uuid::try_parse(text).ok());
        let wrong = |key: &str| Violation::of_field(key, Code::Malformed, Message::new("wrong_type").with("expected", "\"0190…\""));
        for (key, input) in body {
            match (key.as_str(), input) {
                ("from", Input::List(items)) if items.len() <= MOST => match items.iter().map(id).collect() {
                    Some(from) => request.from = from,
                    None => faults.push(wrong("from")),
                },
                ("from", Input::List(_)) => faults.push(Violation::of_field("from", Code::Limit, Message::new("too_many").with("max", MOST))),
                ("keep", Input::Map(map)) => {
                    for (name, input) in map {
                        match id(&input) {
                            Some(id) => drop(request.keep.insert(name, id)),
                            None => faults.push(wrong(&name)),
                        }
                    }
                }
                ("version", Input::Number(digits)) if digits.parse::<i64>().is_ok() => request.version = digits.parse().ok(),
                ("from" | "keep" | "version", _) => faults.push(wrong(&key)),
                _ => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("unknown_key").with("name", &key))),
            }
        }
        if request.from.is_empty() && faults.is_empty() {
            faults.push(Violation::of_field("from", Code::Malformed, Message::new("required")));
        }
        if faults.is_empty() { Ok(request) } else { Err(Error::Invalid(faults)) }
    }
}

impl Engine {
    /// Merges records into one.
    ///
    /// # Errors
    /// `NotFound` of a record out of sight; `Forbidden` where one may not be changed or deleted; every fault of what results.
    pub async fn merge(&self, cx: &Ctx, entity: EntityId, id: Uuid, request: MergeRequest) -> Result<Merged, Error> {
        let name = cx.app.schema.entity(entity).name.clone();
        let set = cx.new_id();
        let cx = Ctx { change_set: Some(set), ..cx.clone() };
        self.transact(&cx, move |cx, tx| merge(cx, tx, cx.entity_named(name.as_str())?, id, set, &request)).await
    }

    /// The record that another one was merged into, where the caller sees it.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn merged_into(&self, cx: &Ctx, entity: EntityId, id: Uuid) -> Result<Option<Uuid>, Error> {
        let def = cx.app.schema.entity(entity);
        let (cx, name) = (cx.clone(), def.name.as_str().to_owned());
        self.store()
            .read(move |tx| {
                let Some(def) = cx.app.schema.find(&name) else { return Ok(None) };
                let mut at = id;
                // A chain ends at the one that is live.
                for _ in 0..MOST {
                    let rows = tx.find(&MERGED, &[Cond::Eq("record", Value::Uuid(at))], &[], 1)?;
                    match rows.first().and_then(|row| row.get(1)).and_then(Value::as_uuid) {
                        Some(into) => at = into,
                        None => break,
                    }
                }
                if at == id {
                    return Ok(None);
                }
                let seen = crate::records::one_in(&cx, tx, def.id, at, &crate::records::Shape::default())?;
                Ok(seen.map(|_| at))
            })
            .await
    }
}

fn merge(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid, set: Uuid, request: &MergeRequest) -> Result<(Merged, Vec<ChangeNote>), Error> {
    let def = cx.app.schema.entity(entity);
    let from: Vec<Uuid> = unique(&request.from);
    if from.contains(&id) {
        return Err(Violation::of_field("from", Code::BadReference, Message::new("merge_itself")).into());
    }
    // A person is more than a record: what they may see and did hangs on it.
    if matches!(def.name.as_str(), "core.user" | "core.department") || def.line_of.is_some() {
        return Err(Error::Forbidden);
    }
    super::begin(cx, tx, set, def.name.as_str())?;
    let writer = Writer::new(cx, tx);
    let all: Vec<Uuid> = std::iter::once(id).chain(from.iter().copied()).collect();
    let rows = seen(&writer, def, &all, request.version)?;
    let values = chosen(cx, def, &all, &rows, &request.keep)?;
    let mut notes = relink(cx, tx, def, id, &from)?;
    for gone in &from {
        remove::merge_away(&writer, entity, *gone)?;
        tx.put_over(&MERGED, vec![Value::Uuid(*gone), Value::Uuid(id), Value::Timestamp(cx.now)])?;
    }
    // Values come last: what is unique is free only now.
    let update = Submission::Update { id, version: None, values };
    let written = write::write_slice(&writer, entity, &[update])?.pop().unwrap_or(Err(Error::NotFound))?;
    notes.extend(notes_of(&writer)?);
    Ok((Merged { change_set: set, version: written.version }, notes))
}

fn unique(ids: &[Uuid]) -> Vec<Uuid> {
    let mut unique = Vec::with_capacity(ids.len());
    for id in ids {
        if !unique.contains(id) {
            unique.push(*id);
        }
    }
    unique
}

/// The records, locked; the first may be changed, the others deleted.
fn seen(w: &Writer<'_>, def: &EntityDef, ids: &[Uuid], version: Option<i64>) -> Result<Vec<std::sync::Arc<Cells>>, Error> {
    w.reader.preload(def.id, ids, Lock::Update)?;
    let grant = w.cx.grants.entity(def.id);
    let mut rows = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        let cells = w.reader.read(def.id, *id)?.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
        let fits = |predicate| rules::eval::matches(predicate, &w.app.schema, def.id, &cells, &w.reader);
        if !fits(&grant.read)? {
            return Err(Error::NotFound);
        }
        if !fits(if index == 0 { &grant.update } else { &grant.delete })? {
            return Err(Error::Forbidden);
        }
        let current = def.slot("version").and_then(|slot| cells.get(slot)).and_then(Value::as_int).unwrap_or_default();
        if let Some(yours) = version.filter(|yours| index == 0 && *yours != current) {
            return Err(Error::StaleVersion { current, yours });
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// The values that the record which stays takes from the others.
fn chosen(
    cx: &Ctx,
    def: &EntityDef,
    ids: &[Uuid],
    rows: &[std::sync::Arc<Cells>],
    keep: &IndexMap<String, Uuid>,
) -> Result<IndexMap<String, Input>, Error> {
    let mut faults = Vec::new();
    for (name, id) in keep {
        if cx.grants.field(def, name).is_none() {
            faults.push(Violation::of_field(name, Code::UnknownField, Message::new("unknown_field").with("name", name)));
        } else if !ids.contains(id) {
            faults.push(Violation::of_field(name, Code::BadReference, Message::new("merge_not_among")));
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let is_given = |field: &FieldDef, cells: &Cells| field.cells(cells).iter().any(|cell| !cell.is_null());
    let takes = |field: &&FieldDef| {
        let is_own = !field.computed() && !matches!(field.role, Role::Lines { .. } | Role::Stage { .. } | Role::Autonumber { .. } | Role::Secret);
        is_own && (!field.system || field.name.as_str() == "owner") && cx.grants.entity(def.id).may_change(field.id)
    };
    let mut values = IndexMap::new();
    for field in def.fields.iter().filter(takes) {
        let name = field.name.as_str();
        let from = match keep.get(name) {
            Some(id) => ids.iter().position(|there| there == id),
            None => rows.iter().position(|cells| is_given(field, cells)),
        };
        let Some(cells) = from.filter(|index| *index > 0).and_then(|index| rows.get(index)) else { continue };
        values.insert(name.to_owned(), sent(field, cells));
    }
    Ok(values)
}

/// What a field holds, as it would be sent.
fn sent(field: &FieldDef, cells: &Cells) -> Input {
    let cells = field.cells(cells);
    let Some(typed) = field.typed.as_ref().filter(|_| cells.iter().any(|cell| !cell.is_null())) else { return Input::Null };
    let mut bytes = Vec::new();
    typed.write_json(cells, Numbers::Strings, &mut bytes);
    Input::parse(&bytes).unwrap_or(Input::Null)
}

/// Lets what points at those that go point at the one that stays.
fn relink(cx: &Ctx, tx: &Tx, def: &EntityDef, id: Uuid, from: &[Uuid]) -> Result<Vec<ChangeNote>, Error> {
    // With the engine's rights: whoever may merge does not have to see all that hangs on a record.
    let engine = cx.as_engine(Cause::Merge);
    let writer = Writer::new(&engine, tx);
    for referrer in &def.referrers {
        let other = writer.app.schema.entity(referrer.entity);
        let field = other.field(referrer.field);
        if field.system && field.name.as_str() != "owner" {
            continue;
        }
        let found = remove::referring(&writer, other, field.id, referrer.via, def.name.as_str(), from)?;
        let mut submissions = Vec::with_capacity(found.len());
        for pointing in found.into_iter().filter(|pointing| !(other.id == def.id && from.contains(pointing))) {
            let is_itself = other.id == def.id && pointing == id;
            let value = match referrer.via {
                _ if is_itself && !matches!(referrer.via, Via::Link) => Input::Null,
                Via::Column => Input::Text(id.to_string()),
                Via::AnyColumn => Input::Map(
                    [("entity".to_owned(), Input::Text(def.name.to_string())), ("id".to_owned(), Input::Text(id.to_string()))].into_iter().collect(),
                ),
                Via::Link => {
                    let cells = writer.reader.read(other.id, pointing)?.ok_or(Error::NotFound)?;
                    let listed = field.cells(&cells).first().map(|list| list.items().iter().filter_map(Value::as_uuid).collect()).unwrap_or_default();
                    replaced(listed, id, from, is_itself)
                }
            };
            let values = [(field.name.to_string(), value)].into_iter().collect();
            submissions.push(Submission::Update { id: pointing, version: None, values });
        }
        if submissions.is_empty() {
            continue;
        }
        for written in write::write_slice(&writer, other.id, &submissions)? {
            written?;
        }
    }
    members(tx, def, id, from)?;
    notes_of(&writer)
}

/// A list in which those that go are replaced.
fn replaced(listed: Vec<Uuid>, id: Uuid, from: &[Uuid], is_itself: bool) -> Input {
    let mut left: Vec<Uuid> = Vec::with_capacity(listed.len());
    for item in listed {
        let item = if from.contains(&item) { id } else { item };
        if !(left.contains(&item) || is_itself && item == id) {
            left.push(item);
        }
    }
    Input::List(left.into_iter().map(|item| Input::Text(item.to_string())).collect())
}

/// People who were members of those that go, or followed them, are members of the one that stays, or follow it.
fn members(tx: &Tx, def: &EntityDef, id: Uuid, from: &[Uuid]) -> Result<(), Error> {
    crate::followers::merge(tx, id, from)?;
    let of = |record: Value| [Cond::Eq("entity", Value::text(def.name.as_str())), Cond::Eq("record", record)];
    let there = tx.find(&MEMBER, &of(Value::Uuid(id)), &[], 10_000)?;
    for gone in from {
        for row in tx.find(&MEMBER, &of(Value::Uuid(*gone)), &[], 10_000)? {
            let [entity, _, user, may_write] = row.as_slice() else { continue };
            let writes_already = there.iter().any(|row| row.get(2) == Some(user) && row.get(3) == Some(&Value::Bool(true)));
            if !writes_already {
                tx.put_over(&MEMBER, vec![entity.clone(), Value::Uuid(id), user.clone(), may_write.clone()])?;
            }
        }
    }
    Ok(())
}
