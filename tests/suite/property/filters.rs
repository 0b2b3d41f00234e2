//! In charge of the promise that a filter means the same in memory and in SQL, on both databases.
//! Invariant: for any filter that compiles, the rows that the database gives are those that the oracle lets through.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use model::doc::App;
use model::field::{AcceptContext, ColumnUse};
use model::schema::Layout;
use model::{Cells, EntityId, FieldId, Filter, Input, Name, Schema, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rules::eval::{HostFault, Lookup, matches, points_at};
use rules::query::{Params, Predicate, RelatedVia, SystemView, TypedFilter};
use serde_json::{Map, Value as Json, json};
use store::{Binned, Fault, Plan, Select, Store};
use tests::backend::{Backend, with_database};
use uuid::Uuid;

use tests::chance::Chance;

static NO_SETTINGS: LazyLock<Map<String, Json>> = LazyLock::new(Map::new);

/// One field of each kind that can be filtered, a tree, a reference, many references, and what points here.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let core = json!({"app": {"name": "core", "version": "1.0.0", "format": 1}, "entities": {
        "user": {"department": "kept", "fields": {"name": {"kind": "text"}, "manager": {"kind": "reference", "to": "user", "tree": true, "inverse": "team"}}},
        "department": {"fields": {"name": {"kind": "text"}, "parent": {"kind": "reference", "to": "department", "tree": true, "inverse": "children"}}}}});
    let probe = json!({"app": {"name": "probe", "version": "1.0.0", "format": 1, "currency": "EUR"}, "entities": {
        "thing": {"owner": "optional", "title": "{{ name }}", "fields": {
            "name": {"kind": "text"},
            "story": {"kind": "long_text"},
            "count": {"kind": "integer"},
            "weight": {"kind": "decimal", "scale": 3},
            "price": {"kind": "money"},
            "share": {"kind": "percent"},
            "day": {"kind": "date"},
            "last_day": {"kind": "date"},
            "moment": {"kind": "datetime"},
            "hour": {"kind": "time"},
            "done": {"kind": "boolean"},
            "colour": {"kind": "choice", "options": {"red": {}, "green": {}, "blue": {}}},
            "sizes": {"kind": "choices", "options": {"s": {}, "m": {}, "l": {}}},
            "words": {"kind": "tags"},
            "mail": {"kind": "email"},
            "above": {"kind": "reference", "to": "thing", "tree": true, "inverse": "below_it"},
            "place": {"kind": "reference", "to": "place", "inverse": "things"},
            "places": {"kind": "references", "to": "place"},
            "age": {"kind": "formula", "result": "integer", "expr": "days_between(day, last_day ?? today())"}}},
        "place": {"fields": {"name": {"kind": "text"}, "size": {"kind": "integer"}, "opened": {"kind": "date"}}}}});
    let apps: IndexMap<Name, Arc<App>> = [core, probe]
        .iter()
        .map(|json| {
            let app: App = serde_json::from_value(json.clone()).expect("an app");
            (Name::parse(&app.app.name).expect("a name"), Arc::new(app))
        })
        .collect();
    model::schema::build(&apps, &Layout::default(), &rules::expr::is_on_read, &model::field::sealed::no_key())
        .unwrap_or_else(|faults| panic!("{faults:?}"))
});

fn now() -> DateTime<Utc> {
    "2026-03-18T10:00:00Z".parse().expect("a moment")
}

fn entity(name: &str) -> EntityId {
    SCHEMA.find(name).unwrap_or_else(|| panic!("no entity {name}")).id
}

fn me() -> Uuid {
    Uuid::from_u128(0x7000)
}

/// A record as the engine would make it: with folded and sorted twins.
fn cells(entity: EntityId, values: &Json) -> Cells {
    let def = SCHEMA.entity(entity);
    let mut cells = def.empty();
    for (name, json) in values.as_object().expect("values by field").iter().filter(|(_, json)| !json.is_null()) {
        let field = def.find(name).unwrap_or_else(|| panic!("no field {name}"));
        let typed = field.typed.as_ref().unwrap_or_else(|| panic!("{name} holds no values"));
        let made =
            typed.accept(&Input::from(json), &AcceptContext { now: now(), sibling: &|_| None }).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        let text = made.first().and_then(Value::as_text).map(str::to_owned);
        let mut made = made.into_iter();
        for slot in field.slots.clone() {
            cells[slot] = match def.columns[slot].purpose {
                ColumnUse::Value | ColumnUse::Part => made.next().unwrap_or_default(),
                ColumnUse::Fold => text.as_deref().map(|text| Value::text(&model::text::fold(text))).unwrap_or_default(),
                ColumnUse::Sort => text.as_deref().map(|text| Value::Bytes(rules::keys::sort_key(text).into())).unwrap_or_default(),
            };
        }
    }
    cells
}

