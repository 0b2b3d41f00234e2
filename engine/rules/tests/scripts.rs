//! In charge of what scripts mean without a database: values, records, what is asked of the host, what is told of faults,
//! and that every hostile one ends.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

#[path = "scripts/branches.rs"]
mod branches;
mod support;

use std::cell::{Cell, RefCell};
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use model::{Cells, EntityId, FieldDef, FieldId, Filter, Input, Schema, Value};
use proptest::prelude::*;
use rules::eval::{Lookup, matches};
use rules::expr::Kind;
use rules::query::{Params, SystemView, TypedFilter};
use rules::script::{Done, Ended, Host, Limit, Limits, Message, Script, ScriptPlace, Tell, Wanted, Why};
use serde_json::{Map, Value as Json, json};
use support::{Memory, SCHEMA, entity, id, nobody};
use uuid::Uuid;

const NOTHING_HIDDEN: &dyn Fn(EntityId, FieldId) -> bool = &|_, _| false;
const GIVEN: &[(String, Kind)] = &[];

/// A host in memory that notes what is asked of it.
struct Notes<'a> {
    memory: Memory,
    params: Params<'a>,
    hidden: Option<FieldId>,
    asked: RefCell<Vec<String>>,
    turns: Cell<u128>,
    looks: Cell<u32>,
}

impl Notes<'_> {
    fn note(&self, line: String) {
        self.asked.borrow_mut().push(line);
    }

    fn fitting(&self, entity: EntityId, wanted: &Wanted) -> Result<Vec<Uuid>, String> {
        let filter = wanted.filter.clone().unwrap_or_else(|| json!({"all": []}));
        let filter = Filter::parse(&filter, "").map_err(|faults| format!("{faults:?}"))?;
        let typed = TypedFilter::compile(&SCHEMA, entity, &filter, &SystemView, "").map_err(|faults| format!("{faults:?}"))?;
        let predicate = typed.bind(&SCHEMA, &self.params);
        let slot = SCHEMA.entity(entity).slot("id").expect("an id");
        let all = self.memory.records.get(&entity).into_iter().flatten();
        let fit = all.filter(|cells| matches(&predicate, &SCHEMA, entity, cells, &self.memory).expect("memory reads"));
        Ok(fit.filter_map(|cells| cells[slot].as_uuid()).take(wanted.limit as usize).collect())
    }
}

