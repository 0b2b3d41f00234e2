//! In charge of checking what lets data in and out: imports and connectors.

use serde_json::{Map, Value as Json};

use super::checking::Checking;
use crate::doc::{Connector, Import, ImportMode};
use crate::fault::escape_pointer;

/// Checks imports and connectors.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, import) in &app.imports {
        self::import(c, &format!("/imports/{name}"), import);
    }
    for (name, connector) in &app.connectors {
        self::connector(c, &format!("/connectors/{name}"), connector);
    }
}

fn import(c: &mut Checking<'_, '_>, at: &str, import: &Import) {
    for (index, part) in import.parts.iter().enumerate() {
        self::import(c, &format!("{at}/parts/{index}"), part);
    }
    if let Some(entity) = c.entity(&format!("{at}/entity"), &import.entity) {
        for (index, name) in import.key.iter().enumerate() {
            let place = format!("{at}/key/{index}");
            c.field(place.as_str(), entity, name.as_str());
            if !import.values.is_empty() && !import.values.contains_key(name) {
                c.error(place, format!("the key `{name}` has no value: nothing would be found by it"));
            }
        }
        c.values(&format!("{at}/values"), entity, import.values.iter().map(|(name, value)| (name.as_str(), value)));
    }
    if import.mode == Some(ImportMode::Update) && import.key.is_empty() {
        c.error(format!("{at}/key"), "an import that changes records needs a `key` to find them by");
    }
    for (key, text) in [("delimiter", &import.delimiter), ("decimal", &import.decimal)] {
        if text.as_ref().is_some_and(|text| text.chars().count() != 1) {
            c.error(format!("{at}/{key}"), "expected one character");
        }
    }
    if import.header_row == Some(0) {
        c.error(format!("{at}/header_row"), "rows are counted from 1");
    }
}

fn connector(c: &mut Checking<'_, '_>, at: &str, connector: &Connector) {
    if connector.via.get("kind").and_then(Json::as_str).is_none() {
        c.error(format!("{at}/via/kind"), "`kind` is missing: how the other system is reached");
    }
    for (name, codes) in &connector.codes {
        let at = format!("{at}/codes/{name}");
        if let Some(entity) = codes.get("entity").and_then(Json::as_str) {
            c.entity(&format!("{at}/entity"), entity);
        } else {
            c.error(at, "`entity` is missing");
        }
    }
    for (name, map) in &connector.maps {
        let at = format!("{at}/maps/{name}");
        match map.as_object() {
            Some(map) => exchanged(c, &at, map),
            None => c.error(at, "expected an object"),
        }
    }
}

/// One thing that is exchanged; outward its values are the other system's, inward ours.
fn exchanged(c: &mut Checking<'_, '_>, at: &str, map: &Map<String, Json>) {
    let way = map.get("way").and_then(Json::as_str).unwrap_or("in");
    c.one_of(format!("{at}/way"), "way", way, ["in", "out", "both"]);
    let Some(name) = map.get("entity").and_then(Json::as_str) else { return c.error(format!("{at}/entity"), "`entity` is missing") };
    let Some(entity) = c.entity(&format!("{at}/entity"), name) else { return };
    for (index, field) in map.get("key").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).enumerate() {
        c.field(format!("{at}/key/{index}"), entity, field);
    }
    for field in map.get("conflict").and_then(Json::as_object).into_iter().flat_map(Map::keys) {
        c.field(format!("{at}/conflict/{}", escape_pointer(field)), entity, field);
    }
    if let Some(values) = map.get("values") {
        c.json_values(&format!("{at}/values"), (way != "out").then_some(entity), values);
    }
}
