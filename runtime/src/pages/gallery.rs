//! In charge of galleries: records as cards with a picture.
//! Invariant: a record without a picture has a card like the others, with its first letters.

use axum::http::StatusCode;
use axum::response::Response;
use engine::records::{ListRequest, Shape};
use model::EntityDef;
use model::doc::View;
use serde::Serialize;
use serde_json::Value as Json;

use super::cell::{Cell, cell, field_at};
use super::env;
use super::filters::{FilterBar, bar, filter};
use super::query::with;
use super::saved::{self, SavedViews};
use super::shell::{Missed, Shell, missed, shell};
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Cards of a page.
const CARDS: u32 = 48;

#[derive(Serialize)]
struct GalleryPage {
    shell: Shell,
    entity: String,
    path: String,
    bar: FilterBar,
    saved: SavedViews,
    cards: Vec<PictureCard>,
    may_create: bool,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Serialize)]
struct PictureCard {
    href: String,
    title: String,
    letters: String,
    image: Option<String>,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    label: String,
    cell: Cell,
}

/// Shows a gallery.
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
    let image = view.image.as_ref().and_then(|name| cx.grants.field(def, name.as_str()));
    let shown: Vec<(&String, String)> = view
        .card
        .iter()
        .filter_map(|name| Some((name, field_at(cx, def, name)?.1)))
        .map(|(name, field)| (name, super::control::label_of(cx, field)))
        .collect();
    let view_filter = view.filter.as_ref().and_then(|filter| serde_json::to_value(filter).ok());
    let fields = shown.iter().map(|(name, _)| (*name).clone()).chain(image.map(|field| field.name.to_string())).collect();
    let request = ListRequest {
        filter: filter(cx, def, view_filter, query),
        sort: Some(view.sort.join(",")).filter(|sort| !sort.is_empty()),
        limit: Some(view.page_size.map_or(CARDS, u32::from)),
        after: query.filled("after").map(str::to_owned),
        q: query.filled("q").map(str::to_owned),
        shape: Shape { fields: Some(fields), titles: true, ..Shape::default() },
        ..ListRequest::of(def.id)
    };
    let found = state.engine().list(cx, request).await.map_err(missed(page))?;
    let cards = found
        .rows
        .iter()
        .zip(&found.titles)
        .map(|(row, (id, title))| {
            let row: Json = serde_json::from_slice(row).unwrap_or_default();
            let lines = shown
                .iter()
                .map(|(name, label)| Line { label: label.clone(), cell: Cell { href: None, ..cell(cx, def, name, &row) } })
                .filter(|line| !line.cell.text.is_empty() && line.cell.text != *title)
                .collect();
            PictureCard {
                href: format!("/r/{}/{id}", def.name),
                letters: title.split_whitespace().filter_map(|word| word.chars().next()).take(2).collect(),
                title: title.clone(),
                image: image.and_then(|field| cell(cx, def, field.name.as_str(), &row).image),
                lines,
            }
        })
        .collect();
    let context = GalleryPage {
        shell: shell(page, title, path),
        entity: def.name.to_string(),
        path: path.to_owned(),
        bar: bar(state, page, def, &view.quick_filters, path, query).await?,
        saved: saved::of_list(state, page, def, path, query).await?,
        cards,
        may_create: !matches!(cx.grants.entity(def.id).create, rules::policy::Create::No) && def.line_of.is_none(),
        next: found.next.as_deref().map(|next| with(path, query, "after", Some(next))),
        first: query.filled("after").map(|_| with(path, query, "after", None)),
    };
    Ok(env::page(StatusCode::OK, "gallery.html", &context))
}
