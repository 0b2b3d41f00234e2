//! In charge of replaying an automation on what happened before: what it would have done, and nothing of it kept.
//! Reading order: `Engine::replay_automation`, `Past` (what happened to a record, and how it was then), `dry` (one run).
//! Invariant: a dry run is a part of a transaction that is undone whatever comes of it: no row, no effect, no timer stays, and
//! nobody is told.
//! Invariant: bounded: so many changes looked at, so many runs, so long; the answer says where it goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use model::{Cells, Code, EntityDef, Message, Value};
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::change::{self, CHANGE, ChangeRow};
use store::system::run::{self, RUN_STEP, Run, RunState, RunStep};
use store::{Fault, Lock, Tx};
use uuid::Uuid;

use super::plan::AutomationPlan;
use super::raise::{begin, holds, sets_off_word, was};
use super::runner::{former, go_on};
use super::trigger::{Event, Trigger};
use super::verbs::{administrator, step_json};
use crate::Engine;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{Op, Shape, one_in};

/// Runs of one answer, where nothing else is asked, and at most.
const RUNS: u32 = 20;
const MOST_RUNS: u32 = 100;
/// Changes that are looked at for one answer.
const MOST_CHANGES: usize = 100_000;
/// Changes that are read at once.
const BATCH: u32 = 500;
/// How long one answer is worked on.
const WITHIN: Duration = Duration::from_secs(5);
/// Later changes of a record that are looked through to find how it was.
const MOST_LATER: u32 = 2_000;
/// How often a run goes on: after it waited, or after its share of time.
const MOST_TURNS: usize = 100;

/// What is to be replayed.
#[derive(Clone, Debug)]
pub struct ReplayAsked {
    /// From this moment on.
    pub from: DateTime<Utc>,
    /// To this one, not included.
    pub until: DateTime<Utc>,
    /// Where the answer before ended.
    pub after: Option<i64>,
    /// Runs of the answer.
    pub limit: Option<u32>,
}

/// A change of the past, with the record before and after it.
struct Past {
    seq: i64,
    row: ChangeRow,
    event: Event,
}

