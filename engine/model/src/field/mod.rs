//! In charge of field kinds: what a kind is, and the list of all of them.
//! Reading order: `FieldKind` (a kind), `Compiled` (one field of it, its settings read), `TypedField` (its values).
//! Invariant: adding a kind is one file here and one line in `KINDS`; nothing above names a kind.
//! Invariant: `accept` then `write_json` gives the value that was sent, normalised.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;

use crate::doc::{ChoiceOption, Field};
use crate::fault::{Code, Diagnostic};
use crate::filter::{Filter, Op};
use crate::input::Input;
use crate::message::Message;
use crate::name::Name;
use crate::value::{Storage, Value};

pub mod currency;
pub mod documents;
pub mod lists;
pub mod localised_text;
pub mod number;
pub mod options;
pub mod phone_number;
pub mod places;
pub mod references;
pub mod scalar;
pub mod sealed;
pub mod stored_file;
pub mod text_settings;

mod address;
mod any_reference;
mod autonumber;
mod barcode;
mod boolean;
mod choice;
mod choices;
mod color;
mod date;
mod datetime;
mod decimal;
mod duration;
mod email;
mod file;
mod files;
mod formula;
mod geo;
mod image;
mod integer;
mod json;
mod lines;
mod long_text;
mod lookup;
mod money;
mod percent;
mod phone;
mod rating;
mod reference;
mod references_kind;
mod region;
mod rich_text;
mod rollup;
mod secret;
mod signature;
mod stage;
mod tags;
mod text;
mod time;
mod url;

/// Every field kind; the order is that of the designer's palette.
pub static KINDS: &[&dyn FieldKind] = &[
    &text::Text,
    &long_text::LongText,
    &rich_text::RichText,
    &integer::Integer,
    &decimal::DecimalKind,
    &percent::Percent,
    &rating::Rating,
    &money::Money,
    &boolean::Boolean,
    &date::Date,
    &datetime::Datetime,
    &time::Time,
    &duration::Duration,
    &choice::Choice,
    &choices::Choices,
    &tags::Tags,
    &stage::Stage,
    &reference::Reference,
    &references_kind::References,
    &any_reference::AnyReference,
    &lines::Lines,
    &email::Email,
    &phone::Phone,
    &url::UrlKind,
    &address::Address,
    &region::Region,
    &geo::Geo,
    &file::File,
    &files::Files,
    &image::Image,
    &signature::Signature,
    &autonumber::Autonumber,
    &formula::Formula,
    &lookup::Lookup,
    &rollup::Rollup,
    &json::JsonKind,
    &secret::Secret,
    &color::Color,
    &barcode::Barcode,
];

/// The kind called `name`.
#[must_use]
pub fn kind(name: &str) -> Option<&'static dyn FieldKind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// The palette's groups; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "headings of the palette, named for what they hold")]
pub enum Group {
    Text,
    Number,
    Date,
    Choice,
    Relation,
    Contact,
    File,
    Computed,
    Other,
}

/// One kind of field, as `{"kind": "text"}` names it.
pub trait FieldKind: Sync {
    /// The word in documents.
    fn name(&self) -> &'static str;
    /// Where the palette shows it.
    fn group(&self) -> Group;
    /// The icon's name in the sprite.
    fn icon(&self) -> &'static str;
    /// JSON Schema of the kind's own settings (an object schema, `additionalProperties: false`).
    fn settings_schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
    /// Reads the settings of one field.
    ///
    /// # Errors
    /// Every fault of the settings; pointers are relative to the field's document.
    fn compile(&self, field: &Field, cx: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>>;
}

/// What a kind may look up while its settings are read.
pub struct CompileContext<'a> {
    /// The app's currency, an ISO 4217 code.
    pub currency: &'a str,
    /// Shared option lists of the app, by name.
    pub options: &'a dyn Fn(&str) -> Option<IndexMap<Name, ChoiceOption>>,
    /// The stages of a pipeline of the app as options, in order (retired ones marked), by the pipeline's name.
    pub stages: &'a dyn Fn(&str) -> Option<IndexMap<Name, ChoiceOption>>,
}

/// A field whose settings were read.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the field is to the rest of the engine.
    pub role: Role,
    /// Where its values take their type from.
    pub shape: Shape,
}

impl Compiled {
    /// A field that only holds values.
    #[must_use]
    pub fn plain(typed: impl TypedField + 'static) -> Self {
        Self { role: Role::Plain, shape: Shape::Own(Arc::new(typed)) }
    }
}

