//! In charge of RFC 6902 patches on documents: applied whole or not at all, and turned round for undo.
//! Invariant: `apply(apply(d, p), invert(d, p))` is `d`, but for the order of keys in maps, which the canonical form settles.
//! Invariant: a patch that fails says which operation, where, and the likely meant key.

use json_patch::{AddOperation, RemoveOperation, ReplaceOperation, jsonptr::PointerBuf};
pub use json_patch::{Patch, PatchOperation};
use serde_json::Value as Json;

use crate::doc::App;
use crate::fault::Diagnostic;
use crate::hint::nearest;
use crate::package::{app_from_json, app_to_json};

/// The most operations of one patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Why a patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {index}: {message}")]
pub struct PatchFault {
    /// The operation, from 0.
    pub index: usize,
    /// The JSON Pointer in the document that it could not follow.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// The likely meant key.
    pub hint: Option<String>,
}

impl PatchFault {
    fn new(index: usize, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { index, pointer: pointer.into(), message: message.into(), hint: None }
    }
}

/// Reads a patch.
///
/// # Errors
/// The first operation that is none.
pub fn parse(json: &Json) -> Result<Patch, PatchFault> {
    let Some(items) = json.as_array() else { return Err(PatchFault::new(0, "", "a patch is a list of operations")) };
    if items.len() > MAX_OPERATIONS {
        return Err(PatchFault::new(MAX_OPERATIONS, "", format!("a patch has {MAX_OPERATIONS} operations at most")));
    }
    let read = |(index, item): (usize, &Json)| {
        serde_json::from_value::<PatchOperation>(item.clone()).map_err(|error| PatchFault::new(index, format!("/{index}"), error.to_string()))
    };
    items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>().map(Patch)
}

/// The document with the patch applied.
///
/// # Errors
/// The first operation that does not fit; nothing is applied then.
pub fn apply(document: &Json, patch: &Patch) -> Result<Json, PatchFault> {
    let mut changed = document.clone();
    for (index, operation) in patch.iter().enumerate() {
        step(&mut changed, index, operation)?;
    }
    Ok(changed)
}

/// The patch that takes the document with `patch` applied back to `document`.
///
/// # Errors
/// Where `patch` does not fit `document`.
pub fn invert(document: &Json, patch: &Patch) -> Result<Patch, PatchFault> {
    let mut here = document.clone();
    let mut back: Vec<PatchOperation> = Vec::new();
    for (index, operation) in patch.iter().enumerate() {
        let mut undo = undo(&here, operation);
        step(&mut here, index, operation)?;
        // What undoes one operation is written in its own order; the operations are undone last first.
        undo.reverse();
        back.extend(undo);
    }
    back.reverse();
    Ok(Patch(back))
}

/// Applies a patch to an app's one document.
///
/// # Errors
/// Where the patch does not fit, or every fault of what it makes.
pub fn apply_to_app(app: &App, patch: &Patch) -> Result<App, Vec<Diagnostic>> {
    match apply(&app_to_json(app), patch) {
        Ok(json) => app_from_json(&json),
        Err(fault) => {
            let message = format!("operation {} of the patch: {}", fault.index, fault.message);
            Err(vec![Diagnostic::error(fault.pointer, message).with_hint(fault.hint)])
        }
    }
}

/// The patch that takes `from` to `to`.
#[must_use]
pub fn between(from: &Json, to: &Json) -> Patch {
    json_patch::diff(from, to)
}

/// The value at a JSON Pointer.
#[must_use]
pub fn get<'a>(document: &'a Json, pointer: &str) -> Option<&'a Json> {
    document.pointer(pointer)
}

