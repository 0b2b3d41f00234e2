//! In charge of one command on an instance, with all that follows: events, tasks, timers, the record, other flows, people.
//! Invariant: everything is in the transaction of the command; with an error nothing of it is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use flow::approval::{Actor, AdminAct, AdminResult, Change, Command, Do, Effect, Event, Instance, MAX_DEPTH, Refusal, State, step};
use model::{Code, FieldDef, Input, Message, Value, Violation, Wording};
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::run;
use uuid::Uuid;

use crate::approvals::facts::Known;
use crate::approvals::plan::FlowPlan;
use crate::approvals::{data, rows, tell, timers};
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::accept::set_cells;
use crate::records::consequences::{self, Touched};
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Submission, formulas, persist, write};

/// Commands that one may set off: flows within flows, steps that are run.
const MOST: usize = 10_000;
/// Flows that one step starts at most: they begin in one transaction.
const MOST_CHILDREN: usize = 200;

/// What works on instances within one transaction.
pub(crate) struct Driver<'a> {
    pub(crate) w: &'a Writer<'a>,
    pub(crate) tx: &'a Tx,
    notes: Vec<ChangeNote>,
    queue: VecDeque<(Uuid, Actor, Do)>,
    done: usize,
    /// The instance as the last command left it, where nothing else can have changed it since.
    left: Option<rows::Row>,
    /// What whoever decides changed in the record: kept with the next command's first event.
    edited: serde_json::Map<String, Json>,
}

/// A new instance.
pub(crate) struct Start<'a> {
    pub(crate) plan: &'a Arc<FlowPlan>,
    pub(crate) record: Uuid,
    pub(crate) initiator: Option<Uuid>,
    pub(crate) parent: Option<(Uuid, i64)>,
    pub(crate) select: flow::approval::Selection,
    pub(crate) opinion: Option<String>,
    /// What is done to the record once it is approved.
    pub(crate) then: Json,
    pub(crate) request: Option<String>,
}

/// The facts under which a flow works: the same person, all rights, nothing but the flow's own steps.
pub(crate) fn own_facts(cx: &Ctx) -> Ctx {
    cx.as_engine(Cause::Flow)
}

impl<'a> Driver<'a> {
    pub(crate) fn new(w: &'a Writer<'a>) -> Self {
        Self { w, tx: w.tx, notes: Vec::new(), queue: VecDeque::new(), done: 0, left: None, edited: serde_json::Map::new() }
    }

    /// Writes the log; what others are told after the commit.
    pub(crate) fn finish(self) -> Result<Vec<ChangeNote>, Error> {
        let mut notes = crate::records::notes_of(self.w)?;
        notes.extend(self.notes);
        Ok(notes)
    }

