//! In charge of checking approval flows: their tree, who decides, what each step may do with fields.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::checking::Checking;
use super::steps::{self, Setting};
use super::world::Known;
use crate::doc::Step;
use crate::doc::approval::{self, Approval};
use crate::fault::escape_pointer;
use crate::field::scalar::read_duration;
use crate::name::Name;

/// What a flow says beside its steps.
const KEYS: [&str; 7] = ["start", "settings", "on_approved", "on_rejected", "on_withdrawn", "on_revoked", "on_ended"];
/// What happens when a flow ends.
const RESULTS: [&str; 5] = ["on_approved", "on_rejected", "on_withdrawn", "on_revoked", "on_ended"];
/// How several decide.
const MODES: [&str; 8] = ["any", "all", "sequential", "percent", "count", "weight", "random", "claim"];
/// What a step may do with a field.
const ACCESS: [&str; 4] = ["hidden", "read", "write", "required"];
/// What happens where nobody decides.
const IF_EMPTY: [&str; 6] = ["pass", "reject", "to_admin", "to_users", "to_parent_head", "suspend"];
/// What happens where the initiator would decide.
const IF_INITIATOR: [&str; 5] = ["self", "skip", "manager", "department_head", "forbid"];
/// When one rejection counts.
const REJECT_COUNTS: [&str; 3] = ["first", "wait_all", "all"];
/// Where a rejection leads.
const THEN: [&str; 5] = ["end", "to_initiator", "to_previous", "to_step", "branch"];
/// What a deadline does.
const DO: [&str; 5] = ["remind", "escalate", "approve", "reject", "transfer"];

/// Checks every flow of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, approval) in &app.approvals {
        let at = format!("/approvals/{name}");
        c.keys(&at, &approval.settings, &[KEYS.as_slice(), &["entity", "label", "help", "steps", "root"]].concat());
        steps::tree(c, &at, &approval.steps, &approval.root);
        let entity = c.entity(&format!("{at}/entity"), &approval.entity);
        if !approval.steps.values().any(|step| matches!(step.kind.as_str(), "approve" | "handle" | "auto_approve" | "auto_reject" | "subflow")) {
            c.warn(format!("{at}/steps"), "nobody decides anything in this flow");
        }
        shapes(c, &at, approval);
        reach(c, &at, approval);
        for (name, step) in &approval.steps {
            self::step(c, &format!("{at}/steps/{name}"), approval, entity, step);
        }
        around(c, &at, approval, entity);
    }
    rings(c);
}

/// Flows that start one another without end.
fn rings(c: &mut Checking<'_, '_>) {
    let app = c.app;
    let starts = |name: &str| -> Vec<&str> {
        let steps = app.approvals.get(name).into_iter().flat_map(|approval| approval.steps.values());
        steps.filter(|step| step.kind == "subflow").filter_map(|step| step.settings.get("approval")?.as_str()).collect()
    };
    for (name, approval) in &app.approvals {
        for (step, written) in approval.steps.iter().filter(|(_, step)| step.kind == "subflow") {
            let (mut reached, mut todo) = (HashSet::new(), vec![written.settings.get("approval").and_then(Json::as_str).unwrap_or_default()]);
            while let Some(next) = todo.pop() {
                if reached.insert(next) {
                    todo.extend(starts(next));
                }
            }
            if reached.contains(name.as_str()) {
                c.error(
                    format!("/approvals/{name}/steps/{step}/approval"),
                    format!("flows would start one another without end: this leads back to `{name}`"),
                );
            }
        }
    }
}

/// What does not have the shape that its kind takes.
fn shapes(c: &mut Checking<'_, '_>, at: &str, approval: &Approval) {
    for (key, part) in [("start", "flow_start"), ("settings", "flow_settings")] {
        if let Some(json) = approval.settings.get(key) {
            c.shape(part, &format!("{at}/{key}"), json);
        }
    }
    for (name, step) in &approval.steps {
        c.shape(&format!("flow.{}", step.kind), &format!("{at}/steps/{name}"), &Json::Object(step.settings.clone()));
    }
}

