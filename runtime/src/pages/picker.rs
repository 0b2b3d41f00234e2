//! In charge of choosing a record for a reference: searched on the server as one types, or by a typed title without a script.
//! Invariant: what is offered is what the field's filter and the reader's rights let through; nothing is decided in the browser.

use axum::extract::{Path, State};
use axum::response::Response;
use engine::records::{Choosing, ListAnswer, ListRequest, Shape};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::field::Role;
use model::{Code, EntityDef, EntityId, FieldDef, Input, Message, Violation};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::cell::field_at;
use super::control::sent;
use super::query::{TYPED, is_untouched};
use super::shell::{Missed, missed};
use crate::http::answer;
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Records offered at a time.
const OFFERED: u32 = 20;

/// Records among which a typed title did not decide.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    pub(super) typed: String,
    pub(super) records: Vec<(String, String)>,
}

/// The offers of a form, by field.
pub(super) type Offers = IndexMap<String, Offer>;

/// What typed titles came to.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) values: IndexMap<String, Input>,
    pub(super) offers: Offers,
    pub(super) faults: Vec<Violation>,
}

/// Where the records for a reference are searched.
pub(super) fn url(def: &EntityDef, field: &str, id: Option<Uuid>) -> String {
    let id = id.map(|id| format!("?id={id}")).unwrap_or_default();
    format!("/r/{}/choose/{field}{id}", def.name)
}

/// Where the records for a filter are searched: all that the reference may lead to.
pub(super) fn filter_url(def: &EntityDef, path: &str) -> String {
    format!("/r/{}/choose/{path}?all=true", def.name)
}

/// The title of the record that a reference holds.
pub(super) async fn title(state: &RuntimeState, page: &Page, field: &FieldDef, value: &str) -> Result<String, Missed> {
    match field.targets.first() {
        Some(target) => title_of(state, page, *target, value).await,
        None => Ok(String::new()),
    }
}

/// The title of a record of an entity.
pub(super) async fn title_of(state: &RuntimeState, page: &Page, target: EntityId, value: &str) -> Result<String, Missed> {
    let Ok(id) = Uuid::try_parse(value) else { return Ok(String::new()) };
    let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
    match state.engine().get(&page.cx, target, id, &shape).await {
        Ok(found) => Ok(found.title),
        Err(Error::NotFound) => Ok("…".to_owned()),
        Err(error) => Err(missed(page)(error)),
    }
}

/// A question for the records of one kind by words.
fn request(cx: &Ctx, target: &EntityDef, words: Option<&str>) -> ListRequest {
    let sort = ["name", "title"]
        .into_iter()
        .find(|name| cx.grants.field(target, name).is_some_and(|field| cx.grants.entity(target.id).comparable(field.id)));
    ListRequest {
        limit: Some(OFFERED),
        sort: sort.map(str::to_owned),
        q: words.map(str::to_owned),
        shape: Shape { fields: Some(Vec::new()), ..Shape::default() },
        ..ListRequest::of(target.id)
    }
}

/// Reads the titles that were typed where no script put an id in their place.
pub(super) async fn typed(state: &RuntimeState, page: &Page, def: &EntityDef, id: Option<Uuid>, fields: &Query) -> Result<Typed, Missed> {
    let cx = &page.cx;
    let mut read = Typed { values: sent(cx, def, fields), ..Typed::default() };
    for (key, text) in fields.pairs() {
        let Some(name) = key.strip_suffix(TYPED) else { continue };
        let Some(field) = cx.grants.field(def, name).filter(|field| matches!(field.role, Role::Reference(_))) else { continue };
        let text = text.trim();
        if is_untouched(fields, key) {
            continue;
        }
        if text.is_empty() {
            read.values.insert(name.to_owned(), Input::Null);
            continue;
        }
        let Some(target) = field.targets.first().map(|target| cx.app.schema.entity(*target)) else { continue };
        let choosing = Choosing { entity: def.id, field: name.to_owned(), id, values: read.values.clone() };
        let found = state.engine().choices(cx, choosing, request(cx, target, Some(text))).await.map_err(missed(page))?;
        match decided(name, text, found) {
            Ok(only) => drop(read.values.insert(name.to_owned(), Input::Text(only.to_string()))),
            Err((fault, offer)) => {
                read.faults.push(fault);
                read.offers.insert(name.to_owned(), offer);
                read.values.shift_remove(name);
            }
        }
    }
    Ok(read)
}

