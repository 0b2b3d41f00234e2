//! In charge of the clocks of records: how each stands after a change, what it says, and the timer by which it goes on by itself.
//! Reading order: `own` (a record's clocks, as part of its write), `written` (their timers), `restarts` (what records of other
//! entities start anew), `tell` (what clocks said, at the end of the transaction); `time` (limits and calendars), `timers`, `retime`.
//! Invariant: the state of a clock is written with the change that it follows from, and so is its timer.
//! Invariant: what a clock says it says in the transaction that notes it: once, whatever ends the process.

use chrono::{DateTime, Utc};
use flow::clock::{Kept, Said, Seen, State};
use model::schema::{ClockDef, ClockPart, Via};
use model::{Cells, EntityDef, EntityId, Value};
use rules::clock::{ClockPlan, RestartWhich};
use serde_json::{Map, json};
use store::system::timer::{self, Timer};
use uuid::Uuid;

use crate::automations::raise::{self, sets_off};
use crate::automations::trigger::Signal;
use crate::error::Error;
use crate::records::accept::differs;
use crate::records::along;
use crate::records::check::holds;
use crate::records::consequences::Touched;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;

pub(crate) mod retime;
mod time;
pub(crate) mod timers;

use time::Counting;

/// What clocks of one record said: which of the entity's clocks, and what.
pub(crate) type Sayings = Vec<(usize, Said)>;

/// A saying of a clock, until the transaction is whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saying {
    pub(crate) entity: EntityId,
    pub(crate) record: Uuid,
    pub(crate) clock: usize,
    pub(crate) said: Said,
}

/// Brings the clocks of a record in line with its cells and the moment; what they said. `restarts` are moments at which other
/// records start them anew.
pub(crate) fn own(
    w: &Writer<'_>,
    def: &EntityDef,
    before: Option<&Cells>,
    cells: &mut Cells,
    restarts: &[(usize, DateTime<Utc>)],
) -> Result<Sayings, Error> {
    let mut sayings = Sayings::new();
    for (index, plan) in w.app.graph.clocks(def.id).iter().enumerate() {
        let mut restart = restarts.iter().filter(|(clock, _)| *clock == index).map(|(_, at)| *at).max();
        if let Some(before) = before
            && plan.restarted_by.iter().any(|field| differs(def, def.field(*field), before, cells))
        {
            restart = restart.max(Some(w.cx.now));
        }
        let seen = seen(w, def, plan, before, cells, restart)?;
        let time = Counting::of(w, def, plan, cells)?;
        let (kept, said) = read(&plan.kept, cells).go_on(&seen, &time, w.cx.now);
        write(&plan.kept, &kept, cells);
        // What lies behind when rows come with an app or a publish is not called back.
        if sets_off(w.cx.cause) {
            sayings.extend(said.into_iter().map(|said| (index, said)));
        }
    }
    Ok(sayings)
}

fn seen(
    w: &Writer<'_>,
    def: &EntityDef,
    plan: &ClockPlan,
    before: Option<&Cells>,
    cells: &Cells,
    restart: Option<DateTime<Utc>>,
) -> Result<Seen, Error> {
    let app = def.name.app();
    let is = |condition: &Option<rules::condition::CompiledCondition>, otherwise: bool| {
        condition.as_ref().map_or(otherwise, |condition| holds(w, app, def, condition, before, cells))
    };
    let from = match along(w, &plan.from, cells)?.first() {
        Some(Value::Timestamp(moment)) => Some(*moment),
        Some(Value::Date(day)) => Some(crate::times::moment(w.cx.workspace_zone(), *day, chrono::NaiveTime::MIN)),
        Some(_) | None => None,
    };
    Ok(Seen { from, restart, runs: is(&plan.runs_if, true), paused: is(&plan.pause_if, false), met: is(&plan.met_if, false) })
}

