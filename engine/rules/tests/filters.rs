//! In charge of what filters mean: the laws of the page on semantics, held against a plain model.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod support;

use std::sync::Arc;

use model::Cells;
use rules::query::{Column, Moment, Params, Predicate, SystemView, TypedFilter, View, parse_sort};
use serde_json::{Value as Json, json};
use support::{Memory, SCHEMA, entity, filter, fits, id, nobody, now, record};

fn deal(values: &Json) -> Cells {
    record(&SCHEMA, entity(&SCHEMA, "deal"), values)
}

fn holds(json: &Json, values: &Json) -> bool {
    fits(&SCHEMA, "deal", json, &nobody(), &deal(values), &Memory::of(&SCHEMA))
}

fn leaf(field: &str, op: &str, value: Json) -> Json {
    json!({"field": field, "op": op, "value": value})
}

fn test(field: &str, op: &str) -> Json {
    json!({"field": field, "op": op})
}

fn not(inner: &Json) -> Json {
    json!({"not": inner})
}

/// The first fault's message of a filter that does not compile.
fn refused(json: &Json) -> String {
    let parsed = match model::Filter::parse(json, "") {
        Ok(parsed) => parsed,
        Err(faults) => return faults[0].wording.text("en"),
    };
    match TypedFilter::compile(&SCHEMA, entity(&SCHEMA, "deal"), &parsed, &SystemView, "") {
        Ok(_) => panic!("{json} compiles"),
        Err(faults) => faults[0].wording.text("en"),
    }
}

#[test]
fn everything_and_nothing() {
    assert!(holds(&json!({"all": []}), &json!({})));
    assert!(!holds(&json!({"any": []}), &json!({})));
    assert!(!holds(&not(&json!({"all": []})), &json!({})));
    assert!(holds(&not(&json!({"any": []})), &json!({})));
}

#[test]
fn empty_values_fail_comparisons_but_not_their_opposites() {
    let empty = json!({});
    for (field, value) in
        [("name", json!("a")), ("amount", json!(1)), ("source", json!("web")), ("stage", json!("won")), ("due", json!("2026-01-01"))]
    {
        assert!(!holds(&leaf(field, "=", value.clone()), &empty), "{field} =");
        assert!(holds(&leaf(field, "!=", value.clone()), &empty), "{field} !=");
        assert!(!holds(&leaf(field, "in", json!([value.clone()])), &empty), "{field} in");
        assert!(holds(&leaf(field, "not_in", json!([value.clone()])), &empty), "{field} not_in");
        assert!(holds(&not(&leaf(field, "=", value.clone())), &empty), "{field} not =");
        assert!(holds(&test(field, "is_empty"), &empty), "{field} is_empty");
        assert!(!holds(&test(field, "is_set"), &empty), "{field} is_set");
    }
    for op in ["<", "<=", ">", ">="] {
        assert!(!holds(&leaf("amount", op, json!(1)), &empty), "{op}");
    }
    assert!(!holds(&leaf("amount", "between", json!([0, 9])), &empty));
    assert!(!holds(&leaf("tags", "contains", json!("a")), &empty));
    assert!(holds(&leaf("tags", "not_contains", json!("a")), &empty));
    assert!(!holds(&leaf("name", "contains", json!("a")), &empty));
    assert!(holds(&leaf("name", "not_contains", json!("a")), &empty));
}

#[test]
fn lists_of_nothing_match_nothing() {
    for values in [json!({}), json!({"name": "a"})] {
        assert!(!holds(&leaf("name", "in", json!([])), &values));
        assert!(holds(&leaf("name", "not_in", json!([])), &values));
    }
}

#[test]
fn null_is_no_operand() {
    for op in ["=", "!=", "<"] {
        refused(&leaf("amount", op, Json::Null));
    }
    refused(&leaf("amount", "in", json!([1, null])));
    refused(&json!({"field": "amount", "op": "="}));
    refused(&json!({"field": "amount", "op": "is_empty", "value": 1}));
}

#[test]
fn text_compares_without_case_and_form() {
    let values = json!({"name": "CAFE\u{301} Straße"});
    assert!(holds(&leaf("name", "=", json!("café strasse")), &values));
    assert!(holds(&leaf("name", "in", json!(["x", "Café STRASSE"])), &values));
    assert!(holds(&leaf("name", "contains", json!("É S")), &values));
    assert!(holds(&leaf("name", "starts_with", json!("caf")), &values));
    assert!(holds(&leaf("name", "ends_with", json!("SSE")), &values));
    assert!(!holds(&leaf("name", "=", json!("cafe strasse")), &values));
    assert!(!holds(&leaf("name", "=", json!("café")), &values));
    let percent = json!({"name": "100% _ok_ \\ 'quoted'"});
    for part in ["%", "_ok", "\\", "'q"] {
        assert!(holds(&leaf("name", "contains", json!(part)), &percent), "{part}");
    }
    assert!(!holds(&leaf("name", "contains", json!("1_0")), &percent));
}

