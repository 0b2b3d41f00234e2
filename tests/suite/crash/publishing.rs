//! In charge of `kill -9` during a publish.
//! Invariant: the old revision or the new one, never between; data and writes are right under either.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::backend::Backend;
use tests::folders;
use tests::program::Workspace;
use tests::recount::recount;

use crate::{kills, run};

fn killed_while_publishing(backend: Backend) {
    run(async {
        let workspace = Workspace::with_sales(backend).await;
        let mut server = workspace.serve().await;
        let admin = server.admin().await;
        let product = admin.create_id("sales.product", json!({"name": "GTX", "sales_price": 550})).await;
        let rows: Vec<_> = (0..500).map(|n| json!({"op": "create", "values": {"name": format!("Account {n}"), "employees": n}})).collect();
        admin.post("/records/sales.account/batch", json!({"operations": rows})).await.is(200);
        let mut fields = 0;
        for round in 0..kills() {
            let admin = server.admin().await;
            let before = revision(&admin).await;
            let mut files = folders::sales();
            folders::edit(&mut files, "entities/account.json", |entity| {
                for n in 0..=fields {
                    entity["fields"][format!("extra_{n}")] =
                        json!({"kind": "formula", "label": "Extra", "result": "integer", "expr": format!("employees + {n}")});
                }
            });
            let request = admin.request(Method::POST, "/design/apps").header("content-type", "application/zip").body(folders::zip(&files));
            let publishing = tokio::spawn(async move { request.send().await.is_ok_and(|answer| answer.status().is_success()) });
            tokio::time::sleep(Duration::from_millis(10 + (round as u64 * 41) % 300)).await;
            server.kill();
            let answered = publishing.await.expect("a publish");
            server = workspace.serve().await;
            let admin = server.admin().await;
            let after = revision(&admin).await;
            assert!(after == before || after == before + 1, "{before} became {after}");
            assert!(!answered || after == before + 1, "an answered publish is gone");
            let account = admin
                .list("sales.account", &[("sort", "employees"), ("limit", "1"), ("filter", "{\"field\":\"employees\",\"op\":\"=\",\"value\":77}")])
                .await;
            let name = format!("extra_{fields}");
            if after == before + 1 {
                assert_eq!(account[0][&name], 77 + fields, "{}", account[0]);
                fields += 1;
            } else {
                assert!(account[0].get(&name).is_none(), "{}", account[0]);
            }
            let fresh = admin.create("sales.account", json!({"name": format!("After {round}"), "employees": 1})).await;
            if fields > 0 {
                assert_eq!(fresh[format!("extra_{}", fields - 1)], 1 + fields - 1, "{fresh}");
            }
            admin.create("sales.deal", json!({"product": product, "account": fresh["id"]})).await;
        }
        recount(&server.admin().await).await;
        server.kill();
        // What a killed publish added is named until it is swept.
        let (code, said) = workspace.try_run(&["doctor"], "");
        assert_eq!(code == Some(0), !said.contains("is not finished"), "{said}");
        let (code, said) = workspace.try_run(&["doctor", "--sweep"], "");
        assert_eq!(code, Some(0), "{said}");
        recount(&workspace.serve().await.admin().await).await;
        workspace.remove().await;
    });
}

async fn revision(client: &tests::client::Client) -> i64 {
    client.get("/design/revisions").await.ok(200)["data"][0]["number"].as_i64().expect("a number")
}

#[test]
fn killed_while_publishing_on_sqlite() {
    killed_while_publishing(Backend::Sqlite);
}

#[test]
fn killed_while_publishing_on_postgres() {
    killed_while_publishing(Backend::Postgres);
}
