//! In charge of checking steps wherever they stand: in automations, in results of flows, in actions.
//! Invariant: steps are a tree in a flat map; each is reached once from the roots, so nothing runs in a ring.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::checking::Checking;
use super::world::Known;
use crate::doc::step::STEPS;
use crate::doc::{FormOn, MessageTemplate, Step};
use crate::fault::escape_pointer;
use crate::name::Name;

/// Kinds that leave the transaction: they cannot run inside it.
const OUTSIDE: [&str; 4] = ["wait", "mail", "webhook", "print"];

/// Where steps run.
#[derive(Clone, Copy)]
pub(super) struct Setting<'w, 'a> {
    /// The entity of the record that set them off, where there is one.
    pub(super) entity: Option<&'w Known<'a>>,
    /// Whether they run inside the transaction.
    pub(super) before: bool,
}

/// Checks the tree and each step of it.
pub(super) fn check<'a>(c: &mut Checking<'_, 'a>, at: &str, setting: Setting<'_, 'a>, steps: &IndexMap<Name, Step>, root: &[Name]) {
    tree(c, at, steps, root);
    let saved: Vec<&str> = steps.values().flat_map(|step| ["save", "as"].into_iter().filter_map(|key| step.settings.get(key)?.as_str())).collect();
    for (name, step) in steps {
        let at = format!("{at}/steps/{name}");
        if !c.one_of(format!("{at}/kind"), "kind of step", &step.kind, STEPS.iter().map(|(kind, _)| *kind)) {
            continue;
        }
        if setting.before && OUTSIDE.contains(&step.kind.as_str()) {
            c.error(format!("{at}/kind"), format!("`{}` reaches outside: it cannot run before the save", step.kind));
        }
        c.shape(&format!("step.{}", step.kind), &at, &Json::Object(step.settings.clone()));
        one(c, &at, setting, step, &saved);
    }
}

/// A list of steps as it stands in a result or an action: `{"steps": {…}, "root": […]}`.
pub(super) fn nested<'a>(c: &mut Checking<'_, 'a>, at: &str, setting: Setting<'_, 'a>, json: &Json) {
    let Some(map) = json.as_object() else { return c.error(at, "expected {\"steps\": {…}, \"root\": […]}") };
    let read = |key: &str| map.get(key).cloned().unwrap_or_default();
    let steps = match read("steps") {
        Json::Null => Ok(IndexMap::new()),
        steps => serde_json::from_value::<IndexMap<Name, Step>>(steps),
    };
    let root = match read("root") {
        Json::Null => Ok(Vec::new()),
        root => serde_json::from_value::<Vec<Name>>(root),
    };
    match (steps, root) {
        (Ok(steps), Ok(root)) => check(c, at, setting, &steps, &root),
        (Err(error), _) => c.error(format!("{at}/steps"), error.to_string()),
        (_, Err(error)) => c.error(format!("{at}/root"), error.to_string()),
    }
}

/// Each step is reached once from the roots.
pub(super) fn tree(c: &mut Checking<'_, '_>, at: &str, steps: &IndexMap<Name, Step>, root: &[Name]) {
    let mut reached: HashSet<String> = HashSet::new();
    let mut waiting: Vec<(String, String)> =
        root.iter().enumerate().rev().map(|(index, name)| (format!("{at}/root/{index}"), name.to_string())).collect();
    while let Some((place, name)) = waiting.pop() {
        let Some(step) = steps.get(name.as_str()) else {
            c.missing(place, "step", &name, steps.keys().map(Name::as_str));
            continue;
        };
        if !reached.insert(name.clone()) {
            c.error(place, format!("the step `{name}` stands in two places, or within itself"));
            continue;
        }
        let mut below = below(&format!("{at}/steps/{name}"), &step.settings);
        below.reverse();
        waiting.extend(below);
    }
    for name in steps.keys().filter(|name| !reached.contains(name.as_str())) {
        c.error(format!("{at}/steps/{name}"), format!("nothing leads to the step `{name}`: add it to `root` or below another step"));
    }
}