#[test]
fn wrong_names_operators_and_kinds_are_refused() {
    assert!(refused(&leaf("amoutn", "=", json!(1))).contains("amount"), "names the likely field");
    refused(&leaf("amount", "contains", json!("1")));
    refused(&leaf("name", "<", json!("a")));
    refused(&leaf("amount", "=", json!("much")));
    refused(&leaf("due", "=", json!("soon")));
    refused(&leaf("due", "within", json!("this_day")));
    refused(&leaf("source", "=", json!("letter")));
    refused(&leaf("amount", "between", json!([1])));
    refused(&leaf("amount", "in", json!(1)));
    refused(&leaf("account.nam", "=", json!("a")));
    refused(&leaf("name.first", "=", json!("a")));
    refused(&leaf("account", "=", json!("$you")));
    refused(&leaf("amount", "=", json!("$me")));
    refused(&json!({"some": "account"}));
    refused(&json!({"some": "items", "where": leaf("quantitty", "=", json!(1))}));
    refused(&leaf("amount", ">", json!({"field": "name"})));
    refused(&json!({"field": "amount", "op": "~", "value": 1}));
    refused(&json!({"field": "amount", "op": "=", "value": 1, "extra": 1}));
}

#[test]
fn every_fault_is_told_with_its_pointer() {
    let json = json!({"all": [leaf("nope", "=", json!(1)), {"not": {"any": [leaf("amount", "=", json!("x")), leaf("due", "in", json!(["2026-01-01", "x"]))]}}]});
    let faults = TypedFilter::compile(&SCHEMA, entity(&SCHEMA, "deal"), &filter(&json), &SystemView, "/filter").expect_err("faults");
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/filter/all/0/field", "/filter/all/1/not/any/0/value", "/filter/all/1/not/any/1/value/1"]);
}

#[test]
fn depth_and_leaves_are_limited() {
    let mut deep = leaf("amount", "=", json!(1));
    for _ in 0..8 {
        deep = not(&deep);
    }
    assert!(model::Filter::parse(&deep, "").is_err());
    let wide = json!({"any": vec![leaf("amount", "=", json!(1)); 201]});
    assert!(model::Filter::parse(&wide, "").is_err());
    let right = json!({"any": vec![leaf("amount", "=", json!(1)); 200]});
    assert!(model::Filter::parse(&right, "").is_ok());
}

fn person<'a>(cells: Option<&'a Cells>) -> Params<'a> {
    Params { me: Some(id(7)), me_cells: cells, ..nobody() }
}

#[test]
fn a_placeholder_without_a_value_is_false_in_either_polarity() {
    let memory = Memory::of(&SCHEMA);
    let user = record(&SCHEMA, entity(&SCHEMA, "core.user"), &json!({"id": id(7), "name": "Amy"}));
    let values = deal(&json!({"name": "x", "owner": id(7)}));
    for json in [leaf("name", "=", json!("$me.region")), leaf("name", "!=", json!("$me.region")), leaf("name", "contains", json!("$me.region"))] {
        for wrapped in
            [json.clone(), not(&json), not(&not(&json)), json!({"all": [json]}), not(&json!({"all": [json]})), not(&json!({"any": [json]}))]
        {
            assert!(!fits(&SCHEMA, "deal", &wrapped, &person(Some(&user)), &values, &memory), "{wrapped}");
        }
    }
    for json in [
        leaf("owner", "=", json!("$me")),
        leaf("owner", "!=", json!("$me")),
        leaf("owner", "in", json!("$my_reports")),
        leaf("owner", "not_in", json!("$my_reports")),
    ] {
        for wrapped in [json.clone(), not(&json)] {
            assert!(!fits(&SCHEMA, "deal", &wrapped, &nobody(), &values, &memory), "{wrapped}");
        }
    }
}

