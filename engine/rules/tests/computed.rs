//! In charge of the graph of computed values: its order, what follows from what, and what it refuses.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use model::{Diagnostic, Schema};
use rules::compute::{Graph, MAX_CHAIN, Source};
use serde_json::{Map, Value as Json, json};
use support::{SCHEMA, build, core, entity, field};

/// An app with these entities.
fn app(entities: Json) -> Json {
    json!({"app": {"name": "t", "version": "1.0.0", "format": 1}, "entities": entities})
}

fn schema(entities: Json) -> Schema {
    build(&[core(), app(entities)]).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(entities: Json) -> Vec<Diagnostic> {
    Graph::build(&schema(entities)).err().unwrap_or_default()
}

fn fields(fields: Json) -> Json {
    json!({"fields": fields})
}

fn formula(expr: &str) -> Json {
    json!({"kind": "formula", "result": "decimal", "expr": expr})
}

#[test]
fn formulas_stand_after_those_that_they_read() {
    let schema = schema(json!({"a": fields(json!({"z": formula("y + 1"), "y": formula("x * 2"), "n": {"kind": "integer"}, "x": formula("n + 1")}))}));
    let graph = Graph::build(&schema).expect("a graph");
    let a = entity(&schema, "a");
    let names: Vec<&str> = graph.formulas(a).iter().map(|computed| schema.entity(a).field(computed.field).name.as_str()).collect();
    assert_eq!(names, ["x", "y", "z"]);
}

#[test]
fn rings_are_told_with_their_names() {
    let own = faults(json!({"a": fields(json!({"x": formula("x + 1")}))}));
    assert_eq!(own.len(), 1, "{own:?}");
    let pair = faults(json!({"a": fields(json!({"x": formula("y + 1"), "y": formula("x + 1")}))}));
    assert_eq!(pair.len(), 1, "{pair:?}");
    assert!(pair[0].message.contains("t.a.x") && pair[0].message.contains("t.a.y"), "{}", pair[0].message);
    let over = faults(json!({
        "a": fields(json!({"total": {"kind": "rollup", "of": "lines", "fn": "sum", "field": "share"}})),
        "b": fields(json!({"a": {"kind": "reference", "to": "a", "inverse": "lines"}, "share": formula("a.total / 2")}))}));
    assert_eq!(over.len(), 1, "over a reference and a roll-up: {over:?}");
}

#[test]
fn chains_of_rollups_have_a_limit() {
    let chain = |length: usize| {
        let mut entities = Map::new();
        for index in 0..=length {
            let mut own = json!({"n": {"kind": "integer"}});
            if index > 0 {
                let source = if index == 1 { "n" } else { "total" };
                own["total"] = json!({"kind": "rollup", "of": "rows", "fn": "sum", "field": source});
            }
            if index < length {
                own["above"] = json!({"kind": "reference", "to": format!("e{}", index + 1), "inverse": "rows"});
            }
            entities.insert(format!("e{index}"), fields(own));
        }
        faults(Json::Object(entities))
    };
    assert_eq!(chain(MAX_CHAIN), []);
    assert_eq!(chain(MAX_CHAIN + 1).len(), 1);
}

#[test]
fn faults_of_documents_are_all_told_with_pointers() {
    let found = faults(json!({
        "a": fields(json!({
            "name": {"kind": "text"},
            "wrong": formula("nam"),
            "mixed": formula("name + 1"),
            "mine": formula("me.limit"),
            "some": {"kind": "rollup", "of": "rows", "fn": "sum", "field": "n", "filter": {"field": "nn", "op": "=", "value": 1}},
            "personal": {"kind": "rollup", "of": "rows", "fn": "count", "filter": {"field": "n", "op": "=", "value": "$me.limit"}},
            "timely": {"kind": "rollup", "of": "rows", "fn": "count", "filter": {"field": "day", "op": "within", "value": "today"}},
            "tree": {"kind": "rollup", "of": "rows", "fn": "count", "below": true}})),
        "b": fields(json!({"a": {"kind": "reference", "to": "a", "inverse": "rows"}, "n": {"kind": "integer"}, "day": {"kind": "date"}}))}));
    let mut pointers: Vec<&str> = found.iter().map(|fault| fault.pointer.as_str()).collect();
    pointers.sort_unstable();
    let at = |rest: &str| format!("/t/entities/a/fields/{rest}");
    assert_eq!(
        pointers,
        [at("mine/expr"), at("mixed/expr"), at("personal/filter"), at("some/filter/field"), at("timely/filter"), at("tree/below"), at("wrong/expr")],
        "{found:?}"
    );
    let wrong = found.iter().find(|fault| fault.pointer.ends_with("wrong/expr")).expect("told");
    assert_eq!(wrong.hint.as_deref(), Some("name"));
}

#[test]
fn what_changes_with_the_clock_is_never_stored() {
    let entities = |more: Json| {
        let mut own = json!({"due": {"kind": "date"}, "age": {"kind": "formula", "result": "integer", "expr": "days_between(due, today())"}});
        own.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        json!({"a": fields(own), "b": fields(json!({"a": {"kind": "reference", "to": "a", "inverse": "rows"}, "n": {"kind": "integer"}}))})
    };
    let plain = schema(entities(json!({})));
    let a = entity(&plain, "a");
    assert!(plain.entity(a).find("age").expect("a field").on_read);
    assert!(Graph::build(&plain).expect("a graph").formulas(a).is_empty());
    assert_eq!(faults(entities(json!({"twice": formula("age * 2")}))).len(), 1);
    let looked_up = json!({"a": fields(json!({"due": {"kind": "date"}, "age": {"kind": "formula", "result": "integer", "expr": "today() - due"}})),
        "b": fields(json!({"a": {"kind": "reference", "to": "a"}, "age": {"kind": "lookup", "path": "a.age"}}))});
    assert_eq!(faults(looked_up).len(), 1);
}

#[test]
fn what_follows_from_a_change_elsewhere_is_known() {
    let graph = Graph::build(&SCHEMA).expect("a graph");
    let (deal, account) = (entity(&SCHEMA, "deal"), entity(&SCHEMA, "account"));
    let afar = graph.read_from_afar(account);
    assert!(afar.iter().any(|far| far.entity == deal && far.field == field(&SCHEMA, account, "name") && far.hops.len() == 1 && far.rollup.is_none()));
    let of: Vec<&str> = graph.rollups_of(deal).map(|rollup| SCHEMA.entity(rollup.parent).field(rollup.field).name.as_str()).collect();
    assert_eq!(of, ["deals_total", "deals_won"]);
    assert_eq!(graph.rollups_on(account).count(), 2);
    assert!(graph.rollups_on(account).all(|rollup| rollup.source == deal));
    let lookup = graph.formulas(deal).iter().find(|computed| computed.field == field(&SCHEMA, deal, "account_name")).expect("a lookup");
    assert!(matches!(lookup.source, Source::Path(_)));
    let sources = graph.sources().of(deal, field(&SCHEMA, deal, "account_name"));
    assert!(sources.contains(&(account, field(&SCHEMA, account, "name"))) && sources.contains(&(deal, field(&SCHEMA, deal, "account"))));
}

#[test]
fn references_on_the_way_count_too() {
    let schema = schema(json!({
        "a": fields(json!({"n": {"kind": "integer"}})),
        "b": fields(json!({"a": {"kind": "reference", "to": "a"}})),
        "c": fields(json!({"b": {"kind": "reference", "to": "b"}, "n": {"kind": "lookup", "path": "b.a.n"}}))}));
    let graph = Graph::build(&schema).expect("a graph");
    let (a, b, c) = (entity(&schema, "a"), entity(&schema, "b"), entity(&schema, "c"));
    assert!(graph.read_from_afar(a).iter().any(|far| far.entity == c && far.hops.len() == 2));
    assert!(graph.read_from_afar(b).iter().any(|far| far.entity == c && far.hops.len() == 1 && far.field == field(&schema, b, "a")));
}

#[test]
fn the_filter_of_a_rollup_follows_far_records() {
    let schema = schema(json!({
        "region": fields(json!({"open": {"kind": "boolean"}})),
        "a": fields(json!({"n": {"kind": "rollup", "of": "rows", "fn": "count", "filter": {"field": "region.open", "op": "=", "value": true}}})),
        "b": fields(json!({"a": {"kind": "reference", "to": "a", "inverse": "rows"}, "region": {"kind": "reference", "to": "region"}}))}));
    let graph = Graph::build(&schema).expect("a graph");
    let far = graph.read_from_afar(entity(&schema, "region")).first().expect("a consequence");
    assert_eq!(far.entity, entity(&schema, "b"));
    assert!(far.rollup.and_then(|index| graph.rollup(index)).is_some_and(|rollup| rollup.parent == entity(&schema, "a")));
}

#[test]
fn the_filter_of_a_rollup_asks_nothing_of_related_records() {
    let found = faults(json!({
        "a": fields(json!({"n": {"kind": "rollup", "of": "rows", "fn": "count", "filter": {"some": "parts"}}})),
        "b": fields(json!({"a": {"kind": "reference", "to": "a", "inverse": "rows"}})),
        "c": fields(json!({"b": {"kind": "reference", "to": "b", "inverse": "parts"}}))}));
    assert_eq!(found.len(), 1, "{found:?}");
}
