//! In charge of files that come to hang on records, as a step of the write path, and on approvals.
//! Invariant: only one's own upload, or what hangs on the record already, may be put into a field: an id from elsewhere is no key to a file.
//! Invariant: name, size and type in a record are the engine's, never the client's.

use std::sync::Arc;

use model::field::Role;
use model::{Cells, Code, EntityDef, FieldDef, Message, Value, Violation};
use serde_json::Value as Json;
use store::Tx;
use store::system::Cond;
use store::system::file::FILE;
use uuid::Uuid;

use super::FileRow;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::{Slice, Writer};

/// The ids of files in the value of a field.
pub(super) fn ids(json: &Json) -> impl Iterator<Item = &str> {
    let one = json.as_object().map(|_| json);
    one.into_iter().chain(json.as_array().into_iter().flatten()).filter_map(|file| file.get("id").and_then(Json::as_str))
}

/// The step of a write: files that the rows come to hold hang on them from now on.
///
/// # Errors
/// Where the store could not.
pub(crate) fn hang(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let def = slice.def;
    for field in &def.fields {
        let Role::Files { pictures, most_bytes, .. } = field.role else { continue };
        let allowed = Allowed { pictures, most_bytes };
        for row in slice.rows.iter_mut().filter(|row| row.is_well() && row.changed(def, field.id)) {
            if let Err(fault) = claim(w.cx, w.tx, def, row.id, field, allowed, &mut row.after)? {
                row.faults.push(fault);
            }
        }
    }
    Ok(())
}

/// What may hang on a field.
#[derive(Clone, Copy)]
struct Allowed {
    pictures: bool,
    most_bytes: Option<u64>,
}

/// Fills what a record keeps of its files and hangs new ones on it; what is refused stays unchanged.
///
/// # Errors
/// Where the store could not; the inner error is the caller's fault.
fn claim(
    cx: &Ctx,
    tx: &Tx,
    def: &EntityDef,
    record: Uuid,
    field: &FieldDef,
    allowed: Allowed,
    after: &mut Cells,
) -> Result<Result<(), Violation>, Error> {
    let Some(slot) = field.slot() else { return Ok(Ok(())) };
    let Some(Value::Json(sent)) = after.get(slot) else { return Ok(Ok(())) };
    let wanted: Vec<Uuid> = ids(sent).filter_map(|id| Uuid::try_parse(id).ok()).collect();
    let keys = wanted.iter().copied().map(Value::Uuid).collect();
    let most = u32::try_from(wanted.len()).unwrap_or(u32::MAX).max(1);
    let rows: Vec<FileRow> = tx.find(&FILE, &[Cond::In("id", keys)], &[], most)?.iter().filter_map(|row| FileRow::read(row)).collect();
    let mut filled = Vec::new();
    for id in &wanted {
        let Some(row) = rows.iter().find(|row| row.info.id == *id).filter(|row| may_hang(cx, def.name.as_str(), record, row)) else {
            return Ok(Err(Violation::of_field(field.name.as_str(), Code::BadReference, Message::new("bad_reference"))));
        };
        if allowed.pictures && (!row.info.kind.starts_with("image/") || row.info.kind == "image/svg+xml") {
            return Ok(Err(Violation::of_field(field.name.as_str(), Code::BadFormat, Message::new("file_not_image"))));
        }
        if let Some(most) = allowed.most_bytes.filter(|most| row.info.size > *most) {
            return Ok(Err(Violation::of_field(field.name.as_str(), Code::TooLarge, Message::new("file_too_large").with("max", most >> 20))));
        }
        filled.push(row.info.to_json());
    }
    for row in rows.iter().filter(|row| row.record.is_none()) {
        let set = [("entity", Value::text(def.name.as_str())), ("record", Value::Uuid(record))];
        tx.change(&FILE, &set, &[Cond::Eq("id", Value::Uuid(row.info.id))])?;
    }
    let json = if sent.is_array() { Json::Array(filled) } else { filled.into_iter().next().unwrap_or_default() };
    if let Some(cell) = after.get_mut(slot) {
        *cell = if json.is_null() { Value::Null } else { Value::Json(Arc::new(json)) };
    }
    Ok(Ok(()))
}

/// Hangs the caller's own uploads on something that is no record; what is known of each, in order. None where one of them is
/// not theirs, is not there, or hangs elsewhere.
///
/// # Errors
/// Where the store could not.
pub(crate) fn hang_on(cx: &Ctx, tx: &Tx, (kind, id): (&'static str, Uuid), wanted: &[Uuid]) -> Result<Option<Vec<FileRow>>, Error> {
    if wanted.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let keys = wanted.iter().copied().map(Value::Uuid).collect();
    let most = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let rows: Vec<FileRow> = tx.find(&FILE, &[Cond::In("id", keys)], &[], most)?.iter().filter_map(|row| FileRow::read(row)).collect();
    let is_theirs = |row: &FileRow| row.record.is_none() && row.by == cx.caller.user();
    let found: Vec<FileRow> = wanted.iter().filter_map(|id| rows.iter().find(|row| row.info.id == *id && is_theirs(row)).cloned()).collect();
    if found.len() != wanted.len() {
        return Ok(None);
    }
    for row in &found {
        let set = [("entity", Value::text(kind)), ("record", Value::Uuid(id))];
        tx.change(&FILE, &set, &[Cond::Eq("id", Value::Uuid(row.info.id))])?;
    }
    Ok(Some(found))
}

fn may_hang(cx: &Ctx, thing: &str, record: Uuid, row: &FileRow) -> bool {
    match (&row.entity, row.record) {
        (Some(entity), Some(there)) => there == record && entity == thing,
        _ => match cx.caller.user() {
            Some(user) => row.by == Some(user),
            None => true,
        },
    }
}
