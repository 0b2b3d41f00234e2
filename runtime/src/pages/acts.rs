//! In charge of what is done on an approval's page: decisions, handing on, adding people, going back, stepping in, comments.
//! Invariant: each act is one request of the API's; the inputs of the page's own begin with `_`, so that no field is called so.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use engine::approvals::{AdminAct, AdminResult, Ask, AskFor, Kept, Selection, SignMode, SignPlace};
use engine::records::{Idempotency, ListRequest, Shape};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::{Code, EntityDef, Message, Name, Violation};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::approval::{Failed, open_fields, own_tasks, render};
use super::control::Control;
use super::course::signed;
use super::inbox::text;
use super::picker::{self, Offers};
use super::shell::{Missed, missed};
use super::{deciders, env};
use crate::api::files::{broken, take};
use crate::http::caller::{Page, Turned};
use crate::http::form::{PageForm, PageUpload};
use crate::http::query::Query;
use crate::state::RuntimeState;

/// An entry of the menu of acts.
#[derive(Debug, Serialize)]
pub(super) struct MenuItem {
    act: &'static str,
    label: String,
    icon: &'static str,
    /// Whether it is done at once, without a form.
    at_once: bool,
    task: String,
    /// Another page that does it.
    href: String,
    /// Whether it begins a new part of the menu.
    apart: bool,
}

/// The form of an act.
#[derive(Debug, Serialize)]
pub(super) struct ActForm {
    act: String,
    label: String,
    task: String,
    request: String,
    controls: Vec<Control>,
}

/// What may be done with a task: the act, its icon, whether it is done at once.
const ON_TASK: [(&str, &str, bool); 8] = [
    ("claim", "user-check", true),
    ("opinion", "message", false),
    ("recall", "rotate", true),
    ("return", "rotate", false),
    ("transfer", "arrows-exchange", false),
    ("delegate", "help", false),
    ("add_sign", "user-plus", false),
    ("release", "arrow-left", true),
];
/// What may be done with the approval.
const ON_ALL: [(&str, &str, bool); 6] = [
    ("remove_sign", "x", false),
    ("urge", "bell", true),
    ("take_back", "rotate", false),
    ("withdraw", "arrow-left", false),
    ("revoke", "trash", false),
    ("copy", "copy", false),
];
/// What those do who manage the flow.
const MANAGING: [(&str, &str); 6] =
    [("jump", "route"), ("replace", "users"), ("end", "flag"), ("unlock", "lock"), ("suspend", "alarm"), ("resume", "player-play")];

fn is_offered(may: &Json) -> bool {
    match may {
        Json::Bool(may) => *may,
        Json::Array(items) => !items.is_empty(),
        Json::Null | Json::Number(_) | Json::String(_) | Json::Object(_) => false,
    }
}

/// The task with which an act is done: the one that is meant, else the first.
fn task_for<'a>(detail: &'a Json, meant: &str, act: &str) -> Option<&'a Json> {
    let mut tasks: Vec<&Json> = detail["tasks"].as_array().into_iter().flatten().filter(|task| is_offered(&task["may"][act])).collect();
    tasks.sort_by_key(|task| text(task, "id") != meant);
    tasks.into_iter().next()
}

/// What else the reader may do.
pub(super) fn menu(cx: &Ctx, detail: &Json, meant: &str) -> Vec<MenuItem> {
    let item = |act: &'static str, icon: &'static str, at_once: bool, task: &str| MenuItem {
        act,
        label: env::text(&cx.locale, &format!("act_{act}")),
        icon,
        at_once,
        task: task.to_owned(),
        href: String::new(),
        apart: false,
    };
    let mut menu = Vec::new();
    if detail["may"]["submit"] == true {
        let href = format!("/r/{}/{}/submit/{}", text(detail, "entity"), text(detail, "record"), text(detail, "flow"));
        menu.push(MenuItem { href, ..item("submit", "send", false, "") });
    }
    for (act, icon, at_once) in ON_TASK {
        if let Some(task) = task_for(detail, meant, act) {
            menu.push(item(act, icon, at_once, text(task, "id")));
        }
    }
    for (act, icon, at_once) in ON_ALL {
        if is_offered(&detail["may"][act]) {
            menu.push(item(act, icon, at_once, ""));
        }
    }
    let first = menu.len();
    for (act, icon) in MANAGING {
        if is_offered(&detail["may"]["admin"][act]) {
            menu.push(MenuItem { apart: menu.len() == first && first > 0, ..item(act, icon, false, "") });
        }
    }
    menu
}

