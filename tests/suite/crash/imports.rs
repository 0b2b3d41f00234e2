//! In charge of `kill -9` during an import.
//! Invariant: it goes on at the last committed slice; each row is there once; the file of errors is whole.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::backend::Backend;
use tests::client::Client;
use tests::program::Workspace;

use crate::{kills, run};

const ROWS: usize = 4000;

fn killed_while_importing(backend: Backend) {
    run(async {
        let workspace = Workspace::with_sales(backend).await;
        let mut server = workspace.serve().await;
        let admin = server.admin().await;
        let mut csv = String::from("Company,Staff\n");
        for n in 0..ROWS {
            // One row in a hundred is wrong.
            let staff = if n % 100 == 99 { "-1".to_owned() } else { n.to_string() };
            csv.push_str(&format!("Company {n},{staff}\n"));
        }
        let spec = json!({"entity": "account", "mode": "create", "values": {"name": {"from": "Company"}, "employees": {"from": "Staff"}}});
        let part = reqwest::multipart::Part::bytes(csv.into_bytes()).file_name("companies.csv");
        let form = reqwest::multipart::Form::new().text("spec", spec.to_string()).part("file", part);
        let answer = admin.send(admin.request(Method::POST, "/imports").multipart(form)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let job = answer.json()["id"].as_str().expect("a job").to_owned();
        let mut killed = 0;
        for round in 0..kills() {
            tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 53) % 150)).await;
            if is_ended(&server.admin().await, &job).await {
                break;
            }
            server.kill();
            killed += 1;
            server = workspace.serve().await;
        }
        assert!(killed > 0, "the import was over before it could be killed");
        let admin = server.admin().await;
        for _ in 0..1200 {
            if is_ended(&admin, &job).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ended = admin.get(&format!("/imports/{job}")).await.ok(200);
        assert_eq!(
            (&ended["state"], &ended["created"], &ended["failed"]),
            (&json!("done"), &json!(ROWS - ROWS / 100), &json!(ROWS / 100)),
            "{ended}"
        );
        let total = admin.ask("/records/sales.account", &[("total", "exact"), ("limit", "1")]).await.ok(200);
        assert_eq!(total["total"], ROWS - ROWS / 100);
        let errors = admin.get(&format!("/imports/{job}/errors")).await;
        errors.is(200);
        assert_eq!(errors.text().lines().filter(|line| line.contains("Company ")).count(), ROWS / 100, "{}", errors.text());
        server.kill();
        workspace.remove().await;
    });
}

async fn is_ended(client: &Client, job: &str) -> bool {
    let job = client.get(&format!("/imports/{job}")).await.ok(200);
    matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled"))
}

#[test]
fn killed_while_importing_on_sqlite() {
    killed_while_importing(Backend::Sqlite);
}

#[test]
fn killed_while_importing_on_postgres() {
    killed_while_importing(Backend::Postgres);
}
