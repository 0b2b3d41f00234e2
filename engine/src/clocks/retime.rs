//! In charge of open clocks whose calendar became another one without their record being written: that of the owner's department.
//! Reading order: `moved` (what changed of whom, with the write), `RetimeTimer` (the clocks that follow, some at a time).
//! Invariant: a walk that goes on has a key of its own, so that a change in its middle begins another from the start.

use model::schema::ClockPart;
use model::{EntityDef, FieldDef, Value};
use rules::query::{Column, Leaf, Path, Predicate, Test};
use serde_json::{Value as Json, json};
use store::system::timer::{self, Timer};
use store::{Binned, Select};
use uuid::Uuid;

use super::timers::{PAGE, go_on};
use crate::automations::raise::timer_of;
use crate::error::Error;
use crate::published::Published;
use crate::records::accept::differs;
use crate::records::consequences::Touched;
use crate::records::notes_of;
use crate::records::slice::Writer;
use crate::scheduler::{Due, TimerKind};

/// The word in the table of timers.
const RETIME: &str = "clock_time";
const USER: &str = "core.user";
const DEPARTMENT: &str = "core.department";

/// Sees to it that open clocks follow people who came to another department, and departments that came to another calendar.
pub(crate) fn moved(w: &Writer<'_>, touched: &[Touched]) -> Result<(), Error> {
    if w.is_preview || w.filling.is_some() {
        return Ok(());
    }
    let mut timers = Vec::new();
    for row in touched {
        let Some(before) = &row.before else { continue };
        let def = w.def(row.entity);
        let changed = |name: &str| def.find(name).is_some_and(|field| differs(def, field, before, &row.after));
        match def.name.as_str() {
            USER if changed("department") => timers.extend(following(w.app).map(|def| of_person(w, def, row.id, None))),
            DEPARTMENT if changed("calendar") || changed("parent") => timers.push(of_department(w, row.id, None)),
            _ => {}
        }
    }
    Ok(timer::set(w.tx, &timers)?)
}

/// The entities with a clock that counts by the calendar of the owner's department.
fn following(app: &Published) -> impl Iterator<Item = &EntityDef> {
    let follows = |def: &&EntityDef| def.find("owner").is_some() && app.graph.clocks(def.id).iter().any(rules::clock::ClockPlan::follows_owner);
    app.schema.entities.iter().filter(follows)
}

fn of_department(w: &Writer<'_>, department: Uuid, after: Option<Uuid>) -> Timer {
    let body = json!({"department": department, "after": after});
    timer_of(w.cx, RETIME, key(&[&department.to_string()], after), None, w.cx.now, body)
}

fn of_person(w: &Writer<'_>, def: &EntityDef, owner: Uuid, after: Option<Uuid>) -> Timer {
    let body = json!({"owner": owner, "entity": def.name.as_str(), "after": after});
    timer_of(w.cx, RETIME, key(&[&owner.to_string(), def.name.as_str()], after), None, w.cx.now, body)
}

fn key(of: &[&str], after: Option<Uuid>) -> String {
    let after = after.map(|after| format!(":{after}")).unwrap_or_default();
    format!("{RETIME}:{}{after}", of.join(":"))
}

fn leaf(def: &EntityDef, field: &FieldDef, test: Test) -> Predicate {
    let leaf = |slot| Leaf { path: Path::own(def.id, field.id), column: Column::Slot(slot), test, negated: false };
    field.slot().map_or(Predicate::False, |slot| Predicate::Leaf(leaf(slot)))
}

/// A page of records, in the order of their ids; the last of them where more may follow.
fn page(w: &Writer<'_>, def: &EntityDef, filter: Predicate, after: Option<Uuid>) -> Result<(Vec<Uuid>, Option<Uuid>), Error> {
    let Some(slot) = def.slot("id") else { return Ok((Vec::new(), None)) };
    let after = after.map(|id| vec![Value::Uuid(id)]);
    let query = Select { after, limit: PAGE, slots: vec![slot], ..Select::of(def.id, filter, Binned::Live) };
    let rows = w.tx.select(&w.app.schema, &query)?;
    let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.cells.get(slot)?.as_uuid()).collect();
    let last = ids.last().copied().filter(|_| ids.len() >= PAGE as usize);
    Ok((ids, last))
}

/// Clocks of one person's records, or of all people of a department and those below it.
pub(crate) struct RetimeTimer;

impl TimerKind for RetimeTimer {
    fn name(&self) -> &'static str {
        RETIME
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let text = |key: &str| timer.body.get(key).and_then(Json::as_str);
        let id = |key: &str| text(key).and_then(|id| Uuid::try_parse(id).ok());
        let w = Writer::new(due.cx, due.tx);
        if let Some(department) = id("department") {
            people(&w, department, id("after"))?;
        }
        if let (Some(owner), Some(def)) = (id("owner"), text("entity").and_then(|name| w.app.schema.find(name))) {
            records(&w, def, owner, id("after"))?;
            due.note(notes_of(&w)?);
        }
        Ok(())
    }
}

/// Goes on from a department to its people.
fn people(w: &Writer<'_>, top: Uuid, after: Option<Uuid>) -> Result<(), Error> {
    let (Some(user), Some(tree)) = (w.app.schema.find(USER), w.app.schema.find(DEPARTMENT)) else { return Ok(()) };
    let (Some(field), Some(parent)) = (user.find("department"), tree.tree) else { return Ok(()) };
    let (people, last) = page(w, user, leaf(user, field, Test::Under { entity: tree.id, parent, top }), after)?;
    let mut timers: Vec<Timer> = people.iter().flat_map(|owner| following(w.app).map(|def| of_person(w, def, *owner, None))).collect();
    timers.extend(last.map(|last| of_department(w, top, Some(last))));
    Ok(timer::set(w.tx, &timers)?)
}

/// Brings the open clocks of a person's records in line.
fn records(w: &Writer<'_>, def: &EntityDef, owner: Uuid, after: Option<Uuid>) -> Result<(), Error> {
    let Some(field) = def.find("owner") else { return Ok(()) };
    // One that stands still has no moment yet: it is worked out when it goes on.
    let runs = |clock: &rules::clock::ClockPlan| {
        let slot = clock.kept.slot(ClockPart::State);
        let state = def.fields.iter().find(|field| field.slot() == Some(slot))?;
        Some(leaf(def, state, Test::Equal(Value::text(flow::clock::State::Running.as_str()))))
    };
    let open = Predicate::Any(w.app.graph.clocks(def.id).iter().filter(|clock| clock.follows_owner()).filter_map(runs).collect());
    let (ids, last) = page(w, def, Predicate::all(vec![leaf(def, field, Test::Equal(Value::Uuid(owner))), open]), after)?;
    go_on(w, def, &ids, &[])?;
    let next: Vec<Timer> = last.map(|last| of_person(w, def, owner, Some(last))).into_iter().collect();
    Ok(timer::set(w.tx, &next)?)
}