/// The branches that run beside others on the way to each step, from the outside.
fn branches_of(approval: &Approval) -> HashMap<&str, Vec<String>> {
    let mut found: HashMap<&str, Vec<String>> = HashMap::new();
    let mut todo: Vec<(&Name, Vec<String>)> = approval.root.iter().map(|name| (name, Vec::new())).collect();
    while let Some((name, way)) = todo.pop() {
        let Some((name, step)) = approval.steps.get_key_value(name) else { continue };
        if found.insert(name.as_str(), way.clone()).is_some() {
            continue;
        }
        let beside = matches!(step.kind.as_str(), "parallel" | "inclusive");
        for (branch, json) in step.settings.get("branches").and_then(Json::as_object).into_iter().flatten() {
            let way = if beside { way.iter().cloned().chain([format!("{name}/{branch}")]).collect() } else { way.clone() };
            let inner = json.get("steps").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
            todo.extend(inner.filter_map(|name| approval.steps.get_key_value(name)).map(|(name, _)| (name, way.clone())));
        }
        let after = step.settings.get("on_reject").and_then(|on_reject| on_reject.get("steps")).and_then(Json::as_array);
        let inner = after.into_iter().flatten().filter_map(Json::as_str);
        todo.extend(inner.filter_map(|name| approval.steps.get_key_value(name)).map(|(name, _)| (name, way.clone())));
    }
    found
}

/// Ways that can never be gone, a split without a way out, and steps that wave things through.
fn reach(c: &mut Checking<'_, '_>, at: &str, approval: &Approval) {
    let ways = branches_of(approval);
    let reaches = |from: &str, to: &str| match (ways.get(from), ways.get(to)) {
        (Some(from), Some(to)) => from.starts_with(to),
        _ => true,
    };
    for (name, step) in &approval.steps {
        let at = format!("{at}/steps/{name}");
        for (index, to) in step.settings.get("return").and_then(|back| back.get("to")).and_then(Json::as_array).into_iter().flatten().enumerate() {
            if let Some(to) = to.as_str().filter(|to| !reaches(name.as_str(), to)) {
                c.warn(format!("{at}/return/to/{index}"), format!("`{to}` is in another branch: nothing can go back there from here"));
            }
        }
        if let Some(to) = step.settings.get("to").and_then(Json::as_str).filter(|_| step.kind == "route")
            && ways.get(name.as_str()) != ways.get(to)
            && approval.steps.contains_key(to)
        {
            c.warn(format!("{at}/to"), format!("`{to}` is in another branch: a jump cannot go there"));
        }
        let branches = step.settings.get("branches").and_then(Json::as_object);
        let has_default = |branch: &Json| branch.get("default") == Some(&Json::Bool(true)) || branch.get("when").is_none();
        if step.kind == "exclusive" && branches.is_some_and(|branches| !branches.values().any(has_default)) {
            c.error(format!("{at}/branches"), "one branch must be the default: `\"default\": true`");
        }
        if step.kind == "approve" && step.settings.get("if_empty").and_then(Json::as_str) == Some("pass") {
            c.warn(format!("{at}/if_empty"), "where nobody is found this step passes by itself");
        }
        let closing = step.settings.get("timeouts").and_then(Json::as_array).into_iter().flatten();
        if closing.filter(|timeout| matches!(timeout.get("do").and_then(Json::as_str), Some("approve" | "reject" | "transfer"))).count() > 1 {
            c.error(format!("{at}/timeouts"), "one deadline at most may close a task: approve, reject or transfer");
        }
    }
}