impl Host for Notes<'_> {
    type Fault = String;

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn params(&self) -> &Params<'_> {
        &self.params
    }

    fn locale(&self) -> &str {
        "en"
    }

    fn has_time(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.looks.get() < 10_000
    }

    fn cells(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, String> {
        self.memory.get(entity, id).map_err(|fault| fault.to_string())
    }

    fn shows(&self, _: EntityId, field: &FieldDef, _: &Cells) -> Result<bool, String> {
        Ok(Some(field.id) != self.hidden)
    }

    fn knows(&self, _: EntityId, _: &FieldDef) -> bool {
        true
    }

    fn find(&self, entity: EntityId, wanted: &Wanted) -> Result<Vec<Uuid>, String> {
        self.fitting(entity, wanted)
    }

    fn count(&self, entity: EntityId, wanted: &Wanted) -> Result<i64, String> {
        Ok(self.fitting(entity, &Wanted { limit: u32::MAX, ..wanted.clone() })?.len() as i64)
    }

    fn sum(&self, entity: EntityId, field: &str, wanted: &Wanted) -> Result<Value, String> {
        let slot = SCHEMA.entity(entity).slot(field).expect("a slot");
        let mut sum = rust_decimal::Decimal::ZERO;
        for id in self.fitting(entity, &Wanted { limit: u32::MAX, ..wanted.clone() })? {
            let cells = self.memory.get(entity, id).expect("memory reads").expect("a record");
            sum += cells[slot].as_decimal().unwrap_or_default();
        }
        Ok(Value::Decimal(sum))
    }

    fn next_in(&self, _: &str) -> Result<Option<Uuid>, String> {
        self.turns.set(self.turns.get() + 1);
        Ok(Some(id(900 + self.turns.get() % 2)))
    }

    fn create(&self, entity: EntityId, values: IndexMap<String, Input>) -> Result<Uuid, String> {
        self.note(format!("create {} {}", SCHEMA.entity(entity).name, Input::Map(values).to_json()));
        Ok(id(777))
    }

    fn update(&self, entity: EntityId, id: Uuid, values: IndexMap<String, Input>) -> Result<(), String> {
        self.note(format!("update {} {} {}", SCHEMA.entity(entity).name, id.as_u128(), Input::Map(values).to_json()));
        Ok(())
    }

    fn remove(&self, entity: EntityId, id: Uuid) -> Result<(), String> {
        self.note(format!("remove {} {}", SCHEMA.entity(entity).name, id.as_u128()));
        Ok(())
    }

    fn move_to(&self, _: EntityId, id: Uuid, stage: String, values: IndexMap<String, Input>) -> Result<(), String> {
        self.note(format!("move {} {stage} {}", id.as_u128(), Input::Map(values).to_json()));
        Ok(())
    }

    fn attempt(&self, work: &mut dyn FnMut() -> bool) -> Result<(), String> {
        let before = self.asked.borrow().len();
        if !work() {
            self.asked.borrow_mut().truncate(before);
        }
        Ok(())
    }

    fn caught(&self, fault: &String) -> Option<String> {
        Some(fault.clone()).filter(|fault| fault != "the database is gone")
    }

    fn tell(&self, how: Tell, message: &Message) -> Result<(), String> {
        let people: Vec<u128> = message.people.iter().map(|id| id.as_u128()).collect();
        self.note(format!("{how:?} {people:?} {:?} {:?} {}", message.roles, message.addresses, message.subject.get("en")));
        Ok(())
    }

    fn webhook(&self, to: &str, payload: Option<Json>) -> Result<(), String> {
        self.note(format!("webhook {to} {}", payload.unwrap_or_default()));
        Ok(())
    }
}

fn memory() -> Memory {
    let mut memory = Memory::of(&SCHEMA);
    memory.put("core.user", &json!({"id": id(900), "name": "Ann", "region": "north", "limit": 10.5}));
    memory.put("core.user", &json!({"id": id(901), "name": "Ben", "manager": id(900)}));
    memory.put("sales.account", &json!({"id": id(1), "name": "Acme", "size": 3, "owner": id(901)}));
    let deals = [
        json!({"id": id(10), "name": "Big", "amount": "100.10", "cost": 40, "due": "2026-02-28", "stage": "open", "account": id(1), "tags": ["a", "b"], "owner": id(901)}),
        json!({"id": id(11), "name": "Small", "amount": "0.20", "stage": "won", "account": id(1), "source": "web"}),
        json!({"id": id(12), "name": "Free"}),
    ];
    for deal in &deals {
        memory.put("sales.deal", deal);
    }
    memory.put("sales.item", &json!({"id": id(20), "deal": id(10), "label": "Wheel", "quantity": 4}));
    memory.put("sales.item", &json!({"id": id(21), "deal": id(10), "label": "Bell", "quantity": 1}));
    memory
}

fn notes<'a>() -> Notes<'a> {
    static SETTINGS: LazyLock<Map<String, Json>> = LazyLock::new(|| [("limit".to_owned(), json!(10))].into_iter().collect());
    let params = Params { me: Some(id(901)), settings: &SETTINGS, ..nobody() };
    Notes { memory: memory(), params, hidden: None, asked: RefCell::default(), turns: Cell::new(0), looks: Cell::new(0) }
}

fn place(before: bool) -> ScriptPlace<'static> {
    ScriptPlace { schema: &SCHEMA, app: "sales", entity: Some(entity(&SCHEMA, "deal")), given: Some(GIVEN), before, hidden: NOTHING_HIDDEN }
}

fn compiled(text: &str) -> Script {
    Script::compile(place(false), text).unwrap_or_else(|faults| panic!("{text}: {faults:#?}"))
}

