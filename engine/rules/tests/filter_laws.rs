//! In charge of the laws of filters: any filter on any record, held against a plain model of the page on semantics.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use std::sync::Arc;

use model::{Cells, Value};
use proptest::prelude::*;
use rules::query::{Column, Params, Predicate};
use serde_json::{Map, Value as Json, json};
use support::{Memory, SCHEMA, entity, fits, id, nobody, record};

fn leaf(field: &str, op: &str, value: Json) -> Json {
    json!({"field": field, "op": op, "value": value})
}

fn test(field: &str, op: &str) -> Json {
    json!({"field": field, "op": op})
}

fn not(inner: &Json) -> Json {
    json!({"not": inner})
}

fn person<'a>(cells: Option<&'a Cells>) -> Params<'a> {
    Params { me: Some(id(7)), me_cells: cells, ..nobody() }
}

/// A record of the model: plain JSON, with its rows beside it.
#[derive(Clone, Debug)]
struct Plain {
    values: Map<String, Json>,
    account: Option<(i64, Option<&'static str>)>,
    items: Vec<Option<i64>>,
}

const NAMES: [&str; 4] = ["Acme", "ACME", "bolt", "Café"];
const DAYS: [&str; 4] = ["2026-03-17", "2026-03-18", "2026-03-19", "2026-04-01"];

fn maybe<T: Clone + std::fmt::Debug + 'static>(strategy: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<T>> {
    prop_oneof![1 => Just(None), 2 => strategy.prop_map(Some)].boxed()
}

fn plain() -> impl Strategy<Value = Plain> {
    let fields = (
        maybe(prop::sample::select(&NAMES[..])),
        maybe(-3_i64..3),
        maybe(0_usize..4),
        maybe(any::<bool>()),
        maybe(prop::sample::select(vec!["web", "fair", "call"])),
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..3),
    );
    let account = maybe((0_i64..4, maybe(prop::sample::select(&NAMES[..]))));
    (fields, account, prop::collection::vec(maybe(0_i64..4), 0..3)).prop_map(|((name, count, day, done, source, tags), account, items)| {
        let mut values = Map::new();
        values.insert("name".into(), json!(name));
        values.insert("count".into(), json!(count));
        values.insert("amount".into(), json!(count.map(|count| count * 3)));
        values.insert("due".into(), json!(day.and_then(|day| DAYS.get(day))));
        values.insert("done".into(), json!(done));
        values.insert("source".into(), json!(source));
        values.insert("tags".into(), if tags.is_empty() { Json::Null } else { json!(tags) });
        Plain { values, account, items }
    })
}

fn any_leaf() -> impl Strategy<Value = Json> {
    let order = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    prop_oneof![
        (
            prop::sample::select(vec!["=", "!=", "contains", "not_contains", "starts_with", "ends_with"]),
            prop::sample::select(vec!["acme", "BOLT", "cafe\u{301}", "c"])
        )
            .prop_map(|(op, value)| leaf("name", op, json!(value))),
        (prop::sample::select(vec!["count", "amount", "account.size"]), order.clone(), -4_i64..5).prop_map(|(field, op, value)| leaf(
            field,
            op,
            json!(value)
        )),
        (prop::sample::select(vec!["count", "amount"]), -4_i64..5, -4_i64..5).prop_map(|(field, low, high)| leaf(
            field,
            "between",
            json!([low, high])
        )),
        (prop::sample::select(vec!["in", "not_in"]), prop::collection::vec(-2_i64..3, 0..3)).prop_map(|(op, values)| leaf(
            "count",
            op,
            json!(values)
        )),
        (prop::sample::select(vec!["=", "!="]), any::<bool>()).prop_map(|(op, value)| leaf("done", op, json!(value))),
        (prop::sample::select(vec!["in", "not_in"]), prop::sample::subsequence(vec!["web", "fair", "call"], 0..3)).prop_map(|(op, values)| leaf(
            "source",
            op,
            json!(values)
        )),
        (order, prop::sample::select(&DAYS[..])).prop_map(|(op, value)| leaf("due", op, json!(value))),
        (prop::sample::select(vec!["=", "!=", "<", ">="])).prop_map(|op| leaf("due", op, json!("$today"))),
        prop::sample::select(vec!["today", "tomorrow", "past", "future", "this_month"]).prop_map(|value| leaf("due", "within", json!(value))),
        (prop::sample::select(vec!["contains", "not_contains"]), prop::sample::select(vec!["a", "b"])).prop_map(|(op, value)| leaf(
            "tags",
            op,
            json!(value)
        )),
        (
            prop::sample::select(vec!["name", "count", "due", "source", "tags", "account", "account.name"]),
            prop::sample::select(vec!["is_empty", "is_set"])
        )
            .prop_map(|(field, op)| test(field, op)),
        (prop::sample::select(vec!["=", "!="]), prop::sample::select(vec!["acme", "x"])).prop_map(|(op, value)| leaf(
            "account.name",
            op,
            json!(value)
        )),
        prop::sample::select(vec!["=", "!=", "<", ">="]).prop_map(|op| leaf("amount", op, json!({"field": "count"}))),
        // Nobody is signed in: no value.
        prop::sample::select(vec!["=", "!="]).prop_map(|op| leaf("owner", op, json!("$me"))),
        prop::sample::select(vec!["=", "!=", "contains"]).prop_map(|op| leaf("name", op, json!("$me.region"))),
    ]
}

