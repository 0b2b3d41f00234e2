//! In charge of boards: cards in a column per stage or option; a drag is a move with all its checks.
//! Invariant: each column is a list of its own, so that a long one delays no other.

use axum::http::StatusCode;
use axum::response::Response;
use engine::Error;
use engine::records::ListRequest;
use model::doc::View;
use model::field::Role;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::cell::{Cell, cell, field_at, says, text_of};
use super::control::stage_options;
use super::env;
use super::query::with;
use super::shell::{Missed, label};
use super::viewing::{Frame, Viewing};

/// Cards of a column.
const CARDS: u32 = 30;

#[derive(Serialize)]
struct BoardPage {
    #[serde(flatten)]
    frame: Frame,
    group: String,
    is_stage: bool,
    columns: Vec<BoardColumn>,
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
pub(super) async fn show(viewing: &Viewing<'_>, view: &View) -> Result<Response, Missed> {
    let (cx, def) = (viewing.cx(), viewing.def);
    let group = view.group.clone().unwrap_or_default();
    let field = cx.grants.field(def, &group).ok_or_else(|| viewing.missed(Error::NotFound))?;
    let names: Vec<(String, String)> = match &field.role {
        Role::Stage { .. } => stage_options(cx, def, field.id),
        Role::Choice { options, .. } => {
            options.iter().map(|(name, option)| (name.to_string(), label(option.label.as_ref(), name.as_str(), &cx.locale))).collect()
        }
        _ => return Err(viewing.missed(Error::NotFound)),
    };
    let base = viewing.filter();
    let sums = totals(viewing, view, &group, base.clone()).await?;
    let fields: Vec<String> = view.card.iter().filter(|name| field_at(cx, def, name).is_some()).cloned().chain(["version".to_owned()]).collect();
    let mut columns = Vec::new();
    for (name, label) in names {
        let own = json!({"field": group, "op": "=", "value": name});
        let filter = json!({"all": base.iter().cloned().chain([own]).collect::<Vec<_>>()});
        let request = ListRequest { filter: Some(filter), limit: Some(CARDS), after: None, ..viewing.request(fields.clone()) };
        let found = viewing.list(request).await?;
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
                    // What the title says already needs no line of its own.
                    .filter(|cell| !cell.text.is_empty() && !says(title, &cell.text))
                    .collect();
                let version = row.get("version").and_then(Json::as_i64).unwrap_or_default();
                Card { id: id.to_string(), version, href: format!("/r/{}/{id}", def.name), title: title.clone(), lines }
            })
            .collect();
        let (count, total) = sums.iter().find(|(there, ..)| *there == name).map(|(_, count, total)| (*count, total.clone())).unwrap_or_default();
        let whole = || with(&format!("/r/{}", def.name), viewing.query, &format!("f.{group}"), Some(&name));
        let more = found.next.as_ref().map(|_| whole());
        columns.push(BoardColumn { name, label, count, total, cards, more });
    }
    let context = BoardPage { frame: viewing.frame(&view.quick_filters).await?, is_stage: matches!(field.role, Role::Stage { .. }), group, columns };
    Ok(env::page(StatusCode::OK, "board.html", &context))
}

type Sums = Vec<(String, u64, Option<String>)>;

/// The count and the total of each column, in one question.
async fn totals(viewing: &Viewing<'_>, view: &View, group: &str, filter: Option<Json>) -> Result<Sums, Missed> {
    let (cx, def) = (viewing.cx(), viewing.def);
    let summed = view.totals.iter().find(|(_, function)| *function == "sum").map(|(name, _)| name.clone());
    let summed = summed.and_then(|name| field_at(cx, def, &name).map(|(_, field)| (name, field)));
    let mut measures = vec![json!("count")];
    measures.extend(summed.as_ref().map(|(name, _)| json!({"sum": name, "as": "total"})));
    let mut body = json!({"group_by": [group], "measures": measures});
    if let (Some(filter), Some(map)) = (filter, body.as_object_mut()) {
        map.insert("filter".to_owned(), filter);
    }
    let answer = viewing.state.engine().aggregate(cx, def.id, body).await.map_err(|error| viewing.missed(error))?;
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
