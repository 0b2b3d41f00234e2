//! In charge of the canonical form of an app: every `order` is there and complete, maps stand in their order.
//! Invariant: doing it twice is doing it once; nothing that has a meaning changes, dangling names in an `order` included.

use std::collections::HashSet;
use std::hash::Hash;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::doc::{App, Entity, Field, Form, Role, Step};
use crate::name::Name;

/// Brings an app into its canonical form; to be called after any change of one.
pub fn canonicalise(app: &mut App) {
    app.app.requires.sort_unstable_keys();
    app.app.home.sort_unstable_keys();
    app.app.settings.values_mut().for_each(field);
    let menu = std::mem::take(&mut app.app.menu);
    app.app.menu = by_tree(menu, &app.app.root, |item| item.children.clone());
    app.entities.values_mut().for_each(entity);
    app.options.values_mut().for_each(|list| ordered(&mut list.options, &mut list.order));
    app.forms.values_mut().for_each(form);
    app.views.values_mut().for_each(|view| ordered(&mut view.columns, &mut view.order));
    app.pipelines.values_mut().for_each(|pipeline| ordered(&mut pipeline.stages, &mut pipeline.order));
    for approval in app.approvals.values_mut() {
        steps(&mut approval.steps, &approval.root);
        approval.settings.values_mut().for_each(nested);
    }
    app.automations.values_mut().for_each(|automation| steps(&mut automation.steps, &automation.root));
    app.conversions.values_mut().for_each(|conversion| ordered(&mut conversion.targets, &mut conversion.order));
    app.roles.values_mut().for_each(role);
    app.dashboards.values_mut().for_each(|dashboard| ordered(&mut dashboard.widgets, &mut dashboard.order));
    app.web_forms.values_mut().for_each(|web_form| ordered(&mut web_form.fields, &mut web_form.order));
    app.locales.values_mut().for_each(IndexMap::sort_unstable_keys);
    app.locales.retain(|_, texts| !texts.is_empty());
    sort_documents(app);
}

/// Documents stand sorted by name, as files in a folder do.
fn sort_documents(app: &mut App) {
    app.entities.sort_unstable_keys();
    app.options.sort_unstable_keys();
    app.forms.sort_unstable_keys();
    app.views.sort_unstable_keys();
    app.pipelines.sort_unstable_keys();
    app.approvals.sort_unstable_keys();
    app.automations.sort_unstable_keys();
    app.templates.sort_unstable_keys();
    app.scripts.sort_unstable_keys();
    app.conversions.sort_unstable_keys();
    app.roles.sort_unstable_keys();
    app.dashboards.sort_unstable_keys();
    app.prints.sort_unstable_keys();
    app.web_forms.sort_unstable_keys();
    app.pools.sort_unstable_keys();
    app.calendars.sort_unstable_keys();
    app.holidays.sort_unstable_keys();
    app.imports.sort_unstable_keys();
    app.connectors.sort_unstable_keys();
    app.locales.sort_unstable_keys();
    app.scenarios.sort_unstable_keys();
}

fn entity(entity: &mut Entity) {
    entity.fields.values_mut().for_each(field);
    ordered(&mut entity.fields, &mut entity.order);
    entity.rules.sort_unstable_keys();
    entity.unique.sort_unstable_keys();
    entity.duplicates.sort_unstable_keys();
    entity.clocks.sort_unstable_keys();
}

/// The inline options of a choice have an order too.
fn field(field: &mut Field) {
    if let Some(Json::Object(options)) = field.settings.get("options").cloned() {
        order_json(&mut field.settings, "options", options);
    }
}

fn form(form: &mut Form) {
    let items = std::mem::take(&mut form.items);
    form.items = by_tree(items, &form.root, |item| item.children.clone());
}

fn role(role: &mut Role) {
    role.entities.values_mut().for_each(|rights| rights.fields.sort_unstable_keys());
    role.entities.sort_unstable_keys();
}

/// Completes `order` with what it misses, in the order as written, and sorts the map by it.
fn ordered<K: Clone + Eq + Hash, V>(map: &mut IndexMap<K, V>, order: &mut Option<Vec<K>>) {
    let list = order.get_or_insert_default();
    let there: HashSet<K> = list.iter().cloned().collect();
    list.extend(map.keys().filter(|key| !there.contains(*key)).cloned());
    let mut taken = std::mem::take(map);
    for key in list.iter() {
        if let Some((key, value)) = taken.swap_remove_entry(key) {
            map.insert(key, value);
        }
    }
    if list.is_empty() {
        *order = None;
    }
}

