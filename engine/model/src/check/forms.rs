//! In charge of checking forms: a tree in a flat map, in which everything stands once.

use std::collections::HashSet;

use super::checking::Checking;
use super::world::{Known, qualify};
use crate::doc::{Columns, Form, FormItem, ItemKind};
use crate::name::Name;

/// Checks every form of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, form) in &app.forms {
        let at = format!("/forms/{name}");
        let Some(entity) = c.entity(&format!("{at}/entity"), &form.entity) else { continue };
        c.roles(&format!("{at}/roles"), &form.roles);
        tree(c, &at, form, entity);
        for (name, item) in &form.items {
            self::item(c, &format!("{at}/items/{name}"), name, item, entity);
        }
        match &form.extends {
            Some(target) => extension(c, &at, form, target, entity),
            None if !form.into.is_empty() => c.error(format!("{at}/into"), "only a form that says `extends` puts items into another"),
            None if form.root.is_empty() => c.warn(format!("{at}/root"), "this form shows nothing"),
            None => {}
        }
    }
}

/// Every item is reached once from the top; a child that is no item is a field.
fn tree<'a>(c: &mut Checking<'_, 'a>, at: &str, form: &Form, entity: &Known<'a>) {
    let mut reached: HashSet<&str> = HashSet::new();
    let mut waiting: Vec<(String, &str)> = form.root.iter().enumerate().map(|(index, name)| (format!("{at}/root/{index}"), name.as_str())).collect();
    waiting.extend(form.into.iter().flat_map(|(place, insert)| {
        insert.add.iter().enumerate().map(move |(index, name)| (format!("{at}/into/{place}/add/{index}"), name.as_str()))
    }));
    waiting.reverse();
    while let Some((place, name)) = waiting.pop() {
        if !reached.insert(name) {
            c.error(place, format!("`{name}` stands in two places, or within itself"));
            continue;
        }
        match form.items.get(name) {
            Some(item) => {
                let children = item.children.iter().enumerate().rev();
                waiting.extend(children.map(|(index, child)| (format!("{at}/items/{name}/children/{index}"), child.as_str())));
            }
            None if entity.has(name) => {}
            None => {
                let offered: Vec<&str> = form.items.keys().map(Name::as_str).chain(entity.field_names()).collect();
                c.missing(place, "item or field", name, offered);
            }
        }
    }
    for name in form.items.keys().filter(|name| !reached.contains(name.as_str())) {
        c.error(format!("{at}/items/{name}"), format!("nothing leads to `{name}`: add it to `root` or to the children of another item"));
    }
}

fn item<'a>(c: &mut Checking<'_, 'a>, at: &str, name: &Name, item: &FormItem, entity: &Known<'a>) {
    let is_holder = matches!(item.kind, ItemKind::Tab | ItemKind::Section);
    if !item.children.is_empty() && !is_holder {
        c.error(format!("{at}/children"), "only a tab or a section has children");
    }
    match item.kind {
        ItemKind::Section | ItemKind::Tab => match &item.columns {
            Some(Columns::Count(1..=4)) | None => {}
            Some(_) => c.error(format!("{at}/columns"), "a section has 1 to 4 columns"),
        },
        ItemKind::Field => field(c, at, name, item, entity),
        ItemKind::Lines => {
            let of = item.field.as_ref().unwrap_or(name);
            let place = if item.field.is_some() { format!("{at}/field") } else { at.to_owned() };
            if let Some(lines) = c.field(place.clone(), entity, of.as_str())
                && lines.kind != "lines"
            {
                c.error(place, format!("`{of}` is of kind `{}`, not lines", lines.kind));
            } else {
                many(c, at, item, entity, of.as_str());
            }
        }
        ItemKind::Related => {
            let relation = item.inverse.as_ref().unwrap_or(name);
            if entity.relations.contains_key(relation.as_str()) {
                many(c, at, item, entity, relation.as_str());
            } else {
                let offered: Vec<&str> = entity.relations.keys().copied().collect();
                c.missing(format!("{at}/inverse"), "relation to many", relation.as_str(), offered);
            }
        }
        ItemKind::Button => button(c, at, item, entity),
        ItemKind::Text => {
            if item.text.is_none() && item.label.is_none() {
                c.error(at, "a text needs `text`");
            }
        }
        ItemKind::Spacer => {}
    }
}

