//! In charge of what all tests of this crate stand on: a small workspace, records made from JSON, a lookup in memory.
//! Invariant: records are made by the kinds themselves, with the folded and sorted twins that the engine would make.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use model::doc::{App, Role};
use model::field::{AcceptContext, ColumnUse};
use model::schema::Layout;
use model::{Cells, Diagnostic, EntityId, FieldId, Filter, Input, Name, Schema, Value};
use rules::eval::{HostFault, Lookup, matches, points_at};
use rules::policy::Grants;
use rules::query::{Params, Predicate, RelatedVia, SystemView, TypedFilter};
use rules::scope::{Extra, Scope};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

pub static NO_SETTINGS: LazyLock<Map<String, Json>> = LazyLock::new(Map::new);

/// The core app of the tests: people and departments, both in trees.
pub fn core() -> Json {
    json!({
        "app": {"name": "core", "version": "1.0.0", "format": 1},
        "entities": {
            "user": {"department": "kept", "fields": {
                "name": {"kind": "text"},
                "region": {"kind": "text"},
                "limit": {"kind": "decimal"},
                "manager": {"kind": "reference", "to": "user", "tree": true, "inverse": "team"}}},
            "department": {"fields": {
                "name": {"kind": "text"},
                "parent": {"kind": "reference", "to": "department", "tree": true, "inverse": "children"}}}
        }
    })
}

/// An app with accounts, deals and their lines.
pub fn sales() -> Json {
    json!({
        "app": {"name": "sales", "version": "1.0.0", "format": 1, "currency": "USD",
                "settings": {"limit": {"kind": "percent", "default": 10}, "since": {"kind": "date", "default": "2026-01-01"}}},
        "roles": {"rep": {}},
        "pipelines": {"main": {"entity": "deal", "order": ["open", "offer", "won", "lost"], "start": "open", "stages": {
            "open": {"kind": "open", "probability": 10}, "offer": {"kind": "open", "probability": 40},
            "won": {"kind": "won", "probability": 100}, "lost": {"kind": "lost", "probability": 0}}}},
        "entities": {
            "account": {"owner": "optional", "title": "{{ name }}", "fields": {
                "name": {"kind": "text"},
                "size": {"kind": "integer"},
                "phone": {"kind": "text", "sensitive": true},
                "deals_total": {"kind": "rollup", "of": "deals", "fn": "sum", "field": "amount"},
                "deals_won": {"kind": "rollup", "of": "deals", "fn": "count", "filter": {"field": "stage", "op": "=", "value": "won"}}}},
            "deal": {"owner": "optional", "department": "kept", "members": ["read", "write"], "title": "{{ name }}", "fields": {
                "name": {"kind": "text"},
                "amount": {"kind": "decimal", "scale": 2},
                "cost": {"kind": "decimal", "scale": 2},
                "count": {"kind": "integer"},
                "due": {"kind": "date"},
                "start": {"kind": "date"},
                "at": {"kind": "datetime"},
                "done": {"kind": "boolean"},
                "source": {"kind": "choice", "options": {"web": {}, "fair": {}, "call": {}}},
                "stage": {"kind": "stage", "pipelines": ["main"]},
                "tags": {"kind": "tags"},
                "short": {"kind": "text", "max_length": 3},
                "account": {"kind": "reference", "to": "account", "inverse": "deals"},
                "watchers": {"kind": "references", "to": "core.user"},
                "items": {"kind": "lines", "of": "item", "by": "deal"},
                "margin": {"kind": "formula", "result": "decimal", "expr": "amount - cost"},
                "margin_rate": {"kind": "formula", "result": "decimal", "scale": 4, "expr": "margin / amount"},
                "account_name": {"kind": "lookup", "path": "account.name"},
                "age": {"kind": "formula", "result": "integer", "expr": "days_between(start, due ?? today())"}}},
            "item": {"fields": {
                "deal": {"kind": "reference", "to": "deal", "on_delete": "cascade"},
                "label": {"kind": "text"},
                "quantity": {"kind": "integer"}}},
            "note": {"fields": {
                "about": {"kind": "any_reference", "to": ["deal", "account"]},
                "body": {"kind": "text"}}}
        }
    })
}

/// Compiles apps; the faults where they do not compile.
pub fn build(apps: &[Json]) -> Result<Schema, Vec<Diagnostic>> {
    let apps: IndexMap<Name, Arc<App>> = apps
        .iter()
        .map(|json| {
            let app: App = serde_json::from_value(json.clone()).expect("an app");
            (Name::parse(&app.app.name).expect("a name"), Arc::new(app))
        })
        .collect();
    model::schema::build(&apps, &Layout::default(), &rules::expr::is_on_read, &model::field::sealed::no_key())
}

/// The usual workspace.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| build(&[core(), sales()]).expect("the workspace compiles"));

/// An id that a number stands for.
pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn entity(schema: &Schema, name: &str) -> EntityId {
    schema.find(name).unwrap_or_else(|| panic!("no entity {name}")).id
}

pub fn field(schema: &Schema, entity: EntityId, name: &str) -> FieldId {
    schema.entity(entity).find(name).unwrap_or_else(|| panic!("no field {name}")).id
}

/// The moment of all tests: a Wednesday.
pub fn now() -> DateTime<Utc> {
    "2026-03-18T10:00:00Z".parse().expect("a moment")
}

