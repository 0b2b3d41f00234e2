//! In charge of what a request says about the records that it wants back.

use axum::http::HeaderMap;
use engine::Ctx;
use engine::records::{ListRequest, Shape, Total};
use indexmap::IndexMap;
use model::{Code, EntityId, Input, Message, Violation};

use crate::http::answer;
use crate::http::problem::Problem;
use crate::http::query::{Query, wrong};

/// The parameters of [`shape`].
pub(super) const SHAPE: [&str; 3] = ["fields", "titles", "expand"];
/// The parameters of a write: [`SHAPE`], and whether what may be there already is another thing.
pub(super) const WRITE: [&str; 4] = ["fields", "titles", "expand", "duplicates"];
/// The parameters of [`list`].
pub(super) const LIST: [&str; 10] = ["filter", "sort", "fields", "limit", "after", "q", "total", "titles", "expand", "pool"];

/// What is shown of a record.
pub(super) fn shape(query: &Query, headers: &HeaderMap) -> Result<Shape, Problem> {
    Ok(Shape {
        fields: query.names("fields"),
        titles: query.flag("titles")?,
        expand: query.names("expand").unwrap_or_default(),
        numbers: answer::numbers(headers),
    })
}

/// The facts of a write: whoever sends it is asked about what may be there already, unless `duplicates=accept` says that they know.
pub(super) fn asking(cx: &Ctx, query: &Query) -> Result<Ctx, Problem> {
    match query.filled("duplicates") {
        None | Some("ask") => Ok(Ctx { asks: true, ..cx.clone() }),
        Some("accept") => Ok(Ctx { asks: false, ..cx.clone() }),
        Some(_) => Err(wrong("duplicates", "`ask` or `accept`")),
    }
}

/// A list, asked for by an address.
pub(super) fn list(entity: EntityId, query: &Query, headers: &HeaderMap) -> Result<ListRequest, Problem> {
    let filter = match query.filled("filter") {
        Some(text) => Some(crate::http::body::parse(text.as_bytes())?.to_json()),
        None => None,
    };
    Ok(ListRequest {
        filter,
        sort: query.filled("sort").map(str::to_owned),
        limit: query.limit()?,
        after: query.filled("after").map(str::to_owned),
        q: query.filled("q").map(str::to_owned),
        total: total(query.filled("total"))?,
        shape: shape(query, headers)?,
        pool: query.filled("pool").map(str::to_owned),
        ..ListRequest::of(entity)
    })
}

/// A list, asked for by a body: the same words, for filters longer than an address.
pub(super) fn list_of_body(entity: EntityId, body: &IndexMap<String, Input>, headers: &HeaderMap) -> Result<ListRequest, Problem> {
    let mut faults = Vec::new();
    let unknown = body.keys().filter(|key| !LIST.contains(&key.as_str()));
    faults.extend(unknown.map(|key| fault(key, Message::new("unknown_key").with("name", key))));
    let mut text = |key: &str| match body.get(key) {
        None | Some(Input::Null) => None,
        Some(Input::Text(text)) => Some(text.clone()),
        Some(_) => {
            faults.push(fault(key, Message::new("wrong_type").with("expected", "\"…\"")));
            None
        }
    };
    let (sort, after, q, counted, pool) = (text("sort"), text("after"), text("q"), text("total"), text("pool"));
    let mut names = |key: &str| match body.get(key) {
        None | Some(Input::Null) => None,
        Some(Input::Text(text)) => Some(text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()),
        Some(Input::List(items)) if items.iter().all(|item| item.as_text().is_some()) => {
            Some(items.iter().filter_map(Input::as_text).map(str::to_owned).collect::<Vec<_>>())
        }
        Some(_) => {
            faults.push(fault(key, Message::new("wrong_type").with("expected", "[\"…\"]")));
            None
        }
    };
    let (fields, expand) = (names("fields"), names("expand"));
    let limit = match body.get("limit") {
        None | Some(Input::Null) => None,
        Some(number) => match number.as_int() {
            Some(number) => Some(u32::try_from(number.max(0)).unwrap_or(u32::MAX)),
            None => {
                faults.push(fault("limit", Message::new("wrong_type").with("expected", "50")));
                None
            }
        },
    };
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    Ok(ListRequest {
        filter: body.get("filter").filter(|filter| **filter != Input::Null).map(Input::to_json),
        sort: sort.filter(|text| !text.is_empty()),
        limit,
        after: after.filter(|text| !text.is_empty()),
        q: q.filter(|text| !text.is_empty()),
        total: total(counted.as_deref())?,
        shape: Shape {
            fields,
            titles: body.get("titles").and_then(Input::as_bool).unwrap_or_default(),
            expand: expand.unwrap_or_default(),
            numbers: answer::numbers(headers),
        },
        pool,
        ..ListRequest::of(entity)
    })
}

/// How rows are counted. An estimate is allowed to be exact.
fn total(word: Option<&str>) -> Result<Total, Problem> {
    match word {
        None => Ok(Total::No),
        Some("exact" | "estimate") => Ok(Total::Exact),
        Some(other) => Err(wrong("total", &format!("`{other}` is neither exact nor estimate"))),
    }
}

fn fault(key: &str, message: Message) -> Violation {
    Violation::at(format!("/{}", model::fault::escape_pointer(key)), Code::Malformed, message)
}
