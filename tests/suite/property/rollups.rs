//! In charge of the promise that roll-ups and formulas are right after any writes, however they met.
//! Invariant: what is stored equals what a recount over all rows gives.

use serde_json::{Value as Json, json};
use tests::client::{Client, id_of};
use tests::on_both;
use tests::recount::recount;

use tests::chance::Chance;

struct Story {
    client: Client,
    accounts: Vec<String>,
    product: String,
}

/// One writer's share: creates, changes of value, account and stage, deletes, restores; faults by collision are fine.
async fn write(story: Story, seed: u64, deeds: usize) {
    let Story { client, accounts, product } = story;
    let mut chance = Chance::new(seed);
    let (mut mine, mut binned): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for _ in 0..deeds {
        let account = chance.of(&accounts).clone();
        let value = format!("{}.{:02}", chance.below(1000), chance.below(100));
        match chance.below(10) {
            0..=3 => {
                let stage = *chance.of(&["prospecting", "engaging", "won"]);
                let body = json!({"product": product, "account": account, "stage": stage, "close_value": value, "engage_date": "2026-01-01", "close_date": "2026-02-01"});
                mine.push(id_of(&client.post("/records/sales.deal", body).await.ok(201)));
            }
            4..=6 if !mine.is_empty() => {
                let id = chance.of(&mine).clone();
                let body = if chance.once_in(2) { json!({"close_value": value}) } else { json!({"account": account, "close_value": null}) };
                let answer = client.patch(&format!("/records/sales.deal/{id}"), body).await;
                assert!(matches!(answer.status.as_u16(), 200 | 422 | 503), "{}: {}", answer.asked, answer.text());
            }
            7 if !mine.is_empty() => {
                let id = chance.of(&mine).clone();
                let stage = *chance.of(&["prospecting", "engaging", "won"]);
                let answer = client.step("sales.deal", &id, json!({"stage": stage})).await;
                assert!(matches!(answer.status.as_u16(), 200 | 422 | 503), "{}: {}", answer.asked, answer.text());
            }
            8 if !mine.is_empty() => {
                let id = mine.swap_remove(chance.below(mine.len()));
                client.delete(&format!("/records/sales.deal/{id}")).await.is(204);
                binned.push(id);
            }
            9 if !binned.is_empty() => {
                let id = binned.swap_remove(chance.below(binned.len()));
                client.post(&format!("/records/sales.deal/{id}/restore"), json!({})).await.is(200);
                mine.push(id);
            }
            _ => {
                let id = account;
                let parent = chance.of(&accounts).clone();
                let answer = client
                    .patch(&format!("/records/sales.account/{id}"), json!({"parent": if chance.once_in(3) { Json::Null } else { json!(parent) }}))
                    .await;
                assert!(matches!(answer.status.as_u16(), 200 | 422 | 503), "{}: {}", answer.asked, answer.text());
            }
        }
    }
}

on_both! {
    /// Eight writers at random over six accounts that move under one another; then a recount.
    async fn rollups_equal_a_recount(app) {
        let product = app.product("GTX", "550").await;
        let mut accounts = Vec::new();
        for n in 0..6 {
            accounts.push(app.account(&format!("Account {n}")).await);
        }
        for round in 0..3 {
            let writers: Vec<_> = (0..8).map(|writer| tokio::spawn(write(Story { client: app.admin(), accounts: accounts.clone(), product: product.clone() }, round * 100 + writer, 12))).collect();
            for writer in writers {
                writer.await.expect("a writer");
            }
            recount(&app.admin()).await;
        }
    }

    /// One hot parent: a hundred children at once, none lost, no dead-lock told to anybody.
    async fn a_hot_parent_loses_nothing(app) {
        let (product, account) = (app.product("GTX", "550").await, app.account("Hot").await);
        let writers: Vec<_> = (0..10).map(|_| {
            let (client, product, account) = (app.admin(), product.clone(), account.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    client.create("sales.deal", json!({"product": product, "account": account, "stage": "won", "close_date": "2026-02-01", "close_value": "0.01"})).await;
                }
            })
        }).collect();
        for writer in writers {
            writer.await.expect("a writer");
        }
        assert_eq!(app.admin().read("sales.account", &account).await["won_value"], 1.0);
        recount(&app.admin()).await;
    }
}
