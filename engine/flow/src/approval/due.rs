//! In charge of what happens by itself: deadlines, the end of pauses and of stand-ins, the end of flows that were started.
//! Invariant: a timer that is not there any more does nothing; a deadline acts once, and never on a seat that has voted.

use model::Name;
use model::doc::approval::{DecisionDoc, Timeout, TimeoutDo};
use uuid::Uuid;

use super::command::{Refusal, SignMode};
use super::effect::Notice;
use super::event::{Event, Reason};
use super::instance::{Place, Seat, SeatId, SeatState, State, TokenId, TokenState};
use super::machine::Machine;
use super::timer::{Timer, TimerId, TimerKind};

impl Machine<'_> {
    pub(crate) fn due(&mut self, timer: TimerId) -> Result<(), Refusal> {
        let Some(timer) = self.instance.timers.iter().find(|there| there.id == timer).cloned() else { return Ok(()) };
        if self.instance.suspended || timer.due > self.now || !self.instance.state.is_live() {
            return Ok(());
        }
        self.emit(Event::TimerFired { timer: timer.clone(), at: self.now });
        match timer.kind {
            TimerKind::Deadline { seat, rule, past } => self.deadline(&timer, seat, rule, past),
            TimerKind::Delay { token } => {
                if let Some(at) = self.instance.token(token).filter(|token| token.state == TokenState::Active).map(|token| token.at.clone()) {
                    self.after(token, &at);
                }
                Ok(())
            }
            TimerKind::ProxyEnds { seat } => {
                let Some(seat) = self.instance.seat(seat).filter(|seat| seat.state.is_open()).cloned() else { return Ok(()) };
                if let Some(principal) = seat.principal {
                    self.emit(Event::HolderChanged { seat: seat.id, holder: principal, until: None });
                    if seat.state == SeatState::Open {
                        self.notify(Some(principal), Notice::Task, Some(seat.id));
                    }
                }
                Ok(())
            }
        }
    }

    fn deadline(&mut self, timer: &Timer, seat: SeatId, rule: usize, past: u32) -> Result<(), Refusal> {
        let Some(seat) = self.instance.seat(seat).filter(|seat| seat.state.is_open()).cloned() else { return Ok(()) };
        let Some((.., node)) = self.node_of(seat.visit) else { return Ok(()) };
        let Some((doc, timeout)) = node.decision().and_then(|doc| Some((doc, doc.timeouts.get(rule)?))) else { return Ok(()) };
        match timeout.act {
            TimeoutDo::Remind => {
                self.tell_task(&seat, Notice::Reminder);
                if past + 1 < timeout.most.unwrap_or(1)
                    && let Ok(due) = self.facts.deadline(timer.due, &timeout.after, timeout.calendar.as_deref(), seat.holder)
                {
                    self.set_timer(due, TimerKind::Deadline { seat: seat.id, rule, past: past + 1 });
                }
                Ok(())
            }
            TimeoutDo::Escalate => self.escalate(&seat, doc, timeout),
            TimeoutDo::Approve | TimeoutDo::Reject => {
                let yes = timeout.act == TimeoutDo::Approve;
                for group in self.groups_of(&seat) {
                    self.close_seats(&group.seats, SeatState::NotNeeded);
                }
                self.vote(seat.id, if yes { SeatState::Approved } else { SeatState::Rejected }, None, None, None, Some(Reason::Timeout));
                self.settle(seat.visit);
                Ok(())
            }
            TimeoutDo::Transfer => {
                let people = self.found(&node.name, &format!("steps/{}/timeouts/{rule}/to", node.name), &timeout.to)?;
                match people.into_iter().find(|person| self.may_sit(doc, seat.visit, *person, "to").is_ok()) {
                    Some(person) => self.hand_on(&seat, person, doc, None, Some(Reason::Timeout)),
                    None => self.call_managers(&seat),
                }
            }
        }
    }

    /// Brings in the holder's manager; those who manage the flow where there is none.
    fn escalate(&mut self, seat: &Seat, doc: &DecisionDoc, timeout: &Timeout) -> Result<(), Refusal> {
        let above = seat.principal.map(|principal| self.manager_of(principal)).transpose()?.flatten();
        let may = |person: &Uuid| self.may_sit(doc, seat.visit, *person, "to").is_ok();
        let people: Vec<Uuid> = match above.filter(may) {
            Some(person) => vec![person],
            None => self.managers()?.into_iter().filter(may).collect(),
        };
        let Some(first) = people.first() else { return self.call_managers(seat) };
        if timeout.replace && seat.principal.is_some() {
            return self.hand_on(seat, *first, doc, None, Some(Reason::Timeout));
        }
        self.seat_more(seat, doc, Place::Parallel, &people, SignMode::All, super::sign::Why::Itself(Reason::Timeout))
    }

    fn call_managers(&mut self, seat: &Seat) -> Result<(), Refusal> {
        for person in self.managers()? {
            self.notify(Some(person), Notice::Reminder, Some(seat.id));
        }
        Ok(())
    }

    /// Flows were started at a step.
    pub(crate) fn started(&mut self, token: TokenId, children: &[(Uuid, State)], error: Option<&str>) -> Result<(), Refusal> {
        let Some(at) = self.instance.token(token).map(|token| token.at.clone()) else { return Ok(()) };
        let waits = self.waits_at(token);
        for (child, state) in children {
            self.emit(Event::ChildStarted { token, child: *child, wait: waits });
            if !state.is_live() {
                self.emit(Event::ChildEnded { child: *child, state: *state });
            }
        }
        match error {
            Some(reason) if waits => self.park(token, &at, reason.to_owned()),
            Some(_) | None => self.all_children(token, &at),
        }
        Ok(())
    }

    fn waits_at(&self, token: TokenId) -> bool {
        // A token that does not wait has gone on before the flows are there.
        self.instance
            .token(token)
            .is_some_and(|token| token.state == TokenState::Active && self.flow.node(token.at.as_str()).is_some_and(|node| node.kind() == "subflow"))
    }

    pub(crate) fn child_ended(&mut self, child: Uuid, state: State) -> Result<(), Refusal> {
        let Some(there) = self.instance.children.iter().find(|there| there.id == child && there.state.is_none()).cloned() else { return Ok(()) };
        self.emit(Event::ChildEnded { child, state });
        if there.wait
            && let Some(at) = self.instance.token(there.token).filter(|token| token.state == TokenState::Active).map(|token| token.at.clone())
        {
            self.all_children(there.token, &at);
        }
        Ok(())
    }

    /// Goes on once all flows that a token waits for are over; one that was not approved may reject this one.
    fn all_children(&mut self, token: TokenId, at: &Name) {
        let flow = self.flow;
        let Some(node) = flow.node(at.as_str()).filter(|node| node.kind() == "subflow") else { return };
        let visit = self.instance.token(token).map(|token| token.before.clone());
        let of_token: Vec<_> = self.instance.children.iter().filter(|child| child.token == token && child.wait).cloned().collect();
        if node.kind.child_rejects() && of_token.iter().any(|child| child.state.is_some_and(|state| !state.is_live() && state != State::Approved)) {
            return self.over(State::Rejected, None, None, Some(Reason::Child));
        }
        if visit.is_some() && self.waits_at(token) && of_token.iter().all(|child| child.state.is_some()) {
            self.after(token, at);
        }
    }
}