fn run_on(host: &Notes<'_>, text: &str) -> Ended<String> {
    compiled(text).run(host, Some((entity(&SCHEMA, "deal"), id(10))), &IndexMap::new(), Limits::default())
}

fn done(host: &Notes<'_>, text: &str) -> Done {
    run_on(host, text).result.unwrap_or_else(|stop| panic!("{text}: {stop:?}"))
}

/// What the body of `run` gives.
fn gives(body: &str) -> Json {
    done(&notes(), &format!("fn run(record) {{ {body} }}")).result.to_json()
}

fn stops(body: &str) -> (u32, u32, Why<String>) {
    let stop = run_on(&notes(), &format!("fn run(record) {{\n{body}\n}}")).result.expect_err(body);
    (stop.spot.line, stop.spot.column, stop.why)
}

/// Faults of the body of `run`, as `line:column message`.
fn faults(body: &str) -> Vec<String> {
    let found = Script::compile(place(false), &format!("fn run(record) {{\n{body}\n}}")).expect_err(body);
    found.into_iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.message)).collect()
}

#[test]
fn values_are_those_of_expressions() {
    assert_eq!(gives("7 / 2"), json!(3.5));
    assert_eq!(gives("0.1 + 0.2"), json!(0.3));
    assert_eq!(gives("record.amount * 3"), json!(300.3));
    assert_eq!(gives("record.amount + ()"), json!(null));
    assert_eq!(gives("record.count ?? 5"), json!(5));
    assert_eq!(gives("add_months(record.due, 1)"), json!("2026-03-28"));
    assert_eq!(gives("record.due + days(1)"), json!("2026-03-01"));
    assert_eq!(gives("today() > \"2026-03-17\""), json!(true));
    assert_eq!(gives("`${record.name}: ${record.amount}`"), json!("Big: 100.10"));
    assert_eq!(gives("split_amount(100, 3, 2)[-1]"), json!(33.34));
    assert_eq!(gives("round(1.005, 2)"), json!(1.01));
    assert_eq!(gives("settings.limit + 1"), json!(11));
}

#[test]
fn records_are_walked_as_expressions_walk_them() {
    assert_eq!(gives("record.account.name"), json!("Acme"));
    assert_eq!(gives("record.account.owner.manager.name"), json!("Ann"));
    assert_eq!(gives("record.stage.probability"), json!(10));
    assert_eq!(gives("me.name"), json!("Ben"));
    assert_eq!(gives("record.owner == me"), json!(true));
    assert_eq!(gives("let a = get(\"deal\", \"00000000-0000-0000-0000-00000000000c\"); a.account.name"), json!(null));
    assert_eq!(gives("let sum = 0; for item in record.items { sum += item.quantity; } sum"), json!(5));
    assert_eq!(gives("let names = []; for deal in record.account.deals { names.push(deal.name); } names"), json!(["Big", "Small"]));
    assert_eq!(gives("record.tags.contains(\"a\") && \"b\" in record.tags"), json!(true));
    assert_eq!(gives("record[\"na\" + \"me\"]"), json!("Big"));
}