fn step<'a>(c: &mut Checking<'_, 'a>, at: &str, approval: &Approval, entity: Option<&Known<'a>>, step: &Step) {
    if !c.one_of(format!("{at}/kind"), "kind of step", &step.kind, approval::STEPS.iter().map(|(kind, _)| *kind)) {
        return;
    }
    let settings = &step.settings;
    if let Some(entity) = entity {
        for (name, access) in settings.get("fields").and_then(Json::as_object).into_iter().flatten() {
            let at = format!("{at}/fields/{}", escape_pointer(name));
            c.field(at.as_str(), entity, name);
            if let Some(access) = access.as_str() {
                c.one_of(at, "right", access, ACCESS);
            }
        }
    }
    match step.kind.as_str() {
        "approve" | "handle" => decision(c, at, approval, entity, settings),
        "cc" => people(c, &format!("{at}/to"), entity, settings.get("to")),
        "exclusive" | "parallel" | "inclusive" => steps::branches(c, at, settings),
        "route" => target(c, &format!("{at}/to"), approval, settings.get("to")),
        "delay" => {
            if let Some(span) = settings.get("for") {
                c.duration(&format!("{at}/for"), span);
                fixed(c, &format!("{at}/for"), span.get("span").unwrap_or(span));
            } else if !settings.contains_key("until") {
                c.error(at, "a delay needs `for` or `until`");
            }
        }
        "action" => {
            steps::nested(c, at, Setting { entity, before: false }, &Json::Object(settings.clone()));
            for (name, inner) in settings.get("steps").and_then(Json::as_object).into_iter().flatten() {
                if inner.get("kind").and_then(Json::as_str) == Some("wait") {
                    let message = "the flow goes on when these steps are done: put a step of kind `delay` beside this one";
                    c.error(format!("{at}/steps/{}/kind", escape_pointer(name)), message);
                }
            }
        }
        "subflow" => match settings.get("approval").and_then(Json::as_str) {
            Some(name) => {
                let app = c.app;
                c.one_of(format!("{at}/approval"), "approval", name, app.approvals.keys().map(Name::as_str).collect::<Vec<_>>());
            }
            None => c.error(format!("{at}/approval"), "`approval` is missing"),
        },
        _ => {}
    }
}

fn decision<'a>(c: &mut Checking<'_, 'a>, at: &str, approval: &Approval, entity: Option<&Known<'a>>, settings: &Map<String, Json>) {
    if !settings.contains_key("approvers") {
        c.error(format!("{at}/approvers"), "`approvers` is missing: who decides");
    }
    people(c, &format!("{at}/approvers"), entity, settings.get("approvers"));
    people(c, &format!("{at}/empty_users"), entity, settings.get("empty_users"));
    let words: [(&str, &'static str, &[&str]); 3] = [
        ("if_empty", "way out of an empty step", &IF_EMPTY),
        ("if_initiator", "way past the initiator", &IF_INITIATOR),
        ("reject_counts", "way to count rejections", &REJECT_COUNTS),
    ];
    for (key, what, offered) in words {
        if let Some(word) = settings.get(key).and_then(Json::as_str) {
            c.one_of(format!("{at}/{key}"), what, word, offered.iter().copied());
        }
    }
    if let Some(mode) = settings.get("mode").and_then(Json::as_object) {
        if let Some(kind) = mode.get("kind").and_then(Json::as_str) {
            c.one_of(format!("{at}/mode/kind"), "mode", kind, MODES);
        }
        for (key, most) in [("percent", 100), ("approvals", u64::MAX), ("rejections", u64::MAX), ("weight", u64::MAX)] {
            within(c, &format!("{at}/mode/{key}"), mode.get(key), most);
        }
    }
    if let Some(on_reject) = settings.get("on_reject") {
        if let Some(then) = on_reject.get("then").and_then(Json::as_str) {
            c.one_of(format!("{at}/on_reject/then"), "answer to a rejection", then, THEN);
        }
        target(c, &format!("{at}/on_reject/step"), approval, on_reject.get("step"));
    }
    for (index, to) in settings.get("return").and_then(|back| back.get("to")).and_then(Json::as_array).into_iter().flatten().enumerate() {
        if !to.as_str().is_some_and(|to| ["initiator", "previous", "any_visited"].contains(&to)) {
            target(c, &format!("{at}/return/to/{index}"), approval, Some(to));
        }
    }
    for (index, timeout) in settings.get("timeouts").and_then(Json::as_array).into_iter().flatten().enumerate() {
        deadline(c, &format!("{at}/timeouts/{index}"), entity, timeout);
    }
}

/// A number that must ask for something, and for no more than there can be.
fn within(c: &mut Checking<'_, '_>, at: &str, number: Option<&Json>, most: u64) {
    if let Some(number) = number.and_then(Json::as_u64)
        && !(1..=most).contains(&number)
    {
        let upto = if most == u64::MAX { "at least 1".to_owned() } else { format!("1 to {most}") };
        c.error(at, format!("{number} cannot decide anything: expected {upto}"));
    }
}

/// A span that a clock can count: months and years have no fixed length.
fn fixed(c: &mut Checking<'_, '_>, at: &str, span: &Json) {
    if let Some(text) = span.as_str()
        && text.starts_with('P')
        && read_duration(text).is_none()
    {
        c.error(at, format!("`{text}` has no fixed length: say it in days or hours, as P30D"));
    }
}

fn deadline<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: Option<&Known<'a>>, timeout: &Json) {
    match timeout.get("after") {
        Some(span) => {
            c.duration(&format!("{at}/after"), span);
            fixed(c, &format!("{at}/after"), span);
        }
        None => c.error(at, "`after` is missing"),
    }
    people(c, &format!("{at}/to"), entity, timeout.get("to"));
    if let Some(calendar) = timeout.get("calendar") {
        c.calendar(&format!("{at}/calendar"), calendar);
    }
    match timeout.get("do").and_then(Json::as_str) {
        Some(word) => {
            c.one_of(format!("{at}/do"), "action", word, DO);
        }
        None => c.error(at, "`do` is missing"),
    }
}

