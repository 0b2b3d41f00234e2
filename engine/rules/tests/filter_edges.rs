//! In charge of the edges of filters: placeholders in lists and relations, settings, numbers that no column holds.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use rules::query::{Moment, Params, SystemView, TypedFilter, parse_sort};
use serde_json::{Map, Value as Json, json};
use support::{Memory, SCHEMA, entity, filter, fits, id, nobody, now, record};

fn on(json: &Json, values: &Json, params: &Params<'_>) -> bool {
    fits(&SCHEMA, "deal", json, params, &record(&SCHEMA, entity(&SCHEMA, "deal"), values), &Memory::of(&SCHEMA))
}

fn leaf(field: &str, op: &str, value: Json) -> Json {
    json!({"field": field, "op": op, "value": value})
}

#[test]
fn a_placeholder_without_a_value_never_widens_through_a_relation() {
    let mut memory = Memory::of(&SCHEMA);
    let full = memory.put("deal", &json!({"id": id(10)}));
    let bare = memory.put("deal", &json!({"id": id(11)}));
    memory.put("item", &json!({"id": id(1), "deal": id(10), "label": "x"}));
    let region = leaf("label", "=", json!("$me.region"));
    for word in ["some", "none", "every"] {
        for inner in [region.clone(), json!({"not": region}), leaf("label", "!=", json!("$me.region"))] {
            let json = json!({word: "items", "where": inner});
            assert!(!fits(&SCHEMA, "deal", &json, &nobody(), &full, &memory), "{json}");
            assert!(!fits(&SCHEMA, "deal", &json!({"not": json}), &nobody(), &full, &memory), "not {json}");
        }
    }
    assert!(fits(&SCHEMA, "deal", &json!({"none": "items", "where": region}), &nobody(), &bare, &memory), "none holds on no rows");
    assert!(fits(&SCHEMA, "deal", &json!({"every": "items", "where": region}), &nobody(), &bare, &memory), "so does every");
}

#[test]
fn a_list_with_a_placeholder_without_a_value_never_widens() {
    let me = Params { me: Some(id(7)), ..nobody() };
    let own = json!({"owner": id(7)});
    let other = json!({"owner": id(9)});
    assert!(on(&leaf("owner", "in", json!(["$me", "$my_reports"])), &own, &me), "nobody is below me: me alone");
    assert!(!on(&leaf("owner", "in", json!(["$me", "$my_reports"])), &other, &me));
    assert!(!on(&leaf("owner", "not_in", json!(["$me", id(8)])), &other, &nobody()));
    assert!(!on(&json!({"not": leaf("owner", "in", json!(["$me", id(8)]))}), &other, &nobody()));
    assert!(on(&leaf("owner", "in", json!(["$me", id(9)])), &other, &nobody()));
}

#[test]
fn settings_have_the_kind_of_their_document() {
    let settings: Map<String, Json> = [("since".to_owned(), json!("2026-01-01")), ("limit".to_owned(), json!("12.50"))].into_iter().collect();
    let params = Params { settings: &settings, ..nobody() };
    assert!(on(&leaf("due", ">=", json!("$settings.since")), &json!({"due": "2026-02-01"}), &params));
    assert!(!on(&leaf("due", ">=", json!("$settings.since")), &json!({"due": "2025-12-31"}), &params));
    assert!(on(&leaf("amount", ">", json!("$settings.limit")), &json!({"amount": 12.51}), &params));
    assert!(!on(&leaf("amount", ">", json!("$settings.limit")), &json!({"amount": 12.51}), &nobody()), "not set");
    let wrong = filter(&leaf("amount", ">", json!("$settings.since")));
    assert!(TypedFilter::compile(&SCHEMA, entity(&SCHEMA, "deal"), &wrong, &SystemView, "").is_err(), "a date beside a number");
}

#[test]
fn now_beside_a_date_is_today() {
    assert!(on(&leaf("due", "<", json!("$now")), &json!({"due": "2026-03-17"}), &nobody()));
    assert!(!on(&leaf("due", "<", json!("$now")), &json!({"due": "2026-03-18"}), &nobody()));
    assert!(on(&leaf("due", "=", json!("$now")), &json!({"due": "2026-03-18"}), &nobody()));
}

#[test]
fn numbers_beyond_a_column_are_beyond_all_its_values() {
    let (least, most) = (json!({"amount": "-9999999999999999.99"}), json!({"amount": "9999999999999999.99"}));
    for beyond in ["50000000000000000", "99999999999999999999"] {
        for (op, holds) in [("<", true), ("<=", true), ("!=", true), (">", false), (">=", false), ("=", false)] {
            assert_eq!(on(&leaf("amount", op, json!(beyond)), &most, &nobody()), holds, "{op} {beyond}");
        }
    }
    for beyond in ["-50000000000000000", "-99999999999999999999"] {
        for (op, holds) in [("<", false), ("<=", false), ("!=", true), (">", true), (">=", true), ("=", false)] {
            assert_eq!(on(&leaf("amount", op, json!(beyond)), &least, &nobody()), holds, "{op} {beyond}");
        }
        assert!(!on(&leaf("amount", ">", json!(beyond)), &json!({}), &nobody()), "an empty value is beyond nothing");
    }
}

#[test]
fn an_order_has_a_few_keys() {
    let moment = Moment { today: now().date_naive(), now: now() };
    let parse = |text: &str| parse_sort(&SCHEMA, entity(&SCHEMA, "deal"), text, &SystemView, moment, "");
    assert!(parse("name,amount,cost,due,start").is_ok());
    assert!(parse("name,amount,cost,due,start,at").is_err());
}
