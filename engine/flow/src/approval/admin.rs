//! In charge of what those who manage a flow may do with an instance; each with a reason that all can read.

use model::Name;
use model::doc::approval::IfInitiator;
use uuid::Uuid;

use super::command::{AdminAct, Refusal, Result as As};
use super::effect::{Effect, Notice};
use super::event::{Event, Reason};
use super::instance::{Seat, State, TokenId, TokenState, VisitId, VisitOutcome};
use super::machine::Machine;

impl Machine<'_> {
    pub(crate) fn step_in(&mut self, act: &AdminAct, opinion: Option<&str>) -> Result<(), Refusal> {
        if self.actor.person.is_some() && !self.actor.manages {
            return Err(Refusal::Forbidden);
        }
        let opinion = opinion.map(str::trim).filter(|opinion| !opinion.is_empty());
        if opinion.is_none() && self.actor.person.is_some() {
            return Err(Refusal::Required("opinion"));
        }
        if !self.instance.state.is_live() {
            return Err(Refusal::TaskClosed);
        }
        let (by, told) = (self.actor.person, opinion.map(str::to_owned));
        match act {
            AdminAct::Jump { to } => self.jump(to, opinion),
            AdminAct::Replace { user, by } => self.replace(*user, *by, opinion),
            AdminAct::End { result } => self.end(*result, opinion),
            AdminAct::Unlock => {
                self.emit(Event::Unlocked { by, opinion: told });
                Ok(())
            }
            AdminAct::Suspend if self.instance.suspended => Err(Refusal::TaskClosed),
            AdminAct::Suspend => {
                self.emit(Event::Suspended { by, opinion: told });
                Ok(())
            }
            AdminAct::Resume => self.resume(opinion),
        }
    }

    /// Lets it go on: after a rest, or where it stood still.
    fn resume(&mut self, opinion: Option<&str>) -> Result<(), Refusal> {
        let parked: Vec<(TokenId, Name)> = self.instance.parked().map(|token| (token.id, token.at.clone())).collect();
        if !self.instance.suspended && parked.is_empty() {
            return Err(Refusal::TaskClosed);
        }
        if self.instance.suspended {
            self.emit(Event::Resumed { by: self.actor.person, opinion: opinion.map(str::to_owned) });
            // What changed while it rested is seen now.
            let round = self.instance.round;
            self.changed()?;
            if self.instance.round != round {
                return Ok(());
            }
        }
        for (token, at) in parked {
            if self.instance.token(token).is_some_and(|token| token.at_end) {
                self.emit(Event::Unparked { token });
                self.effects.push(Effect::Move { token: Some(token) });
                continue;
            }
            let back = self.instance.token(token).is_some_and(|token| token.back);
            self.stop(token, VisitOutcome::Cancelled, Some(&Reason::Admin));
            self.emit(Event::Unparked { token });
            self.send(token, &at, back);
        }
        Ok(())
    }

    /// The token that stands for a step's branch: the root's for what is in none.
    fn token_of(&self, splits: &[(Name, Name)]) -> Option<TokenId> {
        let branches = |token: &super::Token| {
            let mut way = Vec::new();
            let mut at = Some(token);
            while let Some(there) = at {
                way.extend(there.branch.clone());
                at = there.parent.and_then(|parent| self.instance.token(parent));
            }
            way.reverse();
            way
        };
        let live = |token: &&super::Token| matches!(token.state, TokenState::Active | TokenState::Forked);
        self.instance.tokens.iter().filter(live).find(|token| branches(token) == splits).map(|token| token.id)
    }

    fn jump(&mut self, to: &Name, opinion: Option<&str>) -> Result<(), Refusal> {
        if self.flow.node(to.as_str()).is_none() || self.instance.suspended {
            return Err(Refusal::TargetRefused);
        }
        let token = self.token_of(&self.flow.splits(to.as_str())).ok_or(Refusal::TargetRefused)?;
        if self.is_own() && !self.lies_behind(to, token) {
            return Err(Refusal::Forbidden);
        }
        let below = self.below(token);
        self.end_tokens(&below, Some(&Reason::Admin));
        self.stop(token, VisitOutcome::Cancelled, Some(&Reason::Admin));
        // Back as far as it goes, nothing counts any more, as after a return.
        let since = self.instance.visits.iter().rev().find(|visit| visit.node == *to && !visit.superseded).map(|visit| visit.id);
        let since = if *to == *self.flow.first() { Some(0) } else { since };
        let of_it = |visit: &&super::Visit| visit.token == token || below.contains(&visit.token);
        let over: Vec<VisitId> = self
            .instance
            .visits
            .iter()
            .filter(of_it)
            .filter(|visit| !visit.superseded && since.is_some_and(|since| visit.id >= since))
            .map(|visit| visit.id)
            .collect();
        if !over.is_empty() {
            self.emit(Event::Superseded { visits: over });
        }
        self.emit(Event::Jumped { by: self.actor.person, token, to: to.clone(), opinion: opinion.map(str::to_owned) });
        let is_start = *to == *self.flow.first();
        self.send(token, to, is_start);
        Ok(())
    }

    /// Whether an administrator acts on what they asked for themselves.
    fn is_own(&self) -> bool {
        self.actor.person.is_some() && self.actor.person == self.instance.initiator
    }

    /// Whether a step lies behind a token, so that going there leaves out nothing that is still to be decided.
    fn lies_behind(&self, to: &Name, token: TokenId) -> bool {
        if to == self.flow.first() {
            return true;
        }
        let at = self.instance.token(token).and_then(|token| self.flow.place_of(token.at.as_str()));
        let is_before = self.flow.place_of(to.as_str()).is_some_and(|to| at.is_some_and(|at| to <= at));
        let is_known = |visit: &super::Visit| visit.node == *to && visit.round == self.instance.round && !visit.superseded;
        is_before && self.instance.visits.iter().any(is_known)
    }

    fn replace(&mut self, user: Uuid, by: Uuid, opinion: Option<&str>) -> Result<(), Refusal> {
        // Also where their turn has not come, and where only their opinion is asked.
        let open = || self.instance.seats.iter().filter(|seat| seat.state.is_open());
        let seats: Vec<Seat> = open().filter(|seat| seat.is_of(user)).cloned().collect();
        let asked: Vec<Seat> = open().filter(|seat| seat.delegate == Some(user) && !seat.is_of(user)).cloned().collect();
        if seats.is_empty() && asked.is_empty() {
            return Err(Refusal::TaskClosed);
        }
        if let (false, false) = (asked.is_empty(), self.is_active(by)?) {
            return Err(Refusal::BadPerson("by"));
        }
        if asked.iter().any(|seat| seat.is_of(by)) {
            return Err(Refusal::AlreadySeated);
        }
        for seat in &seats {
            let (.., node) = self.node_of(seat.visit).ok_or(Refusal::TaskClosed)?;
            match node.decision() {
                Some(doc) => {
                    self.may_sit(doc, seat.visit, by, "by")?;
                    // Nor through somebody for whom they stand in.
                    let acts = self.stand_in(by, doc)?.map_or(by, |proxy| proxy.person);
                    if self.is_own() && [by, acts].iter().any(|person| self.actor.person == Some(*person)) {
                        return Err(Refusal::Forbidden);
                    }
                }
                None if self.is_active(by)? => {}
                None => return Err(Refusal::BadPerson("by")),
            }
        }
        for seat in seats {
            let Some((.., node)) = self.node_of(seat.visit) else { continue };
            match node.decision() {
                Some(doc) => self.hand_on(&seat, by, doc, opinion, None)?,
                None => self.emit(Event::HolderChanged { seat: seat.id, holder: by, until: None }),
            }
        }
        for seat in asked {
            let Some(asks) = seat.holder.or(seat.principal) else { continue };
            self.emit(Event::Delegated { seat: seat.id, by: asks, to: by, opinion: opinion.map(str::to_owned) });
            self.notify(Some(by), Notice::Delegated, Some(seat.id));
        }
        Ok(())
    }

    fn end(&mut self, result: As, opinion: Option<&str>) -> Result<(), Refusal> {
        let state = match result {
            As::Approved => State::Approved,
            As::Rejected => State::Rejected,
            As::Ended => State::Ended,
        };
        // Nobody says yes to what they asked for, not as an administrator either; least of all where the flow forbids it.
        let asked =
            self.flow.nodes().filter_map(super::Node::decision).any(|doc| doc.if_initiator == IfInitiator::Forbid || !doc.approvers.is_empty());
        if state == State::Approved && self.is_own() && asked {
            return Err(Refusal::Forbidden);
        }
        let moves = state == State::Approved && self.is_to_move();
        self.over(state, self.actor.person, opinion, Some(Reason::Admin));
        if moves {
            self.effects.push(Effect::Move { token: None });
        }
        Ok(())
    }
}
