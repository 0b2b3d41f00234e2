//! In charge of `kill -9` while clocks run: each warns once and is missed once, whatever ends the process.
//! Invariant: what a clock said is noted with it: nothing is said twice, nothing is left unsaid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tests::backend::Backend;
use tests::client::{Client, id_of};
use tests::folders;
use tests::program::Workspace;

use crate::{file_is_sound, kills, run};

/// A second after a record was made its clock warns, long before its limit: no restart takes that long.
fn documents() -> Vec<(String, Vec<u8>)> {
    let told = |at: &str| {
        json!({"on": {"clock": "reply", "entity": "call", "at": at},
               "steps": {"log": {"kind": "create", "entity": "log", "values": {"what": at, "call": {"text": "{{ record.id }}"}}}}, "root": ["log"]})
    };
    let files = [
        ("app.json", json!({"name": "timed", "label": "Timed", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        (
            "entities/call.json",
            json!({"label": "Call", "title": "{{ name }}",
                   "fields": {"name": {"kind": "text", "required": true}, "waits": {"kind": "boolean", "default": false}},
                   "clocks": {"reply": {"from": "created_at", "pause_if": {"field": "waits", "op": "=", "value": true},
                                        "limits": [{"within": "PT20S"}], "calendar": "natural", "warn_before": ["PT19S"]}}}),
        ),
        ("entities/log.json", json!({"label": "Log", "title": "{{ what }}", "fields": {"what": {"kind": "text"}, "call": {"kind": "text"}}})),
        ("automations/warned.json", told("warning")),
        ("automations/missed.json", told("missed")),
    ];
    files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()
}

type Journal = Arc<Mutex<BTreeSet<String>>>;

/// Makes records, some of which wait for a moment, until the server is gone.
async fn make(client: Client, journal: Journal) {
    for round in 0_usize.. {
        let request = client.request(reqwest::Method::POST, "/records/timed.call").json(&json!({"name": "call", "waits": round % 3 == 0}));
        let Ok(answer) = request.send().await else { return };
        let Ok(body) = answer.json::<Json>().await else { return };
        let id = id_of(&body);
        journal.lock().expect("a journal").insert(id.clone());
        if round % 3 == 0 {
            let request = client.request(reqwest::Method::PATCH, &format!("/records/timed.call/{id}")).json(&json!({"waits": false}));
            if request.send().await.is_err() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn killed_while_counting(backend: Backend) {
    run(async {
        let workspace = Workspace::with_sales(backend).await;
        let mut server = workspace.serve().await;
        let admin = server.admin().await;
        let zip = folders::zip(&documents());
        let answer = admin.send(admin.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(zip)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let journal = Journal::default();
        for round in 0..kills() {
            let admin = server.admin().await;
            let makers: Vec<_> = (0..3).map(|_| tokio::spawn(make(admin.clone(), Arc::clone(&journal)))).collect();
            tokio::time::sleep(Duration::from_millis(60 + (round as u64 * 97) % 400)).await;
            server.kill();
            for maker in makers {
                maker.await.expect("a maker");
            }
            server = workspace.serve().await;
        }
        let admin = server.admin().await;
        let answered = journal.lock().expect("a journal").clone();
        let calls: BTreeSet<String> = admin.pages("timed.call", &[("limit", "500")]).await.iter().map(id_of).collect();
        assert!(answered.is_subset(&calls), "an answered record is lost");
        // What a kill left waiting goes on now.
        for call in admin.find("timed.call", json!({"field": "reply.state", "op": "=", "value": "paused"})).await {
            admin.change("timed.call", &id_of(&call), json!({"waits": false})).await;
        }
        let open = json!({"field": "reply.state", "op": "!=", "value": "missed"});
        for _ in 0..600 {
            let waiting = admin.ask("/automations/runs", &[("state", "waiting"), ("limit", "1")]).await.ok(200);
            if waiting["data"].as_array().is_some_and(Vec::is_empty) && admin.find("timed.call", open.clone()).await.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut said: BTreeMap<(String, String), usize> = BTreeMap::new();
        for log in admin.pages("timed.log", &[("limit", "500")]).await {
            let text = |key: &str| log[key].as_str().unwrap_or_default().to_owned();
            *said.entry((text("call"), text("what"))).or_default() += 1;
        }
        for call in &calls {
            for what in ["warning", "missed"] {
                assert_eq!(said.get(&(call.clone(), what.to_owned())), Some(&1), "{what} of {call}");
            }
        }
        server.kill();
        file_is_sound(&workspace, backend);
        workspace.remove().await;
    });
}

#[test]
fn killed_while_clocks_count_on_sqlite() {
    killed_while_counting(Backend::Sqlite);
}

#[test]
fn killed_while_clocks_count_on_postgres() {
    killed_while_counting(Backend::Postgres);
}
