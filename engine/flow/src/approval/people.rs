//! In charge of who decides: sources, leavers, empty steps, the initiator, stand-ins, and those who said yes before.
//! Reading order: `ask` (the order of resolution), `resolve` (sources), `initiator`, `earlier`.
//! Invariant: people are looked up when a step is entered, never before.
//! Invariant: no task is given to somebody who is not active; what a policy leaves empty is not given to that policy again.

use model::Name;
use model::doc::approval::{Approver, ApproverBy, DecisionDoc, Dedupe, IfEmpty, IfInitiator, Mode, OpinionRule, TaskAccess, WhenShort, Within};
use uuid::Uuid;

use super::effect::Notice;
use super::event::{Event, Reason};
use super::facts::{Subject, Told, Trouble};
use super::instance::{Seat, SeatState, TokenId, TokenState, VisitId, VisitOutcome};
use super::machine::Machine;
use super::node::Next;
use super::plan::Node;

/// Levels that a chain walks at most: nobody has more.
const MOST_LEVELS: u32 = 50;
/// People that one step asks at most.
const MOST_PEOPLE: usize = 200;

/// Somebody who is to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    person: Uuid,
    weight: u32,
    veto: bool,
    /// Whether the document says that the initiator decides.
    meant: bool,
}

/// Who decides, or what is decided without anybody; closed.
enum Seating {
    People(Vec<Chosen>, Option<Reason>),
    Pass(Reason),
    Reject(Reason),
}