#[test]
fn placeholders_stand_for_the_person_the_record_and_the_time() {
    let memory = Memory::of(&SCHEMA);
    let user = record(&SCHEMA, entity(&SCHEMA, "core.user"), &json!({"id": id(7), "region": "NORTH", "limit": 5, "department": id(70)}));
    let (reports, below) = ([id(8), id(9)], [id(70), id(71)]);
    let params = Params { departments_below: &below, reports: &reports, ..person(Some(&user)) };
    let yes = |json: Json, values: Json| assert!(fits(&SCHEMA, "deal", &json, &params, &deal(&values), &memory), "{json} on {values}");
    let no = |json: Json, values: Json| assert!(!fits(&SCHEMA, "deal", &json, &params, &deal(&values), &memory), "{json} on {values}");
    yes(leaf("owner", "=", json!("$me")), json!({"owner": id(7)}));
    no(leaf("owner", "=", json!("$me")), json!({"owner": id(8)}));
    yes(leaf("owner", "in", json!("$my_reports")), json!({"owner": id(8)}));
    no(leaf("owner", "in", json!("$my_reports")), json!({"owner": id(7)}));
    yes(leaf("owner", "in", json!(["$me", "$my_reports"])), json!({"owner": id(7)}));
    yes(leaf("department", "=", json!("$my_department")), json!({"department": id(70)}));
    no(leaf("department", "=", json!("$my_department")), json!({"department": id(71)}));
    yes(leaf("department", "in", json!("$my_department_and_below")), json!({"department": id(71)}));
    yes(leaf("name", "=", json!("$me.region")), json!({"name": "north"}));
    yes(leaf("amount", ">", json!("$me.limit")), json!({"amount": 5.01}));
    yes(leaf("due", "=", json!("$today")), json!({"due": "2026-03-18"}));
    yes(leaf("at", "<", json!("$now")), json!({"at": "2026-03-18T09:59:59Z"}));
    no(leaf("at", "<", json!("$now")), json!({"at": "2026-03-18T10:00:00Z"}));
    yes(leaf("watchers", "contains", json!("$me")), json!({"watchers": [id(7)]}));
    let here = deal(&json!({"amount": 4, "name": "One"}));
    let params = Params { record: Some((entity(&SCHEMA, "deal"), &here)), ..nobody() };
    assert!(fits(&SCHEMA, "deal", &leaf("amount", ">", json!("$record.amount")), &params, &deal(&json!({"amount": 4.01})), &memory));
    assert!(fits(&SCHEMA, "deal", &leaf("name", "=", json!("$record.name")), &params, &deal(&json!({"name": "oNE"})), &memory));
}

#[test]
fn a_day_beside_a_moment_is_the_whole_day_of_the_person() {
    let params = Params { zone: chrono_tz::Asia::Shanghai, ..nobody() };
    let memory = Memory::of(&SCHEMA);
    let at = |moment: &str, op: &str, value: Json| fits(&SCHEMA, "deal", &leaf("at", op, value), &params, &deal(&json!({"at": moment})), &memory);
    // 2026-03-18 in Shanghai is from 16:00 UTC the day before.
    for (moment, inside) in
        [("2026-03-17T15:59:59Z", false), ("2026-03-17T16:00:00Z", true), ("2026-03-18T15:59:59Z", true), ("2026-03-18T16:00:00Z", false)]
    {
        assert_eq!(at(moment, "=", json!("2026-03-18")), inside, "= {moment}");
        assert_eq!(at(moment, "!=", json!("2026-03-18")), !inside, "!= {moment}");
        assert_eq!(at(moment, "between", json!(["2026-03-18", "2026-03-18"])), inside, "between {moment}");
        assert_eq!(at(moment, "within", json!("today")), inside, "within {moment}");
        assert_eq!(at(moment, "in", json!(["2026-03-18"])), inside, "in {moment}");
    }
    assert!(at("2026-03-18T15:59:59Z", "<=", json!("2026-03-18")));
    assert!(!at("2026-03-18T15:59:59Z", ">", json!("2026-03-18")));
    assert!(at("2026-03-18T16:00:00Z", ">", json!("2026-03-18")));
    assert!(!at("2026-03-17T16:00:00Z", "<", json!("2026-03-18")));
    assert!(at("2026-03-17T15:59:59Z", "<", json!("2026-03-18")));
}

