//! In charge of several records that become one: which stays, and whose value of each field.
//! Invariant: only what differs is asked; whatever is chosen, the engine checks each right again.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::Error;
use engine::change_sets::MergeRequest;
use engine::records::Shape;
use indexmap::IndexMap;
use model::field::Role;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::cell::{Cell, cell};
use super::control::label_of;
use super::shell::{Missed, Shell, missed, shell, told};
use super::{env, many};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The most records that become one at once: no page shows more beside each other.
const MOST: usize = 10;
/// Before the name of a field whose value is chosen.
const KEEP: &str = "keep:";

#[derive(Serialize)]
struct MergePage {
    shell: Shell,
    action: String,
    back: String,
    records: Vec<Candidate>,
    stays: String,
    rows: Vec<Row>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Candidate {
    id: String,
    title: String,
    href: String,
}

/// A field in which the records differ.
#[derive(Serialize)]
struct Row {
    name: String,
    label: String,
    /// Whose value is kept.
    kept: String,
    cells: Vec<Cell>,
}

/// Shows the records beside each other.
pub(super) async fn ask(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    render(&state, &form.page, &entity, &form.fields, None).await
}

async fn render(state: &RuntimeState, page: &Page, entity: &str, fields: &Query, failed: Option<&Error>) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, entity).map_err(missed(page))?;
    if !many::Offered::of(cx, def).may_merge() {
        return Err(missed(page)(Error::NotFound));
    }
    let ids: Vec<Uuid> = many::ticked(fields).into_iter().take(MOST).collect();
    if ids.len() < 2 {
        return Ok(Redirect::to(many::back(fields)).into_response());
    }
    let (mut records, mut values) = (Vec::new(), Vec::new());
    for id in &ids {
        let found = state.engine().get(cx, def.id, *id, &Shape { titles: true, ..Shape::default() }).await.map_err(missed(page))?;
        values.push(serde_json::from_slice::<Json>(&found.json).unwrap_or_default());
        records.push(Candidate { id: id.to_string(), title: found.title, href: format!("/r/{}/{id}", def.name) });
    }
    let stays = fields.filled("stays").map_or_else(|| records.first().map(|record| record.id.clone()).unwrap_or_default(), str::to_owned);
    let grant = cx.grants.entity(def.id);
    let mut rows = Vec::new();
    for field in &def.fields {
        let name = field.name.as_str();
        let own = !field.system || name == "owner";
        let plain = !field.computed() && !matches!(field.role, Role::Lines { .. } | Role::Autonumber { .. });
        if !own || !plain || !grant.may_change(field.id) || cx.grants.field(def, name).is_none() {
            continue;
        }
        let given = |json: &Json| json.get(name).cloned().unwrap_or_default();
        let there: Vec<Json> = values.iter().map(given).filter(|value| !value.is_null()).collect();
        if there.iter().all(|value| Some(value) == there.first()) {
            continue;
        }
        // What is empty in the one that stays is taken from the first that has it.
        let has = |id: &str| {
            ids.iter().position(|there| there.to_string() == id).is_some_and(|at| values.get(at).is_some_and(|json| !given(json).is_null()))
        };
        let first = || records.iter().find(|record| has(&record.id)).map(|record| record.id.clone()).unwrap_or_default();
        let kept = match fields.filled(&format!("{KEEP}{name}")) {
            Some(kept) => kept.to_owned(),
            None if has(&stays) => stays.clone(),
            None => first(),
        };
        let cells = values.iter().map(|json| Cell { href: None, ..cell(cx, def, name, json) }).collect();
        rows.push(Row { name: name.to_owned(), label: label_of(cx, field), kept, cells });
    }
    let (status, error) = failed.map_or((StatusCode::OK, None), |error| {
        let (status, text) = told(error, &cx.locale);
        (status, Some(text))
    });
    let context = MergePage {
        shell: shell(page, env::text(&cx.locale, "merge_what").replace("{what}", def.plural(&cx.locale)), &format!("/r/{}", def.name)),
        action: format!("/r/{}/merge/into", def.name),
        back: many::back(fields).to_owned(),
        records,
        stays,
        rows,
        error,
    };
    Ok(env::page(status, "merge.html", &context))
}

/// Makes one record of them.
pub(super) async fn merge(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let (page, fields) = (&form.page, &form.fields);
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let id = |text: &str| Uuid::try_parse(text).ok();
    let stays = fields.filled("stays").and_then(id).ok_or_else(|| missed(page)(Error::NotFound))?;
    let from = many::ticked(fields).into_iter().filter(|id| *id != stays).take(MOST).collect();
    let keep: IndexMap<String, Uuid> = fields.pairs().filter_map(|(key, value)| Some((key.strip_prefix(KEEP)?.to_owned(), id(value)?))).collect();
    match state.engine().merge(&page.cx, def.id, stays, MergeRequest { from, keep, version: None }).await {
        Ok(merged) => Ok(Redirect::to(&format!("/r/{}/{stays}?done=merged&id={}", def.name, merged.change_set)).into_response()),
        Err(error @ Error::Invalid(_)) => render(&state, page, &entity, fields, Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}
