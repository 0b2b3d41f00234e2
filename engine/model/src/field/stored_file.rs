//! In charge of fields that hold files: what a record keeps of a stored file.
//! Invariant: a client names a file by its id; name, size and type are the engine's, filled from what was stored.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::references::read_id;
use crate::field::{AcceptContext, ColumnSpec, Comparable, Compiled, Numbers, Reject, Role, Shape, TextContext, TypedField, read_settings};
use crate::filter::Op;
use crate::input::Input;
use crate::value::{Storage, Value};

/// The most files of a field that does not say.
const MOST: usize = 20;

/// Settings of the kinds that hold files.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FileSettings {
    /// Taken on the spot.
    pub capture: Option<Capture>,
    /// What is written over a picture.
    pub watermark: Option<serde_json::Value>,
    /// The most files, or for one file the most bytes.
    pub max: Option<u64>,
}

/// What a file is taken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// The camera of the device.
    Camera,
}

/// A field of one file.
pub(super) fn one(field: &Field, pictures: bool) -> Result<Compiled, Vec<Diagnostic>> {
    let settings: FileSettings = read_settings(field)?;
    let role = Role::Files { many: false, pictures, most_bytes: settings.max, camera: settings.capture.is_some() };
    Ok(Compiled { role, shape: Shape::Own(Arc::new(FileField { many: None })) })
}

/// A field of several files.
pub(super) fn several(field: &Field) -> Result<Compiled, Vec<Diagnostic>> {
    let settings: FileSettings = read_settings(field)?;
    let most = settings.max.map_or(MOST, |max| usize::try_from(max).unwrap_or(MOST));
    let role = Role::Files { many: true, pictures: false, most_bytes: None, camera: settings.capture.is_some() };
    Ok(Compiled { role, shape: Shape::Own(Arc::new(FileField { many: Some(most) })) })
}

/// The values of a file field: a JSON object with `id`, `name`, `size` and `type`, or an array of them.
#[derive(Clone, Debug)]
pub struct FileField {
    /// Several, so many at most.
    pub many: Option<usize>,
}

/// One file as it was sent: its id, alone or in an object as it was read.
fn read_one(input: &Input) -> Result<serde_json::Value, Reject> {
    let id = read_id(input.get("id").unwrap_or(input))?;
    Ok(serde_json::json!({"id": id}))
}

impl TypedField for FileField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Json)]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let json = match (self.many, input) {
            (None, Input::Text(text)) if text.is_empty() => return Ok(vec![Value::Null]),
            (None, input) => read_one(input).map_err(|reject| vec![reject])?,
            (Some(_), Input::List(items)) if items.is_empty() => return Ok(vec![Value::Null]),
            (Some(max), Input::List(items)) if items.len() <= max => {
                let read: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| read_one(item).map_err(|reject| Reject { pointer: format!("/{index}{}", reject.pointer), ..reject }))
                    .collect();
                let (files, faults): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
                if !faults.is_empty() {
                    return Err(faults.into_iter().filter_map(Result::err).collect());
                }
                files.into_iter().filter_map(Result::ok).collect()
            }
            (Some(max), Input::List(_)) => {
                let message = crate::message::Message::new("too_many").with("max", max);
                return Err(vec![Reject::new(crate::fault::Code::OutOfRange, message)]);
            }
            (Some(_), _) => return Err(vec![Reject::wrong_type("[{\"id\": \"…\"}]")]),
        };
        Ok(vec![Value::Json(Arc::new(json))])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        &[Op::IsEmpty, Op::IsSet]
    }

    fn comparable(&self) -> Comparable {
        Comparable::Nothing
    }

    fn operand(&self, _: Op, _: &Input) -> Result<Value, Reject> {
        Err(Reject::wrong_type("is_empty"))
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        let Some(Value::Json(json)) = cells.first() else { return String::new() };
        let name = |file: &serde_json::Value| file.get("name").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        match json.as_array() {
            Some(files) => files.iter().map(name).collect::<Vec<_>>().join(", "),
            None => name(json),
        }
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        let one = serde_json::json!({"type": ["object", "null"], "properties": {"id": {"type": "string", "format": "uuid"}, "name": {"type": "string"}, "size": {"type": "integer"}, "type": {"type": "string"}}});
        if self.many.is_some() { serde_json::json!({"type": ["array", "null"], "items": one}) } else { one }
    }
}
