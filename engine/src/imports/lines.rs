//! In charge of lines that are counted when an import ends: headers and lines may come from two files of it.
//! Invariant: a record whose lines are too few or too many is taken back, and its row stands in the error file.
//! Invariant: taken up again after a kill it begins at the first records not looked at; what is taken back already is passed over.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};

use model::field::Role;
use model::{EntityDef, EntityId, Message, Slot, Value};
use rules::query::{Column, Leaf, Path, Predicate, Test};
use store::{Binned, Lock, Select, Tx};
use uuid::Uuid;

use super::plan::{self, Mapped};
use super::progress::{MADE, WATCHED, placed};
use super::run::Run;
use super::slice::{End, Outcomes};
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::jobs::Halt;
use crate::records::lookup::is_live;
use crate::records::{Submission, write_in};

/// Records whose lines are counted at once.
const AT_ONCE: u64 = 200;
/// Lines that are read at once.
const PAGE: u32 = 1_000;

/// Records that are taken back, by the ordinal of their row, with the reason.
pub(super) type Refused = HashMap<u64, (Uuid, String)>;

/// A lines field that says how many there must be.
struct Counted<'a> {
    label: &'a str,
    line: &'a EntityDef,
    by: model::FieldId,
    slot: Slot,
    min: usize,
    max: usize,
}

/// The fields of `def` whose lines are counted.
fn counted<'a>(cx: &'a Ctx, def: &'a EntityDef) -> Vec<Counted<'a>> {
    let of = |field: &'a model::FieldDef| {
        let Role::Lines { min, max, .. } = &field.role else { return None };
        let inverse = def.inverses.get(&field.name).filter(|_| min.is_some() || max.is_some())?;
        let line = cx.app.schema.entity(inverse.entity);
        Some(Counted {
            label: field.doc.label(field.name.as_str(), &cx.locale),
            line,
            by: inverse.by,
            slot: line.field(inverse.by).slot()?,
            min: min.map_or(0, |min| min as usize),
            max: max.map_or(usize::MAX, |max| max as usize),
        })
    };
    def.fields.iter().filter_map(of).collect()
}

impl Run {
    /// Whether records of an entity are looked at again when all rows are written.
    pub(super) fn watches(&self, entity: EntityId) -> bool {
        self.counts_lines && !self.dry_run && self.refused.is_none() && !counted(&self.cx, self.cx.app.schema.entity(entity)).is_empty()
    }

    /// Counts the lines of the records that were made, and takes back those that have too few or too many.
    pub(super) async fn count_lines(&mut self) -> Result<(), Halt> {
        while self.progress.counted < self.progress.watched {
            let mut by_part: BTreeMap<usize, Vec<(u64, Uuid)>> = BTreeMap::new();
            let watched = self.watched().await?;
            let count = watched.len() as u64;
            for (place, id) in watched {
                let (part, ordinal) = placed(place);
                by_part.entry(part).or_default().push((ordinal, id));
            }
            for (part, made) in by_part {
                let refused = self.miscounted(part, made).await?;
                if refused.is_empty() {
                    continue;
                }
                let mut ordinals: Vec<u64> = refused.keys().copied().collect();
                ordinals.sort_unstable();
                (self.progress.part, self.progress.next) = (part, 0);
                self.refused = Some(refused.into());
                let done = self.part(part, Some(ordinals)).await;
                self.refused = None;
                done?;
            }
            if count == 0 {
                break;
            }
            self.progress.counted += count;
        }
        Ok(())
    }

