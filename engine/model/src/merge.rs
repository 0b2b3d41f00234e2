//! In charge of merging three versions of an app by name: the one installed, the workspace's edits, the new one.
//! Invariant: what only one side changed is taken; what both changed alike is taken once; the rest is a conflict, and ours stays.
//! Invariant: a list of names is merged as a list: additions, removals and moves of both sides, never by place.

use serde_json::{Map, Value as Json};

use crate::doc::App;
use crate::fault::{Diagnostic, escape_pointer};
use crate::package::{app_from_json, app_to_json};

/// What both sides changed, each in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where, in the one document.
    pub pointer: String,
    /// What it was.
    pub base: Option<Json>,
    /// What the workspace made of it: what the merged document has.
    pub ours: Option<Json>,
    /// What the new version made of it.
    pub theirs: Option<Json>,
}

/// What came of a merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The merged document.
    pub json: Json,
    /// What somebody has to choose.
    pub conflicts: Vec<Conflict>,
}

impl Merged {
    /// The merged app.
    ///
    /// # Errors
    /// Every fault of what came out: both sides may be right, each alone.
    pub fn app(&self) -> Result<App, Vec<Diagnostic>> {
        app_from_json(&self.json)
    }
}

/// Merges what `ours` and `theirs` made of `base`.
#[must_use]
pub fn merge3(base: &App, ours: &App, theirs: &App) -> Merged {
    let mut conflicts = Vec::new();
    let (base, ours, theirs) = (app_to_json(base), app_to_json(ours), app_to_json(theirs));
    let json = merge("", Some(&base), Some(&ours), Some(&theirs), &mut conflicts).unwrap_or_default();
    Merged { json, conflicts }
}

fn merge(at: &str, base: Option<&Json>, ours: Option<&Json>, theirs: Option<&Json>, conflicts: &mut Vec<Conflict>) -> Option<Json> {
    if ours == theirs || theirs == base {
        return ours.cloned();
    }
    if ours == base {
        return theirs.cloned();
    }
    match (base, ours, theirs) {
        (base, Some(Json::Object(ours)), Some(Json::Object(theirs))) if base.is_none_or(Json::is_object) => {
            let nothing = Map::new();
            Some(Json::Object(objects(at, base.and_then(Json::as_object).unwrap_or(&nothing), ours, theirs, conflicts)))
        }
        (base, Some(Json::Array(ours)), Some(Json::Array(theirs))) => {
            let nothing = Vec::new();
            match lists(base.and_then(Json::as_array).unwrap_or(&nothing), ours, theirs) {
                Some(list) => Some(Json::Array(list)),
                None => conflict(at, base, Some(&Json::Array(ours.clone())), Some(&Json::Array(theirs.clone())), conflicts),
            }
        }
        _ => conflict(at, base, ours, theirs, conflicts),
    }
}

fn conflict(at: &str, base: Option<&Json>, ours: Option<&Json>, theirs: Option<&Json>, conflicts: &mut Vec<Conflict>) -> Option<Json> {
    conflicts.push(Conflict { pointer: at.to_owned(), base: base.cloned(), ours: ours.cloned(), theirs: theirs.cloned() });
    ours.cloned()
}

fn objects(
    at: &str,
    base: &Map<String, Json>,
    ours: &Map<String, Json>,
    theirs: &Map<String, Json>,
    conflicts: &mut Vec<Conflict>,
) -> Map<String, Json> {
    // What is of one kind is not merged into what is of another: a field that both made anew, or made another kind.
    let kind = |map: &Map<String, Json>| map.get("kind").filter(|kind| kind.is_string()).cloned();
    if kind(ours) != kind(theirs) && kind(base) != kind(ours) && kind(base) != kind(theirs) {
        let whole = |map: &Map<String, Json>| Some(Json::Object(map.clone()));
        conflicts.push(Conflict { pointer: at.to_owned(), base: whole(base), ours: whole(ours), theirs: whole(theirs) });
        return ours.clone();
    }
    let mut merged = Map::new();
    let keys = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key)));
    for key in keys {
        let at = format!("{at}/{}", escape_pointer(key));
        if let Some(value) = merge(&at, base.get(key), ours.get(key), theirs.get(key), conflicts) {
            merged.insert(key.clone(), value);
        }
    }
    merged
}

/// Lists of different texts: ours, less what they removed, with what they added behind what it stood behind there.
fn lists(base: &[Json], ours: &[Json], theirs: &[Json]) -> Option<Vec<Json>> {
    if ![base, ours, theirs].into_iter().all(are_names) {
        return None;
    }
    // Who moved things decides their order: they, where only they did; else we.
    let kept = |list: &[Json], other: &[Json]| -> Vec<Json> { list.iter().filter(|item| other.contains(item)).cloned().collect() };
    let we_moved = kept(ours, base) != kept(base, ours);
    let (leading, following) = if we_moved { (ours, theirs) } else { (theirs, ours) };
    let removed = |item: &Json| base.contains(item) && !following.contains(item);
    let mut merged: Vec<Json> = leading.iter().filter(|item| !removed(item)).cloned().collect();
    for (place, item) in following.iter().enumerate() {
        let is_new = !base.contains(item) && !merged.contains(item);
        if is_new {
            let before = following[..place].iter().rev().find_map(|before| merged.iter().position(|there| there == before));
            merged.insert(before.map_or(0, |place| place + 1), item.clone());
        }
    }
    Some(merged)
}

fn are_names(list: &[Json]) -> bool {
    list.iter().enumerate().all(|(place, item)| item.is_string() && !list[..place].contains(item))
}
