//! In charge of one instance as people see it: what it is, who decided what, who will, and what changed since.
//! Invariant: what a step hides from those who decide there is in no part of the answer.

use std::collections::BTreeMap;

use flow::approval::{Actor, Event, Foreseen, Seat, Uncertain, forecast};
use model::Message;
use serde_json::{Map, Value as Json, json};
use store::Tx;
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{manages, own_facts, plan_of};
use crate::approvals::facts::Known;
use crate::approvals::inbox::names;
use crate::approvals::may::{Before, Choices, choices_json, flow_label, label};
use crate::approvals::plan::{FlowPlan, watched};
use crate::approvals::rows::{self, Happened, Row, person_json};
use crate::approvals::{data, kept, sight, tell, verbs};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{Shape, one_in};

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
}

/// Why a path is not certain, in words: what went wrong may tell what the record holds, so only those who mend it hear it.
pub(super) fn uncertain(cx: &Ctx, why: Uncertain, manages: bool) -> String {
    match why {
        Uncertain::Stuck(reason) if manages => reason,
        Uncertain::Stuck(_) => Message::new("approval_uncertain_stuck").text(&cx.locale),
        Uncertain::Way => Message::new("approval_uncertain").text(&cx.locale),
    }
}

/// An instance as the caller may know of it, by its id or that of one of its tasks.
pub(crate) fn detail(cx: &Ctx, tx: &Tx, id: Uuid) -> Result<Json, Error> {
    let instance = rows::of_task(tx, id)?.map_or(id, |task| task.instance);
    let row = rows::get(tx, instance)?.ok_or(Error::NotFound)?;
    if !verbs::may_know(cx, tx, &row, &[])? {
        return Err(Error::NotFound);
    }
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let plan = plan_of(&w, &row)?;
    let me = cx.caller.user();
    let sight = sight::within(cx, &w, &plan, &row, None)?;
    let manages = manages(&w, &plan, &row, cx)?;
    let record = record(sight.as_ref(), tx, &plan, &row)?;
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
    let before =
        Before { plan: &plan, instance: &row.instance, known: &known, actor: Actor { person: me, manages }, now: cx.now, locale: &cx.locale };
    let mine = row.instance.tasks().filter(|seat| me.is_some_and(|me| sight::has(&row, seat, me)));
    let choices: Vec<(u32, Choices)> = mine.map(|seat| Ok((seat.id, before.to_choose(seat.id)?))).collect::<Result<_, Error>>()?;
    let mut people = people_in(&row, &events, &told.steps);
    people.extend(choices.iter().flat_map(|(_, choices)| choices).filter_map(|(_, among)| among.as_ref()).flatten());
    let names = names(cx, &w, people.into_iter())?;
    let path: Vec<Json> = told
        .steps
        .iter()
        .map(|step| {
            let people: Vec<Json> = step.people.iter().map(|person| person_json(&names, Some(*person))).collect();
            json!({"step": step.node, "label": label(&plan, step.node.as_str(), &cx.locale), "people": people, "automatic": step.automatic})
        })
        .collect();
    let def = cx.app.schema.entity(plan.entity);
    let now_watched = w.reader.read(plan.entity, row.record)?.map_or(Json::Null, |cells| watched(&plan, def, &cells));
    let shown_field = |name: &str| sight.as_ref().zip(def.find(name)).is_some_and(|(sight, field)| sight.grants.entity(def.id).comparable(field.id));
    let named_field = |name: &str| sight.as_ref().is_some_and(|sight| sight.grants.field(def, name).is_some());
    let told_data = |values: &Map<String, Json>| match &sight {
        Some(sight) => data::shown(&w, &sight.grants, def, values),
        None => Map::new(),
    };
    // What went wrong may tell what the record holds: those who mend it hear it.
    let parked = |token: &flow::approval::Token| {
        token.parked.as_ref().map(|parked| json!({"step": token.at, "reason": manages.then_some(parked.reason.as_str())}))
    };
    Ok(json!({
        "id": row.id,
        "flow": plan.name,
        "flow_label": flow_label(&plan, &cx.locale),
        "definition": row.definition,
        "number": row.number,
        "title": tell::title(&w, &plan, &row, sight.as_ref(), &cx.locale)?,
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
        "copied": me.is_some_and(|me| row.instance.copied.contains_key(&me)),
        "manages": manages,
        "may": before.with_instance(&names),
        "parked": row.instance.parked().filter_map(parked).collect::<Vec<_>>(),
        "tasks": tasks(tx, &before, &row, &names, &choices, &named_field)?,
        "people": seats(cx, &plan, &row, &names, &events, &told_data),
        "path": path,
        "uncertain": told.uncertain.map(|why| uncertain(cx, why, manages)),
        "changed": changes(&row, me, &now_watched, &shown_field),
        "since_submitted": told_data(&since_submitted(&w, &plan, &row, &events)?),
        "timeline": events.iter().map(|happened| line(&before, happened, &names, &shown_field, &told_data)).collect::<Vec<_>>(),
        "names": names,
    }))
}