const WORDS: &[&str] = &[
    "Acme",
    "ACME",
    "acme corp",
    "Ärger",
    "a\u{308}rger",
    "straße",
    "STRASSE",
    "İzmir",
    "ızgara",
    "张三",
    "張三",
    "100%",
    "a_b",
    "a\\b",
    "'; --",
    "x",
    "é",
    "e\u{301}",
    "日本",
];
const DAYS: &[&str] = &[
    "2026-03-18",
    "2026-03-17",
    "2026-03-19",
    "2026-03-16",
    "2026-03-15",
    "2026-03-01",
    "2026-02-28",
    "2026-04-01",
    "2025-12-31",
    "2026-01-01",
    "2024-02-29",
    "2026-12-31",
];
const MOMENTS: &[&str] = &[
    "2026-03-18T10:00:00Z",
    "2026-03-18T00:00:00Z",
    "2026-03-17T23:59:59.999999Z",
    "2026-03-17T16:00:00Z",
    "2026-03-18T15:59:59Z",
    "2026-03-18T16:00:00Z",
    "2026-01-01T00:00:00Z",
];
const NUMBERS: &[&str] = &["0", "1", "-1", "2", "10", "9", "0.001", "0.1", "-0.1", "99.999", "100", "1000000"];

fn chance_of(chance: &mut Chance, values: &[&str]) -> Json {
    if chance.once_in(4) { Json::Null } else { json!(chance.of(values)) }
}

/// The rows of both entities: places, then things.
fn rows() -> (Vec<Cells>, Vec<Cells>) {
    let mut chance = Chance::new(7);
    let place_ids: Vec<Uuid> = (0..8).map(|n| Uuid::from_u128(0x100 + n)).collect();
    let places = place_ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let gone = if n == 3 { json!("2026-03-01T00:00:00Z") } else { Json::Null };
            let size = if n == 5 { Json::Null } else { json!(n) };
            let made = json!({"id": id, "version": 1, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "deleted_at": gone,
                "name": chance_of(&mut chance, WORDS), "size": size, "opened": chance_of(&mut chance, DAYS)});
            cells(entity("probe.place"), &made)
        })
        .collect();
    let thing_ids: Vec<Uuid> = (0..80).map(|n| Uuid::from_u128(0x1000 + n)).collect();
    let things = thing_ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let whole = ["0", "1", "-1", "2", "10", "9", "-5", "7"];
            let above = if n > 0 && !chance.once_in(3) { json!(thing_ids[chance.below(n)]) } else { Json::Null };
            let place = if chance.once_in(4) { Json::Null } else { json!(chance.of(&place_ids)) };
            let mut list = |values: &[&str]| -> Json {
                let picked: BTreeSet<&str> = (0..chance.below(4)).map(|_| *chance.of(values)).collect();
                json!(picked)
            };
            let (sizes, words) = (list(&["s", "m", "l"]), list(&["red", "Red hot", "blue", "张"]));
            let many: BTreeSet<Uuid> = (0..chance.below(3)).map(|_| *chance.of(&place_ids)).collect();
            let made = json!({
                "id": id, "version": 1, "created_at": chance.of(MOMENTS), "updated_at": "2026-03-18T09:00:00Z",
                "deleted_at": if n % 11 == 10 { json!("2026-03-01T00:00:00Z") } else { Json::Null },
                "owner": if chance.once_in(3) { json!(me()) } else { Json::Null },
                "name": chance_of(&mut chance, WORDS), "story": chance_of(&mut chance, WORDS), "count": chance_of(&mut chance, &whole),
                "weight": chance_of(&mut chance, NUMBERS), "price": chance_of(&mut chance, &["0", "1", "-1", "10", "0.01", "99.99"]), "share": chance_of(&mut chance, &["0", "15", "100"]),
                "day": chance_of(&mut chance, DAYS), "last_day": chance_of(&mut chance, DAYS), "moment": chance_of(&mut chance, MOMENTS),
                "hour": chance_of(&mut chance, &["00:00", "09:30", "23:59"]),
                "done": if chance.once_in(3) { Json::Null } else { json!(chance.once_in(2)) },
                "colour": chance_of(&mut chance, &["red", "green", "blue"]), "sizes": sizes, "words": words,
                "mail": chance_of(&mut chance, &["a@example.com", "B@Example.com"]), "above": above, "place": place, "places": many});
            cells(entity("probe.thing"), &made)
        })
        .collect();
    (places, things)
}

