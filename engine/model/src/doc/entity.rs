//! In charge of an entity as written: a record type with its fields and rules.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::doc::{Clock, Condition, Field};
use crate::filter::Filter;
use crate::label::Label;
use crate::name::Name;

/// Whether records have an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnerMode {
    /// Always one.
    Required,
    /// Perhaps one.
    Optional,
    /// None.
    #[default]
    None,
}

/// Whether records belong to a department.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DepartmentMode {
    /// Set once and by hand.
    Kept,
    /// Always the owner's.
    FollowsOwner,
}

/// What a member of a record may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRight {
    /// See it.
    Read,
    /// Change it.
    Write,
}

/// What every record of an entity must satisfy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What must hold.
    pub require: Condition,
    /// When the rule is looked at; always where absent.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// The field whose input shows the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Name>,
    /// What a person reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Label>,
}

/// A uniqueness over several fields, or over a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniqueKey {
    /// The fields that together are unique.
    pub fields: Vec<Name>,
    /// Two date or datetime fields: their periods may not overlap. The end is free; without an end a period goes on for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<[Name; 2]>,
    /// The records that count.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// What a person reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Label>,
}

/// A record type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entity {
    /// The qualified entity that this document adds to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// What people call one; the name where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What people call many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plural: Option<Label>,
    /// What it is, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Label>,
    /// An icon of the sprite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// A text template that names a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether records have an owner.
    #[serde(skip_serializing_if = "is_default")]
    pub owner: OwnerMode,
    /// Whether records belong to a department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<DepartmentMode>,
    /// The rights that members may have; no members where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberRight>,
    /// The fields.
    pub fields: IndexMap<Name, Field>,
    /// Their order; as written where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Name>>,
    /// What every record must satisfy.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub rules: IndexMap<Name, Rule>,
    /// Uniqueness over several fields.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub unique: IndexMap<Name, UniqueKey>,
    /// How duplicates are found.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub duplicates: IndexMap<Name, Json>,
    /// When a record is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_if: Option<Condition>,
    /// The fields that stay open when it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locked_except: Vec<Name>,
    /// Clocks that run on a record.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub clocks: IndexMap<Name, Clock>,
    /// How following up is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<Json>,
    /// Limits of data quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Json>,
    /// Personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Json>,
    /// Indexes beyond those that the engine makes by itself; `-amount` is descending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Vec<String>>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
