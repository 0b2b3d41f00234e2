//! In charge of finding records that may be the same thing as one that is about to be: what an entity's `duplicates` say.
//! Invariant: what is empty is like nothing; only live records are found, the oldest first.

use std::collections::HashSet;

use model::doc::DuplicateThen;
use model::field::ColumnUse;
use model::{Cells, Diagnostic, EntityDef, FieldId, Filter, Label, Op, Schema, Value};
use rules::query::{Path, Predicate, SystemView, TypedFilter, View, resolve_path};
use serde_json::{Value as Json, json};
use store::{Binned, Select};
use uuid::Uuid;

use crate::error::Error;
use crate::records::fill::along;
use crate::records::slice::{Row, Writer};

/// Records that are compared by likeness, after those that are the same in something were found.
const LOOKED_AT: u32 = 500;
/// How much of two texts must be the same where a rule does not say.
const ALIKE: f64 = 0.85;
/// Where nothing must be the same: how many characters two texts begin with alike to be compared.
const BEGINS: usize = 2;
/// The same of their ends.
const ENDS: usize = 3;

/// A rule of an entity's `duplicates`, compiled.
#[derive(Debug)]
pub(crate) struct DuplicatePlan {
    /// The rule's name.
    pub(crate) name: String,
    /// What one does, where who asks does not say otherwise.
    pub(crate) then: DuplicateThen,
    /// What a person reads.
    pub(crate) message: Option<Label>,
    /// The fields of the record itself that it looks at, the first one first.
    pub(crate) reads: Vec<FieldId>,
    same: TypedFilter,
    same_paths: Vec<Path>,
    similar: Vec<(Path, f64)>,
}

impl DuplicatePlan {
    /// All rules of an entity.
    pub(crate) fn all(schema: &Schema, def: &EntityDef, at: &str, faults: &mut Vec<Diagnostic>) -> Vec<Self> {
        let rule = |(name, rule): (&model::Name, &Json)| {
            Self::compile(schema, def, name.as_str(), rule, &SystemView, &format!("{at}/duplicates/{name}"), faults)
        };
        def.doc.duplicates.iter().filter_map(rule).collect()
    }

    /// Compiles the rule `name` that `json` writes at `at`, as `view` shows the schema.
    pub(crate) fn compile(
        schema: &Schema,
        def: &EntityDef,
        name: &str,
        json: &Json,
        view: &dyn View,
        at: &str,
        faults: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let (mut same, mut same_paths, mut similar) = (Vec::new(), Vec::new(), Vec::new());
        let before = faults.len();
        for (index, part) in json.get("match").and_then(Json::as_array).into_iter().flatten().enumerate() {
            let at = format!("{at}/match/{index}/field");
            let Some(text) = part.get("field").and_then(Json::as_str) else { continue };
            let path = match resolve_path(schema, def.id, text, view, &at) {
                Ok(path) if view.comparable(schema.entity(path.entity), path.target(schema)) => path,
                Ok(_) => {
                    faults.push(Diagnostic::error(&at, format!("`{text}` cannot be compared")));
                    continue;
                }
                Err(fault) => {
                    faults.push(Diagnostic::error(fault.pointer, fault.wording.text("en")));
                    continue;
                }
            };
            if part.get("by").and_then(Json::as_str) == Some("similar") {
                similar.push((path, part.get("at_least").and_then(Json::as_f64).unwrap_or(ALIKE)));
                continue;
            }
            let leaf = Filter::Leaf { field: text.to_owned(), op: Op::Eq, value: Some(json!(format!("$record.{text}"))) };
            // Compiled on its own first: a fault is one of this part.
            match TypedFilter::compile_with_record(schema, def.id, &leaf, view, &at, Some(def.id)) {
                Ok(_) => {
                    same.push(leaf);
                    same_paths.push(path);
                }
                Err(more) => faults.extend(more.into_iter().map(|fault| Diagnostic::error(&at, fault.wording.text("en")))),
            }
        }
        if faults.len() > before {
            return None;
        }
        let then = json.get("then").and_then(|word| serde_json::from_value(word.clone()).ok()).unwrap_or(DuplicateThen::Warn);
        let message = json.get("message").and_then(|label| serde_json::from_value(label.clone()).ok());
        let same = TypedFilter::compile_with_record(schema, def.id, &Filter::All { all: same }, view, at, Some(def.id)).ok()?;
        let paths = same_paths.iter().chain(similar.iter().map(|(path, _)| path));
        let mut reads: Vec<FieldId> = Vec::new();
        for field in paths.map(|path| path.hops.first().map_or(path.field, |hop| hop.field)) {
            if !reads.contains(&field) {
                reads.push(field);
            }
        }
        Some(Self { name: name.to_owned(), then, message, reads, same, same_paths, similar })
    }

    /// Whether a row comes to be like others by its change.
    pub(crate) fn concerns(&self, def: &EntityDef, row: &Row) -> bool {
        self.reads.iter().any(|field| row.changed(def, *field))
    }

