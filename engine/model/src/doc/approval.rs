//! In charge of approval flows as written: who may start, who decides, and what happens when nobody does.
//! Reading order: `Approval` (the document), `FlowSettings`, `Approver`, `DecisionDoc` (`approve` and `handle`), then the
//! other kinds of steps.
//! Invariant: a step's settings stand beside its kind; `read` gives them their type, and tells what does not fit.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

pub use super::approver::{Approver, ApproverBy, Until, WhenShort, Within};
use super::step::PartSchema;
use super::{Condition, Step};
use crate::label::Label;
use crate::name::Name;

/// An approval flow: a tree of steps in a flat map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// The entity, bare or qualified.
    pub entity: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The steps.
    #[serde(default)]
    pub steps: IndexMap<Name, Step>,
    /// The top steps, in order.
    #[serde(default)]
    pub root: Vec<Name>,
    /// Start, policies and results.
    #[serde(flatten)]
    pub settings: Map<String, Json>,
}

/// The kinds of steps, each with the schema of its settings.
pub(crate) const STEPS: [(&str, PartSchema); 13] = [
    ("start", StartDoc::json_schema),
    ("approve", DecisionDoc::json_schema),
    ("handle", DecisionDoc::json_schema),
    ("cc", CopyDoc::json_schema),
    ("exclusive", SplitDoc::json_schema),
    ("parallel", SplitDoc::json_schema),
    ("inclusive", SplitDoc::json_schema),
    ("route", RouteDoc::json_schema),
    ("delay", DelayDoc::json_schema),
    ("action", ActionDoc::json_schema),
    ("subflow", SubflowDoc::json_schema),
    ("auto_approve", AutoDoc::json_schema),
    ("auto_reject", AutoDoc::json_schema),
];

/// What the system does within a flow; its steps are checked as those of automations are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ActionDoc {
    /// What people call it.
    pub label: Option<Label>,
    /// The steps.
    pub steps: IndexMap<Name, Step>,
    /// The top ones, in order.
    pub root: Vec<Name>,
}

/// Reads settings into their type.
///
/// # Errors
/// What does not fit, in words.
pub fn read<T: DeserializeOwned>(settings: &Map<String, Json>) -> Result<T, String> {
    serde_json::from_value(Json::Object(settings.clone())).map_err(|error| error.to_string())
}

/// The same of one key; the default where it is not there.
///
/// # Errors
/// What does not fit, in words.
pub fn read_key<T: DeserializeOwned + Default>(settings: &Map<String, Json>, key: &str) -> Result<T, String> {
    settings.get(key).map_or_else(|| Ok(T::default()), |json| serde_json::from_value(json.clone()).map_err(|error| error.to_string()))
}

/// Who may start a flow, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowStart {
    /// The roles that may; whoever may change the record where empty.
    pub by: Vec<String>,
    /// What must hold on the record.
    pub when: Option<Condition>,
    /// Whether it starts by itself when that becomes true.
    pub automatic: bool,
}

/// When an earlier approval of the same person counts again; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    /// Never.
    #[default]
    None,
    /// In the step directly before.
    Consecutive,
    /// In any step of the round.
    Global,
}

/// Until when the initiator may take the request back; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawRule {
    /// Until a person decided.
    #[default]
    BeforeFirstDecision,
    /// While it runs.
    AnyTimeRunning,
    /// Never.
    Never,
}

/// What a running flow does to changes of its record; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// Refuses them.
    #[default]
    Locked,
    /// Takes them.
    Editable,
    /// Takes them; one of a watched field starts the flow again.
    RestartOnChange,
}

/// The lock of a record under approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowLock {
    /// How.
    pub mode: LockMode,
    /// The fields that stay open.
    pub editable: Vec<String>,
    /// The fields that are locked; all where empty.
    pub fields: Vec<String>,
}

