//! In charge of stand-ins: who acts for whom, from when until when.
//! Invariant: nobody stands in for themselves; one sets a stand-in for oneself, administrators for anybody.
//! Invariant: however many tasks go over, no transaction hands on more than [`TOGETHER`].

use chrono::{DateTime, Utc};
use flow::approval::{Actor, Do};
use model::{Code, Message, Value, Violation};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::Cond;
use store::system::approval::{APPROVAL_TASK, PROXY};
use store::system::timer::{self, Timer};
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{Driver, own_facts, shown};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::ChangeNote;
use crate::records::slice::Writer;
use crate::scheduler::{Due, TimerKind};

/// A stand-in that is asked for.
#[derive(Clone, Debug)]
pub struct NewProxy {
    /// For whom; the caller where absent.
    pub principal: Option<Uuid>,
    /// Who.
    pub proxy: Uuid,
    /// From when; at once where absent.
    pub from: Option<DateTime<Utc>>,
    /// Until when; until it is ended where absent.
    pub until: Option<DateTime<Utc>>,
    /// In which flow only.
    pub flow: Option<String>,
    /// Whether tasks that are open go over, too.
    pub open_tasks: bool,
}

impl Engine {
    /// Sets a stand-in; its id.
    ///
    /// # Errors
    /// `Forbidden` for another without being an administrator; what does not fit.
    pub async fn set_proxy(&self, cx: &Ctx, asked: NewProxy) -> Result<Uuid, Error> {
        self.transact(cx, move |cx, tx| set_proxy(cx, tx, &asked)).await
    }

    /// The caller's stand-ins, and those for whom the caller stands in.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn proxies(&self, cx: &Ctx) -> Result<Json, Error> {
        let Some(me) = cx.caller.user() else { return Ok(json!({"data": []})) };
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let mut rows = Vec::new();
                for column in ["principal", "proxy"] {
                    rows.extend(tx.find(&PROXY, &[Cond::Eq(column, Value::Uuid(me))], &[("at", true)], 500)?);
                }
                let facts = own_facts(&cx);
                let w = Writer::new(&facts, tx);
                let people = rows.iter().flat_map(|row| [row.get(1), row.get(2)]).flatten().filter_map(Value::as_uuid);
                let names = super::inbox::names(&cx, &w, people)?;
                let told = |row: &Vec<Value>| {
                    let get = |index: usize| shown(row.get(index));
                    let name = |index: usize| row.get(index).and_then(Value::as_uuid).and_then(|id| names.get(&id));
                    json!({
                        "id": get(0), "user": get(1), "user_name": name(1), "by": get(2), "by_name": name(2),
                        "from": get(3), "until": get(4), "flow": get(5),
                    })
                };
                Ok::<_, Error>(json!({"data": rows.iter().map(told).collect::<Vec<_>>()}))
            })
            .await
    }

    /// Ends a stand-in: tasks that are still open go back.
    ///
    /// # Errors
    /// `NotFound` where there is none of the caller's.
    pub async fn end_proxy(&self, cx: &Ctx, id: Uuid) -> Result<(), Error> {
        self.transact(cx, move |cx, tx| end_proxy(cx, tx, id)).await
    }
}

/// Sets a stand-in, and hands on what is open where that is wanted.
fn set_proxy(cx: &Ctx, tx: &Tx, asked: &NewProxy) -> Result<(Uuid, Vec<ChangeNote>), Error> {
    let principal = asked.principal.or(cx.caller.user()).ok_or(Error::Forbidden)?;
    if cx.caller.user() != Some(principal) && !cx.caller.is_admin() {
        return Err(Error::Forbidden);
    }
    let wrong = |field: &str| Error::from(Violation::of_field(field, Code::BadReference, Message::new("approval_person")));
    for (field, person) in [("user", principal), ("by", asked.proxy)] {
        if crate::people::person_in(tx, &cx.app, person)?.is_none() {
            return Err(wrong(field));
        }
    }
    if principal == asked.proxy {
        return Err(wrong("by"));
    }
    if let (from, Some(until)) = (asked.from.unwrap_or(cx.now), asked.until)
        && until <= from
    {
        return Err(Violation::of_field("until", Code::OutOfRange, Message::new("out_of_range")).into());
    }
    let flow = match &asked.flow {
        None => None,
        Some(name) => {
            let unknown = || Error::from(Violation::of_field("flow", Code::BadReference, Message::new("bad_reference")));
            Some(cx.app.flows.find(name).ok_or_else(unknown)?.name.clone())
        }
    };
    let id = cx.new_id();
    let at = |at: Option<DateTime<Utc>>| at.map_or(Value::Null, Value::Timestamp);
    tx.put(
        &PROXY,
        &[vec![
            Value::Uuid(id),
            Value::Uuid(principal),
            Value::Uuid(asked.proxy),
            at(asked.from),
            at(asked.until),
            flow.as_deref().map_or(Value::Null, Value::text),
            Value::Timestamp(cx.now),
        ]],
    )?;
    let mut notes = Vec::new();
    if asked.open_tasks && asked.from.is_none_or(|from| from <= cx.now) {
        let moving =
            Moving { stand_in: id, from: principal, to: asked.proxy, principal, until: asked.until, flow, by: cx.caller.user(), behind: None };
        notes = moving.go_on(cx, tx)?;
    }
    Ok((id, notes))
}