fn step(document: &mut Json, index: usize, operation: &PatchOperation) -> Result<(), PatchFault> {
    json_patch::patch(document, std::slice::from_ref(operation)).map_err(|error| match error.kind {
        json_patch::PatchErrorKind::TestFailed => {
            let found = document.pointer(operation.path().as_str()).map_or_else(|| "nothing".to_owned(), Json::to_string);
            PatchFault::new(index, operation.path().as_str(), format!("the value is not the one expected, it is {}", cut(&found)))
        }
        json_patch::PatchErrorKind::InvalidFromPointer => match operation {
            PatchOperation::Move(op) => lost(document, index, op.from.as_str()),
            PatchOperation::Copy(op) => lost(document, index, op.from.as_str()),
            _ => lost(document, index, operation.path().as_str()),
        },
        json_patch::PatchErrorKind::CannotMoveInsideItself => {
            PatchFault::new(index, operation.path().as_str(), "a value cannot be moved into itself")
        }
        _ => lost(document, index, operation.path().as_str()),
    })
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST { text.to_owned() } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

/// Where a pointer leaves the document, and what may be meant there.
fn lost(document: &Json, index: usize, pointer: &str) -> PatchFault {
    let mut here = document;
    let mut walked = String::new();
    for token in pointer.split('/').skip(1) {
        let key = token.replace("~1", "/").replace("~0", "~");
        let next = match here {
            Json::Object(map) => map.get(&key),
            Json::Array(list) => key.parse::<usize>().ok().and_then(|place| list.get(place)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        };
        let Some(next) = next else {
            let place = if walked.is_empty() { "the document".to_owned() } else { walked.clone() };
            let (message, hint) = match here {
                Json::Object(map) => (format!("{place} has no `{key}`"), nearest(&key, map.keys().map(String::as_str))),
                Json::Array(list) => (format!("{place} is a list of {}: `{key}` is no place in it", list.len()), None),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => (format!("{place} is no object and no list"), None),
            };
            return PatchFault { index, pointer: pointer.to_owned(), message, hint };
        };
        walked = format!("{walked}/{token}");
        here = next;
    }
    PatchFault::new(index, pointer, format!("{pointer} leads nowhere that can be changed"))
}

/// What undoes one operation on `document`, in the order in which it is to be done; nothing where it does not fit.
fn undo(document: &Json, operation: &PatchOperation) -> Vec<PatchOperation> {
    match operation {
        PatchOperation::Add(op) => undo_add(document, op.path.as_str()).into_iter().collect(),
        PatchOperation::Copy(op) => undo_add(document, op.path.as_str()).into_iter().collect(),
        PatchOperation::Replace(op) => document.pointer(op.path.as_str()).map(|old| replace(op.path.as_str(), old)).into_iter().collect(),
        PatchOperation::Remove(op) => document.pointer(op.path.as_str()).map(|old| add(op.path.as_str(), old)).into_iter().collect(),
        PatchOperation::Move(op) => undo_move(document, op.from.as_str(), op.path.as_str()),
        PatchOperation::Test(_) => Vec::new(),
    }
}

/// A move is a removal and then an addition: undone the other way round.
fn undo_move(document: &Json, from: &str, path: &str) -> Vec<PatchOperation> {
    let Some(moved) = document.pointer(from) else { return Vec::new() };
    let mut without = document.clone();
    if json_patch::patch(&mut without, &[remove(from)]).is_err() {
        return Vec::new();
    }
    undo_add(&without, path).into_iter().chain([add(from, moved)]).collect()
}

fn undo_add(document: &Json, path: &str) -> Option<PatchOperation> {
    let Some((parent, key)) = path.rsplit_once('/') else { return Some(replace("", document)) };
    match document.pointer(parent)? {
        // Adding a key that is there already puts another value in its place.
        Json::Object(map) => Some(match map.get(&key.replace("~1", "/").replace("~0", "~")) {
            Some(old) => replace(path, old),
            None => remove(path),
        }),
        Json::Array(list) if key == "-" => Some(remove(&format!("{parent}/{}", list.len()))),
        Json::Array(_) => Some(remove(path)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

fn pointer(path: &str) -> PointerBuf {
    // The pointer was one of a patch that was read, or one of those with another last token.
    PointerBuf::parse(path).unwrap_or_default()
}

fn add(path: &str, value: &Json) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: pointer(path), value: value.clone() })
}

fn remove(path: &str) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: pointer(path) })
}

fn replace(path: &str, value: &Json) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path: pointer(path), value: value.clone() })
}

#[cfg(test)]
mod tests {
    use super::{apply, between, get, invert, parse};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn fault(document: &Json, patch: Json) -> (usize, String, Option<String>) {
        let fault = parse(&patch).and_then(|patch| apply(document, &patch)).expect_err("a fault");
        (fault.index, fault.message, fault.hint)
    }