/// The steps that a step leads down to, each with its place.
fn below(at: &str, settings: &Map<String, Json>) -> Vec<(String, String)> {
    let mut found = listed(&format!("{at}/children"), settings.get("children"));
    for (branch, json) in settings.get("branches").and_then(Json::as_object).into_iter().flatten() {
        for key in ["children", "steps"] {
            found.extend(listed(&format!("{at}/branches/{}/{key}", escape_pointer(branch)), json.get(key)));
        }
    }
    // What a rejection leads to stands in the flow's own map.
    found.extend(listed(&format!("{at}/on_reject/steps"), settings.get("on_reject").and_then(|on_reject| on_reject.get("steps"))));
    found
}

fn listed(at: &str, names: Option<&Json>) -> Vec<(String, String)> {
    let names = names.and_then(Json::as_array).into_iter().flatten().enumerate();
    names.filter_map(|(index, name)| Some((format!("{at}/{index}"), name.as_str()?.to_owned()))).collect()
}

fn one<'a>(c: &mut Checking<'_, 'a>, at: &str, setting: Setting<'_, 'a>, step: &Step, saved: &[&str]) {
    let settings = &step.settings;
    let text = |key: &str| settings.get(key).and_then(Json::as_str);
    let app = c.app;
    // With `record` a step is about another record, whose entity is known when it runs.
    let own = setting.entity.filter(|_| !settings.contains_key("record"));
    match step.kind.as_str() {
        "create" | "find" => {
            let Some(name) = text("entity") else { return c.error(format!("{at}/entity"), "`entity` is missing") };
            let entity = c.entity(&format!("{at}/entity"), name);
            if let Some(values) = settings.get("values") {
                c.json_values(&format!("{at}/values"), entity, values);
            }
            if let Some(entity) = entity {
                for (index, sort) in settings.get("sort").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).enumerate() {
                    c.path(format!("{at}/sort/{index}"), entity, sort.trim_start_matches('-'));
                }
            }
        }
        "update" => match settings.get("values") {
            Some(values) => c.json_values(&format!("{at}/values"), own, values),
            None => c.error(format!("{at}/values"), "`values` is missing"),
        },
        "move" => match (text("to"), own) {
            (None, _) => c.error(format!("{at}/to"), "`to` is missing: the stage"),
            (Some(stage), Some(entity)) => c.stage(&format!("{at}/to"), entity, stage),
            (Some(_), None) => {}
        },
        "convert" => named(c, at, "conversion", settings, app.conversions.keys()),
        "start_approval" => named(c, at, "approval", settings, app.approvals.keys()),
        "print" => named(c, at, "print", settings, app.prints.keys()),
        "script" => named(c, at, "script", settings, app.scripts.keys()),
        "mail" | "notify" => message(c, at, setting, settings, saved),
        "webhook" => webhook(c, at, settings),
        "link" => {
            named(c, at, "form", settings, app.web_forms.keys());
            let is_about_one = text("form").and_then(|name| app.web_forms.get(name)).is_none_or(|form| form.on == FormOn::Existing);
            if !is_about_one {
                c.error(format!("{at}/form"), "only a form about a record that is there is reached by a link");
            }
            if !settings.contains_key("save") {
                c.error(format!("{at}/save"), "`save` is missing: by what name later steps know the link");
            }
        }
        "assign" => assign(c, at, settings),
        "branch" => branches(c, at, settings),
        "for_each" if !settings.contains_key("over") => c.error(format!("{at}/over"), "`over` is missing: what is gone through"),
        "wait" => wait(c, at, settings),
        _ => {}
    }
}

fn named<'n>(c: &mut Checking<'_, '_>, at: &str, key: &'static str, settings: &Map<String, Json>, offered: impl Iterator<Item = &'n Name>) {
    let offered: Vec<&str> = offered.map(Name::as_str).collect();
    match settings.get(key).and_then(Json::as_str) {
        Some(name) => {
            c.one_of(format!("{at}/{key}"), key, name, offered);
        }
        None => c.error(format!("{at}/{key}"), format!("`{key}` is missing")),
    }
}

