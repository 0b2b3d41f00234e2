//! In charge of the promise that approvals in a workspace are the machine of `flow`: any flow, any commands, wrong ones too, two at
//! once, sent twice, and after everything in memory was thrown away.
//! Invariant: after each command what is stored is, to the letter, what the machine alone comes to over plain facts; the stored
//! events replayed give the same; tasks, timers, boxes and the record's state are those of the instance, no more and no less.

mod drawn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use engine::approvals::{AdminAct, AdminResult, Ask, AskFor, Begin, BoxRequest, NewProxy, SignMode};
use engine::clock::{Clock, ManualClock};
use engine::records::{Batch, Idempotency};
use engine::{Ctx, Engine, Submission};
use flow::approval::{Actor, Command, Do, Effect, Flow, Instance, Person, Place, Proxy, Seat, Step, TimerKind, Verdict, step};
use model::doc::Package;
use model::doc::approval::LockMode;
use model::{Input, Name};
use serde_json::{Value as Json, json};
use tests::backend::{Backend, Database, with_database};
use tests::chance::Chance;
use tests::instances::{Stored, task_id, tasks_of};
use uuid::Uuid;

use drawn::World;

/// Flows of one workspace, and commands of one instance; `TRELLIS_STORIES` sets how many workspaces, for a soak.
const FLOWS: usize = 10;
const COMMANDS: usize = 40;
/// People; the first asks, the second to last has left, the last is the administrator.
const PEOPLE: usize = 9;

/// Somebody does something, as the workspace and as the machine is asked.
struct Deed {
    person: Uuid,
    what: AskFor,
    /// The seat, where it is about a task.
    seat: Option<u32>,
    act: Do,
}

/// One instance, in the workspace and beside it.
struct Twins<'a> {
    database: &'a Database,
    engine: Engine,
    clock: &'a ManualClock,
    people: &'a [Uuid],
    flow: Flow,
    about: String,
    world: World,
    alone: Instance,
    id: Uuid,
    record: Uuid,
    said: Vec<String>,
}