    #[test]
    fn a_fault_says_where_and_what_may_be_meant() {
        let document = json!({"entities": {"deal": {"fields": {"amount": {"kind": "money"}}, "order": ["amount"]}}});
        let op =
            |op: &str, path: &str| json!([{"op": "test", "path": "/entities/deal/order/0", "value": "amount"}, {"op": op, "path": path, "value": 1}]);
        assert_eq!(
            fault(&document, op("replace", "/entities/deal/fields/amuont")),
            (1, "/entities/deal/fields has no `amuont`".to_owned(), Some("amount".to_owned()))
        );
        assert_eq!(fault(&document, op("add", "/entites/x")), (1, "the document has no `entites`".to_owned(), Some("entities".to_owned())));
        assert_eq!(fault(&document, op("add", "/entities/deal/order/7")).1, "/entities/deal/order is a list of 1: `7` is no place in it");
        assert_eq!(fault(&document, op("test", "/entities/deal/order/0")).1, "the value is not the one expected, it is \"amount\"");
        assert_eq!(fault(&document, json!({"op": "add"})).1, "a patch is a list of operations");
        assert_eq!(fault(&document, json!([{"op": "addd", "path": "/a"}])).0, 0);
    }

    #[test]
    fn a_patch_is_applied_whole_or_not_at_all() {
        let document = json!({"a": 1});
        let patch = parse(&json!([{"op": "add", "path": "/b", "value": 2}, {"op": "remove", "path": "/c"}])).expect("a patch");
        assert!(apply(&document, &patch).is_err());
        assert_eq!(get(&document, "/b"), None);
    }

    #[test]
    fn moves_and_copies_are_undone() {
        let document = json!({"a": {"x": 1}, "b": [1, 2, 3], "c": 4});
        for patch in [
            json!([{"op": "move", "from": "/a/x", "path": "/c"}]),
            json!([{"op": "move", "from": "/b/0", "path": "/b/2"}]),
            json!([{"op": "move", "from": "/b/2", "path": "/b/0"}, {"op": "copy", "from": "/a", "path": "/b/-"}, {"op": "remove", "path": "/a"}]),
            json!([{"op": "copy", "from": "/a", "path": "/c"}, {"op": "replace", "path": "", "value": {"z": 0}}]),
            json!([{"op": "add", "path": "/b/1", "value": 9}, {"op": "add", "path": "/b/-", "value": 8}]),
        ] {
            let patch = parse(&patch).expect("a patch");
            let changed = apply(&document, &patch).expect("it fits");
            let back = invert(&document, &patch).expect("it fits");
            assert_eq!(apply(&changed, &back).expect("it fits"), document);
        }
    }

    fn values() -> impl Strategy<Value = Json> {
        let leaf =
            prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), (0..9_i64).prop_map(Json::from), "[a-c]{0,2}".prop_map(Json::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[a-d/~]{1,2}", inner, 0..4).prop_map(|map| map.into_iter().collect::<Json>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_between_two_documents_makes_the_one_of_the_other_and_back(from in values(), to in values()) {
            let patch = between(&from, &to);
            let changed = apply(&from, &patch).expect("it fits");
            prop_assert_eq!(&changed, &to);
            let back = invert(&from, &patch).expect("it fits");
            prop_assert_eq!(apply(&changed, &back).expect("it fits"), from);
        }

        #[test]
        fn any_patch_that_fits_is_undone(document in values(), patch in prop::collection::vec(operation(), 0..6)) {
            let patch = parse(&patch.into()).expect("a patch");
            if let Ok(changed) = apply(&document, &patch) {
                let back = invert(&document, &patch).expect("it fits");
                prop_assert_eq!(apply(&changed, &back).expect("it fits"), document);
            }
        }
    }

    fn operation() -> impl Strategy<Value = Json> {
        let path = "(/([a-d]|[0-2]|-)){0,3}";
        prop_oneof![
            (path, values()).prop_map(|(path, value)| json!({"op": "add", "path": path, "value": value})),
            (path, values()).prop_map(|(path, value)| json!({"op": "replace", "path": path, "value": value})),
            path.prop_map(|path| json!({"op": "remove", "path": path})),
            (path, path).prop_map(|(from, path)| json!({"op": "move", "from": from, "path": path})),
            (path, path).prop_map(|(from, path)| json!({"op": "copy", "from": from, "path": path})),
        ]
    }
}
