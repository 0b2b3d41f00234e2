//! In charge of what people do with runs of automations: looking at them, trying them again, giving them up; and of calls
//! from other systems.
//! Invariant: runs are an administrator's to see: they act beyond the rights of whoever set them off.

use model::{Code, Message, Value};
use serde_json::{Value as Json, json};
use store::Lock;
use store::system::Cond;
use store::system::run::{self, RUN, RUN_STEP, Run, RunState, RunStep};
use uuid::Uuid;

use super::raise::begin;
use super::trigger::Trigger;
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;

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

pub(super) fn step_json(step: &RunStep) -> Json {
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
                super::careful::forget(&mut run);
                (run.ended_at, run.due_at, run.tries) = (to.is_ended().then_some(now), now, 0);
                run::keep(tx, &run)?;
                Ok(run)
            })
            .await?;
        Ok(run_json(cx, &run))
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

pub(super) fn administrator(cx: &Ctx) -> Result<(), Error> {
    if cx.caller.is_admin() { Ok(()) } else { Err(Error::Forbidden) }
}
