//! In charge of making a conversion: everything of it in one transaction, through the write path.
//! Invariant: the source is locked before anything is looked at, so of two that convert it at once the second sees the first.
//! Invariant: all its changes are one change set, and each record that comes of it remembers what it came of.

use indexmap::IndexMap;
use model::doc::Repeat;
use model::fault::escape_pointer;
use model::{Code, EntityId, Input, Message};
use rules::query::RelatedVia;
use serde_json::{Map, Value as Json, json};
use store::system::conversion::{Conversion, Origin};
use store::{Lock, Tx};
use uuid::Uuid;

use super::asked::Asked;
use super::decide::{Decided, Deciding, Deed, Seen, not_convertible, pointing};
use super::lines::DecidedLines;
use super::plan::ConversionPlan;
use super::{origins, told};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::check::holds;
use crate::records::in_order;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Submission, Written, write_in};

/// What came of a conversion.
#[derive(Clone, Debug)]
pub(crate) struct Converted {
    /// The conversion as it is kept.
    pub(crate) id: Uuid,
    /// The record of each target that was not left out: its name, entity and id.
    pub(crate) targets: Vec<(String, EntityId, Uuid)>,
    pub(crate) notes: Vec<ChangeNote>,
}

/// What a preview tells, without writing.
pub(crate) fn preview_in(cx: &Ctx, tx: &Tx, plan: &ConversionPlan, record: Uuid, asked: &Asked) -> Result<Json, Error> {
    let w = Writer::preview(cx, tx);
    let source = source(&w, plan, record, Lock::None)?;
    let mut deciding = Deciding::new(&w, plan, source, asked, false);
    let decided = deciding.all()?;
    let faults = std::mem::take(&mut deciding.faults);
    told::preview(&w, plan, &decided, faults)
}

/// Converts within an open transaction.
pub(crate) fn convert_in(cx: &Ctx, tx: &Tx, plan: &ConversionPlan, record: Uuid, asked: &Asked) -> Result<Converted, Error> {
    let w = Writer::new(cx, tx);
    let source = source(&w, plan, record, Lock::Change)?;
    let before = std::sync::Arc::clone(&source.whole);
    let mut deciding = Deciding::new(&w, plan, source, asked, true);
    let decided = deciding.all()?;
    if !deciding.faults.is_empty() {
        return Err(Error::Invalid(deciding.faults));
    }
    if plan.moves.is_some() && !rules::eval::matches(&cx.grants.entity(plan.entity).update, &w.app.schema, plan.entity, &before, &w.reader)? {
        return Err(Error::Forbidden);
    }
    let id = cx.new_id();
    let set = match cx.change_set {
        Some(set) => set,
        None => {
            crate::change_sets::begin(cx, tx, id, &plan.name)?;
            id
        }
    };
    let mut doing = Doing { cx: Ctx { change_set: Some(set), ..cx.clone() }, tx, conversion: id, record, origins: Vec::new(), notes: Vec::new() };
    for one in &decided {
        doing.target(one)?;
    }
    doing.carry(plan, &decided)?;
    doing.move_source(plan)?;
    let kept = Conversion {
        id,
        name: plan.name.clone(),
        entity: w.def(plan.entity).name.to_string(),
        record,
        at: cx.now,
        by: cx.caller.user(),
        change_set: set,
    };
    tx.keep_conversion(&kept, &doing.origins)?;
    let there = decided.iter().filter(|one| one.deed != Deed::Skip);
    let targets = there.map(|one| (one.plan.name.to_string(), one.plan.entity, one.id)).collect();
    Ok(Converted { id, targets, notes: doing.notes })
}

/// What a conversion that was made is told as, to whoever sees what came of it.
pub(crate) fn answer(cx: &Ctx, tx: &Tx, conversion: Uuid) -> Result<Json, Error> {
    let Some(kept) = tx.conversions(&[conversion])?.into_iter().next() else { return Err(Error::NotFound) };
    let origins = tx.origins_of(&[conversion])?;
    let mut targets = Map::new();
    for name in cx.app.conversions.qualified(&kept.name).into_iter().flat_map(|plan| plan.targets.iter().map(|target| target.name.to_string())) {
        targets.insert(name, json!({"do": Deed::Skip.as_str()}));
    }
    for origin in origins.iter().filter(|origin| origin.lines.is_none()) {
        let deed = if origin.made { Deed::Create } else { Deed::Match };
        let mut one = json!({"do": deed.as_str(), "entity": origin.entity});
        if let (Some(map), Some(record)) = (one.as_object_mut(), origins::told(cx, tx, &origin.entity, origin.record)?) {
            map.extend(record.as_object().cloned().unwrap_or_default());
        }
        targets.insert(origin.target.clone(), one);
    }
    Ok(json!({"id": kept.id, "conversion": kept.name, "change_set": kept.change_set, "targets": targets}))
}

