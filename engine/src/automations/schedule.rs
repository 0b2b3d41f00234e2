//! In charge of what the clock sets off: cron lines, and moments before or after a date of a record.
//! Invariant: each schedule has one timer, each record and date automation one; both are written with what they follow from.
//! Invariant: a schedule that was missed while nothing ran is made up for once, however often it was missed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::{Cells, EntityDef, Value};
use rules::query::Predicate;
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::run;
use store::system::timer::{self, TIMER, Timer};
use store::{Binned, Select, Tx};
use uuid::Uuid;

use super::plan::AutomationPlan;
use super::raise::{Happened, begin, holds, timer_of};
use super::trigger::Trigger;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::Published;
use crate::records::Op;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::scheduler::{Due, TimerKind};

/// The word in the table of timers: a cron line.
const SCHEDULE: &str = "schedule";
/// A moment by a date of a record.
const DATE: &str = "date";
/// Dates of the records that are there when an automation begins to wait for them.
const FILL: &str = "date_fill";
/// Records of one transaction.
const PAGE: u32 = 200;

/// Brings the timers of schedules in line with what is published, and keeps the definitions that runs will follow.
pub(crate) fn published(cx: &Ctx, tx: &Tx, app: &Published) -> Result<(), Error> {
    let mut keys = Vec::new();
    let mut timers = Vec::new();
    for plan in app.automations.on() {
        let is_new = run::definition(tx, &plan.hash)?.is_none();
        if is_new {
            run::define(tx, &plan.hash, &plan.body)?;
        }
        if let (true, Trigger::Date { .. }) = (is_new, &plan.trigger) {
            timers.push(timer_of(cx, FILL, format!("{FILL}:{}", plan.name), None, cx.now, json!({"automation": plan.name})));
        }
        let Trigger::Schedule { line, zone } = &plan.trigger else { continue };
        let key = format!("{SCHEDULE}:{}", plan.name);
        let wanted = json!({"automation": plan.name, "line": line, "zone": zone.map(|zone| zone.name())});
        keys.push(key.clone());
        // One that says the same keeps its moment.
        if timer::of_key(tx, &key)?.is_some_and(|there| there.body == wanted) {
            continue;
        }
        if let Some(due) = next(app, line, *zone, cx.now) {
            timers.push(timer_of(cx, SCHEDULE, key, None, due, wanted));
        }
    }
    let there = tx.find(&TIMER, &[Cond::Eq("kind", Value::text(SCHEDULE))], &[], 100_000)?;
    for key in there.iter().filter_map(|row| row.get(2)?.as_text()).filter(|key| !keys.iter().any(|there| there == key)) {
        timer::drop_key(tx, key)?;
    }
    Ok(timer::set(tx, &timers)?)
}

fn next(app: &Published, line: &str, zone: Option<chrono_tz::Tz>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let cron = crate::times::schedule(line).ok()?;
    crate::times::next_of(&cron, zone.unwrap_or(app.zone), now)
}

/// Cron lines.
pub(crate) struct ScheduleKind;

impl TimerKind for ScheduleKind {
    fn name(&self) -> &'static str {
        SCHEDULE
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let (cx, tx) = (due.cx, due.tx);
        let Some(plan) = timer.body.get("automation").and_then(Json::as_str).and_then(|name| cx.app.automations.named(name)) else { return Ok(()) };
        let Trigger::Schedule { line, zone } = &plan.trigger else { return Ok(()) };
        if plan.off {
            return Ok(());
        }
        // From now on, not from when it was due: what was missed meanwhile is not made up for one by one.
        if let (Some(due_at), Some(key)) = (next(&cx.app, line, *zone, cx.now), &timer.key) {
            timer::set(tx, &[timer_of(cx, SCHEDULE, key.clone(), None, due_at, timer.body.clone())])?;
        }
        let begun = begin(cx, plan, None, Json::Null, Map::new());
        // A run that nothing caused is no deeper than a person's change.
        Ok(run::put(tx, &[run::Run { depth: 1, ..begun }])?)
    }
}

/// The records that are there already when an automation begins to wait for their dates, a few at a time.
pub(crate) struct FillKind;

