//! In charge of forms: creating and changing a record, with conditions that follow what is typed.
//! Invariant: conditions, defaults and computed values come from the engine's own dry run of the write.
//! Invariant: what was entered is never lost: a refused form comes back as it was, each fault beside its field.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::change_sets::MergeRequest;
use engine::records::{Batch, Likeness, Shape};
use engine::{Ctx, Error, Submission};
use indexmap::IndexMap;
use model::doc::{Condition, Form, FormPurpose, ItemKind};
use model::{EntityDef, Input};
use rules::query::Predicate;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::control::{Control, Refused, made, sent};
use super::env;
use super::picker::{self, Offers};
use super::shell::{Missed, Shell, missed, shell, told};
use crate::http::answer;
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

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
    alike: Option<AlikeBox>,
}

/// What may be there already, as a form shows it.
#[derive(Serialize)]
struct AlikeBox {
    messages: Vec<String>,
    records: Vec<AlikeLink>,
    /// Whether one may say that it is another thing.
    may_save: bool,
    /// Whether what is entered may go into one of those that are there.
    may_merge: bool,
}

#[derive(Serialize)]
struct AlikeLink {
    id: Uuid,
    url: String,
    title: String,
}

fn links(found: &[Likeness]) -> Vec<AlikeLink> {
    let mut records: Vec<AlikeLink> = Vec::new();
    for record in found.iter().flat_map(|one| &one.records) {
        if !records.iter().any(|there| there.id == record.id) {
            records.push(AlikeLink { id: record.id, url: format!("/r/{}/{}", record.entity, record.id), title: record.title.clone() });
        }
    }
    records
}

fn alike_box(cx: &Ctx, def: &EntityDef, id: Option<Uuid>, found: &[Likeness]) -> AlikeBox {
    let blocks = found.iter().any(|one| one.blocks);
    let grant = cx.grants.entity(def.id);
    let may_merge = !blocks && id.is_none() && *grant.update != Predicate::False && *grant.delete != Predicate::False;
    AlikeBox { messages: found.iter().map(|one| one.wording.text(&cx.locale)).collect(), records: links(found), may_save: !blocks, may_merge }
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

async fn render(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Option<Uuid>,
    values: IndexMap<String, Input>,
    offers: Offers,
    failed: Option<&Error>,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let layout = layout(cx, def);
    let conditions: Vec<Condition> = layout.iter().filter_map(|section| section.condition.clone()).collect();
    let form = state.engine().form_state(cx, def.id, id, values.clone(), conditions).await.map_err(missed(page))?;
    let faults = match failed {
        Some(Error::Invalid(faults)) => faults.as_slice(),
        _ => &[],
    };
    let refused = Refused { sent: values, faults, offers };
    let mut holds = form.conditions.iter();
    let mut sections = Vec::new();
    for (index, part) in layout.iter().enumerate() {
        let visible = part.condition.is_none() || holds.next().copied().unwrap_or(true);
        let controls = made(state, page, def, id, &part.fields, &form, &refused).await?;
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
    let alike = match failed {
        Some(Error::Duplicates(found)) => Some(alike_box(cx, def, id, found)),
        Some(_) | None => None,
    };
    let error = failed.filter(|_| alike.is_none()).map(|error| told(error, &cx.locale).1);
    let context = FormPage { shell: shell(page, title, &format!("/r/{}", def.name)), action, state_url, back, version, sections, error, alike };
    Ok(env::page(status, "form.html", &context))
}

/// The form of a new record; the address may fill fields.
pub(super) async fn show_new(State(state): State<RuntimeState>, page: Page, Path(entity): Path<String>, query: Query) -> Result<Response, Missed> {
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(&page))?;
    let values = sent(&page.cx, def, &query);
    render(&state, &page, def, None, values, Offers::default(), None).await
}

/// The form of a record that is there.
pub(super) async fn show_edit(State(state): State<RuntimeState>, page: Page, Path((entity, id)): Path<(String, Uuid)>) -> Result<Response, Missed> {
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(&page))?;
    render(&state, &page, def, Some(id), IndexMap::new(), Offers::default(), None).await
}

/// Creates a record.
pub(super) async fn create(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let mut typed = picker::typed(&state, page, def, None, &form.fields).await?;
    // What is empty is left to defaults.
    typed.values.retain(|_, value| *value != Input::Null);
    let submission = Submission::Create { id: None, values: typed.values.clone() };
    let into = form.fields.filled("_merge").and_then(|text| Uuid::try_parse(text).ok());
    finish(&state, page, def, None, typed, submission, asked(&form, into)).await
}

/// Changes a record.
pub(super) async fn update(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let typed = picker::typed(&state, page, def, Some(id), &form.fields).await?;
    let version = form.fields.filled("_version").and_then(|text| text.parse().ok());
    let submission = Submission::Update { id, version, values: typed.values.clone() };
    finish(&state, page, def, Some(id), typed, submission, asked(&form, None)).await
}

/// What a person said to what may be there already.
struct Said {
    /// Whether they are still to be asked.
    asks: bool,
    /// The record that is there and that the new one goes into.
    into: Option<Uuid>,
}

fn asked(form: &PageForm, into: Option<Uuid>) -> Said {
    Said { asks: into.is_none() && form.fields.filled("_duplicates") != Some("accept"), into }
}

async fn finish(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Option<Uuid>,
    typed: picker::Typed,
    submission: Submission,
    said: Said,
) -> Result<Response, Missed> {
    let picker::Typed { values, offers, faults } = typed;
    if !faults.is_empty() {
        return render(state, page, def, id, values, offers, Some(&Error::Invalid(faults))).await;
    }
    let done = match state.engine().write(&Ctx { asks: said.asks, ..page.cx.clone() }, Batch::one(def.id, submission)).await {
        Ok(mut results) => results.pop().unwrap_or(Err(Error::NotFound)),
        Err(error) => Err(error),
    };
    match done {
        Ok(written) if let Some(into) = said.into => {
            let request = MergeRequest { from: vec![written.id], ..MergeRequest::default() };
            // What could not be merged is there beside it, and its timeline names the other.
            let stays = state.engine().merge(&page.cx, def.id, into, request).await.map_or(written.id, |_| into);
            Ok(Redirect::to(&format!("/r/{}/{stays}", def.name)).into_response())
        }
        Ok(written) if written.left_sight => Ok(Redirect::to(&format!("/r/{}", def.name)).into_response()),
        Ok(written) => Ok(Redirect::to(&format!("/r/{}/{}", def.name, written.id)).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Duplicates(_) | Error::StaleVersion { .. })) => {
            render(state, page, def, id, values, offers, Some(&error)).await
        }
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
    let values = sent(cx, def, &form.fields);
    // Values that cannot be read yet are like nothing.
    let alike =
        if def.doc.duplicates.is_empty() { Vec::new() } else { state.engine().duplicates(cx, def.id, id, values.clone()).await.unwrap_or_default() };
    let found = state.engine().form_state(cx, def.id, id, values, conditions).await.map_err(missed(page))?;
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
    Ok(answer::ok(&json!({"fields": fields, "sections": sections, "alike": links(&alike)})))
}
