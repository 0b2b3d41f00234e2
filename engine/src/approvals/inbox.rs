//! In charge of the boxes: what one has to decide, has decided, has asked for, has a copy of.
//! Invariant: a box holds only what is the caller's own; titles show only what the caller may read.
//! Invariant: a page ends at a moment and an id, so that nothing is passed over where much came at one moment.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::Value;
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::approval::{APPROVAL, APPROVAL_COPY, APPROVAL_TASK};
use store::system::{Cond, Table};
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{own_facts, plan_of};
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, OPEN, Row};
use crate::approvals::{sight, tell};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{Shape, one_in};

/// Which box; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Box {
    /// To decide.
    #[default]
    Todo,
    /// Decided.
    Done,
    /// Asked for.
    Mine,
    /// Copies.
    Copied,
}

impl Box {
    /// The box that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "todo" => Self::Todo,
            "done" => Self::Done,
            "mine" => Self::Mine,
            "copied" => Self::Copied,
            _ => return None,
        })
    }
}

/// What is wanted of a box.
#[derive(Clone, Debug, Default)]
pub struct BoxRequest {
    /// Which.
    pub which: Box,
    /// Of one flow only.
    pub flow: Option<String>,
    /// Of one record only.
    pub record: Option<Uuid>,
    /// At one step only.
    pub step: Option<String>,
    /// That one person asked for.
    pub initiator: Option<Uuid>,
    /// From this moment on.
    pub since: Option<DateTime<Utc>>,
    /// With these words in title, number or the initiator's name.
    pub text: Option<String>,
    /// `mine`: in one state only.
    pub state: Option<String>,
    /// `copied`: those that were not read.
    pub unread: bool,
    /// How many.
    pub limit: u32,
    /// Behind this place.
    pub after: Option<Place>,
}

/// Where a page of a box ended: the moment and the id of its last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: DateTime<Utc>,
    id: Uuid,
}

impl Place {
    /// The place that an answer named.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('_')?;
        Some(Self { at: DateTime::from_timestamp_micros(at.parse().ok()?)?, id: Uuid::try_parse(id).ok()? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}_{}", self.at.timestamp_micros(), self.id.simple())
    }
}

impl Engine {
    /// A page of a box, with the counts of all.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn approval_box(&self, cx: &Ctx, request: BoxRequest) -> Result<Json, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| page(&cx, tx, &request)).await
    }

    /// What somebody means who names a record: their task there (in one step, where there are several), one that they had, one
    /// of others; else the instance, the one that runs or the last.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub async fn approval_meant(&self, cx: &Ctx, record: Uuid, step: Option<&str>, task: bool) -> Result<Uuid, Error> {
        let (me, step) = (cx.caller.user(), step.map(str::to_owned));
        self.store()
            .read(move |tx| {
                if task {
                    let mut of_record = vec![Cond::Eq("record", Value::Uuid(record))];
                    of_record.extend(step.as_deref().map(|step| Cond::Eq("step", Value::text(step))));
                    let open = || Cond::In("state", OPEN.map(Value::text).to_vec());
                    let own = |mut fit: Vec<Cond<'static>>, more: Option<Cond<'static>>| {
                        fit.extend(me.map(|me| Cond::Eq("person", Value::Uuid(me))));
                        fit.extend(more);
                        fit
                    };
                    let mut tries = vec![own(of_record.clone(), Some(open()))];
                    if me.is_some() {
                        tries.push(own(of_record.clone(), None));
                        tries.push(of_record.iter().cloned().chain([open()]).collect());
                    }
                    tries.push(of_record);
                    for (index, fit) in tries.iter().enumerate() {
                        let newest = index > 0;
                        let rows = tx.find(&APPROVAL_TASK, fit, &[("at", newest), ("seat", newest)], 1)?;
                        if let Some(id) = rows.first().and_then(|row| row.get(3)).and_then(Value::as_uuid) {
                            return Ok(id);
                        }
                    }
                }
                let live = rows::of_record(tx, record, true)?;
                let found = if live.is_empty() { rows::of_record(tx, record, false)? } else { live };
                found.first().map(|row| row.id).ok_or(Error::NotFound)
            })
            .await
    }

    /// How many tasks wait for the caller.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn approval_count(&self, cx: &Ctx) -> Result<u64, Error> {
        let Some(me) = cx.caller.user() else { return Ok(0) };
        self.store().read(move |tx| Ok::<_, Error>(tx.how_many(&APPROVAL_TASK, &open_to(me))?)).await
    }
}

