//! In charge of what a publish fills: values that are newly computed or of another kind, and what records are found by.
//! Reading order: `Fillings::between` (what is to be filled), `Filling::page` (some records of it).
//! Invariant: only what the former revision does not use is written, so that it may run on while this goes on.
//! Invariant: filling again changes nothing; what cannot be converted is left empty, and its former column keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::field::{AcceptContext, Numbers, Role, TextContext};
use model::{Cells, EntityDef, EntityId, FieldDef, FieldId, Input, Value};
use rules::query::Predicate;
use store::{Binned, IndexedText, Lock, Select};
use uuid::Uuid;

use crate::error::Error;
use crate::published::Published;
use crate::records::accept::set_cells;
use crate::records::slice::Writer;
use crate::records::{formulas, persist, rollups};

/// Records that are looked at between two looks at the clock.
const PAGE: u32 = 25;

/// What is to be filled before a revision can be current.
#[derive(Debug, Default)]
pub(super) struct Fillings {
    /// By entity.
    pub(super) of: Vec<Filling>,
    /// The derived fields whose values are not there yet.
    pub(super) fresh: BTreeSet<(EntityId, FieldId)>,
    /// Whether values of one record follow from those of others that are filled, too: one pass is not enough.
    pub(super) chained: bool,
}

/// What is to be filled of one entity.
#[derive(Debug)]
pub(super) struct Filling {
    /// The entity, in the new schema.
    pub(super) entity: EntityId,
    /// The same in the former one.
    was: Option<EntityId>,
    /// Fields of another kind than before: the former, and what it becomes.
    conversions: Vec<(FieldId, FieldId)>,
    /// Whether records are found by something else than before.
    search: bool,
}

/// What a page did.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Where the next one begins; none behind the last.
    pub(super) next: Option<Vec<Value>>,
    /// Whether anything was different.
    pub(super) changed: bool,
    /// Values that could not be converted, by field.
    pub(super) lost: Vec<FieldId>,
}

/// Records that were filled: each with its cells before and after.
pub(super) type Filled = Vec<(Uuid, Arc<Cells>, Arc<Cells>)>;

impl Fillings {
    /// What `new` needs that is not there under `old`.
    pub(super) fn between(old: &Published, new: &Published) -> Self {
        let mut fillings = Self::default();
        let mut seeds = BTreeSet::new();
        for def in &new.schema.entities {
            let before = old.schema.find(def.name.as_str());
            for field in def.fields.iter().filter(|field| !field.system && !field.slots.is_empty()) {
                let was = before.and_then(|before| before.find(field.name.as_str()));
                if field.computed() {
                    if was.is_none_or(|was| is_computed_otherwise(old, new, was, field)) {
                        fillings.fresh.insert((def.id, field.id));
                    }
                } else if was.zip(before).is_some_and(|(was, before)| first_column(before, was) != first_column(def, field)) {
                    seeds.insert((def.id, field.id));
                }
            }
        }
        seeds.extend(fillings.fresh.iter().copied());
        for def in &new.schema.entities {
            for field in def.fields.iter().filter(|field| field.computed() && !field.slots.is_empty()) {
                let made_of = new.graph.sources().all_of(def.id, field.id);
                if made_of.iter().any(|source| seeds.contains(source)) {
                    fillings.fresh.insert((def.id, field.id));
                }
            }
        }
        fillings.chained = fillings.fresh.iter().any(|(entity, field)| {
            let far = new.graph.sources().of(*entity, *field).iter().any(|source| fillings.fresh.contains(source) && source.0 != *entity);
            far || new.graph.rollups_on(*entity).any(|rollup| rollup.field == *field && rollup.below)
        });
        fillings.of = new.schema.entities.iter().filter_map(|def| fillings.filling(old, new, def)).collect();
        fillings
    }

    fn filling(&self, old: &Published, new: &Published, def: &EntityDef) -> Option<Filling> {
        let before = old.schema.find(def.name.as_str());
        let conversions: Vec<(FieldId, FieldId)> = before
            .into_iter()
            .flat_map(|before| {
                let plain = def.fields.iter().filter(|field| !field.system && !field.computed() && !field.slots.is_empty());
                plain.filter_map(move |field| {
                    let was = before.find(field.name.as_str()).filter(|was| !was.slots.is_empty())?;
                    (first_column(before, was) != first_column(def, field)).then_some((was.id, field.id))
                })
            })
            .collect();
        let computed = self.fresh.iter().any(|(entity, _)| *entity == def.id);
        let names = |published: &Published, def: &EntityDef| -> BTreeSet<String> {
            published.plan(def.id).search.iter().map(|field| def.field(*field).name.to_string()).collect()
        };
        let found_by = names(new, def);
        let is_refilled = |field: &FieldDef| self.fresh.contains(&(def.id, field.id)) || conversions.iter().any(|(_, to)| *to == field.id);
        let search =
            before.is_some_and(|before| names(old, before) != found_by) || new.plan(def.id).search.iter().any(|field| is_refilled(def.field(*field)));
        let is_needed = computed || search || !conversions.is_empty();
        is_needed.then_some(Filling { entity: def.id, was: before.map(|before| before.id), conversions, search })
    }

