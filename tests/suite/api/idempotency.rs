//! In charge of requests that are sent twice.
//! Invariant: one key is one effect, whatever the network did.

use reqwest::Method;
use serde_json::json;
use tests::client::{Client, id_of};
use tests::on_both;

async fn keyed(client: &Client, key: &str, name: &str) -> tests::client::Answer {
    client.send(client.request(Method::POST, "/records/sales.account").header("idempotency-key", key).json(&json!({"name": name}))).await
}

on_both! {
    /// The same request again is answered again, not done again.
    async fn one_key_one_record(app) {
        let admin = app.admin();
        let first = keyed(&admin, "k1", "Acme").await.ok(201);
        let second = keyed(&admin, "k1", "Acme").await.ok(201);
        assert_eq!(id_of(&first), id_of(&second));
        keyed(&admin, "k1", "Other").await.problem(422, "idempotency_mismatch");
        keyed(&admin, "k2", "Acme").await.fault(409, "not_unique", "name");
        assert_eq!(admin.find("sales.account", json!({"all": []})).await.len(), 1);
        let ann = app.ann().await;
        let other = keyed(&ann, "k1", "Initech").await.ok(201);
        assert_ne!(id_of(&other), id_of(&first), "a key belongs to its caller");
        app.clock.advance(chrono::Duration::hours(25));
        let admin = app.nobody().sign_in("admin@example.com", tests::app::PASSWORD).await;
        keyed(&admin, "k1", "Later").await.is(201);
    }

    /// Sent ten times at once it is done once.
    async fn at_once_it_is_done_once(app) {
        let admin = app.admin();
        let senders: Vec<_> = (0..10).map(|_| { let admin = admin.clone(); tokio::spawn(async move { keyed(&admin, "race", "Racer").await }) }).collect();
        for sender in senders {
            let answer = sender.await.expect("a sender");
            assert!(matches!(answer.status.as_u16(), 201 | 409), "{}", answer.text());
            if answer.status.as_u16() == 409 {
                answer.problem(409, "busy");
            }
        }
        assert_eq!(admin.find("sales.account", json!({"field": "name", "op": "=", "value": "racer"})).await.len(), 1);
    }
}
