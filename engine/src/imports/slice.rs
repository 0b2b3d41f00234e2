//! In charge of one slice of rows in one transaction: look-ups, keys, the write, what became of each row.
//! Invariant: free of outside effects, so that it may be run again; what it found is handed back.
//! Invariant: rows of one slice that are about the same record are written one after the other.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use model::doc::{IfMissing, ImportMode};
use model::{EntityDef, Input, Message, Value};
use store::{Lock, Tx};
use uuid::Uuid;

use super::ghosts::{self, Ghost, Ghosts};
use super::plan::{Early, Find, Key, Made, Mapped, Plan, Sought, cell_of};
use super::refusal::reason;
use super::resolve::{self, Known, Seen};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Outcome, Submission, Written, write_in};

/// How often the rows of a slice that wait for each other are tried again within it.
const ROUNDS: usize = 30;

/// What became of a row; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A new record.
    Created,
    /// A changed record.
    Updated,
    /// A record that was so already, or a row that does not count.
    Skipped,
    /// It waits for a later row.
    Waits,
    /// It waits for a person, who is to bring what is missing.
    Held(String),
    /// Its record was made, and taken back for this reason.
    Refused(String),
    /// It failed for this reason.
    Failed(String),
}

/// What a slice did.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// What became of each row.
    pub(crate) ends: Vec<End>,
    /// What look-ups found.
    pub(crate) found: Vec<(usize, String, Uuid)>,
    /// What to tell others after the commit.
    pub(crate) notes: Vec<ChangeNote>,
    /// Keys of records that would be there.
    pub(crate) ghosts: Vec<Ghost>,
    /// The records that were made, each with the place of its row in the slice.
    pub(crate) made: Vec<(usize, Uuid)>,
}

impl Outcomes {
    /// Adds what the next slice of the same transaction did; what became of its rows is noted already.
    pub(crate) fn extend(&mut self, next: Self) {
        self.found.extend(next.found);
        self.notes.extend(next.notes);
        self.ghosts.extend(next.ghosts);
        self.made.extend(next.made);
    }
}

/// How a slice is to be written.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// What earlier slices found.
    pub(crate) known: &'a Known,
    /// In a dry run: what earlier slices would have left.
    pub(crate) ghosts: Option<&'a Ghosts>,
    /// Whether no later row can bring what is missing.
    pub(crate) last: bool,
    /// Whether records that a person has changed stay as they are.
    pub(crate) keep_edits: bool,
}

/// What a look-up of a row came to; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Id(Uuid),
    /// Nothing, and that is all right.
    Empty,
    /// A record that the dry run would have made.
    Ghost,
    /// Nothing yet.
    Missing,
    Many,
}

struct Slice<'a> {
    cx: &'a Ctx,
    tx: &'a Tx,
    plan: &'a Plan,
    def: &'a EntityDef,
    manner: Manner<'a>,
    rows: &'a [Mapped],
    ends: Vec<Option<End>>,
    /// What this slice found itself.
    found: HashMap<(usize, String), Seen>,
    /// Whether rows no longer wait for other rows.
    gives_up: bool,
    out: Outcomes,
}

/// A row that is ready to be written.
struct Ready {
    index: usize,
    values: IndexMap<String, Input>,
    adds: Vec<usize>,
    key: Option<Vec<Value>>,
    /// Fields that a dry run leaves out because their record is not there yet.
    ghosts: Vec<String>,
    /// References whose record was not found, with what is told of it.
    unfound: Vec<(String, String)>,
}

/// Writes the rows of a slice.
pub(crate) fn write(cx: &Ctx, tx: &Tx, plan: &Plan, rows: &[Mapped], manner: Manner<'_>) -> Result<Outcomes, Error> {
    let def = cx.app.schema.entity(plan.entity);
    let ends = rows
        .iter()
        .map(|row| match &row.early {
            None => None,
            Some(Early::Skipped) => Some(End::Skipped),
            Some(Early::Failed(reason)) => Some(End::Failed(reason.clone())),
        })
        .collect();
    let mut slice = Slice { cx, tx, plan, def, manner, rows, ends, found: HashMap::new(), gives_up: false, out: Outcomes::default() };
    for _ in 0..ROUNDS {
        if !slice.round()? {
            break;
        }
    }
    if manner.last {
        // Nothing more comes: what is still missing is told with all else that is wrong with the row.
        slice.gives_up = true;
        slice.round()?;
    }
    slice.finish();
    Ok(slice.out)
}

