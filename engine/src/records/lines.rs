//! In charge of lines: rows that are part of a record, saved with it.
//! Invariant: a write of a line is a write of its parent: under its lock, with its version, which it raises.
//! Invariant: of the lines that are sent, those with an id are updated, others created, absent ones deleted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use model::field::Role;
use model::schema::LineOf;
use model::{Cells, Code, EntityDef, FieldDef, Input, Message, Value, Violation};
use rules::query::RelatedVia;
use store::Lock;
use uuid::Uuid;

use crate::error::Error;
use crate::records::check::holds;
use crate::records::consequences::Touched;
use crate::records::history::Op;
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::submission::{Channel, Submission};
use crate::records::{remove, write};

/// The parents of the lines of a slice.
#[derive(Default)]
pub(crate) struct Parents {
    line: Option<LineOf>,
    versions: HashMap<Uuid, i64>,
}

impl Parents {
    /// The version that counts for a line: its parent's.
    pub(crate) fn version_of(&self, def: &EntityDef, cells: &Cells) -> Option<i64> {
        let parent = parent_of(def, self.line?, cells)?;
        self.versions.get(&parent).copied()
    }
}

fn parent_of(def: &EntityDef, line: LineOf, cells: &Cells) -> Option<Uuid> {
    def.field(line.by).cells(cells).first().and_then(Value::as_uuid)
}

/// Locks the parents of the lines that are written on their own.
pub(crate) fn lock_parents(w: &Writer<'_>, slice: &Slice<'_>, ids: &[Uuid]) -> Result<Parents, Error> {
    let Some(line) = slice.def.line_of.filter(|_| !w.within_parent.get()) else { return Ok(Parents::default()) };
    let mut parents = Vec::new();
    for id in ids {
        if let Some(cells) = w.reader.read(slice.def.id, *id)? {
            parents.extend(parent_of(slice.def, line, &cells));
        }
    }
    w.reader.preload(line.parent, &parents, Lock::Change)?;
    let parent_def = w.def(line.parent);
    let mut versions = HashMap::new();
    for id in parents {
        if let Some(cells) = w.reader.read(line.parent, id)?
            && let Some(version) = parent_def.slot("version").and_then(|slot| cells.get(slot)).and_then(Value::as_int)
        {
            versions.insert(id, version);
        }
    }
    Ok(Parents { line: Some(line), versions })
}

/// Checks the number of lines that were sent.
pub(crate) fn accept(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let def = slice.def;
    let fields: Vec<&FieldDef> = def.fields.iter().filter(|field| matches!(field.role, Role::Lines { .. })).collect();
    for row in slice.rows.iter_mut().filter(|row| row.goes_on()) {
        for field in &fields {
            let Role::Lines { min, max, .. } = &field.role else { continue };
            let sent = row.lines.iter().find(|lines| lines.field == field.id).map(|lines| lines.rows.len());
            // Headers and lines of a file come apart: what is missing is looked at when the change set ends.
            let count = match (sent, row.doing, w.cx.channel) {
                (Some(count), ..) => count,
                (None, Doing::Create, Channel::Request) => 0,
                (None, ..) => continue,
            };
            let name = field.name.as_str();
            if let Some(least) = min.filter(|least| count < *least as usize) {
                row.faults.push(Violation::of_field(name, Code::Required, Message::new("too_few").with("min", least)));
            }
            if let Some(most) = max.filter(|most| count > *most as usize) {
                row.faults.push(Violation::of_field(name, Code::OutOfRange, Message::new("too_many").with("max", most)));
            }
        }
    }
    Ok(())
}

/// How many lines a parent gains by what is done to its lines alone.
pub(crate) type Gains = HashMap<Uuid, i64>;

/// Where lines of an entity are written alone: whose they are.
fn alone(w: &Writer<'_>, def: &EntityDef) -> Option<LineOf> {
    def.line_of.filter(|_| !w.within_parent.get() && w.cx.channel != Channel::Engine)
}

/// Lines that are written alone: what holds for their parents holds for them, too.
pub(crate) fn accept_alone(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let Some(line) = alone(w, slice.def) else { return Ok(()) };
    let def = slice.def;
    let places = |row: &Row| {
        let before = row.before.as_ref().and_then(|cells| parent_of(def, line, cells));
        (before, parent_of(def, line, &row.after))
    };
    let mut gains = Gains::new();
    for (before, after) in slice.rows.iter().filter(|row| row.is_well()).map(places) {
        for (parent, gain) in [(before, -1), (after, 1)] {
            if let Some(parent) = parent {
                *gains.entry(parent).or_default() += if before == after { 0 } else { gain };
            }
        }
    }
    let faults = faults_of_parents(w, def, line, &gains)?;
    for row in slice.rows.iter_mut().filter(|row| row.is_well()) {
        let (before, after) = places(row);
        let concerned = before.into_iter().chain(after.filter(|_| before != after));
        row.faults.extend(concerned.filter_map(|parent| faults.get(&parent)).flatten().cloned());
    }
    Ok(())
}

