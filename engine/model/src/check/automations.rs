//! In charge of checking automations: what sets them off, and their steps.

use serde_json::{Map, Value as Json};

use super::checking::Checking;
use super::fields;
use super::steps::{self, Setting};
use super::world::Known;
use crate::doc::{Field, RunWhen};
use crate::fault::escape_pointer;
use crate::name::Name;

/// What sets an automation off, each with the keys that it takes beside itself.
const TRIGGERS: [(&str, &[&str]); 10] = [
    ("record", &["entity", "fields"]),
    ("stage", &["entity", "value", "field"]),
    ("approval", &["entity", "flow", "result"]),
    ("clock", &["entity", "at"]),
    ("schedule", &["zone"]),
    ("date", &["entity", "before", "after", "at"]),
    ("webhook", &[]),
    ("form", &[]),
    ("message", &[]),
    ("button", &["entity", "label", "help", "icon", "show_if", "many", "ask", "roles", "confirm"]),
];
/// What happens to a record.
const EVENTS: [&str; 4] = ["created", "updated", "deleted", "restored"];
/// How a flow may end.
const RESULTS: [&str; 4] = ["approved", "rejected", "withdrawn", "revoked"];

/// Checks every automation of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, automation) in &app.automations {
        let at = format!("/automations/{name}");
        let entity = trigger(c, &format!("{at}/on"), &automation.on);
        if automation.on.contains_key("message") && !automation.off {
            // Said here, since nobody would notice: it would just never run.
            let message = "no channel brings messages in yet, so this would never run: let the other system call a `webhook`, or say `\"off\": true`";
            c.error(format!("{at}/on/message"), message);
        }
        if automation.root.is_empty() {
            c.warn(format!("{at}/root"), "this automation does nothing");
        }
        let setting = Setting { entity, before: automation.run == RunWhen::Before };
        steps::check(c, &at, setting, &automation.steps, &automation.root);
    }
}

/// Checks what sets an automation off; the entity of the record, where there is one.
fn trigger<'w, 'a>(c: &mut Checking<'w, 'a>, at: &str, on: &Map<String, Json>) -> Option<&'w Known<'a>> {
    let named: Vec<&(&str, &[&str])> = TRIGGERS.iter().filter(|(key, _)| on.contains_key(*key)).collect();
    let [(kind, keys)] = named.as_slice() else {
        let known: Vec<&str> = TRIGGERS.iter().map(|(key, _)| *key).collect();
        match named.as_slice() {
            [] => c.error(at, format!("nothing sets this off: say one of {}", known.join(", "))),
            _ => c.error(at, "one automation is set off by one thing"),
        }
        return None;
    };
    c.keys(at, on, &[&[*kind], *keys].concat());
    let known: Map<String, Json> =
        on.iter().filter(|(key, _)| *key == kind || keys.contains(&key.as_str())).map(|(key, json)| (key.clone(), json.clone())).collect();
    c.shape("trigger", at, &Json::Object(known));
    let entity = match on.get("entity").and_then(Json::as_str) {
        Some(name) => c.entity(&format!("{at}/entity"), name),
        None => {
            if keys.contains(&"entity") {
                c.error(format!("{at}/entity"), "`entity` is missing");
            }
            None
        }
    };
    let word = on.get(*kind).and_then(Json::as_str).unwrap_or_default();
    match *kind {
        "webhook" | "message" | "schedule" => alone(c, at, kind, word, on),
        "form" => {
            let app = c.app;
            c.one_of(format!("{at}/form"), "web form", word, app.web_forms.keys().map(Name::as_str).collect::<Vec<_>>());
            return app.web_forms.get(word).and_then(|form| c.world.entity(c.name, &form.entity));
        }
        _ => {
            if let Some(entity) = entity {
                of_record(c, at, kind, word, on, entity);
            }
        }
    }
    entity
}

/// What is about no record.
fn alone(c: &mut Checking<'_, '_>, at: &str, kind: &str, word: &str, on: &Map<String, Json>) {
    if word.is_empty() {
        c.error(format!("{at}/{kind}"), "expected a text");
    }
    if kind == "schedule" {
        if !matches!(word.split_whitespace().count(), 5 | 6) && !word.starts_with('@') {
            c.error(format!("{at}/schedule"), format!("`{word}` is no cron line: minute, hour, day, month, weekday"));
        }
        if let Some(zone) = on.get("zone").and_then(Json::as_str)
            && zone.parse::<chrono_tz::Tz>().is_err()
        {
            c.error(format!("{at}/zone"), format!("`{zone}` is no time zone such as Asia/Shanghai"));
        }
    }
}

fn of_record<'a>(c: &mut Checking<'_, 'a>, at: &str, kind: &str, word: &str, on: &Map<String, Json>, entity: &Known<'a>) {
    let text = |key: &str| on.get(key).and_then(Json::as_str);
    match kind {
        "record" => {
            c.one_of(format!("{at}/record"), "event", word, EVENTS);
            for (index, name) in on.get("fields").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).enumerate() {
                c.field(format!("{at}/fields/{index}"), entity, name);
            }
        }
        "stage" => {
            c.one_of(format!("{at}/stage"), "event", word, ["entered", "left"]);
            if let Some(stage) = text("value") {
                c.stage(&format!("{at}/value"), entity, stage);
            }
        }
        "approval" => {
            c.one_of(format!("{at}/approval"), "event", word, ["decided", "started", "returned"]);
            if let Some(flow) = text("flow") {
                let app = c.app;
                c.one_of(format!("{at}/flow"), "approval", flow, app.approvals.keys().map(Name::as_str).collect::<Vec<_>>());
            }
            if let Some(result) = text("result") {
                c.one_of(format!("{at}/result"), "result", result, RESULTS);
            }
        }
        "clock" => {
            if !entity.is_clock(word) {
                c.missing(format!("{at}/clock"), "clock", word, entity.clocks().iter().copied());
            }
            if let Some(moment) = text("at") {
                c.one_of(format!("{at}/at"), "moment of a clock", moment, ["warning", "missed"]);
            }
        }
        "date" => {
            c.path_of(format!("{at}/date"), entity, word, &["date", "datetime"], "a date");
            for key in ["before", "after"] {
                if let Some(span) = on.get(key) {
                    c.duration(&format!("{at}/{key}"), span);
                }
            }
        }
        _ => button(c, at, on),
    }
}

/// The questions of a button are fields on their own.
fn button(c: &mut Checking<'_, '_>, at: &str, on: &Map<String, Json>) {
    for (name, question) in on.get("ask").and_then(Json::as_object).into_iter().flatten() {
        let at = format!("{at}/ask/{}", escape_pointer(name));
        match serde_json::from_value::<Field>(question.clone()) {
            Ok(field) => fields::alone(c, &at, &field),
            Err(error) => c.error(at, error.to_string()),
        }
    }
    if let Some(roles) = on.get("roles").cloned() {
        match serde_json::from_value::<Vec<String>>(roles) {
            Ok(roles) => c.roles(&format!("{at}/roles"), &roles),
            Err(error) => c.error(format!("{at}/roles"), error.to_string()),
        }
    }
}
