//! In charge of telling people: notices in the app, mails, and when a person wants to be left alone.
//! Reading order: `Notice`, `tell`; then `Wishes` (quiet hours, digest) and `DigestKind`; reading them: `unread`, `read_notices`.
//! Invariant: written with the change that they are about; a person is told once of one event by one way.
//! Invariant: words are in the person's language; who is not active is not told.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveTime, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use model::{Input, Message, Value};
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::Cond;
use store::system::outbox::{self, Effect};
use store::system::personal::PREFERENCE;
use store::system::timer::{self, Timer};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::{Ctx, Person};
use crate::effects::mail::MAIL;
use crate::error::Error;
use crate::records::{Batch, ChangeNote, ListAnswer, ListRequest, Shape, Submission, Total, write_one};
use crate::scheduler::{Due, TimerKind};

/// Which way; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In the app; by mail as well where the person asked for that.
    Notice,
    /// By mail alone.
    Mail,
}

/// The notices of one page.
const PAGE: u32 = 50;
/// Notices that one call marks as read.
const READ_AT_ONCE: u32 = 1_000;

impl Engine {
    /// How many notices the caller has not read.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn unread(&self, cx: &Ctx) -> Result<u64, Error> {
        let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
        let request = ListRequest { limit: Some(1), total: Total::Exact, shape, ..self.own(cx, true)? };
        Ok(self.list(cx, request).await?.total.unwrap_or_default())
    }

    /// The caller's own notices, newest first.
    ///
    /// # Errors
    /// That `after` is no marker; where the store cannot.
    pub async fn own_notices(&self, cx: &Ctx, after: Option<String>) -> Result<ListAnswer, Error> {
        let request = ListRequest { sort: Some("-created_at".to_owned()), limit: Some(PAGE), after, ..self.own(cx, false)? };
        self.list(cx, request).await
    }

    /// Marks one of the caller's notices as read, or all; what the one is about.
    ///
    /// # Errors
    /// `NotFound` where the one is nobody's or somebody else's.
    pub async fn read_notices(&self, cx: &Ctx, only: Option<Uuid>) -> Result<Option<(String, Uuid)>, Error> {
        let own = self.own(cx, only.is_none())?;
        let entity = own.entity;
        let filter = match (only, own.filter) {
            (Some(id), Some(own)) => Some(json!({"all": [own, {"field": "id", "op": "=", "value": id}]})),
            (_, filter) => filter,
        };
        let found = self.list(cx, ListRequest { filter, limit: Some(READ_AT_ONCE), ..ListRequest::of(entity) }).await?;
        if only.is_some() && found.rows.is_empty() {
            return Err(Error::NotFound);
        }
        let rows: Vec<Json> = found.rows.iter().filter_map(|row| serde_json::from_slice(row).ok()).collect();
        let text = |row: &Json, at: &str| row.pointer(at).and_then(Json::as_str).map(str::to_owned);
        let id = |row: &Json, at: &str| text(row, at).and_then(|id| Uuid::try_parse(&id).ok());
        let about = rows.first().filter(|_| only.is_some()).and_then(|row| Some((text(row, "/about/entity")?, id(row, "/about/id")?)));
        let unread = rows.iter().filter(|row| row.get("read_at").is_none_or(Json::is_null)).filter_map(|row| id(row, "/id"));
        let now = Input::Text(cx.now.to_rfc3339());
        let submissions: Vec<Submission> =
            unread.map(|id| Submission::Update { id, version: None, values: [("read_at".to_owned(), now.clone())].into_iter().collect() }).collect();
        if !submissions.is_empty() {
            self.write(cx, Batch { entity, submissions, atomic: false, idempotency: None, answer: None }).await?;
        }
        Ok(about)
    }

    /// The caller's own notices; an administrator sees those of others, too, but these are not theirs.
    fn own(&self, cx: &Ctx, unread: bool) -> Result<ListRequest, Error> {
        let entity = self.entity(cx, "core.notification")?.id;
        let mut all = vec![json!({"field": "owner", "op": "=", "value": "$me"})];
        if unread {
            all.push(json!({"field": "read_at", "op": "is_empty"}));
        }
        Ok(ListRequest { filter: Some(json!({"all": all})), ..ListRequest::of(entity) })
    }
}

/// What is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notice {
    /// What kind of event it is about: `automation`, `task`, ….
    pub(crate) kind: String,
    /// The record that it is about.
    pub(crate) about: Option<(String, Uuid)>,
    /// The approval flow that it is about.
    pub(crate) approval: Option<String>,
    /// The run or instance that tells it.
    pub(crate) teller: Option<Uuid>,
}

/// What a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// The most that a subject of a notice has.
const SUBJECT: usize = 250;

