//! In charge of what a change sets off: steps inside its transaction, and runs written with it.
//! Invariant: `before` steps see and set the record that is about to be written; what they refuse is not written.
//! Invariant: an `after` run is written in the transaction of the change that sets it off, or not at all.
//! Invariant: a change acts one deeper than what caused it; at eight it is refused.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use model::doc::{RunAs, RunWhen};
use model::{Cells, Code, EntityDef, EntityId, Message, Value};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use store::system::run::{self, Run, RunState};
use store::system::timer::{self, Timer};
use store::system::{Cond, run::RUN};
use uuid::Uuid;

use flow::automation::Position;

use super::plan::{AutomationPlan, StepPlan};
use super::running::{Hand, InHand, Running};
use super::steps::Then;
use super::trigger::{Event, Signal, Trigger};
use crate::ctx::{Caller, Cause, Ctx, Opened};
use crate::error::Error;
use crate::records::accept::differs;
use crate::records::history::{json_of, sealed};
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::write::MAX_DEPTH;
use crate::records::{ChangeNote, Channel, Op};

/// Steps that one set of `before` steps may take.
const MOST_STEPS: usize = 10_000;

/// A change of a record, remembered until its transaction is whole.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) entity: EntityId,
    pub(crate) id: Uuid,
    pub(crate) event: Event,
}

/// Whether changes with this cause set anything off: what comes with an app, what its publish moves and what is taken back
/// do not.
pub(crate) fn sets_off(cause: Cause) -> bool {
    match cause {
        Cause::Request
        | Cause::Import
        | Cause::Computed
        | Cause::Cascade
        | Cause::Automation
        | Cause::Flow
        | Cause::Merge
        | Cause::Claim
        | Cause::Release
        | Cause::Recycle => true,
        Cause::Seed | Cause::Undo | Cause::Publish => false,
    }
}

/// The same of the word in the change log.
pub(super) fn sets_off_word(word: &str) -> bool {
    ![Cause::Seed, Cause::Undo, Cause::Publish].iter().any(|cause| cause.as_str() == word)
}

/// Whether an automation's condition holds on a record.
pub(crate) fn holds(w: &Writer<'_>, plan: &AutomationPlan, entity: EntityId, before: Option<&Cells>, cells: &Cells) -> bool {
    match &plan.condition {
        None => true,
        Some(condition) => w.on_scope(&plan.app, entity, cells, before, |scope| condition.holds(scope)).unwrap_or(false),
    }
}

/// Step 6 of a write: what acts inside the transaction; whether anything did.
pub(crate) fn before(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<bool, Error> {
    let plans: Vec<Arc<AutomationPlan>> =
        w.app.automations.of(slice.def.id).iter().filter(|plan| plan.when == RunWhen::Before && plan.trigger.is_of_changes()).cloned().collect();
    if plans.is_empty() || !sets_off(w.cx.cause) || w.is_preview {
        return Ok(false);
    }
    let mut acted = false;
    let def = slice.def;
    let mut rows = std::mem::take(&mut slice.rows);
    for row in rows.iter_mut().filter(|row| row.is_well()) {
        for plan in &plans {
            let op = if row.doing == Doing::Create { Op::Created } else { Op::Updated };
            let event = Event { op, computed: false, before: row.before.clone(), after: Arc::new(row.after.clone()) };
            if !plan.trigger.fits(def, &event) || !holds(w, plan, def.id, row.before.as_deref(), &row.after) {
                continue;
            }
            acted = true;
            act_on(w, plan, def, row)?;
            if !row.is_well() {
                break;
            }
        }
    }
    slice.rows = rows;
    Ok(acted)
}

fn act_on(w: &Writer<'_>, plan: &AutomationPlan, def: &EntityDef, row: &mut Row) -> Result<(), Error> {
    let hand = Hand { entity: def.id, id: row.id, cells: Arc::new(row.after.clone()) };
    let in_hand = RefCell::new(InHand { cells: row.after.clone(), set: std::collections::BTreeSet::new() });
    let inside = Inside { hand, old: row.before.clone(), in_hand: Some(&in_hand) };
    match act(w, plan, &inside) {
        Ok(()) => {
            let done = in_hand.into_inner();
            row.after = done.cells;
            // What an automation set stands as if it had been sent: nothing fills over it.
            row.set.extend(&done.set);
            row.sent.extend(done.set);
            Ok(())
        }
        Err(Error::Invalid(faults)) => {
            row.faults.extend(faults);
            Ok(())
        }
        Err(Error::Store(fault)) => Err(Error::Store(fault)),
        Err(other) => {
            row.failed = Some(other);
            Ok(())
        }
    }
}

/// What acts before a record goes to the bin or comes back from it; it may refuse.
pub(crate) fn before_removal(w: &Writer<'_>, def: &EntityDef, id: Uuid, op: Op, cells: &Arc<Cells>) -> Result<(), Error> {
    if !sets_off(w.cx.cause) {
        return Ok(());
    }
    let event = Event { op, computed: false, before: Some(Arc::clone(cells)), after: Arc::clone(cells) };
    for plan in w.app.automations.of(def.id).iter().filter(|plan| plan.when == RunWhen::Before) {
        if plan.trigger.fits(def, &event) && holds(w, plan, def.id, Some(cells), cells) {
            let hand = Hand { entity: def.id, id, cells: Arc::clone(cells) };
            act(w, plan, &Inside { hand, old: None, in_hand: None })?;
        }
    }
    Ok(())
}

/// The record on which steps act inside a transaction.
struct Inside<'a> {
    hand: Hand,
    old: Option<Arc<Cells>>,
    in_hand: Option<&'a RefCell<InHand>>,
}

