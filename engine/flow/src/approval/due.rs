//! In charge of what happens by itself: deadlines, the end of pauses and of stand-ins, the end of flows that were started.
//! Invariant: a timer that is not there any more does nothing; a deadline acts once, and never on a seat that has voted.

use model::Name;
use model::doc::approval::{DecisionDoc, Mode, Timeout, TimeoutDo};
use uuid::Uuid;

use super::command::{Refusal, SignMode};
use super::effect::Notice;
use super::event::{Event, Reason};
use super::instance::{Place, Seat, SeatId, SeatState, State, TokenId, TokenState, VisitId, VisitOutcome};
use super::machine::{Enclosed, Machine};
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
                // What was missed while nobody looked at the clock is said once.
                let (mut past, mut due) = (past + 1, timer.due);
                while past < timeout.most.unwrap_or(1) {
                    due = self.facts.deadline(due, &timeout.after, timeout.calendar.as_deref(), seat.holder)?;
                    if due > self.now {
                        self.set_timer(due, TimerKind::Deadline { seat: seat.id, rule, past });
                        break;
                    }
                    past += 1;
                }
                Ok(())
            }
            TimeoutDo::Escalate => self.escalate(&seat, doc, timeout),
            TimeoutDo::Approve | TimeoutDo::Reject => {
                let yes = timeout.act == TimeoutDo::Approve;
                for group in self.groups_of(&seat) {
                    self.close_seats(&group.seats, SeatState::NotNeeded);
                }
                self.vote(
                    seat.id,
                    if yes { SeatState::Approved } else { SeatState::Rejected },
                    None,
                    None,
                    Enclosed::default(),
                    Some(Reason::Timeout),
                );
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
        // In a row one has the turn: beside whoever does not take it, the superior would only wait, too.
        if (timeout.replace || doc.mode == Mode::Sequential) && seat.principal.is_some() {
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
    pub(crate) fn started(
        &mut self,
        (token, visit): (TokenId, Option<VisitId>),
        node: &Name,
        children: &[(Uuid, State)],
        error: Option<&str>,
    ) -> Result<(), Refusal> {
        for (child, state) in children {
            self.emit(Event::ChildStarted { token, child: *child, wait: visit.is_some(), visit });
            if !state.is_live() {
                self.emit(Event::ChildEnded { child: *child, state: *state });
            }
        }
        match (visit, error) {
            (Some(visit), Some(reason)) if self.waits(visit) => self.park(token, node, reason.to_owned()),
            (Some(visit), _) => self.all_children(visit),
            // Nobody waits, but it is said that they are not there.
            (None, Some(_)) => self.emit(Event::Acted { token: None, at: format!("steps/{node}"), error: error.map(str::to_owned) }),
            (None, None) => {}
        }
        Ok(())
    }

    /// Whether a visit still waits.
    fn waits(&self, visit: VisitId) -> bool {
        self.instance.visit(visit).is_some_and(|visit| {
            let active = |token: &super::Token| token.state == TokenState::Active && token.at == visit.node;
            visit.outcome.is_none() && self.instance.token(visit.token).is_some_and(active)
        })
    }

    pub(crate) fn child_ended(&mut self, child: Uuid, state: State) -> Result<(), Refusal> {
        let Some(there) = self.instance.children.iter().find(|there| there.id == child && there.state.is_none()).cloned() else { return Ok(()) };
        self.emit(Event::ChildEnded { child, state });
        if let Some(visit) = there.visit {
            self.all_children(visit);
        }
        Ok(())
    }

    /// Goes on once all flows that a visit waits for are over; one that was not approved may reject this one.
    fn all_children(&mut self, visit: VisitId) {
        let Some((_, token, node)) = self.node_of(visit).filter(|_| self.waits(visit)) else { return };
        let parked = self.instance.token(token).is_some_and(|token| token.parked.is_some());
        let own = || self.instance.children.iter().filter(|child| child.visit == Some(visit));
        if node.kind.child_rejects() && own().any(|child| child.state.is_some_and(|state| !state.is_live() && state != State::Approved)) {
            self.close(visit, VisitOutcome::Rejected, Some(Reason::Child));
            return self.over(State::Rejected, None, None, Some(Reason::Child));
        }
        // Where one could not be started, a manager has to look at it first.
        if !parked && own().all(|child| child.state.is_some()) {
            self.close(visit, VisitOutcome::Passed, None);
            self.after(token, &node.name);
        }
    }
}
