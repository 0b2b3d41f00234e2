//! In charge of what comes with a decision or a word: signatures and files.
//! Invariant: whoever sends them has uploaded them for this; from then on they hang on the instance, and whoever may know of
//! it may read them.
//! Invariant: a signature is a picture, a drawing or a name, never nothing; it is kept with what was signed: the seat, the
//! moment, a hash of the record as it was then.

use model::{Code, Message, Violation};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use store::Tx;
use uuid::Uuid;

use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::Row;
use crate::approvals::verbs::THING;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::files::attach::hang_on;
use crate::records::slice::Writer;

/// Files of one action.
const MOST: usize = 20;
/// Coordinates of a drawing.
const MOST_POINTS: usize = 20_000;
/// The longest name as a signature.
const LONGEST_NAME: usize = 200;

fn wrong(field: &str, code: Code, message: &'static str) -> Error {
    Violation::of_field(field, code, Message::new(message)).into()
}

/// The id of a file as it is sent: `{"id": …}`.
fn id_of(field: &str, json: &Json) -> Result<Uuid, Error> {
    let id = json.get("id").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
    id.ok_or_else(|| wrong(field, Code::BadReference, "bad_reference"))
}

/// Hangs files on an instance; what is kept of them.
pub(super) fn files(cx: &Ctx, tx: &Tx, row: &Row, sent: &[Json]) -> Result<Vec<Json>, Error> {
    if sent.len() > MOST {
        return Err(Violation::of_field("files", Code::TooLarge, Message::new("too_many").with("max", MOST)).into());
    }
    let ids = sent.iter().map(|json| id_of("files", json)).collect::<Result<Vec<_>, _>>()?;
    let found = hang_on(cx, tx, (THING, row.id), &ids)?.ok_or_else(|| wrong("files", Code::BadReference, "bad_reference"))?;
    Ok(found.iter().map(|file| file.info.to_json()).collect())
}

/// Takes a signature: `{"id"}` of an uploaded picture, or `{"name", "strokes": [[x, y, x, y, …], …]}` as it was written or
/// drawn; what is kept of it.
pub(super) fn signature(cx: &Ctx, w: &Writer<'_>, plan: &FlowPlan, row: &Row, seat: u32, sent: &Json) -> Result<Json, Error> {
    let mut kept = if sent.get("id").is_some() { picture(cx, w.tx, row, sent)? } else { drawing(sent)? };
    let def = w.def(plan.entity);
    let cells = w.reader.read(def.id, row.record)?.ok_or(Error::NotFound)?;
    let fields = def.fields.iter().filter(|field| !crate::records::sealed(field));
    let content: Map<String, Json> = fields.map(|field| (field.name.to_string(), crate::records::json_of(field, &cells))).collect();
    let visit = row.instance.seat(seat).map(|seat| seat.visit);
    for (name, value) in [
        ("content_hash", json!(hash_of(&content))),
        ("instance", json!(row.id)),
        ("visit", json!(visit)),
        ("seat", json!(seat)),
        ("at", json!(cx.now)),
    ] {
        kept.insert(name.to_owned(), value);
    }
    Ok(Json::Object(kept))
}

fn picture(cx: &Ctx, tx: &Tx, row: &Row, sent: &Json) -> Result<Map<String, Json>, Error> {
    let id = id_of("signature", sent)?;
    let file = hang_on(cx, tx, (THING, row.id), &[id])?.and_then(|mut found| found.pop());
    let file = file.ok_or_else(|| wrong("signature", Code::BadReference, "bad_reference"))?;
    if !file.info.kind.starts_with("image/") || file.info.kind == "image/svg+xml" {
        return Err(wrong("signature", Code::BadFormat, "file_not_image"));
    }
    Ok(Map::from_iter([("file".to_owned(), file.info.to_json()), ("file_hash".to_owned(), json!(hex(&file.hash)))]))
}

fn drawing(sent: &Json) -> Result<Map<String, Json>, Error> {
    let shape = || Violation::of_field("signature", Code::WrongType, Message::new("wrong_type").with("expected", "{\"name\", \"strokes\"}"));
    let map = sent.as_object().ok_or_else(shape)?;
    let mut kept = Map::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("name", Json::String(name)) if name.chars().count() <= LONGEST_NAME => {
                if !name.trim().is_empty() {
                    kept.insert(key.clone(), json!(name.trim()));
                }
            }
            ("strokes", Json::Array(strokes)) => {
                let is_stroke = |stroke: &Json| stroke.as_array().is_some_and(|points| points.iter().all(Json::is_number));
                let points: usize = strokes.iter().filter_map(Json::as_array).map(Vec::len).sum();
                if !strokes.iter().all(is_stroke) || points > MOST_POINTS {
                    return Err(shape().into());
                }
                if points > 0 {
                    kept.insert(key.clone(), value.clone());
                }
            }
            ("name" | "strokes", Json::Null) => {}
            _ => return Err(shape().into()),
        }
    }
    if kept.is_empty() { Err(wrong("signature", Code::Required, "required")) } else { Ok(kept) }
}

/// A hash of what a record held, the same whatever the order of its fields.
fn hash_of(content: &Map<String, Json>) -> String {
    let mut fields: Vec<(&String, String)> = content.iter().map(|(name, value)| (name, value.to_string())).collect();
    fields.sort_unstable();
    let mut digest = Sha256::new();
    for (name, value) in fields {
        digest.update(format!("{name}={value}\n"));
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
