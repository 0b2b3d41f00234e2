//! In charge of what people do with automations: looking at runs, trying them again, giving them up, pressing buttons; and of
//! calls from other systems.
//! Invariant: runs are an administrator's to see: they act beyond the rights of whoever set them off.
//! Invariant: a button acts before it is answered: what its first steps refuse is refused to whoever pressed it, and nothing stays.

use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use model::field::{AcceptContext, Numbers};
use model::{Code, EntityId, Input, Message, Value, Violation};
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::run::{self, RUN, RUN_STEP, Run, RunState, RunStep};
use store::{Lock, Tx};
use uuid::Uuid;

use super::plan::AutomationPlan;
use super::raise::begin;
use super::trigger::{ButtonPlan, Trigger};
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, current_or_superseded};

/// The most runs of one page.
const PAGE: u32 = 200;

/// Which runs are asked for.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// An automation's qualified name.
    pub automation: Option<String>,
    /// The word of a state.
    pub state: Option<String>,
    /// The record that set them off.
    pub record: Option<Uuid>,
    /// Those older than this one.
    pub before: Option<Uuid>,
    /// The most.
    pub limit: Option<u32>,
}

/// What became of a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// The run.
    pub run: Uuid,
    /// Its state.
    pub state: &'static str,
}

fn run_json(cx: &Ctx, run: &Run) -> Json {
    let label = cx.app.automations.named(&run.automation).and_then(|plan| plan.label.as_ref()).map(|label| label.get(&cx.locale));
    json!({
        "id": run.id,
        "automation": run.automation,
        "label": label,
        "state": run.state.as_str(),
        "trigger": run.body.get("trigger"),
        "entity": run.record.as_ref().map(|(entity, _)| entity),
        "record": run.record.as_ref().map(|(_, id)| id),
        "by": run.by,
        "depth": run.depth,
        "at": run.at,
        "ended_at": run.ended_at,
        "due_at": (!run.state.is_ended()).then_some(run.due_at),
        "tries": run.tries,
        "error": run.error,
    })
}

fn step_json(step: &RunStep) -> Json {
    json!({
        "n": step.n, "step": step.step, "state": step.state, "at": step.at, "micros": step.micros, "data": step.data, "error": step.error,
    })
}

impl Engine {
    /// Runs, newest first: `{"data": […], "next"}`.
    ///
    /// # Errors
    /// `Forbidden` without all rights; that a state is none.
    pub async fn runs(&self, cx: &Ctx, filter: RunFilter) -> Result<Json, Error> {
        administrator(cx)?;
        let state = match &filter.state {
            Some(word) => Some(RunState::parse(word).ok_or_else(|| {
                Error::of(
                    Code::Malformed,
                    Message::new("query_value").with("name", "state").with("detail", RunState::ALL.map(RunState::as_str).join(", ")),
                )
            })?),
            None => None,
        };
        let limit = filter.limit.unwrap_or(50).clamp(1, PAGE);
        let rows = self
            .store()
            .read(move |tx| {
                let mut fit = Vec::new();
                if let Some(name) = &filter.automation {
                    fit.push(Cond::Eq("automation", Value::text(name)));
                }
                if let Some(state) = state {
                    fit.push(Cond::Eq("state", Value::text(state.as_str())));
                }
                if let Some(record) = filter.record {
                    fit.push(Cond::Eq("record", Value::Uuid(record)));
                }
                if let Some(before) = filter.before {
                    fit.push(Cond::Lt("id", Value::Uuid(before)));
                }
                tx.find(&RUN, &fit, &[("id", true)], limit + 1).map_err(Error::from)
            })
            .await?;
        let runs: Vec<Run> = rows.iter().filter_map(|row| Run::read(row)).collect();
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let next = (runs.len() > most).then(|| runs.get(most - 1).map(|run| run.id)).flatten();
        let data: Vec<Json> = runs.iter().take(most).map(|run| run_json(cx, run)).collect();
        Ok(json!({"data": data, "next": next}))
    }

    /// One run with what each of its steps did.
    ///
    /// # Errors
    /// `Forbidden` without all rights; `NotFound`.
    pub async fn run(&self, cx: &Ctx, id: Uuid) -> Result<Json, Error> {
        administrator(cx)?;
        let (run, steps) = self
            .store()
            .read(move |tx| {
                let run = run::get(tx, id, Lock::None)?.ok_or(Error::NotFound)?;
                let steps = tx.find(&RUN_STEP, &[Cond::Eq("run", Value::Uuid(id))], &[("n", false)], 10_000)?;
                Ok::<_, Error>((run, steps))
            })
            .await?;
        let mut told = run_json(cx, &run);
        if let Some(map) = told.as_object_mut() {
            map.insert("steps".to_owned(), steps.iter().filter_map(|row| RunStep::read(row)).map(|step| step_json(&step)).collect());
        }
        Ok(told)
    }

