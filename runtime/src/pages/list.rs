//! In charge of lists: a view of an app, or all records of an entity, as a table.
//! Invariant: paged by markers, ordered and filtered by the address.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::Error;
use engine::records::{ListAnswer, ListRequest, Total};
use model::EntityDef;
use model::doc::{View, ViewKind};
use model::field::Role;
use serde::Serialize;
use serde_json::{Value as Json, json};

use render::words::grouped;

use super::cell::{Cell, Column, cell, field_at, is_number};
use super::control::label_of;
use super::many::Offered;
use super::notices::NOTICE;
use super::query::with;
use super::shell::{Missed, label, menu, missed, told};
use super::viewing::{Frame, Turning, Viewing, find};
use super::{board, calendar, env, gallery, timeline, titles};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Columns of a list that names none.
const COLUMNS: usize = 7;

#[derive(Serialize)]
struct ListPage {
    #[serde(flatten)]
    frame: Frame,
    plural: String,
    columns: Vec<Column>,
    rows: Vec<Line>,
    scene: String,
    scenes: [String; 3],
    error: Option<String>,
    has_owner: bool,
    /// The pools that the person may claim from: label, address, whether it is the one that is shown.
    pools: Vec<(String, String, bool)>,
    /// The pool that is shown.
    pool: Option<String>,
    /// What may be pressed on the records that are ticked.
    buttons: Vec<(String, String)>,
    /// What may be done with many of the records.
    many: Offered,
    ticks: bool,
    /// What a deed over all that the list finds is told: its filter, words, order and columns.
    filter: Option<String>,
    words: String,
    sort: String,
    fields: String,
    /// Where one comes back to.
    here: String,
    #[serde(flatten)]
    turning: Turning,
    total: String,
}

#[derive(Serialize)]
struct Line {
    id: String,
    title: String,
    href: String,
    cells: Vec<Cell>,
}

/// The first page: the first entry of the menu that the person may open.
pub(super) async fn home(page: Page) -> Response {
    match menu(&page.cx).iter().flat_map(super::shell::Group::hrefs).next() {
        Some(href) => Redirect::to(&href).into_response(),
        None => Missed::Told(Box::new(page), Error::NotFound).into_response(),
    }
}

