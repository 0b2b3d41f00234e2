//! In charge of what roles grant: scopes, several roles, rights on fields, and what is derived from hidden fields.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use model::doc::FieldAccess;
use model::{Cells, Code};
use proptest::prelude::*;
use rules::policy::{Access, Create, Grants};
use rules::query::{Params, Predicate, TypedFilter, resolve_path, resolve_relation};
use serde_json::{Value as Json, json};
use support::{Memory, SCHEMA, build, core, entity, field, filter, grants, id, in_sight, nobody, record};
use uuid::Uuid;

const REPORTS: [Uuid; 2] = [Uuid::from_u128(8), Uuid::from_u128(9)];
const BELOW: [Uuid; 2] = [Uuid::from_u128(70), Uuid::from_u128(71)];

fn amy() -> Cells {
    record(&SCHEMA, entity(&SCHEMA, "core.user"), &json!({"id": id(7), "region": "north", "department": id(70)}))
}

fn params(me: &Cells) -> Params<'_> {
    Params { me: Some(id(7)), me_cells: Some(me), departments_below: &BELOW, reports: &REPORTS, ..nobody() }
}

fn on_deal(rights: Json) -> Json {
    json!({"entities": {"deal": rights}})
}

/// Which of these records a person with one role may read.
fn seen(scope: Json, memory: &Memory) -> Vec<u128> {
    let me = amy();
    let grants = grants(&SCHEMA, &[on_deal(json!({"read": scope}))], &params(&me));
    let deal = entity(&SCHEMA, "deal");
    let slot = SCHEMA.entity(deal).slot("id").expect("an id");
    memory.records[&deal]
        .iter()
        .filter(|cells| in_sight(&SCHEMA, deal, &grants.entity(deal).read, cells, memory))
        .filter_map(|cells| cells[slot].as_uuid().map(|id| id.as_u128()))
        .collect()
}

fn office() -> Memory {
    let mut memory = Memory::of(&SCHEMA);
    for (number, values) in [
        (1, json!({"owner": id(7), "department": id(70)})),
        (2, json!({"owner": id(8), "department": id(70)})),
        (3, json!({"owner": id(5), "department": id(71)})),
        (4, json!({"owner": id(5), "department": id(90)})),
        (5, json!({})),
        (6, json!({"owner": id(9), "department": id(90), "name": "North"})),
        (7, json!({"owner": id(7), "department": id(90)})),
    ] {
        let mut values = values;
        values["id"] = json!(id(number));
        memory.put("deal", &values);
    }
    memory
}

