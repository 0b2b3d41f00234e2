//! In charge of what each event does to an instance.
//! Invariant: `apply` is the only thing that changes an instance; live and on replay it is the same.

use model::Name;

use super::event::Event;
use super::instance::{Child, Instance, Parked, Seat, SeatId, SeatState, State, Token, TokenId, TokenState, Visit, VisitId, VisitOutcome};

impl Instance {
    fn change_token(&mut self, id: TokenId, change: impl FnOnce(&mut Token)) {
        if let Some(token) = self.tokens.get_mut(id as usize) {
            change(token);
        }
    }

    fn change_seat(&mut self, id: SeatId, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.seats.get_mut(id as usize) {
            change(seat);
        }
    }

    fn change_visit(&mut self, id: VisitId, change: impl FnOnce(&mut Visit)) {
        if let Some(visit) = self.visits.get_mut(id as usize) {
            change(visit);
        }
    }

    /// A person did something in the visit of a seat.
    fn touch(&mut self, seat: SeatId) {
        if let Some(visit) = self.seat(seat).map(|seat| seat.visit) {
            self.change_visit(visit, |visit| visit.touched = true);
        }
    }

    fn push_token(&mut self, id: TokenId, parent: Option<TokenId>, branch: Option<(Name, Name)>, at: &Name, state: TokenState) {
        let before = parent.and_then(|parent| self.token(parent)).map(|parent| parent.before.clone()).unwrap_or_default();
        self.tokens.push(Token {
            id,
            parent,
            branch,
            at: at.clone(),
            state,
            before,
            straight: None,
            parked: None,
            back: false,
            acted: false,
            at_end: false,
        });
    }

