//! In charge of changing what the CRM is, while it runs.
//! Invariant: a publish is whole or not at all; what runs meanwhile is not disturbed; a roll-back finds its data.

use serde_json::{Value as Json, json};
use tests::client::column;
use tests::folders::{edit, sales, unzip};
use tests::on_both;

on_both! {
    /// A new field is there with the next request, filled by its default, searchable, sortable; taken away it is gone, and back
    /// with its data after a roll-back.
    async fn a_field_comes_goes_and_comes_back(app) {
        let admin = app.admin();
        let before = app.account("Acme").await;
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| entity["fields"]["nickname"] = json!({"kind": "text", "label": "Nickname", "search": true, "default": "none yet"}));
        app.install_files(files).await;
        assert!(admin.read("sales.account", &before).await.get("nickname").is_some());
        let after = admin.create("sales.account", json!({"name": "Globex"})).await;
        assert_eq!(after["nickname"], "none yet");
        admin.change("sales.account", &before, json!({"nickname": "The Big A"})).await;
        assert_eq!(admin.list("sales.account", &[("q", "big")]).await.len(), 1);
        let number = admin.get("/design/revisions").await.ok(200)["data"][0]["number"].clone();
        app.install_files(sales()).await;
        assert!(admin.read("sales.account", &before).await.get("nickname").is_none());
        admin.patch(&format!("/records/sales.account/{before}"), json!({"nickname": "x"})).await.fault(400, "unknown_field", "nickname");
        admin.ask("/records/sales.account", &[("sort", "nickname")]).await.is(400);
        let rolled = admin.post(&format!("/design/revisions/{number}/rollback"), json!({})).await;
        assert!(rolled.status.is_success(), "{}", rolled.text());
        assert_eq!(admin.read("sales.account", &before).await["nickname"], "The Big A");
    }

    /// A new stored formula and a new roll-up are right for the records that were there before.
    async fn computed_fields_are_filled(app) {
        let (admin, ann) = (app.admin(), app.ann().await);
        let account = app.account("Acme").await;
        for value in ["1.10", "2.20"] {
            app.deal(&ann, json!({"account": account, "close_value": value})).await;
        }
        let mut files = sales();
        edit(&mut files, "entities/deal.json", |entity| entity["fields"]["double"] = json!({"kind": "formula", "label": "Double", "result": "money", "expr": "close_value * 2"}));
        edit(&mut files, "entities/account.json", |entity| entity["fields"]["doubles"] = json!({"kind": "rollup", "label": "Doubles", "of": "deals", "fn": "sum", "field": "double"}));
        app.install_files(files).await;
        assert_eq!(admin.read("sales.account", &account).await["doubles"], 6.6);
        let sorted = ann.list("sales.deal", &[("sort", "-double")]).await;
        assert_eq!(column(&sorted, "double"), ["4.4", "2.2"]);
    }

    /// Everything that is wrong comes at once with its file and its place; nothing is changed.
    async fn a_wrong_app_changes_nothing(app) {
        let admin = app.admin();
        let revisions = admin.get("/design/revisions").await.ok(200)["data"].clone();
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| {
            entity["fields"]["oops"] = json!({"kind": "txt"});
            entity["fields"]["ring"] = json!({"kind": "formula", "result": "integer", "expr": "ring + 1"});
        });
        edit(&mut files, "views/accounts.json", |view| view["sort"] = json!(["nmae"]));
        let request = admin.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(tests::folders::zip(&files));
        let answer = admin.send(request).await;
        assert_eq!(answer.status.as_u16(), 422, "{}", answer.text());
        let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
        let about = |file: &str, part: &str| errors.iter().any(|error| error["file"] == file && error["pointer"].as_str().is_some_and(|pointer| pointer.contains(part)));
        assert!(about("entities/account.json", "oops"), "{}", answer.text());
        assert_eq!(admin.get("/design/revisions").await.ok(200)["data"], revisions);
        admin.create("sales.account", json!({"name": "Still here"})).await;
    }

    /// Exported, installed elsewhere and exported again: the same bytes.
    async fn an_export_is_canonical(app) {
        let admin = app.admin();
        let first = admin.get("/design/apps/sales/export").await;
        first.is(200);
        let files = unzip(&first.body);
        assert!(files.iter().any(|(name, _)| name == "entities/deal.json"), "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
        app.install_files(files.clone()).await;
        let second = admin.get("/design/apps/sales/export").await;
        assert!(unzip(&second.body) == files, "the second export differs");
    }

    /// Only who may design may look at and change the design.
    async fn design_is_for_designers(app) {
        let ann = app.ann().await;
        for path in ["/design/apps", "/design/revisions", "/design/apps/sales/export"] {
            let answer = ann.get(path).await;
            assert!(matches!(answer.status.as_u16(), 403 | 404), "{path}: {}", answer.text());
        }
        let request = ann.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(tests::folders::zip(&sales()));
        assert!(matches!(ann.send(request).await.status.as_u16(), 403 | 404));
        let admin = app.admin();
        for junk in [b"not a zip".to_vec(), tests::folders::zip(&[]), tests::folders::zip(&[("../../evil.json".to_owned(), b"{}".to_vec())])] {
            let request = admin.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(junk);
            let answer = admin.send(request).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{} {}", answer.status, answer.text());
        }
    }

    /// Writers and readers go on while revisions change under them; none sees a stale one.
    async fn work_goes_on_while_publishing(app) {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let workers: Vec<_> = (0..4).map(|worker| {
            let (admin, stop) = (app.admin(), std::sync::Arc::clone(&stop));
            tokio::spawn(async move {
                let mut made = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let id = admin.create_id("sales.account", json!({"name": format!("W{worker}-{made}")})).await;
                    let read: Json = admin.read("sales.account", &id).await;
                    assert_eq!(read["id"], id.as_str());
                    made += 1;
                }
                made
            })
        }).collect();
        for round in 0..5 {
            let mut files = sales();
            for field in 0..=round {
                edit(&mut files, "entities/account.json", |entity| entity["fields"][format!("extra_{field}")] = json!({"kind": "integer", "label": "Extra", "default": field}));
            }
            app.install_files(files).await;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let mut made = 0;
        for worker in workers {
            made += worker.await.expect("a worker");
        }
        let total = app.admin().ask("/records/sales.account", &[("total", "exact"), ("limit", "1")]).await.ok(200);
        assert_eq!(total["total"], made);
        let last = app.admin().create("sales.account", json!({"name": "Last"})).await;
        assert_eq!(last["extra_4"], 4);
    }
}