fn people(json: &Json) -> Vec<(String, String)> {
    json.as_array().into_iter().flatten().map(|person| (text(person, "id").to_owned(), text(person, "name").to_owned())).collect()
}

/// The form of an act that the reader may do.
pub(super) async fn form(
    state: &RuntimeState,
    page: &Page,
    detail: &Json,
    meant: &str,
    act: &str,
    fields: &Query,
    failed: Option<&Failed<'_>>,
) -> Result<Option<ActForm>, Missed> {
    let locale = &page.cx.locale;
    let word = |key: &str| env::text(locale, key);
    let on_task = ON_TASK.iter().any(|(name, ..)| *name == act);
    let managing = MANAGING.iter().any(|(name, _)| *name == act);
    let task = if on_task { task_for(detail, meant, act) } else { None };
    let is_known = on_task || managing || ON_ALL.iter().any(|(name, ..)| *name == act);
    let may = match task {
        Some(task) => &task["may"][act],
        None if managing => &detail["may"]["admin"][act],
        None => &detail["may"][act],
    };
    if !is_known || !is_offered(may) {
        return Ok(None);
    }
    let value = |name: &str| fields.get(name).unwrap_or_default().to_owned();
    let select = |name: &str, label: &str, options: Vec<(String, String)>| {
        let value = if fields.get(name).is_some() { value(name) } else { options.first().map(|(first, _)| first.clone()).unwrap_or_default() };
        Control { options, required: true, ..Control::plain(name, word(label), "select", &value) }
    };
    let words = |keys: &[&str]| -> Vec<(String, String)> { keys.iter().map(|key| ((*key).to_owned(), word(&format!("choice_{key}")))).collect() };
    let mut controls = Vec::new();
    match act {
        "return" => {
            let targets = may.as_array().into_iter().flatten().map(|target| (text(target, "to").to_owned(), text(target, "label").to_owned()));
            controls.push(select("_to", "return_to", targets.collect()));
            if task.is_some_and(|task| task["may"]["resubmit"] == true) {
                controls.push(select("_resubmit", "afterwards", words(&["straight", "replay"])));
            }
        }
        "transfer" | "delegate" => controls.push(deciders::control(state, page, fields, "_to", word("person")).await?),
        "add_sign" => {
            let places =
                may.as_array().into_iter().flatten().filter_map(Json::as_str).map(|place| (place.to_owned(), word(&format!("choice_{place}"))));
            controls.push(select("_where", "sign_where", places.collect()));
            controls.extend(deciders::controls(state, page, fields, "_users", &word("person")).await?);
            controls.push(select("_mode", "sign_mode", words(&["all", "any", "sequential"])));
        }
        "copy" => controls.extend(deciders::controls(state, page, fields, "_users", &word("person")).await?),
        "remove_sign" => controls.push(select("_user", "person", people(may))),
        "jump" => {
            let steps = may.as_array().into_iter().flatten().map(|step| (text(step, "step").to_owned(), text(step, "label").to_owned()));
            controls.push(select("_to", "to_step", steps.collect()));
        }
        "replace" => {
            controls.push(select("_user", "instead_of", people(may)));
            controls.push(deciders::control(state, page, fields, "_by", word("new_decider")).await?);
        }
        "end" => {
            let results = may.as_array().into_iter().flatten().filter_map(Json::as_str);
            controls.push(select("_result", "as_result", results.map(|result| (result.to_owned(), word(&format!("approval_{result}")))).collect()));
        }
        _ => {}
    }
    if act != "copy" {
        let required = managing || act == "opinion" || (act == "return" && task.is_some_and(|task| text(task, "opinion") != "never"));
        controls
            .push(Control { required, ..Control::plain("_opinion", word(if managing { "reason" } else { "opinion" }), "long", &value("_opinion")) });
    }
    if let Some(failed) = failed {
        for control in &mut controls {
            let name = control.name.trim_start_matches('_').trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            let first = !control.name.contains('.') || control.name.ends_with(".1");
            control.error = failed.of(&control.name, locale).or_else(|| failed.of(name, locale).filter(|_| first));
        }
    }
    Ok(Some(ActForm {
        act: act.to_owned(),
        label: word(&format!("act_{act}")),
        task: task.map(|task| text(task, "id").to_owned()).unwrap_or_default(),
        request: page.cx.new_id().to_string(),
        controls,
    }))
}