impl Twins<'_> {
    fn story(&self) -> String {
        format!("{}\n{}", self.about, self.said.join("\n"))
    }

    async fn cx(&self, person: Uuid) -> Ctx {
        self.engine.context(person, None).await.expect("somebody who is there")
    }

    /// What the machine alone says.
    fn tried(&self, from: &Instance, person: Option<Uuid>, act: Do) -> Option<Step> {
        let actor = Actor { person, manages: person.is_none_or(|person| person == self.world.admin) };
        let done = step(&self.flow, from, &Command { actor, act }, &self.world, self.clock.now()).ok()?;
        assert!(done.effects.iter().all(|effect| matches!(effect, Effect::Notify { .. })), "{:?}", done.effects);
        Some(done)
    }

    /// Does something beside the workspace; whether it was taken.
    fn alone(&mut self, person: Option<Uuid>, act: Do) -> bool {
        self.world.now = self.clock.now();
        match self.tried(&self.alone, person, act) {
            Some(step) => {
                self.alone = step.instance;
                true
            }
            None => false,
        }
    }

    async fn there(&self, deed: &Deed, key: Option<&str>) -> Result<engine::approvals::Done, engine::Error> {
        let of = deed.seat.map_or(self.id, |seat| task_id(self.id, seat));
        let request = key.map(|key| Idempotency { key: key.to_owned(), route: "test".to_owned(), body_hash: [0; 32] });
        let ask = Ask { opinion: Some("why".to_owned()), request, ..Ask::new(of, deed.what.clone()) };
        self.engine.ask_approval(&self.cx(deed.person).await, ask).await
    }

    fn say(&mut self, deed: &Deed, taken: bool) {
        let by = self.people.iter().position(|there| *there == deed.person).unwrap_or_default();
        self.said.push(format!("{:?} by {by} at {:?}: {taken}", deed.what, deed.seat));
    }

    /// Does something on both sides: both do it, or both refuse. Some are sent twice and done once.
    async fn both(&mut self, deed: Deed, twice: bool) {
        let key = twice.then(|| format!("{} {}", self.id, self.said.len()));
        let there = self.there(&deed, key.as_deref()).await;
        if let (Some(key), Ok(done)) = (&key, &there) {
            assert_eq!(self.there(&deed, Some(key)).await.ok().as_ref(), Some(done), "the same again; {}", self.story());
        }
        let here = self.alone(Some(deed.person), deed.act.clone());
        self.say(&deed, here);
        assert_eq!(there.is_ok(), here, "{there:?}\n{}", self.story());
        self.same().await;
    }

    /// Two do something at the same moment: it comes to what one after the other comes to, in one of the two orders.
    async fn at_once(&mut self, one: Deed, other: Deed) {
        let (first, second) = tokio::join!(self.there(&one, None), self.there(&other, None));
        self.world.now = self.clock.now();
        let stored = self.stored().await;
        let mut orders = Vec::new();
        for (a, b) in [(&one, &other), (&other, &one)] {
            let after = self.tried(&self.alone, Some(a.person), a.act.clone());
            let between = after.as_ref().map_or(&self.alone, |step| &step.instance);
            let last = self.tried(between, Some(b.person), b.act.clone());
            let taken = [after.is_some(), last.is_some()];
            let came_to = last.or(after).map_or_else(|| self.alone.clone(), |step| step.instance);
            orders.push((if std::ptr::eq(a, &one) { taken } else { [taken[1], taken[0]] }, came_to));
        }
        self.say(&one, first.is_ok());
        self.say(&other, second.is_ok());
        let answered = [first.is_ok(), second.is_ok()];
        let fits = orders.into_iter().find(|(taken, came_to)| *taken == answered && json!(came_to) == stored.body);
        let Some((_, came_to)) = fits else { panic!("{first:?} and {second:?} at once came to neither order\n{}", self.story()) };
        self.alone = came_to;
        self.same().await;
    }

    async fn stored(&self) -> Stored {
        let id = self.id;
        self.engine.store().read(move |tx| Ok::<_, store::Fault>(Stored::read(tx, id))).await.expect("it can be read")
    }

    /// What is stored is what the machine says.
    async fn same(&self) {
        let stored = self.stored().await;
        assert_eq!(stored.body, json!(self.alone), "{}", self.story());
        assert_eq!(stored.faults(), Vec::<String>::new(), "{}", self.story());
        let shape = engine::records::Shape::default();
        let record = self.engine.get(&self.engine.system(), self.entity(), self.record, &shape).await.expect("the record");
        let record: Json = serde_json::from_slice(&record.json).expect("JSON");
        assert_eq!(record["approval_state"], self.alone.state.as_str(), "the record; {}", self.story());
    }

    /// Everybody's box holds what is before them, and the detail shows it; a seat is one task, whoever has it before them.
    async fn boxes(&self) {
        let mut shown = BTreeSet::new();
        for person in self.people.iter().filter(|person| self.world.people[*person].active) {
            let todo = BoxRequest { record: Some(self.record), limit: 50, ..Default::default() };
            let page = self.engine.approval_box(&self.cx(*person).await, todo).await.expect("a box");
            for line in page["data"].as_array().expect("lines") {
                let task: Uuid = line["task"].as_str().and_then(|task| task.parse().ok()).expect("a task");
                assert!(shown.insert((task, *person)), "a task twice in one box; {}", self.story());
            }
        }
        let wanted: BTreeSet<(Uuid, Uuid)> = tasks_of(&self.alone).into_iter().map(|(seat, person, _)| (task_id(self.id, seat), person)).collect();
        assert_eq!(shown, wanted, "boxes; {}", self.story());
        let detail = self.engine.approval(&self.cx(self.world.admin).await, self.id).await.expect("the administrator sees it");
        let ids: BTreeSet<Uuid> = detail["tasks"].as_array().expect("tasks").iter().filter_map(|task| task["id"].as_str()?.parse().ok()).collect();
        assert_eq!(ids, self.alone.tasks().map(|seat| task_id(self.id, seat.id)).collect(), "{}", self.story());
    }

    fn entity(&self) -> model::EntityId {
        self.engine.entity(&self.engine.system(), "drawn.thing").expect("the entity").id
    }

    /// Lets time pass, and what falls due happen.
    async fn wait(&mut self, hours: i64) {
        let until = self.clock.now() + Duration::hours(hours);
        self.said.push(format!("{hours} hours"));
        while let Some(due) = self.next_due().filter(|due| *due <= until) {
            self.clock.set(due.max(self.clock.now()));
            self.engine.run_due().await.expect("what is due is done");
            // Of one moment the timer that was set first comes first.
            while let Some(timer) = self.first_due() {
                assert!(self.alone(None, Do::Due { timer }), "{}", self.story());
            }
        }
        self.clock.set(until);
        self.engine.run_due().await.expect("what is due is done");
        self.same().await;
    }

    fn next_due(&self) -> Option<DateTime<Utc>> {
        self.alone.timers.iter().filter(|_| !self.alone.suspended).map(|timer| timer.due).min()
    }

    fn first_due(&self) -> Option<u32> {
        let now = self.clock.now();
        let due = self.alone.timers.iter().filter(|timer| !self.alone.suspended && timer.due <= now);
        due.min_by_key(|timer| timer.due).map(|timer| timer.id)
    }

    /// Changes the record as the administrator does, where its lock lets them.
    async fn change(&mut self, amount: i64) {
        let values = [("amount".to_owned(), Input::from(&json!(amount)))].into_iter().collect();
        let batch = Batch::one(self.entity(), Submission::Update { id: self.record, version: None, values });
        let there = self.engine.write(&self.cx(self.world.admin).await, batch).await;
        let changes = amount != self.world.amount;
        let closed = self.alone.state.is_live() && !self.alone.unlocked && self.flow.settings.lock.mode == LockMode::Locked;
        // What came back is open to whoever has it before them.
        let first = self.flow.first();
        let mine = |seat: &Seat| seat.is_before(self.world.admin) && self.alone.visit(seat.visit).is_some_and(|visit| visit.node == *first);
        let open = !changes || !closed || self.alone.tasks().any(mine);
        self.said.push(format!("amount {amount}"));
        assert_eq!(there.is_ok_and(|results| results.iter().all(Result::is_ok)), open, "{}", self.story());
        if open && changes {
            self.world.amount = amount;
            if self.alone.state.is_live() {
                assert!(self.alone(None, Do::Changed));
            }
        }
        self.same().await;
    }

    /// Throws everything in memory away.
    async fn restart(&mut self) {
        self.said.push("a restart".to_owned());
        self.engine.close().await;
        self.engine = tests::serve::open(self.database, Arc::new(self.clock.clone())).await;
        self.same().await;
        self.boxes().await;
    }

    /// Somebody who is there; mostly whoever has the task before them.
    fn actor(&self, chance: &mut Chance, task: Option<&Seat>) -> Uuid {
        let there: Vec<Uuid> = self.people.iter().copied().filter(|person| self.world.people[person].active).collect();
        let pool = task.and_then(|seat| self.alone.visit(seat.visit)).map(|visit| visit.pool.clone()).unwrap_or_default();
        let any = *chance.of(&there);
        match task.and_then(|seat| seat.delegate.or(seat.holder)) {
            Some(holder) if !chance.once_in(6) => holder,
            None if !pool.is_empty() => *chance.of(&pool),
            Some(_) | None => any,
        }
    }

    /// Something about one of these tasks.
    fn deed_at(&self, chance: &mut Chance, tasks: &[Seat]) -> Deed {
        let task = chance.of(tasks);
        let (seat, other) = (task.id, *chance.of(self.people));
        let opinion = || Some("why".to_owned());
        let starts = self.alone.visit(task.visit).is_some_and(|visit| visit.node == *self.flow.first());
        let decide = |verdict| Do::Decide { seat, verdict, opinion: opinion(), signature: None, files: Vec::new(), select: BTreeMap::new() };
        let (what, act) = match chance.below(20) {
            // The initiator's task is submitted, by whoever has it.
            0..=9 if starts => (AskFor::Approve, Do::Submit { select: BTreeMap::new(), opinion: opinion(), moves: false }),
            0..=8 => (AskFor::Approve, decide(Verdict::Approve)),
            9 | 10 => (AskFor::Reject, decide(Verdict::Reject)),
            11 | 12 => {
                let names: Vec<Name> = self.flow.nodes().map(|node| node.name.clone()).collect();
                let to = if chance.once_in(3) { chance.of(&names).to_string() } else { (*chance.of(&["initiator", "previous"])).to_owned() };
                let straight = *chance.of(&[None, Some(true), Some(false)]);
                (AskFor::Return { to: to.clone(), straight }, Do::Return { seat, to, opinion: opinion(), straight, files: Vec::new() })
            }
            13 => (AskFor::Transfer { to: other }, Do::Transfer { seat, to: other, opinion: opinion() }),
            14 => (AskFor::Delegate { to: other }, Do::Delegate { seat, to: other, opinion: opinion() }),
            15 => (AskFor::Opinion, Do::Opinion { seat, opinion: opinion() }),
            16 => (AskFor::Recall, Do::Recall { seat }),
            17 => (AskFor::Claim, Do::Claim { seat }),
            18 => (AskFor::Release, Do::Release { seat }),
            _ => {
                let (place, users) = (*chance.of(&[Place::Before, Place::After, Place::Parallel]), vec![other]);
                let mode = *chance.of(&[SignMode::All, SignMode::Any, SignMode::Sequential]);
                (AskFor::AddSign { place, users: users.clone(), mode }, Do::AddSign { seat, place, users, mode, opinion: opinion() })
            }
        };
        Deed { person: self.actor(chance, Some(task)), what, seat: Some(seat), act }
    }

    /// Something about the instance.
    fn deed(&self, chance: &mut Chance) -> Deed {
        let (any, other, initiator) = (self.actor(chance, None), *chance.of(self.people), self.people[0]);
        let opinion = Some("why".to_owned());
        let (person, what, act) = match chance.below(9) {
            0 => (any, AskFor::TakeBack, Do::TakeBack { opinion }),
            1 if chance.once_in(2) => (initiator, AskFor::Withdraw, Do::Withdraw { opinion }),
            2 => (any, AskFor::RemoveSign { user: other }, Do::RemoveSign { user: other, opinion }),
            3 => (initiator, AskFor::Revoke, Do::Revoke { opinion }),
            4 => (initiator, AskFor::Urge, Do::Urge { opinion }),
            5 => (initiator, AskFor::Copy { people: vec![other] }, Do::Copy { people: vec![other] }),
            _ => {
                let names: Vec<Name> = self.flow.nodes().map(|node| node.name.clone()).collect();
                let act = match chance.below(6) {
                    0 => AdminAct::Jump { to: chance.of(&names).clone() },
                    1 => AdminAct::Suspend,
                    2 => AdminAct::Replace { user: any, by: other },
                    3 => AdminAct::Unlock,
                    _ => AdminAct::Resume,
                };
                (self.world.admin, AskFor::Admin(act.clone()), Do::Admin { act, opinion })
            }
        };
        Deed { person, what, seat: None, act }
    }

    async fn play(&mut self, chance: &mut Chance) {
        let tasks: Vec<Seat> = self.alone.tasks().cloned().collect();
        match chance.below(24) {
            0 => self.change(i64::try_from(chance.below(4)).unwrap_or_default()).await,
            1..=3 => self.wait(i64::try_from(1 + chance.below(40)).unwrap_or_default()).await,
            4 if chance.once_in(3) => self.restart().await,
            5..=7 if !tasks.is_empty() => {
                let (one, other) = (self.deed_at(chance, &tasks), self.deed_at(chance, &tasks));
                self.at_once(one, other).await;
            }
            8..=20 if !tasks.is_empty() => {
                let deed = self.deed_at(chance, &tasks);
                self.both(deed, chance.once_in(4)).await;
            }
            _ => {
                let deed = self.deed(chance);
                self.both(deed, false).await;
            }
        }
    }

    /// Whatever was done, it comes to an end, and nothing is left of it.
    async fn end(&mut self) {
        self.boxes().await;
        if self.alone.state.is_live() {
            let act = AdminAct::End { result: AdminResult::Ended };
            let deed = Deed {
                person: self.world.admin,
                what: AskFor::Admin(act.clone()),
                seat: None,
                act: Do::Admin { act, opinion: Some("why".to_owned()) },
            };
            self.both(deed, false).await;
        }
        self.boxes().await;
        assert!(tasks_of(&self.alone).is_empty() && !self.alone.seats.iter().any(|seat| seat.state.is_open()), "{}", self.story());
        assert!(self.alone.timers.iter().all(|timer| matches!(timer.kind, TimerKind::ProxyEnds { .. })), "{}", self.story());
    }
}

