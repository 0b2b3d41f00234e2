//! In charge of papers as files: kept with what it holds, and hung on the record that it is of.
//! Invariant: the bytes are on disk before the row that names them is written; without the row they are swept.

use indexmap::IndexMap;
use model::{Code, EntityId, Input, Message, Value, Violation};
use render::paper::sheet::{Frame, whole};
use serde_json::Value as Json;
use store::Tx;
use store::system::file::FILE;
use uuid::Uuid;

use super::verbs::print_in;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::files::{FileInfo, put_in};

/// Prints a record into a file of whoever the facts are of, which hangs on nothing yet.
pub(crate) fn kept(cx: &Ctx, tx: &Tx, entity: EntityId, print: &str, record: Uuid) -> Result<FileInfo, Error> {
    let plan = cx.app.prints.named(entity, print).cloned();
    let plan = plan.ok_or_else(|| Error::of(Code::BadReference, Message::new("paper_unknown").with("print", print)))?;
    let printed = print_in(cx, tx, &plan, record).map_err(|error| match error {
        Error::NotFound => Error::of(Code::RuleFailed, Message::new("paper_not_for").with("print", print)),
        error => error,
    })?;
    let frame = Frame { locale: &printed.locale, title: &printed.file_name, paper: printed.sheet.as_ref(), bar: "" };
    let html = whole(frame, &printed.body);
    let (info, row) = put_in(cx, &format!("{}.html", printed.file_name), html.as_bytes())?;
    tx.put(&FILE, &[row])?;
    Ok(info)
}

/// What a field of files holds with one more.
pub(crate) fn added(cells: &[Value], many: bool, info: &FileInfo) -> Input {
    let own = Input::from(&info.to_json());
    if !many {
        return own;
    }
    let there: Vec<Input> = match cells.first() {
        Some(Value::Json(json)) => json.as_array().into_iter().flatten().map(Input::from).collect(),
        _ => Vec::new(),
    };
    Input::List(there.into_iter().chain([own]).collect())
}

/// The values of a file's record about another.
pub(crate) fn about(entity: &str, record: Uuid, owner: Option<Uuid>, info: &FileInfo) -> Result<IndexMap<String, Input>, Error> {
    let owner = owner.ok_or_else(|| Error::from(Violation::of_field("owner", Code::Required, Message::new("required"))))?;
    let values: [(&str, Json); 3] =
        [("file", info.to_json()), ("about", serde_json::json!({"entity": entity, "id": record})), ("owner", owner.to_string().into())];
    Ok(values.into_iter().map(|(name, json)| (name.to_owned(), Input::from(&json))).collect())
}
