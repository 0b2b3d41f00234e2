//! In charge of failures that other engines had: each once, so that it does not come back.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where what it expects is not so")]

mod support;

use std::collections::BTreeMap;

use chrono::Duration;
use flow::approval::{AdminAct, AdminResult, Do, Effect, Notice, Place, Proxy, Reason, Refusal, SeatState, SignMode, State, Verdict};
use serde_json::json;
use support::{Run, asks, dept, name, who};

fn two_branches(more: serde_json::Value) -> serde_json::Value {
    json!({"entity": "quote", "settings": more, "steps": {
        "both": {"kind": "parallel", "branches": {"left": {"steps": ["a1", "a2"]}, "right": {"steps": ["b1"]}}, "order": ["left", "right"]},
        "a1": asks(&[2], json!({})), "a2": asks(&[3], json!({})), "b1": asks(&[4], json!({})), "last": asks(&[5], json!({}))},
        "root": ["both", "last"]})
}

/// K1: back from behind a join into one branch is refused, and what is allowed ends.
#[test]
fn behind_a_join_there_is_no_way_into_one_branch() {
    let mut run = Run::submitted(two_branches(json!({})));
    for person in [2, 3, 4] {
        run.approve(person).expect("a yes");
    }
    assert_eq!(run.send_back(5, "a1", None), Err(Refusal::TargetRefused));
    run.send_back(5, "initiator", None).expect("back to the start");
    run.submit();
    for person in [2, 4, 3, 5] {
        run.approve(person).expect("a yes");
    }
    assert_eq!(run.instance.state, State::Approved);
}

/// K2: into a sibling branch is refused.
#[test]
fn a_sibling_branch_is_out_of_reach() {
    let mut run = Run::submitted(two_branches(json!({})));
    run.approve(4).expect("a yes");
    assert_eq!(run.send_back(2, "b1", None), Err(Refusal::TargetRefused));
}

/// K3: within a branch it works, and the other branch goes on.
#[test]
fn back_within_a_branch() {
    let mut run = Run::submitted(two_branches(json!({})));
    run.approve(2).expect("a yes");
    run.send_back(3, "previous", None).expect("back");
    assert_eq!(run.holders(), [2, 4]);
    for person in [2, 3, 4, 5] {
        run.approve(person).expect("a yes");
    }
    assert_eq!(run.instance.state, State::Approved);
}

fn three(mode: serde_json::Value) -> serde_json::Value {
    json!({"entity": "quote", "steps": {"a": asks(&[2, 3, 4], mode), "b": asks(&[5], json!({}))}, "root": ["a", "b"]})
}

/// K4: one who sends it back ends the visit, in every mode.
#[test]
fn a_return_ends_the_visit() {
    for mode in [json!({"kind": "all"}), json!({"kind": "any"}), json!({"kind": "sequential"}), json!({"kind": "percent", "percent": 60})] {
        let mut run = Run::submitted(three(json!({"mode": mode})));
        run.send_back(2, "initiator", None).expect("back");
        assert_eq!(run.instance.state, State::Returned);
        assert_eq!(run.holders(), [1], "only the initiator has it");
    }
}

/// K5: a no in a row is a no.
#[test]
fn a_no_in_a_row() {
    let mut run = Run::submitted(three(json!({"mode": {"kind": "sequential"}})));
    run.approve(2).expect("a yes");
    run.reject(3).expect("a no");
    assert_eq!(run.instance.state, State::Rejected);
}

/// K6: after a no of all there is always somebody who can act, or an end.
#[test]
fn a_no_of_all_is_no_dead_end() {
    for counts in ["first", "wait_all", "all"] {
        let mut run = Run::submitted(three(json!({"mode": {"kind": "all"}, "reject_counts": counts})));
        run.reject(2).expect("a no");
        for person in [3, 4] {
            if run.instance.state == State::Running {
                run.approve(person).expect("a yes");
            }
        }
        assert_eq!(run.instance.state, State::Rejected, "{counts}");
    }
}

/// K7: of two who press at once one counts; the other is told that it is done.
#[test]
fn two_press_at_once() {
    let mut run = Run::submitted(three(json!({"mode": {"kind": "any"}})));
    let late = run.task(3, None).expect("a task");
    run.approve(2).expect("a yes");
    let act = Do::Decide { seat: late, verdict: Verdict::Approve, opinion: None, signature: None, files: Vec::new(), select: BTreeMap::new() };
    assert_eq!(run.act(3, act), Err(Refusal::TaskClosed));
    assert_eq!(run.open(), ["b"]);
}