async fn write(engine: &Engine, entity: &str, id: Option<Uuid>, values: Json) -> Uuid {
    let cx = engine.system();
    let entity = engine.entity(&cx, entity).expect("the entity").id;
    let values = values.as_object().expect("values").iter().map(|(name, value)| (name.clone(), Input::from(value))).collect();
    let submission = match id {
        Some(id) => Submission::Update { id, version: None, values },
        None => Submission::Create { id: None, values },
    };
    let mut results = engine.write(&cx, Batch::one(entity, submission)).await.expect("it is written");
    results.pop().expect("a result").expect("a record").id
}

/// People, each below one of those who come later.
async fn people(engine: &Engine, chance: &mut Chance) -> (Vec<Uuid>, BTreeMap<Uuid, Person>) {
    let (mut ids, mut people) = (Vec::new(), BTreeMap::new());
    for number in 0..PEOPLE {
        let roles = if number + 1 == PEOPLE { json!(["core.admin"]) } else { json!([]) };
        let name = format!("p{number}");
        let active = number + 2 != PEOPLE;
        let values = json!({"name": name, "email": format!("{name}@example.com"), "roles": roles, "active": active});
        ids.push(write(engine, "core.user", None, values).await);
    }
    for (number, id) in ids.iter().enumerate() {
        let above = &ids[number + 1..];
        let manager = if above.is_empty() || chance.once_in(3) { None } else { Some(*chance.of(above)) };
        if let Some(manager) = manager {
            write(engine, "core.user", Some(*id), json!({"manager": manager})).await;
        }
        people.insert(*id, Person { active: number + 2 != PEOPLE, manager, ..Person::default() });
    }
    (ids, people)
}