impl Slice<'_> {
    fn open(&self) -> Vec<usize> {
        self.ends.iter().enumerate().filter(|(_, end)| end.is_none()).map(|(index, _)| index).collect()
    }

    /// Tries the rows that are open; whether another try may help.
    fn round(&mut self) -> Result<bool, Error> {
        let open = self.open();
        if open.is_empty() {
            return Ok(false);
        }
        self.look_up(&open)?;
        self.make_missing(&open)?;
        let mut ready = Vec::new();
        let mut later = false;
        let mut keys = HashSet::new();
        for index in open {
            match self.ready(index) {
                None => later = true,
                Some(Err(reason)) => self.set(index, End::Failed(reason)),
                Some(Ok(row)) => {
                    // A second row about the same record waits until the first is written.
                    let name = row.key.as_deref().map(resolve::joined).or_else(|| self.rows.get(index).and_then(|row| row.id.clone()));
                    if name.is_none_or(|name| keys.insert(name)) {
                        ready.push(row);
                    } else {
                        later = true;
                    }
                }
            }
        }
        let any = !ready.is_empty();
        self.write(ready)?;
        Ok(later && any)
    }

    fn set(&mut self, index: usize, end: End) {
        if let Some(place) = self.ends.get_mut(index) {
            *place = Some(end);
        }
    }

    /// Asks for all records that the open rows look for, one question for each look-up.
    fn look_up(&mut self, open: &[usize]) -> Result<(), Error> {
        for (number, find) in self.plan.finds.iter().enumerate() {
            let mut sought: Vec<&Sought> = Vec::new();
            for index in open {
                let Some(row) = self.rows.get(*index) else { continue };
                for (step, made) in self.plan.steps.iter().zip(&row.made) {
                    if let (Some(of), Made::Find(keys)) = (step.find, made)
                        && of == number
                    {
                        sought.extend(
                            keys.iter().filter(|key| {
                                self.manner.known.get(number, &key.key).is_none() && !self.found.contains_key(&(number, key.key.clone()))
                            }),
                        );
                    }
                }
            }
            if sought.is_empty() {
                continue;
            }
            for (key, seen) in resolve::find(self.cx, self.tx, find, &sought)? {
                if let Seen::One(id) = seen {
                    self.out.found.push((number, key.clone(), id));
                }
                self.found.insert((number, key), seen);
            }
        }
        Ok(())
    }

    /// What a key came to.
    fn came(&self, number: usize, sought: &Sought) -> Came {
        if let Some(id) = self.manner.known.get(number, &sought.key) {
            return Came::Id(id);
        }
        match self.found.get(&(number, sought.key.clone())) {
            Some(Seen::One(id)) => return Came::Id(*id),
            Some(Seen::Many) => return Came::Many,
            None => {}
        }
        let Some(find) = self.plan.finds.get(number) else { return Came::Missing };
        let ghost = || ghosts::key(self.cx.app.schema.entity(find.entity), find.value_name(), &sought.key);
        let is_ghost = self.manner.ghosts.is_some_and(|ghosts| ghosts.has(ghost()));
        if is_ghost {
            return Came::Ghost;
        }
        let may_come = find.waits && !self.manner.last;
        match find.missing {
            IfMissing::Empty if !may_come => Came::Empty,
            IfMissing::Empty | IfMissing::Create | IfMissing::Error | IfMissing::Queue => Came::Missing,
        }
    }

    /// Makes the records that are looked for and may be made.
    fn make_missing(&mut self, open: &[usize]) -> Result<(), Error> {
        for (number, find) in self.plan.finds.iter().enumerate() {
            if find.missing != IfMissing::Create || (find.waits && !self.manner.last) {
                continue;
            }
            let mut wanted: IndexMap<String, String> = IndexMap::new();
            for index in open {
                let Some(row) = self.rows.get(*index) else { continue };
                for (step, made) in self.plan.steps.iter().zip(&row.made) {
                    if let (Some(of), Made::Find(keys)) = (step.find, made)
                        && of == number
                    {
                        let missing = keys.iter().filter(|key| !key.value.is_null() && self.came(number, key) == Came::Missing);
                        wanted.extend(missing.map(|key| (key.key.clone(), key.shown.clone())));
                    }
                }
            }
            if wanted.is_empty() {
                continue;
            }
            let create = |shown: &String| Submission::Create {
                id: None,
                values: [(find.value_name().to_owned(), Input::Text(shown.clone()))].into_iter().collect(),
            };
            let (results, notes) = write_in(self.cx, self.tx, find.entity, &wanted.values().map(create).collect::<Vec<_>>())?;
            self.out.notes.extend(notes);
            for (key, result) in wanted.into_keys().zip(results) {
                if let Ok(written) = result {
                    self.out.found.push((number, key.clone(), written.id));
                    self.found.insert((number, key), Seen::One(written.id));
                }
            }
        }
        Ok(())
    }

    /// A row's values with its look-ups resolved; none where it must wait.
    fn ready(&self, index: usize) -> Option<Result<Ready, String>> {
        let row = self.rows.get(index)?;
        let mut ready = Ready { index, values: IndexMap::new(), adds: Vec::new(), key: None, ghosts: Vec::new(), unfound: Vec::new() };
        for (number, (step, made)) in self.plan.steps.iter().zip(&row.made).enumerate() {
            let input = match made {
                Made::Keep => continue,
                Made::Input(input) => input.clone(),
                Made::Find(keys) => {
                    let find = step.find.unwrap_or_default();
                    let mut ids = Vec::new();
                    let mut unfound = None;
                    for key in keys {
                        let told = match self.came(find, key) {
                            Came::Id(id) => {
                                ids.push(Input::Text(id.to_string()));
                                continue;
                            }
                            Came::Empty => continue,
                            Came::Ghost => {
                                ready.ghosts.push(step.target.name.clone());
                                continue;
                            }
                            Came::Many => "find_many",
                            Came::Missing if self.plan.finds.get(find).is_some_and(|find| self.waits_for(find)) => return None,
                            Came::Missing => "find_none",
                        };
                        let reason = self.not_found(told, find, key);
                        // Only a reference surely refuses what stands in for the record.
                        if !step.target.is_reference() {
                            return Some(Err(reason));
                        }
                        unfound = Some(reason);
                    }
                    if let Some(reason) = unfound {
                        // Sent as what no reference takes, so that the row is refused with all that is wrong with it.
                        ready.unfound.push((step.target.name.clone(), reason));
                        ready.values.insert(step.target.name.clone(), Input::Bool(false));
                        continue;
                    }
                    if ids.is_empty() && ready.ghosts.contains(&step.target.name) {
                        continue;
                    }
                    if step.target.is_many() { Input::List(ids) } else { ids.pop().unwrap_or(Input::Null) }
                }
            };
            if step.add {
                ready.adds.push(number);
            }
            ready.values.insert(step.target.name.clone(), input);
        }
        if let Key::Fields(fields) = &self.plan.key {
            let cells: Option<Vec<Value>> = fields
                .iter()
                .map(|field| {
                    let name = &self.plan.steps.get(field.step)?.target.name;
                    cell_of(self.cx, self.def, field.field, field.slot, ready.values.get(name)?)
                })
                .collect();
            ready.key = cells;
            if ready.key.is_none() && !ready.unfound.is_empty() {
                // Without its key nothing more can be said of the row.
                return Some(Err(told(&ready.unfound)));
            }
        }
        Some(Ok(ready))
    }

    /// Whether a row waits for what this look-up does not find.
    fn waits_for(&self, find: &Find) -> bool {
        find.missing == IfMissing::Queue || (find.waits && !self.gives_up)
    }

    fn not_found(&self, message: &'static str, find: usize, key: &Sought) -> String {
        let locale = &self.cx.locale;
        let Some(find) = self.plan.finds.get(find) else { return String::new() };
        let def = self.cx.app.schema.entity(find.entity);
        let field = def.field(find.field);
        let by = field.doc.label(field.name.as_str(), locale);
        Message::new(message).with("entity", def.label(locale)).with("by", by).with("value", &key.shown).text(locale)
    }

    /// Writes the rows that are ready.
    fn write(&mut self, ready: Vec<Ready>) -> Result<(), Error> {
        let there = self.there(&ready)?;
        let (mut rows, mut submissions) = (Vec::new(), Vec::new());
        for (mut row, there) in ready.into_iter().zip(there) {
            let said = |key: &'static str| End::Failed(Message::new(key).text(&self.cx.locale));
            let end = match (there, self.plan.mode) {
                (There::Many, _) => Some(said("row_many_match")),
                (There::NoKey, ImportMode::Update) => Some(said("row_key_empty")),
                (There::None | There::BadId, ImportMode::Update) | (There::BadId, _) => Some(said("row_no_match")),
                (There::Ghost, _) => Some(End::Updated),
                (There::None | There::NoKey | There::Record(..) | There::Edited, _) => None,
            };
            if let Some(end) = end {
                self.set(row.index, end);
                continue;
            }
            match there {
                There::Edited => {
                    self.set(row.index, End::Skipped);
                    continue;
                }
                There::Record(id) => {
                    self.add_to_lists(id, &mut row)?;
                    submissions.push(Submission::Update { id, version: None, values: std::mem::take(&mut row.values) });
                }
                There::None | There::NoKey | There::Many | There::Ghost | There::BadId => {
                    self.out.ghosts.extend(self.ghosts_of(&row));
                    row.values.retain(|_, input| *input != Input::Null || self.plan.clear);
                    submissions.push(Submission::Create { id: None, values: std::mem::take(&mut row.values) });
                }
            }
            rows.push(row);
        }
        if submissions.is_empty() {
            return Ok(());
        }
        let cx = Ctx { asks: self.cx.asks && !self.plan.accepts_duplicates, ..self.cx.clone() };
        let (mut results, notes) = write_in(&cx, self.tx, self.plan.entity, &submissions)?;
        self.out.notes.extend(notes);
        self.collide(&mut results)?;
        for (row, result) in rows.into_iter().zip(results) {
            let end = self.end_of(&row, result);
            self.set(row.index, end);
        }
        Ok(())
    }

    /// In a dry run: rows that collide with what earlier slices would have left.
    fn collide(&mut self, results: &mut [Result<Written, Error>]) -> Result<(), Error> {
        let Some(there) = self.manner.ghosts.filter(|_| !self.cx.app.plan(self.plan.entity).unique.is_empty()) else { return Ok(()) };
        let ids: Vec<Uuid> = results.iter().flatten().filter(|written| written.outcome != Outcome::Unchanged).map(|written| written.id).collect();
        let records: HashMap<Uuid, model::Cells> =
            ids.iter().copied().zip(self.tx.load(self.def, &ids, Lock::None)?).filter_map(|(id, cells)| Some((id, cells?))).collect();
        let writer = Writer::new(self.cx, self.tx);
        for result in results.iter_mut() {
            let Ok(written) = result else { continue };
            let Some(cells) = records.get(&written.id) else { continue };
            match ghosts::unique(self.cx, &writer, self.def, written.id, cells, there) {
                Ok(ghosts) => self.out.ghosts.extend(ghosts),
                Err(error @ Error::Invalid(_)) => *result = Err(error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn end_of(&mut self, row: &Ready, result: Result<Written, Error>) -> End {
        match result {
            Ok(Written { outcome: Outcome::Created, id, .. }) => {
                self.out.made.push((row.index, id));
                End::Created
            }
            Ok(Written { outcome: Outcome::Unchanged, .. }) => End::Skipped,
            Ok(_) => End::Updated,
            // What a dry run left out is there in the real one.
            Err(Error::Invalid(faults))
                if !row.ghosts.is_empty() && faults.iter().all(|fault| fault.field.as_ref().is_some_and(|field| row.ghosts.contains(field))) =>
            {
                End::Created
            }
            Err(Error::Invalid(mut faults)) if !row.unfound.is_empty() => {
                faults.retain(|fault| !fault.field.as_ref().is_some_and(|field| row.unfound.iter().any(|(unfound, _)| unfound == field)));
                let others = if faults.is_empty() { String::new() } else { reason(self.cx, self.def, &Error::Invalid(faults)) };
                End::Failed([told(&row.unfound), others].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "))
            }
            Err(error) => End::Failed(reason(self.cx, self.def, &error)),
        }
    }

    /// The records that the rows are about.
    fn there(&self, ready: &[Ready]) -> Result<Vec<There>, Error> {
        let mut there = match &self.plan.key {
            Key::None => return Ok(ready.iter().map(|_| There::None).collect()),
            Key::Id(_) => ready
                .iter()
                .map(|row| match self.rows.get(row.index).and_then(|row| row.id.as_deref()) {
                    None => There::NoKey,
                    Some(text) => Uuid::try_parse(text.trim()).map_or(There::BadId, There::Record),
                })
                .collect(),
            Key::Fields(fields) => {
                let keys: Vec<Vec<Value>> = ready.iter().filter_map(|row| row.key.clone()).collect();
                let found = resolve::by_key(self.cx, self.tx, self.plan, fields, &keys)?;
                let of = |row: &Ready| {
                    let Some(key) = row.key.as_deref() else { return There::NoKey };
                    let key = resolve::joined(key);
                    match found.get(&key) {
                        Some(Seen::One(id)) => There::Record(*id),
                        Some(Seen::Many) => There::Many,
                        None if self.manner.ghosts.is_some_and(|ghosts| ghosts.has(ghosts::key(self.def, "", &key))) => There::Ghost,
                        None => There::None,
                    }
                };
                ready.iter().map(of).collect::<Vec<_>>()
            }
        };
        if self.manner.keep_edits {
            self.mark_edited(&mut there)?;
        }
        Ok(there)
    }

    /// Records that a person wrote last stay as they are.
    fn mark_edited(&self, there: &mut [There]) -> Result<(), Error> {
        let ids: Vec<Uuid> = there.iter().filter_map(|there| if let There::Record(id) = there { Some(*id) } else { None }).collect();
        let loaded = self.tx.load(self.def, &ids, Lock::None)?;
        let slot = self.def.slot("updated_by");
        let by_person = |cells: &model::Cells| slot.and_then(|slot| cells.get(slot)).is_some_and(|by| !by.is_null());
        let edited: HashSet<Uuid> = ids.iter().zip(&loaded).filter(|(_, cells)| cells.as_ref().is_some_and(by_person)).map(|(id, _)| *id).collect();
        for place in there {
            if matches!(place, There::Record(id) if edited.contains(id)) {
                *place = There::Edited;
            }
        }
        Ok(())
    }

    /// What is added to a list comes behind what is there.
    fn add_to_lists(&self, id: Uuid, row: &mut Ready) -> Result<(), Error> {
        if row.adds.is_empty() {
            return Ok(());
        }
        let loaded = self.tx.load(self.def, &[id], Lock::None)?;
        let Some(Some(cells)) = loaded.first() else { return Ok(()) };
        for number in &row.adds {
            let Some(step) = self.plan.steps.get(*number) else { continue };
            let there = self.def.field(step.target.field).cells(cells).first().cloned().unwrap_or_default();
            let Some(Input::List(added)) = row.values.get_mut(&step.target.name) else { continue };
            let mut all: Vec<Input> = there.items().iter().map(rules::value::input_of).collect();
            let new: Vec<Input> = added.drain(..).filter(|item| !all.contains(item)).collect();
            all.extend(new);
            *added = all;
        }
        Ok(())
    }

    /// The keys by which later rows would find this record.
    fn ghosts_of(&self, row: &Ready) -> Vec<Ghost> {
        if self.manner.ghosts.is_none() {
            return Vec::new();
        }
        let mut keys: Vec<u64> = row.key.iter().map(|key| ghosts::key(self.def, "", &resolve::joined(key))).collect();
        for find in self.plan.finds.iter().filter(|find| find.entity == self.plan.entity) {
            let cell = row.values.get(find.value_name()).and_then(|input| cell_of(self.cx, self.def, find.field, find.slot, input));
            keys.extend(cell.map(|cell| ghosts::key(self.def, find.value_name(), &super::plan::key_text(&cell))));
        }
        // Other parts of the import may look this record up by any field: the ones that tell records apart are enough.
        for field in self.def.fields.iter().filter(|field| field.doc.common.unique || field.name.as_str() == "name") {
            let slot = super::plan::key_slot(self.def, field);
            let cell = slot.zip(row.values.get(field.name.as_str())).and_then(|(slot, input)| cell_of(self.cx, self.def, field.id, slot, input));
            keys.extend(cell.map(|cell| ghosts::key(self.def, field.name.as_str(), &super::plan::key_text(&cell))));
        }
        keys.into_iter().map(Ghost::Key).collect()
    }

    fn finish(&mut self) {
        let mut ends = Vec::with_capacity(self.rows.len());
        for (index, end) in self.ends.iter().enumerate() {
            ends.push(match end {
                Some(end) => end.clone(),
                None if self.manner.last => self.what_is_missing(index),
                None => End::Waits,
            });
        }
        self.out.ends = ends;
    }

    /// How a row ends that still waits: a person is to see to it where the document says so of all that is missing.
    fn what_is_missing(&self, index: usize) -> End {
        let Some(row) = self.rows.get(index) else { return End::Failed(String::new()) };
        let (mut reasons, mut is_queued) = (Vec::new(), true);
        for (step, made) in self.plan.steps.iter().zip(&row.made) {
            let (Some(number), Made::Find(keys)) = (step.find, made) else { continue };
            for key in keys.iter().filter(|key| self.came(number, key) == Came::Missing) {
                is_queued &= self.plan.finds.get(number).is_some_and(|find| find.missing == IfMissing::Queue);
                reasons.push(self.not_found("find_none", number, key));
            }
        }
        let reasons = reasons.join("; ");
        if is_queued { End::Held(Message::new("row_waits").with("reason", reasons).text(&self.cx.locale)) } else { End::Failed(reasons) }
    }
}

/// What is told of references whose record was not found.
fn told(unfound: &[(String, String)]) -> String {
    unfound.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>().join("; ")
}

/// The record that a row is about; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    None,
    /// The row says no key.
    NoKey,
    /// What it says is no id.
    BadId,
    Record(Uuid),
    /// One that a person wrote last.
    Edited,
    Many,
    /// One that the dry run would have made.
    Ghost,
}
