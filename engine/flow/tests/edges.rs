//! In charge of what lies at the edges of a flow: flows within it, leavers, late clocks, rests, jumps back.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where what it expects is not so")]

mod support;

use chrono::Duration;
use flow::approval::{Actor, AdminAct, Do, Effect, MAX_VISITS, Notice, Place, Reason, Refusal, SeatState, SignMode, State, TimerKind, VisitOutcome};
use serde_json::json;
use support::{Run, asks, name, who};
use uuid::Uuid;

fn admin(act: AdminAct) -> Do {
    Do::Admin { act, opinion: Some("why".into()) }
}

fn chain(people: &[u32], more: &serde_json::Value) -> serde_json::Value {
    let steps: serde_json::Map<_, _> = people.iter().map(|person| (format!("s{person}"), asks(&[*person], json!({})))).collect();
    let root: Vec<String> = people.iter().map(|person| format!("s{person}")).collect();
    json!({"entity": "quote", "settings": more, "steps": steps, "root": root})
}

/// What waits for the flows that a step starts, by the order in which they were asked for.
fn waits(run: &Run) -> Vec<Option<u32>> {
    let starts = run.effects.iter().filter_map(|effect| match effect {
        Effect::Start { visit, .. } => Some(*visit),
        Effect::Notify { .. } | Effect::Run { .. } | Effect::Move { .. } | Effect::CancelChildren { .. } => None,
    });
    starts.collect()
}

fn started(run: &mut Run, visit: Option<u32>, node: &str, child: Uuid) {
    let act = Do::Started { token: 0, visit, node: name(node), children: vec![(child, State::Running)], error: None };
    run.act_as(Actor::default(), act).expect("started");
}

fn ended(run: &mut Run, child: Uuid, state: State) {
    run.act_as(Actor::default(), Do::ChildEnded { child, state }).expect("ended");
}

/// A flow that was started for an earlier visit, and ended with it, rejects nothing later.
#[test]
fn flows_within_belong_to_their_visit() {
    let (old, new) = (who(101), who(102));
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "a": asks(&[2], json!({})), "inner": {"kind": "subflow", "approval": "line"}, "b": asks(&[3], json!({}))}, "root": ["a", "inner", "b"]}));
    run.approve(2).expect("a yes");
    let first = waits(&run)[0];
    started(&mut run, first, "inner", old);
    run.act(9, admin(AdminAct::Jump { to: name("a") })).expect("moved");
    assert!(run.effects.contains(&Effect::CancelChildren { children: vec![old] }));
    run.approve(2).expect("a yes");
    let second = waits(&run)[1];
    assert_ne!(first, second);
    started(&mut run, second, "inner", new);
    ended(&mut run, old, State::Ended);
    assert_eq!((run.instance.state, run.open()), (State::Running, vec!["inner".to_owned()]));
    ended(&mut run, new, State::Approved);
    assert_eq!(run.open(), ["b"]);
    run.send_back(3, "a", None).expect("back");
    run.approve(2).expect("a yes");
    let third = waits(&run)[2];
    started(&mut run, third, "inner", who(103));
    ended(&mut run, who(103), State::Rejected);
    assert_eq!(run.instance.state, State::Rejected);
}

/// Only what the step waits for holds it up; what could not be started is said.
#[test]
fn a_flow_that_nobody_waits_for_holds_nothing_up() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "aside": {"kind": "subflow", "approval": "line", "wait": false}, "inner": {"kind": "subflow", "approval": "line"},
        "b": asks(&[3], json!({}))}, "root": ["aside", "inner", "b"]}));
    let visits = waits(&run);
    assert!(visits[0].is_none() && visits[1].is_some());
    started(&mut run, visits[0], "aside", who(101));
    started(&mut run, visits[1], "inner", who(102));
    ended(&mut run, who(102), State::Approved);
    assert_eq!(run.open(), ["b"]);
    ended(&mut run, who(101), State::Rejected);
    assert_eq!(run.instance.state, State::Running);
    let lost = Do::Started { token: 0, visit: None, node: name("aside"), children: Vec::new(), error: Some("no".into()) };
    run.act_as(Actor::default(), lost).expect("told");
    assert!(matches!(run.events.last(), Some(flow::approval::Event::Acted { token: None, error: Some(_), .. })));
}

