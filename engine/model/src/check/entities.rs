//! In charge of checking entities: what stands beside their fields, and what extends another app's.

use serde_json::Value as Json;

use super::checking::Checking;
use super::world::Known;
use super::{fields, words};
use crate::doc::{DepartmentMode, Entity, OwnerMode, UniqueKey};
use crate::fault::escape_pointer;
use crate::name::{EntityName, Name, is_name};

/// Kinds whose values make a period.
const DAYS: [&str; 2] = ["date", "datetime"];
/// What finding a duplicate does.
pub(super) const THEN: [&str; 4] = ["block", "warn", "link", "append"];

/// Checks every entity of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (key, entity) in &app.entities {
        let at = format!("/entities/{}", escape_pointer(key));
        match &entity.extends {
            None if is_name(key) => {
                if let Some(known) = c.world.entity(c.name, key) {
                    contents(c, &at, key, entity, known);
                }
            }
            None if EntityName::parse(key).is_some() => {
                c.error(&at, format!("a document called `{key}` adds to that entity: it says `\"extends\": \"{key}\"`"));
            }
            None => c.error(&at, format!("`{key}` is not a name: a small letter, then small letters, digits and _, 48 at most")),
            Some(target) => extension(c, &at, key, entity, target),
        }
    }
}

fn extension<'a>(c: &mut Checking<'_, 'a>, at: &str, key: &str, entity: &'a Entity, target: &str) {
    if key != target {
        c.error(format!("{at}/extends"), format!("the document is called `{key}`: what extends `{target}` is called so too"));
    }
    for (key, is_written) in [
        ("title", entity.title.is_some()),
        ("owner", entity.owner != OwnerMode::None),
        ("department", entity.department.is_some()),
        ("members", !entity.members.is_empty()),
        ("locked_if", entity.locked_if.is_some()),
        ("label", entity.label.is_some()),
        ("plural", entity.plural.is_some()),
    ] {
        if is_written {
            c.error(format!("{at}/{key}"), format!("an extension adds fields, rules, unique keys, clocks and indexes: `{key}` is the entity's own"));
        }
    }
    let Some(known) = c.entity(&format!("{at}/extends"), target) else { return };
    parts_of_others(c, at, entity, target);
    for name in entity.fields.keys() {
        if let Some((owner, _)) = known.fields.get(name.as_str())
            && *owner != c.name
        {
            c.error(format!("{at}/fields/{name}"), format!("`{target}` has a field `{name}` already, of the app `{owner}`"));
        }
    }
    contents(c, at, key, entity, known);
}

/// A rule, key or clock of an extension has a name of its own: removing the app takes away exactly its parts.
fn parts_of_others(c: &mut Checking<'_, '_>, at: &str, entity: &Entity, target: &str) {
    let (apps, own) = (c.world.apps, c.name);
    for (app, documents) in apps.iter().filter(|(app, _)| app.as_str() != own) {
        for (key, other) in &documents.entities {
            let is_it = other.extends.as_deref() == Some(target) || (other.extends.is_none() && super::world::qualify(app.as_str(), key) == target);
            if !is_it {
                continue;
            }
            let parts = [
                ("rules", entity.rules.keys().filter(|name| other.rules.contains_key(*name)).collect::<Vec<_>>()),
                ("unique", entity.unique.keys().filter(|name| other.unique.contains_key(*name)).collect()),
                ("clocks", entity.clocks.keys().filter(|name| other.clocks.contains_key(*name)).collect()),
                ("duplicates", entity.duplicates.keys().filter(|name| other.duplicates.contains_key(*name)).collect()),
            ];
            for (part, names) in parts {
                for name in names {
                    c.error(format!("{at}/{part}/{name}"), format!("`{target}` has this name in `{part}` already, of the app `{app}`"));
                }
            }
        }
    }
}

