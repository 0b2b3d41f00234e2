//! In charge of checking `app.json`: the app's name and needs, its settings, menu, first pages, page of the day and seeds.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::checking::Checking;
use super::fields;
use super::version::{Range, Version};
use crate::doc::{FORMAT, MenuItem, TodayItem};
use crate::field::currency::is_currency;
use crate::name::{Name, is_name};
use crate::package::is_locale;

/// What a menu entry or a first page may open, beside `view:` and its like.
const PAGES: [&str; 4] = ["today", "home", "tasks", "search"];

/// Checks `app.json`.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let info = &c.app.app;
    if !is_name(&info.name) {
        c.error("/app/name", format!("`{}` is not a name: a small letter, then small letters, digits and _, 48 at most", info.name));
    } else if info.name.as_str() != c.name {
        c.error("/app/name", format!("this is the app `{}`, not `{}`", c.name, info.name));
    }
    if Version::parse(&info.version).is_none() {
        c.error("/app/version", format!("`{}` is no version such as 1.0.0", info.version));
    }
    if info.format != FORMAT {
        c.error("/app/format", format!("the format {} is not known: this program reads {FORMAT}", info.format));
    }
    for (index, locale) in info.locales.iter().enumerate().filter(|(_, locale)| !is_locale(locale)) {
        c.error(format!("/app/locales/{index}"), format!("`{locale}` is no locale such as en or zh-CN"));
    }
    if let Some(code) = info.currency.as_ref().filter(|code| !is_currency(code)) {
        c.error("/app/currency", format!("`{code}` is no ISO 4217 code"));
    }
    for (name, field) in &info.settings {
        fields::alone(c, &format!("/app/settings/{name}"), field);
    }
    requires(c);
    menu(c);
    pages(c);
    seeds(c);
}

fn requires(c: &mut Checking<'_, '_>) {
    let (app, apps) = (c.app, c.world.apps);
    for (name, range) in &app.app.requires {
        let at = format!("/app/requires/{name}");
        let Some(wanted) = Range::parse(range) else {
            c.error(at, format!("`{range}` is no range of versions such as ^1 or >=1.2, <2"));
            continue;
        };
        match apps.get(name) {
            _ if name.as_str() == c.name => c.error(at, "an app does not require itself"),
            None => c.missing(at, "app", name.as_str(), apps.keys().map(Name::as_str).filter(|other| *other != c.name).collect::<Vec<_>>()),
            Some(there) => match Version::parse(&there.app.version) {
                Some(version) if wanted.contains(version) => {}
                _ => c.error(at, format!("`{name}` is installed in version {}, which {range} does not take in", there.app.version)),
            },
        }
    }
    let rings: Vec<&Name> = apps.keys().filter(|name| requires_back(c, name)).collect();
    for name in rings {
        c.error(format!("/app/requires/{name}"), format!("`{name}` requires this app: two apps cannot require each other"));
    }
}

fn requires_back(c: &Checking<'_, '_>, other: &Name) -> bool {
    c.app.app.requires.contains_key(other)
        && c.world.apps.get(other).is_some_and(|there| there.app.requires.contains_key(c.name))
        && other.as_str() != c.name
}

/// Every entry of the menu is reached once from the top.
fn menu(c: &mut Checking<'_, '_>) {
    let menu = &c.app.app.menu;
    let mut reached: HashSet<&str> = HashSet::new();
    let mut waiting: Vec<(String, &str)> =
        c.app.app.root.iter().enumerate().map(|(index, name)| (format!("/app/root/{index}"), name.as_str())).collect();
    waiting.reverse();
    while let Some((at, name)) = waiting.pop() {
        let Some(item) = menu.get(name) else {
            menu_target(c, &at, name);
            continue;
        };
        if !reached.insert(name) {
            c.error(at, format!("the menu entry `{name}` stands in two places, or within itself"));
            continue;
        }
        menu_item(c, name, item);
        waiting.extend(item.children.iter().enumerate().rev().map(|(index, child)| (format!("/app/menu/{name}/children/{index}"), child.as_str())));
    }
    for name in menu.keys().filter(|name| !reached.contains(name.as_str())) {
        c.error(format!("/app/menu/{name}"), format!("nothing leads to the menu entry `{name}`: add it to `root` or to the children of another"));
    }
}

