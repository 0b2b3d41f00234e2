//! In charge of forms: creating and changing a record, with conditions that follow what is typed.
//! Invariant: conditions, defaults and computed values come from the engine's own dry run of the write.
//! Invariant: what was entered is never lost: a refused form comes back as it was, each fault beside its field.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{NaiveDateTime, TimeZone, Utc};
use engine::records::{Batch, FormState, ListRequest, Shape};
use engine::{Ctx, Error, Submission};
use indexmap::IndexMap;
use model::doc::{Condition, Form, FormPurpose, ItemKind};
use model::field::Role;
use model::{EntityDef, FieldDef, Input, Violation};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::env;
use super::shell::{Missed, Shell, label, missed, shell, told};
use crate::http::answer;
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Records that a reference offers.
const OFFERED: u32 = 300;

/// An input of a form.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Control {
    name: String,
    label: String,
    help: String,
    kind: &'static str,
    value: String,
    options: Vec<(String, String)>,
    required: bool,
    visible: bool,
    read_only: bool,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Section {
    label: String,
    columns: u8,
    visible: bool,
    index: usize,
    controls: Vec<Control>,
}

#[derive(Serialize)]
struct FormPage {
    shell: Shell,
    action: String,
    state_url: String,
    back: String,
    version: Option<i64>,
    sections: Vec<Section>,
    error: Option<String>,
}

/// A section as the form's document says: label, columns, condition, fields.
struct Layout {
    label: String,
    columns: u8,
    condition: Option<Condition>,
    fields: Vec<String>,
}

/// The form of an entity: its document, else one section with all fields.
fn layout(cx: &Ctx, def: &EntityDef) -> Vec<Layout> {
    let form = cx.app.schema.apps.iter().find_map(|(app_name, app)| {
        app.forms.values().find(|form| {
            form.purpose == FormPurpose::Full
                && form.extends.is_none()
                && cx.has_role(app_name.as_str(), &form.roles)
                && cx.app.schema.find_from(app_name.as_str(), &form.entity).is_some_and(|entity| entity.id == def.id)
        })
    });
    let all = || def.fields.iter().filter(|field| !field.system || field.name.as_str() == "owner").map(|field| field.name.to_string()).collect();
    let Some(form) = form else { return vec![Layout { label: String::new(), columns: 2, condition: None, fields: all() }] };
    let mut sections = Vec::new();
    collect(cx, form, &form.root, None, &mut sections);
    sections
}

fn collect(cx: &Ctx, form: &Form, names: &[model::Name], above: Option<&Condition>, sections: &mut Vec<Layout>) {
    let mut loose = Vec::new();
    for name in names {
        match form.items.get(name) {
            Some(item) if matches!(item.kind, ItemKind::Section | ItemKind::Tab) => {
                let inner: Vec<model::Name> = item.children.clone();
                let nested =
                    inner.iter().any(|child| form.items.get(child).is_some_and(|child| matches!(child.kind, ItemKind::Section | ItemKind::Tab)));
                let condition = item.show_if.as_ref().or(above);
                if nested {
                    collect(cx, form, &inner, condition, sections);
                    continue;
                }
                let fields = inner.iter().map(|child| field_of(form, child)).collect();
                let columns = match item.columns {
                    Some(model::doc::Columns::Count(count)) => count.clamp(1, 4),
                    _ => 1,
                };
                sections.push(Layout {
                    label: item.label.as_ref().map(|label| label.get(&cx.locale).to_owned()).unwrap_or_default(),
                    columns,
                    condition: condition.cloned(),
                    fields,
                });
            }
            Some(item) if item.kind == ItemKind::Field => loose.push(field_of(form, name)),
            Some(_) => {}
            None => loose.push(name.to_string()),
        }
    }
    if !loose.is_empty() {
        sections.push(Layout { label: String::new(), columns: 2, condition: above.cloned(), fields: loose });
    }
}

fn field_of(form: &Form, name: &model::Name) -> String {
    form.items.get(name).and_then(|item| item.field.as_ref()).unwrap_or(name).to_string()
}