/// What a form asks for, or what is wrong with it.
struct Asked {
    ask: Ask,
    values: IndexMap<String, model::Input>,
    offers: Offers,
    faults: Vec<Violation>,
}

fn missing(name: &str) -> Violation {
    Violation::of_field(name, Code::Required, Message::new("required"))
}

/// Reads one person who must be named.
async fn needed(state: &RuntimeState, page: &Page, fields: &Query, name: &str, faults: &mut Vec<Violation>) -> Result<Uuid, Missed> {
    match deciders::person(state, page, fields, name).await? {
        Ok(Some(person)) => return Ok(person),
        Ok(None) => faults.push(missing(name)),
        Err(fault) => faults.push(fault),
    }
    Ok(Uuid::nil())
}

/// The key by which a form that is sent twice does what it says once.
pub(super) fn once(fields: &Query, act: &str) -> Option<Idempotency> {
    let key = fields.filled("_request")?.to_owned();
    let mut hash = Sha256::new();
    for (name, value) in fields.pairs().filter(|(name, _)| *name != "_csrf") {
        hash.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    Some(Idempotency { key, route: format!("page {act}"), body_hash: hash.finalize().into() })
}

/// The people who were chosen for steps.
pub(super) async fn selection(state: &RuntimeState, page: &Page, fields: &Query) -> Result<(Selection, Vec<Violation>), Missed> {
    let (mut select, mut faults) = (Selection::new(), Vec::new());
    let steps: std::collections::BTreeSet<&str> =
        fields.pairs().filter_map(|(name, _)| name.strip_prefix("_select.")?.split_once('.').map(|(step, _)| step)).collect();
    for step in steps {
        let (people, more) = deciders::people(state, page, fields, &format!("_select.{step}")).await?;
        faults.extend(more);
        if let (Some(step), false) = (Name::parse(step), people.is_empty()) {
            select.insert(step, people);
        }
    }
    Ok((select, faults))
}

async fn asked(state: &RuntimeState, page: &Page, id: Uuid, act: &str, fields: &Query) -> Result<Asked, Missed> {
    let mut faults = Vec::new();
    let task = fields.filled("_task").and_then(|task| Uuid::try_parse(task).ok()).unwrap_or(id);
    let word = |name: &str| fields.get(name).unwrap_or_default();
    let step = || Name::parse(word("_to"));
    let what = match act {
        "approve" => AskFor::Approve,
        "reject" => AskFor::Reject,
        "return" => AskFor::Return {
            to: word("_to").to_owned(),
            straight: match word("_resubmit") {
                "straight" => Some(true),
                "replay" => Some(false),
                _ => None,
            },
        },
        "transfer" => AskFor::Transfer { to: needed(state, page, fields, "_to", &mut faults).await? },
        "delegate" => AskFor::Delegate { to: needed(state, page, fields, "_to", &mut faults).await? },
        "opinion" => AskFor::Opinion,
        "recall" => AskFor::Recall,
        "claim" => AskFor::Claim,
        "release" => AskFor::Release,
        "add_sign" => {
            let (users, more) = deciders::people(state, page, fields, "_users").await?;
            faults.extend(more);
            let place = match word("_where") {
                "before" => SignPlace::Before,
                "after" => SignPlace::After,
                _ => SignPlace::Parallel,
            };
            let mode = match word("_mode") {
                "any" => SignMode::Any,
                "sequential" => SignMode::Sequential,
                _ => SignMode::All,
            };
            AskFor::AddSign { place, users, mode }
        }
        "remove_sign" => AskFor::RemoveSign { user: needed(state, page, fields, "_user", &mut faults).await? },
        "withdraw" => AskFor::Withdraw,
        "take_back" => AskFor::TakeBack,
        "revoke" => AskFor::Revoke,
        "urge" => AskFor::Urge,
        "copy" => {
            let (people, more) = deciders::people(state, page, fields, "_users").await?;
            faults.extend(more);
            if people.is_empty() && faults.is_empty() {
                faults.push(missing("users"));
            }
            AskFor::Copy { people }
        }
        "jump" => match step() {
            Some(to) => AskFor::Admin(AdminAct::Jump { to }),
            None => return Err(missed(page)(Error::NotFound)),
        },
        "replace" => {
            let user = needed(state, page, fields, "_user", &mut faults).await?;
            AskFor::Admin(AdminAct::Replace { user, by: needed(state, page, fields, "_by", &mut faults).await? })
        }
        "end" => AskFor::Admin(AdminAct::End {
            result: match word("_result") {
                "approved" => AdminResult::Approved,
                "rejected" => AdminResult::Rejected,
                _ => AdminResult::Ended,
            },
        }),
        "unlock" => AskFor::Admin(AdminAct::Unlock),
        "suspend" => AskFor::Admin(AdminAct::Suspend),
        "resume" => AskFor::Admin(AdminAct::Resume),
        _ => return Err(missed(page)(Error::NotFound)),
    };
    let on_task = matches!(act, "approve" | "reject") || ON_TASK.iter().any(|(name, ..)| *name == act);
    let words = if matches!(act, "approve" | "reject") { format!("_opinion.{act}") } else { "_opinion".to_owned() };
    let mut ask =
        Ask { opinion: fields.filled(&words).map(str::to_owned), request: once(fields, act), ..Ask::new(if on_task { task } else { id }, what) };
    let (mut values, mut offers) = (IndexMap::new(), Offers::new());
    if matches!(act, "approve" | "reject") {
        let (select, more) = selection(state, page, fields).await?;
        faults.extend(more);
        (ask.select, ask.signature) = (select, signed(word("_signature_name"), word("_signature_strokes")));
        let detail = state.engine().approval(&page.cx, task).await.map_err(missed(page))?;
        let within = Page { cx: state.engine().approval_sight(&page.cx, task).await.map_err(missed(page))?, ..page.clone() };
        let page = &within;
        let def = page.cx.app.schema.find(text(&detail, "entity")).filter(|def| page.cx.grants.sees(def.id));
        let open: Vec<String> =
            own_tasks(&detail, &task.to_string()).first().map_or_else(Vec::new, |task| open_fields(task)).into_iter().map(|(name, _)| name).collect();
        if let Some(def) = def.filter(|_| !open.is_empty()) {
            let record = text(&detail, "record");
            let typed = picker::typed(state, page, def, Uuid::try_parse(record).ok(), fields).await?;
            (values, offers) = (typed.values, typed.offers);
            values.retain(|name, _| open.contains(name));
            faults.extend(typed.faults.into_iter().filter(|fault| fault.field.as_ref().is_some_and(|field| open.contains(field))));
            // Whoever says no need not fill anything in.
            ask.values = if act == "approve" { values.clone() } else { changed(&detail["values"], &values) };
        }
    }
    Ok(Asked { ask, values, offers, faults })
}

/// The values that are not as they were.
fn changed(now: &Json, values: &IndexMap<String, model::Input>) -> IndexMap<String, model::Input> {
    let written = |json: &Json| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let is_same = |name: &str, input: &model::Input| match (now.get(name), input) {
        (None | Some(Json::Null), model::Input::Null) => true,
        (Some(there), model::Input::Text(text)) => written(there) == *text,
        _ => false,
    };
    values.iter().filter(|(name, input)| !is_same(name, input)).map(|(name, input)| (name.clone(), input.clone())).collect()
}

/// Does something on an approval.
pub(super) async fn act(State(state): State<RuntimeState>, Path((id, act)): Path<(Uuid, String)>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let act = match act.as_str() {
        "decide" => form.fields.get("_verb").unwrap_or_default().to_owned(),
        _ => act,
    };
    if act == "save" {
        return save(&state, page, id, &form.fields).await;
    }
    let asked = asked(&state, page, id, &act, &form.fields).await?;
    let done = if asked.faults.is_empty() { state.engine().ask_approval(&page.cx, asked.ask).await } else { Err(Error::Invalid(asked.faults)) };
    match done {
        Ok(done) => Ok(Redirect::to(&format!("/approvals/{}?done={}", done.id, word_of(&act))).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Forbidden | Error::StaleVersion { .. })) => {
            let failed = Failed { act: &act, error: &error, fields: &form.fields, values: asked.values, offers: asked.offers };
            render(&state, page, id, &Query::default(), Some(failed)).await
        }
        Err(error) => Err(missed(page)(error)),
    }
}

