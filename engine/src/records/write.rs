//! In charge of a record write: the whole ordered list, inside one transaction.
//! Invariant: every change of a record goes through here, whoever asks: page, API, import, cascade, scenario.
//! Invariant: rights are checked before anything is written, and again on what is to be written.
//! Invariant: the rows of a slice are loaded, checked and written together; a row with a fault is left out.

use indexmap::IndexMap;
use model::{Code, EntityDef, EntityId, Input, Violation};
use store::Lock;
use uuid::Uuid;

use crate::error::Error;
use crate::records::accept::{Purpose, accept};
use crate::records::consequences;
use crate::records::slice::{Doing, Moving, Row, Slice, Writer};
use crate::records::submission::{Outcome, Submission, Written};
use crate::records::{check, fill, formulas, integrity, likeness, lines, moves, permit, persist, remove};

/// How deep changes may set off one another.
pub(crate) const MAX_DEPTH: u8 = 8;

/// Writes submissions of one entity within an open transaction: a result for each, in order. With an error nothing of the
/// transaction may be kept; a faulty row alone is not written while the others are.
pub(crate) fn write_slice(w: &Writer<'_>, entity: EntityId, submissions: &[Submission]) -> Result<Vec<Result<Written, Error>>, Error> {
    if w.cx.depth >= MAX_DEPTH {
        return Err(Error::of(Code::DepthExceeded, model::Message::new("depth_exceeded")));
    }
    let mut results: Vec<Option<Result<Written, Error>>> = submissions.iter().map(|_| None).collect();
    let (mut rows, mut places, mut sent) =
        (Vec::with_capacity(submissions.len()), Vec::with_capacity(submissions.len()), Vec::with_capacity(submissions.len()));
    for (index, submission) in submissions.iter().enumerate() {
        match row_of(w, entity, submission) {
            Step::Row(row, values) => {
                rows.push(*row);
                sent.push(values);
                places.push(index);
            }
            Step::Delete { id, version } => results[index] = Some(remove::delete(w, entity, id, version)),
            Step::Restore { id } => results[index] = Some(remove::restore(w, entity, id)),
        }
    }
    let mut slice = Slice { def: w.def(entity), plan: w.plan(entity), grant: w.cx.grants.entity(entity), rows };
    through_the_list(w, &mut slice, &sent)?;
    for (row, index) in slice.rows.into_iter().zip(places) {
        results[index] = Some(result_of(w, slice.def, row));
    }
    Ok(results.into_iter().flatten().collect())
}

/// The ordered list.
fn through_the_list(w: &Writer<'_>, slice: &mut Slice<'_>, sent: &[&Values]) -> Result<(), Error> {
    if slice.rows.is_empty() {
        return Ok(());
    }
    permit::authorize(w, slice);
    load(w, slice, sent)?;
    permit::before(w, slice)?;
    stale(slice);
    accept_all(w, slice, sent);
    moves::begin(slice);
    fill::fill(w, slice)?;
    formulas::compute(w, slice)?;
    if crate::automations::raise::before(w, slice)? {
        formulas::compute(w, slice)?;
    }
    formulas::clocks(w, slice)?;
    check::check(w, slice)?;
    moves::check(w, slice)?;
    lines::accept(w, slice)?;
    lines::accept_alone(w, slice)?;
    permit::after(w, slice)?;
    integrity::check(w, slice)?;
    moves::hold(slice);
    crate::files::attach::hang(w, slice)?;
    persist::persist(w, slice)?;
    let touched = persist::touched(slice);
    let touched = lines::write(w, slice, touched)?;
    consequences::run(w, touched, Some(slice))?;
    likeness::note(w, slice)?;
    crate::approvals::after_changes(w)?;
    for (row, values) in slice.rows.iter_mut().zip(sent).filter(|(row, _)| row.is_well()) {
        let Some(awaited) = &mut row.awaits else { continue };
        match w.tx.savepoint(|_| crate::approvals::begin_move(w, slice.def, row.id, awaited, values)) {
            Ok(begun) => awaited.begun = begun,
            Err(Error::Store(fault)) => return Err(Error::Store(fault)),
            Err(Error::Invalid(faults)) => row.faults.extend(faults),
            Err(error) => row.failed = Some(error),
        }
    }
    Ok(())
}

/// Values as they were sent.
type Values = IndexMap<String, Input>;

enum Step<'a> {
    Row(Box<Row>, &'a Values),
    Delete { id: Uuid, version: Option<i64> },
    Restore { id: Uuid },
}

