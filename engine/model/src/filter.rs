//! In charge of filters as written in documents and requests: the condition tree, untyped.
//! Invariant: `parse` reports every fault at once, each with its pointer.
//! Invariant: a tree is at most [`MAX_DEPTH`] deep and has at most [`MAX_LEAVES`] leaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Code, Violation, escape_pointer};
use crate::message::Message;

/// The deepest nesting of a filter.
pub const MAX_DEPTH: usize = 8;
/// The most conditions in one filter.
pub const MAX_LEAVES: usize = 200;
/// The most references that a path walks.
pub const MAX_HOPS: usize = 4;

/// What one leaf asks of a value; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant is the operator that its serde name spells, documented in the format's page")]
pub enum Op {
    #[serde(rename = "=")]
    Eq,
    #[serde(rename = "!=")]
    Ne,
    #[serde(rename = "<")]
    Lt,
    #[serde(rename = "<=")]
    Le,
    #[serde(rename = ">")]
    Gt,
    #[serde(rename = ">=")]
    Ge,
    #[serde(rename = "in")]
    In,
    #[serde(rename = "not_in")]
    NotIn,
    #[serde(rename = "contains")]
    Contains,
    #[serde(rename = "not_contains")]
    NotContains,
    #[serde(rename = "starts_with")]
    StartsWith,
    #[serde(rename = "ends_with")]
    EndsWith,
    #[serde(rename = "between")]
    Between,
    #[serde(rename = "is_empty")]
    IsEmpty,
    #[serde(rename = "is_set")]
    IsSet,
    #[serde(rename = "under")]
    Under,
    #[serde(rename = "within")]
    Within,
}

impl Op {
    /// Every operator.
    pub const ALL: [Self; 17] = [
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::In,
        Self::NotIn,
        Self::Contains,
        Self::NotContains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Between,
        Self::IsEmpty,
        Self::IsSet,
        Self::Under,
        Self::Within,
    ];

    /// The operator as written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Between => "between",
            Self::IsEmpty => "is_empty",
            Self::IsSet => "is_set",
            Self::Under => "under",
            Self::Within => "within",
        }
    }

    /// The operator that `text` spells.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == text)
    }
}

/// A condition tree over the fields of one entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Filter {
    /// Every condition holds; an empty list is every row.
    All {
        /// The conditions.
        all: Vec<Filter>,
    },
    /// At least one condition holds; an empty list is no row.
    Any {
        /// The conditions.
        any: Vec<Filter>,
    },
    /// The condition does not hold.
    Not {
        /// The condition.
        not: Box<Filter>,
    },
    /// At least one related record fits.
    Some {
        /// The path to many.
        some: String,
        /// What the related record must fit; absent is any.
        #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
        filter: Option<Box<Filter>>,
    },
    /// No related record fits.
    None {
        /// The path to many.
        none: String,
        /// What the related record must not fit; absent is any.
        #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
        filter: Option<Box<Filter>>,
    },
    /// Every related record fits; holds on none.
    Every {
        /// The path to many.
        every: String,
        /// What each related record must fit.
        #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
        filter: Option<Box<Filter>>,
    },
    /// One field compared.
    Leaf {
        /// A field, or a path over references.
        field: String,
        /// How.
        op: Op,
        /// With what: a value, a list, a placeholder such as `$me`, or `{"field": "other"}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<serde_json::Value>,
    },
}

impl Filter {
    /// Every row.
    #[must_use]
    pub fn everything() -> Self {
        Self::All { all: Vec::new() }
    }

    /// One leaf.
    #[must_use]
    pub fn leaf(field: impl Into<String>, op: Op, value: impl Into<serde_json::Value>) -> Self {
        Self::Leaf { field: field.into(), op, value: Some(value.into()) }
    }

    /// Reads a filter from JSON (`Input::to_json` keeps long numbers as strings).
    ///
    /// # Errors
    /// Every fault of shape, with its pointer from `at` on.
    pub fn parse(json: &serde_json::Value, at: &str) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading { faults: Vec::new(), leaves: 0 };
        let filter = reading.filter(json, at, 1);
        match filter {
            Some(filter) if reading.faults.is_empty() => Ok(filter),
            _ => Err(reading.faults),
        }
    }
}

