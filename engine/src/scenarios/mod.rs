//! In charge of scenarios: an app's own acceptance tests, run in memory with a clock of their own.
//! Reading order: `run` (one scenario), `Stage` (what it works with), `verbs` (what a step may do).
//! Invariant: a scenario sees only what a person would: every step goes through the same calls as the faces.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use indexmap::IndexMap;
use model::doc::{Package, Scenario};
use model::{Input, Name};
use serde_json::{Map, Value as Json};
use store::Location;
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::{Batch, Channel, Submission};
use crate::{Engine, Options};

mod approvals;
mod compare;
mod convert;
mod pools;
mod post;
mod press;
mod print;
mod sinks;
mod told;
mod verbs;
mod workings;

/// What became of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What it shows, in English.
    pub label: String,
    /// Why it failed: the step, from 1, and the reason.
    pub failure: Option<(usize, String)>,
}

/// What a scenario works with.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) clock: ManualClock,
    pub(crate) app: String,
    sinks: Arc<sinks::Sinks>,
    users: BTreeMap<String, Uuid>,
    departments: BTreeMap<String, Uuid>,
    /// Saved records: entity and id.
    saved: BTreeMap<String, (String, Uuid)>,
}

/// Runs all scenarios of an app, one after the other.
///
/// # Errors
/// Where the app cannot be installed at all.
pub async fn run_all(package: &Package, others: &[Package]) -> Result<Vec<Outcome>, Error> {
    let mut outcomes = Vec::new();
    for (name, scenario) in &package.app.scenarios {
        let label = scenario.label.as_ref().map_or_else(|| name.to_string(), |label| label.get("en").to_owned());
        let failure = run(package, others, scenario).await?;
        outcomes.push(Outcome { name: name.to_string(), label, failure });
    }
    Ok(outcomes)
}

/// Runs one scenario in a workspace of its own.
async fn run(package: &Package, others: &[Package], scenario: &Scenario) -> Result<Option<(usize, String)>, Error> {
    let start = scenario.clock.map_or_else(default_clock, |moment| moment.with_timezone(&Utc));
    let clock = ManualClock::new(start);
    let engine = Engine::open(Options { location: Location::scratch(), data_dir: None, clock: Arc::new(clock.clone()) }).await?;
    let mut packages = others.to_vec();
    packages.push(package.clone());
    engine.publish(&engine.system(), packages, "scenario").await?;
    let app = package.app.app.name.clone();
    let sinks = Arc::new(sinks::Sinks::new(clock.clone()));
    engine.set_outside(Arc::clone(&sinks) as Arc<dyn crate::effects::Outside>);
    let mut stage = Stage { engine, clock, app, sinks, users: BTreeMap::new(), departments: BTreeMap::new(), saved: BTreeMap::new() };
    let outcome = play(&mut stage, scenario).await;
    stage.engine.close().await;
    Ok(outcome.err())
}

fn default_clock() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 5, 9, 0, 0).single().unwrap_or_default()
}

async fn play(stage: &mut Stage, scenario: &Scenario) -> Result<(), (usize, String)> {
    stage.people(scenario).await.map_err(|error| (0, told(&error)))?;
    for (index, step) in scenario.steps.iter().enumerate() {
        verbs::run(stage, step).await.map_err(|reason| (index + 1, reason))?;
        stage.engine.run_due().await.map_err(|error| (index + 1, told(&error)))?;
    }
    Ok(())
}

