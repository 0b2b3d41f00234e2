//! In charge of replays of automations on the past: what they would have done, and that nothing of it stays.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use engine::automations::replay::ReplayAsked;
use engine::clock::ManualClock;
use engine::records::{Batch, ListRequest, Total};
use engine::{Ctx, Engine, Error, Options, Submission};
use model::Input;
use serde_json::{Value as Json, json};

async fn write(engine: &Engine, cx: &Ctx, entity: &str, submission: Submission) -> uuid::Uuid {
    let entity = engine.entity(cx, entity).expect("an entity").id;
    let mut results = engine.write(cx, Batch::one(entity, submission)).await.expect("written");
    results.pop().expect("one").expect("well").id
}

fn values(json: &Json) -> indexmap::IndexMap<String, Input> {
    json.as_object().expect("values").iter().map(|(name, value)| (name.clone(), Input::from(value))).collect()
}

async fn how_many(engine: &Engine, cx: &Ctx, entity: &str) -> u64 {
    let entity = engine.entity(cx, entity).expect("an entity").id;
    engine.list(cx, ListRequest { total: Total::Exact, ..ListRequest::of(entity) }).await.expect("a list").total.unwrap_or_default()
}

/// Steps that a run took, in order.
fn steps(run: &Json) -> Vec<&str> {
    run["steps"].as_array().into_iter().flatten().filter_map(|step| step["step"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_automations_are_replayed_on_the_past() {
    let mut package = super::package("examples/sales");
    // Switched off: what they would do is not done already.
    for name in ["lead_owner", "lead_stage"] {
        package.app.automations.get_mut(name).expect("an automation").off = true;
    }
    let start: DateTime<Utc> = "2026-01-05T09:00:00Z".parse().expect("a moment");
    let clock = ManualClock::new(start);
    let engine = Engine::open(Options { location: store::Location::scratch(), data_dir: None, clock: Arc::new(clock.clone()) }).await.expect("opens");
    engine.publish(&engine.system(), vec![package], "test").await.expect("publishes");
    let cx = engine.system();
    let above = values(&json!({"name": "Mo", "email": "mo@example.com", "roles": ["sales.manager"]}));
    let above = write(&engine, &cx, "core.user", Submission::Create { id: None, values: above }).await;
    let person = values(&json!({"name": "Ann", "email": "ann@example.com", "roles": ["sales.rep"], "manager": above.to_string()}));
    let ann = write(&engine, &cx, "core.user", Submission::Create { id: None, values: person }).await;
    let lead = values(&json!({"name": "Wei", "phone": "+8613812345678", "company": "Acme"}));
    let lead = write(&engine, &cx, "sales.lead", Submission::Create { id: None, values: lead }).await;
    engine.run_due().await.expect("done");
    clock.advance(Duration::hours(1));
    let cx = engine.system();
    let owner = values(&json!({"owner": ann.to_string()}));
    write(&engine, &cx, "sales.lead", Submission::Update { id: lead, version: None, values: owner }).await;
    clock.advance(Duration::days(10));
    let cx = engine.system();
    let to = Submission::Move {
        id: lead,
        version: None,
        field: None,
        to: "contacted".to_owned(),
        values: indexmap::IndexMap::new(),
        skip: indexmap::IndexMap::new(),
    };
    write(&engine, &cx, "sales.lead", to).await;
    engine.run_due().await.expect("done");

    let before = (
        how_many(&engine, &cx, "core.task").await,
        engine.changes(&cx, None, 1_000).await.expect("the feed"),
        engine.runs(&cx, Default::default()).await.expect("runs"),
    );
    let asked = ReplayAsked { from: start, until: start + Duration::days(1), after: None, limit: None };
    let told = engine.replay_automation(&cx, "sales.lead_owner", asked.clone()).await.expect("a replay");
    assert_eq!((&told["runs"], &told["counts"], &told["next"]), (&json!(1), &json!({"done": 1}), &Json::Null), "{told}");
    let run = &told["data"][0];
    assert_eq!((&run["record"], &run["waited"], &run["op"]), (&json!(lead), &json!(1), &json!("updated")), "{run}");
    // The lead was new then, whatever it is now; a day went by as if nothing had happened.
    assert_eq!(steps(run), ["find", "by_owner", "by_stage", "first", "await", "pause", "pause", "remind_owner", "remind_manager"], "{run}");
    let cx = engine.system();
    let after = (
        how_many(&engine, &cx, "core.task").await,
        engine.changes(&cx, None, 1_000).await.expect("the feed"),
        engine.runs(&cx, Default::default()).await.expect("runs"),
    );
    assert_eq!(before, after, "nothing of it stays");
    let shape = engine::records::Shape::default();
    let entity = engine.entity(&cx, "sales.lead").expect("leads").id;
    let json: Json = serde_json::from_slice(&engine.get(&cx, entity, lead, &shape).await.expect("the lead").json).expect("JSON");
    assert_eq!(json["stage"], "contacted", "{json}");

    let later = ReplayAsked { from: start + Duration::days(1), until: start + Duration::days(2), ..asked.clone() };
    let told = engine.replay_automation(&cx, "sales.lead_owner", later).await.expect("a replay");
    assert_eq!(told["runs"], 0, "nothing happened on that day: {told}");
    // Page by page: one run each, and no run twice.
    let first =
        engine.replay_automation(&cx, "sales.lead_stage", ReplayAsked { until: start + Duration::days(30), limit: Some(1), ..asked.clone() }).await;
    let first = first.expect("a replay");
    assert_eq!(first["runs"], 1, "{first}");
    let next = first["next"].as_str().and_then(|next| next.parse().ok());
    assert!(next.is_some(), "{first}");
    let rest = ReplayAsked { until: start + Duration::days(30), after: next, ..asked.clone() };
    let rest = engine.replay_automation(&cx, "sales.lead_stage", rest).await.expect("a replay");
    assert!(rest["data"].as_array().into_iter().flatten().all(|run| run["seq"] != first["data"][0]["seq"]), "{rest}");

    let hers = engine.context(ann, None).await.expect("a person");
    assert!(matches!(engine.replay_automation(&hers, "sales.lead_owner", asked.clone()).await, Err(Error::Forbidden)));
    assert!(matches!(engine.replay_automation(&cx, "sales.nothing", asked.clone()).await, Err(Error::NotFound)));
    assert!(matches!(engine.replay_automation(&cx, "sales.quote_approved", asked.clone()).await, Err(Error::Invalid(_))));
    let backwards = ReplayAsked { until: start, ..asked };
    assert!(matches!(engine.replay_automation(&cx, "sales.lead_owner", backwards).await, Err(Error::Invalid(_))));
}