impl TimerKind for FillKind {
    fn name(&self) -> &'static str {
        FILL
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let (cx, tx) = (due.cx, due.tx);
        let named = timer.body.get("automation").and_then(Json::as_str).and_then(|name| cx.app.automations.named(name));
        let Some((plan, entity)) = named.filter(|plan| !plan.off).and_then(|plan| Some((plan, plan.entity?))) else { return Ok(()) };
        let def = cx.app.schema.entity(entity);
        let after = timer.body.get("after").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let query = Select {
            after: after.map(|id| vec![Value::Uuid(id)]),
            limit: PAGE,
            slots: (0..def.columns.len()).collect(),
            ..Select::of(entity, Predicate::True, Binned::Live)
        };
        let rows = tx.select(&cx.app.schema, &query)?;
        let mut timers = Vec::new();
        let mut last = None;
        for row in &rows {
            let Some(id) = def.slot("id").and_then(|slot| row.cells.get(slot)).and_then(Value::as_uuid) else { continue };
            last = Some(id);
            if let Some(at) = moment(cx, plan, def, &row.cells).filter(|at| *at > cx.now) {
                let body = json!({"automation": plan.name, "entity": def.name.as_str(), "record": id});
                timers.push(timer_of(cx, DATE, key_of(plan, id), Some(id), at, body));
            }
        }
        if let (Some(last), true, Some(key)) = (last, rows.len() >= PAGE as usize, &timer.key) {
            let body = json!({"automation": plan.name, "after": last});
            timers.push(timer_of(cx, FILL, key.clone(), None, cx.now, body));
        }
        Ok(timer::set(tx, &timers)?)
    }
}

/// Sets, moves or drops the timer of a record's date.
pub(crate) fn date_of(cx: &Ctx, tx: &Tx, plan: &AutomationPlan, def: &EntityDef, happened: &Happened) -> Result<(), Error> {
    let (was, is) = (
        happened.event.before.as_deref().filter(|cells| is_live(def, cells)).and_then(|cells| moment(cx, plan, def, cells)),
        Some(&*happened.event.after).filter(|cells| is_live(def, cells)).and_then(|cells| moment(cx, plan, def, cells)),
    );
    if was == is && happened.event.op == Op::Updated {
        return Ok(());
    }
    let key = key_of(plan, happened.id);
    timer::drop_key(tx, &key)?;
    match is {
        // What lies behind is not called back.
        Some(due) if due > cx.now => {
            let body = json!({"automation": plan.name, "entity": def.name.as_str(), "record": happened.id});
            Ok(timer::set(tx, &[timer_of(cx, DATE, key, Some(happened.id), due, body)])?)
        }
        Some(_) | None => Ok(()),
    }
}

fn key_of(plan: &AutomationPlan, record: Uuid) -> String {
    format!("{DATE}:{}:{record}", plan.name)
}

/// The moment that an automation waits for on a record.
fn moment(cx: &Ctx, plan: &AutomationPlan, def: &EntityDef, cells: &Cells) -> Option<DateTime<Utc>> {
    let Trigger::Date { field, offset, at } = &plan.trigger else { return None };
    let zone = cx.workspace_zone();
    match (def.field(*field).cells(cells).first()?, at) {
        (Value::Date(day), time) => {
            let moment = crate::times::moment(zone, *day, time.unwrap_or_default()) + *offset;
            // A time of day is a time of day also when clocks changed in between.
            let shown = time.filter(|_| offset.num_seconds() % 86_400 == 0);
            Some(shown.map_or(moment, |time| crate::times::moment(zone, *day + *offset, time)))
        }
        (Value::Timestamp(moment), None) => Some(*moment + *offset),
        (Value::Timestamp(moment), Some(time)) => Some(crate::times::moment(zone, (*moment + *offset).with_timezone(&zone).date_naive(), *time)),
        _ => None,
    }
}

/// Dates of records.
pub(crate) struct DateKind;

impl TimerKind for DateKind {
    fn name(&self) -> &'static str {
        DATE
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let (cx, tx) = (due.cx, due.tx);
        let text = |key: &str| timer.body.get(key).and_then(Json::as_str);
        let plan = text("automation").and_then(|name| cx.app.automations.named(name)).filter(|plan| !plan.off).map(Arc::clone);
        let (Some(plan), Some(def)) = (plan, text("entity").and_then(|name| cx.app.schema.find(name))) else { return Ok(()) };
        let Some(id) = text("record").and_then(|id| Uuid::try_parse(id).ok()) else { return Ok(()) };
        let w = Writer::new(cx, tx);
        let Some(cells) = w.reader.read(def.id, id)?.filter(|cells| is_live(def, cells)) else { return Ok(()) };
        if !holds(&w, &plan, def.id, None, &cells) {
            return Ok(());
        }
        let begun = begin(cx, &plan, Some((def.name.to_string(), id)), Json::Null, Map::new());
        Ok(run::put(tx, &[begun])?)
    }
}
