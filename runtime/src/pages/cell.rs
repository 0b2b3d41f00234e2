//! In charge of a value on a page: its text in the reader's language, and where it leads.
//! Invariant: made from what the API answers to the same person; nothing is read beside it.

use engine::Ctx;
use model::field::{Role, TextContext};
use model::{EntityDef, FieldDef};
use rules::query::resolve_path;
use serde::Serialize;
use serde_json::Value as Json;

use super::shell::label;

/// A value on a page.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) href: Option<String>,
    pub(super) color: Option<String>,
    pub(super) is_number: bool,
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
    let Some((_, field)) = field_at(cx, def, path) else { return Cell::default() };
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
        Role::Choice { options, .. } => {
            let names: Vec<&str> =
                value.as_array().map_or_else(|| value.as_str().into_iter().collect(), |items| items.iter().filter_map(Json::as_str).collect());
            let text = names
                .iter()
                .map(|name| label(options.get(*name).and_then(|option| option.label.as_ref()), name, &cx.locale))
                .collect::<Vec<_>>()
                .join(", ");
            let color = names.first().and_then(|name| options.get(*name)).and_then(|option| option.color.clone());
            Cell { text, color, ..Cell::default() }
        }
        _ => Cell { text: text_of(cx, field, value), is_number: is_number(field), ..Cell::default() },
    }
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
    if is_number(field) { grouped(&text) } else { text }
}

/// A number with its thousands apart.
fn grouped(text: &str) -> String {
    let (head, digits) = text.find(|c: char| c.is_ascii_digit()).map_or(("", text), |at| text.split_at(at));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{head}{out}{rest}")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped("USD 1234567.50"), "USD 1,234,567.50");
        assert_eq!(grouped("-999"), "-999");
        assert_eq!(grouped("15 %"), "15 %");
    }
}