/// Where the type of a field's values comes from; closed.
#[derive(Clone, Debug)]
pub enum Shape {
    /// From the kind itself.
    Own(Arc<dyn TypedField>),
    /// As a field of another kind with these settings (a formula's result).
    Like(Box<Field>),
    /// As the field at the end of a path (a lookup).
    Path(String),
    /// As a roll-up's source and function say.
    Rollup,
    /// No cells of its own (lines).
    Nothing,
}

/// What happens to a reference when its target is deleted; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The target cannot be deleted while it is referred to.
    Restrict,
    /// The reference becomes empty.
    #[default]
    Clear,
    /// The referring record is deleted too.
    Cascade,
}

/// What a reference points at, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceSpec {
    /// The target entity, bare within its app or qualified.
    pub to: String,
    /// What the deletion of the target does.
    pub on_delete: OnDelete,
    /// The name of the other side on the target.
    pub inverse: Option<Name>,
    /// What may be chosen.
    pub filter: Option<Filter>,
    /// Whether the filter binds every channel, or only what a person sets.
    pub strict: bool,
    /// Whether this is the parent in a tree of the same entity.
    pub tree: bool,
}

/// A roll-up's function; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the function that its name says")]
pub enum RollupFn {
    Count,
    Sum,
    Min,
    Max,
    Average,
    First,
    Last,
    Distinct,
}

/// A roll-up, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct RollupSpec {
    /// The inverse or the lines that are rolled up.
    pub of: Name,
    /// The function.
    pub function: RollupFn,
    /// The field of the related entity; absent only for `count`.
    pub field: Option<Name>,
    /// Which related records count.
    pub filter: Option<Filter>,
    /// Whether records below in the tree count too.
    pub below: bool,
    /// Digits behind the point of an average.
    pub scale: Option<u8>,
}

/// Where a money field's currency comes from; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Currency {
    /// This one, always.
    Fixed(String),
    /// Each value has its own.
    Any,
    /// From a path of the record.
    From(String),
}

/// What a field is to the rest of the engine; closed.
#[derive(Clone, Debug)]
pub enum Role {
    /// Holds a value.
    Plain,
    /// Money, with its currency and the date field of its rate.
    Money {
        /// The currency.
        currency: Currency,
        /// The date field whose day's rate counts; the day of the change where absent.
        rate_on: Option<Name>,
    },
    /// One of some options (their order is the order of sorting), or several.
    Choice {
        /// Several may be chosen.
        many: bool,
        /// The options, in order.
        options: Arc<IndexMap<Name, ChoiceOption>>,
        /// The field that an option's `for` is about.
        depends_on: Option<Name>,
    },
    /// A stage of a pipeline.
    Stage {
        /// The pipelines, by name.
        pipelines: Vec<Name>,
        /// The choice field that says which pipeline a record is in.
        by: Option<Name>,
    },
    /// One record of another entity.
    Reference(ReferenceSpec),
    /// Several records of another entity.
    References(ReferenceSpec),
    /// One record of any of these entities (empty: of any).
    AnyReference {
        /// The entities, as written.
        to: Vec<String>,
        /// What the deletion of the target does.
        on_delete: OnDelete,
        /// The name of the other side on each target.
        inverse: Option<Name>,
    },
    /// Rows that are part of this record.
    Lines {
        /// The line entity.
        of: String,
        /// Its reference to this record.
        by: Name,
        /// Least rows.
        min: Option<u32>,
        /// Most rows.
        max: Option<u32>,
    },
    /// A stored file, or several.
    Files {
        /// Several.
        many: bool,
        /// Only pictures.
        pictures: bool,
        /// The size of one, at most.
        most_bytes: Option<u64>,
        /// Taken with the camera where there is one.
        camera: bool,
    },
    /// A number given once.
    Autonumber {
        /// `HT-{yyyy}-{0000}`.
        pattern: String,
        /// When a number is given; always where absent.
        given_if: Option<crate::doc::Condition>,
        /// Whether gaps are forbidden.
        no_gaps: bool,
    },
    /// Computed by an expression.
    Formula {
        /// The expression.
        expression: String,
        /// When its value stays.
        frozen_if: Option<crate::doc::Condition>,
    },
    /// A formula of one path.
    Lookup {
        /// The path.
        path: String,
    },
    /// Computed over related records.
    Rollup(RollupSpec),
    /// Encrypted at rest and never read back.
    Secret,
}

/// What a column is for; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnUse {
    /// The value itself, or its first part: what filters and sorts look at.
    Value,
    /// A further part of the value (a currency, an amount in the base currency).
    Part,
    /// The folded text: equality, `contains` and uniqueness.
    Fold,
    /// The collation key: order.
    Sort,
}

/// One column of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// What is put behind the field's name, after two underscores; empty for the first.
    pub suffix: &'static str,
    /// What it holds.
    pub storage: Storage,
    /// What it is for.
    pub purpose: ColumnUse,
}

