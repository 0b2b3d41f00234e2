//! In charge of the outbox: effects outside the workspace, written with the change that wants them, done after the commit.
//! Invariant: an effect's id never changes; it is the key by which a receiver knows that it had it already.
//! Invariant: effects of one lane are done one after the other, in the order of their ids.

use chrono::{DateTime, Duration, Utc};
use model::{Storage, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::{Lock, Tx};

/// Effects by id.
pub static OUTBOX: Table = Table {
    name: "sys_outbox",
    columns: &[
        ("id", Storage::Uuid),
        ("kind", Storage::Text),
        ("state", Storage::Text),
        ("lane", Storage::Text),
        ("subject", Storage::Uuid),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("at", Storage::Timestamp),
        ("visible_at", Storage::Timestamp),
        ("tries", Storage::Int),
        ("body", Storage::Json),
        ("answer", Storage::Json),
        // Who is at it.
        ("worker", Storage::Text),
    ],
    key: &["id"],
    indexes: &[&["visible_at"], &["lane", "id"], &["subject"], &["record"], &["state", "at"]],
};

/// Where an effect is; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectState {
    /// It is to be done.
    Waiting,
    /// It was done.
    Done,
    /// It was given up.
    Dead,
}

impl EffectState {
    const ALL: [Self; 3] = [Self::Waiting, Self::Done, Self::Dead];

    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Its id, and its idempotency key.
    pub id: Uuid,
    /// What does it: `mail`, `webhook`, ….
    pub kind: String,
    /// Where it is.
    pub state: EffectState,
    /// What it must not overtake.
    pub lane: Option<String>,
    /// What it belongs to: a run, an instance.
    pub subject: Option<Uuid>,
    /// The record that it is about.
    pub record: Option<(String, Uuid)>,
    /// When it was wanted.
    pub at: DateTime<Utc>,
    /// The moment from which it may be done.
    pub visible_at: Option<DateTime<Utc>>,
    /// How often it was tried.
    pub tries: i64,
    /// What is to be done.
    pub body: Json,
    /// What came of it.
    pub answer: Json,
}

impl Effect {
    /// A new effect that may be done at once.
    #[must_use]
    pub fn new(id: Uuid, kind: &str, at: DateTime<Utc>, body: Json) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            state: EffectState::Waiting,
            lane: None,
            subject: None,
            record: None,
            at,
            visible_at: Some(at),
            tries: 0,
            body,
            answer: Json::Null,
        }
    }

    fn row(&self) -> Vec<Value> {
        let (entity, record) = match &self.record {
            Some((entity, id)) => (Value::text(entity), Value::Uuid(*id)),
            None => (Value::Null, Value::Null),
        };
        vec![
            Value::Uuid(self.id),
            Value::text(&self.kind),
            Value::text(self.state.as_str()),
            self.lane.as_deref().map_or(Value::Null, Value::text),
            self.subject.map_or(Value::Null, Value::Uuid),
            entity,
            record,
            Value::Timestamp(self.at),
            self.visible_at.map_or(Value::Null, Value::Timestamp),
            Value::Int(self.tries),
            Value::Json(std::sync::Arc::new(self.body.clone())),
            Value::Json(std::sync::Arc::new(self.answer.clone())),
            Value::Null,
        ]
    }

    /// A row of [`OUTBOX`].
    #[must_use]
    pub fn read(row: &[Value]) -> Option<Self> {
        let [id, kind, state, lane, subject, entity, record, at, visible_at, tries, body, answer, _] = row else { return None };
        Some(Self {
            id: id.as_uuid()?,
            kind: kind.as_text()?.to_owned(),
            state: EffectState::parse(state.as_text()?)?,
            lane: lane.as_text().map(str::to_owned),
            subject: subject.as_uuid(),
            record: entity.as_text().map(str::to_owned).zip(record.as_uuid()),
            at: at.as_timestamp()?,
            visible_at: visible_at.as_timestamp(),
            tries: tries.as_int()?,
            body: super::json_of(body),
            answer: super::json_of(answer),
        })
    }
}

/// Writes effects.
///
/// # Errors
/// Where the database cannot.
pub fn put(tx: &Tx, effects: &[Effect]) -> Result<(), Fault> {
    if effects.is_empty() {
        return Ok(());
    }
    tx.put(&OUTBOX, &effects.iter().map(Effect::row).collect::<Vec<_>>())?;
    tx.stir();
    Ok(())
}

