//! In charge of one record's page: facts, stages, related records, and its story.
//! Invariant: what may not be done is not offered; what is refused says why beside what was entered.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::records::{Allowed, Shape};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::field::Role;
use model::schema::ClockPart;
use model::{EntityDef, FieldDef, Input, Name};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::cell::{Cell, cell, stage_doc};
use super::control::{Control, Refused, controls, label_of, stage_options};
use super::env;
use super::happened::{Happened, story};
use super::picker::{self, Offers};
use super::pools::{self, PoolLine};
use super::related::{Related, related};
use super::shell::{Missed, Shell, missed, shell, told};
use super::submitting::{Approvals, approvals};
use super::titles;
use super::toast::{self, Undo};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Lines of a record's story that are shown at first, and so many more each time.
const LINES: u32 = 20;

#[derive(Serialize)]
struct RecordPage {
    shell: Shell,
    entity: String,
    entity_label: String,
    list: String,
    id: String,
    title: String,
    version: i64,
    facts: Vec<Fact>,
    stages: Vec<StageStep>,
    asking: Option<Asking>,
    /// What may be pressed.
    buttons: Vec<Deed>,
    /// What it may become.
    conversions: Vec<Deed>,
    origins: Vec<Origins>,
    /// Its papers: where each is, and what it is called.
    prints: Vec<(String, String)>,
    related: Vec<Related>,
    story: Vec<Happened>,
    /// Where the story goes on.
    more: Option<String>,
    uploads: Vec<Upload>,
    approvals: Approvals,
    pool: PoolLine,
    /// The form that gives the record to somebody else.
    owner: Option<Control>,
    may_update: bool,
    may_delete: bool,
    in_bin: bool,
    may_note: bool,
    may_log: bool,
    may_task: bool,
    may_attach: bool,
    activities: Vec<(String, String)>,
    locked: bool,
    /// Whether the reader follows it.
    followed: bool,
    error: Option<String>,
}

/// A field that takes a file.
#[derive(Serialize)]
struct Upload {
    name: String,
    label: String,
    is_picture: bool,
    is_taken: bool,
    many: bool,
}

#[derive(Serialize)]
pub(super) struct Fact {
    pub(super) name: String,
    /// Whether the engine keeps it of every record.
    pub(super) kept: bool,
    label: String,
    pub(super) cell: Cell,
    /// What is said behind it.
    note: Option<String>,
}

#[derive(Serialize)]
struct StageStep {
    name: String,
    label: String,
    kind: String,
    current: bool,
    allowed: bool,
    asks: bool,
}

/// Something that may be done beyond what every record offers.
#[derive(Serialize)]
struct Deed {
    name: String,
    label: String,
    /// Whether something is asked first.
    ask: bool,
}

/// What the record came of, or what it became.
#[derive(Serialize)]
struct Origins {
    label: String,
    records: Vec<(String, String)>,
}

/// The fields that a move asks for.
#[derive(Serialize)]
struct Asking {
    to: String,
    label: String,
    controls: Vec<Control>,
}

/// A deed that was refused: why, and what was entered.
pub(super) struct Failed<'a> {
    pub(super) error: &'a Error,
    pub(super) values: IndexMap<String, Input>,
    pub(super) offers: Offers,
}

impl<'a> Failed<'a> {
    /// Without anything that was entered.
    pub(super) fn of(error: &'a Error) -> Self {
        Self { error, values: IndexMap::new(), offers: Offers::default() }
    }
}

/// Shows a record.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    page: Page,
    Path((entity, id)): Path<(String, Uuid)>,
    query: Query,
) -> Result<Response, Missed> {
    render(&state, &page, &entity, id, &query, query.filled("move"), None).await
}

