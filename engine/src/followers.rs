//! In charge of following records: who follows which, and what they are told of.
//! Invariant: written with the change that it is about, one notice for each record and person; whoever made the change is not told.
//! Invariant: a follower is told of a record that they see, of fields that they read, by names alone; what they no longer see says
//! nothing.

use std::collections::BTreeMap;

use model::{EntityDef, EntityId, Message, Value};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use store::system::Cond;
use store::system::change::NewChange;
use store::system::follower::FOLLOWER;
use uuid::Uuid;

use crate::Engine;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::notices::{Notice, Way, Words, tell};
use crate::people::context_in;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Op, Shape, one_in};

/// Followers of one page.
const PAGE: u32 = 50;
/// The most followers that are told of one transaction.
const MOST: u32 = 1_000;

/// A page of followers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Followers {
    /// `{"user", "since"}`, each.
    pub data: Vec<Json>,
    /// Where the next page begins.
    pub next: Option<String>,
    /// Whether the caller is among them, on whichever page.
    pub mine: bool,
}

impl Engine {
    /// Who follows a record, of those whom the caller sees.
    ///
    /// # Errors
    /// `NotFound` where the caller does not see the record; that `after` is no marker.
    pub async fn followers(&self, cx: &Ctx, entity: EntityId, id: Uuid, after: Option<&str>) -> Result<Followers, Error> {
        let after = match after.map(Uuid::try_parse) {
            None => None,
            Some(Ok(after)) => Some(after),
            Some(Err(_)) => return Err(Error::of(model::Code::Malformed, Message::new("bad_cursor"))),
        };
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                seen(&cx, tx, entity, id)?;
                page(&cx, tx, id, after)
            })
            .await
    }

    /// Whether the caller follows a record.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn follows(&self, cx: &Ctx, id: Uuid) -> Result<bool, Error> {
        let Some(me) = cx.caller.user() else { return Ok(false) };
        self.store().read(move |tx| is_follower(tx, id, me)).await
    }

    /// Lets the caller follow a record, or follow it no longer.
    ///
    /// # Errors
    /// `NotFound` where the caller does not see the record; one may stop following what one no longer sees. `Forbidden` where the
    /// caller is no person.
    pub async fn follow(&self, cx: &Ctx, entity: EntityId, id: Uuid, on: bool) -> Result<(), Error> {
        let me = cx.caller.user().ok_or(Error::Forbidden)?;
        let name = cx.app.schema.entity(entity).name.clone();
        self.transact(cx, move |cx, tx| {
            let entity = cx.entity_named(name.as_str())?;
            if on {
                seen(cx, tx, entity, id)?;
                if !is_follower(tx, id, me)? {
                    tx.put_over(&FOLLOWER, vec![Value::Uuid(id), Value::Uuid(me), Value::text(name.as_str()), Value::Timestamp(cx.now)])?;
                }
            } else {
                tx.remove(&FOLLOWER, &[Cond::Eq("record", Value::Uuid(id)), Cond::Eq("user", Value::Uuid(me))])?;
            }
            Ok(((), Vec::new()))
        })
        .await
    }
}

fn is_follower(tx: &Tx, id: Uuid, user: Uuid) -> Result<bool, Error> {
    Ok(!tx.find(&FOLLOWER, &[Cond::Eq("record", Value::Uuid(id)), Cond::Eq("user", Value::Uuid(user))], &[], 1)?.is_empty())
}

/// The title of a record, where whoever asks sees it.
fn title(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid) -> Result<Option<String>, Error> {
    let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
    Ok(one_in(cx, tx, entity, id, &shape)?.map(|found| found.title))
}

fn seen(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid) -> Result<(), Error> {
    title(cx, tx, entity, id)?.map(drop).ok_or(Error::NotFound)
}

fn page(cx: &Ctx, tx: &Tx, id: Uuid, after: Option<Uuid>) -> Result<Followers, Error> {
    let mut fit = vec![Cond::Eq("record", Value::Uuid(id))];
    fit.extend(after.map(|after| Cond::Gt("user", Value::Uuid(after))));
    let rows = tx.find(&FOLLOWER, &fit, &[("user", false)], PAGE + 1)?;
    let more = rows.len() > PAGE as usize;
    let rows = &rows[..rows.len().min(PAGE as usize)];
    let user = |row: &Vec<Value>| row.get(1).and_then(Value::as_uuid);
    let next = rows.last().filter(|_| more).and_then(user).map(|user| user.to_string());
    let mut found = Followers { data: Vec::new(), next, mine: false };
    found.mine = match cx.caller.user() {
        Some(me) => is_follower(tx, id, me)?,
        None => false,
    };
    let people = cx.app.schema.find("core.user").map(|def| def.id);
    for row in rows {
        let (Some(user), Some(people)) = (user(row), people) else { continue };
        if cx.caller.user() == Some(user) || title(cx, tx, people, user)?.is_some() {
            found.data.push(json!({"user": user, "since": row.get(3).and_then(Value::as_timestamp)}));
        }
    }
    Ok(found)
}

/// Who followed records that were merged into another follows that one.
pub(crate) fn merge(tx: &Tx, id: Uuid, from: &[Uuid]) -> Result<(), Error> {
    for gone in from {
        for row in tx.find(&FOLLOWER, &[Cond::Eq("record", Value::Uuid(*gone))], &[], u32::MAX)? {
            let [_, user, entity, since] = row.as_slice() else { continue };
            tx.put_over(&FOLLOWER, vec![Value::Uuid(id), user.clone(), entity.clone(), since.clone()])?;
        }
    }
    Ok(())
}

