//! In charge of the change feed over HTTP.
//! Invariant: every committed change that its reader may see, in commit order, none missed, none twice.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use tests::client::Client;
use tests::on_both;

/// Reads the feed from `after` to its present end.
async fn follow(client: &Client, after: &mut Option<String>) -> Vec<Json> {
    let mut seen = Vec::new();
    loop {
        let query: Vec<(&str, &str)> = after.as_deref().map(|after| ("after", after)).into_iter().collect();
        let page = client.ask("/changes", &query).await.ok(200);
        let data = page["data"].as_array().unwrap_or_else(|| panic!("{page}")).clone();
        let next = page["next"].as_str().map(str::to_owned);
        let ended = data.is_empty() || next.is_none() || next == *after;
        if let Some(next) = next.or_else(|| data.last().and_then(|change| change["seq"].as_str().map(str::to_owned))) {
            *after = Some(next);
        }
        seen.extend(data);
        if ended {
            return seen;
        }
    }
}

async fn until<F: Fn(&[Json]) -> bool>(client: &Client, after: &mut Option<String>, seen: &mut Vec<Json>, enough: F) {
    for _ in 0..100 {
        seen.extend(follow(client, after).await);
        if enough(seen) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the feed did not get there: {seen:?}");
}

on_both! {
    /// A record's life is in the feed, in order.
    async fn a_life_is_in_the_feed(app) {
        let mo = app.mo().await;
        let (mut after, mut seen) = (None, Vec::new());
        follow(&mo, &mut after).await;
        let id = app.deal_id(&mo, json!({})).await;
        mo.change("sales.deal", &id, json!({"close_value": 5})).await;
        mo.delete(&format!("/records/sales.deal/{id}")).await.is(204);
        mo.post(&format!("/records/sales.deal/{id}/restore"), json!({})).await.is(200);
        let of = |seen: &[Json]| seen.iter().filter(|change| change["id"] == id.as_str()).map(|change| change["op"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
        until(&mo, &mut after, &mut seen, |seen| of(seen).len() >= 4).await;
        assert_eq!(of(&seen), ["created", "updated", "deleted", "restored"]);
        let update = seen.iter().find(|change| change["op"] == "updated" && change["id"] == id.as_str()).expect("the update");
        assert_eq!((&update["entity"], &update["version"]), (&json!("sales.deal"), &json!(2)));
        assert!(update["fields"].as_array().is_some_and(|fields| fields.contains(&json!("close_value"))), "{update}");
        assert!(!seen.iter().any(|change| change.get("values").is_some()), "names, never values");
    }

    /// Many writers at once: a reader that follows all the while sees each change once.
    async fn none_missed_none_twice(app) {
        let admin = app.admin();
        let mut after = None;
        follow(&admin, &mut after).await;
        let writers: Vec<_> = (0..8).map(|writer| tokio::spawn(write(app.admin(), writer))).collect();
        let mut seen = Vec::new();
        until(&admin, &mut after, &mut seen, |seen| seen.iter().filter(|change| change["entity"] == "sales.account").count() >= 8 * 15).await;
        for writer in writers {
            writer.await.expect("a writer");
        }
        seen.extend(follow(&admin, &mut after).await);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut last_versions: BTreeMap<String, i64> = BTreeMap::new();
        for change in seen.iter().filter(|change| change["entity"] == "sales.account") {
            *counts.entry(change["seq"].to_string()).or_default() += 1;
            let version = change["version"].as_i64().unwrap_or_default();
            let before = last_versions.insert(change["id"].to_string(), version).unwrap_or_default();
            assert!(version == before + 1, "versions of a record come in order: {before} then {version}");
        }
        assert_eq!(counts.len(), 8 * 15);
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        let again = follow(&admin, &mut None).await;
        let order = |changes: &[Json]| changes.iter().filter(|change| change["entity"] == "sales.account").map(|change| change["seq"].to_string()).collect::<Vec<_>>();
        assert_eq!(order(&again), order(&seen), "read again, it is the same");
    }

    /// A wrong place in the feed is refused.
    async fn wrong_places_are_refused(app) {
        let admin = app.admin();
        for wrong in ["x", "-1", "1;drop"] {
            admin.ask("/changes", &[("after", wrong)]).await.is(400);
        }
    }
}

/// Five accounts, each made and changed twice.
async fn write(client: Client, writer: usize) {
    for n in 0..5 {
        let id = client.create_id("sales.account", json!({"name": format!("Account {writer}-{n}")})).await;
        for employees in 1..=2 {
            client.change("sales.account", &id, json!({"employees": employees})).await;
        }
    }
}
