//! In charge of one instance as people see it: what it is, who decided what, who will, and what changed since.
//! Invariant: what a step hides from those who decide there is in no part of the answer.

use std::collections::BTreeMap;

use flow::approval::{Event, Foreseen, Seat, SeatState, forecast};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{manages, own_facts, plan_of};
use crate::approvals::facts::Known;
use crate::approvals::inbox::{is_hidden, names};
use crate::approvals::plan::{FlowPlan, watched};
use crate::approvals::rows::{self, Row, person_json};
use crate::approvals::{tell, verbs};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{Shape, one_in};

/// What is to be foreseen.
#[derive(Clone, Debug)]
pub struct ForecastAsked {
    /// The flow.
    pub flow: String,
    /// The record.
    pub record: Uuid,
}

/// A step of a path that is foreseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// Its name.
    pub step: String,
    /// What the caller calls it.
    pub label: String,
    /// Who decides there.
    pub people: Vec<Uuid>,
    /// Whether it passes without anybody's doing.
    pub automatic: bool,
}

impl Engine {
    /// An instance: by its id or that of one of its tasks.
    ///
    /// # Errors
    /// `NotFound` for who may not know of it.
    pub async fn approval(&self, cx: &Ctx, id: Uuid) -> Result<Json, Error> {
        let (at, now) = (cx.clone(), cx.now);
        let told = self.store().read(move |tx| detail(&at, tx, id)).await?;
        if let (Some(me), Some(true), Some(instance)) =
            (cx.caller.user(), told.get("copied").and_then(Json::as_bool), told.get("id").and_then(Json::as_str))
            && let Ok(instance) = Uuid::try_parse(instance)
        {
            self.store().write(move |tx| rows::seen(tx, instance, me, now)).await?;
        }
        Ok(told)
    }

    /// The instances of a record that the caller sees, the newest first.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight.
    pub async fn approvals_of(&self, cx: &Ctx, entity: model::EntityId, record: Uuid) -> Result<Json, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                one_in(&cx, tx, entity, record, &Shape::default())?.ok_or(Error::NotFound)?;
                let facts = own_facts(&cx);
                let w = Writer::new(&facts, tx);
                let mut data = Vec::new();
                for row in rows::of_record(tx, record, false)? {
                    let plan = plan_of(&w, &row)?;
                    data.push(json!({
                        "id": row.id, "flow": plan.name, "number": row.number, "state": row.instance.state.as_str(),
                        "title": tell::title(&w, &plan, &row, &cx.grants, &cx.locale)?,
                        "submitted_at": row.instance.submitted_at, "ended_at": row.instance.ended_at,
                    }));
                }
                Ok(json!({"data": data}))
            })
            .await
    }

    /// Who would decide in which order, if it began now; of a flow that runs: from here on.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight or there is no such flow.
    pub async fn foresee(&self, cx: &Ctx, asked: ForecastAsked) -> Result<(Vec<PathStep>, Vec<String>, Option<String>), Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let plan = cx.app.flows.find(&asked.flow).cloned().ok_or(Error::NotFound)?;
                let facts = own_facts(&cx);
                let w = Writer::new(&facts, tx);
                let sight = Writer::new(&cx, tx);
                let running = rows::of_record(tx, asked.record, true)?.into_iter().find(|row| row.flow == plan.name);
                let known = match &running {
                    Some(row) => verbs::may_know(&cx, tx, row)?,
                    None => sight.reader.in_sight(&cx, plan.entity, asked.record)?,
                };
                if !known {
                    return Err(Error::NotFound);
                }
                let (plan, instance, id) = match &running {
                    Some(row) => (plan_of(&w, row)?, row.instance.clone(), row.id),
                    None => (plan, flow::approval::Instance::default(), Uuid::nil()),
                };
                let known = Known::new(&w, &plan, id, asked.record);
                let told = forecast(&plan.flow, &instance, instance.initiator.or(cx.caller.user()), &known, cx.now);
                if let Some(error) = known.failed.take() {
                    return Err(error);
                }
                let steps = told.steps.iter().map(|step| path_step(&cx, &plan, step)).collect();
                Ok((steps, told.choose.iter().map(ToString::to_string).collect(), told.uncertain))
            })
            .await
    }
}

