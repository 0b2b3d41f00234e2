//! In charge of a write as the faces ask for it: one transaction, its answers, and telling others after the commit.
//! Invariant: all or nothing where that is asked; else each submission stands alone.
//! Invariant: one idempotency key has one effect, also when it is sent twice at once.

use std::sync::Arc;

use model::{EntityId, Violation};
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::Cond;
use store::system::idempotency::IDEMPOTENCY;
use uuid::Uuid;

use crate::Engine;
use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::records::history::Op;
use crate::records::likeness::Likeness;
use crate::records::shape::Shape;
use crate::records::slice::Writer;
use crate::records::submission::{Outcome, Submission, Written};
use crate::records::{read, write};

/// What is asked to be written.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The entity.
    pub entity: EntityId,
    /// What is to be done, in order.
    pub submissions: Vec<Submission>,
    /// All or nothing.
    pub atomic: bool,
    /// The key under which the request may be sent again.
    pub idempotency: Option<Idempotency>,
    /// What is answered of each record.
    pub answer: Option<Shape>,
}

impl Batch {
    /// One submission.
    #[must_use]
    pub fn one(entity: EntityId, submission: Submission) -> Self {
        Self { entity, submissions: vec![submission], atomic: true, idempotency: None, answer: None }
    }
}

/// An idempotency key.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The key that was sent.
    pub key: String,
    /// What it was sent to.
    pub route: String,
    /// A hash of what was sent.
    pub body_hash: [u8; 32],
}

/// That a record changed: names, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeNote {
    /// The entity's qualified name.
    pub entity: String,
    /// The record.
    pub id: Uuid,
    /// What happened.
    pub op: Op,
}

type Results = Vec<Result<Written, Error>>;

impl Engine {
    /// Writes a batch; a result for each submission, in order.
    ///
    /// # Errors
    /// Every fault of the one submission, or of all where they are all or nothing; that the store could not.
    pub async fn write(&self, cx: &Ctx, batch: Batch) -> Result<Results, Error> {
        let name = cx.app.schema.entity(batch.entity).name.clone();
        self.transact(cx, move |cx, tx| batch_in(cx, tx, cx.entity_named(name.as_str())?, &batch)).await
    }
}

fn batch_in(cx: &Ctx, tx: &Tx, entity: EntityId, batch: &Batch) -> Result<(Results, Vec<ChangeNote>), Error> {
    if let Some(key) = &batch.idempotency
        && let Some(answered) = known(cx, tx, key)?
    {
        return Ok((answered_again(cx, tx, entity, batch, &answered)?, Vec::new()));
    }
    let (mut results, notes) = if batch.atomic { together(cx, tx, entity, &batch.submissions)? } else { each(cx, tx, entity, &batch.submissions)? };
    if let Some(shape) = &batch.answer {
        for written in results.iter_mut().flatten().filter(|written| !written.left_sight && written.outcome != Outcome::Deleted) {
            written.json = read::one(cx, tx, entity, written.id, shape)?.map(|answer| answer.json);
            written.left_sight = written.json.is_none();
        }
    }
    if let Some(key) = &batch.idempotency {
        let answer: Vec<Json> = results
            .iter()
            .flatten()
            .map(|written| json!({"id": written.id.to_string(), "version": written.version, "outcome": written.outcome.as_str(), "approval": written.approval}))
            .collect();
        remember_answer(cx, tx, key, Json::Array(answer))?;
    }
    Ok((results, notes))
}

/// All in one slice; a fault of one is a fault of all.
fn together(cx: &Ctx, tx: &Tx, entity: EntityId, submissions: &[Submission]) -> Result<(Results, Vec<ChangeNote>), Error> {
    let (results, notes) = run(cx, tx, entity, submissions)?;
    if results.iter().all(Result::is_ok) {
        return Ok((results, notes));
    }
    let alone = results.len() == 1;
    let mut faults: Vec<Violation> = Vec::new();
    let mut alike: Vec<Likeness> = Vec::new();
    for (index, result) in results.into_iter().enumerate() {
        match result {
            Ok(_) => {}
            Err(Error::Duplicates(found)) if alone => alike.extend(found),
            Err(Error::Duplicates(found)) => {
                alike.extend(found.into_iter().map(|one| Likeness { pointer: format!("/operations/{index}/values"), ..one }));
            }
            Err(Error::Invalid(more)) if alone => faults.extend(more),
            Err(Error::Invalid(more)) => faults.extend(more.into_iter().map(|fault| fault.under(&format!("/operations/{index}/values")))),
            Err(other) => return Err(other),
        }
    }
    // What is wrong comes first: nobody is asked about what is not taken anyway.
    if faults.is_empty() { Err(Error::Duplicates(alike)) } else { Err(Error::Invalid(faults)) }
}

/// Each for itself: first all in one slice, and one by one where something took the slice with it.
fn each(cx: &Ctx, tx: &Tx, entity: EntityId, submissions: &[Submission]) -> Result<(Results, Vec<ChangeNote>), Error> {
    let whole = tx.savepoint(|tx| run(cx, tx, entity, submissions));
    match whole {
        Ok(done) => return Ok(done),
        Err(Error::Store(fault)) if !matches!(fault, store::Fault::Unique(_)) => return Err(Error::Store(fault)),
        Err(_) => {}
    }
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    for submission in submissions {
        let done = tx.savepoint(|tx| {
            let (mut results, notes) = run(cx, tx, entity, std::slice::from_ref(submission))?;
            results.pop().unwrap_or(Err(Error::NotFound)).map(|written| (written, notes))
        });
        if let Err(Error::Store(fault @ store::Fault::Undone)) = done {
            return Err(Error::Store(fault));
        }
        results.push(done.map(|(written, more)| {
            notes.extend(more);
            written
        }));
    }
    Ok((results, notes))
}

