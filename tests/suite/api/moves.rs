//! In charge of pipelines over HTTP: which move is allowed, what it asks for, what it leaves behind.
//! Invariant: what a stage requires binds every move of a person, by whatever route the stage is changed.

use serde_json::json;
use tests::on_both;

on_both! {
    /// A deal goes from first contact to won; each step asks for what it needs.
    async fn a_deal_is_won(app) {
        let ann = app.ann().await;
        let account = app.account("Acme").await;
        let id = app.deal_id(&ann, json!({})).await;
        ann.step("sales.deal", &id, json!({"stage": "won"})).await.problem(422, "transition_refused");
        let asked = ann.step("sales.deal", &id, json!({"stage": "engaging"})).await;
        asked.fault(422, "stage_requires", "account");
        asked.fault(422, "stage_requires", "engage_date");
        let engaged = ann.step("sales.deal", &id, json!({"stage": "engaging", "values": {"account": account, "engage_date": "2026-02-01"}})).await.ok(200);
        assert_eq!((&engaged["stage"], &engaged["weighted"]), (&json!("engaging"), &json!(220.0)));
        let valueless = ann.step("sales.deal", &id, json!({"stage": "won", "values": {"close_date": "2026-03-01", "close_value": 0}})).await;
        assert_eq!(valueless.status.as_u16(), 422, "{}", valueless.text());
        let won = ann.step("sales.deal", &id, json!({"stage": "won", "values": {"close_date": "2026-03-01", "close_value": "500.10"}})).await.ok(200);
        assert_eq!((&won["stage"], &won["weighted"]), (&json!("won"), &json!(500.1)));
        let figures = ann.read("sales.account", &account).await;
        assert_eq!((&figures["open_deals"], &figures["won_value"]), (&json!(0), &json!(500.1)));
        let closed = ann.step("sales.deal", &id, json!({"stage": "engaging"})).await;
        closed.problem(422, "transition_refused");
        app.mo().await.step("sales.deal", &id, json!({"stage": "engaging"})).await.is(200);
        let history = ann.get(&format!("/records/sales.deal/{id}/history")).await.ok(200);
        let stages = history["data"].as_array().expect("data").iter().filter(|entry| entry["changes"].to_string().contains("\"stage\"")).count();
        assert!(stages >= 3, "{history}");
    }

    /// A change of the stage by PATCH or in a batch is a move with its checks.
    async fn a_patch_of_the_stage_is_a_move(app) {
        let ann = app.ann().await;
        let id = app.deal_id(&ann, json!({})).await;
        let path = format!("/records/sales.deal/{id}");
        ann.patch(&path, json!({"stage": "won"})).await.problem(422, "transition_refused");
        ann.patch(&path, json!({"stage": "engaging"})).await.fault(422, "stage_requires", "account");
        let batch = ann.post("/records/sales.deal/batch", json!({"atomic": true, "operations": [{"op": "update", "id": id, "values": {"stage": "won"}}]})).await;
        assert!(batch.text().contains("transition_refused"), "{}", batch.text());
        assert_eq!(ann.read("sales.deal", &id).await["stage"], "prospecting");
        let account = app.account("Acme").await;
        assert_eq!(ann.change("sales.deal", &id, json!({"stage": "engaging", "account": account, "engage_date": "2026-02-01"})).await["stage"], "engaging");
        let unknown = ann.step("sales.deal", &id, json!({"stage": "nowhere"})).await;
        assert!(matches!(unknown.status.as_u16(), 400 | 422), "{}", unknown.text());
        for body in [json!({}), json!({"stage": 5}), json!([]), json!({"stage": "won", "values": 5})] {
            let answer = ann.step("sales.deal", &id, body).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{}", answer.text());
        }
    }

    /// What a condition hides is emptied or refused alike on every channel; required reasons bind on the move.
    async fn a_lost_deal_has_a_reason(app) {
        let ann = app.ann().await;
        let id = app.deal_id(&ann, json!({})).await;
        ann.step("sales.deal", &id, json!({"stage": "lost", "values": {"close_date": "2026-03-01"}})).await.fault(422, "stage_requires", "lost_reason");
        let options = app.admin().get("/meta").await.text();
        assert!(options.contains("lost_reason"), "{options}");
        let reasons = tests::folders::read("examples/sales").into_iter().find(|(name, _)| name == "options/lost_reason.json").expect("the list");
        let list: serde_json::Value = serde_json::from_slice(&reasons.1).expect("JSON");
        let reason = list["options"].as_object().and_then(|options| options.keys().next().cloned()).expect("a reason");
        let lost = ann.step("sales.deal", &id, json!({"stage": "lost", "values": {"close_date": "2026-03-01", "lost_reason": reason}})).await.ok(200);
        assert_eq!((&lost["stage"], &lost["weighted"]), (&json!("lost"), &json!(0.0)));
    }
}
