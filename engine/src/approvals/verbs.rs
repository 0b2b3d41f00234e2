//! In charge of what callers ask of approvals: begin, decide, and everything around it.
//! Invariant: rights are checked here, before the machine is asked; who has nothing to do with an instance and cannot see its
//! record is told that it is not there.
//! Invariant: a request that is sent again does nothing again and gets the same answer.

use std::sync::Arc;

use flow::approval::{Actor, AdminAct, Do, Node, Place, Refusal, SeatState, Selection, SignMode, State, Verdict};
use indexmap::IndexMap;
use model::doc::approval::TaskAccess;
use model::{Code, EntityId, Input, Message, Value, Violation};
use serde_json::{Value as Json, json};
use store::Tx;
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{Driver, Start, held, manages, own_facts, refused};
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, Row};
use crate::approvals::{data, enclosed};
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Idempotency, Submission, known, remember_answer, write};

/// A flow that is to begin, or what came back that is to go on.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// The flow, qualified, or bare while one app has it.
    pub flow: String,
    /// The record.
    pub record: Uuid,
    /// Changes of the record that go with it.
    pub values: IndexMap<String, Input>,
    /// Who was chosen, by step.
    pub select: Selection,
    /// In words.
    pub opinion: Option<String>,
    /// Of what came back: the revision that the client saw.
    pub seq: Option<i64>,
    /// The key under which the request may be sent again.
    pub request: Option<Idempotency>,
}

/// What is asked; closed.
#[derive(Clone, Debug)]
pub enum AskFor {
    /// Yes; done, of what is to be done.
    Approve,
    /// No.
    Reject,
    /// Back, and how it comes back.
    Return {
        /// `initiator`, `previous`, or a step.
        to: String,
        /// Whether straight, where the flow asks.
        straight: Option<bool>,
    },
    /// Hand it on.
    Transfer {
        /// To whom.
        to: Uuid,
    },
    /// Ask an opinion.
    Delegate {
        /// Whose.
        to: Uuid,
    },
    /// Give it.
    Opinion,
    /// Take the question back.
    Recall,
    /// Have others decide, too.
    AddSign {
        /// Where.
        place: Place,
        /// Who.
        users: Vec<Uuid>,
        /// How they decide.
        mode: SignMode,
    },
    /// Take away somebody who was added.
    RemoveSign {
        /// Whom.
        user: Uuid,
    },
    /// Take the own decision back.
    TakeBack,
    /// Take a task of a pool.
    Claim,
    /// Give it back.
    Release,
    /// Take the request back.
    Withdraw,
    /// Have an approval undone.
    Revoke,
    /// Remind those who have to decide.
    Urge,
    /// Write.
    Comment {
        /// Who is named.
        mentions: Vec<Uuid>,
    },
    /// Give copies.
    Copy {
        /// To whom.
        people: Vec<Uuid>,
    },
    /// Step in.
    Admin(AdminAct),
}

/// Something that is asked of a task or an instance.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The task, or the instance.
    pub of: Uuid,
    /// What.
    pub what: AskFor,
    /// Changes of the record that go with it.
    pub values: IndexMap<String, Input>,
    /// In words.
    pub opinion: Option<String>,
    /// The signature: `{"id": …}` of an uploaded picture, or `{"name", "strokes"}` as it was written or drawn.
    pub signature: Option<Json>,
    /// What hangs on it: `{"id": …}` of uploads.
    pub files: Vec<Json>,
    /// Who was chosen, by step.
    pub select: Selection,
    /// The revision that the client saw.
    pub seq: Option<i64>,
    /// The key under which the request may be sent again.
    pub request: Option<Idempotency>,
    /// Whether many are decided at once.
    pub bulk: bool,
}

impl Ask {
    /// Something that needs nothing more.
    #[must_use]
    pub fn new(of: Uuid, what: AskFor) -> Self {
        Self {
            of,
            what,
            values: IndexMap::new(),
            opinion: None,
            signature: None,
            files: Vec::new(),
            select: Selection::new(),
            seq: None,
            request: None,
            bulk: false,
        }
    }
}

/// An instance after something was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its id.
    pub id: Uuid,
    /// What it is now.
    pub state: State,
    /// Its revision now.
    pub seq: i64,
    /// Whether it began with this.
    pub is_new: bool,
}

