//! In charge of what a list's address says: words, quick filters, order, page.
//! Invariant: an address that is copied shows the same list to whoever may see it.

use model::EntityDef;
use model::field::Role;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::cell::field_at;
use super::shell::label;
use crate::http::query::Query;
use engine::Ctx;

/// A quick filter at the top of a list.
#[derive(Debug, Serialize)]
pub(super) struct QuickFilter {
    name: String,
    label: String,
    options: Vec<FilterOption>,
}

#[derive(Debug, Serialize)]
struct FilterOption {
    value: String,
    label: String,
    chosen: bool,
}

/// The quick filters of a list, those whose values are few and known.
pub(super) fn quick_filters(cx: &Ctx, def: &EntityDef, names: &[String], query: &Query) -> Vec<QuickFilter> {
    names.iter().filter_map(|name| quick_filter(cx, def, name, query)).collect()
}

fn quick_filter(cx: &Ctx, def: &EntityDef, name: &str, query: &Query) -> Option<QuickFilter> {
    let (_, field) = field_at(cx, def, name)?;
    let chosen = query.filled(&format!("f.{name}")).unwrap_or_default();
    let options = match &field.role {
        Role::Choice { options, many: false, .. } => {
            options.iter().map(|(name, option)| (name.to_string(), label(option.label.as_ref(), name.as_str(), &cx.locale))).collect::<Vec<_>>()
        }
        Role::Stage { .. } => stage_options(cx, def, field.id),
        _ if field.doc.kind == "lookup" => return None,
        _ => return None,
    };
    let options = options.into_iter().map(|(value, label)| FilterOption { chosen: value == chosen, value, label }).collect();
    Some(QuickFilter { name: name.to_owned(), label: field.doc.label(name, &cx.locale).to_owned(), options })
}

/// The stages of a stage field, in order.
pub(super) fn stage_options(cx: &Ctx, def: &EntityDef, field: model::FieldId) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for stages in cx.app.plan(def.id).stages.iter().filter(|stages| stages.field == field) {
        for pipeline in stages.pipelines.values() {
            for name in pipeline.doc.stage_names() {
                let stage = &pipeline.doc.stages[name];
                if !found.iter().any(|(there, _): &(String, String)| there == name.as_str()) {
                    found.push((name.to_string(), label(stage.label.as_ref(), name.as_str(), &cx.locale)));
                }
            }
        }
    }
    found
}

/// The filter of a view and of the address together.
pub(super) fn filter(cx: &Ctx, def: &EntityDef, view: Option<Json>, query: &Query) -> Option<Json> {
    let mut parts: Vec<Json> = view.into_iter().collect();
    for field in &def.fields {
        if cx.grants.field(def, field.name.as_str()).is_some()
            && let Some(value) = query.filled(&format!("f.{}", field.name))
        {
            parts.push(json!({"field": field.name, "op": "=", "value": value}));
        }
    }
    match query.filled("scene") {
        Some("mine") => parts.push(json!({"field": "owner", "op": "=", "value": "$me"})),
        Some("reports") => parts.push(json!({"field": "owner", "op": "in", "value": "$my_reports"})),
        _ => {}
    }
    (!parts.is_empty()).then(|| json!({"all": parts}))
}

/// An address with one parameter changed.
pub(super) fn with(path: &str, query: &Query, name: &str, value: Option<&str>) -> String {
    let mut pairs: Vec<(String, String)> =
        query.pairs().filter(|(key, _)| *key != name && *key != "after").map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let text = pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>().join("&");
    if text.is_empty() { path.to_owned() } else { format!("{path}?{text}") }
}
