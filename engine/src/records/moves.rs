//! In charge of moves between the stages of a pipeline, as part of a write.
//! Invariant: every change of a stage of an existing record is a move with its checks, through whichever door.
//! Invariant: a record may be created in any stage; by an import without what the stage requires.

use model::field::Role;
use model::{Code, FieldId, Message, Name, Value, Violation, Wording};

use crate::error::Error;
use crate::published::{PipelinePlan, StagePlan};
use crate::records::accept::set_cells;
use crate::records::check::holds;
use crate::records::lines;
use crate::records::slice::{Awaited, Doing, Moving, Row, Slice, Writer};
use crate::records::submission::Channel;

/// Puts the stage that a row moves to into its cells, after mapping it where the record changes its pipeline.
pub(crate) fn begin(slice: &mut Slice<'_>) {
    let (def, plan) = (slice.def, slice.plan);
    for row in slice.rows.iter_mut().filter(|row| row.goes_on()) {
        for stages in &plan.stages {
            switch(def, stages, row);
        }
        let Some(mut moving) = row.moving.take() else { continue };
        let field = def.field(moving.field);
        moving.from = row.before.as_ref().and_then(|before| field.cells(before).first().and_then(Value::as_text).map(str::to_owned));
        let Some(stages) = plan.stages.iter().find(|stages| stages.field == moving.field) else { continue };
        let known = stages.pipeline(def, &row.after).and_then(|(_, pipeline)| pipeline.doc.stages.get(moving.to.as_str()));
        match known {
            // Where it is already: no move, and no way around what a move is asked.
            Some(_) if moving.from.as_deref() == Some(moving.to.as_str()) => {}
            Some(_) => {
                set_cells(def, field, vec![Value::text(&moving.to)], &mut row.after);
                row.sent.insert(field.id);
                row.moving = Some(moving);
            }
            None => {
                let message = Message::new("unknown_stage").with("name", &moving.to);
                row.faults.push(Violation::of_field(field.name.as_str(), Code::TransitionRefused, message));
            }
        }
    }
}

/// A record whose pipeline changes goes to the stage that the `switch` of either pipeline says.
fn switch(def: &model::EntityDef, stages: &StagePlan, row: &mut Row) {
    let (Some(by), Some(before)) = (stages.by, row.before.clone()) else { return };
    if row.doing != Doing::Update || !row.changed(def, by) {
        return;
    }
    let (Some((old_name, old)), Some((new_name, new))) = (stages.pipeline(def, &before), stages.pipeline(def, &row.after)) else { return };
    let Some(current) = row.value(def, stages.field).as_text().map(str::to_owned) else { return };
    let mapped = new.doc.arriving(new_name.as_str(), (old_name.as_str(), &old.doc), current.as_str());
    let target = match mapped {
        Some(stage) => Some(stage.clone()),
        None if new.doc.stages.contains_key(current.as_str()) => None,
        None => new.doc.first_stage().cloned(),
    };
    if let Some(target) = target {
        set_cells(def, def.field(stages.field), vec![Value::text(target.as_str())], &mut row.after);
    }
}

/// Checks moves, and what the stage of a new record requires.
pub(crate) fn check(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let mut rows = std::mem::take(&mut slice.rows);
    for row in rows.iter_mut().filter(|row| row.goes_on()) {
        if let Some(moving) = row.moving.clone() {
            moved(w, slice, row, &moving)?;
        } else if row.doing == Doing::Create && w.cx.channel == Channel::Request {
            for stages in &slice.plan.stages {
                if let Some(stage) = row.value(slice.def, stages.field).as_text().map(str::to_owned)
                    && let Some((_, pipeline)) = stages.pipeline(slice.def, &row.after)
                {
                    entered(w, slice, row, pipeline, &stage)?;
                }
            }
        }
    }
    slice.rows = rows;
    Ok(())
}

/// The fields that a move asks for: they are part of it, also where the record is locked.
pub(crate) fn asked_for(slice: &Slice<'_>, row: &Row) -> Vec<FieldId> {
    let def = slice.def;
    let Some(moving) = &row.moving else { return Vec::new() };
    let mut asked = vec![moving.field];
    let stages = slice.plan.stages.iter().find(|stages| stages.field == moving.field);
    let Some((_, pipeline)) = stages.and_then(|stages| stages.pipeline(def, &row.after)) else { return asked };
    if let Some(transition) = moving.from.as_deref().and_then(|from| pipeline.transition(from, &moving.to)) {
        asked.extend(transition.ask.iter().filter_map(|name| def.find(name.as_str())).map(|field| field.id));
    }
    if let Some((stage, _)) = pipeline.doc.stages.get_key_value(moving.to.as_str()) {
        asked.extend(pipeline.requires.get(stage).into_iter().flatten().map(|(field, _)| *field));
    }
    asked
}

fn moved(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row, moving: &Moving) -> Result<(), Error> {
    let def = slice.def;
    let Some(stages) = slice.plan.stages.iter().find(|stages| stages.field == moving.field) else { return Ok(()) };
    let Some((_, pipeline)) = stages.pipeline(def, &row.after) else { return Ok(()) };
    // A flow makes the move that waited for it under the same conditions.
    if w.cx.channel != Channel::Engine || w.flow.get().is_some() {
        allowed(w, slice, row, pipeline, moving)?;
    }
    entered(w, slice, row, pipeline, &moving.to)
}

