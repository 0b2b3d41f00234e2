//! In charge of inputs: how a field is entered, what an input holds, what a form sent.
//! Invariant: what was entered comes back as it was, also where it could not be read.

use chrono::{NaiveDateTime, TimeZone, Utc};
use engine::Ctx;
use engine::records::FormState;
use indexmap::IndexMap;
use model::field::Role;
use model::{EntityDef, FieldDef, Input, Violation};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::env;
use super::picker::{self, Offers};
use super::shell::{Missed, label, missed};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// An input of a form.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Control {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) help: String,
    pub(super) kind: &'static str,
    pub(super) value: String,
    /// What people read of the value, where that is something else.
    pub(super) text: String,
    pub(super) options: Vec<(String, String)>,
    /// Which of several options are chosen.
    pub(super) chosen: Vec<String>,
    /// Which keys a phone shows for it.
    pub(super) keys: &'static str,
    /// Where a reference is searched.
    pub(super) url: String,
    pub(super) required: bool,
    pub(super) visible: bool,
    pub(super) read_only: bool,
    pub(super) error: Option<String>,
}

impl Control {
    /// An input that no field stands behind.
    pub(super) fn plain(name: &str, label: String, kind: &'static str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            label,
            help: String::new(),
            kind,
            value: value.to_owned(),
            text: String::new(),
            options: Vec::new(),
            chosen: Vec::new(),
            keys: "text",
            url: String::new(),
            required: false,
            visible: true,
            read_only: false,
            error: None,
        }
    }
}

/// How a field is entered; none where a page cannot.
pub(super) fn kind_of(field: &FieldDef) -> Option<&'static str> {
    Some(match (&field.role, field.doc.kind.as_str()) {
        (Role::Choice { many: false, .. } | Role::Stage { .. }, _) => "select",
        (Role::Choice { many: true, .. }, _) => "checks",
        (_, "tags") => "list",
        (Role::Reference(_), _) => "reference",
        (_, "boolean") => "select",
        (_, "long_text") => "long",
        (_, "integer" | "decimal" | "money" | "percent" | "rating") => "number",
        (_, "date") => "date",
        (_, "datetime") => "datetime-local",
        (_, "time") => "time",
        (_, "text" | "email" | "phone" | "url" | "color" | "barcode" | "duration") => "text",
        (Role::Formula { .. } | Role::Lookup { .. } | Role::Rollup(_) | Role::Autonumber { .. }, _) => "shown",
        _ => return None,
    })
}

/// Which keys a phone shows for a field.
fn keys_of(field: &FieldDef) -> &'static str {
    match field.doc.kind.as_str() {
        "integer" | "decimal" | "money" | "percent" | "rating" => "decimal",
        "email" => "email",
        "phone" => "tel",
        "url" => "url",
        _ => "text",
    }
}

/// The values that a field may have, where they are few and known.
pub(super) fn options(cx: &Ctx, def: &EntityDef, field: &FieldDef, current: &str) -> Vec<(String, String)> {
    match &field.role {
        Role::Choice { options, .. } => options
            .iter()
            .filter(|(name, option)| !option.retired || name.as_str() == current)
            .map(|(name, option)| (name.to_string(), label(option.label.as_ref(), name.as_str(), &cx.locale)))
            .collect(),
        Role::Stage { .. } => stage_options(cx, def, field.id),
        _ if field.doc.kind == "boolean" => {
            vec![("true".to_owned(), env::text(&cx.locale, "yes")), ("false".to_owned(), env::text(&cx.locale, "no"))]
        }
        _ => Vec::new(),
    }
}

/// The stages of a stage field, in order.
pub(super) fn stage_options(cx: &Ctx, def: &EntityDef, field: model::FieldId) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for stages in cx.app.plan(def.id).stages.iter().filter(|stages| stages.field == field) {
        for pipeline in stages.pipelines.values() {
            for (name, stage) in pipeline.doc.stage_names().into_iter().filter_map(|name| Some((name, pipeline.doc.stages.get(name)?))) {
                if !found.iter().any(|(there, _): &(String, String)| there == name.as_str()) {
                    found.push((name.to_string(), label(stage.label.as_ref(), name.as_str(), &cx.locale)));
                }
            }
        }
    }
    found
}

