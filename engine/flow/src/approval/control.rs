//! In charge of an instance as a whole: submitted, withdrawn, taken back, revoked, urged, talked about.

use chrono::Duration;
use model::Name;
use model::doc::approval::{ApproverBy, LockMode, WithdrawRule};
use serde_json::Value as Json;
use uuid::Uuid;

use super::command::{Refusal, Selection};
use super::effect::Notice;
use super::event::{Event, Reason};
use super::instance::{Seat, SeatId, SeatState, State, TokenId, TokenState, Visit, VisitId, VisitOutcome};
use super::machine::{Enclosed, Machine};
use super::quorum::outcome;
use super::timer::TimerKind;
use super::{Ballot, Vote};
use super::{MAX_VISITS, URGE_EVERY};

impl Machine<'_> {
    /// Begins, or comes back after a return.
    pub(crate) fn submit(&mut self, select: &Selection, opinion: Option<&str>, moves: bool) -> Result<(), Refusal> {
        match self.instance.state {
            State::None => {}
            State::Returned => return self.resubmit(select, opinion),
            State::Running => return Err(Refusal::AlreadyRunning),
            State::Approved | State::Rejected | State::Withdrawn | State::Revoked | State::Ended => return Err(Refusal::TaskClosed),
        }
        self.may_select(select, ApproverBy::InitiatorSelects)?;
        let watched = self.facts.watched()?;
        let by = self.actor.person;
        self.emit(Event::Submitted { by, at: self.now, select: select.clone(), watched, opinion: opinion.map(str::to_owned), moves });
        self.begin();
        Ok(())
    }

    /// The first token goes to the first step.
    fn begin(&mut self) {
        let flow = self.flow;
        let Some(entry) = flow.entry() else { return };
        let token = u32::try_from(self.instance.tokens.len()).unwrap_or(u32::MAX);
        self.emit(Event::Begun { at: entry.clone() });
        self.send(token, entry, false);
    }

    fn resubmit(&mut self, select: &Selection, opinion: Option<&str>) -> Result<(), Refusal> {
        let first = self.flow.first().clone();
        let task = self.instance.tasks().find(|seat| self.instance.visit(seat.visit).is_some_and(|visit| visit.node == first)).cloned();
        let Some(seat) = task.filter(|_| !self.instance.suspended) else { return Err(Refusal::TaskClosed) };
        if let Some(person) = self.actor.person
            && !seat.is_of(person)
            && self.instance.initiator != Some(person)
        {
            return Err(Refusal::NotYourTask);
        }
        self.may_select(select, ApproverBy::InitiatorSelects)?;
        let Some((visit, token, _)) = self.node_of(seat.visit) else { return Err(Refusal::TaskClosed) };
        let watched = self.facts.watched()?;
        let by = self.actor.person;
        self.emit(Event::Submitted { by, at: self.now, select: select.clone(), watched, opinion: opinion.map(str::to_owned), moves: false });
        self.vote(seat.id, SeatState::Approved, by, opinion, Enclosed::default(), None);
        self.close(visit, VisitOutcome::Passed, None);
        self.after(token, &first);
        Ok(())
    }

    /// Whether those who were chosen may be: `by` is whose choice it is, nobody chooses for another.
    pub(crate) fn may_select(&self, select: &Selection, by: ApproverBy) -> Result<(), Refusal> {
        for (node, people) in select {
            let doc = self.flow.node(node.as_str()).and_then(super::Node::decision).ok_or(Refusal::BadPerson("select"))?;
            let (index, source) = doc.approvers.iter().enumerate().find(|(_, source)| source.by == by).ok_or(Refusal::BadPerson("select"))?;
            let among = self.found(node, &format!("steps/{node}/approvers/{index}/among"), &source.among)?;
            for person in people {
                if !self.is_active(*person)? || (!source.among.is_empty() && !among.contains(person)) {
                    return Err(Refusal::BadPerson("select"));
                }
            }
        }
        Ok(())
    }

    /// The initiator takes the request back.
    pub(crate) fn withdraw(&mut self, opinion: Option<&str>) -> Result<(), Refusal> {
        if !self.instance.state.is_live() {
            return Err(Refusal::WindowClosed);
        }
        self.is_initiator()?;
        let open = match self.flow.settings.withdraw {
            WithdrawRule::Never => false,
            WithdrawRule::AnyTimeRunning => true,
            WithdrawRule::BeforeFirstDecision => !self.instance.decided || self.instance.state == State::Returned,
        };
        if !open || self.instance.suspended {
            return Err(Refusal::WindowClosed);
        }
        self.over(State::Withdrawn, self.actor.person, opinion, None);
        Ok(())
    }

    fn is_initiator(&self) -> Result<(), Refusal> {
        match self.actor.person {
            Some(person) if self.instance.initiator != Some(person) => Err(Refusal::Forbidden),
            Some(_) | None => Ok(()),
        }
    }

    /// The initiator asks that an approval does not count any more: the flow goes its way again.
    pub(crate) fn revoke(&mut self, opinion: Option<&str>) -> Result<(), Refusal> {
        self.is_initiator()?;
        let (State::Approved, Some(span), Some(at)) = (self.instance.state, &self.flow.settings.revoke_within, self.instance.approved_at) else {
            return Err(Refusal::WindowClosed);
        };
        if self.facts.deadline(at, span, Some("natural"), None)? < self.now {
            return Err(Refusal::WindowClosed);
        }
        if self.flow.settings.revoke_if.is_some() && !self.facts.holds("settings/revoke_if")? {
            return Err(Refusal::WindowClosed);
        }
        self.emit(Event::RevocationBegun { by: self.actor.person, at: self.now, opinion: opinion.map(str::to_owned) });
        self.begin();
        Ok(())
    }

    /// Reminds those who have to decide.
    pub(crate) fn urge(&mut self, opinion: Option<&str>) -> Result<(), Refusal> {
        if self.instance.state != State::Running || self.instance.suspended {
            return Err(Refusal::TaskClosed);
        }
        if let Some(person) = self.actor.person {
            let took_part = self.instance.initiator == Some(person) || self.instance.seats.iter().any(|seat| seat.decided_by == Some(person));
            if !took_part && !self.actor.manages {
                return Err(Refusal::Forbidden);
            }
        }
        let tasks: Vec<Seat> = self.instance.tasks().cloned().collect();
        if tasks.is_empty() {
            return Err(Refusal::TaskClosed);
        }
        let rested = |seat: &&Seat| seat.urged_at.is_none_or(|at| at + Duration::minutes(URGE_EVERY) <= self.now);
        let due: Vec<Seat> = tasks.iter().filter(rested).cloned().collect();
        if due.is_empty() {
            return Err(Refusal::TooSoon);
        }
        let seats: Vec<SeatId> = due.iter().map(|seat| seat.id).collect();
        self.emit(Event::Urged { by: self.actor.person, at: self.now, seats, opinion: opinion.map(str::to_owned) });
        for seat in due {
            self.tell_task(&seat, Notice::Urged);
        }
        Ok(())
    }

    /// Tells whoever has a task before them.
    pub(crate) fn tell_task(&mut self, seat: &Seat, notice: Notice) {
        match seat.delegate.or(seat.holder) {
            Some(person) => self.notify(Some(person), notice, Some(seat.id)),
            None => {
                for person in self.instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default() {
                    self.notify(Some(person), notice, Some(seat.id));
                }
            }
        }
    }

    /// Somebody writes; those who are named, the initiator and those who have it before them are told. To be named is to have a
    /// copy only where whoever writes may give one.
    pub(crate) fn comment(&mut self, text: &str, mentions: &[Uuid], files: &[Json]) -> Result<(), Refusal> {
        if text.trim().is_empty() && files.is_empty() {
            return Err(Refusal::Required("opinion"));
        }
        self.emit(Event::Commented { by: self.actor.person, text: text.to_owned(), mentions: mentions.to_vec(), files: files.to_vec() });
        if let Ok(node) = self.may_show() {
            let others: Vec<Uuid> = mentions.iter().copied().filter(|person| Some(*person) != self.actor.person).collect();
            self.copy(node.as_ref(), self.actor.person, &others)?;
        }
        let tasks: Vec<Option<Uuid>> = self.instance.tasks().map(|seat| seat.holder).collect();
        for person in tasks.into_iter().chain([self.instance.initiator]).chain(mentions.iter().copied().map(Some)) {
            if person != self.actor.person {
                self.notify(person, Notice::Comment, None);
            }
        }
        Ok(())
    }

    /// Somebody gives copies: for good, and beyond what the receivers' roles show.
    pub(crate) fn hand_copies(&mut self, people: &[Uuid]) -> Result<(), Refusal> {
        let node = self.may_show()?;
        for person in people {
            if Some(*person) == self.actor.person || !self.is_active(*person)? {
                return Err(Refusal::BadPerson("people"));
            }
        }
        Ok(self.copy(node.as_ref(), self.actor.person, people)?)
    }

    /// Whether whoever acts may show the instance to others: who has it before them, the initiator, a manager, while it lives.
    /// The step is the one whose fields the copies show: of a task, its own, so that nobody shows what is hidden from them.
    fn may_show(&self) -> Result<Option<Name>, Refusal> {
        if !self.instance.state.is_live() {
            return Err(Refusal::TaskClosed);
        }
        let Some(person) = self.actor.person else { return Ok(None) };
        let task = self.instance.tasks().find(|seat| seat.is_of(person));
        if let Some(task) = task {
            return Ok(self.instance.visit(task.visit).map(|visit| visit.node.clone()));
        }
        if self.actor.manages || self.instance.initiator == Some(person) { Ok(None) } else { Err(Refusal::Forbidden) }
    }

    /// Nothing is to be decided about a record that is not there.
    pub(crate) fn gone(&mut self) -> Result<(), Refusal> {
        if self.instance.state.is_live() {
            self.over(State::Ended, None, None, Some(Reason::Gone));
        }
        Ok(())
    }

    /// A watched field of the record changed.
    pub(crate) fn changed(&mut self) -> Result<(), Refusal> {
        let restarts = self.flow.settings.lock.mode == LockMode::RestartOnChange && self.instance.state == State::Running && !self.instance.suspended;
        if !restarts || self.facts.watched()? == self.instance.watched {
            return Ok(());
        }
        let all: Vec<TokenId> = self.instance.tokens.iter().map(|token| token.id).collect();
        self.end_tokens(&all, Some(&Reason::Changed));
        self.clear_timers(|_| true);
        let counting: Vec<VisitId> = self.instance.visits.iter().filter(|visit| !visit.superseded).map(|visit| visit.id).collect();
        self.emit(Event::Superseded { visits: counting });
        let watched = self.facts.watched()?;
        self.emit(Event::Restarted { reason: Reason::Changed, watched });
        self.begin();
        Ok(())
    }

    /// An approver takes their decision back, as long as nobody went on from it.
    pub(crate) fn take_back(&mut self, opinion: Option<&str>) -> Result<(), Refusal> {
        let Some(person) = self.actor.person else { return Err(Refusal::Forbidden) };
        if self.instance.state != State::Running || self.instance.suspended {
            return Err(Refusal::WindowClosed);
        }
        let first = self.flow.first().clone();
        let mine = self.instance.seats.iter().rev().find(|seat| {
            seat.decided_by == Some(person)
                && self.instance.visit(seat.visit).is_some_and(|visit| !visit.superseded && visit.node != first && visit.round == self.instance.round)
        });
        let mine = mine.filter(|seat| seat.state == SeatState::Approved && seat.added.is_none()).cloned().ok_or(Refusal::WindowClosed)?;
        let visit = self.instance.visit(mine.visit).cloned().ok_or(Refusal::WindowClosed)?;
        let next = self.untouched_after(&visit, &mine)?;
        let there: Vec<SeatId> = self.standing(&visit).map(|seat| seat.id).collect();
        let seats = self.carried(&visit, &mine)?;
        let fresh: Vec<SeatId> = seats.iter().map(|seat| seat.id).collect();
        let Some((_, token, node)) = self.node_of(visit.id) else { return Err(Refusal::WindowClosed) };
        if self.instance.counts.get(&node.name).copied().unwrap_or_default() >= MAX_VISITS {
            return Err(Refusal::WindowClosed);
        }
        // The clock of those who still have to decide goes on.
        let deadlines: Vec<(usize, TimerKind, chrono::DateTime<chrono::Utc>)> = self
            .instance
            .timers
            .iter()
            .filter_map(|timer| match timer.kind {
                TimerKind::Deadline { seat, .. } => there.iter().position(|there| *there == seat).map(|place| (place, timer.kind.clone(), timer.due)),
                TimerKind::Delay { .. } | TimerKind::ProxyEnds { .. } => None,
            })
            .collect();
        self.emit(Event::TakenBack { visit: visit.id, by: person, opinion: opinion.map(str::to_owned) });
        for over in next {
            self.close(over, VisitOutcome::Cancelled, None);
            self.emit(Event::Superseded { visits: vec![over] });
        }
        self.stop(token, VisitOutcome::Cancelled, None);
        self.emit(Event::Entered { token, node: node.name.clone(), back: false });
        let id = self.open(node, token, seats, Vec::new(), None);
        self.settle(id);
        for (place, kind, due) in deadlines {
            if let (TimerKind::Deadline { rule, past, .. }, Some(seat)) = (kind, fresh.get(place)) {
                self.set_timer(due, TimerKind::Deadline { seat: *seat, rule, past });
            }
        }
        Ok(())
    }

    /// The seats of a visit that were not taken away.
    fn standing(&self, visit: &Visit) -> impl Iterator<Item = &Seat> {
        visit.order.iter().filter_map(|seat| self.instance.seat(*seat)).filter(|seat| seat.state != SeatState::Removed)
    }

    /// The visits that a decision led to, where nobody has touched them and nothing else happened.
    fn untouched_after(&self, visit: &Visit, mine: &Seat) -> Result<Vec<VisitId>, Refusal> {
        let token = self.instance.token(visit.token).ok_or(Refusal::WindowClosed)?;
        let waits_for_it = token.parent.and_then(|parent| self.instance.token(parent)).is_some_and(|parent| parent.state == TokenState::Forked);
        let stands = match token.state {
            TokenState::Active => !token.acted && token.straight.is_none(),
            TokenState::Arrived => waits_for_it && !token.acted,
            TokenState::Forked | TokenState::Ended => false,
        };
        let forked_since =
            self.instance.tokens.iter().any(|there| {
                there.parent == Some(token.id) && self.instance.visits.iter().any(|later| later.token == there.id && later.id > visit.id)
            });
        if !stands || forked_since || !visit.groups.is_empty() {
            return Err(Refusal::WindowClosed);
        }
        if visit.outcome.is_none() {
            // In a row, the one behind must not have done anything.
            let later = |seat: &&Seat| seat.visit == visit.id && seat.id > mine.id && seat.decided_by.is_some();
            let sequential = self
                .flow
                .node(visit.node.as_str())
                .and_then(super::Node::decision)
                .is_some_and(|doc| doc.mode == model::doc::approval::Mode::Sequential);
            if sequential && self.instance.seats.iter().any(|seat| later(&seat)) {
                return Err(Refusal::WindowClosed);
            }
            return Ok(vec![visit.id]);
        }
        let later: Vec<&Visit> = self.instance.visits.iter().filter(|later| later.token == visit.token && later.id > visit.id).collect();
        if visit.outcome != Some(VisitOutcome::Passed) || later.iter().any(|later| later.touched || later.outcome.is_some()) {
            return Err(Refusal::WindowClosed);
        }
        Ok(later.into_iter().map(|later| later.id).collect())
    }

    /// The seats of a visit once more, with the votes of the others, as far as these do not decide it alone.
    fn carried(&self, visit: &Visit, mine: &Seat) -> Result<Vec<Seat>, Refusal> {
        let doc = self.flow.node(visit.node.as_str()).and_then(super::Node::decision).ok_or(Refusal::WindowClosed)?;
        let (id, first) = (self.next_visit(), self.next_seat());
        let mut seats = Vec::new();
        for (seat, number) in self.standing(visit).zip(first..) {
            let mut fresh = Seat { added: seat.added, ..Seat::new(number, id, seat.principal) };
            (fresh.weight, fresh.veto, fresh.holder, fresh.proxy_until) = (seat.weight, seat.veto, seat.holder, seat.proxy_until);
            if seat.id != mine.id && seat.state.is_open() {
                fresh.opened_at = seat.opened_at;
            }
            if seat.id != mine.id && matches!(seat.state, SeatState::Approved | SeatState::Rejected) {
                (fresh.state, fresh.decided_at, fresh.decided_by) = (seat.state, seat.decided_at, seat.decided_by);
                fresh.opinion.clone_from(&seat.opinion);
                fresh.watched.clone_from(&seat.watched);
                fresh.reason = seat.reason.clone().or(Some(Reason::Carried));
            }
            seats.push(fresh);
        }
        let vote = |seat: &Seat| match seat.state {
            SeatState::Approved => Vote::Approved,
            SeatState::Rejected => Vote::Rejected,
            _ => Vote::Open,
        };
        let ballots: Vec<Ballot> = seats.iter().map(|seat| Ballot { vote: vote(seat), weight: seat.weight, veto: seat.veto }).collect();
        if outcome(doc.mode, doc.reject_counts, &ballots).is_some() {
            return Err(Refusal::WindowClosed);
        }
        Ok(seats)
    }

    /// Steps were run: the token that waited goes on, or stays with the reason.
    pub(crate) fn acted(&mut self, at: &str, token: Option<TokenId>, error: Option<&str>) -> Result<(), Refusal> {
        self.emit(Event::Acted { token, at: at.to_owned(), error: error.map(str::to_owned) });
        let Some(there) = token.and_then(|token| self.instance.token(token)).filter(|token| token.state == TokenState::Active) else { return Ok(()) };
        let (token, node): (TokenId, Name) = (there.id, there.at.clone());
        match error {
            Some(reason) => self.park(token, &node, reason.to_owned()),
            None => self.after(token, &node),
        }
        Ok(())
    }

    /// The move that waited was made: it is approved; or it could not be made, and stands still with the reason.
    pub(crate) fn moved(&mut self, token: TokenId, error: Option<&str>) {
        let waits = |token: &&super::Token| token.state == TokenState::Active && token.at_end;
        let Some(at) = self.instance.token(token).filter(waits).map(|token| token.at.clone()) else { return };
        match error {
            Some(reason) => self.park(token, &at, reason.to_owned()),
            None => {
                self.emit(Event::TokenEnded { token });
                self.over(State::Approved, None, None, None);
            }
        }
    }

    /// Whether the move that waits is to be made when everybody has agreed.
    pub(crate) fn is_to_move(&self) -> bool {
        self.instance.moves && !self.instance.reverse && !self.ahead
    }
}