/// The rows in memory.
struct Memory(HashMap<EntityId, Vec<Arc<Cells>>>);

impl Memory {
    fn slot(entity: EntityId, name: &str, cells: &Cells) -> Value {
        cells[SCHEMA.entity(entity).slot(name).expect("a slot")].clone()
    }
}

impl Lookup for Memory {
    fn get(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, HostFault> {
        Ok(self.0.get(&entity).into_iter().flatten().find(|cells| Self::slot(entity, "id", cells) == Value::Uuid(id)).cloned())
    }

    fn related(&self, via: &RelatedVia, id: Uuid) -> Result<Vec<Arc<Cells>>, HostFault> {
        let all = self.0.get(&via.entity()).into_iter().flatten();
        let live = all.filter(|cells| Self::slot(via.entity(), "deleted_at", cells).is_null());
        if let RelatedVia::References(field, from) = via {
            let def = SCHEMA.entity(*from);
            let owner = self.get(*from, id)?;
            let ids: Vec<Value> = match owner.as_ref().and_then(|cells| def.field(*field).cells(cells).first().cloned()) {
                Some(Value::List(items)) => items.to_vec(),
                _ => Vec::new(),
            };
            return Ok(live.filter(|cells| ids.contains(&Self::slot(via.entity(), "id", cells))).cloned().collect());
        }
        Ok(live.filter(|cells| points_at(&SCHEMA, via, cells, id, "")).cloned().collect())
    }

    fn is_member(&self, _: EntityId, _: Uuid, _: Uuid, _: bool) -> Result<bool, HostFault> {
        Ok(false)
    }

    fn is_under(&self, entity: EntityId, parent: FieldId, id: Uuid, top: Uuid) -> Result<bool, HostFault> {
        let mut here = Some(id);
        for _ in 0..100 {
            match here {
                Some(id) if id == top => return Ok(true),
                Some(id) => {
                    here = self.get(entity, id)?.and_then(|cells| SCHEMA.entity(entity).field(parent).cells(&cells).first().and_then(Value::as_uuid))
                }
                None => return Ok(false),
            }
        }
        Ok(false)
    }
}

/// A filter over things.
fn filter() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![8 => leaf(""), 2 => leaf("above."), 1 => leaf("above.above."), 2 => far_leaf("place.")];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| json!({"all": parts})),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| json!({"any": parts})),
            inner.clone().prop_map(|part| json!({"not": part})),
            (prop::sample::select(vec!["some", "none", "every"]), inner).prop_map(|(word, part)| json!({word: "below_it", "where": part})),
            (prop::sample::select(vec!["some", "none", "every"]), far_leaf("")).prop_map(|(word, part)| json!({word: "places", "where": part})),
            prop::sample::select(vec!["some", "none"]).prop_map(|word| json!({word: "below_it"})),
        ]
    })
}

