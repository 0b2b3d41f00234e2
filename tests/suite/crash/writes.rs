//! In charge of `kill -9` under write load.
//! Invariant: clients keep a journal of what was answered; after a restart the workspace agrees with it, roll-ups, history and
//! feed included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tests::backend::Backend;
use tests::client::{Client, id_of};
use tests::program::Workspace;
use tests::recount::recount;

use crate::{file_is_sound, kills, run};

/// What one record was last answered to be, and what may have been on its way.
#[derive(Clone, Debug, Default)]
struct Known {
    version: i64,
    cents: i64,
    on_its_way: Option<i64>,
}

type Journal = Arc<Mutex<BTreeMap<String, Known>>>;

/// Writes until the server is gone.
async fn write(client: Client, journal: Journal, accounts: Vec<String>, product: String, seed: usize) {
    let mut mine: Vec<String> = Vec::new();
    for round in 0_usize.. {
        let value = i64::try_from(seed * 100_000 + round).unwrap_or_default();
        let money = format!("{}.{:02}", value / 100, value % 100);
        let account = &accounts[(seed + round) % accounts.len()];
        if mine.is_empty() || round % 3 == 0 {
            let body = json!({"product": product, "account": account, "stage": "won", "close_date": "2026-02-01", "close_value": money});
            let request = client.request(reqwest::Method::POST, "/records/sales.deal").json(&body);
            let Some(answer) = answered(request).await else { return };
            let id = id_of(&answer);
            journal.lock().expect("a journal").insert(id.clone(), Known { version: 1, cents: value, on_its_way: None });
            mine.push(id);
        } else {
            let id = mine[round % mine.len()].clone();
            journal.lock().expect("a journal").entry(id.clone()).or_default().on_its_way = Some(value);
            let request =
                client.request(reqwest::Method::PATCH, &format!("/records/sales.deal/{id}")).json(&json!({"close_value": money, "account": account}));
            let Some(answer) = answered(request).await else { return };
            let version = answer["version"].as_i64().unwrap_or_default();
            journal.lock().expect("a journal").insert(id, Known { version, cents: value, on_its_way: None });
        }
    }
}

/// The answer, or nothing where the server is gone.
async fn answered(request: reqwest::RequestBuilder) -> Option<Json> {
    let response = request.send().await.ok()?;
    let status = response.status();
    let body = response.bytes().await.ok()?;
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).ok()
}

async fn agrees(client: &Client, journal: &Journal) {
    let known = journal.lock().expect("a journal").clone();
    for (id, known) in &known {
        let read = client.read("sales.deal", id).await;
        let (version, cents) = (read["version"].as_i64().unwrap_or_default(), tests::recount::cents(&read["close_value"]));
        if version == known.version {
            assert_eq!(cents, known.cents, "{id} is not as answered: {known:?}, {read}");
        } else {
            assert_eq!((version, Some(cents)), (known.version + 1, known.on_its_way), "{id} lost an answered write: {known:?}, {read}");
        }
        // What turned out to be there is what counts from now on.
        journal.lock().expect("a journal").insert(id.clone(), Known { version, cents, on_its_way: None });
    }
    for id in known.keys().take(20) {
        let history = client.ask(&format!("/records/sales.deal/{id}/history"), &[("limit", "1000")]).await.ok(200);
        let version = client.read("sales.deal", id).await["version"].as_i64().unwrap_or_default();
        let entries = history["data"].as_array().map_or(0, Vec::len);
        assert_eq!(i64::try_from(entries).unwrap_or_default(), version, "a history entry for each version of {id}: {history}");
    }
    recount(client).await;
}

fn killed_while_writing(backend: Backend) {
    run(async {
        let workspace = Workspace::with_sales(backend).await;
        let journal: Journal = Arc::default();
        let mut server = workspace.serve().await;
        let admin = server.admin().await;
        let product = admin.create_id("sales.product", json!({"name": "GTX", "sales_price": 550})).await;
        let mut accounts = Vec::new();
        for n in 0..4 {
            accounts.push(admin.create_id("sales.account", json!({"name": format!("Account {n}")})).await);
        }
        for round in 0..kills() {
            let client = server.admin().await;
            let writers: Vec<_> =
                (0..8).map(|n| tokio::spawn(write(client.clone(), Arc::clone(&journal), accounts.clone(), product.clone(), round * 8 + n))).collect();
            let wait = 80 + (round * 37) % 250;
            tokio::time::sleep(Duration::from_millis(wait as u64)).await;
            server.kill();
            for writer in writers {
                writer.await.expect("a writer");
            }
            server = workspace.serve().await;
            agrees(&server.admin().await, &journal).await;
        }
        assert!(journal.lock().expect("a journal").len() > kills(), "hardly anything was written");
        assert_eq!(server.stop(), Some(0));
        file_is_sound(&workspace, backend);
        workspace.remove().await;
    });
}

#[test]
fn killed_while_writing_on_sqlite() {
    killed_while_writing(Backend::Sqlite);
}

#[test]
fn killed_while_writing_on_postgres() {
    killed_while_writing(Backend::Postgres);
}