/// What files that hang on an instance call it.
pub(crate) const THING: &str = "sys_approval";

impl Done {
    fn read(json: &Json) -> Option<Self> {
        Some(Self {
            id: json.get("id")?.as_str()?.parse().ok()?,
            state: serde_json::from_value(json.get("state")?.clone()).ok()?,
            seq: json.get("seq")?.as_i64()?,
            is_new: json.get("is_new")?.as_bool()?,
        })
    }
}

type Answer = (Done, Vec<ChangeNote>);

impl Engine {
    /// Begins a flow on a record; what came back to the initiator goes on.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `already_running`; every fault of the values.
    pub async fn submit(&self, cx: &Ctx, begin: Begin) -> Result<Done, Error> {
        self.transact(cx, move |cx, tx| once(cx, tx, begin.request.as_ref(), || submit(cx, tx, &begin))).await
    }

    /// Whether the caller may know of an instance.
    ///
    /// # Errors
    /// Where the store could not.
    pub(crate) async fn knows_approval(&self, cx: &Ctx, instance: Uuid) -> Result<bool, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| rows::get(tx, instance)?.map_or(Ok(false), |row| may_know(&cx, tx, &row, &[]))).await
    }

    /// Does something with a task or an instance.
    ///
    /// # Errors
    /// `NotFound` for who may not know of it; why it is refused.
    pub async fn ask_approval(&self, cx: &Ctx, ask: Ask) -> Result<Done, Error> {
        self.transact(cx, move |cx, tx| once(cx, tx, ask.request.as_ref(), || ask_in(cx, tx, &ask))).await
    }
}

/// What the same request of the same caller came to, or what comes of it now.
fn once(cx: &Ctx, tx: &Tx, key: Option<&Idempotency>, work: impl FnOnce() -> Result<Answer, Error>) -> Result<Answer, Error> {
    let Some(key) = key else { return work() };
    let before = known(cx, tx, key)?;
    if let Some(done) = before.as_ref().and_then(Done::read) {
        return Ok((done, Vec::new()));
    }
    let (done, notes) = work()?;
    remember_answer(cx, tx, key, json!({"id": done.id, "state": done.state, "seq": done.seq, "is_new": done.is_new}))?;
    Ok((done, notes))
}

fn submit(cx: &Ctx, tx: &Tx, begin: &Begin) -> Result<Answer, Error> {
    let unknown = || Error::from(Violation::of_field("flow", Code::BadReference, Message::new("bad_reference")));
    let plan = Arc::clone(cx.app.flows.find(&begin.flow).ok_or_else(unknown)?);
    let def = cx.app.schema.entity(plan.entity);
    let running = rows::of_record(tx, begin.record, true)?;
    if let Some(row) = running.into_iter().find(|row| row.flow == plan.name && row.instance.state == State::Returned) {
        return again(cx, tx, &row, begin);
    }
    let reader = Writer::new(cx, tx);
    if !cx.grants.sees(def.id) || !reader.reader.in_sight(cx, def.id, begin.record)? {
        return Err(Error::NotFound);
    }
    if !is_starter(cx, &reader, &plan, begin.record)? {
        return Err(Error::Forbidden);
    }
    let mut notes = Vec::new();
    if !begin.values.is_empty() {
        notes.extend(own_write(cx, tx, plan.entity, begin.record, &begin.values)?);
    }
    let facts = own_facts(cx);
    let writer = Writer::new(&facts, tx);
    let mut driver = Driver::new(&writer);
    let start = Start {
        plan: &plan,
        record: begin.record,
        initiator: cx.caller.user(),
        parent: None,
        select: begin.select.clone(),
        opinion: begin.opinion.clone(),
        then: Json::Null,
        request: begin.request.as_ref().map(|request| request.key.clone()),
    };
    let (id, _) = driver.start(start)?;
    let (state, seq) = driver.stands(id)?;
    notes.extend(driver.finish()?);
    Ok((Done { id, state, seq, is_new: true }, notes))
}

