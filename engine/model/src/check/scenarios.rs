//! In charge of checking scenarios: one known verb a step, with keys that it has, about people and records that are there.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::checking::Checking;
use super::world::{Known, USER};
use crate::doc::Scenario;
use crate::fault::escape_pointer;
use crate::name::Name;

/// What a verb's own value is; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// An entity's name.
    Entity,
    /// A saved record, `$d`.
    Record,
    /// The name of a button, a flow or a web form.
    Named,
    /// An object that holds all its keys.
    Object,
    /// Anything else.
    Other,
}

/// Every verb: its own value, and the keys beside it.
const VERBS: [(&str, Own, &[&str]); 44] = [
    ("create", Own::Entity, &["values", "version", "duplicates"]),
    ("update", Own::Record, &["values", "version", "duplicates"]),
    ("delete", Own::Record, &["version"]),
    ("restore", Own::Record, &["version"]),
    ("move", Own::Record, &["to", "values", "skip", "version", "duplicates"]),
    ("list", Own::Entity, &["filter", "sort", "limit", "pool", "expect_list", "total"]),
    ("aggregate", Own::Entity, &["filter", "sort", "limit", "group_by", "measures", "having", "expect_rows", "total"]),
    ("expect", Own::Record, &["values", "missing"]),
    ("convert", Own::Record, &["conversion", "values", "targets", "lines", "dry_run", "expect_targets"]),
    ("press", Own::Named, &["record", "records", "values"]),
    ("post", Own::Named, &["values", "query"]),
    ("claim", Own::Record, &["pool", "to"]),
    ("release", Own::Record, &["pool", "reason"]),
    ("protect", Own::Record, &["pool"]),
    ("unprotect", Own::Record, &["pool"]),
    ("submit", Own::Named, &["record", "values", "select"]),
    ("approve", Own::Record, &["step", "values", "opinion", "select", "signature"]),
    ("reject", Own::Record, &["step", "values", "opinion", "select", "signature"]),
    ("give_opinion", Own::Record, &["opinion", "step"]),
    ("return", Own::Record, &["to", "opinion", "resubmit", "step"]),
    ("transfer", Own::Record, &["to", "opinion", "step"]),
    ("delegate", Own::Record, &["to", "opinion", "step"]),
    ("recall", Own::Record, &["to", "opinion", "step"]),
    ("add_sign", Own::Record, &["where", "users", "mode", "user", "opinion", "step"]),
    ("remove_sign", Own::Record, &["where", "users", "mode", "user", "opinion", "step"]),
    ("withdraw", Own::Record, &["opinion"]),
    ("take_back", Own::Record, &["opinion"]),
    ("revoke", Own::Record, &["opinion"]),
    ("urge", Own::Record, &["opinion"]),
    ("comment", Own::Record, &["opinion"]),
    ("admin", Own::Record, &["do", "to", "user", "by", "result", "opinion"]),
    ("proxy", Own::Other, &["user", "by", "from", "until"]),
    ("publish", Own::Other, &["patch"]),
    ("restart", Own::Other, &[]),
    ("at_once", Own::Other, &[]),
    ("sink", Own::Other, &["fail", "delay", "mail", "webhook"]),
    ("advance_clock", Own::Other, &["to"]),
    ("expect_task", Own::Object, &["approval", "record", "step", "count"]),
    ("expect_no_task", Own::Object, &["approval", "record", "step", "count"]),
    ("expect_path", Own::Other, &["record", "approval", "values", "steps"]),
    ("expect_notice", Own::Object, &["record", "approval", "kind", "subject", "text", "count"]),
    ("expect_mail", Own::Object, &["record", "approval", "kind", "subject", "text", "count", "to"]),
    ("expect_webhook", Own::Object, &["name", "record", "count"]),
    ("expect_print", Own::Object, &["print", "record", "locale", "text", "without"]),
];
/// The last verb, apart for the length of the line above.
const EXPECT_RUN: (&str, Own, &[&str]) = ("expect_run", Own::Object, &["automation", "record", "state", "count"]);
/// What every step takes.
const COMMON: [&str; 3] = ["as", "save", "expect_error"];
/// What a person of a scenario has beside the fields of `core.user`.
const PERSON: [&str; 6] = ["roles", "department", "manager", "name", "email", "password"];

