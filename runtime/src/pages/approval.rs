//! In charge of the page of one approval: the record as the step shows it, the decision, what else may be done, its course.
//! Invariant: what may not be done is not offered; what is refused comes back in place, with what was entered.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::approvals::BoxRequest;
use engine::records::{FieldState, FormState};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::{EntityDef, Input, Violation};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::acts::{self, ActForm, MenuItem};
use super::cell::plain;
use super::control::{Control, Refused, label_of, made};
use super::course::{Line, course, local};
use super::inbox::{color_of, moment, state_text, text};
use super::picker::Offers;
use super::record::{Fact, facts};
use super::related::{Related, lines};
use super::shell::{Missed, Shell, missed, shell, told};
use super::{deciders, env, titles, toast};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

#[derive(Serialize)]
struct ApprovalPage {
    shell: Shell,
    here: String,
    title: String,
    number: String,
    state: String,
    color: &'static str,
    /// What is special about it now: suspended, a revocation, unlocked, parked.
    marks: Vec<String>,
    initiator: String,
    submitted: String,
    record_href: String,
    entity_label: String,
    facts: Vec<Fact>,
    lines: Vec<Related>,
    files: Vec<(String, String)>,
    changed: Vec<Changed>,
    decision: Option<Decision>,
    /// The reader's other tasks here.
    others: Vec<(String, String)>,
    menu: Vec<MenuItem>,
    act: Option<ActForm>,
    comment: Option<Comment>,
    course: Vec<Line>,
    /// Where the next task is, once nothing is to be done here.
    next: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Changed {
    label: String,
    before: String,
    after: String,
}

/// The form by which a task is decided.
#[derive(Serialize)]
struct Decision {
    task: String,
    request: String,
    step: String,
    help: String,
    /// What stands on the button of a yes.
    yes: String,
    may_approve: bool,
    may_reject: bool,
    controls: Vec<Control>,
    choose: Vec<Choice>,
    signature: bool,
    signature_name: String,
    signature_error: Option<String>,
    approve: Words,
    reject: Words,
    due: String,
    overdue: bool,
}

/// The words that go with a decision.
#[derive(Serialize)]
struct Words {
    needed: bool,
    text: String,
    error: Option<String>,
    open: bool,
}

/// People who are chosen for a step that comes.
#[derive(Serialize)]
pub(super) struct Choice {
    label: String,
    controls: Vec<Control>,
}

#[derive(Serialize)]
struct Comment {
    text: String,
    people: Vec<Control>,
    error: Option<String>,
}

/// What was refused: which act, why, and what was entered.
pub(super) struct Failed<'a> {
    pub(super) act: &'a str,
    pub(super) error: &'a Error,
    pub(super) fields: &'a Query,
    pub(super) values: IndexMap<String, Input>,
    pub(super) offers: Offers,
}

impl Failed<'_> {
    pub(super) fn faults(&self) -> &[Violation] {
        match self.error {
            Error::Invalid(faults) => faults,
            _ => &[],
        }
    }

    /// What is wrong with an input.
    pub(super) fn of(&self, name: &str, locale: &str) -> Option<String> {
        self.faults().iter().find(|fault| fault.field.as_deref() == Some(name)).map(|fault| fault.wording.text(locale))
    }
}

/// Shows an approval, by its id or that of one of its tasks.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, Path(id): Path<Uuid>, query: Query) -> Result<Response, Missed> {
    render(&state, &page, id, &query, None).await
}

/// The tasks that are before the reader, the one that is meant first.
pub(super) fn own_tasks<'a>(detail: &'a Json, meant: &str) -> Vec<&'a Json> {
    let mut tasks: Vec<&Json> = detail["tasks"].as_array().into_iter().flatten().filter(|task| task["mine"] == true).collect();
    tasks.sort_by_key(|task| text(task, "id") != meant);
    tasks
}