fn target(c: &mut Checking<'_, '_>, at: &str, approval: &Approval, name: Option<&Json>) {
    if let Some(name) = name.and_then(Json::as_str) {
        c.one_of(at, "step", name, approval.steps.keys().map(Name::as_str).collect::<Vec<_>>());
    }
}

/// People: a list of `{"by": …}`.
fn people<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: Option<&Known<'a>>, list: Option<&Json>) {
    let Some(list) = list else { return };
    let Some(entries) = list.as_array() else { return c.error(at, "expected a list of people") };
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("{at}/{index}");
        let Some(map) = entry.as_object() else {
            c.error(at, "expected an object with `by`");
            continue;
        };
        if !map.get("by").is_some_and(Json::is_string) {
            c.error(format!("{at}/by"), "`by` is missing: how the people are found");
        }
        steps::who(c, &at, map);
        within(c, &format!("{at}/weight"), map.get("weight"), u64::MAX);
        people(c, &format!("{at}/among"), entity, map.get("among"));
        if let (Some(path), Some(entity)) = (map.get("field").and_then(Json::as_str), entity) {
            c.path(format!("{at}/field"), entity, path);
        }
    }
}

fn around<'a>(c: &mut Checking<'_, 'a>, at: &str, approval: &Approval, entity: Option<&Known<'a>>) {
    for key in RESULTS {
        if let Some(result) = approval.settings.get(key) {
            steps::nested(c, &format!("{at}/{key}"), Setting { entity, before: false }, result);
        }
    }
    if let Some(roles) = approval.settings.get("start").and_then(|start| start.get("by")).and_then(Json::as_array) {
        for (index, role) in roles.iter().enumerate() {
            if let Some(role) = role.as_str() {
                c.role(&format!("{at}/start/by/{index}"), role);
            }
        }
    }
    let Some(settings) = approval.settings.get("settings") else { return };
    let at = format!("{at}/settings");
    people(c, &format!("{at}/managers"), entity, settings.get("managers"));
    if let Some(span) = settings.get("revoke_within") {
        c.duration(&format!("{at}/revoke_within"), span);
        fixed(c, &format!("{at}/revoke_within"), span);
    }
    let Some(entity) = entity else { return };
    let lists = [
        ("watched", settings.get("watched")),
        ("summary", settings.get("summary")),
        ("lock/editable", settings.pointer("/lock/editable")),
        ("lock/fields", settings.pointer("/lock/fields")),
    ];
    for (key, list) in lists {
        for (index, name) in list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).enumerate() {
            c.field(format!("{at}/{key}/{index}"), entity, name);
        }
    }
}
