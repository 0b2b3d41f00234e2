//! In charge of the one shape of values everywhere: defaults, imports, automations, conversions, connectors.
//! Invariant: an object is a rule when it has one of the rule keys; any other JSON is itself.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use crate::doc::{Condition, Entity};

/// A value as written: itself, or how it is made.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueSpec {
    /// How it is made.
    Rule(Box<ValueRule>),
    /// Itself.
    Plain(Json),
}

/// What a look-up does when it finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfMissing {
    /// The row or step fails.
    #[default]
    Error,
    /// The value is empty.
    Empty,
    /// A record is created with just this value.
    Create,
    /// The row waits in a queue.
    Queue,
}

/// Looks a record up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindBy {
    /// The entity.
    pub entity: String,
    /// The field that must equal the value.
    pub by: String,
}

/// How a value is made. Order: `from` (or `text`, `expr`, `target`), `split`, `map`, `scale` or `format`, `find`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValueRule {
    /// A path of the record, or a column of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A text template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// An expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// The record that another target of a conversion became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The character that separates several values in one cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// A table of corrections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<serde_json::Map<String, Json>>,
    /// What a value that `map` lacks becomes; an error where absent.
    #[serde(rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Box<ValueSpec>>,
    /// A factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Json>,
    /// The form of a date in the file, `dd/MM/yyyy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// A record is looked up by the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub find: Option<FindBy>,
    /// What finding nothing means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_missing: Option<IfMissing>,
    /// The value is added to a field that holds many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub add: bool,
    /// Values of each line, in a conversion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<indexmap::IndexMap<String, ValueSpec>>,
    /// Which lines are left out, in a conversion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_if: Option<Condition>,
}

const RULE_KEYS: [&str; 5] = ["from", "text", "expr", "target", "find"];

impl Serialize for ValueSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rule(rule) => rule.serialize(serializer),
            Self::Plain(json) => json.serialize(serializer),
        }
    }
}

impl JsonSchema for ValueSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ValueSpec".into()
    }

    /// An object with a rule key is a rule; anything else is itself.
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let rule = generator.subschema_for::<ValueRule>();
        let keys: Vec<Json> = RULE_KEYS.iter().map(|key| serde_json::json!({"required": [key]})).collect();
        schemars::json_schema!({
            "description": "A value as written: itself, or how it is made.",
            "if": {"type": "object", "anyOf": keys},
            "then": rule
        })
    }
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let is_rule = json.as_object().is_some_and(|map| RULE_KEYS.iter().any(|key| map.contains_key(*key)));
        if is_rule {
            serde_json::from_value(json).map(|rule| Self::Rule(Box::new(rule))).map_err(serde::de::Error::custom)
        } else {
            Ok(Self::Plain(json))
        }
    }
}

impl Entity {
    /// The label of the field called `name` in `locale`, or the name.
    #[must_use]
    pub fn field_label<'a>(&'a self, name: &'a str, locale: &str) -> &'a str {
        self.fields.get(name).map_or(name, |field| field.label(name, locale))
    }
}