#[test]
fn the_language_has_what_scripts_need() {
    assert_eq!(gives("let n = 0; while true { n += 1; if n == 3 { continue; } if n > 5 { break; } } n"), json!(6));
    assert_eq!(gives("let n = 0; do { n += 2 } until n > 6; n"), json!(8));
    assert_eq!(gives("let s = 0; for (x, i) in [5, 6, 7] { s += x * i; } s"), json!(20));
    assert_eq!(gives("let s = 0; for i in 1..=4 { s += i; } s"), json!(10));
    assert_eq!(gives("let m = #{a: 1, b: #{c: [1, 2]}}; m.b.c[1] = 9; m.d = 4; m"), json!({"a": 1, "b": {"c": [1, 9]}, "d": 4}));
    assert_eq!(gives("let a = [1, 2]; let b = a; b.push(3); [a.len(), b.len()]"), json!([2, 3]));
    assert_eq!(gives("let a = [3, 1, 2]; a.sort(); a.reverse(); a.join(\"-\")"), json!("3-2-1"));
    assert_eq!(gives("let a = \"x,y\".split(\",\"); a.pop()"), json!("y"));
    assert_eq!(gives("keys(#{a: 1, b: 2})"), json!(["a", "b"]));
    assert_eq!(gives("to_number(\"12.50\") + 1"), json!(13.5));
    assert_eq!(gives("to_number(\"x\") ?? 0"), json!(0));
    assert_eq!(gives("if record.amount > 100 { \"big\" } else { \"small\" }"), json!("big"));
    assert_eq!(gives("[1, 2][7]"), json!(null));
    let helper = "fn twice(x) { return x * 2; } fn run(record) { twice(record.amount) }";
    assert_eq!(done(&notes(), helper).result.to_json(), json!(200.2));
    let recursive = "fn fact(n) { if n < 2 { 1 } else { n * fact(n - 1) } } fn run() { fact(10) }";
    assert_eq!(done(&notes(), recursive).result.to_json(), json!(3_628_800));
}

#[test]
fn assigned_fields_read_as_assigned_and_are_written_once() {
    let host = notes();
    let ended = done(
        &host,
        "fn run(record) { record.count = 1; record.count += 2; record.owner = next_in(\"rep\"); record.account.size = record.count; record.count }",
    );
    let changes: Vec<(u128, Json)> = ended.changes.iter().map(|change| (change.id.as_u128(), Input::Map(change.values.clone()).to_json())).collect();
    assert_eq!(changes, [(10, json!({"count": 3, "owner": id(901)})), (1, json!({"size": 3}))]);
    assert_eq!(ended.result.to_json(), json!(3));
    let ended = done(
        &host,
        "fn run(record) { let about = create(\"note\", #{about: record}); record.watchers = [me]; record.due = today(); record.count = (); }",
    );
    assert_eq!(
        ended.changes.iter().map(|change| Input::Map(change.values.clone()).to_json()).collect::<Vec<_>>(),
        [json!({"watchers": [id(901)], "due": "2026-03-18", "count": null})]
    );
    assert_eq!(*host.asked.borrow(), [format!("create sales.note {}", json!({"about": {"entity": "sales.deal", "id": id(10)}}))]);
}

#[test]
fn numbers_are_rounded_once_to_the_field() {
    let ended = done(&notes(), "fn run(record) { record.amount = 100.10 * 0.1 / 3; record.count = 2.5; record.name = 7; }");
    assert_eq!(Input::Map(ended.changes[0].values.clone()).to_json(), json!({"amount": 3.34, "count": 3, "name": "7"}));
}

