//! In charge of comparing what a step expects with what is there.
//! Invariant: numbers compare by their value, whatever their digits; a record compares by its id.

use serde_json::Value as Json;

fn number(json: &Json) -> Option<rust_decimal::Decimal> {
    match json {
        Json::Number(number) => model::field::number::exact(&number.to_string()),
        Json::String(digits) => model::field::number::exact(digits),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Whether `actual` is what is expected; an expected object may name some members only.
pub(super) fn same(expected: &Json, actual: &Json) -> bool {
    match (expected, actual) {
        (Json::Number(_), _) | (_, Json::Number(_)) => number(expected).is_some() && number(expected) == number(actual),
        (Json::String(id), Json::Object(map)) if map.contains_key("id") => map.get("id").and_then(Json::as_str) == Some(id),
        (Json::Object(expected), Json::Object(actual)) => expected.iter().all(|(key, value)| same(value, actual.get(key).unwrap_or(&Json::Null))),
        (Json::Array(expected), Json::Array(actual)) => expected.len() == actual.len() && expected.iter().zip(actual).all(|(a, b)| same(a, b)),
        (expected, actual) => expected == actual,
    }
}