    fn cx(&self) -> &'a Ctx {
        self.w.cx
    }

    /// The flow that an instance began with.
    pub(crate) fn plan_of(&self, row: &rows::Row) -> Result<Arc<FlowPlan>, Error> {
        plan_of(self.w, row)
    }

    /// Begins an instance; its id.
    pub(crate) fn start(&mut self, start: Start<'_>) -> Result<(Uuid, State), Error> {
        let (plan, def) = (start.plan, self.w.def(start.plan.entity));
        let row = self.w.tx.load(def, &[start.record], store::Lock::Change)?.pop().flatten();
        let cells = row.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
        self.w.reader.put(def.id, start.record, Arc::new(cells));
        // What starts it is no other flow: it waits meanwhile, or is of one mind with it.
        let above: Vec<Uuid> = chain(self.tx, start.parent.map(|(parent, _)| parent))?.iter().map(|row| row.id).collect();
        self.alone(plan, start.record, &above)?;
        if !self.fits(plan, start.record)? {
            return Err(Error::of(Code::RuleFailed, Message::new("approval_when")));
        }
        let body = serde_json::to_value(&*plan.doc).map_err(|error| Error::Internal(error.to_string()))?;
        run::define(self.tx, &plan.hash, &body)?;
        let number = match &plan.flow.settings.number {
            Some(pattern) => Some(crate::records::flow_number(self.w, def, start.record, &plan.name, pattern)?),
            None => None,
        };
        let (parent, depth) = start.parent.map_or((None, 0), |(parent, depth)| (Some(parent), depth + 1));
        let row = rows::Row {
            id: self.cx().new_id(),
            flow: plan.name.clone(),
            definition: plan.hash.clone(),
            entity: def.name.to_string(),
            record: start.record,
            number,
            at: self.cx().now,
            seq: 0,
            parent,
            depth,
            then: start.then,
            instance: Instance::default(),
        };
        let moves = !row.then.is_null();
        let act = Do::Submit { select: start.select, opinion: start.opinion, moves };
        let actor = Actor { person: start.initiator, manages: false };
        let id = row.id;
        self.one(plan, row, actor, &act, start.request.as_deref())?;
        self.rest()?;
        let (state, _) = self.stands(id)?;
        Ok((id, state))
    }

    /// How an instance stands: its state and its revision.
    pub(crate) fn stands(&self, instance: Uuid) -> Result<(State, i64), Error> {
        match self.left.as_ref().filter(|left| left.id == instance) {
            Some(left) => Ok((left.instance.state, left.seq)),
            None => rows::get(self.tx, instance)?.map(|row| (row.instance.state, row.seq)).ok_or(Error::NotFound),
        }
    }

    /// Refuses where another flow holds the record.
    fn alone(&self, plan: &FlowPlan, record: Uuid, but: &[Uuid]) -> Result<(), Error> {
        self.tx.lock_key(&format!("approvals-of:{record}"))?;
        for other in rows::of_record(self.tx, record, true)?.into_iter().filter(|other| !but.contains(&other.id)) {
            let apart = other.flow != plan.name && disjoint(plan, &*self.plan_of(&other)?);
            if !apart {
                return Err(Error::of(Code::AlreadyRunning, Message::new("already_running")));
            }
        }
        Ok(())
    }

    /// Whether the flow is for such a record.
    fn fits(&self, plan: &FlowPlan, record: Uuid) -> Result<bool, Error> {
        if plan.flow.start.when.is_none() {
            return Ok(true);
        }
        let known = Known::new(self.w, plan, Uuid::nil(), record);
        let held = flow::approval::Facts::holds(&known, "start/when");
        if let Some(error) = known.failed.take() {
            return Err(error);
        }
        held.map_err(|trouble| refused(&Refusal::Trouble(trouble)))
    }

    /// Does something with an instance, and all that follows.
    pub(crate) fn obey(&mut self, instance: Uuid, actor: Actor, act: &Do, seq: Option<i64>, request: Option<&str>) -> Result<(), Error> {
        let row = held(self.w, instance)?.ok_or(Error::NotFound)?;
        let plan = self.plan_of(&row)?;
        self.obey_row(row, &plan, actor, act, seq, request)
    }

    /// The same with an instance that was locked and read.
    pub(crate) fn obey_row(
        &mut self,
        row: rows::Row,
        plan: &Arc<FlowPlan>,
        actor: Actor,
        act: &Do,
        seq: Option<i64>,
        request: Option<&str>,
    ) -> Result<(), Error> {
        if let Some(yours) = seq.filter(|yours| *yours != row.seq) {
            return Err(Error::StaleVersion { current: row.seq, yours });
        }
        if matches!(act, Do::Revoke { .. }) {
            self.alone(plan, row.record, &[row.id])?;
        }
        if matches!(act, Do::Submit { .. }) && !self.fits(plan, row.record)? {
            return Err(Error::of(Code::RuleFailed, Message::new("approval_when")));
        }
        self.one(plan, row, actor, act, request)?;
        self.rest()
    }

    /// Works off what was set off.
    fn rest(&mut self) -> Result<(), Error> {
        while let Some((instance, actor, act)) = self.queue.pop_front() {
            self.done += 1;
            if self.done > MOST {
                return Err(Error::of(Code::DepthExceeded, Message::new("depth_exceeded")));
            }
            let left = self.left.take().filter(|left| left.id == instance);
            let Some(row) = left.map_or_else(|| held(self.w, instance), |left| Ok(Some(left)))? else { continue };
            let plan = self.plan_of(&row)?;
            self.one(&plan, row, actor, &act, None)?;
        }
        Ok(())
    }

    fn one(&mut self, plan: &Arc<FlowPlan>, mut row: rows::Row, actor: Actor, act: &Do, request: Option<&str>) -> Result<(), Error> {
        self.w.reader.preload(plan.entity, &[row.record], store::Lock::Change)?;
        let known = Known::new(self.w, plan, row.id, row.record);
        let command = Command { actor, act: act.clone() };
        let done = step(&plan.flow, &row.instance, &command, &known, self.cx().now);
        if let Some(error) = known.failed.take() {
            return Err(error);
        }
        let done = done.map_err(|refusal| refused(&refusal))?;
        let before = std::mem::replace(&mut row.instance, done.instance);
        let from = row.seq;
        rows::save(self.cx(), self.tx, &mut row, &before, &done.events, actor.person, request)?;
        self.keep_data(plan, &row, from, &done.events)?;
        timers::change(self.cx(), self.tx, row.id, &done.timers)?;
        for Change::State(state) in done.changes {
            self.record_state(plan, &row, state)?;
        }
        // Whoever is told changes nothing here; what a written record, steps and other flows set off may.
        let is_quiet = before.state == row.instance.state && done.effects.iter().all(|effect| matches!(effect, Effect::Notify { .. }));
        for effect in done.effects {
            self.effect(plan, &row, effect)?;
        }
        self.signal(plan, &row, &before)?;
        if !row.instance.state.is_live()
            && before.state.is_live()
            && let Some(parent) = row.parent
        {
            self.queue.push_back((parent, Actor::default(), Do::ChildEnded { child: row.id, state: row.instance.state }));
        }
        self.left = is_quiet.then_some(row);
        Ok(())
    }

    /// Keeps what the record was: what was changed with the command, and all of it where it was submitted.
    fn keep_data(&mut self, plan: &FlowPlan, row: &rows::Row, from: i64, events: &[Event]) -> Result<(), Error> {
        let mut changes = std::mem::take(&mut self.edited);
        for (event, seq) in events.iter().zip(from + 1..) {
            let values = matches!(event, Event::Submitted { .. }).then(|| data::now(self.w, plan, row.record)).transpose()?;
            data::Data { values, changes: std::mem::take(&mut changes) }.keep(self.tx, row.id, seq)?;
        }
        Ok(())
    }

    /// Notes what whoever decides changed in the record.
    pub(crate) fn edited(&mut self, changes: serde_json::Map<String, Json>) {
        self.edited = changes;
    }

    /// Tells automations what became of it.
    fn signal(&self, plan: &FlowPlan, row: &rows::Row, before: &Instance) -> Result<(), Error> {
        let state = row.instance.state;
        let (word, result) = match (before.state, state) {
            (before, after) if before == after => return Ok(()),
            // A revocation that came to nothing decided nothing anew.
            (_, State::Approved) if before.reverse => return Ok(()),
            (State::None, _) if state.is_live() => ("started", None),
            (_, State::Returned) => ("returned", None),
            (_, after) if !after.is_live() => ("decided", Some(after.as_str())),
            _ => return Ok(()),
        };
        let told = crate::automations::trigger::Signal::Approval { word, flow: plan.flow.name.as_str(), result };
        crate::automations::raise::signal(self.w, plan.entity, row.record, &told, &serde_json::Map::new())
    }

    /// Takes in what others are told after the commit.
    pub(crate) fn note(&mut self, notes: Vec<ChangeNote>) {
        self.notes.extend(notes);
    }

    /// The state of the record's approval: of several flows, the most recent instance's; and of this flow, its own.
    fn record_state(&self, plan: &FlowPlan, row: &rows::Row, state: State) -> Result<(), Error> {
        let is_newest = |of: Option<&str>| Ok::<_, Error>(rows::newest_of(self.tx, row.record, of)?.is_none_or(|newest| newest == row.id));
        let def = self.w.def(plan.entity);
        let mut fields: Vec<&FieldDef> = Vec::new();
        if is_newest(None)? {
            fields.extend(def.find("approval_state"));
        }
        if is_newest(Some(&plan.name))? {
            fields.extend(def.fields.iter().find(|field| field.flow.as_ref().is_some_and(|of| of.flow == plan.name)));
        }
        self.keep_state(plan, row.record, &fields, state)
    }

    /// Makes the move that waited for the instance.
    fn move_record(&self, plan: &FlowPlan, row: &rows::Row) -> Result<(), Error> {
        let map = |key: &str| row.then.get(key).and_then(Json::as_object).cloned().unwrap_or_default();
        let moved = Submission::Move {
            id: row.record,
            version: None,
            field: row.then.get("field").and_then(Json::as_str).and_then(model::Name::parse),
            to: row.then.get("to").and_then(Json::as_str).unwrap_or_default().to_owned(),
            values: map("values").iter().map(|(name, value)| (name.clone(), Input::from(value))).collect(),
            skip: map("skip").into_iter().filter_map(|(step, reason)| Some((step, reason.as_str()?.to_owned()))).collect(),
        };
        self.write(plan, row.id, moved)
    }

    /// Keeps the state in the record as what it is, a computed value: a decision stands whatever the record lacks, and
    /// where it lies.
    fn keep_state(&self, plan: &FlowPlan, record: Uuid, fields: &[&FieldDef], state: State) -> Result<(), Error> {
        let (w, def) = (self.w, self.w.def(plan.entity));
        let Some(before) = w.reader.read(def.id, record)? else { return Ok(()) };
        let mut after = Vec::clone(&before);
        for field in fields {
            set_cells(def, field, vec![Value::text(state.as_str())], &mut after);
        }
        formulas::own(w, def, w.plan(def.id), Some(&before), &mut after)?;
        if *before == after {
            return Ok(());
        }
        let after = Arc::new(after);
        persist::computed(w, def, &[(record, Arc::clone(&before), Arc::clone(&after))])?;
        consequences::run(w, vec![Touched { entity: def.id, id: record, before: Some(before), after }], None)
    }

    /// Writes the record as the instance's own step.
    pub(crate) fn write(&self, plan: &FlowPlan, instance: Uuid, submission: Submission) -> Result<(), Error> {
        let outer = self.w.flow.replace(Some(instance));
        let results = write::write_slice(self.w, plan.entity, &[submission]);
        self.w.flow.set(outer);
        results?.pop().unwrap_or(Err(Error::NotFound)).map(drop)
    }

    fn effect(&mut self, plan: &Arc<FlowPlan>, row: &rows::Row, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Notify { person, notice, seat } => {
                self.notes.extend(tell::tell(self.w, plan, row, person, notice, seat)?);
                Ok(())
            }
            Effect::Run { at, token } => {
                let error = super::steps::run(self, plan, row, &at, token.is_some())?;
                self.queue.push_back((row.id, Actor::default(), Do::Acted { at, token, error }));
                Ok(())
            }
            Effect::Move { token: None } => self.move_record(plan, row),
            Effect::Move { token: Some(token) } => {
                let error = match self.tx.savepoint(|_| self.move_record(plan, row)) {
                    Ok(()) => None,
                    Err(Error::Store(fault)) if fault.is_transient() => return Err(Error::Store(fault)),
                    Err(error) => {
                        self.w.reader.forget();
                        Some(crate::scenarios::told(&error))
                    }
                };
                self.queue.push_back((row.id, Actor::default(), Do::Moved { token, error }));
                Ok(())
            }
            Effect::Start { token, visit, node, approval, record } => self.children(plan, row, (token, visit), &node, &approval, record.as_deref()),
            Effect::CancelChildren { children } => {
                // At once: what is started next may be about the same records.
                for child in children {
                    let Some(child) = held(self.w, child)?.filter(|child| child.instance.state.is_live()) else { continue };
                    let act = Do::Admin { act: AdminAct::End { result: AdminResult::Ended }, opinion: None };
                    let plan = self.plan_of(&child)?;
                    self.one(&plan, child, Actor { person: None, manages: true }, &act, None)?;
                }
                Ok(())
            }
        }
    }

    /// Starts flows within a flow.
    fn children(
        &mut self,
        plan: &FlowPlan,
        row: &rows::Row,
        (token, visit): (u32, Option<u32>),
        node: &model::Name,
        approval: &model::Name,
        path: Option<&str>,
    ) -> Result<(), Error> {
        let (mut children, mut error) = (Vec::new(), None);
        let known = Known::new(self.w, plan, row.id, row.record);
        let records = match path {
            None => Ok(vec![(plan.entity, row.record)]),
            Some(path) => known.records(path),
        };
        if let Some(error) = known.failed.take() {
            return Err(error);
        }
        let child = self.w.app.flows.find(&format!("{}.{approval}", plan.app)).cloned();
        match (records, child) {
            _ if row.depth + 1 >= i64::from(MAX_DEPTH) => error = Some("flows start one another too deep".to_owned()),
            (Err(reason), _) => error = Some(reason),
            (_, None) => error = Some(format!("there is no flow `{approval}`")),
            (Ok(records), _) if records.len() > MOST_CHILDREN => {
                error = Some(format!("{} flows would be started at once; {MOST_CHILDREN} are the most", records.len()));
            }
            (Ok(records), Some(child)) => {
                for (entity, record) in records {
                    if entity != child.entity {
                        error = Some(format!("`{approval}` is not about such records"));
                        break;
                    }
                    let start = Start {
                        plan: &child,
                        record,
                        initiator: row.instance.initiator,
                        parent: Some((row.id, row.depth)),
                        select: flow::approval::Selection::new(),
                        opinion: None,
                        then: Json::Null,
                        request: None,
                    };
                    let begun = self.tx.savepoint(|_| Driver::new(self.w).start_child(start));
                    match begun {
                        // One that the flow is not for is none.
                        Ok(None) => {}
                        Ok(Some((id, state, notes))) => {
                            self.notes.extend(notes);
                            children.push((id, state));
                        }
                        Err(Error::Store(fault)) => return Err(Error::Store(fault)),
                        Err(other) => {
                            error = Some(format!("a flow could not be started: {}", crate::scenarios::told(&other)));
                            break;
                        }
                    }
                }
            }
        }
        self.queue.push_back((row.id, Actor::default(), Do::Started { token, visit, node: node.clone(), children, error }));
        Ok(())
    }

    fn start_child(mut self, start: Start<'_>) -> Result<Option<(Uuid, State, Vec<ChangeNote>)>, Error> {
        self.w.reader.preload(start.plan.entity, &[start.record], store::Lock::Change)?;
        if !self.fits(start.plan, start.record)? {
            return Ok(None);
        }
        let (id, state) = self.start(start)?;
        Ok(Some((id, state, self.notes)))
    }
}

