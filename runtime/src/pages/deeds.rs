//! In charge of what is done from a record's page: moves, notes, talks, tasks, files, a new owner, the bin.
//! Invariant: each deed is a write like any other; what is refused comes back with what was entered.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use engine::records::{Batch, Shape, Written};
use engine::{Error, Submission};
use indexmap::IndexMap;
use model::field::Role;
use model::{EntityDef, Input};
use serde_json::Value as Json;
use uuid::Uuid;

use super::control::sent;
use super::picker;
use super::record::{Failed, render};
use super::shell::{Missed, missed};
use crate::api::files::{broken, take};
use crate::http::caller::{Page, Turned};
use crate::http::form::{PageForm, PageUpload};
use crate::http::query::Query;
use crate::state::RuntimeState;

async fn write(state: &RuntimeState, page: &Page, entity: &str, submission: Submission) -> Result<Written, Error> {
    let def = state.engine().entity(&page.cx, entity)?;
    state.engine().write(&page.cx, Batch::one(def.id, submission)).await?.pop().unwrap_or(Err(Error::NotFound))
}

/// Back to the record, saying what was done.
fn back(def: &EntityDef, id: Uuid, done: &str) -> Response {
    Redirect::to(&format!("/r/{}/{id}?done={done}", def.name)).into_response()
}

/// The record's page with what was refused, or the page that says why there is nothing.
async fn refused(state: &RuntimeState, page: &Page, entity: &str, id: Uuid, error: Error) -> Result<Response, Missed> {
    match error {
        error @ (Error::Invalid(_) | Error::StaleVersion { .. }) => {
            render(state, page, entity, id, &Query::default(), None, Some(Failed::of(&error))).await
        }
        error => Err(missed(page)(error)),
    }
}

/// Moves a record to another stage.
pub(super) async fn move_to(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let to = form.fields.get("to").unwrap_or_default().to_owned();
    let picker::Typed { values, offers, faults } = picker::typed(&state, page, def, Some(id), &form.fields).await?;
    let before = state.engine().allowed(&page.cx, def.id, id).await.map_err(missed(page))?.stage.map(|(_, stage)| stage);
    let submission = Submission::Move { id, version: None, field: None, to: to.clone(), values: values.clone(), skip: IndexMap::new() };
    let done = if faults.is_empty() { write(&state, page, &entity, submission).await } else { Err(Error::Invalid(faults)) };
    match done {
        Ok(written) if written.left_sight => Ok(Redirect::to(&format!("/r/{}?done=moved", def.name)).into_response()),
        Ok(written) if written.approval.is_some() => Ok(back(def, id, "awaits")),
        Ok(_) => Ok(Redirect::to(&format!("/r/{}/{id}?done=moved&from={}", def.name, before.unwrap_or_default())).into_response()),
        Err(error @ Error::Invalid(_)) => {
            let failed = Failed { error: &error, values, offers };
            render(&state, page, &entity, id, &Query::default(), Some(&to), Some(failed)).await
        }
        Err(error) => Err(missed(page)(error)),
    }
}

/// Gives a record to somebody else.
pub(super) async fn give(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let mut typed = picker::typed(&state, page, def, Some(id), &form.fields).await?;
    if !typed.faults.is_empty() {
        return refused(&state, page, &entity, id, Error::Invalid(typed.faults)).await;
    }
    typed.values.retain(|name, _| name == "owner");
    match write(&state, page, &entity, Submission::Update { id, version: None, values: typed.values }).await {
        Ok(written) if written.left_sight => Ok(Redirect::to(&format!("/r/{}?done=saved", def.name)).into_response()),
        Ok(_) => Ok(back(def, id, "saved")),
        Err(error) => refused(&state, page, &entity, id, error).await,
    }
}

/// Lets the reader follow a record, or follow it no longer.
pub(super) async fn follow(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    state.engine().follow(&page.cx, def.id, id, form.fields.get("on") == Some("true")).await.map_err(missed(page))?;
    Ok(Redirect::to(&format!("/r/{}/{id}", def.name)).into_response())
}

/// What is about a record.
fn about(def: &EntityDef, id: Uuid) -> Input {
    Input::Map(IndexMap::from([("entity".to_owned(), Input::Text(def.name.to_string())), ("id".to_owned(), Input::Text(id.to_string()))]))
}

