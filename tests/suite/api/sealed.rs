//! In charge of fields that rest encrypted, and of secrets.
//! Invariant: the clear value reaches those who may read the field, and nothing else: no column, log, search or export.

use serde_json::json;
use tests::app::App;
use tests::backend::{Backend, with_database};
use tests::folders::{edit, sales};
use tests::on_both;

use model::Value;
use store::Lock;

const CANARY: &str = "canary-4711-canary";

fn with_sealed_fields() -> Vec<(String, Vec<u8>)> {
    let mut files = sales();
    edit(&mut files, "entities/account.json", |entity| {
        entity["fields"]["tax_id"] = json!({"kind": "text", "label": "Tax id", "encrypted": true, "unique": true, "search": true, "max_length": 40});
        entity["fields"]["founded_on"] = json!({"kind": "date", "label": "Founded", "encrypted": true});
        entity["fields"]["portal"] = json!({"kind": "secret", "label": "Portal password"});
    });
    files
}

on_both! {
    /// Read and found by its exact value; nothing else tells of it.
    async fn what_is_encrypted_stays_so(app) {
        app.install_files(with_sealed_fields()).await;
        let admin = app.admin();
        let values = json!({"name": "Acme", "tax_id": CANARY, "founded_on": "1999-12-31", "portal": CANARY});
        let made = admin.create("sales.account", values).await;
        let id = made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        assert_eq!((&made["tax_id"], &made["founded_on"]), (&json!(CANARY), &json!("1999-12-31")));
        assert!(made.get("portal").is_none_or(serde_json::Value::is_null), "{made}");
        assert_eq!(admin.read("sales.account", &id).await["tax_id"], CANARY);

        let filter = |op: &str, value: &str| json!({"field": "tax_id", "op": op, "value": value}).to_string();
        assert_eq!(admin.list("sales.account", &[("filter", &filter("=", CANARY))]).await.len(), 1);
        assert_eq!(admin.list("sales.account", &[("filter", &filter("=", "another"))]).await.len(), 0);
        admin.ask("/records/sales.account", &[("filter", &filter("contains", "canary"))]).await.is(400);
        admin.ask("/records/sales.account", &[("filter", &filter(">", "a"))]).await.is(400);
        admin.ask("/records/sales.account", &[("sort", "tax_id")]).await.is(400);
        assert_eq!(admin.list("sales.account", &[("q", CANARY)]).await.len(), 0);
        admin.post("/records/sales.account", json!({"name": "Twin", "tax_id": CANARY})).await.fault(409, "not_unique", "tax_id");

        admin.change("sales.account", &id, json!({"tax_id": format!("{CANARY}-2")})).await;
        for path in [format!("/records/sales.account/{id}/history"), "/changes?limit=500".to_owned()] {
            let told = admin.get(&path).await;
            told.is(200);
            assert!(!told.text().contains(CANARY), "{path}: {}", told.text());
        }

        let (published, record) = (app.engine.current(), id.parse().expect("an id"));
        let load = move |tx: &store::Tx| {
            let def = published.schema.find("sales.account").expect("accounts");
            Ok::<_, engine::Error>(tx.load(def, &[record], Lock::None)?)
        };
        let cells = app.engine.store().read(load).await.expect("loads");
        let cells = cells.into_iter().next().flatten().expect("is there");
        let shown = format!("{cells:?}");
        assert!(!shown.contains(CANARY) && !shown.contains("1999-12-31"), "{shown}");
        let sealed = cells.iter().filter(|cell| matches!(cell, Value::Bytes(bytes) if bytes.len() > 28)).count();
        assert!(sealed >= 3, "{shown}");
    }

    /// A field that becomes encrypted takes its values over, and gives them back.
    async fn a_field_becomes_encrypted_and_clear_again(app) {
        let admin = app.admin();
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| entity["fields"]["tax_id"] = json!({"kind": "text", "label": "Tax id"}));
        app.install_files(files.clone()).await;
        let id = admin.create_id("sales.account", json!({"name": "Acme", "tax_id": CANARY})).await;
        app.install_files(with_sealed_fields()).await;
        assert_eq!(admin.read("sales.account", &id).await["tax_id"], CANARY);
        app.install_files(files).await;
        assert_eq!(admin.read("sales.account", &id).await["tax_id"], CANARY);
    }
}

