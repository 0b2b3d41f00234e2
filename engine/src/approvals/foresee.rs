//! In charge of looking ahead: who would decide in which order, on a record as it is, as it would be, or that is yet to be made.
//! Invariant: the same machine looks ahead that runs; values are taken in with the caller's own rights, and nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::approval::{Actor, Foreseen, Instance, forecast};
use indexmap::IndexMap;
use model::{Cells, Code, Input};
use serde_json::Value as Json;
use store::Tx;
use uuid::Uuid;

use crate::Engine;
use crate::approvals::detail::uncertain;
use crate::approvals::drive::{manages, own_facts, plan_of};
use crate::approvals::facts::Known;
use crate::approvals::inbox::names;
use crate::approvals::may::{Before, choices_json, label};
use crate::approvals::plan::FlowPlan;
use crate::approvals::{rows, verbs};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::drafted;
use crate::records::slice::Writer;

/// What is to be foreseen.
#[derive(Clone, Debug)]
pub struct ForecastAsked {
    /// The flow.
    pub flow: String,
    /// The record; one that is yet to be made where absent.
    pub record: Option<Uuid>,
    /// What would be changed in it first, or what it would be made of.
    pub values: IndexMap<String, Input>,
}

/// What is foreseen of a flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foresight {
    /// The steps, in order.
    pub steps: Vec<PathStep>,
    /// The steps for which the initiator must choose: `[{"step", "label", "among"}]`.
    pub choose: Json,
    /// Why it cannot be foreseen to the end.
    pub uncertain: Option<String>,
}

/// A step of a path that is foreseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// Its name.
    pub step: String,
    /// What the caller calls it.
    pub label: String,
    /// Who decides there.
    pub people: Vec<Uuid>,
    /// Their names.
    pub names: Vec<String>,
    /// Whether it passes without anybody's doing.
    pub automatic: bool,
}

impl Engine {
    /// Who would decide in which order, if it began now; of a flow that runs: from here on.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight or there is no such flow; the faults of values, but what is still missing.
    pub async fn foresee(&self, cx: &Ctx, asked: ForecastAsked) -> Result<Foresight, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| foreseen(&cx, tx, &asked)).await
    }
}

fn foreseen(cx: &Ctx, tx: &Tx, asked: &ForecastAsked) -> Result<Foresight, Error> {
    let current = cx.app.flows.find(&asked.flow).cloned().ok_or(Error::NotFound)?;
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let running = match asked.record {
        Some(record) => rows::of_record(tx, record, true)?.into_iter().find(|row| row.flow == current.name),
        None => None,
    };
    let (mut manages_it, sight) = (cx.caller.is_admin(), Writer::new(cx, tx));
    let (plan, instance, id) = match &running {
        Some(row) if verbs::may_know(cx, tx, row, &[])? => {
            let plan = plan_of(&w, row)?;
            manages_it = manages(&w, &plan, row, cx)?;
            (plan, row.instance.clone(), row.id)
        }
        Some(_) => return Err(Error::NotFound),
        None => {
            let shown = cx.grants.sees(current.entity);
            let in_sight = match asked.record {
                Some(record) => sight.reader.in_sight(cx, current.entity, record)?,
                None => true,
            };
            if !shown || !in_sight {
                return Err(Error::NotFound);
            }
            (current, Instance::default(), Uuid::nil())
        }
    };
    let (record, cells) = would_be(cx, tx, &plan, asked)?;
    if let Some(cells) = cells {
        w.reader.put(plan.entity, record, Arc::new(cells));
    }
    let known = Known::new(&w, &plan, id, record);
    let told = forecast(&plan.flow, &instance, instance.initiator.or(cx.caller.user()), &known, cx.now);
    if let Some(error) = known.failed.take() {
        return Err(error);
    }
    let before = Before { plan: &plan, instance: &instance, known: &known, actor: Actor::default(), now: cx.now, locale: &cx.locale };
    let choices: Vec<_> = told.choose.iter().map(|step| Ok((step.clone(), before.among(step)?))).collect::<Result<_, Error>>()?;
    let among = choices.iter().filter_map(|(_, among)| among.as_ref()).flatten();
    let names = names(cx, &w, told.steps.iter().flat_map(|step| &step.people).chain(among).copied())?;
    Ok(Foresight {
        steps: told.steps.iter().map(|step| path_step(cx, &plan, step, &names)).collect(),
        choose: choices_json(&plan, &choices, &names, &cx.locale),
        uncertain: told.uncertain.map(|why| uncertain(cx, why, manages_it)),
    })
}

/// The record as it would be with the values; no cells where it is looked at as it is.
fn would_be(cx: &Ctx, tx: &Tx, plan: &FlowPlan, asked: &ForecastAsked) -> Result<(Uuid, Option<Cells>), Error> {
    if let (Some(record), true) = (asked.record, asked.values.is_empty()) {
        return Ok((record, None));
    }
    let w = Writer::preview(cx, tx);
    let (mut row, _) = drafted(&w, w.def(plan.entity), asked.record, &asked.values)?;
    // Whoever asks may not be done with it.
    row.faults.retain(|fault| !matches!(fault.code, Code::Required | Code::RuleFailed));
    if row.faults.is_empty() { Ok((row.id, Some(row.after))) } else { Err(Error::Invalid(row.faults)) }
}

fn path_step(cx: &Ctx, plan: &FlowPlan, step: &Foreseen, names: &BTreeMap<Uuid, String>) -> PathStep {
    PathStep {
        step: step.node.to_string(),
        label: label(plan, step.node.as_str(), &cx.locale),
        people: step.people.clone(),
        names: step.people.iter().map(|person| names.get(person).cloned().unwrap_or_default()).collect(),
        automatic: step.automatic,
    }
}
