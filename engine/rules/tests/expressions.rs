//! In charge of what expressions mean: empties, exact numbers, dates, stages, what is refused at compile time.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use indexmap::IndexMap;
use model::{Cells, Storage, Value};
use proptest::prelude::*;
use rules::eval::NoLookup;
use rules::expr::{Expression, Given, Kind, Place, Use, fit};
use rules::query::Params;
use rules::scope::{Extra, Scope};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value as Json, json};
use support::{Memory, SCHEMA, entity, id, nobody, record, scope};

fn deal(values: &Json) -> Cells {
    record(&SCHEMA, entity(&SCHEMA, "deal"), values)
}

fn compile(text: &str, usage: Use) -> Result<Expression, Vec<rules::expr::ExpressionFault>> {
    Expression::compile(&SCHEMA, entity(&SCHEMA, "deal"), text, usage)
}

fn compiled(text: &str) -> Expression {
    compile(text, Use::Value).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

fn eval(text: &str, values: &Json) -> Value {
    let (cells, params) = (deal(values), nobody());
    compiled(text).eval(&scope(&SCHEMA, entity(&SCHEMA, "deal"), &cells, &params, &NoLookup, &[])).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn fails(text: &str, values: &Json) -> String {
    let (cells, params) = (deal(values), nobody());
    compiled(text).eval(&scope(&SCHEMA, entity(&SCHEMA, "deal"), &cells, &params, &NoLookup, &[])).expect_err(text).to_string()
}

fn refused(text: &str) -> String {
    compile(text, Use::Value).expect_err(text)[0].message.clone()
}

fn number(digits: &str) -> Value {
    Value::Decimal(digits.parse().expect("digits"))
}

fn same_number(value: &Value, digits: &str) {
    assert_eq!(value.as_decimal(), number(digits).as_decimal(), "{value:?}");
}

#[test]
fn empty_operands_make_empty_results() {
    for text in [
        "amount + 1",
        "1 - amount",
        "amount * cost",
        "amount / 2",
        "-amount",
        "round(amount, 2)",
        "days_between(due, start)",
        "due + days(1)",
        "upper(name)",
    ] {
        assert_eq!(eval(text, &json!({})), Value::Null, "{text}");
    }
    for text in ["amount < 1", "amount > 1", "amount >= cost", "1 <= amount"] {
        assert_eq!(eval(text, &json!({})), Value::Bool(false), "{text}");
    }
    assert_eq!(eval("amount == ()", &json!({})), Value::Bool(true));
    assert_eq!(eval("amount != ()", &json!({"amount": 0})), Value::Bool(true));
    assert_eq!(eval("amount == 1", &json!({})), Value::Bool(false));
    assert_eq!(eval("amount != 1", &json!({})), Value::Bool(true));
    assert_eq!(eval("name == \"\"", &json!({})), Value::Bool(true));
    same_number(&eval("(amount ?? 0) + 1", &json!({})), "1");
    same_number(&eval("max(amount, cost, 3)", &json!({"amount": 2})), "3");
    assert_eq!(eval("max(amount, cost)", &json!({})), Value::Null);
}

#[test]
fn numbers_are_exact_and_division_gives_a_decimal() {
    same_number(&eval("0.1 + 0.2", &json!({})), "0.3");
    same_number(&eval("7 / 2", &json!({})), "3.5");
    same_number(&eval("amount - cost", &json!({"amount": "1000000000000000.01", "cost": "0.02"})), "999999999999999.99");
    same_number(&eval("round(2.345, 2)", &json!({})), "2.35");
    same_number(&eval("round(-2.345, 2)", &json!({})), "-2.35");
    same_number(&eval("-7 % 3", &json!({})), "-1");
    same_number(&eval("2 ** 10", &json!({})), "1024");
    same_number(&eval("1 + 2 * 3 - 4", &json!({})), "3");
    assert!(fails("amount / cost", &json!({"amount": 1, "cost": 0})).contains("column"), "told with its place");
    assert!(!fails("count * 9223372036854775807", &json!({"count": 2})).is_empty());
    assert_eq!(eval("split_amount(100.00, 3)", &json!({})), Value::list(vec![number("33.33"), number("33.33"), number("33.34")]));
}

#[test]
fn dates_move_by_days_and_months() {
    let day = |text: &str| Value::Date(text.parse().expect("a day"));
    assert_eq!(eval("today()", &json!({})), day("2026-03-18"));
    assert_eq!(eval("due + days(1)", &json!({"due": "2026-02-28"})), day("2026-03-01"));
    assert_eq!(eval("add_months(due, 1)", &json!({"due": "2026-01-31"})), day("2026-02-28"));
    assert_eq!(eval("add_months(due, -12)", &json!({"due": "2024-02-29"})), day("2023-02-28"));
    assert_eq!(eval("days_between(start, due)", &json!({"start": "2026-03-01", "due": "2026-03-11"})), Value::Int(10));
    assert_eq!(eval("due - start", &json!({"start": "2026-03-01", "due": "2026-03-11"})), Value::Int(10));
    assert_eq!(eval("at + hours(24)", &json!({"at": "2026-03-18T00:00:00Z"})), eval("at", &json!({"at": "2026-03-19T00:00:00Z"})));
    assert_eq!(eval("due == \"2026-03-11\"", &json!({"due": "2026-03-11"})), Value::Bool(true));
    assert!(!fails("due + days(4000000)", &json!({"due": "2026-03-11"})).is_empty());
}

#[test]
fn a_day_more_keeps_the_time_of_day_over_a_change_of_clocks() {
    let params = Params { zone: chrono_tz::Europe::Berlin, ..nobody() };
    let cells = deal(&json!({"at": "2026-03-28T09:00:00Z"}));
    let deal = entity(&SCHEMA, "deal");
    let value = compiled("at + days(1)").eval(&scope(&SCHEMA, deal, &cells, &params, &NoLookup, &[])).expect("a value");
    assert_eq!(value.as_timestamp().map(|moment| moment.to_rfc3339()), Some("2026-03-29T08:00:00+00:00".to_owned()));
}

#[test]
fn text_compares_without_case_and_joins() {
    assert_eq!(eval("name == \"ACME\"", &json!({"name": "acme"})), Value::Bool(true));
    assert_eq!(eval("name.contains(\"CM\")", &json!({"name": "acme"})), Value::Bool(true));
    assert_eq!(eval("name + \" \" + count", &json!({"name": "A", "count": 3})), Value::text("A 3"));
    assert_eq!(eval("`${name}: ${amount}`", &json!({"name": "A", "amount": 1})), Value::text("A: 1.00"));
    assert_eq!(eval("\"b\" in tags", &json!({"tags": ["a", "b"]})), Value::Bool(true));
    assert_eq!(eval("source in [\"web\", \"fair\"]", &json!({"source": "fair"})), Value::Bool(true));
    assert_eq!(eval("len(tags)", &json!({"tags": ["a", "b"]})), Value::Int(2));
}

#[test]
fn stages_are_objects_and_compare_by_name() {
    assert_eq!(eval("stage == \"won\"", &json!({"stage": "won"})), Value::Bool(true));
    same_number(&eval("stage.probability", &json!({"stage": "offer"})), "40");
    assert_eq!(eval("stage.kind", &json!({"stage": "won"})), Value::text("won"));
    same_number(&eval("amount * stage.probability / 100", &json!({"stage": "offer", "amount": 50})), "20");
    assert_eq!(eval("stage.probability", &json!({})), Value::Null);
    let faults = compile("stage == \"wom\"", Use::Condition).expect_err("no such stage");
    assert_eq!(faults[0].hint.as_deref(), Some("won"));
}

#[test]
fn references_are_walked_and_what_is_gone_is_empty() {
    let mut memory = Memory::of(&SCHEMA);
    memory.put("core.user", &json!({"id": id(7), "name": "Amy"}));
    memory.put("account", &json!({"id": id(1), "name": "Acme", "owner": id(7)}));
    memory.put("account", &json!({"id": id(2), "name": "Gone", "deleted_at": "2026-01-01T00:00:00Z"}));
    let (entity, params) = (entity(&SCHEMA, "deal"), nobody());
    let value = |text: &str, account: u128| {
        let cells = deal(&json!({"account": id(account)}));
        compiled(text).eval(&scope(&SCHEMA, entity, &cells, &params, &memory, &[])).expect("a value")
    };
    assert_eq!(value("account.name", 1), Value::text("Acme"));
    assert_eq!(value("account.owner.name", 1), Value::text("Amy"));
    assert_eq!(value("account.name", 2), Value::Null);
    assert_eq!(value("account.name", 3), Value::Null);
    assert_eq!(value("account", 1), Value::Uuid(id(1)));
    let reads: Vec<usize> = compiled("account.owner.name").reads().iter().map(|path| path.hops.len()).collect();
    assert_eq!(reads, [2]);
}

#[test]
fn only_what_is_asked_for_is_read() {
    struct Refusing;
    impl rules::eval::Lookup for Refusing {
        fn get(&self, _: model::EntityId, _: uuid::Uuid) -> Result<Option<std::sync::Arc<Cells>>, rules::eval::HostFault> {
            Err(rules::eval::HostFault("asked".to_owned()))
        }
        fn related(&self, _: &rules::query::RelatedVia, _: uuid::Uuid) -> Result<Vec<std::sync::Arc<Cells>>, rules::eval::HostFault> {
            Err(rules::eval::HostFault("asked".to_owned()))
        }
        fn is_member(&self, _: model::EntityId, _: uuid::Uuid, _: uuid::Uuid, _: bool) -> Result<bool, rules::eval::HostFault> {
            Ok(false)
        }
        fn is_under(&self, _: model::EntityId, _: model::FieldId, _: uuid::Uuid, _: uuid::Uuid) -> Result<bool, rules::eval::HostFault> {
            Ok(false)
        }
    }
    let (cells, params) = (deal(&json!({"account": id(1), "done": false})), nobody());
    let scope = Scope { lookup: &Refusing, ..scope(&SCHEMA, entity(&SCHEMA, "deal"), &cells, &params, &NoLookup, &[]) };
    assert_eq!(compiled("done && account.name == \"x\"").eval(&scope).expect("short"), Value::Bool(false));
    assert!(compiled("account.name == \"x\"").eval(&scope).is_err());
}

#[test]
fn names_and_kinds_are_checked() {
    for text in [
        "amoutn + 1",
        "amount + due",
        "name * 2",
        "due + 1",
        "due < at",
        "amount == name",
        "account.nope",
        "items",
        "name.upper.x",
        "unknown(1)",
        "round()",
        "round(name)",
        "days(1)",
        "if done { 1 } else { \"a\" }",
        "amount ?? name",
        "let x = 1; x",
        "fn f() { 1 }",
        "while true {}",
        "eval(\"1\")",
        "import \"a\" as b",
        "#{a: 1}",
        "settings.nope",
        "amount.x",
        "",
        "1 +",
        "source == \"letter\"",
        "`${items}`",
    ] {
        assert!(compile(text, Use::Value).is_err(), "{text} compiles");
    }
    assert!(refused("amoutn").contains("amoutn"));
    assert_eq!(compile("amoutn", Use::Value).expect_err("unknown")[0].hint.as_deref(), Some("amount"));
    assert!(compile("amount", Use::Condition).is_err(), "a condition is true or false");
    for text in ["me.name", "old.amount", "age * 2"] {
        assert!(compile(text, Use::Formula).is_err(), "{text} in a formula");
    }
    assert!(compile("age > 2", Use::Condition).is_ok());
    assert_eq!(compile("nope + nada", Use::Value).expect_err("two").len(), 2, "all faults at once");
    assert_eq!(compiled("amount / 2").kind(), Kind::Number);
    assert_eq!(compiled("due ?? today()").kind(), Kind::Day);
}

#[test]
fn the_past_the_person_settings_and_given_things_have_names() {
    let settings = json!({"limit": "12.5", "since": "2026-01-01"}).as_object().expect("settings").clone();
    let me = record(&SCHEMA, entity(&SCHEMA, "core.user"), &json!({"id": id(7), "name": "Amy", "limit": 3}));
    let params = Params { me: Some(id(7)), me_cells: Some(&me), settings: &settings, ..nobody() };
    let (cells, old) = (deal(&json!({"amount": 5, "owner": id(7)})), deal(&json!({"amount": 4})));
    let deal = entity(&SCHEMA, "deal");
    let row: IndexMap<String, Value> = [("Column Name".to_owned(), Value::text("x"))].into_iter().collect();
    let extra = [("row", Extra::Values(&row)), ("line", Extra::Value(Value::Int(9)))];
    let scope = Scope { old: Some(&old), ..scope(&SCHEMA, deal, &cells, &params, &NoLookup, &extra) };
    let given = [("row".to_owned(), Given::Values), ("line".to_owned(), Given::Value(Kind::Number))];
    let place = Place { given: &given, ..Place::of(&SCHEMA, deal, Use::Value) };
    let value = |text: &str| Expression::compile_at(place, text).unwrap_or_else(|faults| panic!("{text}: {faults:?}")).eval(&scope).expect("a value");
    same_number(&value("amount - old.amount"), "1");
    assert_eq!(value("me.name"), Value::text("Amy"));
    assert_eq!(value("owner == me"), Value::Bool(true));
    same_number(&value("settings.limit"), "12.5");
    assert_eq!(value("settings.since < due ?? today()"), Value::Bool(true));
    assert_eq!(value("row[\"Column Name\"]"), Value::text("x"));
    assert_eq!(value("line + 1"), Value::Int(10));
    assert_eq!(value("record.amount == amount"), Value::Bool(true));
    let fresh = Scope { old: None, ..scope };
    assert_eq!(Expression::compile_at(place, "old.amount").expect("compiles").eval(&fresh).expect("a value"), Value::Null);
}

fn passes(text: &str, values: &Json) -> bool {
    let (cells, params) = (deal(values), nobody());
    compile(text, Use::Condition)
        .unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
        .passes(&scope(&SCHEMA, entity(&SCHEMA, "deal"), &cells, &params, &NoLookup, &[]))
        .expect("runs")
}

#[test]
fn rules_forgive_what_is_empty_unless_they_ask_for_it() {
    assert!(passes("amount > cost", &json!({})));
    assert!(passes("amount > cost", &json!({"amount": 1})));
    assert!(!passes("amount > cost", &json!({"amount": 1, "cost": 2})));
    assert!(!passes("amount != () && amount > 0", &json!({})));
    assert!(!passes("(amount ?? 0) > 0", &json!({})));
    assert!(passes("due == () || due >= start", &json!({"start": "2026-01-01"})));
    assert!(!passes("due >= start", &json!({"start": "2026-01-02", "due": "2026-01-01"})));
    assert!(passes("due >= start", &json!({"due": "2026-01-01"})));
}

#[test]
fn hostile_expressions_end() {
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(compile(&deep, Use::Value).is_err());
    assert!(compile(&"1+".repeat(100_000), Use::Value).is_err());
    let long = json!({"name": "x".repeat(200)});
    let mut text = "name".to_owned();
    for _ in 0..14 {
        text = format!("replace({text}, \"x\", \"xxxx\")");
    }
    if let Ok(expression) = compile(&text, Use::Value) {
        let (cells, params) = (deal(&long), nobody());
        assert!(expression.eval(&scope(&SCHEMA, entity(&SCHEMA, "deal"), &cells, &params, &NoLookup, &[])).is_err(), "texts are capped");
    }
}

// ---- Numbers against a plain model: an exact tree of decimals.

#[derive(Clone, Debug)]
enum Sum {
    Number(i64),
    Field(&'static str),
    Pair(Box<Sum>, char, Box<Sum>),
    Default(Box<Sum>, i64),
}

fn any_sum() -> impl Strategy<Value = Sum> {
    let leaf = prop_oneof![(0_i64..20).prop_map(Sum::Number), prop::sample::select(vec!["amount", "cost", "count"]).prop_map(Sum::Field)];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!['+', '-', '*', '/']), inner.clone()).prop_map(|(a, sign, b)| Sum::Pair(
                Box::new(a),
                sign,
                Box::new(b)
            )),
            (inner, 0_i64..5).prop_map(|(a, default)| Sum::Default(Box::new(a), default)),
        ]
    })
}