/// What a record keeps of a clock.
pub(crate) fn read(def: &ClockDef, cells: &Cells) -> Kept {
    let cell = |part| cells.get(def.slot(part)).unwrap_or(&Value::Null);
    let moment = |part| cell(part).as_timestamp();
    let word = cell(ClockPart::State).as_text();
    Kept {
        state: State::ALL.into_iter().find(|state| Some(state.as_str()) == word),
        due_at: moment(ClockPart::DueAt),
        since: moment(ClockPart::Since),
        restarted_at: moment(ClockPart::RestartedAt),
        resumed_at: moment(ClockPart::ResumedAt),
        used: cell(ClockPart::Used).as_int().unwrap_or_default(),
        warned: cell(ClockPart::Warned).as_int().and_then(|count| usize::try_from(count).ok()).unwrap_or_default(),
    }
}

fn write(def: &ClockDef, kept: &Kept, cells: &mut Cells) {
    let moment = |moment: Option<DateTime<Utc>>| moment.map_or(Value::Null, Value::Timestamp);
    let count = |count: i64| if count == 0 { Value::Null } else { Value::Int(count) };
    for (part, value) in [
        (ClockPart::DueAt, moment(kept.due_at)),
        (ClockPart::State, kept.state.map_or(Value::Null, |state| Value::text(state.as_str()))),
        (ClockPart::Since, moment(kept.since)),
        (ClockPart::RestartedAt, moment(kept.restarted_at)),
        (ClockPart::ResumedAt, moment(kept.resumed_at)),
        (ClockPart::Used, count(kept.used)),
        (ClockPart::Warned, count(i64::try_from(kept.warned).unwrap_or(i64::MAX))),
    ] {
        if let Some(cell) = cells.get_mut(def.slot(part)) {
            *cell = value;
        }
    }
}

fn key(def: &EntityDef, clock: &ClockDef, record: Uuid) -> String {
    format!("{}:{}:{}:{record}", timers::CLOCK, def.name, clock.name)
}

/// Sets, moves and drops the timers of records whose clocks stand otherwise than before.
pub(crate) fn written<'c>(w: &Writer<'_>, def: &EntityDef, rows: impl Iterator<Item = (Uuid, Option<&'c Cells>, &'c Cells)>) -> Result<(), Error> {
    let plans = w.app.graph.clocks(def.id);
    if plans.is_empty() || w.is_preview {
        return Ok(());
    }
    let mut set = Vec::new();
    for (id, before, after) in rows {
        for plan in plans {
            let (was, is) = (before.map(|before| read(&plan.kept, before)).unwrap_or_default(), read(&plan.kept, after));
            if was == is {
                continue;
            }
            match next(w, def, plan, &is, after)? {
                Some(due) => set.push(timer(w, def, &plan.kept, id, due)),
                None if was.state == Some(State::Running) => {
                    timer::drop_key(w.tx, &key(def, &plan.kept, id))?;
                }
                None => {}
            }
        }
    }
    Ok(timer::set(w.tx, &set)?)
}

/// Sets the timers of a record anew, whatever there is.
pub(crate) fn arm(w: &Writer<'_>, def: &EntityDef, id: Uuid, cells: &Cells) -> Result<(), Error> {
    let mut set = Vec::new();
    for plan in w.app.graph.clocks(def.id) {
        match next(w, def, plan, &read(&plan.kept, cells), cells)? {
            Some(due) => set.push(timer(w, def, &plan.kept, id, due)),
            None => {
                timer::drop_key(w.tx, &key(def, &plan.kept, id))?;
            }
        }
    }
    Ok(timer::set(w.tx, &set)?)
}

/// A record that is in the bin has nothing more to wait for.
pub(crate) fn disarm(w: &Writer<'_>, def: &EntityDef, id: Uuid) -> Result<(), Error> {
    for plan in w.app.graph.clocks(def.id) {
        timer::drop_key(w.tx, &key(def, &plan.kept, id))?;
    }
    Ok(())
}

fn next(w: &Writer<'_>, def: &EntityDef, plan: &ClockPlan, kept: &Kept, cells: &Cells) -> Result<Option<DateTime<Utc>>, Error> {
    if kept.state != Some(State::Running) || !is_live(def, cells) {
        return Ok(None);
    }
    Ok(kept.next(&Counting::of(w, def, plan, cells)?))
}