/// An approval's page.
pub(super) async fn render(state: &RuntimeState, page: &Page, id: Uuid, query: &Query, failed: Option<Failed<'_>>) -> Result<Response, Missed> {
    let detail = state.engine().approval(&page.cx, id).await.map_err(missed(page))?;
    // The record is seen here as its step shows it, which may be more than the role does, or less.
    let within = Page { cx: state.engine().approval_sight(&page.cx, id).await.map_err(missed(page))?, ..page.clone() };
    let (outside, page) = (page, &within);
    let cx = &page.cx;
    let def = cx.app.schema.find(text(&detail, "entity")).filter(|def| cx.grants.sees(def.id));
    let meant = id.to_string();
    let own = own_tasks(&detail, &meant);
    let decided = own.iter().find(|task| task["may"]["approve"] == true || task["may"]["reject"] == true).copied();
    let decision = match (decided, def) {
        (Some(task), def) => Some(decision(state, page, def, &detail, task, query, failed.as_ref()).await?),
        (None, _) => None,
    };
    let wanted = failed.as_ref().map(|failed| failed.act).or(query.filled("act"));
    let entered = Query::default();
    let entered = failed.as_ref().map_or(&entered, |failed| failed.fields);
    let act = match wanted {
        Some(act) => acts::form(state, page, &detail, &meant, act, entered, failed.as_ref()).await?,
        None => None,
    };
    let opened: Vec<String> = decision.iter().flat_map(|decision| decision.controls.iter().map(|control| control.name.clone())).collect();
    let record = detail["values"]["id"].as_str().and_then(|id| Uuid::try_parse(id).ok());
    let (facts, lines, files) = match (def, record) {
        (Some(def), Some(record)) => {
            let files = acts::files_of(state, page, def, record).await?;
            let mut shown: Vec<Fact> =
                facts(page, def, &detail["values"]).into_iter().filter(|fact| !fact.kept && !opened.contains(&fact.name)).collect();
            titles::told(state, page, shown.iter_mut().map(|fact| &mut fact.cell)).await?;
            (shown, lines(state, page, def, record).await?, files)
        }
        _ => (Vec::new(), Vec::new(), Vec::new()),
    };
    let word = text(&detail, "state");
    let context = ApprovalPage {
        shell: toast::told(shell(outside, text(&detail, "title"), "/inbox"), None, query),
        here: format!("/approvals/{id}"),
        title: text(&detail, "title").to_owned(),
        number: text(&detail, "number").to_owned(),
        state: state_text(&cx.locale, word),
        color: color_of(word),
        marks: marks(&cx.locale, &detail),
        initiator: detail.pointer("/initiator/name").and_then(Json::as_str).unwrap_or_default().to_owned(),
        submitted: moment(&detail, "submitted_at").map(|at| local(cx, at)).unwrap_or_default(),
        record_href: record.map(|record| format!("/r/{}/{record}", text(&detail, "entity"))).unwrap_or_default(),
        entity_label: def.map(|def| def.label(&cx.locale).to_owned()).unwrap_or_default(),
        facts,
        lines,
        files,
        changed: def.map(|def| changed(page, def, &detail)).unwrap_or_default(),
        others: own
            .iter()
            .filter(|task| decided.is_some_and(|decided| decided["id"] != task["id"]))
            .map(|task| (text(task, "label").to_owned(), format!("/approvals/{}", text(task, "id"))))
            .collect(),
        menu: acts::menu(cx, &detail, &meant),
        comment: if detail["may"]["comment"] == true { Some(comment(state, page, failed.as_ref()).await?) } else { None },
        course: course(cx, &detail),
        next: if decision.is_none() && page.tasks > 0 { next(state, page).await? } else { None },
        act,
        decision,
        error: failed.as_ref().map(|failed| told(failed.error, &cx.locale).1),
    };
    let status = failed.map_or(StatusCode::OK, |failed| told(failed.error, &cx.locale).0);
    Ok(env::page(status, "approval.html", &context))
}

fn marks(locale: &str, detail: &Json) -> Vec<String> {
    let mut marks = Vec::new();
    for (key, word) in [("suspended", "is_suspended"), ("reverse", "is_revocation"), ("unlocked", "is_unlocked")] {
        if detail[key] == true {
            marks.push(env::text(locale, word));
        }
    }
    if detail["parked"].as_array().is_some_and(|parked| !parked.is_empty()) {
        marks.push(env::text(locale, "is_parked"));
    }
    marks
}

fn changed(page: &Page, def: &EntityDef, detail: &Json) -> Vec<Changed> {
    // Whoever has not decided yet wants to know what others changed since it was submitted.
    let told_of = |key: &str| detail[key].as_object().filter(|changed| !changed.is_empty());
    told_of("changed").or(told_of("since_submitted")).map(|pairs| changes(&page.cx, def, pairs)).unwrap_or_default()
}

/// What changed, before and after, as a person reads it.
pub(super) fn changes(cx: &Ctx, def: &EntityDef, pairs: &Map<String, Json>) -> Vec<Changed> {
    let told = |(name, pair): (&String, &Json)| {
        // Lines are shown as they are now, in a list of their own.
        let field = cx.grants.field(def, name).filter(|field| field.typed.is_some())?;
        let value = |json: &Json| if json.is_null() { "—".to_owned() } else { plain(cx, def, field, json) };
        Some(Changed { label: label_of(cx, field), before: value(&pair[0]), after: value(&pair[1]) })
    };
    pairs.iter().filter_map(told).collect()
}

/// The fields that a task opens, in order, with whether they must be filled.
pub(super) fn open_fields(task: &Json) -> Vec<(String, bool)> {
    let access = task["fields"].as_object().into_iter().flatten();
    access.filter(|(_, access)| *access == "write" || *access == "required").map(|(name, access)| (name.clone(), *access == "required")).collect()
}