/// What happened to a record that somebody may follow, or about it.
struct Happening {
    op: &'static str,
    /// The names of the fields that changed.
    fields: Vec<String>,
    /// What was added about it: its entity and its id.
    added: Option<(EntityId, Uuid)>,
}

/// Whether followers hear of changes with this cause: what comes in files, with apps, or follows from other changes, says nothing.
fn is_heard(cause: &str) -> bool {
    [Cause::Request, Cause::Merge, Cause::Automation, Cause::Flow, Cause::Claim, Cause::Release, Cause::Recycle]
        .iter()
        .any(|heard| heard.as_str() == cause)
}

/// Tells the followers of the records that these changes are about; what others hear of after the commit.
pub(crate) fn hear(w: &Writer<'_>, rows: &[NewChange]) -> Result<Vec<ChangeNote>, Error> {
    let mut happened: BTreeMap<Uuid, (EntityId, Vec<Happening>)> = BTreeMap::new();
    for row in rows.iter().filter(|row| is_heard(row.cause)) {
        let Some(def) = w.app.schema.find(&row.entity) else { continue };
        if row.op != Op::Created.as_str() {
            let patch: Map<String, Json> = serde_json::from_str(&row.patch).unwrap_or_default();
            let fields = patch.into_iter().map(|(name, _)| name).collect();
            let (_, list) = happened.entry(row.record).or_insert_with(|| (def.id, Vec::new()));
            list.push(Happening { op: row.op, fields, added: None });
        } else if let Some((entity, id)) = about(w, def, row) {
            let (_, list) = happened.entry(id).or_insert_with(|| (entity, Vec::new()));
            list.push(Happening { op: row.op, fields: Vec::new(), added: Some((def.id, row.record)) });
        }
    }
    if happened.is_empty() {
        return Ok(Vec::new());
    }
    let ids = happened.keys().map(|id| Value::Uuid(*id)).collect();
    let mut notes = Vec::new();
    for row in w.tx.find(&FOLLOWER, &[Cond::In("record", ids)], &[("record", false), ("user", false)], MOST)? {
        let (Some(record), Some(user)) = (row.first().and_then(Value::as_uuid), row.get(1).and_then(Value::as_uuid)) else { continue };
        if w.cx.caller.user() == Some(user) {
            continue;
        }
        let Some((entity, list)) = happened.get(&record) else { continue };
        notes.extend(one(w, user, *entity, record, list)?);
    }
    Ok(notes)
}

/// The record that a new note, activity, task or file is about; what tells people is about nothing.
fn about(w: &Writer<'_>, def: &EntityDef, row: &NewChange) -> Option<(EntityId, Uuid)> {
    if def.name.as_str() == "core.notification" || !row.patch.contains("\"about\"") {
        return None;
    }
    let patch: Map<String, Json> = serde_json::from_str(&row.patch).ok()?;
    let target = patch.get("about")?.get(1)?;
    let entity = w.app.schema.find(target.get("entity")?.as_str()?)?.id;
    Some((entity, target.get("id")?.as_str().and_then(|id| Uuid::try_parse(id).ok())?))
}

/// Tells one follower what happened to one record, as far as they see it.
fn one(w: &Writer<'_>, user: Uuid, entity: EntityId, record: Uuid, list: &[Happening]) -> Result<Vec<ChangeNote>, Error> {
    let Some(eyes) = context_in(w.cx, w.tx, user)? else { return Ok(Vec::new()) };
    let def = w.def(entity);
    let Some(subject) = title(&eyes, w.tx, entity, record)? else { return Ok(Vec::new()) };
    let locale = eyes.locale.as_str();
    let mut lines: Vec<String> = Vec::new();
    for one in list {
        if let Some((kind, id)) = one.added {
            if title(&eyes, w.tx, kind, id)?.is_some() {
                lines.push(Message::new("followed_added").with("what", w.def(kind).label(locale)).text(locale));
            }
        } else if one.op == Op::Updated.as_str() {
            let read = one.fields.iter().filter_map(|name| eyes.grants.field(def, name));
            let labels: Vec<&str> = read.map(|field| field.doc.label(field.name.as_str(), locale)).collect();
            if !labels.is_empty() {
                lines.push(Message::new("followed_changed").with("fields", labels.join(", ")).text(locale));
            }
        } else if one.op == Op::Restored.as_str() {
            lines.push(Message::new("followed_restored").text(locale));
        } else {
            lines.push(Message::new("followed_deleted").text(locale));
        }
    }
    lines.dedup();
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let who = match (w.cx.caller.user(), w.app.schema.find("core.user")) {
        (Some(by), Some(people)) => title(&eyes, w.tx, people.id, by)?,
        _ => None,
    };
    lines.extend(who.map(|who| Message::new("followed_by").with("person", who).text(locale)));
    let words = Words { subject, text: lines.join("\n") };
    let notice = Notice { kind: "followed".to_owned(), about: Some((def.name.to_string(), record)), ..Notice::default() };
    Ok(tell(w.cx, w.tx, Way::Notice, &[user], &notice, &|_| Ok(words.clone()))?.1)
}
