//! In charge of what a field kind must bring along: its conformance cases and its name in every language.
//! Invariant: a kind that is in `KINDS` can be tested and named; adding one without either fails here.

use std::fs;

use model::field::KINDS;
use serde_json::Value as Json;

use crate::assert_clean;
use crate::tree::root;

#[test]
fn kinds_have_cases() {
    let mut faults = Vec::new();
    for kind in KINDS {
        let path = format!("tests/cases/field/{}.json", kind.name());
        match fs::read_to_string(root().join(&path)) {
            Err(_) => faults.push(format!("{path} is missing")),
            Ok(text) => match serde_json::from_str::<Json>(&text) {
                Err(error) => faults.push(format!("{path}: {error}")),
                Ok(json) if is_empty(&json) => faults.push(format!("{path} holds no case")),
                Ok(_) => {}
            },
        }
    }
    assert_clean("cases of field kinds", &faults);
}

fn is_empty(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        _ => true,
    }
}
