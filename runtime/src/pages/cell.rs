//! In charge of a value on a page: its text in the reader's language, and where it leads.
//! Invariant: made from what the API answers to the same person; nothing is read beside it.

use engine::Ctx;
use model::field::{Role, TextContext};
use model::schema::ClockPart;
use model::{EntityDef, FieldDef};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use render::words::grouped;
use rules::query::resolve_path;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::shell::label;

/// A value on a page.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) href: Option<String>,
    pub(super) color: Option<String>,
    pub(super) is_number: bool,
    /// A picture's address.
    pub(super) image: Option<String>,
    /// A record of any kind whose title the row does not tell: `titles::told` asks for it.
    #[serde(skip)]
    pub(super) untold: Option<(String, Uuid)>,
}

/// A column of a table: its path, its label, its field.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Column {
    pub(super) path: String,
    pub(super) label: String,
    pub(super) is_number: bool,
    pub(super) sort: Option<String>,
    pub(super) sorted: &'static str,
}

/// The field at the end of a path, as the reader sees it.
pub(super) fn field_at<'a>(cx: &'a Ctx, def: &EntityDef, path: &str) -> Option<(&'a EntityDef, &'a FieldDef)> {
    let resolved = resolve_path(&cx.app.schema, def.id, path, &*cx.grants, "").ok()?;
    let far = cx.app.schema.entity(resolved.entity);
    Some((far, far.field(resolved.field)))
}

pub(super) fn is_number(field: &FieldDef) -> bool {
    let storage = field.typed.as_ref().and_then(|typed| typed.columns().first().map(|column| column.storage));
    matches!(storage, Some(model::Storage::Int | model::Storage::Decimal(_)))
}

/// The value of `path` in a row that the API gave.
pub(super) fn cell(cx: &Ctx, def: &EntityDef, path: &str, row: &Json) -> Cell {
    let Some((far, field)) = field_at(cx, def, path) else { return Cell::default() };
    let value = row.get(path).unwrap_or(&Json::Null);
    if value.is_null() {
        return Cell { is_number: is_number(field), ..Cell::default() };
    }
    match &field.role {
        Role::Reference(_) => {
            let title = row.get("titles").and_then(|titles| titles.get(path)).and_then(Json::as_str);
            let target = field.targets.first().map(|target| cx.app.schema.entity(*target).name.to_string());
            let href = target.zip(value.as_str()).map(|(entity, id)| format!("/r/{entity}/{id}"));
            Cell { text: title.unwrap_or("…").to_owned(), href, ..Cell::default() }
        }
        Role::AnyReference { .. } => {
            let part = |key: &str| value.get(key).and_then(Json::as_str);
            let untold = part("entity").zip(part("id")).and_then(|(entity, id)| Some((entity.to_owned(), Uuid::try_parse(id).ok()?)));
            Cell { text: "…".to_owned(), untold, ..Cell::default() }
        }
        Role::Files { .. } => {
            let files: Vec<&Json> = value.as_array().map_or_else(|| vec![value], |files| files.iter().collect());
            let part = |file: &Json, key: &str| file.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
            let href = files.first().map(|file| format!("/api/v1/files/{}", part(file, "id")));
            let image = href.clone().filter(|_| files.first().is_some_and(|file| part(file, "type").starts_with("image/")));
            Cell { text: files.iter().map(|file| part(file, "name")).collect::<Vec<_>>().join(", "), href, image, ..Cell::default() }
        }
        Role::Choice { options, .. } => {
            let names = names_of(value);
            let color = names.first().and_then(|name| options.get(*name)).and_then(|option| option.color.clone());
            Cell { text: plain(cx, far, field, value), color, ..Cell::default() }
        }
        Role::Stage { .. } => {
            let color = value.as_str().and_then(|name| stage_doc(cx, far, field, name)).and_then(|stage| stage.color.clone());
            Cell { text: plain(cx, far, field, value), color, ..Cell::default() }
        }
        _ => Cell {
            text: plain(cx, far, field, value),
            href: reached(field, value),
            is_number: is_number(field),
            color: missed(field, path, row),
            ..Cell::default()
        },
    }
}