/// Why the work on a dry run ends: it is undone, or the store could not.
enum Stop {
    Undone,
    Failed(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Engine {
    /// What an automation would have done on what happened in a span of time, oldest first:
    /// `{"automation", "from", "until", "looked", "runs", "counts", "data", "next"}`. Nothing of it is kept.
    ///
    /// # Errors
    /// `Forbidden` without all rights; `NotFound` where there is no such automation; `rule_failed` where it is not set off by
    /// changes of records, which are all that is kept of the past; `malformed` where the span ends before it begins.
    pub async fn replay_automation(&self, cx: &Ctx, name: &str, asked: ReplayAsked) -> Result<Json, Error> {
        administrator(cx)?;
        let plan = cx.app.automations.named(name).cloned().ok_or(Error::NotFound)?;
        let entity = plan.entity.filter(|_| matches!(plan.trigger, Trigger::Record { .. } | Trigger::Stage { .. }));
        let entity = entity.ok_or_else(|| Error::of(Code::RuleFailed, Message::new("replay_needs_changes")))?;
        if asked.from >= asked.until {
            return Err(Error::of(Code::Malformed, Message::new("replay_span")));
        }
        let begun = Instant::now();
        let limit = usize::try_from(asked.limit.unwrap_or(RUNS).clamp(1, MOST_RUNS)).unwrap_or_default();
        let facts = Ctx { app: Arc::clone(&cx.app), grants: Arc::clone(&cx.app.all_grants), ..self.background() };
        self.store().write(|tx| change::number(tx).map_err(Error::from)).await?;
        let from = asked.from;
        let mut seq = match asked.after {
            Some(after) => after,
            None => self.store().read(move |tx| before_moment(tx, from)).await?,
        };
        let (mut looked, mut data, mut more) = (0, Vec::new(), true);
        let mut counts = Map::new();
        while data.len() < limit && looked < MOST_CHANGES && begun.elapsed() < WITHIN {
            let (at, reads, asks) = (facts.clone(), Arc::clone(&plan), asked.clone());
            let most = limit - data.len();
            let page = self.store().read(move |tx| fitting(&at, tx, &reads, entity, &asks, seq, most)).await?;
            looked += page.looked;
            seq = page.last;
            for past in page.found {
                let told = self.dry(&facts, &plan, past).await?;
                let outcome = told.get("outcome").and_then(Json::as_str).unwrap_or_default().to_owned();
                let count = counts.get(&outcome).and_then(Json::as_u64).unwrap_or_default() + 1;
                counts.insert(outcome, count.into());
                data.push(told);
            }
            if page.is_end {
                more = false;
                break;
            }
        }
        Ok(json!({
            "automation": plan.name, "from": asked.from, "until": asked.until, "looked": looked, "runs": data.len(), "counts": counts,
            "data": data, "next": more.then(|| seq.to_string()),
        }))
    }

    /// Runs the automation on one change, and undoes all of it.
    async fn dry(&self, cx: &Ctx, plan: &Arc<AutomationPlan>, past: Past) -> Result<Json, Error> {
        let (cx, plan, past) = (cx.clone(), Arc::clone(plan), Arc::new(past));
        self.store()
            .write(move |tx| {
                let mut told = Json::Null;
                let ended = tx.savepoint(|tx| {
                    told = dry_run(&cx, tx, &plan, &past)?;
                    Err::<(), Stop>(Stop::Undone)
                });
                match ended {
                    Ok(()) | Err(Stop::Undone) => Ok(told),
                    Err(Stop::Failed(error)) => Err(error),
                }
            })
            .await
    }
}

/// The number of the last change before a moment. Numbers follow time closely enough to be halved by it; what stands a little
/// out of order is found by its moment afterwards.
fn before_moment(tx: &Tx, moment: DateTime<Utc>) -> Result<i64, Error> {
    let slack = chrono::Duration::minutes(10);
    let (mut low, mut high) = (0, tx.newest_change()?);
    while low < high {
        let middle = low + (high - low) / 2;
        let rows = tx.find(&CHANGE, &[Cond::Gt("seq", Value::Int(middle))], &[("seq", false)], 1)?;
        match rows.first().and_then(|row| change::read(row)) {
            Some((_, row)) if row.at < moment - slack => low = middle + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// Changes that set the automation off.
struct Page {
    found: Vec<Past>,
    looked: usize,
    last: i64,
    is_end: bool,
}

fn fitting(cx: &Ctx, tx: &Tx, plan: &AutomationPlan, entity: model::EntityId, asked: &ReplayAsked, after: i64, most: usize) -> Result<Page, Error> {
    let def = cx.app.schema.entity(entity);
    let rows = tx.find(&CHANGE, &[Cond::Gt("seq", Value::Int(after))], &[("seq", false)], BATCH)?;
    let mut page = Page { found: Vec::new(), looked: 0, last: after, is_end: rows.len() < BATCH as usize };
    for (seq, row) in rows.iter().filter_map(|row| change::read(row)) {
        // A transaction that took long stands behind later ones.
        if row.at >= asked.until + chrono::Duration::minutes(10) {
            page.is_end = true;
            break;
        }
        page.looked += 1;
        page.last = seq;
        let is_asked = row.entity == def.name.as_str() && row.at >= asked.from && row.at < asked.until && sets_off_word(&row.cause);
        if !is_asked {
            continue;
        }
        let Some(event) = event(cx, tx, def, seq, &row)? else { continue };
        let facts = Ctx { now: row.at, ..cx.clone() };
        let w = Writer::new(&facts, tx);
        if plan.trigger.fits(def, &event) && holds(&w, plan, entity, event.before.as_deref(), &event.after) {
            page.found.push(Past { seq, row, event });
            if page.found.len() == most {
                page.is_end = false;
                break;
            }
        }
    }
    Ok(page)
}

/// A change with the record as it was then; none where that can no longer be told.
fn event(cx: &Ctx, tx: &Tx, def: &EntityDef, seq: i64, row: &ChangeRow) -> Result<Option<Event>, Error> {
    let Some(op) = Op::parse(&row.op) else { return Ok(None) };
    let Some(now) = tx.load(def, &[row.record], Lock::None)?.pop().flatten() else { return Ok(None) };
    let fit = [Cond::Eq("record", Value::Uuid(row.record)), Cond::Gt("seq", Value::Int(seq))];
    let later = tx.find(&CHANGE, &fit, &[("seq", true)], MOST_LATER + 1)?;
    if later.len() > MOST_LATER as usize {
        return Ok(None);
    }
    let mut after = Arc::new(now);
    for (_, change) in later.iter().filter_map(|row| change::read(row)) {
        after = former(cx, def, &after, &before_of(&change));
    }
    let before = (op != Op::Created).then(|| former(cx, def, &after, &before_of(row)));
    Ok(Some(Event { op, computed: row.cause == Cause::Computed.as_str(), before, after }))
}

/// What the fields of a change held before it.
fn before_of(row: &ChangeRow) -> Json {
    let fields = row.patch.as_object().into_iter().flatten();
    Json::Object(fields.map(|(name, change)| (name.clone(), change.get(0).cloned().unwrap_or_default())).collect())
}

fn dry_run(cx: &Ctx, tx: &Tx, plan: &AutomationPlan, past: &Past) -> Result<Json, Error> {
    let def = cx.app.schema.find(&past.row.entity).ok_or(Error::NotFound)?;
    let title = title(cx, tx, def, past.row.record)?;
    if let Err(error) = tx.savepoint(|tx| put_back(tx, def, past)) {
        // What it had then another record has now, where only one may have it.
        return Ok(told(past, title, "unfinished", 0, Some(super::runner::words(&error)), Vec::new()));
    }
    let mut at = Ctx { now: past.row.at, ..cx.clone() };
    let was = past.event.before.as_deref().filter(|_| past.event.op == Op::Updated).map(|before| was(def, before, &past.event.after));
    let begun = begin(&at, plan, Some((def.name.to_string(), past.row.record)), was.unwrap_or_default(), Map::new());
    let mut run = Run { by: past.row.by, depth: past.row.depth + 1, ..begun };
    let id = run.id;
    run::put(tx, std::slice::from_ref(&run))?;
    let mut waited = 0;
    for _ in 0..MOST_TURNS {
        go_on(&at, tx, run, Instant::now())?;
        run = run::get(tx, id, Lock::None)?.ok_or(Error::NotFound)?;
        match run.state {
            // As if the time had passed, and nothing had happened in it.
            RunState::Waiting => {
                waited += 1;
                at.now = at.now.max(run.due_at);
            }
            RunState::Running => {}
            RunState::Done | RunState::Failed | RunState::Dead | RunState::Cancelled => break,
        }
    }
    let steps = tx.find(&RUN_STEP, &[Cond::Eq("run", Value::Uuid(id))], &[("n", false)], 1_000)?;
    let outcome = match run.state {
        RunState::Done => "done",
        RunState::Failed | RunState::Dead => "failed",
        RunState::Waiting | RunState::Running | RunState::Cancelled => "unfinished",
    };
    let steps = steps.iter().filter_map(|row| RunStep::read(row)).map(|step| step_json(&step)).collect();
    Ok(told(past, title, outcome, waited, run.error, steps))
}

/// What came of one change.
fn told(past: &Past, title: Option<String>, outcome: &str, waited: usize, error: Option<String>, steps: Vec<Json>) -> Json {
    json!({
        "seq": past.seq.to_string(), "at": past.row.at, "by": past.row.by, "op": past.row.op, "entity": past.row.entity,
        "record": past.row.record, "title": title, "outcome": outcome, "waited": waited, "error": error, "steps": steps,
    })
}

/// What the record is called now; nothing where it is gone.
fn title(cx: &Ctx, tx: &Tx, def: &EntityDef, record: Uuid) -> Result<Option<String>, Error> {
    let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
    Ok(one_in(cx, tx, def.id, record, &shape)?.map(|answer| answer.title))
}

/// Puts the record back to how it was, for as long as the dry run lasts: conditions, paths and lists see it so.
fn put_back(tx: &Tx, def: &EntityDef, past: &Past) -> Result<(), Error> {
    let Some(now) = tx.load(def, &[past.row.record], Lock::Change)?.pop().flatten() else { return Ok(()) };
    let mut then: Cells = Vec::clone(&past.event.after);
    // Its version goes on from where it is.
    if let Some(slot) = def.slot("version")
        && let (Some(cell), Some(current)) = (then.get_mut(slot), now.get(slot))
    {
        cell.clone_from(current);
    }
    if then != now {
        tx.update(def, &[(now, then)])?;
    }
    Ok(())
}