/// What came back goes on: the initiator's task is done.
fn again(cx: &Ctx, tx: &Tx, row: &Row, begin: &Begin) -> Result<Answer, Error> {
    let seat = row.instance.tasks().next().ok_or_else(|| refused(&Refusal::TaskClosed))?;
    let ask = Ask {
        values: begin.values.clone(),
        select: begin.select.clone(),
        opinion: begin.opinion.clone(),
        seq: begin.seq,
        request: begin.request.clone(),
        ..Ask::new(row.task_id(seat.id), AskFor::Approve)
    };
    ask_in(cx, tx, &ask)
}

/// Writes values as the caller's own change, with the rights that they have.
fn own_write(cx: &Ctx, tx: &Tx, entity: EntityId, record: Uuid, values: &IndexMap<String, Input>) -> Result<Vec<ChangeNote>, Error> {
    let writer = Writer::new(cx, tx);
    let update = Submission::Update { id: record, version: None, values: values.clone() };
    let mut results = write::write_slice(&writer, entity, &[update])?;
    results.pop().unwrap_or(Err(Error::NotFound))?;
    crate::records::notes_of(&writer)
}

/// Whether the caller may begin a flow: by role, or as who may change the record.
pub(super) fn is_starter(cx: &Ctx, w: &Writer<'_>, plan: &FlowPlan, record: Uuid) -> Result<bool, Error> {
    let roles = &plan.flow.start.by;
    if !roles.is_empty() {
        return Ok(cx.has_role(&plan.app, roles));
    }
    let grant = cx.grants.entity(plan.entity);
    match w.reader.read(plan.entity, record)? {
        Some(cells) => Ok(rules::eval::matches(&grant.update, &cx.app.schema, plan.entity, &cells, &w.reader)?),
        None => Ok(false),
    }
}

/// The instance that is meant, with the seat of the task where one is.
pub(super) fn meant(cx: &Ctx, tx: &Tx, of: Uuid) -> Result<(Row, Option<u32>), Error> {
    let (instance, seat, people) = match rows::of_task(tx, of)? {
        Some(task) => (task.instance, Some(task.seat), task.people),
        None => (of, None, Vec::new()),
    };
    let row = held(&Writer::new(cx, tx), instance)?.ok_or(Error::NotFound)?;
    if !may_know(cx, tx, &row, &people)? {
        return Err(Error::NotFound);
    }
    Ok((row, seat))
}

/// Whether the caller may know of an instance; `people` are known to have a part in it.
pub(super) fn may_know(cx: &Ctx, tx: &Tx, row: &Row, people: &[Uuid]) -> Result<bool, Error> {
    if cx.caller.is_admin() {
        return Ok(true);
    }
    if let Some(person) = cx.caller.user()
        && (people.contains(&person) || rows::takes_part(tx, row, person)?)
    {
        return Ok(true);
    }
    let w = Writer::new(cx, tx);
    if let Some(def) = cx.app.schema.find(&row.entity)
        && cx.grants.sees(def.id)
        && w.reader.in_sight(cx, def.id, row.record)?
    {
        return Ok(true);
    }
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let plan = crate::approvals::drive::plan_of(&w, row)?;
    manages(&w, &plan, row, cx)
}