async fn decision(
    state: &RuntimeState,
    page: &Page,
    def: Option<&EntityDef>,
    detail: &Json,
    task: &Json,
    query: &Query,
    failed: Option<&Failed<'_>>,
) -> Result<Decision, Missed> {
    let cx = &page.cx;
    let failed = failed.filter(|failed| matches!(failed.act, "approve" | "reject"));
    let open = open_fields(task);
    let mut form = FormState { values: detail["values"].as_object().cloned().unwrap_or_default(), ..FormState::default() };
    for (name, required) in &open {
        form.fields.insert(name.clone(), FieldState { visible: true, required: *required, read_only: false });
    }
    let mut refused = Refused::default();
    if let Some(failed) = failed {
        refused.faults = failed.faults();
        refused.sent.clone_from(&failed.values);
        refused.offers.clone_from(&failed.offers);
    }
    let kept = &task["kept"];
    if failed.is_none() {
        // What was kept goes on where it was left, of the fields that are still open.
        let is_open = |name: &str| open.iter().any(|(open, _)| open == name);
        let values = kept["values"].as_object().into_iter().flatten().filter(|(name, _)| is_open(name));
        refused.sent = values.map(|(name, value)| (name.clone(), Input::from(value))).collect();
    }
    let names: Vec<String> = open.into_iter().map(|(name, _)| name).collect();
    let controls = match (def, detail["values"]["id"].as_str().and_then(|id| Uuid::try_parse(id).ok())) {
        (Some(def), Some(record)) => made(state, page, def, Some(record), &names, &form, &refused).await?,
        _ => Vec::new(),
    };
    let entered = Query::default();
    let fields = failed.map_or(&entered, |failed| failed.fields);
    let rule = text(task, "opinion");
    let words = |act: &str, needed: bool| Words {
        needed,
        text: match (failed, act) {
            (None, "approve") => text(kept, "opinion").to_owned(),
            (Some(_) | None, _) => fields.get(&format!("_opinion.{act}")).unwrap_or_default().to_owned(),
        },
        error: failed.filter(|failed| failed.act == act).and_then(|failed| failed.of("opinion", &cx.locale)),
        open: failed.map_or(query.get("act") == Some(act), |failed| failed.act == act),
    };
    let due = moment(task, "due_at");
    Ok(Decision {
        task: text(task, "id").to_owned(),
        request: cx.new_id().to_string(),
        step: text(task, "label").to_owned(),
        help: text(task, "help").to_owned(),
        yes: env::text(&cx.locale, if task["kind"] == "handle" { "complete" } else { "approve" }),
        may_approve: task["may"]["approve"] == true,
        may_reject: task["may"]["reject"] == true,
        controls,
        choose: choices(state, page, &task["choose"], fields).await?,
        signature: task["signature"] == true,
        signature_name: fields.get("_signature_name").unwrap_or_default().to_owned(),
        signature_error: failed.and_then(|failed| failed.of("signature", &cx.locale)),
        approve: words("approve", rule == "always"),
        reject: words("reject", rule != "never"),
        due: due.map(|at| local(cx, at)).unwrap_or_default(),
        overdue: due.is_some_and(|due| due < cx.now),
    })
}

/// The inputs of the people who are chosen for steps: boxes to tick where few may be, else pickers.
pub(super) async fn choices(state: &RuntimeState, page: &Page, choose: &Json, fields: &Query) -> Result<Vec<Choice>, Missed> {
    let mut made = Vec::new();
    for one in choose.as_array().into_iter().flatten() {
        let step = text(one, "step");
        let label = env::text(&page.cx.locale, "who_decides");
        let controls = match one["among"].as_array() {
            Some(among) => {
                let name = format!("_select.{step}.1");
                let value = fields.get(&name).unwrap_or_default();
                let options = among.iter().map(|person| (text(person, "id").to_owned(), text(person, "name").to_owned())).collect();
                vec![Control { options, required: true, ..Control::plain(&name, label, "select", value) }]
            }
            None => deciders::controls(state, page, fields, &format!("_select.{step}"), &label).await?,
        };
        made.push(Choice { label: text(one, "label").to_owned(), controls });
    }
    Ok(made)
}

async fn comment(state: &RuntimeState, page: &Page, failed: Option<&Failed<'_>>) -> Result<Comment, Missed> {
    let failed = failed.filter(|failed| failed.act == "comment");
    let entered = Query::default();
    let fields = failed.map_or(&entered, |failed| failed.fields);
    Ok(Comment {
        text: fields.get("_text").unwrap_or_default().to_owned(),
        people: deciders::controls(state, page, fields, "_mention", &env::text(&page.cx.locale, "mention")).await?,
        error: failed.map(|failed| told(failed.error, &page.cx.locale).1),
    })
}

/// Where the reader's next task is.
async fn next(state: &RuntimeState, page: &Page) -> Result<Option<String>, Missed> {
    let request = BoxRequest { limit: 1, ..BoxRequest::default() };
    let found = state.engine().approval_box(&page.cx, request).await.map_err(missed(page))?;
    Ok(found["data"][0]["task"].as_str().map(|task| format!("/approvals/{task}")))
}