#[test]
fn the_host_is_asked() {
    assert_eq!(gives("count(\"deal\", #{account: record.account})"), json!(2));
    assert_eq!(gives("count(\"sales.deal\")"), json!(3));
    assert_eq!(gives("sum(\"deal\", \"amount\", #{account: record.account})"), json!(100.3));
    assert_eq!(gives("find(\"deal\", #{field: \"amount\", op: \">\", value: 50})[0].name"), json!("Big"));
    assert_eq!(gives("find(\"deal\", #{all: [#{stage: \"won\"}, #{not: #{source: \"fair\"}}]})[0].name"), json!("Small"));
    assert_eq!(gives("get(\"deal\", #{stage: \"won\"}).name"), json!("Small"));
    assert_eq!(gives("find(\"deal\", #{}, #{limit: 2, sort: \"-amount\"}).len()"), json!(2));
    // What is empty never widens.
    assert_eq!(gives("let nobody = get(\"deal\", #{name: \"Free\"}).account; count(\"deal\", #{account: nobody})"), json!(0));
    let host = notes();
    let text = "fn run(record) {
        update(record, #{count: 4});
        move_to(record, \"won\", #{cost: 1});
        notify(record.owner, `About ${record.name}`);
        mail([record.owner, \"a@b.example\", #{role: \"rep\"}], \"Hello\", \"Text\");
        webhook(\"https://there.example\", #{id: record, amount: record.amount});
        remove(record);
        log(#{a: 1});
        print(record.name);
    }";
    let ended = run_on(&host, text);
    ended.result.expect("it runs");
    assert_eq!(ended.log, ["{\"a\":1}", "Big"]);
    assert_eq!(
        *host.asked.borrow(),
        [
            "update sales.deal 10 {\"count\":4}".to_owned(),
            "move 10 won {\"cost\":1.0}".to_owned(),
            "Notify [901] [] [] About Big".to_owned(),
            "Mail [901] [\"rep\"] [\"a@b.example\"] Hello".to_owned(),
            format!("webhook https://there.example {}", json!({"id": id(10), "amount": 100.1})),
            "remove sales.deal 10".to_owned(),
        ]
    );
    assert_eq!(ended.cost.calls, 6);
    assert!(ended.cost.operations > 20);
}

#[test]
fn a_failure_says_where_and_what() {
    let (line, column, why) = stops("let x = 1;\n  fail(\"no\", \"amount\");");
    assert!(matches!(&why, Why::Failed(text, Some(field)) if text.get("en") == "no" && field == "amount"), "{why:?}");
    assert_eq!((line, column), (3, 3));
    let (line, _, why) = stops("\n1 / (record.count ?? 0)");
    assert!(matches!(why, Why::Refused(_)), "{why:?}");
    assert_eq!(line, 3);
    let host = Notes { hidden: Some(support::field(&SCHEMA, entity(&SCHEMA, "deal"), "cost")), ..notes() };
    let stop = run_on(&host, "fn run(record) { record.cost }").result.expect_err("hidden");
    assert!(matches!(stop.why, Why::Unknown(_)), "{stop:?}");
}

#[test]
fn hostile_scripts_end() {
    let cases = [
        ("loop { }", "Operations"),
        ("let i = 0; while i >= 0 { i += 1; }", "Operations"),
        ("let a = []; loop { a.push(1); }", "Items"),
        ("let a = [1]; loop { a = [a]; }", "Depth"),
        ("let a = [1]; loop { a = [a, a, a, a, a, a, a, a]; log(a); }", "Items"),
        ("let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }", "Items"),
        ("let s = \"x\"; loop { s = s + s; }", "TooLong"),
        ("let s = \"xxxxxxxxxxxxxxxx\"; for i in 0..12 { s += s; } let a = []; loop { a.push(s + \"y\"); }", "Memory"),
        ("let a = [1, 2, 3]; loop { let b = a; b.push(1); }", "Operations"),
        ("loop { count(\"deal\"); }", "Calls"),
        ("let x = 9223372036854775807; x + 1", "Overflow"),
        ("for i in 0..9223372036854775807 { }", "Operations"),
    ];
    for (body, wanted) in cases {
        let (.., why) = stops(body);
        assert!(format!("{why:?}").contains(wanted), "{body}: {why:?}");
    }
    let deep = "fn f(n) { f(n + 1) } fn run(record) { f(0) }";
    assert!(matches!(run_on(&notes(), deep).result.expect_err(deep).why, Why::Limit(Limit::Depth)));
    let slow = Notes { looks: Cell::new(20_000), ..notes() };
    let stop = run_on(&slow, "fn run(record) { loop { } }").result.expect_err("no time");
    assert!(matches!(stop.why, Why::Limit(Limit::Time)), "{stop:?}");
}

#[test]
fn the_deepest_script_fits_a_small_stack() {
    let nested = format!("fn f(n) {{ let x = {}f(n + 1){}; x }} fn run(record) {{ f(0) }}", "(1 + ".repeat(18), ")".repeat(18));
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        assert!(matches!(run_on(&notes(), &nested).result.expect_err("deep").why, Why::Limit(Limit::Depth)));
    });
    thread.expect("a thread").join().expect("no overflow");
}

#[test]
fn all_faults_are_told_with_their_places() {
    let found = faults(
        "let x = find(\"lede\", #{ownr: 1});
        record.ownr = 5;
        record.amount = \"much\";
        record.source = \"wbe\";
        record.margin = 1;
        if record.amount > record.due { }
        cuont(\"deal\");
        count(\"deal\", #{nam: 1, amount: \"x\"});
        next_in(\"nobody\");
        let d = create(\"deal\", #{nme: 1});
        nowhere + 1;
        count();
        for x in record.amount { }
        record.stage.probabilty;
        mail(\"nobody\", \"x\");
        settings.limt;
        record.account.nme;",
    );
    let wanted = [
        "2:14 there is no entity `lede`",
        "3:16 `sales.deal` has no field `ownr`",
        "4:25 `amount` is a number, not a text",
        "5:25 `wbe` is not one of the options of `source`",
        "6:16 `margin` cannot be written",
        "7:26 a number and a date cannot be compared",
        "8:9 there is no function `cuont`",
        "9:25 There is no field “nam”. Did you mean “name”?",
        "9:41 `amount` is a number, not a text",
        "10:17 there is no role `nobody`",
        "11:34 `sales.deal` has no field `nme`",
        "12:9 there is no variable `nowhere`",
        "13:9 `count` takes 1 to 2 values, not 0",
        "14:24 `for` goes through a list, not a number",
        "15:22 a stage has no `probabilty`",
        "16:14 this is no address; name a person, an address, or #{role: \"…\"}",
        "17:18 there is no setting `limt`",
        "18:24 `sales.account` has no field `nme`",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn helpers_are_checked_with_what_they_are_called_with() {
    let text = "fn name_of(x) {\n x.nme\n}\nfn run(record) { name_of(record) }";
    let found = Script::compile(place(false), text).expect_err(text);
    assert_eq!((found[0].line, found[0].message.as_str()), (2, "`sales.deal` has no field `nme`"));
    // A variable is all that is put into it.
    compiled("fn run(record) { let x = (); if record.done { x = record.account; } x.name }");
    let found = faults("let x = (); if record.done { x = record.account; } x.nme");
    assert!(found[0].ends_with("`sales.account` has no field `nme`"), "{found:?}");
    compiled("fn run(record) { let x = 1; x = \"a\"; x }");
    assert_eq!(faults("const x = 1; x = 2;").len(), 1);
}

#[test]
fn what_is_closed_is_refused() {
    for (text, wanted) in [
        ("fn run(record) { eval(\"1\") }", "eval"),
        ("fn run(record) { sleep(1) }", "no function `sleep`"),
        ("import \"x\" as y; fn run(record) { }", "no modules"),
        ("fn run(record) { record.count ??= 1; }", ""),
        ("fn run(record) { 1 << 2 }", "the operator `<<` is not known here"),
        ("fn run(record) { let r = 0..4; }", "the operator `..` is not known here"),
        ("fn run(record) { let x = loop { break 5; }; }", "a loop gives no value"),
        ("fn run(record) { Fn(\"f\") }", ""),
        ("fn run(record) { this.x }", "no `this`"),
        ("fn count(x) { } fn run(record) { }", "already a function"),
        ("let x = 1; fn run(record) { }", "holds functions"),
        ("fn rum(record) { }", "there is no `fn run(record)`"),
        ("fn run(a, b, c) { }", "`run` takes"),
        ("fn run(record) { 1 +", ""),
    ] {
        let found = Script::compile(place(false), text).expect_err(text);
        assert!(found.iter().any(|fault| fault.message.contains(wanted)), "{text}: {found:?}");
    }
    for call in ["mail(me, \"x\")", "notify(me, \"x\")", "webhook(\"https://x.example\")"] {
        let text = format!("fn run(record) {{ {call}; }}");
        compiled(&text);
        let found = Script::compile(place(true), &text).expect_err(&text);
        assert!(found[0].message.contains("reaches outside"), "{found:?}");
    }
    let hidden = |_, field: FieldId| field == support::field(&SCHEMA, entity(&SCHEMA, "deal"), "cost");
    let found = Script::compile(ScriptPlace { hidden: &hidden, ..place(false) }, "fn run(record) { record.cost }").expect_err("hidden");
    assert!(found[0].message.contains("no field `cost`"), "{found:?}");
}

#[test]
fn long_and_deep_texts_are_refused_without_harm() {
    for text in [
        format!("fn run(record) {{ {} }}", "1 + ".repeat(10_000) + "1"),
        format!("fn run(record) {{ {}1{} }}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("fn run(record) {{ {}1{} }}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("fn run(record) {{ record{} }}", ".account".repeat(7_000)),
        format!("fn run(record) {{ record{} }}", "[0]".repeat(20_000)),
        format!("fn run(record) {{ {} }}", "if true { ".repeat(5_000)),
        format!("fn run(record) {{ {}1 }}", "!".repeat(10_000)),
        format!("fn run(record) {{ {}1 }}", "-".repeat(10_000)),
        format!("fn run(record) {{ {} }}", "let a = 1;".repeat(20_000)),
    ] {
        assert!(Script::compile(place(false), &text).is_err());
    }
}

/// Pieces of scripts, sound and unsound.
fn piece() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("0.5".to_owned()),
        Just("()".to_owned()),
        Just("\"a\"".to_owned()),
        Just("x".to_owned()),
        Just("[]".to_owned()),
        Just("#{a: 1}".to_owned()),
        Just("record".to_owned()),
        Just("record.amount".to_owned()),
        Just("record.account".to_owned()),
        Just("record.tags".to_owned()),
        Just("record.items".to_owned()),
        Just("today()".to_owned()),
        Just("me".to_owned()),
        Just("find(\"deal\")".to_owned()),
        Just("-9223372036854775808".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%", "**", "==", "<", "&&", "??"]))
                .prop_map(|(a, b, op)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            inner.clone().prop_map(|a| format!("{a}.a")),
            inner.clone().prop_map(|a| format!("len({a})")),
            inner.clone().prop_map(|a| format!("`${{{a}}}`")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("if {a} {{ {b} }} else {{ x }}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.map(|y| {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.reduce(|y, z| {b}, x)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("switch {a} {{ 1 | \"a\" => {b}, 2..5 => x, _ => () }}")),
            inner.prop_map(|a| format!("to_string({a})")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        piece().prop_map(|a| format!("x = {a};")),
        piece().prop_map(|a| format!("x.push({a});")),
        piece().prop_map(|a| format!("x[\"k\"] = {a};")),
        piece().prop_map(|a| format!("x += {a};")),
        piece().prop_map(|a| format!("for y in {a} {{ x = y; }}")),
        piece().prop_map(|a| format!("while {a} {{ x = [x]; }}")),
        piece().prop_map(|a| format!("record.name = {a};")),
        piece().prop_map(|a| format!("log({a});")),
        piece().prop_map(|a| format!("x = helper({a});")),
        piece().prop_map(|a| format!("try {{ x = {a}; throw \"no\"; }} catch (e) {{ x = e; }}")),
        piece().prop_map(|a| format!("if x != () {{ x.sort(|y, z| {a}); }}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_script_harms_its_host(statements in prop::collection::vec(statement(), 1..6)) {
        let text = format!("fn helper(a) {{ let x = a; x }} fn run(record) {{ let x = (); {} x }}", statements.join("\n"));
        if let Ok(script) = Script::compile(place(false), &text) {
            let limits = Limits { operations: 20_000, ..Limits::default() };
            let ended = script.run(&notes(), Some((entity(&SCHEMA, "deal"), id(10))), &IndexMap::new(), limits);
            prop_assert!(ended.cost.operations <= 20_000 + 30_000);
        }
    }

    #[test]
    fn no_text_harms_the_check(text in "[ -~\n]{0,200}") {
        let _ = Script::compile(place(false), &text);
        let _ = Script::compile(place(false), &format!("fn run(record) {{ {text} }}"));
    }
}