/// K8: votes count in their own visit; two steps at the same time do not disturb each other.
#[test]
fn parallel_votes_are_counted_apart() {
    let percent = json!({"mode": {"kind": "percent", "percent": 60}});
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "both": {"kind": "parallel", "branches": {"l": {"steps": ["a"]}, "r": {"steps": ["b"]}}},
        "a": asks(&[2, 3, 4], percent.clone()), "b": asks(&[5, 6, 7], percent)}, "root": ["both"]}));
    run.approve(2).expect("a yes");
    run.approve(5).expect("a yes");
    run.approve(6).expect("a yes");
    assert_eq!(run.open(), ["a"]);
    run.reject(3).expect("a no");
    run.approve(4).expect("a yes");
    assert_eq!(run.instance.state, State::Approved);
}

/// K9: an opinion comes back to the one who asked, however often it is asked.
#[test]
fn opinions_come_back() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2], json!({}))}, "root": ["a"]}));
    for delegate in [3, 4] {
        let seat = run.task(2, None).expect("a task");
        run.act(2, Do::Delegate { seat, to: who(delegate), opinion: None }).expect("asked");
        assert_eq!(run.approve(2), Err(Refusal::TaskClosed));
        assert_eq!(run.act(delegate, Do::Delegate { seat, to: who(5), opinion: None }), Err(Refusal::NotYourTask));
        run.act(delegate, Do::Opinion { seat, opinion: Some("fine".into()) }).expect("given");
        assert_eq!(run.holders(), [2]);
    }
    run.approve(2).expect("a yes");
    assert_eq!(run.instance.state, State::Approved);
}

/// K10: a copy at the end of a branch holds nothing up; nobody gets two.
#[test]
fn copies_never_block() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "both": {"kind": "parallel", "branches": {"l": {"steps": ["a", "c1"]}, "r": {"steps": ["c2"]}}},
        "a": asks(&[2], json!({})),
        "c1": {"kind": "cc", "to": [{"by": "user", "user": "6"}]}, "c2": {"kind": "cc", "to": [{"by": "user", "user": "6"}, {"by": "role", "role": "nobody"}]}},
        "root": ["both"]}));
    run.approve(2).expect("a yes");
    assert_eq!(run.instance.state, State::Approved);
    let copies = run.effects.iter().filter(|effect| matches!(effect, Effect::Notify { notice: Notice::Copy, .. })).count();
    assert_eq!(copies, 1);
}

/// K11: what came back stays with the initiator, and the step that sent it asks again, whoever started it.
#[test]
fn what_came_back_is_not_passed_silently() {
    let mut run = Run::submitted(json!({"entity": "quote", "settings": {"dedupe": "global"}, "steps": {
        "a": asks(&[1], json!({"if_initiator": "skip"})), "b": asks(&[2], json!({"return": {"to": ["a", "initiator"]}})), "c": asks(&[2], json!({}))}, "root": ["a", "b", "c"]}));
    assert_eq!(run.open(), ["b"], "the initiator alone is left out on the way there");
    run.send_back(2, "initiator", None).expect("back");
    assert_eq!((run.instance.state, run.holders()), (State::Returned, vec![1]));
    run.submit();
    run.approve(2).expect("a yes");
    assert_eq!(run.instance.state, State::Approved, "a yes of this round counts for the same person");
}

/// K14: a step that was passed because the initiator alone would decide asks them when it comes back.
#[test]
fn a_step_that_was_skipped_asks_when_it_comes_back() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "a": asks(&[1], json!({"if_initiator": "skip"})), "b": asks(&[2], json!({"return": {"to": ["a"]}}))}, "root": ["a", "b"]}));
    assert_eq!(run.open(), ["b"], "the initiator alone is left out on the way there");
    run.send_back(2, "a", None).expect("back");
    assert_eq!((run.instance.state, run.open(), run.holders()), (State::Running, vec!["a".to_owned()], vec![1]));
    run.approve(1).expect("a yes");
    assert_eq!((run.open(), run.holders()), (vec!["b".to_owned()], vec![2]));
    run.approve(2).expect("a yes");
    assert_eq!(run.instance.state, State::Approved);
}

/// K17: a department is no person, even under the same id.
#[test]
fn who_is_meant_has_a_kind() {
    let mut run =
        Run::new(json!({"entity": "quote", "steps": {"a": {"kind": "approve", "approvers": [{"by": "field", "field": "who"}]}}, "root": ["a"]}));
    run.world.departments.insert(who(2), flow::approval::Department { parent: None, head: Some(who(3)) });
    run.world.fields.insert("who".into(), vec![flow::approval::Subject::Department(who(2))]);
    run.submit();
    assert_eq!(run.holders(), [3]);
}