/// What is converted, where the caller sees it and it may be converted now.
fn source(w: &Writer<'_>, plan: &ConversionPlan, record: Uuid, lock: Lock) -> Result<Seen, Error> {
    w.reader.preload(plan.entity, &[record], lock)?;
    if !w.reader.in_sight(w.cx, plan.entity, record)? {
        return Err(Error::NotFound);
    }
    let def = w.def(plan.entity);
    let cells = w.reader.read(plan.entity, record)?.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
    if plan.repeat == Repeat::Once && origins::is_converted(w, plan, record)? {
        return Err(Error::of(Code::AlreadyConverted, Message::new("already_converted")));
    }
    if plan.condition.as_ref().is_some_and(|condition| !holds(w, &plan.app, def, condition, None, &cells)) {
        return Err(not_convertible());
    }
    Seen::new(w, plan.entity, record, cells)
}

struct Doing<'a> {
    cx: Ctx,
    tx: &'a Tx,
    conversion: Uuid,
    /// What is converted.
    record: Uuid,
    origins: Vec<Origin>,
    notes: Vec<ChangeNote>,
}

impl Doing<'_> {
    fn write(&mut self, cx: &Ctx, entity: EntityId, submissions: Vec<Submission>) -> Result<Vec<Result<Written, Error>>, Error> {
        let (results, notes) = write_in(cx, self.tx, entity, &submissions)?;
        self.notes.extend(notes);
        Ok(results)
    }

    fn one(&mut self, cx: &Ctx, entity: EntityId, submission: Submission) -> Result<Written, Error> {
        self.write(cx, entity, vec![submission])?.pop().unwrap_or(Err(Error::NotFound))
    }

    fn remember(&mut self, target: &str, lines: Option<&str>, made: bool, entity: &str, record: Uuid, source: Uuid) {
        let n = i64::try_from(self.origins.len()).unwrap_or(i64::MAX);
        let (target, lines, entity) = (target.to_owned(), lines.map(str::to_owned), entity.to_owned());
        self.origins.push(Origin { conversion: self.conversion, n, target, lines, made, entity, record, source });
    }

    fn target(&mut self, one: &Decided<'_>) -> Result<(), Error> {
        let cx = told::opening(&self.cx, one);
        let def = cx.app.schema.entity(one.plan.entity);
        let mut values = one.values.clone();
        match one.deed {
            Deed::Skip | Deed::Open => return Ok(()),
            Deed::Create => {
                for lines in one.lines.iter().filter(|lines| !lines.rows.is_empty()) {
                    let rows = lines.rows.iter().map(|line| Input::Map(line.values.clone())).collect();
                    values.insert(lines.plan.name.to_string(), Input::List(rows));
                }
                self.one(&cx, one.plan.entity, Submission::Create { id: Some(one.id), values }).map_err(|error| of_target(error, one))?;
            }
            Deed::Match => {
                if !values.is_empty() {
                    self.one(&cx, one.plan.entity, Submission::Update { id: one.id, version: None, values })
                        .map_err(|error| of_target(error, one))?;
                }
            }
        }
        self.remember(one.plan.name.as_str(), None, one.deed == Deed::Create, def.name.as_str(), one.id, self.record);
        for lines in one.lines.iter().filter(|lines| !lines.rows.is_empty()) {
            let ids = match one.deed {
                Deed::Match => self.add_lines(&cx, one, lines)?,
                Deed::Create | Deed::Skip | Deed::Open => self.lines_of(&cx, one, lines)?,
            };
            let line = cx.app.schema.entity(lines.plan.entity).name.to_string();
            for (line_of, id) in lines.rows.iter().zip(ids) {
                self.remember(one.plan.name.as_str(), Some(lines.plan.name.as_str()), true, &line, id, line_of.source);
            }
        }
        Ok(())
    }

    /// The lines that were made with their record, in order.
    fn lines_of(&self, cx: &Ctx, one: &Decided<'_>, lines: &DecidedLines<'_>) -> Result<Vec<Uuid>, Error> {
        let w = Writer::new(cx, self.tx);
        match w.def(one.plan.entity).inverses.get(lines.plan.name.as_str()) {
            Some(inverse) => in_order(&w, inverse, one.id),
            None => Ok(Vec::new()),
        }
    }

    /// Adds lines to a record that was there, behind those that it has.
    fn add_lines(&mut self, cx: &Ctx, one: &Decided<'_>, lines: &DecidedLines<'_>) -> Result<Vec<Uuid>, Error> {
        let there = self.lines_of(cx, one, lines)?.len();
        let line = cx.app.schema.entity(lines.plan.entity);
        let by = line.find(lines.plan.by.as_str());
        let (mut ids, mut submissions) = (Vec::new(), Vec::new());
        for (index, row) in lines.rows.iter().enumerate() {
            let mut values: IndexMap<String, Input> = row.values.clone();
            values.entry("position".to_owned()).or_insert_with(|| Input::Number((there + index + 1).to_string()));
            if let Some(by) = by {
                values.insert(by.name.to_string(), pointing(by, cx.app.schema.entity(one.plan.entity).name.as_str(), one.id));
            }
            ids.push(cx.new_id());
            submissions.push(Submission::Create { id: ids.last().copied(), values });
        }
        let mut faults = Vec::new();
        for (index, result) in self.write(cx, lines.plan.entity, submissions)?.into_iter().enumerate() {
            match result {
                Ok(_) => {}
                Err(Error::Invalid(more)) => {
                    let at = format!("/lines/{}/{}/{index}", escape_pointer(one.plan.name.as_str()), escape_pointer(lines.plan.name.as_str()));
                    faults.extend(more.into_iter().map(|fault| fault.under(&at)));
                }
                Err(other) => return Err(other),
            }
        }
        if faults.is_empty() { Ok(ids) } else { Err(Error::Invalid(faults)) }
    }

    /// What is about the source goes along to the first target that is not left out.
    fn carry(&mut self, plan: &ConversionPlan, decided: &[Decided<'_>]) -> Result<(), Error> {
        let Some(first) = decided.iter().find(|one| one.deed != Deed::Skip) else { return Ok(()) };
        let cx = self.cx.as_engine(self.cx.cause);
        let schema = &cx.app.schema;
        let target = schema.entity(first.plan.entity).name.to_string();
        for word in &plan.carry {
            let Some(inverse) = schema.entity(plan.entity).inverses.get(word.as_str()) else { continue };
            let far = schema.entity(inverse.entity);
            let by = far.field(inverse.by);
            let found = self.tx.related(schema, &RelatedVia::Inverse(inverse.clone()), &[self.record])?;
            let ids = found.iter().filter_map(|(_, cells)| far.slot("id").and_then(|slot| cells.get(slot)).and_then(model::Value::as_uuid));
            let submissions: Vec<Submission> = ids
                .map(|id| {
                    let values = [(by.name.to_string(), pointing(by, &target, first.id))].into_iter().collect();
                    Submission::Update { id, version: None, values }
                })
                .collect();
            for result in self.write(&cx, inverse.entity, submissions)? {
                result?;
            }
        }
        Ok(())
    }

    /// The document's own move: the pipeline's requirements bind it, its ways do not.
    fn move_source(&mut self, plan: &ConversionPlan) -> Result<(), Error> {
        let Some(to) = &plan.moves else { return Ok(()) };
        let cx = self.cx.as_engine(self.cx.cause);
        let (values, skip) = (IndexMap::new(), IndexMap::new());
        let moving = Submission::Move { id: self.record, version: None, field: None, to: to.to_string(), values, skip };
        self.one(&cx, plan.entity, moving).map(drop)
    }
}

/// What was refused of a target, with its place in what was asked.
fn of_target(error: Error, one: &Decided<'_>) -> Error {
    let name = escape_pointer(one.plan.name.as_str());
    match error {
        Error::Invalid(faults) => Error::Invalid(
            faults
                .into_iter()
                .map(|fault| {
                    let in_lines =
                        one.lines.iter().any(|lines| fault.pointer.starts_with(&format!("/{}/", escape_pointer(lines.plan.name.as_str()))));
                    fault.under(&if in_lines { format!("/lines/{name}") } else { format!("/values/{name}") })
                })
                .collect(),
        ),
        other => other,
    }
}
