//! In charge of `script`: a script of the app, with the record, what was asked, and a budget.
//! Invariant: acts with the rights of whoever set the run off, unless the document says otherwise.
//! Invariant: what it cost and noted is shown in the history of its run, whether it ended well or not; what one inside a save
//! cost is summed up with its automation.

use std::time::{Duration, Instant};

use model::doc::RunAs;
use model::{Diagnostic, EntityId, FieldId};
use rules::expr::{ExpressionFault, Given};
use rules::script::{Ended, Limits, Script, ScriptPlace};
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running};
use crate::automations::script::{Reach, Seat, refusal, write};
use crate::error::Error;

/// `script`.
pub(super) struct Scripted;

/// How long a script may hold a save.
const WITHIN: Duration = Duration::from_millis(250);
/// How long one may take in a run.
const AFTERWARDS: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Calling {
    name: String,
    script: Script,
    /// The name under which it is given more than the record.
    given: Option<(String, Given)>,
}

impl StepKind for Scripted {
    fn name(&self) -> &'static str {
        "script"
    }

    fn rights(&self) -> RunAs {
        RunAs::User
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, _: &str) -> Option<Box<dyn Action>> {
        let name = settings.get("script").and_then(Json::as_str)?.to_owned();
        let text = c.definition.scripts.get(name.as_str())?.clone();
        let given = c.given.iter().find(|(name, _)| matches!(name.as_str(), "ask" | "payload")).cloned();
        let known = match &given {
            None => Some(&[][..]),
            Some((_, Given::Fields(fields))) => Some(fields.as_slice()),
            Some(_) => None,
        };
        let acts = settings.get("as").and_then(Json::as_str).map(|word| word == "system");
        let all = acts.unwrap_or(c.definition.automation.run_as == Some(RunAs::System));
        let reach = if all { Reach::everything() } else { Reach::of(c.schema, c.app, &c.definition.automation.on) };
        let hidden = |entity: EntityId, field: FieldId| reach.hides(entity, field);
        let place = ScriptPlace { schema: c.schema, app: c.app, entity: about, given: known, before: c.before, hidden: &hidden };
        match Script::compile(place, &text) {
            Ok(script) => Some(Box::new(Calling { name, script, given })),
            Err(faults) => {
                tell(c.faults, c.app, &name, faults);
                None
            }
        }
    }
}

/// Tells faults of a script, each once however many steps run it.
pub(crate) fn tell(told: &mut Vec<Diagnostic>, app: &str, name: &str, faults: Vec<ExpressionFault>) {
    for fault in faults {
        let message = format!("{} (line {}, column {})", fault.message, fault.line, fault.column);
        let fault = Diagnostic::error(format!("/{app}/scripts/{name}"), message).with_hint(fault.hint);
        if !told.contains(&fault) {
            told.push(fault);
        }
    }
}

impl Action for Calling {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let given = self.given.as_ref().map(|(name, given)| running.held_values(name, given)).unwrap_or_default();
        let begun = Instant::now();
        let until = begun + if running.run.is_some() { AFTERWARDS } else { WITHIN };
        let record = about.as_ref().map(|hand| (hand.entity, hand.id));
        let seat = Seat::new(running, about.as_ref(), &self.name, until);
        let Ended { result, cost, log } = self.script.run(&seat, record, &given, Limits::at_depth(running.cx.depth));
        let told = |more: Json| {
            let mut told = json!({
                "script": self.name, "operations": cost.operations, "calls": cost.calls, "rows": cost.rows, "memory": cost.memory,
                "milliseconds": begun.elapsed().as_micros() as f64 / 1_000.0, "log": log,
            });
            if let (Some(map), Json::Object(more)) = (told.as_object_mut(), more) {
                map.extend(more);
            }
            told
        };
        let written = match result {
            Ok(done) => done.changes.iter().try_for_each(|change| write(&seat, change)).map(|()| done),
            Err(stop) => Err(refusal(&seat, stop)),
        };
        if running.run.is_none() {
            running.plan.spent.add(cost, begun.elapsed(), written.is_err());
        }
        if running.run.is_none() && !log.is_empty() {
            tracing::info!(script = %self.name, automation = %running.plan.name, ?log, "a script noted");
        }
        match written {
            Ok(done) => {
                let values: Vec<Json> = done.changes.iter().map(|change| seat.shown(change)).collect();
                let result = done.result.to_json();
                let save = if result.is_object() { result.clone() } else { json!({"value": result}) };
                Ok(After::next(told(json!({"assigned": values, "result": result}))).saving(save))
            }
            Err(error) => {
                *running.told.borrow_mut() = told(Json::Null);
                Err(error)
            }
        }
    }
}