/// K12: those who were added have deadlines, too.
#[test]
fn added_seats_are_reminded() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "a": asks(&[2], json!({"timeouts": [{"after": "P1D", "do": "remind", "most": 3}]}))}, "root": ["a"]}));
    let seat = run.task(2, None).expect("a task");
    run.act(2, Do::AddSign { seat, place: Place::Parallel, users: vec![who(3)], mode: SignMode::All, opinion: None }).expect("added");
    run.wait(Duration::days(10));
    for person in [2, 3] {
        let reminders = run
            .effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Notify { person: there, notice: Notice::Reminder, .. } if *there == who(person)));
        assert_eq!(reminders.count(), 3);
    }
    assert!(run.instance.timers.is_empty());
}

/// K19: ten steps without people in one go.
#[test]
fn a_chain_of_automatic_steps() {
    let steps: serde_json::Map<_, _> = (0..10).map(|n| (format!("s{n}"), json!({"kind": "auto_approve"}))).collect();
    let root: Vec<String> = steps.keys().cloned().collect();
    let run = Run::submitted(json!({"entity": "quote", "steps": steps, "root": root, "on_approved": {"steps": {}, "root": []}}));
    assert_eq!(run.instance.state, State::Approved);
    assert_eq!(run.instance.visits.len(), 10);
    assert!(run.effects.contains(&Effect::Run { at: "on_approved".into(), token: None }));
}

/// K20: one takes a decision back only while nobody went on from it.
#[test]
fn taking_back() {
    let document = json!({"entity": "quote", "steps": {"a": asks(&[2], json!({})), "b": asks(&[3], json!({})), "c": asks(&[4], json!({}))}, "root": ["a", "b", "c"]});
    let take = || Do::TakeBack { opinion: None };
    let mut run = Run::submitted(document.clone());
    assert_eq!(run.act(2, take()), Err(Refusal::WindowClosed), "nothing was decided");
    run.approve(2).expect("a yes");
    run.act(2, take()).expect("taken back");
    assert_eq!((run.open(), run.holders()), (vec!["a".to_owned()], vec![2]));
    run.approve(2).expect("a yes");
    run.approve(3).expect("a yes");
    assert_eq!(run.act(2, take()), Err(Refusal::WindowClosed), "the next has decided");
    run.act(3, take()).expect("the last one may");
    run.approve(3).expect("a yes");
    run.approve(4).expect("a yes");
    assert_eq!(run.act(4, take()), Err(Refusal::WindowClosed), "it is over");
    let mut run = Run::submitted(document);
    run.approve(2).expect("a yes");
    let seat = run.task(3, None).expect("a task");
    run.act(3, Do::Transfer { seat, to: who(5), opinion: None }).expect("handed on");
    assert_eq!(run.act(2, take()), Err(Refusal::WindowClosed), "the next has acted");
}

#[test]
fn a_vote_of_several_is_carried_when_one_takes_back() {
    let mut run = Run::submitted(three(json!({"mode": {"kind": "all"}})));
    run.approve(2).expect("a yes");
    run.approve(3).expect("a yes");
    run.act(2, Do::TakeBack { opinion: None }).expect("taken back");
    assert_eq!(run.holders(), [2, 4]);
    run.approve(2).expect("a yes");
    run.approve(4).expect("a yes");
    assert_eq!(run.open(), ["b"]);
}

/// E2: straight back to the one who returned it; what was finished stays finished.
#[test]
fn straight_back_into_a_branch() {
    let mut document = two_branches(json!({"watched": ["amount"]}));
    document["steps"]["b1"]["return"] = json!({"to": ["initiator"], "resubmit": "straight"});
    let mut run = Run::submitted(document.clone());
    run.approve(2).expect("a yes");
    run.approve(3).expect("a yes");
    run.send_back(4, "initiator", None).expect("back");
    run.submit();
    assert_eq!(run.holders(), [4], "straight to who returned it");
    run.approve(4).expect("a yes");
    assert_eq!(run.open(), ["last"]);
    // What was decided on other figures is decided again.
    let mut run = Run::submitted(document);
    run.approve(2).expect("a yes");
    run.approve(3).expect("a yes");
    run.send_back(4, "initiator", None).expect("back");
    run.world.record.insert("amount".into(), 7);
    run.submit();
    assert_eq!(run.holders(), [2, 4]);
}