fn field<'a>(c: &mut Checking<'_, 'a>, at: &str, name: &Name, item: &FormItem, entity: &Known<'a>) {
    match &item.field {
        Some(field) => {
            c.field(format!("{at}/field"), entity, field.as_str());
        }
        None => {
            c.field(at, entity, name.as_str());
        }
    }
}

/// What is shown of lines and related records.
fn many<'a>(c: &mut Checking<'_, 'a>, at: &str, item: &FormItem, entity: &Known<'a>, relation: &str) {
    let Some(many) = entity.relations.get(relation).and_then(|many| c.world.entity("", many)) else { return };
    match &item.columns {
        Some(Columns::Fields(columns)) => {
            for (index, column) in columns.iter().enumerate() {
                c.path(format!("{at}/columns/{index}"), many, column);
            }
        }
        Some(Columns::Count(_)) => c.error(format!("{at}/columns"), "expected the fields that are shown"),
        None => {}
    }
    for (index, total) in item.totals.iter().enumerate() {
        c.field(format!("{at}/totals/{index}"), many, total.as_str());
    }
    if let Some(add_by) = &item.add_by
        && let Some(reference) = c.field(format!("{at}/add_by"), many, add_by.as_str())
        && !matches!(reference.kind.as_str(), "reference" | "any_reference")
    {
        c.error(format!("{at}/add_by"), format!("`{add_by}` is of kind `{}`: many are added by a reference", reference.kind));
    }
}

fn button<'a>(c: &mut Checking<'_, 'a>, at: &str, item: &FormItem, entity: &Known<'a>) {
    let buttons: Vec<(&str, Option<&str>)> = c
        .app
        .automations
        .values()
        .filter_map(|automation| Some((automation.on.get("button")?.as_str()?, automation.on.get("entity").and_then(|entity| entity.as_str()))))
        .collect();
    let Some(name) = &item.button else { return c.error(at, "a button needs `button`: the automation that it starts") };
    let at = format!("{at}/button");
    let found = buttons.iter().find(|(button, _)| *button == name.as_str()).copied();
    let of = found
        .map(|(_, entity)| entity)
        .or_else(|| c.app.automations.get(name).map(|automation| automation.on.get("entity").and_then(|entity| entity.as_str())));
    match of {
        None => c.missing(at, "button", name.as_str(), buttons.iter().map(|(button, _)| *button)),
        Some(Some(of)) if qualify(c.name, of) != entity.name => c.error(at, format!("the button `{name}` is for `{of}`")),
        Some(_) => {}
    }
}

/// What a form puts into another app's form.
fn extension<'a>(c: &mut Checking<'_, 'a>, at: &str, form: &Form, target: &str, entity: &Known<'a>) {
    let (app, bare) = target.split_once('.').unwrap_or((c.name, target));
    if !c.reaches(&format!("{at}/extends"), app) {
        return;
    }
    let Some(there) = c.world.apps.get(app) else { return };
    let Some(extended) = there.forms.get(bare) else {
        let offered: Vec<String> = there.forms.keys().map(|name| format!("{app}.{name}")).collect();
        return c.missing(format!("{at}/extends"), "form", target, offered.iter().map(String::as_str));
    };
    if qualify(app, &extended.entity) != entity.name {
        c.error(format!("{at}/entity"), format!("the form `{target}` is for `{}`", qualify(app, &extended.entity)));
    }
    for (place, insert) in &form.into {
        let at = format!("{at}/into/{place}");
        let Some(holder) = extended.items.get(place) else {
            c.missing(at, "item", place.as_str(), extended.items.keys().map(Name::as_str));
            continue;
        };
        if let Some(after) = insert.after.as_ref().filter(|after| !holder.children.contains(after)) {
            c.missing(format!("{at}/after"), "child", after.as_str(), holder.children.iter().map(Name::as_str));
        }
        for (index, name) in insert.add.iter().enumerate().filter(|(_, name)| extended.items.values().any(|item| item.children.contains(name))) {
            c.error(format!("{at}/add/{index}"), format!("`{name}` stands in `{target}` already"));
        }
    }
}