struct Reading {
    faults: Vec<Violation>,
    leaves: usize,
}

impl Reading {
    fn fault(&mut self, at: &str, message: Message) {
        self.faults.push(Violation::at(at, Code::Malformed, message));
    }

    fn filter(&mut self, json: &serde_json::Value, at: &str, depth: usize) -> Option<Filter> {
        if depth > MAX_DEPTH {
            self.fault(at, Message::new("filter_too_deep"));
            return None;
        }
        let Some(map) = json.as_object() else {
            self.fault(at, Message::new("filter_shape"));
            return None;
        };
        let kind = ["all", "any", "not", "some", "none", "every", "field"].into_iter().find(|key| map.contains_key(*key));
        let allowed: &[&str] = match kind {
            Some("all") => &["all"],
            Some("any") => &["any"],
            Some("not") => &["not"],
            Some("some") => &["some", "where"],
            Some("none") => &["none", "where"],
            Some("every") => &["every", "where"],
            Some(_) => &["field", "op", "value"],
            None => {
                self.fault(at, Message::new("filter_shape"));
                return None;
            }
        };
        for key in map.keys().filter(|key| !allowed.contains(&key.as_str())) {
            self.fault(&format!("{at}/{}", escape_pointer(key)), Message::new("unknown_key").with("name", key));
        }
        let kind = kind?;
        match kind {
            "all" => Some(Filter::All { all: self.list(&map["all"], &format!("{at}/all"), depth)? }),
            "any" => Some(Filter::Any { any: self.list(&map["any"], &format!("{at}/any"), depth)? }),
            "not" => Some(Filter::Not { not: Box::new(self.filter(&map["not"], &format!("{at}/not"), depth + 1)?) }),
            "field" => self.leaf(map, at),
            quantifier => {
                let path = self.text(&map[quantifier], &format!("{at}/{quantifier}"));
                let filter = match map.get("where") {
                    Some(inner) => Some(Box::new(self.filter(inner, &format!("{at}/where"), depth + 1)?)),
                    None => None,
                };
                let path = path?;
                Some(match quantifier {
                    "some" => Filter::Some { some: path, filter },
                    "none" => Filter::None { none: path, filter },
                    _ => Filter::Every { every: path, filter },
                })
            }
        }
    }

    fn list(&mut self, json: &serde_json::Value, at: &str, depth: usize) -> Option<Vec<Filter>> {
        let Some(items) = json.as_array() else {
            self.fault(at, Message::new("wrong_type").with("expected", "[]"));
            return None;
        };
        let read: Vec<_> = items.iter().enumerate().map(|(index, item)| self.filter(item, &format!("{at}/{index}"), depth + 1)).collect();
        read.into_iter().collect()
    }

    fn leaf(&mut self, map: &serde_json::Map<String, serde_json::Value>, at: &str) -> Option<Filter> {
        self.leaves += 1;
        if self.leaves == MAX_LEAVES + 1 {
            self.fault(at, Message::new("filter_too_large"));
        }
        if self.leaves > MAX_LEAVES {
            return None;
        }
        let field = self.text(&map["field"], &format!("{at}/field"));
        let op = match map.get("op").and_then(serde_json::Value::as_str) {
            Some(text) => Op::parse(text).or_else(|| {
                self.fault(&format!("{at}/op"), Message::new("bad_operator_name").with("op", text));
                None
            }),
            None => {
                self.fault(&format!("{at}/op"), Message::new("required"));
                None
            }
        };
        Some(Filter::Leaf { field: field?, op: op?, value: map.get("value").cloned() })
    }

    fn text(&mut self, json: &serde_json::Value, at: &str) -> Option<String> {
        let text = json.as_str().map(str::to_owned);
        if text.is_none() {
            self.fault(at, Message::new("wrong_type").with("expected", "\"…\""));
        }
        text
    }
}
