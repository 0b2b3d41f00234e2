//! In charge of who holds a task: handed on, lent for an opinion, shared with those who are added.
//! Invariant: a transfer keeps the number of seats; a delegation keeps whose authority it is; an added seat has the step's
//! rights, weight 1 and no veto.

use chrono::{DateTime, Utc};
use model::doc::approval::{DecisionDoc, IfInitiator, TaskAction};
use uuid::Uuid;

use super::command::{Refusal, SignMode};
use super::effect::Notice;
use super::event::{Event, Reason};
use super::instance::{Group, Place, Seat, SeatId, SeatState, VisitId};
use super::machine::Machine;
use super::timer::TimerKind;

/// Why seats are added; closed.
pub(crate) enum Why<'a> {
    /// Somebody asked for it, perhaps in words.
    Asked(Option<&'a str>),
    /// It happened by itself.
    Itself(Reason),
}

impl Machine<'_> {
    fn may(&self, doc: &DecisionDoc, action: TaskAction) -> Result<(), Refusal> {
        let allowed = doc.actions.as_ref().is_none_or(|actions| actions.contains(&action));
        if allowed { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// Whether somebody sits in a visit, to decide or having decided.
    fn sits(&self, visit: VisitId, person: Uuid) -> bool {
        self.instance.seats.iter().any(|seat| seat.visit == visit && seat.state != SeatState::Removed && seat.is_of(person))
    }

    /// Whether somebody may get a seat of a visit.
    pub(crate) fn may_sit(&self, doc: &DecisionDoc, visit: VisitId, person: Uuid, field: &'static str) -> Result<(), Refusal> {
        if !self.is_active(person)? {
            return Err(Refusal::BadPerson(field));
        }
        if doc.if_initiator == IfInitiator::Forbid && self.instance.initiator == Some(person) {
            return Err(Refusal::TargetRefused);
        }
        if self.sits(visit, person) {
            return Err(Refusal::AlreadySeated);
        }
        Ok(())
    }

    pub(crate) fn transfer(&mut self, seat: SeatId, to: Uuid, opinion: Option<&str>) -> Result<(), Refusal> {
        let (seat, _, doc) = self.own_task(seat)?;
        self.may(doc, TaskAction::Transfer)?;
        let opinion = opinion.map(str::trim).filter(|opinion| !opinion.is_empty());
        if self.flow.settings.transfer_opinion && opinion.is_none() {
            return Err(Refusal::Required("opinion"));
        }
        self.may_sit(doc, seat.visit, to, "to")?;
        self.hand_on(&seat, to, doc, opinion, None)
    }

    /// Gives a seat to another: its authority, and whoever acts for them.
    pub(crate) fn hand_on(&mut self, seat: &Seat, to: Uuid, doc: &DecisionDoc, opinion: Option<&str>, reason: Option<Reason>) -> Result<(), Refusal> {
        let proxy = self.stand_in(to, doc)?;
        let holder = proxy.as_ref().map_or(to, |proxy| proxy.person);
        let until = proxy.and_then(|proxy| proxy.until);
        self.clear_timers(|kind| matches!(kind, TimerKind::ProxyEnds { seat: there } if *there == seat.id));
        let by = if reason.is_some() { None } else { self.actor.person };
        self.emit(Event::Transferred {
            seat: seat.id,
            by,
            from: seat.principal,
            to,
            holder,
            proxy_until: until,
            opinion: opinion.map(str::to_owned),
            reason,
        });
        if let Some(until) = until {
            self.set_timer(until, TimerKind::ProxyEnds { seat: seat.id });
        }
        if self.instance.seat(seat.id).is_some_and(|seat| seat.state.is_task()) {
            self.notify(Some(holder), Notice::Task, Some(seat.id));
        }
        Ok(())
    }

    pub(crate) fn delegate(&mut self, seat: SeatId, to: Uuid, opinion: Option<&str>) -> Result<(), Refusal> {
        let (seat, _, doc) = self.own_task(seat)?;
        let Some(by) = self.actor.person else { return Err(Refusal::Forbidden) };
        self.may(doc, TaskAction::Delegate)?;
        if !self.is_active(to)? {
            return Err(Refusal::BadPerson("to"));
        }
        if seat.is_of(to) {
            return Err(Refusal::AlreadySeated);
        }
        self.emit(Event::Delegated { seat: seat.id, by, to, opinion: opinion.map(str::to_owned) });
        self.notify(Some(to), Notice::Delegated, Some(seat.id));
        Ok(())
    }

    pub(crate) fn give_opinion(&mut self, seat: SeatId, opinion: Option<&str>) -> Result<(), Refusal> {
        let seat = self.delegated(seat)?;
        let person = self.actor.person.filter(|person| seat.delegate == Some(*person)).ok_or(Refusal::NotYourTask)?;
        let opinion = opinion.map(str::trim).filter(|opinion| !opinion.is_empty()).ok_or(Refusal::Required("opinion"))?;
        self.emit(Event::OpinionGiven { seat: seat.id, by: person, opinion: Some(opinion.to_owned()) });
        let seat = self.holder_now(seat);
        self.notify(seat.holder, Notice::Opinion, Some(seat.id));
        Ok(())
    }

    pub(crate) fn recall(&mut self, seat: SeatId) -> Result<(), Refusal> {
        let seat = self.delegated(seat)?;
        let person = self.actor.person.filter(|person| seat.is_of(*person)).ok_or(Refusal::NotYourTask)?;
        self.emit(Event::Recalled { seat: seat.id, by: person });
        self.holder_now(seat);
        Ok(())
    }

    /// A seat as it comes before somebody: whoever stands in does so now, not when the step was entered.
    pub(crate) fn holder_now(&mut self, seat: Seat) -> Seat {
        let decision = self.node_of(seat.visit).and_then(|(.., node)| node.decision());
        let (Some(principal), Some(doc)) = (seat.principal, decision) else { return seat };
        let proxy = self.stand_in(principal, doc).unwrap_or_default();
        let (holder, until) = proxy.map_or((principal, None), |proxy| (proxy.person, proxy.until));
        if seat.holder == Some(holder) && seat.proxy_until == until {
            return seat;
        }
        self.clear_timers(|kind| matches!(kind, TimerKind::ProxyEnds { seat: there } if *there == seat.id));
        self.emit(Event::HolderChanged { seat: seat.id, holder, until });
        // A seat that opens the first time sets its timers itself.
        if let Some(until) = until.filter(|_| seat.opened_at.is_some()) {
            self.set_timer(until, TimerKind::ProxyEnds { seat: seat.id });
        }
        Seat { holder: Some(holder), proxy_until: until, ..seat }
    }

    fn delegated(&self, seat: SeatId) -> Result<Seat, Refusal> {
        let seat = self.instance.seat(seat).cloned().ok_or(Refusal::TaskClosed)?;
        let live = self.instance.state.is_live() && !self.instance.suspended;
        if live && seat.state == SeatState::Delegated { Ok(seat) } else { Err(Refusal::TaskClosed) }
    }

    pub(crate) fn add_sign(&mut self, seat: SeatId, place: Place, users: &[Uuid], mode: SignMode, opinion: Option<&str>) -> Result<(), Refusal> {
        let (seat, _, doc) = self.own_task(seat)?;
        self.may(
            doc,
            match place {
                Place::Before => TaskAction::AddBefore,
                Place::After => TaskAction::AddAfter,
                Place::Parallel => TaskAction::AddParallel,
            },
        )?;
        if users.is_empty() {
            return Err(Refusal::Required("users"));
        }
        let lives = |group: &Group| group.seats.iter().filter_map(|seat| self.instance.seat(*seat)).any(|seat| seat.state.is_open());
        let two_ways = place != Place::Parallel && self.groups_of(&seat).iter().any(lives);
        if (seat.added.is_some() && !doc.nested) || two_ways {
            return Err(Refusal::NestedSign);
        }
        let mut chosen: Vec<Uuid> = Vec::new();
        for user in users {
            self.may_sit(doc, seat.visit, *user, "users")?;
            if chosen.contains(user) {
                return Err(Refusal::AlreadySeated);
            }
            chosen.push(*user);
        }
        self.seat_more(&seat, doc, place, &chosen, mode, Why::Asked(opinion))
    }

    /// Adds seats beside one.
    pub(crate) fn seat_more(
        &mut self,
        seat: &Seat,
        doc: &DecisionDoc,
        place: Place,
        users: &[Uuid],
        mode: SignMode,
        why: Why<'_>,
    ) -> Result<(), Refusal> {
        let (opinion, reason) = match why {
            Why::Asked(opinion) => (opinion, None),
            Why::Itself(reason) => (None, Some(reason)),
        };
        let by = if reason.is_some() { None } else { self.actor.person };
        let first = self.next_seat();
        let mut seats = Vec::new();
        for (user, id) in users.iter().zip(first..) {
            let mut fresh = self.seated(id, seat.visit, *user, doc)?;
            fresh.added = Some((by, place));
            seats.push(fresh);
        }
        let ids = seats.iter().map(|seat| seat.id).collect();
        let group = (place != Place::Parallel).then(|| Group { of: seat.id, place, mode: mode.mode(), seats: ids });
        self.emit(Event::SeatsAdded { by, group, visit: seat.visit, seats, behind: seat.id, opinion: opinion.map(str::to_owned), reason });
        if place == Place::Before {
            self.emit(Event::SeatWaits { seat: seat.id, state: SeatState::Behind });
        }
        self.settle(seat.visit);
        Ok(())
    }

    pub(crate) fn remove_sign(&mut self, user: Uuid, opinion: Option<&str>) -> Result<(), Refusal> {
        if !self.instance.state.is_live() || self.instance.suspended {
            return Err(Refusal::TaskClosed);
        }
        let of_user = |seat: &&Seat| seat.state.is_open() && seat.added.is_some() && seat.is_of(user);
        let mine = |seat: &Seat| self.actor.person.is_none() || self.actor.manages || seat.added.is_some_and(|(by, _)| by == self.actor.person);
        let there: Vec<Seat> = self.instance.seats.iter().filter(of_user).cloned().collect();
        if there.is_empty() {
            return Err(Refusal::TaskClosed);
        }
        let seat = there.into_iter().find(|seat| mine(seat)).ok_or(Refusal::NotYourTask)?;
        let is_last = self.instance.visit(seat.visit).is_some_and(|visit| {
            visit
                .order
                .iter()
                .filter_map(|id| self.instance.seat(*id))
                .filter(|there| there.state != SeatState::Removed)
                .all(|there| there.id == seat.id)
        });
        if is_last {
            return Err(Refusal::TargetRefused);
        }
        self.remove(&seat, opinion);
        self.settle(seat.visit);
        Ok(())
    }

    /// Takes a seat away, and those that were added to it.
    fn remove(&mut self, seat: &Seat, opinion: Option<&str>) {
        for group in self.groups_of(seat) {
            for id in group.seats {
                if let Some(child) = self.instance.seat(id).filter(|child| child.state.is_open()).cloned() {
                    self.remove(&child, None);
                }
            }
        }
        self.clear_seat(seat.id);
        self.emit(Event::SeatRemoved { seat: seat.id, by: self.actor.person, opinion: opinion.map(str::to_owned) });
    }

    /// From now on somebody stands in for somebody: in the tasks that are open, too.
    pub(crate) fn substitute(&mut self, principal: Uuid, proxy: Uuid, until: Option<DateTime<Utc>>) -> Result<(), Refusal> {
        if !self.instance.state.is_live() {
            return Ok(());
        }
        let seats: Vec<Seat> = self.instance.seats.iter().filter(|seat| seat.state.is_open() && seat.principal == Some(principal)).cloned().collect();
        for seat in seats {
            let Some((.., node)) = self.node_of(seat.visit) else { continue };
            let barred = node.decision().is_none_or(|doc| self.may_decide(doc, Some(proxy)).is_err());
            if barred || seat.holder == Some(proxy) || !self.is_active(proxy)? {
                continue;
            }
            self.clear_timers(|kind| matches!(kind, TimerKind::ProxyEnds { seat: there } if *there == seat.id));
            self.emit(Event::HolderChanged { seat: seat.id, holder: proxy, until });
            if let Some(until) = until {
                self.set_timer(until, TimerKind::ProxyEnds { seat: seat.id });
            }
            if seat.state == SeatState::Open {
                self.notify(Some(proxy), Notice::Task, Some(seat.id));
            }
        }
        Ok(())
    }
}
