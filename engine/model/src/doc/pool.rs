//! In charge of public pools as written: records without an owner that people take, within limits, and lose again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doc::TimeSpan;
use crate::filter::Filter;
use crate::label::Label;
use crate::name::Name;

/// A public pool: the records of an entity that have no owner and that `belongs` covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The entity, bare or qualified; its records have an owner, or none.
    pub entity: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The records that it is about, with an owner or without; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub belongs: Option<Filter>,
    /// Who sees and claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<PoolPeople>,
    /// Who rules it: they see all of it, give records to people and take them back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admins: Vec<PoolPeople>,
    /// What members see of its records beyond what their roles show; `read` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub see: Option<PoolSight>,
    /// Limits of claiming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimLimits>,
    /// What is asked of who gives a record back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// What brings records back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recycle: Vec<Recycle>,
    /// What never comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt: Option<Filter>,
    /// Held records that do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_counted: Option<Filter>,
    /// How many records an owner may keep from coming back, and for how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protect: Option<Protect>,
}

/// People of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PoolPeople {
    /// Everybody with a role.
    Role(PoolRole),
    /// Everybody of a department.
    Department(PoolDepartment),
    /// One person.
    User(PoolUser),
}

/// Everybody with a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolRole {
    /// The role, bare or qualified.
    pub role: String,
}

/// Everybody of a department and of those below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolDepartment {
    /// The department's name, or its id.
    pub department: String,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolUser {
    /// Their e-mail address, or their id.
    pub user: String,
}

/// What is asked of who gives a record back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Whether they say why: it stands on the record's timeline as a note.
    pub reason: ReleaseReason,
}

/// Whether a reason is asked for; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// It may be given.
    Optional,
    /// Without it nothing is given back.
    Required,
}

/// What members see of records that nobody took; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolSight {
    /// Nothing: records are given by those who rule the pool.
    None,
    /// All but ways to reach people (phone, e-mail, address, place), what is `sensitive` and what is personal: those are masked.
    Masked,
    /// All that their roles show of the entity.
    Read,
}

/// Limits of claiming.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimLimits {
    /// The most records of the pool that a person owns at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<u32>,
    /// The most claims of a person on one day of the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
    /// How long who lost or released a record may not claim it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cool_down: Option<TimeSpan>,
}

/// What brings a record back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recycle {
    /// A clock of the entity: its warnings warn the owner, and when it is missed the record comes back.
    pub clock: Name,
}

/// How records are kept from coming back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protect {
    /// The most records of one owner at a time.
    pub at_most: u32,
    /// For how long each time.
    #[serde(rename = "for")]
    pub span: TimeSpan,
}
