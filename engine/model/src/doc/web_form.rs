//! In charge of public forms as written: what a visitor enters, what is put in beside it, what a duplicate does.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doc::ValueSpec;
use crate::filter::Filter;
use crate::label::Label;
use crate::name::Name;

/// What a form is sent for; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormOn {
    /// A new record.
    #[default]
    New,
    /// A record that is there, by a link.
    Existing,
}

/// What sending a form does where such a record is there already; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateThen {
    /// It is refused; the visitor is told.
    Block,
    /// A new record is made, and its timeline says that it resembles another.
    Warn,
    /// The same, and the timeline of the record that was there names the new one.
    Link,
    /// Nothing is made: what was sent goes on the timeline of the record that was there, where that is still open.
    Append,
}

/// A public form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebForm {
    /// `new`, or `existing` by a link.
    pub on: FormOn,
    /// The entity, bare or qualified.
    pub entity: String,
    /// The heading that a visitor reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// A few words below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<Label>,
    /// What stands on the button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<Label>,
    /// The inputs: fields of the entity; of a record that is there, how those of `edit` are shown. Nothing else that is sent is
    /// accepted.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub fields: IndexMap<Name, WebFormField>,
    /// Their order; as written where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Name>>,
    /// Values that the visitor does not enter. `query.<name>` is what the form's address was given.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub values: IndexMap<Name, ValueSpec>,
    /// What a duplicate does; not looked for where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<WebFormDuplicate>,
    /// What the visitor reads at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thanks: Option<Label>,
    /// How often it may be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<WebFormLimit>,
    /// The origins, `https://www.example.com`, whose pages may hold the form in a frame, or send it themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embed: Vec<String>,
    /// Fields shown of an existing record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<Name>,
    /// Fields edited of an existing record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edit: Vec<Name>,
    /// Where sending moves an existing record.
    #[serde(rename = "move", default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<Name>,
    /// How long a link lasts; for ever where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether a link works once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// How the visitor shows who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<WebFormVerify>,
}

/// An input of a public form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebFormField {
    /// Whether it must be filled, also where the entity does not ask for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// What the visitor reads; the field's label where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// A line of help; the field's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Label>,
    /// Shown in the empty input; the field's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<Label>,
    /// Of a reference: which records may be chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choose: Option<WebFormChoice>,
}

/// `{"filter": {"field": "active", "op": "=", "value": true}, "show": "name"}`: the records that anybody may choose, and what
/// anybody may read of them. Nothing is told of other records, and nothing else of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebFormChoice {
    /// Which records.
    pub filter: Filter,
    /// The field of theirs, a text, that is read and searched.
    pub show: Name,
}

/// `{"rule": "same_phone", "then": "append"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebFormDuplicate {
    /// A rule of the entity's `duplicates`.
    pub rule: Name,
    /// What one does; what the rule itself says where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<DuplicateThen>,
}

/// `{"per_hour": 30}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebFormLimit {
    /// How often one address may send this form in an hour.
    pub per_hour: u32,
}

/// `{"field": "phone"}`: the visitor enters what the record holds there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebFormVerify {
    /// A path of the record.
    pub field: String,
}

impl WebForm {
    /// The inputs in order: those of a new record, or what is edited of one that is there.
    #[must_use]
    pub fn inputs(&self) -> IndexMap<Name, WebFormField> {
        let names: Vec<&Name> = match self.on {
            FormOn::New => {
                let first = self.order.iter().flatten().filter(|name| self.fields.contains_key(*name));
                let rest = self.fields.keys().filter(|name| !self.order.iter().flatten().any(|there| there == *name));
                first.chain(rest).collect()
            }
            FormOn::Existing => self.edit.iter().collect(),
        };
        names.into_iter().map(|name| (name.clone(), self.fields.get(name).cloned().unwrap_or_default())).collect()
    }
}