/// An instance and those that it was started by, from the inside.
fn chain(tx: &Tx, from: Option<Uuid>) -> Result<Vec<rows::Row>, Error> {
    let mut found: Vec<rows::Row> = Vec::new();
    let mut at = from;
    while let Some(id) = at.filter(|id| found.iter().all(|row| row.id != *id)) {
        let Some(row) = rows::get(tx, id)? else { break };
        at = row.parent;
        found.push(row);
    }
    Ok(found)
}

/// An instance, locked until the transaction ends. Whoever changes a record holds it before they come to what runs on it, and a
/// flow comes to those that it started: locks are taken in this order, so that nobody waits for each other.
pub(crate) fn held(w: &Writer<'_>, instance: Uuid) -> Result<Option<rows::Row>, Error> {
    let mut chain = chain(w.tx, Some(instance))?;
    for row in chain.iter().rev() {
        if let Some(def) = w.app.schema.find(&row.entity) {
            w.reader.preload(def.id, &[row.record], store::Lock::Change)?;
        }
        rows::lock(w.tx, row.id)?;
    }
    if w.tx.is_alone() {
        // Nobody else wrote it since.
        return Ok((!chain.is_empty()).then(|| chain.swap_remove(0)));
    }
    rows::get(w.tx, instance)
}