/// A record with these values by field; `null` is empty.
pub fn record(schema: &Schema, entity: EntityId, values: &Json) -> Cells {
    let def = schema.entity(entity);
    let mut cells = def.empty();
    for (name, json) in values.as_object().expect("values by field").iter().filter(|(_, json)| !json.is_null()) {
        let field = def.find(name).unwrap_or_else(|| panic!("no field {name}"));
        let typed = field.typed.as_ref().expect("a field with values");
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

/// Records in memory.
#[derive(Default)]
pub struct Memory {
    pub records: HashMap<EntityId, Vec<Arc<Cells>>>,
    pub members: HashSet<(EntityId, Uuid, Uuid, bool)>,
    pub schema: Option<&'static Schema>,
}

impl Memory {
    pub fn of(schema: &'static Schema) -> Self {
        Self { schema: Some(schema), ..Self::default() }
    }

    /// Adds a record of the entity called `name`.
    pub fn put(&mut self, name: &str, values: &Json) -> Arc<Cells> {
        let schema = self.schema.expect("a schema");
        let entity = entity(schema, name);
        let cells = Arc::new(record(schema, entity, values));
        self.records.entry(entity).or_default().push(Arc::clone(&cells));
        cells
    }

    fn slot(&self, entity: EntityId, name: &str, cells: &Cells) -> Value {
        let slot = self.schema.and_then(|schema| schema.entity(entity).slot(name)).expect("a slot");
        cells[slot].clone()
    }
}

impl Lookup for Memory {
    fn get(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, HostFault> {
        Ok(self.records.get(&entity).into_iter().flatten().find(|cells| self.slot(entity, "id", cells) == Value::Uuid(id)).cloned())
    }

    fn related(&self, via: &RelatedVia, id: Uuid) -> Result<Vec<Arc<Cells>>, HostFault> {
        let schema = self.schema.expect("a schema");
        let all = self.records.get(&via.entity()).into_iter().flatten();
        Ok(all
            .filter(|cells| self.slot(via.entity(), "deleted_at", cells).is_null())
            .filter(|cells| points_at(schema, via, cells, id, ""))
            .cloned()
            .collect())
    }

    fn is_member(&self, entity: EntityId, id: Uuid, user: Uuid, write: bool) -> Result<bool, HostFault> {
        Ok(self.members.contains(&(entity, id, user, true)) || (!write && self.members.contains(&(entity, id, user, false))))
    }

    fn is_under(&self, entity: EntityId, parent: FieldId, id: Uuid, top: Uuid) -> Result<bool, HostFault> {
        let schema = self.schema.expect("a schema");
        let mut here = Some(id);
        for _ in 0..64 {
            match here {
                Some(id) if id == top => return Ok(true),
                Some(id) => {
                    here = self.get(entity, id)?.and_then(|cells| schema.entity(entity).field(parent).cells(&cells).first().and_then(Value::as_uuid))
                }
                None => return Ok(false),
            }
        }
        Ok(false)
    }
}

/// Nobody, now, in UTC.
pub fn nobody() -> Params<'static> {
    Params {
        me: None,
        me_cells: None,
        departments_below: &[],
        reports: &[],
        now: now(),
        zone: chrono_tz::UTC,
        record: None,
        settings: &NO_SETTINGS,
        working: None,
    }
}

pub fn filter(json: &Json) -> Filter {
    Filter::parse(json, "").unwrap_or_else(|faults| panic!("{json}: {faults:?}"))
}

pub fn typed(schema: &Schema, entity: EntityId, json: &Json) -> TypedFilter {
    TypedFilter::compile(schema, entity, &filter(json), &SystemView, "").unwrap_or_else(|faults| panic!("{json}: {faults:?}"))
}

/// Whether a record fits a filter, with everything in sight.
pub fn fits(schema: &Schema, name: &str, json: &Json, params: &Params<'_>, record: &Cells, memory: &Memory) -> bool {
    let entity = entity(schema, name);
    matches(&typed(schema, entity, json).bind(schema, params), schema, entity, record, memory).expect("reads")
}

pub fn in_sight(schema: &Schema, entity: EntityId, rows: &Predicate, record: &Cells, memory: &Memory) -> bool {
    matches(rows, schema, entity, record, memory).expect("reads")
}

/// A scope over one record.
pub fn scope<'a>(
    schema: &'a Schema,
    entity: EntityId,
    record: &'a Cells,
    params: &'a Params<'a>,
    lookup: &'a dyn Lookup,
    extra: &'a [(&'a str, Extra<'a>)],
) -> Scope<'a> {
    Scope { schema, entity, record, old: None, params, locale: "en", lookup, extra }
}

pub fn role(json: &Json) -> Role {
    serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The rights of a person with these roles of the sales app.
pub fn grants(schema: &Schema, roles: &[Json], params: &Params<'_>) -> Grants {
    let roles: Vec<Role> = roles.iter().map(role).collect();
    let roles: Vec<(&str, &Role)> = roles.iter().map(|role| ("sales", role)).collect();
    let graph = rules::compute::Graph::build(schema).unwrap_or_else(|faults| panic!("{faults:?}"));
    Grants::compile(schema, graph.sources(), &roles, params)
}
