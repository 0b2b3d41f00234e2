//! In charge of choosing people for an approval: searched on the server, or by a typed name without a script.
//! Invariant: who is offered is active, and in the reader's sight.

use axum::extract::State;
use axum::response::Response;
use engine::Error;
use engine::records::{ListAnswer, ListRequest, Shape};
use model::{Code, Message, Violation};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::control::Control;
use super::query::{BEFORE, TYPED};
use super::shell::{Missed, missed};
use crate::http::answer;
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Where people are searched.
pub(super) const URL: &str = "/approvals/people";
/// People offered at a time.
const OFFERED: u32 = 20;
/// People that one form may name.
pub(super) const MANY: usize = 6;

async fn search(state: &RuntimeState, page: &Page, words: Option<&str>) -> Result<ListAnswer, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, "core.user").map_err(missed(page))?;
    let request = ListRequest {
        limit: Some(OFFERED),
        sort: Some("name".to_owned()),
        q: words.map(str::to_owned),
        filter: Some(json!({"field": "active", "op": "!=", "value": false})),
        shape: Shape { fields: Some(Vec::new()), ..Shape::default() },
        ..ListRequest::of(def.id)
    };
    state.engine().list(cx, request).await.map_err(missed(page))
}

/// The people whom words find, as JSON: `{"items": [{"id", "title"}], "more"}`.
pub(super) async fn choose(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let ListAnswer { titles, next, .. } = search(&state, &form.page, form.fields.filled("_q")).await?;
    let items: Vec<Json> = titles.iter().map(|(id, title)| json!({"id": id, "title": title})).collect();
    Ok(answer::ok(&json!({"items": items, "more": next.is_some()})))
}

/// The person whom an input names: nobody where it is empty; the fault where it names none, or several.
pub(super) async fn person(state: &RuntimeState, page: &Page, fields: &Query, name: &str) -> Result<Result<Option<Uuid>, Violation>, Missed> {
    let typed = fields.get(&format!("{name}{TYPED}")).unwrap_or_default().trim();
    let before = fields.get(&format!("{name}{BEFORE}")).unwrap_or_default().trim();
    if typed.is_empty() || typed == before {
        return Ok(Ok(fields.filled(name).and_then(|id| Uuid::try_parse(id).ok())));
    }
    let found = search(state, page, Some(typed)).await?;
    let folded = model::text::fold(typed);
    let mut same = found.titles.iter().filter(|(_, title)| model::text::fold(title) == folded);
    Ok(match (found.titles.as_slice(), same.next(), same.next()) {
        ([(only, _)], _, _) | (_, Some((only, _)), None) => Ok(Some(*only)),
        ([], ..) => Err(Violation::of_field(name, Code::BadReference, Message::new("approval_person"))),
        _ => Err(Violation::of_field(name, Code::BadReference, Message::new("several_fit"))),
    })
}

/// The people whom the inputs of `people` name.
pub(super) async fn people(state: &RuntimeState, page: &Page, fields: &Query, name: &str) -> Result<(Vec<Uuid>, Vec<Violation>), Missed> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for index in 1..=MANY {
        match person(state, page, fields, &format!("{name}.{index}")).await? {
            Ok(person) => found.extend(person),
            Err(fault) => faults.push(fault),
        }
    }
    Ok((found, faults))
}

/// The name of a person.
pub(super) async fn name(state: &RuntimeState, page: &Page, person: Option<Uuid>) -> Result<String, Missed> {
    let Some(person) = person else { return Ok(String::new()) };
    let def = state.engine().entity(&page.cx, "core.user").map_err(missed(page))?;
    let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
    match state.engine().get(&page.cx, def.id, person, &shape).await {
        Ok(found) => Ok(found.title),
        Err(Error::NotFound) => Ok("…".to_owned()),
        Err(error) => Err(missed(page)(error)),
    }
}

/// The input of one person, with what was entered before.
pub(super) async fn control(state: &RuntimeState, page: &Page, fields: &Query, input: &str, label: String) -> Result<Control, Missed> {
    let value = fields.get(input).unwrap_or_default();
    let typed = fields.get(&format!("{input}{TYPED}")).unwrap_or_default();
    let text = match Uuid::try_parse(value) {
        Ok(id) if typed.is_empty() => name(state, page, Some(id)).await?,
        _ => typed.to_owned(),
    };
    Ok(Control { text, url: URL.to_owned(), ..Control::plain(input, label, "reference", value) })
}

/// The inputs of several people.
pub(super) async fn controls(state: &RuntimeState, page: &Page, fields: &Query, name: &str, label: &str) -> Result<Vec<Control>, Missed> {
    let mut made = Vec::new();
    for index in 1..=MANY {
        made.push(control(state, page, fields, &format!("{name}.{index}"), format!("{label} {index}")).await?);
    }
    Ok(made)
}