fn menu_item(c: &mut Checking<'_, '_>, name: &str, item: &MenuItem) {
    let at = format!("/app/menu/{name}");
    c.roles(&format!("{at}/roles"), &item.roles);
    match (&item.to, item.children.is_empty()) {
        (Some(to), true) => target(c, &format!("{at}/to"), to),
        (Some(_), false) => c.error(&at, "a menu entry opens something or has children, not both"),
        (None, true) => c.warn(&at, "this menu entry opens nothing and has no children"),
        (None, false) => {}
    }
}

/// A child of the menu that is no entry: what it opens, or a likely entry.
fn menu_target(c: &mut Checking<'_, '_>, at: &str, name: &str) {
    if name.contains(':') || PAGES.contains(&name) {
        target(c, at, name);
    } else {
        c.missing(at, "menu entry", name, c.app.app.menu.keys().map(Name::as_str));
    }
}

/// `view:deals`, `dashboard:team`, `entity:deal`, or a page such as `today`.
fn target(c: &mut Checking<'_, '_>, at: &str, to: &str) {
    let Some((kind, name)) = to.split_once(':') else {
        c.one_of(at, "page", to, PAGES);
        return;
    };
    let (app, bare) = name.split_once('.').unwrap_or((c.name, name));
    match kind {
        "entity" => {
            c.entity(at, name);
        }
        "view" | "dashboard" => {
            if !c.reaches(at, app) {
                return;
            }
            let Some(there) = c.world.apps.get(app) else { return };
            let names: Vec<&str> = match kind {
                "view" => there.views.keys().map(Name::as_str).collect(),
                _ => there.dashboards.keys().map(Name::as_str).collect(),
            };
            c.one_of(at, if kind == "view" { "view" } else { "dashboard" }, bare, names);
        }
        "url" => {}
        _ => c.missing(at, "kind of menu entry", kind, ["view", "dashboard", "entity", "url"]),
    }
}

fn pages(c: &mut Checking<'_, '_>) {
    let info = &c.app.app;
    for (role, to) in &info.home {
        let at = format!("/app/home/{role}");
        c.role(&at, role.as_str());
        target(c, &at, to);
    }
    for (name, item) in &info.today {
        today(c, &format!("/app/today/{name}"), item);
    }
}

fn today(c: &mut Checking<'_, '_>, at: &str, item: &TodayItem) {
    let Some(view) = c.app.views.get(&item.view) else {
        return c.missing(format!("{at}/view"), "view", item.view.as_str(), c.app.views.keys().map(Name::as_str));
    };
    // The view itself tells where its entity is not there.
    let Some(entity) = c.world.entity(c.name, &view.entity) else { return };
    c.path_of(format!("{at}/date"), entity, item.date.as_str(), &["date", "datetime"], "a date");
    let Some(done) = &item.done else { return };
    let Some(map) = done.as_object() else { return c.error(format!("{at}/done"), "expected {\"move\": …} or {\"set\": {…}}") };
    c.keys(&format!("{at}/done"), map, &["move", "set"]);
    if let Some(stage) = map.get("move").and_then(Json::as_str) {
        c.stage(&format!("{at}/done/move"), entity, stage);
    }
    if let Some(values) = map.get("set") {
        c.json_values(&format!("{at}/done/set"), Some(entity), values);
    }
}

fn seeds(c: &mut Checking<'_, '_>) {
    let info = &c.app.app;
    for (name, seed) in &info.seed {
        let at = format!("/app/seed/{name}");
        let Some(entity) = c.entity(&at, name.as_str()) else { continue };
        if seed.key.is_empty() {
            c.error(format!("{at}/key"), "names no field that tells rows apart");
        }
        for (index, field) in seed.key.iter().enumerate() {
            c.field(format!("{at}/key/{index}"), entity, field.as_str());
        }
    }
    for (index, file) in info.demo.iter().flat_map(|demo| &demo.load).enumerate() {
        let at = format!("/app/demo/load/{index}/import");
        c.one_of(at, "import", file.import.as_str(), c.app.imports.keys().map(Name::as_str).collect::<Vec<_>>());
    }
}
