//! In charge of what happened to a record: its changes, and the notes, talks, tasks and files about it, as one story.
//! Invariant: each line is one that the reader could have asked for alone; a value is shown as its field shows it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use engine::Ctx;
use engine::Error;
use engine::records::{ListRequest, Shape};
use model::field::Role;
use model::{EntityDef, EntityId};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::cell::cell;
use super::env;
use super::shell::{Missed, missed};
use crate::http::caller::Page;
use crate::state::RuntimeState;

/// The relations whose records are about this one, with their icons.
const ABOUT: [(&str, &str); 4] = [("notes", "note"), ("activities", "phone"), ("tasks", "checkbox"), ("files", "paperclip")];
/// The most lines of a story.
const MOST: u32 = 200;

/// A line of the story.
#[derive(Debug, Serialize)]
pub(super) struct Happened {
    at: String,
    /// For machines.
    moment: String,
    by: String,
    what: String,
    icon: &'static str,
    kind: &'static str,
    text: String,
    href: Option<String>,
    /// A task that can be ticked off: its address.
    open_task: Option<String>,
    changes: Vec<Changed>,
}

#[derive(Debug, Serialize)]
struct Changed {
    label: String,
    before: String,
    after: String,
    /// How long it was what it was before, for stages.
    stay: Option<String>,
}

/// The story of a record, newest first, and whether there is more of it.
pub(super) async fn story(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid, lines: u32) -> Result<(Vec<Happened>, bool), Missed> {
    let cx = &page.cx;
    let lines = lines.clamp(1, MOST);
    let mut found: Vec<(DateTime<Utc>, Happened)> = Vec::new();
    let (changes, mut more) = changes(state, page, def, id, lines).await?;
    let titles = titles_of(state, page, def, &changes).await?;
    for (index, line) in changes.iter().enumerate() {
        let Some(at) = moment(line, "at") else { continue };
        found.push((at, changed(cx, def, line, changes.get(index + 1..).unwrap_or_default(), &titles)));
    }
    for (inverse, icon) in ABOUT {
        let Some(relation) = def.inverses.get(inverse).filter(|relation| cx.grants.sees(relation.entity)) else { continue };
        let far = cx.app.schema.entity(relation.entity);
        let shape = Shape { titles: true, ..Shape::default() };
        let request = ListRequest { sort: Some("-created_at".to_owned()), limit: Some(lines), shape, ..ListRequest::of(far.id) };
        let list = match state.engine().related(cx, def.id, id, inverse, request).await {
            Ok(list) => list,
            Err(Error::NotFound) => continue,
            Err(error) => return Err(missed(page)(error)),
        };
        more |= list.next.is_some();
        for (row, (about, title)) in list.rows.iter().zip(list.titles) {
            let row: Json = serde_json::from_slice(row).unwrap_or_default();
            let Some(at) = moment(&row, "created_at") else { continue };
            found.push((at, about_it(cx, far, inverse, icon, about, title, &row)));
        }
    }
    found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let most = usize::try_from(lines).unwrap_or(usize::MAX);
    more |= found.len() > most;
    found.truncate(most);
    Ok((found.into_iter().map(|(_, line)| line).collect(), more))
}

/// The changes of a record that tell its reader something, newest first, and whether there are more.
async fn changes(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid, lines: u32) -> Result<(Vec<Json>, bool), Missed> {
    // Most changes of a record with roll-ups are computed and tell nothing here: so many pages are looked through at most.
    const PAGES: usize = 10;
    let most = usize::try_from(lines).unwrap_or(usize::MAX);
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..PAGES {
        let mut history = state.engine().history(&page.cx, def.id, id, after.as_deref(), MOST).await.map_err(missed(page))?;
        found.extend(history["data"].as_array_mut().map(std::mem::take).unwrap_or_default());
        after = history["next"].as_str().map(str::to_owned);
        if found.len() > most || after.is_none() {
            break;
        }
    }
    Ok((found, after.is_some()))
}

fn moment(line: &Json, key: &str) -> Option<DateTime<Utc>> {
    line.get(key).and_then(Json::as_str).and_then(model::field::scalar::read_datetime)
}

fn local(cx: &Ctx, at: DateTime<Utc>) -> String {
    at.with_timezone(&cx.zone).format("%Y-%m-%d %H:%M").to_string()
}

/// The words for a change: what was done to its owner by a pool is said as such.
fn word_of(op: &str, line: &Json) -> String {
    match line.get("cause").and_then(Json::as_str) {
        Some(cause @ ("claim" | "release" | "recycle")) => format!("cause_{cause}"),
        Some(_) | None => format!("op_{op}"),
    }
}

