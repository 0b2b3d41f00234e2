//! In charge of the settings of each kind of step of automations, and of what sets an automation off, as written.
//! Invariant: these are the keys that a step takes beside its kind, with the shapes of their values; what must be there, and which
//! names there are, `check::steps` says.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde_json::{Map, Value as Json};

use super::{Condition, RunAs, ValueSpec};
use crate::filter::Filter;
use crate::label::Label;
use crate::name::Name;

/// A schema by the kind of step.
pub(crate) type PartSchema = fn(&mut schemars::SchemaGenerator) -> schemars::Schema;

/// The kinds of steps, each with the schema of its settings.
pub(crate) const STEPS: [(&str, PartSchema); 17] = [
    ("create", CreateStep::json_schema),
    ("update", UpdateStep::json_schema),
    ("delete", PlainStep::json_schema),
    ("find", FindStep::json_schema),
    ("assign", AssignStep::json_schema),
    ("convert", ConvertStep::json_schema),
    ("move", MoveStep::json_schema),
    ("start_approval", StartApprovalStep::json_schema),
    ("mail", MessageStep::json_schema),
    ("notify", MessageStep::json_schema),
    ("webhook", WebhookStep::json_schema),
    ("link", LinkStep::json_schema),
    ("print", PrintStep::json_schema),
    ("branch", BranchStep::json_schema),
    ("for_each", ForEachStep::json_schema),
    ("wait", WaitStep::json_schema),
    ("script", ScriptStep::json_schema),
];

/// What every step takes.
#[derive(JsonSchema)]
pub struct CommonSettings {
    /// Under which condition it acts.
    #[serde(rename = "if")]
    pub condition: Option<Condition>,
    /// The record that it is about: a saved name, or a path over references.
    pub record: Option<String>,
    /// By what name later steps know what it gave.
    pub save: Option<String>,
    /// With whose rights.
    #[serde(rename = "as")]
    pub run_as: Option<RunAs>,
}

/// `delete`: nothing of its own.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlainStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
}

/// `create`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The entity, bare or qualified.
    pub entity: Option<String>,
    /// The values.
    pub values: Option<IndexMap<String, ValueSpec>>,
}

/// `update`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The values.
    pub values: Option<IndexMap<String, ValueSpec>>,
}

/// `find`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The entity, bare or qualified.
    pub entity: Option<String>,
    /// Which records; values may be made.
    pub filter: Option<Filter>,
    /// In which order; `-amount` falls.
    pub sort: Option<Vec<String>>,
    /// How many at most.
    pub limit: Option<u32>,
}

/// `assign`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The first that holds and leads to somebody.
    pub rules: Option<Vec<AssignRule>>,
    /// Who, whatever holds.
    pub to: Option<AssignTo>,
    /// Who where no rule holds.
    #[serde(rename = "else")]
    pub otherwise: Option<AssignTo>,
    /// How one of several is chosen.
    pub by: Option<AssignBy>,
    /// `weighted`: a number field of the person.
    pub weight: Option<String>,
    /// What counts as load.
    pub load: Option<Filter>,
}

/// One rule of `assign`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignRule {
    /// What the history of runs calls it.
    pub name: Option<String>,
    /// When it holds.
    #[serde(rename = "if")]
    pub condition: Option<Condition>,
    /// Who.
    pub to: Option<AssignTo>,
    /// How one of several is chosen.
    pub by: Option<AssignBy>,
    /// `weighted`: a number field of the person.
    pub weight: Option<String>,
    /// What counts as load.
    pub load: Option<Filter>,
}

/// How one of several people is chosen; closed.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssignBy {
    /// One after the other.
    RoundRobin,
    /// Who has the least.
    LeastLoaded,
    /// In proportion to a number of the person.
    Weighted,
}

/// Where a record goes.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum AssignTo {
    /// A pool, or people.
    Named(AssignPlace),
    /// A path to a person, an address, `$me`.
    Path(String),
    /// Several.
    Many(Vec<PersonSpec>),
}

/// A pool, or people.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignPlace {
    /// A pool.
    pub pool: Option<String>,
    /// Everybody with a role.
    pub role: Option<String>,
    /// Which of them.
    #[serde(rename = "where")]
    pub narrowed: Option<Filter>,
    /// A path to a person.
    pub from: Option<String>,
    /// A path to a person.
    pub user: Option<String>,
}

/// People of a message.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum PersonSpec {
    /// A path to a person, an address, `$me`.
    Path(String),
    /// Everybody with a role, or a path.
    Named(PersonPlace),
}

/// Everybody with a role, or a path to a person.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonPlace {
    /// Everybody with a role.
    pub role: Option<String>,
    /// Which of them.
    #[serde(rename = "where")]
    pub narrowed: Option<Filter>,
    /// A path to a person.
    pub from: Option<String>,
    /// A path to a person.
    pub user: Option<String>,
}

/// One, or several.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum People {
    /// One.
    One(PersonSpec),
    /// Several.
    Many(Vec<PersonSpec>),
}

/// `convert`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvertStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The conversion.
    pub conversion: Option<String>,
    /// Values in place of the document's, by target.
    pub values: Option<IndexMap<String, IndexMap<String, ValueSpec>>>,
    /// Which optional targets: a list, or a map of truths.
    pub targets: Option<ConvertTargets>,
}

/// Which targets.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum ConvertTargets {
    /// These.
    Names(Vec<String>),
    /// Each by its name.
    Map(IndexMap<String, bool>),
}

/// `move`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The stage.
    pub to: Option<String>,
    /// The stage field; the only one where absent.
    pub field: Option<Name>,
    /// Values that the move asks for.
    pub values: Option<IndexMap<String, ValueSpec>>,
}