/// The same for a map that stands as plain JSON under `key`, beside its `order`.
fn order_json(holder: &mut Map<String, Json>, key: &str, mut map: Map<String, Json>) {
    let mut list: Vec<Json> = holder.get("order").and_then(Json::as_array).cloned().unwrap_or_default();
    list.extend(map.keys().filter(|key| !list.iter().any(|there| there == key.as_str())).map(|key| key.as_str().into()).collect::<Vec<Json>>());
    let mut sorted = Map::new();
    for name in list.iter().filter_map(Json::as_str) {
        if let Some((name, value)) = map.shift_remove_entry(name) {
            sorted.insert(name, value);
        }
    }
    if list.is_empty() {
        holder.shift_remove("order");
    } else {
        holder.insert("order".to_owned(), list.into());
    }
    holder.insert(key.to_owned(), sorted.into());
}

/// A flat map of a tree, sorted as a reader meets its parts: from the roots downwards; what no root reaches comes last, by name.
fn by_tree<V, C>(mut map: IndexMap<Name, V>, root: &[C], children: impl Fn(&V) -> Vec<C>) -> IndexMap<Name, V>
where
    C: AsRef<str> + Clone,
{
    let mut sorted = IndexMap::with_capacity(map.len());
    let mut waiting: Vec<C> = root.iter().rev().cloned().collect();
    while let Some(name) = waiting.pop() {
        if let Some((name, value)) = map.shift_remove_entry(name.as_ref()) {
            waiting.extend(children(&value).into_iter().rev());
            sorted.insert(name, value);
        }
    }
    map.sort_unstable_keys();
    sorted.extend(map);
    sorted
}

fn steps(steps: &mut IndexMap<Name, Step>, root: &[Name]) {
    for step in steps.values_mut() {
        step_settings(&mut step.settings);
    }
    let taken = std::mem::take(steps);
    *steps = by_tree(taken, root, |step| names_below(&step.settings));
}

fn step_settings(settings: &mut Map<String, Json>) {
    if let Some(Json::Object(branches)) = settings.get("branches").cloned() {
        order_json(settings, "branches", branches);
    }
    if settings.get("steps").is_some_and(Json::is_object) {
        let mut whole = Json::Object(std::mem::take(settings));
        nested(&mut whole);
        if let Json::Object(map) = whole {
            *settings = map;
        }
    }
}

/// A list of steps within a step or a result: `{"steps": {…}, "root": […]}`.
fn nested(json: &mut Json) {
    let Some(map) = json.as_object_mut() else { return };
    let Some(Json::Object(written)) = map.get("steps").cloned() else { return };
    let root: Vec<Name> = map.get("root").map(names).unwrap_or_default();
    let mut named: IndexMap<Name, Json> = IndexMap::new();
    for (name, mut step) in written {
        // A name that is none is told by the check; the list then stays as it is.
        let Some(name) = Name::parse(&name) else { return };
        if let Some(settings) = step.as_object_mut() {
            step_settings(settings);
        }
        named.insert(name, step);
    }
    let sorted = by_tree(named, &root, |step| step.as_object().map(names_below).unwrap_or_default());
    let sorted: Map<String, Json> = sorted.into_iter().map(|(name, step)| (name.to_string(), step)).collect();
    map.insert("steps".to_owned(), sorted.into());
}

/// The steps that a step leads down to: `children`, and `children` or `steps` of its branches.
pub(crate) fn names_below(settings: &Map<String, Json>) -> Vec<Name> {
    let mut below = settings.get("children").map(names).unwrap_or_default();
    let Some(branches) = settings.get("branches").and_then(Json::as_object) else { return below };
    let order: Vec<&str> = settings.get("order").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let rest = branches.keys().map(String::as_str).filter(|name| !order.contains(name));
    for branch in order.iter().copied().chain(rest).filter_map(|name| branches.get(name)) {
        below.extend(["children", "steps"].into_iter().filter_map(|key| branch.get(key)).flat_map(names));
    }
    below
}

fn names(json: &Json) -> Vec<Name> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).filter_map(Name::parse).collect()
}
