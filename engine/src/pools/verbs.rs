//! In charge of what people do with records of a pool: claim, give to somebody, give back, protect.
//! Invariant: of many who claim at once one wins; the others hear that they lost.
//! Invariant: limits hold whatever is claimed side by side: a person's claims follow one another.

use indexmap::IndexMap;
use model::{Cells, Code, EntityDef, EntityId, Input, Message, Value, Violation};
use rules::query::Predicate;
use serde_json::Value as Json;
use std::sync::Arc;
use store::system::holding::{self, Passing};
use store::{Binned, Lock, Tx};
use uuid::Uuid;

use super::{PoolPlan, owner_of, person_of};
use crate::Engine;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::write::write_slice;
use crate::records::{ChangeNote, Channel, Shape, Submission, Written, notes_of, one_in};
use crate::times::Span;

/// What is done with a record of a pool; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolDeed {
    /// The caller takes it; who rules the pool may give it to somebody.
    Claim {
        /// To whom.
        to: Option<Uuid>,
    },
    /// It has no owner any more.
    Release {
        /// Why; it stands on the record's timeline.
        reason: Option<String>,
    },
    /// Its owner keeps it from coming back.
    Protect,
    /// Its owner does not keep it any more.
    Unprotect,
}

/// What is asked of a record of a pool.
#[derive(Clone, Debug)]
pub struct PoolAsk {
    /// The record's entity.
    pub entity: EntityId,
    /// The record.
    pub record: Uuid,
    /// The pool, bare or qualified; the first that fits where absent.
    pub pool: Option<String>,
    /// What is done.
    pub deed: PoolDeed,
}

impl Engine {
    /// Does something with a record of a pool; the record as the caller sees it then.
    ///
    /// # Errors
    /// `NotFound` where the caller has nothing to do with the record or the pool, `Forbidden`; `claim_lost`, `hold_limit`,
    /// `day_limit`, `cool_down`, `limit`; what a write of the record is refused for.
    pub async fn pool(&self, cx: &Ctx, ask: PoolAsk) -> Result<Written, Error> {
        let name = cx.app.schema.entity(ask.entity).name.clone();
        self.transact(cx, move |cx, tx| pool_in(cx, tx, &PoolAsk { entity: cx.entity_named(name.as_str())?, ..ask.clone() })).await
    }

    /// How a record stands to the pools of the caller: `pool` that it lies in, `claim`, `release` and whether it
    /// `asks_reason`, `protect`, `protected_until`.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn pool_standing(&self, cx: &Ctx, entity: EntityId, record: Uuid) -> Result<Json, Error> {
        if !cx.app.pools.has(entity) {
            return Ok(Json::Null);
        }
        let cx = cx.clone();
        self.store().read(move |tx| standing(&cx, tx, entity, record)).await
    }
}

fn standing(cx: &Ctx, tx: &Tx, entity: EntityId, record: Uuid) -> Result<Json, Error> {
    let w = Writer::new(cx, tx);
    let def = w.def(entity);
    let Some(cells) = w.reader.read(entity, record)?.filter(|cells| is_live(def, cells)) else { return Ok(Json::Null) };
    let (me, owner) = (cx.caller.user(), owner_of(def, &cells));
    for pool in cx.app.pools.of(entity) {
        if !fits(&w, &pool.covers(cx), def, &cells)? {
            continue;
        }
        let is_mine = owner.is_some() && owner == me;
        let protected = holding::protected_until(tx, record)?.filter(|until| *until > cx.now);
        return Ok(serde_json::json!({
            "pool": pool.name,
            "label": pool.label(&cx.locale),
            "claim": owner.is_none() && pool.is_member(cx),
            "release": owner.is_some() && (is_mine || pool.is_admin(cx)),
            "asks_reason": pool.asks_reason(),
            "protect": is_mine && pool.doc.protect.is_some() && protected.is_none(),
            "unprotect": (is_mine || pool.is_admin(cx)) && protected.is_some(),
            "protected_until": protected,
        }));
    }
    Ok(Json::Null)
}

fn fits(w: &Writer<'_>, predicate: &Predicate, def: &EntityDef, cells: &Cells) -> Result<bool, Error> {
    Ok(rules::eval::matches(predicate, &w.app.schema, def.id, cells, &w.reader)?)
}