impl ColumnSpec {
    /// The one column of a simple kind.
    #[must_use]
    pub const fn value(storage: Storage) -> Self {
        Self { suffix: "", storage, purpose: ColumnUse::Value }
    }

    /// The further column `suffix`.
    #[must_use]
    pub const fn part(suffix: &'static str, storage: Storage) -> Self {
        Self { suffix, storage, purpose: ColumnUse::Part }
    }

    /// The folded twin of a text.
    pub const FOLD: Self = Self { suffix: "fold", storage: Storage::Text, purpose: ColumnUse::Fold };
    /// The collation key of a text.
    pub const SORT: Self = Self { suffix: "sort", storage: Storage::Bytes, purpose: ColumnUse::Sort };
}

/// What a filter may compare a field with; closed. It decides how an operand is read and bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparable {
    /// Not at all, but for `is_empty` and `is_set`.
    Nothing,
    /// By the value in its first cell.
    Scalar,
    /// By folded text.
    Folded,
    /// By membership of a list in its first cell.
    List,
}

/// What is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The stable word.
    pub code: Code,
    /// What a person reads.
    pub message: Message,
    /// A JSON Pointer within the value, empty for the whole.
    pub pointer: String,
}

impl Reject {
    /// The value as a whole is refused.
    #[must_use]
    pub fn new(code: Code, message: Message) -> Self {
        Self { code, message, pointer: String::new() }
    }

    /// The value is of the wrong JSON type; `expected` names the right one.
    #[must_use]
    pub fn wrong_type(expected: &str) -> Self {
        Self::new(Code::WrongType, Message::new("wrong_type").with("expected", expected))
    }

    /// The value does not look like `expected`.
    #[must_use]
    pub fn bad_format(expected: &str) -> Self {
        Self::new(Code::BadFormat, Message::new("bad_format").with("expected", expected))
    }
}

/// What a value may depend on while it is read.
pub struct AcceptContext<'a> {
    /// The time of the request.
    pub now: DateTime<Utc>,
    /// The text of another field of the same submission or record, by name (a phone's country, `depends_on`).
    pub sibling: &'a dyn Fn(&str) -> Option<String>,
}

/// What a value's text may depend on.
#[derive(Clone, Copy, Debug)]
pub struct TextContext<'a> {
    /// The reader's locale.
    pub locale: &'a str,
    /// The reader's time zone.
    pub zone: chrono_tz::Tz,
}

/// How numbers leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbers {
    /// As JSON numbers with the field's digits.
    #[default]
    Numbers,
    /// As strings.
    Strings,
}

/// The values of one field. `cells` are the field's own slice of a record, in the order of `columns`.
pub trait TypedField: fmt::Debug + Send + Sync {
    /// The columns, the value first.
    fn columns(&self) -> Vec<ColumnSpec>;

    /// Reads a value that was sent and is not `null`: the cells of its `Value` and `Part` columns, in order.
    /// `Fold` and `Sort` cells are made by the engine.
    ///
    /// # Errors
    /// Every fault of the value.
    fn accept(&self, input: &Input, cx: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>>;

    /// Writes the value as JSON; `Null` cells give `null`.
    fn write_json(&self, cells: &[Value], numbers: Numbers, out: &mut Vec<u8>);

    /// The operators that a filter may use.
    fn operators(&self) -> &'static [Op];

    /// How a filter compares.
    fn comparable(&self) -> Comparable {
        Comparable::Scalar
    }

    /// Reads one operand of a filter (one item of a list; one end of `between`).
    ///
    /// # Errors
    /// Why the operand does not fit.
    fn operand(&self, op: Op, input: &Input) -> Result<Value, Reject>;

    /// The text that people see, for titles, lists, mails and CSV.
    fn text(&self, cells: &[Value], cx: TextContext<'_>) -> String;

    /// Whether lists may be sorted by it.
    fn sortable(&self) -> bool {
        true
    }

    /// Whether it may be grouped by, and counted distinct.
    fn groupable(&self) -> bool {
        true
    }

    /// Where its values rest encrypted: what they are sealed for. They leave for those who may read them, never otherwise.
    fn sealed_for(&self) -> Option<&str> {
        None
    }

    /// JSON Schema of the value, for API clients.
    fn value_schema(&self) -> serde_json::Value;
}

/// Reads a kind's settings into their type.
///
/// # Errors
/// One diagnostic with what serde says; the JSON Schema check before it gives exact pointers.
pub fn read_settings<T: serde::de::DeserializeOwned>(field: &Field) -> Result<T, Vec<Diagnostic>> {
    serde_json::from_value(serde_json::Value::Object(field.settings.clone())).map_err(|error| vec![Diagnostic::error("", error.to_string())])
}
