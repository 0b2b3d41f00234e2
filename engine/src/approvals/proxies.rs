//! In charge of stand-ins: who acts for whom, from when until when.
//! Invariant: nobody stands in for themselves; one sets a stand-in for oneself, administrators for anybody.

use chrono::{DateTime, Utc};
use flow::approval::{Actor, Do};
use model::{Code, Message, Value, Violation};
use serde_json::{Value as Json, json};
use store::system::Cond;
use store::system::approval::{APPROVAL_TASK, PROXY};
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{Driver, own_facts, shown};
use crate::approvals::rows;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::transact::current_or_superseded;

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
        let cx = cx.clone();
        let (id, notes) = self
            .store()
            .write(move |tx| {
                current_or_superseded(&cx, tx)?;
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
                    let facts = own_facts(&cx);
                    let writer = Writer::new(&facts, tx);
                    let mut driver = Driver::new(&writer);
                    let fit = [Cond::Eq("person", Value::Uuid(principal)), Cond::Eq("state", Value::text("open"))];
                    let mut instances: Vec<Uuid> =
                        tx.find(&APPROVAL_TASK, &fit, &[], 10_000)?.iter().filter_map(|row| row.first()).filter_map(Value::as_uuid).collect();
                    instances.sort_unstable();
                    instances.dedup();
                    for instance in instances {
                        let fits = rows::get(tx, instance)?.is_some_and(|row| flow.as_ref().is_none_or(|flow| *flow == row.flow));
                        let act = Do::Substitute { principal, proxy: asked.proxy, until: asked.until };
                        if fits {
                            driver.obey(instance, Actor { person: cx.caller.user(), manages: true }, &act, None, None)?;
                        }
                    }
                    notes = driver.finish()?;
                }
                Ok((id, notes))
            })
            .await?;
        self.tell(notes);
        Ok(id)
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
        let cx = cx.clone();
        let notes = self
            .store()
            .write(move |tx| {
                current_or_superseded(&cx, tx)?;
                let found = tx.find(&PROXY, &[Cond::Eq("id", Value::Uuid(id))], &[], 1)?;
                let ids = |index: usize| found.first().and_then(|row| row.get(index)).and_then(Value::as_uuid);
                let (Some(principal), Some(proxy)) = (ids(1), ids(2)) else { return Err(Error::NotFound) };
                if cx.caller.user() != Some(principal) && !cx.caller.is_admin() {
                    return Err(Error::NotFound);
                }
                tx.remove(&PROXY, &[Cond::Eq("id", Value::Uuid(id))])?;
                let facts = own_facts(&cx);
                let writer = Writer::new(&facts, tx);
                let mut driver = Driver::new(&writer);
                let fit = [Cond::Eq("person", Value::Uuid(proxy)), Cond::Eq("state", Value::text("open"))];
                let mut instances: Vec<Uuid> =
                    tx.find(&APPROVAL_TASK, &fit, &[], 10_000)?.iter().filter_map(|row| row.first()).filter_map(Value::as_uuid).collect();
                instances.sort_unstable();
                instances.dedup();
                for instance in instances {
                    let act = Do::Substitute { principal, proxy: principal, until: None };
                    driver.obey(instance, Actor { person: cx.caller.user(), manages: true }, &act, None, None)?;
                }
                driver.finish()
            })
            .await?;
        self.tell(notes);
        Ok(())
    }
}