/// Adds a note, a talk or a task, by which of them the form names.
pub(super) async fn add(
    State(state): State<RuntimeState>,
    Path((entity, id, kind)): Path<(String, Uuid, String)>,
    form: PageForm,
) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let target = match kind.as_str() {
        "note" => "core.note",
        "activity" => "core.activity",
        "task" => "core.task",
        _ => return Err(missed(page)(Error::NotFound)),
    };
    let far = state.engine().entity(&page.cx, target).map_err(missed(page))?;
    let mut values = sent(&page.cx, far, &form.fields);
    values.retain(|_, value| *value != Input::Null);
    values.insert("about".to_owned(), about(def, id));
    match write(&state, page, target, Submission::Create { id: None, values }).await {
        Ok(_) => Ok(back(def, id, "noted")),
        Err(error) => refused(&state, page, &entity, id, error).await,
    }
}

/// Ticks a task off.
pub(super) async fn tick(
    State(state): State<RuntimeState>,
    Path((entity, id, task)): Path<(String, Uuid, Uuid)>,
    form: PageForm,
) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let values = IndexMap::from([("done".to_owned(), Input::Bool(true))]);
    match write(&state, page, "core.task", Submission::Update { id: task, version: None, values }).await {
        Ok(_) => Ok(back(def, id, "saved")),
        Err(error) => refused(&state, page, &entity, id, error).await,
    }
}

/// Hangs a file on a record: beside it, or into the field that the address names.
pub(super) async fn upload(
    State(state): State<RuntimeState>,
    Path((entity, id, field)): Path<(String, Uuid, String)>,
    mut form: PageUpload,
) -> Result<Response, Missed> {
    let page = form.page.clone();
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(&page))?;
    let mut file = None;
    while let Some(part) = form.parts.next_field().await.map_err(|error| Turned::Down(broken(error)))? {
        if part.name() == Some("file") && part.file_name().is_some_and(|name| !name.is_empty()) {
            file = Some(take(&state, &page.cx, part, engine::files::MAX_FILE).await.map_err(Turned::Down)?);
        }
    }
    let Some(file) = file else { return Ok(Redirect::to(&format!("/r/{}/{id}", def.name)).into_response()) };
    let hung = Input::Map(IndexMap::from([("id".to_owned(), Input::Text(file.id.to_string()))]));
    let done = if field == "files" && def.find("files").is_none() {
        let values = IndexMap::from([("about".to_owned(), about(def, id)), ("file".to_owned(), hung)]);
        write(&state, &page, "core.file", Submission::Create { id: None, values }).await
    } else {
        let found = page.cx.grants.field(def, &field).ok_or_else(|| missed(&page)(Error::NotFound))?;
        let value = match found.role {
            Role::Files { many: false, .. } => hung,
            Role::Files { many: true, .. } => {
                let shape = Shape { fields: Some(vec![field.clone()]), ..Shape::default() };
                let there = state.engine().get(&page.cx, def.id, id, &shape).await.map_err(missed(&page))?;
                let there: Json = serde_json::from_slice(&there.json).unwrap_or_default();
                let kept = there.get(&field).and_then(Json::as_array).into_iter().flatten().map(Input::from);
                Input::List(kept.chain([hung]).collect())
            }
            _ => return Err(missed(&page)(Error::NotFound)),
        };
        write(&state, &page, &entity, Submission::Update { id, version: None, values: IndexMap::from([(field, value)]) }).await
    };
    match done {
        Ok(_) => Ok(back(def, id, "uploaded")),
        Err(error) => refused(&state, &page, &entity, id, error).await,
    }
}

/// Puts a record into the bin; the list says so, with a way to take it back.
pub(super) async fn delete(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    match write(&state, page, &entity, Submission::Delete { id, version: None }).await {
        Ok(_) => Ok(Redirect::to(&format!("/r/{entity}?done=deleted&id={id}")).into_response()),
        Err(error) => refused(&state, page, &entity, id, error).await,
    }
}

/// Brings a record back.
pub(super) async fn restore(State(state): State<RuntimeState>, Path((entity, id)): Path<(String, Uuid)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    match write(&state, page, &entity, Submission::Restore { id }).await {
        Ok(_) => Ok(back(def, id, "restored")),
        Err(error) => refused(&state, page, &entity, id, error).await,
    }
}