/// What people call a field.
pub(super) fn label_of(cx: &Ctx, field: &FieldDef) -> String {
    if field.system && field.clock.is_none() {
        env::text(&cx.locale, field.name.as_str())
    } else {
        field.doc.label(field.name.as_str(), &cx.locale).to_owned()
    }
}

/// A value as an input holds it.
pub(super) fn entered(cx: &Ctx, field: &FieldDef, value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) if field.doc.kind == "datetime" => {
            model::field::scalar::read_datetime(text).map(|at| at.with_timezone(&cx.zone).format("%Y-%m-%dT%H:%M").to_string()).unwrap_or_default()
        }
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "),
        Some(Json::Object(map)) => {
            map.get("amount").map(|amount| amount.as_str().map_or_else(|| amount.to_string(), str::to_owned)).unwrap_or_default()
        }
        // People write 12, not 12.0.
        Some(Json::Number(number)) => {
            let text = number.to_string();
            match text.split_once('.') {
                Some((whole, rest)) if rest.bytes().all(|digit| digit == b'0') => whole.to_owned(),
                _ => text,
            }
        }
        Some(other) => other.to_string(),
    }
}

/// The inputs of some fields as they stand.
pub(super) async fn controls(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Option<Uuid>,
    names: &[String],
    refused: &Refused<'_>,
) -> Result<Vec<Control>, Missed> {
    let form = state.engine().form_state(&page.cx, def.id, id, refused.sent.clone(), Vec::new()).await.map_err(missed(page))?;
    made(state, page, def, id, names, &form, refused).await
}

/// What came back of a form that was refused; nothing of one that is shown for the first time.
#[derive(Default)]
pub(super) struct Refused<'a> {
    pub(super) sent: IndexMap<String, Input>,
    pub(super) faults: &'a [Violation],
    /// Records among which a typed title did not decide.
    pub(super) offers: Offers,
}

pub(super) async fn made(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Option<Uuid>,
    names: &[String],
    form: &FormState,
    refused: &Refused<'_>,
) -> Result<Vec<Control>, Missed> {
    let cx = &page.cx;
    let mut made = Vec::new();
    for name in names {
        let (Some(field), Some(status)) = (cx.grants.field(def, name), form.fields.get(name)) else { continue };
        let Some(kind) = kind_of(field) else { continue };
        // What is computed when it is read has nothing to show before it is written.
        if kind == "shown" && field.slot().is_none() {
            continue;
        }
        let value = match refused.sent.get(name) {
            Some(Input::Text(text)) if kind != "datetime-local" => text.clone(),
            _ => entered(cx, field, form.values.get(name)),
        };
        let read_only = status.read_only || kind == "shown";
        let options = options(cx, def, field, &value);
        let offer = refused.offers.get(name);
        let text = match kind {
            "reference" => match offer {
                Some(offer) => offer.typed.clone(),
                None => picker::title(state, page, field, &value).await?,
            },
            _ if read_only && !value.is_empty() => shown_text(cx, field, &value, form.values.get(name)),
            _ => value.clone(),
        };
        let of_list = |text: &str| -> Vec<String> { pieces(text).map(str::to_owned).collect() };
        let chosen = if kind == "checks" { of_list(&value) } else { Vec::new() };
        let label_of_value = match kind {
            "checks" => Some(chosen.iter().map(|name| named(&options, name)).collect::<Vec<_>>().join(", ")),
            _ => options.iter().find(|(there, _)| *there == value).map(|(_, label)| label.clone()),
        };
        made.push(Control {
            name: name.clone(),
            label: label_of(cx, field),
            help: field.doc.common.help.as_ref().map(|help| help.get(&cx.locale).to_owned()).unwrap_or_default(),
            kind: if read_only { "shown" } else { kind },
            value: if read_only { label_of_value.unwrap_or_else(|| text.clone()) } else { value },
            text,
            options: offer.map_or(options, |offer| offer.records.clone()),
            chosen,
            keys: keys_of(field),
            url: if kind == "reference" { picker::url(def, name, id) } else { String::new() },
            required: status.required,
            visible: status.visible,
            read_only,
            error: refused.faults.iter().find(|fault| fault.field.as_deref() == Some(name)).map(|fault| fault.wording.text(&cx.locale)),
        });
    }
    Ok(made)
}

