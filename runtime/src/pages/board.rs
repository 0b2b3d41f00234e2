//! In charge of boards: cards in a column per stage or option; a drag is a move with all its checks.
//! Invariant: each column is a list of its own, so that a long one delays no other.

use axum::http::StatusCode;
use axum::response::Response;
use engine::Error;
use engine::records::{ListRequest, Shape};
use model::EntityDef;
use model::doc::View;
use model::field::Role;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::cell::{Cell, cell, text_of};
use super::control::stage_options;
use super::env;
use super::filters::{FilterBar, bar, filter};
use super::query::with;
use super::saved::{self, SavedViews};
use super::shell::{Missed, Shell, label, missed, shell};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Cards of a column.
const CARDS: u32 = 30;

#[derive(Serialize)]
struct BoardPage {
    shell: Shell,
    entity: String,
    path: String,
    group: String,
    is_stage: bool,
    columns: Vec<BoardColumn>,
    bar: FilterBar,
    saved: SavedViews,
    may_create: bool,
}

#[derive(Serialize)]
struct BoardColumn {
    name: String,
    label: String,
    count: u64,
    total: Option<String>,
    cards: Vec<Card>,
    /// The whole column as a list.
    more: Option<String>,
}

#[derive(Serialize)]
struct Card {
    id: String,
    version: i64,
    href: String,
    title: String,
    lines: Vec<Cell>,
}

/// Shows a board.
pub(super) async fn show(
    state: &RuntimeState,
    page: &Page,
    def: &EntityDef,
    view: &View,
    title: &str,
    path: &str,
    query: &Query,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let group = view.group.clone().unwrap_or_default();
    let field = cx.grants.field(def, &group).ok_or_else(|| missed(page)(Error::NotFound))?;
    let names: Vec<(String, String)> = match &field.role {
        Role::Stage { .. } => stage_options(cx, def, field.id),
        Role::Choice { options, .. } => {
            options.iter().map(|(name, option)| (name.to_string(), label(option.label.as_ref(), name.as_str(), &cx.locale))).collect()
        }
        _ => return Err(missed(page)(Error::NotFound)),
    };
    let view_filter = view.filter.as_ref().and_then(|filter| serde_json::to_value(filter).ok());
    let base = filter(cx, def, view_filter, query);
    let sums = totals(state, page, def, view, &group, base.clone()).await?;
    let mut columns = Vec::new();
    for (name, label) in names {
        let own = json!({"field": group, "op": "=", "value": name});
        let filter = json!({"all": base.iter().cloned().chain([own]).collect::<Vec<_>>()});
        let request = ListRequest {
            filter: Some(filter),
            sort: Some(view.sort.join(",")).filter(|sort| !sort.is_empty()),
            limit: Some(CARDS),
            q: query.filled("q").map(str::to_owned),
            shape: Shape {
                fields: Some(
                    view.card.iter().filter(|name| super::cell::field_at(cx, def, name).is_some()).cloned().chain(["version".to_owned()]).collect(),
                ),
                titles: true,
                ..Shape::default()
            },
            ..ListRequest::of(def.id)
        };
        let found = state.engine().list(cx, request).await.map_err(missed(page))?;
        let cards = found
            .rows
            .iter()
            .zip(&found.titles)
            .map(|(row, (id, title))| {
                let row: Json = serde_json::from_slice(row).unwrap_or_default();
                let lines = view
                    .card
                    .iter()
                    .map(|name| Cell { href: None, ..cell(cx, def, name, &row) })
                    .filter(|cell| !cell.text.is_empty() && cell.text != *title)
                    .collect();
                let version = row.get("version").and_then(Json::as_i64).unwrap_or_default();
                Card { id: id.to_string(), version, href: format!("/r/{}/{id}", def.name), title: title.clone(), lines }
            })
            .collect();
        let (count, total) = sums.iter().find(|(there, ..)| *there == name).map(|(_, count, total)| (*count, total.clone())).unwrap_or_default();
        let whole = || with(&format!("/r/{}", def.name), query, &format!("f.{group}"), Some(&name));
        let more = found.next.as_ref().map(|_| whole());
        columns.push(BoardColumn { name, label, count, total, cards, more });
    }
    let context = BoardPage {
        shell: shell(page, title, path),
        entity: def.name.to_string(),
        path: path.to_owned(),
        is_stage: matches!(field.role, Role::Stage { .. }),
        group,
        columns,
        bar: bar(state, page, def, &view.quick_filters, path, query).await?,
        saved: saved::of_list(state, page, def, path, query).await?,
        may_create: !matches!(cx.grants.entity(def.id).create, rules::policy::Create::No),
    };
    Ok(env::page(StatusCode::OK, "board.html", &context))
}

type Sums = Vec<(String, u64, Option<String>)>;

/// The count and the total of each column, in one question.
async fn totals(state: &RuntimeState, page: &Page, def: &EntityDef, view: &View, group: &str, filter: Option<Json>) -> Result<Sums, Missed> {
    let cx = &page.cx;
    let summed = view.totals.iter().find(|(_, function)| *function == "sum").map(|(name, _)| name.clone());
    let summed = summed.and_then(|name| super::cell::field_at(cx, def, &name).map(|(_, field)| (name, field)));
    let mut measures = vec![json!("count")];
    measures.extend(summed.as_ref().map(|(name, _)| json!({"sum": name, "as": "total"})));
    let mut body = json!({"group_by": [group], "measures": measures});
    if let (Some(filter), Some(map)) = (filter, body.as_object_mut()) {
        map.insert("filter".to_owned(), filter);
    }
    let answer = state.engine().aggregate(cx, def.id, body).await.map_err(missed(page))?;
    Ok(answer
        .get("data")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|row| {
            let name = row.get(group)?.as_str()?.to_owned();
            let total = summed.as_ref().and_then(|(_, field)| Some(text_of(cx, field, row.get("total")?)));
            Some((name, row.get("count").and_then(Json::as_u64).unwrap_or_default(), total))
        })
        .collect())
}
