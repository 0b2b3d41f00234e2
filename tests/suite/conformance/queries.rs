//! In charge of the cases of operators, groups, relations and paths.
//! Invariant: every operator has a file of cases.

use model::filter::Op;
use serde_json::Value as Json;
use tests::backend::{Backend, with_database};

use crate::world::{World, cases};

fn filters_select(backend: Backend) {
    with_database(backend, async |database| {
        let mut world = World::new(database).await;
        let things = cases("worlds").into_iter().find(|(name, _)| name == "things").expect("the world of things").1;
        world.publish(&things["fields"]).await.unwrap_or_else(|error| panic!("{error:#?}"));
        world.add("world.place", "name", &things["places"]).await;
        world.add("world.thing", "key", &things["rows"]).await;
        let mut faults = Vec::new();
        for (file, case) in
            cases("query").iter().flat_map(|(file, json)| json["cases"].as_array().into_iter().flatten().map(move |case| (file, case)))
        {
            let expected: Vec<String> = case["expect"].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
            match world.find(&case["filter"]).await {
                Ok(found) if case["refused"] == true => faults.push(format!("{file}: {} gives {found:?}, must be refused", case["filter"])),
                Ok(found) if found != expected => faults.push(format!("{file}: {} gives {found:?}, not {expected:?}", case["filter"])),
                Err(error) if case["refused"] != true => faults.push(format!("{file}: {} is refused: {error:?}", case["filter"])),
                Ok(_) | Err(engine::Error::Invalid(_)) => {}
                Err(error) => faults.push(format!("{file}: {} fails: {error}", case["filter"])),
            }
        }
        assert!(faults.is_empty(), "{} fault(s)\n{}", faults.len(), faults.join("\n"));
        world.engine.close().await;
    });
}

#[test]
fn filters_select_on_sqlite() {
    filters_select(Backend::Sqlite);
}

#[test]
fn filters_select_on_postgres() {
    filters_select(Backend::Postgres);
}

#[test]
fn every_operator_has_cases() {
    let files = cases("query");
    for op in Op::ALL {
        let told = files.iter().flat_map(|(_, json)| json["cases"].as_array().into_iter().flatten()).any(|case| case["filter"]["op"] == op.as_str());
        assert!(told, "no case looks at `{}`", op.as_str());
    }
}