fn path_step(cx: &Ctx, plan: &FlowPlan, step: &Foreseen) -> PathStep {
    PathStep { step: step.node.to_string(), label: label(cx, plan, step.node.as_str()), people: step.people.clone(), automatic: step.automatic }
}

fn label(cx: &Ctx, plan: &FlowPlan, step: &str) -> String {
    plan.flow.node(step).and_then(|node| node.label.as_ref()).map_or_else(|| step.to_owned(), |label| label.get(&cx.locale).to_owned())
}

/// The steps at which the caller has a task before them.
fn own_steps(row: &Row, me: Option<Uuid>) -> Vec<String> {
    let mine = |seat: &&Seat| me.is_some_and(|me| has(row, seat, me));
    row.instance.tasks().filter(mine).filter_map(|seat| row.instance.visit(seat.visit)).map(|visit| visit.node.to_string()).collect()
}

fn in_pool(row: &Row, seat: &Seat, me: Uuid) -> bool {
    row.instance.visit(seat.visit).is_some_and(|visit| visit.pool.contains(&me))
}

fn detail(cx: &Ctx, tx: &Tx, id: Uuid) -> Result<Json, Error> {
    let instance = rows::of_task(tx, id)?.map_or(id, |(instance, _)| instance);
    let row = rows::get(tx, instance)?.ok_or(Error::NotFound)?;
    if !verbs::may_know(cx, tx, &row)? {
        return Err(Error::NotFound);
    }
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let plan = plan_of(&w, &row)?;
    let me = cx.caller.user();
    let steps = own_steps(&row, me);
    let hidden = |field: &str| steps.iter().any(|step| is_hidden(&plan, step, field));
    let record = record(cx, tx, &plan, &row, &hidden)?;
    let events = rows::events(tx, row.id)?;
    let known = Known::new(&w, &plan, row.id, row.record);
    let told = if row.instance.state.is_live() {
        forecast(&plan.flow, &row.instance, row.instance.initiator, &known, cx.now)
    } else {
        flow::approval::Forecast::default()
    };
    if let Some(error) = known.failed.take() {
        return Err(error);
    }
    let people = people_in(&row, &events, &told.steps);
    let names = names(cx, &w, people.into_iter())?;
    let path: Vec<Json> = told
        .steps
        .iter()
        .map(|step| {
            let people: Vec<Json> = step.people.iter().map(|person| person_json(&names, Some(*person))).collect();
            json!({"step": step.node, "label": label(cx, &plan, step.node.as_str()), "people": people, "automatic": step.automatic})
        })
        .collect();
    let def = cx.app.schema.entity(plan.entity);
    let now_watched = w.reader.read(plan.entity, row.record)?.map_or(Json::Null, |cells| watched(&plan, def, &cells));
    let plain = |name: &str| def.find(name).is_some_and(|field| cx.grants.entity(def.id).comparable(field.id));
    let shown_field = |name: &str| plain(name) && !hidden(name);
    Ok(json!({
        "id": row.id,
        "flow": plan.name,
        "flow_label": plan.flow.label.as_ref().map_or(plan.flow.name.as_str(), |label| label.get(&cx.locale)),
        "number": row.number,
        "title": tell::title(&w, &plan, &row, &cx.grants, &cx.locale)?,
        "entity": row.entity,
        "record": row.record,
        "values": record,
        "state": row.instance.state.as_str(),
        "reverse": row.instance.reverse,
        "suspended": row.instance.suspended,
        "unlocked": row.instance.unlocked,
        "seq": row.seq,
        "initiator": person_json(&names, row.instance.initiator),
        "submitted_at": row.instance.submitted_at,
        "ended_at": row.instance.ended_at,
        "copied": me.is_some_and(|me| row.instance.copied.contains(&me)),
        "manages": manages(&w, &plan, &row, cx)?,
        "parked": row.instance.parked().filter_map(|token| Some(json!({"step": token.at, "reason": token.parked.as_ref()?.reason}))).collect::<Vec<_>>(),
        "tasks": tasks(cx, &plan, &row, &names, me),
        "people": seats(cx, &plan, &row, &names),
        "path": path,
        "uncertain": told.uncertain,
        "changed": changes(&row, me, &now_watched, &shown_field),
        "timeline": events.iter().map(|(seq, at, by, event)| line(*seq, *at, *by, event, &names, &shown_field)).collect::<Vec<_>>(),
    }))
}