    /// The fresh fields whose columns the former revision uses, too: they cannot be filled beside it.
    pub(super) fn in_use<'n>(&'n self, old: &'n Published, new: &'n Published) -> impl Iterator<Item = (&'n EntityDef, &'n FieldDef)> {
        self.fresh.iter().filter_map(|(entity, field)| {
            let def = new.schema.entity(*entity);
            let field = def.field(*field);
            let before = old.schema.find(def.name.as_str())?;
            let was = before.find(field.name.as_str())?;
            (first_column(before, was) == first_column(def, field)).then_some((def, field))
        })
    }

    /// Whether nothing is to be filled.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

fn first_column<'d>(def: &'d EntityDef, field: &FieldDef) -> Option<&'d str> {
    field.slot().and_then(|slot| def.columns.get(slot)).map(|column| column.name.as_str())
}

/// Whether a derived field is computed otherwise than before: by another expression, or with another value of a setting.
fn is_computed_otherwise(old: &Published, new: &Published, was: &FieldDef, field: &FieldDef) -> bool {
    // To take one for another that only speaks of settings costs a look at its records, no more.
    let reads_settings = || serde_json::Value::Object(field.doc.settings.clone()).to_string().contains("setting");
    was.doc.settings != field.doc.settings
        || was.doc.kind != field.doc.kind
        || was.slots.is_empty()
        || (old.settings_of(field.app.as_str()) != new.settings_of(field.app.as_str()) && reads_settings())
}

impl Filling {
    /// Fills the records behind `after`, some of them.
    pub(super) fn page(&self, w: &Writer<'_>, old: &Published, after: Option<Vec<Value>>) -> Result<Page, Error> {
        let def = w.def(self.entity);
        let slots = (0..def.columns.len()).collect();
        let query = Select { after, limit: PAGE, slots, ..Select::of(def.id, Predicate::True, Binned::Any) };
        let found = w.tx.select(&w.app.schema, &query)?;
        let next = found.last().filter(|_| found.len() >= PAGE as usize).map(|row| row.keys.clone());
        let rows: Vec<Cells> = found.into_iter().map(|row| row.cells).collect();
        let (filled, lost) = self.rows(w, old, &rows)?;
        Ok(Page { next, changed: !filled.is_empty(), lost })
    }

    /// Fills these records; those that were different, and the fields whose values could not be converted.
    pub(super) fn rows(&self, w: &Writer<'_>, old: &Published, rows: &[Cells]) -> Result<(Filled, Vec<FieldId>), Error> {
        let def = w.def(self.entity);
        let ids: Vec<Uuid> = rows.iter().filter_map(|cells| id_of(def, cells)).collect();
        let was = self.was.map(|was| old.schema.entity(was));
        let former = match was.filter(|_| self.search || !self.conversions.is_empty()) {
            Some(was) => w.tx.load(was, &ids, Lock::None)?,
            None => vec![None; ids.len()],
        };
        let (mut filled, mut lost, mut texts) = (Filled::new(), Vec::new(), Vec::new());
        for ((cells, former), id) in rows.iter().zip(&former).zip(ids) {
            let mut after = cells.clone();
            if let (Some(was), Some(former)) = (was, former) {
                for (from, to) in &self.conversions {
                    let (from, to) = (was.field(*from), def.field(*to));
                    let converted = convert(w, from, to, from.cells(former));
                    if converted.is_none() {
                        lost.push(to.id);
                    }
                    set_cells(def, to, converted.unwrap_or_default(), &mut after);
                }
            }
            for rollup in w.app.graph.rollups_on(def.id).filter(|rollup| w.computes(def.id, rollup.field)) {
                rollups::recount(w, rollup, id, &mut after)?;
            }
            formulas::own(w, def, w.plan(def.id), Some(cells), &mut after)?;
            if self.search {
                // Found by either revision's words until the switch; what is found is looked at again with the reader's own.
                let mut text = persist::tokens(def, w.plan(def.id), &after, |_| true);
                if let (Some(was), Some(former)) = (was, former) {
                    text.push(' ');
                    text.push_str(&persist::tokens(was, old.plan(was.id), former, |_| true));
                }
                let is_live = crate::records::lookup::is_live(def, &after);
                texts.extend(is_live.then_some(IndexedText { record: id, tokens: text, is_new: false }));
            }
            if *cells != after {
                filled.push((id, Arc::new(cells.clone()), Arc::new(after)));
            }
        }
        persist::computed(w, def, &filled)?;
        w.tx.index_text(def.name.as_str(), texts);
        Ok((filled, lost))
    }
}

pub(super) fn id_of(def: &EntityDef, cells: &Cells) -> Option<Uuid> {
    def.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid)
}

/// A field's value as another kind has it: as it leaves, as a number, as its text, whichever is accepted first; none where
/// nothing is.
fn convert(w: &Writer<'_>, from: &FieldDef, to: &FieldDef, cells: &[Value]) -> Option<Vec<Value>> {
    let (Some(source), Some(target)) = (&from.typed, &to.typed) else { return Some(Vec::new()) };
    if cells.iter().all(Value::is_null) || matches!(from.role, Role::Secret) {
        return Some(Vec::new());
    }
    let mut bytes = Vec::new();
    source.write_json(cells, Numbers::Strings, &mut bytes);
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = source.text(cells, TextContext { locale: "en", zone: w.cx.workspace_zone() });
    let number = json.as_str().unwrap_or(&text).trim().parse::<rust_decimal::Decimal>().ok();
    let tries = [Some(Input::from(&json)), number.map(|number| Input::Number(number.to_string())), Some(Input::Text(text))];
    let accepting = AcceptContext { now: w.cx.now, sibling: &|_| None };
    tries.into_iter().flatten().find_map(|input| target.accept(&input, &accepting).ok())
}
