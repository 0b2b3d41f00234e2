//! In charge of how documents name those who decide: people, roles, places in the organisation, fields, choices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Name;

/// How people are found; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApproverBy {
    /// These people.
    User,
    /// Everybody with a role.
    Role,
    /// The people of a department.
    Department,
    /// The initiator's manager.
    Manager,
    /// The managers above the initiator, one after the other.
    ManagerChain,
    /// The head of the initiator's department, or of one above it.
    DepartmentHead,
    /// The heads above the initiator, one after the other.
    DepartmentChain,
    /// The person, or the department's head, in a field.
    Field,
    /// Whoever started it.
    Initiator,
    /// Whom the initiator chose.
    InitiatorSelects,
    /// Whom the one before chose.
    PreviousSelects,
    /// Those who acted in another step.
    SameAs,
    /// The record's owner.
    Owner,
    /// What an expression gives.
    Expr,
}

/// Whose department bounds a role; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// The initiator's.
    Department,
    /// The initiator's and those above it.
    DepartmentAndAbove,
}

/// What happens where a chain is shorter than asked; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenShort {
    /// Its top is taken.
    #[default]
    Top,
    /// Nobody is.
    Empty,
}

/// Where a chain ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Until {
    /// At the first who has this role.
    pub role: Option<String>,
    /// At the head of this department, by name or id.
    pub department: Option<String>,
}

/// One way to find people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// How.
    pub by: ApproverBy,
    /// `user`: an id, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `user`: several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// `role`: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `role`: only those of the initiator's department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
    /// `department`: by name or id; the initiator's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// `department`: with those below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub below: bool,
    /// `department_head`: how many levels up, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Chains: how many levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
    /// Chains: where they end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Heads and chains: what happens where there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_short: Option<WhenShort>,
    /// Heads and chains: whether a department without a head is passed over; yes where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_up: Option<bool>,
    /// `field`: a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// `same_as`: the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Name>,
    /// `expr`: the expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// `initiator_selects`, `previous_selects`: those who may be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub among: Vec<Approver>,
    /// What a vote weighs; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether one rejection decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub veto: bool,
}
