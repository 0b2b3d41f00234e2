//! In charge of durable runs: taking those that are due, going on with each, writing what its steps did.
//! Invariant: a step's writes, its note and where the run stands are one transaction; a step that fails undoes itself alone.
//! Invariant: the lines take turns; one noisy automation holds no other.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow::automation::{Loop, Position};
use model::doc::RunAs;
use model::{Cells, Code, EntityDef, Input, Message};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use store::system::run::{self, Run, RunState, RunStep};

use super::lookups::accepted;
use super::plan::AutomationPlan;
use super::raise::{about, acting, rights};
use super::running::{Hand, Running};
use super::steps::{After, Then};
use crate::Engine;
use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::records::ChangeNote;
use crate::records::accept::set_cells;
use crate::records::slice::Writer;
use crate::scheduler::{back_off, caught};

/// Runs of a line that go on before the next line has its turn.
const TURN: u32 = 8;
/// How long one transaction works on runs; a run that is longer goes on in the next.
const BUDGET: Duration = Duration::from_millis(20);
/// Steps that a run may take: more is a loop without end.
const MOST_STEPS: i64 = 100_000;

impl Engine {
    /// Goes on with runs that are due; how many there were.
    pub(crate) async fn step_runs(&self) -> Result<usize, Error> {
        let begin = self.scheduler().line().lock().clone();
        let (count, line) = self
            .transact_in_background(move |cx, tx| {
                let round = a_round(cx, tx, &begin)?;
                Ok(((round.count, round.line), round.notes))
            })
            .await?;
        *self.scheduler().line().lock() = line;
        Ok(count)
    }
}

struct Round {
    count: usize,
    line: String,
    notes: Vec<ChangeNote>,
}

/// Each line has its turn once, from the one behind `begin` on, until the time is used up.
fn a_round(cx: &Ctx, tx: &Tx, begin: &str) -> Result<Round, Error> {
    let started = Instant::now();
    let mut round = Round { count: 0, line: begin.to_owned(), notes: Vec::new() };
    let mut wrapped = false;
    while started.elapsed() < BUDGET {
        match run::next_line(tx, &round.line)? {
            Some(line) => {
                if wrapped && line.as_str() > begin {
                    break;
                }
                for due in run::due(tx, &line, cx.now, TURN)? {
                    round.count += 1;
                    round.notes.extend(go_on(cx, tx, due, started)?);
                    if started.elapsed() >= BUDGET {
                        break;
                    }
                }
                round.line = line;
            }
            None if wrapped => break,
            None => {
                wrapped = true;
                round.line.clear();
            }
        }
    }
    Ok(round)
}

/// Goes on with one run until it ends, waits, fails, or the time is used up.
pub(crate) fn go_on(cx: &Ctx, tx: &Tx, run: Run, started: Instant) -> Result<Vec<ChangeNote>, Error> {
    proceed(cx, tx, run, started, Way::Background)
}

/// The same on behalf of somebody who waits for it: what a step refuses is refused to them, and nothing is kept.
pub(crate) fn go_on_strictly(cx: &Ctx, tx: &Tx, run: Run, started: Instant) -> Result<Vec<ChangeNote>, Error> {
    proceed(cx, tx, run, started, Way::Strictly)
}

/// All of it, now: what goes on from its end has nowhere to wait.
pub(crate) fn run_whole(cx: &Ctx, tx: &Tx, run: Run) -> Result<Vec<ChangeNote>, Error> {
    proceed(cx, tx, run, Instant::now(), Way::Whole)
}

/// How a run goes on; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By itself: what fails is tried again.
    Background,
    /// For somebody who waits: what fails is refused to them.
    Strictly,
    /// To its end, for something that goes on from there.
    Whole,
}

