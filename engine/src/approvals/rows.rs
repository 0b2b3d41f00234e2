//! In charge of instances as rows: read under lock, written with their events, tasks and copies.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use flow::approval::{Event, Instance, SeatState};
use model::Value;
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::Cond;
use store::system::approval::{APPROVAL, APPROVAL_COPY, APPROVAL_EVENT, APPROVAL_KEPT, APPROVAL_TASK};
use uuid::Uuid;

use crate::approvals::data::{self, Data};
use crate::ctx::Ctx;
use crate::error::Error;

/// An instance with what its row says.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) flow: String,
    pub(crate) definition: String,
    pub(crate) entity: String,
    pub(crate) record: Uuid,
    pub(crate) number: Option<String>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) seq: i64,
    pub(crate) parent: Option<Uuid>,
    pub(crate) depth: i64,
    /// What is done to the record once it is approved: a move that waits for it.
    pub(crate) then: Json,
    pub(crate) instance: Instance,
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::text)
}

fn id(id: Option<Uuid>) -> Value {
    id.map_or(Value::Null, Value::Uuid)
}

fn at(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, Value::Timestamp)
}

fn json_value(json: &Json) -> Value {
    Value::Json(Arc::new(json.clone()))
}

impl Row {
    pub(crate) fn read(row: &[Value]) -> Result<Self, Error> {
        let broken = || Error::Internal("an approval cannot be read".to_owned());
        let [own, flow, definition, entity, record, _, _, number, begun, _, seq, parent, depth, then, body] = row else { return Err(broken()) };
        let Value::Json(body) = body else { return Err(broken()) };
        let instance = serde_json::from_value(Json::clone(body)).map_err(|error| Error::Internal(format!("an approval cannot be read: {error}")))?;
        Ok(Self {
            id: own.as_uuid().ok_or_else(broken)?,
            flow: flow.as_text().ok_or_else(broken)?.to_owned(),
            definition: definition.as_text().ok_or_else(broken)?.to_owned(),
            entity: entity.as_text().ok_or_else(broken)?.to_owned(),
            record: record.as_uuid().ok_or_else(broken)?,
            number: number.as_text().map(str::to_owned),
            at: begun.as_timestamp().ok_or_else(broken)?,
            seq: seq.as_int().ok_or_else(broken)?,
            parent: parent.as_uuid(),
            depth: depth.as_int().unwrap_or_default(),
            then: match then {
                Value::Json(json) => Json::clone(json),
                _ => Json::Null,
            },
            instance,
        })
    }

    fn values(&self) -> Result<Vec<Value>, Error> {
        let body = serde_json::to_value(&self.instance).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(vec![
            Value::Uuid(self.id),
            Value::text(&self.flow),
            Value::text(&self.definition),
            Value::text(&self.entity),
            Value::Uuid(self.record),
            Value::text(self.instance.state.as_str()),
            id(self.instance.initiator),
            text(self.number.as_deref()),
            Value::Timestamp(self.at),
            at(self.instance.ended_at),
            Value::Int(self.seq),
            id(self.parent),
            Value::Int(self.depth),
            json_value(&self.then),
            json_value(&body),
        ])
    }

    /// The id of a seat's task: the same for all who have it before them.
    pub(crate) fn task_id(&self, seat: u32) -> Uuid {
        Uuid::from_u128(self.id.as_u128() ^ (u128::from(seat) + 1))
    }
}

/// Holds an instance until the transaction ends.
pub(crate) fn lock(tx: &Tx, instance: Uuid) -> Result<(), Error> {
    Ok(tx.lock_key(&format!("approval:{instance}"))?)
}

/// An instance as it is.
pub(crate) fn get(tx: &Tx, instance: Uuid) -> Result<Option<Row>, Error> {
    let rows = tx.find(&APPROVAL, &[Cond::Eq("id", Value::Uuid(instance))], &[], 1)?;
    rows.first().map(|row| Row::read(row)).transpose()
}

