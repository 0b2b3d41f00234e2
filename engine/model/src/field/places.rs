//! In charge of where things are: addresses and points on the earth.

use std::sync::Arc;

use rust_decimal::Decimal;

use crate::fault::Code;
use crate::field::number;
use crate::field::text_settings::text_operand;
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The parts of an address, from the smallest to the largest.
pub const ADDRESS_PARTS: [&str; 7] = ["name", "street", "district", "city", "state", "postcode", "country"];

/// The values of an address field.
#[derive(Clone, Debug)]
pub struct AddressField;

impl TypedField for AddressField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Json), ColumnSpec::FOLD]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let Some(map) = input.as_map() else { return Err(vec![Reject::wrong_type("{\"street\": \"…\", \"city\": \"…\"}")]) };
        let (mut parts, mut faults) = (serde_json::Map::new(), Vec::new());
        for (part, value) in map {
            let pointer = format!("/{}", crate::fault::escape_pointer(part));
            if !ADDRESS_PARTS.contains(&part.as_str()) {
                faults.push(Reject { code: Code::UnknownField, message: Message::new("unknown_key").with("name", part), pointer });
                continue;
            }
            match value {
                Input::Null => {}
                Input::Text(text) if text.contains('\0') => faults.push(Reject { code: Code::BadFormat, message: Message::new("nul"), pointer }),
                Input::Text(text) if text.chars().count() > 300 => {
                    faults.push(Reject { code: Code::OutOfRange, message: Message::new("too_long").with("max", 300), pointer });
                }
                Input::Text(text) if text.trim().is_empty() => {}
                Input::Text(text) => {
                    parts.insert(part.clone(), text.trim().into());
                }
                Input::Bool(_) | Input::Number(_) | Input::List(_) | Input::Map(_) => {
                    faults.push(Reject { pointer, ..Reject::wrong_type("\"…\"") })
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(vec![if parts.is_empty() { Value::Null } else { Value::Json(Arc::new(parts.into())) }])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        &[Op::Contains, Op::NotContains, Op::IsEmpty, Op::IsSet]
    }

    fn comparable(&self) -> Comparable {
        Comparable::Folded
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        text_operand(input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        let Some(Value::Json(json)) = cells.first() else { return String::new() };
        ADDRESS_PARTS.iter().filter_map(|part| json.get(*part)?.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        let parts: serde_json::Map<_, _> =
            ADDRESS_PARTS.iter().map(|part| ((*part).to_owned(), serde_json::json!({"type": ["string", "null"]}))).collect();
        serde_json::json!({"type": ["object", "null"], "properties": parts, "additionalProperties": false})
    }
}

/// Digits of a degree: about a tenth of a metre.
const DEGREE_SCALE: u8 = 6;

/// The values of a geo field: latitude, and longitude beside it.
#[derive(Clone, Debug)]
pub struct GeoField;

impl GeoField {
    fn degrees(input: Option<&Input>, name: &str, most: i64) -> Result<Value, Reject> {
        let at = |reject: Reject| Reject { pointer: format!("/{name}"), ..reject };
        let input = input.ok_or_else(|| at(Reject::new(Code::Required, Message::new("required"))))?;
        let number = number::round(number::read(input).map_err(at)?, DEGREE_SCALE);
        if number.abs() > Decimal::from(most) {
            return Err(at(Reject::new(Code::OutOfRange, Message::new("out_of_range_max").with("max", most))));
        }
        let mut number = number;
        number.rescale(u32::from(DEGREE_SCALE));
        Ok(Value::Decimal(number))
    }
}

impl TypedField for GeoField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Decimal(DEGREE_SCALE)), ColumnSpec::part("lng", Storage::Decimal(DEGREE_SCALE))]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        if input.as_map().is_none_or(|map| map.keys().any(|key| !matches!(key.as_str(), "lat" | "lng"))) {
            return Err(vec![Reject::wrong_type("{\"lat\": 31.2, \"lng\": 121.5}")]);
        }
        match (Self::degrees(input.get("lat"), "lat", 90), Self::degrees(input.get("lng"), "lng", 180)) {
            (Ok(lat), Ok(lng)) => Ok(vec![lat, lng]),
            (lat, lng) => Err([lat.err(), lng.err()].into_iter().flatten().collect()),
        }
    }

    fn write_json(&self, cells: &[Value], numbers: Numbers, out: &mut Vec<u8>) {
        match cells {
            [Value::Decimal(lat), Value::Decimal(lng), ..] => {
                out.extend_from_slice(b"{\"lat\":");
                crate::json::write_decimal(*lat, DEGREE_SCALE, numbers, out);
                out.extend_from_slice(b",\"lng\":");
                crate::json::write_decimal(*lng, DEGREE_SCALE, numbers, out);
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        }
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
        match cells {
            [Value::Decimal(lat), Value::Decimal(lng), ..] => format!("{lat}, {lng}"),
            _ => String::new(),
        }
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["object", "null"], "properties": {"lat": {"type": "number"}, "lng": {"type": "number"}}, "required": ["lat", "lng"]})
    }
}