fn proceed(cx: &Ctx, tx: &Tx, mut run: Run, started: Instant, way: Way) -> Result<Vec<ChangeNote>, Error> {
    let mut steps = Vec::new();
    let mut notes = Vec::new();
    match followed(cx, tx, &run) {
        Ok(plan) => {
            let mut stand = Stand::read(&run);
            // Who set it off is read once, and again after a step that may have changed who they are.
            let mut person: Option<Option<Ctx>> = None;
            while !run.state.is_ended() {
                let Some(name) = stand.position.step().map(str::to_owned) else {
                    end(&mut run, cx, RunState::Done);
                    break;
                };
                let begun = Instant::now();
                let told = RefCell::default();
                let known = match (&person, run.by) {
                    (Some(known), _) => known.clone(),
                    (None, None) => None,
                    (None, Some(by)) => crate::people::context_in(cx, tx, by)?,
                };
                let doing = Doing { name: &name, told: &told, person: known.as_ref() };
                let outcome = tx.savepoint(|tx| caught(|| one(cx, tx, &plan, &run, &stand, &doing)));
                let is_of_people = |note: &ChangeNote| matches!(note.entity.as_str(), "core.user" | "core.department");
                person = outcome.as_ref().ok().filter(|(_, notes)| !notes.iter().any(is_of_people)).map(|_| known);
                stand.steps += 1;
                let mut note = RunStep {
                    run: run.id,
                    n: stand.steps,
                    step: name,
                    state: "done".to_owned(),
                    at: cx.now,
                    micros: i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX),
                    data: Json::Null,
                    error: None,
                };
                let stops = match outcome {
                    Ok((after, more)) => {
                        notes.extend(more);
                        let stops = took(&mut run, cx, &plan, &mut stand, &mut note, after);
                        if stand.steps >= MOST_STEPS {
                            run.error = Some(Message::new("too_many_steps").text("en"));
                            end(&mut run, cx, RunState::Dead);
                        }
                        stops
                    }
                    Err(Error::Store(fault)) if fault.is_transient() => return Err(Error::Store(fault)),
                    Err(error) if way != Way::Background => return Err(error),
                    Err(error) => {
                        note.data = told.into_inner();
                        failed(&mut run, cx, &mut note, &error);
                        true
                    }
                };
                // A step that goes on waiting adds nothing to what it said when it began.
                if !(note.state == "waiting" && stand.waits_since.is_some_and(|since| since < cx.now)) {
                    steps.push(note);
                } else {
                    stand.steps -= 1;
                }
                if stops {
                    break;
                }
                if way != Way::Whole && started.elapsed() >= BUDGET && !run.state.is_ended() {
                    run.state = RunState::Running;
                    run.due_at = cx.now;
                    break;
                }
            }
            stand.write(&mut run);
        }
        Err(reason) => {
            run.error = Some(reason);
            end(&mut run, cx, RunState::Dead);
        }
    }
    if way == Way::Whole && run.state != RunState::Done {
        let reason = run.error.take().unwrap_or_else(|| "a step waits, and what follows cannot wait for it here".to_owned());
        return Err(Error::of(Code::RuleFailed, Message::new("approval_trouble").with("detail", reason)));
    }
    run::note(tx, &steps)?;
    run::keep(tx, &run)?;
    Ok(notes)
}

fn end(run: &mut Run, cx: &Ctx, state: RunState) {
    run.state = state;
    run.ended_at = Some(cx.now);
}

/// The definition that a run began with.
fn followed(cx: &Ctx, tx: &Tx, run: &Run) -> Result<Arc<AutomationPlan>, String> {
    if let Some(plan) = cx.app.automations.following(&run.definition) {
        return Ok(plan);
    }
    let body = run::definition(tx, &run.definition).map_err(|fault| fault.to_string())?;
    let body = body.ok_or_else(|| "what it began with is no longer kept".to_owned())?;
    cx.app.automations.earlier(&cx.app.schema, &body)
}

/// Where a run stands and what it holds.
struct Stand {
    position: Position,
    held: Map<String, Json>,
    was: Json,
    trigger: Json,
    waits_since: Option<chrono::DateTime<chrono::Utc>>,
    steps: i64,
}

impl Stand {
    fn read(run: &Run) -> Self {
        let part = |key: &str| run.body.get(key).cloned().unwrap_or_default();
        Self {
            position: serde_json::from_value(part("at")).unwrap_or_default(),
            held: part("held").as_object().cloned().unwrap_or_default(),
            was: part("was"),
            trigger: part("trigger"),
            waits_since: part("waits_since").as_str().and_then(|text| text.parse().ok()),
            steps: part("steps").as_i64().unwrap_or_default(),
        }
    }

    fn write(self, run: &mut Run) {
        run.body = json!({
            "trigger": self.trigger, "at": self.position, "held": self.held, "was": self.was, "waits_since": self.waits_since, "steps": self.steps,
        });
    }
}

/// The step that is done, and what it leaves to be shown where it fails.
struct Doing<'a> {
    name: &'a str,
    told: &'a RefCell<Json>,
    /// Who set the run off, as they are now.
    person: Option<&'a Ctx>,
}

