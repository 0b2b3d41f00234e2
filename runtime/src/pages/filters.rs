//! In charge of the filters of a list: read from the address, offered as inputs, shown as chips that can be taken off.
//! Invariant: each chip is one condition of the list and each condition of the address is one chip.

use engine::Ctx;
use model::field::Role;
use model::filter::Op;
use model::{EntityDef, FieldDef};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::cell::{field_at, text_of};
use super::control::{label_of, options};
use super::query::{TYPED, is_untouched, kept, with, without};
use super::shell::Missed;
use super::{env, picker};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Spans of days relative to today that are offered.
const SPANS: [&str; 12] = [
    "today",
    "yesterday",
    "tomorrow",
    "this_week",
    "last_week",
    "next_week",
    "this_month",
    "last_month",
    "next_month",
    "this_quarter",
    "this_year",
    "past",
];

/// What stands above a list.
#[derive(Debug, Serialize)]
pub(super) struct FilterBar {
    q: String,
    /// What the form hands on.
    keep: Vec<(String, String)>,
    inputs: Vec<FilterInput>,
    chips: Vec<Chip>,
    /// Fields that may be added: label and address.
    more: Vec<(String, String)>,
    /// The list without any filter.
    clear: Option<String>,
}

/// The inputs of one field.
#[derive(Debug, Serialize)]
struct FilterInput {
    path: String,
    label: String,
    kind: &'static str,
    /// `f.path`, and what stands before an operator: `f.path~`.
    name: String,
    value: String,
    text: String,
    url: String,
    options: Vec<(String, String)>,
    low: String,
    high: String,
    within: String,
    state: String,
    spans: Vec<(String, String)>,
    /// Whether it was just asked for: all its inputs are shown, and it has the focus.
    added: bool,
}

#[derive(Debug, Serialize)]
struct Chip {
    text: String,
    /// Where its inputs are.
    edit: String,
    /// The list without it.
    remove: String,
}

/// How a field is filtered; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Options,
    Many,
    Reference,
    Text,
    Number,
    Date,
    State,
}

impl Kind {
    fn of(field: &FieldDef) -> Option<Self> {
        let operators = field.typed.as_ref()?.operators();
        let has = |op: Op| operators.contains(&op);
        Some(match &field.role {
            Role::Choice { many: true, .. } => Self::Many,
            Role::Choice { .. } | Role::Stage { .. } if has(Op::Eq) => Self::Options,
            Role::Reference(_) if has(Op::Eq) => Self::Reference,
            Role::References(_) if has(Op::Contains) => Self::Reference,
            _ if field.doc.kind == "boolean" => Self::Options,
            _ if has(Op::Within) => Self::Date,
            _ if has(Op::Between) && super::cell::is_number(field) => Self::Number,
            _ if has(Op::Contains) => Self::Text,
            _ if has(Op::IsEmpty) => Self::State,
            _ => return None,
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Options | Self::Many => "options",
            Self::Reference => "reference",
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
            Self::State => "state",
        }
    }
}

/// The field that a value comes from: a lookup's is at the end of its path.
fn source<'a>(cx: &'a Ctx, def: &'a EntityDef, path: &str) -> Option<(&'a EntityDef, &'a FieldDef)> {
    let (far, field) = field_at(cx, def, path)?;
    match &field.role {
        Role::Lookup { path } => source(cx, far, path),
        _ => Some((far, field)),
    }
}

/// A condition of the address.
struct Asked<'a> {
    key: &'a str,
    path: &'a str,
    how: &'a str,
    value: &'a str,
}

/// The conditions of the address, those over fields that the reader sees.
fn asked<'a>(cx: &'a Ctx, def: &'a EntityDef, query: &'a Query) -> impl Iterator<Item = (Asked<'a>, &'a FieldDef)> {
    query.pairs().filter(|(_, value)| !value.is_empty()).filter_map(|(key, value)| {
        let rest = key.strip_prefix("f.").filter(|_| !is_untouched(query, key))?;
        let (path, how) = match rest.strip_suffix(TYPED) {
            Some(path) => (path, "named"),
            None => rest.split_once('~').unwrap_or((rest, "=")),
        };
        // A title that was typed without a script stands for the id that was there before it.
        let typed = format!("{key}{TYPED}");
        if how == "=" && query.get(&typed).is_some() && !is_untouched(query, &typed) {
            return None;
        }
        let (_, field) = source(cx, def, path)?;
        Some((Asked { key, path, how, value }, field))
    })
}

