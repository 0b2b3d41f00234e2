//! In charge of public forms: a page without an account, usable without any script, and what is sent from it.
//! Invariant: no session counts here: a form does the same for everybody, so a page elsewhere gains nothing by sending it.
//! Invariant: what was entered comes back with each fault beside its input; what a visitor did not enter never comes back.
//! Invariant: what fell into a trap is answered like a good sending.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use engine::web_forms::{FormPlan, PROOF, Posted, Seen, Token, Trap};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::field::Role;
use model::{Code, EntityDef, Input, Message, Violation};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;

use super::control::{self, label_of};
use super::env;
use super::shell::{label, told};
use crate::http::facts::Facts;
use crate::http::query::Query;
use crate::http::{Problem, answer, around, body};
use crate::state::RuntimeState;

/// The most bytes that a visitor may send.
pub(super) const MOST: usize = 64 << 10;
/// The input with the token of this showing.
pub(super) const TOKEN: &str = "_token";
/// Names of an input that people do not see and machines fill; the first that is no field of the form is used.
const TRAPS: [&str; 3] = ["homepage", "website", "company_site"];

/// A page for visitors.
#[derive(Serialize)]
pub(super) struct Visit {
    pub(super) locale: String,
    pub(super) title: String,
    pub(super) help: String,
    /// What is read where there is nothing to fill in.
    pub(super) text: Option<String>,
    pub(super) error: Option<String>,
    pub(super) action: String,
    pub(super) token: String,
    pub(super) trap: &'static str,
    pub(super) button: String,
    pub(super) inputs: Vec<Entry>,
    /// What is shown of a record that is there: labels and texts.
    pub(super) shown: Vec<(String, String)>,
    /// What the visitor is asked first, to show who they are.
    pub(super) asks: Option<String>,
    /// What they said.
    pub(super) proof: Option<String>,
}

/// A record that is there, as the holder of a link sees it.
pub(super) struct Linked {
    /// Where the form is sent.
    pub(super) action: String,
    pub(super) seen: Seen,
    pub(super) proof: Option<String>,
}

/// An input of the form.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    name: String,
    label: String,
    help: String,
    placeholder: String,
    kind: &'static str,
    autocomplete: &'static str,
    value: String,
    options: Vec<(String, String)>,
    /// The options that are chosen, of several.
    chosen: Vec<String>,
    required: bool,
    error: Option<String>,
}

pub(super) fn facts_of(parts: &Parts, state: &RuntimeState) -> Facts {
    parts.extensions.get::<Facts>().cloned().unwrap_or_else(|| Facts::of(parts, state.settings()))
}

/// The name of the input that is a trap.
pub(super) fn trap_of(plan: &FormPlan) -> &'static str {
    TRAPS.into_iter().find(|name| !plan.lists(name)).unwrap_or("_site")
}