    /// The next records that are to be looked at.
    async fn watched(&self) -> Result<Vec<(u64, Uuid)>, Halt> {
        let content = self.engine.files().scratch().content(self.id, MADE);
        let (from, count) = (self.progress.counted, AT_ONCE.min(self.progress.watched - self.progress.counted));
        let read = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<(u64, Uuid)>> {
            let Some(content) = content else { return Ok(Vec::new()) };
            let mut input = content.open()?;
            input.seek(SeekFrom::Start(from * WATCHED as u64))?;
            let mut bytes = Vec::new();
            input.take(count * WATCHED as u64).read_to_end(&mut bytes)?;
            let one = |bytes: &[u8; WATCHED]| {
                let (place, id) = bytes.split_first_chunk::<8>()?;
                Some((u64::from_le_bytes(*place), Uuid::from_slice(id).ok()?))
            };
            Ok(bytes.as_chunks::<WATCHED>().0.iter().filter_map(one).collect())
        });
        let read = read.await.map_err(|error| Error::Internal(error.to_string()))?;
        Ok(read.map_err(|error| Error::Internal(format!("watched records: {error}")))?)
    }

    /// Those of `made` that are still there and have too few lines, or too many.
    async fn miscounted(&self, part: usize, made: Vec<(u64, Uuid)>) -> Result<Refused, Halt> {
        let Some(part) = self.parts.get(part) else { return Ok(Refused::new()) };
        let entity = plan::entity_of(&self.cx, self.app.as_deref(), &part.document.entity)?.id;
        let cx = self.cx.clone();
        Ok(self.engine.store().read(move |tx| miscounted(&cx, tx, entity, &made)).await?)
    }
}

fn miscounted(cx: &Ctx, tx: &Tx, entity: EntityId, made: &[(u64, Uuid)]) -> Result<Refused, Error> {
    let def = cx.app.schema.entity(entity);
    let ids: Vec<Uuid> = made.iter().map(|(_, id)| *id).collect();
    let there = tx.load(def, &ids, Lock::None)?;
    let mut refused = Refused::new();
    for field in counted(cx, def) {
        let counts = lines_of(cx, tx, &field, &ids)?;
        for ((ordinal, id), cells) in made.iter().zip(&there) {
            if !cells.as_ref().is_some_and(|cells| is_live(def, cells)) {
                continue;
            }
            let count = counts.get(id).copied().unwrap_or_default();
            let message = if count < field.min {
                Message::new("too_few").with("min", field.min)
            } else if count > field.max {
                Message::new("too_many").with("max", field.max)
            } else {
                continue;
            };
            let reason = format!("{}: {}", field.label, message.text(&cx.locale));
            let (_, told) = refused.entry(*ordinal).or_insert_with(|| (*id, String::new()));
            if !told.is_empty() {
                told.push_str("; ");
            }
            told.push_str(&reason);
        }
    }
    Ok(refused)
}

/// How many live lines each of `ids` has.
fn lines_of(cx: &Ctx, tx: &Tx, field: &Counted<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, usize>, Error> {
    let test = Test::In(ids.iter().copied().map(Value::Uuid).collect());
    let filter = Predicate::Leaf(Leaf { path: Path::own(field.line.id, field.by), column: Column::Slot(field.slot), test, negated: false });
    let mut counts = HashMap::new();
    let mut after = None;
    loop {
        let query = Select { after: after.take(), limit: PAGE, slots: vec![field.slot], ..Select::of(field.line.id, filter.clone(), Binned::Live) };
        let rows = tx.select(&cx.app.schema, &query)?;
        for parent in rows.iter().filter_map(|row| row.cells.get(field.slot).and_then(Value::as_uuid)) {
            *counts.entry(parent).or_insert(0) += 1;
        }
        match rows.last() {
            Some(last) if rows.len() >= PAGE as usize => after = Some(last.keys.clone()),
            Some(_) | None => return Ok(counts),
        }
    }
}

/// Takes back the records of rows, by the one write path.
pub(super) fn take_back(cx: &Ctx, tx: &Tx, entity: EntityId, rows: &[Mapped], refused: &Refused) -> Result<Outcomes, Error> {
    let engine = Ctx { change_set: cx.change_set, ..cx.as_engine(Cause::Import) };
    let delete = |row: &Mapped| refused.get(&row.ordinal).map(|(id, _)| Submission::Delete { id: *id, version: None });
    let (_, notes) = write_in(&engine, tx, entity, &rows.iter().filter_map(delete).collect::<Vec<_>>())?;
    let end = |row: &Mapped| refused.get(&row.ordinal).map_or(End::Skipped, |(_, reason)| End::Refused(reason.clone()));
    Ok(Outcomes { ends: rows.iter().map(end).collect(), notes, ..Outcomes::default() })
}
