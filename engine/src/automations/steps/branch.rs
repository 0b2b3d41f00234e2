//! In charge of `branch`: the first way whose condition holds.

use model::EntityId;
use model::fault::escape_pointer;
use rules::condition::CompiledCondition;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind, Then};
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running};
use crate::error::Error;

/// `branch`.
pub(super) struct Branch;

#[derive(Debug)]
struct Branching(Vec<Way>);

#[derive(Debug)]
struct Way {
    name: String,
    condition: Option<CompiledCondition>,
    steps: Vec<String>,
}

impl StepKind for Branch {
    fn name(&self) -> &'static str {
        "branch"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let branches = settings.get("branches")?.as_object()?;
        let order: Vec<&str> = match settings.get("order").and_then(Json::as_array) {
            Some(order) => order.iter().filter_map(Json::as_str).collect(),
            None => branches.keys().map(String::as_str).collect(),
        };
        let mut ways = Vec::new();
        for name in order {
            let Some(branch) = branches.get(name) else { continue };
            let condition = branch.get("if").or_else(|| branch.get("when"));
            let is_conditional = condition.is_some();
            let condition = c.json_condition(about, condition, &format!("{at}/branches/{}/if", escape_pointer(name)));
            if is_conditional && condition.is_none() {
                continue;
            }
            ways.push(Way { name: name.to_owned(), condition, steps: names(branch.get("children").or_else(|| branch.get("steps"))) });
        }
        Some(Box::new(Branching(ways)))
    }
}

/// Names of steps.
pub(super) fn names(json: Option<&Json>) -> Vec<String> {
    json.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

impl Action for Branching {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        for way in &self.0 {
            let holds = match &way.condition {
                None => true,
                Some(condition) => {
                    running.on_scope(about.as_ref(), |scope| condition.holds(scope))?.map_err(|fault| Error::Internal(fault.to_string()))?
                }
            };
            if holds {
                return Ok(After::next(json!({"branch": way.name})).then(Then::Enter(way.steps.clone())));
            }
        }
        Ok(After::next(json!({"branch": null})))
    }
}