fn any_row_filter() -> impl Strategy<Value = Json> {
    prop_oneof![
        (prop::sample::select(vec!["=", "!=", "<", ">"]), 0_i64..4).prop_map(|(op, value)| leaf("quantity", op, json!(value))),
        Just(test("quantity", "is_empty")),
        (0_i64..4).prop_map(|value| not(&leaf("quantity", "=", json!(value)))),
    ]
}

fn any_filter() -> impl Strategy<Value = Json> {
    let quantified =
        (prop::sample::select(vec!["some", "none", "every"]), any_row_filter()).prop_map(|(word, inner)| json!({word: "items", "where": inner}));
    let base = prop_oneof![4 => any_leaf(), 1 => quantified];
    base.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"all": all})),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|any| json!({"any": any})),
            inner.prop_map(|inner| not(&inner)),
        ]
    })
}

/// What the page says, as plainly as can be; `negated` is whether a `not` is around it.
fn model_holds(json: &Json, plain: &Plain, negated: bool) -> bool {
    let list = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    if let Some(inner) = json.get("not") {
        return model_holds(inner, plain, !negated);
    }
    if json.get("all").is_some() {
        let parts: Vec<bool> = list("all").iter().map(|part| model_holds(part, plain, negated)).collect();
        return if negated { parts.contains(&true) } else { !parts.contains(&false) };
    }
    if json.get("any").is_some() {
        let parts: Vec<bool> = list("any").iter().map(|part| model_holds(part, plain, negated)).collect();
        return if negated { !parts.contains(&false) } else { parts.contains(&true) };
    }
    for word in ["some", "none", "every"] {
        if json.get(word).is_some() {
            let rows: Vec<bool> = plain.items.iter().map(|quantity| model_leaf(&json["where"], &json!({"quantity": quantity}))).collect();
            let holds = match word {
                "some" => rows.contains(&true),
                "none" => !rows.contains(&true),
                _ => !rows.contains(&false),
            };
            return holds != negated;
        }
    }
    let has_no_value = json["value"].as_str().is_some_and(|text| text.starts_with("$me"));
    if has_no_value {
        return false;
    }
    let mut values = Json::Object(plain.values.clone());
    values["account"] = json!(plain.account.map(|_| "there"));
    values["account.name"] = json!(plain.account.and_then(|(_, name)| name));
    values["account.size"] = json!(plain.account.map(|(size, _)| size));
    model_leaf(json, &values) != negated
}

fn model_leaf(json: &Json, values: &Json) -> bool {
    if let Some(inner) = json.get("not") {
        return !model_leaf(inner, values);
    }
    let value = &values[json["field"].as_str().expect("a field")];
    let op = json["op"].as_str().expect("an operator");
    let operand = match &json["value"] {
        Json::String(word) if word == "$today" => json!("2026-03-18"),
        Json::Object(other) => values[other["field"].as_str().expect("a field")].clone(),
        other => other.clone(),
    };
    let fold = |json: &Json| json.as_str().map(model::text::fold).unwrap_or_default();
    let order = |other: &Json| -> Option<std::cmp::Ordering> {
        match (value, other) {
            (Json::Null, _) | (_, Json::Null) => None,
            (Json::String(_), Json::String(_)) => Some(fold(value).cmp(&fold(other))),
            (Json::Bool(a), Json::Bool(b)) => Some(a.cmp(b)),
            (a, b) => a.as_i64().partial_cmp(&b.as_i64()),
        }
    };
    let one_of = || operand.as_array().expect("a list").iter().any(|item| order(item).is_some_and(std::cmp::Ordering::is_eq));
    let has = || match value {
        Json::Array(items) => items.contains(&operand),
        Json::String(_) => fold(value).contains(&fold(&operand)),
        _ => false,
    };
    match op {
        "is_empty" => value.is_null(),
        "is_set" => !value.is_null(),
        "=" => order(&operand).is_some_and(std::cmp::Ordering::is_eq),
        "!=" => !order(&operand).is_some_and(std::cmp::Ordering::is_eq),
        "<" => order(&operand).is_some_and(std::cmp::Ordering::is_lt),
        "<=" => order(&operand).is_some_and(std::cmp::Ordering::is_le),
        ">" => order(&operand).is_some_and(std::cmp::Ordering::is_gt),
        ">=" => order(&operand).is_some_and(std::cmp::Ordering::is_ge),
        "between" => order(&operand[0]).is_some_and(std::cmp::Ordering::is_ge) && order(&operand[1]).is_some_and(std::cmp::Ordering::is_le),
        "in" => one_of(),
        "not_in" => !one_of(),
        "contains" => has(),
        "not_contains" => !has(),
        "starts_with" => !value.is_null() && fold(value).starts_with(&fold(&operand)),
        "ends_with" => !value.is_null() && fold(value).ends_with(&fold(&operand)),
        "within" => match (value.as_str(), operand.as_str().expect("a word")) {
            (None, _) => false,
            (Some(day), "today") => day == "2026-03-18",
            (Some(day), "tomorrow") => day == "2026-03-19",
            (Some(day), "past") => day < "2026-03-18",
            (Some(day), "future") => day > "2026-03-18",
            (Some(day), _) => day.starts_with("2026-03"),
        },
        other => panic!("the model lacks {other}"),
    }
}

