//! In charge of public pools on pages: claiming what is ticked in a pool's list, and claiming, giving back and protecting one record.
//! Invariant: each record of many is claimed for itself; what was lost to others stays unclaimed and says so.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use engine::Error;
use engine::pools::{PoolAsk, PoolDeed};
use model::EntityDef;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::env;
use super::press::TICKED;
use super::record::{Failed, render};
use super::shell::{Missed, missed};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The most records that are claimed at once.
const MOST: usize = 100;

/// How a record stands to its pool: its label, what may be done, and until when it is protected.
#[derive(Default, Serialize)]
pub(super) struct PoolLine {
    label: String,
    deeds: Vec<(&'static str, String)>,
    protected_until: Option<String>,
    /// Whether nothing is given back without a reason.
    asks_reason: bool,
}

/// How a record stands to its pool.
pub(super) async fn standing(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<PoolLine, Missed> {
    let told = state.engine().pool_standing(&page.cx, def.id, id).await.map_err(missed(page))?;
    let is = |key: &str| told.get(key).and_then(Json::as_bool).unwrap_or_default();
    let deeds = ["claim", "release", "protect", "unprotect"].into_iter().filter(|deed| is(deed));
    let until = told.get("protected_until").and_then(Json::as_str).and_then(model::field::scalar::read_datetime);
    Ok(PoolLine {
        label: told.get("label").and_then(Json::as_str).unwrap_or_default().to_owned(),
        asks_reason: is("asks_reason"),
        deeds: deeds.map(|deed| (deed, env::text(&page.cx.locale, &format!("pool_{deed}")))).collect(),
        protected_until: until.map(|at| at.with_timezone(&page.cx.zone).format("%Y-%m-%d %H:%M").to_string()),
    })
}

/// Does something with one record.
pub(super) async fn act(
    State(state): State<RuntimeState>,
    Path((entity, id, deed)): Path<(String, Uuid, String)>,
    form: PageForm,
) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let (deed, done) = match deed.as_str() {
        "claim" => (PoolDeed::Claim { to: None }, "claimed"),
        "release" => (PoolDeed::Release { reason: form.fields.filled("reason").map(str::to_owned) }, "released"),
        "protect" => (PoolDeed::Protect, "saved"),
        "unprotect" => (PoolDeed::Unprotect, "saved"),
        _ => return Err(missed(page)(Error::NotFound)),
    };
    match state.engine().pool(&page.cx, PoolAsk { entity: def.id, record: id, pool: None, deed }).await {
        Ok(written) if written.left_sight => Ok(Redirect::to(&format!("/r/{}?done={done}", def.name)).into_response()),
        Ok(_) => Ok(Redirect::to(&format!("/r/{}/{id}?done={done}", def.name)).into_response()),
        Err(error @ Error::Invalid(_)) => render(&state, page, &entity, id, &Query::default(), None, Some(Failed::of(&error))).await,
        Err(error) => Err(missed(page)(error)),
    }
}

/// Claims what is ticked in the list of a pool.
pub(super) async fn claim_many(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let pool = form.fields.filled("pool").map(str::to_owned);
    let ticked = form.fields.pairs().filter_map(|(name, _)| Uuid::try_parse(name.strip_prefix(TICKED)?).ok());
    let (mut won, mut lost) = (0, 0);
    for record in ticked.take(MOST) {
        let ask = PoolAsk { entity: def.id, record, pool: pool.clone(), deed: PoolDeed::Claim { to: None } };
        match state.engine().pool(&page.cx, ask).await {
            Ok(_) => won += 1,
            Err(Error::Invalid(_) | Error::NotFound | Error::Forbidden) => lost += 1,
            Err(error) => return Err(missed(page)(error)),
        }
    }
    let done = match (won, lost) {
        (_, 0) => "claimed",
        (0, _) => "claimed_none",
        (_, _) => "claimed_some",
    };
    let mut back = url_of(def);
    if let Some(pool) = &pool {
        back = super::query::with(&back, &Query::default(), "pool", Some(pool));
    }
    let sign = if back.contains('?') { '&' } else { '?' };
    Ok(Redirect::to(&format!("{back}{sign}done={done}")).into_response())
}

fn url_of(def: &EntityDef) -> String {
    format!("/r/{}", def.name)
}
