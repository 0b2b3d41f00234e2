//! In charge of the documents that an admin writes: one Rust type per kind.
//! Invariant: unknown keys are refused; canonical output of a document read is the same for the same meaning.

mod app;
pub mod approval;
mod approver;
mod clock;
mod entity;
mod field;
pub mod folders;
mod pipeline;
mod pool;
mod presentation;
mod process;
mod role;
pub mod step;
mod value_spec;
mod web_form;

pub use app::{App, AppInfo, Demo, DemoFile, FORMAT, MenuItem, OnUpgrade, Package, Seed, TodayItem};
pub use approval::Approval;
pub use clock::{Clock, ClockLimit, RestartOn, RestartOnActivity, RestartOnChanged, RestartOnCreated, SpanIn, TimeSpan};
pub use entity::{DepartmentMode, Entity, MemberRight, OwnerMode, Rule, UniqueKey};
pub use field::{COMMON_KEYS, ChoiceOption, Condition, Field, FieldCommon, Fill, FillFind, FillFrom, FindOne};
pub use pipeline::{ChecklistItem, ConditionalRequirement, Next, Pipeline, Requirement, Stage, StageKind, Transition};
pub use pool::{ClaimLimits, Pool, PoolDepartment, PoolPeople, PoolRole, PoolSight, PoolUser, Protect, Recycle, Release, ReleaseReason};
pub use presentation::{
    ColourRule, Columns, Dashboard, Form, FormItem, FormPurpose, InsertItems, ItemKind, MessageTemplate, OptionList, Paper, Place, Print, View,
    ViewColumn, ViewKind, Widget,
};
pub use process::{
    AfterConversion, Automation, Calendar, Connector, Conversion, ConversionTarget, EmptyCell, Holidays, Import, ImportDuplicates, ImportMode,
    Repeat, RunAs, RunWhen, Scenario, ScenarioDepartment, Step,
};
pub use role::{
    Allowed, DesignRight, DesignWord, EntityRights, FieldAccess, FieldRule, FilterScope, Needs, Role, Scope, ScopeWord, ScopedAccess, ThroughScope,
};
pub use value_spec::{FindBy, IfMissing, ValueRule, ValueSpec};
pub use web_form::{DuplicateThen, FormOn, WebForm, WebFormChoice, WebFormDuplicate, WebFormField, WebFormLimit, WebFormVerify};
