//! In charge of tokens: how they move, fork, join and end; every other part of the machine works through it.
//! Invariant: an event is applied the moment it is told, so what follows sees the state as replay will make it.
//! Invariant: one root token; a split's children end at its join, which opens once.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use model::Name;
use model::doc::approval::{Mode, Then};
use serde_json::Value as Json;
use uuid::Uuid;

use super::command::{Actor, Do, Refusal, Step};
use super::effect::{Change, Effect, Notice};
use super::event::{Event, Reason};
use super::facts::{Facts, Told, Trouble};
use super::instance::{Instance, Seat, SeatId, SeatState, State, TokenId, TokenState, VisitId, VisitOutcome};
use super::node::Next;
use super::plan::{Block, Flow, Node};
use super::quorum::{Ballot, Outcome, Vote, outcome};
use super::timer::{TimerChange, TimerKind};
use super::{MAX_VISITS, Place};

/// What comes with a vote beside words.
#[derive(Clone, Copy, Default)]
pub(crate) struct Enclosed<'a> {
    pub(crate) signature: Option<&'a Json>,
    pub(crate) files: &'a [Json],
}

/// One command at work.
pub(crate) struct Machine<'a> {
    pub(crate) flow: &'a Flow,
    pub(crate) instance: Instance,
    pub(crate) facts: &'a dyn Facts,
    pub(crate) now: DateTime<Utc>,
    pub(crate) actor: Actor,
    /// Whether this only looks ahead: nothing is run, nothing waits.
    pub(crate) ahead: bool,
    pub(crate) effects: Vec<Effect>,
    events: Vec<Event>,
    queue: VecDeque<(TokenId, Name, bool)>,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(flow: &'a Flow, instance: &Instance, actor: Actor, facts: &'a dyn Facts, now: DateTime<Utc>, ahead: bool) -> Self {
        Self { flow, instance: instance.clone(), facts, now, actor, ahead, effects: Vec::new(), events: Vec::new(), queue: VecDeque::new() }
    }

    /// Does what is asked.
    pub(crate) fn obey(&mut self, act: &Do) -> Result<(), Refusal> {
        match act {
            Do::Submit { select, opinion, moves } => self.submit(select, opinion.as_deref(), *moves),
            Do::Decide { seat, verdict, opinion, signature, files, select } => {
                self.decide(*seat, *verdict, opinion.as_deref(), Enclosed { signature: signature.as_ref(), files }, select)
            }
            Do::Return { seat, to, opinion, straight, files } => {
                self.send_back(*seat, to, opinion.as_deref(), *straight, Enclosed { signature: None, files })
            }
            Do::Transfer { seat, to, opinion } => self.transfer(*seat, *to, opinion.as_deref()),
            Do::Delegate { seat, to, opinion } => self.delegate(*seat, *to, opinion.as_deref()),
            Do::Opinion { seat, opinion } => self.give_opinion(*seat, opinion.as_deref()),
            Do::Recall { seat } => self.recall(*seat),
            Do::AddSign { seat, place, users, mode, opinion } => self.add_sign(*seat, *place, users, *mode, opinion.as_deref()),
            Do::RemoveSign { user, opinion } => self.remove_sign(*user, opinion.as_deref()),
            Do::Claim { seat } => self.claim(*seat),
            Do::Release { seat } => self.release(*seat),
            Do::Withdraw { opinion } => self.withdraw(opinion.as_deref()),
            Do::TakeBack { opinion } => self.take_back(opinion.as_deref()),
            Do::Revoke { opinion } => self.revoke(opinion.as_deref()),
            Do::Urge { opinion } => self.urge(opinion.as_deref()),
            Do::Comment { text, mentions, files } => self.comment(text, mentions, files),
            Do::Copy { people } => self.hand_copies(people),
            Do::Admin { act, opinion } => self.step_in(act, opinion.as_deref()),
            Do::Due { timer } => self.due(*timer),
            Do::Acted { at, token, error } => self.acted(at, *token, error.as_deref()),
            Do::Moved { token, error } => {
                self.moved(*token, error.as_deref());
                Ok(())
            }
            Do::Started { token, visit, node, children, error } => self.started((*token, *visit), node, children, error.as_deref()),
            Do::ChildEnded { child, state } => self.child_ended(*child, *state),
            Do::Changed => self.changed(),
            Do::Gone => self.gone(),
            Do::Substitute { principal, proxy, until } => self.substitute(*principal, *proxy, *until),
        }?;
        self.run();
        Ok(())
    }

    /// What came of it.
    pub(crate) fn finish(self, before: &Instance) -> Step {
        let mut timers: Vec<TimerChange> = Vec::new();
        for event in &self.events {
            match event {
                Event::TimerSet { timer } => timers.push(TimerChange::Set(timer.clone())),
                Event::TimerCleared { timer } | Event::TimerFired { timer: super::Timer { id: timer, .. }, .. } => {
                    let set_here = timers.iter().position(|change| matches!(change, TimerChange::Set(there) if there.id == *timer));
                    match set_here {
                        Some(place) => drop(timers.remove(place)),
                        None => timers.push(TimerChange::Clear(*timer)),
                    }
                }
                // A timer rests with its instance: it is neither lost nor does it fire.
                Event::Suspended { .. } => timers.extend(self.instance.timers.iter().map(|timer| TimerChange::Clear(timer.id))),
                Event::Resumed { .. } => timers.extend(self.instance.timers.iter().cloned().map(TimerChange::Set)),
                _ => {}
            }
        }
        let changes = if before.state == self.instance.state { Vec::new() } else { vec![Change::State(self.instance.state)] };
        Step { events: self.events, changes, effects: self.effects, timers, instance: self.instance }
    }

    /// Tells and takes in what happened.
    pub(crate) fn emit(&mut self, event: Event) {
        self.instance.apply(&event);
        self.events.push(event);
    }

    pub(crate) fn notify(&mut self, person: Option<Uuid>, notice: Notice, seat: Option<SeatId>) {
        if let Some(person) = person {
            let told = Effect::Notify { person, notice, seat };
            if !self.effects.contains(&told) {
                self.effects.push(told);
            }
        }
    }

    /// Sends a token to a step; it goes when the queue is worked off.
    pub(crate) fn send(&mut self, token: TokenId, to: &Name, back: bool) {
        self.queue.push_back((token, to.clone(), back));
    }

    /// Moves tokens until each waits for something.
    pub(crate) fn run(&mut self) {
        while let Some((token, name, back)) = self.queue.pop_front() {
            let ended = self.instance.token(token).is_none_or(|token| token.state == TokenState::Ended);
            if ended || !self.instance.state.is_live() {
                continue;
            }
            let flow = self.flow;
            let Some(node) = flow.node(name.as_str()) else {
                self.park(token, &name, format!("there is no step `{name}`"));
                continue;
            };
            if self.instance.counts.get(&name).copied().unwrap_or_default() >= MAX_VISITS {
                self.park(token, &name, format!("came to this step {MAX_VISITS} times"));
                continue;
            }
            self.emit(Event::Entered { token, node: name.clone(), back });
            match node.kind.enter(self, node, token) {
                Err(Trouble(reason)) => self.park(token, &name, reason),
                Ok(next) => self.go(token, node, next),
            }
        }
    }

    fn go(&mut self, token: TokenId, node: &Node, next: Next) {
        match next {
            Next::Wait => {}
            Next::On => self.after(token, &node.name),
            Next::Jump(to) => self.send(token, &to, false),
            Next::Into(branch) => self.into(token, node, Some(branch)),
            Next::Fork(branches) => {
                let first = u32::try_from(self.instance.tokens.len()).unwrap_or(u32::MAX);
                let open: Vec<(Name, TokenId)> = branches.into_iter().zip(first..).collect();
                self.emit(Event::Forked { token, node: node.name.clone(), open: open.clone(), finished: Vec::new() });
                for (branch, child) in open {
                    self.into(child, node, Some(branch));
                }
            }
            Next::Reject => self.over(State::Rejected, None, None, Some(Reason::Document { node: node.name.clone() })),
        }
    }

    /// Sends a token to the first step of a block; behind it where there is none.
    pub(crate) fn into(&mut self, token: TokenId, node: &Node, branch: Option<Name>) {
        let block = Block { owner: node.name.clone(), branch };
        match self.flow.steps(Some(&block)).first().cloned() {
            Some(first) => self.send(token, &first, false),
            None if block.branch.is_some() && node.kind.forks() => self.arrive(token),
            None => self.after(token, &node.name),
        }
    }

    /// A token leaves a step.
    pub(crate) fn after(&mut self, token: TokenId, name: &Name) {
        match self.straight(token, name) {
            Ok(true) => return,
            Ok(false) => {}
            Err(Trouble(reason)) => return self.park(token, name, reason),
        }
        let flow = self.flow;
        let mut at = flow.node(name.as_str());
        while let Some(node) = at {
            if let Some(next) = flow.steps(node.block.as_ref()).get(node.index + 1) {
                return self.send(token, next, false);
            }
            let Some(block) = &node.block else { break };
            at = flow.node(block.owner.as_str());
            if block.branch.is_some() && at.is_some_and(|owner| owner.kind.forks()) {
                return self.arrive(token);
            }
        }
        if self.is_to_move() {
            self.emit(Event::Moving { token });
            self.effects.push(Effect::Move { token: Some(token) });
            return;
        }
        self.emit(Event::TokenEnded { token });
        self.over(State::Approved, None, None, None);
    }

    /// A token is at the end of its branch.
    fn arrive(&mut self, token: TokenId) {
        self.emit(Event::Arrived { token });
        let Some(parent) = self.instance.token(token).and_then(|token| token.parent) else { return };
        let Some(waiting) = self.instance.token(parent).filter(|parent| parent.state == TokenState::Forked) else { return };
        let split = waiting.at.clone();
        let is_of = |there: &&super::Token| there.parent == Some(parent) && there.state != TokenState::Ended;
        if self.instance.tokens.iter().filter(is_of).all(|there| there.state == TokenState::Arrived) {
            self.emit(Event::Joined { token: parent });
            self.after(parent, &split);
        }
    }

    /// A token cannot go on: those who manage the flow are told.
    pub(crate) fn park(&mut self, token: TokenId, at: &Name, reason: String) {
        self.emit(Event::Parked { token, at: at.clone(), reason });
        for person in self.managers().unwrap_or_default() {
            self.notify(Some(person), Notice::Parked, None);
        }
    }

    /// A step that decides by itself leaves its line.
    pub(crate) fn pass_by(&mut self, node: &Node, token: TokenId, reason: Reason, outcome: VisitOutcome) {
        let visit = self.open(node, token, Vec::new(), Vec::new(), Some(reason));
        self.emit(Event::VisitEnded { visit, outcome, at: self.now, reason: None });
    }

    /// Opens a visit.
    pub(crate) fn open(&mut self, node: &Node, token: TokenId, seats: Vec<Seat>, pool: Vec<Uuid>, reason: Option<Reason>) -> VisitId {
        let visit = self.next_visit();
        let back = self.instance.token(token).is_some_and(|token| token.back);
        let approves = node.kind.approves();
        self.emit(Event::VisitOpened { visit, node: node.name.clone(), token, at: self.now, back, approves, seats, pool, reason });
        visit
    }

    pub(crate) fn next_visit(&self) -> VisitId {
        u32::try_from(self.instance.visits.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn next_seat(&self) -> SeatId {
        u32::try_from(self.instance.seats.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn watched(&self) -> Json {
        self.facts.watched().unwrap_or(Json::Null)
    }

    /// The node and the document of a visit's step.
    pub(crate) fn node_of(&self, visit: VisitId) -> Option<(VisitId, TokenId, &'a Node)> {
        let visit = self.instance.visit(visit)?;
        self.flow.node(visit.node.as_str()).map(|node| (visit.id, visit.token, node))
    }

    pub(crate) fn set_timer(&mut self, due: DateTime<Utc>, kind: TimerKind) {
        if !self.ahead {
            let id = self.instance.timers_made;
            self.emit(Event::TimerSet { timer: super::Timer { id, due, kind } });
        }
    }

    pub(crate) fn clear_timers(&mut self, which: impl Fn(&TimerKind) -> bool) {
        let over: Vec<u32> = self.instance.timers.iter().filter(|timer| which(&timer.kind)).map(|timer| timer.id).collect();
        for timer in over {
            self.emit(Event::TimerCleared { timer });
        }
    }

    pub(crate) fn clear_seat(&mut self, seat: SeatId) {
        self.clear_timers(|kind| match kind {
            TimerKind::Deadline { seat: there, .. } | TimerKind::ProxyEnds { seat: there } => *there == seat,
            TimerKind::Delay { .. } => false,
        });
    }

    /// Puts a seat before its holder: its deadlines begin the first time.
    pub(crate) fn open_seat(&mut self, id: SeatId) {
        self.hand_over(id);
        let Some(seat) = self.instance.seat(id).cloned() else { return };
        self.emit(Event::SeatOpened { seat: id, at: self.now });
        let seat = self.holder_now(seat);
        if seat.opened_at.is_none() {
            self.begin_deadlines(&seat);
        }
        match seat.holder {
            Some(holder) => {
                self.notify(Some(holder), Notice::Task, Some(id));
                if seat.principal != seat.holder {
                    self.notify(seat.principal, Notice::Task, Some(id));
                }
            }
            None => {
                for person in self.instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default() {
                    self.notify(Some(person), Notice::Task, Some(id));
                }
            }
        }
    }

    /// Whoever left since their seat was given is no longer asked: who took over from them is, else a manager of the flow.
    fn hand_over(&mut self, id: SeatId) {
        let Some(seat) = self.instance.seat(id).cloned() else { return };
        let Some(doc) = self.node_of(seat.visit).and_then(|(.., node)| node.decision()) else { return };
        let Some(principal) = seat.principal else { return };
        let told = self.heir(&seat, principal, doc).and_then(|heir| match heir {
            Some(heir) => self.hand_on(&seat, heir, doc, None, Some(Reason::Left)).map_err(|refusal| Trouble(refusal.to_string())),
            None => Ok(()),
        });
        if let (Err(Trouble(reason)), Some((_, token, node))) = (told, self.node_of(seat.visit)) {
            self.park(token, &node.name, reason);
        }
    }

    /// Who has the seat of somebody who left.
    fn heir(&self, seat: &Seat, principal: Uuid, doc: &model::doc::approval::DecisionDoc) -> Told<Option<Uuid>> {
        if self.is_active(principal)? {
            return Ok(None);
        }
        let people: Vec<Uuid> = self.instead(principal)?.into_iter().chain(self.managers()?).collect();
        let free = people.iter().find(|person| self.may_sit(doc, seat.visit, **person, "by").is_ok());
        // Who sits there already decides for two, rather than nobody.
        let allowed = |person: &&Uuid| self.may_decide(doc, Some(**person)).is_ok();
        match free.or_else(|| people.iter().find(allowed)) {
            Some(person) => Ok(Some(*person)),
            None => Err(Trouble("whoever was to decide has left, and nobody took over".to_owned())),
        }
    }

    pub(crate) fn begin_deadlines(&mut self, seat: &Seat) {
        let Some((_, token, node)) = self.node_of(seat.visit) else { return };
        for (rule, timeout) in node.decision().into_iter().flat_map(|doc| &doc.timeouts).enumerate() {
            match self.facts.deadline(self.now, &timeout.after, timeout.calendar.as_deref(), seat.holder) {
                Ok(due) => self.set_timer(due, TimerKind::Deadline { seat: seat.id, rule, past: 0 }),
                // It can be decided, but nothing will ask for it: those who manage the flow see to that.
                Err(Trouble(reason)) if !self.ahead => self.park(token, &node.name, reason),
                Err(Trouble(_)) => {}
            }
        }
        if let Some(until) = seat.proxy_until {
            self.set_timer(until, TimerKind::ProxyEnds { seat: seat.id });
        }
    }

    fn ballots(&self, seats: &[SeatId]) -> Vec<Ballot> {
        let there = seats.iter().filter_map(|seat| self.instance.seat(*seat)).filter(|seat| seat.state != SeatState::Removed);
        there
            .map(|seat| Ballot {
                vote: match seat.state {
                    SeatState::Approved => Vote::Approved,
                    SeatState::Rejected => Vote::Rejected,
                    _ => Vote::Open,
                },
                weight: seat.weight,
                veto: seat.veto,
            })
            .collect()
    }

    /// Opens those whose turn it is.
    fn open_next(&mut self, seats: &[SeatId], mode: Mode) {
        let states: Vec<(SeatId, SeatState)> = seats.iter().filter_map(|seat| self.instance.seat(*seat)).map(|seat| (seat.id, seat.state)).collect();
        let mut waiting = states.iter().filter(|(_, state)| *state == SeatState::Waiting).map(|(seat, _)| *seat);
        if mode == Mode::Sequential {
            let busy = states.iter().any(|(_, state)| state.is_open() && *state != SeatState::Waiting);
            if let Some(seat) = waiting.next().filter(|_| !busy) {
                self.open_seat(seat);
            }
        } else {
            for seat in waiting.collect::<Vec<_>>() {
                self.open_seat(seat);
            }
        }
    }

    /// Looks at what the votes of a visit come to, and goes on where they decide it.
    pub(crate) fn settle(&mut self, visit: VisitId) {
        let Some((_, token, node)) = self.node_of(visit) else { return };
        let Some(doc) = node.decision() else { return };
        while self.settle_groups(visit) {}
        let Some(there) = self.instance.visit(visit).filter(|visit| visit.outcome.is_none()) else { return };
        let order = there.order.clone();
        match outcome(doc.mode, doc.reject_counts, &self.ballots(&order)) {
            None => self.open_next(&order, doc.mode),
            Some(Outcome::Passed) => {
                self.close(visit, VisitOutcome::Passed, None);
                self.after(token, &node.name);
            }
            Some(Outcome::Rejected) => {
                self.close(visit, VisitOutcome::Rejected, None);
                self.rejected(visit, token, node);
            }
        }
    }

    /// Looks at those who were added before and after; whether anything changed.
    fn settle_groups(&mut self, visit: VisitId) -> bool {
        let groups = self.instance.visit(visit).map(|visit| visit.groups.clone()).unwrap_or_default();
        for group in groups {
            let Some(of) = self.instance.seat(group.of).cloned() else { continue };
            let waits = match group.place {
                Place::Before => of.state == SeatState::Behind,
                Place::After => of.state == SeatState::Ahead,
                Place::Parallel => false,
            };
            if !waits {
                continue;
            }
            let ballots = self.ballots(&group.seats);
            let told =
                if ballots.is_empty() { Some(Outcome::Passed) } else { outcome(group.mode, model::doc::approval::RejectCounts::First, &ballots) };
            let Some(told) = told else {
                self.open_next(&group.seats, group.mode);
                continue;
            };
            self.close_seats(&group.seats, SeatState::NotNeeded);
            match (told, group.place) {
                (Outcome::Passed, Place::After) => self.emit(Event::SeatWaits { seat: of.id, state: SeatState::Approved }),
                (Outcome::Passed, Place::Before | Place::Parallel) => self.open_seat(of.id),
                (Outcome::Rejected, _) => self.vote(of.id, SeatState::Rejected, None, None, Enclosed::default(), Some(Reason::Signers)),
            }
            return true;
        }
        false
    }

    pub(crate) fn close_seats(&mut self, seats: &[SeatId], state: SeatState) {
        for seat in seats {
            if self.instance.seat(*seat).is_some_and(|seat| seat.state.is_open()) {
                self.clear_seat(*seat);
                self.emit(Event::SeatClosed { seat: *seat, state });
            }
        }
    }

    /// Ends a visit and the tasks of it.
    pub(crate) fn close(&mut self, visit: VisitId, outcome: VisitOutcome, reason: Option<Reason>) {
        let seats: Vec<SeatId> = self.instance.seats.iter().filter(|seat| seat.visit == visit).map(|seat| seat.id).collect();
        let state = if outcome == VisitOutcome::Cancelled { SeatState::Cancelled } else { SeatState::NotNeeded };
        self.close_seats(&seats, state);
        self.emit(Event::VisitEnded { visit, outcome, at: self.now, reason });
    }

    pub(crate) fn vote(
        &mut self,
        seat: SeatId,
        state: SeatState,
        by: Option<Uuid>,
        opinion: Option<&str>,
        enclosed: Enclosed<'_>,
        reason: Option<Reason>,
    ) {
        self.clear_seat(seat);
        let watched = self.watched();
        self.emit(Event::Voted {
            seat,
            state,
            by,
            at: self.now,
            opinion: opinion.map(str::to_owned),
            signature: enclosed.signature.cloned(),
            files: enclosed.files.to_vec(),
            reason,
            watched,
        });
    }

    /// A visit was rejected.
    pub(crate) fn rejected(&mut self, visit: VisitId, token: TokenId, node: &'a Node) {
        let Some(doc) = node.decision() else { return };
        if self.instance.reverse {
            return self.over(State::Rejected, None, None, None);
        }
        let to = match doc.on_reject.then {
            Then::End => return self.over(State::Rejected, None, None, None),
            Then::Branch => return self.into(token, node, None),
            Then::ToInitiator => Some(self.flow.first().clone()),
            Then::ToPrevious => self.previous(token, &node.name),
            Then::ToStep => doc.on_reject.step.clone(),
        };
        let straight = doc.back.resubmit == model::doc::approval::Resubmit::Straight;
        let goes = to.is_some_and(|to| self.go_back(visit, token, &node.name, &to, super::back::Way { straight, ..Default::default() }));
        if !goes {
            self.over(State::Rejected, None, None, None);
        }
    }

    /// All tokens that a token waits for, at any depth.
    pub(crate) fn below(&self, token: TokenId) -> Vec<TokenId> {
        let mut found = vec![token];
        // Children come after their parents.
        for there in &self.instance.tokens {
            if there.parent.is_some_and(|parent| found.contains(&parent)) {
                found.push(there.id);
            }
        }
        found.remove(0);
        found
    }

    /// Ends what a token does: its open visits, its timers, what it started.
    pub(crate) fn stop(&mut self, token: TokenId, outcome: VisitOutcome, reason: Option<&Reason>) {
        let visits: Vec<VisitId> = self.instance.open_visits().filter(|visit| visit.token == token).map(|visit| visit.id).collect();
        for visit in visits {
            self.close(visit, outcome, reason.cloned());
        }
        self.clear_timers(|kind| matches!(kind, TimerKind::Delay { token: there } if *there == token));
        let waited = |child: &&super::Child| child.token == token && child.wait && child.state.is_none();
        let children: Vec<Uuid> = self.instance.children.iter().filter(waited).map(|child| child.id).collect();
        if !children.is_empty() {
            self.effects.push(Effect::CancelChildren { children });
        }
        // What it asked to be run and was not run yet is not wanted any more.
        let of_token = |effect: &Effect| matches!(effect, Effect::Run { token: Some(there), .. } | Effect::Move { token: Some(there) } | Effect::Start { token: there, .. } if *there == token);
        self.effects.retain(|effect| !of_token(effect));
        self.queue.retain(|(there, ..)| *there != token);
    }

    /// Ends tokens for good.
    pub(crate) fn end_tokens(&mut self, tokens: &[TokenId], reason: Option<&Reason>) {
        for token in tokens {
            self.stop(*token, VisitOutcome::Cancelled, reason);
            if self.instance.token(*token).is_some_and(|token| token.state != TokenState::Ended) {
                self.emit(Event::TokenEnded { token: *token });
            }
        }
    }

    /// The instance is over.
    pub(crate) fn over(&mut self, state: State, by: Option<Uuid>, opinion: Option<&str>, reason: Option<Reason>) {
        let all: Vec<TokenId> = self.instance.tokens.iter().map(|token| token.id).collect();
        self.end_tokens(&all, reason.as_ref());
        self.clear_timers(|_| true);
        self.queue.clear();
        let (state, told) = match (self.instance.reverse, state) {
            (false, state) => (state, true),
            (true, State::Approved) => (State::Revoked, true),
            // What was to be revoked stays approved.
            (true, State::None | State::Running | State::Returned | State::Rejected | State::Withdrawn | State::Revoked | State::Ended) => {
                (State::Approved, false)
            }
        };
        self.emit(Event::Ended { state, by, at: self.now, opinion: opinion.map(str::to_owned), reason });
        let word = format!("on_{}", state.as_str());
        if told && self.flow.results.contains(&word.as_str()) {
            self.effects.push(Effect::Run { at: word, token: None });
        }
        self.notify(self.instance.initiator, Notice::Ended, None);
    }

    /// People get a copy, each one once.
    pub(crate) fn copy(&mut self, node: Option<&Name>, by: Option<Uuid>, people: &[Uuid]) -> Told<()> {
        let mut fresh = Vec::new();
        for person in people {
            let is_there = self.facts.person(*person)?.is_some_and(|person| person.active);
            if is_there && !self.instance.copied.contains_key(person) && !fresh.contains(person) {
                fresh.push(*person);
            }
        }
        if !fresh.is_empty() {
            self.emit(Event::Copied { node: node.cloned(), by, people: fresh.clone() });
            for person in fresh {
                self.notify(Some(person), Notice::Copy, None);
            }
        }
        Ok(())
    }
}
