//! In charge of what is looked at in memory: what one rule costs, and one run of a script.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use engine::clock::{Clock, SystemClock};
use engine::{Engine, Options};
use indexmap::IndexMap;
use model::{Cells, EntityDef, EntityId, FieldDef, Input, Schema, Value};
use rules::eval::NoLookup;
use rules::expr::{Expression, Use};
use rules::query::Params;
use rules::scope::Scope;
use rules::script::{Found, Host, Limits, Message, Script, ScriptPlace, Tell, Wanted};
use serde_json::{Map, Value as Json};
use store::Location;
use uuid::Uuid;

use crate::bench::child::Failure;
use crate::bench::table::{Table, Target};

const ENTITY: &str = "work.order";
const RULES: [(&str, &str); 2] = [
    ("a short one", "due != () || amount < 100000"),
    ("a long one", "round(amount * (100 - (discount ?? 0)) / 100, 2) <= 500000 && days_between(today(), due) >= 0 && upper(name) != \"NONE\""),
];
const SCRIPT: &str = include_str!("../../../bench_process/scripts/check_order.rhai");

/// Measures it on the schema of a workspace.
pub(super) fn measure(workspace: &Path, table: &mut Table) -> Result<(), Failure> {
    let failed = |error: engine::Error| Failure::Process(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = runtime.block_on(async {
        let location = Location::in_folder(workspace);
        let options = Options { location, data_dir: Some(workspace.to_owned()), clock: Arc::new(SystemClock) };
        let engine = Engine::open(options).await.map_err(failed)?;
        let app = engine.current();
        engine.close().await;
        Ok::<_, Failure>(app)
    })?;
    let schema = &*app.schema;
    let def = schema.find(ENTITY).ok_or_else(|| Failure::Process(format!("there is no {ENTITY}")))?;
    let settings = Map::new();
    let params = Params {
        me: None,
        me_cells: None,
        departments_below: &[],
        reports: &[],
        now: SystemClock.now(),
        zone: app.zone,
        record: None,
        settings: &settings,
        working: None,
    };
    let record = order(def);
    for (name, text) in RULES {
        let rule = Expression::compile(schema, def.id, text, Use::Condition).map_err(|faults| Failure::Process(format!("{faults:?}")))?;
        let scope = Scope { schema, entity: def.id, record: &record, old: None, params: &params, locale: "en", lookup: &NoLookup, extra: &[] };
        let micros = timed(200_000, || rule.holds(&scope).is_ok_and(|holds| holds))?;
        table.add(&format!("a rule, {name}, µs"), micros, None, Target::AtMost(10.0));
    }
    let place = ScriptPlace { schema, app: "work", entity: Some(def.id), given: Some(&[]), before: true, hidden: &|_, _| false };
    let script = Script::compile(place, SCRIPT).map_err(|faults| Failure::Process(format!("{faults:?}")))?;
    let host = Alone { schema, params, record: Arc::new(record) };
    let given = IndexMap::new();
    let micros = timed(50_000, || script.run(&host, Some((def.id, Uuid::nil())), &given, Limits::default()).result.is_ok())?;
    table.add("one run of a script, µs", micros, None, Target::None);
    Ok(())
}

/// Microseconds of each of so many; a failure of one is a failure.
fn timed(times: u32, work: impl Fn() -> bool) -> Result<f64, Failure> {
    let went_well = |times: u32| (0..times).all(|_| std::hint::black_box(work()));
    let warm = went_well(times / 10);
    let began = Instant::now();
    if warm && went_well(times) {
        Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(times))
    } else {
        Err(Failure::Process("a rule does not hold".to_owned()))
    }
}

/// An order as it lies in memory.
fn order(def: &EntityDef) -> Cells {
    let mut cells = def.empty();
    let mut set = |name: &str, value: Value| {
        if let Some(cell) = def.slot(name).and_then(|slot| cells.get_mut(slot)) {
            *cell = value;
        }
    };
    let day = SystemClock.now().date_naive() + chrono::Duration::days(30);
    set("name", Value::text("Order 1"));
    set("quantity", Value::Int(120));
    set("amount", Value::Decimal(45_000.into()));
    set("discount", Value::Decimal(5.into()));
    set("due", Value::Date(day));
    cells
}

/// A host that has one record and nothing else.
struct Alone<'a> {
    schema: &'a Schema,
    params: Params<'a>,
    record: Arc<Cells>,
}

/// What is not there to be asked for.
#[derive(Debug)]
struct Nothing;

impl Host for Alone<'_> {
    type Fault = Nothing;

    fn schema(&self) -> &Schema {
        self.schema
    }

    fn params(&self) -> &Params<'_> {
        &self.params
    }

    fn locale(&self) -> &str {
        "en"
    }

    fn has_time(&self) -> bool {
        true
    }

    fn cells(&self, _: EntityId, _: Uuid) -> Result<Option<Arc<Cells>>, Nothing> {
        Ok(Some(Arc::clone(&self.record)))
    }

    fn shows(&self, _: EntityId, _: &FieldDef, _: &Cells) -> Result<bool, Nothing> {
        Ok(true)
    }

    fn knows(&self, _: EntityId, _: &FieldDef) -> bool {
        true
    }

    fn find(&self, _: EntityId, _: &Wanted) -> Result<Found, Nothing> {
        Err(Nothing)
    }

    fn count(&self, _: EntityId, _: &Wanted) -> Result<i64, Nothing> {
        Err(Nothing)
    }

    fn sum(&self, _: EntityId, _: &str, _: &Wanted) -> Result<Value, Nothing> {
        Err(Nothing)
    }

    fn next_in(&self, _: &str) -> Result<Option<Uuid>, Nothing> {
        Err(Nothing)
    }

    fn create(&self, _: EntityId, _: IndexMap<String, Input>) -> Result<Uuid, Nothing> {
        Err(Nothing)
    }

    fn update(&self, _: EntityId, _: Uuid, _: IndexMap<String, Input>) -> Result<(), Nothing> {
        Err(Nothing)
    }

    fn remove(&self, _: EntityId, _: Uuid) -> Result<(), Nothing> {
        Err(Nothing)
    }

    fn move_to(&self, _: EntityId, _: Uuid, _: String, _: IndexMap<String, Input>) -> Result<(), Nothing> {
        Err(Nothing)
    }

    fn attempt(&self, work: &mut dyn FnMut() -> bool) -> Result<(), Nothing> {
        work();
        Ok(())
    }

    fn caught(&self, _: &Nothing) -> Option<String> {
        None
    }

    fn tell(&self, _: Tell, _: &Message) -> Result<(), Nothing> {
        Err(Nothing)
    }

    fn webhook(&self, _: &str, _: Option<Json>) -> Result<(), Nothing> {
        Err(Nothing)
    }
}