#[test]
fn words_stand_for_their_records() {
    let mut memory = office();
    assert_eq!(seen(json!("none"), &memory), [0; 0]);
    assert_eq!(seen(json!("all"), &memory), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(seen(json!("own"), &memory), [1, 7]);
    assert_eq!(seen(json!("reports"), &memory), [1, 2, 6, 7]);
    assert_eq!(seen(json!("department"), &memory), [1, 2]);
    assert_eq!(seen(json!("department_and_below"), &memory), [1, 2, 3]);
    assert_eq!(seen(json!({"filter": {"field": "name", "op": "=", "value": "$me.region"}}), &memory), [6]);
    memory.members.insert((entity(&SCHEMA, "deal"), id(4), id(7), false));
    assert_eq!(seen(json!("own"), &memory), [1, 4, 7], "a member reads");
    assert_eq!(seen(json!("reports"), &memory), [1, 2, 6, 7], "by owner alone");
    assert_eq!(seen(json!("department"), &memory), [1, 2], "by department alone");
}

#[test]
fn members_write_where_they_may_write() {
    let mut memory = office();
    let deal = entity(&SCHEMA, "deal");
    memory.members.insert((deal, id(4), id(7), false));
    memory.members.insert((deal, id(3), id(7), true));
    let me = amy();
    let grants = grants(&SCHEMA, &[on_deal(json!({"read": "own", "update": "own", "delete": "own"}))], &params(&me));
    let grant = grants.entity(deal);
    let of = |rows: &Predicate, number: usize| in_sight(&SCHEMA, deal, rows, &memory.records[&deal][number - 1], &memory);
    assert!(of(&grant.read, 3) && of(&grant.read, 4));
    assert!(of(&grant.update, 3) && !of(&grant.update, 4));
    assert!(!of(&grant.delete, 3), "a member deletes nothing");
    assert!(of(&grant.delete, 1));
}

#[test]
fn nobody_and_a_missing_value_match_nothing() {
    let memory = office();
    let deal = entity(&SCHEMA, "deal");
    for scope in [
        json!("own"),
        json!("reports"),
        json!("department"),
        json!("department_and_below"),
        json!({"filter": {"field": "owner", "op": "!=", "value": "$me"}}),
    ] {
        let grants = grants(&SCHEMA, &[on_deal(json!({"read": scope}))], &nobody());
        assert!(memory.records[&deal].iter().all(|cells| !in_sight(&SCHEMA, deal, &grants.entity(deal).read, cells, &memory)), "{scope}");
    }
}

#[test]
fn what_no_role_names_is_not_there() {
    let me = amy();
    for roles in [vec![], vec![on_deal(json!({"read": "all"}))]] {
        let grants = grants(&SCHEMA, &roles, &params(&me));
        for name in ["account", "note", "core.user", "core.department"] {
            let hidden = entity(&SCHEMA, name);
            assert!(!grants.sees(hidden), "{name}");
            assert_eq!(*grants.entity(hidden).update, Predicate::False);
            assert_eq!(grants.entity(hidden).create, Create::No);
            assert!(!grants.entity(hidden).export);
            assert!(grants.field(SCHEMA.entity(hidden), "name").is_none());
        }
    }
    let grants = grants(&SCHEMA, &[on_deal(json!({"read": "all"}))], &params(&me));
    let deal = grants.entity(entity(&SCHEMA, "deal"));
    assert_eq!((&*deal.update, &*deal.delete, &deal.create, deal.export), (&Predicate::False, &Predicate::False, &Create::No, false));
    assert!(!deal.may_change(field(&SCHEMA, entity(&SCHEMA, "deal"), "name")));
}

#[test]
fn all_rights_lack_nothing() {
    let grants = Grants::all(&SCHEMA);
    assert!(grants.is_all());
    for def in &SCHEMA.entities {
        assert!(grants.sees(def.id));
        assert!(def.fields.iter().all(|field| grants.entity(def.id).access(field.id) == Access::Write));
    }
}

#[test]
fn a_reference_and_an_any_reference_pass_rights_on() {
    let mut memory = Memory::of(&SCHEMA);
    memory.put("account", &json!({"id": id(1), "owner": id(7)}));
    memory.put("account", &json!({"id": id(2), "owner": id(5)}));
    let near = memory.put("deal", &json!({"id": id(10), "account": id(1)}));
    let far = memory.put("deal", &json!({"id": id(11), "account": id(2)}));
    let loose = memory.put("deal", &json!({"id": id(12)}));
    let own_note = memory.put("note", &json!({"about": {"entity": "sales.account", "id": id(1)}}));
    let other_note = memory.put("note", &json!({"about": {"entity": "sales.account", "id": id(2)}}));
    let me = amy();
    let rights = json!({"entities": {"account": {"read": "all", "update": "own"},
        "deal": {"read": {"through": "account", "needs": "update"}, "create": {"through": "account"}}, "note": {"read": {"through": "about", "needs": "update"}}}});
    let grants = grants(&SCHEMA, &[rights], &params(&me));
    let sees = |name: &str, cells: &Cells| in_sight(&SCHEMA, entity(&SCHEMA, name), &grants.entity(entity(&SCHEMA, name)).read, cells, &memory);
    assert!(sees("deal", &near) && !sees("deal", &far) && !sees("deal", &loose));
    assert!(sees("note", &own_note) && !sees("note", &other_note));
    assert!(matches!(grants.entity(entity(&SCHEMA, "deal")).create, Create::Through { .. }));
}

#[test]
fn lines_share_the_access_of_their_parent() {
    let mut memory = Memory::of(&SCHEMA);
    memory.put("deal", &json!({"id": id(10), "owner": id(7)}));
    memory.put("deal", &json!({"id": id(11), "owner": id(5)}));
    let own = memory.put("item", &json!({"deal": id(10)}));
    let other = memory.put("item", &json!({"deal": id(11)}));
    let me = amy();
    let grants = grants(&SCHEMA, &[on_deal(json!({"read": "all", "update": "own"}))], &params(&me));
    let item = entity(&SCHEMA, "item");
    let grant = grants.entity(item);
    let on = |rows: &Predicate, cells: &Cells| in_sight(&SCHEMA, item, rows, cells, &memory);
    assert!(on(&grant.read, &own) && on(&grant.read, &other));
    assert!(on(&grant.update, &own) && !on(&grant.update, &other));
    assert!(on(&grant.delete, &own) && !on(&grant.delete, &other), "who may change the parent may drop its lines");
    assert!(matches!(grant.create, Create::Through { .. }));
    assert!(grants.field(SCHEMA.entity(item), "quantity").is_some());
}

#[test]
fn a_ring_of_through_grants_nothing() {
    let app = json!({"app": {"name": "ring", "version": "1.0.0", "format": 1}, "entities": {
        "a": {"fields": {"b": {"kind": "reference", "to": "b"}}}, "b": {"fields": {"a": {"kind": "reference", "to": "a"}}}}});
    let schema = build(&[core(), app]).expect("compiles");
    let role = support::role(&json!({"entities": {"a": {"read": {"through": "b"}}, "b": {"read": {"through": "a"}}}}));
    let graph = rules::compute::Graph::build(&schema).expect("a graph");
    let grants = Grants::compile(&schema, graph.sources(), &[("ring", &role)], &nobody());
    let (a, b) = (entity(&schema, "a"), entity(&schema, "b"));
    let cells = record(&schema, a, &json!({"id": id(1), "b": id(2)}));
    assert!(!rules::eval::matches(&grants.entity(a).read, &schema, a, &cells, &rules::eval::NoLookup).expect("reads"));
    assert!(matches!(*grants.entity(b).read, Predicate::False | Predicate::Through(_)));
}

fn access(roles: &[Json], name: &str) -> Access {
    let me = amy();
    let deal = entity(&SCHEMA, "deal");
    grants(&SCHEMA, roles, &params(&me)).entity(deal).access(field(&SCHEMA, deal, name))
}

fn with_cost(right: &str) -> Json {
    on_deal(json!({"read": "all", "update": "all", "fields": {"cost": right}}))
}

#[test]
fn field_rights_are_the_widest_of_all_roles() {
    for (word, expected) in [("none", Access::Hidden), ("masked", Access::Masked), ("read", Access::Read), ("write", Access::Write)] {
        assert_eq!(access(&[with_cost(word)], "cost"), expected);
        assert_eq!(access(&[with_cost(word), with_cost("none")], "cost"), expected);
        assert_eq!(access(&[with_cost("none"), with_cost(word)], "cost"), expected);
        assert_eq!(access(&[with_cost(word), with_cost("write")], "cost"), Access::Write);
    }
    assert_eq!(access(&[with_cost("none"), on_deal(json!({"read": "own"}))], "cost"), Access::Write, "a role that does not name the field");
}

#[test]
fn sensitive_fields_are_masked_unless_a_role_says_more() {
    let me = amy();
    let account = entity(&SCHEMA, "account");
    let phone = field(&SCHEMA, account, "phone");
    let of = |rights: Json| grants(&SCHEMA, &[json!({"entities": {"account": rights}})], &params(&me)).entity(account).access(phone);
    assert_eq!(of(json!({"read": "all"})), Access::Masked);
    assert_eq!(of(json!({"read": "all", "fields": {"phone": "read"}})), Access::Read);
    assert_eq!(of(json!({"read": "all", "fields": {"phone": "none"}})), Access::Hidden);
}

#[test]
fn rights_that_depend_on_the_record_keep_both_scopes() {
    let rights = json!({"read": "all", "update": "all", "fields": {"cost": {"read": "own", "else": "masked"}}});
    let Access::Scoped { read, write, otherwise } = access(&[on_deal(rights)], "cost") else { panic!("by records") };
    assert_ne!(*read, Predicate::False);
    assert_ne!(*write, Predicate::False, "where nothing is said of writing, what is read may be written");
    assert_eq!(otherwise, FieldAccess::Masked);
    let written = json!({"read": "all", "update": "all", "fields": {"cost": {"write": "own", "else": "read"}}});
    let Access::Scoped { read, write, .. } = access(&[on_deal(written)], "cost") else { panic!("by records") };
    assert_eq!(read, write, "what is written is read");
}

#[test]
fn hidden_fields_are_answered_like_unknown_names() {
    let me = amy();
    let deal = entity(&SCHEMA, "deal");
    let grants = grants(
        &SCHEMA,
        &[json!({"entities": {"deal": {"read": "all", "fields": {"cost": "none", "account": "none"}}, "account": {"read": "all"}}})],
        &params(&me),
    );
    assert!(grants.field(SCHEMA.entity(deal), "cost").is_none());
    for (hidden, unknown) in [("cost", "cots_"), ("account", "xx"), ("account.name", "xx.name"), ("margin", "xx"), ("account_name", "xx")] {
        let a = resolve_path(&SCHEMA, deal, hidden, &grants, "/f").expect_err("hidden");
        let b = resolve_path(&SCHEMA, deal, unknown, &grants, "/f").expect_err("unknown");
        assert_eq!((a.code, &a.pointer), (b.code, &b.pointer), "{hidden}");
        assert_eq!(a.code, Code::UnknownField);
    }
    let account = entity(&SCHEMA, "account");
    assert!(resolve_relation(&SCHEMA, account, "deals", &grants, "/f").is_err(), "the relation exists for who sees the reference that makes it");
}

#[test]
fn masked_fields_cannot_be_compared_or_sorted() {
    let me = amy();
    let deal = entity(&SCHEMA, "deal");
    let grants = grants(&SCHEMA, &[with_cost("masked")], &params(&me));
    assert!(grants.field(SCHEMA.entity(deal), "cost").is_some());
    for json in [
        json!({"field": "cost", "op": ">", "value": 1}),
        json!({"field": "cost", "op": "is_empty"}),
        json!({"field": "amount", "op": ">", "value": {"field": "cost"}}),
    ] {
        assert!(TypedFilter::compile(&SCHEMA, deal, &filter(&json), &grants, "").is_err(), "{json}");
    }
    let moment = rules::query::Moment { today: support::now().date_naive(), now: support::now() };
    assert!(rules::query::parse_sort(&SCHEMA, deal, "cost", &grants, moment, "").is_err());
}

#[test]
fn what_is_made_from_hidden_fields_is_hidden_unless_granted_by_name() {
    for hidden in ["none", "masked"] {
        assert_eq!(access(&[with_cost(hidden)], "margin"), Access::Hidden);
        assert_eq!(access(&[with_cost(hidden)], "margin_rate"), Access::Hidden, "over two steps");
    }
    assert_ne!(access(&[with_cost("read")], "margin"), Access::Hidden);
    let named = on_deal(json!({"read": "all", "fields": {"cost": "none", "margin": "read"}}));
    assert_eq!(access(&[named], "margin"), Access::Read);
    assert_eq!(access(&[with_cost("none")], "account_name"), Access::Hidden, "the account is out of sight");
    let with_account = json!({"entities": {"deal": {"read": "all"}, "account": {"read": "own"}}});
    assert_ne!(access(std::slice::from_ref(&with_account), "account_name"), Access::Hidden);
    let masked_name = json!({"entities": {"deal": {"read": "all"}, "account": {"read": "all", "fields": {"name": "masked"}}}});
    assert_eq!(access(&[masked_name], "account_name"), Access::Hidden);
}

#[test]
fn rollups_are_hidden_with_what_they_add_up_and_filter_by() {
    let me = amy();
    let account = entity(&SCHEMA, "account");
    let of = |deal: Json, name: &str| {
        let grants = grants(&SCHEMA, &[json!({"entities": {"account": {"read": "all"}, "deal": deal}})], &params(&me));
        grants.field(SCHEMA.entity(account), name).is_some()
    };
    assert!(of(json!({"read": "own"}), "deals_total") && of(json!({"read": "own"}), "deals_won"));
    assert!(!of(json!({"read": "all", "fields": {"amount": "none"}}), "deals_total"));
    assert!(of(json!({"read": "all", "fields": {"amount": "none"}}), "deals_won"));
    assert!(!of(json!({"read": "all", "fields": {"stage": "none"}}), "deals_won"));
    assert!(!of(json!({"read": "all", "fields": {"account": "none"}}), "deals_won"));
    let alone = grants(&SCHEMA, &[json!({"entities": {"account": {"read": "all"}}})], &params(&me));
    assert!(alone.field(SCHEMA.entity(account), "deals_total").is_none(), "the deals are not there at all");
}

#[test]
fn roles_reach_other_apps_by_qualified_names() {
    let me = amy();
    let qualified = grants(&SCHEMA, &[json!({"entities": {"core.user": {"read": "all"}}})], &params(&me));
    assert!(qualified.sees(entity(&SCHEMA, "core.user")));
    let bare = grants(&SCHEMA, &[json!({"entities": {"user": {"read": "all"}}})], &params(&me));
    assert!(!bare.sees(entity(&SCHEMA, "core.user")));
}

// ---- Rights of several roles add up.

fn any_scope() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!("none")),
        Just(json!("own")),
        Just(json!("reports")),
        Just(json!("department")),
        Just(json!("department_and_below")),
        Just(json!("all")),
        Just(json!({"filter": {"field": "name", "op": "=", "value": "$me.region"}})),
        Just(json!({"filter": {"field": "owner", "op": "!=", "value": "$me"}})),
    ]
}