    /// Lets a run go on from the step that failed, at once.
    ///
    /// # Errors
    /// `Forbidden` without all rights; `NotFound`; that it did not fail.
    pub async fn retry_run(&self, cx: &Ctx, id: Uuid) -> Result<Json, Error> {
        self.turn_run(cx, id, &[RunState::Failed, RunState::Dead], RunState::Waiting, "retried").await
    }

    /// Gives a run up; what it did stays.
    ///
    /// # Errors
    /// `Forbidden` without all rights; `NotFound`; that it has ended.
    pub async fn cancel_run(&self, cx: &Ctx, id: Uuid) -> Result<Json, Error> {
        self.turn_run(cx, id, &[RunState::Waiting, RunState::Running, RunState::Failed, RunState::Dead], RunState::Cancelled, "cancelled").await
    }

    async fn turn_run(&self, cx: &Ctx, id: Uuid, from: &'static [RunState], to: RunState, verb: &'static str) -> Result<Json, Error> {
        administrator(cx)?;
        let now = self.now();
        let run = self
            .store()
            .write(move |tx| {
                let mut run = run::get(tx, id, Lock::Update)?.ok_or(Error::NotFound)?;
                if !from.contains(&run.state) {
                    return Err(Error::of(Code::Locked, Message::new("job_state").with("state", run.state.as_str()).with("verb", verb)));
                }
                run.state = to;
                (run.ended_at, run.due_at, run.tries) = (to.is_ended().then_some(now), now, 0);
                run::keep(tx, &run)?;
                Ok(run)
            })
            .await?;
        Ok(run_json(cx, &run))
    }

