//! In charge of the cases of changed apps: what becomes of the data that was there.
//! Invariant: nothing is lost; what cannot be shown any more comes back when it can be.

use serde_json::Value as Json;
use tests::backend::{Backend, with_database};

use crate::world::{World, cases};

fn data_lives_on(backend: Backend) {
    let mut faults = Vec::new();
    for (file, case) in cases("migration") {
        with_database(backend, async |database| {
            let mut world = World::new(database).await;
            for (number, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
                let published = world.publish(&step["fields"]).await;
                match (published, step["refused"] == true) {
                    (Ok(()), false) | (Err(engine::Error::Documents(_) | engine::Error::Invalid(_) | engine::Error::Unplaced(_)), true) => {}
                    (Ok(()), true) => faults.push(format!("{file}, step {number}: is published, must be refused")),
                    (Err(error), _) => {
                        faults.push(format!("{file}, step {number}: {error:?}"));
                        break;
                    }
                }
                world.add("world.thing", "key", &step["rows"]).await;
                check(&world, &file, number, step, &mut faults).await;
            }
            world.engine.close().await;
        });
    }
    assert!(faults.is_empty(), "{} fault(s)\n{}", faults.len(), faults.join("\n"));
}

async fn check(world: &World, file: &str, number: usize, step: &Json, faults: &mut Vec<String>) {
    for (key, expected) in step["expect"].as_object().into_iter().flatten() {
        let read = world.read(key).await;
        for (field, value) in expected.as_object().into_iter().flatten() {
            if &read[field] != value {
                faults.push(format!("{file}, step {number}: {key}.{field} is {}, not {value}", read[field]));
            }
        }
        for field in step["gone"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if read.get(field).is_some() {
                faults.push(format!("{file}, step {number}: {key} still shows {field}"));
            }
        }
    }
}

#[test]
fn data_lives_on_on_sqlite() {
    data_lives_on(Backend::Sqlite);
}

#[test]
fn data_lives_on_on_postgres() {
    data_lives_on(Backend::Postgres);
}
