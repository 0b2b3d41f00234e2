//! In charge of batches over HTTP: all or nothing, or each for itself.
//! Invariant: with `atomic`, one fault leaves nothing; without, every row has its own result.

use serde_json::{Value as Json, json};
use tests::on_both;

on_both! {
    /// All or nothing.
    async fn atomic_is_all_or_nothing(app) {
        let admin = app.admin();
        let operations = json!([{"op": "create", "values": {"name": "One"}}, {"op": "create", "values": {"name": "Two", "employees": -1}}]);
        let failed = admin.post("/records/sales.account/batch", json!({"atomic": true, "operations": operations})).await;
        assert!(failed.text().contains("out_of_range"), "{}", failed.text());
        assert!(failed.text().contains("1/"), "the fault says which operation: {}", failed.text());
        assert!(admin.find("sales.account", json!({"all": []})).await.is_empty());
        let twice = json!([{"op": "create", "values": {"name": "Same"}}, {"op": "create", "values": {"name": "same"}}]);
        let failed = admin.post("/records/sales.account/batch", json!({"atomic": true, "operations": twice})).await;
        assert!(failed.text().contains("not_unique"), "{}", failed.text());
        assert!(admin.find("sales.account", json!({"all": []})).await.is_empty());
    }

    /// Each for itself: good rows are kept, each result says what became of it.
    async fn each_for_itself(app) {
        let (admin, ann) = (app.admin(), app.ann().await);
        let account = app.account("Acme").await;
        let operations = json!([
            {"op": "create", "values": {"name": "One"}},
            {"op": "create", "values": {"name": "ACME"}},
            {"op": "update", "id": account, "version": 1, "values": {"employees": 5}},
            {"op": "update", "id": account, "version": 1, "values": {"employees": 6}},
            {"op": "delete", "id": "018f0000-0000-7000-8000-000000000000"},
            {"op": "create", "values": {"name": "One"}}
        ]);
        let answer = admin.post("/records/sales.account/batch", json!({"atomic": false, "operations": operations})).await.ok(200);
        let statuses: Vec<u64> = answer["results"].as_array().expect("results").iter().map(|result| result["status"].as_u64().unwrap_or_default()).collect();
        assert_eq!((statuses[0], statuses[1], statuses[2], statuses[4], statuses[5]), (201, 409, 200, 404, 409), "{answer}");
        assert_eq!(statuses[3], 412, "{answer}");
        assert!(answer["results"][1]["error"].to_string().contains("not_unique"), "{answer}");
        assert!(answer["results"][0]["id"].is_string() && answer["results"][0]["version"] == 1, "{answer}");
        assert_eq!(admin.read("sales.account", &account).await["employees"], 5);
        let forbidden = ann.post("/records/sales.account/batch", json!({"atomic": false, "operations": [{"op": "update", "id": account, "values": {"employees": 9}}]})).await.ok(200);
        assert_eq!(forbidden["results"][0]["status"], 403, "{forbidden}");
    }

    /// Limits and shapes.
    async fn batches_have_a_form(app) {
        let admin = app.admin();
        let many: Vec<Json> = (0..1001).map(|n| json!({"op": "create", "values": {"name": format!("A{n}")}})).collect();
        let answer = admin.post("/records/sales.account/batch", json!({"operations": many})).await;
        assert!(matches!(answer.status.as_u16(), 400 | 413 | 422), "{}", answer.text());
        for body in [json!({}), json!({"operations": {}}), json!({"operations": [{"op": "explode"}]}), json!({"operations": [{"op": "update", "values": {}}]}), json!([])] {
            let answer = admin.post("/records/sales.account/batch", body.clone()).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{body}: {}", answer.text());
        }
        let thousand: Vec<Json> = (0..1000).map(|n| json!({"op": "create", "values": {"name": format!("A{n}")}})).collect();
        admin.post("/records/sales.account/batch", json!({"atomic": true, "operations": thousand})).await.is(200);
        let total = admin.ask("/records/sales.account", &[("total", "exact"), ("limit", "1")]).await.ok(200);
        assert_eq!(total["total"], 1000);
    }

    /// Several rows of one batch add up in one parent.
    async fn a_batch_counts_once_in_its_parent(app) {
        let ann = app.ann().await;
        let (account, product) = (app.account("Acme").await, app.product("GTX", "550").await);
        let rows: Vec<Json> = (1..=20).map(|_| json!({"op": "create", "values": {"account": account, "product": product, "stage": "won", "close_date": "2026-03-01", "close_value": "0.10"}})).collect();
        ann.post("/records/sales.deal/batch", json!({"atomic": true, "operations": rows})).await.is(200);
        assert_eq!(app.admin().read("sales.account", &account).await["won_value"], 2.0);
    }
}