#[test]
fn numbers_that_a_column_cannot_hold_still_compare() {
    for (op, value, small, large) in
        [("<", json!(2.5), true, false), ("<=", json!(2.5), true, false), (">", json!(2.5), false, true), (">=", json!(2.5), false, true)]
    {
        assert_eq!(holds(&leaf("count", op, value.clone()), &json!({"count": 2})), small, "{op}");
        assert_eq!(holds(&leaf("count", op, value), &json!({"count": 3})), large, "{op}");
    }
    assert!(!holds(&leaf("count", "=", json!(2.5)), &json!({"count": 2})));
    assert!(holds(&leaf("count", "!=", json!(2.5)), &json!({"count": 2})));
    assert!(holds(&leaf("amount", "=", json!("2.50")), &json!({"amount": 2.5})));
    assert!(holds(&leaf("amount", "<", json!("99999999999999999999")), &json!({"amount": "9999999999999999.99"})));
}

#[test]
fn fields_compare_with_each_other() {
    let later = leaf("due", ">", json!({"field": "start"}));
    assert!(holds(&later, &json!({"start": "2026-01-01", "due": "2026-01-02"})));
    assert!(!holds(&later, &json!({"start": "2026-01-02", "due": "2026-01-02"})));
    assert!(!holds(&later, &json!({"due": "2026-01-02"})));
    assert!(holds(&not(&later), &json!({"due": "2026-01-02"})));
    assert!(holds(&leaf("due", "!=", json!({"field": "start"})), &json!({"due": "2026-01-02"})));
    assert!(holds(&leaf("amount", ">", json!({"field": "count"})), &json!({"amount": 2.5, "count": 2})));
}

#[test]
fn a_formula_on_the_clock_is_compared_as_of_now() {
    let old = leaf("age", ">", json!(10));
    assert!(holds(&old, &json!({"start": "2026-03-01"})), "17 days until today");
    assert!(!holds(&old, &json!({"start": "2026-03-01", "due": "2026-03-05"})));
    assert!(holds(&test("age", "is_empty"), &json!({})));
    assert!(!holds(&old, &json!({})));
    let typed = support::typed(&SCHEMA, entity(&SCHEMA, "deal"), &old);
    assert!(typed.uses_clock() && !typed.uses_person());
}

fn family() -> (Memory, Arc<Cells>, Arc<Cells>) {
    let mut memory = Memory::of(&SCHEMA);
    memory.put("account", &json!({"id": id(1), "name": "Acme", "size": 5}));
    memory.put("account", &json!({"id": id(2), "name": "Binned", "deleted_at": "2026-01-01T00:00:00Z"}));
    let full = memory.put("deal", &json!({"id": id(10), "account": id(1)}));
    let bare = memory.put("deal", &json!({"id": id(11), "account": id(2)}));
    memory.put("item", &json!({"id": id(100), "deal": id(10), "quantity": 1}));
    memory.put("item", &json!({"id": id(101), "deal": id(10), "quantity": 5}));
    memory.put("item", &json!({"id": id(102), "deal": id(10), "quantity": 9, "deleted_at": "2026-01-01T00:00:00Z"}));
    (memory, full, bare)
}

#[test]
fn related_records_are_quantified() {
    let (memory, full, bare) = family();
    let on = |json: Json, cells: &Cells| fits(&SCHEMA, "deal", &json, &nobody(), cells, &memory);
    let few = leaf("quantity", "<", json!(3));
    let many = leaf("quantity", ">", json!(6));
    assert!(on(json!({"some": "items"}), &full) && !on(json!({"some": "items"}), &bare));
    assert!(!on(json!({"none": "items"}), &full) && on(json!({"none": "items"}), &bare));
    assert!(on(json!({"some": "items", "where": few}), &full));
    assert!(!on(json!({"some": "items", "where": many}), &full), "a binned row does not count");
    assert!(on(json!({"none": "items", "where": many}), &full));
    assert!(!on(json!({"every": "items", "where": few}), &full));
    assert!(on(json!({"every": "items", "where": leaf("quantity", "<", json!(6))}), &full));
    assert!(on(json!({"every": "items", "where": few}), &bare), "every holds on no rows");
    for json in [json!({"some": "items", "where": few}), json!({"none": "items", "where": few}), json!({"every": "items", "where": few})] {
        for cells in [&full, &bare] {
            assert_ne!(on(json.clone(), cells), on(not(&json), cells), "{json}");
        }
    }
}

#[test]
fn a_binned_target_counts_as_empty() {
    let (memory, full, bare) = family();
    let on = |json: Json, cells: &Cells| fits(&SCHEMA, "deal", &json, &nobody(), cells, &memory);
    assert!(on(leaf("account.name", "=", json!("acme")), &full));
    assert!(!on(leaf("account.name", "=", json!("binned")), &bare));
    assert!(on(leaf("account.name", "!=", json!("binned")), &bare));
    assert!(on(test("account.name", "is_empty"), &bare));
}