/// The same for a line that goes or comes back alone; its parent's version, where it is alone.
///
/// # Errors
/// What holds for the parent; that the store could not.
pub(crate) fn comes_alone(w: &Writer<'_>, def: &EntityDef, cells: &Cells, gain: i64) -> Result<Option<i64>, Error> {
    let Some(line) = alone(w, def) else { return Ok(None) };
    let Some(parent) = parent_of(def, line, cells) else { return Ok(None) };
    let faults = faults_of_parents(w, def, line, &Gains::from([(parent, gain)]))?;
    if let Some(faults) = faults.into_values().next() {
        return Err(Error::Invalid(faults));
    }
    let version = |cells: Arc<Cells>| w.def(line.parent).slot("version").and_then(|slot| cells.get(slot)).and_then(Value::as_int);
    Ok(w.reader.read(line.parent, parent)?.and_then(version))
}

/// What parents refuse: that they are locked, that they have too many or too few lines then.
fn faults_of_parents(w: &Writer<'_>, def: &EntityDef, line: LineOf, gains: &Gains) -> Result<HashMap<Uuid, Vec<Violation>>, Error> {
    let (parent_def, plan) = (w.def(line.parent), w.plan(line.parent));
    let field = parent_def.field(line.lines);
    let mut parents: Vec<Uuid> = gains.keys().copied().collect();
    parents.sort_unstable();
    w.reader.preload(line.parent, &parents, Lock::Change)?;
    let mut faults: HashMap<Uuid, Vec<Violation>> = HashMap::new();
    for parent in &parents {
        let Some(cells) = w.reader.read(line.parent, *parent)? else { continue };
        let locked = plan.locked_if.as_ref().is_some_and(|condition| holds(w, parent_def.name.app(), parent_def, condition, None, &cells));
        if locked && !plan.locked_except.contains(&line.lines) {
            faults.entry(*parent).or_default().push(Violation::at(String::new(), Code::Locked, Message::new("locked")));
        }
    }
    // Headers and lines of a file come apart: their number is looked at when the change set ends.
    let numbered = if w.cx.channel == Channel::Import { None } else { Some(&field.role) };
    let Some(Role::Lines { min, max, .. }) = numbered else { return Ok(faults) };
    for (parent, gain) in gains.iter().filter(|(_, gain)| (**gain > 0 && max.is_some()) || (**gain < 0 && min.is_some())) {
        let count = i64::try_from(there_of(w, def, field, parent_def, *parent)?.len()).unwrap_or(i64::MAX).saturating_add(*gain);
        let fault = match (min, max) {
            (_, Some(most)) if *gain > 0 && count > i64::from(*most) => {
                Violation::at(String::new(), Code::OutOfRange, Message::new("too_many").with("max", most))
            }
            (Some(least), _) if *gain < 0 && count < i64::from(*least) => {
                Violation::at(String::new(), Code::Required, Message::new("too_few").with("min", least))
            }
            _ => continue,
        };
        faults.entry(*parent).or_default().push(fault);
    }
    Ok(faults)
}

/// The live lines of a record.
fn there_of(w: &Writer<'_>, line: &EntityDef, field: &FieldDef, parent: &EntityDef, id: Uuid) -> Result<HashSet<Uuid>, Error> {
    let Some(inverse) = parent.inverses.get(&field.name) else { return Ok(HashSet::new()) };
    let found = w.tx.related(&w.app.schema, &RelatedVia::Inverse(inverse.clone()), &[id])?;
    Ok(found.iter().filter_map(|(_, cells)| line.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid)).collect())
}

/// Whether a record has lines as it is to be: those that were sent, else those that are there.
pub(crate) fn has_any(w: &Writer<'_>, def: &EntityDef, field: &FieldDef, row: &Row) -> Result<bool, Error> {
    if let Some(sent) = row.lines.iter().find(|lines| lines.field == field.id) {
        return Ok(!sent.rows.is_empty());
    }
    match (row.doing, def.inverses.get(&field.name)) {
        (Doing::Update, Some(inverse)) => Ok(!there_of(w, w.def(inverse.entity), field, def, row.id)?.is_empty()),
        (Doing::Create | Doing::Update, _) => Ok(false),
    }
}

/// Writes the lines that were sent with their parents, and raises the parents of lines that were written alone.
pub(crate) fn write(w: &Writer<'_>, slice: &mut Slice<'_>, touched: Vec<Touched>) -> Result<Vec<Touched>, Error> {
    for row in &touched {
        w.reader.put(row.entity, row.id, Arc::clone(&row.after));
    }
    let rows = std::mem::take(&mut slice.rows);
    for row in rows.iter().filter(|row| row.is_well()) {
        for lines in &row.lines {
            write_lines(w, slice.def, row, slice.def.field(lines.field), &lines.rows)?;
        }
    }
    slice.rows = rows;
    if let Some(line) = slice.def.line_of.filter(|_| !w.within_parent.get()) {
        let mut parents: Vec<Uuid> = touched
            .iter()
            .flat_map(|row| {
                let before = row.before.as_ref().and_then(|cells| parent_of(slice.def, line, cells));
                before.into_iter().chain(parent_of(slice.def, line, &row.after))
            })
            .collect();
        parents.sort_unstable();
        parents.dedup();
        let raised = raise(w, line, &parents)?;
        for row in slice.rows.iter_mut().filter(|row| row.is_well()) {
            if let Some(version) = parent_of(slice.def, line, &row.after).and_then(|parent| raised.get(&parent)) {
                row.version = Some(*version);
            }
        }
    }
    // What the lines changed of the parent counts from here on.
    Ok(touched)
}