impl Machine<'_> {
    /// A token came to a step at which people decide.
    pub(crate) fn ask(&mut self, node: &Node, doc: &DecisionDoc, token: TokenId) -> Told<Next> {
        let back = self.instance.token(token).is_some_and(|token| token.back);
        let (people, reason) = match self.seating(node, doc, back)? {
            Seating::People(people, reason) => (people, reason),
            Seating::Pass(reason) => {
                self.pass_by(node, token, reason, VisitOutcome::Passed);
                return Ok(Next::On);
            }
            Seating::Reject(reason) => {
                let visit = self.open(node, token, Vec::new(), Vec::new(), Some(reason));
                self.emit(Event::VisitEnded { visit, outcome: VisitOutcome::Rejected, at: self.now, reason: None });
                let flow = self.flow;
                if let Some(node) = flow.node(node.name.as_str()) {
                    self.rejected(visit, token, node);
                }
                return Ok(Next::Wait);
            }
        };
        let visit = self.next_visit();
        let first = self.next_seat();
        if doc.mode == Mode::Claim && people.len() > 1 {
            let pool: Vec<Uuid> = people.iter().map(|chosen| chosen.person).collect();
            let seat = Seat::new(first, visit, None);
            self.open(node, token, vec![seat], pool, reason);
            self.open_seat(first);
            return Ok(Next::Wait);
        }
        let people = if doc.mode == Mode::Random { self.drawn(&node.name, people, visit) } else { people };
        let mut seats = Vec::new();
        for (chosen, id) in people.into_iter().zip(first..) {
            let mut seat = self.seated(id, visit, chosen.person, doc)?;
            seat.weight = chosen.weight;
            seat.veto = chosen.veto;
            if !back && self.approved_before(node, doc, token, chosen.person)? {
                seat.state = SeatState::Approved;
                seat.reason = Some(Reason::Earlier);
                seat.decided_at = Some(self.now);
                seat.watched = self.watched();
            }
            seats.push(seat);
        }
        self.open(node, token, seats, Vec::new(), reason);
        self.settle(visit);
        Ok(Next::Wait)
    }

    /// A seat of a person, with whoever stands in for them.
    pub(crate) fn seated(&self, id: u32, visit: VisitId, person: Uuid, doc: &DecisionDoc) -> Told<Seat> {
        let mut seat = Seat::new(id, visit, Some(person));
        if let Some(proxy) = self.stand_in(person, doc)? {
            seat.holder = Some(proxy.person);
            seat.proxy_until = proxy.until;
        }
        Ok(seat)
    }

    /// Who stands in for a person and may: a stand-in has none of their own.
    pub(crate) fn stand_in(&self, person: Uuid, doc: &DecisionDoc) -> Told<Option<super::Proxy>> {
        let Some(proxy) = self.facts.proxy(person)? else { return Ok(None) };
        let barred = doc.if_initiator == IfInitiator::Forbid && self.instance.initiator == Some(proxy.person);
        let is_over = proxy.until.is_some_and(|until| until <= self.now);
        Ok((!barred && !is_over && proxy.person != person && self.is_active(proxy.person)?).then_some(proxy))
    }

    fn drawn(&self, node: &Name, people: Vec<Chosen>, visit: VisitId) -> Vec<Chosen> {
        let count = people.len() as u64;
        let place = usize::try_from(self.facts.lot(node, visit).checked_rem(count).unwrap_or_default()).unwrap_or_default();
        people.into_iter().nth(place).into_iter().collect()
    }

    fn seating(&self, node: &Node, doc: &DecisionDoc, back: bool) -> Told<Seating> {
        let mut people = self.chosen(&node.name, &format!("steps/{}/approvers", node.name), &doc.approvers)?;
        let mut reason = None;
        if people.is_empty() {
            reason = Some(Reason::Empty);
            people = match doc.if_empty {
                IfEmpty::Pass => return Ok(Seating::Pass(Reason::Empty)),
                IfEmpty::Reject => return Ok(Seating::Reject(Reason::Empty)),
                IfEmpty::Suspend => return Err(Trouble("nobody decides here".to_owned())),
                IfEmpty::ToAdmin => self.administrators(None)?,
                IfEmpty::ToUsers => self.chosen(&node.name, &format!("steps/{}/empty_users", node.name), &doc.empty_users)?,
                IfEmpty::ToParentHead => self.parent_head()?.into_iter().map(of).collect(),
            };
            if people.is_empty() {
                people = self.administrators(None)?;
            }
        }
        match self.initiator(doc, people, back)? {
            (people, _) if people.is_empty() => Ok(Seating::Pass(Reason::Initiator)),
            (people, replaced) => Ok(Seating::People(people, replaced.or(reason))),
        }
    }

    /// What the document says of an initiator who would decide.
    fn initiator(&self, doc: &DecisionDoc, mut people: Vec<Chosen>, back: bool) -> Told<(Vec<Chosen>, Option<Reason>)> {
        let Some(me) = self.instance.initiator else { return Ok((people, None)) };
        let Some(place) = people.iter().position(|chosen| chosen.person == me && !chosen.meant) else { return Ok((people, None)) };
        let above = match doc.if_initiator {
            IfInitiator::Oneself => return Ok((people, None)),
            // What came back was not right: it is not passed silently.
            IfInitiator::Skip if back && people.len() == 1 => return Ok((people, None)),
            IfInitiator::Skip => {
                people.remove(place);
                return Ok((people, Some(Reason::Initiator)));
            }
            IfInitiator::Manager => self.manager_of(me)?,
            IfInitiator::DepartmentHead | IfInitiator::Forbid => self.head_above(me)?,
        };
        let above = match above {
            Some(above) if self.is_active(above)? => vec![above],
            Some(_) | None => self.administrators(Some(me))?.into_iter().map(|chosen| chosen.person).collect(),
        };
        let Some(there) = people.get(place).cloned() else { return Ok((people, None)) };
        people.remove(place);
        if above.is_empty() {
            return Err(Trouble("only the initiator could decide here".to_owned()));
        }
        for (offset, person) in above.into_iter().enumerate() {
            match people.iter_mut().find(|chosen| chosen.person == person) {
                // A superior who decides anyway decides once.
                Some(chosen) => {
                    chosen.weight = chosen.weight.max(there.weight);
                    chosen.veto |= there.veto;
                }
                None => people.insert((place + offset).min(people.len()), Chosen { person, ..there.clone() }),
            }
        }
        Ok((people, Some(Reason::Initiator)))
    }

    /// Those who manage the flow, else the administrators, without `barred`.
    fn administrators(&self, barred: Option<Uuid>) -> Told<Vec<Chosen>> {
        let people = self.managers()?;
        Ok(people.into_iter().filter(|person| Some(*person) != barred).map(of).collect())
    }

    /// Those who manage the flow, else the administrators.
    pub(crate) fn managers(&self) -> Told<Vec<Uuid>> {
        let managers = self.found(self.flow.first(), "settings/managers", &self.flow.settings.managers)?;
        if !managers.is_empty() {
            return Ok(managers);
        }
        let mut admins = Vec::new();
        for person in self.facts.admins()? {
            if self.is_active(person)? {
                admins.push(person);
            }
        }
        Ok(admins)
    }

    pub(crate) fn is_active(&self, person: Uuid) -> Told<bool> {
        Ok(self.facts.person(person)?.is_some_and(|person| person.active))
    }

    /// The people whom sources name: active, each once.
    pub(crate) fn found(&self, node: &Name, at: &str, sources: &[Approver]) -> Told<Vec<Uuid>> {
        Ok(self.chosen(node, at, sources)?.into_iter().map(|chosen| chosen.person).collect())
    }

    fn chosen(&self, node: &Name, at: &str, sources: &[Approver]) -> Told<Vec<Chosen>> {
        let mut people: Vec<Chosen> = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let weight = source.weight.unwrap_or(1);
            let meant = source.by == ApproverBy::Initiator;
            for person in self.resolve(node, &format!("{at}/{index}"), source)? {
                let Some(person) = self.instead(person)? else { continue };
                match people.iter_mut().find(|chosen| chosen.person == person) {
                    Some(there) => {
                        there.weight = there.weight.max(weight);
                        there.veto |= source.veto;
                        there.meant |= meant;
                    }
                    None => people.push(Chosen { person, weight, veto: source.veto, meant }),
                }
            }
        }
        if people.len() > MOST_PEOPLE {
            return Err(Trouble(format!("{} people would decide here; {MOST_PEOPLE} are the most", people.len())));
        }
        Ok(people)
    }

    /// A person, or who took over from them; none where nobody is there.
    pub(crate) fn instead(&self, person: Uuid) -> Told<Option<Uuid>> {
        let mut at = person;
        for _ in 0..10 {
            match self.facts.person(at)? {
                None => return Ok(None),
                Some(there) if there.active => return Ok(Some(at)),
                Some(there) => match there.successor {
                    Some(successor) => at = successor,
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    fn resolve(&self, node: &Name, at: &str, source: &Approver) -> Told<Vec<Uuid>> {
        let initiator = self.instance.initiator;
        match source.by {
            ApproverBy::User => {
                let mut people = Vec::new();
                for name in source.user.iter().chain(&source.users) {
                    people.extend(self.facts.person_named(name)?);
                }
                Ok(people)
            }
            ApproverBy::Role => self.of_role(source),
            ApproverBy::Department => {
                let department = match &source.department {
                    Some(name) => self.facts.department_named(name)?,
                    None => self.own_department()?,
                };
                department.map_or_else(|| Ok(Vec::new()), |department| self.facts.in_department(department, source.below))
            }
            ApproverBy::Manager => Ok(match initiator {
                Some(me) => self.manager_of(me)?.into_iter().collect(),
                None => Vec::new(),
            }),
            ApproverBy::ManagerChain => self.managers_above(source),
            ApproverBy::DepartmentHead => self.head_at(source),
            ApproverBy::DepartmentChain => self.heads_above(source),
            ApproverBy::Field => self.people_of(self.facts.at_path(source.field.as_deref().unwrap_or_default())?),
            ApproverBy::Owner => self.people_of(self.facts.at_path("owner")?),
            ApproverBy::Expr => self.people_of(self.facts.expression(&format!("{at}/expr"))?),
            ApproverBy::Initiator => Ok(initiator.into_iter().collect()),
            ApproverBy::InitiatorSelects | ApproverBy::PreviousSelects => Ok(self.instance.select.get(node).cloned().unwrap_or_default()),
            ApproverBy::SameAs => Ok(source.step.as_ref().map(|step| self.acted_in(node, step)).unwrap_or_default()),
        }
    }

    fn own_department(&self) -> Told<Option<Uuid>> {
        let Some(me) = self.instance.initiator else { return Ok(None) };
        Ok(self.facts.person(me)?.and_then(|person| person.department))
    }

    fn of_role(&self, source: &Approver) -> Told<Vec<Uuid>> {
        let people = self.facts.in_role(source.role.as_deref().unwrap_or_default())?;
        let Some(within) = source.within else { return Ok(people) };
        let mut allowed = Vec::new();
        let mut at = self.own_department()?;
        while let Some(department) = at.filter(|department| !allowed.contains(department)) {
            allowed.push(department);
            at = match within {
                Within::Department => None,
                Within::DepartmentAndAbove => self.facts.department(department)?.and_then(|department| department.parent),
            };
        }
        let mut kept = Vec::new();
        for person in people {
            let department = self.facts.person(person)?.and_then(|person| person.department);
            if department.is_some_and(|department| allowed.contains(&department)) {
                kept.push(person);
            }
        }
        Ok(kept)
    }

    fn people_of(&self, subjects: Vec<Subject>) -> Told<Vec<Uuid>> {
        let mut people = Vec::new();
        for subject in subjects {
            match subject {
                Subject::Person(person) => people.push(person),
                Subject::Department(department) => people.extend(self.facts.department(department)?.and_then(|department| department.head)),
            }
        }
        Ok(people)
    }

    /// A person's manager; the head of their department where none is set.
    pub(crate) fn manager_of(&self, person: Uuid) -> Told<Option<Uuid>> {
        let Some(there) = self.facts.person(person)? else { return Ok(None) };
        match there.manager.filter(|manager| *manager != person) {
            Some(manager) => Ok(Some(manager)),
            None => self.head_above(person),
        }
    }

    /// The first head of a person's department, or of those above it, who is somebody else.
    fn head_above(&self, person: Uuid) -> Told<Option<Uuid>> {
        let mut at = self.facts.person(person)?.and_then(|person| person.department);
        for _ in 0..MOST_LEVELS {
            let Some(department) = at.map(|id| self.facts.department(id)).transpose()?.flatten() else { return Ok(None) };
            if let Some(head) = department.head.filter(|head| *head != person)
                && self.is_active(head)?
            {
                return Ok(Some(head));
            }
            at = department.parent;
        }
        Ok(None)
    }

    fn parent_head(&self) -> Told<Option<Uuid>> {
        let Some(own) = self.own_department()? else { return Ok(None) };
        let parent = self.facts.department(own)?.and_then(|department| department.parent);
        let head = parent.map(|parent| self.facts.department(parent)).transpose()?.flatten().and_then(|department| department.head);
        head.map_or(Ok(None), |head| self.instead(head))
    }

    fn managers_above(&self, source: &Approver) -> Told<Vec<Uuid>> {
        let Some(me) = self.instance.initiator else { return Ok(Vec::new()) };
        let most = source.levels.unwrap_or(MOST_LEVELS).min(MOST_LEVELS);
        let last_role = source.until.as_ref().and_then(|until| until.role.as_deref());
        let at_end = last_role.map(|role| self.facts.in_role(role)).transpose()?;
        let end_head = self.end_department(source)?.map(|id| self.facts.department(id)).transpose()?.flatten().and_then(|department| department.head);
        let (mut people, mut at) = (Vec::new(), me);
        while people.len() < most as usize {
            let Some(manager) = self.facts.person(at)?.and_then(|person| person.manager).filter(|manager| *manager != at) else { break };
            if people.contains(&manager) || manager == me {
                break;
            }
            people.push(manager);
            at = manager;
            if at_end.as_ref().is_some_and(|ends| ends.contains(&manager)) || end_head == Some(manager) {
                return Ok(people);
            }
        }
        let short = source.levels.is_some_and(|levels| people.len() < levels as usize) || source.until.is_some();
        Ok(if short && source.when_short == Some(WhenShort::Empty) { Vec::new() } else { people })
    }

    fn end_department(&self, source: &Approver) -> Told<Option<Uuid>> {
        match source.until.as_ref().and_then(|until| until.department.as_deref()) {
            Some(name) => self.facts.department_named(name),
            None => Ok(None),
        }
    }

    /// The departments from the initiator's upwards, each with its head.
    fn departments_above(&self, source: &Approver) -> Told<Vec<(Uuid, Option<Uuid>)>> {
        let mut found: Vec<(Uuid, Option<Uuid>)> = Vec::new();
        let mut at = match &source.department {
            Some(name) => self.facts.department_named(name)?,
            None => self.own_department()?,
        };
        while let Some(id) = at.filter(|id| found.iter().all(|(there, _)| there != id) && found.len() < MOST_LEVELS as usize) {
            let Some(department) = self.facts.department(id)? else { break };
            found.push((id, department.head));
            at = department.parent;
        }
        Ok(found)
    }

    fn head_at(&self, source: &Approver) -> Told<Vec<Uuid>> {
        let departments = self.departments_above(source)?;
        let level = source.level.unwrap_or(1).max(1) as usize - 1;
        let skip = source.skip_up.unwrap_or(true);
        let from_there = departments.get(level..).unwrap_or_default();
        let head = if skip { from_there.iter().find_map(|(_, head)| *head) } else { from_there.first().and_then(|(_, head)| *head) };
        if head.is_none() && (skip || from_there.is_empty()) && source.when_short != Some(WhenShort::Empty) {
            return Ok(departments.iter().rev().find_map(|(_, head)| *head).into_iter().collect());
        }
        Ok(head.into_iter().collect())
    }

    fn heads_above(&self, source: &Approver) -> Told<Vec<Uuid>> {
        let mut departments = self.departments_above(source)?;
        let end = self.end_department(source)?;
        let ends = source.until.as_ref().and_then(|until| until.role.as_deref()).map(|role| self.facts.in_role(role)).transpose()?;
        let last = departments
            .iter()
            .position(|(id, head)| Some(*id) == end || ends.as_ref().is_some_and(|ends| head.is_some_and(|head| ends.contains(&head))));
        let mut short = source.until.is_some() && last.is_none();
        if let Some(last) = last {
            departments.truncate(last + 1);
        }
        if let Some(levels) = source.levels {
            short |= departments.len() < levels as usize;
            departments.truncate(levels as usize);
        }
        let gap = source.skip_up == Some(false) && departments.iter().any(|(_, head)| head.is_none());
        if gap || (short && source.when_short == Some(WhenShort::Empty)) {
            return Ok(Vec::new());
        }
        Ok(departments.into_iter().filter_map(|(_, head)| head).collect())
    }

    /// Those who acted in a step, in the order in which they did, when it was passed last and as far as that counts. What comes
    /// straight back to `node` finds those of the round before.
    fn acted_in(&self, node: &Name, step: &Name) -> Vec<Uuid> {
        let comes_back = self.instance.tokens.iter().any(|token| token.at == *node && token.back && token.state == TokenState::Active);
        let acted = |visit: VisitId| self.instance.seats.iter().any(|seat| seat.visit == visit && seat.decided_by.is_some());
        let last = |also: bool| {
            let counts = |visit: &&super::Visit| visit.node == *step && (also || !visit.superseded) && acted(visit.id);
            self.instance.visits.iter().rev().find(counts).map(|visit| visit.id)
        };
        let Some(visit) = last(false).or_else(|| last(true).filter(|_| comes_back)) else { return Vec::new() };
        let of_step = |seat: &&Seat| seat.visit == visit && seat.decided_by.is_some();
        let mut seats: Vec<&Seat> = self.instance.seats.iter().filter(of_step).collect();
        seats.sort_by_key(|seat| seat.decided_at);
        let mut people = Vec::new();
        for person in seats.into_iter().filter_map(|seat| seat.principal) {
            if !people.contains(&person) {
                people.push(person);
            }
        }
        people
    }

    /// Whether an earlier yes of the same person counts here.
    fn approved_before(&self, node: &Node, doc: &DecisionDoc, token: TokenId, person: Uuid) -> Told<bool> {
        let input = doc.signature
            || doc.opinion == OpinionRule::Always
            || doc.fields.values().any(|access| matches!(access, TaskAccess::Write | TaskAccess::Required));
        if input || !node.kind.approves() {
            return Ok(false);
        }
        let visits: Vec<VisitId> = match self.flow.settings.dedupe {
            Dedupe::None => return Ok(false),
            Dedupe::Consecutive => self.instance.token(token).map(|token| token.before.clone()).unwrap_or_default(),
            Dedupe::Global => self.instance.visits.iter().map(|visit| visit.id).collect(),
        };
        let watched = self.facts.watched()?;
        let counts = |visit: &super::Visit| {
            visits.contains(&visit.id)
                && visit.approves
                && visit.round == self.instance.round
                && !visit.superseded
                && visit.outcome == Some(VisitOutcome::Passed)
        };
        Ok(self.instance.seats.iter().any(|seat| {
            // A yes that was only taken over counts as long as what it was taken over from would.
            let voted = seat.state == SeatState::Approved && (seat.decided_by.is_some() || seat.reason == Some(Reason::Earlier));
            voted && seat.principal == Some(person) && seat.watched == watched && self.instance.visit(seat.visit).is_some_and(counts)
        }))
    }

    /// The initiator's step: it is passed on the way out and asks on the way back.
    pub(crate) fn at_start(&mut self, node: &Node, token: TokenId) -> Told<Next> {
        if !self.instance.token(token).is_some_and(|token| token.back) {
            return Ok(Next::On);
        }
        let people = match self.instance.initiator {
            Some(me) => match self.instead(me)? {
                Some(person) => vec![person],
                None => match self.head_above(me)? {
                    Some(head) => vec![head],
                    None => self.managers()?,
                },
            },
            None => self.managers()?,
        };
        let Some(person) = people.first() else { return Err(Trouble("nobody can take it back".to_owned())) };
        let (visit, id) = (self.next_visit(), self.next_seat());
        let seat = Seat::new(id, visit, Some(*person));
        self.open(node, token, vec![seat], Vec::new(), None);
        self.emit(Event::SeatOpened { seat: id, at: self.now });
        self.emit(Event::WithInitiator);
        self.notify(Some(*person), Notice::Returned, Some(id));
        Ok(Next::Wait)
    }
}

fn of(person: Uuid) -> Chosen {
    Chosen { person, weight: 1, veto: false, meant: false }
}

/// Those who manage a flow: its managers, else the administrators.
///
/// # Errors
/// Why it cannot be known.
pub fn managers(flow: &super::Flow, instance: &super::Instance, facts: &dyn super::Facts, now: chrono::DateTime<chrono::Utc>) -> Told<Vec<Uuid>> {
    Machine::new(flow, instance, super::Actor::default(), facts, now, true).managers()
}

/// Among whom somebody is chosen for a step; anybody where there is nothing.
///
/// # Errors
/// Why it cannot be known.
pub fn choosable(
    flow: &super::Flow,
    instance: &super::Instance,
    node: &Name,
    facts: &dyn super::Facts,
    now: chrono::DateTime<chrono::Utc>,
) -> Told<Option<Vec<Uuid>>> {
    let chosen = |source: &&Approver| matches!(source.by, ApproverBy::InitiatorSelects | ApproverBy::PreviousSelects);
    let doc = flow.node(node.as_str()).and_then(super::Node::decision);
    let Some(source) = doc.and_then(|doc| doc.approvers.iter().find(chosen)).filter(|source| !source.among.is_empty()) else { return Ok(None) };
    let machine = Machine::new(flow, instance, super::Actor::default(), facts, now, true);
    machine.found(node, &format!("steps/{node}/approvers"), &source.among).map(Some)
}
