//! In charge of what runs, as written: automations, conversions, approval flows, pools, working time, exchange, scenarios.
//! Invariant: steps have one shape wherever they stand; what a verb means is the business of the floors above.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::doc::{Condition, ValueSpec};
use crate::label::Label;
use crate::name::Name;

/// When it runs; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunWhen {
    /// Inside the transaction.
    Before,
    /// As a durable job after it.
    #[default]
    After,
}

/// With whose rights; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunAs {
    /// The person's who triggered it.
    User,
    /// All.
    System,
}

/// When, if, then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Automation {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What sets it off.
    pub on: Map<String, Json>,
    /// When.
    #[serde(default)]
    pub run: RunWhen,
    /// Under which condition.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// With whose rights.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// Whether it is switched off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// The steps.
    #[serde(default)]
    pub steps: IndexMap<Name, Step>,
    /// The top steps, in order.
    #[serde(default)]
    pub root: Vec<Name>,
}

/// One step: its kind, and the kind's own settings beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// `create`, `update`, `find`, `assign`, `mail`, `wait`, `branch`, `script`, ….
    pub kind: String,
    /// The kind's settings.
    #[serde(flatten)]
    pub settings: Map<String, Json>,
}

/// One record becomes others: made, or found where they are there already, in one transaction with the caller's rights.
/// Values that a document gives are set also where the caller may not set the field, but never show what the caller may not
/// read: where the caller reads the field, they are made from what the caller sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// The entity that is converted.
    pub from: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Which records may be.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Whether a page asks first, with a preview and the values; it asks anyhow where something is missing or not decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// How often a record is converted; once where absent. What was converted counts as long as something that it made is
    /// not in the bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// What is made.
    pub targets: IndexMap<Name, ConversionTarget>,
    /// In which order; as written where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Name>>,
    /// What goes along to the first target that is not left out: `activities`, `notes`, `files`, `tasks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carry: Vec<String>,
    /// What happens to the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AfterConversion>,
}

/// What happens to a record that was converted; whoever converts it must be allowed to change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AfterConversion {
    /// The stage that it moves to, also where no move of the pipeline leads there.
    #[serde(rename = "move")]
    pub moves: Name,
}

/// How often a record is converted; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Once.
    #[default]
    Once,
    /// Again, for what is left: of each line no more than a number that an `expr` makes from a roll-up of the line (as
    /// `line.quantity - line.ordered`), and none that `skip_if` leaves out; without `skip_if` each line once.
    Remainder,
    /// As often as wanted.
    Always,
}

/// One record that a conversion makes or finds. The first key whose values are all set and that finds exactly one record in
/// the caller's sight is a match; it gets values where it has none. A key that finds several is for the caller to decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionTarget {
    /// Its entity.
    pub entity: String,
    /// Whether it may be left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Keys by which a record that is there already is found.
    #[serde(rename = "match", default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Vec<Name>>,
    /// Its values.
    #[serde(default)]
    pub values: IndexMap<Name, ValueSpec>,
    /// Its lines, by lines field: one for each line or record of `from`, with the fields of the same name and kind and with
    /// `values`, in which `line` is what it is made from and `from` begins at the line where that has such a field, else at the
    /// record; but those that `skip_if` leaves out.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub lines: IndexMap<Name, ValueSpec>,
}

/// Working time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// An IANA time zone.
    pub zone: String,
    /// Periods by day: `mon` to `sun`.
    pub week: IndexMap<Name, Vec<[String; 2]>>,
    /// A set of holidays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holidays: Option<Name>,
    /// Periods of a make-up day; Monday's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make_up: Option<Vec<[String; 2]>>,
}

/// Holidays and make-up days of a year.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holidays {
    /// The set that it belongs to.
    pub set: Name,
    /// The year.
    pub year: u16,
    /// Days without work.
    pub holidays: Vec<chrono::NaiveDate>,
    /// Days at the weekend with work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub make_up: Vec<chrono::NaiveDate>,
}

/// Exchange with another system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// The system's name.
    pub system: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The way.
    pub via: Json,
    /// Tables of codes.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub codes: IndexMap<Name, Json>,
    /// What is exchanged.
    #[serde(default)]
    pub maps: IndexMap<Name, Json>,
}

/// What an import does with rows; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportMode {
    /// Every row is a new record.
    Create,
    /// Every row changes a record found by the key.
    Update,
    /// The one or the other; where there is no key, as `create`.
    #[default]
    Upsert,
}

/// What an empty cell does; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmptyCell {
    /// The value stays.
    #[default]
    Keep,
    /// The value is emptied.
    Clear,
}

/// What becomes of rows that may be there already; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportDuplicates {
    /// They are refused with the reason, so that a person looks at them.
    #[default]
    Ask,
    /// They are taken; the timeline of each says what it is like.
    Accept,
}

/// How a file is read into records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Import {
    /// The entity, bare or qualified.
    pub entity: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The fields that find a record that is there already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<Name>,
    /// What rows do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ImportMode>,
    /// What an empty cell does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<EmptyCell>,
    /// Values by field; header = field where absent.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub values: IndexMap<Name, ValueSpec>,
    /// The encoding, or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The character between cells; found out where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The sheet; the first where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The row of the headers, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_row: Option<u32>,
    /// The character before decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<String>,
    /// What becomes of rows that may be there already by a rule of the entity's `duplicates`; `ask` where absent. A rule that
    /// blocks refuses them in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<ImportDuplicates>,
    /// Which rows count, an expression over `row`.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Several files of one import.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Import>,
}

/// An acceptance test of an app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<chrono::DateTime<chrono::FixedOffset>>,
    /// The people.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub users: IndexMap<Name, Map<String, Json>>,
    /// The departments.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub departments: IndexMap<Name, ScenarioDepartment>,
    /// Settings that differ from their defaults.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Json>,
    /// What happens; each step has one verb.
    pub steps: Vec<Map<String, Json>>,
}

/// A department of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioDepartment {
    /// The department above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// The person who heads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Name>,
}
