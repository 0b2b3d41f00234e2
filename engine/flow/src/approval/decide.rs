//! In charge of votes: who may, what must be said with them.

use model::doc::approval::{ApproverBy, DecisionDoc, IfInitiator, Mode, OpinionRule};
use uuid::Uuid;

use super::command::{Refusal, Selection, Verdict};
use super::event::Event;
use super::instance::{Group, Place, Seat, SeatId, SeatState, State};
use super::machine::{Enclosed, Machine};
use super::plan::Node;

impl<'a> Machine<'a> {
    /// The task of whoever acts, with its step; refused where it is closed or another's.
    pub(crate) fn own_task(&self, seat: SeatId) -> Result<(Seat, &'a Node, &'a DecisionDoc), Refusal> {
        let seat = self.instance.seat(seat).cloned().ok_or(Refusal::TaskClosed)?;
        let (.., node) = self.node_of(seat.visit).ok_or(Refusal::TaskClosed)?;
        let live = self.instance.state.is_live() && !self.instance.suspended;
        let unclaimed = self.ahead && seat.state == SeatState::Unclaimed;
        if !live || !(unclaimed || matches!(seat.state, SeatState::Open | SeatState::Delegated)) {
            return Err(Refusal::TaskClosed);
        }
        if let Some(person) = self.actor.person
            && (!seat.is_of(person) || seat.state == SeatState::Delegated)
        {
            return Err(Refusal::NotYourTask);
        }
        // The initiator's own step has nothing to decide: it is submitted.
        let doc = node.decision().ok_or(Refusal::Forbidden)?;
        Ok((seat, node, doc))
    }

    /// Whether a person may decide at all here.
    pub(crate) fn may_decide(&self, doc: &DecisionDoc, person: Option<Uuid>) -> Result<(), Refusal> {
        let barred = doc.if_initiator == IfInitiator::Forbid && person.is_some() && person == self.instance.initiator;
        if barred { Err(Refusal::Forbidden) } else { Ok(()) }
    }

    pub(crate) fn decide(
        &mut self,
        seat: SeatId,
        verdict: Verdict,
        opinion: Option<&str>,
        enclosed: Enclosed<'_>,
        select: &Selection,
    ) -> Result<(), Refusal> {
        let (seat, node, doc) = self.own_task(seat)?;
        self.may_decide(doc, self.actor.person)?;
        if verdict == Verdict::Reject && !node.kind.approves() {
            return Err(Refusal::Forbidden);
        }
        let opinion = opinion.map(str::trim).filter(|opinion| !opinion.is_empty());
        if !self.ahead && self.actor.person.is_some() {
            let wanted = doc.opinion == OpinionRule::Always || (doc.opinion == OpinionRule::OnReject && verdict == Verdict::Reject);
            if wanted && opinion.is_none() {
                return Err(Refusal::Required("opinion"));
            }
            if doc.signature && verdict == Verdict::Approve && enclosed.signature.is_none() {
                return Err(Refusal::Required("signature"));
            }
        }
        self.may_select(select, ApproverBy::PreviousSelects)?;
        if !select.is_empty() {
            self.emit(Event::Selected { visit: seat.visit, by: self.actor.person, select: select.clone() });
        }
        let state = match verdict {
            Verdict::Reject => SeatState::Rejected,
            Verdict::Approve if self.has_followers(&seat) => SeatState::Ahead,
            Verdict::Approve => SeatState::Approved,
        };
        self.vote(seat.id, state, self.actor.person, opinion, enclosed, None);
        if verdict == Verdict::Reject {
            self.end_groups(&seat);
        }
        self.settle(seat.visit);
        Ok(())
    }

    /// Whether somebody was added after a seat and is still there.
    pub(crate) fn has_followers(&self, seat: &Seat) -> bool {
        let there = |group: &Group| group.seats.iter().filter_map(|seat| self.instance.seat(*seat)).any(|seat| seat.state != SeatState::Removed);
        self.groups_of(seat).iter().any(|group| group.place == Place::After && there(group))
    }

    pub(crate) fn groups_of(&self, seat: &Seat) -> Vec<Group> {
        let groups = self.instance.visit(seat.visit).map(|visit| visit.groups.clone()).unwrap_or_default();
        groups.into_iter().filter(|group| group.of == seat.id).collect()
    }

    /// Those who were added to a seat that said no are not needed.
    fn end_groups(&mut self, seat: &Seat) {
        for group in self.groups_of(seat) {
            self.close_seats(&group.seats, SeatState::NotNeeded);
        }
    }

    /// Takes a task that is anybody's of a pool.
    pub(crate) fn claim(&mut self, seat: SeatId) -> Result<(), Refusal> {
        let (Some(person), Some(seat)) = (self.actor.person, self.instance.seat(seat).cloned()) else { return Err(Refusal::TaskClosed) };
        let pool = self.instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default();
        if self.instance.state != State::Running || self.instance.suspended || !seat.state.is_open() {
            return Err(Refusal::TaskClosed);
        }
        if !pool.contains(&person) {
            return Err(Refusal::NotYourTask);
        }
        if seat.state != SeatState::Unclaimed {
            return Err(Refusal::ClaimLost);
        }
        if let Some((.., node)) = self.node_of(seat.visit)
            && let Some(doc) = node.decision()
        {
            self.may_decide(doc, Some(person))?;
        }
        self.emit(Event::Claimed { seat: seat.id, by: person });
        Ok(())
    }

    /// Gives it back.
    pub(crate) fn release(&mut self, seat: SeatId) -> Result<(), Refusal> {
        let (seat, _, doc) = self.own_task(seat)?;
        let (Some(person), Mode::Claim) = (self.actor.person, doc.mode) else { return Err(Refusal::Forbidden) };
        if self.instance.visit(seat.visit).is_none_or(|visit| visit.pool.is_empty()) {
            return Err(Refusal::Forbidden);
        }
        self.emit(Event::Released { seat: seat.id, by: person });
        Ok(())
    }
}