fn pool_in(cx: &Ctx, tx: &Tx, ask: &PoolAsk) -> Result<(Written, Vec<ChangeNote>), Error> {
    let me = cx.caller.user();
    let taker = match ask.deed {
        PoolDeed::Claim { to } => to.or(me),
        PoolDeed::Release { .. } | PoolDeed::Protect | PoolDeed::Unprotect => me,
    };
    if let Some(taker) = taker {
        // What a person holds is counted while nothing else of theirs goes on.
        tx.lock_key(&format!("pool:{taker}"))?;
    }
    let w = Writer::new(cx, tx);
    let def = w.def(ask.entity);
    w.reader.preload(ask.entity, &[ask.record], Lock::Change)?;
    let cells = w.reader.read(ask.entity, ask.record)?.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
    let pool = pool_of(&w, ask, def, &cells)?;
    let going = Going { w: &w, pool: &pool, def, record: ask.record, cells: &cells };
    let (mut written, notes) = match &ask.deed {
        PoolDeed::Claim { to } => going.claim(*to)?,
        PoolDeed::Release { reason } => going.release(reason.as_deref())?,
        PoolDeed::Protect => going.protect(true)?,
        PoolDeed::Unprotect => going.protect(false)?,
    };
    written.json = one_in(cx, tx, ask.entity, ask.record, &Shape::default())?.map(|answer| answer.json);
    written.left_sight = written.json.is_none();
    Ok((written, notes))
}

/// The pool that is meant: the one that is named, else the first that covers the record and that the caller has to do with.
fn pool_of(w: &Writer<'_>, ask: &PoolAsk, def: &EntityDef, cells: &Cells) -> Result<Arc<PoolPlan>, Error> {
    let mine = owner_of(def, cells).is_some_and(|owner| Some(owner) == w.cx.caller.user());
    for pool in w.app.pools.of(ask.entity) {
        let is_meant = ask.pool.as_ref().is_none_or(|name| w.app.pools.named(ask.entity, name).is_some_and(|named| named.name == pool.name));
        if is_meant && (mine || pool.is_member(w.cx)) && fits(w, &pool.covers(w.cx), def, cells)? {
            return Ok(Arc::clone(pool));
        }
    }
    // Who sees the record may know that they may not.
    Err(if w.reader.in_sight(w.cx, ask.entity, ask.record)? { Error::Forbidden } else { Error::NotFound })
}

/// One deed on one record.
struct Going<'a> {
    w: &'a Writer<'a>,
    pool: &'a PoolPlan,
    def: &'a EntityDef,
    record: Uuid,
    cells: &'a Arc<Cells>,
}

type Done = (Written, Vec<ChangeNote>);