/// Where an address, a number or a page leads: to what writes, calls or opens it. What is masked leads nowhere.
fn reached(field: &FieldDef, value: &Json) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty() && !text.contains(['*', '•']))?;
    match field.doc.kind.as_str() {
        "email" => Some(format!("mailto:{}", utf8_percent_encode(text, &ADDRESS))),
        "phone" => Some(format!("tel:{}", text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect::<String>())),
        // Anything else than a page of the web would be run where it is read.
        "url" => Some(text.to_owned()).filter(|text| text.starts_with("https://") || text.starts_with("http://")),
        _ => None,
    }
}

/// What an address keeps as it is behind `mailto:`.
const ADDRESS: AsciiSet = NON_ALPHANUMERIC.remove(b'@').remove(b'.').remove(b'-').remove(b'_').remove(b'+');

/// Whether a title says a value already, as words of its own.
pub(super) fn says(title: &str, text: &str) -> bool {
    let is_apart = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    !text.is_empty()
        && title.match_indices(text).any(|(at, _)| {
            let (before, rest) = title.split_at(at);
            is_apart(before.chars().next_back()) && is_apart(rest.get(text.len()..).and_then(|rest| rest.chars().next()))
        })
}

/// The colour of the moment of a clock that was missed, where how it stands is in the row, too.
fn missed(field: &FieldDef, path: &str, row: &Json) -> Option<String> {
    let (_, ClockPart::DueAt) = field.clock.as_ref()? else { return None };
    let state = format!("{}{}", path.strip_suffix(ClockPart::DueAt.as_str())?, ClockPart::State.as_str());
    (row.get(&state)?.as_str()? == "missed").then(|| "red".to_owned())
}

/// The names in a choice's value.
fn names_of(value: &Json) -> Vec<&str> {
    value.as_array().map_or_else(|| value.as_str().into_iter().collect(), |items| items.iter().filter_map(Json::as_str).collect())
}

/// What the pipelines say of a stage.
pub(super) fn stage_doc<'a>(cx: &'a Ctx, def: &EntityDef, field: &FieldDef, name: &str) -> Option<&'a model::doc::Stage> {
    let stages = cx.app.plan(def.id).stages.iter().filter(|stages| stages.field == field.id);
    stages.flat_map(|stages| stages.pipelines.values()).find_map(|pipeline| pipeline.doc.stages.get(name))
}

/// A value as text, with the labels of options and stages.
pub(super) fn plain(cx: &Ctx, def: &EntityDef, field: &FieldDef, value: &Json) -> String {
    let labels: Vec<(String, String)> = match &field.role {
        Role::Choice { options, .. } => {
            options.iter().map(|(name, option)| (name.to_string(), label(option.label.as_ref(), name.as_str(), &cx.locale))).collect()
        }
        Role::Stage { .. } => super::control::stage_options(cx, def, field.id),
        Role::Files { .. } => return value.get("name").and_then(Json::as_str).unwrap_or("•").to_owned(),
        _ if value.is_boolean() => return super::env::text(&cx.locale, if value.as_bool() == Some(true) { "yes" } else { "no" }),
        _ => return text_of(cx, field, value),
    };
    let named = |name: &&str| labels.iter().find(|(there, _)| there == name).map_or_else(|| (*name).to_owned(), |(_, label)| label.clone());
    names_of(value).iter().map(named).collect::<Vec<_>>().join(", ")
}

/// A value as people read it.
pub(super) fn text_of(cx: &Ctx, field: &FieldDef, value: &Json) -> String {
    let read = field.typed.as_ref().and_then(|typed| {
        let accept = model::field::AcceptContext { now: cx.now, sibling: &|_| None };
        let mut cells = typed.accept(&model::Input::from(value), &accept).ok()?;
        // Of money with a currency of its own the base stands first, and is empty here.
        cells.resize(typed.columns().len(), model::Value::Null);
        Some(typed.text(&cells, TextContext { locale: &cx.locale, zone: cx.zone }))
    });
    let text = read.unwrap_or_else(|| match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    });
    // Four digits may be a year; they are read as well without a mark.
    let is_short = field.doc.kind == "integer" && text.len() <= 4;
    if is_number(field) && !is_short { grouped(&text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn a_title_says_whole_words() {
        assert!(says("Bo Li · Convert Ltd", "Convert Ltd"));
        assert!(says("Bo", "Bo"));
        assert!(!says("Bo Li", "L"));
        assert!(!says("Bo", ""));
    }
}
