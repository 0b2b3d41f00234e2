//! In charge of servers as processes: asked to end under load, a second one on the same data, connections that are cut.
//! Invariant: an end that was asked for loses nothing; two servers never write one file; a cut connection heals.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::backend::Backend;
use tests::program::Workspace;

use crate::{file_is_sound, run};

#[test]
fn asked_to_end_under_load() {
    run(async {
        let workspace = Workspace::with_sales(Backend::Sqlite).await;
        let server = workspace.serve().await;
        let client = server.admin().await;
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut answered = 0;
                    for n in 0.. {
                        let request = client.request(reqwest::Method::POST, "/records/sales.account").json(&json!({"name": format!("{writer}-{n}")}));
                        match request.send().await {
                            Ok(answer) if answer.status().as_u16() == 201 => answered += 1,
                            _ => break,
                        }
                    }
                    answered
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let code = tokio::task::spawn_blocking(move || server.stop()).await.expect("the end");
        assert_eq!(code, Some(0), "{}", workspace.log());
        assert!(began.elapsed() < Duration::from_secs(10));
        let mut answered = 0;
        for writer in writers {
            answered += writer.await.expect("a writer");
        }
        file_is_sound(&workspace, Backend::Sqlite);
        let server = workspace.serve().await;
        let total = server.admin().await.ask("/records/sales.account", &[("total", "exact"), ("limit", "1")]).await.ok(200);
        assert!(total["total"].as_u64().unwrap_or_default() >= answered, "{total} of {answered}");
        server.kill();
    });
}

#[test]
fn a_second_server_refuses() {
    run(async {
        let workspace = Workspace::with_sales(Backend::Sqlite).await;
        let server = workspace.serve().await;
        let (code, said) = tokio::task::block_in_place(|| workspace.try_run(&["serve", "--listen", "127.0.0.1:0"], ""));
        assert_eq!(code, Some(1), "{said}");
        server.admin().await.create("sales.account", json!({"name": "Still served"})).await;
        server.kill();
        let server = workspace.serve().await;
        server.admin().await.create("sales.account", json!({"name": "A lock outlives no process"})).await;
        server.kill();
    });
}

#[test]
fn commands_work_while_it_is_served() {
    run(async {
        let workspace = Workspace::with_sales(Backend::Sqlite).await;
        let server = workspace.serve().await;
        let said = tokio::task::block_in_place(|| workspace.run(&["app", "list"], ""));
        assert!(said.contains("sales"), "{said}");
        tokio::task::block_in_place(|| {
            workspace.run(&["user", "add", "late@example.com", "--name", "Late", "--role", "sales.rep", "--password-stdin"], tests::app::PASSWORD)
        });
        tests::client::Client::nobody(&server.base).sign_in("late@example.com", tests::app::PASSWORD).await;
        server.kill();
    });
}

#[test]
fn cut_connections_heal() {
    run(async {
        let workspace = Workspace::with_sales(Backend::Postgres).await;
        let server = workspace.serve().await;
        let client = server.admin().await;
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let client = client.clone();
                tokio::spawn(async move {
                    let began = Instant::now();
                    let mut made = 0_u64;
                    for n in 0.. {
                        if began.elapsed() > Duration::from_secs(4) {
                            break;
                        }
                        let answer = client.post("/records/sales.account", json!({"name": format!("{writer}-{n}")})).await;
                        match answer.status.as_u16() {
                            201 => made += 1,
                            503 => {
                                answer.problem(503, "busy");
                                assert!(!answer.header("retry-after").is_empty());
                            }
                            other => panic!("{other}: {}", answer.text()),
                        }
                    }
                    made
                })
            })
            .collect();
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(350)).await;
            workspace.cut_connections().await;
        }
        let mut made = 0;
        for writer in writers {
            made += writer.await.expect("a writer");
        }
        let healed = Instant::now();
        let total = loop {
            let answer = client.ask("/records/sales.account", &[("total", "exact"), ("limit", "1")]).await;
            if answer.status.is_success() {
                break answer.json()["total"].as_u64().unwrap_or_default();
            }
            assert!(healed.elapsed() < Duration::from_secs(5), "{}", answer.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(total >= made && made > 0, "{total} there, {made} answered");
        server.kill();
        workspace.remove().await;
    });
}
