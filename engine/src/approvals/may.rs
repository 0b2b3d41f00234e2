//! In charge of what somebody may do with an instance now, and with a record that none runs on.
//! Invariant: the machine itself is asked, so that what is offered is what it takes, and nothing else; nothing of it is kept.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flow::approval::{
    Actor, AdminAct, AdminResult, Command, Do, Event, Instance, Node, Place, Refusal, Seat, Selection, SignMode, State, Verdict, step,
};
use model::Name;
use model::doc::approval::{ApproverBy, LockMode, Resubmit};
use serde_json::{Value as Json, json};
use store::Tx;
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{disjoint, own_facts, plan_of};
use crate::approvals::facts::Known;
use crate::approvals::inbox::names;
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::{self, Row, person_json};
use crate::approvals::{sight, tell, verbs};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{Shape, one_in};

/// Words that stand for those that a person has still to find.
const WORDS: &str = "…";

/// Somebody in front of an instance.
pub(super) struct Before<'a> {
    pub(super) plan: &'a FlowPlan,
    pub(super) instance: &'a Instance,
    pub(super) known: &'a Known<'a>,
    pub(super) actor: Actor,
    pub(super) now: DateTime<Utc>,
    pub(super) locale: &'a str,
}

/// Steps for which people are chosen, each with those among whom; anybody where there are none.
pub(super) type Choices = Vec<(Name, Option<Vec<Uuid>>)>;

fn words() -> Option<String> {
    Some(WORDS.to_owned())
}