/// Instances, each as it is; what is not there is left out.
pub(crate) fn all(tx: &Tx, instances: &[Uuid]) -> Result<HashMap<Uuid, Row>, Error> {
    const PAGE: usize = 500;
    let mut found = HashMap::with_capacity(instances.len());
    for some in instances.chunks(PAGE) {
        let ids = some.iter().copied().map(Value::Uuid).collect();
        for row in tx.find(&APPROVAL, &[Cond::In("id", ids)], &[], PAGE as u32)? {
            let row = Row::read(&row)?;
            found.insert(row.id, row);
        }
    }
    Ok(found)
}

/// The instances of a record, the newest first.
pub(crate) fn of_record(tx: &Tx, record: Uuid, live: bool) -> Result<Vec<Row>, Error> {
    let mut fit = vec![Cond::Eq("record", Value::Uuid(record))];
    if live {
        fit.push(Cond::In("state", LIVE.map(Value::text).to_vec()));
    }
    let rows = tx.find(&APPROVAL, &fit, &[("at", true), ("id", true)], 200)?;
    rows.iter().map(|row| Row::read(row)).collect()
}

/// The ids of a record's instances, the newest first.
pub(crate) fn ids_of(tx: &Tx, record: Uuid) -> Result<Vec<Uuid>, Error> {
    Ok(of_record(tx, record, false)?.into_iter().map(|row| row.id).collect())
}

/// The most recent instance of a record: of one flow, or of all.
pub(crate) fn newest_of(tx: &Tx, record: Uuid, flow: Option<&str>) -> Result<Option<Uuid>, Error> {
    let mut fit = vec![Cond::Eq("record", Value::Uuid(record))];
    fit.extend(flow.map(|flow| Cond::Eq("flow", Value::text(flow))));
    let rows = tx.find(&APPROVAL, &fit, &[("at", true), ("id", true)], 1)?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_uuid))
}

/// The flows and definitions that instances run on, each with how many there are.
pub(crate) fn running(tx: &Tx) -> Result<Vec<(String, String, u64)>, Error> {
    let live = || Cond::In("state", LIVE.map(Value::text).to_vec());
    let mut found = Vec::new();
    let mut last = None;
    while let Some(flow) = next(tx, 1, vec![live()], "flow", last.as_deref())? {
        let of = || Cond::Eq("flow", Value::text(&flow));
        let mut mark = None;
        while let Some(definition) = next(tx, 2, vec![of(), live()], "definition", mark.as_deref())? {
            let count = tx.how_many(&APPROVAL, &[of(), live(), Cond::Eq("definition", Value::text(&definition))])?;
            found.push((flow.clone(), definition.clone(), count));
            mark = Some(definition);
        }
        last = Some(flow);
    }
    Ok(found)
}

/// The next word of a column among the instances that fit, behind `last`.
fn next(tx: &Tx, place: usize, mut fit: Vec<Cond<'static>>, column: &'static str, last: Option<&str>) -> Result<Option<String>, Error> {
    fit.extend(last.map(|last| Cond::Gt(column, Value::text(last))));
    let rows = tx.find(&APPROVAL, &fit, &[(column, false)], 1)?;
    Ok(rows.first().and_then(|row| row.get(place)).and_then(Value::as_text).map(str::to_owned))
}

/// The instances of records that run, the newest first.
pub(crate) fn live_of(tx: &Tx, records: &[Uuid]) -> Result<Vec<Row>, Error> {
    const PAGE: usize = 500;
    let mut found = Vec::new();
    for some in records.chunks(PAGE) {
        let of = Cond::In("record", some.iter().copied().map(Value::Uuid).collect());
        let state = Cond::In("state", LIVE.map(Value::text).to_vec());
        // What runs on one record is little: their locks exclude one another.
        let rows = tx.find(&APPROVAL, &[of, state], &[("at", true), ("id", true)], 100_000)?;
        for row in &rows {
            found.push(Row::read(row)?);
        }
    }
    Ok(found)
}

