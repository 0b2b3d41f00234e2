//! In charge of what rights on one thing say of another: derived fields, masked references, lines, united scopes.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use rules::policy::{Access, Grants};
use rules::query::{Params, TypedFilter, resolve_path};
use serde_json::{Value as Json, json};
use support::{Memory, SCHEMA, entity, field, filter, grants, id, in_sight, nobody, record};

fn rights(roles: &[Json]) -> Grants {
    grants(&SCHEMA, roles, &Params { me: Some(id(7)), ..nobody() })
}

fn access(roles: &[Json], name: &str) -> Access {
    let deal = entity(&SCHEMA, "deal");
    rights(roles).entity(deal).access(field(&SCHEMA, deal, name))
}

fn on_deal(rights: Json) -> Json {
    json!({"entities": {"deal": rights}})
}

#[test]
fn a_granted_derived_field_does_not_grant_what_is_built_on_it() {
    let margin = on_deal(json!({"read": "all", "fields": {"cost": "none", "margin": "read"}}));
    assert_eq!(access(std::slice::from_ref(&margin), "margin"), Access::Read);
    assert_eq!(access(&[margin], "margin_rate"), Access::Hidden);
    let both = on_deal(json!({"read": "all", "fields": {"cost": "none", "margin": "none", "margin_rate": "read"}}));
    assert_eq!(access(&[both], "margin_rate"), Access::Read);
}

#[test]
fn a_masked_reference_is_not_walked() {
    let masked = json!({"entities": {"deal": {"read": "all", "fields": {"account": "masked"}}, "account": {"read": "all"}}});
    let grants = rights(&[masked]);
    let compiles = |name: &str, json: Json| TypedFilter::compile(&SCHEMA, entity(&SCHEMA, name), &filter(&json), &grants, "").is_ok();
    assert!(!compiles("deal", json!({"field": "account.name", "op": "=", "value": "Acme"})));
    assert!(!compiles("account", json!({"some": "deals", "where": {"field": "name", "op": "=", "value": "x"}})));
    assert!(resolve_path(&SCHEMA, entity(&SCHEMA, "deal"), "account.name", &grants, "").is_err());
    assert!(resolve_path(&SCHEMA, entity(&SCHEMA, "deal"), "account", &grants, "").is_ok(), "it is there, masked");
}

#[test]
fn lines_of_a_parent_out_of_sight_are_not_there() {
    let grants = rights(&[]);
    assert!(!grants.sees(entity(&SCHEMA, "item")));
    let read_only = rights(&[on_deal(json!({"read": "all"}))]);
    let item = entity(&SCHEMA, "item");
    assert!(read_only.sees(item));
    assert_eq!(read_only.entity(item).create, rules::policy::Create::No, "nobody adds a line to what they may not change");
}

#[test]
fn a_field_that_is_read_on_every_record_is_plain() {
    let deal = entity(&SCHEMA, "deal");
    let cost = field(&SCHEMA, deal, "cost");
    let read = on_deal(json!({"read": "all", "fields": {"cost": "read"}}));
    let scoped = on_deal(json!({"read": "all", "update": "own", "fields": {"cost": {"read": "own", "write": "own", "else": "masked"}}}));
    let everywhere = on_deal(json!({"read": "all", "fields": {"cost": {"read": "all", "else": "none"}}}));
    assert!(!rights(std::slice::from_ref(&scoped)).entity(deal).comparable(cost));
    for roles in [vec![read.clone()], vec![read.clone(), scoped.clone()], vec![scoped, read], vec![everywhere]] {
        let grants = rights(&roles);
        assert!(grants.entity(deal).comparable(cost), "{roles:?}");
        assert!(grants.field(SCHEMA.entity(deal), "margin").is_some(), "{roles:?}");
    }
}

#[test]
fn my_department_is_the_one_on_my_record() {
    let user = record(&SCHEMA, entity(&SCHEMA, "core.user"), &json!({"id": id(7), "department": id(70)}));
    let below = [id(71), id(70)];
    let params = Params { me: Some(id(7)), me_cells: Some(&user), departments_below: &below, ..nobody() };
    let grants = grants(&SCHEMA, &[on_deal(json!({"read": "department"}))], &params);
    let deal = entity(&SCHEMA, "deal");
    let sees = |department: u128| {
        let cells = record(&SCHEMA, deal, &json!({"id": id(1), "department": id(department)}));
        in_sight(&SCHEMA, deal, &grants.entity(deal).read, &cells, &Memory::of(&SCHEMA))
    };
    assert!(sees(70) && !sees(71));
}