/// Ends a stand-in, and gives back what is open.
fn end_proxy(cx: &Ctx, tx: &Tx, id: Uuid) -> Result<((), Vec<ChangeNote>), Error> {
    let found = tx.find(&PROXY, &[Cond::Eq("id", Value::Uuid(id))], &[], 1)?;
    let ids = |index: usize| found.first().and_then(|row| row.get(index)).and_then(Value::as_uuid);
    let (Some(principal), Some(proxy)) = (ids(1), ids(2)) else { return Err(Error::NotFound) };
    if cx.caller.user() != Some(principal) && !cx.caller.is_admin() {
        return Err(Error::NotFound);
    }
    tx.remove(&PROXY, &[Cond::Eq("id", Value::Uuid(id))])?;
    timer::drop_key(tx, &Moving::key(id))?;
    let moving = Moving { stand_in: id, from: proxy, to: principal, principal, until: None, flow: None, by: cx.caller.user(), behind: None };
    Ok(((), moving.go_on(cx, tx)?))
}

/// Tasks that go over from one person to another, many in turn: others write, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Moving {
    /// The stand-in that begins or ended.
    stand_in: Uuid,
    from: Uuid,
    to: Uuid,
    /// For whom the one stands in.
    principal: Uuid,
    until: Option<DateTime<Utc>>,
    /// Of one flow only.
    flow: Option<String>,
    /// Who wants it.
    by: Option<Uuid>,
    /// The last instance that was looked at.
    behind: Option<Uuid>,
}

/// Instances of one transaction.
const TOGETHER: u32 = 50;

impl Moving {
    fn key(stand_in: Uuid) -> String {
        format!("{PROXY_TIMER}:{stand_in}")
    }

    /// Hands on as many as one transaction takes; a timer hands on the rest.
    fn go_on(mut self, cx: &Ctx, tx: &Tx) -> Result<Vec<ChangeNote>, Error> {
        let mut fit = vec![Cond::Eq("person", Value::Uuid(self.from)), Cond::Eq("state", Value::text("open"))];
        fit.extend(self.flow.as_deref().map(|flow| Cond::Eq("flow", Value::text(flow))));
        fit.extend(self.behind.map(|last| Cond::Gt("instance", Value::Uuid(last))));
        let rows = tx.find(&APPROVAL_TASK, &fit, &[("instance", false)], TOGETHER)?;
        let mut instances: Vec<Uuid> = rows.iter().filter_map(|row| row.first()).filter_map(Value::as_uuid).collect();
        instances.dedup();
        let facts = own_facts(cx);
        let writer = Writer::new(&facts, tx);
        let mut driver = Driver::new(&writer);
        for instance in &instances {
            let act = Do::Substitute { principal: self.principal, proxy: self.to, until: self.until };
            match driver.obey(*instance, Actor { person: self.by, manages: true }, &act, None, None) {
                // Nothing is left to hand on where the flow, or its entity, is gone.
                Ok(()) | Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let notes = driver.finish()?;
        if rows.len() == TOGETHER as usize {
            self.behind = instances.pop();
            let (id, stand_in) = (cx.new_id(), self.stand_in);
            let body = serde_json::to_value(&self).map_err(|error| Error::Internal(error.to_string()))?;
            let kind = PROXY_TIMER.to_owned();
            timer::set(tx, &[Timer { id, kind, key: Some(Self::key(stand_in)), subject: None, due_at: cx.now, tries: 0, body }])?;
        }
        Ok(notes)
    }

    /// Whether it is still wanted: a stand-in that ended takes nothing more, and one that began anew gives nothing back.
    fn is_wanted(&self, tx: &Tx) -> Result<bool, Error> {
        let between = |proxy: Uuid| [Cond::Eq("principal", Value::Uuid(self.principal)), Cond::Eq("proxy", Value::Uuid(proxy))];
        if self.to == self.principal {
            return Ok(tx.find(&PROXY, &between(self.from), &[], 1)?.is_empty());
        }
        Ok(!tx.find(&PROXY, &[Cond::Eq("id", Value::Uuid(self.stand_in))], &[], 1)?.is_empty())
    }
}

/// The word in the table of timers.
const PROXY_TIMER: &str = "proxy";

/// Tasks that are still to go over.
pub(crate) struct ProxyTimer;

impl TimerKind for ProxyTimer {
    fn name(&self) -> &'static str {
        PROXY_TIMER
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let moving: Moving = serde_json::from_value(timer.body.clone()).map_err(|error| Error::Internal(error.to_string()))?;
        if moving.is_wanted(due.tx)? {
            due.note(moving.go_on(due.cx, due.tx)?);
        }
        Ok(())
    }
}
