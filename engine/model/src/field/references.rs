//! In charge of what reference kinds share: settings and ids.
//! Invariant: only the form of an id is checked here; whether the record is there is the write path's business.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fault::Code;
use crate::field::options::{MANY, accept_list, write_list_or_value};
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, OnDelete, ReferenceSpec, Reject, TextContext, TypedField};
use crate::filter::{Filter, Op};
use crate::input::Input;
use crate::message::Message;
use crate::name::{EntityName, Name};
use crate::value::{Storage, Value};

/// Settings of `reference` and `references`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSettings {
    /// The target entity, bare within its app or qualified.
    pub to: String,
    /// What the deletion of the target does; `clear` where absent.
    #[serde(default)]
    pub on_delete: OnDelete,
    /// What the other side is called on the target.
    #[serde(default)]
    pub inverse: Option<Name>,
    /// What may be chosen.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// Whether the filter binds every channel; true where absent.
    #[serde(default)]
    pub strict: Option<bool>,
    /// Whether this is the parent in a tree of the same entity.
    #[serde(default)]
    pub tree: bool,
    /// The most records, where several may be chosen.
    #[serde(default)]
    pub max: Option<usize>,
}

impl ReferenceSettings {
    /// What the engine needs of them.
    #[must_use]
    pub fn spec(&self) -> ReferenceSpec {
        ReferenceSpec {
            to: self.to.clone(),
            on_delete: self.on_delete,
            inverse: self.inverse.clone(),
            filter: self.filter.clone(),
            strict: self.strict.unwrap_or(true),
            tree: self.tree,
        }
    }
}

const ONE: &[Op] = &[Op::Eq, Op::Ne, Op::In, Op::NotIn, Op::Under, Op::IsEmpty, Op::IsSet];
const ANY: &[Op] = &[Op::Eq, Op::Ne, Op::In, Op::NotIn, Op::IsEmpty, Op::IsSet];

/// The id that an input spells.
///
/// # Errors
/// Where it spells none.
pub fn read_id(input: &Input) -> Result<Uuid, Reject> {
    let text = input.as_text().ok_or_else(|| Reject::wrong_type("\"…\""))?;
    Uuid::try_parse(text).map_err(|_| Reject::new(Code::BadReference, Message::new("bad_reference")))
}

/// The values of a reference, or of several.
#[derive(Clone, Debug)]
pub struct IdField {
    /// Several, so many at most.
    pub many: Option<usize>,
}

impl TypedField for IdField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(if self.many.is_some() { Storage::Json } else { Storage::Uuid })]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        match self.many {
            None if input.as_text() == Some("") => Ok(vec![Value::Null]),
            None => read_id(input).map(|id| vec![Value::Uuid(id)]).map_err(|reject| vec![reject]),
            Some(max) => accept_list(input, max, |item| read_id(item).map(Value::Uuid)).map(|list| vec![list]),
        }
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        write_list_or_value(cells, out);
    }

    fn operators(&self) -> &'static [Op] {
        if self.many.is_some() { MANY } else { ONE }
    }

    fn comparable(&self) -> Comparable {
        if self.many.is_some() { Comparable::List } else { Comparable::Scalar }
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        read_id(input).map(Value::Uuid)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        match cells.first() {
            Some(Value::Uuid(id)) => id.to_string(),
            Some(Value::List(items)) => items.iter().filter_map(Value::as_uuid).map(|id| id.to_string()).collect::<Vec<_>>().join(", "),
            _ => String::new(),
        }
    }

    fn sortable(&self) -> bool {
        self.many.is_none()
    }

    fn groupable(&self) -> bool {
        self.many.is_none()
    }

    fn value_schema(&self) -> serde_json::Value {
        match self.many {
            None => serde_json::json!({"type": ["string", "null"], "format": "uuid"}),
            Some(max) => serde_json::json!({"type": ["array", "null"], "items": {"type": "string", "format": "uuid"}, "maxItems": max}),
        }
    }
}

/// The values of an any-reference: the id, and the entity beside it.
#[derive(Clone, Debug)]
pub struct AnyIdField;

impl TypedField for AnyIdField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Uuid), ColumnSpec::part("entity", Storage::Text)]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        const EXPECTED: &str = "{\"entity\": \"…\", \"id\": \"…\"}";
        let (Some(entity), Some(id), Some(2)) = (input.get("entity"), input.get("id"), input.as_map().map(indexmap::IndexMap::len)) else {
            return Err(vec![Reject::wrong_type(EXPECTED)]);
        };
        let id = read_id(id).map_err(|reject| vec![Reject { pointer: "/id".to_owned(), ..reject }])?;
        let Some(entity) = entity.as_text().filter(|name| EntityName::parse(name).is_some()) else {
            let message = Message::new("bad_reference");
            return Err(vec![Reject { code: Code::BadReference, message, pointer: "/entity".to_owned() }]);
        };
        Ok(vec![Value::Uuid(id), Value::text(entity)])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        match cells {
            [Value::Uuid(id), Value::Text(entity), ..] => {
                out.extend_from_slice(b"{\"entity\":");
                crate::json::write_text(entity, out);
                out.extend_from_slice(b",\"id\":");
                crate::json::write_value(&Value::Uuid(*id), out);
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        }
    }

    fn operators(&self) -> &'static [Op] {
        ANY
    }

    /// An id alone, or `{"entity", "id"}`: ids are unique over all entities.
    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        read_id(input.get("id").unwrap_or(input)).map(Value::Uuid)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        cells.first().and_then(Value::as_uuid).map(|id| id.to_string()).unwrap_or_default()
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["object", "null"], "properties": {"entity": {"type": "string"}, "id": {"type": "string", "format": "uuid"}}, "required": ["entity", "id"]})
    }
}
