//! In charge of the small world that cases are told in: one entity of things, one of places, rows by key.
//! Invariant: `$key` in a value or a filter is the id of the row with that key.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use engine::clock::ManualClock;
use engine::records::{Batch, ListRequest, Shape};
use engine::{Engine, Error, Options, Submission};
use model::Input;
use model::doc::Package;
use serde_json::{Map, Value as Json, json};
use tests::backend::Database;
use tests::folders::root;
use uuid::Uuid;

/// A workspace with the app of the cases.
pub struct World {
    /// The engine.
    pub engine: Engine,
    ids: BTreeMap<String, Uuid>,
}

/// The JSON files of a folder of cases, by name.
pub fn cases(folder: &str) -> Vec<(String, Json)> {
    let mut found: Vec<(String, Json)> = fs::read_dir(root().join("tests/cases").join(folder))
        .expect("the folder is there")
        .flatten()
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("a case can be read");
            let name = entry.file_name().to_string_lossy().trim_end_matches(".json").to_owned();
            (name.clone(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{folder}/{name}: {error}")))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty(), "there are no cases in {folder}");
    found
}

impl World {
    /// An empty workspace; the clock stands at a Monday.
    pub async fn new(database: &Database) -> Self {
        let clock = ManualClock::new("2026-03-02T09:00:00Z".parse().expect("a moment"));
        let options = Options { location: database.location(), data_dir: Some(database.data_dir()), clock: Arc::new(clock) };
        let engine = Engine::open(options).await.unwrap_or_else(|error| panic!("the workspace does not open: {error}"));
        Self { engine, ids: BTreeMap::new() }
    }

    /// Publishes the app with these fields of a thing.
    pub async fn publish(&self, fields: &Json) -> Result<(), Error> {
        let mut thing = fields.as_object().cloned().unwrap_or_default();
        thing.insert("key".to_owned(), json!({"kind": "text", "unique": true}));
        let app = json!({
            "app": {"name": "world", "label": "World", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "currency": "EUR"},
            "entities": {
                "thing": {"label": "Thing", "title": "{{ key }}", "fields": thing},
                "place": {"label": "Place", "title": "{{ name }}", "fields": {"name": {"kind": "text", "unique": true}, "size": {"kind": "integer"}}}}
        });
        let app = model::package::app_from_json(&app).map_err(Error::Documents)?;
        self.engine.install(&self.engine.system(), Package { app, files: BTreeMap::new() }, "a case").await.map(|_| ())
    }

    /// Puts ids in the place of `$key`.
    pub fn told(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => match text.strip_prefix('$').and_then(|key| self.ids.get(key)) {
                Some(id) => json!(id),
                None => json.clone(),
            },
            Json::Array(items) => items.iter().map(|item| self.told(item)).collect(),
            Json::Object(members) => Json::Object(members.iter().map(|(key, value)| (key.clone(), self.told(value))).collect()),
            Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
        }
    }

    /// Adds rows of an entity, in order; `naming` is the field that keeps the key.
    pub async fn add(&mut self, entity: &str, naming: &str, rows: &Json) {
        for (key, values) in rows.as_object().into_iter().flatten() {
            let mut values: Map<String, Json> = self.told(values).as_object().cloned().unwrap_or_default();
            values.insert(naming.to_owned(), json!(key));
            let cx = self.engine.system();
            let entity = self.engine.entity(&cx, entity).unwrap_or_else(|error| panic!("{entity}: {error}")).id;
            let values = values.iter().map(|(name, value)| (name.clone(), Input::from(value))).collect();
            let written = self.engine.write(&cx, Batch::one(entity, Submission::Create { id: None, values })).await;
            let written = written.and_then(|mut results| results.pop().expect("a result")).unwrap_or_else(|error| panic!("{key}: {error:?}"));
            self.ids.insert(key.clone(), written.id);
        }
    }

    /// The keys of the things that a filter selects.
    pub async fn find(&self, filter: &Json) -> Result<Vec<String>, Error> {
        let cx = self.engine.system();
        let entity = self.engine.entity(&cx, "world.thing")?.id;
        let request = ListRequest { filter: Some(self.told(filter)), sort: Some("key".to_owned()), limit: Some(100), ..ListRequest::of(entity) };
        let answer = self.engine.list(&cx, request).await?;
        Ok(answer.rows.iter().map(|row| serde_json::from_slice::<Json>(row).expect("JSON")["key"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// A thing.
    pub async fn read(&self, key: &str) -> Json {
        let cx = self.engine.system();
        let entity = self.engine.entity(&cx, "world.thing").unwrap_or_else(|error| panic!("{error}")).id;
        let answer = self.engine.get(&cx, entity, self.ids[key], &Shape::default()).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        serde_json::from_slice(&answer.json).expect("JSON")
    }
}