/// Checks every scenario of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, scenario) in &app.scenarios {
        let at = format!("/scenarios/{name}");
        people(c, &at, scenario);
        for key in scenario.settings.keys() {
            // A setting of another app stands under that app's name.
            if !key.contains('.') && !c.world.apps.contains_key(key.as_str()) {
                let at = format!("{at}/settings/{}", escape_pointer(key));
                c.one_of(at, "setting", key, app.app.settings.keys().map(Name::as_str).collect::<Vec<_>>());
            }
        }
        let mut saved: HashSet<String> = people_and_departments(scenario);
        for (index, step) in scenario.steps.iter().enumerate() {
            self::step(c, &format!("{at}/steps/{index}"), scenario, step, &mut saved);
        }
    }
}

/// What every step may name with a $.
fn people_and_departments(scenario: &Scenario) -> HashSet<String> {
    let named = scenario.users.values().filter_map(|person| person.get("department")?.as_str()).map(str::to_owned);
    scenario.users.keys().chain(scenario.departments.keys()).map(ToString::to_string).chain(named).collect()
}

fn people(c: &mut Checking<'_, '_>, at: &str, scenario: &Scenario) {
    // A person may be the first to name a department.
    let named = scenario.users.values().filter_map(|person| person.get("department")?.as_str());
    let departments: Vec<&str> = scenario.departments.keys().map(Name::as_str).chain(named).collect();
    let users: Vec<&str> = scenario.users.keys().map(Name::as_str).collect();
    for (name, person) in &scenario.users {
        let at = format!("{at}/users/{name}");
        for (key, value) in person {
            let place = format!("{at}/{}", escape_pointer(key));
            match (key.as_str(), value) {
                ("roles", Json::Array(roles)) => {
                    for (index, role) in roles.iter().enumerate() {
                        match role.as_str() {
                            Some(role) => c.role(&format!("{place}/{index}"), role),
                            None => c.error(format!("{place}/{index}"), "expected the name of a role"),
                        }
                    }
                }
                ("manager", Json::String(manager)) => {
                    c.one_of(place, "person", manager, users.iter().copied());
                }
                (key, _) if PERSON.contains(&key) => {}
                (key, _) => {
                    if let Some(user) = c.world.entity("core", USER) {
                        c.field(place, user, key);
                    }
                }
            }
        }
    }
    for (name, department) in &scenario.departments {
        let at = format!("{at}/departments/{name}");
        if let Some(parent) = &department.parent {
            c.one_of(format!("{at}/parent"), "department", parent.as_str(), departments.iter().copied());
        }
        if let Some(head) = &department.head {
            c.one_of(format!("{at}/head"), "person", head.as_str(), users.iter().copied());
        }
    }
}