impl Going<'_> {
    fn claim(&self, to: Option<Uuid>) -> Result<Done, Error> {
        let (cx, tx) = (self.w.cx, self.w.tx);
        let gives = to.is_some() && to != cx.caller.user();
        if gives && !self.pool.is_admin(cx) {
            return Err(Error::Forbidden);
        }
        let taker = to.or(cx.caller.user()).ok_or(Error::Forbidden)?;
        if !gives && owner_of(self.def, self.cells).is_some() {
            return Err(Error::of(Code::ClaimLost, Message::new("claim_lost")));
        }
        if gives {
            person_of(cx, tx, taker)?.ok_or_else(|| Error::of(Code::BadReference, Message::new("bad_reference")))?;
        } else {
            self.within_limits(taker)?;
        }
        let done = self.give(Input::Text(taker.to_string()), Cause::Claim)?;
        if !gives {
            holding::claimed(tx, self.record, &self.pool.name)?;
        }
        Ok(done)
    }

    fn within_limits(&self, taker: Uuid) -> Result<(), Error> {
        let (cx, tx) = (self.w.cx, self.w.tx);
        let Some(limits) = &self.pool.doc.claim else { return Ok(()) };
        if let Some(span) = limits.cool_down.as_ref().and_then(|span| Span::read(&serde_json::to_value(span).unwrap_or_default()))
            && let Some(lost) = holding::lost_at(tx, self.record, taker)?
        {
            let free = crate::times::after(&cx.app, &self.pool.app, lost, &span);
            if cx.now < free {
                let until = free.with_timezone(&cx.zone).format("%Y-%m-%d %H:%M").to_string();
                return Err(Error::of(Code::CoolDown, Message::new("cool_down").with("until", until)));
            }
        }
        if let Some(most) = limits.per_day {
            let zone = cx.workspace_zone();
            let day = crate::times::moment(zone, cx.now.with_timezone(&zone).date_naive(), chrono::NaiveTime::MIN);
            if holding::claims_since(tx, taker, &self.pool.name, day, most)? >= most as usize {
                return Err(Error::of(Code::DayLimit, Message::new("day_limit").with("limit", most)));
            }
        }
        if let Some(most) = limits.hold {
            let held = tx.count(&cx.app.schema, self.def.id, &self.pool.held_by(cx, taker), Binned::Live, None)?;
            if held >= u64::from(most) {
                return Err(Error::of(Code::HoldLimit, Message::new("hold_limit").with("held", held).with("limit", most)));
            }
        }
        Ok(())
    }

    /// Why somebody else's record is not the caller's to give: what is out of sight is not there.
    fn refused(&self) -> Result<Error, Error> {
        let seen = self.w.reader.in_sight(self.w.cx, self.def.id, self.record)?;
        Ok(if seen { Error::Forbidden } else { Error::NotFound })
    }

    fn release(&self, reason: Option<&str>) -> Result<Done, Error> {
        let owner = owner_of(self.def, self.cells);
        if owner != self.w.cx.caller.user() && !self.pool.is_admin(self.w.cx) {
            return Err(self.refused()?);
        }
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        if reason.is_none() && self.pool.asks_reason() {
            return Err(Error::Invalid(vec![Violation::of_field("reason", Code::Required, Message::new("required"))]));
        }
        let (written, mut notes) = self.give(Input::Null, Cause::Release)?;
        if let Some(reason) = reason {
            notes.extend(self.note(reason)?);
        }
        Ok((written, notes))
    }

    /// Why it was given back, on its timeline, in the name of who did it.
    fn note(&self, reason: &str) -> Result<Vec<ChangeNote>, Error> {
        let Some(note) = self.w.app.schema.find("core.note") else { return Ok(Vec::new()) };
        let about = [("entity", self.def.name.to_string()), ("id", self.record.to_string())];
        let about = about.into_iter().map(|(key, value)| (key.to_owned(), Input::Text(value))).collect();
        let values = [("text".to_owned(), Input::Text(reason.to_owned())), ("about".to_owned(), Input::Map(about))].into_iter().collect();
        let cx = Ctx { grants: Arc::clone(&self.w.app.all_grants), channel: Channel::Request, cause: Cause::Release, ..self.w.cx.clone() };
        let w = Writer::new(&cx, self.w.tx);
        let mut results = write_slice(&w, note.id, &[Submission::Create { id: None, values }])?;
        results.pop().unwrap_or(Err(Error::NotFound))?;
        notes_of(&w)
    }

    /// Writes the owner through the one write path: who asks is in the history, rules and locks bind.
    fn give(&self, owner: Input, cause: Cause) -> Result<Done, Error> {
        let cx = Ctx { grants: Arc::clone(&self.w.app.all_grants), channel: Channel::Request, cause, ..self.w.cx.clone() };
        let w = Writer::new(&cx, self.w.tx);
        let values: IndexMap<String, Input> = [("owner".to_owned(), owner)].into_iter().collect();
        let mut results = write_slice(&w, self.def.id, &[Submission::Update { id: self.record, version: None, values }])?;
        let written = results.pop().unwrap_or(Err(Error::NotFound))?;
        Ok((written, notes_of(&w)?))
    }

    fn protect(&self, keep: bool) -> Result<Done, Error> {
        let (cx, tx) = (self.w.cx, self.w.tx);
        let owner = owner_of(self.def, self.cells).ok_or(Error::Forbidden)?;
        if Some(owner) != cx.caller.user() && (keep || !self.pool.is_admin(cx)) {
            return Err(self.refused()?);
        }
        let until = match (&self.pool.doc.protect, keep) {
            (_, false) => None,
            (None, true) => return Err(Error::Forbidden),
            (Some(protect), true) => {
                let held = holding::protected_by(tx, owner, self.def.name.as_str(), cx.now, protect.at_most)?;
                if held >= protect.at_most as usize {
                    return Err(Error::of(Code::Limit, Message::new("protect_limit").with("held", held).with("limit", protect.at_most)));
                }
                let span =
                    Span::read(&serde_json::to_value(&protect.span).unwrap_or_default()).ok_or_else(|| Error::Internal("a span".to_owned()))?;
                Some(crate::times::after(&cx.app, &self.pool.app, cx.now, &span))
            }
        };
        let from = Some((owner, super::held_since(self.w, self.def, self.cells)));
        let holding = Passing { id: cx.new_id(), entity: self.def.name.as_str(), record: self.record, from, to: None, at: cx.now };
        holding::protect(tx, holding, until)?;
        super::recycle::watch(self.w, self.def, self.record, self.cells)?;
        let version = self.def.slot("version").and_then(|slot| self.cells.get(slot)).and_then(Value::as_int).unwrap_or_default();
        let outcome = crate::records::Outcome::Unchanged;
        Ok((Written { id: self.record, version, outcome, json: None, left_sight: false, approval: None }, Vec::new()))
    }
}