/// A caller who sees small accounts only.
struct Narrow;

impl View for Narrow {
    fn field<'s>(&self, entity: &'s model::EntityDef, name: &str) -> Option<&'s model::FieldDef> {
        entity.find(name).filter(|field| field.name != *"cost")
    }

    fn entity(&self, entity: &model::EntityDef) -> bool {
        entity.name.as_str() != "sales.note"
    }

    fn rows(&self, there: model::EntityId) -> Arc<Predicate> {
        if there == entity(&SCHEMA, "account") {
            return Arc::new(support::typed(&SCHEMA, there, &leaf("size", "<", json!(5))).bind(&SCHEMA, &nobody()));
        }
        if there == entity(&SCHEMA, "item") {
            return Arc::new(support::typed(&SCHEMA, there, &leaf("quantity", ">", json!(3))).bind(&SCHEMA, &nobody()));
        }
        Arc::new(Predicate::True)
    }
}

#[test]
fn what_is_out_of_sight_counts_as_empty_on_every_hop() {
    let (memory, full, _) = family();
    let deal = entity(&SCHEMA, "deal");
    let on = |json: Json| {
        let typed = TypedFilter::compile(&SCHEMA, deal, &filter(&json), &Narrow, "").expect("compiles");
        rules::eval::matches(&typed.bind(&SCHEMA, &nobody()), &SCHEMA, deal, &full, &memory).expect("reads")
    };
    assert!(!on(leaf("account.name", "=", json!("acme"))));
    assert!(on(leaf("account.name", "!=", json!("acme"))));
    assert!(on(test("account.name", "is_empty")));
    assert!(!on(json!({"some": "items", "where": leaf("quantity", "=", json!(1))})));
    assert!(on(json!({"every": "items", "where": leaf("quantity", "=", json!(5))})));
    let hidden = TypedFilter::compile(&SCHEMA, deal, &filter(&leaf("cost", "=", json!(1))), &Narrow, "").expect_err("hidden");
    let missing = TypedFilter::compile(&SCHEMA, deal, &filter(&leaf("cots", "=", json!(1))), &Narrow, "").expect_err("missing");
    assert_eq!((hidden[0].code, &hidden[0].pointer), (missing[0].code, &missing[0].pointer));
    assert!(!missing[0].wording.text("en").contains("cost"), "no hint at what is hidden");
}

#[test]
fn trees_include_their_top() {
    let mut memory = Memory::of(&SCHEMA);
    for (number, above) in [(70, None), (71, Some(70)), (72, Some(71)), (80, None)] {
        memory.put("core.department", &json!({"id": id(number), "parent": above.map(id)}));
    }
    let under = |department: u128, top: u128| {
        let cells = deal(&json!({"department": id(department)}));
        fits(&SCHEMA, "deal", &leaf("department", "under", json!(id(top))), &nobody(), &cells, &memory)
    };
    assert!(under(70, 70) && under(71, 70) && under(72, 70));
    assert!(!under(70, 71) && !under(80, 70));
    let empty = deal(&json!({}));
    assert!(!fits(&SCHEMA, "deal", &leaf("department", "under", json!(id(70))), &nobody(), &empty, &memory));
    refused(&leaf("account", "under", json!(id(1))));
}

#[test]
fn orders_are_read_with_their_columns() {
    let deal = entity(&SCHEMA, "deal");
    let moment = Moment { today: now().date_naive(), now: now() };
    let sorts = parse_sort(&SCHEMA, deal, "-amount, name,stage,age,account.name", &SystemView, moment, "/sort").expect("an order");
    let ways: Vec<bool> = sorts.iter().map(|sort| sort.descending).collect();
    assert_eq!(ways, [true, false, false, false, false]);
    let def = SCHEMA.entity(deal);
    let Column::Slot(slot) = sorts[1].column else { panic!("a column") };
    assert_eq!(def.columns[slot].purpose, model::field::ColumnUse::Sort, "texts sort by their key");
    assert_eq!(sorts[2].options.as_deref(), Some(&["open", "offer", "won", "lost"].map(str::to_owned)[..]));
    assert!(matches!(sorts[3].column, Column::Clock(..)));
    assert_eq!(sorts[4].path.hops.len(), 1);
    for wrong in ["nope", "tags", "items", "account.nope", "-"] {
        assert!(parse_sort(&SCHEMA, deal, wrong, &SystemView, moment, "/sort").is_err(), "{wrong}");
    }
}