/// A record's page; `asked` is the stage to which it is to move.
pub(super) async fn render(
    state: &RuntimeState,
    page: &Page,
    entity: &str,
    id: Uuid,
    query: &Query,
    asked: Option<&str>,
    failed: Option<Failed<'_>>,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, entity).map_err(missed(page))?;
    let found = state.engine().get(cx, def.id, id, &Shape { titles: true, ..Shape::default() }).await.map_err(missed(page))?;
    let json: Json = serde_json::from_slice(&found.json).unwrap_or_default();
    let in_bin = !json.get("deleted_at").is_none_or(Json::is_null);
    // What is in sight through a pool alone is read, and nothing about it.
    let (allowed, by_role) = match in_bin {
        false => match state.engine().allowed(cx, def.id, id).await {
            Ok(allowed) => (allowed, true),
            Err(Error::NotFound) => (Allowed::default(), false),
            Err(error) => return Err(missed(page)(error)),
        },
        true => (Allowed::default(), true),
    };
    let error = failed.as_ref().map(|failed| told(failed.error, &cx.locale));
    let asking = match asked {
        Some(to) => asking(state, page, def, id, &allowed, to, failed).await?,
        None => None,
    };
    let lines = query.filled("lines").and_then(|lines| lines.parse().ok()).unwrap_or(LINES);
    let (story, more) = if by_role { story(state, page, def, id, lines).await? } else { (Vec::new(), false) };
    let mut shell = toast::told(shell(page, &found.title, &format!("/r/{}", def.name)), Some(def), query);
    if let Some(toast) = shell.toast.as_mut().filter(|_| query.get("done") == Some("moved")) {
        toast.undo = undo_of_move(def, id, &json, &allowed, query.filled("from"));
    }
    let about = |name: &str, inverse: &str| {
        let there = cx.app.schema.find(name).filter(|far| !matches!(cx.grants.entity(far.id).create, rules::policy::Create::No));
        !in_bin && by_role && there.is_some() && def.inverses.contains_key(inverse)
    };
    let approvals = if in_bin || !by_role { Approvals::default() } else { approvals(state, page, def, id).await? };
    let locked = approvals.is_locked();
    let mut facts = facts(page, def, &json);
    titles::told(state, page, facts.iter_mut().map(|fact| &mut fact.cell)).await?;
    let context = RecordPage {
        shell,
        entity: def.name.to_string(),
        entity_label: def.label(&cx.locale).to_owned(),
        list: def.plural(&cx.locale).to_owned(),
        id: id.to_string(),
        title: found.title,
        version: found.version,
        facts,
        stages: stages(page, def, &allowed),
        asking,
        buttons: if in_bin || !by_role { Vec::new() } else { buttons(state, page, def, id).await? },
        conversions: if in_bin || !by_role { Vec::new() } else { conversions(state, page, def, id).await? },
        origins: if in_bin || !by_role { Vec::new() } else { origins(state, page, def, id).await? },
        prints: if in_bin { Vec::new() } else { prints(state, page, def, id).await? },
        related: if by_role { related(state, page, def, id).await?.into_iter().map(|list| list.under_lock(locked)).collect() } else { Vec::new() },
        story,
        more: more.then(|| format!("/r/{}/{id}?lines={}#story", def.name, lines.saturating_add(LINES * 2))),
        pool: if in_bin { PoolLine::default() } else { pools::standing(state, page, def, id).await? },
        approvals,
        uploads: if allowed.update { uploads(cx, def) } else { Vec::new() },
        owner: if allowed.update { owner(state, page, def, id, &json).await? } else { None },
        may_update: allowed.update,
        may_delete: allowed.delete,
        in_bin,
        may_note: about("core.note", "notes"),
        may_log: about("core.activity", "activities"),
        may_task: about("core.task", "tasks"),
        may_attach: about("core.file", "files"),
        activities: cx
            .app
            .schema
            .find("core.activity")
            .and_then(|far| Some((far, cx.grants.field(far, "type")?)))
            .map(|(far, field)| super::control::options(cx, far, field, ""))
            .unwrap_or_default(),
        locked: allowed.locked,
        followed: state.engine().follows(cx, id).await.map_err(missed(page))?,
        error: error.as_ref().map(|(_, text)| text.clone()),
    };
    Ok(env::page(error.map_or(StatusCode::OK, |(status, _)| status), "record.html", &context))
}