fn timer(w: &Writer<'_>, def: &EntityDef, clock: &ClockDef, record: Uuid, due_at: DateTime<Utc>) -> Timer {
    let body = json!({"entity": def.name.as_str(), "clock": clock.name, "record": record});
    raise::timer_of(w.cx, timers::CLOCK, key(def, clock, record), Some(record), due_at, body)
}

/// The clocks that a record of another entity starts anew: entity, record, clock and moment.
pub(crate) fn restarts(w: &Writer<'_>, row: &Touched) -> Vec<(EntityId, Uuid, usize, DateTime<Utc>)> {
    let restarts = w.app.graph.restarts(row.entity);
    let def = w.def(row.entity);
    if restarts.is_empty() || w.filling.is_some() || !is_live(def, &row.after) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for restart in restarts {
        let at = match &restart.which {
            RestartWhich::Added => Some(w.cx.now),
            RestartWhich::Activities(kinds) => activity_at(w, def, kinds, &row.after),
            RestartWhich::ClosedTasks => was_closed(def, row).then_some(w.cx.now),
        };
        let Some(at) = at else { continue };
        let target = w.def(restart.entity);
        let was =
            row.before.as_deref().filter(|before| is_live(def, before)).map(|before| pointed_at(def, restart, target, before)).unwrap_or_default();
        for id in pointed_at(def, restart, target, &row.after) {
            // What was added is added once; an activity may be moved to another moment or record.
            if restart.which != RestartWhich::Added || !was.contains(&id) {
                found.push((restart.entity, id, restart.clock, at));
            }
        }
    }
    found
}

fn pointed_at(def: &EntityDef, restart: &rules::clock::Restart, target: &EntityDef, cells: &Cells) -> Vec<Uuid> {
    let cells = def.field(restart.by).cells(cells);
    match restart.via {
        Via::Column => cells.first().and_then(Value::as_uuid).into_iter().collect(),
        Via::Link => cells.first().map_or(&[][..], Value::items).iter().filter_map(Value::as_uuid).collect(),
        Via::AnyColumn => match cells {
            [Value::Uuid(id), Value::Text(entity), ..] if **entity == *target.name.as_str() => vec![*id],
            _ => Vec::new(),
        },
    }
}

/// When an activity of one of these types took place; one that is planned did not yet.
fn activity_at(w: &Writer<'_>, def: &EntityDef, kinds: &[String], cells: &Cells) -> Option<DateTime<Utc>> {
    let value = |name: &str| def.slot(name).and_then(|slot| cells.get(slot));
    let kind = value("type").and_then(Value::as_text);
    if !kinds.is_empty() && !kinds.iter().any(|there| Some(there.as_str()) == kind) {
        return None;
    }
    let at = value("at").and_then(Value::as_timestamp).unwrap_or(w.cx.now);
    (at <= w.cx.now).then_some(at)
}

/// Whether this change closed a task with a result.
fn was_closed(def: &EntityDef, row: &Touched) -> bool {
    let is_closed = |cells: &Cells| {
        let value = |name: &str| def.slot(name).and_then(|slot| cells.get(slot));
        value("done").is_some_and(|done| *done == Value::Bool(true)) && value("result").is_some_and(|result| !result.is_null())
    };
    is_closed(&row.after) && !row.before.as_deref().is_some_and(is_closed)
}

/// Raises what clocks said, once the changes are written.
pub(crate) fn tell(w: &Writer<'_>, sayings: &[Saying]) -> Result<(), Error> {
    for saying in sayings {
        let Some(plan) = w.app.graph.clocks(saying.entity).get(saying.clock) else { continue };
        if saying.said == Said::Warning {
            crate::pools::recycle::warn(w, saying)?;
        }
        raise::signal(w, saying.entity, saying.record, &Signal::Clock { name: plan.name.as_str(), at: saying.said.as_str() }, &Map::new())?;
    }
    Ok(())
}
