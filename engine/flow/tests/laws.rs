//! In charge of what must hold for any flow, any people and any commands, wrong ones too (numbers as in the design).
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where what it expects is not so")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use flow::approval::{
    Actor, AdminAct, AdminResult, Ballot, Do, Event, Flow, Instance, Outcome, Place, Proxy, Reason, Refusal, SeatState, SignMode, State, TimerKind,
    Token, TokenState, Uncertain, Verdict, VisitOutcome, Vote, forecast, outcome,
};
use model::doc::approval::Mode;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use support::{Run, dept, name, who};

/// A step, drawn.
#[derive(Clone, Debug)]
enum Drawn {
    Ask { people: Vec<u32>, mode: Json, settings: Json },
    Handle { people: Vec<u32> },
    Copy(u32),
    Delay,
    Auto,
    Split { kind: &'static str, branches: Vec<Vec<Drawn>> },
}

fn mode() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!({"kind": "all"})),
        Just(json!({"kind": "any"})),
        Just(json!({"kind": "sequential"})),
        (1u32..=100).prop_map(|percent| json!({"kind": "percent", "percent": percent})),
        (1u32..4).prop_map(|approvals| json!({"kind": "count", "approvals": approvals})),
        (1u32..4).prop_map(|rejections| json!({"kind": "count", "rejections": rejections})),
        (1u32..4).prop_map(|weight| json!({"kind": "weight", "weight": weight})),
        Just(json!({"kind": "random"})),
        Just(json!({"kind": "claim"})),
    ]
}

fn settings() -> impl Strategy<Value = Json> {
    let empty = prop::sample::select(vec!["pass", "reject", "to_admin", "to_parent_head", "suspend"]);
    let initiator = prop::sample::select(vec!["self", "skip", "manager", "department_head", "forbid"]);
    let counts = prop::sample::select(vec!["first", "wait_all", "all"]);
    let then = prop::sample::select(vec!["end", "to_initiator", "to_previous"]);
    let resubmit = prop::sample::select(vec!["replay", "straight", "ask"]);
    let timeouts = prop::sample::select(vec![
        json!([]),
        json!([{"after": "P1D", "do": "remind", "most": 2}]),
        json!([{"after": "P2D", "do": "escalate"}]),
        json!([{"after": "P2D", "do": "escalate", "replace": true}]),
        json!([{"after": "P3D", "do": "approve"}]),
        json!([{"after": "P3D", "do": "reject"}]),
        json!([{"after": "P3D", "do": "transfer", "to": [{"by": "user", "user": "7"}]}]),
    ]);
    (empty, initiator, counts, then, resubmit, timeouts).prop_map(|(empty, initiator, counts, then, resubmit, timeouts)| {
        json!({"if_empty": empty, "if_initiator": initiator, "reject_counts": counts, "on_reject": {"then": then},
            "return": {"to": ["any_visited", "initiator", "previous"], "resubmit": resubmit}, "timeouts": timeouts})
    })
}