/// A view of an app.
pub(super) async fn view(
    State(state): State<RuntimeState>,
    page: Page,
    Path((app, name)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let (view, def) = find(cx, &app, &name).ok_or_else(|| missed(&page)(Error::NotFound))?;
    let title = label(view.label.as_ref(), &name, &cx.locale);
    let path = format!("/a/{app}/view/{name}");
    let viewing = Viewing { state: &state, page: &page, def, view: Some(view), title: &title, path: &path, query: &query };
    match view.kind {
        ViewKind::Board if view.group.is_some() => board::show(&viewing, view).await,
        ViewKind::Calendar => calendar::show(&viewing, view).await,
        ViewKind::Timeline => timeline::show(&viewing, view).await,
        ViewKind::Gallery => gallery::show(&viewing, view).await,
        ViewKind::Board | ViewKind::Table => show(&viewing).await,
    }
}

/// All records of an entity.
pub(super) async fn entity(State(state): State<RuntimeState>, page: Page, Path(name): Path<String>, query: Query) -> Result<Response, Missed> {
    let def = state.engine().entity(&page.cx, &name).map_err(missed(&page))?;
    let (title, path) = (def.plural(&page.cx.locale).to_owned(), format!("/r/{}", def.name));
    show(&Viewing { state: &state, page: &page, def, view: None, title: &title, path: &path, query: &query }).await
}

/// The columns of a list.
fn columns(page: &Page, def: &EntityDef, view: Option<&View>, path: &str, query: &Query, sort: &str) -> Vec<Column> {
    let cx = &page.cx;
    let named: Vec<String> = match view {
        Some(view) if !view.columns.is_empty() => view.order.clone().unwrap_or_else(|| view.columns.keys().cloned().collect()),
        _ => def
            .fields
            .iter()
            .filter(|field| !field.system && field.typed.is_some() && field.doc.kind != "long_text")
            .map(|field| field.name.to_string())
            .take(COLUMNS)
            .collect(),
    };
    named
        .into_iter()
        .filter_map(|name| {
            let (_, field) = field_at(cx, def, &name)?;
            let own = view.and_then(|view| view.columns.get(&name)).and_then(|column| column.label.as_ref());
            let sortable = field.typed.as_ref().is_some_and(|typed| typed.sortable())
                && rules::query::View::comparable(&*cx.grants, field_owner(cx, def, &name), field);
            let (next, sorted) = match sort {
                there if there == name => (format!("-{name}"), "ascending"),
                there if there == format!("-{name}") => (name.clone(), "descending"),
                _ => (name.clone(), "none"),
            };
            Some(Column {
                label: own.map_or_else(|| label_of(cx, field), |label| label.get(&cx.locale).to_owned()),
                is_number: is_number(field),
                sort: sortable.then(|| with(path, query, "sort", Some(&next))),
                sorted,
                path: name,
            })
        })
        .collect()
}

/// The fields that are offered as filters at the top: the view's, else those with few values.
pub(super) fn quick(view: Option<&View>, def: &EntityDef) -> Vec<String> {
    const MOST: usize = 4;
    match view {
        Some(view) => view.quick_filters.clone(),
        None => {
            let few = |field: &&model::FieldDef| matches!(field.role, Role::Choice { many: false, .. } | Role::Stage { .. });
            def.fields.iter().filter(few).take(MOST).map(|field| field.name.to_string()).collect()
        }
    }
}

fn field_owner<'a>(cx: &'a engine::Ctx, def: &'a EntityDef, path: &str) -> &'a EntityDef {
    field_at(cx, def, path).map_or(def, |(far, _)| far)
}

async fn show(viewing: &Viewing<'_>) -> Result<Response, Missed> {
    let Viewing { state, page, def, view, path, query, .. } = *viewing;
    let cx = viewing.cx();
    let sort = query.filled("sort").map(str::to_owned).or_else(|| view.map(|view| view.sort.join(","))).unwrap_or_default();
    let columns = columns(page, def, view, path, query, &sort);
    let request = ListRequest {
        sort: Some(sort.clone()).filter(|sort| !sort.is_empty()),
        limit: view.and_then(|view| view.page_size).map(u32::from).or(Some(50)),
        total: Total::Exact,
        ..viewing.request(columns.iter().map(|column| column.path.clone()).collect())
    };
    // A condition that cannot be read is told above an empty list, so that it can be mended where it stands.
    let (found, error) = match state.engine().list(cx, request).await {
        Ok(found) => (found, None),
        Err(error @ Error::Invalid(_)) => (ListAnswer::default(), Some(told(&error, &cx.locale).1)),
        Err(error) => return Err(missed(page)(error)),
    };
    let shown = query.filled("pool");
    let many = Offered::of(cx, def);
    let mut rows: Vec<Line> = found
        .rows
        .iter()
        .zip(&found.titles)
        .map(|(row, (id, title))| {
            let row: Json = serde_json::from_slice(row).unwrap_or_default();
            let href = if def.name.as_str() == NOTICE { format!("/notices/{id}") } else { format!("/r/{}/{id}", def.name) };
            let mut cells: Vec<Cell> = columns.iter().map(|column| cell(cx, def, &column.path, &row)).collect();
            // The first value leads to the record, also where it is empty.
            if let Some(first) = cells.first_mut() {
                if first.text.is_empty() {
                    first.text.clone_from(title);
                }
                first.href = Some(href.clone());
            }
            Line { id: id.to_string(), title: title.clone(), href, cells }
        })
        .collect();
    titles::told(state, page, rows.iter_mut().flat_map(|row| &mut row.cells)).await?;
    let context = ListPage {
        frame: viewing.frame(&quick(view, def)).await?,
        plural: def.plural(&cx.locale).to_owned(),
        rows,
        scene: query.get("scene").unwrap_or_default().to_owned(),
        scenes: [None, Some("mine"), Some("reports")].map(|scene| viewing.with("scene", scene)),
        error,
        has_owner: def.find("owner").is_some(),
        pools: cx
            .app
            .pools
            .of(def.id)
            .filter(|pool| pool.is_member(cx))
            .map(|pool| {
                (
                    pool.label(&cx.locale),
                    with(&format!("/r/{}", def.name), &Query::default(), "pool", Some(&pool.name)),
                    shown == Some(pool.name.as_str()),
                )
            })
            .collect(),
        pool: shown.map(str::to_owned),
        buttons: if shown.is_some() {
            Vec::new()
        } else {
            state.engine().buttons_for_many(cx, def.id).into_iter().map(|button| (button.name, button.label)).collect()
        },
        ticks: shown.is_none() && many.ticks(),
        many,
        // Without any filter all records are meant, and a filter that says so.
        filter: Some(viewing.filter().unwrap_or_else(|| json!({"all": []})).to_string()).filter(|_| shown.is_none()),
        words: query.filled("q").unwrap_or_default().to_owned(),
        sort,
        fields: columns.iter().map(|column| column.path.as_str()).collect::<Vec<_>>().join(","),
        here: viewing.with("after", query.filled("after")),
        turning: viewing.turning(&found),
        total: grouped(&found.total.unwrap_or_default().to_string()),
        columns,
    };
    let status = if context.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(env::page(status, "list.html", &context))
}
