//! In charge of a role as written: who may do what to which records and fields.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::label::Label;
use crate::name::Name;

/// What people in a role may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Role {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Label>,
    /// Rights by entity, bare or qualified.
    pub entities: IndexMap<String, EntityRights>,
    /// What of the design it may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub design: Option<DesignRight>,
}

/// Rights on one entity; what is left out is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EntityRights {
    /// Which records may be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Scope>,
    /// Whether records may be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create: Option<Allowed>,
    /// Which records may be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<Scope>,
    /// Which records may be deleted and restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<Scope>,
    /// Whether records may be exported.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub export: bool,
    /// Rights on fields that differ from the entity's.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub fields: IndexMap<Name, FieldRule>,
}

/// Which records; closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scope {
    /// By a word.
    Word(ScopeWord),
    /// By a filter.
    Filter(FilterScope),
    /// Through a reference.
    Through(ThroughScope),
}

/// The words of a scope; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeWord {
    /// No record.
    None,
    /// Those that one owns or is a member of.
    Own,
    /// One's own and those of people below.
    Reports,
    /// Those of one's department.
    Department,
    /// Those of one's department and the departments below.
    DepartmentAndBelow,
    /// Every record.
    All,
}

/// `{"filter": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterScope {
    /// The records.
    pub filter: Filter,
}

/// `{"through": "contract", "needs": "update"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThroughScope {
    /// The reference.
    pub through: Name,
    /// What one must be allowed on the record that it points at; the same action where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
}

/// An action on the far record; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Seeing it.
    Read,
    /// Changing it.
    Update,
    /// Deleting it.
    Delete,
}

/// Whether something may be done, or through which reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Allowed {
    /// Yes or no.
    Word(bool),
    /// Where one may change the record that a reference points at.
    Through(ThroughScope),
}

/// A right on a field; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldAccess {
    /// As if it were not there.
    None,
    /// Its presence and a part of it.
    Masked,
    /// Read.
    Read,
    /// Read and written.
    Write,
}

/// A right on a field, or one that depends on the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "a role has few of them, and each lives as long as its revision")]
pub enum FieldRule {
    /// The same on every record.
    Always(FieldAccess),
    /// Read on some records, less on others.
    Scoped(ScopedAccess),
}

/// `{"read": "own", "else": "masked"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopedAccess {
    /// The records on which it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Scope>,
    /// The records on which it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Scope>,
    /// What holds on all others; `none` where absent.
    #[serde(rename = "else", default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<FieldAccess>,
}

/// What of the design may be changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DesignRight {
    /// By a word.
    Word(DesignWord),
    /// These apps.
    Apps {
        /// Their names.
        apps: Vec<Name>,
    },
}

/// The words of a design right; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesignWord {
    /// Nothing.
    None,
    /// Views and forms.
    Views,
    /// Everything.
    All,
}
