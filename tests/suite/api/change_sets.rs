//! In charge of deeds over many records: bulk edits, merges, and taking them back.
//! Invariant: whatever was done to many records at once can be taken back as one; what people changed since stays.

use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::{Answer, Client, column};
use tests::on_both;

/// A job's answer when it has ended.
async fn ended(app: &App, client: &Client, answer: Answer) -> Json {
    let begun = answer.ok(202);
    let id = begun["id"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
    let cx = app.engine.system();
    let view = app.engine.wait_job(&cx, id.parse().expect("an id"), |_| {}).await.expect("ends");
    assert_eq!(view.state.as_str(), "done", "{}", view.json);
    client.get(&format!("/jobs/{id}")).await.ok(200)
}

fn set_of(job: &Json) -> String {
    job["change_set"].as_str().unwrap_or_else(|| panic!("{job}")).to_owned()
}

on_both! {
    /// A bulk edit changes what the person may change, names the rest, and is taken back but for what others changed since.
    async fn a_bulk_edit_and_back(app) {
        let (admin, ann, ben) = (app.admin(), app.ann().await, app.ben().await);
        let mut deals = Vec::new();
        for value in 1..=60 {
            deals.push(app.deal_id(&ann, json!({"close_value": value})).await);
        }
        let bens = app.deal_id(&ben, json!({"close_value": 1000})).await;
        let filter = json!({"field": "close_value", "op": ">", "value": 30});

        let dry = ended(&app, &ann, ann.post("/records/sales.deal/bulk", json!({"filter": filter, "values": {"close_value": 7}, "dry_run": true})).await).await;
        assert_eq!((&dry["updated"], &dry["total"]), (&json!(30), &json!(31)), "{dry}");
        assert_eq!(ann.read("sales.deal", &deals[59]).await["close_value"], 60.0);

        let job = ended(&app, &ann, ann.post("/records/sales.deal/bulk", json!({"filter": filter, "values": {"close_value": 7}})).await).await;
        assert_eq!((&job["updated"], &job["failed"]), (&json!(30), &json!(1)), "{job}");
        assert_eq!(job["left"][0]["id"], json!(bens), "{job}");
        assert_eq!(ann.read("sales.deal", &deals[59]).await["close_value"], 7.0);
        assert_eq!(admin.read("sales.deal", &bens).await["close_value"], 1000.0);

        ann.change("sales.deal", &deals[40], json!({"close_value": 8})).await;
        ben.post(&format!("/change-sets/{}/undo", set_of(&job)), json!({})).await.problem(404, "not_found");
        let undone = ended(&app, &ann, ann.post(&format!("/change-sets/{}/undo", set_of(&job)), json!({})).await).await;
        assert_eq!(undone["updated"], json!(29), "{undone}");
        assert_eq!(undone["left"][0]["id"], json!(deals[40]), "{undone}");
        assert_eq!(ann.read("sales.deal", &deals[40]).await["close_value"], 8.0);
        assert_eq!(ann.read("sales.deal", &deals[59]).await["close_value"], 60.0);
        ann.post(&format!("/change-sets/{}/undo", set_of(&job)), json!({})).await.problem(409, "locked");
        let sets = ann.get("/change-sets").await.ok(200);
        assert_eq!(sets["data"].as_array().map(Vec::len), Some(2), "{sets}");
    }

    /// A bulk delete goes to the bin, and comes back.
    async fn a_bulk_delete_and_back(app) {
        let ann = app.ann().await;
        let mut deals = Vec::new();
        for _ in 0..3 {
            deals.push(app.deal_id(&ann, json!({})).await);
        }
        let job = ended(&app, &app.admin(), app.admin().post("/records/sales.deal/bulk", json!({"ids": deals, "delete": true})).await).await;
        assert_eq!(job["updated"], json!(3), "{job}");
        assert_eq!(ann.list("sales.deal", &[]).await.len(), 0);
        let undone = ended(&app, &app.admin(), app.admin().post(&format!("/change-sets/{}/undo", set_of(&job)), json!({})).await).await;
        assert_eq!(undone["failed"], json!(0), "{undone}");
        assert_eq!(ann.list("sales.deal", &[]).await.len(), 3);
    }

    /// What is malformed is told at once, all of it; a hidden field is an unknown one.
    async fn a_wrong_bulk_edit_changes_nothing(app) {
        let ann = app.ann().await;
        let answer = ann.post("/records/sales.deal/bulk", json!({"filter": 1, "ids": ["x"], "colour": "red"})).await;
        answer.is(400);
        let told = answer.json();
        assert_eq!(told["errors"].as_array().map(Vec::len), Some(4), "{told}");
        ann.post("/records/sales.deal/bulk", json!({"ids": [], "values": {"nonsense": 1}})).await.fault(400, "unknown_field", "nonsense");
        ann.post("/records/sales.deal/bulk", json!({"filter": {"field": "nonsense", "op": "=", "value": 1}, "values": {"close_value": 1}})).await.is(400);
        ann.post("/records/sales.deal/bulk", json!({"ids": [], "values": {"close_value": 1}, "delete": true})).await.is(400);
    }

    /// What hung on the others hangs on the one that stays; their addresses lead to it; taken back, all is as it was.
    async fn a_merge_and_back(app) {
        let (admin, ann) = (app.admin(), app.ann().await);
        let stays = admin.create_id("sales.account", json!({"name": "Acme", "sector": "technology"})).await;
        let goes = admin.create_id("sales.account", json!({"name": "ACME Inc.", "sector": "medical", "revenue": "12.50"})).await;
        let child = admin.create_id("sales.account", json!({"name": "Acme South", "parent": goes})).await;
        let deal = app.deal_id(&ann, json!({"account": goes, "close_value": "10"})).await;
        let note = admin.post(&format!("/records/sales.account/{goes}/notes"), json!({"text": "Call them"})).await;
        assert!(note.status.is_success(), "{}", note.text());

        let body = json!({"from": [goes], "keep": {"sector": goes}});
        ann.post(&format!("/records/sales.account/{stays}/merge"), body.clone()).await.is(403);
        let merged = admin.post(&format!("/records/sales.account/{stays}/merge"), body).await.ok(200);
        let account = admin.read("sales.account", &stays).await;
        assert_eq!((&account["name"], &account["sector"], &account["revenue"]), (&json!("Acme"), &json!("medical"), &json!(12.5)));
        assert_eq!(admin.read("sales.account", &child).await["parent"], json!(stays));
        assert_eq!(ann.read("sales.deal", &deal).await["account"], json!(stays));
        let notes = admin.get(&format!("/records/sales.account/{stays}/notes")).await.ok(200);
        assert_eq!(notes["data"].as_array().map(Vec::len), Some(1), "{notes}");
        let redirect = admin.get(&format!("/records/sales.account/{goes}")).await;
        redirect.is(200);
        assert_eq!(redirect.json()["id"], json!(stays), "the address leads on");
        let feed = admin.ask("/changes", &[("limit", "500")]).await.ok(200);
        let ops = feed["data"].as_array().map(|rows| column(rows, "op")).unwrap_or_default();
        assert!(ops.iter().any(|op| op == "merged"), "{ops:?}");

        let set = merged["change_set"].as_str().unwrap_or_default();
        let undone = ended(&app, &admin, admin.post(&format!("/change-sets/{set}/undo"), json!({})).await).await;
        assert_eq!(undone["failed"], json!(0), "{undone}");
        let account = admin.read("sales.account", &stays).await;
        assert_eq!((&account["sector"], &account["revenue"]), (&json!("technology"), &Json::Null));
        assert_eq!(admin.read("sales.account", &goes).await["id"], json!(goes));
        assert_eq!(ann.read("sales.deal", &deal).await["account"], json!(goes));
        assert_eq!(admin.read("sales.account", &child).await["parent"], json!(goes));
    }

    /// Nothing that a person does not see is merged, and nothing into itself.
    async fn a_wrong_merge_changes_nothing(app) {
        let (ann, zoe) = (app.ann().await, app.zoe().await);
        let (own, strange) = (app.deal_id(&zoe, json!({})).await, app.deal_id(&ann, json!({})).await);
        zoe.post(&format!("/records/sales.deal/{own}/merge"), json!({"from": [strange]})).await.problem(404, "not_found");
        zoe.post(&format!("/records/sales.deal/{own}/merge"), json!({"from": [own]})).await.fault(422, "bad_reference", "from");
        zoe.post(&format!("/records/sales.deal/{own}/merge"), json!({"from": []})).await.is(400);
        assert_eq!(ann.read("sales.deal", &strange).await["id"], json!(strange));
    }
}