async fn story(database: &Database, seed: u64) {
    let clock = ManualClock::new("2026-03-02T09:00:00Z".parse().expect("a moment"));
    let mut engine = tests::serve::open(database, Arc::new(clock.clone())).await;
    let mut chance = Chance::new(seed);
    let (ids, people) = people(&engine, &mut chance).await;
    let admin = ids[PEOPLE - 1];
    let flows: BTreeMap<String, Json> = (0..FLOWS).map(|number| (format!("f{number}"), drawn::flow(&mut chance, &ids))).collect();
    let app = json!({
        "app": {"name": "drawn", "label": "Drawn", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}},
        "entities": {"thing": {"label": "Thing", "title": "{{ name }}", "fields": {
            "name": {"kind": "text"}, "amount": {"kind": "integer", "default": 0}}}},
        "approvals": flows,
    });
    let app = model::package::app_from_json(&app).unwrap_or_else(|faults| panic!("{faults:?}"));
    let package = Package { app, files: BTreeMap::new() };
    engine.install(&engine.system(), package, "drawn").await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    for (name, doc) in &flows {
        let amount = i64::try_from(chance.below(4)).unwrap_or_default();
        let record = write(&engine, "drawn.thing", None, json!({"name": name, "amount": amount})).await;
        let plan = serde_json::from_value(doc.clone()).expect("a document");
        let flow = Flow::compile(&Name::parse(name).expect("a name"), &plan).unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut world = World::of(doc, &people, admin, amount);
        if chance.once_in(2) {
            let (principal, person) = (ids[1 + chance.below(PEOPLE - 3)], ids[1 + chance.below(PEOPLE - 3)]);
            if principal != person {
                let until = Some(clock.now() + Duration::hours(30));
                let asked =
                    NewProxy { principal: Some(principal), proxy: person, from: None, until, flow: Some(format!("drawn.{name}")), open_tasks: false };
                engine.set_proxy(&engine.context(admin, None).await.expect("them"), asked).await.expect("a stand-in");
                world.proxies.insert(principal, Proxy { person, until });
            }
        }
        // The first of them asks, with the rights of whoever sees everything.
        let (first, all) = (engine.context(ids[0], None).await.expect("them"), engine.context(admin, None).await.expect("them"));
        let asks = Ctx { caller: first.caller, ..all };
        let begin = Begin { flow: format!("drawn.{name}"), record, ..Begin::default() };
        let done = engine.submit(&asks, begin).await.unwrap_or_else(|error| panic!("seed {seed}, {name}: {error:?}"));
        let about = format!("seed {seed}, {name}: {doc}; people {ids:?}");
        let (alone, said) = (Instance::default(), Vec::new());
        let mut twins = Twins { database, engine, clock: &clock, people: &ids, flow, about, world, alone, id: done.id, record, said };
        assert!(twins.alone(Some(ids[0]), Do::Submit { select: BTreeMap::new(), opinion: None, moves: false }));
        twins.same().await;
        for _ in 0..COMMANDS {
            twins.play(&mut chance).await;
        }
        twins.end().await;
        engine = twins.engine;
    }
    engine.close().await;
}

fn are_the_machine(backend: Backend) {
    let stories = std::env::var("TRELLIS_STORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    for seed in 1..=stories {
        with_database(backend, async |database| story(database, seed).await);
    }
}

#[test]
fn approvals_are_the_machine_on_sqlite() {
    are_the_machine(Backend::Sqlite);
}

#[test]
fn approvals_are_the_machine_on_postgres() {
    are_the_machine(Backend::Postgres);
}
