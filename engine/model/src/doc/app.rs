//! In charge of an app as one document: maps of definitions by name.
//! Invariant: a folder of files is this document split; the pointers of both are the same.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::doc::{
    Approval, Automation, Calendar, Connector, Conversion, Dashboard, Entity, Field, Form, Holidays, Import, MessageTemplate, OptionList, Pipeline,
    Pool, Print, Role, Scenario, View, WebForm,
};
use crate::label::Label;
use crate::name::Name;

/// The newest version of the format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// An app: everything that an admin, a consultant or the designer writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// `app.json`.
    pub app: AppInfo,
    /// Record types; a qualified name extends another app's.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub entities: IndexMap<String, Entity>,
    /// Option lists shared by several fields.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub options: IndexMap<Name, OptionList>,
    /// Forms.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub forms: IndexMap<Name, Form>,
    /// Views.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub views: IndexMap<Name, View>,
    /// Pipelines.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub pipelines: IndexMap<Name, Pipeline>,
    /// Approval flows.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub approvals: IndexMap<Name, Approval>,
    /// Automations.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub automations: IndexMap<Name, Automation>,
    /// Texts of mails and notices.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub templates: IndexMap<Name, MessageTemplate>,
    /// Rhai scripts, as their text.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub scripts: IndexMap<Name, String>,
    /// Conversions.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub conversions: IndexMap<Name, Conversion>,
    /// Roles.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub roles: IndexMap<Name, Role>,
    /// Dashboards.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub dashboards: IndexMap<Name, Dashboard>,
    /// Generated papers.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub prints: IndexMap<Name, Print>,
    /// Public forms.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub web_forms: IndexMap<Name, WebForm>,
    /// Public pools.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub pools: IndexMap<Name, Pool>,
    /// Working time.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub calendars: IndexMap<Name, Calendar>,
    /// Holidays by year.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub holidays: IndexMap<Name, Holidays>,
    /// Saved mappings of files.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub imports: IndexMap<Name, Import>,
    /// Exchange with other systems.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub connectors: IndexMap<Name, Connector>,
    /// Translations: by locale, by pointer.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub locales: IndexMap<String, IndexMap<String, String>>,
    /// The app's own acceptance tests.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub scenarios: IndexMap<Name, Scenario>,
}

/// `app.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AppInfo {
    /// The app's name.
    pub name: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What it is for, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Label>,
    /// An icon of the sprite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Its own version, `1.0.0`.
    pub version: String,
    /// The version of the format; the newest where absent.
    #[serde(default = "newest_format")]
    pub format: u32,
    /// Apps that it builds on: name to version range.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub requires: IndexMap<Name, String>,
    /// The locales that it is translated into.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locales: Vec<String>,
    /// ISO 4217 code of money without a currency of its own; USD where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Settings that an admin changes without a publish; typed like fields.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub settings: IndexMap<Name, Field>,
    /// Entries of the menu.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub menu: IndexMap<Name, MenuItem>,
    /// The menu's top entries, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub root: Vec<String>,
    /// The first page by role.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub home: IndexMap<Name, String>,
    /// What stands on the page of the day.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub today: IndexMap<Name, TodayItem>,
    /// How seed files are loaded and upgraded, by file name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub seed: IndexMap<Name, Seed>,
    /// What a demonstration loads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<Demo>,
}

fn newest_format() -> u32 {
    FORMAT
}

/// An entry of the menu: a group with children (`view:deals`, `dashboard:team`, `entity:deal`, other groups).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MenuItem {
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// An icon of the sprite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// What it opens, where it is no group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What stands below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// The roles that see it; all where absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// One list of the page of the day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TodayItem {
    /// The view whose records are shown.
    pub view: Name,
    /// The field that says which day.
    pub date: Name,
    /// What ticking off does, `{"move": "arrived"}` or `{"set": {…}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Json>,
}

/// How rows that belong to the app are loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The fields that tell rows apart.
    pub key: Vec<Name>,
    /// What an upgrade does to rows that the customer changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_upgrade: Option<OnUpgrade>,
}

/// What an upgrade does to seed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUpgrade {
    /// Changed rows stay.
    KeepEdits,
    /// Rows become as the app says.
    Overwrite,
    /// Nothing is loaded again.
    Skip,
}

/// What a demonstration loads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Demo {
    /// The day that the rows were made for; their dates are shifted from it to the day of loading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today_is: Option<chrono::NaiveDate>,
    /// The files, in order.
    pub load: Vec<DemoFile>,
}

/// One file of a demonstration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemoFile {
    /// The file in `demo/`.
    pub file: String,
    /// The import document that reads it.
    pub import: Name,
}

/// An app with the files that are no documents: seeds, demo rows, templates of papers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Package {
    /// The documents.
    pub app: App,
    /// Other files by path within the folder, such as `demo/accounts.csv`.
    pub files: BTreeMap<String, Vec<u8>>,
}