/// Nothing that is still to be done stands before it in its lane.
const FIRST_IN_LANE: &str = " AND (o.\"lane\" IS NULL OR NOT EXISTS (SELECT 1 FROM \"sys_outbox\" AS e \
     WHERE e.\"lane\" = o.\"lane\" AND e.\"id\" < o.\"id\" AND e.\"visible_at\" IS NOT NULL))";

/// Gives back what a worker was at when its process ended, or what anybody was at where none is named.
///
/// # Errors
/// Where the database cannot.
pub fn give_back(tx: &Tx, worker: Option<&str>, now: DateTime<Utc>) -> Result<u64, Fault> {
    let whose = worker.map_or(Cond::Set("worker"), |worker| Cond::Eq("worker", Value::text(worker)));
    tx.change(&OUTBOX, &[("visible_at", Value::Timestamp(now)), ("worker", Value::Null)], &[whose, Cond::Set("visible_at")])
}

/// Takes effects that may be done, the longest waiting first; they are `worker`'s until `lease` has passed.
///
/// # Errors
/// Where the database cannot.
pub fn take(tx: &Tx, worker: &str, now: DateTime<Utc>, lease: Duration, limit: u32) -> Result<Vec<Effect>, Fault> {
    let dialect = tx.dialect();
    let mut sql = tx.sql();
    sql.push("SELECT ").list(OUTBOX.columns, ", ", |sql, (name, _)| {
        sql.column("o", name);
    });
    sql.push(" FROM \"sys_outbox\" AS o WHERE o.\"visible_at\" <= ").bind(Storage::Timestamp, Value::Timestamp(now));
    sql.push(FIRST_IN_LANE).push(" ORDER BY o.\"visible_at\", o.\"id\" LIMIT ").bind(Storage::Int, Value::Int(i64::from(limit)));
    sql.push(dialect.lock(Lock::Free));
    let how: Vec<Decode> = OUTBOX.columns.iter().map(|(_, storage)| Decode::Plain(*storage)).collect();
    let mut taken: Vec<Effect> = tx.query(&sql, &how)?.iter().filter_map(|row| Effect::read(row)).collect();
    for effect in &mut taken {
        effect.tries += 1;
        let set = [("visible_at", Value::Timestamp(now + lease)), ("tries", Value::Int(effect.tries)), ("worker", Value::text(worker))];
        tx.change(&OUTBOX, &set, &[Cond::Eq("id", Value::Uuid(effect.id))])?;
    }
    Ok(taken)
}

/// Writes how an effect ended, or that it is to be tried again at a moment.
///
/// # Errors
/// Where the database cannot.
pub fn ended(tx: &Tx, id: Uuid, state: EffectState, again_at: Option<DateTime<Utc>>, answer: &Json) -> Result<(), Fault> {
    let set = [
        ("state", Value::text(state.as_str())),
        ("visible_at", again_at.map_or(Value::Null, Value::Timestamp)),
        ("worker", Value::Null),
        ("answer", Value::Json(std::sync::Arc::new(answer.clone()))),
    ];
    tx.change(&OUTBOX, &set, &[Cond::Eq("id", Value::Uuid(id)), Cond::Eq("state", Value::text(EffectState::Waiting.as_str()))]).map(drop)
}

/// When the next effect may be done.
///
/// # Errors
/// Where the database cannot.
pub fn earliest(tx: &Tx) -> Result<Option<DateTime<Utc>>, Fault> {
    let mut sql = tx.sql();
    sql.push("SELECT o.\"visible_at\" FROM \"sys_outbox\" AS o WHERE o.\"visible_at\" IS NOT NULL").push(FIRST_IN_LANE);
    sql.push(" ORDER BY o.\"visible_at\" LIMIT 1");
    let rows = tx.query(&sql, &[Decode::Plain(Storage::Timestamp)])?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_timestamp))
}

/// Removes effects that were wanted before a moment and are done; how many. What was given up stays: a person looks at it.
///
/// # Errors
/// Where the database cannot.
pub fn sweep(tx: &Tx, before: DateTime<Utc>, limit: u32) -> Result<u64, Fault> {
    let done = Cond::Eq("state", Value::text(EffectState::Done.as_str()));
    let rows = tx.find(&OUTBOX, &[done, Cond::Lt("at", Value::Timestamp(before))], &[("at", false)], limit)?;
    tx.remove(&OUTBOX, &[Cond::In("id", rows.iter().filter_map(|row| row.first()).cloned().collect())])
}