/// Tells people, each once; how many were told, and what others hear of after the commit.
pub(crate) fn tell(
    cx: &Ctx,
    tx: &Tx,
    way: Way,
    people: &[Uuid],
    notice: &Notice,
    words: &dyn Fn(&Arc<Person>) -> Result<Words, Error>,
) -> Result<(usize, Vec<ChangeNote>), Error> {
    let (mut told, mut notes, mut seen) = (0, Vec::new(), BTreeSet::new());
    for id in people {
        if !seen.insert(*id) {
            continue;
        }
        let Some(person) = crate::people::person_in(tx, &cx.app, *id)?.map(Arc::new) else { continue };
        let said = words(&person)?;
        told += 1;
        let wishes = Wishes::of(tx, *id)?;
        match way {
            Way::Notice => {
                notes.extend(in_app(cx, tx, &person, notice, &said)?);
                match wishes.mail {
                    MailWish::None => {}
                    MailWish::AtOnce => mail(cx, tx, &person, notice, &said, &wishes)?,
                    MailWish::Digest(at) => gather(cx, tx, &person, &said, at)?,
                }
            }
            Way::Mail => mail(cx, tx, &person, notice, &said, &wishes)?,
        }
    }
    Ok((told, notes))
}

/// Writes to an address that is nobody's account: a visitor of a form, a customer.
pub(crate) fn mail_to(cx: &Ctx, tx: &Tx, address: &str, notice: &Notice, words: &Words) -> Result<(), Error> {
    let body = json!({"to": address, "subject": words.subject, "text": words.text, "kind": notice.kind, "approval": notice.approval});
    put(cx, tx, notice, body, cx.now)
}

fn in_app(cx: &Ctx, tx: &Tx, person: &Person, notice: &Notice, words: &Words) -> Result<Vec<ChangeNote>, Error> {
    let Some(def) = cx.app.schema.find("core.notification") else { return Ok(Vec::new()) };
    let mut values: IndexMap<String, Input> = IndexMap::new();
    let subject: String = words.subject.chars().take(SUBJECT).collect();
    values.insert("owner".to_owned(), Input::Text(person.id.to_string()));
    values.insert("kind".to_owned(), Input::Text(notice.kind.clone()));
    values.insert("subject".to_owned(), Input::Text(if subject.trim().is_empty() { "…".to_owned() } else { subject }));
    values.insert("text".to_owned(), Input::Text(words.text.clone()));
    if let Some((entity, id)) = &notice.about {
        values.insert("about".to_owned(), Input::from(&json!({"entity": entity, "id": id})));
    }
    if let Some(approval) = &notice.approval {
        values.insert("approval".to_owned(), Input::Text(approval.clone()));
    }
    let engine = cx.as_system();
    write_one(&engine, tx, def.id, &Submission::Create { id: None, values }).map(|(_, notes)| notes)
}

fn mail(cx: &Ctx, tx: &Tx, person: &Person, notice: &Notice, words: &Words, wishes: &Wishes) -> Result<(), Error> {
    let Some(address) = address_of(cx, person) else { return Ok(()) };
    let body = json!({
        "to": address, "person": person.id, "subject": words.subject, "text": words.text, "kind": notice.kind, "approval": notice.approval,
    });
    put(cx, tx, notice, body, wishes.free_at(cx.now, person.zone))
}

fn put(cx: &Ctx, tx: &Tx, notice: &Notice, body: Json, from: DateTime<Utc>) -> Result<(), Error> {
    let effect =
        Effect { subject: notice.teller, record: notice.about.clone(), visible_at: Some(from), ..Effect::new(cx.new_id(), MAIL, cx.now, body) };
    Ok(outbox::put(tx, &[effect])?)
}

fn address_of(cx: &Ctx, person: &Person) -> Option<String> {
    let slot = cx.app.schema.find("core.user")?.slot("email")?;
    person.cells.get(slot).and_then(Value::as_text).map(str::to_owned)
}

/// What a person wants of mails about notices; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MailWish {
    None,
    AtOnce,
    /// All of a day together, at this time.
    Digest(NaiveTime),
}

/// When and how a person wants to be told: the preference
/// `{"notify": {"mail": "none|at_once|digest", "digest_at": "08:00", "quiet": {"from": "22:00", "until": "07:00"}}}`.
struct Wishes {
    mail: MailWish,
    quiet: Option<(NaiveTime, NaiveTime)>,
}

impl Wishes {
    fn of(tx: &Tx, person: Uuid) -> Result<Self, Error> {
        let rows = tx.find(&PREFERENCE, &[Cond::Eq("user", Value::Uuid(person))], &[], 1)?;
        let preferences = rows.first().and_then(|row| row.get(1)).and_then(|value| match value {
            Value::Json(json) => json.get("notify").cloned(),
            _ => None,
        });
        Ok(Self::read(&preferences.unwrap_or_default()))
    }