    /// Presses a button on records, on all or on none; its first steps are done when this returns.
    ///
    /// # Errors
    /// `NotFound` where a record or the button is out of sight; what the button or its steps refuse; that it is for one record alone.
    pub async fn press(
        &self,
        cx: &Ctx,
        entity: EntityId,
        records: &[Uuid],
        button: &str,
        answers: IndexMap<String, Input>,
    ) -> Result<Vec<Pressed>, Error> {
        const TRIES: usize = 4;
        let name = cx.app.schema.entity(entity).name.clone();
        let (mut cx, mut entity) = (cx.clone(), entity);
        for _ in 0..TRIES {
            let (at, records, button, answers) = (cx.clone(), records.to_vec(), button.to_owned(), answers.clone());
            let done = self
                .store()
                .write(move |tx| {
                    current_or_superseded(&at, tx)?;
                    let (mut all, mut notes) = (Vec::new(), Vec::new());
                    for record in &records {
                        let (pressed, more) = press_in(&at, tx, entity, *record, &button, &answers, records.len())?;
                        all.push(pressed);
                        notes.extend(more);
                    }
                    Ok((all, notes))
                })
                .await;
            match done {
                Ok((pressed, notes)) => {
                    self.tell(notes);
                    return Ok(pressed);
                }
                Err(Error::Superseded) => {
                    cx = self.renewed(&cx).await?;
                    entity = cx.app.schema.find(name.as_str()).ok_or(Error::NotFound)?.id;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Store(store::Fault::Busy))
    }

    /// The buttons of a record that the caller may press: name and automation.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight.
    pub async fn buttons(&self, cx: &Ctx, entity: EntityId, record: Uuid) -> Result<Vec<(String, String)>, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let w = Writer::new(&cx, tx);
                if !w.reader.in_sight(&cx, entity, record)? {
                    return Err(Error::NotFound);
                }
                let Some(cells) = w.reader.read(entity, record)? else { return Err(Error::NotFound) };
                let mut found = Vec::new();
                for plan in cx.app.automations.of(entity) {
                    if let Trigger::Button(button) = &plan.trigger
                        && is_offered(&w, plan, button, entity, &cells)
                    {
                        found.push((button_name(plan), plan.name.clone()));
                    }
                }
                Ok(found)
            })
            .await
    }

    /// A call from another system: the run that it began.
    ///
    /// # Errors
    /// `NotFound` where there is no such hook or the secret is another.
    pub async fn hook(&self, automation: &str, secret: &str, payload: Json) -> Result<Uuid, Error> {
        let plan = self.current().automations.named(automation).cloned().filter(|plan| !plan.off && matches!(plan.trigger, Trigger::Webhook));
        let good = self.hook_secret(automation);
        // Both are compared whatever the other says: neither may be found out by itself.
        let same = bool::from(subtle::ConstantTimeEq::ct_eq(good.as_bytes(), secret.as_bytes()));
        let plan = plan.filter(|_| same).ok_or(Error::NotFound)?;
        let cx = self.background();
        let held = [("payload".to_owned(), payload)].into_iter().collect();
        let begun = begin(&cx, &plan, None, Json::Null, held);
        let id = begun.id;
        self.store().write(move |tx| run::put(tx, std::slice::from_ref(&begun)).map_err(Error::from)).await?;
        Ok(id)
    }

    /// What stands behind the name of a hook in its address.
    #[must_use]
    pub fn hook_secret(&self, automation: &str) -> String {
        self.key().keyed_hash("hook", automation.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn administrator(cx: &Ctx) -> Result<(), Error> {
    if cx.caller.is_admin() { Ok(()) } else { Err(Error::Forbidden) }
}

/// The name by which a button is pressed.
fn button_name(plan: &AutomationPlan) -> String {
    plan.body.pointer("/automation/on/button").and_then(Json::as_str).map_or_else(|| plan.name.clone(), str::to_owned)
}

fn is_offered(w: &Writer<'_>, plan: &AutomationPlan, button: &ButtonPlan, entity: EntityId, cells: &model::Cells) -> bool {
    let shown =
        button.show_if.as_ref().is_none_or(|condition| w.on_scope(&plan.app, entity, cells, None, |scope| condition.holds(scope)).unwrap_or(false));
    shown && w.cx.has_role(&plan.app, &button.roles) && super::raise::holds(w, plan, entity, None, cells)
}

/// Presses within an open transaction.
pub(crate) fn press_in(
    cx: &Ctx,
    tx: &Tx,
    entity: EntityId,
    record: Uuid,
    name: &str,
    answers: &IndexMap<String, Input>,
    together: usize,
) -> Result<(Pressed, Vec<ChangeNote>), Error> {
    let w = Writer::new(cx, tx);
    let def = w.def(entity);
    w.reader.preload(entity, &[record], Lock::Change)?;
    if !w.reader.in_sight(cx, entity, record)? {
        return Err(Error::NotFound);
    }
    let Some(cells) = w.reader.read(entity, record)?.filter(|cells| is_live(def, cells)) else { return Err(Error::NotFound) };
    let named = |plan: &&Arc<AutomationPlan>| {
        matches!(plan.trigger, Trigger::Button(_)) && (plan.name == name || bare(&plan.name) == name || button_name(plan) == name)
    };
    let plan = w.app.automations.of(entity).iter().find(named).ok_or(Error::NotFound)?;
    let Trigger::Button(button) = &plan.trigger else { return Err(Error::NotFound) };
    if !is_offered(&w, plan, button, entity, &cells) {
        return Err(Error::Forbidden);
    }
    if together > 1 && !button.many {
        return Err(Error::of(Code::Limit, Message::new("button_for_one")));
    }
    let held = [("ask".to_owned(), answered(cx, button, answers)?)].into_iter().collect();
    let begun = begin(cx, plan, Some((def.name.to_string(), record)), Json::Null, held);
    let id = begun.id;
    run::put(tx, std::slice::from_ref(&begun))?;
    let notes = super::runner::go_on_strictly(cx, tx, begun, Instant::now())?;
    let run = run::get(tx, id, Lock::None)?.ok_or(Error::NotFound)?;
    Ok((Pressed { run: id, state: run.state.as_str() }, notes))
}

fn bare(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, bare)| bare)
}

/// The answers to what a button asks, each as its kind; all faults at once.
fn answered(cx: &Ctx, button: &ButtonPlan, answers: &IndexMap<String, Input>) -> Result<Json, Error> {
    let mut faults = Vec::new();
    for name in answers.keys().filter(|name| !button.ask.iter().any(|question| question.name == **name)) {
        faults.push(Violation::of_field(name, Code::UnknownField, Message::new("unknown_field").with("name", name)));
    }
    let mut told = Map::new();
    for question in &button.ask {
        let sent = answers.get(&question.name).filter(|input| **input != Input::Null).or(question.default.as_ref());
        let Some(sent) = sent else {
            if question.required {
                faults.push(Violation::of_field(&question.name, Code::Required, Message::new("required")));
            }
            continue;
        };
        let sibling = |name: &str| answers.get(name).and_then(Input::as_text).map(str::to_owned);
        match question.typed.accept(sent, &AcceptContext { now: cx.now, sibling: &sibling }) {
            Ok(cells) => {
                let mut bytes = Vec::new();
                question.typed.write_json(&cells, Numbers::Strings, &mut bytes);
                told.insert(question.name.clone(), serde_json::from_slice(&bytes).unwrap_or_default());
            }
            Err(rejects) => faults.extend(rejects.into_iter().map(|reject| {
                let mut fault = Violation::of_field(&question.name, reject.code, reject.message);
                fault.pointer.push_str(&reject.pointer);
                fault
            })),
        }
    }
    if faults.is_empty() { Ok(Json::Object(told)) } else { Err(Error::Invalid(faults)) }
}