fn ask_in(cx: &Ctx, tx: &Tx, ask: &Ask) -> Result<Answer, Error> {
    let (row, seat) = meant(cx, tx, ask.of)?;
    let facts = own_facts(cx);
    let writer = Writer::new(&facts, tx);
    let mut driver = Driver::new(&writer);
    let plan = driver.plan_of(&row)?;
    // Who manages a flow is asked only where it matters.
    let matters = matches!(ask.what, AskFor::Admin(_) | AskFor::RemoveSign { .. } | AskFor::Urge | AskFor::Comment { .. } | AskFor::Copy { .. });
    let actor = Actor { person: cx.caller.user(), manages: matters && manages(&writer, &plan, &row, cx)? };
    let task = || seat.ok_or(Error::NotFound);
    let opinion = ask.opinion.clone();
    let decides = matches!(ask.what, AskFor::Approve | AskFor::Reject);
    let (mut submits, mut signature) = (false, None);
    if ask.bulk && !may_bulk(&plan, &row, task()?, &ask.what) {
        return Err(Error::of(Code::Forbidden, Message::new("approval_bulk")));
    }
    if decides {
        let seat = task()?;
        // The initiator's own task is submitted; whoever it went to may, and the initiator.
        let at_start = row.instance.seat(seat).and_then(|seat| row.instance.visit(seat.visit)).is_some_and(|visit| visit.node == *plan.flow.first());
        if !(at_start && actor.person.is_some() && actor.person == row.instance.initiator) {
            own(&row, seat, actor.person)?;
        }
        if !ask.values.is_empty() {
            let before = data::now(&writer, &plan, row.record)?;
            values(cx, &mut driver, &plan, &row, seat, &ask.values)?;
            driver.edited(data::changes(&before, &data::now(&writer, &plan, row.record)?));
        }
        if matches!(ask.what, AskFor::Approve)
            && let Some(visit) = row.instance.seat(seat).and_then(|seat| row.instance.visit(seat.visit))
        {
            filled(&driver, &plan, visit.node.as_str(), row.record)?;
        }
        signature = ask.signature.as_ref().map(|sent| enclosed::signature(cx, &writer, &plan, &row, seat, sent)).transpose()?;
        submits = at_start && matches!(ask.what, AskFor::Approve);
    } else if !ask.values.is_empty() {
        return Err(Error::of(Code::Malformed, Message::new("unknown_key").with("name", "values")));
    }
    let files = enclosed::files(cx, tx, &row, &ask.files)?;
    let act = match &ask.what {
        AskFor::Approve if submits => Do::Submit { select: ask.select.clone(), opinion, moves: false },
        AskFor::Approve | AskFor::Reject => Do::Decide {
            seat: task()?,
            verdict: if matches!(ask.what, AskFor::Approve) { Verdict::Approve } else { Verdict::Reject },
            opinion,
            signature,
            files,
            select: ask.select.clone(),
        },
        AskFor::Return { to, straight } => Do::Return { seat: task()?, to: to.clone(), opinion, straight: *straight, files },
        AskFor::Transfer { to } => Do::Transfer { seat: task()?, to: *to, opinion },
        AskFor::Delegate { to } => Do::Delegate { seat: task()?, to: *to, opinion },
        AskFor::Opinion => Do::Opinion { seat: task()?, opinion },
        AskFor::Recall => Do::Recall { seat: task()? },
        AskFor::AddSign { place, users, mode } => Do::AddSign { seat: task()?, place: *place, users: users.clone(), mode: *mode, opinion },
        AskFor::RemoveSign { user } => Do::RemoveSign { user: *user, opinion },
        AskFor::TakeBack => Do::TakeBack { opinion },
        AskFor::Claim => Do::Claim { seat: task()? },
        AskFor::Release => Do::Release { seat: task()? },
        AskFor::Withdraw => Do::Withdraw { opinion },
        AskFor::Revoke => Do::Revoke { opinion },
        AskFor::Urge => Do::Urge { opinion },
        AskFor::Comment { mentions } => Do::Comment { text: opinion.unwrap_or_default(), mentions: mentions.clone(), files },
        AskFor::Copy { people } => Do::Copy { people: people.clone() },
        AskFor::Admin(act) => Do::Admin { act: act.clone(), opinion },
    };
    let id = row.id;
    driver.obey_row(row, &plan, actor, &act, ask.seq, ask.request.as_ref().map(|request| request.key.as_str()))?;
    let (state, seq) = driver.stands(id)?;
    Ok((Done { id, state, seq, is_new: false }, driver.finish()?))
}

/// What many may decide at once: a yes that needs no words, no signature and no input.
fn may_bulk(plan: &FlowPlan, row: &Row, seat: u32, what: &AskFor) -> bool {
    let doc = row.instance.seat(seat).and_then(|seat| row.instance.visit(seat.visit)).and_then(|visit| plan.flow.node(visit.node.as_str()));
    let Some(doc) = doc.and_then(flow::approval::Node::decision) else { return false };
    let input = doc.signature
        || doc.opinion == model::doc::approval::OpinionRule::Always
        || doc.fields.values().any(|access| *access == TaskAccess::Required);
    matches!(what, AskFor::Approve) && plan.flow.settings.bulk.unwrap_or(true) && !input
}

