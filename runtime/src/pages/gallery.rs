//! In charge of galleries: records as cards with a picture.
//! Invariant: a record without a picture has a card like the others, with its first letters.

use axum::http::StatusCode;
use axum::response::Response;
use engine::records::ListRequest;
use model::doc::View;
use serde::Serialize;
use serde_json::Value as Json;

use super::cell::{Cell, cell, field_at};
use super::env;
use super::shell::Missed;
use super::viewing::{Frame, Turning, Viewing};

/// Cards of a page.
const CARDS: u32 = 48;

#[derive(Serialize)]
struct GalleryPage {
    #[serde(flatten)]
    frame: Frame,
    cards: Vec<PictureCard>,
    #[serde(flatten)]
    turning: Turning,
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
pub(super) async fn show(viewing: &Viewing<'_>, view: &View) -> Result<Response, Missed> {
    let (cx, def) = (viewing.cx(), viewing.def);
    let image = view.image.as_ref().and_then(|name| cx.grants.field(def, name.as_str()));
    let shown: Vec<(&String, String)> = view
        .card
        .iter()
        .filter_map(|name| Some((name, field_at(cx, def, name)?.1)))
        .map(|(name, field)| (name, super::control::label_of(cx, field)))
        .collect();
    let fields = shown.iter().map(|(name, _)| (*name).clone()).chain(image.map(|field| field.name.to_string())).collect();
    let request = ListRequest { limit: Some(view.page_size.map_or(CARDS, u32::from)), ..viewing.request(fields) };
    let found = viewing.list(request).await?;
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
    let context = GalleryPage { frame: viewing.frame(&view.quick_filters).await?, cards, turning: viewing.turning(&found) };
    Ok(env::page(StatusCode::OK, "gallery.html", &context))
}
