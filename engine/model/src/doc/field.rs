//! In charge of a field as written: what every field takes, and its kind's own settings beside it.
//! Invariant: a key that no common key names is a setting of the kind, checked by the kind's schema.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::doc::ValueSpec;
use crate::filter::Filter;
use crate::label::Label;
use crate::name::Name;

/// A filter, or a one-line expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Condition {
    /// One line of Rhai that gives true or false.
    Expression(String),
    /// A filter, evaluated on one record.
    Filter(Filter),
}

/// One option of a choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChoiceOption {
    /// What people see; the name where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// A colour of the palette.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// The options of the field named by `depends_on` that this one is for; any where absent.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_options: Option<Vec<Name>>,
    /// No longer offered, still readable.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

/// Copies a value when something else is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Fill {
    /// From a path over a reference.
    From(FillFrom),
    /// From the first record that a query finds.
    Find(FillFind),
}

impl Fill {
    /// Whether a value that a person changed stays.
    #[must_use]
    pub fn keeps_edits(&self) -> bool {
        match self {
            Self::From(from) => from.keep_edits,
            Self::Find(find) => find.keep_edits,
        }
    }
}

/// `{"from": "product.list_price", "when": ["product"], "keep_edits": true}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillFrom {
    /// The path.
    pub from: String,
    /// The fields whose change fills again; the path's first field where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Name>,
    /// Whether a value that a person changed stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_edits: bool,
}

/// `{"find": {...}, "when": [...]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillFind {
    /// The query.
    pub find: FindOne,
    /// The fields whose change fills again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Name>,
    /// Whether a value that a person changed stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_edits: bool,
}

/// A query for one record's one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindOne {
    /// The entity.
    pub entity: String,
    /// Which records; `$record.<field>` stands for the record being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Which comes first, `-min_quantity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// The field that is taken.
    pub take: Name,
}

/// A field as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// The kind's word.
    pub kind: String,
    /// What every field takes.
    pub common: FieldCommon,
    /// The kind's own settings.
    pub settings: Map<String, Json>,
}

/// What every field takes beside its kind's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FieldCommon {
    /// What people see; the name where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// A line of help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Label>,
    /// Shown in an empty input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<Label>,
    /// Must be filled.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// No two live records have the same value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// The value of a new record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<ValueSpec>,
    /// Never written from outside.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Found by search.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub search: bool,
    /// Masked unless the role may unmask.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Encrypted at rest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// A computed value whose changes are history lines.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub track: bool,
    /// The connector that alone may write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Quality checks by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<String>,
    /// When it is there; a hidden field keeps its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_if: Option<Condition>,
    /// When it must be filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_if: Option<Condition>,
    /// When it may not be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_if: Option<Condition>,
    /// Copies a value from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<Fill>,
}

/// The keys of [`FieldCommon`], and so not settings of a kind.
pub const COMMON_KEYS: [&str; 19] = [
    "label",
    "help",
    "placeholder",
    "required",
    "unique",
    "default",
    "read_only",
    "search",
    "sensitive",
    "encrypted",
    "track",
    "source",
    "quality",
    "show_if",
    "required_if",
    "read_only_if",
    "fill",
    "kind",
    "name",
];

impl Field {
    /// A field of `kind` with default settings.
    #[must_use]
    pub fn of_kind(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// What people see in `locale`, or the name.
    #[must_use]
    pub fn label<'a>(&'a self, name: &'a str, locale: &str) -> &'a str {
        self.common.label.as_ref().map_or(name, |label| label.get(locale))
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map: IndexMap<&str, Json> = IndexMap::new();
        map.insert("kind", self.kind.clone().into());
        let common = serde_json::to_value(&self.common).map_err(serde::ser::Error::custom)?;
        let common = common.as_object().cloned().unwrap_or_default();
        for (key, value) in &self.settings {
            map.insert(key, value.clone());
        }
        for (key, value) in &common {
            map.insert(key, value.clone());
        }
        map.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map: Map<String, Json> = Map::deserialize(deserializer)?;
        let kind = match map.shift_remove("kind") {
            Some(Json::String(kind)) => kind,
            _ => return Err(serde::de::Error::custom("a field needs a kind")),
        };
        map.shift_remove("name");
        let (common, settings): (Map<_, _>, Map<_, _>) = map.into_iter().partition(|(key, _)| COMMON_KEYS.contains(&key.as_str()));
        let common = serde_json::from_value(Json::Object(common)).map_err(serde::de::Error::custom)?;
        Ok(Self { kind, common, settings })
    }
}

impl JsonSchema for Field {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Field".into()
    }

    /// The common keys, and for each kind its own settings.
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let common = FieldCommon::json_schema(generator);
        let mut properties = common.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
        let names: Vec<&str> = crate::field::KINDS.iter().map(|kind| kind.name()).collect();
        properties.insert("kind".to_owned(), serde_json::json!({"enum": names}));
        properties.insert("name".to_owned(), serde_json::json!({"type": "string"}));
        let kinds: Vec<Json> = crate::field::KINDS
            .iter()
            .map(|kind| {
                let mut settings = kind.settings_schema(generator);
                settings.remove("additionalProperties");
                settings.remove("title");
                serde_json::json!({"if": {"required": ["kind"], "properties": {"kind": {"const": kind.name()}}}, "then": settings})
            })
            .collect();
        schemars::json_schema!({
            "type": "object",
            "description": "A field: its kind, what every field takes, and the kind's own settings.",
            "required": ["kind"],
            "properties": properties,
            "allOf": kinds,
            "unevaluatedProperties": false
        })
    }
}
