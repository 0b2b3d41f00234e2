//! In charge of one record's page: facts, stages, related records, notes, history; and what is done from there.
//! Invariant: what may not be done is not offered; what is refused says why beside what was entered.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::records::{Allowed, Batch, ListRequest, Shape};
use engine::{Error, Submission};
use indexmap::IndexMap;
use model::{EntityDef, Input};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::cell::{Cell, cell, text_of};
use super::env;
use super::form::{Control, controls};
use super::shell::{Missed, Shell, missed, shell, told};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

#[derive(Serialize)]
struct RecordPage {
    shell: Shell,
    entity: String,
    entity_label: String,
    list: String,
    id: String,
    title: String,
    version: i64,
    facts: Vec<Fact>,
    stages: Vec<StageStep>,
    asking: Option<Asking>,
    related: Vec<Related>,
    history: Vec<Happened>,
    may_update: bool,
    may_delete: bool,
    may_note: bool,
    locked: bool,
    error: Option<String>,
}

#[derive(Serialize)]
struct Fact {
    label: String,
    cell: Cell,
}

#[derive(Serialize)]
struct StageStep {
    name: String,
    label: String,
    kind: String,
    current: bool,
    allowed: bool,
    asks: bool,
}

/// The fields that a move asks for.
#[derive(Serialize)]
struct Asking {
    to: String,
    label: String,
    controls: Vec<Control>,
}

#[derive(Serialize)]
struct Related {
    label: String,
    items: Vec<RelatedItem>,
    more: bool,
}

#[derive(Serialize)]
struct RelatedItem {
    href: String,
    title: String,
}

#[derive(Serialize)]
struct Happened {
    at: String,
    by: String,
    what: String,
    changes: Vec<Changed>,
}

#[derive(Serialize)]
struct Changed {
    label: String,
    before: String,
    after: String,
}

/// Shows a record.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    page: Page,
    Path((entity, id)): Path<(String, Uuid)>,
    query: Query,
) -> Result<Response, Missed> {
    render(&state, &page, &entity, id, query.filled("move"), None).await
}

async fn render(
    state: &RuntimeState,
    page: &Page,
    entity: &str,
    id: Uuid,
    asked: Option<&str>,
    failed: Option<(&Error, IndexMap<String, Input>)>,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, entity).map_err(missed(page))?;
    let found = state.engine().get(cx, def.id, id, &Shape { titles: true, ..Shape::default() }).await.map_err(missed(page))?;
    let json: Json = serde_json::from_slice(&found.json).unwrap_or_default();
    let allowed = match json.get("deleted_at").is_none_or(Json::is_null) {
        true => state.engine().allowed(cx, def.id, id).await.map_err(missed(page))?,
        false => Allowed::default(),
    };
    let asking = match asked {
        Some(to) => asking(state, page, def, id, &allowed, to, failed.as_ref().map(|(error, values)| (*error, values))).await?,
        None => None,
    };
    let status = failed.as_ref().map_or(StatusCode::OK, |(error, _)| told(error, &cx.locale).0);
    let context = RecordPage {
        shell: shell(page, &found.title, &format!("/r/{}", def.name)),
        entity: def.name.to_string(),
        entity_label: def.label(&cx.locale).to_owned(),
        list: def.plural(&cx.locale).to_owned(),
        id: id.to_string(),
        title: found.title,
        version: found.version,
        facts: facts(page, def, &json),
        stages: stages(page, def, &allowed),
        asking,
        related: related(state, page, def, id).await?,
        history: history(state, page, def, id).await?,
        may_update: allowed.update,
        may_delete: allowed.delete,
        may_note: cx.app.schema.find("core.note").is_some_and(|note| cx.grants.sees(note.id)) && def.name.as_str() != "core.note",
        locked: allowed.locked,
        error: failed.map(|(error, _)| told(error, &cx.locale).1),
    };
    Ok(env::page(status, "record.html", &context))
}

fn facts(page: &Page, def: &EntityDef, json: &Json) -> Vec<Fact> {
    let cx = &page.cx;
    let hidden = ["id", "version", "deleted_at", "owner_since", "position"];
    def.fields
        .iter()
        .filter(|field| !hidden.contains(&field.name.as_str()) && field.typed.is_some() && cx.grants.field(def, field.name.as_str()).is_some())
        .map(|field| {
            let name = field.name.as_str();
            let label = if field.system { env::text(&cx.locale, name) } else { field.doc.label(name, &cx.locale).to_owned() };
            Fact { label, cell: cell(cx, def, name, json) }
        })
        .filter(|fact| !fact.cell.text.is_empty())
        .collect()
}

fn stages(page: &Page, def: &EntityDef, allowed: &Allowed) -> Vec<StageStep> {
    let Some((field, current)) = &allowed.stage else { return Vec::new() };
    let Some(field) = def.find(field) else { return Vec::new() };
    super::query::stage_options(&page.cx, def, field.id)
        .into_iter()
        .map(|(name, label)| {
            let choice = allowed.moves.iter().find(|choice| choice.to == name);
            StageStep {
                current: name == *current,
                allowed: choice.is_some_and(|choice| choice.allowed),
                asks: choice.is_some_and(|choice| !choice.ask.is_empty()),
                kind: choice.map_or("open", |choice| choice.kind).to_owned(),
                name,
                label,
            }
        })
        .collect()
}

