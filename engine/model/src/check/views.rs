//! In charge of checking views: columns, groups, cards, calendars.

use super::checking::{Checking, result_kind};
use super::world::{Known, Reached};
use crate::doc::{View, ViewKind};
use crate::fault::escape_pointer;

/// What is computed below a column.
const TOTALS: [&str; 8] = ["sum", "average", "min", "max", "count", "distinct", "median", "empty"];
/// Kinds that make the columns of a board.
const GROUPS: [&str; 4] = ["stage", "choice", "reference", "boolean"];
/// Kinds with a day in them.
const DAYS: [&str; 2] = ["date", "datetime"];
/// Kinds with a picture in them.
const PICTURES: [&str; 3] = ["image", "file", "signature"];

/// Checks every view of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, view) in &app.views {
        let at = format!("/views/{name}");
        c.roles(&format!("{at}/roles"), &view.roles);
        if let Some(entity) = c.entity(&format!("{at}/entity"), &view.entity) {
            columns(c, &at, view, entity);
            named(c, &at, view, entity);
            kind(c, &at, view, entity);
        }
    }
}

fn columns<'a>(c: &mut Checking<'_, 'a>, at: &str, view: &View, entity: &Known<'a>) {
    for path in view.columns.keys() {
        shown(c, &format!("{at}/columns/{}", escape_pointer(path)), entity, path);
    }
    c.order(&format!("{at}/order"), "column", view.order.iter().flatten().map(String::as_str), view.columns.keys().map(String::as_str));
    for (path, function) in &view.totals {
        let at = format!("{at}/totals/{}", escape_pointer(path));
        c.path(at.clone(), entity, path);
        c.one_of(at, "total", function, TOTALS);
    }
    if view.page_size.is_some_and(|size| size == 0 || size > 1000) {
        c.error(format!("{at}/page_size"), "a page has 1 to 1000 rows");
    }
}

/// A column: a path, or a relation to many (its number).
fn shown<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, path: &str) {
    if !entity.relations.contains_key(path) {
        c.path(at, entity, path);
    }
}

fn named<'a>(c: &mut Checking<'_, 'a>, at: &str, view: &View, entity: &Known<'a>) {
    for (index, sort) in view.sort.iter().enumerate() {
        c.path(format!("{at}/sort/{index}"), entity, sort.strip_prefix('-').unwrap_or(sort));
    }
    for (index, path) in view.quick_filters.iter().enumerate() {
        c.path(format!("{at}/quick_filters/{index}"), entity, path);
    }
    for (index, path) in view.card.iter().enumerate() {
        shown(c, &format!("{at}/card/{index}"), entity, path);
    }
    for (key, path) in [("group", &view.group), ("lanes", &view.lanes)] {
        if let Some(path) = path {
            c.path(format!("{at}/{key}"), entity, path);
        }
    }
    if let Some(color) = &view.color {
        c.field(format!("{at}/color"), entity, color.as_str());
    }
    if let Some(rows) = &view.rows {
        c.path_of(format!("{at}/rows"), entity, rows.as_str(), &["reference"], "a reference");
    }
    if let Some(slot) = &view.slot {
        c.duration_text(&format!("{at}/slot"), slot);
    }
}

/// What a kind of view cannot do without.
fn kind<'a>(c: &mut Checking<'_, 'a>, at: &str, view: &View, entity: &Known<'a>) {
    let needed = |c: &mut Checking<'_, 'a>, key: &str, why: &str| c.error(format!("{at}/{key}"), format!("`{key}` is missing: {why}"));
    match view.kind {
        ViewKind::Table => {}
        ViewKind::Board => match &view.group {
            None => needed(c, "group", "the field whose values are a board's columns"),
            // Where the path leads nowhere, that was told.
            Some(group) => {
                if let Ok(Reached::Field(field)) = c.world.path(entity, group)
                    && !GROUPS.contains(&result_kind(field))
                    && field.kind != "lookup"
                {
                    c.error(
                        format!("{at}/group"),
                        format!("`{group}` is of kind `{}`: a board's columns are stages, choices, references or yes and no", field.kind),
                    );
                }
            }
        },
        ViewKind::Calendar | ViewKind::Timeline => {
            match &view.start {
                None => needed(c, "start", "the field where an entry begins"),
                Some(start) => c.path_of(format!("{at}/start"), entity, start.as_str(), &DAYS, "a date"),
            }
            if let Some(end) = &view.end {
                c.path_of(format!("{at}/end"), entity, end.as_str(), &DAYS, "a date");
            }
        }
        ViewKind::Gallery => match &view.image {
            None => needed(c, "image", "the picture of a card"),
            Some(image) => c.path_of(format!("{at}/image"), entity, image.as_str(), &PICTURES, "a picture"),
        },
    }
}