/// `start_approval`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartApprovalStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The flow.
    pub approval: Option<String>,
}

/// `mail` and `notify`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// Who.
    pub to: Option<People>,
    /// Who where nobody is found.
    pub or_else: Option<People>,
    /// A text of `templates/`.
    pub template: Option<String>,
    /// The subject.
    pub subject: Option<Label>,
    /// The text.
    pub body: Option<Label>,
    /// What kind of notice it is.
    pub notice: Option<String>,
    /// Robots of chats by their kind.
    pub robots: Option<IndexMap<String, RobotSpec>>,
}

/// A robot of a chat.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum RobotSpec {
    /// Its address.
    Url(String),
    /// Its address and its secret.
    Signed(SignedRobot),
}

/// A robot with a secret.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedRobot {
    /// Its address.
    pub url: String,
    /// Its secret.
    pub secret: Option<String>,
}

/// `webhook`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// A connector whose address it calls.
    pub connector: Option<String>,
    /// Behind the connector's address.
    pub path: Option<String>,
    /// An address.
    pub url: Option<String>,
    /// `POST` where absent.
    pub method: Option<String>,
    /// Headers.
    pub headers: Option<IndexMap<String, String>>,
    /// What is sent.
    pub values: Option<Map<String, Json>>,
    /// The secret that it is signed with.
    pub sign: Option<String>,
}

/// `link`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The form.
    pub form: Option<String>,
}

/// `print`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrintStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The paper.
    pub print: Option<String>,
    /// The file field of the record that it goes into.
    pub field: Option<Name>,
}

/// `branch`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The ways.
    pub branches: Option<IndexMap<Name, BranchWay>>,
    /// Their order; as written where absent.
    pub order: Option<Vec<Name>>,
}

/// One way of `branch`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchWay {
    /// When it is gone.
    #[serde(rename = "if")]
    pub condition: Option<Condition>,
    /// The same.
    pub when: Option<Condition>,
    /// Its steps.
    pub children: Option<Vec<Name>>,
    /// The same.
    pub steps: Option<Vec<Name>>,
}

/// `for_each`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForEachStep {
    /// Under which condition it acts.
    #[serde(rename = "if")]
    pub condition: Option<Condition>,
    /// The record that it is about.
    pub record: Option<String>,
    /// By what name later steps know what it gave.
    pub save: Option<String>,
    /// What is gone through: what a step found, lines, or an expression.
    pub over: Option<Over>,
    /// By what name its steps know an item.
    #[serde(rename = "as")]
    pub item: Option<String>,
    /// Its steps.
    pub children: Option<Vec<Name>>,
}

/// What is gone through.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum Over {
    /// What a step found, or lines.
    Name(String),
    /// The items of a list.
    Made(OverExpression),
}

/// The items of what an expression gives.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverExpression {
    /// The expression.
    pub expr: String,
}

/// `wait`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// How long: a span, or `{"span", "calendar"}`.
    #[serde(rename = "for")]
    pub span: Option<super::TimeSpan>,
    /// Until when: a path to a date, a moment, or a value.
    pub until: Option<ValueSpec>,
    /// What makes it vain: an activity, or a condition.
    pub unless: Option<Unless>,
}

/// What makes a wait vain.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum Unless {
    /// An activity about the record.
    Activity(UnlessActivity),
    /// A condition.
    Condition(Condition),
}

/// An activity about the record.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlessActivity {
    /// Its kind, or `any`.
    pub activity: String,
    /// Since the trigger, or since the wait began.
    pub since: Option<Since>,
}

/// Since when; closed.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// Since the trigger.
    Trigger,
    /// Since the step began.
    Step,
}

/// `script`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptStep {
    /// What every step takes.
    #[serde(flatten)]
    pub common: CommonSettings,
    /// The script.
    pub script: Option<String>,
}

/// What sets an automation off: one thing, with its keys.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerDoc {
    /// Something happened to a record.
    pub record: Option<String>,
    /// A stage was entered or left.
    pub stage: Option<String>,
    /// An approval was decided.
    pub approval: Option<String>,
    /// A clock spoke.
    pub clock: Option<String>,
    /// By a cron line.
    pub schedule: Option<String>,
    /// Relative to a date field.
    pub date: Option<String>,
    /// Another system called.
    pub webhook: Option<String>,
    /// A public form was sent.
    pub form: Option<String>,
    /// A message came.
    pub message: Option<String>,
    /// A person pressed a button.
    pub button: Option<String>,
    /// The entity, bare or qualified.
    pub entity: Option<String>,
    /// The fields whose change counts.
    pub fields: Option<Vec<String>>,
    /// The stage.
    pub value: Option<String>,
    /// The stage field.
    pub field: Option<String>,
    /// The flow.
    pub flow: Option<String>,
    /// How it ended.
    pub result: Option<String>,
    /// At which moment of a clock, or at what time of the day.
    pub at: Option<String>,
    /// The zone of a cron line.
    pub zone: Option<String>,
    /// How long before the date.
    pub before: Option<super::TimeSpan>,
    /// How long after the date.
    pub after: Option<super::TimeSpan>,
    /// What the button says.
    pub label: Option<Label>,
    /// What it does.
    pub help: Option<Label>,
    /// Its icon.
    pub icon: Option<String>,
    /// When it is there.
    pub show_if: Option<Condition>,
    /// Whether it acts on many records.
    pub many: Option<bool>,
    /// What it asks.
    pub ask: Option<IndexMap<String, Json>>,
    /// For whom it is.
    pub roles: Option<Vec<String>>,
    /// Whether it asks again, or what it asks.
    pub confirm: Option<Json>,
}