/// What the reader sees of values that were kept.
type Told<'a> = dyn Fn(&Map<String, Json>) -> Map<String, Json> + 'a;

/// The record as the reader may see it here.
fn record(sight: Option<&Ctx>, tx: &Tx, plan: &FlowPlan, row: &Row) -> Result<Json, Error> {
    let Some(cx) = sight else { return Ok(Json::Null) };
    let Some(answer) = one_in(cx, tx, plan.entity, row.record, &Shape { titles: true, ..Shape::default() })? else { return Ok(Json::Null) };
    serde_json::from_slice(&answer.json).map_err(|error| Error::Internal(error.to_string()))
}

fn tasks(
    tx: &Tx,
    before: &Before<'_>,
    row: &Row,
    names: &BTreeMap<Uuid, String>,
    choices: &[(u32, Choices)],
    named: &dyn Fn(&str) -> bool,
) -> Result<Vec<Json>, Error> {
    let (plan, me) = (before.plan, before.actor.person);
    let mut keeps = BTreeMap::new();
    for (seat, me) in row.instance.tasks().filter_map(|seat| Some((seat, me?))).filter(|(seat, me)| sight::has(row, seat, *me)) {
        keeps.insert(seat.id, kept::of(tx, row.id, seat.id, me)?);
    }
    let told = |seat: &Seat| {
        let visit = row.instance.visit(seat.visit)?;
        let mine = me.is_some_and(|me| sight::has(row, seat, me));
        let node = plan.flow.node(visit.node.as_str())?;
        // A field that the reader does not see is not named either.
        let fields = plan.flow.fields(visit.node.as_str()).into_iter().flatten().filter(|(name, _)| named(name));
        let doc = node.decision();
        let choose = choices.iter().find(|(id, _)| *id == seat.id).map_or(&[][..], |(_, choices)| choices);
        Some(json!({
            "id": row.task_id(seat.id),
            "step": visit.node,
            "label": label(plan, visit.node.as_str(), before.locale),
            "help": doc.and_then(|doc| doc.help.as_ref()).map(|help| help.get(before.locale)),
            "kind": node.kind(),
            "state": seat.state.as_str(),
            "principal": person_json(names, seat.principal),
            "holder": person_json(names, seat.holder),
            "delegate": person_json(names, seat.delegate),
            "pool": if seat.holder.is_none() { visit.pool.iter().map(|person| person_json(names, Some(*person))).collect() } else { Vec::new() },
            "mine": mine,
            "opened_at": seat.opened_at,
            "due_at": due_at(row, seat.id),
            "actions": doc.map(|doc| doc.actions.clone()),
            "return": doc.map(|doc| doc.back.clone()),
            "opinion": doc.map(|doc| doc.opinion),
            "signature": doc.map(|doc| doc.signature),
            "fields": if mine { json!(fields.collect::<BTreeMap<_, _>>()) } else { Json::Null },
            "kept": keeps.get(&seat.id),
            "choose": choices_json(plan, choose, names, before.locale),
            "may": before.with_task(seat, node),
        }))
    };
    Ok(row.instance.tasks().filter_map(told).collect())
}

/// When the next deadline of a task is.
pub(super) fn due_at(row: &Row, seat: u32) -> Option<chrono::DateTime<chrono::Utc>> {
    let of_seat = row.instance.timers.iter().filter_map(|timer| match timer.kind {
        flow::approval::TimerKind::Deadline { seat: there, .. } if there == seat => Some(timer.due),
        _ => None,
    });
    of_seat.min()
}

/// Who decided, waits or was not needed, step by step, with the time that each took and what they changed.
fn seats(cx: &Ctx, plan: &FlowPlan, row: &Row, names: &BTreeMap<Uuid, String>, events: &[Happened], told: &Told<'_>) -> Vec<Json> {
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
            "step": visit.node, "label": label(plan, visit.node.as_str(), &cx.locale), "round": visit.round, "outcome": visit.outcome,
            "superseded": visit.superseded, "reason": visit.reason, "entered_at": visit.entered_at, "ended_at": visit.ended_at, "seats": seats,
            "changes": told(&changed_in(row, visit.id, events)),
        })
    });
    visits.collect()
}

/// What deciders changed in a visit: before the first, and after the last of them, by field.
fn changed_in(row: &Row, visit: flow::approval::VisitId, events: &[Happened]) -> Map<String, Json> {
    let mut found: Map<String, Json> = Map::new();
    for happened in events {
        let Event::Voted { seat, .. } = &happened.event else { continue };
        let Some(data) = happened.data.as_ref().filter(|_| row.instance.seat(*seat).is_some_and(|seat| seat.visit == visit)) else { continue };
        for (name, pair) in &data.changes {
            let was = found.get(name).map_or_else(|| pair[0].clone(), |before| before[0].clone());
            found.insert(name.clone(), json!([was, pair[1]]));
        }
    }
    found
}

