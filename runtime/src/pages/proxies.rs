//! In charge of one's own stand-ins: who decides for whom, from when until when.
//! Invariant: one sets and ends them for oneself alone.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use engine::approvals::NewProxy;
use engine::{Ctx, Error};
use model::{Code, Message, Violation};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::account::{refused, saved};
use super::control::Control;
use super::course::local;
use super::inbox::{moment, text};
use super::shell::{Missed, missed};
use super::{deciders, env};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The part of the account's page.
#[derive(Debug, Serialize)]
pub(super) struct StandIns {
    lines: Vec<StandIn>,
    person: Control,
    flows: Vec<(String, String)>,
    from: String,
    until: String,
    flow: String,
    open_tasks: bool,
}

#[derive(Debug, Serialize)]
struct StandIn {
    id: String,
    what: String,
    when: String,
    /// Whether the reader set it: then they may end it.
    own: bool,
}

/// The stand-ins of whoever looks, with what was entered for a new one.
pub(super) async fn of(state: &RuntimeState, page: &Page, fields: &Query) -> Result<StandIns, Missed> {
    let cx = &page.cx;
    let found = state.engine().proxies(cx).await.map_err(missed(page))?;
    let flows = state.engine().approval_flows(cx);
    let flows: Vec<(String, String)> =
        flows["data"].as_array().into_iter().flatten().map(|one| (text(one, "flow").to_owned(), text(one, "label").to_owned())).collect();
    let me = page.verified.user.to_string();
    let told = |json: &Json| {
        let own = text(json, "user") == me;
        let who = env::text(&cx.locale, if own { "stands_in_for_me" } else { "i_stand_in" });
        let flow = flows.iter().find(|(name, _)| name == text(json, "flow")).map(|(_, label)| format!(" · {label}"));
        let at = |key: &str| moment(json, key).map(|at| local(cx, at));
        StandIn {
            id: text(json, "id").to_owned(),
            what: who.replace("{who}", text(json, if own { "by_name" } else { "user_name" })) + flow.as_deref().unwrap_or_default(),
            when: format!("{} – {}", at("from").unwrap_or_default(), at("until").unwrap_or_default()),
            own,
        }
    };
    let value = |name: &str| fields.get(name).unwrap_or_default().to_owned();
    Ok(StandIns {
        lines: found["data"].as_array().into_iter().flatten().map(told).collect(),
        person: Control { required: true, ..deciders::control(state, page, fields, "proxy", env::text(&cx.locale, "stand_in")).await? },
        from: value("from"),
        until: value("until"),
        flow: value("flow"),
        open_tasks: fields.get("open_tasks").is_some(),
        flows,
    })
}

/// The beginning of a day, where one was entered.
fn day(cx: &Ctx, fields: &Query, name: &str, later: u64) -> Result<Option<DateTime<Utc>>, Violation> {
    let Some(text) = fields.filled(name) else { return Ok(None) };
    let wrong = || Violation::of_field(name, Code::WrongType, Message::new("wrong_type").with("expected", "2026-11-23"));
    let day: NaiveDate = text.parse().map_err(|_| wrong())?;
    let day = day.checked_add_days(Days::new(later)).ok_or_else(wrong)?;
    Ok(cx.zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest().map(|at| at.with_timezone(&Utc)))
}

/// Sets a stand-in; the last day counts whole.
pub(super) async fn set(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let mut faults = Vec::new();
    let person = match deciders::person(&state, page, &form.fields, "proxy").await? {
        Ok(Some(person)) => person,
        Ok(None) => {
            faults.push(Violation::of_field("proxy", Code::Required, Message::new("required")));
            Uuid::nil()
        }
        Err(fault) => {
            faults.push(fault);
            Uuid::nil()
        }
    };
    let mut moment = |name: &str, later: u64| {
        day(&page.cx, &form.fields, name, later).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        })
    };
    let (from, until) = (moment("from", 0), moment("until", 1));
    let proxy = NewProxy {
        principal: None,
        proxy: person,
        from,
        until,
        flow: form.fields.filled("flow").map(str::to_owned),
        open_tasks: form.fields.get("open_tasks").is_some(),
    };
    let done = if faults.is_empty() { state.engine().set_proxy(&page.cx, proxy).await } else { Err(Error::Invalid(faults)) };
    match done {
        Ok(_) => Ok(saved()),
        Err(error) => refused(&state, page, "stand_ins", &error, &form.fields).await,
    }
}

/// Ends a stand-in.
pub(super) async fn end(State(state): State<RuntimeState>, Path(id): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    state.engine().end_proxy(&form.page.cx, id).await.map_err(missed(&form.page))?;
    Ok(Redirect::to("/me?done=saved").into_response())
}