    /// Takes in what happened.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Submitted { by, at, select, watched, moves, .. } => {
                if self.round == 0 {
                    self.initiator = *by;
                    self.submitted_at = Some(*at);
                }
                self.round += 1;
                self.state = State::Running;
                self.watched.clone_from(watched);
                self.moves |= moves;
                for (node, people) in select {
                    self.select.insert(node.clone(), people.clone());
                }
            }
            Event::Begun { at } => {
                let id = u32::try_from(self.tokens.len()).unwrap_or(u32::MAX);
                self.push_token(id, None, None, at, TokenState::Active);
            }
            Event::Entered { token, node, back } => {
                *self.counts.entry(node.clone()).or_default() += 1;
                self.change_token(*token, |token| {
                    token.at = node.clone();
                    token.state = TokenState::Active;
                    token.back = *back;
                    token.parked = None;
                    token.at_end = false;
                });
            }
            Event::Forked { token, node, open, finished } => {
                for (branch, id) in open {
                    self.push_token(*id, Some(*token), Some((node.clone(), branch.clone())), node, TokenState::Active);
                }
                for (branch, id) in finished {
                    self.push_token(*id, Some(*token), Some((node.clone(), branch.clone())), node, TokenState::Arrived);
                }
                self.change_token(*token, |token| {
                    token.at = node.clone();
                    token.state = TokenState::Forked;
                });
            }
            Event::Arrived { token } => self.change_token(*token, |token| token.state = TokenState::Arrived),
            Event::Joined { token } => self.joined(*token),
            Event::TokenEnded { token } => self.change_token(*token, |token| {
                token.state = TokenState::Ended;
                token.parked = None;
            }),
            Event::VisitOpened { visit, node, token, at, back, approves, seats, pool, reason } => {
                self.visits.push(Visit {
                    id: *visit,
                    node: node.clone(),
                    token: *token,
                    round: self.round,
                    outcome: None,
                    superseded: false,
                    back: *back,
                    entered_at: *at,
                    ended_at: None,
                    order: seats.iter().map(|seat| seat.id).collect(),
                    pool: pool.clone(),
                    groups: Vec::new(),
                    reason: reason.clone(),
                    touched: false,
                    approves: *approves,
                });
                self.seats.extend(seats.iter().cloned());
            }
            Event::SeatOpened { seat, at } => self.change_seat(*seat, |seat| {
                seat.state = if seat.principal.is_some() { SeatState::Open } else { SeatState::Unclaimed };
                seat.opened_at = seat.opened_at.or(Some(*at));
            }),
            Event::Voted { seat, state, by, at, opinion, reason, watched, .. } => {
                self.change_seat(*seat, |seat| {
                    seat.state = *state;
                    seat.decided_at = Some(*at);
                    seat.decided_by = *by;
                    seat.opinion.clone_from(opinion);
                    seat.reason.clone_from(reason);
                    seat.watched.clone_from(watched);
                    seat.delegate = None;
                });
                if by.is_some() {
                    self.decided = true;
                    self.touch(*seat);
                }
            }
            Event::Selected { visit, by, select } => {
                for (node, people) in select {
                    if !self.stands(node, *visit, *by) {
                        self.select.insert(node.clone(), people.clone());
                        self.selected.insert(node.clone(), (*visit, *by));
                    }
                }
            }
            Event::SeatClosed { seat, state } | Event::SeatWaits { seat, state } => self.change_seat(*seat, |seat| seat.state = *state),
            Event::VisitEnded { visit, outcome, at, reason } => {
                self.change_visit(*visit, |visit| {
                    visit.outcome = Some(*outcome);
                    visit.ended_at = Some(*at);
                    if reason.is_some() {
                        visit.reason.clone_from(reason);
                    }
                });
                if let Some((token, approves)) =
                    self.visit(*visit).filter(|_| *outcome == VisitOutcome::Passed).map(|ended| (ended.token, ended.approves))
                {
                    self.change_token(token, |token| {
                        token.acted = false;
                        if approves {
                            token.before = vec![*visit];
                        }
                    });
                }
            }
            Event::Superseded { visits } => {
                for visit in visits {
                    self.change_visit(*visit, |visit| visit.superseded = true);
                }
            }
            Event::Transferred { seat, by, to, holder, proxy_until, .. } => {
                self.change_seat(*seat, |seat| {
                    seat.principal = Some(*to);
                    seat.holder = Some(*holder);
                    seat.proxy_until = *proxy_until;
                    seat.delegate = None;
                    // Whose turn has not come still waits for it.
                    if seat.state.is_task() {
                        seat.state = SeatState::Open;
                    }
                });
                if by.is_some() {
                    self.touch(*seat);
                }
            }
            Event::HolderChanged { seat, holder, until } => self.change_seat(*seat, |seat| {
                seat.holder = Some(*holder);
                seat.proxy_until = *until;
            }),
            Event::Delegated { seat, to, .. } => {
                self.change_seat(*seat, |seat| {
                    seat.state = SeatState::Delegated;
                    seat.delegate = Some(*to);
                });
                self.touch(*seat);
            }
            Event::OpinionGiven { seat, .. } | Event::Recalled { seat, .. } => self.change_seat(*seat, |seat| {
                seat.state = SeatState::Open;
                seat.delegate = None;
            }),
            Event::SeatsAdded { group, visit, seats, behind, .. } => {
                let ids: Vec<SeatId> = seats.iter().map(|seat| seat.id).collect();
                self.seats.extend(seats.iter().cloned());
                self.change_visit(*visit, |visit| {
                    visit.touched = true;
                    match group {
                        Some(group) => visit.groups.push(group.clone()),
                        None => {
                            let place = visit.order.iter().position(|there| there == behind).map_or(visit.order.len(), |place| place + 1);
                            visit.order.splice(place..place, ids);
                        }
                    }
                });
            }
            Event::SeatRemoved { seat, .. } => self.change_seat(*seat, |seat| seat.state = SeatState::Removed),
            Event::Claimed { seat, by } => {
                self.change_seat(*seat, |seat| {
                    seat.principal = Some(*by);
                    seat.holder = Some(*by);
                    seat.state = SeatState::Open;
                });
                self.touch(*seat);
            }
            Event::Released { seat, .. } => self.change_seat(*seat, |seat| {
                seat.principal = None;
                seat.holder = None;
                seat.state = SeatState::Unclaimed;
            }),
            Event::Returned { token, straight, .. } => {
                self.decided = true;
                self.change_token(*token, |token| {
                    token.straight.clone_from(straight);
                    token.before.clear();
                });
            }
            Event::WithInitiator => self.state = State::Returned,
            Event::StraightTaken { token } => self.change_token(*token, |token| token.straight = None),
            Event::Copied { node, people, .. } => self.copied.extend(people.iter().map(|person| (*person, node.clone()))),
            Event::TimerSet { timer } => {
                self.timers_made = self.timers_made.max(timer.id + 1);
                self.timers.push(timer.clone());
            }
            Event::TimerCleared { timer } => self.timers.retain(|there| there.id != *timer),
            Event::TimerFired { timer, .. } => self.timers.retain(|there| there.id != timer.id),
            Event::Urged { at, seats, .. } => {
                for seat in seats {
                    self.change_seat(*seat, |seat| seat.urged_at = Some(*at));
                }
            }
            Event::ChildStarted { token, child, wait, visit } => {
                self.children.push(Child { id: *child, token: *token, wait: *wait, visit: *visit, state: None });
                self.change_token(*token, |token| token.acted = true);
            }
            Event::ChildEnded { child, state } => {
                if let Some(child) = self.children.iter_mut().find(|there| there.id == *child) {
                    child.state = Some(*state);
                }
            }
            Event::Parked { token, at, reason } => self.change_token(*token, |token| {
                token.at = at.clone();
                token.state = TokenState::Active;
                token.parked = Some(Parked { reason: reason.clone() });
            }),
            Event::Unparked { token } => {
                // Whoever lets it go on has seen how often it came there.
                if let Some(at) = self.token(*token).map(|token| token.at.clone()) {
                    self.counts.remove(&at);
                }
                self.change_token(*token, |token| token.parked = None);
            }
            Event::Suspended { .. } => self.suspended = true,
            Event::Resumed { .. } => self.suspended = false,
            Event::Unlocked { .. } => self.unlocked = true,
            Event::Moving { token } => self.change_token(*token, |token| token.at_end = true),
            Event::Jumped { token, .. } => {
                self.state = State::Running;
                self.change_token(*token, |token| {
                    token.at_end = false;
                    token.straight = None;
                    token.parked = None;
                    token.before.clear();
                });
            }
            Event::RevocationBegun { .. } => {
                self.state = State::Running;
                self.reverse = true;
                self.round += 1;
                self.ended_at = None;
            }
            Event::TakenBack { visit, .. } => self.change_visit(*visit, |visit| visit.superseded = true),
            Event::Ended { state, at, .. } => {
                self.state = *state;
                self.ended_at = Some(*at);
                self.reverse = false;
                self.suspended = false;
                if *state == State::Approved {
                    self.approved_at = self.approved_at.or(Some(*at));
                }
            }
            Event::Restarted { watched, .. } => {
                self.watched.clone_from(watched);
                self.state = State::Running;
                self.round += 1;
            }
            Event::Acted { token, .. } => {
                if let Some(token) = token {
                    self.change_token(*token, |token| token.acted = true);
                }
            }
            Event::BranchTaken { .. } | Event::Commented { .. } => {}
        }
    }

    /// Whether an earlier choice of who decides in a step stands beside a new one of `visit`: it was made beside it, in another
    /// branch or by another seat of the same visit. One on the way to it, one's own, and one that counts no longer do not.
    fn stands(&self, node: &Name, visit: VisitId, by: Option<uuid::Uuid>) -> bool {
        let Some((earlier, who)) = self.selected.get(node).copied() else { return false };
        let (Some(before), Some(now)) = (self.visit(earlier), self.visit(visit)) else { return false };
        let above = |token: TokenId, other: TokenId| {
            let mut at = Some(token);
            while let Some(there) = at.filter(|there| *there != other) {
                at = self.token(there).and_then(|token| token.parent);
            }
            at.is_some()
        };
        let beside = if earlier == visit { who != by } else { !above(before.token, now.token) && !above(now.token, before.token) };
        !before.superseded && before.round == now.round && beside
    }

    /// What was directly before the branches' ends is directly before what follows the join.
    fn joined(&mut self, id: TokenId) {
        let mut before: Vec<VisitId> = self
            .tokens
            .iter()
            .filter(|token| token.parent == Some(id) && token.state == TokenState::Arrived)
            .flat_map(|token| token.before.clone())
            .collect();
        before.sort_unstable();
        before.dedup();
        for token in self.tokens.iter_mut().filter(|token| token.parent == Some(id) && token.state == TokenState::Arrived) {
            token.state = TokenState::Ended;
        }
        self.change_token(id, |token| {
            token.state = TokenState::Active;
            token.before = before;
        });
    }
}