fn write_lines(w: &Writer<'_>, def: &EntityDef, row: &Row, field: &FieldDef, rows: &[IndexMap<String, Input>]) -> Result<(), Error> {
    let (Role::Lines { by, .. }, Some(inverse)) = (&field.role, def.inverses.get(&field.name)) else { return Ok(()) };
    let line = w.def(inverse.entity);
    let there: HashSet<Uuid> = match row.doing {
        Doing::Create => HashSet::new(),
        Doing::Update => there_of(w, line, field, def, row.id)?,
    };
    let (mut submissions, mut kept) = (Vec::new(), HashSet::new());
    let mut faults = Vec::new();
    for (index, values) in rows.iter().enumerate() {
        let mut values = values.clone();
        let id = values.shift_remove("id");
        for ignored in ["version", "title", "created_at", "created_by", "updated_at", "updated_by", "deleted_at", "owner_since"] {
            values.shift_remove(ignored);
        }
        values.entry("position".to_owned()).or_insert_with(|| Input::Number((index + 1).to_string()));
        match id.as_ref().and_then(Input::as_text).map(Uuid::try_parse) {
            None => {
                values.insert(by.to_string(), Input::Text(row.id.to_string()));
                submissions.push(Submission::Create { id: None, values });
            }
            Some(Ok(id)) if there.contains(&id) => {
                values.shift_remove(by.as_str());
                kept.insert(id);
                submissions.push(Submission::Update { id, version: None, values });
            }
            Some(_) => {
                let at = format!("/{}/{index}/id", field.name);
                faults.push(Violation::at(at, Code::BadReference, Message::new("bad_reference")));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let was = w.within_parent.replace(true);
    let done = replace(w, line, &there, &kept, submissions);
    w.within_parent.set(was);
    for (index, result) in done?.into_iter().enumerate() {
        match result {
            Ok(_) => {}
            Err(Error::Invalid(more)) => faults.extend(more.into_iter().map(|fault| fault.under(&format!("/{}/{index}", field.name)))),
            Err(other) => return Err(other),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

type Results = Vec<Result<crate::records::Written, Error>>;

fn replace(w: &Writer<'_>, line: &EntityDef, there: &HashSet<Uuid>, kept: &HashSet<Uuid>, submissions: Vec<Submission>) -> Result<Results, Error> {
    let mut gone: Vec<Uuid> = there.difference(kept).copied().collect();
    gone.sort_unstable();
    for id in gone {
        remove::delete(w, line.id, id, None)?;
    }
    write::write_slice(w, line.id, &submissions)
}

/// Raises the version of parents whose lines were written; the versions they have now.
pub(crate) fn raise(w: &Writer<'_>, line: LineOf, parents: &[Uuid]) -> Result<HashMap<Uuid, i64>, Error> {
    let def = w.def(line.parent);
    w.reader.preload(line.parent, parents, Lock::Change)?;
    let mut versions = HashMap::new();
    for id in parents {
        let Some(before) = w.reader.read(line.parent, *id)? else { continue };
        let mut after = Vec::clone(&before);
        let version = def.slot("version").and_then(|slot| after.get(slot)).and_then(Value::as_int).unwrap_or_default() + 1;
        for (name, value) in [
            ("version", Value::Int(version)),
            ("updated_at", Value::Timestamp(w.cx.now)),
            ("updated_by", w.cx.caller.user().map_or(Value::Null, Value::Uuid)),
        ] {
            if let Some(cell) = def.slot(name).and_then(|slot| after.get_mut(slot)) {
                *cell = value;
            }
        }
        w.tx.update(def, &[(Vec::clone(&before), after.clone())])?;
        w.log.borrow_mut().add(w.cx, def, Op::Updated, w.cx.cause, Some(&before), &after);
        w.reader.put(line.parent, *id, Arc::new(after));
        versions.insert(*id, version);
    }
    Ok(versions)
}

/// The records that an inverse leads to, lines in their order.
pub(crate) fn in_order(w: &Writer<'_>, inverse: &model::schema::InverseDef, id: Uuid) -> Result<Vec<Uuid>, Error> {
    let far = w.def(inverse.entity);
    let cell = |name: &str, cells: &model::Cells| far.slot(name).and_then(|slot| cells.get(slot)).cloned();
    let rows = w.tx.related(&w.app.schema, &RelatedVia::Inverse(inverse.clone()), &[id])?;
    let mut ids: Vec<(Option<i64>, Uuid)> = rows
        .iter()
        .filter_map(|(_, cells)| Some((cell("position", cells).and_then(|value| value.as_int()), cell("id", cells)?.as_uuid()?)))
        .collect();
    ids.sort_unstable();
    Ok(ids.into_iter().map(|(_, id)| id).collect())
}
