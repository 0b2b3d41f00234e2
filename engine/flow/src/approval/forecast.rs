//! In charge of looking ahead: who would decide in which order, by the same code that runs.
//! Invariant: nothing is kept of it; pauses, actions and flows within flows are passed over and said to be uncertain.

use chrono::{DateTime, Utc};
use model::Name;
use uuid::Uuid;

use super::command::{Actor, Do, Selection, Verdict};
use super::facts::Facts;
use super::instance::{Instance, SeatState, State, VisitOutcome};
use super::machine::Machine;
use super::plan::Flow;

/// A step that is foreseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// The step.
    pub node: Name,
    /// Who decides there, in order; nobody where it decides itself.
    pub people: Vec<Uuid>,
    /// Whether it passes without anybody's doing.
    pub automatic: bool,
}

/// What is foreseen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// The steps, in order.
    pub steps: Vec<Foreseen>,
    /// The steps for which the initiator must still choose.
    pub choose: Vec<Name>,
    /// Why it is not certain.
    pub uncertain: Option<Uncertain>,
}

/// Why a path is not certain; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncertain {
    /// It cannot be foreseen to the end, for a reason in words.
    Stuck(String),
    /// On the way is something whose outcome nobody knows: a pause, steps of the system, another flow, a lot.
    Way,
}

/// Commands that a look ahead tries.
const MOST: usize = 400;

/// What is foreseen of an instance as it is; a new one is submitted by `initiator`.
#[must_use]
pub fn forecast(flow: &Flow, instance: &Instance, initiator: Option<Uuid>, facts: &dyn Facts, now: DateTime<Utc>) -> Forecast {
    let mut there = instance.clone();
    there.suspended = false;
    let from = there.visits.len();
    let mut told = Forecast::default();
    let obey = |there: &Instance, actor: Actor, act: &Do| {
        let mut machine = Machine::new(flow, there, actor, facts, now, true);
        machine.obey(act).map(|()| machine.finish(there))
    };
    if matches!(there.state, State::None | State::Returned) {
        let act = Do::Submit { select: Selection::new(), opinion: None, moves: false };
        match obey(&there, Actor { person: initiator, manages: true }, &act) {
            Ok(step) => there = step.instance,
            Err(refusal) => told.uncertain = Some(Uncertain::Stuck(refusal.to_string())),
        }
    }
    for _ in 0..MOST {
        let next = there.tasks().find(|seat| matches!(seat.state, SeatState::Open | SeatState::Delegated | SeatState::Unclaimed)).map(|seat| seat.id);
        let Some(seat) = next.filter(|_| there.state == State::Running) else { break };
        let act = Do::Decide { seat, verdict: Verdict::Approve, opinion: None, signature: None, files: Vec::new(), select: Selection::new() };
        match obey(&there, Actor { person: None, manages: true }, &act) {
            Ok(step) => there = step.instance,
            Err(refusal) => {
                told.uncertain = Some(Uncertain::Stuck(refusal.to_string()));
                break;
            }
        }
    }
    if let Some(parked) = there.parked().next().and_then(|token| token.parked.clone()) {
        told.uncertain = Some(Uncertain::Stuck(parked.reason));
    }
    if told.uncertain.is_none() && passes_unknown(flow, instance, &there) {
        told.uncertain = Some(Uncertain::Way);
    }
    let choose = |node: &&super::Node| {
        let selects = |approver: &model::doc::approval::Approver| approver.by == model::doc::approval::ApproverBy::InitiatorSelects;
        node.decision().is_some_and(|doc| doc.approvers.iter().any(selects)) && !there.select.contains_key(&node.name)
    };
    let reached = |name: &Name| there.visits.iter().any(|visit| visit.node == *name);
    told.choose = flow.nodes().filter(choose).map(|node| node.name.clone()).filter(reached).collect();
    for visit in there.visits.iter().enumerate().filter(|(index, visit)| *index >= from || visit.outcome.is_none()).map(|(_, visit)| visit) {
        if visit.node == *flow.first() || visit.outcome == Some(VisitOutcome::Cancelled) {
            continue;
        }
        let seats: Vec<_> = visit.order.iter().filter_map(|seat| there.seat(*seat)).collect();
        let automatic = seats.iter().all(|seat| seat.reason == Some(super::Reason::Earlier));
        let people = if visit.pool.is_empty() { seats.iter().filter_map(|seat| seat.principal).collect() } else { visit.pool.clone() };
        told.steps.push(Foreseen { node: visit.node.clone(), people, automatic });
    }
    told
}

/// Whether the way went through a step whose outcome nobody can know now.
fn passes_unknown(flow: &Flow, before: &Instance, after: &Instance) -> bool {
    let entered = |name: &Name| after.counts.get(name).copied().unwrap_or_default() > before.counts.get(name).copied().unwrap_or_default();
    let waits = |name: &Name| before.tokens.iter().any(|token| token.at == *name && token.state == super::TokenState::Active);
    let is_open = |node: &super::Node| {
        let by_lot = node.decision().is_some_and(|doc| doc.mode == model::doc::approval::Mode::Random);
        by_lot || node.kind.is_open_ended()
    };
    flow.nodes().any(|node| is_open(node) && (entered(&node.name) || waits(&node.name)))
}