fn open_to(me: Uuid) -> Vec<Cond<'static>> {
    vec![Cond::Eq("person", Value::Uuid(me)), Cond::In("state", OPEN.map(Value::text).to_vec())]
}

fn page(cx: &Ctx, tx: &Tx, request: &BoxRequest) -> Result<Json, Error> {
    let Some(me) = cx.caller.user() else { return Ok(json!({"data": [], "next": null})) };
    let counts = json!({
        "todo": tx.how_many(&APPROVAL_TASK, &open_to(me))?,
        "mine_running": tx.how_many(&APPROVAL, &[Cond::Eq("initiator", Value::Uuid(me)), Cond::In("state", vec![Value::text("running"), Value::text("returned")])])?,
        "copied_unread": tx.how_many(&APPROVAL_COPY, &[Cond::Eq("person", Value::Uuid(me)), Cond::Empty("read_at")])?,
    });
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let (data, next) = lines(cx, &w, me, request)?;
    Ok(json!({"data": data, "next": next.map(|place| place.to_string()), "counts": counts}))
}

/// The lines of a page, and where the next one begins.
fn lines(cx: &Ctx, w: &Writer<'_>, me: Uuid, request: &BoxRequest) -> Result<(Vec<Json>, Option<Place>), Error> {
    /// Lines that are looked through for words or a person; then the page ends, and the next one goes on.
    const LOOKED: usize = 1_000;
    let limit = request.limit.clamp(1, 200);
    let words = request.text.as_deref().map(model::text::fold).filter(|words| !words.is_empty());
    let (mut data, mut after, mut looked) = (Vec::new(), request.after, 0);
    loop {
        let found = found(w.tx, me, request, after, limit + 1)?;
        let is_last = found.len() <= limit as usize;
        let mut lines = Vec::new();
        let instances: Vec<Uuid> = found.iter().take(limit as usize).map(|(_, instance, _)| *instance).collect();
        let known = rows::all(w.tx, &instances)?;
        read_ahead(w, known.values())?;
        for (place, instance, seat) in found.into_iter().take(limit as usize) {
            let Some(row) = known.get(&instance) else { continue };
            let plan = match plan_of(w, row) {
                Err(Error::NotFound) => continue,
                plan => plan?,
            };
            // A box that has no such column is looked through.
            let fits = request.initiator.is_none_or(|person| row.instance.initiator == Some(person))
                && request.flow.as_deref().is_none_or(|flow| row.flow == flow)
                && request.record.is_none_or(|record| row.record == record)
                && request.step.as_deref().is_none_or(|step| seat.is_some() || row.instance.open_visits().any(|visit| visit.node == *step));
            let line = if fits { Some(line(cx, w, &plan, row, seat, place.at)?) } else { None };
            lines.push((place, line));
        }
        let mut told: Vec<Json> = lines.iter().filter_map(|(_, line)| line.clone()).collect();
        let names = names_of(cx, w, &told)?;
        name_people(&mut told, &names);
        let mut told = told.into_iter();
        for (place, line) in lines {
            (after, looked) = (Some(place), looked + 1);
            let line = line.and_then(|_| told.next()).filter(|line| words.as_deref().is_none_or(|words| says(line, words)));
            data.extend(line);
            if data.len() == limit as usize || looked >= LOOKED {
                return Ok((data, after.filter(|_| !is_last || told.len() > 0)));
            }
        }
        if is_last {
            return Ok((data, None));
        }
    }
}