fn row_of<'a>(w: &Writer<'_>, entity: EntityId, submission: &'a Submission) -> Step<'a> {
    match submission {
        Submission::Create { id, values } => Step::Row(Box::new(Row::new(id.unwrap_or_else(|| w.cx.new_id()), Doing::Create, None)), values),
        Submission::Update { id, version, values } => Step::Row(Box::new(Row::new(*id, Doing::Update, *version)), values),
        Submission::Move { id, version, field, to, values, skip } => {
            let def = w.def(entity);
            let mut row = Row::new(*id, Doing::Update, *version);
            let stage = match field {
                Some(name) => def.stages.iter().copied().find(|stage| def.field(*stage).name == *name),
                None => def.stages.first().copied(),
            };
            match stage {
                Some(field) => row.moving = Some(Moving { field, from: None, to: to.clone(), skip: skip.clone() }),
                None => row.failed = Some(Error::of(Code::TransitionRefused, model::Message::new("transition_refused"))),
            }
            Step::Row(Box::new(row), values)
        }
        Submission::Delete { id, version } => Step::Delete { id: *id, version: *version },
        Submission::Restore { id } => Step::Restore { id: *id },
    }
}

/// Step 2: the records as they are, locked.
fn load(w: &Writer<'_>, slice: &mut Slice<'_>, sent: &[&Values]) -> Result<(), Error> {
    let ids: Vec<Uuid> = slice.well().filter(|row| row.doing == Doing::Update).map(|row| row.id).collect();
    if let Some(tree) = slice.def.tree
        && slice
            .rows
            .iter()
            .zip(sent)
            .any(|(row, values)| row.is_well() && row.doing == Doing::Update && values.contains_key(slice.def.field(tree).name.as_str()))
    {
        integrity::lock_tree(w, slice.def)?;
    }
    w.reader.preload(slice.def.id, &ids, Lock::Change)?;
    let parents = lines::lock_parents(w, slice, &ids)?;
    let def = slice.def;
    for row in slice.well_mut() {
        match row.doing {
            Doing::Create => row.after = def.empty(),
            Doing::Update => match w.reader.read(def.id, row.id)? {
                Some(cells) => {
                    row.current = parents
                        .version_of(def, &cells)
                        .or_else(|| def.slot("version").and_then(|slot| cells.get(slot)).and_then(model::Value::as_int));
                    row.after = Vec::clone(&cells);
                    row.before = Some(cells);
                }
                None => row.failed = Some(Error::NotFound),
            },
        }
    }
    Ok(())
}

/// A version that is not the record's is a lost update. Only who may change the record hears of its version.
fn stale(slice: &mut Slice<'_>) {
    for row in slice.well_mut() {
        if let (Some(yours), Some(current)) = (row.version, row.current)
            && yours != current
        {
            row.failed = Some(Error::StaleVersion { current, yours });
        }
    }
}

/// Step 4: what was sent becomes typed cells.
fn accept_all(w: &Writer<'_>, slice: &mut Slice<'_>, sent: &[&Values]) {
    let (def, grant) = (slice.def, slice.grant);
    for (row, values) in slice.rows.iter_mut().zip(sent).filter(|(row, _)| row.goes_on()) {
        let purpose = match row.doing {
            Doing::Create => Purpose::Create,
            Doing::Update => Purpose::Update,
        };
        let base = std::mem::take(&mut row.after);
        let accepted = accept(w.cx, def, grant, purpose, base, values);
        row.after = accepted.cells;
        row.sent = accepted.sent;
        row.lines = accepted.lines;
        row.faults.extend(accepted.faults);
        if let Some((field, to)) = accepted.stage {
            let same =
                row.before.as_ref().is_some_and(|before| def.field(field).cells(before).first().and_then(model::Value::as_text) == Some(to.as_str()));
            if !same {
                row.moving = Some(Moving { field, from: None, to, skip: IndexMap::new() });
            }
        }
    }
}

fn result_of(w: &Writer<'_>, def: &EntityDef, row: Row) -> Result<Written, Error> {
    if let Some(error) = row.failed {
        return Err(error);
    }
    if !row.faults.is_empty() {
        return Err(Error::Invalid(row.faults.into_iter().map(|fault| in_sight(w, def, fault)).collect()));
    }
    Ok(Written {
        id: row.id,
        version: row.version.unwrap_or_default(),
        outcome: row.outcome.unwrap_or(Outcome::Unchanged),
        json: None,
        left_sight: row.left_sight,
        approval: row.awaits.and_then(|awaited| awaited.begun),
    })
}

/// A fault as the caller may hear it: a field out of sight is not named. A name that was sent and is unknown comes back as sent.
fn in_sight(w: &Writer<'_>, def: &EntityDef, fault: Violation) -> Violation {
    let hidden = |name: &str| def.find(name).is_some() && w.cx.grants.field(def, name).is_none();
    match &fault.field {
        Some(name) if fault.code != Code::UnknownField && hidden(name) => Violation { field: None, pointer: String::new(), ..fault },
        Some(_) | None => fault,
    }
}
