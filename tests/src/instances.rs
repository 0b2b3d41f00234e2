//! In charge of looking at approvals as they are stored, past everything that reads them for people.
//! Invariant: what is stored is what the stored events make of nothing; tasks and timers are those of the instance.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use flow::approval::{Event, Instance, Seat, SeatState};
use model::Value;
use serde_json::{Value as Json, json};
use store::system::Cond;
use store::system::approval::{APPROVAL, APPROVAL_EVENT, APPROVAL_TASK};
use store::system::timer::TIMER;
use store::{Fault, Location, Store, Tx};
use uuid::Uuid;

/// Who has which seat before them, and for what.
pub type Tasks = BTreeSet<(u32, Uuid, &'static str)>;

/// An instance as its rows have it.
pub struct Stored {
    /// Its id.
    pub id: Uuid,
    /// The state that lists go by.
    pub state: String,
    /// The instance.
    pub body: Json,
    /// The numbers of its events, in order.
    pub seqs: Vec<i64>,
    /// What happened.
    pub events: Vec<Event>,
    /// The open tasks.
    pub tasks: Tasks,
    /// The timers.
    pub timers: BTreeSet<(u32, DateTime<Utc>)>,
}

/// The id of a seat's task.
#[must_use]
pub fn task_id(instance: Uuid, seat: u32) -> Uuid {
    Uuid::from_u128(instance.as_u128() ^ (u128::from(seat) + 1))
}

/// Who has which seat of an instance before them.
#[must_use]
pub fn tasks_of(instance: &Instance) -> Tasks {
    let of = |seat: &Seat| -> (Vec<Uuid>, &'static str) {
        match seat.state {
            SeatState::Delegated => (seat.delegate.into_iter().collect(), "opinion"),
            SeatState::Unclaimed => (instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default(), "claim"),
            _ => (seat.holder.into_iter().chain(seat.principal).collect(), "open"),
        }
    };
    let open = |seat: &&Seat| matches!(seat.state, SeatState::Open | SeatState::Delegated | SeatState::Unclaimed);
    let seats = instance.seats.iter().filter(open);
    let tasks = |seat: &Seat| -> Vec<(u32, Uuid, &'static str)> {
        let (people, word) = of(seat);
        people.into_iter().map(|person| (seat.id, person, word)).collect()
    };
    seats.flat_map(tasks).collect()
}

impl Stored {
    /// One instance.
    #[must_use]
    pub fn read(tx: &Tx, id: Uuid) -> Self {
        let find = |table, column, order: &[(&'static str, bool)]| tx.find(table, &[Cond::Eq(column, Value::Uuid(id))], order, 10_000).expect("rows");
        let json = |value: &Value| match value {
            Value::Json(json) => Json::clone(json),
            other => panic!("{other:?}"),
        };
        let row = find(&APPROVAL, "id", &[]).pop().expect("the instance");
        let events = find(&APPROVAL_EVENT, "instance", &[("seq", false)]);
        let number = |value: &Value| value.as_int().and_then(|number| u32::try_from(number).ok()).expect("a number");
        let open = |row: &Vec<Value>| {
            let word = ["open", "opinion", "claim"].into_iter().find(|word| row[4].as_text() == Some(word))?;
            Some((number(&row[1]), row[2].as_uuid()?, word))
        };
        let timer = |row: &Vec<Value>| (json(&row[7])["timer"].as_u64().and_then(|id| u32::try_from(id).ok()), row[4].as_timestamp());
        Self {
            id,
            state: row[5].as_text().unwrap_or_default().to_owned(),
            body: json(&row[14]),
            seqs: events.iter().filter_map(|row| row[1].as_int()).collect(),
            events: events.iter().map(|row| serde_json::from_value(json(&row[5])).expect("an event")).collect(),
            tasks: find(&APPROVAL_TASK, "instance", &[]).iter().filter_map(open).collect(),
            timers: find(&TIMER, "subject", &[]).iter().map(timer).filter_map(|(id, due)| Some((id?, due?))).collect(),
        }
    }

    /// Its events replayed.
    #[must_use]
    pub fn replayed(&self) -> Instance {
        let mut replayed = Instance::default();
        self.events.iter().for_each(|event| replayed.apply(event));
        replayed
    }

    /// What does not fit together, in words.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let replayed = self.replayed();
        let mut faults = Vec::new();
        let mut hold = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{}: {what}", self.id));
            }
        };
        hold(json!(replayed) == self.body, "its events give another state");
        hold(self.state == replayed.state.as_str(), "lists go by another state");
        hold(self.seqs == (1..=i64::try_from(self.events.len()).unwrap_or_default()).collect::<Vec<_>>(), "events are missing");
        hold(self.tasks == tasks_of(&replayed), "its tasks are others");
        // Those of an instance that rests are not set.
        let timers = replayed.timers.iter().filter(|_| !replayed.suspended).map(|timer| (timer.id, timer.due)).collect();
        hold(self.timers == timers, "its timers are others");
        let holders = |seat: &Seat| seat.state != SeatState::Open || seat.holder.is_some();
        hold(replayed.seats.iter().all(holders), "a task is nobody's");
        hold(replayed.state.is_live() || self.tasks.is_empty(), "it is over and somebody has it before them");
        faults
    }
}

/// What does not fit together in a workspace that nobody serves, of these instances and all that run. A database server may
/// still be at the last commit of a program that is gone: only what stays is a fault.
pub async fn faults(location: &Location, instances: BTreeSet<Uuid>) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..5 {
        found = faults_now(location, instances.clone()).await;
        if found.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    found
}

async fn faults_now(location: &Location, instances: BTreeSet<Uuid>) -> Vec<String> {
    let store = Store::open(location).await.expect("the database opens");
    let found = store.read(move |tx| {
        let live = Cond::In("state", ["running", "returned"].map(Value::text).to_vec());
        let running = tx.find(&APPROVAL, &[live], &[], 100_000)?;
        let all: BTreeSet<Uuid> = running.iter().filter_map(|row| row.first()?.as_uuid()).chain(instances.iter().copied()).collect();
        Ok::<_, Fault>(all.into_iter().flat_map(|id| Stored::read(tx, id).faults()).collect())
    });
    let found = found.await.expect("it can be read");
    store.close().await;
    found
}