    fn read(json: &Json) -> Self {
        let time = |json: Option<&Json>| json.and_then(Json::as_str).and_then(|text| NaiveTime::parse_from_str(text, "%H:%M").ok());
        let mail = match json.get("mail").and_then(Json::as_str) {
            Some("at_once") => MailWish::AtOnce,
            Some("digest") => MailWish::Digest(time(json.get("digest_at")).or(NaiveTime::from_hms_opt(8, 0, 0)).unwrap_or_default()),
            _ => MailWish::None,
        };
        let quiet = json.get("quiet").and_then(|quiet| time(quiet.get("from")).zip(time(quiet.get("until"))));
        Self { mail, quiet: quiet.filter(|(from, until)| from != until) }
    }

    /// The first moment from `now` on that is not in the quiet hours.
    fn free_at(&self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let Some((from, until)) = self.quiet else { return now };
        let time = now.with_timezone(&zone).time();
        let is_quiet = if from < until { (from..until).contains(&time) } else { time >= from || time < until };
        if is_quiet { next(now, zone, until) } else { now }
    }
}

/// The next moment after `now` at which the clocks of `zone` show `time`.
fn next(now: DateTime<Utc>, zone: Tz, time: NaiveTime) -> DateTime<Utc> {
    let today = now.with_timezone(&zone).date_naive();
    (0..3)
        .filter_map(|days| today.checked_add_days(Days::new(days)))
        .map(|day| crate::times::moment(zone, day, time))
        .find(|moment| *moment > now)
        .unwrap_or(now)
}

/// Adds something to a person's next digest.
fn gather(cx: &Ctx, tx: &Tx, person: &Person, words: &Words, at: NaiveTime) -> Result<(), Error> {
    let key = format!("digest:{}", person.id);
    tx.lock_key(&key)?;
    let (due_at, mut items) = match timer::of_key(tx, &key)? {
        Some(timer) => (timer.due_at, timer.body.get("items").and_then(Json::as_array).cloned().unwrap_or_default()),
        None => (next(cx.now, person.zone, at), Vec::new()),
    };
    items.push(json!({"at": cx.now, "subject": words.subject, "text": words.text}));
    let body = json!({"person": person.id, "items": items});
    let timer = Timer { id: cx.new_id(), kind: DIGEST.to_owned(), key: Some(key), subject: None, due_at, tries: 0, body };
    Ok(timer::set(tx, &[timer])?)
}

/// The word in the table of timers.
const DIGEST: &str = "digest";

/// A person's digest that is due.
pub(crate) struct DigestKind;

impl TimerKind for DigestKind {
    fn name(&self) -> &'static str {
        DIGEST
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let id = timer.body.get("person").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let Some(id) = id else { return Ok(()) };
        let Some(person) = crate::people::person_in(due.tx, &due.cx.app, id)? else { return Ok(()) };
        let items = timer.body.get("items").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        let mut text = String::new();
        for item in items {
            let part = |key: &str| item.get(key).and_then(Json::as_str).unwrap_or_default();
            let at = part("at").parse::<DateTime<Utc>>().map(|at| at.with_timezone(&person.zone).format("%H:%M").to_string()).unwrap_or_default();
            text.push_str(&format!("{at}  {}\n{}\n\n", part("subject"), part("text")));
        }
        let words = Words { subject: Message::new("digest").with("count", items.len()).text(&person.locale), text };
        let notice = Notice { kind: DIGEST.to_owned(), ..Notice::default() };
        mail(due.cx, due.tx, &person, &notice, &words, &Wishes::of(due.tx, id)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    #[test]
    fn quiet_hours_may_span_midnight() {
        let wishes = Wishes::read(&json!({"quiet": {"from": "22:00", "until": "07:00"}}));
        let zone = chrono_tz::Asia::Shanghai;
        assert_eq!(wishes.free_at(moment("2026-03-02T15:00:00Z"), zone), moment("2026-03-02T23:00:00Z"), "23:00 there");
        assert_eq!(wishes.free_at(moment("2026-03-02T22:30:00Z"), zone), moment("2026-03-02T23:00:00Z"), "06:30 there");
        assert_eq!(wishes.free_at(moment("2026-03-02T23:00:00Z"), zone), moment("2026-03-02T23:00:00Z"), "07:00 there");
        assert_eq!(Wishes::read(&Json::Null).free_at(moment("2026-03-02T15:00:00Z"), zone), moment("2026-03-02T15:00:00Z"));
    }
}
