//! In charge of what nobody gets by a way around: a look, a choice, a decision that is another's.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where what it expects is not so")]

mod support;

use std::collections::BTreeMap;

use flow::approval::{AdminAct, Do, Place, Proxy, Refusal, Selection, SignMode, State, Verdict};
use serde_json::json;
use support::{Run, asks, name, who};

fn comment(of: &[u32]) -> Do {
    Do::Comment { text: "look".into(), mentions: of.iter().copied().map(who).collect(), files: Vec::new() }
}

fn copy(to: u32) -> Do {
    Do::Copy { people: vec![who(to)] }
}

/// Copies are given by those who have it before them, the initiator and managers, while it lives; never to oneself.
#[test]
fn a_copy_is_given_by_those_who_may() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {"a": asks(&[2], json!({})), "b": asks(&[3], json!({}))}, "root": ["a", "b"]}));
    assert_eq!(run.act(5, copy(6)), Err(Refusal::Forbidden), "who only knows of it");
    assert_eq!(run.act(3, copy(6)), Err(Refusal::Forbidden), "who has it later");
    run.act(5, comment(&[5, 6])).expect("said");
    assert!(run.instance.copied.is_empty(), "to be named by anybody is no right");
    assert_eq!(run.act(2, copy(2)), Err(Refusal::BadPerson("people")));
    assert_eq!(run.act(2, copy(77)), Err(Refusal::BadPerson("people")));
    run.act(2, copy(6)).expect("given");
    run.act(1, comment(&[7])).expect("said");
    run.act(9, copy(8)).expect("given");
    let copied: Vec<_> = run.instance.copied.iter().map(|(person, node)| (*person, node.as_ref().map(ToString::to_string))).collect();
    assert_eq!(copied, [(who(6), Some("a".to_owned())), (who(7), None), (who(8), None)], "a task's copy shows what its step shows");
    for person in [2, 3] {
        run.approve(person).expect("a yes");
    }
    for person in [1, 2, 9] {
        assert_eq!(run.act(person, copy(4)), Err(Refusal::TaskClosed), "it is over");
    }
    run.act(1, comment(&[4])).expect("said");
    assert!(!run.instance.copied.contains_key(&who(4)));
}

/// The initiator chooses where the initiator is to choose, an approver where an approver is; the nearer one counts.
#[test]
fn nobody_chooses_for_another() {
    let chosen = |by: &str| json!({"kind": "approve", "approvers": [{"by": by}], "if_empty": "to_admin"});
    let document = json!({"entity": "quote", "steps": {
        "a": asks(&[2], json!({})), "b": asks(&[3], json!({})), "mine": chosen("initiator_selects"), "theirs": chosen("previous_selects")},
        "root": ["a", "b", "mine", "theirs"]});
    let select = |step: &str, person: u32| Selection::from([(name(step), vec![who(person)])]);
    let submit = |select| Do::Submit { select, opinion: None, moves: false };
    let mut run = Run::new(document);
    assert_eq!(run.act(1, submit(select("theirs", 1))), Err(Refusal::BadPerson("select")));
    run.act(1, submit(select("mine", 4))).expect("submitted");
    let approve = |run: &mut Run, person: u32, select: Selection| {
        let seat = run.task(person, None).expect("a task");
        run.act(person, Do::Decide { seat, verdict: Verdict::Approve, opinion: None, signature: None, files: Vec::new(), select })
    };
    assert_eq!(approve(&mut run, 2, select("mine", 5)), Err(Refusal::BadPerson("select")));
    approve(&mut run, 2, select("theirs", 5)).expect("a yes");
    run.send_back(3, "a", None).expect("back");
    approve(&mut run, 2, select("theirs", 6)).expect("a yes");
    assert_eq!(run.instance.select[&name("theirs")], [who(6)], "one corrects one's own choice");
    approve(&mut run, 3, select("theirs", 7)).expect("a yes");
    assert_eq!(run.instance.select[&name("theirs")], [who(7)], "the nearer one chooses");
    run.approve(4).expect("a yes");
    assert_eq!(run.holders(), [7]);
}

