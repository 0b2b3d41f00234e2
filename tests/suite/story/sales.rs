//! In charge of the story of the sales example: deals made, moved, lost from sight and back, by one and by many at once.
//! Invariant: after every chapter the figures of accounts equal a recount.

use engine::Error;
use serde_json::{Value as Json, json};
use tests::backend::{Backend, with_database};
use tests::chance::Chance;
use tests::recount::{cents, compare};
use uuid::Uuid;

use crate::hand::{Hand, sales};

async fn recount(hand: &Hand) {
    compare(&hand.all("sales.account").await, &hand.all("sales.deal").await);
}

fn codes(error: &Error) -> Vec<&'static str> {
    match error {
        Error::Invalid(faults) => faults.iter().map(|fault| fault.code.as_str()).collect(),
        Error::StaleVersion { .. } => vec!["stale_version"],
        Error::NotFound => vec!["not_found"],
        Error::Forbidden => vec!["forbidden"],
        other => panic!("{other}"),
    }
}

fn one_by_one(backend: Backend) {
    with_database(backend, async |database| {
        let hand = sales(database).await;
        let product = hand.create("sales.product", &json!({"name": "GTX Basic", "series": "gtx", "sales_price": 550})).await.expect("a product");
        let acme = hand.create("sales.account", &json!({"name": "Acme", "sector": "technology"})).await.expect("an account");
        let south = hand.create("sales.account", &json!({"name": "Acme South", "parent": acme})).await.expect("an account");
        let owner = hand.create("core.user", &json!({"name": "Ann", "email": "ann@example.com"})).await.expect("a person");
        let deal = hand
            .create("sales.deal", &json!({"product": product, "account": acme, "owner": owner, "engage_date": "2026-02-01"}))
            .await
            .expect("a deal");
        let read = hand.read("sales.deal", deal).await;
        assert_eq!(
            (&read["name"], &read["weighted"], &read["stage"], &read["age"]),
            (&json!("GTX Basic · Acme"), &json!(55.0), &json!("prospecting"), &json!(29))
        );
        recount(&hand).await;

        let refused = hand.step("sales.deal", deal, "won", &json!({})).await.expect_err("a won deal has a value");
        assert_eq!(codes(&refused), ["stage_requires", "stage_requires"]);
        hand.step("sales.deal", deal, "engaging", &json!({})).await.expect("a move");
        hand.step("sales.deal", deal, "won", &json!({"close_date": "2026-03-01", "close_value": "500.10"})).await.expect("a move");
        assert_eq!(cents(&hand.read("sales.account", acme).await["won_value"]), 50_010);
        recount(&hand).await;

        hand.update("sales.deal", deal, None, &json!({"account": south})).await.expect("a change");
        let (top, below) = (hand.read("sales.account", acme).await, hand.read("sales.account", south).await);
        assert_eq!((cents(&top["won_value"]), cents(&top["won_value_below"]), cents(&below["won_value"])), (0, 50_010, 50_010));
        assert_eq!(hand.read("sales.deal", deal).await["name"], "GTX Basic · Acme South");
        hand.update("sales.account", south, None, &json!({"name": "Acme Süd"})).await.expect("a change");
        assert_eq!(hand.read("sales.deal", deal).await["name"], "GTX Basic · Acme Süd", "a formula follows what it looks at");
        hand.update("sales.account", south, None, &json!({"parent": null})).await.expect("a change");
        recount(&hand).await;

        assert_eq!(codes(&hand.update("sales.deal", deal, Some(1), &json!({"close_value": 1})).await.expect_err("a lost update")), ["stale_version"]);
        hand.delete("sales.deal", deal).await.expect("a delete");
        recount(&hand).await;
        assert_eq!(codes(&hand.update("sales.deal", deal, None, &json!({"close_value": 1})).await.expect_err("it is gone")), ["not_found"]);
        hand.restore("sales.deal", deal).await.expect("a restore");
        recount(&hand).await;
        assert_eq!(codes(&hand.delete("sales.account", south).await.expect_err("in use")), ["restricted"]);
        assert_eq!(codes(&hand.create("sales.account", &json!({"name": "ACME"})).await.expect_err("the name is taken")), ["not_unique"]);
        hand.engine.close().await;
    });
}

/// One writer's share.
async fn write(hand: Hand, accounts: Vec<Uuid>, product: Uuid, owner: Uuid, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut mine: Vec<Uuid> = Vec::new();
    for _ in 0..25 {
        let account = *chance.of(&accounts);
        let value = format!("{}.{:02}", chance.below(1000), chance.below(100));
        let done = match chance.below(8) {
            0..=2 => {
                let stage = chance.of(&["prospecting", "engaging", "won"]);
                let body = json!({"product": product, "account": account, "owner": owner, "stage": stage, "close_value": value, "engage_date": "2026-01-01", "close_date": "2026-02-01"});
                hand.create("sales.deal", &body).await.map(|id| mine.push(id))
            }
            3 | 4 if !mine.is_empty() => {
                let body = if chance.once_in(2) { json!({"close_value": value}) } else { json!({"account": account, "close_value": null}) };
                hand.update("sales.deal", *chance.of(&mine), None, &body).await.map(|_| ())
            }
            5 if !mine.is_empty() => {
                let (id, stage) = (*chance.of(&mine), *chance.of(&["prospecting", "engaging", "won"]));
                hand.step("sales.deal", id, stage, &json!({})).await.map(|_| ())
            }
            6 if !mine.is_empty() => {
                let id = *chance.of(&mine);
                match hand.delete("sales.deal", id).await {
                    Ok(_) => hand.restore("sales.deal", id).await.map(|_| ()),
                    Err(error) => Err(error),
                }
            }
            _ => {
                let parent = if chance.once_in(3) { Json::Null } else { json!(chance.of(&accounts)) };
                hand.update("sales.account", account, None, &json!({"parent": parent})).await.map(|_| ())
            }
        };
        if let Err(error) = done {
            assert!(!matches!(&error, Error::Store(_) | Error::Internal(_) | Error::Superseded), "seed {seed}: {error}");
        }
    }
}

fn many_at_once(backend: Backend) {
    with_database(backend, async |database| {
        let hand = sales(database).await;
        let product = hand.create("sales.product", &json!({"name": "GTX Basic", "series": "gtx", "sales_price": 550})).await.expect("a product");
        let owner = hand.create("core.user", &json!({"name": "Ann", "email": "ann@example.com"})).await.expect("a person");
        let mut accounts = Vec::new();
        for n in 0..6 {
            accounts.push(hand.create("sales.account", &json!({"name": format!("Account {n}")})).await.expect("an account"));
        }
        for round in 0..4 {
            let writers: Vec<_> =
                (0..8).map(|writer| tokio::spawn(write(hand.clone(), accounts.clone(), product, owner, round * 8 + writer))).collect();
            for writer in writers {
                writer.await.expect("a writer");
            }
            recount(&hand).await;
        }
        hand.engine.close().await;
    });
}

#[test]
fn one_by_one_on_sqlite() {
    one_by_one(Backend::Sqlite);
}

#[test]
fn one_by_one_on_postgres() {
    one_by_one(Backend::Postgres);
}

#[test]
fn many_at_once_on_sqlite() {
    many_at_once(Backend::Sqlite);
}

#[test]
fn many_at_once_on_postgres() {
    many_at_once(Backend::Postgres);
}