/// The clear columns that a table has beside the live ones, with how many of its records hold something in them.
async fn clear_copies(app: &App) -> u64 {
    let published = app.engine.current();
    let count = move |tx: &store::Tx| {
        let def = published.schema.find("sales.account").expect("accounts");
        let mut count = 0;
        for column in tx.columns_of(&def.table)?.iter().filter(|column| column.starts_with("tax_id")) {
            if !def.columns.iter().any(|live| live.name == *column) {
                // What a text is sorted by rests as bytes.
                let cells = tx.retired_cells(&def.table, column, model::Storage::Text, None, 10);
                let cells = cells.or_else(|_| tx.retired_cells(&def.table, column, model::Storage::Bytes, None, 10))?;
                count += cells.len() as u64;
            }
        }
        Ok::<_, engine::Error>(count)
    };
    app.engine.store().read(count).await.expect("counts")
}

on_both! {
    /// What a field held in clear before it was encrypted does not rest beside it.
    async fn no_clear_value_stays_behind(app) {
        let admin = app.admin();
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| entity["fields"]["tax_id"] = json!({"kind": "text", "label": "Tax id"}));
        app.install_files(files).await;
        let id = admin.create_id("sales.account", json!({"name": "Acme", "tax_id": CANARY})).await;
        app.install_files(with_sealed_fields()).await;
        assert!(clear_copies(&app).await > 0, "who reads under the former revision still finds it");
        app.clock.set(app.engine.now() + chrono::Duration::minutes(2));
        app.engine.run_due().await.expect("done");
        assert_eq!(clear_copies(&app).await, 0);
        assert_eq!(admin.read("sales.account", &id).await["tax_id"], CANARY);
    }
}

/// A field that is retired while the key changes brings its values back.
fn a_retired_field_outlives_its_key(backend: Backend) {
    with_database(backend, async |database| {
        let app = App::start(database).await;
        app.install_files(with_sealed_fields()).await;
        let id = app.admin().create_id("sales.account", json!({"name": "Acme", "tax_id": CANARY})).await;
        app.install_files(sales()).await;
        assert_eq!(app.engine.rotate_key().await.expect("rotates"), 1);
        app.stop().await;
        let app = App::again(database).await;
        app.install_files(with_sealed_fields()).await;
        assert_eq!(app.admin().read("sales.account", &id).await["tax_id"], CANARY);
        app.stop().await;
    });
}

mod a_retired_field {
    use super::*;

    #[test]
    fn sqlite() {
        a_retired_field_outlives_its_key(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        a_retired_field_outlives_its_key(Backend::Postgres);
    }
}

/// After a new key all is read and found as before; a rotation that was cut off between database and file is finished.
fn a_new_key_opens_everything(backend: Backend) {
    with_database(backend, async |database| {
        let app = App::start(database).await;
        app.install_files(with_sealed_fields()).await;
        let id = app.admin().create_id("sales.account", json!({"name": "Acme", "tax_id": CANARY})).await;
        let (key, next) = (database.data_dir().join("key"), database.data_dir().join("key.next"));
        let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("a key");
        let old = read(&key);
        assert_eq!(app.engine.rotate_key().await.expect("rotates"), 1);
        app.stop().await;
        let new = read(&key);
        assert_ne!(old, new);

        // The database has the new key, the file still the old one.
        std::fs::write(&next, &new).expect("written");
        std::fs::write(&key, &old).expect("written");
        for _ in 0..2 {
            let app = App::again(database).await;
            assert_eq!((read(&key), next.exists()), (new.clone(), false));
            assert_eq!(app.admin().read("sales.account", &id).await["tax_id"], CANARY);
            let filter = json!({"field": "tax_id", "op": "=", "value": CANARY}).to_string();
            assert_eq!(app.admin().list("sales.account", &[("filter", &filter)]).await.len(), 1);
            app.stop().await;
            // The next time: cut off before the database had it, so that it never was in force.
            std::fs::write(&next, &old).expect("written");
        }
    });
}

mod a_new_key {
    use super::*;

    #[test]
    fn sqlite() {
        a_new_key_opens_everything(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        a_new_key_opens_everything(Backend::Postgres);
    }
}
