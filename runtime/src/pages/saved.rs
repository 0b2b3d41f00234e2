//! In charge of the views that a person keeps for themselves, as links above a list.
//! Invariant: a kept view is an address of one list and nothing more; it opens whatever its owner may see now.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use engine::Error;
use model::EntityDef;
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::query::{address, kept};
use super::shell::{Missed, missed};
use super::sign::safe;
use crate::api::saved_views;
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The longest name of a view, in bytes.
const LONGEST: usize = 200;

/// The views that a person kept of one list.
#[derive(Debug, Serialize)]
pub(super) struct SavedViews {
    entity: String,
    views: Vec<SavedView>,
    /// The list as it is now, to be kept; none where nothing of it is the person's own.
    address: Option<String>,
    back: String,
}

#[derive(Debug, Serialize)]
struct SavedView {
    id: String,
    label: String,
    href: String,
    current: bool,
}

/// The views of the list at `path`.
pub(super) async fn of_list(state: &RuntimeState, page: &Page, def: &EntityDef, path: &str, query: &Query) -> Result<SavedViews, Missed> {
    let rows = saved_views::views_of(state, page.verified.user, Some(def.name.as_str())).await.map_err(missed(page))?;
    let here = address(path, kept(query));
    let views: Vec<SavedView> = rows
        .iter()
        .filter_map(|row| {
            let text = |value: &Json| value.as_str().map(str::to_owned);
            let href = text(row.get("body")?.get("address")?)?;
            let of_this = href.split('?').next() == Some(path);
            of_this.then_some(SavedView { id: text(row.get("id")?)?, label: text(row.get("label")?)?, current: href == here, href })
        })
        .collect();
    let address = (here != path && !views.iter().any(|view| view.current)).then(|| here.clone());
    Ok(SavedViews { entity: def.name.to_string(), views, address, back: here })
}

/// Keeps a list as it is.
pub(super) async fn keep(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, form.fields.get("entity").unwrap_or_default()).map_err(missed(page))?;
    let address = safe(form.fields.get("address").unwrap_or("/")).to_owned();
    let label = form.fields.get("label").unwrap_or_default().trim().to_owned();
    if label.is_empty() || label.len() > LONGEST {
        let fault = model::Violation::of_field("label", model::Code::Required, model::Message::new("required"));
        return Err(missed(page)(Error::from(fault)));
    }
    let body = json!({"address": address});
    saved_views::keep(&state, &page.cx, page.verified.user, def.name.to_string(), label, body).await.map_err(missed(page))?;
    Ok(Redirect::to(&address).into_response())
}

/// Forgets a view.
pub(super) async fn forget(State(state): State<RuntimeState>, Path(id): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    saved_views::drop_view(&state, form.page.verified.user, id).await.map_err(missed(&form.page))?;
    Ok(Redirect::to(safe(form.fields.get("back").unwrap_or("/"))).into_response())
}