/// What holds for a flow as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowSettings {
    /// When an earlier approval counts again.
    pub dedupe: Dedupe,
    /// Until when the initiator may take it back.
    pub withdraw: WithdrawRule,
    /// How long after approval it may be revoked; never where absent.
    pub revoke_within: Option<String>,
    /// What must hold on the record for that.
    pub revoke_if: Option<Condition>,
    /// The lock of the record.
    pub lock: FlowLock,
    /// The fields whose change makes former votes count no longer.
    pub watched: Vec<String>,
    /// Who rules it.
    pub managers: Vec<Approver>,
    /// The pattern of its numbers.
    pub number: Option<String>,
    /// What names an instance.
    pub title: Option<String>,
    /// The fields that lists show.
    pub summary: Vec<String>,
    /// Whether several may be approved at once.
    pub bulk: Option<bool>,
    /// Whether a transfer needs words.
    pub transfer_opinion: bool,
}

/// How several decide; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// Everybody.
    #[default]
    All,
    /// One of them.
    Any,
    /// One after the other.
    Sequential,
    /// So many of a hundred.
    Percent {
        /// 1 to 100.
        percent: u32,
    },
    /// So many approvals, or so many rejections.
    Count {
        /// That pass it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approvals: Option<u32>,
        /// That reject it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rejections: Option<u32>,
    },
    /// So much weight.
    Weight {
        /// Of those who approve.
        weight: u32,
    },
    /// One of them, drawn by lot.
    Random,
    /// Whoever takes the task first.
    Claim,
}

/// When rejections count; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectCounts {
    /// The first decides.
    #[default]
    First,
    /// Once everybody has voted.
    WaitAll,
    /// Only where all reject.
    All,
}

/// What happens where nobody is found; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfEmpty {
    /// The step passes.
    Pass,
    /// The step rejects.
    Reject,
    /// The flow's managers decide, else administrators.
    #[default]
    ToAdmin,
    /// Those of `empty_users` decide.
    ToUsers,
    /// The head of the parent of the initiator's department decides.
    ToParentHead,
    /// It waits for an administrator.
    Suspend,
}

/// What happens where the initiator would decide; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfInitiator {
    /// They do.
    #[default]
    #[serde(rename = "self")]
    Oneself,
    /// They are left out.
    Skip,
    /// Their manager does.
    Manager,
    /// The head of their department does.
    DepartmentHead,
    /// They never do, on no way.
    Forbid,
}

/// Where a rejection leads; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The flow ends.
    #[default]
    End,
    /// Back to the initiator.
    ToInitiator,
    /// Back to the step before.
    ToPrevious,
    /// To a step.
    ToStep,
    /// Through steps of its own.
    Branch,
}

/// What follows a rejection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OnReject {
    /// Where it leads.
    pub then: Then,
    /// `to_step`: the step.
    pub step: Option<Name>,
    /// `branch`: the steps.
    pub steps: Vec<Name>,
}

/// How it goes on once what was returned comes back; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resubmit {
    /// Through all steps again.
    #[default]
    Replay,
    /// Straight to the one who returned it.
    Straight,
    /// As the one who returns it says.
    Ask,
}

/// Where a step may be returned to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReturnRule {
    /// `initiator`, `previous`, steps, `any_visited`.
    pub to: Vec<String>,
    /// How it goes on afterwards.
    pub resubmit: Resubmit,
}

/// What a deadline does; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutDo {
    /// Reminds the holder.
    Remind,
    /// Brings in the holder's manager.
    Escalate,
    /// Approves.
    Approve,
    /// Rejects.
    Reject,
    /// Hands it on.
    Transfer,
}

/// One deadline of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeout {
    /// After which span.
    pub after: String,
    /// Whose time counts: `natural`, or a calendar; the person's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// What it does.
    #[serde(rename = "do")]
    pub act: TimeoutDo,
    /// `remind`: how often; once where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// `escalate`: in the holder's place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// `transfer`: to whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Approver>,
}

/// What a step may do with a field; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskAccess {
    /// It is not there.
    Hidden,
    /// It is read.
    Read,
    /// It may be written.
    Write,
    /// It must be written.
    Required,
}

/// When a decision needs words; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpinionRule {
    /// Never.
    #[default]
    Never,
    /// A rejection and a return do.
    OnReject,
    /// Every one does.
    Always,
}

/// What a holder may do with a task beside deciding; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskAction {
    /// Hand it on.
    Transfer,
    /// Ask somebody's opinion.
    Delegate,
    /// Have others decide first.
    AddBefore,
    /// Have others decide afterwards.
    AddAfter,
    /// Have others decide at the same time.
    AddParallel,
}