impl Before<'_> {
    fn tried(&self, act: Do) -> Result<flow::approval::Step, Refusal> {
        step(&self.plan.flow, self.instance, &Command { actor: self.actor, act }, self.known, self.now)
    }

    /// Whether it would be taken, once what is missing is there.
    fn would(&self, act: Do) -> bool {
        match self.tried(act) {
            Ok(_) => true,
            Err(refusal) => matches!(refusal, Refusal::Required(_) | Refusal::BadPerson(_)),
        }
    }

    fn label(&self, step: &str) -> String {
        label(self.plan, step, self.locale)
    }

    fn decide(&self, seat: u32, verdict: Verdict) -> Do {
        Do::Decide { seat, verdict, opinion: words(), signature: Some(Json::Bool(true)), files: Vec::new(), select: Selection::new() }
    }

    /// Where it may be sent back to, each place once.
    fn returns(&self, seat: u32) -> Vec<Json> {
        let decisions = decisions(self.plan).map(|node| node.name.to_string());
        let mut seen: Vec<Name> = Vec::new();
        let mut found = Vec::new();
        for to in ["initiator".to_owned(), "previous".to_owned()].into_iter().chain(decisions) {
            let Ok(step) = self.tried(Do::Return { seat, to: to.clone(), opinion: words(), straight: None, files: Vec::new() }) else { continue };
            let went = step.events.iter().find_map(|event| match event {
                Event::Returned { to, .. } => Some(to.clone()),
                _ => None,
            });
            if let Some(went) = went.filter(|went| !seen.contains(went)) {
                found.push(json!({"to": to, "step": went, "label": self.label(went.as_str())}));
                seen.push(went);
            }
        }
        found
    }

    /// What may be done with a task.
    pub(super) fn with_task(&self, seat: &Seat, node: &Node) -> Json {
        let (id, nobody) = (seat.id, Uuid::nil());
        let back = self.returns(id);
        let asks = !back.is_empty() && node.decision().is_some_and(|doc| doc.back.resubmit == Resubmit::Ask);
        let places = [(Place::Before, "before"), (Place::After, "after"), (Place::Parallel, "parallel")];
        let add_sign: Vec<&str> = places
            .into_iter()
            .filter(|(place, _)| self.would(Do::AddSign { seat: id, place: *place, users: vec![nobody], mode: SignMode::All, opinion: words() }))
            .map(|(_, word)| word)
            .collect();
        json!({
            "approve": self.would(self.decide(id, Verdict::Approve)),
            "reject": self.would(self.decide(id, Verdict::Reject)),
            "return": back,
            "resubmit": asks,
            "transfer": self.would(Do::Transfer { seat: id, to: nobody, opinion: words() }),
            "delegate": self.would(Do::Delegate { seat: id, to: nobody, opinion: words() }),
            "opinion": self.would(Do::Opinion { seat: id, opinion: words() }),
            "recall": self.would(Do::Recall { seat: id }),
            "add_sign": add_sign,
            "claim": self.would(Do::Claim { seat: id }),
            "release": self.would(Do::Release { seat: id }),
        })
    }

    /// What may be done with the instance.
    pub(super) fn with_instance(&self, people: &BTreeMap<Uuid, String>) -> Json {
        let mut holders: Vec<Uuid> =
            self.instance.seats.iter().filter(|seat| seat.state.is_open()).flat_map(|seat| [seat.principal, seat.holder]).flatten().collect();
        holders.sort_unstable();
        holders.dedup();
        let of = |ids: Vec<Uuid>| -> Vec<Json> { ids.into_iter().map(|id| person_json(people, Some(id))).collect() };
        let remove: Vec<Uuid> = holders.iter().copied().filter(|user| self.would(Do::RemoveSign { user: *user, opinion: words() })).collect();
        let admin = |act: AdminAct| self.would(Do::Admin { act, opinion: words() });
        let step_in = if self.actor.manages && self.instance.state.is_live() {
            let first = self.plan.flow.node(self.plan.flow.first().as_str());
            let jump: Vec<Json> = first
                .into_iter()
                .chain(decisions(self.plan))
                .filter(|node| admin(AdminAct::Jump { to: node.name.clone() }))
                .map(|node| json!({"step": node.name, "label": self.label(node.name.as_str())}))
                .collect();
            let ends = [(AdminResult::Approved, "approved"), (AdminResult::Rejected, "rejected"), (AdminResult::Ended, "ended")];
            json!({
                "jump": jump,
                "replace": of(holders.into_iter().filter(|user| admin(AdminAct::Replace { user: *user, by: Uuid::nil() })).collect()),
                "end": ends.into_iter().filter(|(result, _)| admin(AdminAct::End { result: *result })).map(|(_, word)| word).collect::<Vec<_>>(),
                "unlock": !self.instance.unlocked && self.plan.flow.settings.lock.mode == LockMode::Locked && admin(AdminAct::Unlock),
                "suspend": admin(AdminAct::Suspend),
                "resume": admin(AdminAct::Resume),
            })
        } else {
            Json::Null
        };
        let comment = Do::Comment { text: WORDS.to_owned(), mentions: Vec::new(), files: Vec::new() };
        json!({
            "submit": self.instance.state == State::Returned && self.would(Do::Submit { select: Selection::new(), opinion: words(), moves: false }),
            "withdraw": self.would(Do::Withdraw { opinion: words() }),
            "take_back": self.would(Do::TakeBack { opinion: words() }),
            "revoke": self.would(Do::Revoke { opinion: words() }),
            "urge": self.would(Do::Urge { opinion: words() }),
            "comment": self.actor.person.is_some() && self.would(comment),
            "copy": self.instance.state.is_live() && self.would(Do::Copy { people: Vec::new() }),
            "remove_sign": of(remove),
            "admin": step_in,
        })
    }

    /// For which steps that a yes leads to somebody must be chosen, and among whom.
    pub(super) fn to_choose(&self, seat: u32) -> Result<Choices, Error> {
        let Ok(done) = self.tried(self.decide(seat, Verdict::Approve)) else { return Ok(Vec::new()) };
        let fresh = done.instance.visits.iter().skip(self.instance.visits.len()).map(|visit| visit.node.clone());
        let wanted = |name: &Name| {
            selects(self.plan, name, &[ApproverBy::PreviousSelects, ApproverBy::InitiatorSelects]) && !self.instance.select.contains_key(name)
        };
        let mut found: Vec<Name> = fresh.filter(wanted).collect();
        found.dedup();
        found.into_iter().map(|name| Ok((name.clone(), self.among(&name)?))).collect()
    }

    /// Among whom somebody is chosen for a step.
    pub(super) fn among(&self, name: &Name) -> Result<Option<Vec<Uuid>>, Error> {
        let found = flow::approval::choosable(&self.plan.flow, self.instance, name, self.known, self.now);
        match self.known.failed.take() {
            Some(error) => Err(error),
            // Where it cannot be known among whom, nobody can be offered.
            None => Ok(found.unwrap_or(Some(Vec::new()))),
        }
    }
}