/// The caller's facts with a record in sight that is out of their role's rows: an open task or a copy shows it.
pub(crate) fn wider(cx: &Ctx, tx: &Tx, entity: model::EntityId, record: Uuid) -> Result<Option<Ctx>, Error> {
    let Some(me) = cx.caller.user().filter(|_| cx.app.flows.has(entity) && cx.grants.sees(entity)) else { return Ok(None) };
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    for row in rows::of_record(tx, record, false)? {
        let plan = plan_of(&w, &row)?;
        let open = row.instance.copied.contains(&me) || row.instance.tasks().any(|seat| has(&row, seat, me) && grants(&plan, &row, seat));
        if open && plan.entity == entity {
            return Ok(Some(Ctx { grants: std::sync::Arc::new(cx.grants.with_rows(entity)), ..cx.clone() }));
        }
    }
    Ok(None)
}

/// Whether a task is before somebody: to decide, to say their opinion, to be claimed.
fn has(row: &Row, seat: &Seat, me: Uuid) -> bool {
    seat.is_before(me) || (seat.state == SeatState::Unclaimed && in_pool(row, seat, me))
}

/// The record as the caller may see it here: a task or a copy shows it even beyond their role's rows.
fn record(cx: &Ctx, tx: &Tx, plan: &FlowPlan, row: &Row, hidden: &dyn Fn(&str) -> bool) -> Result<Json, Error> {
    let entity = plan.entity;
    let wider = wider(cx, tx, entity, row.record)?.unwrap_or_else(|| cx.clone());
    let Some(answer) = one_in(&wider, tx, entity, row.record, &Shape { titles: true, ..Shape::default() })? else { return Ok(Json::Null) };
    let mut json: Json = serde_json::from_slice(&answer.json).map_err(|error| Error::Internal(error.to_string()))?;
    if let Some(map) = json.as_object_mut() {
        map.retain(|name, _| !hidden(name));
        if let Some(titles) = map.get_mut("titles").and_then(Json::as_object_mut) {
            titles.retain(|name, _| !hidden(name));
        }
    }
    Ok(json)
}

fn grants(plan: &FlowPlan, row: &Row, seat: &Seat) -> bool {
    let node = row.instance.visit(seat.visit).and_then(|visit| plan.flow.node(visit.node.as_str()));
    node.and_then(flow::approval::Node::decision).is_none_or(|doc| doc.grant != Some(false))
}

fn tasks(cx: &Ctx, plan: &FlowPlan, row: &Row, names: &BTreeMap<Uuid, String>, me: Option<Uuid>) -> Vec<Json> {
    let told = |seat: &Seat| {
        let visit = row.instance.visit(seat.visit)?;
        let mine = me.is_some_and(|me| has(row, seat, me));
        let doc = plan.flow.node(visit.node.as_str()).and_then(flow::approval::Node::decision);
        Some(json!({
            "id": row.task_id(seat.id),
            "step": visit.node,
            "label": label(cx, plan, visit.node.as_str()),
            "kind": plan.flow.node(visit.node.as_str()).map(flow::approval::Node::kind),
            "state": seat.state.as_str(),
            "principal": person_json(names, seat.principal),
            "holder": person_json(names, seat.holder),
            "delegate": person_json(names, seat.delegate),
            "mine": mine,
            "opened_at": seat.opened_at,
            "actions": doc.map(|doc| doc.actions.clone()),
            "return": doc.map(|doc| doc.back.clone()),
            "opinion": doc.map(|doc| doc.opinion),
            "signature": doc.map(|doc| doc.signature),
            "fields": if mine { json!(plan.flow.fields(visit.node.as_str())) } else { Json::Null },
        }))
    };
    row.instance.tasks().filter_map(told).collect()
}