/// After a jump back what came later counts no more: the step before is the one before.
#[test]
fn a_jump_back_leaves_nothing_ahead() {
    let mut run = Run::submitted(chain(&[2, 3, 4, 5], &json!({})));
    for person in [2, 3, 4] {
        run.approve(person).expect("a yes");
    }
    run.act(9, admin(AdminAct::Jump { to: name("s3") })).expect("moved");
    run.send_back(3, "previous", None).expect("back");
    assert_eq!(run.open(), ["s2"]);
}

/// P14: whoever left before their turn came is not asked.
#[test]
fn leavers_in_later_seats() {
    let row = || json!({"entity": "quote", "steps": {"a": asks(&[2, 3], json!({"mode": {"kind": "sequential"}}))}, "root": ["a"]});
    let mut run = Run::submitted(row());
    run.world.people.get_mut(&who(3)).expect("a person").active = false;
    run.approve(2).expect("a yes");
    assert_eq!(run.holders(), [9], "a manager of the flow");
    let mut run = Run::submitted(row());
    let left = run.world.people.get_mut(&who(3)).expect("a person");
    (left.active, left.successor) = (false, Some(who(6)));
    run.approve(2).expect("a yes");
    assert_eq!(run.holders(), [6], "who took over");
    assert!(run.events.iter().any(|event| matches!(event, flow::approval::Event::Transferred { reason: Some(Reason::Left), .. })));
    run.act(2, Do::TakeBack { opinion: None }).expect("nobody has done anything");
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2], json!({})), "b": asks(&[5], json!({}))}, "root": ["a", "b"]}));
    let seat = run.task(2, None).expect("a task");
    run.act(2, Do::AddSign { seat, place: Place::Before, users: vec![who(6)], mode: SignMode::All, opinion: None }).expect("added");
    run.world.people.get_mut(&who(2)).expect("a person").active = false;
    run.approve(6).expect("a yes");
    assert_eq!(run.holders(), [9], "who waited behind a signer has left, too");
}

/// Somebody is replaced wherever they sit, and where only their opinion is asked.
#[test]
fn replaced_everywhere() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2, 3], json!({"mode": {"kind": "sequential"}}))}, "root": ["a"]}));
    run.act(9, admin(AdminAct::Replace { user: who(3), by: who(6) })).expect("replaced");
    assert_eq!(run.holders(), [2], "his turn has not come");
    let seat = run.task(2, None).expect("a task");
    run.act(2, Do::Delegate { seat, to: who(4), opinion: None }).expect("asked");
    assert_eq!(run.act(9, admin(AdminAct::Replace { user: who(4), by: who(2) })), Err(Refusal::AlreadySeated));
    run.act(9, admin(AdminAct::Replace { user: who(4), by: who(5) })).expect("replaced");
    run.act(5, Do::Opinion { seat, opinion: Some("well".into()) }).expect("given");
    run.approve(2).expect("a yes");
    assert_eq!(run.holders(), [6]);
    run.approve(6).expect("a yes");
    assert_eq!(run.instance.state, State::Approved);
}

