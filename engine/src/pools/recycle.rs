//! In charge of what brings records back to their pool: a clock that was missed; and of the warnings before.
//! Invariant: what is locked, in approval, won, exempt or protected stays with its owner; it is looked at again when that changes.
//! Invariant: to bring back what came back already does nothing.

use flow::clock::State;
use indexmap::IndexMap;
use model::{Cells, Code, EntityDef, Input, Message};
use serde_json::{Value as Json, json};
use store::Lock;
use store::system::holding;
use store::system::timer::{self, Timer};
use uuid::Uuid;

use super::{PoolPlan, is_won, owner_of, recycling};
use crate::automations::raise::timer_of;
use crate::clocks::Saying;
use crate::ctx::{Cause, Ctx, Person};
use crate::error::Error;
use crate::notices::{self, Notice, Way, Words};
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::write::write_slice;
use crate::records::{Channel, Shape, Submission, notes_of, one_in};
use crate::scheduler::{Due, TimerKind};

/// The word in the table of timers.
const RECYCLE: &str = "recycle";

fn is_missed(w: &Writer<'_>, pool: &PoolPlan, cells: &Cells) -> bool {
    recycling(w.app, pool).any(|clock| crate::clocks::read(&clock.kept, cells).state == Some(State::Missed))
}

/// Sees to it that a record is looked at whose clock was missed while somebody owns it.
pub(crate) fn watch(w: &Writer<'_>, def: &EntityDef, id: Uuid, cells: &Cells) -> Result<(), Error> {
    if owner_of(def, cells).is_none() || w.is_preview || !w.app.pools.of(def.id).any(|pool| is_missed(w, pool, cells)) {
        return Ok(());
    }
    Ok(timer::set(w.tx, &[look(w, def, id, w.cx.now)])?)
}

fn look(w: &Writer<'_>, def: &EntityDef, id: Uuid, at: chrono::DateTime<chrono::Utc>) -> Timer {
    let body = json!({"entity": def.name.as_str(), "record": id});
    timer_of(w.cx, RECYCLE, format!("{RECYCLE}:{id}"), Some(id), at, body)
}

/// Whether a pool would bring a record back when its clock is missed.
fn comes_back(w: &Writer<'_>, pool: &PoolPlan, def: &EntityDef, cells: &Cells) -> Result<bool, Error> {
    let fits = |predicate| rules::eval::matches(&predicate, &w.app.schema, def.id, cells, &w.reader);
    let is_exempt = pool.exempt.is_some() && fits(pool.bound(w.cx, pool.exempt.as_ref()))?;
    Ok(!is_exempt && !is_won(w.app, def, cells) && fits(pool.covers(w.cx))?)
}

/// A record whose clock was missed.
pub(crate) struct RecycleTimer;

impl TimerKind for RecycleTimer {
    fn name(&self) -> &'static str {
        RECYCLE
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let text = |key: &str| timer.body.get(key).and_then(Json::as_str);
        let id = text("record").and_then(|id| Uuid::try_parse(id).ok());
        let (Some(def), Some(id)) = (text("entity").and_then(|name| due.cx.app.schema.find(name)), id) else { return Ok(()) };
        // Locks bind it as they bind everybody.
        let cx = Ctx { cause: Cause::Recycle, channel: Channel::Request, ..due.cx.clone() };
        let w = Writer::new(&cx, due.tx);
        w.reader.preload(def.id, &[id], Lock::Change)?;
        let Some(cells) = w.reader.read(def.id, id)?.filter(|cells| is_live(def, cells)) else { return Ok(()) };
        let Some(owner) = owner_of(def, &cells) else { return Ok(()) };
        for pool in cx.app.pools.of(def.id) {
            if !is_missed(&w, pool, &cells) || !comes_back(&w, pool, def, &cells)? {
                continue;
            }
            if let Some(until) = holding::protected_until(due.tx, id)?.filter(|until| *until > cx.now) {
                return Ok(timer::set(due.tx, &[look(&w, def, id, until)])?);
            }
            let words = Message::new("notice_pool_recycled");
            let told = Telling { w: &w, pool, def, id };
            let title = told.title(owner)?;
            let values: IndexMap<String, Input> = [("owner".to_owned(), Input::Null)].into_iter().collect();
            let mut results = write_slice(&w, def.id, &[Submission::Update { id, version: None, values }])?;
            match results.pop() {
                Some(Ok(_)) => {
                    let notes = told.tell(owner, &title, &words, "pool_recycled")?;
                    w.log.borrow_mut().told.extend(notes);
                    due.note(notes_of(&w)?);
                }
                // It is looked at again when it is written: a lock ends with that.
                Some(Err(Error::Invalid(faults))) if faults.iter().all(|fault| fault.code == Code::Locked) => {}
                Some(Err(error)) => tracing::warn!(%error, record = %id, "a record could not go back to its pool"),
                None => {}
            }
            return Ok(());
        }
        Ok(())
    }
}

/// Warns the owner of a record that a pool will bring back.
pub(crate) fn warn(w: &Writer<'_>, saying: &Saying) -> Result<(), Error> {
    let def = w.def(saying.entity);
    let Some(clock) = w.app.graph.clocks(saying.entity).get(saying.clock) else { return Ok(()) };
    let Some(cells) = w.reader.read(saying.entity, saying.record)?.filter(|cells| is_live(def, cells)) else { return Ok(()) };
    let (Some(owner), Some(due_at)) = (owner_of(def, &cells), crate::clocks::read(&clock.kept, &cells).due_at) else { return Ok(()) };
    for pool in w.app.pools.of(saying.entity) {
        if !recycling(w.app, pool).any(|there| there.name == clock.name) || !comes_back(w, pool, def, &cells)? {
            continue;
        }
        if holding::protected_until(w.tx, saying.record)?.is_some_and(|until| until >= due_at) {
            continue;
        }
        let told = Telling { w, pool, def, id: saying.record };
        let title = told.title(owner)?;
        let words = Message::new("notice_pool_warning").with("until", due_at.with_timezone(&w.cx.workspace_zone()).format("%Y-%m-%d %H:%M"));
        let notes = told.tell(owner, &title, &words, "pool_warning")?;
        w.log.borrow_mut().told.extend(notes);
        return Ok(());
    }
    Ok(())
}

/// What is told of a record of a pool.
struct Telling<'a> {
    w: &'a Writer<'a>,
    pool: &'a PoolPlan,
    def: &'a EntityDef,
    id: Uuid,
}

impl Telling<'_> {
    /// The record's title as its owner sees it.
    fn title(&self, owner: Uuid) -> Result<String, Error> {
        let Some(cx) = crate::people::context_in(self.w.cx, self.w.tx, owner)? else { return Ok(String::new()) };
        let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
        Ok(one_in(&cx, self.w.tx, self.def.id, self.id, &shape)?.map(|answer| answer.title).unwrap_or_default())
    }

    fn tell(&self, owner: Uuid, title: &str, words: &Message, kind: &str) -> Result<Vec<crate::records::ChangeNote>, Error> {
        let notice = Notice { kind: kind.to_owned(), about: Some((self.def.name.to_string(), self.id)), ..Notice::default() };
        let said = |reader: &std::sync::Arc<Person>| {
            let subject = words.clone().with("title", title).with("pool", self.pool.label(&reader.locale)).text(&reader.locale);
            Ok(Words { subject, text: String::new() })
        };
        notices::tell(self.w.cx, self.w.tx, Way::Notice, &[owner], &notice, &said).map(|(_, notes)| notes)
    }
}
