//! In charge of going back: to the initiator, the step before, or a step; and of coming straight to where it was.
//! Invariant: it goes back only within its own branch or out of branches, never into another one: everything that was under
//! way below the point that it goes to ends.

use model::Name;
use model::doc::approval::{OpinionRule, Resubmit};
use uuid::Uuid;

use super::command::Refusal;
use super::event::Event;
use super::facts::Told;
use super::instance::{SeatState, State, Straight, StraightSplit, TokenId, TokenState, VisitId, VisitOutcome};
use super::machine::{Enclosed, Machine};

/// How it goes back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Way<'a> {
    /// Whether it comes straight to where it was.
    pub(crate) straight: bool,
    /// Who sends it.
    pub(crate) by: Option<Uuid>,
    /// In words.
    pub(crate) opinion: Option<&'a str>,
}

impl Machine<'_> {
    /// One seat sends it back.
    pub(crate) fn send_back(
        &mut self,
        seat: u32,
        to: &str,
        opinion: Option<&str>,
        straight: Option<bool>,
        enclosed: Enclosed<'_>,
    ) -> Result<(), Refusal> {
        let (seat, node, doc) = self.own_task(seat)?;
        self.may_decide(doc, self.actor.person)?;
        if self.instance.reverse {
            return Err(Refusal::TargetRefused);
        }
        let opinion = opinion.map(str::trim).filter(|opinion| !opinion.is_empty());
        if doc.opinion != OpinionRule::Never && opinion.is_none() && self.actor.person.is_some() {
            return Err(Refusal::Required("opinion"));
        }
        let (_, token, _) = self.node_of(seat.visit).ok_or(Refusal::TaskClosed)?;
        let allowed = |word: &str| doc.back.to.iter().any(|there| there == word);
        let target = match to {
            "initiator" if allowed("initiator") || allowed("any_visited") || allowed(self.flow.first().as_str()) => self.flow.first().clone(),
            "previous" if allowed("previous") || allowed("any_visited") => self.previous(token, &node.name).ok_or(Refusal::TargetRefused)?,
            step => {
                let name = Name::parse(step).ok_or(Refusal::TargetRefused)?;
                let listed = allowed(step) || allowed("any_visited") || (name == *self.flow.first() && allowed("initiator"));
                if !listed || !self.was_passed(&name) {
                    return Err(Refusal::TargetRefused);
                }
                name
            }
        };
        if self.mover(token, &node.name, &target).is_none() || target == node.name {
            return Err(Refusal::TargetRefused);
        }
        let straight = match doc.back.resubmit {
            Resubmit::Replay => false,
            Resubmit::Straight => true,
            Resubmit::Ask => straight.unwrap_or(false),
        };
        self.vote(seat.id, SeatState::Returned, self.actor.person, opinion, enclosed, None);
        let way = Way { straight, by: self.actor.person, opinion };
        if self.go_back(seat.visit, token, &node.name, &target, way) { Ok(()) } else { Err(Refusal::TargetRefused) }
    }

    /// Whether people decided in a step of this round, and it counts.
    fn was_passed(&self, name: &Name) -> bool {
        if name == self.flow.first() {
            return true;
        }
        self.flow.node(name.as_str()).is_some_and(|node| node.decision().is_some())
            && self.instance.visits.iter().any(|visit| visit.node == *name && visit.outcome == Some(VisitOutcome::Passed) && !visit.superseded)
    }

    /// The last step before this one at which a person acted, and that one may go back to.
    pub(crate) fn previous(&self, token: TokenId, node: &Name) -> Option<Name> {
        let acted = |visit: VisitId| self.instance.seats.iter().any(|seat| seat.visit == visit && seat.decided_by.is_some());
        let before = self.instance.visits.iter().rev().find(|visit| {
            visit.outcome == Some(VisitOutcome::Passed)
                && !visit.superseded
                && visit.node != *node
                && visit.node != *self.flow.first()
                && acted(visit.id)
                && self.mover(token, node, &visit.node).is_some()
        });
        Some(before.map_or_else(|| self.flow.first().clone(), |visit| visit.node.clone()))
    }

    /// The token that goes to `target` when what stands at `node` goes there; none where that is in another branch.
    fn mover(&self, token: TokenId, node: &Name, target: &Name) -> Option<TokenId> {
        let (from, to) = (self.flow.splits(node.as_str()), self.flow.splits(target.as_str()));
        self.flow.node(target.as_str())?;
        if !from.starts_with(&to) {
            return None;
        }
        let mut token = token;
        for _ in to.len()..from.len() {
            token = self.instance.token(token)?.parent?;
        }
        Some(token)
    }

    /// Sends it back from a visit, which may be over already; whether it could.
    pub(crate) fn go_back(&mut self, visit: VisitId, token: TokenId, node: &Name, target: &Name, way: Way<'_>) -> bool {
        let Way { straight, by, opinion } = way;
        let Some(mover) = self.mover(token, node, target) else { return false };
        if self.instance.visit(visit).is_some_and(|visit| visit.outcome.is_none()) {
            self.close(visit, VisitOutcome::Returned, None);
        }
        let way = straight.then(|| self.way_back(token, node, mover, target));
        let kept: Vec<TokenId> = way.iter().flat_map(|way| self.finished(mover, way)).collect();
        let below = self.below(mover);
        self.end_tokens(&below, None);
        self.stop(mover, VisitOutcome::Cancelled, None);
        let since = self.instance.visits.iter().rev().find(|visit| visit.node == *target && !visit.superseded).map_or(0, |visit| visit.id);
        let over: Vec<VisitId> = self
            .instance
            .visits
            .iter()
            .filter(|visit| (visit.token == mover || below.contains(&visit.token)) && !kept.contains(&visit.token))
            .filter(|visit| !visit.superseded && (visit.id >= since || *target == *self.flow.first()))
            .map(|visit| visit.id)
            .collect();
        self.emit(Event::Returned { visit, by, token: mover, to: target.clone(), straight: way, opinion: opinion.map(str::to_owned) });
        self.emit(Event::Superseded { visits: over });
        self.send(mover, target, true);
        true
    }

    /// The splits between the token that goes back and the one that sends it.
    fn way_back(&self, token: TokenId, node: &Name, mover: TokenId, target: &Name) -> Straight {
        let mut path = Vec::new();
        let mut at = token;
        while at != mover {
            let Some(there) = self.instance.token(at) else { break };
            let (Some(parent), Some((split, branch))) = (there.parent, &there.branch) else { break };
            // The last child of each branch is the one that counts: earlier ones ended with a return.
            let siblings: Vec<_> = self.instance.tokens.iter().filter(|sibling| sibling.parent == Some(parent) && sibling.id != at).collect();
            let of = |state: &dyn Fn(TokenState) -> bool| -> Vec<Name> {
                siblings
                    .iter()
                    .filter(|sibling| state(sibling.state))
                    .filter_map(|sibling| sibling.branch.clone())
                    .map(|(_, branch)| branch)
                    .collect()
            };
            path.push(StraightSplit {
                node: split.clone(),
                branch: branch.clone(),
                open: of(&|state| matches!(state, TokenState::Active | TokenState::Forked)),
                finished: of(&|state| state == TokenState::Arrived),
            });
            at = parent;
        }
        path.reverse();
        Straight { node: node.clone(), to: target.clone(), path, watched: self.watched() }
    }

    /// The tokens of branches that stay finished.
    fn finished(&self, mover: TokenId, way: &Straight) -> Vec<TokenId> {
        if way.path.is_empty() {
            return Vec::new();
        }
        let done: Vec<TokenId> = self
            .below(mover)
            .into_iter()
            .filter(|token| self.instance.token(*token).is_some_and(|token| token.state == TokenState::Arrived))
            .collect();
        done.iter().flat_map(|token| self.below(*token)).chain(done.iter().copied()).collect()
    }

    /// Whether a token that leaves the step it went back to goes straight to where it was; then it is on its way.
    pub(crate) fn straight(&mut self, token: TokenId, name: &Name) -> Told<bool> {
        let Some(way) = self.instance.token(token).and_then(|token| token.straight.clone()).filter(|way| way.to == *name) else { return Ok(false) };
        let unchanged = self.flow.settings.watched.is_empty() || self.facts.watched()? == way.watched;
        self.emit(Event::StraightTaken { token });
        if self.instance.state == State::Returned || !unchanged {
            return Ok(false);
        }
        self.along(token, &way.path, &way.node);
        Ok(true)
    }

    fn along(&mut self, token: TokenId, path: &[StraightSplit], node: &Name) {
        let Some((split, rest)) = path.split_first() else { return self.send(token, node, true) };
        let first = u32::try_from(self.instance.tokens.len()).unwrap_or(u32::MAX);
        let open: Vec<(Name, TokenId)> = [&split.branch].into_iter().chain(&split.open).cloned().zip(first..).collect();
        let next = first + u32::try_from(open.len()).unwrap_or_default();
        let finished: Vec<(Name, TokenId)> = split.finished.iter().cloned().zip(next..).collect();
        self.emit(Event::Forked { token, node: split.node.clone(), open: open.clone(), finished });
        let flow = self.flow;
        let Some(owner) = flow.node(split.node.as_str()) else { return };
        for (branch, child) in open {
            if branch == split.branch {
                self.along(child, rest, node);
            } else {
                self.into(child, owner, Some(branch));
            }
        }
    }
}
