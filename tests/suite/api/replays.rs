//! In charge of replays over HTTP: who may ask, what is refused, what is told, and that nothing of it stays.

use serde_json::{Value as Json, json};
use tests::app::beginning;
use tests::on_both;

/// An automation that writes, makes, tells and waits, and one that is not set off by changes.
fn files() -> Vec<(String, Vec<u8>)> {
    let document = |name: &str, json: Json| (name.to_owned(), serde_json::to_vec(&json).expect("a document"));
    vec![
        document(
            "app.json",
            json!({"name": "desk", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"], "currency": "USD"}),
        ),
        document(
            "entities/case.json",
            json!({"title": "{{ name }}", "owner": "optional", "fields": {
                "name": {"kind": "text", "required": true}, "size": {"kind": "integer"}, "note": {"kind": "text"}, "number": {"kind": "autonumber", "pattern": "K-{0000}"}}}),
        ),
        document(
            "automations/big.json",
            json!({"on": {"record": "updated", "entity": "case", "fields": ["size"]}, "off": true, "if": "size > 10",
                "steps": {
                    "note": {"kind": "update", "values": {"note": {"text": "is {{ record.size }}"}}},
                    "more": {"kind": "create", "entity": "case", "save": "made", "values": {"name": {"text": "About {{ record.name }}"}}},
                    "pause": {"kind": "wait", "for": "P2D"},
                    "call": {"kind": "webhook", "url": "https://example.com/hook", "values": {"name": {"from": "name"}}},
                    "fail": {"kind": "update", "if": "size > 50", "values": {"name": null}}},
                "root": ["note", "more", "pause", "call", "fail"]}),
        ),
        document("automations/nightly.json", json!({"on": {"schedule": "0 3 * * *"}, "steps": {}, "root": []})),
    ]
}

fn span() -> Json {
    let from = beginning() - chrono::Duration::days(1);
    json!({"from": from.to_rfc3339(), "until": (from + chrono::Duration::days(30)).to_rfc3339()})
}

on_both! {
    /// What an automation would have done on each change that was, with the record as it was then; nothing of it stays.
    async fn the_past_is_replayed(app) {
        app.install_files(files()).await;
        let admin = app.admin();
        let id = admin.create_id("desk.case", json!({"name": "Pump", "size": 1})).await;
        for size in [20, 5, 60] {
            app.clock.advance(chrono::Duration::hours(1));
            let _ = admin.change("desk.case", &id, json!({"size": size})).await;
        }
        let _ = admin.change("desk.case", &id, json!({"size": 3, "name": "Pump 2"})).await;
        app.engine.run_due().await.expect("done");
        let before = (admin.list("desk.case", &[]).await, admin.get("/changes?limit=1000").await.ok(200), admin.get("/automations/runs").await.ok(200));
        let told = admin.post("/automations/desk.big/replay", span()).await.ok(200);
        assert_eq!((&told["runs"], &told["counts"]), (&json!(2), &json!({"done": 1, "failed": 1})), "{told}");
        let (first, second) = (&told["data"][0], &told["data"][1]);
        assert_eq!((&first["record"], &first["title"], &first["outcome"], &first["waited"]), (&json!(id), &json!("Pump 2"), &json!("done"), &json!(1)));
        let names: Vec<&str> = first["steps"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect();
        assert_eq!(names, ["note", "more", "pause", "pause", "call", "fail"], "{first}");
        assert_eq!(first["steps"][5]["state"], "skipped", "its condition did not hold then: {first}");
        assert_eq!(second["steps"].as_array().and_then(|steps| steps.last()).map(|step| &step["state"]), Some(&json!("failed")), "{second}");
        let after = (admin.list("desk.case", &[]).await, admin.get("/changes?limit=1000").await.ok(200), admin.get("/automations/runs").await.ok(200));
        assert_eq!(before, after, "nothing of it stays");
        app.engine.run_due().await.expect("done");
        // The next number is the next, where numbers are not given by transactions of their own, which leave gaps.
        let made = admin.create("desk.case", json!({"name": "Valve"})).await;
        let number = admin.read("desk.case", made["id"].as_str().expect("an id")).await["number"].clone();
        let gaps = app.backend == tests::backend::Backend::Postgres;
        assert!(number == "K-0002" || gaps && number.as_str().is_some_and(|number| number > "K-0002"), "{number}");
    }

    /// Page by page, each change once.
    async fn replays_come_in_pages(app) {
        app.install_files(files()).await;
        let admin = app.admin();
        let id = admin.create_id("desk.case", json!({"name": "Pump", "size": 1})).await;
        for size in 11..16 {
            let _ = admin.change("desk.case", &id, json!({"size": size})).await;
        }
        let (mut seen, mut after) = (Vec::new(), Json::Null);
        for _ in 0..5 {
            let mut body = span();
            body["limit"] = json!(2);
            body["after"] = after.clone();
            let page = admin.post("/automations/desk.big/replay", body).await.ok(200);
            seen.extend(page["data"].as_array().expect("runs").iter().map(|run| run["seq"].clone()));
            after = page["next"].clone();
            if after.is_null() {
                break;
            }
        }
        assert_eq!(seen.len(), 5, "{seen:?}");
        seen.dedup();
        assert_eq!(seen.len(), 5, "none twice: {seen:?}");
    }

    /// Only an administrator replays, only what changes set off, and only a span that ends after it begins.
    async fn what_cannot_be_replayed_is_refused(app) {
        app.install_files(files()).await;
        let (admin, ann) = (app.admin(), app.ann().await);
        ann.post("/automations/desk.big/replay", span()).await.problem(403, "forbidden");
        admin.post("/automations/desk.nothing/replay", span()).await.problem(404, "not_found");
        admin.post("/automations/desk.nightly/replay", span()).await.problem(422, "rule_failed");
        let body = json!({"from": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"});
        admin.post("/automations/desk.big/replay", body).await.problem(400, "malformed");
        admin.post("/automations/desk.big/replay", json!({"from": "yesterday", "limit": "many"})).await.fault(422, "wrong_type", "from");
    }
}