fn message<'a>(c: &mut Checking<'_, 'a>, at: &str, setting: Setting<'_, 'a>, settings: &Map<String, Json>, saved: &[&str]) {
    let app = c.app;
    match settings.get("template").and_then(Json::as_str) {
        Some(name) => {
            c.one_of(format!("{at}/template"), "template", name, app.templates.keys().map(Name::as_str).collect::<Vec<_>>());
        }
        None => {
            let body = ["subject", "body"].map(|key| settings.get(key).cloned().unwrap_or_default());
            let [subject, body] = body;
            if serde_json::from_value::<MessageTemplate>(serde_json::json!({"subject": subject, "body": body})).is_err() {
                c.error(at, "a message needs `template`, or `subject` and `body`");
            }
        }
    }
    match settings.get("to") {
        None => c.error(format!("{at}/to"), "`to` is missing"),
        Some(Json::Array(people)) => {
            for (index, person) in people.iter().enumerate() {
                people_of(c, &format!("{at}/to/{index}"), setting.entity, person, saved);
            }
        }
        Some(person) => people_of(c, &format!("{at}/to"), setting.entity, person, saved),
    }
    if let Some(person) = settings.get("or_else") {
        people_of(c, &format!("{at}/or_else"), setting.entity, person, saved);
    }
}

/// People: a path such as `owner.manager`, or `{"role": "manager"}`.
fn people_of<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: Option<&Known<'a>>, person: &Json, saved: &[&str]) {
    match person {
        Json::String(path) => {
            let first = path.split('.').next().unwrap_or_default();
            let is_elsewhere = path.starts_with('$') || path.contains('@') || saved.contains(&first);
            if let Some(entity) = entity.filter(|_| !is_elsewhere) {
                c.path(at, entity, path);
            }
        }
        Json::Object(map) => who(c, at, map),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => c.error(at, "expected a path to a person, or {\"role\": …}"),
    }
}

/// `{"role": …}`, `{"pool": …}` and the like.
pub(super) fn who(c: &mut Checking<'_, '_>, at: &str, map: &Map<String, Json>) {
    if let Some(role) = map.get("role").and_then(Json::as_str) {
        c.role(&format!("{at}/role"), role);
    }
    if let Some(pool) = map.get("pool").and_then(Json::as_str) {
        c.one_of(format!("{at}/pool"), "pool", pool, c.app.pools.keys().map(Name::as_str).collect::<Vec<_>>());
    }
}

fn webhook(c: &mut Checking<'_, '_>, at: &str, settings: &Map<String, Json>) {
    match (settings.get("connector").and_then(Json::as_str), settings.get("url")) {
        (Some(name), _) => {
            c.one_of(format!("{at}/connector"), "connector", name, c.app.connectors.keys().map(Name::as_str).collect::<Vec<_>>());
        }
        (None, None) => c.error(at, "a webhook needs `connector` or `url`"),
        (None, Some(_)) => {}
    }
    if let Some(values) = settings.get("values") {
        c.json_values(&format!("{at}/values"), None, values);
    }
}

fn assign(c: &mut Checking<'_, '_>, at: &str, settings: &Map<String, Json>) {
    for (index, rule) in settings.get("rules").and_then(Json::as_array).into_iter().flatten().enumerate() {
        if let Some(to) = rule.get("to").and_then(Json::as_object) {
            who(c, &format!("{at}/rules/{index}/to"), to);
        }
    }
    for key in ["to", "else"] {
        if let Some(to) = settings.get(key).and_then(Json::as_object) {
            who(c, &format!("{at}/{key}"), to);
        }
    }
}

/// Branches with their order.
pub(super) fn branches(c: &mut Checking<'_, '_>, at: &str, settings: &Map<String, Json>) {
    let Some(branches) = settings.get("branches").and_then(Json::as_object).filter(|branches| !branches.is_empty()) else {
        return c.error(format!("{at}/branches"), "`branches` is missing: there is nothing to choose from");
    };
    let order = settings.get("order").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    c.order(&format!("{at}/order"), "branch", order, branches.keys().map(String::as_str));
}

fn wait(c: &mut Checking<'_, '_>, at: &str, settings: &Map<String, Json>) {
    match (settings.get("for"), settings.get("until")) {
        (Some(span), _) => c.duration(&format!("{at}/for"), span),
        (None, None) => c.error(at, "a wait needs `for` or `until`"),
        (None, Some(_)) => {}
    }
}
