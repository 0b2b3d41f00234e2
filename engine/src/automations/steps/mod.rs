//! In charge of what steps do: one file for each kind, and the list of them.
//! Reading order: `StepKind` (how a kind is compiled), `Action` (what it does), `After` (what is next), `KINDS`.
//! Invariant: a step's effects outside are rows of the outbox, written with its own writes; it touches nothing else.

use model::EntityId;
use model::doc::{RunAs, Step};
use rules::expr::Given;
use rules::query::{RelationTo, SystemView, resolve_relation};
use serde_json::{Map, Value as Json};

use super::compile::{Compiling, split_given};
use super::running::{Hand, Running};
use crate::error::Error;

pub(super) mod assign;
mod branch;
mod convert;
mod create;
mod delete;
mod find;
mod for_each;
mod link;
mod messages;
mod move_to;
mod print;
pub(super) mod script;
mod start_approval;
mod update;
mod wait;
pub(super) mod webhook;

/// What comes after a step; closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Then {
    /// The step behind it.
    Next,
    /// This list, once.
    Enter(Vec<String>),
    /// This list, once for each of these under this name.
    Repeat(Vec<String>, String, Vec<Json>),
    /// The same step again, at this moment.
    Wait(chrono::DateTime<chrono::Utc>),
    /// The end of the list that it stands in.
    Leave,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct After {
    pub(crate) then: Then,
    /// What the history of the run shows.
    pub(crate) data: Json,
    /// What later steps see under its name.
    pub(crate) save: Option<Json>,
}

impl After {
    /// On to the step behind it.
    pub(crate) fn next(data: Json) -> Self {
        Self { then: Then::Next, data, save: None }
    }

    /// With a result for later steps.
    pub(crate) fn saving(self, save: Json) -> Self {
        Self { save: Some(save), ..self }
    }

    /// To something else than the step behind it.
    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

/// One kind of step.
pub(crate) trait StepKind: Sync {
    /// The word in documents.
    fn name(&self) -> &'static str;
    /// With whose rights it acts where the document is silent.
    fn rights(&self) -> RunAs {
        RunAs::System
    }
    /// Compiles its settings; `about` is the entity of the record that it is about. Faults are told to `c`.
    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>>;
}

/// What a step does.
pub(crate) trait Action: std::fmt::Debug + Send + Sync {
    /// Does it.
    ///
    /// # Errors
    /// Then nothing of it is kept, and it is tried again.
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error>;
}

/// Every kind of step.
static KINDS: &[&dyn StepKind] = &[
    &create::Create,
    &update::Update,
    &delete::Delete,
    &find::Find,
    &assign::Assign,
    &move_to::Move,
    &messages::MAIL,
    &messages::NOTIFY,
    &webhook::Webhook,
    &link::Link,
    &branch::Branch,
    &for_each::ForEach,
    &wait::Wait,
    &convert::Convert,
    &start_approval::StartApproval,
    &print::Print,
    &script::Scripted,
];

/// The kind that a document names.
pub(super) fn kind(name: &str) -> Option<&'static dyn StepKind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// What later steps see of the result that a step saves.
pub(super) fn result_of(c: &Compiling<'_>, step: &Step) -> Option<Given> {
    let entity = step.settings.get("entity").and_then(Json::as_str).and_then(|name| c.find(name));
    match step.kind.as_str() {
        "create" => entity.map(Given::Record),
        "find" if step.settings.get("limit").and_then(Json::as_u64) == Some(1) => entity.map(Given::Record),
        "find" => Some(Given::Fields(vec![("count".to_owned(), rules::expr::Kind::Number)])),
        "assign" => Some(Given::Record(c.nobody())),
        "convert" => Some(Given::Records(convert::targets(c, step))),
        "script" => Some(Given::Values),
        "link" => Some(Given::Fields(vec![("url".to_owned(), rules::expr::Kind::Text)])),
        "print" => {
            let texts = ["id", "name", "type"].map(|name| (name.to_owned(), rules::expr::Kind::Text));
            Some(Given::Fields(texts.into_iter().chain([("size".to_owned(), rules::expr::Kind::Number)]).collect()))
        }
        _ => None,
    }
}

/// The entity of what a loop goes through; none where it is no records.
pub(super) fn entity_over(c: &Compiling<'_>, given: &[(String, Given)], over: &str) -> Option<EntityId> {
    let found =
        c.definition.automation.steps.values().find(|step| step.kind == "find" && step.settings.get("save").and_then(Json::as_str) == Some(over));
    if let Some(find) = found {
        return find.settings.get("entity").and_then(Json::as_str).and_then(|name| c.find(name));
    }
    let (first, rest) = split_given(given, over);
    let (entity, rest) = match rest {
        Some(rest) => match given.iter().find(|(name, _)| name == first) {
            Some((_, Given::Record(entity))) => (*entity, rest),
            Some(_) => return None,
            None => (c.entity?, over),
        },
        None => (c.entity?, over),
    };
    let relation = resolve_relation(c.schema, entity, rest, &SystemView, "").ok()?;
    Some(match relation.to {
        RelationTo::Inverse(inverse) => inverse.entity,
        RelationTo::References(_, entity) => entity,
    })
}