fn one(field: &'static str, ops: &'static [&'static str], values: Vec<Json>) -> BoxedStrategy<(String, String, Json)> {
    let single = (prop::sample::select(ops.to_vec()), prop::sample::select(values.clone()))
        .prop_map(move |(op, value)| (field.to_owned(), op.to_owned(), value));
    let several = (prop::sample::select(vec!["in", "not_in"]), prop::collection::vec(prop::sample::select(values.clone()), 0..4));
    let several = several.prop_map(move |(op, list)| (field.to_owned(), op.to_owned(), json!(list)));
    let empty = prop::sample::select(vec!["is_empty", "is_set"]).prop_map(move |op| (field.to_owned(), op.to_owned(), Json::Null));
    let between = (prop::sample::select(values.clone()), prop::sample::select(values))
        .prop_map(move |(from, to)| (field.to_owned(), "between".to_owned(), json!([from, to])));
    prop_oneof![6 => single, 2 => several, 2 => empty, 1 => between].boxed()
}

const ORDERED: &[&str] = &["=", "!=", "<", "<=", ">", ">="];
const TEXTS: &[&str] = &["=", "!=", "contains", "not_contains", "starts_with", "ends_with"];
const SAME: &[&str] = &["=", "!="];
const HOLDS: &[&str] = &["contains", "not_contains"];

fn texts(values: &[&str]) -> Vec<Json> {
    values.iter().map(|value| json!(value)).collect()
}

fn leaf(path: &'static str) -> BoxedStrategy<Json> {
    let ids: Vec<Json> = (0..12).map(|n| json!(Uuid::from_u128(0x1000 + n))).collect();
    let place_ids: Vec<Json> = (0..8).map(|n| json!(Uuid::from_u128(0x100 + n))).collect();
    let mut days = texts(DAYS);
    days.push(json!("$today"));
    let mut moments = texts(MOMENTS);
    moments.push(json!("$now"));
    let days_within = vec![
        json!("today"),
        json!("yesterday"),
        json!("tomorrow"),
        json!("this_week"),
        json!("last_week"),
        json!("next_week"),
        json!("this_month"),
        json!("last_month"),
        json!("next_month"),
        json!("this_quarter"),
        json!("last_year"),
        json!("past"),
        json!("future"),
        json!({"last": 7, "unit": "day"}),
        json!({"next": 2, "unit": "month"}),
    ];
    let within = (prop::sample::select(vec!["day", "moment", "created_at", "last_day"]), prop::sample::select(days_within))
        .prop_map(|(field, value)| (field.to_owned(), "within".to_owned(), value));
    let words: Vec<Json> = texts(WORDS).into_iter().chain([json!("a"), json!("%"), json!("_"), json!("SS"), json!("三")]).collect();
    let sibling = prop::sample::select(vec![("day", "last_day"), ("last_day", "day"), ("count", "count"), ("weight", "price")]);
    let sibling =
        (sibling, prop::sample::select(ORDERED.to_vec())).prop_map(|((field, other), op)| (field.to_owned(), op.to_owned(), json!({"field": other})));
    prop_oneof![
        one("name", TEXTS, words.clone()),
        one("story", TEXTS, words),
        one("count", ORDERED, vec![json!(0), json!(1), json!(-1), json!(9), json!(10)]),
        one("weight", ORDERED, vec![json!(0), json!("0.001"), json!("0.1"), json!(-1), json!("99.999"), json!(100)]),
        one("price", ORDERED, vec![json!(0), json!("0.01"), json!(10), json!("99.99")]),
        one("share", ORDERED, vec![json!(0), json!(15), json!(100)]),
        one("day", ORDERED, days),
        one("moment", ORDERED, moments),
        one("hour", ORDERED, texts(&["00:00", "09:30", "23:59"])),
        one("done", SAME, vec![json!(true), json!(false)]),
        one("colour", SAME, texts(&["red", "green", "blue"])),
        one("sizes", HOLDS, texts(&["s", "m", "l"])),
        one("words", HOLDS, texts(&["red", "Red hot", "blue", "张"])),
        one("mail", TEXTS, texts(&["a@example.com", "b@example.com", "example"])),
        one("above", &["=", "!=", "under"], ids),
        one("place", SAME, place_ids),
        one("owner", SAME, vec![json!("$me"), json!(Uuid::from_u128(0x7001))]),
        one("age", ORDERED, vec![json!(0), json!(1), json!(-30), json!(365)]),
        within,
        sibling,
    ]
    .prop_map(move |(field, op, value)| match value {
        Json::Null => json!({"field": format!("{path}{field}"), "op": op}),
        value => json!({"field": format!("{path}{field}"), "op": op, "value": value}),
    })
    .boxed()
}

fn far_leaf(path: &'static str) -> BoxedStrategy<Json> {
    prop_oneof![one("name", TEXTS, texts(WORDS)), one("size", ORDERED, vec![json!(0), json!(3), json!(7)]), one("opened", ORDERED, texts(DAYS))]
        .prop_map(move |(field, op, value)| match value {
            Json::Null => json!({"field": format!("{path}{field}"), "op": op}),
            value => json!({"field": format!("{path}{field}"), "op": op, "value": value}),
        })
        .boxed()
}

fn bound(json: &Json, zone: chrono_tz::Tz) -> Option<Predicate> {
    let filter = Filter::parse(json, "").ok()?;
    let typed = TypedFilter::compile(&SCHEMA, entity("probe.thing"), &filter, &SystemView, "").ok()?;
    let params = Params {
        me: Some(me()),
        me_cells: None,
        departments_below: &[],
        reports: &[],
        now: now(),
        zone,
        record: None,
        settings: &NO_SETTINGS,
        working: None,
    };
    Some(typed.bind(&SCHEMA, &params))
}

fn ids_in_memory(predicate: &Predicate, memory: &Memory) -> BTreeSet<Uuid> {
    let thing = entity("probe.thing");
    let live = memory.0[&thing].iter().filter(|cells| Memory::slot(thing, "deleted_at", cells).is_null());
    live.filter(|cells| matches(predicate, &SCHEMA, thing, cells, memory).expect("memory can be read"))
        .filter_map(|cells| Memory::slot(thing, "id", cells).as_uuid())
        .collect()
}

async fn fill(store: &Store, places: Vec<Cells>, things: Vec<Cells>) {
    store
        .write(move |tx| {
            let plan = Plan::of(tx, &SCHEMA)?;
            for step in plan.expand.iter().chain(&plan.indexes) {
                tx.apply(step)?;
            }
            tx.insert(SCHEMA.entity(entity("probe.place")), &places)?;
            tx.insert(SCHEMA.entity(entity("probe.thing")), &things)
        })
        .await
        .expect("the rows are stored");
}

fn agree(backend: Backend) {
    with_database(backend, async |database| {
        let store = Store::open(&database.location()).await.expect("the store opens");
        let (places, things) = rows();
        fill(&store, places.clone(), things.clone()).await;
        let shared = |rows: Vec<Cells>| rows.into_iter().map(Arc::new).collect::<Vec<_>>();
        let memory = Memory(HashMap::from([(entity("probe.place"), shared(places)), (entity("probe.thing"), shared(things))]));
        let (compiled, refused) = (std::cell::Cell::new(0_u32), std::cell::Cell::new(0_u32));
        let zones = [chrono_tz::UTC, chrono_tz::Asia::Shanghai, chrono_tz::America::New_York];
        let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() });
        let strategy = (filter(), prop::sample::select(zones.to_vec()));
        let outcome = tokio::task::block_in_place(|| {
            runner.run(&strategy, |(json, zone)| {
                let Some(predicate) = bound(&json, zone) else {
                    refused.set(refused.get() + 1);
                    return Ok(());
                };
                compiled.set(compiled.get() + 1);
                let expected = ids_in_memory(&predicate, &memory);
                let found = tokio::runtime::Handle::current().block_on(ids_in_store(&store, predicate));
                let found = found.map_err(|fault| TestCaseError::fail(format!("{json}: {fault}")))?;
                prop_assert_eq!(
                    &found,
                    &expected,
                    "{} in {}: only in SQL {:?}, only in memory {:?}",
                    json,
                    zone,
                    found.difference(&expected).collect::<Vec<_>>(),
                    expected.difference(&found).collect::<Vec<_>>()
                );
                Ok(())
            })
        });
        outcome.unwrap_or_else(|fault| panic!("{fault}"));
        assert!(
            compiled.get() > 4 * refused.get(),
            "most generated filters must mean something: {} compiled, {} refused",
            compiled.get(),
            refused.get()
        );
        store.close().await;
    });
}

async fn ids_in_store(store: &Store, predicate: Predicate) -> Result<BTreeSet<Uuid>, Fault> {
    store
        .read(move |tx| {
            let thing = entity("probe.thing");
            let id = SCHEMA.entity(thing).slot("id").expect("an id");
            let select = Select { limit: 1000, slots: vec![id], ..Select::of(thing, predicate.clone(), Binned::Live) };
            let found: BTreeSet<Uuid> = tx.select(&SCHEMA, &select)?.iter().filter_map(|row| row.cells[id].as_uuid()).collect();
            let counted = tx.count(&SCHEMA, thing, &predicate, Binned::Live, None)?;
            assert_eq!(counted, found.len() as u64, "a count is the number of rows");
            Ok(found)
        })
        .await
}

#[test]
fn sql_agrees_with_memory_on_sqlite() {
    agree(Backend::Sqlite);
}

#[test]
fn sql_agrees_with_memory_on_postgres() {
    agree(Backend::Postgres);
}
