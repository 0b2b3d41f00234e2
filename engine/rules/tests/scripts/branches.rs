//! In charge of what scripts do by cases and by functions without a name: `switch`, `try`, lists.

use model::Input;
use rules::script::{Limit, Why};
use serde_json::json;

use super::{done, faults, gives, notes, stops};

#[test]
fn a_switch_takes_the_first_case_that_fits() {
    let of = |value: &str| {
        gives(&format!(
            "switch {value} {{ 1 | 2 => \"few\", 3..6 => \"some\", 7..=9 if record.amount > 100 => \"big\", () => \"none\", _ => \"many\" }}"
        ))
    };
    for (value, wanted) in [("1", "few"), ("2.0", "few"), ("5", "some"), ("6", "many"), ("9", "big"), ("()", "none")] {
        assert_eq!(of(value), json!(wanted), "{value}");
    }
    assert_eq!(gives("let x = record[\"name\"]; switch x { \"BIG\" => 2, _ => 3 }"), json!(2));
    assert_eq!(gives("let n = 0; switch record.stage { \"open\" => { n = 1; } \"won\" => n = 2 } n"), json!(1));
    assert_eq!(gives("let n = switch record.due { \"2026-02-28\" => 1, _ => 2 }; n"), json!(1));
    assert_eq!(gives("switch 3 { 1 => 2 }"), json!(null));
    assert_eq!(gives("for i in 1..5 { switch i { 2 => continue, 4 => return i, _ => () } }"), json!(4));
    assert_eq!(faults("switch record.stage {\n \"opened\" => 1, _ => 2 }"), ["3:14 `opened` is not one of the options"]);
    assert_eq!(faults("switch record.amount {\n \"x\" => 1, _ => 2 }"), ["3:9 a number and a text cannot be compared"]);
    assert_eq!(faults("switch record.name { 1..4 => 1, _ => 2 }"), ["2:30 a text lies in no range"]);
    assert!(faults("switch 1 { [1] => 1, _ => 2 }")[0].contains("before `=>` stand"));
}

#[test]
fn what_a_try_did_is_undone_where_it_fails() {
    assert_eq!(gives("let why = \"none\"; try { fail(\"no\"); } catch (e) { why = e; } why"), json!("no"));
    assert_eq!(gives("let why = \"none\"; try { throw \"never\"; } catch (e) { why = e; } why"), json!("never"));
    assert_eq!(gives("let n = 0; try { n = 1; 1 / (record.count ?? 0); n = 2; } catch { n += 10; } n"), json!(11));
    assert_eq!(gives("try { return 1; } catch { } 2"), json!(1));
    assert_eq!(gives("try { try { throw \"a\"; } catch (e) { throw e + \"b\"; } } catch (e) { return e; }"), json!("ab"));
    let host = notes();
    let ended = done(
        &host,
        "fn run(record) { record.count = 1; try { record.count = 2; remove(record); throw \"no\"; } catch { record.name = `${record.count}`; } update(me, #{}); }",
    );
    assert_eq!(Input::Map(ended.changes[0].values.clone()).to_json(), json!({"count": 1, "name": "1"}));
    assert_eq!(*host.asked.borrow(), ["update core.user 901 {}"], "what was written is undone with it");
    let (_, _, why) = stops("try { while true { } } catch { }");
    assert!(matches!(why, Why::Limit(Limit::Operations(_))), "{why:?}");
    assert!(faults("throw;")[0].contains("say why"));
    assert!(faults("try { } catch (e) { e = 1; }")[0].contains("does not change"));
}

#[test]
fn functions_without_a_name_go_through_lists() {
    assert_eq!(gives("[1, 2, 3].map(|x| x * 2)"), json!([2, 4, 6]));
    assert_eq!(gives("[5, 6].map(|x, i| x * i)"), json!([0, 6]));
    assert_eq!(gives("record.items.filter(|item| item.quantity > 2).map(|item| item.label)"), json!(["Wheel"]));
    assert_eq!(gives("record.items.reduce(|sum, item| sum + item.quantity, 0)"), json!(5));
    assert_eq!(gives("[[1, 2].some(|x| x > 1), [1, 2].all(|x| x > 1), [].some(|x| x > 1), [].all(|x| x > 1)]"), json!([true, false, false, true]));
    assert_eq!(gives("[1, 5, 9].find(|x| x > 3)"), json!(5));
    assert_eq!(gives("[1].find(|x| x > 3)"), json!(null));
    assert_eq!(gives("let a = [\"bb\", \"a\", \"ccc\"]; a.sort(|x, y| y.len() - x.len()); a"), json!(["ccc", "bb", "a"]));
    assert_eq!(gives("let a = [1, 2, 3, 4, 5]; a.sort(|x, y| 1); a.len()"), json!(5));
    // What is around one is in sight, and may change.
    assert_eq!(gives("let n = 10; let add = |x| { n += x; n }; add.call(1); add.call(2); n"), json!(13));
    assert_eq!(gives("let a = 1; let f = |x| x + a; { let a = 100; f.call(1) }"), json!(2));
    assert_eq!(gives("let twice = |x| x * 2; [1, 2].map(twice)"), json!([2, 4]));
    assert_eq!(gives("[[1, 2], [3]].map(|l| l.map(|x| x + 1).reduce(|a, b| a + b, 0))"), json!([5, 4]));
    assert_eq!(gives("let f = |x| { if x > 1 { return \"big\"; } \"small\" }; [f.call(1), f.call(2)]"), json!(["small", "big"]));
    assert_eq!(gives("map([1, 2], |x| x + 1)"), json!([2, 3]));
    assert_eq!(faults("record.items.map(|item|\n item.lable)"), ["3:7 `sales.item` has no field `lable`"]);
    assert_eq!(faults("[1].filter(|x| 5)"), ["2:12 this function gives what is takes true or false, not a number"]);
    assert!(
        faults("let f = |x| f.call(x); f.call(1)").iter().any(|fault| fault.contains("does not call itself") || fault.contains("no variable `f`"))
    );
    assert!(faults("let f = |x| x; [f]")[0].contains("`f` is a function"));
    assert!(faults("let f = |x| x; f.call(1, 2)")[0].contains("takes 1 values, not 2"));
    assert!(faults("[1].map(|a, b, c| a)")[0].contains("takes 0 to 2 values"));
    assert!(faults("|x| x")[0].contains("give it to a function of lists"));
    let doubling: String = (1..40).map(|n| format!("let f{n} = |x| f{}.call(f{}.call(x));\n", n - 1, n - 1)).collect();
    assert!(faults(&format!("let f0 = |x| x;\n{doubling} f39.call(1)")).iter().any(|fault| fault.contains("too many functions")));
}
