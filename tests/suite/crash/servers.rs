//! In charge of servers as processes: asked to end under load, a second one on the same data, connections that are cut.
//! Invariant: an end that was asked for loses nothing; two servers never write one file; a cut connection heals.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, TransactionTrait};
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

/// A limit on the size of files is told to who writes; it ends nothing.
#[test]
fn files_that_may_not_grow() {
    run(async {
        let workspace = Workspace::with_sales(Backend::Sqlite).await;
        let size = std::fs::metadata(workspace.path().join("trellis.sqlite")).expect("the database").len();
        let server = workspace.serve_within(size / 512 + 600).await;
        let client = server.admin().await;
        let kept = client.create_id("sales.account", json!({"name": "Before"})).await;
        let mut refused = None;
        for round in 0..200 {
            let operations: Vec<_> =
                (0..100).map(|n| json!({"op": "create", "values": {"name": format!("{round} {n} {}", "x".repeat(100))}})).collect();
            let answer = client.post("/records/sales.account/batch", json!({"atomic": true, "operations": operations})).await;
            if !answer.status.is_success() {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("the limit is reached");
        refused.problem(503, "busy");
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(client.read("sales.account", &kept).await["name"], "Before", "what is there is still read");
        server.kill();
        let server = workspace.serve().await;
        server.admin().await.create("sales.account", json!({"name": "After"})).await;
        assert_eq!(server.stop(), Some(0));
        file_is_sound(&workspace, Backend::Sqlite);
    });
}

/// The doctor names bytes that are gone, figures that are wrong and pages that are damaged.
#[test]
fn the_doctor_names_what_is_broken() {
    run(async {
        let workspace = Workspace::with_sales(Backend::Sqlite).await;
        let server = workspace.serve().await;
        let client = server.admin().await;
        let uploaded = client.upload("contract.pdf", "application/pdf", b"%PDF-1.4 signed".to_vec()).await.ok(201);
        client.create("sales.account", json!({"name": "Acme"})).await;
        assert_eq!(server.stop(), Some(0));
        file_is_sound(&workspace, Backend::Sqlite);
        let names = |what: &str| {
            let (code, said) = workspace.try_run(&["doctor"], "");
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(what), "no `{what}` in {said}");
        };
        let contents = workspace.path().join("files");
        std::fs::rename(&contents, workspace.path().join("elsewhere")).expect("moved");
        names(uploaded["id"].as_str().expect("an id"));
        std::fs::rename(workspace.path().join("elsewhere"), &contents).expect("moved back");
        file_is_sound(&workspace, Backend::Sqlite);

        let path = workspace.path().join("trellis.sqlite");
        let database = rusqlite::Connection::open(&path).expect("the file");
        let count = |by: i64| database.execute("UPDATE sales__account SET open_deals = coalesce(open_deals, 0) + ?1", [by]).expect("changed");
        assert_eq!(count(1), 1);
        names("open_deals");
        count(-1);
        file_is_sound(&workspace, Backend::Sqlite);

        // A page of an index of the change log.
        let root: u64 = database
            .query_row("SELECT rootpage FROM sqlite_master WHERE name = 'i_sys_change_record'", [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
            .expect("a page");
        let size: u64 = database.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).expect("a size");
        database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("all is in the file");
        drop(database);
        let mut bytes = std::fs::read(&path).expect("the file");
        let start = usize::try_from((root - 1) * size).expect("small");
        bytes[start..start + 2000].fill(0xA5);
        std::fs::write(&path, bytes).expect("written");
        names("damaged");
    });
}

/// Behind a table that somebody holds one is told that it is busy; others are served meanwhile.
#[test]
fn a_table_that_is_held() {
    run(async {
        let workspace = Workspace::with_sales(Backend::Postgres).await;
        let server = workspace.serve().await;
        let client = server.admin().await;
        client.create("sales.account", json!({"name": "Acme"})).await;
        let other = sea_orm::Database::connect(workspace.database.as_deref().expect("a URL")).await.expect("PostgreSQL answers");
        let holding = other.begin().await.expect("a transaction");
        holding.execute_unprepared("LOCK TABLE sales__account IN ACCESS EXCLUSIVE MODE").await.expect("held");
        let began = Instant::now();
        let (held, free) = tokio::join!(client.get("/records/sales.account"), client.get("/records/sales.product"));
        held.problem(503, "busy");
        assert!(!held.header("retry-after").is_empty());
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
        free.is(200);
        holding.rollback().await.expect("let go");
        client.get("/records/sales.account").await.is(200);
        other.close().await.expect("closed");
        server.kill();
        workspace.remove().await;
    });
}