async fn buttons(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<Deed>, Missed> {
    match state.engine().buttons(&page.cx, def.id, id).await {
        Ok(offered) => Ok(offered.into_iter().map(|one| Deed { name: one.name, label: one.label, ask: !one.ask.is_empty() }).collect()),
        // Whoever sees a record through a task of theirs alone presses nothing.
        Err(Error::NotFound) => Ok(Vec::new()),
        Err(error) => Err(missed(page)(error)),
    }
}

async fn conversions(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<Deed>, Missed> {
    match state.engine().conversions(&page.cx, def.id, id).await {
        Ok(offered) => Ok(offered.into_iter().map(|one| Deed { name: one.name, label: one.label, ask: one.ask }).collect()),
        // Whoever sees a record through a task of theirs alone converts nothing.
        Err(Error::NotFound) => Ok(Vec::new()),
        Err(error) => Err(missed(page)(error)),
    }
}

/// The papers that it offers.
async fn prints(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<(String, String)>, Missed> {
    let offered = super::print::offered(state, page, def, id).await?;
    Ok(offered.into_iter().map(|one| (format!("/r/{}/{id}/print/{}", def.name, one.name), one.label)).collect())
}

/// What the record came of, and what it became.
async fn origins(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<Origins>, Missed> {
    let both = match state.engine().origins(&page.cx, def.id, id).await {
        Ok(both) => both,
        Err(Error::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(missed(page)(error)),
    };
    let mut found = Vec::new();
    for key in ["from", "became"] {
        let rows = both[key].as_array().into_iter().flatten().filter_map(|row| {
            let address = format!("/r/{}/{}", row["entity"].as_str()?, row["id"].as_str()?);
            Some((row["title"].as_str()?.to_owned(), address))
        });
        let records: Vec<(String, String)> = rows.collect();
        if !records.is_empty() {
            found.push(Origins { label: env::text(&page.cx.locale, &format!("origin_{key}")), records });
        }
    }
    Ok(found)
}

/// The way back of a move, where the pipeline lets it go back and what it asks for is there.
fn undo_of_move(def: &EntityDef, id: Uuid, json: &Json, allowed: &Allowed, from: Option<&str>) -> Option<Undo> {
    let back = allowed.moves.iter().find(|choice| Some(choice.to.as_str()) == from && choice.allowed)?;
    if back.ask.iter().any(|name| json.get(name).is_none_or(Json::is_null)) {
        return None;
    }
    Some(Undo { action: format!("/r/{}/{id}/move", def.name), fields: vec![("to".to_owned(), back.to.clone())] })
}

/// The fields that take files.
fn uploads(cx: &Ctx, def: &EntityDef) -> Vec<Upload> {
    let grant = cx.grants.entity(def.id);
    def.fields
        .iter()
        .filter(|field| !field.doc.common.read_only && grant.may_change(field.id) && cx.grants.field(def, field.name.as_str()).is_some())
        .filter_map(|field| match field.role {
            Role::Files { many, pictures, camera, .. } => {
                Some(Upload { name: field.name.to_string(), label: label_of(cx, field), is_picture: pictures, is_taken: camera, many })
            }
            _ => None,
        })
        .collect()
}

/// The input that names the owner, where the reader may give the record away.
async fn owner(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid, json: &Json) -> Result<Option<Control>, Missed> {
    let cx = &page.cx;
    let Some(field) = cx.grants.field(def, "owner").filter(|field| cx.grants.entity(def.id).may_change(field.id)) else { return Ok(None) };
    let value = json.get("owner").and_then(Json::as_str).unwrap_or_default();
    let text = picker::title(state, page, field, value).await?;
    Ok(Some(Control { text, url: picker::url(def, "owner", Some(id)), ..Control::plain("owner", label_of(cx, field), "reference", value) }))
}

/// What is known of a record, as its reader sees it.
pub(super) fn facts(page: &Page, def: &EntityDef, json: &Json) -> Vec<Fact> {
    let cx = &page.cx;
    let hidden = ["id", "version", "deleted_at", "owner_since", "position"];
    // What the engine keeps of every record stands after what makes this one.
    let (own, kept): (Vec<&FieldDef>, Vec<&FieldDef>) =
        def.fields.iter().partition(|field| !field.system || field.name.as_str() == "owner" || field.clock.is_some());
    own.into_iter()
        .chain(kept)
        .filter(|field| !hidden.contains(&field.name.as_str()) && field.typed.is_some() && cx.grants.field(def, field.name.as_str()).is_some())
        .filter_map(|field| {
            let name = field.name.as_str();
            match &field.clock {
                None => {
                    let kept = field.system && name != "owner";
                    Some(Fact { name: name.to_owned(), kept, label: label_of(cx, field), cell: cell(cx, def, name, json), note: None })
                }
                Some((clock, ClockPart::State)) => Some(clock_fact(cx, def, field, clock, json)),
                // Told with how the clock stands.
                Some(_) => None,
            }
        })
        .filter(|fact| !fact.cell.text.is_empty())
        .collect()
}

/// A clock as one line: how it stands, and by when it is to be met.
fn clock_fact(cx: &Ctx, def: &EntityDef, state: &FieldDef, clock: &Name, json: &Json) -> Fact {
    let label = def.doc.clocks.get(clock).and_then(|doc| doc.label.as_ref());
    let due = cell(cx, def, &format!("{clock}.{}", ClockPart::DueAt.as_str()), json).text;
    Fact {
        name: state.name.to_string(),
        kept: false,
        label: label.map_or_else(|| clock.to_string(), |label| label.get(&cx.locale).to_owned()),
        cell: cell(cx, def, state.name.as_str(), json),
        note: Some(due).filter(|due| !due.is_empty()).map(|due| env::text(&cx.locale, "due_at").replace("{at}", &due)),
    }
}

fn stages(page: &Page, def: &EntityDef, allowed: &Allowed) -> Vec<StageStep> {
    let Some((field, current)) = &allowed.stage else { return Vec::new() };
    let Some(field) = def.find(field) else { return Vec::new() };
    stage_options(&page.cx, def, field.id)
        .into_iter()
        .map(|(name, label)| {
            let choice = allowed.moves.iter().find(|choice| choice.to == name);
            StageStep {
                current: name == *current,
                allowed: choice.is_some_and(|choice| choice.allowed),
                asks: choice.is_some_and(|choice| !choice.ask.is_empty()),
                kind: stage_doc(&page.cx, def, field, &name).map_or("open", |stage| stage.kind.as_str()).to_owned(),
                name,
                label,
            }
        })
        .collect()
}

async fn asking(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    id: Uuid,
    allowed: &Allowed,
    to: &str,
    failed: Option<Failed<'_>>,
) -> Result<Option<Asking>, Missed> {
    let Some(choice) = allowed.moves.iter().find(|choice| choice.to == to && choice.allowed) else { return Ok(None) };
    let mut names = choice.ask.clone();
    let mut refused = Refused::default();
    if let Some(failed) = failed {
        if let Error::Invalid(faults) = failed.error {
            refused.faults = faults;
            names.extend(faults.iter().filter_map(|fault| fault.field.clone()).filter(|field| def.find(field).is_some_and(|field| !field.system)));
        }
        names.extend(failed.values.keys().cloned());
        refused.sent = failed.values;
        refused.offers = failed.offers;
    }
    names.retain(|name| !def.stages.iter().any(|stage| def.field(*stage).name == *name.as_str()));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut controls = controls(state, page, def, Some(id), &names, &refused).await?;
    // What a move asks for is asked for, also where a form would show it only afterwards.
    for control in &mut controls {
        control.visible = true;
    }
    Ok(Some(Asking { to: to.to_owned(), label: choice.label.clone(), controls }))
}
