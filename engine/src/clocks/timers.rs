//! In charge of clocks that go on by themselves: a warning or a limit that is due, and records that a publish gives clocks.
//! Invariant: acts in the transaction that removes the timer, and writes the record as the engine's own computing does.

use std::sync::Arc;

use model::schema::ClockPart;
use model::{EntityDef, Value};
use rules::query::Predicate;
use serde_json::{Value as Json, json};
use store::system::timer::{self, Timer};
use store::{Binned, Lock, Select, Tx};
use uuid::Uuid;

use crate::automations::raise::timer_of;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::published::Published;
use crate::records::consequences::{self, Touched};
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{formulas, notes_of, persist};
use crate::scheduler::{Due, TimerKind};

/// The word in the table of timers: a clock of a record.
pub(super) const CLOCK: &str = "clock";
/// Clocks of the records that are there when they are published.
const FILL: &str = "clock_fill";
/// Records of one transaction.
pub(super) const PAGE: u32 = 100;

/// A warning or a limit of a clock.
pub(crate) struct ClockTimer;

impl TimerKind for ClockTimer {
    fn name(&self) -> &'static str {
        CLOCK
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let text = |key: &str| timer.body.get(key).and_then(Json::as_str);
        let id = text("record").and_then(|id| Uuid::try_parse(id).ok());
        let (Some(def), Some(id)) = (text("entity").and_then(|name| due.cx.app.schema.find(name)), id) else { return Ok(()) };
        let w = Writer::new(due.cx, due.tx);
        go_on(&w, def, &[id], &[])?;
        due.note(notes_of(&w)?);
        Ok(())
    }
}

/// Brings clocks of records in line with the moment, `fresh` ones from their beginning.
pub(super) fn go_on(w: &Writer<'_>, def: &EntityDef, ids: &[Uuid], fresh: &[String]) -> Result<(), Error> {
    w.reader.preload(def.id, ids, Lock::Change)?;
    let mut changes = Vec::new();
    for id in ids {
        let Some(before) = w.reader.read(def.id, *id)?.filter(|cells| is_live(def, cells)) else { continue };
        let mut after = Vec::clone(&before);
        for clock in def.clocks.iter().filter(|clock| fresh.iter().any(|name| clock.name == *name.as_str())) {
            for part in ClockPart::ALL {
                if let Some(cell) = after.get_mut(clock.slot(part)) {
                    *cell = Value::Null;
                }
            }
        }
        formulas::follow(w, def, &before, &mut after, &[])?;
        super::arm(w, def, *id, &after)?;
        if *before != after {
            changes.push((*id, before, Arc::new(after)));
        }
    }
    persist::computed(w, def, &changes)?;
    let touched = changes.into_iter().map(|(id, before, after)| Touched { entity: def.id, id, before: Some(before), after });
    consequences::run(w, touched.collect(), None)
}

/// Sees to it that records get the clocks of a new revision: those whose clocks or calendars are others than before.
pub(crate) fn published(cx: &Ctx, tx: &Tx, old: &Published, new: &Published) -> Result<(), Error> {
    let times = |published: &Published| -> Vec<Json> {
        let apps = published.schema.apps.values();
        apps.map(|app| json!([app.app.name, app.calendars, app.holidays]))
            .chain([published.settings_of("core").get("calendar").cloned().into()])
            .collect()
    };
    let other_times = times(old) != times(new);
    let mut timers = Vec::new();
    for def in new.schema.entities.iter().filter(|def| !def.clocks.is_empty()) {
        let Some(was) = old.schema.find(def.name.as_str()) else { continue };
        if was.doc.clocks == def.doc.clocks && !other_times {
            continue;
        }
        let fresh: Vec<&str> = def.clocks.iter().map(|clock| clock.name.as_str()).filter(|name| !was.doc.clocks.contains_key(*name)).collect();
        let body = json!({"entity": def.name.as_str(), "fresh": fresh});
        timers.push(timer_of(cx, FILL, format!("{FILL}:{}", def.name), None, cx.now, body));
    }
    Ok(timer::set(tx, &timers)?)
}

/// The records that are there already when clocks are published, some at a time.
pub(crate) struct ClockFill;

impl TimerKind for ClockFill {
    fn name(&self) -> &'static str {
        FILL
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        // As a publish does it: what lies behind is not called back.
        let cx = Ctx { cause: Cause::Publish, ..due.cx.clone() };
        let Some(def) = timer.body.get("entity").and_then(Json::as_str).and_then(|name| cx.app.schema.find(name)) else { return Ok(()) };
        let after = timer.body.get("after").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let fresh = timer.body.get("fresh").cloned().unwrap_or_default();
        let names: Vec<String> = fresh.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
        let id_slot = def.slot("id").unwrap_or_default();
        let after = after.map(|id| vec![Value::Uuid(id)]);
        let query = Select { after, limit: PAGE, slots: vec![id_slot], ..Select::of(def.id, Predicate::True, Binned::Live) };
        let rows = due.tx.select(&cx.app.schema, &query)?;
        let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.cells.get(id_slot)?.as_uuid()).collect();
        let w = Writer::new(&cx, due.tx);
        go_on(&w, def, &ids, &names)?;
        due.note(notes_of(&w)?);
        if let (Some(last), true, Some(key)) = (ids.last(), ids.len() >= PAGE as usize, &timer.key) {
            let body = json!({"entity": def.name.as_str(), "fresh": fresh, "after": last});
            timer::set(due.tx, &[timer_of(&cx, FILL, key.clone(), None, cx.now, body)])?;
        }
        Ok(())
    }
}