/// A condition as a filter.
fn condition(asked: &Asked<'_>, field: &FieldDef) -> Option<Json> {
    let leaf = |op: &str, value: Json| Some(json!({"field": asked.path, "op": op, "value": value}));
    let many = matches!(Kind::of(field), Some(Kind::Many)) || matches!(field.role, Role::References(_));
    match asked.how {
        "=" if many => leaf("contains", asked.value.into()),
        "=" if field.doc.kind == "boolean" => leaf("=", (asked.value == "true").into()),
        "=" if asked.value.contains(',') && matches!(Kind::of(field), Some(Kind::Options)) => {
            leaf("in", asked.value.split(',').collect::<Vec<_>>().into())
        }
        "=" => leaf("=", asked.value.into()),
        "contains" => leaf("contains", asked.value.into()),
        "named" => Some(json!({"field": format!("{}.name", asked.path), "op": "contains", "value": asked.value})),
        "min" | "from" => leaf(">=", plain(asked.value).into()),
        "max" | "until" => leaf("<=", plain(asked.value).into()),
        "within" => leaf("within", asked.value.into()),
        "is" => Some(json!({"field": asked.path, "op": if asked.value == "set" { "is_set" } else { "is_empty" }})),
        _ => None,
    }
}

/// A number as people write it, without what keeps its thousands apart.
fn plain(text: &str) -> String {
    text.replace([',', ' ', '，'], "")
}

/// The filter of a view and of the address together.
pub(super) fn filter(cx: &Ctx, def: &EntityDef, view: Option<Json>, query: &Query) -> Option<Json> {
    let mut parts: Vec<Json> = view.into_iter().collect();
    parts.extend(asked(cx, def, query).filter_map(|(asked, field)| condition(&asked, field)));
    match query.filled("scene") {
        Some("mine") => parts.push(json!({"field": "owner", "op": "=", "value": "$me"})),
        Some("reports") => parts.push(json!({"field": "owner", "op": "in", "value": "$my_reports"})),
        _ => {}
    }
    (!parts.is_empty()).then(|| json!({"all": parts}))
}

/// What stands above a list: quick filters, the one that is being added, chips of what is on.
pub(super) async fn bar(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    quick: &[String],
    path: &str,
    query: &Query,
) -> Result<FilterBar, Missed> {
    let cx = &page.cx;
    let added = query.filled("add");
    let mut inputs = Vec::new();
    let mut names: Vec<&str> = quick.iter().map(String::as_str).collect();
    names.extend(added.filter(|added| !names.contains(added)));
    for name in names {
        inputs.extend(input(state, page, def, name, query, added == Some(name)).await?);
    }
    let mut chips = Vec::new();
    for (asked, field) in asked(cx, def, query) {
        if condition(&asked, field).is_some() {
            chips.push(Chip {
                text: said(state, page, def, &asked, field).await?,
                edit: with(path, query, "add", Some(asked.path)),
                remove: without(path, query, &[asked.key]),
            });
        }
    }
    let own = |key: &str| key == "q" || inputs.iter().any(|input: &FilterInput| key == input.name || input.owns(key));
    let keep = kept(query).filter(|(key, _)| !own(key)).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut more: Vec<(String, String)> = def
        .fields
        .iter()
        .filter(|field| {
            cx.grants.field(def, field.name.as_str()).is_some() && cx.grants.entity(def.id).comparable(field.id) && Kind::of(field).is_some()
        })
        .filter(|field| !matches!(field.name.as_str(), "id" | "version" | "deleted_at" | "position" | "owner_since"))
        .map(|field| (label_of(cx, field), with(path, query, "add", Some(field.name.as_str()))))
        .collect();
    more.sort_by(|one, other| one.0.cmp(&other.0));
    let every: Vec<&str> = query.pairs().map(|(key, _)| key).filter(|key| key.starts_with("f.") || *key == "q").collect();
    let clear = (!chips.is_empty()).then(|| without(path, query, &every));
    Ok(FilterBar { q: query.get("q").unwrap_or_default().to_owned(), keep, inputs, chips, more, clear })
}

