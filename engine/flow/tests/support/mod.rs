//! In charge of a small world for approvals: people, departments, one record, a clock that stands still.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where what it expects is not so")]
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, TimeZone, Utc};
use flow::approval::{
    Actor, Command, Department, Do, Event, Facts, Flow, Instance, Person, Proxy, Refusal, SeatId, Step, Subject, TimerId, Told, Verdict, step,
};
use model::Name;
use model::doc::Approval;
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// The person called by a small number.
pub fn who(number: u32) -> Uuid {
    Uuid::from_u128(0x1000 + u128::from(number))
}

/// The department called by a small number.
pub fn dept(number: u32) -> Uuid {
    Uuid::from_u128(0x2000 + u128::from(number))
}

pub fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

/// What a flow asks about.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub people: BTreeMap<Uuid, Person>,
    pub departments: BTreeMap<Uuid, Department>,
    pub roles: BTreeMap<String, Vec<Uuid>>,
    pub admins: Vec<Uuid>,
    /// Numbers in the record; a condition `field > value` is looked at on them.
    pub record: BTreeMap<String, i64>,
    pub conditions: BTreeMap<String, (String, i64)>,
    pub fields: BTreeMap<String, Vec<Subject>>,
    pub proxies: BTreeMap<Uuid, Proxy>,
    pub watched: Vec<String>,
    /// Whether deadlines cannot be known: their calendar is not there any more.
    pub clockless: bool,
}

impl Facts for World {
    fn person(&self, id: Uuid) -> Told<Option<Person>> {
        Ok(self.people.get(&id).cloned())
    }

    fn person_named(&self, name: &str) -> Told<Option<Uuid>> {
        Ok(name.parse::<u32>().ok().map(who))
    }

    fn department(&self, id: Uuid) -> Told<Option<Department>> {
        Ok(self.departments.get(&id).cloned())
    }

    fn department_named(&self, name: &str) -> Told<Option<Uuid>> {
        Ok(name.parse::<u32>().ok().map(dept))
    }

    fn in_role(&self, role: &str) -> Told<Vec<Uuid>> {
        Ok(self.roles.get(role).cloned().unwrap_or_default())
    }

    fn in_department(&self, id: Uuid, _below: bool) -> Told<Vec<Uuid>> {
        Ok(self.people.iter().filter(|(_, person)| person.department == Some(id)).map(|(id, _)| *id).collect())
    }

    fn admins(&self) -> Told<Vec<Uuid>> {
        Ok(self.admins.clone())
    }

    fn at_path(&self, path: &str) -> Told<Vec<Subject>> {
        Ok(self.fields.get(path).cloned().unwrap_or_default())
    }

    fn expression(&self, _pointer: &str) -> Told<Vec<Subject>> {
        Ok(Vec::new())
    }

    fn holds(&self, pointer: &str) -> Told<bool> {
        let (field, least) = self.conditions.get(pointer).cloned().unwrap_or(("amount".to_owned(), 0));
        Ok(self.record.get(&field).copied().unwrap_or_default() > least)
    }

    fn moment(&self, _pointer: &str) -> Told<Option<DateTime<Utc>>> {
        Ok(None)
    }

    fn watched(&self) -> Told<Json> {
        Ok(self.watched.iter().map(|field| json!(self.record.get(field))).collect())
    }

    fn proxy(&self, principal: Uuid) -> Told<Option<Proxy>> {
        Ok(self.proxies.get(&principal).cloned())
    }

    fn deadline(&self, from: DateTime<Utc>, span: &str, _calendar: Option<&str>, _person: Option<Uuid>) -> Told<DateTime<Utc>> {
        if self.clockless {
            return Err(flow::approval::Trouble("there is no calendar".to_owned()));
        }
        let seconds = model::field::scalar::read_duration(span).expect("a duration");
        Ok(from + Duration::seconds(seconds))
    }

    fn lot(&self, _node: &Name, salt: u32) -> u64 {
        u64::from(salt) * 7 + 3
    }
}

/// An instance with its flow, its world and its clock.
pub struct Run {
    pub flow: Flow,
    document: Json,
    pub world: World,
    pub instance: Instance,
    pub events: Vec<Event>,
    pub effects: Vec<flow::approval::Effect>,
    pub now: DateTime<Utc>,
    /// Why a move that waits cannot be made.
    pub immovable: Option<String>,
}

impl Run {
    /// People 1 to 9 in department 1, all active; 1 starts; 9 is the administrator.
    pub fn new(document: Json) -> Self {
        let doc: Approval = serde_json::from_value(document.clone()).expect("an approval");
        let flow = Flow::compile(&name("test"), &doc).unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut world = World { admins: vec![who(9)], ..World::default() };
        for number in 1..10 {
            world.people.insert(who(number), Person { active: true, department: Some(dept(1)), ..Person::default() });
        }
        world.departments.insert(dept(1), Department { parent: None, head: Some(who(8)) });
        world.watched.clone_from(&flow.settings.watched);
        let now = Utc.with_ymd_and_hms(2026, 1, 5, 9, 0, 0).single().expect("a moment");
        Self { flow, document, world, instance: Instance::default(), events: Vec::new(), effects: Vec::new(), now, immovable: None }
    }

