//! In charge of `kill -9` while automations run: what was answered sets off what it must, once.
//! Invariant: each answered record has each of its steps once, waited-for ones too; each call reached its receiver at least once,
//! under one id for each record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tests::backend::Backend;
use tests::client::{Client, id_of};
use tests::folders;
use tests::program::Workspace;
use tests::sinks::WebSink;

use crate::{file_is_sound, kills, run};

fn documents() -> Vec<(String, Vec<u8>)> {
    let log = |what: &str| json!({"kind": "create", "entity": "log", "values": {"what": what, "thing": {"text": "{{ record.name }}"}}});
    let files = [
        ("app.json", json!({"name": "auto", "label": "Auto", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        ("entities/thing.json", json!({"label": "Thing", "title": "{{ name }}", "fields": {"name": {"kind": "text", "required": true}}})),
        ("entities/log.json", json!({"label": "Log", "title": "{{ what }}", "fields": {"what": {"kind": "text"}, "thing": {"kind": "text"}}})),
        (
            "automations/follow.json",
            json!({"on": {"record": "created", "entity": "thing"},
                   "steps": {"one": log("one"), "call": {"kind": "webhook", "url": "$secret.receiver", "values": {"name": {"from": "name"}}},
                             "pause": {"kind": "wait", "for": "PT1S"}, "two": log("two")},
                   "root": ["one", "call", "pause", "two"]}),
        ),
    ];
    files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()
}

type Journal = Arc<Mutex<BTreeSet<String>>>;

/// Makes things until the server is gone.
async fn make(client: Client, journal: Journal, seed: String) {
    for round in 0_usize.. {
        let name = format!("{seed}-{round}");
        let request = client.request(reqwest::Method::POST, "/records/auto.thing").json(&json!({"name": name}));
        let Ok(answer) = request.send().await else { return };
        let Ok(body) = answer.bytes().await else { return };
        let Ok(body) = serde_json::from_slice::<Json>(&body) else { return };
        let _ = id_of(&body);
        journal.lock().expect("a journal").insert(name);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn killed_while_running(backend: Backend) {
    run(async {
        let sink = WebSink::start().await;
        let workspace = Workspace::with_sales(backend).await;
        let mut server = workspace.serve_with(&["--allow-private-addresses"]).await;
        let admin = server.admin().await;
        let zip = folders::zip(&documents());
        let answer = admin.send(admin.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(zip)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        admin.patch("/admin/secrets/auto", json!({"receiver": format!("{}/in", sink.base)})).await.is(204);
        let journal = Journal::default();
        for round in 0..kills() {
            let admin = server.admin().await;
            let makers: Vec<_> = (0..3).map(|n| tokio::spawn(make(admin.clone(), Arc::clone(&journal), format!("{round}-{n}")))).collect();
            tokio::time::sleep(Duration::from_millis(60 + (round as u64 * 97) % 400)).await;
            server.kill();
            for maker in makers {
                maker.await.expect("a maker");
            }
            server = workspace.serve_with(&["--allow-private-addresses"]).await;
        }
        let admin = server.admin().await;
        let things = admin.pages("auto.thing", &[]).await;
        let names: BTreeSet<String> = things.iter().filter_map(|thing| thing["name"].as_str()).map(str::to_owned).collect();
        let answered = journal.lock().expect("a journal").clone();
        assert!(answered.is_subset(&names), "an answered record is lost");
        for _ in 0..600 {
            let open = admin.ask("/automations/runs", &[("state", "waiting"), ("limit", "1")]).await.ok(200);
            if open["data"].as_array().is_some_and(Vec::is_empty) && called(&sink).len() == names.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut done: BTreeMap<(String, String), usize> = BTreeMap::new();
        for log in admin.pages("auto.log", &[]).await {
            let text = |key: &str| log[key].as_str().unwrap_or_default().to_owned();
            *done.entry((text("thing"), text("what"))).or_default() += 1;
        }
        for name in &names {
            for what in ["one", "two"] {
                assert_eq!(done.get(&(name.clone(), what.to_owned())), Some(&1), "step {what} of {name}");
            }
        }
        let called = called(&sink);
        assert_eq!(called.keys().cloned().collect::<BTreeSet<_>>(), names, "each record's call arrived");
        assert!(called.values().all(|ids| ids.len() == 1), "one id for each call: {called:?}");
        server.kill();
        file_is_sound(&workspace, backend);
        workspace.remove().await;
    });
}

/// The ids under which calls arrived, by the record's name.
fn called(sink: &WebSink) -> BTreeMap<String, BTreeSet<String>> {
    let mut called: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in sink.calls() {
        let body: Json = serde_json::from_str(&call.body).expect("json");
        called.entry(body["name"].as_str().unwrap_or_default().to_owned()).or_default().insert(call.header("webhook-id").to_owned());
    }
    called
}

#[test]
fn killed_while_automations_run_on_sqlite() {
    killed_while_running(Backend::Sqlite);
}

#[test]
fn killed_while_automations_run_on_postgres() {
    killed_while_running(Backend::Postgres);
}
