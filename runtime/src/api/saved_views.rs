//! In charge of views that one person keeps: a filter, an order, columns, under a name of their own.
//! Invariant: nobody sees or changes another's.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, patch};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::{Code, Input, Message, Value, Violation};
use serde_json::{Value as Json, json};
use store::system::Cond;
use store::system::personal::SAVED_VIEW;
use uuid::Uuid;

use super::auth::{MADE, texts};
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The most views of one person.
const MOST: usize = 500;
/// The most bytes of one.
const MAX_BODY: usize = 64 << 10;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/saved-views", get(views).post(save)).route("/saved-views/{id}", patch(change).delete(remove))
}

async fn views(State(state): State<RuntimeState>, caller: Caller, query: Query) -> Result<Response, Problem> {
    query.only(&["entity"])?;
    let data = views_of(&state, caller.verified.user, query.filled("entity")).await?;
    Ok(answer::ok(&json!({"data": data})))
}

/// The views of a person, all or those over one entity.
pub(crate) async fn views_of(state: &RuntimeState, user: Uuid, entity: Option<&str>) -> Result<Vec<Json>, Error> {
    let entity = entity.map(str::to_owned);
    let rows = state
        .engine()
        .store()
        .read::<_, Error, _>(move |tx| {
            let mut fit = vec![Cond::Eq("user", user.into())];
            if let Some(entity) = &entity {
                fit.push(Cond::Eq("entity", Value::text(entity)));
            }
            Ok(tx.find(&SAVED_VIEW, &fit, &[("label", false)], 1_000)?)
        })
        .await?;
    Ok(rows.iter().filter_map(|row| view_json(row)).collect())
}

fn view_json(row: &[Value]) -> Option<Json> {
    let [id, _, entity, label, body, _] = row else { return None };
    let body = match body {
        Value::Json(body) => Json::clone(body),
        _ => Json::Null,
    };
    Some(json!({"id": id.as_uuid()?, "entity": entity.as_text()?, "label": label.as_text()?, "body": body}))
}

fn body_of(body: &IndexMap<String, Input>) -> Result<Json, Problem> {
    let json = body.get("body").map_or_else(|| json!({}), Input::to_json);
    if !json.is_object() {
        return Err(Problem::faults(vec![Violation::of_field("body", Code::WrongType, Message::new("wrong_type").with("expected", "{…}"))]));
    }
    if json.to_string().len() > MAX_BODY {
        return Err(Problem::of(Code::TooLarge, Message::new("too_large").with("max", MAX_BODY)));
    }
    Ok(json)
}

/// `{"entity", "label", "body"}`.
async fn save(State(state): State<RuntimeState>, caller: Caller, sent: JsonBody) -> Result<Response, Problem> {
    let sent = sent.into_map()?;
    let [entity, label] = texts(&sent, ["entity", "label"])?;
    let entity = state.engine().entity(&caller.cx, &entity)?.name.to_string();
    let body = body_of(&sent)?;
    let told = keep(&state, &caller.cx, caller.verified.user, entity, label, body).await?;
    Ok(answer::json(MADE, &told))
}

/// Keeps a view of a person; what is told of it.
pub(crate) async fn keep(state: &RuntimeState, cx: &Ctx, user: Uuid, entity: String, label: String, body: Json) -> Result<Json, Error> {
    if views_of(state, user, None).await?.len() >= MOST {
        return Err(Error::of(Code::Limit, Message::new("too_many").with("max", MOST)));
    }
    let row = vec![cx.new_id().into(), user.into(), Value::text(&entity), Value::text(&label), Value::Json(Arc::new(body)), Value::Timestamp(cx.now)];
    let told = view_json(&row).unwrap_or_default();
    state.engine().store().write::<_, Error, _>(move |tx| Ok(tx.put(&SAVED_VIEW, std::slice::from_ref(&row))?)).await?;
    Ok(told)
}

async fn change(State(state): State<RuntimeState>, caller: Caller, At(view): At<String>, sent: JsonBody) -> Result<Response, Problem> {
    let (view, sent, user) = (id(&view)?, sent.into_map()?, caller.verified.user);
    let label = match sent.get("label") {
        Some(_) => Some(texts(&sent, ["label"])?).map(|[label]| label),
        None => None,
    };
    let body = if sent.contains_key("body") { Some(Arc::new(body_of(&sent)?)) } else { None };
    let row = state
        .engine()
        .store()
        .write::<_, Error, _>(move |tx| {
            let fit = [Cond::Eq("id", view.into()), Cond::Eq("user", user.into())];
            let mut set = Vec::new();
            set.extend(label.as_ref().map(|label| ("label", Value::text(label))));
            set.extend(body.as_ref().map(|body| ("body", Value::Json(Arc::clone(body)))));
            if !set.is_empty() {
                tx.change(&SAVED_VIEW, &set, &fit)?;
            }
            tx.find(&SAVED_VIEW, &fit, &[], 1)?.into_iter().next().ok_or(Error::NotFound)
        })
        .await?;
    Ok(answer::ok(&view_json(&row).unwrap_or_default()))
}

async fn remove(State(state): State<RuntimeState>, caller: Caller, At(view): At<String>) -> Result<Response, Problem> {
    drop_view(&state, caller.verified.user, id(&view)?).await?;
    Ok(answer::empty())
}

/// Drops a view of a person.
pub(crate) async fn drop_view(state: &RuntimeState, user: Uuid, view: Uuid) -> Result<(), Error> {
    let fit = move |tx: &store::Tx| Ok(tx.remove(&SAVED_VIEW, &[Cond::Eq("id", view.into()), Cond::Eq("user", user.into())])?);
    let done = state.engine().store().write::<_, Error, _>(fit).await?;
    if done == 0 { Err(Error::NotFound) } else { Ok(()) }
}