/// What of the record is different from what was submitted last.
fn since_submitted(w: &Writer<'_>, plan: &FlowPlan, row: &Row, events: &[Happened]) -> Result<Map<String, Json>, Error> {
    let last = events.iter().rev().find_map(|happened| happened.data.as_ref()?.values.as_ref());
    Ok(match last {
        Some(before) => data::changes(before, &data::now(w, plan, row.record)?),
        None => Map::new(),
    })
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

/// An event as the timeline shows it: without the fields that the reader may not see, and what went wrong only in whole for
/// those who mend it.
fn line(before: &Before<'_>, happened: &Happened, names: &BTreeMap<Uuid, String>, shown: &dyn Fn(&str) -> bool, told: &Told<'_>) -> Json {
    let Happened { seq, at, by, event, data, .. } = happened;
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
    let Some(map) = json.as_object_mut() else { return json };
    match event {
        Event::Parked { .. } if !before.actor.manages => drop(map.remove("reason")),
        Event::Acted { error: Some(_), .. } if !before.actor.manages => drop(map.insert("error".to_owned(), Json::from("failed"))),
        _ => {}
    }
    let seat = map.get("seat").and_then(Json::as_u64).and_then(|seat| u32::try_from(seat).ok()).and_then(|seat| before.instance.seat(seat));
    let visit = seat.map(|seat| seat.visit).or_else(|| map.get("visit").and_then(Json::as_u64).and_then(|visit| u32::try_from(visit).ok()));
    let own =
        ["node", "at", "to"].into_iter().find_map(|key| map.get(key).and_then(Json::as_str)).filter(|step| before.plan.flow.node(step).is_some());
    let step = visit.and_then(|visit| before.instance.visit(visit)).map(|visit| visit.node.as_str()).or(own).map(str::to_owned);
    let target = map.get("to").and_then(Json::as_str).filter(|step| before.plan.flow.node(step).is_some());
    let more = [
        ("to_label", target.map(|step| json!(label(before.plan, step, before.locale)))),
        ("label", step.as_deref().map(|step| json!(label(before.plan, step, before.locale)))),
        ("step_kind", step.as_deref().and_then(|step| before.plan.flow.node(step)).map(|node| json!(node.kind()))),
        ("step", step.map(Json::from)),
        ("principal", seat.map(|seat| person_json(names, seat.principal))),
        // Of a vote: how long the task was before whoever gave it.
        (
            "seconds",
            seat.filter(|_| matches!(event, Event::Voted { .. })).and_then(|seat| seat.opened_at).map(|opened| json!((*at - opened).num_seconds())),
        ),
    ];
    map.extend(more.into_iter().filter_map(|(key, json)| Some((key.to_owned(), json?))));
    map.insert("seq".to_owned(), (*seq).into());
    map.insert("at".to_owned(), json!(at));
    map.insert("by".to_owned(), person_json(names, *by));
    let way = [
        ("revision", json!(happened.revision)),
        ("channel", json!(happened.channel)),
        // With what somebody works is between them and those who manage the flow.
        ("device", json!(happened.device.as_ref().filter(|_| before.actor.manages || before.actor.person == *by))),
        ("values", json!(data.as_ref().and_then(|data| data.values.as_ref()).map(told))),
        ("changes", json!(data.as_ref().map(|data| told(&data.changes)).filter(|changes| !changes.is_empty()))),
    ];
    map.extend(way.into_iter().filter(|(_, json)| !json.is_null()).map(|(key, json)| (key.to_owned(), json)));
    json
}

fn people_in(row: &Row, events: &[Happened], path: &[Foreseen]) -> Vec<Uuid> {
    let mut people: Vec<Uuid> = row.instance.initiator.into_iter().collect();
    people.extend(row.instance.seats.iter().flat_map(|seat| [seat.principal, seat.holder, seat.decided_by, seat.delegate]).flatten());
    people.extend(row.instance.tasks().filter_map(|seat| row.instance.visit(seat.visit)).flat_map(|visit| visit.pool.iter().copied()));
    people.extend(row.instance.copied.keys().copied());
    for Happened { by, event, .. } in events {
        people.extend(*by);
        match event {
            Event::Transferred { from, to, holder, .. } => people.extend(from.iter().chain([to, holder])),
            Event::HolderChanged { holder, .. } => people.push(*holder),
            Event::Delegated { to, .. } => people.push(*to),
            Event::Commented { mentions, .. } => people.extend(mentions),
            Event::Copied { people: copied, .. } => people.extend(copied),
            Event::VisitOpened { seats, .. } | Event::SeatsAdded { seats, .. } => {
                people.extend(seats.iter().flat_map(|seat| [seat.principal, seat.holder]).flatten())
            }
            Event::Submitted { select, .. } | Event::Selected { select, .. } => people.extend(select.values().flatten()),
            _ => {}
        }
    }
    people.extend(path.iter().flat_map(|step| step.people.iter().copied()));
    people
}
