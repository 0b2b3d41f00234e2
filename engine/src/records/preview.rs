//! In charge of what a form and a record page need before anything is written: conditions, faults, what may be done.
//! Invariant: evaluated by the very steps of the write path, on the record as it would be; nothing is written.

use indexmap::IndexMap;
use model::doc::{Condition, Transition};
use model::field::Role;
use model::{Cells, EntityDef, EntityId, Input, Label, Value, Violation};
use rules::condition::CompiledCondition;
use rules::expr::{Place, Use};
use store::{Lock, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::accept::{Purpose, accept};
use crate::records::check::{self, holds};
use crate::records::lookup::is_live;
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::{fill, formulas};

/// What a form shows of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldState {
    /// Whether it is there.
    pub visible: bool,
    /// Whether it must be filled.
    pub required: bool,
    /// Whether it may not be changed.
    pub read_only: bool,
}

/// What a form shows while a person types.
#[derive(Clone, Debug, Default)]
pub struct FormState {
    /// By field.
    pub fields: IndexMap<String, FieldState>,
    /// The values as they would be, as JSON by field: defaults, copies and formulas put in.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// What is wrong so far.
    pub faults: Vec<Violation>,
    /// Whether each condition that was asked about holds.
    pub conditions: Vec<bool>,
}

/// A stage that a record may move to.
#[derive(Clone, Debug)]
pub struct MoveChoice {
    /// The stage.
    pub to: String,
    /// What people call the stage.
    pub label: String,
    /// What it means: `open`, `won`, ….
    pub kind: &'static str,
    /// A colour of the palette.
    pub color: Option<String>,
    /// What the button says, where it says something of its own.
    pub button: Option<Label>,
    /// Fields that are asked for, and those that the stage requires and that are empty.
    pub ask: Vec<String>,
    /// Whether this person may make the move as the record is.
    pub allowed: bool,
}

/// What a person may do with a record.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Change it.
    pub update: bool,
    /// Delete it.
    pub delete: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// The stage field, and the stage that it is in.
    pub stage: Option<(String, String)>,
    /// Where it may move.
    pub moves: Vec<MoveChoice>,
}

impl Engine {
    /// What a form shows for these values, of a new record or one that is there; `conditions` are those of its items.
    ///
    /// # Errors
    /// `NotFound` where the record is not there or out of sight.
    pub async fn form_state(
        &self,
        cx: &Ctx,
        entity: EntityId,
        id: Option<Uuid>,
        values: IndexMap<String, Input>,
        conditions: Vec<Condition>,
    ) -> Result<FormState, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| form_state(&cx, tx, entity, id, &values, &conditions)).await
    }

    /// What the caller may do with a record.
    ///
    /// # Errors
    /// `NotFound` where it is not there or out of sight.
    pub async fn allowed(&self, cx: &Ctx, entity: EntityId, id: Uuid) -> Result<Allowed, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| allowed(&cx, tx, entity, id)).await
    }
}

/// A record that the caller sees.
fn seen(w: &Writer<'_>, def: &EntityDef, id: Uuid) -> Result<std::sync::Arc<Cells>, Error> {
    w.reader.preload(def.id, &[id], Lock::None)?;
    let cells = w.reader.read(def.id, id)?.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
    if rules::eval::matches(&w.cx.grants.entity(def.id).read, &w.app.schema, def.id, &cells, &w.reader)? { Ok(cells) } else { Err(Error::NotFound) }
}

/// A record as it would be with these values, with every step that comes before a write done.
pub(crate) fn drafted(w: &Writer<'_>, def: &EntityDef, id: Option<Uuid>, values: &IndexMap<String, Input>) -> Result<(Row, Doing), Error> {
    let grant = w.cx.grants.entity(def.id);
    let before = id.map(|id| seen(w, def, id)).transpose()?;
    let (doing, purpose) = if before.is_some() { (Doing::Update, Purpose::Update) } else { (Doing::Create, Purpose::Create) };
    let mut row = Row::new(id.unwrap_or_else(|| w.cx.new_id()), doing, None);
    let base = before.as_ref().map_or_else(|| def.empty(), |cells| Vec::clone(cells));
    let accepted = accept(w.cx, def, grant, purpose, base, values);
    row.before = before;
    row.after = accepted.cells;
    row.sent = accepted.sent;
    row.lines = accepted.lines;
    row.faults = accepted.faults;
    let mut slice = Slice { def, plan: w.plan(def.id), grant, rows: vec![row] };
    fill::fill(w, &mut slice)?;
    formulas::compute(w, &mut slice)?;
    check::check(w, &mut slice)?;
    Ok((slice.rows.pop().ok_or(Error::NotFound)?, doing))
}