    /// What two records that are the same thing have in common for certain; none where something is empty. A rule without
    /// anything that must be the same has one for all records.
    pub(crate) fn key(&self, w: &Writer<'_>, cells: &Cells) -> Result<Option<String>, Error> {
        let mut key = String::new();
        for path in &self.same_paths {
            // What only serves order differs where the values are the same.
            let (target, far) = (path.target(&w.app.schema), w.def(path.entity));
            let purposes = target.slots.clone().map(|slot| far.columns.get(slot).map(|column| column.purpose));
            let kept = |purpose: &Option<ColumnUse>| !matches!(purpose, Some(ColumnUse::Fold | ColumnUse::Sort));
            let found: Vec<Value> =
                along(w, path, cells)?.into_iter().zip(purposes).filter(|(_, purpose)| kept(purpose)).map(|(value, _)| value).collect();
            if found.iter().all(Value::is_null) {
                return Ok(None);
            }
            for value in found {
                key.push_str(&value.as_text().map_or_else(|| format!("{value:?}"), model::text::fold));
                key.push('\u{1f}');
            }
        }
        for (path, _) in &self.similar {
            if along(w, path, cells)?.first().and_then(Value::as_text).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(key))
    }

    /// Lets others who write a record that may be the same as one with these cells wait until this transaction ends.
    pub(crate) fn lock(&self, w: &Writer<'_>, def: &EntityDef, cells: &Cells) -> Result<(), Error> {
        if let Some(key) = self.key(w, cells)? {
            self.lock_key(w, def, &key)?;
        }
        Ok(())
    }

    /// The same for what `key` made of the cells.
    pub(crate) fn lock_key(&self, w: &Writer<'_>, def: &EntityDef, key: &str) -> Result<(), Error> {
        Ok(w.tx.lock_key(&format!("duplicates:{}:{}:{key}", def.name, self.name))?)
    }

    /// The records among `within` that are the same thing as one with these cells, but those of `without`, the oldest first.
    ///
    /// # Errors
    /// Where the store cannot.
    pub(crate) fn find(
        &self,
        w: &Writer<'_>,
        def: &EntityDef,
        cells: &Cells,
        within: Predicate,
        without: &HashSet<Uuid>,
    ) -> Result<Vec<(Uuid, Cells)>, Error> {
        let schema = &w.app.schema;
        let same = self.same.bind(schema, &w.params(def.name.app(), def.id, cells));
        let predicate = Predicate::all(vec![same, self.blocking(w, def, cells)?, within]);
        let limit = if self.similar.is_empty() { 50 } else { LOOKED_AT };
        let Some(slot) = def.slot("id") else { return Ok(Vec::new()) };
        let query = Select { limit, slots: vec![slot], ..Select::of(def.id, predicate, Binned::Live) };
        let rows = w.tx.select(schema, &query)?;
        let mut ids: Vec<Uuid> = rows.iter().filter_map(|row| row.cells.get(slot).and_then(Value::as_uuid)).collect();
        ids.retain(|id| !without.contains(id));
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

    /// Where nothing must be the same: what a text must have for it to be worth comparing. One that differs from another at both
    /// ends is not found.
    fn blocking(&self, w: &Writer<'_>, def: &EntityDef, cells: &Cells) -> Result<Predicate, Error> {
        if !self.same_paths.is_empty() {
            return Ok(Predicate::True);
        }
        let mut parts = Vec::new();
        for (path, _) in &self.similar {
            let found = along(w, path, cells)?;
            let Some(text) = found.first().and_then(Value::as_text) else { return Ok(Predicate::False) };
            let (begin, count): (String, usize) = (text.chars().take(BEGINS).collect(), text.chars().count());
            let end: String = text.chars().skip(count.saturating_sub(ENDS)).collect();
            let name = dotted(w, path);
            let leaf = |op: Op, value: String| Filter::Leaf { field: name.clone(), op, value: Some(value.into()) };
            let filter = Filter::Any { any: vec![leaf(Op::StartsWith, begin), leaf(Op::EndsWith, end)] };
            let typed = TypedFilter::compile(&w.app.schema, def.id, &filter, &SystemView, "").map_err(Error::Invalid)?;
            parts.push(typed.bind(&w.app.schema, &w.params(def.name.app(), def.id, cells)));
        }
        Ok(Predicate::all(parts))
    }

    /// Whether a record with `other` cells, which is the same where it must be, is like one with these.
    pub(crate) fn is_like(&self, w: &Writer<'_>, one: &Cells, other: &Cells) -> Result<bool, Error> {
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

/// A path as it is written.
fn dotted(w: &Writer<'_>, path: &Path) -> String {
    let hops = path.hops.iter().map(|hop| w.def(hop.from).field(hop.field).name.as_str());
    hops.chain([w.def(path.entity).field(path.field).name.as_str()]).collect::<Vec<_>>().join(".")
}