fn contents<'a>(c: &mut Checking<'_, 'a>, at: &str, key: &str, entity: &'a Entity, known: &Known<'a>) {
    if entity.fields.is_empty() && entity.extends.is_none() {
        c.warn(format!("{at}/fields"), format!("`{key}` has no fields"));
    }
    c.order(&format!("{at}/order"), "field", entity.order.iter().flatten().map(Name::as_str), entity.fields.keys().map(Name::as_str));
    for (name, field) in &entity.fields {
        let at = format!("{at}/fields/{name}");
        words::field_name(c, &at, name.as_str(), fields::is_computed(field), known.has_flow());
        fields::check(c, &at, known, name.as_str(), field);
    }
    for (name, rule) in &entity.rules {
        if let Some(field) = &rule.field {
            c.field(format!("{at}/rules/{name}/field"), known, field.as_str());
        }
    }
    for (name, key) in &entity.unique {
        unique(c, &format!("{at}/unique/{name}"), known, key);
    }
    for (index, name) in entity.locked_except.iter().enumerate() {
        c.field(format!("{at}/locked_except/{index}"), known, name.as_str());
    }
    if !entity.locked_except.is_empty() && entity.locked_if.is_none() {
        c.warn(format!("{at}/locked_except"), "nothing locks this record: `locked_if` is missing");
    }
    if entity.department == Some(DepartmentMode::FollowsOwner) && entity.owner == OwnerMode::None {
        c.error(format!("{at}/department"), "the department follows the owner, and there is none: say `\"owner\"`");
    }
    for (index, columns) in entity.indexes.iter().enumerate() {
        index_columns(c, &format!("{at}/indexes/{index}"), known, columns);
    }
    relations(c, at, entity);
    around(c, at, entity, known);
}

/// Two trees in one entity would leave `under` without a meaning.
fn relations(c: &mut Checking<'_, '_>, at: &str, entity: &Entity) {
    let trees: Vec<&Name> =
        entity.fields.iter().filter(|(_, field)| field.settings.get("tree") == Some(&Json::Bool(true))).map(|(name, _)| name).collect();
    for name in trees.iter().skip(1) {
        c.error(format!("{at}/fields/{name}/tree"), format!("an entity has one tree, and `{}` is it already", trees[0]));
    }
}

fn unique<'a>(c: &mut Checking<'_, 'a>, at: &str, known: &Known<'a>, key: &UniqueKey) {
    if key.fields.is_empty() && key.period.is_none() {
        c.error(format!("{at}/fields"), "names no field");
    }
    for (index, name) in key.fields.iter().enumerate() {
        let at = format!("{at}/fields/{index}");
        if let Some(field) = c.field(&at, known, name.as_str())
            && fields::NOT_UNIQUE.contains(&field.kind.as_str())
        {
            c.error(at, format!("a field of kind `{}` cannot be part of a unique key", field.kind));
        }
    }
    for (index, name) in key.period.iter().flatten().enumerate() {
        let at = format!("{at}/period/{index}");
        if let Some(field) = c.field(&at, known, name.as_str())
            && !DAYS.contains(&super::checking::result_kind(field))
        {
            c.error(at, format!("a period goes from a date to a date, and `{name}` is of kind `{}`", field.kind));
        }
    }
}

fn index_columns<'a>(c: &mut Checking<'_, 'a>, at: &str, known: &Known<'a>, columns: &[String]) {
    if columns.is_empty() {
        c.error(at, "names no field");
    }
    for (index, column) in columns.iter().enumerate() {
        let name = column.strip_prefix('-').unwrap_or(column);
        if let Some(field) = c.field(format!("{at}/{index}"), known, name)
            && matches!(field.kind.as_str(), "lines" | "json" | "rich_text" | "long_text" | "secret")
        {
            c.error(format!("{at}/{index}"), format!("a field of kind `{}` cannot be indexed", field.kind));
        }
    }
}

