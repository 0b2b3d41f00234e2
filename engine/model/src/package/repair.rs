//! In charge of what a faulty document still says, so that everything else about it can be told in the same run.
//! Invariant: nothing repaired is ever published: the faults that made it necessary stop that.

use serde_json::Value as Json;

use super::explain;
use super::read::Suspects;

/// How often parts are taken away before a document is given up.
const MOST_TRIES: usize = 12;

/// The document without its faulty parts; names of what was guessed go to `suspects`.
pub(super) fn repaired(kind: &'static str, mut json: Json, at: &str, suspects: &mut Suspects) -> Option<Json> {
    for _ in 0..MOST_TRIES {
        let mut faults: Vec<String> = explain::faults(kind, &json, "").into_iter().map(|fault| fault.pointer).collect();
        if faults.is_empty() {
            return Some(json);
        }
        // Later items of a list go first, so that the places of the others still hold.
        faults.sort_by(|a, b| natural(b).cmp(&natural(a)));
        faults.dedup();
        for pointer in faults {
            if pointer.is_empty() {
                return None;
            }
            mend(&mut json, &pointer, at, suspects);
        }
    }
    None
}

/// A pointer with numbers that sort as numbers.
fn natural(pointer: &str) -> Vec<(u64, &str)> {
    pointer.split('/').map(|token| (token.parse().unwrap_or(u64::MAX), token)).collect()
}

/// Takes a faulty part away; a field whose kind is not known becomes a text, so that it is still there to be named.
fn mend(json: &mut Json, pointer: &str, at: &str, suspects: &mut Suspects) {
    let whole = pointer.strip_suffix("/kind").unwrap_or(pointer);
    let tokens: Vec<&str> = whole.split('/').collect();
    let [.., above, name] = tokens.as_slice() else { return remove(json, pointer) };
    let is_field = matches!(*above, "fields" | "settings");
    match json.pointer_mut(whole) {
        Some(Json::Object(map)) if is_field && map.get("kind") != Some(&Json::from("text")) => {
            suspects.note(name, format!("{at}{whole}"));
            map.insert("kind".to_owned(), "text".into());
        }
        // What is of no known kind, and a part with a name, may be named elsewhere; a single value is not.
        Some(Json::Object(_)) if name.parse::<u64>().is_err() => {
            suspects.note(name, format!("{at}{whole}"));
            remove(json, pointer);
        }
        _ => remove(json, pointer),
    }
}

/// Takes away the value at a pointer.
pub(super) fn remove(json: &mut Json, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    match json.pointer_mut(parent) {
        Some(Json::Object(map)) => {
            map.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Some(Json::Array(list)) => {
            if let Some(place) = key.parse::<usize>().ok().filter(|place| *place < list.len()) {
                list.remove(place);
            }
        }
        _ => {}
    }
}