/// The flow that an instance began with, compiled against the schema that is current.
pub(crate) fn plan_of(w: &Writer<'_>, row: &rows::Row) -> Result<Arc<FlowPlan>, Error> {
    let found = w.app.flows.pinned(w.app, &row.flow, &row.definition, || run::definition(w.tx, &row.definition))?;
    // Nothing is left to look at where the entity itself is gone.
    found.ok_or(Error::NotFound)
}

/// Whether two flows close different fields: then both may run on one record.
pub(super) fn disjoint(a: &FlowPlan, b: &FlowPlan) -> bool {
    use model::doc::approval::LockMode;
    let open = |plan: &FlowPlan| plan.flow.settings.lock.mode == LockMode::Editable;
    if open(a) || open(b) {
        return true;
    }
    !a.lock.only.is_empty() && !b.lock.only.is_empty() && a.lock.only.iter().all(|field| !b.lock.only.contains(field))
}

/// A refusal in the engine's words.
pub(crate) fn refused(refusal: &Refusal) -> Error {
    let of = |code: Code, key: &'static str| Error::of(code, Message::new(key));
    let field = |field: &str, code: Code, message: Message| {
        Error::Invalid(vec![Violation { pointer: format!("/{field}"), field: Some(field.to_owned()), code, wording: Wording::Message(message) }])
    };
    match refusal {
        Refusal::TaskClosed => of(Code::TaskClosed, "task_closed"),
        Refusal::NotYourTask => of(Code::NotYourTask, "not_your_task"),
        Refusal::TargetRefused => of(Code::TargetRefused, "target_refused"),
        Refusal::WindowClosed => of(Code::WindowClosed, "window_closed"),
        Refusal::AlreadyRunning => of(Code::AlreadyRunning, "already_running"),
        Refusal::AlreadySeated => of(Code::AlreadySeated, "already_seated"),
        Refusal::NestedSign => of(Code::NestedSign, "nested_sign"),
        Refusal::TooSoon => of(Code::TooSoon, "too_soon"),
        Refusal::ClaimLost => of(Code::ClaimLost, "claim_lost"),
        Refusal::Forbidden => Error::Forbidden,
        Refusal::Required(name) => field(name, Code::Required, Message::new("required")),
        Refusal::BadPerson(name) => field(name, Code::BadReference, Message::new("approval_person")),
        Refusal::Trouble(trouble) => Error::of(Code::RuleFailed, Message::new("approval_trouble").with("detail", &trouble.0)),
    }
}

/// Whether the caller manages a flow.
pub(crate) fn manages(w: &Writer<'_>, plan: &FlowPlan, row: &rows::Row, cx: &Ctx) -> Result<bool, Error> {
    if cx.caller.is_admin() {
        return Ok(true);
    }
    let Some(person) = cx.caller.user() else { return Ok(true) };
    let known = Known::new(w, plan, row.id, row.record);
    let found = flow::approval::managers(&plan.flow, &row.instance, &known, cx.now);
    match known.failed.take() {
        Some(error) => Err(error),
        None => Ok(found.is_ok_and(|found| found.contains(&person))),
    }
}

/// A value that is shown as JSON, or nothing.
pub(crate) fn shown(value: Option<&Value>) -> Json {
    match value {
        Some(Value::Text(text)) => json!(&**text),
        Some(Value::Uuid(id)) => json!(id),
        Some(Value::Timestamp(at)) => json!(at),
        _ => Json::Null,
    }
}