fn stored(plain: &Plain) -> (Memory, Arc<Cells>) {
    let mut memory = Memory::of(&SCHEMA);
    let mut values = Json::Object(plain.values.clone());
    values["id"] = json!(id(10));
    if let Some((size, name)) = plain.account {
        memory.put("account", &json!({"id": id(1), "size": size, "name": name}));
        values["account"] = json!(id(1));
    }
    for (index, quantity) in plain.items.iter().enumerate() {
        memory.put("item", &json!({"id": id(100 + index as u128), "deal": id(10), "quantity": quantity}));
    }
    let cells = memory.put("deal", &values);
    (memory, cells)
}

/// That what is compared has the kind of the column that it is compared with.
fn assert_typed(predicate: &Predicate) {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().for_each(assert_typed),
        Predicate::Related(related) => assert_typed(&related.filter),
        Predicate::Leaf(leaf) => {
            let Column::Slot(slot) = leaf.column else { return };
            let storage = SCHEMA.entity(leaf.path.entity).columns[slot].storage;
            let operands: Vec<&Value> = match &leaf.test {
                rules::query::Test::Equal(value)
                | rules::query::Test::Less(value)
                | rules::query::Test::LessEqual(value)
                | rules::query::Test::Greater(value)
                | rules::query::Test::GreaterEqual(value) => vec![value],
                rules::query::Test::In(values) => values.iter().collect(),
                rules::query::Test::Range(from, until) => from.iter().chain(until).collect(),
                _ => Vec::new(),
            };
            for operand in operands {
                assert!(fits_storage(operand, storage), "{operand:?} beside {storage:?}");
            }
        }
        _ => {}
    }
}

fn fits_storage(value: &Value, storage: model::Storage) -> bool {
    use model::Storage;
    match value {
        Value::Int(_) => storage == Storage::Int,
        Value::Decimal(number) => matches!(storage, Storage::Decimal(scale) if number.scale() == u32::from(scale)),
        Value::Text(_) => storage == Storage::Text,
        Value::Date(_) => storage == Storage::Date,
        Value::Timestamp(_) => storage == Storage::Timestamp,
        Value::Bool(_) => storage == Storage::Bool,
        Value::Uuid(_) => storage == Storage::Uuid,
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_mean_what_the_page_says(json in any_filter(), plain in plain()) {
        let (memory, cells) = stored(&plain);
        prop_assume!(model::Filter::parse(&json, "").is_ok());
        prop_assert_eq!(fits(&SCHEMA, "deal", &json, &nobody(), &cells, &memory), model_holds(&json, &plain, false), "{} on {:?}", json, plain);
    }

    #[test]
    fn not_is_plain_where_every_placeholder_has_a_value(json in any_filter(), plain in plain()) {
        let (memory, cells) = stored(&plain);
        let user = record(&SCHEMA, entity(&SCHEMA, "core.user"), &json!({"id": id(7), "region": "acme"}));
        prop_assume!(model::Filter::parse(&not(&json), "").is_ok());
        let on = |json: &Json| fits(&SCHEMA, "deal", json, &person(Some(&user)), &cells, &memory);
        prop_assert_eq!(on(&json), !on(&not(&json)), "{}", json);
    }

    #[test]
    fn both_orders_of_a_pair_mean_the_same(a in any_filter(), b in any_filter(), plain in plain()) {
        let (memory, cells) = stored(&plain);
        let on = |json: &Json| fits(&SCHEMA, "deal", json, &nobody(), &cells, &memory);
        let pairs = [json!({"all": [a, b]}), json!({"all": [b, a]}), json!({"any": [a, b]}), json!({"any": [b, a]})];
        prop_assume!(pairs.iter().all(|pair| model::Filter::parse(pair, "").is_ok()));
        prop_assert_eq!(on(&pairs[0]), on(&pairs[1]));
        prop_assert_eq!(on(&pairs[2]), on(&pairs[3]));
        prop_assert_eq!(on(&pairs[0]), on(&a) && on(&b));
        prop_assert_eq!(on(&pairs[2]), on(&a) || on(&b));
    }

    #[test]
    fn bound_values_have_the_kind_of_their_column(json in any_filter()) {
        prop_assume!(model::Filter::parse(&json, "").is_ok());
        assert_typed(&support::typed(&SCHEMA, entity(&SCHEMA, "deal"), &json).bind(&SCHEMA, &nobody()));
    }
}