/// Who has which task before them.
fn wanted(instance: &Instance) -> BTreeMap<(u32, Uuid), &'static str> {
    let mut wanted = BTreeMap::new();
    for seat in instance.tasks() {
        let (people, state): (Vec<Uuid>, &str) = match seat.state {
            SeatState::Delegated => (seat.delegate.into_iter().collect(), "opinion"),
            SeatState::Unclaimed => (instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default(), "claim"),
            _ => (seat.holder.into_iter().chain(seat.principal).collect(), "open"),
        };
        wanted.extend(people.into_iter().map(|person| ((seat.id, person), state)));
    }
    wanted
}

/// The words of instances that run.
pub(crate) const LIVE: [&str; 2] = ["running", "returned"];

/// The words of tasks that are before somebody.
pub(crate) const OPEN: [&str; 3] = ["open", "opinion", "claim"];

/// What changes of an instance after it began.
const MOVING: [&str; 4] = ["state", "ended_at", "seq", "body"];

/// Writes an instance, what happened, its tasks and its copies.
pub(crate) fn save(
    cx: &Ctx,
    tx: &Tx,
    row: &mut Row,
    before: &Instance,
    events: &[Event],
    by: Option<Uuid>,
    request: Option<&str>,
) -> Result<(), Error> {
    let (is_new, now) = (row.seq == 0, cx.now);
    let via = cx.via.as_deref();
    let mut written = Vec::with_capacity(events.len());
    for event in events {
        row.seq += 1;
        let body = serde_json::to_value(event).map_err(|error| Error::Internal(error.to_string()))?;
        let request = if written.is_empty() { request } else { None };
        written.push(vec![
            Value::Uuid(row.id),
            Value::Int(row.seq),
            Value::Timestamp(now),
            id(by),
            text(request),
            json_value(&body),
            Value::Int(cx.app.revision),
            Value::text(via.map_or("system", |via| via.face.as_str())),
            text(via.map(|via| via.device.as_str()).filter(|device| !device.is_empty())),
        ]);
    }
    tx.put(&APPROVAL_EVENT, &written)?;
    if is_new {
        tx.put(&APPROVAL, &[row.values()?])?;
    } else {
        let columns = APPROVAL.columns.iter().map(|(name, _)| *name);
        let handed_on = before.initiator != row.instance.initiator;
        let moved = |name: &str| MOVING.contains(&name) || (handed_on && name == "initiator");
        let set: Vec<(&str, Value)> = columns.zip(row.values()?).filter(|(name, _)| moved(name)).collect();
        tx.change(&APPROVAL, &set, &[Cond::Eq("id", Value::Uuid(row.id))])?;
    }
    tasks(tx, row, before, by, now)?;
    let fresh: Vec<Vec<Value>> = row
        .instance
        .copied
        .iter()
        .filter(|(person, _)| !before.copied.contains_key(*person))
        .map(|(person, step)| {
            let step = text(step.as_ref().map(model::Name::as_str));
            vec![Value::Uuid(row.id), Value::Uuid(*person), step, Value::Timestamp(now), Value::Null]
        })
        .collect();
    Ok(tx.put(&APPROVAL_COPY, &fresh)?)
}

fn tasks(tx: &Tx, row: &Row, before: &Instance, by: Option<Uuid>, now: DateTime<Utc>) -> Result<(), Error> {
    let (was, is) = (wanted(before), wanted(&row.instance));
    for ((seat, person), _) in was.iter().filter(|(key, _)| !is.contains_key(key)) {
        let acted = row.instance.seat(*seat).is_some_and(|seat| seat.decided_by == Some(*person)) || by == Some(*person);
        let set = [("state", Value::text(if acted { "done" } else { "closed" })), ("done_at", Value::Timestamp(now))];
        let fit =
            [Cond::Eq("instance", Value::Uuid(row.id)), Cond::Eq("seat", Value::Int(i64::from(*seat))), Cond::Eq("person", Value::Uuid(*person))];
        tx.change(&APPROVAL_TASK, &set, &fit)?;
        tx.remove(&APPROVAL_KEPT, &fit)?;
    }
    for ((seat, person), state) in is.iter().filter(|(key, state)| was.get(key) != Some(*state)) {
        let node = row.instance.seat(*seat).and_then(|seat| row.instance.visit(seat.visit)).map(|visit| visit.node.to_string());
        let values = vec![
            Value::Uuid(row.id),
            Value::Int(i64::from(*seat)),
            Value::Uuid(*person),
            Value::Uuid(row.task_id(*seat)),
            Value::text(state),
            text(node.as_deref()),
            Value::text(&row.flow),
            Value::text(&row.entity),
            Value::Uuid(row.record),
            Value::Timestamp(now),
            Value::Null,
        ];
        tx.put_over(&APPROVAL_TASK, values)?;
    }
    Ok(())
}