/// E8: before-signers of two of three; the no of one is the no of the seat that asked him.
#[test]
fn signers_before() {
    let mut run = Run::submitted(three(json!({"mode": {"kind": "percent", "percent": 60}})));
    for (person, added) in [(2, 6), (3, 7)] {
        let seat = run.task(person, None).expect("a task");
        run.act(person, Do::AddSign { seat, place: Place::Before, users: vec![who(added)], mode: SignMode::All, opinion: None }).expect("added");
        assert_eq!(run.task(person, None), None, "they wait");
    }
    run.reject(6).expect("a no");
    run.approve(7).expect("a yes");
    assert_eq!(run.holders(), [3, 4]);
    run.approve(3).expect("a yes");
    run.approve(4).expect("a yes");
    assert_eq!(run.open(), ["b"]);
}

#[test]
fn signers_after() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2], json!({})), "b": asks(&[5], json!({}))}, "root": ["a", "b"]}));
    let seat = run.task(2, None).expect("a task");
    let add = |users: Vec<_>| Do::AddSign { seat, place: Place::After, users, mode: SignMode::Sequential, opinion: None };
    run.act(2, add(vec![who(3), who(4)])).expect("added");
    assert_eq!(run.act(2, add(vec![who(6)])), Err(Refusal::NestedSign));
    run.approve(2).expect("a yes");
    assert_eq!(run.holders(), [3]);
    run.approve(3).expect("a yes");
    run.act(2, Do::RemoveSign { user: who(4), opinion: None }).expect("removed");
    assert_eq!(run.open(), ["b"]);
}

/// E5: a stand-in who decides the next step, too, decides twice: once for each.
#[test]
fn a_stand_in_counts_as_who_they_stand_in_for() {
    let mut run = Run::new(
        json!({"entity": "quote", "settings": {"dedupe": "consecutive"}, "steps": {"a": asks(&[2], json!({})), "b": asks(&[3], json!({})), "c": asks(&[2], json!({}))}, "root": ["a", "b", "c"]}),
    );
    run.world.proxies.insert(who(2), Proxy { person: who(3), until: Some(run.now + Duration::days(1)) });
    run.submit();
    run.approve(3).expect("for 2");
    assert_eq!(run.open(), ["b"], "a yes for another is not one's own");
    run.approve(3).expect("for himself");
    run.wait(Duration::days(2));
    assert_eq!(run.holders(), [2], "the stand-in is over, the task is not lost");
    run.approve(2).expect("a yes");
    assert_eq!(run.instance.state, State::Approved);
}

/// E6 and E7: chains of heads with a gap, and an initiator who heads a department.
#[test]
fn chains_of_heads() {
    let mut run = Run::new(json!({"entity": "quote", "steps": {
        "a": {"kind": "approve", "approvers": [{"by": "department_chain", "levels": 4}], "mode": {"kind": "sequential"}, "if_initiator": "department_head"}}, "root": ["a"]}));
    for (number, head) in [(1, Some(1)), (2, None), (3, Some(3)), (4, Some(4)), (5, Some(5))] {
        let department = flow::approval::Department { parent: (number < 5).then(|| dept(number + 1)), head: head.map(who) };
        run.world.departments.insert(dept(number), department);
    }
    run.submit();
    let people: Vec<_> = run.instance.seats.iter().filter_map(|seat| seat.principal).collect();
    assert_eq!(people, [who(3), who(4)], "the initiator's superior once, the gap passed over");
}

#[test]
fn forbidden_ways_of_the_initiator() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[1], json!({"if_initiator": "forbid"}))}, "root": ["a"]}));
    assert_eq!(run.holders(), [8]);
    let seat = run.task(8, None).expect("a task");
    assert_eq!(run.act(8, Do::Transfer { seat, to: who(1), opinion: None }), Err(Refusal::TargetRefused));
    let add = Do::AddSign { seat, place: Place::Parallel, users: vec![who(1)], mode: SignMode::All, opinion: None };
    assert_eq!(run.act(8, add), Err(Refusal::TargetRefused));
}

/// E19: an administrator moves it out of nested branches.
#[test]
fn a_jump_out_of_nested_branches() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "outer": {"kind": "parallel", "branches": {"l": {"steps": ["inner"]}, "r": {"steps": ["x"]}}},
        "inner": {"kind": "parallel", "branches": {"l": {"steps": ["y"]}, "r": {"steps": ["z"]}}},
        "x": asks(&[2], json!({})), "y": asks(&[3], json!({})), "z": asks(&[4], json!({})), "last": asks(&[5], json!({}))}, "root": ["outer", "last"]}));
    let jump = |to: &str| Do::Admin { act: AdminAct::Jump { to: name(to) }, opinion: Some("stuck".into()) };
    assert_eq!(run.act(2, jump("last")), Err(Refusal::Forbidden));
    run.act(9, jump("last")).expect("moved");
    assert_eq!((run.open(), run.holders()), (vec!["last".to_owned()], vec![5]));
    run.approve(5).expect("a yes");
    assert_eq!(run.instance.state, State::Approved);
}

