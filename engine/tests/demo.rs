//! In charge of the demonstration: the real data loads whole, and its figures are right.
#![allow(clippy::expect_used, reason = "a test ends where what it expects is not so")]

use std::path::Path;
use std::sync::Arc;

use engine::clock::SystemClock;
use engine::packages::read_folder;
use engine::{Engine, Options};

#[tokio::test(flavor = "multi_thread")]
async fn the_sales_data_loads_whole() {
    let engine =
        Engine::open(Options { location: store::Location::SqliteMemory, data_dir: None, clock: Arc::new(SystemClock) }).await.expect("opens");
    engine.start_jobs();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/sales");
    engine.install(&engine.system(), read_folder(&root).expect("an app"), "test").await.expect("installs");
    let loaded = engine::demo::load(&engine, "sales", "a long enough word", true).await.expect("loads");
    assert_eq!(loaded.failed, 0, "{:?}", loaded.reasons);
    let cx = engine.system();
    let entity = engine.entity(&cx, "sales.deal").expect("deals").id;
    let body = serde_json::json!({"group_by": ["stage"], "measures": ["count", {"sum": "close_value"}]});
    let answer = engine.aggregate(&cx, entity, body).await.expect("groups");
    let groups: Vec<(String, u64)> = answer["data"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|row| (row["stage"].as_str().unwrap_or_default().to_owned(), row["count"].as_u64().unwrap_or_default()))
        .collect();
    let count = |stage: &str| groups.iter().find(|(name, _)| name == stage).map(|(_, count)| *count);
    assert_eq!((count("won"), count("lost"), count("engaging"), count("prospecting")), (Some(4238), Some(2473), Some(1589), Some(500)));
    let won: f64 = answer["data"]
        .as_array()
        .expect("groups")
        .iter()
        .find(|row| row["stage"] == "won")
        .and_then(|row| row["sum_close_value"].as_f64())
        .expect("a sum");
    assert!((won - 10_005_534.0).abs() < 0.01, "{won}");
}
