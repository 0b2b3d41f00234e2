//! In charge of what texts, values and conditions make of a record.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use model::doc::{Condition, ValueSpec};
use model::{Cells, Input, Value};
use proptest::prelude::*;
use rules::condition::CompiledCondition;
use rules::eval::NoLookup;
use rules::expr::{Place, Use};
use rules::text::{Escape, MAX_OUTPUT, Piece, TextTemplate};
use rules::value::{CompiledValue, input_of, transform};
use serde_json::{Value as Json, json};
use support::{Memory, SCHEMA, entity, id, nobody, record, scope};

fn deal(values: &Json) -> Cells {
    record(&SCHEMA, entity(&SCHEMA, "deal"), values)
}

fn spec(json: &Json) -> ValueSpec {
    serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The cells that a value makes for a field of a deal.
fn made(json: &Json, to: &str, values: &Json, memory: &Memory) -> Result<Vec<Value>, String> {
    let deal_id = entity(&SCHEMA, "deal");
    let place = Place::of(&SCHEMA, deal_id, Use::Value);
    let value = CompiledValue::compile(place, &spec(json)).map_err(|faults| format!("{faults:?}"))?;
    let (cells, params) = (deal(values), nobody());
    let field = SCHEMA.entity(deal_id).find(to).expect("a field");
    value.make(&scope(&SCHEMA, deal_id, &cells, &params, memory, &[]), field).map_err(|reject| reject.message.text("en"))
}

fn first(json: &Json, to: &str, values: &Json) -> Value {
    made(json, to, values, &Memory::of(&SCHEMA)).unwrap_or_else(|fault| panic!("{json}: {fault}")).first().cloned().unwrap_or_default()
}

#[test]
fn values_are_themselves_copied_computed_or_written() {
    assert_eq!(first(&json!("web"), "source", &json!({})), Value::text("web"));
    assert_eq!(first(&json!(3), "count", &json!({})), Value::Int(3));
    assert_eq!(first(&json!(null), "count", &json!({})), Value::Null);
    assert_eq!(first(&json!({"from": "start"}), "due", &json!({"start": "2026-01-02"})), Value::Date("2026-01-02".parse().expect("a day")));
    assert_eq!(first(&json!({"from": "count"}), "amount", &json!({"count": 2})).as_decimal(), Some("2".parse().expect("digits")));
    assert_eq!(first(&json!({"expr": "count * 2"}), "count", &json!({"count": 2})), Value::Int(4));
    assert_eq!(first(&json!({"expr": "amount / 3"}), "cost", &json!({"amount": 2})).as_decimal(), Some("0.67".parse().expect("digits")));
    assert_eq!(
        first(&json!({"text": "Deal {{ record.name }} of {{ start }}"}), "name", &json!({"name": "X", "start": "2026-01-02"})),
        Value::text("Deal X of 2026-01-02")
    );
    assert!(made(&json!("letter"), "source", &json!({}), &Memory::of(&SCHEMA)).is_err());
    assert!(made(&json!({"from": "nope"}), "name", &json!({}), &Memory::of(&SCHEMA)).is_err());
    assert!(made(&json!({"expr": "nope"}), "name", &json!({}), &Memory::of(&SCHEMA)).is_err());
    assert!(made(&json!({"text": "{{ name"}), "name", &json!({}), &Memory::of(&SCHEMA)).is_err());
}

#[test]
fn values_walk_references() {
    let mut memory = Memory::of(&SCHEMA);
    memory.put("account", &json!({"id": id(1), "name": "Acme"}));
    let values = json!({"account": id(1)});
    assert_eq!(made(&json!({"from": "account.name"}), "name", &values, &memory).expect("made"), [Value::text("Acme")]);
    assert_eq!(made(&json!({"text": "<{{ account.name }}>"}), "name", &values, &memory).expect("made")[0], Value::text("<Acme>"));
    assert_eq!(made(&json!({"from": "account.name"}), "name", &json!({}), &memory).expect("made").first().cloned().unwrap_or_default(), Value::Null);
}

#[test]
fn a_value_fits_its_field_however_it_is_made() {
    let none = Memory::of(&SCHEMA);
    assert_eq!(first(&json!({"from": "amount", "scale": 100}), "cost", &json!({"amount": "0.15"})).as_decimal(), Some("15".parse().expect("digits")));
    assert_eq!(first(&json!({"expr": "name", "map": {"a": "web"}}), "source", &json!({"name": "a"})), Value::text("web"));
    assert_eq!(first(&json!({"from": "age"}), "count", &json!({"start": "2026-03-08"})), Value::Int(10), "as of now");
    assert_eq!(first(&json!({"from": "count"}), "name", &json!({"count": 3})), Value::text("3"));
    for rule in [json!({"from": "name"}), json!({"expr": "name"}), json!({"text": "{{ name }}"})] {
        assert!(made(&rule, "source", &json!({"name": "letter"}), &none).is_err(), "{rule}: no such option");
        assert!(made(&rule, "short", &json!({"name": "far too long"}), &none).is_err(), "{rule}: too long");
    }
}

#[test]
fn a_binned_record_is_copied_from_as_if_it_were_not_there() {
    let mut memory = Memory::of(&SCHEMA);
    memory.put("account", &json!({"id": id(1), "name": "Gone", "deleted_at": "2026-01-01T00:00:00Z"}));
    let values = json!({"account": id(1)});
    assert_eq!(made(&json!({"from": "account.name"}), "name", &values, &memory).expect("made"), []);
    assert_eq!(made(&json!({"text": "a{{ account.name }}"}), "name", &values, &memory).expect("made")[0], Value::text("a"));
}

#[test]
fn a_record_is_pointed_at_with_its_entity() {
    let (deal_id, note) = (entity(&SCHEMA, "deal"), entity(&SCHEMA, "note"));
    let about = SCHEMA.entity(note).find("about").expect("a field");
    let (cells, params) = (deal(&json!({"id": id(10), "account": id(1)})), nobody());
    for (rule, entity, number) in [(json!({"expr": "record"}), "sales.deal", 10), (json!({"from": "account"}), "sales.account", 1)] {
        let value = CompiledValue::compile(Place::of(&SCHEMA, deal_id, Use::Value), &spec(&rule)).expect("compiles");
        let made = value.make(&scope(&SCHEMA, deal_id, &cells, &params, &NoLookup, &[]), about).expect("made");
        assert_eq!(made, [Value::Uuid(id(number)), Value::text(entity)], "{rule}");
    }
}

#[test]
fn tables_correct_what_files_say() {
    let rule = |json: Json| match spec(&json) {
        ValueSpec::Rule(rule) => *rule,
        ValueSpec::Plain(_) => panic!("a rule"),
    };
    let text = |text: &str| Input::Text(text.to_owned());
    let map = json!({"from": "x", "map": {"a": 1, "b": "two", "c": null}});
    assert_eq!(transform(&rule(map.clone()), text("a")), Ok(Input::Number("1".to_owned())));
    assert_eq!(transform(&rule(map.clone()), text("c")), Ok(Input::Null));
    assert!(transform(&rule(map.clone()), text("d")).is_err(), "a table without the value is an error");
    assert_eq!(transform(&rule(map), text("")), Ok(text("")), "an empty cell is empty");
    let otherwise = |json: Json| rule(json!({"from": "x", "map": {"a": "one"}, "else": json}));
    assert_eq!(transform(&otherwise(json!("other")), text("d")), Ok(text("other")));
    assert_eq!(transform(&otherwise(json!({"from": "x"})), text("d")), Ok(text("d")));
    assert_eq!(transform(&rule(json!({"from": "x", "split": ";"})), text(" a ; ;b")), Ok(Input::List(vec![text("a"), text("b")])));
    assert_eq!(transform(&rule(json!({"from": "x", "map": {"x": "0.5"}, "scale": "100"})), text("x")), Ok(Input::Number("50".to_owned())));
    assert_eq!(transform(&rule(json!({"from": "x", "format": "d.M.yy"})), text("5.3.25")), Ok(text("2025-03-05")));
    assert!(transform(&rule(json!({"from": "x", "format": "dd/MM/yyyy"})), text("2025-03-05")).is_err());
    assert!(transform(&rule(json!({"from": "x", "scale": 2})), text("much")).is_err());
}

#[test]
fn conditions_are_filters_or_expressions() {
    let deal_id = entity(&SCHEMA, "deal");
    let params = nobody();
    let compile = |json: Json| {
        let condition: Condition = serde_json::from_value(json).expect("a condition");
        CompiledCondition::compile(Place::of(&SCHEMA, deal_id, Use::Condition), &condition)
    };
    let check = |json: Json, values: Json| {
        let (condition, cells) = (compile(json.clone()).unwrap_or_else(|faults| panic!("{json}: {faults:?}")), deal(&values));
        let scope = scope(&SCHEMA, deal_id, &cells, &params, &NoLookup, &[]);
        (condition.holds(&scope).expect("runs"), condition.passes(&scope).expect("runs"))
    };
    for json in [json!("amount > 1"), json!({"field": "amount", "op": ">", "value": 1})] {
        assert_eq!(check(json.clone(), json!({"amount": 2})), (true, true));
        assert_eq!(check(json.clone(), json!({"amount": 1})), (false, false));
        assert_eq!(check(json, json!({})), (false, true), "a rule forgives what it compares and finds empty");
    }
    let both = json!({"all": [{"field": "amount", "op": "is_set"}, {"field": "amount", "op": ">", "value": 1}]});
    assert_eq!(check(both, json!({})), (false, false), "unless it tests for being empty itself");
    assert_eq!(check(json!({"field": "due", "op": ">=", "value": {"field": "start"}}), json!({"due": "2026-01-01"})), (false, true));
    assert_eq!(check(json!({"field": "name", "op": "=", "value": "$record.name"}), json!({"name": "A"})), (true, true));
    assert!(compile(json!("amoutn > 1")).expect_err("unknown")[0].1.as_deref() == Some("amount"));
    assert!(compile(json!("amount")).is_err());
    assert!(compile(json!({"field": "nope", "op": "is_set"})).is_err());
}

fn render(source: &str, context: &Json) -> Result<String, String> {
    TextTemplate::compile(source, Escape::None)?.render(context)
}

#[test]
fn templates_are_text_and_names() {
    let context = json!({"name": "A & B", "items": [1, 2], "account": {"name": "<Acme>"}});
    assert_eq!(render("{{ name }}/{{ account.name }}", &context).as_deref(), Ok("A & B/<Acme>"));
    assert_eq!(render("{{ missing }}{{ missing.deep.er }}|", &context).as_deref(), Ok("|"));
    assert_eq!(render("{% for item in items %}{{ item }};{% endfor %}", &context).as_deref(), Ok("1;2;"));
    assert_eq!(render("{% if name %}{{ name | upper }}{% endif %}", &context).as_deref(), Ok("A & B"));
    let html = TextTemplate::compile("{{ name }}{{ account.name }}", Escape::Html).expect("compiles").render(&context).expect("renders");
    assert_eq!(html, "A &amp; B&lt;Acme&gt;");
    let names = TextTemplate::compile("{{ a.b.c }}{% for x in rows %}{{ x.y }}{% endfor %}{{ a.b }}", Escape::None).expect("compiles").names();
    assert!(names.contains(&vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]) && names.contains(&vec!["rows".to_owned()]));
    assert!(!names.iter().any(|name| name[0] == "x"), "what a loop names is not read from outside: {names:?}");
    for source in ["{{ name | upper }}", "{% if a %}{{ a }}{% endif %}", "{{ a[0] }}", "{# no #}{{ a }}", "{{ a + b }}", "{{ 'x' }}"] {
        assert_eq!(TextTemplate::compile(source, Escape::None).expect("compiles").simple(), None, "{source}");
    }
    assert_eq!(TextTemplate::compile("{{ none }}{{ true }}", Escape::None).expect("compiles").simple(), None, "words of the language");
    let ended = TextTemplate::compile("{{ a }}\n", Escape::None).expect("compiles");
    assert_eq!(ended.simple().map(<[Piece]>::len), Some(1), "the renderer drops the last line end");
    assert_eq!(ended.render(&json!({"a": "x"})).as_deref(), Ok("x"));
}