fn form_state(
    cx: &Ctx,
    tx: &Tx,
    entity: EntityId,
    id: Option<Uuid>,
    values: &IndexMap<String, Input>,
    conditions: &[Condition],
) -> Result<FormState, Error> {
    let w = Writer::preview(cx, tx);
    let def = w.def(entity);
    let grant = cx.grants.entity(entity);
    let (row, doing) = drafted(&w, def, id, values)?;
    let before = row.before.clone();
    let mut state = FormState { faults: row.faults.clone(), ..FormState::default() };
    for condition in conditions {
        let compiled = CompiledCondition::compile(Place::of(&cx.app.schema, entity, Use::Condition), condition);
        state.conditions.push(compiled.is_ok_and(|compiled| holds(&w, def.name.app(), def, &compiled, before.as_deref(), &row.after)));
    }
    let closed = match (doing, id) {
        (Doing::Update, Some(id)) => crate::approvals::lock::closed_now(&w, def, id)?.0,
        _ => Vec::new(),
    };
    for field in def.fields.iter().filter(|field| cx.grants.field(def, field.name.as_str()).is_some()) {
        let plan = w.plan(entity).field(field.id);
        let app = field.app.as_str();
        let on = |condition: &Option<rules::condition::CompiledCondition>| {
            condition.as_ref().is_some_and(|condition| holds(&w, app, def, condition, before.as_deref(), &row.after))
        };
        let may = match doing {
            Doing::Create => grant.may_set(field.id),
            Doing::Update => grant.may_change(field.id),
        };
        let by_engine = field.computed() || field.doc.common.read_only || matches!(field.role, Role::Autonumber { .. });
        let settable = !field.system || matches!(field.name.as_str(), "owner" | "department");
        state.fields.insert(
            field.name.to_string(),
            FieldState {
                visible: plan.show_if.is_none() || on(&plan.show_if),
                required: field.doc.common.required || on(&plan.required_if),
                read_only: !may || by_engine || !settable || on(&plan.read_only_if) || closed.contains(&field.id),
            },
        );
        if cx.grants.entity(entity).comparable(field.id) && !crate::records::history::sealed(field) {
            state.values.insert(field.name.to_string(), crate::records::history::json_of(field, &row.after));
        }
    }
    Ok(state)
}

fn allowed(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid) -> Result<Allowed, Error> {
    let w = Writer::preview(cx, tx);
    let def = w.def(entity);
    let cells = seen(&w, def, id)?;
    let grant = cx.grants.entity(entity);
    let may = |predicate| rules::eval::matches(predicate, &w.app.schema, entity, &cells, &w.reader);
    let locked = w.plan(entity).locked_if.as_ref().is_some_and(|condition| holds(&w, def.name.app(), def, condition, None, &cells));
    let (closed, held) = crate::approvals::lock::closed_now(&w, def, id)?;
    let mut found = Allowed { update: may(&grant.update)?, delete: may(&grant.delete)? && !locked && !held, locked, ..Allowed::default() };
    let Some(stages) = w.plan(entity).stages.first().filter(|stages| cx.grants.field(def, def.field(stages.field).name.as_str()).is_some()) else {
        return Ok(found);
    };
    let field = def.field(stages.field);
    let (Some(current), Some((_, pipeline))) = (field.cells(&cells).first().and_then(Value::as_text), stages.pipeline(def, &cells)) else {
        return Ok(found);
    };
    found.stage = Some((field.name.to_string(), current.to_owned()));
    for name in pipeline.doc.stage_names() {
        let Some(stage) = pipeline.doc.stages.get(name).filter(|stage| !stage.retired && name.as_str() != current) else { continue };
        let Some(transition) = pipeline.transition(current, name.as_str()) else { continue };
        let ask = asked(&w, def, &cells, &transition, pipeline.requires.get(name));
        found.moves.push(MoveChoice {
            to: name.to_string(),
            label: stage.label.as_ref().map_or_else(|| name.to_string(), |label| label.get(&cx.locale).to_owned()),
            kind: stage.kind.as_str(),
            color: stage.color.clone(),
            button: transition.label.clone(),
            ask,
            allowed: found.update && cx.has_role(field.app.as_str(), &transition.roles) && !closed.contains(&field.id),
        });
    }
    Ok(found)
}

type Requires = Vec<(model::FieldId, Option<rules::condition::CompiledCondition>)>;

/// The fields that a move asks for.
fn asked(w: &Writer<'_>, def: &EntityDef, cells: &Cells, transition: &Transition, requires: Option<&Requires>) -> Vec<String> {
    let mut names: Vec<String> = transition.ask.iter().map(ToString::to_string).collect();
    for (field, condition) in requires.into_iter().flatten() {
        let field = def.field(*field);
        let is_empty = field.cells(cells).iter().all(Value::is_null);
        let applies = condition.as_ref().is_none_or(|condition| holds(w, def.name.app(), def, condition, None, cells));
        if is_empty && applies && !names.iter().any(|name| *name == field.name.as_str()) {
            names.push(field.name.to_string());
        }
    }
    names.retain(|name| w.cx.grants.field(def, name).is_some());
    names
}