/// Does all steps of an automation at once.
fn act(w: &Writer<'_>, plan: &AutomationPlan, inside: &Inside<'_>) -> Result<(), Error> {
    deep_enough(w.cx)?;
    let (notes, wrote, told) = (RefCell::default(), Cell::new(false), RefCell::default());
    let mut held = Map::new();
    let mut position = Position::begin(plan.root.clone());
    // What an app has done because a flow wrote something is not that flow's own step.
    let outer = Ctx { flow: None, opened: Opened::default(), ..w.cx.clone() };
    let system = acting(&outer, None, w.cx.depth + 1);
    let user = Ctx { cause: Cause::Automation, depth: w.cx.depth + 1, ..outer };
    for _ in 0..MOST_STEPS {
        let Some(name) = position.step().map(str::to_owned) else {
            finish(w, notes, &wrote);
            return Ok(());
        };
        let Some(step) = plan.steps.get(&name) else { return Err(Error::Internal(format!("{} has no step `{name}`", plan.name))) };
        for (name, item) in position.items() {
            held.insert(name.to_owned(), item.clone());
        }
        let cx = if rights(plan, step) == RunAs::User { &user } else { &system };
        let running = Running {
            cx,
            eyes: w.cx,
            asker: &w.cx.caller,
            tx: w.tx,
            plan,
            step: &name,
            run: None,
            since: w.cx.now,
            waits_since: None,
            record: Some(inside.hand.clone()),
            old: inside.old.clone(),
            held: &held,
            in_hand: inside.in_hand,
            notes: &notes,
            wrote: &wrote,
            told: &told,
            writer: Writer::new(cx, w.tx),
        };
        let after = match about(&running, step)? {
            Some(hand) => step.action.run(&running, hand)?,
            None => super::steps::After::next(Json::Null),
        };
        drop(running);
        if let (Some(save), Some(result)) = (&step.save, after.save) {
            held.insert(save.clone(), result);
        }
        match after.then {
            Then::Next => position.next(),
            Then::Enter(steps) => position.enter(steps),
            Then::Repeat(steps, name, items) => position.repeat(steps, flow::automation::Loop { name, items, at: 0 }),
            Then::Leave => position.leave(),
            Then::Wait(_) => return Err(Error::Internal("nothing waits inside a transaction".to_owned())),
        }
    }
    Err(Error::of(Code::Limit, Message::new("too_many_steps")))
}

fn finish(w: &Writer<'_>, notes: RefCell<Vec<ChangeNote>>, wrote: &Cell<bool>) {
    w.log.borrow_mut().told.extend(notes.into_inner());
    if wrote.get() {
        // What was read before may be another record now.
        w.reader.forget();
    }
}

/// The record that a step acts on, if it acts: none where its condition does not hold or its record is not there.
pub(crate) fn about(running: &Running<'_>, step: &StepPlan) -> Result<Option<Option<Hand>>, Error> {
    let hand = running.about(step.target.as_ref())?;
    if step.target.is_some() && hand.is_none() {
        return Ok(None);
    }
    match &step.condition {
        None => Ok(Some(hand)),
        Some(condition) => {
            let holds = running.on_scope(hand.as_ref(), |scope| condition.holds(scope))?.map_err(|fault| Error::Internal(fault.to_string()))?;
            Ok(holds.then_some(hand))
        }
    }
}

/// With whose rights a step acts.
pub(crate) fn rights(plan: &AutomationPlan, step: &StepPlan) -> RunAs {
    step.run_as.or(plan.run_as).unwrap_or(step.usual)
}

