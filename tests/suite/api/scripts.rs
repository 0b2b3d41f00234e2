//! In charge of scripts over HTTP: what a run shows of them, how a refusal is answered, what a publish says of faults.
//! Invariant: what a script used up and noted is in the history of its run, whether it ended well or not.

use serde_json::{Value as Json, json};
use tests::app::App;
use tests::on_both;

fn files(script: &str, automation: &Json) -> Vec<(String, Vec<u8>)> {
    let documents = [
        ("app.json", json!({"name": "scr", "label": "Scripts", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        (
            "entities/thing.json",
            json!({"label": "Thing", "title": "{{ name }}", "owner": "optional",
                   "fields": {"name": {"kind": "text", "required": true}, "count": {"kind": "integer"}, "price": {"kind": "decimal", "scale": 4}}}),
        ),
        ("automations/act.json", automation.clone()),
    ];
    let mut files: Vec<(String, Vec<u8>)> = documents.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect();
    files.push(("scripts/act.rhai".to_owned(), script.as_bytes().to_vec()));
    files
}

fn on_created(run: &str) -> Json {
    json!({"on": {"record": "created", "entity": "thing"}, "run": run, "steps": {"act": {"kind": "script", "script": "act"}}, "root": ["act"]})
}

async fn last_run(app: &App) -> Json {
    let admin = app.admin();
    let runs = admin.ask("/automations/runs", &[("automation", "scr.act")]).await.ok(200);
    admin.get(&format!("/automations/runs/{}", runs["data"][0]["id"].as_str().expect("a run"))).await.ok(200)
}

/// A script that tries two things, of which the second is refused, and then does a third.
async fn tried(app: &App, run: &str) {
    let script = "fn run(record) {
        if record.name != \"first\" { return; }
        try {
            create(\"thing\", #{ name: \"second\" });
            create(\"thing\", #{ count: 1 });
        } catch (why) {
            record.count = why.len();
        }
        create(\"thing\", #{ name: \"third\" });
    }";
    app.install_files(files(script, &on_created(run))).await;
    let id = app.admin().create_id("scr.thing", json!({"name": "first"})).await;
    app.engine.run_due().await.expect("done");
    let things = app.admin().find("scr.thing", json!({"all": []})).await;
    let mut names = tests::client::column(&things, "name");
    names.sort();
    assert_eq!(names, ["first", "third"]);
    let told = app.admin().read("scr.thing", &id).await["count"].as_u64();
    assert!(told.is_some_and(|told| told > 5), "{told:?}");
}

on_both! {
    /// A run tells what its script assigned, gave, noted and used up.
    async fn the_cost_of_a_script_is_shown(app) {
        let script = "fn run(record) {
            for i in 0..10 { record.count = count(\"thing\"); }
            record.price = 0.1 + 0.2;
            log(`counted ${record.count}`);
            #{ done: true }
        }";
        app.install_files(files(script, &on_created("after"))).await;
        let id = app.admin().create_id("scr.thing", json!({"name": "a"})).await;
        app.engine.run_due().await.expect("done");
        let run = last_run(&app).await;
        let data = &run["steps"][0]["data"];
        assert_eq!(run["state"], "done", "{run}");
        assert_eq!((&data["script"], &data["calls"], &data["log"]), (&json!("act"), &json!(10), &json!(["counted 1"])), "{run}");
        assert_eq!((&data["result"], &data["assigned"][0]["values"]), (&json!({"done": true}), &json!({"count": 1, "price": 0.3})), "{run}");
        assert!(data["operations"].as_u64().is_some_and(|used| used > 200), "{run}");
        assert!(data["milliseconds"].as_f64().is_some_and(|took| took > 0.0), "{run}");
        let thing = app.admin().read("scr.thing", &id).await;
        assert_eq!((&thing["count"], &thing["price"]), (&json!(1), &json!(0.3)));
    }

    /// What a script inside saves costs is summed up with its automation, refusals too.
    async fn the_cost_of_saves_is_summed_up(app) {
        let script = "fn run(record) {
            if record.name == \"bad\" { throw \"no\"; }
            record.count = [1, 2].map(|x| x + 1).reduce(|sum, x| sum + x, 0);
        }";
        app.install_files(files(script, &on_created("before"))).await;
        let admin = app.admin();
        assert_eq!(admin.create("scr.thing", json!({"name": "good"})).await["count"], 5);
        admin.post("/records/scr.thing", json!({"name": "bad"})).await.problem(422, "script_failed");
        let all = admin.get("/automations").await.ok(200);
        let act = all["data"].as_array().expect("automations").iter().find(|one| one["automation"] == "scr.act").expect("ours").clone();
        assert_eq!((&act["spent"]["times"], &act["spent"]["failed"]), (&json!(2), &json!(1)), "{act}");
        assert!(act["spent"]["operations"].as_f64().is_some_and(|used| used > 5.0), "{act}");
        assert!(act["spent"]["longest"].as_f64() >= act["spent"]["milliseconds"].as_f64(), "{act}");
        app.ann().await.get("/automations").await.is(403);
    }

    /// What a script tried and could not is undone, in the database, too; what comes after it is kept.
    async fn what_was_tried_is_undone(app) {
        tried(&app, "after").await;
    }

    /// The same inside a save.
    async fn what_was_tried_is_undone_inside_a_save(app) {
        tried(&app, "before").await;
    }

    /// One without end is ended, tells where and what it used, and is tried again later; nothing of it stays.
    async fn a_script_without_end_is_ended(app) {
        let script = "fn run(record) {\n    record.count = 1;\n    log(\"here\");\n    while true { }\n}";
        app.install_files(files(script, &on_created("after"))).await;
        let id = app.admin().create_id("scr.thing", json!({"name": "a"})).await;
        app.engine.run_due().await.expect("done");
        let run = last_run(&app).await;
        let step = &run["steps"][0];
        assert_eq!((&run["state"], &step["state"]), (&json!("failed"), &json!("failed")), "{run}");
        let error = step["error"].as_str().expect("a reason");
        assert!(error.starts_with("script_failed: Script act") && error.contains("line 4"), "{error}");
        assert_eq!(step["data"]["log"], json!(["here"]), "{run}");
        assert!(step["data"]["operations"].as_u64().is_some_and(|used| used > 1_000), "{run}");
        assert_eq!(app.admin().read("scr.thing", &id).await["count"], Json::Null);
    }

    /// What a script refuses before the save is a 422 in the caller's words; several records are refused one by one.
    async fn a_refusal_before_the_save_is_answered(app) {
        let script = "fn run(record) { if record.count > 3 { fail(#{\"en\": \"Too many\", \"zh-CN\": \"太多\"}, \"count\"); } record.name += \"!\"; }";
        app.install_files(files(script, &on_created("before"))).await;
        let admin = app.admin();
        let refused = admin.post("/records/scr.thing", json!({"name": "a", "count": 4})).await.ok(422);
        assert_eq!((&refused["errors"][0]["code"], &refused["errors"][0]["pointer"]), (&json!("script_failed"), &json!("/count")), "{refused}");
        assert_eq!(refused["errors"][0]["message"], "Too many", "{refused}");
        let id = admin.create_id("scr.thing", json!({"name": "a", "count": 3})).await;
        assert_eq!(admin.read("scr.thing", &id).await["name"], "a!");
        let batch = json!({"atomic": false, "operations": [
            {"op": "create", "values": {"name": "b", "count": 9}}, {"op": "create", "values": {"name": "c", "count": 1}}]});
        let answer = admin.post("/records/scr.thing/batch", batch).await.ok(200);
        assert_eq!((&answer["results"][0]["status"], &answer["results"][1]["status"]), (&json!(422), &json!(201)), "{answer}");
    }
}