/// P18: a deadline hands a seat on, but not past those who were added before it.
#[test]
fn a_seat_behind_others_stays_behind() {
    for timeout in
        [json!({"after": "P2D", "do": "transfer", "to": [{"by": "user", "user": "7"}]}), json!({"after": "P2D", "do": "escalate", "replace": true})]
    {
        let mut run = Run::new(json!({"entity": "quote", "steps": {"a": asks(&[2], json!({"timeouts": [timeout]}))}, "root": ["a"]}));
        run.world.people.get_mut(&who(2)).expect("a person").manager = Some(who(7));
        run.submit();
        let seat = run.task(2, None).expect("a task");
        run.act(2, Do::AddSign { seat, place: Place::Before, users: vec![who(6)], mode: SignMode::All, opinion: None }).expect("added");
        run.wait(Duration::days(1));
        run.act(6, Do::Transfer { seat: 1, to: who(5), opinion: None }).expect("handed on");
        run.wait(Duration::hours(30));
        assert_eq!(run.instance.seat(seat).map(|seat| (seat.state, seat.principal)), Some((SeatState::Behind, Some(who(7)))));
        let holder = run.holders()[0];
        run.approve(holder).expect("a yes");
        run.approve(7).expect("a yes");
        assert_eq!(run.instance.state, State::Approved);
    }
}

fn reminders(run: &Run) -> usize {
    run.effects.iter().filter(|effect| matches!(effect, Effect::Notify { notice: Notice::Reminder, .. })).count()
}

/// B11: a clock that nobody looked at for long reminds once.
#[test]
fn missed_reminders_are_one() {
    for (most, missed, then) in [(3, 10, 1), (30, 10, 11)] {
        let timeouts = json!([{"after": "P1D", "do": "remind", "most": most}]);
        let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2], json!({"timeouts": timeouts}))}, "root": ["a"]}));
        run.now += Duration::days(missed);
        run.wait(Duration::zero());
        assert_eq!(reminders(&run), 1);
        run.wait(Duration::days(10));
        assert_eq!(reminders(&run), then);
    }
}

/// A deadline that cannot be known is not dropped in silence.
#[test]
fn a_deadline_that_cannot_be_known() {
    let mut run =
        Run::new(json!({"entity": "quote", "steps": {"a": asks(&[2], json!({"timeouts": [{"after": "P1D", "do": "approve"}]}))}, "root": ["a"]}));
    run.world.clockless = true;
    run.submit();
    assert_eq!(run.instance.parked().count(), 1);
    assert!(run.effects.iter().any(|effect| matches!(effect, Effect::Notify { notice: Notice::Parked, .. })));
    run.world.clockless = false;
    run.act(9, admin(AdminAct::Resume)).expect("once more");
    assert_eq!((run.instance.parked().count(), run.instance.timers.len()), (0, 1));
    run.wait(Duration::days(2));
    assert_eq!(run.instance.state, State::Approved);
}

/// P13: in a row the superior takes the turn of whoever does not use it.
#[test]
fn an_escalation_in_a_row() {
    let settings = json!({"mode": {"kind": "sequential"}, "timeouts": [{"after": "P2D", "do": "escalate"}]});
    let mut run = Run::new(json!({"entity": "quote", "steps": {"a": asks(&[2, 3], settings)}, "root": ["a"]}));
    run.world.people.get_mut(&who(2)).expect("a person").manager = Some(who(7));
    run.submit();
    run.wait(Duration::days(3));
    assert_eq!(run.holders(), [7]);
    run.approve(7).expect("a yes");
    assert_eq!(run.holders(), [3]);
}

/// What rests takes nothing in, and sees afterwards what changed.
#[test]
fn a_rest_holds() {
    let mut run = Run::submitted(chain(&[2, 3], &json!({})));
    run.send_back(2, "initiator", None).expect("back");
    run.act(9, admin(AdminAct::Suspend)).expect("rests");
    assert_eq!(run.act(1, Do::Submit { select: [].into(), opinion: None, moves: false }), Err(Refusal::TaskClosed));
    run.act(9, admin(AdminAct::Resume)).expect("goes on");
    run.submit();
    let mut run = Run::submitted(chain(&[2, 3], &json!({"watched": ["amount"], "lock": {"mode": "restart_on_change"}})));
    run.approve(2).expect("a yes");
    run.act(9, admin(AdminAct::Suspend)).expect("rests");
    run.world.record.insert("amount".into(), 5);
    run.act_as(Actor::default(), Do::Changed).expect("seen");
    assert_eq!((run.instance.round, run.open()), (1, vec!["s3".to_owned()]));
    run.act(9, admin(AdminAct::Resume)).expect("goes on");
    assert_eq!((run.instance.round, run.open()), (2, vec!["s2".to_owned()]));
}