/// Who decided, waits or was not needed, step by step, with the time that each took.
fn seats(cx: &Ctx, plan: &FlowPlan, row: &Row, names: &BTreeMap<Uuid, String>) -> Vec<Json> {
    let visits = row.instance.visits.iter().map(|visit| {
        let seats: Vec<Json> = row
            .instance
            .seats
            .iter()
            .filter(|seat| seat.visit == visit.id)
            .map(|seat| {
                let used = seat.opened_at.map(|opened| (seat.decided_at.unwrap_or(cx.now) - opened).num_seconds());
                json!({
                    "principal": person_json(names, seat.principal), "by": person_json(names, seat.decided_by), "state": seat.state.as_str(),
                    "reason": seat.reason, "opinion": seat.opinion, "opened_at": seat.opened_at, "decided_at": seat.decided_at, "seconds": used,
                    "added": seat.added.map(|(_, place)| place),
                })
            })
            .collect();
        json!({
            "step": visit.node, "label": label(cx, plan, visit.node.as_str()), "round": visit.round, "outcome": visit.outcome,
            "superseded": visit.superseded, "reason": visit.reason, "entered_at": visit.entered_at, "ended_at": visit.ended_at, "seats": seats,
        })
    });
    visits.collect()
}

/// What changed in the watched fields since the caller's last vote, else since it was submitted.
fn changes(row: &Row, me: Option<Uuid>, now: &Json, shown: &dyn Fn(&str) -> bool) -> Json {
    let last = row.instance.seats.iter().filter(|seat| me.is_some() && seat.decided_by == me).max_by_key(|seat| seat.decided_at);
    let before = last.map_or(&row.instance.watched, |seat| &seat.watched);
    let mut changed = Map::new();
    for (name, value) in now.as_object().into_iter().flatten().filter(|(name, _)| shown(name)) {
        let was = before.get(name).unwrap_or(&Json::Null);
        if was != value {
            changed.insert(name.clone(), json!([was, value]));
        }
    }
    Json::Object(changed)
}

/// An event as the timeline shows it: without the fields that the reader may not see.
fn line(
    seq: i64,
    at: chrono::DateTime<chrono::Utc>,
    by: Option<Uuid>,
    event: &Event,
    names: &BTreeMap<Uuid, String>,
    shown: &dyn Fn(&str) -> bool,
) -> Json {
    let mut json = serde_json::to_value(event).unwrap_or_default();
    fn without(json: &mut Json, shown: &dyn Fn(&str) -> bool) {
        match json {
            Json::Object(map) => {
                if let Some(watched) = map.get_mut("watched").and_then(Json::as_object_mut) {
                    watched.retain(|name, _| shown(name));
                }
                map.values_mut().for_each(|json| without(json, shown));
            }
            Json::Array(items) => items.iter_mut().for_each(|json| without(json, shown)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    without(&mut json, shown);
    if let Some(map) = json.as_object_mut() {
        map.insert("seq".to_owned(), seq.into());
        map.insert("at".to_owned(), json!(at));
        map.insert("by".to_owned(), person_json(names, by));
    }
    json
}

fn people_in(row: &Row, events: &[rows::Happened], path: &[Foreseen]) -> Vec<Uuid> {
    let mut people: Vec<Uuid> = row.instance.initiator.into_iter().collect();
    people.extend(row.instance.seats.iter().flat_map(|seat| [seat.principal, seat.holder, seat.decided_by, seat.delegate]).flatten());
    people.extend(events.iter().filter_map(|(_, _, by, _)| *by));
    people.extend(path.iter().flat_map(|step| step.people.iter().copied()));
    people
}
