//! In charge of `find`: records by a filter, for later steps to go through.
//! Invariant: found as whoever acts sees them.

use model::doc::ValueSpec;
use model::{EntityId, Filter};
use rules::query::{Predicate, SystemView, TypedFilter, parse_sort};
use rules::value::CompiledValue;
use serde_json::{Map, Value as Json, json};
use store::{Binned, Select};
use uuid::Uuid;

use super::{Action, After, StepKind};
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running};
use crate::error::Error;

/// `find`.
pub(super) struct Find;

/// Records that one step finds at most.
const MOST: u64 = 10_000;
/// Records that it finds where it does not say.
const USUAL: u64 = 1_000;

#[derive(Debug)]
struct Finding {
    entity: EntityId,
    filter: Filtering,
    sort: String,
    limit: u32,
}

/// Which records; closed.
#[derive(Debug)]
enum Filtering {
    /// By a filter whose values are known.
    Fixed(TypedFilter),
    /// By one with values that are made first, each with where it stands.
    Made(Json, Vec<(String, CompiledValue)>),
}

impl StepKind for Find {
    fn name(&self) -> &'static str {
        "find"
    }

    fn compile(&self, c: &mut Compiling<'_>, _: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let entity = settings.get("entity").and_then(Json::as_str).and_then(|name| c.find(name))?;
        let filter = settings.get("filter").cloned().unwrap_or_else(|| json!({"all": []}));
        let mut made = Vec::new();
        collect(c, &filter, "", &format!("{at}/filter"), &mut made);
        let filter =
            if made.is_empty() { Filtering::Fixed(c.filter(entity, &filter, &format!("{at}/filter"))?) } else { Filtering::Made(filter, made) };
        let keys = settings.get("sort").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        let limit = settings.get("limit").and_then(Json::as_u64).unwrap_or(USUAL).clamp(1, MOST);
        let sort = keys.collect::<Vec<_>>().join(",");
        Some(Box::new(Finding { entity, filter, sort, limit: u32::try_from(limit).unwrap_or(u32::MAX) }))
    }
}

/// The values of a filter that are made: `{"from": …}`, `{"expr": …}`, `{"text": …}`, each with its pointer.
fn collect(c: &mut Compiling<'_>, json: &Json, pointer: &str, at: &str, made: &mut Vec<(String, CompiledValue)>) {
    match json {
        Json::Object(map) => {
            if let Some(value) = map.get("value")
                && let Ok(ValueSpec::Rule(_)) = serde_json::from_value::<ValueSpec>(value.clone())
            {
                if let Some(compiled) = c.value(value, &format!("{at}/value")) {
                    made.push((format!("{pointer}/value"), compiled));
                }
                return;
            }
            for (key, inner) in map {
                collect(c, inner, &format!("{pointer}/{key}"), &format!("{at}/{key}"), made);
            }
        }
        Json::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                collect(c, inner, &format!("{pointer}/{index}"), &format!("{at}/{index}"), made);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

impl Action for Finding {
    fn run(&self, running: &Running<'_>, _: Option<Hand>) -> Result<After, Error> {
        let ids = self.ids(running)?;
        let name = running.cx.app.schema.entity(self.entity).name.to_string();
        let save = match (self.limit, ids.first()) {
            (1, Some(id)) => json!({"entity": name, "id": id}),
            (1, None) => Json::Null,
            _ => json!({"entity": name, "ids": ids, "count": ids.len()}),
        };
        Ok(After::next(json!({"entity": name, "found": ids.len()})).saving(save))
    }
}

impl Finding {
    fn ids(&self, running: &Running<'_>) -> Result<Vec<Uuid>, Error> {
        let (cx, schema) = (running.cx, &running.cx.app.schema);
        let filter = match &self.filter {
            Filtering::Fixed(filter) => running.on_scope(None, |scope| filter.bind(schema, &scope.placeholders()))?,
            Filtering::Made(json, made) => {
                let mut json = json.clone();
                for (pointer, value) in made {
                    let input = running.on_scope(None, |scope| value.alone(scope))?.map_err(refused)?;
                    if input == model::Input::Null {
                        // A value that is not there matches nothing; it never widens.
                        return Ok(Vec::new());
                    }
                    if let Some(place) = json.pointer_mut(pointer) {
                        *place = input.to_json();
                    }
                }
                let typed = Filter::parse(&json, "/filter")
                    .and_then(|filter| {
                        let record = running.plan.entity;
                        TypedFilter::compile_with_record(schema, self.entity, &filter, &SystemView, "/filter", record)
                    })
                    .map_err(Error::Invalid)?;
                running.on_scope(None, |scope| typed.bind(schema, &scope.placeholders()))?
            }
        };
        let filter = Predicate::all(vec![filter, Predicate::clone(&cx.grants.entity(self.entity).read)]);
        let sort = match self.sort.as_str() {
            "" => Vec::new(),
            text => parse_sort(schema, self.entity, text, &SystemView, cx.moment(), "/sort").map_err(Error::Invalid)?,
        };
        let Some(slot) = schema.entity(self.entity).slot("id") else { return Ok(Vec::new()) };
        let query = Select { sort, limit: self.limit, slots: vec![slot], ..Select::of(self.entity, filter, Binned::Live) };
        let rows = running.tx.select(schema, &query)?;
        Ok(rows.iter().filter_map(|row| row.cells.get(slot).and_then(model::Value::as_uuid)).collect())
    }
}

fn refused(reject: model::field::Reject) -> Error {
    Error::of(reject.code, reject.message)
}