/// Reads the records that instances are about, all of an entity in one question.
fn read_ahead<'a>(w: &Writer<'_>, rows: impl Iterator<Item = &'a Row>) -> Result<(), Error> {
    let mut records: BTreeMap<&str, Vec<Uuid>> = BTreeMap::new();
    for row in rows {
        records.entry(row.entity.as_str()).or_default().push(row.record);
    }
    for (entity, ids) in records {
        if let Some(def) = w.app.schema.find(entity) {
            w.reader.preload(def.id, &ids, store::Lock::None)?;
        }
    }
    Ok(())
}

/// Whether a line has folded words in its title, its number or its initiator's name.
fn says(line: &Json, words: &str) -> bool {
    [line.get("title"), line.get("number"), line.pointer("/initiator/name")]
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .any(|text| model::text::fold(text).contains(words))
}

type Found = Vec<(Place, Uuid, Option<u32>)>;

/// What stands in a box behind a place.
fn found(tx: &Tx, me: Uuid, request: &BoxRequest, after: Option<Place>, limit: u32) -> Result<Found, Error> {
    let person = || Cond::Eq("person", Value::Uuid(me));
    let (table, mut fit, order, time, key, own): (&Table, Vec<Cond<'_>>, &str, usize, &str, usize) = match request.which {
        Box::Todo => (&APPROVAL_TASK, open_to(me), "at", 9, "id", 3),
        Box::Done => (&APPROVAL_TASK, vec![person(), Cond::Eq("state", Value::text("done"))], "done_at", 10, "id", 3),
        Box::Mine => (&APPROVAL, vec![Cond::Eq("initiator", Value::Uuid(me))], "at", 8, "id", 0),
        Box::Copied => (&APPROVAL_COPY, vec![person()], "at", 3, "instance", 0),
    };
    if let Some(since) = request.since {
        fit.push(Cond::Gt(order, Value::Timestamp(since - chrono::Duration::microseconds(1))));
    }
    if request.which != Box::Copied {
        fit.extend(request.flow.as_deref().map(|flow| Cond::Eq("flow", Value::text(flow))));
        fit.extend(request.record.map(|record| Cond::Eq("record", Value::Uuid(record))));
    }
    match request.which {
        Box::Todo | Box::Done => fit.extend(request.step.as_deref().map(|step| Cond::Eq("step", Value::text(step)))),
        Box::Mine => {
            fit.extend(request.state.as_deref().map(|state| Cond::Eq("state", Value::text(state))));
            fit.extend(request.initiator.map(|person| Cond::Eq("initiator", Value::Uuid(person))));
        }
        Box::Copied if request.unread => fit.push(Cond::Empty("read_at")),
        Box::Copied => {}
    }
    let orders = [(order, true), (key, true)];
    let mut rows = Vec::new();
    match after {
        None => rows = tx.find(table, &fit, &orders, limit)?,
        Some(place) => {
            let now = Value::Timestamp(place.at);
            let same = [Cond::Eq(order, now.clone()), Cond::Lt(key, Value::Uuid(place.id))];
            rows.extend(tx.find(table, &fit.iter().cloned().chain(same).collect::<Vec<_>>(), &orders, limit)?);
            let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(limit));
            if left > 0 {
                fit.push(Cond::Lt(order, now));
                rows.extend(tx.find(table, &fit, &orders, left)?);
            }
        }
    }
    let seat = |row: &[Value]| match request.which {
        Box::Todo | Box::Done => row.get(1).and_then(Value::as_int).and_then(|seat| u32::try_from(seat).ok()),
        Box::Mine | Box::Copied => None,
    };
    let read = |row: &Vec<Value>| {
        let place = Place { at: row.get(time)?.as_timestamp()?, id: row.get(own)?.as_uuid()? };
        Some((place, row.first()?.as_uuid()?, seat(row)))
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// One instance or task, as lists show it.
fn line(cx: &Ctx, w: &Writer<'_>, plan: &FlowPlan, row: &Row, seat: Option<u32>, at: DateTime<Utc>) -> Result<Json, Error> {
    let def = cx.app.schema.entity(plan.entity);
    let visit = seat.and_then(|seat| row.instance.seat(seat)).and_then(|seat| row.instance.visit(seat.visit));
    let step = visit.and_then(|visit| plan.flow.node(visit.node.as_str()));
    let sight = sight::within(cx, w, plan, row, visit.map(|visit| visit.node.as_str()))?;
    let summary: Json = match &sight {
        Some(sight) => {
            let shown = |name: &&String| sight.grants.field(def, name).is_some();
            let names: Vec<String> = plan.flow.settings.summary.iter().filter(shown).cloned().collect();
            let found = one_in(sight, w.tx, plan.entity, row.record, &Shape { fields: Some(names), titles: true, ..Shape::default() })?;
            found.map_or(Json::Null, |found| serde_json::from_slice(&found.json).unwrap_or_default())
        }
        None => Json::Null,
    };
    Ok(json!({
        "task": seat.map(|seat| row.task_id(seat)),
        "id": row.id,
        "flow": plan.name,
        "flow_label": super::may::flow_label(plan, &cx.locale),
        "number": row.number,
        "title": tell::title(w, plan, row, sight.as_ref(), &cx.locale)?,
        "entity": row.entity,
        "record": row.record,
        "state": row.instance.state.as_str(),
        "task_state": seat.and_then(|seat| row.instance.seat(seat)).map(|seat| seat.state.as_str()),
        "step": step.map(|node| node.name.as_str()),
        "step_label": step.map(|node| node.label.as_ref().map_or(node.name.as_str(), |label| label.get(&cx.locale))),
        "initiator": row.instance.initiator,
        "submitted_at": row.instance.submitted_at,
        "ended_at": row.instance.ended_at,
        "at": at,
        "due_at": seat.and_then(|seat| super::detail::due_at(row, seat)),
        "summary": summary,
        "bulk": step.and_then(flow::approval::Node::decision).is_some_and(|doc| {
            !doc.signature
                && doc.opinion != model::doc::approval::OpinionRule::Always
                && plan.flow.settings.bulk.unwrap_or(true)
                && !doc.fields.values().any(|access| *access == model::doc::approval::TaskAccess::Required)
        }),
    }))
}

/// The names of the people whom rows name.
fn names_of(cx: &Ctx, w: &Writer<'_>, data: &[Json]) -> Result<BTreeMap<Uuid, String>, Error> {
    let ids = data.iter().filter_map(|line| line.get("initiator")?.as_str()).filter_map(|id| Uuid::try_parse(id).ok());
    names(cx, w, ids)
}

/// The names of people.
pub(super) fn names(cx: &Ctx, w: &Writer<'_>, ids: impl Iterator<Item = Uuid>) -> Result<BTreeMap<Uuid, String>, Error> {
    let mut names = BTreeMap::new();
    let Some(def) = cx.app.schema.find("core.user") else { return Ok(names) };
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    w.reader.preload(def.id, &ids, store::Lock::None)?;
    for id in ids {
        if let Some(cells) = w.reader.read(def.id, id)?
            && let Some(name) = def.slot("name").and_then(|slot| cells.get(slot)).and_then(Value::as_text)
        {
            names.insert(id, name.to_owned());
        }
    }
    Ok(names)
}

fn name_people(data: &mut [Json], names: &BTreeMap<Uuid, String>) {
    for line in data {
        let id = line.get("initiator").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        if let Some(map) = line.as_object_mut() {
            map.insert("initiator".to_owned(), rows::person_json(names, id));
        }
    }
}
