//! In charge of a pipeline as written: stages and the moves between them.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::doc::{ChoiceOption, Condition};
use crate::label::Label;
use crate::name::Name;

/// The stages that a record moves through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The entity, bare or qualified.
    pub entity: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The stages.
    pub stages: IndexMap<Name, Stage>,
    /// Their order; as written where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Name>>,
    /// The stage of a new record; the first where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Name>,
    /// Where a record goes whose pipeline changes, by the other pipeline, from stage to stage: from here to there, or
    /// from there to here. It may be written on either side.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub switch: IndexMap<Name, IndexMap<Name, Name>>,
}

/// What a stage means for rates and forecasts; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Work goes on.
    #[default]
    Open,
    /// Somebody else is awaited.
    Waiting,
    /// Won.
    Won,
    /// Finished; counts as won.
    Done,
    /// Lost.
    Lost,
    /// Leaves the rates.
    Cancelled,
}

impl StageKind {
    /// The word in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Won => "won",
            Self::Done => "done",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a record in such a stage is closed.
    #[must_use]
    pub fn is_closed(self) -> bool {
        match self {
            Self::Open | Self::Waiting => false,
            Self::Won | Self::Done | Self::Lost | Self::Cancelled => true,
        }
    }
}

/// One stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stage {
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What it means.
    pub kind: StageKind,
    /// A colour of the palette.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// The chance of winning, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<Json>,
    /// After how long without a change a record is stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Json>,
    /// What is to be done in the stage.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub checklist: IndexMap<Name, ChecklistItem>,
    /// What must be filled on entering.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// Where to from here: any stage where absent, none where empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// What a person reads when `requires` is not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Label>,
    /// No longer entered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

/// One step of a checklist.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChecklistItem {
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// When it counts as done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_if: Option<Condition>,
    /// Whether it may not be skipped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// A field that a stage requires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Requirement {
    /// Always.
    Field(Name),
    /// Under a condition.
    If(ConditionalRequirement),
}

/// `{"field": "scan", "if": "amount > 50000"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionalRequirement {
    /// The field.
    pub field: Name,
    /// When it is required.
    #[serde(rename = "if")]
    pub condition: Condition,
}

impl Requirement {
    /// The field.
    #[must_use]
    pub fn field(&self) -> &Name {
        match self {
            Self::Field(field) => field,
            Self::If(conditional) => &conditional.field,
        }
    }
}

/// Where to from a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Next {
    /// These, without conditions.
    List(Vec<Name>),
    /// These, each with its conditions.
    Map(IndexMap<Name, Transition>),
}

/// A move to a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Transition {
    /// What the button says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The roles that may; all where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// When it may.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// What a person reads when it may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Label>,
    /// Fields that are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ask: Vec<Name>,
    /// The approval that must pass first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Name>,
}

impl Pipeline {
    /// The names of the stages, in order.
    #[must_use]
    pub fn stage_names(&self) -> Vec<&Name> {
        let mut names: Vec<&Name> = self.order.iter().flatten().filter(|name| self.stages.contains_key(*name)).collect();
        let rest: Vec<&Name> = self.stages.keys().filter(|name| !names.contains(name)).collect();
        names.extend(rest);
        names
    }

    /// The stage of a new record.
    #[must_use]
    pub fn first_stage(&self) -> Option<&Name> {
        self.start.as_ref().or_else(|| self.stage_names().into_iter().find(|name| !self.stages[*name].retired))
    }

    /// The stages as options, in order.
    #[must_use]
    pub fn stage_options(&self) -> IndexMap<Name, ChoiceOption> {
        self.stage_names()
            .into_iter()
            .map(|name| {
                let stage = &self.stages[name];
                (name.clone(), ChoiceOption { label: stage.label.clone(), color: stage.color.clone(), for_options: None, retired: stage.retired })
            })
            .collect()
    }

    /// Where a record goes that was in `stage` of another pipeline and comes to this one, called `own`: as either side says.
    #[must_use]
    pub fn arriving<'a>(&'a self, own: &str, (other_name, other): (&str, &'a Self), stage: &str) -> Option<&'a Name> {
        let here = self.switch.get(other_name).and_then(|map| map.get(stage));
        let there = || other.switch.get(own).and_then(|map| map.get(stage));
        here.filter(|to| self.stages.contains_key(*to)).or_else(|| there().filter(|to| self.stages.contains_key(*to)))
    }

    /// The move from `from` to `to`, or none where there is no such way.
    #[must_use]
    pub fn transition(&self, from: &str, to: &str) -> Option<Transition> {
        match self.stages.get(from).and_then(|stage| stage.next.as_ref()) {
            None => Some(Transition::default()),
            Some(Next::List(names)) => names.iter().any(|name| *name == *to).then(Transition::default),
            Some(Next::Map(map)) => map.get(to).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pipeline;

    #[test]
    fn a_switch_may_be_written_on_either_side() {
        let read = |json: &str| serde_json::from_str::<Pipeline>(json).expect("a pipeline");
        let sales = r#"{"entity": "deal", "stages": {"talk": {}, "won": {}}, "switch": {"project": {"talk": "offer"}}}"#;
        let project = r#"{"entity": "deal", "stages": {"offer": {}, "built": {}}, "switch": {"sales": {"won": "built"}}}"#;
        let (sales, project) = (read(sales), read(project));
        let arriving = |stage: &str| project.arriving("project", ("sales", &sales), stage).map(ToString::to_string);
        assert_eq!(arriving("talk").as_deref(), Some("offer"));
        assert_eq!(arriving("won").as_deref(), Some("built"));
        assert_eq!(arriving("lost"), None);
        assert_eq!(sales.arriving("sales", ("project", &project), "offer"), None);
    }
}