/// Whether there is such a move, for this person and record.
fn allowed(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row, pipeline: &PipelinePlan, moving: &Moving) -> Result<(), Error> {
    let def = slice.def;
    let name = def.field(moving.field).name.as_str();
    let refused = |wording: Wording| Violation { pointer: format!("/{name}"), field: Some(name.to_owned()), code: Code::TransitionRefused, wording };
    let plain = || Wording::Message(Message::new("transition_refused"));
    let Some(from) = moving.from.as_deref() else { return Ok(()) };
    let Some(transition) = pipeline.transition(from, &moving.to) else {
        row.faults.push(refused(plain()));
        return Ok(());
    };
    let worded = || transition.message.clone().map_or_else(plain, Wording::Label);
    if pipeline.doc.stages.get(moving.to.as_str()).is_some_and(|stage| stage.retired) {
        row.faults.push(refused(plain()));
    }
    // Whose move it is was looked at when it was asked for.
    let is_flows = w.flow.get().is_some();
    if !is_flows && !w.cx.has_role(def.field(moving.field).app.as_str(), &transition.roles) {
        row.faults.push(refused(worded()));
    }
    let key = (Name::parse(from), Name::parse(&moving.to));
    if let (Some(from), Some(to)) = key
        && let Some(condition) = pipeline.moves.get(&(from, to))
        && !holds(w, def.name.app(), def, condition, row.before.as_deref(), &row.after)
    {
        row.faults.push(refused(worded()));
    }
    for ask in &transition.ask {
        missing(w, slice, row, def.find(ask.as_str()).map(|field| field.id), None)?;
    }
    checklist(w, slice, row, pipeline, moving, from);
    if let Some(approval) = transition.approval.as_ref().filter(|_| !is_flows) {
        let flow = format!("{}.{approval}", def.field(moving.field).app);
        match w.app.flows.find(&flow).filter(|plan| plan.entity == def.id) {
            Some(_) => row.awaits = Some(Awaited { flow, moving: moving.clone(), begun: None }),
            None => row.faults.push(refused(worded())),
        }
    }
    Ok(())
}

/// What has to be approved first stays as it is: everything was checked as it would be.
pub(crate) fn hold(slice: &mut Slice<'_>) {
    for row in slice.rows.iter_mut().filter(|row| row.is_well()) {
        let (Some(_), Some(before)) = (&row.awaits, &row.before) else { continue };
        row.after = Vec::clone(before);
        row.sent.clear();
        row.set.clear();
        row.lines.clear();
        row.moving = None;
    }
}

/// Steps of the stage that is left: done, or skipped with a reason.
fn checklist(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row, pipeline: &PipelinePlan, moving: &Moving, from: &str) {
    let Some(stage) = pipeline.doc.stages.get(from) else { return };
    for (step, item) in &stage.checklist {
        let key = (Name::parse(from), step.clone());
        let condition = key.0.and_then(|from| pipeline.done.get(&(from, key.1)));
        let is_done = condition.is_some_and(|condition| holds(w, slice.def.name.app(), slice.def, condition, row.before.as_deref(), &row.after));
        let is_skipped = !item.required && moving.skip.get(step.as_str()).is_some_and(|reason| !reason.trim().is_empty());
        if condition.is_some() && !is_done && !is_skipped {
            let label = item.label.as_ref().map_or_else(|| step.to_string(), |label| label.get(&w.cx.locale).to_owned());
            let message = Message::new("checklist_open").with("name", label);
            row.faults.push(Violation::at(format!("/skip/{step}"), Code::TransitionRefused, message));
        }
    }
}

/// What the stage that is entered requires.
fn entered(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row, pipeline: &PipelinePlan, stage: &str) -> Result<(), Error> {
    let Some((key, doc)) = pipeline.doc.stages.get_key_value(stage) else { return Ok(()) };
    for (field, condition) in pipeline.requires.get(key).into_iter().flatten() {
        let applies =
            condition.as_ref().is_none_or(|condition| holds(w, slice.def.name.app(), slice.def, condition, row.before.as_deref(), &row.after));
        if applies {
            missing(w, slice, row, Some(*field), doc.message.as_ref())?;
        }
    }
    Ok(())
}

fn missing(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row, field: Option<FieldId>, message: Option<&model::Label>) -> Result<(), Error> {
    let Some(field) = field.map(|field| slice.def.field(field)) else { return Ok(()) };
    let is_there = match &field.role {
        Role::Lines { .. } => lines::has_any(w, slice.def, field, row)?,
        // What is computed on read is never missing.
        _ if field.cells(&row.after).is_empty() => true,
        _ => field.cells(&row.after).iter().any(|cell| !cell.is_null()),
    };
    if is_there || row.faults.iter().any(|fault| fault.field.as_deref() == Some(field.name.as_str())) {
        return Ok(());
    }
    let wording = message.cloned().map_or_else(|| Wording::Message(Message::new("stage_requires")), Wording::Label);
    let in_sight = w.cx.grants.field(slice.def, field.name.as_str()).is_some();
    let name = in_sight.then(|| field.name.to_string());
    let pointer = name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    row.faults.push(Violation { pointer, field: name, code: Code::StageRequires, wording });
    Ok(())
}