/// A step at which people decide: `approve` and `handle`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionDoc {
    /// What people call it.
    #[serde(default)]
    pub label: Option<Label>,
    /// A word for those who decide.
    #[serde(default)]
    pub help: Option<Label>,
    /// Who.
    #[serde(default)]
    pub approvers: Vec<Approver>,
    /// How several decide.
    #[serde(default)]
    pub mode: Mode,
    /// When rejections count.
    #[serde(default)]
    pub reject_counts: RejectCounts,
    /// Where nobody is found.
    #[serde(default)]
    pub if_empty: IfEmpty,
    /// `to_users`: who then.
    #[serde(default)]
    pub empty_users: Vec<Approver>,
    /// Where the initiator would decide.
    #[serde(default)]
    pub if_initiator: IfInitiator,
    /// What follows a rejection.
    #[serde(default)]
    pub on_reject: OnReject,
    /// Where it may be returned to.
    #[serde(default, rename = "return")]
    pub back: ReturnRule,
    /// Deadlines.
    #[serde(default)]
    pub timeouts: Vec<Timeout>,
    /// What may be done with fields.
    #[serde(default)]
    pub fields: IndexMap<String, TaskAccess>,
    /// Whether the task gives rights beyond the role; yes where absent.
    #[serde(default)]
    pub grant: Option<bool>,
    /// When a decision needs words.
    #[serde(default)]
    pub opinion: OpinionRule,
    /// Whether it needs a signature.
    #[serde(default)]
    pub signature: bool,
    /// What the holder may do; everything where absent.
    #[serde(default)]
    pub actions: Option<Vec<TaskAction>>,
    /// Whether those who were added may add others.
    #[serde(default)]
    pub nested: bool,
}

/// The step of the initiator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartDoc {
    /// What people call it.
    pub label: Option<Label>,
    /// What the initiator may do with fields after a return.
    pub fields: IndexMap<String, TaskAccess>,
}

/// Those who are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CopyDoc {
    /// What people call it.
    pub label: Option<Label>,
    /// Who.
    pub to: Vec<Approver>,
    /// What they see.
    pub fields: IndexMap<String, TaskAccess>,
}

/// One way out of a split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BranchDoc {
    /// What people call it.
    pub label: Option<Label>,
    /// When it is taken.
    pub when: Option<Condition>,
    /// Whether it is taken where no other is.
    #[serde(rename = "default")]
    pub otherwise: bool,
    /// Its steps.
    pub steps: Vec<Name>,
}

/// A split: `exclusive`, `parallel`, `inclusive`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitDoc {
    /// What people call it.
    pub label: Option<Label>,
    /// The branches.
    pub branches: IndexMap<Name, BranchDoc>,
    /// Their order; as written where absent.
    pub order: Option<Vec<Name>>,
}

/// A jump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteDoc {
    /// What people call it.
    #[serde(default)]
    pub label: Option<Label>,
    /// Where to.
    pub to: Name,
    /// When; always where absent.
    #[serde(default)]
    pub when: Option<Condition>,
}

/// A pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DelayDoc {
    /// What people call it.
    pub label: Option<Label>,
    /// How long: a span, or `{"span", "calendar"}`.
    #[serde(rename = "for")]
    pub span: Option<Json>,
    /// Until when: a path to a date, or a date.
    pub until: Option<Json>,
}

/// Another flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubflowDoc {
    /// What people call it.
    #[serde(default)]
    pub label: Option<Label>,
    /// The flow.
    pub approval: Name,
    /// A path to its record, or to many; this record where absent or `record`.
    #[serde(default)]
    pub record: Option<String>,
    /// Whether this flow waits for it; yes where absent.
    #[serde(default)]
    pub wait: Option<bool>,
    /// What its rejection does here.
    #[serde(default)]
    pub on_reject: ChildRejected,
}

/// What a sub-flow's rejection does; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChildRejected {
    /// Rejects this flow, too.
    #[default]
    Reject,
    /// This flow goes on.
    Continue,
}

/// A step without people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AutoDoc {
    /// What people call it.
    pub label: Option<Label>,
    /// Why.
    pub reason: Option<Label>,
}