fn any_role() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(vec!["none", "masked", "read", "write"]);
    let otherwise = prop::sample::select(vec!["none", "masked", "read"]);
    let scoped = (any_scope(), any_scope(), otherwise).prop_map(|(read, write, otherwise)| json!({"read": read, "write": write, "else": otherwise}));
    let right = prop_oneof![word.prop_map(|word| json!(word)), scoped];
    (any_scope(), any_scope(), any::<bool>(), any::<bool>(), prop::option::of(right)).prop_map(|(read, update, create, export, cost)| {
        let mut rights = json!({"read": read, "update": update, "create": create, "export": export});
        if let Some(cost) = cost {
            rights["fields"] = json!({"cost": cost});
        }
        on_deal(rights)
    })
}

/// How much of a field a person has on one record: 0 nothing, 1 masked, 2 read, 3 written.
fn strength(grants: &Grants, cells: &Cells, memory: &Memory) -> u8 {
    let deal = entity(&SCHEMA, "deal");
    let word = |word: FieldAccess| match word {
        FieldAccess::None => 0,
        FieldAccess::Masked => 1,
        FieldAccess::Read => 2,
        FieldAccess::Write => 3,
    };
    match grants.entity(deal).access(field(&SCHEMA, deal, "cost")) {
        Access::Hidden => 0,
        Access::Masked => 1,
        Access::Read => 2,
        Access::Write => 3,
        Access::Scoped { write, .. } if in_sight(&SCHEMA, deal, &write, cells, memory) => 3,
        Access::Scoped { read, otherwise, .. } if in_sight(&SCHEMA, deal, &read, cells, memory) => word(otherwise).max(2),
        Access::Scoped { otherwise, .. } => word(otherwise),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn another_role_never_takes_a_right_away(a in any_role(), b in any_role(), number in 0_usize..6) {
        let (memory, me) = (office(), amy());
        let deal = entity(&SCHEMA, "deal");
        let cells = &memory.records[&deal][number];
        let params = params(&me);
        let (one, two) = (grants(&SCHEMA, std::slice::from_ref(&a), &params), grants(&SCHEMA, &[a, b], &params));
        let (before, after) = (one.entity(deal), two.entity(deal));
        let on = |rows: &Predicate| in_sight(&SCHEMA, deal, rows, cells, &memory);
        prop_assert!(on(&after.read) || !on(&before.read));
        prop_assert!(on(&after.update) || !on(&before.update));
        prop_assert!(after.export || !before.export);
        prop_assert!(after.create == Create::Yes || before.create != Create::Yes);
        prop_assert!(!one.sees(deal) || two.sees(deal));
        prop_assert!(strength(&two, cells, &memory) >= strength(&one, cells, &memory), "{:?} then {:?}", before.access(field(&SCHEMA, deal, "cost")), after.access(field(&SCHEMA, deal, "cost")));
    }

    #[test]
    fn the_order_of_roles_does_not_matter(a in any_role(), b in any_role(), number in 0_usize..6) {
        let (memory, me) = (office(), amy());
        let deal = entity(&SCHEMA, "deal");
        let cells = &memory.records[&deal][number];
        let params = params(&me);
        let (one, two) = (grants(&SCHEMA, &[a.clone(), b.clone()], &params), grants(&SCHEMA, &[b, a], &params));
        let on = |rows: &Predicate| in_sight(&SCHEMA, deal, rows, cells, &memory);
        prop_assert_eq!(on(&one.entity(deal).read), on(&two.entity(deal).read));
        prop_assert_eq!(on(&one.entity(deal).update), on(&two.entity(deal).update));
        prop_assert_eq!(strength(&one, cells, &memory), strength(&two, cells, &memory));
    }
}