/// Does one step.
fn one(cx: &Ctx, tx: &Tx, plan: &AutomationPlan, run: &Run, stand: &Stand, doing: &Doing<'_>) -> Result<(Option<After>, Vec<ChangeNote>), Error> {
    let name = doing.name;
    let step = plan.steps.get(name).ok_or_else(|| Error::Internal(format!("there is no step `{name}`")))?;
    let person = doing.person;
    let depth = u8::try_from(run.depth).unwrap_or(u8::MAX);
    let as_person = rights(plan, step) == RunAs::User;
    if as_person && run.by.is_some() && person.is_none() {
        return Err(Error::of(Code::Forbidden, Message::new("person_gone")));
    }
    let acts = acting(cx, person.filter(|_| as_person), depth);
    let eyes = person.map_or_else(|| acting(cx, None, depth), |person| Ctx { depth, ..person.clone() });
    let asker: Caller = eyes.caller.clone();
    let mut held = stand.held.clone();
    held.extend(stand.position.items().map(|(name, item)| (name.to_owned(), item.clone())));
    let (notes, wrote) = (RefCell::default(), Cell::new(false));
    let writer = Writer::new(&acts, tx);
    let record = match &run.record {
        Some((entity, id)) => match cx.app.schema.find(entity) {
            Some(def) => writer.reader.read(def.id, *id)?.map(|cells| Hand { entity: def.id, id: *id, cells }),
            None => None,
        },
        None => None,
    };
    let old = record.as_ref().filter(|_| stand.was.is_object()).map(|hand| former(cx, cx.app.schema.entity(hand.entity), &hand.cells, &stand.was));
    let running = Running {
        cx: &acts,
        eyes: &eyes,
        asker: &asker,
        tx,
        plan,
        step: name,
        run: Some(run.id),
        since: run.at,
        waits_since: stand.waits_since,
        record,
        old,
        held: &held,
        in_hand: None,
        notes: &notes,
        wrote: &wrote,
        told: doing.told,
        writer,
    };
    let after = match about(&running, step)? {
        Some(hand) => Some(step.action.run(&running, hand)?),
        None => None,
    };
    drop(running);
    Ok((after, notes.into_inner()))
}

/// A record as it was before the change that set a run off.
pub(super) fn former(cx: &Ctx, def: &EntityDef, cells: &Arc<Cells>, was: &Json) -> Arc<Cells> {
    let mut former = Vec::clone(cells);
    for (name, json) in was.as_object().into_iter().flatten() {
        let Some(field) = def.find(name) else { continue };
        if let Ok(read) = accepted(cx, def, field, &Input::from(json), cells) {
            set_cells(def, field, read, &mut former);
        }
    }
    Arc::new(former)
}

/// Takes in what a step did; whether the run stops here for now.
fn took(run: &mut Run, cx: &Ctx, plan: &AutomationPlan, stand: &mut Stand, note: &mut RunStep, after: Option<After>) -> bool {
    run.tries = 0;
    run.error = None;
    let Some(after) = after else {
        "skipped".clone_into(&mut note.state);
        stand.position.next();
        return false;
    };
    note.data = after.data;
    if let (Some(save), Some(result)) = (plan.steps.get(&note.step).and_then(|step| step.save.as_ref()), after.save) {
        stand.held.insert(save.clone(), result);
    }
    if let Then::Wait(until) = after.then {
        "waiting".clone_into(&mut note.state);
        stand.waits_since = stand.waits_since.or(Some(cx.now));
        run.state = RunState::Waiting;
        run.due_at = until;
        return true;
    }
    stand.waits_since = None;
    match after.then {
        Then::Next | Then::Wait(_) => stand.position.next(),
        Then::Enter(steps) => stand.position.enter(steps),
        Then::Repeat(steps, name, items) => stand.position.repeat(steps, Loop { name, items, at: 0 }),
        Then::Leave => stand.position.leave(),
    }
    false
}

fn failed(run: &mut Run, cx: &Ctx, note: &mut RunStep, error: &Error) {
    let reason = words(error);
    "failed".clone_into(&mut note.state);
    note.error = Some(reason.clone());
    run.error = Some(reason);
    run.tries += 1;
    match back_off(run.tries).filter(|_| !is_hopeless(error)) {
        Some(wait) => {
            run.state = RunState::Failed;
            run.due_at = cx.now + wait;
        }
        None => end(run, cx, RunState::Dead),
    }
}

/// Whether trying again is of no use.
fn is_hopeless(error: &Error) -> bool {
    matches!(error, Error::Invalid(faults) if faults.iter().any(|fault| fault.code == Code::DepthExceeded))
}

/// What an administrator reads of a step that failed.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::Invalid(faults) => {
            let told = faults.iter().map(|fault| {
                let text = fault.wording.text("en");
                if fault.pointer.is_empty() { format!("{}: {text}", fault.code) } else { format!("{} {}: {text}", fault.code, fault.pointer) }
            });
            told.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