/// Of two branches that choose for the same step the first one counts.
#[test]
fn a_choice_beside_another_does_not_undo_it() {
    let mut run = Run::submitted(json!({"entity": "quote", "steps": {
        "both": {"kind": "parallel", "branches": {"l": {"steps": ["a"]}, "r": {"steps": ["b"]}}},
        "a": asks(&[2], json!({})), "b": asks(&[3], json!({})),
        "last": {"kind": "approve", "approvers": [{"by": "previous_selects"}]}}, "root": ["both", "last"]}));
    for (person, chosen) in [(2, 5), (3, 6)] {
        let seat = run.task(person, None).expect("a task");
        let select = Selection::from([(name("last"), vec![who(chosen)])]);
        run.act(person, Do::Decide { seat, verdict: Verdict::Approve, opinion: None, signature: None, files: Vec::new(), select }).expect("a yes");
    }
    assert_eq!(run.holders(), [5]);
}

/// Who manages a flow and asks for something: no jump past the others, no seat of theirs, not through a stand-in.
#[test]
fn a_manager_does_not_approve_their_own() {
    let mut run = Run::new(json!({"entity": "quote", "steps": {
        "size": {"kind": "exclusive", "branches": {"small": {"when": {"field": "amount", "op": ">", "value": 5}, "steps": ["cheap"]}, "big": {"default": true, "steps": ["a"]}}},
        "cheap": {"kind": "auto_approve"}, "a": asks(&[2], json!({})), "b": asks(&[3], json!({})), "end": {"kind": "auto_approve"}},
        "root": ["size", "b", "end"]}));
    run.world.conditions.insert("steps/size/branches/small/when".into(), ("amount".into(), 5));
    run.act(9, Do::Submit { select: BTreeMap::new(), opinion: None, moves: false }).expect("submitted");
    let admin = |act| Do::Admin { act, opinion: Some("because".into()) };
    let jump = |to: &str| admin(AdminAct::Jump { to: name(to) });
    let replace = |user: u32, by: u32| admin(AdminAct::Replace { user: who(user), by: who(by) });
    assert_eq!(run.open(), ["a"]);
    for to in ["b", "end", "cheap"] {
        assert_eq!(run.act(9, jump(to)), Err(Refusal::Forbidden), "{to}");
    }
    assert_eq!(run.act(9, replace(2, 9)), Err(Refusal::Forbidden));
    run.world.proxies.insert(who(4), Proxy { person: who(9), until: None });
    assert_eq!(run.act(9, replace(2, 4)), Err(Refusal::Forbidden), "not through somebody for whom they stand in");
    run.act(9, replace(2, 5)).expect("another");
    run.approve(5).expect("a yes");
    run.act(9, jump("a")).expect("back is no way around");
    assert_eq!(run.act(9, jump("b")), Err(Refusal::Forbidden), "nor is forward after it");
    assert_eq!(run.instance.state, State::Running);
}

/// Whoever stood in when a step was entered does not when the turn comes later.
#[test]
fn a_stand_in_of_yesterday_does_not_decide() {
    let document = json!({"entity": "quote", "steps": {"a": asks(&[2, 3, 4], json!({"mode": {"kind": "sequential"}}))}, "root": ["a"]});
    let mut run = Run::new(document);
    for person in [2, 3] {
        run.world.proxies.insert(who(person), Proxy { person: who(7), until: None });
    }
    run.submit();
    let seat = run.task(7, None).expect("a task");
    run.act(7, Do::AddSign { seat, place: Place::Before, users: vec![who(6)], mode: SignMode::All, opinion: None }).expect("added");
    run.world.proxies.clear();
    run.approve(6).expect("a yes");
    assert_eq!(run.holders(), [2], "what waited for another comes back to whose it is");
    let seat = run.task(2, None).expect("a task");
    run.world.proxies.insert(who(2), Proxy { person: who(5), until: None });
    run.act(2, Do::Delegate { seat, to: who(8), opinion: None }).expect("asked");
    run.act(8, Do::Opinion { seat, opinion: Some("fine".into()) }).expect("said");
    assert_eq!(run.holders(), [5], "who stands in now");
    run.approve(5).expect("a yes");
    assert_eq!(run.holders(), [3], "the next one's was ended, too");
    assert_eq!(run.approve(7), Err(Refusal::TaskClosed));
}