/// One change of the record. `older` are the changes before it, newest first.
fn changed(cx: &Ctx, def: &EntityDef, line: &Json, older: &[Json], titles: &HashMap<Uuid, String>) -> Happened {
    let at = moment(line, "at").unwrap_or(cx.now);
    let op = line.get("op").and_then(Json::as_str).unwrap_or("updated");
    let changes = line.get("changes").and_then(Json::as_array);
    let value = |name: &str, json: Option<&Json>| match (json, cx.grants.field(def, name)) {
        (Some(json), Some(field)) if !json.is_null() => match field.role {
            Role::Reference(_) => id_of(json).and_then(|id| titles.get(&id)).cloned().unwrap_or_else(|| "…".to_owned()),
            _ => super::cell::plain(cx, def, field, json),
        },
        _ => "—".to_owned(),
    };
    let stay = |name: &str| {
        let is_stage = cx.grants.field(def, name).is_some_and(|field| matches!(field.role, Role::Stage { .. }));
        let before = older.iter().find(|line| sets(line, name)).filter(|_| is_stage)?;
        let days = (at - moment(before, "at")?).num_days();
        Some(env::text(&cx.locale, "after_days").replace("{days}", &days.to_string()))
    };
    Happened {
        at: local(cx, at),
        moment: at.to_rfc3339(),
        by: line.get("by_title").and_then(Json::as_str).unwrap_or_default().to_owned(),
        what: env::text(&cx.locale, &word_of(op, line)),
        icon: if op == "created" { "plus" } else { "history" },
        kind: "change",
        text: String::new(),
        href: None,
        open_task: None,
        changes: changes
            .into_iter()
            .flatten()
            .filter(|_| op != "created")
            .map(|change| {
                let name = change.get("field").and_then(Json::as_str).unwrap_or_default();
                let label = cx.grants.field(def, name).map(|field| super::control::label_of(cx, field));
                Changed {
                    label: label.unwrap_or_else(|| name.to_owned()),
                    before: value(name, change.get("before")),
                    after: value(name, change.get("after")),
                    stay: stay(name),
                }
            })
            .collect(),
    }
}

/// Whether a change set a field.
fn sets(line: &Json, name: &str) -> bool {
    line.get("changes").and_then(Json::as_array).into_iter().flatten().any(|change| change.get("field").and_then(Json::as_str) == Some(name))
}

/// A note, a talk, a task or a file about the record.
fn about_it(cx: &Ctx, far: &EntityDef, inverse: &str, icon: &'static str, id: Uuid, title: String, row: &Json) -> Happened {
    let at = moment(row, "created_at").unwrap_or(cx.now);
    let by = cell(cx, far, "created_by", row).text;
    let shown = |name: &str| cell(cx, far, name, row);
    let (what, text, href) = match inverse {
        "files" => (far.label(&cx.locale).to_owned(), shown("file").text, shown("file").href),
        "tasks" => {
            let done = row.get("done").and_then(Json::as_bool).unwrap_or(false);
            let due = shown("due").text;
            let word = env::text(&cx.locale, if done { "task_done" } else { "task_open" });
            (if due.is_empty() { word } else { format!("{word} · {}", env::text(&cx.locale, "due_at").replace("{at}", &due)) }, title, None)
        }
        "activities" => (shown("type").text, shown("text").text, None),
        _ => (far.label(&cx.locale).to_owned(), shown("text").text, None),
    };
    let open = inverse == "tasks" && row.get("done").and_then(Json::as_bool) != Some(true);
    Happened {
        at: local(cx, at),
        moment: at.to_rfc3339(),
        by,
        what,
        icon,
        kind: "about",
        text,
        href: href.or_else(|| Some(format!("/r/{}/{id}", far.name))),
        open_task: open.then(|| id.to_string()),
        changes: Vec::new(),
    }
}

fn id_of(json: &Json) -> Option<Uuid> {
    json.as_str().and_then(|text| Uuid::try_parse(text).ok())
}

/// The titles of the records that changes of references name, in one question for each entity.
async fn titles_of(state: &RuntimeState, page: &Page, def: &EntityDef, lines: &[Json]) -> Result<HashMap<Uuid, String>, Missed> {
    let cx = &page.cx;
    let mut wanted: BTreeMap<EntityId, Vec<Uuid>> = BTreeMap::new();
    for change in lines.iter().filter_map(|line| line.get("changes")?.as_array()).flatten() {
        let field = change.get("field").and_then(Json::as_str).and_then(|name| cx.grants.field(def, name));
        let Some(field) = field.filter(|field| matches!(field.role, Role::Reference(_))) else { continue };
        let Some(target) = field.targets.first().filter(|target| cx.grants.sees(**target)) else { continue };
        wanted.entry(*target).or_default().extend([change.get("before"), change.get("after")].into_iter().flatten().filter_map(id_of));
    }
    super::titles::titles(state, page, wanted).await
}