/// Keeps what was entered for a decision, until it is made.
async fn save(state: &RuntimeState, page: &Page, id: Uuid, fields: &Query) -> Result<Response, Missed> {
    let asked = asked(state, page, id, "approve", fields).await?;
    let kept = Kept { opinion: asked.ask.opinion, values: asked.values };
    state.engine().save_task(&page.cx, asked.ask.of, kept).await.map_err(missed(page))?;
    Ok(Redirect::to(&format!("/approvals/{}?done=saved", asked.ask.of)).into_response())
}

/// What is said once an act was done.
fn word_of(act: &str) -> &'static str {
    match act {
        "approve" => "approved",
        "reject" => "rejected",
        "return" => "returned",
        "take_back" => "taken",
        "withdraw" => "withdrawn",
        "urge" => "urged",
        "delegate" | "add_sign" => "asked",
        _ if MANAGING.iter().any(|(name, _)| *name == act) => "stepped_in",
        _ => "saved",
    }
}

/// Writes a comment, with people who are named in it and files that hang on it.
pub(super) async fn comment(State(state): State<RuntimeState>, Path(id): Path<Uuid>, mut form: PageUpload) -> Result<Response, Missed> {
    let page = form.page.clone();
    let (mut pairs, mut files) = (Vec::new(), Vec::new());
    while let Some(part) = form.parts.next_field().await.map_err(|error| Turned::Down(broken(error)))? {
        let name = part.name().unwrap_or_default().to_owned();
        if part.file_name().is_some() {
            if part.file_name().is_some_and(|name| !name.is_empty()) {
                files.push(take(&state, &page.cx, part, engine::files::MAX_FILE).await.map_err(Turned::Down)?);
            }
        } else {
            pairs.push((name, part.text().await.map_err(|error| Turned::Down(broken(error)))?));
        }
    }
    let fields = Query::of(pairs);
    let (mentions, faults) = deciders::people(&state, &page, &fields, "_mention").await?;
    let done = if faults.is_empty() {
        let files = files.iter().map(|file| json!({"id": file.id})).collect();
        let ask = Ask { opinion: fields.filled("_text").map(str::to_owned), files, ..Ask::new(id, AskFor::Comment { mentions }) };
        state.engine().ask_approval(&page.cx, ask).await
    } else {
        Err(Error::Invalid(faults))
    };
    match done {
        Ok(_) => Ok(Redirect::to(&format!("/approvals/{id}?done=noted#course")).into_response()),
        Err(error @ Error::Invalid(_)) => {
            let failed = Failed { act: "comment", error: &error, fields: &fields, values: IndexMap::new(), offers: Offers::new() };
            render(&state, &page, id, &Query::default(), Some(failed)).await
        }
        Err(error) => Err(missed(&page)(error)),
    }
}

/// The files about a record that the reader may open.
pub(super) async fn files_of(state: &RuntimeState, page: &Page, def: &EntityDef, record: Uuid) -> Result<Vec<(String, String)>, Missed> {
    const FEW: u32 = 20;
    let cx = &page.cx;
    let Some(far) = def.inverses.get("files").map(|relation| relation.entity).filter(|far| cx.grants.sees(*far)) else { return Ok(Vec::new()) };
    let shape = Shape { fields: Some(vec!["file".to_owned()]), ..Shape::default() };
    let request = ListRequest { sort: Some("-id".to_owned()), limit: Some(FEW), shape, ..ListRequest::of(far) };
    let list = match state.engine().related(cx, def.id, record, "files", request).await {
        Ok(list) => list,
        // A task shows its record beyond the role's rows, not what is about it.
        Err(Error::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(missed(page)(error)),
    };
    let told = |row: &Vec<u8>| {
        let row: Json = serde_json::from_slice(row).ok()?;
        let file = &row["file"];
        Some((text(file, "name").to_owned(), format!("/api/v1/files/{}", file["id"].as_str()?)))
    };
    Ok(list.rows.iter().filter_map(told).collect())
}
