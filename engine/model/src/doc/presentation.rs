//! In charge of what people look at, as written: option lists, forms, views, dashboards, texts and papers.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::doc::{ChoiceOption, Condition, ValueSpec};
use crate::filter::Filter;
use crate::label::Label;
use crate::name::Name;

/// An option list shared by several fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptionList {
    /// The qualified list of another app that this document adds to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The options.
    pub options: IndexMap<Name, ChoiceOption>,
    /// Their order; as written where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Name>>,
    /// The roles that add options without a publish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edit: Vec<String>,
}

impl OptionList {
    /// The options in order.
    #[must_use]
    pub fn in_order(&self) -> IndexMap<Name, ChoiceOption> {
        let mut names: Vec<&Name> = self.order.iter().flatten().filter(|name| self.options.contains_key(*name)).collect();
        let rest: Vec<&Name> = self.options.keys().filter(|name| !names.contains(name)).collect();
        names.extend(rest);
        names.into_iter().map(|name| (name.clone(), self.options[name].clone())).collect()
    }
}

/// What a form is for; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormPurpose {
    /// Everything.
    #[default]
    Full,
    /// The few fields of quick entry.
    Quick,
    /// A small screen.
    Mobile,
    /// Visitors.
    Public,
}

/// A form: a flat map of items and the order of its top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The entity, bare or qualified.
    pub entity: String,
    /// The form of another app that this one adds to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What it is for.
    #[serde(default)]
    pub purpose: FormPurpose,
    /// The records that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// The roles that use it; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The items; a child that is not here is the field of that name.
    #[serde(default)]
    pub items: IndexMap<Name, FormItem>,
    /// The top items, in order.
    #[serde(default)]
    pub root: Vec<Name>,
    /// Where an extension puts its items.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub into: IndexMap<Name, InsertItems>,
}

/// `{"add": ["erp_code"], "after": "name"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InsertItems {
    /// What is added.
    pub add: Vec<Name>,
    /// Behind which child; last where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Name>,
}

/// What an item of a form is; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A page of the form.
    Tab,
    /// A block of columns.
    Section,
    /// An input.
    #[default]
    Field,
    /// Rows of lines.
    Lines,
    /// Related records.
    Related,
    /// A text to read.
    Text,
    /// A button.
    Button,
    /// Empty space.
    Spacer,
}

/// An item of a form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FormItem {
    /// What it is; a field where absent.
    pub kind: ItemKind,
    /// What people see above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// A line of help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Label>,
    /// Columns of a section (1 to 4), or the shown fields of lines and related records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// What stands in it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Name>,
    /// The field of an input or of lines; the item's name where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Name>,
    /// The relation of related records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inverse: Option<Name>,
    /// The text to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Label>,
    /// The automation of a button.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub button: Option<Name>,
    /// How many columns wide, or `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<Json>,
    /// The fields that are summed below lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<Name>,
    /// The reference by which many lines or related records are added at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_by: Option<Name>,
    /// Which related records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Whether it begins closed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub collapsed: bool,
    /// When it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_if: Option<Condition>,
    /// When it must be filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_if: Option<Condition>,
    /// When it may not be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_if: Option<Condition>,
}

/// A number of columns, or the fields that are the columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Columns {
    /// How many.
    Count(u8),
    /// Which.
    Fields(Vec<String>),
}

/// How a view shows records; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    /// Rows and columns.
    #[default]
    Table,
    /// Cards in columns.
    Board,
    /// Days.
    Calendar,
    /// Bars over time.
    Timeline,
    /// Pictures.
    Gallery,
}

/// A view of an entity's records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The entity, bare or qualified.
    pub entity: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// An icon of the sprite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// How records are shown.
    #[serde(default)]
    pub kind: ViewKind,
    /// Which records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// `-amount`, `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    /// The columns by path.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub columns: IndexMap<String, ViewColumn>,
    /// Their order; as written where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<String>>,
    /// The field of a board's columns, or of a table's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The field of a board's lanes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<String>,
    /// The fields on a card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub card: Vec<String>,
    /// What is computed below columns: `sum`, `average`, ….
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub totals: IndexMap<String, String>,
    /// Colours by condition, the first that holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub colours: Vec<ColourRule>,
    /// Fields offered as filters at the top.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quick_filters: Vec<String>,
    /// Rows on a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u16>,
    /// The field where a calendar's entry begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Name>,
    /// The field where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Name>,
    /// The reference whose records are a timeline's rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Name>,
    /// The field that gives the colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Name>,
    /// The length of a calendar's slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The picture of a gallery's card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
    /// The roles that see it; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ViewColumn {
    /// In pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// What people see; the field's label where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Whether it stays when the table scrolls.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

/// A colour for the records of a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColourRule {
    /// The records.
    #[serde(rename = "if")]
    pub condition: Condition,
    /// A colour of the palette.
    pub color: String,
}

/// A grid of widgets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The widgets.
    pub widgets: IndexMap<Name, Widget>,
    /// Their order on a small screen; as written where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Name>>,
    /// The roles that see it; all where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// One widget: a query and how it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Widget {
    /// `number`, `trend`, `bar`, `line`, `pie`, `funnel`, `table`, `gauge`, `heatmap`, `pivot`, `forecast`, `quality`, `adoption`.
    pub kind: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Which records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Json>,
    /// What is computed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Json>,
    /// Several entities side by side.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub series: IndexMap<Name, Json>,
    /// Expressions over the series.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub calc: IndexMap<Name, String>,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<Json>,
    /// Groups and measures to sort by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    /// The most groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Its place on the grid of 12 columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

/// A place on the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// From the left, 0 to 11.
    pub x: u8,
    /// From the top.
    pub y: u16,
    /// Columns wide.
    pub w: u8,
    /// Rows high.
    pub h: u16,
}

/// The text of a mail or notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageTemplate {
    /// The subject, a text template per locale.
    pub subject: Label,
    /// The body, a text template per locale.
    pub body: Label,
}

/// A generated paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Print {
    /// The entity, bare or qualified.
    pub entity: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The file in `prints/`: HTML, as it stands between the tags of a body.
    pub template: String,
    /// What that file holds, put in where an app is compiled.
    #[serde(skip)]
    pub body: String,
    /// The language; the reader's where absent or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<ValueSpec>,
    /// The paper; A4 with margins of 15 mm where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Paper>,
    /// The name of the file, without its ending; the record's title where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<ValueSpec>,
    /// The records that it is for.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// A sheet of paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// `A3`, `A4`, `A5`, `B4`, `B5`, `letter`, `legal`, or both sides: `241mm 140mm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// One to four, from the top on: `15mm`, `20mm 15mm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<String>,
    /// `portrait` or `landscape`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<String>,
}