fn run(cx: &Ctx, tx: &Tx, entity: EntityId, submissions: &[Submission]) -> Result<(Results, Vec<ChangeNote>), Error> {
    let writer = Writer::new(cx, tx);
    let results = write::write_slice(&writer, entity, submissions)?;
    let notes = notes_of(&writer)?;
    Ok((results, notes))
}

/// Writes the log of a writer and what its changes set off; what others are told after the commit.
pub(crate) fn notes_of(writer: &Writer<'_>) -> Result<Vec<ChangeNote>, Error> {
    let happened = std::mem::take(&mut writer.log.borrow_mut().happened);
    if !happened.is_empty() {
        crate::automations::raise::after(writer, &happened)?;
    }
    let sayings = std::mem::take(&mut writer.log.borrow_mut().sayings);
    crate::clocks::tell(writer, &sayings)?;
    let told = crate::followers::hear(writer, &writer.log.borrow().rows)?;
    let mut log = writer.log.borrow_mut();
    log.told.extend(told);
    log.flush(writer.tx)?;
    let name = |entity| writer.app.schema.entity(entity).name.to_string();
    let mut notes = std::mem::take(&mut log.told);
    notes.extend(log.touched.drain(..).map(|(entity, id, op)| ChangeNote { entity: name(entity), id, op }));
    Ok(notes)
}

/// Writes within a transaction that is open already: imports and data that comes with apps.
pub(crate) fn write_in(cx: &Ctx, tx: &Tx, entity: EntityId, submissions: &[Submission]) -> Result<(Results, Vec<ChangeNote>), Error> {
    each(cx, tx, entity, submissions)
}

/// Writes one thing within a transaction, or a part of it, that ends with an error of it: nothing of it is undone here.
pub(crate) fn write_one(cx: &Ctx, tx: &Tx, entity: EntityId, submission: &Submission) -> Result<(Written, Vec<ChangeNote>), Error> {
    let (mut results, notes) = run(cx, tx, entity, std::slice::from_ref(submission))?;
    Ok((results.pop().unwrap_or(Err(Error::NotFound))?, notes))
}

fn caller_name(caller: &Caller) -> String {
    caller.user().map_or_else(|| "system".to_owned(), |id| id.to_string())
}

/// What the same request was answered before; the key is held until the transaction ends.
pub(crate) fn known(cx: &Ctx, tx: &Tx, key: &Idempotency) -> Result<Option<Json>, Error> {
    use model::Value;
    tx.lock_key(&format!("idempotency:{}:{}", caller_name(&cx.caller), key.key))?;
    let fit = [
        Cond::Eq("caller", Value::text(&caller_name(&cx.caller))),
        Cond::Eq("route", Value::text(&key.route)),
        Cond::Eq("key", Value::text(&key.key)),
    ];
    let rows = tx.find(&IDEMPOTENCY, &fit, &[], 1)?;
    let Some([_, _, _, body, answer, at]) = rows.first().and_then(|row| <&[Value; 6]>::try_from(row.as_slice()).ok()) else { return Ok(None) };
    const LIFE: i64 = 24;
    if at.as_timestamp().is_some_and(|at| cx.now - at > chrono::Duration::hours(LIFE)) {
        tx.remove(&IDEMPOTENCY, &fit)?;
        return Ok(None);
    }
    if *body != Value::Bytes(key.body_hash[..].into()) {
        return Err(Error::IdempotencyMismatch);
    }
    match answer {
        Value::Json(json) => Ok(Some(Json::clone(json))),
        _ => Ok(None),
    }
}

fn answered_again(cx: &Ctx, tx: &Tx, entity: EntityId, batch: &Batch, answered: &Json) -> Result<Results, Error> {
    let mut results = Vec::new();
    for row in answered.as_array().into_iter().flatten() {
        let Some(id) = row.get("id").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok()) else { continue };
        let outcome = match row.get("outcome").and_then(Json::as_str) {
            Some("created") => Outcome::Created,
            Some("deleted") => Outcome::Deleted,
            Some("restored") => Outcome::Restored,
            Some("updated") => Outcome::Updated,
            _ => Outcome::Unchanged,
        };
        let json = match &batch.answer {
            Some(shape) if outcome != Outcome::Deleted => read::one(cx, tx, entity, id, shape)?.map(|answer| answer.json),
            _ => None,
        };
        let left_sight = json.is_none() && batch.answer.is_some();
        let approval = row.get("approval").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        results.push(Ok(Written { id, version: row.get("version").and_then(Json::as_i64).unwrap_or_default(), outcome, json, left_sight, approval }));
    }
    Ok(results)
}

/// Keeps what a request is answered, for when it is sent again.
pub(crate) fn remember_answer(cx: &Ctx, tx: &Tx, key: &Idempotency, answer: Json) -> Result<(), Error> {
    use model::Value;
    let row = vec![
        Value::text(&caller_name(&cx.caller)),
        Value::text(&key.route),
        Value::text(&key.key),
        Value::Bytes(key.body_hash[..].into()),
        Value::Json(Arc::new(answer)),
        Value::Timestamp(cx.now),
    ];
    Ok(tx.put(&IDEMPOTENCY, &[row])?)
}
