//! In charge of what callers ask of approvals: begin, decide, and everything around it.
//! Invariant: rights are checked here, before the machine is asked; who has nothing to do with an instance and cannot see its
//! record is told that it is not there.
//! Invariant: a request that is sent again does nothing again and gets the same answer.

use std::sync::Arc;

use flow::approval::{Actor, AdminAct, Do, Place, Selection, SignMode, State, Verdict};
use indexmap::IndexMap;
use model::doc::approval::TaskAccess;
use model::{Code, Input, Message, Value, Violation};
use serde_json::Value as Json;
use store::Tx;
use store::system::Cond;
use store::system::approval::{APPROVAL, APPROVAL_EVENT};
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{Driver, Start, manages, own_facts};
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, Row};
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Submission, current_or_superseded, write};

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
    /// A key by which the same request is known.
    pub request: Option<String>,
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
        /// What hangs on it.
        files: Vec<Json>,
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
    /// The signature.
    pub signature: Option<Json>,
    /// Who was chosen, by step.
    pub select: Selection,
    /// The revision that the client saw.
    pub seq: Option<i64>,
    /// A key by which the same request is known.
    pub request: Option<String>,
    /// Whether many are decided at once.
    pub bulk: bool,
}

impl Ask {
    /// Something that needs nothing more.
    #[must_use]
    pub fn new(of: Uuid, what: AskFor) -> Self {
        Self { of, what, values: IndexMap::new(), opinion: None, signature: None, select: Selection::new(), seq: None, request: None, bulk: false }
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
}

type Answer = (Done, Vec<ChangeNote>);

impl Engine {
    async fn approving<A: Clone + Send + Sync + 'static>(
        &self,
        cx: &Ctx,
        asked: A,
        work: fn(&Ctx, &Tx, &A) -> Result<Answer, Error>,
    ) -> Result<Done, Error> {
        const TRIES: usize = 4;
        let mut cx = cx.clone();
        for _ in 0..TRIES {
            let (at, asked) = (cx.clone(), asked.clone());
            let done = self
                .store()
                .write(move |tx| {
                    current_or_superseded(&at, tx)?;
                    work(&at, tx, &asked)
                })
                .await;
            match done {
                Ok((done, notes)) => {
                    self.tell(notes);
                    return Ok(done);
                }
                Err(Error::Superseded) => cx = self.renewed(&cx).await?,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Store(store::Fault::Busy))
    }

    /// Begins a flow on a record; what came back to the initiator goes on.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `already_running`; every fault of the values.
    pub async fn submit(&self, cx: &Ctx, begin: Begin) -> Result<Done, Error> {
        self.approving(cx, begin, submit).await
    }

    /// Does something with a task or an instance.
    ///
    /// # Errors
    /// `NotFound` for who may not know of it; why it is refused.
    pub async fn ask_approval(&self, cx: &Ctx, ask: Ask) -> Result<Done, Error> {
        self.approving(cx, ask, ask_in).await
    }
}

fn known_request(tx: &Tx, instance: Uuid, request: Option<&str>) -> Result<bool, Error> {
    let Some(request) = request else { return Ok(false) };
    let fit = [Cond::Eq("instance", Value::Uuid(instance)), Cond::Eq("request", Value::text(request))];
    Ok(!tx.find(&APPROVAL_EVENT, &fit, &[], 1)?.is_empty())
}

fn done(tx: &Tx, instance: Uuid) -> Result<Done, Error> {
    let row = rows::get(tx, instance)?.ok_or(Error::NotFound)?;
    Ok(Done { id: row.id, state: row.instance.state, seq: row.seq })
}

fn submit(cx: &Ctx, tx: &Tx, begin: &Begin) -> Result<Answer, Error> {
    let unknown = || Error::from(Violation::of_field("flow", Code::BadReference, Message::new("bad_reference")));
    let plan = Arc::clone(cx.app.flows.find(&begin.flow).ok_or_else(unknown)?);
    let def = cx.app.schema.entity(plan.entity);
    let reader = Writer::new(cx, tx);
    if !cx.grants.sees(def.id) || !reader.reader.in_sight(cx, def.id, begin.record)? {
        return Err(Error::NotFound);
    }
    if let Some(request) = &begin.request {
        let fit = [Cond::Eq("record", Value::Uuid(begin.record)), Cond::Eq("flow", Value::text(&plan.name))];
        for row in tx.find(&APPROVAL, &fit, &[("at", true)], 20)? {
            if let Some(id) = row.first().and_then(Value::as_uuid)
                && known_request(tx, id, Some(request))?
            {
                return Ok((done(tx, id)?, Vec::new()));
            }
        }
    }
    let returned = rows::of_record(tx, begin.record, true)?.into_iter().find(|row| row.flow == plan.name && row.instance.state == State::Returned);
    if returned.is_none() {
        may_begin(cx, &reader, &plan, begin.record)?;
    }
    let mut notes = Vec::new();
    if !begin.values.is_empty() {
        // They are written as the initiator's own change, with the rights that they have.
        let writer = Writer::new(cx, tx);
        let update = Submission::Update { id: begin.record, version: None, values: begin.values.clone() };
        let mut results = write::write_slice(&writer, plan.entity, &[update])?;
        results.pop().unwrap_or(Err(Error::NotFound))?;
        notes.extend(crate::records::notes_of(&writer)?);
    }
    let facts = own_facts(cx);
    let writer = Writer::new(&facts, tx);
    let mut driver = Driver::new(&writer);
    let id = match returned {
        Some(row) => {
            let act = Do::Submit { select: begin.select.clone(), opinion: begin.opinion.clone() };
            let actor = Actor { person: cx.caller.user(), manages: cx.caller.is_admin() };
            driver.obey(row.id, actor, &act, None, begin.request.as_deref())?;
            row.id
        }
        None => {
            let start = Start {
                plan: &plan,
                record: begin.record,
                initiator: cx.caller.user(),
                parent: None,
                select: begin.select.clone(),
                opinion: begin.opinion.clone(),
                then: Json::Null,
                request: begin.request.clone(),
            };
            driver.start(start)?.0
        }
    };
    notes.extend(driver.finish()?);
    Ok((done(tx, id)?, notes))
}

/// Whether the caller may begin a flow: by role, or as who may change the record.
fn may_begin(cx: &Ctx, w: &Writer<'_>, plan: &FlowPlan, record: Uuid) -> Result<(), Error> {
    let roles = &plan.flow.start.by;
    let allowed = if roles.is_empty() {
        let grant = cx.grants.entity(plan.entity);
        match w.reader.read(plan.entity, record)? {
            Some(cells) => rules::eval::matches(&grant.update, &cx.app.schema, plan.entity, &cells, &w.reader)?,
            None => false,
        }
    } else {
        cx.has_role(&plan.app, roles)
    };
    if allowed { Ok(()) } else { Err(Error::Forbidden) }
}

/// The instance that is meant, with the seat of the task where one is.
fn meant(cx: &Ctx, tx: &Tx, of: Uuid) -> Result<(Row, Option<u32>), Error> {
    let (instance, seat) = match rows::of_task(tx, of)? {
        Some((instance, seat)) => (instance, Some(seat)),
        None => (of, None),
    };
    let row = rows::locked(tx, instance)?.ok_or(Error::NotFound)?;
    if !may_know(cx, tx, &row)? {
        return Err(Error::NotFound);
    }
    Ok((row, seat))
}

/// Whether the caller may know of an instance.
pub(super) fn may_know(cx: &Ctx, tx: &Tx, row: &Row) -> Result<bool, Error> {
    if cx.caller.is_admin() {
        return Ok(true);
    }
    if let Some(person) = cx.caller.user()
        && rows::takes_part(tx, row, person)?
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
    if known_request(tx, row.id, ask.request.as_deref())? {
        return Ok((done(tx, row.id)?, Vec::new()));
    }
    let facts = own_facts(cx);
    let writer = Writer::new(&facts, tx);
    let mut driver = Driver::new(&writer);
    let plan = driver.plan_of(&row)?;
    let actor = Actor { person: cx.caller.user(), manages: manages(&writer, &plan, &row, cx)? };
    let task = || seat.ok_or(Error::NotFound);
    let opinion = ask.opinion.clone();
    let decides = matches!(ask.what, AskFor::Approve | AskFor::Reject);
    if ask.bulk && !may_bulk(&plan, &row, task()?, &ask.what) {
        return Err(Error::of(Code::Forbidden, Message::new("approval_bulk")));
    }
    if decides {
        let seat = task()?;
        own(&row, seat, actor.person)?;
        // The initiator's own task is submitted.
        let at_start = row.instance.seat(seat).and_then(|seat| row.instance.visit(seat.visit)).is_some_and(|visit| visit.node == *plan.flow.first());
        if at_start && matches!(ask.what, AskFor::Approve) {
            let begin = Begin {
                flow: plan.name.clone(),
                record: row.record,
                values: ask.values.clone(),
                select: ask.select.clone(),
                opinion,
                request: ask.request.clone(),
            };
            return submit(cx, tx, &begin);
        }
        values(cx, &driver, &plan, &row, seat, ask)?;
    } else if !ask.values.is_empty() {
        return Err(Error::of(Code::Malformed, Message::new("unknown_key").with("name", "values")));
    }
    let act = match &ask.what {
        AskFor::Approve | AskFor::Reject => Do::Decide {
            seat: task()?,
            verdict: if matches!(ask.what, AskFor::Approve) { Verdict::Approve } else { Verdict::Reject },
            opinion,
            signature: ask.signature.clone(),
            select: ask.select.clone(),
        },
        AskFor::Return { to, straight } => Do::Return { seat: task()?, to: to.clone(), opinion, straight: *straight },
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
        AskFor::Comment { mentions, files } => Do::Comment { text: opinion.unwrap_or_default(), mentions: mentions.clone(), files: files.clone() },
        AskFor::Copy { people } => Do::Copy { people: people.clone() },
        AskFor::Admin(act) => Do::Admin { act: act.clone(), opinion },
    };
    driver.obey(row.id, actor, &act, ask.seq, ask.request.as_deref())?;
    let notes = driver.finish()?;
    Ok((done(tx, row.id)?, notes))
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
fn own(row: &Row, seat: u32, person: Option<Uuid>) -> Result<(), Error> {
    use crate::approvals::drive::refused;
    use flow::approval::{Refusal, SeatState};
    let seat = row.instance.seat(seat).ok_or_else(|| refused(&Refusal::TaskClosed))?;
    if !matches!(seat.state, SeatState::Open | SeatState::Delegated) {
        return Err(refused(&Refusal::TaskClosed));
    }
    match person {
        Some(person) if !seat.is_of(person) || seat.state == SeatState::Delegated => Err(refused(&Refusal::NotYourTask)),
        Some(_) | None => Ok(()),
    }
}

/// Writes what goes with a decision, as far as the step opens it, and holds what it must have.
fn values(cx: &Ctx, driver: &Driver<'_>, plan: &FlowPlan, row: &Row, seat: u32, ask: &Ask) -> Result<(), Error> {
    let Some(visit) = row.instance.seat(seat).and_then(|seat| row.instance.visit(seat.visit)) else { return Ok(()) };
    let Some(node) = plan.flow.node(visit.node.as_str()) else { return Ok(()) };
    let empty = indexmap::IndexMap::new();
    let fields = plan.flow.fields(node.name.as_str()).unwrap_or(&empty);
    let def = cx.app.schema.entity(plan.entity);
    let mut faults = Vec::new();
    for name in ask.values.keys() {
        match fields.get(name) {
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
    if !ask.values.is_empty() {
        let update = Submission::Update { id: row.record, version: None, values: ask.values.clone() };
        if node.decision().is_some_and(|doc| doc.grant == Some(false)) {
            let limited = Ctx { cause: Cause::Flow, flow: Some(row.id), ..cx.clone() };
            let writer = Writer::new(&limited, driver.tx);
            let mut results = write::write_slice(&writer, plan.entity, &[update])?;
            results.pop().unwrap_or(Err(Error::NotFound))?;
            writer.log.borrow_mut().flush(driver.tx)?;
        } else {
            driver.write(plan, row.id, update)?;
        }
    }
    if matches!(ask.what, AskFor::Approve) {
        let required = fields.iter().filter(|(_, access)| **access == TaskAccess::Required).map(|(name, _)| name.as_str());
        let cells = driver.tx.load(def, &[row.record], store::Lock::None)?.pop().flatten().ok_or(Error::NotFound)?;
        for name in required {
            let is_empty = def.find(name).is_none_or(|field| field.cells(&cells).iter().all(Value::is_null));
            if is_empty {
                faults.push(Violation::of_field(name, Code::Required, Message::new("required")));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}