    /// The branches of a split, as written.
    pub fn branches(&self, node: &Name) -> Vec<String> {
        self.document["steps"][node.as_str()]["branches"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn submitted(document: Json) -> Self {
        let mut run = Self::new(document);
        run.submit();
        run
    }

    pub fn submit(&mut self) {
        self.act(1, Do::Submit { select: BTreeMap::new(), opinion: None, moves: false }).expect("it is submitted");
    }

    /// Does something; the steps that the system would run are run at once.
    pub fn act_as(&mut self, actor: Actor, act: Do) -> Result<(), Refusal> {
        let step = step(&self.flow, &self.instance, &Command { actor, act }, &self.world, self.now)?;
        let mut replayed = self.instance.clone();
        step.events.iter().for_each(|event| replayed.apply(event));
        assert_eq!(replayed, step.instance, "replay gives another state");
        let Step { events, effects, instance, .. } = step;
        self.instance = instance;
        self.events.extend(events);
        self.effects.extend(effects.clone());
        for effect in effects {
            match effect {
                flow::approval::Effect::Run { at, token } => self.act_as(Actor::default(), Do::Acted { at, token, error: None })?,
                flow::approval::Effect::Move { token: Some(token) } => {
                    let error = self.immovable.clone();
                    self.act_as(Actor::default(), Do::Moved { token, error })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn act(&mut self, person: u32, act: Do) -> Result<(), Refusal> {
        self.act_as(Actor { person: Some(who(person)), manages: person == 9 }, act)
    }

    /// The task that is before a person, in a step where there are several.
    pub fn task(&self, person: u32, node: Option<&str>) -> Option<SeatId> {
        let fits = |seat: &&flow::approval::Seat| {
            seat.is_before(who(person)) && node.is_none_or(|node| self.instance.visit(seat.visit).is_some_and(|visit| visit.node == *node))
        };
        self.instance.tasks().find(fits).map(|seat| seat.id)
    }

    pub fn decide(&mut self, person: u32, verdict: Verdict) -> Result<(), Refusal> {
        let Some(seat) = self.task(person, None) else { return Err(Refusal::TaskClosed) };
        self.act(person, Do::Decide { seat, verdict, opinion: None, signature: None, files: Vec::new(), select: BTreeMap::new() })
    }

    pub fn approve(&mut self, person: u32) -> Result<(), Refusal> {
        self.decide(person, Verdict::Approve)
    }

    pub fn reject(&mut self, person: u32) -> Result<(), Refusal> {
        self.decide(person, Verdict::Reject)
    }

    pub fn send_back(&mut self, person: u32, to: &str, straight: Option<bool>) -> Result<(), Refusal> {
        let Some(seat) = self.task(person, None) else { return Err(Refusal::TaskClosed) };
        self.act(person, Do::Return { seat, to: to.to_owned(), opinion: None, straight, files: Vec::new() })
    }

    /// Moves the clock and lets everything fall due, in order.
    pub fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some((due, timer)) = self.next_timer().filter(|(due, _)| *due <= until) {
            self.now = self.now.max(due);
            self.act_as(Actor::default(), Do::Due { timer }).expect("a timer is never refused");
        }
        self.now = until;
    }

    pub fn next_timer(&self) -> Option<(DateTime<Utc>, TimerId)> {
        // The timers of an instance that rests are not set.
        self.instance.timers.iter().filter(|_| !self.instance.suspended).map(|timer| (timer.due, timer.id)).min()
    }

    /// The steps at which people are asked now.
    pub fn open(&self) -> Vec<String> {
        self.instance.open_visits().map(|visit| visit.node.to_string()).collect()
    }

    /// Who has a task before them now, by small numbers.
    pub fn holders(&self) -> Vec<u32> {
        let number = |id: Uuid| u32::try_from(id.as_u128() - 0x1000).expect("a small number");
        let mut people: Vec<u32> = self.instance.tasks().filter_map(|seat| seat.delegate.or(seat.holder)).map(number).collect();
        people.sort_unstable();
        people
    }
}

/// A step at which these people decide.
pub fn asks(people: &[u32], more: Json) -> Json {
    let users: Vec<String> = people.iter().map(ToString::to_string).collect();
    let mut step = json!({"kind": "approve", "approvers": [{"by": "user", "users": users}], "return": {"to": ["initiator", "previous", "any_visited"], "resubmit": "ask"}});
    for (key, value) in more.as_object().expect("settings") {
        step[key] = value.clone();
    }
    step
}
