//! In charge of what somebody sees of a record because of an approval: a task that is before them, a copy.
//! Invariant: within an approval a step's hidden fields are not there, and what is made from them; a record that is in sight
//! by role alone is seen by role everywhere else.
//! Invariant: an open task shows its record and the fields that its step names, even beyond the role, unless it grants nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow::approval::{Node, Seat, SeatState};
use model::doc::approval::TaskAccess;
use model::{EntityDef, EntityId, FieldId, Value};
use store::Tx;
use store::system::Cond;
use store::system::approval::APPROVAL_TASK;
use uuid::Uuid;

use crate::approvals::drive::{own_facts, plan_of};
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, OPEN, Row};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::lookup::{Reader, is_live};
use crate::records::slice::Writer;

/// Tasks of one person on one record that are looked at.
const MOST: u32 = 50;

/// What steps say of a record to one person.
#[derive(Default)]
struct Said {
    /// Whether the record is in sight.
    rows: bool,
    shown: BTreeSet<FieldId>,
    hidden: BTreeSet<FieldId>,
}

impl Said {
    /// Takes in what a step says.
    fn step(&mut self, def: &EntityDef, plan: &FlowPlan, step: &str, grants: bool) {
        for (name, access) in plan.flow.fields(step).into_iter().flatten() {
            let Some(field) = def.find(name) else { continue };
            match access {
                TaskAccess::Hidden => drop(self.hidden.insert(field.id)),
                TaskAccess::Read | TaskAccess::Write | TaskAccess::Required if grants => drop(self.shown.insert(field.id)),
                TaskAccess::Read | TaskAccess::Write | TaskAccess::Required => {}
            }
        }
    }

    /// What the open tasks of an instance say.
    fn tasks(&mut self, def: &EntityDef, plan: &FlowPlan, row: &Row, me: Uuid) {
        for seat in row.instance.tasks().filter(|seat| has(row, seat, me)) {
            let Some(visit) = row.instance.visit(seat.visit) else { continue };
            let doc = plan.flow.node(visit.node.as_str()).and_then(Node::decision);
            let grants = doc.is_none_or(|doc| doc.grant != Some(false));
            self.rows |= grants;
            self.step(def, plan, visit.node.as_str(), grants);
        }
        // What one task hides another does not show.
        self.shown.retain(|field| !self.hidden.contains(field));
    }

    /// What a copy says: it shows no more than its step, and hides nothing that a task shows.
    fn copy(&mut self, def: &EntityDef, plan: &FlowPlan, row: &Row, me: Uuid) {
        let Some(step) = row.instance.copied.get(&me) else { return };
        self.rows = true;
        let mut said = Self::default();
        if let Some(step) = step {
            said.step(def, plan, step.as_str(), true);
        }
        self.hidden.extend(said.hidden.into_iter().filter(|field| !self.shown.contains(field)));
        self.shown.extend(said.shown.into_iter().filter(|field| !self.hidden.contains(field)));
    }

    fn cx(&self, cx: &Ctx, entity: EntityId) -> Ctx {
        let (shown, hidden): (Vec<FieldId>, Vec<FieldId>) = (self.shown.iter().copied().collect(), self.hidden.iter().copied().collect());
        let mut grants = Arc::clone(&cx.grants);
        if self.rows {
            grants = Arc::new(grants.with_rows(entity));
        }
        if !shown.is_empty() || !hidden.is_empty() {
            grants = Arc::new(grants.with_fields(&cx.app.schema, cx.app.graph.sources(), entity, &shown, &hidden));
        }
        Ctx { grants, ..cx.clone() }
    }
}

/// Whether a task is before somebody: to decide, to say their opinion, to be claimed.
pub(super) fn has(row: &Row, seat: &Seat, me: Uuid) -> bool {
    let in_pool = || row.instance.visit(seat.visit).is_some_and(|visit| visit.pool.contains(&me));
    seat.is_before(me) || (seat.state == SeatState::Unclaimed && in_pool())
}

/// The reader's facts as they hold for the record of an instance, seen within it; none where the record is out of sight.
/// `step` is one that is looked at although its task is not before the reader any more.
pub(super) fn within(cx: &Ctx, w: &Writer<'_>, plan: &FlowPlan, row: &Row, step: Option<&str>) -> Result<Option<Ctx>, Error> {
    let def = cx.app.schema.entity(plan.entity);
    if !cx.grants.sees(def.id) {
        return Ok(None);
    }
    let Some(cells) = w.reader.read(def.id, row.record)?.filter(|cells| is_live(def, cells)) else { return Ok(None) };
    let mut said = Said::default();
    if let Some(me) = cx.caller.user() {
        said.tasks(def, plan, row, me);
        said.copy(def, plan, row, me);
    }
    if let Some(step) = step {
        said.step(def, plan, step, false);
    }
    let reader = Reader::new(w.tx, &cx.app.schema);
    reader.put(def.id, row.record, cells);
    let in_sight = said.rows || reader.in_sight(cx, def.id, row.record)?;
    Ok(in_sight.then(|| said.cx(cx, def.id)))
}

/// The caller's facts on a record at which they have a task before them; none where they have none.
pub(crate) fn at_work(cx: &Ctx, tx: &Tx, entity: EntityId, record: Uuid) -> Result<Option<Ctx>, Error> {
    let Some(me) = cx.caller.user().filter(|_| cx.app.flows.has(entity) && cx.grants.sees(entity)) else { return Ok(None) };
    let open = Cond::In("state", OPEN.map(Value::text).to_vec());
    let fit = [Cond::Eq("record", Value::Uuid(record)), Cond::Eq("person", Value::Uuid(me)), open];
    let mut instances: Vec<Uuid> =
        tx.find(&APPROVAL_TASK, &fit, &[], MOST)?.iter().filter_map(|row| row.first()).filter_map(Value::as_uuid).collect();
    instances.sort_unstable();
    instances.dedup();
    if instances.is_empty() {
        return Ok(None);
    }
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let def = cx.app.schema.entity(entity);
    let mut said = Said::default();
    for instance in instances {
        let Some(row) = rows::get(tx, instance)? else { continue };
        let plan = plan_of(&w, &row)?;
        if plan.entity == entity {
            said.tasks(def, &plan, &row, me);
        }
    }
    // What the role shows anyway is not hidden by a task: the reader finds it in any list.
    if Reader::new(tx, &cx.app.schema).in_sight(cx, entity, record)? {
        said.hidden.clear();
    }
    Ok(Some(said.cx(cx, entity)))
}

/// The caller's facts with a record in sight of which they have a copy; none where they have none.
pub(crate) fn by_copy(cx: &Ctx, tx: &Tx, entity: EntityId, record: Uuid) -> Result<Option<Ctx>, Error> {
    let Some(me) = cx.caller.user().filter(|_| cx.app.flows.has(entity) && cx.grants.sees(entity)) else { return Ok(None) };
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let def = cx.app.schema.entity(entity);
    let mut said = Said::default();
    for row in rows::of_record(tx, record, false)?.iter().filter(|row| row.instance.copied.contains_key(&me)) {
        let plan = plan_of(&w, row)?;
        if plan.entity == entity {
            said.copy(def, &plan, row, me);
        }
    }
    Ok(said.rows.then(|| said.cx(cx, entity)))
}