/// Whether a task is before the caller.
pub(super) fn own(row: &Row, seat: u32, person: Option<Uuid>) -> Result<(), Error> {
    let seat = row.instance.seat(seat).ok_or_else(|| refused(&Refusal::TaskClosed))?;
    if !matches!(seat.state, SeatState::Open | SeatState::Delegated) {
        return Err(refused(&Refusal::TaskClosed));
    }
    match person {
        Some(person) if !seat.is_of(person) || seat.state == SeatState::Delegated => Err(refused(&Refusal::NotYourTask)),
        Some(_) | None => Ok(()),
    }
}

/// The step of a task, where all of these fields are open in it; whether they are open as far as the role goes.
pub(super) fn opened<'p>(cx: &Ctx, plan: &'p FlowPlan, row: &Row, seat: u32, values: &IndexMap<String, Input>) -> Result<(&'p Node, bool), Error> {
    let visit = row.instance.seat(seat).and_then(|seat| row.instance.visit(seat.visit));
    let node = visit.and_then(|visit| plan.flow.node(visit.node.as_str())).ok_or_else(|| refused(&Refusal::TaskClosed))?;
    let empty = IndexMap::new();
    let fields = plan.flow.fields(node.name.as_str()).unwrap_or(&empty);
    let def = cx.app.schema.entity(plan.entity);
    let mut faults = Vec::new();
    // What came back without a list of what is open is open as far as the role goes.
    let by_role = node.name == *plan.flow.first() && !fields.values().any(|access| matches!(access, TaskAccess::Write | TaskAccess::Required));
    for name in values.keys() {
        match fields.get(name) {
            None if by_role => {}
            Some(TaskAccess::Write | TaskAccess::Required) => {}
            Some(TaskAccess::Read) => faults.push(Violation::of_field(name, Code::ReadOnlyField, Message::new("read_only_field"))),
            None if cx.grants.field(def, name).is_some() => {
                faults.push(Violation::of_field(name, Code::ReadOnlyField, Message::new("read_only_field")));
            }
            Some(TaskAccess::Hidden) | None => {
                faults.push(Violation::of_field(name, Code::UnknownField, Message::new("unknown_field").with("name", name)));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    Ok((node, by_role))
}

/// Writes what goes with a decision, as far as the step opens it.
fn values(cx: &Ctx, driver: &mut Driver<'_>, plan: &FlowPlan, row: &Row, seat: u32, values: &IndexMap<String, Input>) -> Result<(), Error> {
    let (node, by_role) = opened(cx, plan, row, seat, values)?;
    if by_role {
        let notes = own_write(cx, driver.tx, plan.entity, row.record, values)?;
        driver.note(notes);
        driver.w.reader.forget();
        return Ok(());
    }
    let update = Submission::Update { id: row.record, version: None, values: values.clone() };
    if node.decision().is_some_and(|doc| doc.grant == Some(false)) {
        let limited = Ctx { cause: Cause::Flow, flow: Some(row.id), ..cx.clone() };
        let writer = Writer::new(&limited, driver.tx);
        let mut results = write::write_slice(&writer, plan.entity, &[update])?;
        results.pop().unwrap_or(Err(Error::NotFound))?;
        driver.w.reader.forget();
        writer.log.borrow_mut().flush(driver.tx)?;
        return Ok(());
    }
    driver.write(plan, row.id, update)
}

/// Holds what must be there before a step is left with a yes.
fn filled(driver: &Driver<'_>, plan: &FlowPlan, step: &str, record: Uuid) -> Result<(), Error> {
    let Some(fields) = plan.flow.fields(step) else { return Ok(()) };
    let required: Vec<&String> = fields.iter().filter(|(_, access)| **access == TaskAccess::Required).map(|(name, _)| name).collect();
    if required.is_empty() {
        return Ok(());
    }
    let def = driver.w.def(plan.entity);
    let cells = driver.tx.load(def, &[record], store::Lock::None)?.pop().flatten().ok_or(Error::NotFound)?;
    let is_empty = |name: &&&String| def.find(name).is_none_or(|field| field.cells(&cells).iter().all(Value::is_null));
    let faults: Vec<Violation> =
        required.iter().filter(is_empty).map(|name| Violation::of_field(name, Code::Required, Message::new("required"))).collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}