#[test]
fn templates_are_sandboxed_and_end() {
    for source in [
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{{ open('x') }}",
        "{{ 1 / 0 }}",
    ] {
        assert!(render(source, &json!({})).is_err(), "{source}");
    }
    let long = json!({"name": "x".repeat(MAX_OUTPUT)});
    assert!(render("{{ name }}", &long).is_ok());
    assert!(render("{{ name }}{{ name }}", &long).is_err());
    assert!(TextTemplate::compile(&"x".repeat(1 << 20), Escape::None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_and_the_renderer_agree(parts in prop::collection::vec(("[a-zA-Z <&}一]{0,6}", "(f_[a-z]{1,4})(\\.g_[a-z]{1,3})?"), 0..4), value in "\\PC{0,8}") {
        let source: String = parts.iter().map(|(text, name)| format!("{text}{{{{ {name} }}}}")).collect();
        let template = TextTemplate::compile(&source, Escape::None).expect("compiles");
        let simple = template.simple().expect("simple");
        // A name that is also the beginning of another has no text of its own.
        let values: Vec<(Vec<String>, String)> = template.names().into_iter().map(|name| (name, value.clone())).collect();
        let clash = values.iter().any(|(a, _)| values.iter().any(|(b, _)| a != b && b.starts_with(a)));
        prop_assume!(!clash);
        let joined: String = simple.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Path(_) => value.clone(),
        }).collect();
        prop_assert_eq!(template.render_texts(&values), Ok(joined));
    }

    #[test]
    fn any_template_compiles_or_is_refused(source in "[a-z {}%#|.'()\\[\\]-]{0,40}") {
        if let Ok(template) = TextTemplate::compile(&source, Escape::None) {
            let _ = template.render(&json!({}));
        }
    }

    #[test]
    fn a_value_is_sent_as_it_is_stored(count in any::<i32>(), mantissa in -1_000_000_000_i64..1_000_000_000, days in 0_u32..20_000) {
        let number = rust_decimal::Decimal::new(mantissa, 2);
        let day = chrono::NaiveDate::from_ymd_opt(1990, 1, 1).and_then(|day| day.checked_add_days(chrono::Days::new(u64::from(days)))).expect("a day");
        for (name, value) in [("count", Value::Int(i64::from(count))), ("amount", Value::Decimal(number)), ("due", Value::Date(day)), ("account", Value::Uuid(id(u128::from(days))))] {
            let typed = SCHEMA.entity(entity(&SCHEMA, "deal")).find(name).and_then(|field| field.typed.clone()).expect("a field");
            let cells = typed.accept(&input_of(&value), &model::field::AcceptContext { now: support::now(), sibling: &|_| None }).expect("accepted");
            prop_assert_eq!(&cells[0], &value);
        }
    }
}
