//! In charge of short words for the engine's verbs.
//! Invariant: rights are those of the `Ctx` that the hand was given.

use std::sync::Arc;

use engine::clock::ManualClock;
use engine::records::{Batch, ListRequest};
use engine::{Ctx, Engine, Error, Options, Submission, Written};
use indexmap::IndexMap;
use model::Input;
use model::doc::Package;
use serde_json::Value as Json;
use tests::backend::Database;
use tests::folders;
use uuid::Uuid;

/// Somebody who works on a workspace.
#[derive(Clone)]
pub struct Hand {
    /// The workspace.
    pub engine: Engine,
}

/// Opens a workspace with the sales example in it.
pub async fn sales(database: &Database) -> Hand {
    let clock = ManualClock::new("2026-03-02T09:00:00Z".parse().expect("a moment"));
    let options = Options { location: database.location(), data_dir: Some(database.data_dir()), clock: Arc::new(clock) };
    let engine = Engine::open(options).await.unwrap_or_else(|error| panic!("the workspace does not open: {error}"));
    let files = folders::sales().into_iter().collect();
    let package = Package::from_files(Some("sales"), files).unwrap_or_else(|faults| panic!("{faults:#?}"));
    engine.install(&engine.system(), package, "the example").await.unwrap_or_else(|error| panic!("{error}: {error:#?}"));
    Hand { engine }
}

fn values(json: &Json) -> IndexMap<String, Input> {
    json.as_object().expect("values by field").iter().map(|(name, value)| (name.clone(), Input::from(value))).collect()
}

impl Hand {
    /// The engine's own rights, at the present revision.
    pub fn system(&self) -> Ctx {
        self.engine.system()
    }

    async fn one(&self, entity: &str, submission: Submission) -> Result<Written, Error> {
        let cx = self.system();
        let entity = self.engine.entity(&cx, entity)?.id;
        let mut results = self.engine.write(&cx, Batch { atomic: false, ..Batch::one(entity, submission) }).await?;
        results.pop().expect("a result for each submission")
    }

    /// A new record.
    pub async fn create(&self, entity: &str, json: &Json) -> Result<Uuid, Error> {
        Ok(self.one(entity, Submission::Create { id: None, values: values(json) }).await?.id)
    }

    /// Changed values.
    pub async fn update(&self, entity: &str, id: Uuid, version: Option<i64>, json: &Json) -> Result<Written, Error> {
        self.one(entity, Submission::Update { id, version, values: values(json) }).await
    }

    /// Another stage.
    pub async fn step(&self, entity: &str, id: Uuid, to: &str, json: &Json) -> Result<Written, Error> {
        self.one(entity, Submission::Move { id, version: None, field: None, to: to.to_owned(), values: values(json), skip: IndexMap::new() }).await
    }

    /// Into the bin.
    pub async fn delete(&self, entity: &str, id: Uuid) -> Result<Written, Error> {
        self.one(entity, Submission::Delete { id, version: None }).await
    }

    /// Out of the bin.
    pub async fn restore(&self, entity: &str, id: Uuid) -> Result<Written, Error> {
        self.one(entity, Submission::Restore { id }).await
    }

    /// All records of an entity.
    pub async fn all(&self, entity: &str) -> Vec<Json> {
        let cx = self.system();
        let entity = self.engine.entity(&cx, entity).unwrap_or_else(|error| panic!("{entity}: {error}")).id;
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let answer = self.engine.list(&cx, ListRequest { limit: Some(200), after, ..ListRequest::of(entity) }).await;
            let answer = answer.unwrap_or_else(|error| panic!("{error}: {error:?}"));
            rows.extend(answer.rows.iter().map(|row| serde_json::from_slice::<Json>(row).expect("a row is JSON")));
            match answer.next {
                Some(next) => after = Some(next),
                None => return rows,
            }
        }
    }

    /// One record.
    pub async fn read(&self, entity: &str, id: Uuid) -> Json {
        let cx = self.system();
        let entity = self.engine.entity(&cx, entity).unwrap_or_else(|error| panic!("{entity}: {error}")).id;
        let answer = self.engine.get(&cx, entity, id, &engine::records::Shape::default()).await;
        serde_json::from_slice(&answer.unwrap_or_else(|error| panic!("{id}: {error}")).json).expect("a record is JSON")
    }
}