async fn asking(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Uuid,
    allowed: &Allowed,
    to: &str,
    failed: Option<(&Error, &IndexMap<String, Input>)>,
) -> Result<Option<Asking>, Missed> {
    let Some(choice) = allowed.moves.iter().find(|choice| choice.to == to && choice.allowed) else { return Ok(None) };
    let mut names = choice.ask.clone();
    let mut values = IndexMap::new();
    let mut faults = Vec::new();
    if let Some((error, sent)) = failed {
        if let Error::Invalid(more) = error {
            faults.clone_from(more);
            names.extend(more.iter().filter_map(|fault| fault.field.clone()).filter(|field| def.find(field).is_some_and(|field| !field.system)));
        }
        values.clone_from(sent);
        names.extend(sent.keys().cloned());
    }
    names.retain(|name| !def.stages.iter().any(|stage| def.field(*stage).name == *name.as_str()));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let controls = controls(state, page, def, Some(id), &names, values, &faults).await?;
    Ok(Some(Asking { to: to.to_owned(), label: choice.label.clone(), controls }))
}

async fn related(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<Related>, Missed> {
    const MOST: u32 = 10;
    let cx = &page.cx;
    let mut found = Vec::new();
    for (name, inverse) in &def.inverses {
        let many = cx.app.schema.entity(inverse.entity);
        if !cx.grants.sees(many.id) || cx.grants.field(many, many.field(inverse.by).name.as_str()).is_none() {
            continue;
        }
        let request = ListRequest {
            limit: Some(MOST),
            sort: Some("-id".to_owned()),
            shape: Shape { fields: Some(Vec::new()), ..Shape::default() },
            ..ListRequest::of(many.id)
        };
        let list = match state.engine().related(cx, def.id, id, name.as_str(), request).await {
            Ok(list) => list,
            Err(Error::NotFound) => continue,
            Err(error) => return Err(missed(page)(error)),
        };
        if list.titles.is_empty() {
            continue;
        }
        let items = list
            .titles
            .into_iter()
            .map(|(id, title)| RelatedItem { href: format!("/r/{}/{id}", many.name), title: if title.is_empty() { "—".to_owned() } else { title } })
            .collect();
        found.push(Related { label: many.plural(&cx.locale).to_owned(), items, more: list.next.is_some() });
    }
    Ok(found)
}

async fn history(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<Happened>, Missed> {
    let cx = &page.cx;
    let answer = state.engine().history(cx, def.id, id, None, 30).await.map_err(missed(page))?;
    let value = |name: &str, json: Option<&Json>| match (json, cx.grants.field(def, name)) {
        (Some(json), Some(field)) if !json.is_null() => {
            if matches!(field.role, model::field::Role::Reference(_)) {
                "•".to_owned()
            } else {
                text_of(cx, field, json)
            }
        }
        _ => "—".to_owned(),
    };
    Ok(answer
        .get("data")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|line| {
            let at = line.get("at").and_then(Json::as_str).and_then(model::field::scalar::read_datetime);
            Happened {
                at: at.map(|at| at.with_timezone(&cx.zone).format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
                by: line.get("by_title").and_then(Json::as_str).unwrap_or_default().to_owned(),
                what: env::text(&cx.locale, &format!("op_{}", line.get("op").and_then(Json::as_str).unwrap_or("updated"))),
                changes: line
                    .get("changes")
                    .and_then(Json::as_array)
                    .into_iter()
                    .flatten()
                    .map(|change| {
                        let name = change.get("field").and_then(Json::as_str).unwrap_or_default();
                        Changed {
                            label: change.get("label").and_then(Json::as_str).unwrap_or(name).to_owned(),
                            before: value(name, change.get("before")),
                            after: value(name, change.get("after")),
                        }
                    })
                    .collect(),
            }
        })
        .collect())
}

async fn write(state: &RuntimeState, page: &Page, entity: &str, submission: Submission) -> Result<(), Error> {
    let def = state.engine().entity(&page.cx, entity)?;
    state.engine().write(&page.cx, Batch::one(def.id, submission)).await?.pop().unwrap_or(Err(Error::NotFound)).map(drop)
}

/// Moves a record to another stage.
pub(super) async fn move_to(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let to = form.fields.get("to").unwrap_or_default().to_owned();
    let values = super::form::sent(&page.cx, def, &form.fields);
    let submission = Submission::Move { id, version: None, field: None, to: to.clone(), values: values.clone(), skip: IndexMap::new() };
    match write(&state, page, &entity, submission).await {
        Ok(()) => Ok(Redirect::to(&format!("/r/{}/{id}", def.name)).into_response()),
        Err(error @ Error::Invalid(_)) => render(&state, page, &entity, id, Some(&to), Some((&error, values))).await,
        Err(error) => Err(missed(page)(error)),
    }
}

/// Adds a note to a record.
pub(super) async fn note(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let about = [("entity".to_owned(), Input::Text(def.name.to_string())), ("id".to_owned(), Input::Text(id.to_string()))];
    let text = form.fields.get("text").unwrap_or_default().to_owned();
    let values = [("about".to_owned(), Input::Map(about.into_iter().collect())), ("text".to_owned(), Input::Text(text))];
    write(&state, page, "core.note", Submission::Create { id: None, values: values.into_iter().collect() }).await.map_err(missed(page))?;
    Ok(Redirect::to(&format!("/r/{}/{id}", def.name)).into_response())
}

/// Puts a record into the bin.
pub(super) async fn delete(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    match write(&state, page, &entity, Submission::Delete { id, version: None }).await {
        Ok(()) => Ok(Redirect::to(&format!("/r/{entity}/{id}")).into_response()),
        Err(error @ Error::Invalid(_)) => render(&state, page, &entity, id, None, Some((&error, IndexMap::new()))).await,
        Err(error) => Err(missed(page)(error)),
    }
}

/// Brings a record back.
pub(super) async fn restore(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    write(&state, page, &entity, Submission::Restore { id }).await.map_err(missed(page))?;
    Ok(Redirect::to(&format!("/r/{entity}/{id}")).into_response())
}