/// The facts with which steps act: the system's, or a person's; rules, conditions and locks bind both.
pub(crate) fn acting(cx: &Ctx, person: Option<&Ctx>, depth: u8) -> Ctx {
    let base = person.unwrap_or(cx);
    Ctx {
        caller: person.map_or(Caller::System, |person| person.caller.clone()),
        grants: person.map_or_else(|| Arc::clone(&cx.app.all_grants), |person| Arc::clone(&person.grants)),
        zone: person.map_or(cx.app.zone, |person| person.zone),
        locale: base.locale.clone(),
        app: Arc::clone(&cx.app),
        now: cx.now,
        channel: Channel::Request,
        via: None,
        // What a flow does itself passes its own lock.
        cause: if cx.flow.is_some() { Cause::Flow } else { Cause::Automation },
        change_set: None,
        depth,
        flow: cx.flow,
        asks: false,
        opened: Opened::default(),
        files: cx.files.clone(),
    }
}

fn deep_enough(cx: &Ctx) -> Result<(), Error> {
    if cx.depth + 1 >= MAX_DEPTH { Err(Error::of(Code::DepthExceeded, Message::new("depth_exceeded"))) } else { Ok(()) }
}

/// Writes the runs that changes set off, and what the clock will set off of them.
pub(crate) fn after(w: &Writer<'_>, happened: &[Happened]) -> Result<(), Error> {
    let mut runs = Vec::new();
    for one in happened {
        let def = w.def(one.entity);
        if one.event.op == Op::Deleted {
            cancel_of(w.tx, one.id, w.cx.now)?;
        }
        for plan in w.app.automations.of(one.entity) {
            if let Trigger::Date { .. } = plan.trigger {
                super::schedule::date_of(w.cx, w.tx, plan, def, one)?;
                continue;
            }
            if plan.when != RunWhen::After || !plan.trigger.fits(def, &one.event) {
                continue;
            }
            if !holds(w, plan, one.entity, one.event.before.as_deref(), &one.event.after) {
                continue;
            }
            let was = one.event.before.as_deref().filter(|_| one.event.op == Op::Updated).map(|before| was(def, before, &one.event.after));
            runs.push(begin(w.cx, plan, Some((def.name.to_string(), one.id)), was.unwrap_or_default(), Map::new()));
        }
    }
    Ok(run::put(w.tx, &runs)?)
}

/// Writes the runs that something else about a record sets off; `held` is what their steps see by name.
pub(crate) fn signal(w: &Writer<'_>, entity: EntityId, record: Uuid, signal: &Signal<'_>, held: &Map<String, Json>) -> Result<(), Error> {
    let Some(cells) = w.reader.read(entity, record)? else { return Ok(()) };
    let plans = w.app.automations.of(entity).iter().filter(|plan| plan.trigger.hears(signal) && holds(w, plan, entity, None, &cells));
    let name = w.def(entity).name.to_string();
    let runs: Vec<Run> = plans.map(|plan| begin(w.cx, plan, Some((name.clone(), record)), Json::Null, held.clone())).collect();
    Ok(run::put(w.tx, &runs)?)
}

/// What fields that a change changed held before it, by name; what is sealed stays out.
pub(super) fn was(def: &EntityDef, before: &Cells, after: &Cells) -> Json {
    let changed = def.fields.iter().filter(|field| !sealed(field) && differs(def, field, before, after));
    Json::Object(changed.map(|field| (field.name.to_string(), json_of(field, before))).collect())
}

/// A run that begins now.
pub(crate) fn begin(cx: &Ctx, plan: &AutomationPlan, record: Option<(String, Uuid)>, was: Json, held: Map<String, Json>) -> Run {
    Run {
        id: cx.new_id(),
        automation: plan.name.clone(),
        definition: plan.hash.clone(),
        state: RunState::Waiting,
        record,
        by: cx.caller.user(),
        depth: i64::from(cx.depth) + 1,
        at: cx.now,
        ended_at: None,
        due_at: cx.now,
        tries: 0,
        error: None,
        body: json!({"trigger": plan.trigger.word(), "at": Position::begin(plan.root.clone()), "held": held, "was": was, "steps": 0}),
    }
}

/// A record that is gone has nothing more to wait for.
fn cancel_of(tx: &Tx, record: Uuid, now: chrono::DateTime<chrono::Utc>) -> Result<(), Error> {
    let waiting = [RunState::Waiting, RunState::Running, RunState::Failed].map(|state| Value::text(state.as_str())).to_vec();
    let set =
        [("state", Value::text(RunState::Cancelled.as_str())), ("ended_at", Value::Timestamp(now)), ("line", Value::Null), ("due_at", Value::Null)];
    tx.change(&RUN, &set, &[Cond::Eq("record", Value::Uuid(record)), Cond::In("state", waiting)])?;
    timer::drop_of(tx, record)?;
    Ok(())
}

/// A timer of an automation about a record.
pub(crate) fn timer_of(cx: &Ctx, kind: &str, key: String, subject: Option<Uuid>, due_at: chrono::DateTime<chrono::Utc>, body: Json) -> Timer {
    Timer { id: cx.new_id(), kind: kind.to_owned(), key: Some(key), subject, due_at, tries: 0, body }
}
