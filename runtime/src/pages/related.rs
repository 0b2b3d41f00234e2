//! In charge of the records that point at a record: a few of each on its page, all of them on a page of their own.
//! Invariant: what is about a record (notes, talks, tasks, files) stands in its story and not here.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::records::{ListAnswer, ListRequest, Shape, Total};
use engine::{Ctx, Error};
use model::EntityDef;
use model::schema::InverseDef;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::cell::{Cell, cell};
use super::control::label_of;
use super::env;
use super::query::with;
use super::shell::{Missed, Shell, missed, shell};
use super::titles;
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Records of a relation on the page itself.
const FEW: u32 = 5;
/// Columns of a relation's table.
const COLUMNS: usize = 4;
/// The relations whose records stand in the story.
const STORY: [&str; 4] = ["notes", "activities", "tasks", "files"];

/// A relation with its first records.
#[derive(Debug, Serialize)]
pub(super) struct Related {
    label: String,
    href: String,
    total: u64,
    columns: Vec<Head>,
    rows: Vec<Vec<Cell>>,
    more: bool,
    /// The form of a new one that points here.
    add: Option<String>,
    /// Whether they are lines: parts of the record.
    #[serde(skip)]
    lines: bool,
}

impl Related {
    /// Where the record is locked, nothing is added to its lines.
    pub(super) fn under_lock(self, locked: bool) -> Self {
        let add = self.add.filter(|_| !(locked && self.lines));
        Self { add, ..self }
    }
}

#[derive(Debug, Serialize)]
struct Head {
    label: String,
    is_number: bool,
}

#[derive(Serialize)]
struct RelatedPage {
    shell: Shell,
    above: String,
    above_href: String,
    list: Related,
    next: Option<String>,
    first: Option<String>,
}

fn seen<'a>(page: &'a Page, inverse: &InverseDef) -> Option<&'a EntityDef> {
    let cx = &page.cx;
    let many = cx.app.schema.entity(inverse.entity);
    (cx.grants.sees(many.id) && cx.grants.field(many, many.field(inverse.by).name.as_str()).is_some()).then_some(many)
}

/// The fields that a relation's table shows.
fn columns(page: &Page, many: &EntityDef, inverse: &InverseDef) -> Vec<String> {
    many.fields
        .iter()
        .filter(|field| !field.system && field.id != inverse.by && field.typed.is_some() && field.doc.kind != "long_text")
        .filter(|field| page.cx.grants.field(many, field.name.as_str()).is_some())
        .map(|field| field.name.to_string())
        .take(COLUMNS + 1)
        .collect()
}

async fn ask(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid, name: &str, request: ListRequest) -> Result<Option<ListAnswer>, Missed> {
    match state.engine().related(&page.cx, def.id, id, name, request).await {
        Ok(list) => Ok(Some(list)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(missed(page)(error)),
    }
}

/// What a relation's table is made from.
struct Made<'a> {
    def: &'a EntityDef,
    id: Uuid,
    many: &'a EntityDef,
    inverse: &'a InverseDef,
    names: &'a [String],
    list: &'a ListAnswer,
}

async fn made(state: &RuntimeState, page: &Page, of: Made<'_>) -> Result<Related, Missed> {
    let Made { def, id, many, inverse, names, list } = of;
    let cx = &page.cx;
    let json: Vec<Json> = list.rows.iter().map(|row| serde_json::from_slice(row).unwrap_or_default()).collect();
    // What the title says on every row needs no column of its own.
    let says_title =
        |name: &String| !json.is_empty() && json.iter().zip(&list.titles).all(|(row, (_, title))| cell(cx, many, name, row).text == *title);
    let names: Vec<&String> = names.iter().filter(|name| !says_title(name)).take(COLUMNS).collect();
    let columns = names
        .iter()
        .filter_map(|name| cx.grants.field(many, name))
        .map(|field| Head { label: label_of(cx, field), is_number: super::cell::is_number(field) })
        .collect();
    let mut rows: Vec<Vec<Cell>> = json
        .iter()
        .zip(&list.titles)
        .map(|(row, (id, title))| {
            let title = if title.is_empty() { "—".to_owned() } else { title.clone() };
            let first = Cell { text: title, href: Some(format!("/r/{}/{id}", many.name)), ..Cell::default() };
            std::iter::once(first).chain(names.iter().map(|name| cell(cx, many, name, row))).collect()
        })
        .collect();
    titles::told(state, page, rows.iter_mut().flatten()).await?;
    let may_add = !matches!(cx.grants.entity(many.id).create, rules::policy::Create::No) && inverse.via == model::schema::Via::Column;
    Ok(Related {
        label: label(cx, def, many, inverse),
        href: format!("/r/{}/{id}/related/{}", def.name, inverse.name),
        total: list.total.unwrap_or_default(),
        columns,
        rows,
        more: list.next.is_some(),
        add: may_add.then(|| format!("/r/{}/new?{}={id}", many.name, many.field(inverse.by).name)),
        lines: many.line_of.is_some_and(|line| line.parent == def.id),
    })
}