fn people() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(1u32..12, 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Drawn>> {
    let leaf = prop_oneof![
        5 => (people(), mode(), settings()).prop_map(|(people, mode, settings)| Drawn::Ask { people, mode, settings }),
        1 => people().prop_map(|people| Drawn::Handle { people }),
        1 => (1u32..10).prop_map(Drawn::Copy),
        1 => Just(Drawn::Delay),
        1 => Just(Drawn::Auto),
    ];
    let step = leaf.prop_recursive(2, 8, 3, |inner| {
        let branches = prop::collection::vec(prop::collection::vec(inner, 0..3), 2..4);
        (prop::sample::select(vec!["exclusive", "parallel", "inclusive"]), branches).prop_map(|(kind, branches)| Drawn::Split { kind, branches })
    });
    prop::collection::vec(step, 1..5)
}

/// The steps as a document, and their names.
fn written(drawn: &[Drawn], steps: &mut serde_json::Map<String, Json>) -> Vec<String> {
    drawn
        .iter()
        .map(|step| {
            let named = format!("s{}", steps.len());
            steps.insert(named.clone(), Json::Null);
            let users = |people: &[u32]| json!([{"by": "user", "users": people.iter().map(ToString::to_string).collect::<Vec<_>>()}]);
            let json = match step {
                Drawn::Ask { people, mode, settings } => {
                    let mut json = settings.clone();
                    json["kind"] = "approve".into();
                    json["approvers"] = users(people);
                    json["mode"] = mode.clone();
                    json
                }
                Drawn::Handle { people } => json!({"kind": "handle", "approvers": users(people)}),
                Drawn::Copy(person) => json!({"kind": "cc", "to": users(&[*person])}),
                Drawn::Delay => json!({"kind": "delay", "for": "PT6H"}),
                Drawn::Auto => json!({"kind": "auto_approve"}),
                Drawn::Split { kind, branches } => {
                    let mut made = serde_json::Map::new();
                    for (index, branch) in branches.iter().enumerate() {
                        let inner = written(branch, steps);
                        let last = index + 1 == branches.len();
                        let mut json = json!({"steps": inner, "when": {"field": "amount", "op": ">", "value": index}});
                        if last && *kind != "parallel" {
                            json = json!({"steps": inner, "default": true});
                        }
                        made.insert(format!("b{index}"), json);
                    }
                    json!({"kind": kind, "branches": made})
                }
            };
            steps.insert(named.clone(), json);
            named
        })
        .collect()
}

#[derive(Clone, Debug)]
struct Plan {
    drawn: Vec<Drawn>,
    dedupe: &'static str,
    withdraw: &'static str,
    disabled: BTreeSet<u32>,
    headless: bool,
    proxied: Option<(u32, u32)>,
    amount: i64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let dedupe = prop::sample::select(vec!["none", "consecutive", "global"]);
    let withdraw = prop::sample::select(vec!["before_first_decision", "any_time_running", "never"]);
    (steps(), dedupe, withdraw, prop::collection::btree_set(2u32..8, 0..3), any::<bool>(), prop::option::of((2u32..8, 2u32..8)), 0i64..4).prop_map(
        |(drawn, dedupe, withdraw, disabled, headless, proxied, amount)| Plan { drawn, dedupe, withdraw, disabled, headless, proxied, amount },
    )
}

fn run_of(plan: &Plan) -> Run {
    let mut steps = serde_json::Map::new();
    let root = written(&plan.drawn, &mut steps);
    let document = json!({"entity": "quote", "steps": steps, "root": root,
        "settings": {"dedupe": plan.dedupe, "withdraw": plan.withdraw, "watched": ["amount"], "revoke_within": "P30D"}});
    let mut run = Run::new(document);
    for number in &plan.disabled {
        run.world.people.get_mut(&who(*number)).expect("a person").active = false;
    }
    if plan.headless {
        run.world.departments.get_mut(&dept(1)).expect("a department").head = None;
    }
    if let Some((principal, proxy)) = plan.proxied {
        run.world.proxies.insert(who(principal), Proxy { person: who(proxy), until: Some(run.now + Duration::days(4)) });
    }
    run.world.record.insert("amount".into(), plan.amount);
    let flow = &run.flow;
    for node in flow.nodes() {
        for index in 0..4 {
            run.world.conditions.insert(format!("steps/{}/branches/b{index}/when", node.name), ("amount".into(), index));
        }
    }
    run
}

/// Something that somebody does; numbers are folded into what there is.
#[derive(Clone, Debug)]
struct Move {
    what: u8,
    person: u32,
    other: u32,
    pick: usize,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec((0u8..24, 1u32..10, 1u32..12, 0usize..8).prop_map(|(what, person, other, pick)| Move { what, person, other, pick }), 0..40)
}

fn play(run: &mut Run, step: &Move) -> Result<(), Refusal> {
    let tasks: Vec<(u32, Option<uuid::Uuid>)> = run.instance.tasks().map(|seat| (seat.id, seat.delegate.or(seat.holder))).collect();
    let task = tasks.get(step.pick % tasks.len().max(1)).copied();
    // Mostly the right person acts, now and then anybody.
    let person = match task {
        Some((_, Some(holder))) if step.what % 5 != 4 => u32::try_from(holder.as_u128() - 0x1000).unwrap_or_default(),
        _ => step.person,
    };
    let seat = task.map_or(0, |(seat, _)| seat);
    let decide = |verdict| Do::Decide { seat, verdict, opinion: None, signature: None, files: Vec::new(), select: BTreeMap::new() };
    let node = run.flow.nodes().nth(step.pick).map(|node| node.name.clone());
    let to = ["initiator", "previous"]
        .get(step.pick % 3)
        .map_or_else(|| node.clone().map_or_else(|| "x".to_owned(), |node| node.to_string()), |to| (*to).to_owned());
    let add = |place| Do::AddSign { seat, place, users: vec![who(step.other)], mode: SignMode::All, opinion: None };
    let admin = |act| Do::Admin { act, opinion: Some("why".into()) };
    match step.what {
        0..=7 => run.act(person, decide(Verdict::Approve)),
        8 => run.act(person, decide(Verdict::Reject)),
        9 => run.act(person, Do::Return { seat, to, opinion: None, straight: Some(step.other.is_multiple_of(2)), files: Vec::new() }),
        10 => run.act(person, Do::Transfer { seat, to: who(step.other), opinion: None }),
        11 => run.act(person, Do::Delegate { seat, to: who(step.other), opinion: None }),
        12 => run.act(person, Do::Opinion { seat, opinion: Some("well".into()) }),
        13 => run.act(person, add(Place::Before)),
        14 => run.act(person, add(Place::After)),
        15 => run.act(person, add(Place::Parallel)),
        16 => run.act(person, Do::RemoveSign { user: who(step.other), opinion: None }),
        17 => run.act(1, Do::Submit { select: BTreeMap::new(), opinion: None, moves: false }),
        18 => run.act(step.person, Do::TakeBack { opinion: None }),
        19 => {
            run.wait(Duration::hours(i64::from(step.other) * 5));
            Ok(())
        }
        20 => run.act(step.person, Do::Claim { seat }),
        21 => match step.pick {
            0 => run.act(1, Do::Withdraw { opinion: None }),
            1 => run.act(1, Do::Revoke { opinion: None }),
            _ => run.act(1, Do::Urge { opinion: None }),
        },
        22 => match (step.pick, node) {
            (0, _) => run.act(9, admin(AdminAct::Suspend)),
            (1 | 2, _) => run.act(9, admin(AdminAct::Resume)),
            (3, _) => run.act(9, admin(AdminAct::Replace { user: who(person), by: who(step.other) })),
            (_, Some(node)) => run.act(9, admin(AdminAct::Jump { to: node })),
            (_, None) => Ok(()),
        },
        _ => {
            run.world.record.insert("amount".into(), i64::from(step.other) % 4);
            Ok(())
        }
    }
}

/// Whether a person took part in what happened last in a way that needs a decision by the right person.
fn holds(run: &Run, before: &Instance) -> Result<(), TestCaseError> {
    let there = &run.instance;
    // P2: what is over holds nothing; what is not has something that moves it.
    if there.state.is_live() {
        let moves = there.tasks().count() + there.timers.len() + there.parked().count();
        prop_assert!(moves > 0, "a dead end: {:?}", there.tokens);
    } else if there.state != State::None {
        prop_assert_eq!(there.tasks().count() + there.timers.len() + there.open_visits().count(), 0);
        prop_assert!(there.tokens.iter().all(|token| token.state == TokenState::Ended));
    }
    for visit in &there.visits {
        let Some(doc) = run.flow.node(visit.node.as_str()).and_then(|node| node.decision()) else { continue };
        let seats: Vec<_> = visit.order.iter().filter_map(|seat| there.seat(*seat)).filter(|seat| seat.state != SeatState::Removed).collect();
        let vote = |state| match state {
            SeatState::Approved => Vote::Approved,
            SeatState::Rejected => Vote::Rejected,
            _ => Vote::Open,
        };
        let ballots: Vec<Ballot> = seats.iter().map(|seat| Ballot { vote: vote(seat.state), weight: seat.weight, veto: seat.veto }).collect();
        // P5 and P7: the outcome is what the votes say.
        match visit.outcome {
            None => prop_assert!(there.suspended || outcome(doc.mode, doc.reject_counts, &ballots).is_none()),
            Some(VisitOutcome::Passed) if !seats.is_empty() => {
                prop_assert_eq!(outcome(doc.mode, doc.reject_counts, &ballots), Some(Outcome::Passed));
            }
            Some(VisitOutcome::Rejected) if !seats.is_empty() => {
                prop_assert_eq!(outcome(doc.mode, doc.reject_counts, &ballots), Some(Outcome::Rejected));
            }
            Some(_) => {}
        }
        // P13: one after the other.
        if doc.mode == Mode::Sequential {
            let open = seats.iter().filter(|seat| seat.state.is_task());
            prop_assert!(open.count() <= 1);
        }
        // P15: an initiator who is forbidden to decide never does.
        if doc.if_initiator == model::doc::approval::IfInitiator::Forbid {
            prop_assert!(seats.iter().all(|seat| seat.decided_by != there.initiator || seat.decided_by.is_none()));
        }
        // P12: a pass of all is a yes of each.
        if doc.mode == Mode::All && visit.outcome == Some(VisitOutcome::Passed) {
            prop_assert!(seats.iter().all(|seat| seat.state == SeatState::Approved && (seat.decided_by.is_some() || seat.reason.is_some())));
        }
    }
    // P14: no fresh seat of somebody who is not active.
    for seat in there.seats.iter().skip(before.seats.len()) {
        for person in [seat.principal, seat.holder].into_iter().flatten() {
            prop_assert!(run.world.people.get(&person).is_some_and(|person| person.active));
        }
    }
    // P4: each seat votes once.
    for (now, was) in there.seats.iter().zip(&before.seats) {
        if was.decided_at.is_some() && was.state != SeatState::Ahead && was.reason.is_none() {
            prop_assert_eq!(now.decided_by, was.decided_by);
        }
    }
    // P16: a yes that is taken over stands on the same figures.
    for seat in there.seats.iter().filter(|seat| seat.reason == Some(flow::approval::Reason::Earlier)) {
        prop_assert!(there.visit(seat.visit).is_some_and(|visit| !visit.back));
    }
    // P23: a deadline belongs to a seat that may still vote.
    for timer in &there.timers {
        if let TimerKind::Deadline { seat, .. } = timer.kind {
            prop_assert!(there.seat(seat).is_some_and(|seat| seat.state.is_open()));
        }
    }
    // P32: one copy a person.
    let copies: Vec<_> =
        run.effects.iter().filter(|effect| matches!(effect, flow::approval::Effect::Notify { notice: flow::approval::Notice::Copy, .. })).collect();
    prop_assert_eq!(copies.len(), there.copied.len());
    // P36: no step too often.
    prop_assert!(there.counts.values().all(|count| *count <= flow::approval::MAX_VISITS));
    Ok(())
}

/// What must hold of each thing that happens, seen from the moment before it.
fn happens(run: &Run, mut there: Instance, events: &[Event]) -> Result<(), TestCaseError> {
    let amount = run.world.record.get("amount").copied().unwrap_or_default();
    for event in events {
        match event {
            // P10: a join opens once, when every branch that was taken has come.
            Event::Joined { token } => {
                let own = |child: &&Token| child.parent == Some(*token) && child.state != TokenState::Ended;
                prop_assert_eq!(there.token(*token).map(|token| token.state), Some(TokenState::Forked));
                prop_assert!(there.tokens.iter().filter(own).count() > 0);
                prop_assert!(there.tokens.iter().filter(own).all(|child| child.state == TokenState::Arrived));
            }
            // P11: one way, all ways, or those that fit.
            Event::BranchTaken { node, branches } => {
                let kind = run.flow.node(node.as_str()).map(|node| node.kind()).unwrap_or_default();
                let all: Vec<String> = run.branches(node);
                let last = all.len().saturating_sub(1);
                let fit = |index: &usize| *index < last && amount > i64::try_from(*index).unwrap_or_default();
                let mut expected: Vec<usize> = match kind {
                    "exclusive" => (0..last).find(fit).into_iter().collect(),
                    "inclusive" => (0..last).filter(fit).collect(),
                    _ => (0..all.len()).collect(),
                };
                if expected.is_empty() {
                    expected.push(last);
                }
                let expected: Vec<String> = expected.iter().map(|index| all[*index].clone()).collect();
                let taken: Vec<String> = branches.iter().map(ToString::to_string).collect();
                prop_assert_eq!(taken, expected, "{} of {}", kind, amount);
            }
            // P9: nobody votes in a visit that counts no more.
            Event::Voted { seat, state, .. } => {
                let visit = there.seat(*seat).and_then(|seat| there.visit(seat.visit));
                prop_assert!(visit.is_some_and(|visit| !visit.superseded && visit.outcome.is_none()));
                prop_assert!(there.seat(*seat).is_some_and(|seat| seat.state.is_open()), "{:?} of a seat that has voted", state);
            }
            // P16: what is taken over was said of the same figures, in this round, and needs no input here.
            Event::VisitOpened { node, back, seats, .. } => {
                let doc = run.flow.node(node.as_str()).and_then(|node| node.decision());
                for seat in seats.iter().filter(|seat| seat.reason == Some(Reason::Earlier)) {
                    let counts = |visit: &flow::approval::Visit| {
                        !visit.superseded && visit.round == there.round && visit.outcome == Some(VisitOutcome::Passed)
                    };
                    let said = there.seats.iter().any(|was| {
                        was.principal == seat.principal
                            && was.state == SeatState::Approved
                            && was.watched == seat.watched
                            && there.visit(was.visit).is_some_and(counts)
                    });
                    prop_assert!(said && !*back);
                    prop_assert!(doc.is_some_and(|doc| doc.fields.is_empty() && !doc.signature));
                }
            }
            // P23: a deadline comes at its moment or later, once, and never to a seat that has voted.
            Event::TimerFired { timer, at } => {
                prop_assert!(*at >= timer.due && there.timers.contains(timer));
                if let TimerKind::Deadline { seat, .. } = timer.kind {
                    prop_assert!(there.seat(seat).is_some_and(|seat| seat.state.is_open()));
                }
            }
            _ => {}
        }
        let count = |instance: &Instance| -> Vec<usize> {
            let stands = |seat: &&u32| instance.seat(**seat).is_some_and(|seat| seat.state != SeatState::Removed);
            instance.visits.iter().map(|visit| visit.order.iter().filter(stands).count()).collect()
        };
        let before = count(&there);
        there.apply(event);
        // P7: only adding and removing changes how many decide.
        if !matches!(event, Event::SeatsAdded { .. } | Event::SeatRemoved { .. }) {
            prop_assert!(count(&there).starts_with(&before));
        }
        // P21: back, only that one token goes on: all below it have ended.
        if let Event::Returned { token, .. } = event {
            let below = there.tokens.iter().filter(|child| child.parent == Some(*token));
            prop_assert!(below.into_iter().all(|child| child.state == TokenState::Ended));
        }
    }
    prop_assert_eq!(&there, &run.instance);
    Ok(())
}

/// P8: whatever was done, people who are there bring it to an end.
fn ends(run: &mut Run) -> Result<(), TestCaseError> {
    if run.instance.suspended {
        run.act(9, Do::Admin { act: AdminAct::Resume, opinion: Some("go".into()) }).expect("it is resumed");
    }
    for _ in 0..400 {
        if !run.instance.state.is_live() {
            return Ok(());
        }
        if run.instance.state == State::Returned {
            run.act_as(Actor { person: None, manages: true }, Do::Submit { select: BTreeMap::new(), opinion: None, moves: false })
                .expect("it is submitted again");
            continue;
        }
        let task = run.instance.tasks().next().cloned();
        match task {
            Some(seat) if seat.state == SeatState::Unclaimed => {
                let pool = run.instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default();
                let claims =
                    pool.into_iter().any(|person| run.act_as(Actor { person: Some(person), manages: false }, Do::Claim { seat: seat.id }).is_ok());
                if !claims {
                    return end(run);
                }
            }
            Some(seat) if seat.state == SeatState::Delegated => {
                run.act_as(Actor { person: seat.delegate, manages: false }, Do::Opinion { seat: seat.id, opinion: Some("yes".into()) })
                    .expect("an opinion");
            }
            Some(seat) => {
                let act = Do::Decide {
                    seat: seat.id,
                    verdict: Verdict::Approve,
                    opinion: None,
                    signature: None,
                    files: Vec::new(),
                    select: BTreeMap::new(),
                };
                if run.act_as(Actor { person: seat.holder, manages: false }, act).is_err() {
                    return end(run);
                }
            }
            None if run.next_timer().is_some() => run.wait(Duration::days(1)),
            None => return end(run),
        }
    }
    end(run)
}

/// Only what stands still with its reason needs an administrator.
fn end(run: &mut Run) -> Result<(), TestCaseError> {
    prop_assert!(run.instance.parked().count() > 0, "a dead end: {:?}", run.instance.tokens);
    run.act(9, Do::Admin { act: AdminAct::End { result: AdminResult::Ended }, opinion: Some("stuck".into()) }).expect("an administrator ends it");
    prop_assert!(!run.instance.state.is_live());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// P1 to P18, P23, P32, P36 after every command; P8 at the end.
    #[test]
    fn laws((plan, moves) in (plan(), moves())) {
        let mut run = run_of(&plan);
        run.submit();
        happens(&run, Instance::default(), &run.events)?;
        holds(&run, &Instance::default())?;
        for step in &moves {
            let before = run.instance.clone();
            let events = run.events.len();
            let done = play(&mut run, step);
            happens(&run, before.clone(), &run.events[events..])?;
            if done.is_err() {
                // A refused command changes nothing.
                prop_assert_eq!(&run.instance, &before);
                prop_assert_eq!(run.events.len(), events);
            }
            // P3: what is over stays, but for a revocation.
            if !before.state.is_live() && step.what != 21 {
                prop_assert_eq!(run.instance.state, before.state);
            }
            holds(&run, &before)?;
        }
        ends(&mut run)?;
        // P1: the whole log gives the whole state.
        let mut replayed = Instance::default();
        run.events.iter().for_each(|event| replayed.apply(event));
        prop_assert_eq!(&replayed, &run.instance);
        let text = serde_json::to_string(&run.events).expect("events are JSON");
        let read: Vec<flow::approval::Event> = serde_json::from_str(&text).expect("and read back");
        prop_assert_eq!(&read, &run.events);
        let state: Instance = serde_json::from_str(&serde_json::to_string(&run.instance).expect("JSON")).expect("and back");
        prop_assert_eq!(&state, &run.instance);
        // P10: each fork ended at its join or with its parent.
        prop_assert!(run.instance.tokens.iter().all(|token| token.state == TokenState::Ended));
    }

    /// P31: what is foreseen is what happens when all say yes.
    #[test]
    fn forecasts_come_true(plan in plan()) {
        let mut run = run_of(&plan);
        let told = forecast(&run.flow, &run.instance, Some(who(1)), &run.world, run.now);
        run.submit();
        for _ in 0..200 {
            let Some(seat) = run.instance.tasks().next().cloned() else { break };
            if seat.state == SeatState::Unclaimed {
                let pool = run.instance.visit(seat.visit).map(|visit| visit.pool.clone()).unwrap_or_default();
                let claimed = pool.into_iter().any(|person| run.act_as(Actor { person: Some(person), manages: false }, Do::Claim { seat: seat.id }).is_ok());
                prop_assume!(claimed);
                continue;
            }
            let act = Do::Decide { seat: seat.id, verdict: Verdict::Approve, opinion: None, signature: None, files: Vec::new(), select: BTreeMap::new() };
            prop_assume!(run.act_as(Actor { person: seat.holder, manages: false }, act).is_ok());
        }
        prop_assume!(run.instance.state == State::Approved && !matches!(told.uncertain, Some(Uncertain::Stuck(_))));
        let real: BTreeSet<String> = run.instance.visits.iter().map(|visit| visit.node.to_string()).collect();
        let foreseen: BTreeSet<String> = told.steps.iter().map(|step| step.node.to_string()).collect();
        prop_assert_eq!(real, foreseen);
    }

    /// P17 and P19: a transfer keeps the seats; adding and removing leaves the visit as it was.
    #[test]
    fn adding_and_removing_is_nothing(people in prop::collection::btree_set(2u32..6, 1..4), mode in mode()) {
        prop_assume!(!matches!(mode["kind"].as_str(), Some("claim" | "random")));
        let people: Vec<u32> = people.into_iter().collect();
        let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": support::asks(&people, json!({"mode": mode}))}, "root": ["a"]}));
        let before = run.holders();
        let seat = run.instance.tasks().next().expect("a task").id;
        let holder = before[0];
        for place in [Place::Parallel, Place::Before, Place::After] {
            run.act(holder, Do::AddSign { seat, place, users: vec![who(7)], mode: SignMode::Any, opinion: None }).expect("added");
            run.act(holder, Do::RemoveSign { user: who(7), opinion: None }).expect("removed");
            prop_assert_eq!(&run.holders(), &before);
        }
        let seats = run.instance.seats.iter().filter(|seat| seat.state != SeatState::Removed).count();
        run.act(holder, Do::Transfer { seat, to: who(7), opinion: None }).expect("handed on");
        prop_assert_eq!(run.instance.seats.iter().filter(|seat| seat.state != SeatState::Removed).count(), seats);
    }
}

#[test]
fn a_flow_without_steps_is_approved() {
    let flow = Flow::compile(&name("empty"), &serde_json::from_value(json!({"entity": "quote"})).expect("a document")).expect("a flow");
    assert_eq!(flow.first().as_str(), "start");
}