impl FilterInput {
    /// Whether one of its inputs sends `key`.
    fn owns(&self, key: &str) -> bool {
        let Some(how) = key.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('~')) else { return false };
        match self.kind {
            "text" => how == "contains" || self.added && how == "is",
            "number" => matches!(how, "min" | "max") || self.added && how == "is",
            "date" => how == "within" || self.added && matches!(how, "from" | "until" | "is"),
            _ => self.added && how == "is",
        }
    }
}

async fn input(state: &RuntimeState, page: &Page, def: &EntityDef, path: &str, query: &Query, added: bool) -> Result<Option<FilterInput>, Missed> {
    let cx = &page.cx;
    let Some((near, shown)) = field_at(cx, def, path).filter(|(near, field)| cx.grants.entity(near.id).comparable(field.id)) else { return Ok(None) };
    let (far, field) = source(cx, def, path).unwrap_or((near, shown));
    let Some(kind) = Kind::of(field) else { return Ok(None) };
    let get = |how: &str| query.get(&format!("f.{path}~{how}")).unwrap_or_default().to_owned();
    let value = query.get(&format!("f.{path}")).unwrap_or_default().to_owned();
    let (low, high) = if kind == Kind::Number { (get("min"), get("max")) } else { (get("from"), get("until")) };
    let spans = SPANS.iter().map(|span| ((*span).to_owned(), env::text(&cx.locale, &format!("span_{span}")))).collect();
    Ok(Some(FilterInput {
        path: path.to_owned(),
        label: label_of(cx, shown),
        kind: kind.as_str(),
        name: format!("f.{path}"),
        text: match kind {
            Kind::Reference => picker::title(state, page, field, &value).await?,
            _ => get("contains"),
        },
        url: if kind == Kind::Reference { picker::filter_url(def, path) } else { String::new() },
        options: if matches!(kind, Kind::Options | Kind::Many) { options(cx, far, field, &value) } else { Vec::new() },
        value,
        low,
        high,
        within: get("within"),
        state: get("is"),
        spans,
        added,
    }))
}

/// A condition in words.
async fn said(state: &RuntimeState, page: &Page, def: &EntityDef, asked: &Asked<'_>, field: &FieldDef) -> Result<String, Missed> {
    let cx = &page.cx;
    let label = field_at(cx, def, asked.path).map_or_else(String::new, |(_, shown)| label_of(cx, shown));
    let word = |key: &str| env::text(&cx.locale, key);
    Ok(match asked.how {
        "=" => {
            let far = source(cx, def, asked.path).map_or(def, |(far, _)| far);
            let known = options(cx, far, field, asked.value);
            let named = |value: &str| known.iter().find(|(there, _)| there == value).map(|(_, label)| label.clone());
            let value = match Kind::of(field) {
                Some(Kind::Reference) => picker::title(state, page, field, asked.value).await?,
                Some(Kind::Options | Kind::Many) => {
                    asked.value.split(',').map(|value| named(value).unwrap_or_else(|| value.to_owned())).collect::<Vec<_>>().join(", ")
                }
                _ => text_of(cx, field, &Json::from(asked.value)),
            };
            format!("{label}: {value}")
        }
        "contains" | "named" => format!("{label} {} {}", word("contains"), asked.value),
        "min" => format!("{label} ≥ {}", asked.value),
        "max" => format!("{label} ≤ {}", asked.value),
        "from" => format!("{label} {} {}", word("from"), asked.value),
        "until" => format!("{label} {} {}", word("until"), asked.value),
        "within" => format!("{label}: {}", word(&format!("span_{}", asked.value))),
        _ => format!("{label} {}", word(if asked.value == "set" { "is_set" } else { "is_empty" })),
    })
}