/// An error in one line.
pub(crate) fn told(error: &Error) -> String {
    match error {
        Error::Invalid(faults) => {
            faults.iter().map(|fault| format!("{} {}: {}", fault.code, fault.pointer, fault.wording.text("en"))).collect::<Vec<_>>().join("; ")
        }
        Error::Documents(faults) => faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect::<Vec<_>>().join("; "),
        Error::Duplicates(found) => found.iter().map(|one| format!("duplicate_found by {}", one.rule)).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

fn inputs(values: Map<String, Json>) -> IndexMap<String, Input> {
    values.iter().map(|(name, value)| (name.clone(), Input::from(value))).collect()
}

impl Stage {
    /// Makes the departments and users of a scenario.
    async fn people(&mut self, scenario: &Scenario) -> Result<(), Error> {
        let named = scenario.users.values().filter_map(|user| user.get("department").and_then(Json::as_str).map(str::to_owned));
        let names: Vec<String> = scenario.departments.keys().map(Name::to_string).chain(named).collect();
        for name in names {
            if !self.departments.contains_key(&name) {
                let id = self.put("core.department", [("name".to_owned(), name.clone().into())].into_iter().collect()).await?;
                self.departments.insert(name, id);
            }
        }
        for (name, user) in &scenario.users {
            let mut values = user.clone();
            values.remove("manager");
            values.entry("name").or_insert_with(|| name.to_string().into());
            values.entry("email").or_insert_with(|| format!("{name}@scenario.test").into());
            if let Some(id) = values.get("department").and_then(Json::as_str).and_then(|name| self.departments.get(name)) {
                values.insert("department".to_owned(), id.to_string().into());
            }
            if let Some(Json::Array(roles)) = values.get_mut("roles") {
                for role in roles.iter_mut() {
                    if let Some(bare) = role.as_str().filter(|role| !role.contains('.')) {
                        *role = format!("{}.{bare}", self.app).into();
                    }
                }
            }
            let id = self.put("core.user", values).await?;
            self.users.insert(name.to_string(), id);
        }
        self.above(scenario).await
    }

    /// Who is above whom, once all are there.
    async fn above(&mut self, scenario: &Scenario) -> Result<(), Error> {
        for (name, user) in &scenario.users {
            let manager = user.get("manager").and_then(Json::as_str).and_then(|name| self.users.get(name)).copied();
            if let (Some(manager), Some(id)) = (manager, self.users.get(name.as_str()).copied()) {
                self.set("core.user", id, [("manager".to_owned(), manager.to_string().into())].into_iter().collect()).await?;
            }
        }
        for (name, department) in &scenario.departments {
            let mut values = Map::new();
            if let Some(id) = department.parent.as_ref().and_then(|name| self.departments.get(name.as_str())) {
                values.insert("parent".to_owned(), id.to_string().into());
            }
            if let Some(id) = department.head.as_ref().and_then(|name| self.users.get(name.as_str())) {
                values.insert("head".to_owned(), id.to_string().into());
            }
            if let (false, Some(id)) = (values.is_empty(), self.departments.get(name.as_str()).copied()) {
                self.set("core.department", id, values).await?;
            }
        }
        Ok(())
    }

    async fn put(&self, entity: &str, values: Map<String, Json>) -> Result<Uuid, Error> {
        self.write(&self.engine.system(), entity, Submission::Create { id: None, values: inputs(values) }).await
    }

    async fn set(&self, entity: &str, id: Uuid, values: Map<String, Json>) -> Result<Uuid, Error> {
        self.write(&self.engine.system(), entity, Submission::Update { id, version: None, values: inputs(values) }).await
    }

    /// Writes one submission; the record's id.
    pub(crate) async fn write(&self, cx: &Ctx, entity: &str, submission: Submission) -> Result<Uuid, Error> {
        let entity = self.find(cx, entity)?;
        let mut results = self.engine.write(cx, Batch::one(entity, submission)).await?;
        results.pop().unwrap_or(Err(Error::NotFound)).map(|written| written.id)
    }

    /// The entity that a step names: of its own app, or qualified.
    pub(crate) fn find(&self, cx: &Ctx, name: &str) -> Result<model::EntityId, Error> {
        let found = cx.app.schema.find_from(&self.app, name).or_else(|| cx.app.schema.find(name));
        found.map(|def| def.id).ok_or_else(|| Error::unknown_entity(name))
    }

    /// The facts of a step: of the person whom it names, or of the system.
    pub(crate) async fn context(&self, step: &Map<String, Json>) -> Result<Ctx, String> {
        match step.get("as").and_then(Json::as_str) {
            None => Ok(Ctx { channel: Channel::Request, ..self.engine.system() }),
            Some(name) => {
                let id = self.users.get(name).ok_or_else(|| format!("there is no user `{name}`"))?;
                let cx = self.engine.context(*id, None).await.map_err(|error| told(&error))?;
                Ok(Ctx { asks: step.get("duplicates").and_then(Json::as_str) != Some("accept"), ..cx })
            }
        }
    }

    /// Remembers a record.
    pub(crate) fn save(&mut self, step: &Map<String, Json>, entity: String, id: Uuid) {
        if let Some(name) = step.get("save").and_then(Json::as_str) {
            self.keep(name.to_owned(), entity, id);
        }
    }

    /// Remembers a record under a name.
    pub(crate) fn keep(&mut self, name: String, entity: String, id: Uuid) {
        self.saved.insert(name, (entity, id));
    }

    /// The record that `$name` stands for.
    pub(crate) fn record(&self, text: &str) -> Option<(String, Uuid)> {
        let name = text.strip_prefix('$')?;
        let person = |id: &Uuid| ("core.user".to_owned(), *id);
        let department = |id: &Uuid| ("core.department".to_owned(), *id);
        self.saved.get(name).cloned().or_else(|| self.users.get(name).map(person)).or_else(|| self.departments.get(name).map(department))
    }

    /// The same with `$name` replaced by ids; `whole` gives entity and id, for fields that may point at any entity.
    pub(crate) fn resolve(&self, json: &Json, whole: &dyn Fn(&str) -> bool, key: &str) -> Json {
        match json {
            Json::String(text) => match self.record(text) {
                Some((entity, id)) if whole(key) => serde_json::json!({"entity": entity, "id": id}),
                Some((_, id)) => id.to_string().into(),
                None => json.clone(),
            },
            Json::Array(items) => items.iter().map(|item| self.resolve(item, whole, key)).collect(),
            Json::Object(map) => map.iter().map(|(key, item)| (key.clone(), self.resolve(item, whole, key))).collect(),
            Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
        }
    }

    /// The values of a step for records of `entity`.
    pub(crate) fn values(&self, cx: &Ctx, entity: model::EntityId, json: Option<&Json>) -> IndexMap<String, Input> {
        let def = cx.app.schema.entity(entity);
        let any = |name: &str| def.find(name).is_some_and(|field| matches!(field.role, model::field::Role::AnyReference { .. }));
        let map = json.and_then(Json::as_object).into_iter().flatten();
        map.map(|(name, value)| (name.clone(), Input::from(&self.resolve(value, &any, name)))).collect()
    }
}