/// Whether those who decide in a step are chosen in one of these ways.
fn selects(plan: &FlowPlan, step: &Name, ways: &[ApproverBy]) -> bool {
    plan.flow.node(step.as_str()).and_then(Node::decision).is_some_and(|doc| doc.approvers.iter().any(|source| ways.contains(&source.by)))
}

/// The steps at which people decide, as the document writes them.
fn decisions(plan: &FlowPlan) -> impl Iterator<Item = &Node> {
    plan.doc.steps.keys().filter_map(|name| plan.flow.node(name.as_str())).filter(|node| node.decision().is_some())
}

/// What people call a step.
pub(super) fn label(plan: &FlowPlan, step: &str, locale: &str) -> String {
    plan.flow.node(step).and_then(|node| node.label.as_ref()).map_or_else(|| step.to_owned(), |label| label.get(locale).to_owned())
}

/// What people call a flow.
pub(super) fn flow_label<'a>(plan: &'a FlowPlan, locale: &str) -> &'a str {
    plan.flow.label.as_ref().map_or(plan.flow.name.as_str(), |label| label.get(locale))
}

/// Choices of people as answers show them.
pub(super) fn choices_json(plan: &FlowPlan, choices: &[(Name, Option<Vec<Uuid>>)], people: &BTreeMap<Uuid, String>, locale: &str) -> Json {
    let told = choices.iter().map(|(step, among)| {
        let among = among.as_ref().map(|ids| ids.iter().map(|id| person_json(people, Some(*id))).collect::<Vec<_>>());
        json!({"step": step, "label": label(plan, step.as_str(), locale), "among": among})
    });
    told.collect()
}

impl Engine {
    /// The flows over what the caller sees, with the steps at which people decide.
    #[must_use]
    pub fn approval_flows(&self, cx: &Ctx) -> Json {
        let mut plans: Vec<_> = cx.app.flows.all().filter(|plan| cx.grants.sees(plan.entity)).collect();
        plans.sort_by(|a, b| a.name.cmp(&b.name));
        let told = plans.into_iter().map(|plan| {
            let steps: Vec<Json> =
                decisions(plan).map(|node| json!({"step": node.name, "label": label(plan, node.name.as_str(), &cx.locale)})).collect();
            json!({"flow": plan.name, "label": flow_label(plan, &cx.locale), "entity": cx.app.schema.entity(plan.entity).name, "steps": steps})
        });
        json!({"data": told.collect::<Vec<_>>()})
    }

    /// The caller's facts as they hold for the record of an approval, seen within it: by its id or that of one of its tasks.
    ///
    /// # Errors
    /// `NotFound` for who may not know of it.
    pub async fn approval_sight(&self, cx: &Ctx, id: Uuid) -> Result<Ctx, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let instance = rows::of_task(tx, id)?.map_or(id, |task| task.instance);
                let row = rows::get(tx, instance)?.ok_or(Error::NotFound)?;
                if !verbs::may_know(&cx, tx, &row, &[])? {
                    return Err(Error::NotFound);
                }
                let facts = own_facts(&cx);
                let w = Writer::new(&facts, tx);
                let plan = plan_of(&w, &row)?;
                Ok(sight::within(&cx, &w, &plan, &row, None)?.unwrap_or_else(|| cx.clone()))
            })
            .await
    }

    /// The instances of a record that the caller sees, the newest first: `data`; and the flows that they may begin now: `submit`.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight.
    pub async fn approvals_of(&self, cx: &Ctx, entity: model::EntityId, record: Uuid) -> Result<Json, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| of_record(&cx, tx, entity, record)).await
    }
}