/// Duplicates, clocks, following up, quality and personal data: typed now, at work later.
fn around<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Entity, known: &Known<'a>) {
    for (name, rule) in &entity.duplicates {
        duplicates(c, &format!("{at}/duplicates/{name}"), known, rule);
    }
    for (name, clock) in &entity.clocks {
        super::clocks::check(c, &format!("{at}/clocks/{name}"), known, name.as_str(), clock);
    }
    if let Some(follow_up) = &entity.follow_up {
        let at = format!("{at}/follow_up");
        let Some(map) = follow_up.as_object() else { return c.error(at, "expected an object") };
        c.keys(&at, map, &["next", "last", "types"]);
        for key in ["next", "last"] {
            json_field(c, &format!("{at}/{key}"), known, map.get(key));
        }
        activities(c, &format!("{at}/types"), map.get("types"));
    }
    if let Some(quality) = &entity.quality {
        let at = format!("{at}/quality");
        let Some(map) = quality.as_object() else { return c.error(at, "expected an object") };
        c.keys(&at, map, &["fresh_within", "amber_below", "red_below"]);
        if let Some(span) = map.get("fresh_within") {
            c.duration(&format!("{at}/fresh_within"), span);
        }
    }
    if let Some(privacy) = &entity.privacy {
        let at = format!("{at}/privacy");
        let Some(map) = privacy.as_object() else { return c.error(at, "expected an object") };
        c.keys(&at, map, &["person", "log_reads", "keep"]);
        for (index, name) in map.get("person").and_then(Json::as_array).into_iter().flatten().enumerate() {
            json_field(c, &format!("{at}/person/{index}"), known, Some(name));
        }
        if let Some(keep) = map.get("keep").and_then(Json::as_object) {
            c.keys(&format!("{at}/keep"), keep, &["for", "after", "then"]);
            json_field(c, &format!("{at}/keep/after"), known, keep.get("after"));
            if let Some(span) = keep.get("for") {
                c.duration(&format!("{at}/keep/for"), span);
            }
        }
    }
}

fn json_field<'a>(c: &mut Checking<'_, 'a>, at: &str, known: &Known<'a>, name: Option<&Json>) {
    match name {
        None => {}
        Some(Json::String(name)) => {
            c.field(at, known, name);
        }
        Some(_) => c.error(at, "expected the name of a field"),
    }
}

fn duplicates<'a>(c: &mut Checking<'_, 'a>, at: &str, known: &Known<'a>, rule: &Json) {
    let Some(map) = rule.as_object() else { return c.error(at, "expected an object") };
    c.keys(at, map, &["match", "then", "message"]);
    let Some(parts) = map.get("match").and_then(Json::as_array).filter(|parts| !parts.is_empty()) else {
        return c.error(format!("{at}/match"), "says nothing to compare by");
    };
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{at}/match/{index}");
        let Some(part) = part.as_object() else {
            c.error(at, "expected an object with `field` and `by`");
            continue;
        };
        c.keys(&at, part, &["field", "by", "at_least"]);
        match part.get("field").and_then(Json::as_str) {
            Some(path) => {
                c.path(format!("{at}/field"), known, path);
            }
            None => c.error(format!("{at}/field"), "`field` is missing"),
        }
        match part.get("by").and_then(Json::as_str) {
            Some(by) => {
                c.one_of(format!("{at}/by"), "way to compare", by, ["same", "similar"]);
            }
            None => c.error(format!("{at}/by"), "`by` is missing: `same` or `similar`"),
        }
        if let Some(share) = part.get("at_least")
            && !share.as_f64().is_some_and(|share| share > 0.0 && share <= 1.0)
        {
            c.error(format!("{at}/at_least"), "a share is more than 0 and at most 1");
        }
    }
    if let Some(then) = map.get("then").and_then(Json::as_str) {
        c.one_of(format!("{at}/then"), "answer to a duplicate", then, THEN);
    }
}

fn activities(c: &mut Checking<'_, '_>, at: &str, kinds: Option<&Json>) {
    let kinds: Vec<&str> = kinds.and_then(Json::as_array).into_iter().flatten().map(|kind| kind.as_str().unwrap_or_default()).collect();
    kinds_of_activity(c, at, &kinds);
}

/// Kinds of activities: options of `core.activity.type`, or `any`.
pub(super) fn kinds_of_activity(c: &mut Checking<'_, '_>, at: &str, kinds: &[&str]) {
    let options = c.world.entity("core", "activity").and_then(|activity| activity.field("type")).and_then(|field| field.settings.get("options"));
    let Some(options) = options.and_then(Json::as_object) else { return };
    let offered: Vec<&str> = options.keys().map(String::as_str).chain(["any"]).collect();
    for (index, kind) in kinds.iter().enumerate() {
        c.one_of(format!("{at}/{index}"), "kind of activity", kind, offered.clone());
    }
}