/// The one record that a typed title means among those found; else what is wrong, and what is offered.
fn decided(name: &str, text: &str, found: ListAnswer) -> Result<Uuid, (Violation, Offer)> {
    let folded = model::text::fold(text);
    let mut same = found.titles.iter().filter(|(_, title)| model::text::fold(title) == folded);
    match (found.titles.as_slice(), same.next(), same.next()) {
        ([(only, _)], _, _) | (_, Some((only, _)), None) => return Ok(*only),
        _ => {}
    }
    let message = if found.titles.is_empty() { "bad_reference" } else { "several_fit" };
    let records = found.titles.into_iter().map(|(id, title)| (id.to_string(), title)).collect();
    Err((Violation::of_field(name, Code::BadReference, Message::new(message)), Offer { typed: text.to_owned(), records }))
}

/// What was typed for a record of an entity that no field stands behind; closed.
pub(super) enum OneTyped {
    /// Nothing: what the id says counts.
    Untouched,
    /// This record, or none.
    Record(Option<Uuid>),
    /// It does not decide.
    Open(Box<Violation>, Offer),
}

/// Reads the title that was typed for one record of an entity.
pub(super) async fn one_typed(state: &RuntimeState, page: &Page, target: &EntityDef, name: &str, fields: &Query) -> Result<OneTyped, Missed> {
    let key = format!("{name}{TYPED}");
    let Some(text) = fields.get(&key).map(str::trim).filter(|_| !is_untouched(fields, &key)) else { return Ok(OneTyped::Untouched) };
    if text.is_empty() {
        return Ok(OneTyped::Record(None));
    }
    let found = state.engine().list(&page.cx, request(&page.cx, target, Some(text))).await.map_err(missed(page))?;
    Ok(match decided(name, text, found) {
        Ok(id) => OneTyped::Record(Some(id)),
        Err((fault, offer)) => OneTyped::Open(Box::new(fault), offer),
    })
}

/// The records of an entity by words, as JSON: `{"items": [{"id", "title"}], "more"}`.
pub(super) async fn choose_any(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let target = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let found = state.engine().list(&page.cx, request(&page.cx, target, form.fields.filled("_q"))).await;
    Ok(offered(&found.map_err(missed(page))?))
}

fn offered(found: &ListAnswer) -> Response {
    let items: Vec<Json> = found.titles.iter().map(|(id, title)| json!({"id": id, "title": title})).collect();
    answer::ok(&json!({"items": items, "more": found.next.is_some()}))
}

/// The records that a reference may lead to, by words, as JSON: `{"items": [{"id", "title"}], "more"}`.
pub(super) async fn choose(
    State(state): State<RuntimeState>,
    Path((entity, path)): Path<(String, String)>,
    query: Query,
    form: PageForm,
) -> Result<Response, Missed> {
    let page = &form.page;
    let cx = &page.cx;
    let def = state.engine().entity(cx, &entity).map_err(missed(page))?;
    let gone = || missed(page)(Error::NotFound);
    let (_, field) = field_at(cx, def, &path).ok_or_else(gone)?;
    let target = field.targets.first().map(|target| cx.app.schema.entity(*target)).filter(|target| cx.grants.sees(target.id)).ok_or_else(gone)?;
    let request = request(cx, target, form.fields.filled("_q"));
    let found = if query.get("all").is_some() {
        state.engine().list(cx, request).await
    } else {
        let id = query.filled("id").and_then(|text| Uuid::try_parse(text).ok());
        state.engine().choices(cx, Choosing { entity: def.id, field: path, id, values: sent(cx, def, &form.fields) }, request).await
    };
    Ok(offered(&found.map_err(missed(page))?))
}
