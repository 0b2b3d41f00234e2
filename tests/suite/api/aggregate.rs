//! In charge of groups and sums over HTTP.
//! Invariant: sums are exact, and the same on both databases.

use serde_json::{Value as Json, json};
use tests::on_both;

on_both! {
    /// Groups, buckets of dates, measures, conditions on measures, names of one's own.
    async fn groups_and_measures(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let product = app.product("GTX", "550").await;
        for (stage, date, value) in [("won", "2026-01-15", "10.10"), ("won", "2026-01-31", "20.20"), ("won", "2026-02-01", "30.30"), ("lost", "2026-02-28", "0.01")] {
            let mut values = json!({"product": product, "stage": stage, "close_date": date, "close_value": value, "account": app_account(&app, stage).await});
            if stage == "lost" {
                values["lost_reason"] = reason().into();
            }
            ann.create("sales.deal", values).await;
        }
        ann.create("sales.deal", json!({"product": product})).await;
        let answer = mo.post("/records/sales.deal/aggregate", json!({"group_by": ["stage"], "measures": ["count", {"sum": "close_value"}, {"max": "close_date"}]})).await;
        let by_stage = answer.ok(200);
        let rows = by_stage["data"].as_array().expect("data");
        let row = |stage: &str| rows.iter().find(|row| row["stage"] == stage).unwrap_or_else(|| panic!("{by_stage}")).clone();
        assert_eq!((&row("won")["count"], &row("won")["sum_close_value"]), (&json!(3), &json!(60.6)));
        assert_eq!((&row("lost")["count"], &row("prospecting")["count"]), (&json!(1), &json!(1)));
        assert_eq!(row("prospecting")["sum_close_value"], json!(0.0), "a sum over nothing is 0");
        let months = mo.post("/records/sales.deal/aggregate", json!({"group_by": [{"field": "close_date", "by": "month"}], "measures": [{"sum": "close_value", "as": "total"}, "count"], "filter": {"field": "close_date", "op": "is_set"}})).await.ok(200);
        let months: Vec<(String, Json)> = months["data"].as_array().expect("data").iter().map(|row| (row["close_date_month"].as_str().unwrap_or_default().to_owned(), row["total"].clone())).collect();
        assert!(months.contains(&("2026-01".to_owned(), json!(30.3))) && months.contains(&("2026-02".to_owned(), json!(30.31))), "{months:?}");
        let having = mo.post("/records/sales.deal/aggregate", json!({"group_by": ["stage"], "measures": ["count"], "having": {"field": "count", "op": ">", "value": 1}})).await.ok(200);
        assert_eq!(having["data"].as_array().map(Vec::len), Some(1), "{having}");
        let far = mo.post("/records/sales.deal/aggregate", json!({"group_by": ["account.name"], "measures": [{"average": "close_value"}, {"median": "close_value"}, {"distinct": "owner"}]})).await.ok(200);
        let won = far["data"].as_array().expect("data").iter().find(|row| row["account.name"] == "won").cloned().unwrap_or_else(|| panic!("{far}"));
        assert_eq!((&won["average_close_value"], &won["median_close_value"], &won["distinct_owner"]), (&json!(20.2), &json!(20.2), &json!(1)));
    }

    /// Sums stay exact where floats would not.
    async fn sums_are_exact(app) {
        let admin = app.admin();
        let rows: Vec<Json> = (0..300).map(|n| json!({"op": "create", "values": {"name": format!("A{n}"), "revenue": if n % 3 == 0 { "9999999999999999.99" } else { "0.01" }}})).collect();
        admin.post("/records/sales.account/batch", json!({"operations": rows})).await.is(200);
        let answer = admin.post("/records/sales.account/aggregate", json!({"measures": [{"sum": "revenue"}]})).await;
        assert!(answer.text().contains("1000000000000000001.00"), "100 × 9999999999999999.99 + 200 × 0.01: {}", answer.text());
    }

    /// What cannot be grouped or measured is refused.
    async fn wrong_questions_are_refused(app) {
        let admin = app.admin();
        for body in [
            json!({"group_by": ["nothing"], "measures": ["count"]}),
            json!({"measures": [{"sum": "name"}]}),
            json!({"measures": [{"explode": "revenue"}]}),
            json!({"group_by": [{"field": "created_at", "by": "month'; drop table x"}], "measures": ["count"]}),
            json!({"group_by": [{"field": "name", "by": "month"}], "measures": ["count"]}),
            json!({"group_by": "stage"}),
            json!({"measures": ["count"], "having": {"field": "nothing", "op": ">", "value": 1}}),
            json!([]),
        ] {
            let answer = admin.post("/records/sales.account/aggregate", body.clone()).await;
            assert_eq!(answer.status.as_u16(), 400, "{body}: {}", answer.text());
        }
    }
}

/// The account named `name`, made where it is not there.
async fn app_account(app: &tests::app::App, name: &str) -> String {
    let found = app.admin().find("sales.account", json!({"field": "name", "op": "=", "value": name})).await;
    match found.first() {
        Some(account) => tests::client::id_of(account),
        None => app.account(name).await,
    }
}

/// A reason for losing, from the example's own list.
fn reason() -> String {
    let (_, bytes) = tests::folders::read("examples/sales").into_iter().find(|(name, _)| name == "options/lost_reason.json").expect("the list");
    let list: Json = serde_json::from_slice(&bytes).expect("JSON");
    list["options"].as_object().and_then(|options| options.keys().next().cloned()).expect("a reason")
}