#[test]
fn a_ring_is_parked() {
    let mut run =
        Run::new(json!({"entity": "quote", "steps": {"a": {"kind": "auto_approve"}, "r": {"kind": "route", "to": "a"}}, "root": ["a", "r"]}));
    run.submit();
    assert_eq!(run.instance.parked().count(), 1);
    assert_eq!(run.instance.state, State::Running);
}

#[test]
fn a_revocation_goes_the_way_again() {
    let document = json!({"entity": "quote", "settings": {"revoke_within": "P30D"}, "steps": {"a": asks(&[2], json!({}))}, "root": ["a"], "on_revoked": {"steps": {}, "root": []}});
    let mut run = Run::submitted(document);
    let revoke = || Do::Revoke { opinion: None };
    assert_eq!(run.act(1, revoke()), Err(Refusal::WindowClosed));
    run.approve(2).expect("a yes");
    run.act(1, revoke()).expect("asked");
    run.reject(2).expect("a no");
    assert_eq!(run.instance.state, State::Approved, "it stays");
    run.act(1, revoke()).expect("asked again");
    run.approve(2).expect("a yes");
    assert_eq!(run.instance.state, State::Revoked);
    assert!(run.effects.contains(&Effect::Run { at: "on_revoked".into(), token: None }));
}

#[test]
fn earlier_votes_count_as_the_document_says() {
    for (dedupe, asked) in [("none", vec!["a", "b", "c"]), ("consecutive", vec!["a", "b", "c"]), ("global", vec!["a", "b"])] {
        let mut run = Run::submitted(json!({"entity": "quote", "settings": {"dedupe": dedupe}, "steps": {
            "a": asks(&[2], json!({})), "b": asks(&[3], json!({})), "c": asks(&[2], json!({}))}, "root": ["a", "b", "c"]}));
        let mut seen = Vec::new();
        while run.instance.state == State::Running {
            seen.extend(run.open());
            let person = run.holders()[0];
            run.approve(person).expect("a yes");
        }
        assert_eq!(seen, asked, "{dedupe}");
        let taken = run.instance.seats.iter().filter(|seat| seat.reason == Some(Reason::Earlier) && seat.state == SeatState::Approved).count();
        assert_eq!(taken, 3 - seen.len());
    }
}

/// A move that waits is made before it counts as approved; one that cannot be made is tried again by an administrator.
#[test]
fn a_move_waits_for_the_approval() {
    let document = json!({"entity": "quote", "settings": {"revoke_within": "P30D"}, "steps": {"a": asks(&[2], json!({}))}, "root": ["a"]});
    let submit = || Do::Submit { select: BTreeMap::new(), opinion: None, moves: true };
    let moves = |run: &Run| run.effects.iter().filter(|effect| matches!(effect, Effect::Move { .. })).count();
    let admin = |act| Do::Admin { act, opinion: Some("because".into()) };
    let mut run = Run::new(document.clone());
    run.immovable = Some("the amount is missing".into());
    run.act(1, submit()).expect("submitted");
    run.approve(2).expect("a yes");
    assert_eq!((run.instance.state, run.instance.parked().count(), moves(&run)), (State::Running, 1, 1));
    run.immovable = None;
    run.act(9, admin(AdminAct::Resume)).expect("again");
    assert_eq!((run.instance.state, moves(&run), run.instance.visits.len()), (State::Approved, 2, 1), "nobody is asked again");
    run.act(1, Do::Revoke { opinion: None }).expect("asked");
    run.approve(2).expect("a yes");
    assert_eq!((run.instance.state, moves(&run)), (State::Revoked, 2), "it is not made by its revocation");
    let mut run = Run::new(document.clone());
    run.act(1, submit()).expect("submitted");
    run.reject(2).expect("a no");
    assert_eq!((run.instance.state, moves(&run)), (State::Rejected, 0));
    let mut run = Run::new(document);
    run.act(1, submit()).expect("submitted");
    run.act(9, admin(AdminAct::End { result: AdminResult::Approved })).expect("ended");
    assert_eq!((run.instance.state, moves(&run)), (State::Approved, 1));
}