fn of_record(cx: &Ctx, tx: &Tx, entity: model::EntityId, record: Uuid) -> Result<Json, Error> {
    let at_work = sight::at_work(cx, tx, entity, record)?;
    if one_in(at_work.as_ref().unwrap_or(cx), tx, entity, record, &Shape::default())?.is_none() {
        let wider = sight::by_copy(cx, tx, entity, record)?.ok_or(Error::NotFound)?;
        one_in(&wider, tx, entity, record, &Shape::default())?.ok_or(Error::NotFound)?;
    }
    let facts = own_facts(cx);
    let w = Writer::new(&facts, tx);
    let rows = rows::of_record(tx, record, false)?;
    let me = cx.caller.user();
    let mut data = Vec::new();
    for row in &rows {
        let plan = match plan_of(&w, row) {
            Err(Error::NotFound) => continue,
            plan => plan?,
        };
        let people = row
            .instance
            .tasks()
            .flat_map(|seat| seat.holder.into_iter().chain(row.instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default()));
        let names = names(cx, &w, people)?;
        let at = row.instance.tasks().filter_map(|seat| {
            let visit = row.instance.visit(seat.visit)?;
            let pool = if seat.holder.is_none() { visit.pool.as_slice() } else { &[] };
            let people: Vec<Json> = seat.holder.iter().chain(pool).map(|person| person_json(&names, Some(*person))).collect();
            Some(json!({"step": visit.node, "label": label(&plan, visit.node.as_str(), &cx.locale), "people": people}))
        });
        let at: Vec<Json> = at.collect();
        let mine = row.instance.tasks().find(|seat| me.is_some_and(|me| sight::has(row, seat, me))).map(|seat| row.task_id(seat.id));
        data.push(json!({
            "id": row.id, "flow": plan.name, "flow_label": flow_label(&plan, &cx.locale), "number": row.number,
            "state": row.instance.state.as_str(), "title": tell::title(&w, &plan, row, sight::within(cx, &w, &plan, row, None)?.as_ref(), &cx.locale)?,
            "initiator": me.filter(|me| row.instance.initiator == Some(*me)),
            "submitted_at": row.instance.submitted_at, "ended_at": row.instance.ended_at, "at": at, "task": mine,
            "locked": row.instance.state.is_live() && !row.instance.unlocked && plan.flow.settings.lock.mode == LockMode::Locked,
        }));
    }
    let mut submit = Vec::new();
    for plan in cx.app.flows.of(entity) {
        if begins(cx, tx, &w, plan, record, &rows)? {
            submit.push(json!({"flow": plan.name, "label": flow_label(plan, &cx.locale)}));
        }
    }
    Ok(json!({"data": data, "submit": submit}))
}

/// Whether the caller may begin a flow on a record now, as `submit` would say.
fn begins(cx: &Ctx, tx: &Tx, w: &Writer<'_>, plan: &FlowPlan, record: Uuid, rows: &[Row]) -> Result<bool, Error> {
    let sight = Writer::new(cx, tx);
    if !cx.grants.sees(plan.entity) || !sight.reader.in_sight(cx, plan.entity, record)? || !verbs::is_starter(cx, &sight, plan, record)? {
        return Ok(false);
    }
    for other in rows.iter().filter(|row| row.instance.state.is_live()) {
        if other.flow == plan.name || !disjoint(plan, &*plan_of(w, other)?) {
            return Ok(false);
        }
    }
    if plan.flow.start.when.is_none() {
        return Ok(true);
    }
    let known = Known::new(w, plan, Uuid::nil(), record);
    let held = flow::approval::Facts::holds(&known, "start/when");
    match known.failed.take() {
        Some(error) => Err(error),
        None => Ok(held.unwrap_or(false)),
    }
}