/// Something that happened.
pub(crate) struct Happened {
    /// Its number.
    pub(crate) seq: i64,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Who acted.
    pub(crate) by: Option<Uuid>,
    /// What.
    pub(crate) event: Event,
    /// Under which revision of the workspace.
    pub(crate) revision: Option<i64>,
    /// Through which face it was asked for: `web`, `api`, `system`.
    pub(crate) channel: Option<String>,
    /// With what.
    pub(crate) device: Option<String>,
    /// What the record was then.
    pub(crate) data: Option<Data>,
}

/// What happened to an instance, in order.
pub(crate) fn events(tx: &Tx, instance: Uuid) -> Result<Vec<Happened>, Error> {
    let rows = tx.find(&APPROVAL_EVENT, &[Cond::Eq("instance", Value::Uuid(instance))], &[("seq", false)], 10_000)?;
    let mut data = data::of(tx, instance)?;
    let mut found = Vec::new();
    for row in &rows {
        let [_, seq, at, by, _, Value::Json(body), revision, channel, device] = row.as_slice() else { continue };
        let event = serde_json::from_value(Json::clone(body)).map_err(|error| Error::Internal(format!("an event cannot be read: {error}")))?;
        if let (Some(seq), Some(at)) = (seq.as_int(), at.as_timestamp()) {
            found.push(Happened {
                seq,
                at,
                by: by.as_uuid(),
                event,
                revision: revision.as_int(),
                channel: channel.as_text().map(str::to_owned),
                device: device.as_text().map(str::to_owned),
                data: data.remove(&seq),
            });
        }
    }
    Ok(found)
}

/// A task: its instance, its seat, and whose it is or was.
pub(crate) struct Task {
    pub(crate) instance: Uuid,
    pub(crate) seat: u32,
    pub(crate) people: Vec<Uuid>,
}

/// The task of an id.
pub(crate) fn of_task(tx: &Tx, task: Uuid) -> Result<Option<Task>, Error> {
    let rows = tx.find(&APPROVAL_TASK, &[Cond::Eq("id", Value::Uuid(task))], &[], 500)?;
    let people = rows.iter().filter_map(|row| row.get(2)).filter_map(Value::as_uuid).collect();
    Ok(rows.first().and_then(|row| {
        let [instance, seat, ..] = row.as_slice() else { return None };
        Some(Task { instance: instance.as_uuid()?, seat: u32::try_from(seat.as_int()?).ok()?, people })
    }))
}

/// Whether somebody has, or had, anything to do with an instance.
pub(crate) fn takes_part(tx: &Tx, row: &Row, person: Uuid) -> Result<bool, Error> {
    if row.instance.initiator == Some(person) || row.instance.copied.contains_key(&person) {
        return Ok(true);
    }
    let fit = [Cond::Eq("instance", Value::Uuid(row.id)), Cond::Eq("person", Value::Uuid(person))];
    Ok(!tx.find(&APPROVAL_TASK, &fit, &[], 1)?.is_empty())
}

/// Marks a copy as read.
pub(crate) fn seen(tx: &Tx, instance: Uuid, person: Uuid, now: DateTime<Utc>) -> Result<(), Error> {
    let fit = [Cond::Eq("instance", Value::Uuid(instance)), Cond::Eq("person", Value::Uuid(person)), Cond::Empty("read_at")];
    tx.change(&APPROVAL_COPY, &[("read_at", Value::Timestamp(now))], &fit)?;
    Ok(())
}

/// A person, as answers name them.
pub(crate) fn person_json(names: &BTreeMap<Uuid, String>, person: Option<Uuid>) -> Json {
    person.map_or(Json::Null, |person| json!({"id": person, "name": names.get(&person)}))
}