/// `same_as` are those who acted there last, not all who ever did.
#[test]
fn the_same_people_as_last_time() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "a": asks(&[2, 3], json!({"mode": {"kind": "any"}})), "b": asks(&[4], json!({})),
        "c": {"kind": "approve", "approvers": [{"by": "same_as", "step": "a"}], "if_empty": "reject",
            "return": {"to": ["initiator"], "resubmit": "straight"}}}, "root": ["a", "b", "c"]}));
    run.approve(2).expect("a yes");
    run.send_back(4, "initiator", None).expect("back");
    run.submit();
    run.approve(3).expect("a yes");
    run.approve(4).expect("a yes");
    assert_eq!(run.holders(), [3]);
    run.send_back(3, "initiator", None).expect("back");
    run.submit();
    assert_eq!((run.open(), run.holders()), (vec!["c".to_owned()], vec![3]), "straight back it is who it was");
}

/// P36: what begins again and again stands still at last, and so does who takes back again and again.
#[test]
fn no_way_round_the_limit() {
    let mut run = Run::submitted(chain(&[2], &json!({"watched": ["amount"], "lock": {"mode": "restart_on_change"}})));
    for amount in 1..40 {
        run.world.record.insert("amount".into(), amount);
        run.act_as(Actor::default(), Do::Changed).expect("seen");
    }
    assert_eq!((run.instance.parked().count(), run.instance.counts[&name("s2")]), (1, MAX_VISITS));
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2, 3], json!({}))}, "root": ["a"]}));
    let refused = (0..40).find(|_| {
        run.approve(2).expect("a yes");
        run.act(2, Do::TakeBack { opinion: None }).is_err()
    });
    assert!(refused.is_some());
    assert!(run.instance.counts[&name("a")] <= MAX_VISITS);
}

/// One who takes their vote back does not give the others more time.
#[test]
fn taking_back_leaves_the_clock_of_others() {
    let settings = json!({"timeouts": [{"after": "P3D", "do": "remind"}]});
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2, 3], settings)}, "root": ["a"]}));
    let due = run.now + Duration::days(3);
    run.wait(Duration::days(1));
    run.approve(2).expect("a yes");
    run.wait(Duration::days(1));
    run.act(2, Do::TakeBack { opinion: None }).expect("taken back");
    let deadlines: Vec<_> = run
        .instance
        .timers
        .iter()
        .filter_map(|timer| match timer.kind {
            TimerKind::Deadline { seat, .. } => Some((run.instance.seat(seat).and_then(|seat| seat.holder), timer.due)),
            TimerKind::Delay { .. } | TimerKind::ProxyEnds { .. } => None,
        })
        .collect();
    assert_eq!(deadlines.len(), 2);
    assert!(deadlines.contains(&(Some(who(3)), due)), "{deadlines:?}");
    run.wait(Duration::days(5));
    assert_eq!(reminders(&run), 2);
}

/// What is about a record that is gone is over, whatever it waited for.
#[test]
fn a_record_that_goes() {
    let mut run = Run::submitted(chain(&[2], &json!({})));
    run.act(9, admin(AdminAct::Suspend)).expect("rests");
    run.act_as(Actor::default(), Do::Gone).expect("over");
    assert_eq!((run.instance.state, run.instance.tasks().count()), (State::Ended, 0));
    assert!(run.instance.visits.iter().all(|visit| visit.outcome == Some(VisitOutcome::Cancelled)));
    run.act_as(Actor::default(), Do::Gone).expect("nothing more");
}