fn shown_text(cx: &Ctx, field: &FieldDef, value: &str, json: Option<&Json>) -> String {
    json.map_or_else(|| value.to_owned(), |json| super::cell::text_of(cx, field, json))
}

/// The values that a form sent; an empty input is an empty value.
pub(super) fn sent(cx: &Ctx, def: &EntityDef, fields: &Query) -> IndexMap<String, Input> {
    let mut values = IndexMap::new();
    for (name, text) in fields.pairs() {
        let Some(field) = cx.grants.field(def, name) else { continue };
        let Some(kind) = kind_of(field).filter(|kind| *kind != "shown") else { continue };
        // Of several options each is ticked for itself; the field's own name says that they were asked for.
        let ticked = match kind {
            "checks" if text.is_empty() => {
                fields.pairs().filter_map(|(key, _)| key.strip_prefix(name)?.strip_prefix(':')).collect::<Vec<_>>().join(",")
            }
            _ => text.trim().to_owned(),
        };
        let text = ticked.as_str();
        let input = match (kind, field.doc.kind.as_str()) {
            _ if text.is_empty() => Input::Null,
            (_, "boolean") => Input::Bool(text == "true"),
            ("list" | "checks", _) => Input::List(pieces(text).map(|item| Input::Text(item.to_owned())).collect()),
            ("number", _) => Input::Text(ungrouped(text)),
            ("datetime-local", _) => Input::Text(moment(cx, text)),
            _ => Input::Text(text.to_owned()),
        };
        values.insert(name.to_owned(), input);
    }
    values
}

/// A number without the marks between its groups of three digits. Every language of these pages writes a point before the
/// parts of one, so a comma elsewhere stands for something that we would misread: the number stays as it was entered, and is
/// refused.
fn ungrouped(text: &str) -> String {
    let (sign, digits) = text.split_at(text.len() - text.trim_start_matches(['-', '+']).len());
    let (whole, rest) = digits.find('.').map_or((digits, ""), |at| digits.split_at(at));
    let groups: Vec<&str> = whole.split([',', '，', ' ', '\u{a0}', '\u{202f}']).collect();
    let are_digits = |group: &&str| group.bytes().all(|byte| byte.is_ascii_digit());
    let [first, others @ ..] = groups.as_slice() else { return text.to_owned() };
    let is_grouped = (1..=3).contains(&first.len()) && groups.iter().all(are_digits) && others.iter().all(|group| group.len() == 3);
    if others.is_empty() || !is_grouped { text.to_owned() } else { format!("{sign}{}{rest}", groups.concat()) }
}

/// The pieces of a list as people write it.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '，', '、']).map(str::trim).filter(|item| !item.is_empty())
}

/// The label of an option.
fn named(options: &[(String, String)], name: &str) -> String {
    options.iter().find(|(there, _)| there == name).map_or_else(|| name.to_owned(), |(_, label)| label.clone())
}

/// A local moment as RFC 3339.
pub(super) fn moment(cx: &Ctx, text: &str) -> String {
    let read = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"));
    read.ok()
        .and_then(|local| cx.zone.from_local_datetime(&local).earliest())
        .map_or_else(|| text.to_owned(), |at| at.with_timezone(&Utc).to_rfc3339())
}

#[cfg(test)]
mod tests {
    use super::ungrouped;

    #[test]
    fn marks_go_between_groups_of_three_alone() {
        for (entered, read) in [
            ("1,234", "1234"),
            ("-1,234,567.50", "-1234567.50"),
            ("12 345.6", "12345.6"),
            ("1234.5", "1234.5"),
            ("+7", "+7"),
            // A decimal comma, a group of four, a mark behind the point, marks alone: refused by the field, as they are.
            ("1,50", "1,50"),
            ("1.234,56", "1.234,56"),
            ("12,3456", "12,3456"),
            ("1234,567", "1234,567"),
            ("1.5,000", "1.5,000"),
            (",123", ",123"),
            ("1 2", "1 2"),
            ("", ""),
        ] {
            assert_eq!(ungrouped(entered), read, "{entered}");
        }
    }
}
