//! In charge of finding records that may be the same thing as one that is about to be: what an entity's `duplicates` say.
//! Invariant: what is empty is like nothing; only live records are found, the oldest first.

use model::doc::DuplicateThen;
use model::{Cells, Diagnostic, EntityDef, Filter, Label, Op, Schema, Value};
use rules::query::{Path, SystemView, TypedFilter, resolve_path};
use serde_json::{Value as Json, json};
use store::{Binned, Select};
use uuid::Uuid;

use crate::error::Error;
use crate::records::fill::along;
use crate::records::slice::Writer;

/// Records that are compared by likeness, after those that are the same in something were found.
const LOOKED_AT: u32 = 500;
/// How much of two texts must be the same where a rule does not say.
const ALIKE: f64 = 0.85;

/// A rule of an entity's `duplicates`, compiled.
#[derive(Debug)]
pub(crate) struct DuplicatePlan {
    /// What one does, where who asks does not say otherwise.
    pub(crate) then: DuplicateThen,
    /// What a person reads.
    pub(crate) message: Option<Label>,
    same: TypedFilter,
    similar: Vec<(Path, f64)>,
}

impl DuplicatePlan {
    /// Compiles the rule that `json` writes at `at`; it has a part that compares by `same`.
    pub(crate) fn compile(schema: &Schema, def: &EntityDef, json: &Json, at: &str, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut same = Vec::new();
        let mut similar = Vec::new();
        let before = faults.len();
        for (index, part) in json.get("match").and_then(Json::as_array).into_iter().flatten().enumerate() {
            let at = format!("{at}/match/{index}/field");
            let Some(path) = part.get("field").and_then(Json::as_str) else { continue };
            if part.get("by").and_then(Json::as_str) == Some("similar") {
                match resolve_path(schema, def.id, path, &SystemView, &at) {
                    Ok(found) => similar.push((found, part.get("at_least").and_then(Json::as_f64).unwrap_or(ALIKE))),
                    Err(fault) => faults.push(Diagnostic::error(fault.pointer, fault.wording.text("en"))),
                }
                continue;
            }
            let leaf = Filter::Leaf { field: path.to_owned(), op: Op::Eq, value: Some(json!(format!("$record.{path}"))) };
            // Compiled on its own first: a fault is one of this part.
            match TypedFilter::compile_with_record(schema, def.id, &leaf, &SystemView, &at, Some(def.id)) {
                Ok(_) => same.push(leaf),
                Err(more) => faults.extend(more.into_iter().map(|fault| Diagnostic::error(&at, fault.wording.text("en")))),
            }
        }
        let then = json.get("then").and_then(|word| serde_json::from_value(word.clone()).ok()).unwrap_or(DuplicateThen::Warn);
        let message = json.get("message").and_then(|label| serde_json::from_value(label.clone()).ok());
        let same = TypedFilter::compile_with_record(schema, def.id, &Filter::All { all: same }, &SystemView, at, Some(def.id)).ok()?;
        (faults.len() == before).then_some(Self { then, message, same, similar })
    }

    /// The records that are the same thing as one with these cells, the oldest first.
    ///
    /// # Errors
    /// Where the store cannot.
    pub(crate) fn find(&self, w: &Writer<'_>, def: &EntityDef, cells: &Cells) -> Result<Vec<(Uuid, Cells)>, Error> {
        let schema = &w.app.schema;
        let predicate = self.same.bind(schema, &w.params(def.name.app(), def.id, cells));
        let limit = if self.similar.is_empty() { 50 } else { LOOKED_AT };
        let Some(slot) = def.slot("id") else { return Ok(Vec::new()) };
        let query = Select { limit, slots: vec![slot], ..Select::of(def.id, predicate, Binned::Live) };
        let rows = w.tx.select(schema, &query)?;
        let mut ids: Vec<Uuid> = rows.iter().filter_map(|row| row.cells.get(slot).and_then(Value::as_uuid)).collect();
        ids.sort_unstable();
        let mut found = Vec::new();
        for (id, row) in ids.iter().zip(w.tx.load(def, &ids, store::Lock::None)?) {
            let Some(row) = row else { continue };
            if self.is_like(w, cells, &row)? {
                found.push((*id, row));
            }
        }
        Ok(found)
    }

    fn is_like(&self, w: &Writer<'_>, one: &Cells, other: &Cells) -> Result<bool, Error> {
        for (path, share) in &self.similar {
            let text = |cells: &Cells| Ok::<_, Error>(along(w, path, cells)?.first().and_then(Value::as_text).map(model::text::fold));
            let (Some(a), Some(b)) = (text(one)?, text(other)?) else { return Ok(false) };
            if strsim::normalized_damerau_levenshtein(&a, &b) < *share {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
