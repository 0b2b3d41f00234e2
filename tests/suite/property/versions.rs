//! In charge of the promise that of several edits of one version exactly one wins, and of unique values exactly one is kept.
//! Invariant: no interleaving loses an edit that was answered with success.

use serde_json::json;
use tests::on_both;

on_both! {
    /// Many edits of one version at once: one is kept, the others are told.
    async fn one_winner(app) {
        let admin = app.admin();
        let id = app.account("Acme").await;
        for round in 1..=10_i64 {
            let writers: Vec<_> = (0..6_i64).map(|writer| {
                let (client, path) = (admin.clone(), format!("/records/sales.account/{id}"));
                tokio::spawn(async move { (writer, client.patch(&path, json!({"version": round, "employees": round * 100 + writer})).await) })
            }).collect();
            let mut winners = Vec::new();
            for writer in writers {
                let (writer, answer) = writer.await.expect("a writer");
                match answer.status.as_u16() {
                    200 => winners.push(writer),
                    412 => { answer.problem(412, "stale_version"); }
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            assert_eq!(winners.len(), 1, "round {round}");
            let read = admin.read("sales.account", &id).await;
            assert_eq!((&read["version"], &read["employees"]), (&json!(round + 1), &json!(round * 100 + winners[0])));
        }
    }

    /// The same name from many sides at once: one account has it.
    async fn one_name(app) {
        for round in 0..5 {
            let writers: Vec<_> = (0..6).map(|writer| {
                let client = app.admin();
                let name = if writer % 2 == 0 { format!("Racer {round}") } else { format!("RACER {round}") };
                tokio::spawn(async move { client.post("/records/sales.account", json!({"name": name})).await })
            }).collect();
            let mut made = 0;
            for writer in writers {
                let answer = writer.await.expect("a writer");
                match answer.status.as_u16() {
                    201 => made += 1,
                    409 => { answer.problem(409, "not_unique"); }
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            assert_eq!(made, 1, "round {round}");
        }
    }

    /// A reference set while its target is deleted: either the target stays, or the reference is refused.
    async fn no_reference_into_nothing(app) {
        let (admin, product) = (app.admin(), app.product("GTX", "550").await);
        for round in 0..10 {
            let account = app.account(&format!("Account {round}")).await;
            let (creating, deleting) = (admin.clone(), admin.clone());
            let (body, path) = (json!({"product": product, "account": account}), format!("/records/sales.account/{account}"));
            let (created, deleted) = tokio::join!(tokio::spawn(async move { creating.post("/records/sales.deal", body).await }), tokio::spawn(async move { deleting.delete(&path).await }));
            let (created, deleted) = (created.expect("a writer"), deleted.expect("a writer"));
            match (created.status.as_u16(), deleted.status.as_u16()) {
                (201, 409) | (422, 204) => {}
                (one, other) => panic!("round {round}: created {one}, deleted {other}: {} {}", created.text(), deleted.text()),
            }
        }
    }
}
