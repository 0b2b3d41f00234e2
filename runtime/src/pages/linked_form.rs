//! In charge of public forms about a record that is there: shown and sent by who holds a link.
//! Invariant: a link that does not work is answered alike, whatever ended it; where the form asks who the visitor is, nothing is
//! shown before.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::web_forms::{FormPlan, PROOF, Posted, Sight, Trap};
use engine::{Ctx, Error};
use model::{Code, Message};

use super::env;
use super::shell::told;
use super::web_form::{
    Entered, Linked, MOST, TOKEN, Visit, asked_of, embedding, facts_of, framed, read, render, saying, thanked, title_of, too_often, trap_of,
};
use crate::http::query::Query;
use crate::http::{Problem, body};
use crate::state::RuntimeState;

/// The input by which a visitor only asks to see the form.
const OPEN: &str = "_open";

/// That the link leads nowhere any more.
fn ended(locale: &str) -> Response {
    saying(StatusCode::NOT_FOUND, locale, env::text(locale, "nothing_to_see"), env::text(locale, "form_link_ended"))
}

fn action(plan: &FormPlan, secret: &str, query: &Query) -> String {
    let locale = query.get("locale").filter(|locale| locale.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    format!("/f/{}/{secret}{}", plan.name, locale.map(|locale| format!("?locale={locale}")).unwrap_or_default())
}

/// The page that asks who the visitor is.
fn asking(cx: &Ctx, plan: &FormPlan, action: String, label: String, error: Option<String>) -> Response {
    let page = Visit {
        locale: cx.locale.clone(),
        title: title_of(plan, cx.app.schema.entity(plan.entity), &cx.locale),
        help: plan.doc.help.as_ref().map(|help| help.get(&cx.locale).to_owned()).unwrap_or_default(),
        text: None,
        action,
        token: String::new(),
        trap: trap_of(plan),
        button: env::text(&cx.locale, "form_continue"),
        inputs: Vec::new(),
        shown: Vec::new(),
        asks: Some(label),
        proof: None,
        error: error.clone(),
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    framed(plan, env::page(status, "web_form.html", &page))
}

/// The page of a link.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    Path((form, secret)): Path<(String, String)>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let locale = facts_of(&parts, &state).locale();
    let Ok((cx, plan)) = state.engine().visit_linked(&form, &locale) else { return Ok(ended(&locale)) };
    let action = action(&plan, &secret, &query);
    match state.engine().seen_by_link(&cx, &plan, &secret, None).await {
        Ok(Sight::Asks(label)) => Ok(asking(&cx, &plan, action, label, None)),
        Ok(Sight::Open(seen)) => {
            let linked = Linked { action, seen, proof: None };
            Ok(render(&state, StatusCode::OK, &cx, &plan, &query, Entered::default(), Some(linked)).await?)
        }
        Err(Error::NotFound) => Ok(ended(&locale)),
        Err(error) => Err(error.into()),
    }
}

/// Takes what the holder of a link sends.
pub(super) async fn send(
    State(state): State<RuntimeState>,
    Path((form, secret)): Path<(String, String)>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let facts = facts_of(&parts, &state);
    let locale = facts.locale();
    let Ok((cx, plan)) = state.engine().visit_linked(&form, &locale) else { return Ok(ended(&locale)) };
    if facts.foreign && embedding(&parts.headers, &plan).is_none() {
        return Err(Problem::of(Code::Forbidden, Message::new("csrf")));
    }
    if let Err(error) = state.engine().form_sent_from(&plan, facts.client.address).await {
        return too_often(&cx, &plan, error, false);
    }
    let bytes = body::read(&parts.headers, body, MOST).await?;
    let sent = Query::parse(&String::from_utf8_lossy(&bytes))?;
    if sent.filled(trap_of(&plan)).is_some() {
        return Ok(thanked(&plan, &query));
    }
    let action = action(&plan, &secret, &query);
    let proof = sent.get(PROOF).map(str::to_owned);
    let seen = match state.engine().seen_by_link(&cx, &plan, &secret, proof.as_deref()).await {
        Ok(Sight::Open(seen)) => seen,
        Ok(Sight::Asks(label)) => return Ok(asking(&cx, &plan, action, label, None)),
        Err(error @ Error::Invalid(_)) => {
            let label = match state.engine().seen_by_link(&cx, &plan, &secret, None).await {
                Ok(Sight::Asks(label)) => label,
                Ok(Sight::Open(_)) | Err(_) => String::new(),
            };
            return Ok(asking(&cx, &plan, action, label, Some(told(&error, &locale).1)));
        }
        // What was sent twice from one page was done once, also where that used the link up.
        Err(Error::NotFound) if sent.get(TOKEN).is_some_and(|token| state.engine().open_form_token(&plan.name, token).is_ok()) => {
            return finish(&state, &cx, &plan, &query, &secret, &sent, proof, None).await;
        }
        Err(Error::NotFound) => return Ok(ended(&locale)),
        Err(error) => return Err(error.into()),
    };
    let linked = Linked { action, seen, proof: proof.clone() };
    if sent.get(OPEN).is_some() {
        return Ok(render(&state, StatusCode::OK, &cx, &plan, &query, Entered::default(), Some(linked)).await?);
    }
    finish(&state, &cx, &plan, &query, &secret, &sent, proof, Some(linked)).await
}

#[expect(clippy::too_many_arguments, reason = "one sending under way, in its parts")]
async fn finish(
    state: &RuntimeState,
    cx: &Ctx,
    plan: &Arc<FormPlan>,
    query: &Query,
    secret: &str,
    sent: &Query,
    proof: Option<String>,
    linked: Option<Linked>,
) -> Result<Response, Problem> {
    let entered = read(cx, cx.app.schema.entity(plan.entity), plan, sent);
    let again = async |status: StatusCode, entered: Entered| match linked {
        Some(linked) => render(state, status, cx, plan, query, entered, Some(linked)).await.map_err(Problem::from),
        None => Ok(ended(&cx.locale)),
    };
    let token = match state.engine().open_form_token(&plan.name, sent.get(TOKEN).unwrap_or_default()) {
        Ok(token) => token,
        Err(Trap::Stale | Trap::TooFast) => {
            let error = Some(Message::new("form_again").text(&cx.locale));
            return again(StatusCode::UNPROCESSABLE_ENTITY, Entered { error, ..entered }).await;
        }
    };
    let posted = Posted { values: entered.values.clone(), query: asked_of(query), token: Some(token), locale: cx.locale.clone() };
    match state.engine().post_linked(&plan.name, secret, proof.as_deref(), posted).await {
        Ok(_) => Ok(thanked(plan, query)),
        Err(Error::Invalid(faults)) => again(StatusCode::UNPROCESSABLE_ENTITY, Entered { faults, ..entered }).await,
        Err(Error::NotFound) => Ok(ended(&cx.locale)),
        Err(error) => Err(error.into()),
    }
}