/// How a field is entered; none where a page cannot yet.
fn kind_of(field: &FieldDef) -> Option<&'static str> {
    Some(match (&field.role, field.doc.kind.as_str()) {
        (Role::Choice { many: false, .. } | Role::Stage { .. }, _) => "select",
        (Role::Choice { many: true, .. }, _) | (_, "tags") => "list",
        (Role::Reference(_), _) => "select",
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

async fn options(state: &RuntimeState, page: &Page, def: &EntityDef, field: &FieldDef, current: &str) -> Result<Vec<(String, String)>, Missed> {
    let cx = &page.cx;
    match &field.role {
        Role::Choice { options, .. } => Ok(options
            .iter()
            .filter(|(name, option)| !option.retired || name.as_str() == current)
            .map(|(name, option)| (name.to_string(), label(option.label.as_ref(), name.as_str(), &cx.locale)))
            .collect()),
        Role::Stage { .. } => Ok(super::query::stage_options(cx, def, field.id)),
        Role::Reference(_) => {
            let Some(target) = field.targets.first().map(|target| cx.app.schema.entity(*target)).filter(|target| cx.grants.sees(target.id)) else {
                return Ok(Vec::new());
            };
            let sort = ["name", "title"].into_iter().find(|name| cx.grants.field(target, name).is_some()).map(str::to_owned);
            let request = ListRequest {
                limit: Some(OFFERED),
                sort,
                shape: Shape { fields: Some(Vec::new()), ..Shape::default() },
                ..ListRequest::of(target.id)
            };
            let found = state.engine().list(cx, request).await.map_err(missed(page))?;
            let mut offered: Vec<(String, String)> = found.titles.into_iter().map(|(id, title)| (id.to_string(), title)).collect();
            if let Ok(id) = Uuid::try_parse(current)
                && !offered.iter().any(|(there, _)| there == current)
                && let Ok(answer) = state.engine().get(cx, target.id, id, &Shape { fields: Some(Vec::new()), ..Shape::default() }).await
            {
                offered.insert(0, (current.to_owned(), answer.title));
            }
            Ok(offered)
        }
        _ if field.doc.kind == "boolean" => {
            Ok(vec![("true".to_owned(), env::text(&cx.locale, "yes")), ("false".to_owned(), env::text(&cx.locale, "no"))])
        }
        _ => Ok(Vec::new()),
    }
}

/// A value as an input holds it.
fn entered(cx: &Ctx, field: &FieldDef, value: Option<&Json>) -> String {
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
    values: IndexMap<String, Input>,
    faults: &[Violation],
) -> Result<Vec<Control>, Missed> {
    let sent = values.clone();
    let form = state.engine().form_state(&page.cx, def.id, id, values, Vec::new()).await.map_err(missed(page))?;
    made(state, page, def, names, &form, &sent, faults).await
}

async fn made(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    names: &[String],
    form: &FormState,
    sent: &IndexMap<String, Input>,
    faults: &[Violation],
) -> Result<Vec<Control>, Missed> {
    let cx = &page.cx;
    let mut made = Vec::new();
    for name in names {
        let (Some(field), Some(status)) = (cx.grants.field(def, name), form.fields.get(name)) else { continue };
        let Some(kind) = kind_of(field) else { continue };
        // What was entered comes back as it was, also where it could not be read.
        let value = match sent.get(name) {
            Some(Input::Text(text)) if kind != "datetime-local" => text.clone(),
            _ => entered(cx, field, form.values.get(name)),
        };
        let read_only = status.read_only || kind == "shown";
        let shown = if read_only && !value.is_empty() { shown_text(cx, field, &value, form.values.get(name)) } else { value.clone() };
        let options = options(state, page, def, field, &value).await?;
        let text = options.iter().find(|(there, _)| *there == value).map(|(_, label)| label.clone());
        made.push(Control {
            name: name.clone(),
            label: if field.system { env::text(&cx.locale, name) } else { field.doc.label(name, &cx.locale).to_owned() },
            help: field.doc.common.help.as_ref().map(|help| help.get(&cx.locale).to_owned()).unwrap_or_default(),
            kind: if read_only { "shown" } else { kind },
            value: if read_only { text.unwrap_or(shown) } else { value },
            options,
            required: status.required,
            visible: status.visible,
            read_only,
            error: faults.iter().find(|fault| fault.field.as_deref() == Some(name)).map(|fault| fault.wording.text(&cx.locale)),
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
        let text = text.trim();
        let input = match (kind, field.doc.kind.as_str()) {
            _ if text.is_empty() => Input::Null,
            (_, "boolean") => Input::Bool(text == "true"),
            ("list", _) => Input::List(
                text.split([',', '，', '、']).map(str::trim).filter(|item| !item.is_empty()).map(|item| Input::Text(item.to_owned())).collect(),
            ),
            ("number", _) => Input::Text(text.replace([',', ' '], "")),
            ("datetime-local", _) => Input::Text(moment(cx, text)),
            _ => Input::Text(text.to_owned()),
        };
        values.insert(name.to_owned(), input);
    }
    values
}

/// A local moment as RFC 3339.
fn moment(cx: &Ctx, text: &str) -> String {
    let read = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"));
    read.ok()
        .and_then(|local| cx.zone.from_local_datetime(&local).earliest())
        .map_or_else(|| text.to_owned(), |at| at.with_timezone(&Utc).to_rfc3339())
}

async fn render(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Option<Uuid>,
    values: IndexMap<String, Input>,
    failed: Option<&Error>,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let layout = layout(cx, def);
    let conditions: Vec<Condition> = layout.iter().filter_map(|section| section.condition.clone()).collect();
    let sent = values.clone();
    let form = state.engine().form_state(cx, def.id, id, values, conditions).await.map_err(missed(page))?;
    let faults: &[Violation] = match failed {
        Some(Error::Invalid(faults)) => faults,
        _ => &[],
    };
    let mut holds = form.conditions.iter();
    let mut sections = Vec::new();
    for (index, part) in layout.iter().enumerate() {
        let visible = part.condition.is_none() || holds.next().copied().unwrap_or(true);
        let controls = made(state, page, def, &part.fields, &form, &sent, faults).await?;
        if !controls.is_empty() {
            sections.push(Section { label: part.label.clone(), columns: part.columns, visible, index, controls });
        }
    }
    let (title, action, back, version) = match id {
        Some(id) => {
            let found = state.engine().get(cx, def.id, id, &Shape { fields: Some(Vec::new()), ..Shape::default() }).await.map_err(missed(page))?;
            (found.title, format!("/r/{}/{id}/edit", def.name), format!("/r/{}/{id}", def.name), Some(found.version))
        }
        None => (
            format!("{} · {}", env::text(&cx.locale, "new"), def.label(&cx.locale)),
            format!("/r/{}/new", def.name),
            format!("/r/{}", def.name),
            None,
        ),
    };
    let state_url = id.map_or_else(|| format!("/r/{}/state", def.name), |id| format!("/r/{}/state?id={id}", def.name));
    let status = failed.map_or(StatusCode::OK, |error| told(error, &cx.locale).0);
    let error = failed.map(|error| told(error, &cx.locale).1);
    let context = FormPage { shell: shell(page, title, &format!("/r/{}", def.name)), action, state_url, back, version, sections, error };
    Ok(env::page(status, "form.html", &context))
}

/// The form of a new record; the address may fill fields.
pub(super) async fn show_new(State(state): State<RuntimeState>, page: Page, Path(entity): Path<String>, query: Query) -> Result<Response, Missed> {
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(&page))?;
    let values = sent(&page.cx, def, &query);
    render(&state, &page, def, None, values, None).await
}

/// The form of a record that is there.
pub(super) async fn show_edit(State(state): State<RuntimeState>, page: Page, Path((entity, id)): Path<(String, Uuid)>) -> Result<Response, Missed> {
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(&page))?;
    render(&state, &page, def, Some(id), IndexMap::new(), None).await
}

/// Creates a record.
pub(super) async fn create(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let mut values = sent(&page.cx, def, &form.fields);
    // What is empty is left to defaults.
    values.retain(|_, value| *value != Input::Null);
    let submission = Submission::Create { id: None, values: values.clone() };
    finish(&state, page, def, None, values, submission).await
}

/// Changes a record.
pub(super) async fn update(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let values = sent(&page.cx, def, &form.fields);
    let version = form.fields.filled("_version").and_then(|text| text.parse().ok());
    let submission = Submission::Update { id, version, values: values.clone() };
    finish(&state, page, def, Some(id), values, submission).await
}

async fn finish(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Option<Uuid>,
    values: IndexMap<String, Input>,
    submission: Submission,
) -> Result<Response, Missed> {
    let done = match state.engine().write(&page.cx, Batch::one(def.id, submission)).await {
        Ok(mut results) => results.pop().unwrap_or(Err(Error::NotFound)),
        Err(error) => Err(error),
    };
    match done {
        Ok(written) if written.left_sight => Ok(Redirect::to(&format!("/r/{}", def.name)).into_response()),
        Ok(written) => Ok(Redirect::to(&format!("/r/{}/{}", def.name, written.id)).into_response()),
        Err(error @ (Error::Invalid(_) | Error::StaleVersion { .. })) => render(state, page, def, id, values, Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}

/// What the form shows for what is typed so far, as JSON.
pub(super) async fn state(State(state): State<RuntimeState>, Path(entity): Path<String>, query: Query, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let cx = &page.cx;
    let def = state.engine().entity(cx, &entity).map_err(missed(page))?;
    let id = query.filled("id").and_then(|text| Uuid::try_parse(text).ok());
    let layout = layout(cx, def);
    let conditions: Vec<Condition> = layout.iter().filter_map(|section| section.condition.clone()).collect();
    let found = state.engine().form_state(cx, def.id, id, sent(cx, def, &form.fields), conditions).await.map_err(missed(page))?;
    let mut holds = found.conditions.iter();
    let sections: Vec<bool> = layout.iter().map(|section| section.condition.is_none() || holds.next().copied().unwrap_or(true)).collect();
    let fields: Map<String, Json> = found
        .fields
        .iter()
        .filter_map(|(name, status)| {
            let field = cx.grants.field(def, name)?;
            let text =
                found.values.get(name).filter(|value| !value.is_null()).map(|value| super::cell::text_of(cx, field, value)).unwrap_or_default();
            Some((name.clone(), json!({"visible": status.visible, "required": status.required, "read_only": status.read_only, "text": text})))
        })
        .collect();
    Ok(answer::ok(&json!({"fields": fields, "sections": sections})))
}