fn step(c: &mut Checking<'_, '_>, at: &str, scenario: &Scenario, step: &Map<String, Json>, saved: &mut HashSet<String>) {
    let mut verbs = VERBS.iter().chain([&EXPECT_RUN]).filter(|(verb, ..)| step.contains_key(*verb));
    let (Some((verb, own, keys)), None) = (verbs.next(), verbs.next()) else {
        return no_verb(c, at, step);
    };
    let beside: &[&str] = if *own == Own::Object { &[] } else { keys };
    c.keys(at, step, &[COMMON.as_slice(), &[*verb], beside].concat());
    if let Some(person) = step.get("as").and_then(Json::as_str) {
        let users: Vec<&str> = scenario.users.keys().map(Name::as_str).collect();
        c.one_of(format!("{at}/as"), "person", person, users);
    }
    let place = format!("{at}/{verb}");
    let value = step.get(*verb).unwrap_or(&Json::Null);
    match (own, value) {
        (Own::Entity, Json::String(name)) => {
            if let Some(entity) = c.entity(&place, name) {
                values(c, at, entity, step);
            }
        }
        (Own::Record, Json::String(name)) => record(c, &place, name, saved),
        (Own::Object, Json::Object(map)) => {
            c.keys(&place, map, keys);
            if *verb == "expect_print" {
                let app = c.app;
                let name = map.get("print").and_then(Json::as_str).unwrap_or_default();
                c.one_of(format!("{place}/print"), "print", name, app.prints.keys().map(Name::as_str).collect::<Vec<_>>());
            }
            if let Some(name) = map.get("record").and_then(Json::as_str) {
                record(c, &format!("{place}/record"), name, saved);
            }
        }
        (Own::Named, Json::String(name)) => self::named(c, &place, verb, name),
        (Own::Other, Json::Array(steps)) if *verb == "at_once" => {
            for (index, inner) in steps.iter().enumerate() {
                match inner.as_object() {
                    Some(inner) => self::step(c, &format!("{place}/{index}"), scenario, inner, saved),
                    None => c.error(format!("{place}/{index}"), "expected a step"),
                }
            }
        }
        (Own::Other, Json::String(span)) if *verb == "advance_clock" => c.duration_text(&place, span),
        (Own::Other, _) => {}
        (Own::Entity, _) => c.error(place, "expected the name of an entity"),
        (Own::Record, _) => c.error(place, "expected a saved record such as $deal"),
        (Own::Named, _) => c.error(place, "expected a name"),
        (Own::Object, _) => c.error(place, "expected an object with what is expected"),
    }
    if let Some(name) = step.get("record").and_then(Json::as_str) {
        record(c, &format!("{at}/record"), name, saved);
    }
    if let Some(error) = step.get("expect_error").and_then(Json::as_object) {
        c.keys(&format!("{at}/expect_error"), error, &["code", "field", "message"]);
    }
    if let Some(name) = step.get("save").and_then(Json::as_str) {
        saved.insert(name.to_owned());
    }
}

fn no_verb(c: &mut Checking<'_, '_>, at: &str, step: &Map<String, Json>) {
    let verbs: Vec<&str> = VERBS.iter().chain([&EXPECT_RUN]).map(|(verb, ..)| *verb).collect();
    let written: Vec<&str> = step.keys().map(String::as_str).filter(|key| verbs.contains(key)).collect();
    if written.len() > 1 {
        return c.error(at, format!("a step does one thing: {}", written.join(", ")));
    }
    let hint = step.keys().find_map(|key| crate::hint::nearest(key, verbs.iter().copied()));
    c.push(crate::fault::Diagnostic::error(at, "this step does nothing that is known").with_hint(hint));
}

/// Fields that a step writes; a step that expects to fail may name one that is not there.
fn values<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, step: &Map<String, Json>) {
    if step.contains_key("expect_error") {
        return;
    }
    for name in step.get("values").and_then(Json::as_object).into_iter().flat_map(Map::keys) {
        c.field(format!("{at}/values/{}", escape_pointer(name)), entity, name);
    }
}

/// `$d`, or `$d.target` of a conversion: something that an earlier step saved.
fn record(c: &mut Checking<'_, '_>, at: &str, written: &str, saved: &HashSet<String>) {
    let Some(name) = written.strip_prefix('$') else {
        let hint = Some(format!("${written}")).filter(|_| saved.contains(written));
        return c.push(crate::fault::Diagnostic::error(at, format!("`{written}` is no saved record: those begin with $")).with_hint(hint));
    };
    let first = name.split('.').next().unwrap_or(name);
    if !saved.contains(first) {
        let mut offered: Vec<&str> = saved.iter().map(String::as_str).collect();
        offered.sort_unstable();
        c.missing(at, "saved record", first, offered);
    }
}

fn named(c: &mut Checking<'_, '_>, at: &str, verb: &str, name: &str) {
    let app = c.app;
    match verb {
        "submit" => {
            c.one_of(at, "approval", name, app.approvals.keys().map(Name::as_str).collect::<Vec<_>>());
        }
        "post" => {
            c.one_of(at, "web form", name, app.web_forms.keys().map(Name::as_str).collect::<Vec<_>>());
        }
        _ => {
            let buttons: Vec<&str> = app.automations.values().filter_map(|automation| automation.on.get("button")?.as_str()).collect();
            c.one_of(at, "button", name, buttons);
        }
    }
}
