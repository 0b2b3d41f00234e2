//! In charge of the approvals of a record on its page, and of submitting it: who will decide, whom to choose, then for real.
//! Invariant: a flow is offered to those alone who may begin it now.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::Error;
use engine::approvals::{Begin, ForecastAsked, Foresight};
use engine::records::Shape;
use model::EntityDef;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::approval::{Choice, choices};
use super::course::local;
use super::inbox::{color_of, moment, state_text, text};
use super::shell::{Missed, Shell, missed, shell, told};
use super::{acts, env};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The approvals of a record.
#[derive(Debug, Default, Serialize)]
pub(super) struct Approvals {
    lines: Vec<Approved>,
    /// The flows that the reader may begin now: their address and what they are called.
    submit: Vec<(String, String)>,
    /// What locks the record: its address and what it is called.
    lock: Option<(String, String)>,
}

impl Approvals {
    /// Whether one of them locks the record.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

#[derive(Debug, Serialize)]
struct Approved {
    href: String,
    label: String,
    number: String,
    state: String,
    color: &'static str,
    at: Vec<String>,
    when: String,
    /// Whether the reader has a task there.
    mine: bool,
    /// Where it is sent again after a return.
    again: Option<String>,
}

#[derive(Serialize)]
struct SubmitPage {
    shell: Shell,
    above: String,
    above_href: String,
    action: String,
    flow: String,
    request: String,
    steps: Vec<Step>,
    choose: Vec<Choice>,
    uncertain: Option<String>,
    opinion: String,
    again: bool,
    error: Option<String>,
}

#[derive(Serialize)]
struct Step {
    label: String,
    who: String,
    automatic: bool,
}

fn label_of(state: &RuntimeState, page: &Page, flow: &str) -> String {
    let flows = state.engine().approval_flows(&page.cx);
    let found = flows["data"].as_array().into_iter().flatten().find(|one| text(one, "flow") == flow);
    found.map_or(flow, |one| text(one, "label")).to_owned()
}

/// The approvals of a record, newest first.
pub(super) async fn approvals(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Approvals, Missed> {
    let cx = &page.cx;
    if def.find("approval_state").is_none() {
        return Ok(Approvals::default());
    }
    let found = state.engine().approvals_of(cx, def.id, id).await.map_err(missed(page))?;
    let here = |flow: &str| format!("/r/{}/{id}/submit/{flow}", def.name);
    let told = |json: &Json| {
        let word = text(json, "state");
        let at = json["at"].as_array().into_iter().flatten().map(|step| {
            let people: Vec<&str> = step["people"].as_array().into_iter().flatten().map(|person| text(person, "name")).collect();
            format!("{} · {}", text(step, "label"), people.join(", "))
        });
        let when = moment(json, "ended_at").or_else(|| moment(json, "submitted_at"));
        Approved {
            href: format!("/approvals/{}", json["task"].as_str().unwrap_or_else(|| text(json, "id"))),
            label: text(json, "flow_label").to_owned(),
            number: text(json, "number").to_owned(),
            state: state_text(&cx.locale, word),
            color: color_of(word),
            at: at.collect(),
            when: when.map(|at| local(cx, at)).unwrap_or_default(),
            mine: json["task"].is_string() && word == "running",
            again: (word == "returned" && json["initiator"].is_string()).then(|| here(text(json, "flow"))),
        }
    };
    let lines = found["data"].as_array().map_or(&[][..], Vec::as_slice);
    let lock = lines.iter().find(|line| line["locked"] == true);
    Ok(Approvals {
        lock: lock.map(|line| (format!("/approvals/{}", text(line, "id")), text(line, "flow_label").to_owned())),
        lines: lines.iter().map(told).collect(),
        submit: found["submit"].as_array().into_iter().flatten().map(|flow| (here(text(flow, "flow")), text(flow, "label").to_owned())).collect(),
    })
}

/// What is submitted: the record, its flow, the forecast.
async fn foresee(state: &RuntimeState, page: &Page, entity: &str, id: Uuid, flow: &str) -> Result<(String, bool, Foresight), Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, entity).map_err(missed(page))?;
    let found = state.engine().get(cx, def.id, id, &Shape { fields: Some(Vec::new()), ..Shape::default() }).await.map_err(missed(page))?;
    let asked = ForecastAsked { flow: flow.to_owned(), record: Some(id), values: indexmap::IndexMap::new() };
    let foresight = state.engine().foresee(cx, asked).await.map_err(missed(page))?;
    let there = state.engine().approvals_of(cx, def.id, id).await.map_err(missed(page))?;
    let again = there["data"].as_array().into_iter().flatten().any(|line| line["flow"] == flow && line["state"] == "returned");
    Ok((found.title, again, foresight))
}

/// Shows what would follow a submission.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    page: Page,
    Path((entity, id, flow)): Path<(String, Uuid, String)>,
) -> Result<Response, Missed> {
    render(&state, &page, (&entity, id, &flow), &Query::default(), None).await
}

async fn render(
    state: &RuntimeState,
    page: &Page,
    (entity, id, flow): (&str, Uuid, &str),
    fields: &Query,
    failed: Option<&Error>,
) -> Result<Response, Missed> {
    let locale = &page.cx.locale;
    let (title, again, foresight) = foresee(state, page, entity, id, flow).await?;
    let label = label_of(state, page, flow);
    let step = |step: engine::approvals::PathStep| Step { label: step.label, who: step.names.join(", "), automatic: step.automatic };
    let context = SubmitPage {
        shell: shell(page, format!("{} · {label}", env::text(locale, if again { "act_submit" } else { "submit" })), &format!("/r/{entity}")),
        above: title,
        above_href: format!("/r/{entity}/{id}"),
        action: format!("/r/{entity}/{id}/submit/{flow}"),
        flow: label,
        request: fields.filled("_request").map_or_else(|| page.cx.new_id().to_string(), str::to_owned),
        steps: foresight.steps.into_iter().map(step).collect(),
        choose: choices(state, page, &foresight.choose, fields).await?,
        uncertain: foresight.uncertain,
        opinion: fields.get("_opinion").unwrap_or_default().to_owned(),
        again,
        error: failed.map(|error| told(error, locale).1),
    };
    Ok(env::page(failed.map_or(StatusCode::OK, |error| told(error, locale).0), "submit.html", &context))
}

/// Submits.
pub(super) async fn submit(
    State(state): State<RuntimeState>,
    Path((entity, id, flow)): Path<(String, Uuid, String)>,
    form: PageForm,
) -> Result<Response, Missed> {
    let page = &form.page;
    let (select, faults) = acts::selection(&state, page, &form.fields).await?;
    let done = if faults.is_empty() {
        let begin = Begin {
            flow: flow.clone(),
            record: id,
            select,
            opinion: form.fields.filled("_opinion").map(str::to_owned),
            request: acts::once(&form.fields, "submit"),
            ..Begin::default()
        };
        state.engine().submit(&page.cx, begin).await
    } else {
        Err(Error::Invalid(faults))
    };
    match done {
        Ok(_) => Ok(Redirect::to(&format!("/r/{entity}/{id}?done=submitted")).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Forbidden)) => render(&state, page, (&entity, id, &flow), &form.fields, Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}
