//! In charge of what happened to a record, over HTTP.
//! Invariant: every change of a person is there once, with before and after, and nothing that its reader may not see.

use serde_json::json;
use tests::on_both;
use tests::recount::cents;

on_both! {
    /// Each edit is an entry, newest first or in order, with who, what and the values.
    async fn edits_are_told(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let id = app.deal_id(&ann, json!({"close_value": 1})).await;
        app.clock.advance(chrono::Duration::minutes(5));
        ann.change("sales.deal", &id, json!({"close_value": 2})).await;
        app.clock.advance(chrono::Duration::minutes(5));
        mo.change("sales.deal", &id, json!({"manager_note": "Mind the price"})).await;
        let told = mo.get(&format!("/records/sales.deal/{id}/history")).await.ok(200);
        let entries = told["data"].as_array().expect("data");
        assert!(entries.len() >= 3, "{told}");
        let edit = entries.iter().find(|entry| entry["changes"].as_array().is_some_and(|changes| changes.iter().any(|change| change["field"] == "close_value" && cents(&change["before"]) == 100 && cents(&change["after"]) == 200)));
        let edit = edit.unwrap_or_else(|| panic!("{told}"));
        assert_eq!((&edit["by"], &edit["by_title"]), (&json!(ann.id), &json!("ann")));
        assert_eq!(edit["at"].as_str().map(|at| &at[..16]), Some("2026-03-02T09:05"));
        assert!(told.to_string().contains("Mind the price"));
        let mine = ann.get(&format!("/records/sales.deal/{id}/history")).await.text();
        assert!(!mine.contains("Mind the price") && !mine.contains("manager_note"), "{mine}");
    }

    /// Long histories come in pages.
    async fn histories_are_paged(app) {
        let ann = app.ann().await;
        let id = app.deal_id(&ann, json!({})).await;
        for value in 1..=12 {
            ann.change("sales.deal", &id, json!({"close_value": value})).await;
        }
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", "5")];
            if let Some(after) = &after {
                query.push(("after", after));
            }
            let page = ann.ask(&format!("/records/sales.deal/{id}/history"), &query).await.ok(200);
            seen.extend(page["data"].as_array().expect("data").iter().map(|entry| entry["seq"].to_string()));
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
            assert!(seen.len() < 100, "a history without an end");
        }
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!((seen.len(), once.len()), (13, 13), "{seen:?}");
    }
}