/// What a relation is called: the plural, and by which field where that alone does not say it.
fn label(cx: &Ctx, def: &EntityDef, many: &EntityDef, inverse: &InverseDef) -> String {
    let plural = many.plural(&cx.locale);
    let alike = def.inverses.values().filter(|other| other.entity == inverse.entity).count();
    if many.id == def.id || alike > 1 { format!("{plural} · {}", label_of(cx, many.field(inverse.by))) } else { plural.to_owned() }
}

/// The relations of a record with their first records.
pub(super) async fn related(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<Related>, Missed> {
    let mut found = Vec::new();
    for (name, inverse) in def.inverses.iter().filter(|(name, _)| !STORY.contains(&name.as_str())) {
        let Some(many) = seen(page, inverse) else { continue };
        let names = columns(page, many, inverse);
        let request = request(many, &names, FEW, None);
        let Some(list) = ask(state, page, def, id, name.as_str(), request).await? else { continue };
        let one = made(state, page, Made { def, id, many, inverse, names: &names, list: &list }).await?;
        if !one.rows.is_empty() || one.add.is_some() {
            found.push(one);
        }
    }
    Ok(found)
}

/// The lines of a record, without those of the fields that are hidden here.
pub(super) async fn lines(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<Related>, Missed> {
    const MOST: u32 = 200;
    let mut found = Vec::new();
    for (name, inverse) in &def.inverses {
        let Some(many) = seen(page, inverse) else { continue };
        let Some(line) = many.line_of.filter(|line| line.parent == def.id) else { continue };
        let field = def.field(line.lines).name.as_str();
        if page.cx.grants.field(def, field).is_none() {
            continue;
        }
        let names = columns(page, many, inverse);
        let request = ListRequest { sort: Some("position".to_owned()), ..request(many, &names, MOST, None) };
        let Some(list) = ask(state, page, def, id, name.as_str(), request).await? else { continue };
        let one = Related { add: None, ..made(state, page, Made { def, id, many, inverse, names: &names, list: &list }).await? };
        if !one.rows.is_empty() {
            found.push(one);
        }
    }
    Ok(found)
}

fn request(many: &EntityDef, names: &[String], limit: u32, after: Option<&str>) -> ListRequest {
    ListRequest {
        limit: Some(limit),
        sort: Some("-id".to_owned()),
        after: after.map(str::to_owned),
        total: Total::Exact,
        shape: Shape { fields: Some(names.to_vec()), titles: true, ..Shape::default() },
        ..ListRequest::of(many.id)
    }
}

/// All records of one relation.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    page: Page,
    Path((entity, id, name)): Path<(String, Uuid, String)>,
    query: Query,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let gone = || missed(&page)(Error::NotFound);
    let def = state.engine().entity(cx, &entity).map_err(missed(&page))?;
    let inverse = def.inverses.get(name.as_str()).ok_or_else(gone)?;
    let many = seen(&page, inverse).ok_or_else(gone)?;
    let above = state.engine().get(cx, def.id, id, &Shape { fields: Some(Vec::new()), ..Shape::default() }).await.map_err(missed(&page))?;
    let names = columns(&page, many, inverse);
    let request = request(many, &names, 50, query.filled("after"));
    let list = ask(&state, &page, def, id, &name, request).await?.ok_or_else(gone)?;
    let path = format!("/r/{}/{id}/related/{name}", def.name);
    let context = RelatedPage {
        shell: shell(&page, label(cx, def, many, inverse), &format!("/r/{}", def.name)),
        above: above.title,
        above_href: format!("/r/{}/{id}", def.name),
        next: list.next.as_deref().map(|next| with(&path, &query, "after", Some(next))),
        first: query.filled("after").map(|_| path.clone()),
        list: made(&state, &page, Made { def, id, many, inverse, names: &names, list: &list }).await?,
    };
    Ok(env::page(StatusCode::OK, "related.html", &context))
}