fn written(sum: &Sum) -> String {
    match sum {
        Sum::Number(number) => number.to_string(),
        Sum::Field(name) => (*name).to_owned(),
        Sum::Pair(a, sign, b) => format!("({} {sign} {})", written(a), written(b)),
        Sum::Default(a, default) => format!("({} ?? {default})", written(a)),
    }
}

/// The value: none where an operation is not possible; empty where an operand is.
fn value_of(sum: &Sum, values: &Json) -> Option<Option<Decimal>> {
    Some(match sum {
        Sum::Number(number) => Some(Decimal::from(*number)),
        Sum::Field(name) => values[*name].as_i64().map(Decimal::from),
        Sum::Pair(a, sign, b) => {
            let (Some(a), Some(b)) = (value_of(a, values)?, value_of(b, values)?) else { return Some(None) };
            Some(match sign {
                '+' => a.checked_add(b)?,
                '-' => a.checked_sub(b)?,
                '*' => a.checked_mul(b)?,
                _ if b.is_zero() => return None,
                _ => a.checked_div(b)?,
            })
        }
        Sum::Default(a, default) => Some(value_of(a, values)?.unwrap_or_else(|| Decimal::from(*default))),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arithmetic_is_exact(sum in any_sum(), amount in prop::option::of(-9_i64..9), cost in prop::option::of(-9_i64..9), count in prop::option::of(-9_i64..9)) {
        let values = json!({"amount": amount, "cost": cost, "count": count});
        let (cells, params) = (deal(&values), nobody());
        let got = compiled(&written(&sum)).eval(&scope(&SCHEMA, entity(&SCHEMA, "deal"), &cells, &params, &NoLookup, &[]));
        match value_of(&sum, &values) {
            None => prop_assert!(got.is_err(), "{}", written(&sum)),
            Some(None) => prop_assert_eq!(got.expect("a value"), Value::Null),
            Some(Some(number)) => prop_assert_eq!(got.expect("a value").as_decimal(), Some(number), "{}", written(&sum)),
        }
    }

    #[test]
    fn fitting_rounds_once_half_away_from_zero(mantissa in -10_000_000_i64..10_000_000, scale in 0_u32..6, to in 0_u8..6) {
        let number = Decimal::new(mantissa, scale);
        let fitted = fit(Value::Decimal(number), Storage::Decimal(to)).expect("fits").as_decimal().expect("a number");
        prop_assert_eq!(fitted, number.round_dp_with_strategy(u32::from(to), RoundingStrategy::MidpointAwayFromZero));
        prop_assert_eq!(fitted.scale(), u32::from(to));
        prop_assert!((fitted - number).abs() <= Decimal::new(5, u32::from(to) + 1));
    }

    #[test]
    fn no_text_makes_the_compiler_fall(text in "[a-z0-9 +*/().,\"\\[\\]{}=<>!&|?$`-]{0,40}") {
        let _ = compile(&text, Use::Value);
        let _ = rules::expr::is_on_read(&text);
    }
}

fn days(text: &str) -> Vec<String> {
    let found = eval(text, &json!({"due": "2026-03-02"}));
    found.items().iter().map(|item| rules::value::input_of(item).as_text().expect("a day").to_owned()).collect()
}

#[test]
fn what_repeats_by_a_rule_is_a_list_of_days_or_moments() {
    assert_eq!(days("occurrences(\"FREQ=WEEKLY;COUNT=3\", due)"), ["2026-03-02", "2026-03-09", "2026-03-16"]);
    assert_eq!(days("occurrences(\"FREQ=MONTHLY;BYMONTHDAY=-1;UNTIL=20260430\", due)"), ["2026-03-31", "2026-04-30"]);
    assert_eq!(
        days("occurrences(\"RRULE:FREQ=WEEKLY;BYDAY=TU,TH;INTERVAL=2;COUNT=4\", due)"),
        ["2026-03-03", "2026-03-05", "2026-03-17", "2026-03-19"]
    );
    assert_eq!(compiled("occurrences(\"FREQ=DAILY;COUNT=1\", due)").items(), Kind::Day);
    assert_eq!(compiled("split_amount(10, 3)").items(), Kind::Number);
    // A moment keeps its time of day over a change of clocks.
    let text = "occurrences(\"FREQ=WEEKLY;COUNT=2\", now())";
    let start = Params { zone: chrono_tz::Europe::Berlin, now: "2026-03-26T09:00:00Z".parse().expect("a moment"), ..nobody() };
    let cells = deal(&json!({}));
    let found = compiled(text).eval(&scope(&SCHEMA, entity(&SCHEMA, "deal"), &cells, &start, &NoLookup, &[])).expect("a list");
    let moments: Vec<String> = found.items().iter().filter_map(Value::as_timestamp).map(|moment| moment.to_rfc3339()).collect();
    assert_eq!(moments, ["2026-03-26T09:00:00+00:00", "2026-04-02T08:00:00+00:00"]);
    assert_eq!(eval("occurrences(\"FREQ=DAILY;COUNT=2\", due)", &json!({})), Value::Null, "nothing begins at no day");
}

#[test]
fn a_rule_has_an_end_and_is_read_when_it_is_written() {
    for (text, why) in [
        ("occurrences(\"FREQ=DAILY\", due)", "no end"),
        ("occurrences(\"FREQ=DAILY;COUNT=0\", due)", "COUNT"),
        ("occurrences(\"FREQ=DAILY;UNTIL=soon\", due)", "UNTIL"),
        ("occurrences(\"FREQ=SOMETIMES;COUNT=2\", due)", "no rule"),
        ("occurrences(\"weekly\", due)", "`=`"),
        ("occurrences(\"FREQ=DAILY;COUNT=2\", due, \"ofice\")", "no calendar"),
        ("occurrences(\"FREQ=DAILY;COUNT=2\", amount)", "takes a date"),
    ] {
        assert!(refused(text).contains(why), "{text}: {}", refused(text));
    }
    assert!(fails("occurrences(\"FREQ=DAILY;UNTIL=20400101\", due)", &json!({"due": "2026-03-02"})).contains("1000"));
}