/// What the address carries along to where the form is sent.
fn carried(plan: &FormPlan, query: &Query) -> String {
    let kept = query.pairs().filter(|(name, _)| *name == "locale" || plan.asks(name));
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = kept.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// Lets the origins that the form names hold its page in a frame.
pub(super) fn framed(plan: &FormPlan, mut response: Response) -> Response {
    if !plan.doc.embed.is_empty()
        && let Ok(policy) = HeaderValue::from_str(&around::framed_by(&plan.doc.embed))
    {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    }
    response
}

/// A page that only says something.
pub(super) fn saying(status: StatusCode, locale: &str, title: String, text: String) -> Response {
    let page = Visit {
        locale: locale.to_owned(),
        title,
        help: String::new(),
        text: Some(text),
        error: None,
        action: String::new(),
        token: String::new(),
        trap: TRAPS[0],
        button: String::new(),
        inputs: Vec::new(),
        shown: Vec::new(),
        asks: None,
        proof: None,
    };
    env::page(status, "web_form.html", &page)
}

fn gone(locale: &str) -> Response {
    saying(StatusCode::NOT_FOUND, locale, env::text(locale, "nothing_to_see"), Message::new("not_found").text(locale))
}

pub(super) fn title_of(plan: &FormPlan, def: &EntityDef, locale: &str) -> String {
    plan.doc.label.as_ref().map_or_else(|| def.label(locale).to_owned(), |label| label.get(locale).to_owned())
}

fn thanks_of(plan: &FormPlan, locale: &str) -> String {
    plan.doc.thanks.as_ref().map_or_else(|| env::text(locale, "form_thanks"), |thanks| thanks.get(locale).to_owned())
}

/// What a form is shown with: what was entered so far, and what is wrong with it.
#[derive(Default)]
pub(super) struct Entered {
    /// The texts of inputs as they were sent.
    pub(super) texts: IndexMap<String, String>,
    /// The values that they stand for.
    pub(super) values: IndexMap<String, Input>,
    pub(super) faults: Vec<Violation>,
    pub(super) error: Option<String>,
}

/// The form, blank or as it was refused; of a record that is there where one is `linked`.
pub(super) async fn render(
    state: &RuntimeState,
    status: StatusCode,
    cx: &Ctx,
    plan: &Arc<FormPlan>,
    query: &Query,
    entered: Entered,
    linked: Option<Linked>,
) -> Result<Response, Error> {
    let def = cx.app.schema.entity(plan.entity);
    let known = entered.values.iter().filter(|(name, _)| plan.lists(name));
    let values = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    let record = linked.as_ref().map(|linked| linked.seen.record);
    let form = state.engine().form_state(cx, plan.entity, record, values, Vec::new()).await?;
    let words = |written: Option<&model::Label>, other: Option<&model::Label>| {
        written.or(other).map(|label| label.get(&cx.locale).to_owned()).unwrap_or_default()
    };
    let mut inputs = Vec::new();
    for offered in plan.offered(def) {
        let (field, name) = (offered.field, offered.field.name.as_str());
        let Some(status) = form.fields.get(name).filter(|status| status.visible && !status.read_only) else { continue };
        let Some((kind, autocomplete)) = entry_of(field) else { continue };
        let common = &field.doc.common;
        let value = match entered.texts.get(name) {
            Some(text) => text.clone(),
            None if entered.texts.is_empty() => control::entered(cx, field, form.values.get(name)),
            None => String::new(),
        };
        let is_chosen = |option: &String| entered.texts.contains_key(&format!("{name}:{option}"));
        let (kind, options) = match (kind, plan.opens(name)) {
            ("reference", true) => {
                let chosen = state.engine().form_choices(cx, plan, name, None).await?;
                ("select", chosen.into_iter().map(|choice| (choice.id.to_string(), choice.text)).collect())
            }
            ("reference", false) => continue,
            (kind, _) => (kind, control::options(cx, def, field, "")),
        };
        inputs.push(Entry {
            name: name.to_owned(),
            label: offered.input.label.as_ref().map_or_else(|| label_of(cx, field), |_| label(offered.input.label.as_ref(), name, &cx.locale)),
            help: words(offered.input.help.as_ref(), common.help.as_ref()),
            placeholder: words(offered.input.placeholder.as_ref(), common.placeholder.as_ref()),
            kind,
            autocomplete,
            value,
            chosen: options.iter().map(|(option, _)| option.clone()).filter(is_chosen).collect(),
            options,
            required: status.required || offered.input.required,
            error: entered.faults.iter().find(|fault| fault.field.as_deref() == Some(name)).map(|fault| fault.wording.text(&cx.locale)),
        });
    }
    let shown = |fault: &&Violation| fault.field.as_deref().is_some_and(|name| inputs.iter().any(|input| input.name == name));
    let mut errors: Vec<String> = entered.error.into_iter().collect();
    errors.extend(entered.faults.iter().filter(|fault| !shown(fault)).map(|fault| fault.wording.text(&cx.locale)));
    errors.dedup();
    if errors.is_empty() && !entered.faults.is_empty() {
        errors.push(env::text(&cx.locale, "form_faults"));
    }
    let (action, shown, proof) = match linked {
        Some(linked) => (linked.action, linked.seen.shown, linked.proof),
        None => (format!("/f/{}{}", plan.name, carried(plan, query)), Vec::new(), None),
    };
    let page = Visit {
        locale: cx.locale.clone(),
        title: title_of(plan, def, &cx.locale),
        help: plan.doc.help.as_ref().map(|help| help.get(&cx.locale).to_owned()).unwrap_or_default(),
        text: None,
        error: (!errors.is_empty()).then(|| errors.join(" · ")),
        action,
        token: state.engine().form_token(&plan.name)?,
        trap: trap_of(plan),
        button: plan.doc.button.as_ref().map_or_else(|| env::text(&cx.locale, "form_send"), |button| button.get(&cx.locale).to_owned()),
        inputs,
        shown,
        asks: None,
        proof,
    };
    Ok(framed(plan, env::page(status, "web_form.html", &page)))
}

/// How a field is entered by a visitor, and what a browser may fill in.
fn entry_of(field: &model::FieldDef) -> Option<(&'static str, &'static str)> {
    Some(match (&field.role, field.doc.kind.as_str()) {
        (Role::Choice { many: true, .. }, _) => ("checks", "off"),
        (_, "boolean") => ("check", "off"),
        (_, "email") => ("email", "email"),
        (_, "phone") => ("tel", "tel"),
        (_, "url") => ("url", "url"),
        _ => {
            let autocomplete = match field.name.as_str() {
                "name" => "name",
                "company" => "organization",
                "job_title" => "organization-title",
                _ => "on",
            };
            (control::kind_of(field)?, autocomplete)
        }
    })
}

/// What a page sent, read as its inputs were shown.
pub(super) fn read(cx: &Ctx, def: &EntityDef, plan: &FormPlan, sent: &Query) -> Entered {
    let mut entered = Entered::default();
    for (name, text) in sent.pairs().filter(|(name, _)| ![TOKEN, PROOF, trap_of(plan)].contains(name)) {
        entered.texts.insert(name.to_owned(), text.to_owned());
        let (bare, option) = name.split_once(':').map_or((name, None), |(bare, option)| (bare, Some(option)));
        let field = def.find(bare).filter(|_| plan.lists(bare));
        let text = text.trim();
        let input = match (field.map(|field| field.doc.kind.as_str()), option) {
            (Some("choices"), Some(option)) => {
                let mut chosen = match entered.values.shift_remove(bare) {
                    Some(Input::List(chosen)) => chosen,
                    _ => Vec::new(),
                };
                chosen.push(Input::Text(option.to_owned()));
                entered.values.insert(bare.to_owned(), Input::List(chosen));
                continue;
            }
            _ if text.is_empty() => Input::Null,
            (Some("boolean"), None) => Input::Bool(text == "true"),
            (Some("integer" | "decimal" | "money" | "percent" | "rating"), None) => Input::Text(text.replace([',', ' '], "")),
            (Some("datetime"), None) => Input::Text(control::moment(cx, text)),
            (Some(_) | None, _) => Input::Text(text.to_owned()),
        };
        entered.values.insert(name.to_owned(), input);
    }
    entered
}

pub(super) fn asked_of(query: &Query) -> IndexMap<String, String> {
    query.pairs().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// The page of a form.
pub(super) async fn show(State(state): State<RuntimeState>, Path(form): Path<String>, query: Query, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let locale = facts_of(&parts, &state).locale();
    let Ok((cx, plan)) = state.engine().visit(&form, &locale) else { return Ok(gone(&locale)) };
    Ok(render(&state, StatusCode::OK, &cx, &plan, &query, Entered::default(), None).await?)
}

/// `{"data": [{"id", "text"}]}`: the records that a visitor may choose for a field, those with `q` in their text.
pub(super) async fn choices(
    State(state): State<RuntimeState>,
    Path((form, field)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["q"])?;
    let (cx, plan) = state.engine().visit(&form, "en")?;
    let found = state.engine().form_choices(&cx, &plan, &field, query.filled("q")).await?;
    let data: Vec<_> = found.iter().map(|choice| json!({"id": choice.id, "text": choice.text})).collect();
    Ok(allowed_from(embedding(&headers, &plan).as_deref(), answer::ok(&json!({"data": data}))))
}

/// What a visitor reads at the end.
pub(super) async fn thanks(State(state): State<RuntimeState>, Path(form): Path<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let locale = facts_of(&parts, &state).locale();
    let found = state.engine().visit(&form, &locale).or_else(|_| state.engine().visit_linked(&form, &locale));
    let Ok((cx, plan)) = found else { return gone(&locale) };
    let title = title_of(&plan, cx.app.schema.entity(plan.entity), &locale);
    framed(&plan, saying(StatusCode::OK, &locale, title, thanks_of(&plan, &locale)))
}

/// The origin of another page that sends, where the form lets it.
pub(super) fn embedding(headers: &HeaderMap, plan: &FormPlan) -> Option<String> {
    headers.get(header::ORIGIN)?.to_str().ok().filter(|origin| plan.embeds(origin)).map(str::to_owned)
}

fn allowed_from(origin: Option<&str>, mut response: Response) -> Response {
    if let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        response.headers_mut().insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    }
    response
}

/// Whether a script on another page may send the form: only where the form names its origin.
pub(super) async fn preflight(State(state): State<RuntimeState>, Path(form): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let (_, plan) = state.engine().visit(&form, "en")?;
    let origin = embedding(&headers, &plan).ok_or(Error::Forbidden)?;
    let allowed = [(header::ACCESS_CONTROL_ALLOW_METHODS, "POST"), (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type")];
    Ok(allowed_from(Some(&origin), (StatusCode::NO_CONTENT, allowed).into_response()))
}

/// Takes what a visitor sends: from the page, or as JSON from a program or a page of a named origin.
pub(super) async fn send(State(state): State<RuntimeState>, Path(form): Path<String>, query: Query, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let facts = facts_of(&parts, &state);
    let locale = facts.locale();
    let is_json =
        parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.starts_with("application/json"));
    let (cx, plan) = match state.engine().visit(&form, &locale) {
        Ok(found) => found,
        Err(error) if is_json => return Err(error.into()),
        Err(_) => return Ok(gone(&locale)),
    };
    let origin = embedding(&parts.headers, &plan);
    if facts.foreign && origin.is_none() {
        return Err(Problem::of(Code::Forbidden, Message::new("csrf")));
    }
    if let Err(error) = state.engine().form_sent_from(&plan, facts.client.address).await {
        return too_often(&cx, &plan, error, is_json);
    }
    let sending = Sending { state: &state, cx: &cx, plan: &plan, query: &query, at_once: origin.is_some() };
    let done = if is_json { sending.json(&parts.headers, body).await } else { sending.page(&parts.headers, body).await };
    done.map(|response| allowed_from(origin.as_deref(), response))
}

pub(super) fn too_often(cx: &Ctx, plan: &FormPlan, error: Error, is_json: bool) -> Result<Response, Problem> {
    let Error::RateLimited { retry_after } = error else { return Err(error.into()) };
    if is_json {
        return Err(error.into());
    }
    let title = title_of(plan, cx.app.schema.entity(plan.entity), &cx.locale);
    let page = saying(StatusCode::TOO_MANY_REQUESTS, &cx.locale, title, Message::new("rate_limited").text(&cx.locale));
    Ok(([(header::RETRY_AFTER, retry_after.to_string())], framed(plan, page)).into_response())
}

/// One sending under way.
struct Sending<'a> {
    state: &'a RuntimeState,
    cx: &'a Ctx,
    plan: &'a Arc<FormPlan>,
    query: &'a Query,
    /// Whether it may come without having been shown by us: from a page that the form names.
    at_once: bool,
}

impl Sending<'_> {
    fn posted(&self, values: IndexMap<String, Input>, token: Option<Token>) -> Posted {
        Posted { values, query: asked_of(self.query), token, locale: self.cx.locale.clone() }
    }

    async fn json(&self, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
        let bytes = body::read(headers, body, MOST).await?;
        let Input::Map(mut values) = body::parse(&bytes)? else {
            return Err(Problem::faults(vec![Violation::at("", Code::Malformed, Message::new("wrong_type").with("expected", "{…}"))]));
        };
        let thanks = || answer::ok(&json!({"thanks": thanks_of(self.plan, &self.cx.locale)}));
        if values.shift_remove(trap_of(self.plan)).is_some_and(|trap| trap.as_text().is_none_or(|text| !text.is_empty()) && trap != Input::Null) {
            return Ok(thanks());
        }
        let token = match values.shift_remove(TOKEN) {
            None | Some(Input::Null) => None,
            Some(token) => match self.state.engine().open_form_token(&self.plan.name, token.as_text().unwrap_or_default()) {
                Ok(token) => Some(token),
                Err(_) => return Err(Problem::of(Code::RuleFailed, Message::new("form_again"))),
            },
        };
        self.state.engine().post_form(&self.plan.name, self.posted(values, token)).await?;
        Ok(thanks())
    }

    async fn page(&self, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
        let bytes = body::read(headers, body, MOST).await?;
        let sent = Query::parse(&String::from_utf8_lossy(&bytes))?;
        if sent.filled(trap_of(self.plan)).is_some() {
            return Ok(self.thanked());
        }
        let entered = read(self.cx, self.cx.app.schema.entity(self.plan.entity), self.plan, &sent);
        let token = match (sent.get(TOKEN), self.at_once) {
            (None, true) => None,
            (token, _) => match self.state.engine().open_form_token(&self.plan.name, token.unwrap_or_default()) {
                Ok(token) => Some(token),
                Err(Trap::Stale | Trap::TooFast) => {
                    let again = Message::new("form_again").text(&self.cx.locale);
                    return self.again(StatusCode::UNPROCESSABLE_ENTITY, Entered { error: Some(again), ..entered }).await;
                }
            },
        };
        match self.state.engine().post_form(&self.plan.name, self.posted(entered.values.clone(), token)).await {
            Ok(_) => Ok(self.thanked()),
            Err(Error::Invalid(faults)) => {
                let status = told(&Error::Invalid(Vec::new()), &self.cx.locale).0;
                self.again(status, Entered { faults, ..entered }).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn again(&self, status: StatusCode, entered: Entered) -> Result<Response, Problem> {
        Ok(render(self.state, status, self.cx, self.plan, self.query, entered, None).await?)
    }

    fn thanked(&self) -> Response {
        thanked(self.plan, self.query)
    }
}

/// To what a visitor reads at the end.
pub(super) fn thanked(plan: &FormPlan, query: &Query) -> Response {
    let locale = query.get("locale").map(|locale| format!("?locale={}", utf8_percent_encode(locale, NON_ALPHANUMERIC)));
    Redirect::to(&format!("/f/{}/thanks{}", plan.name, locale.unwrap_or_default())).into_response()
}
