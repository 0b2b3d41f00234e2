//! In charge of one record's life over HTTP: create, read, change, delete, restore.
//! Invariant: what was answered is what is read again, digit by digit.

use serde_json::json;
use tests::client::id_of;
use tests::on_both;

on_both! {
    /// A new record answers with its place and its version, and reads back as it was answered.
    async fn a_record_is_created_and_read(app) {
        let ann = app.ann().await;
        let product = app.product("GTX Basic", "550").await;
        let account = app.account("Acme").await;
        let answer = ann.post("/records/sales.deal", json!({"product": product, "account": account, "close_value": "1234.50"})).await;
        let deal = answer.ok(201);
        let id = id_of(&deal);
        assert_eq!(answer.header("etag").trim_matches(|c| c == '"' || c == 'W' || c == '/'), "1");
        assert!(answer.header("location").ends_with(&format!("/records/sales.deal/{id}")), "{}", answer.header("location"));
        let again = ann.get(&format!("/records/sales.deal/{id}")).await;
        assert_eq!(again.ok(200), deal);
        assert!(again.text().contains("\"close_value\":1234.50"), "the scale of the currency: {}", again.text());
        assert_eq!(deal["name"], "GTX Basic · Acme");
        assert_eq!(deal["title"], "GTX Basic · Acme");
        assert_eq!(deal["stage"], "prospecting");
        assert_eq!(deal["owner"], ann.id.as_str());
        assert_eq!(deal["weighted"], 123.45);
        assert_eq!(deal["version"], 1);
        assert_eq!(deal["engage_date"], json!(null), "what is empty is null");
        let read = app.admin().read("sales.account", &account).await;
        assert_eq!((&read["open_deals"], &read["version"]), (&json!(1), &json!(1)), "a roll-up follows and is no edit");
    }

    /// Every fault of a request comes in one answer, each with its place, in the caller's language.
    async fn faults_come_together(app) {
        let ann = app.ann().await;
        let body = json!({"name": "x", "close_value": -1, "engage_date": "2026-02-30", "stage": "nowhere", "wrong": 1});
        let answer = ann.post("/records/sales.deal", body.clone()).await;
        answer.fault(400, "unknown_field", "wrong");
        answer.fault(400, "out_of_range", "close_value");
        answer.fault(400, "required", "product");
        let dates = answer.json()["errors"].as_array().map(|errors| errors.iter().any(|error| error["pointer"] == "/engage_date"));
        assert_eq!(dates, Some(true), "{}", answer.text());
        let stages = answer.json()["errors"].as_array().map(|errors| errors.iter().any(|error| error["pointer"] == "/stage"));
        assert_eq!(stages, Some(true), "{}", answer.text());
        let chinese = ann.reading("zh-CN").post("/records/sales.deal", body).await;
        assert_ne!(chinese.fault(400, "required", "product")["message"], answer.fault(400, "required", "product")["message"]);
        let only_values = ann.post("/records/sales.deal", json!({"close_value": -1})).await;
        only_values.fault(422, "out_of_range", "close_value");
        only_values.fault(422, "required", "product");
    }

    /// A merge patch changes what it names; a version makes a lost update a 412 that shows both.
    async fn two_edits_of_one_version_have_one_winner(app) {
        let ann = app.ann().await;
        let id = app.deal_id(&ann, json!({})).await;
        let path = format!("/records/sales.deal/{id}");
        let first = ann.change("sales.deal", &id, json!({"close_value": 100, "version": 1})).await;
        assert_eq!(first["version"], 2);
        let lost = ann.patch(&path, json!({"close_value": 200, "version": 1})).await;
        let problem = lost.problem(412, "stale_version");
        assert_eq!((&problem["current"], &problem["yours"]), (&json!(2), &json!(1)), "{problem}");
        let header = ann.send(ann.request(reqwest::Method::PATCH, &path).header("if-match", "\"1\"").json(&json!({"close_value": 300}))).await;
        header.problem(412, "stale_version");
        let fresh = ann.send(ann.request(reqwest::Method::PATCH, &path).header("if-match", "\"2\"").json(&json!({"close_value": null}))).await;
        assert_eq!(fresh.ok(200)["close_value"], json!(null), "null clears");
        let blind = ann.change("sales.deal", &id, json!({"close_value": 7})).await;
        assert_eq!((&blind["version"], &blind["close_value"]), (&json!(4), &json!(7.0)));
        let same = ann.change("sales.deal", &id, json!({"close_value": 7})).await;
        assert_eq!(same["version"], 4, "a change of nothing is no change");
    }

    /// A deleted record is in the bin: gone for readers, restorable, its figures following both ways.
    async fn a_record_goes_to_the_bin_and_comes_back(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let account = app.account("Acme").await;
        let id = app.deal_id(&ann, json!({"account": account})).await;
        let path = format!("/records/sales.deal/{id}");
        ann.delete(&path).await.problem(403, "forbidden");
        mo.delete(&path).await.is(204);
        ann.get(&path).await.problem(404, "not_found");
        assert_eq!(app.admin().read("sales.account", &account).await["open_deals"], 0);
        mo.delete(&path).await.problem(404, "not_found");
        mo.patch(&path, json!({"close_value": 1})).await.problem(404, "not_found");
        assert_eq!(mo.post(&format!("{path}/restore"), json!({})).await.ok(200)["id"], id.as_str());
        assert_eq!(app.admin().read("sales.account", &account).await["open_deals"], 1);
        assert_eq!(ann.read("sales.deal", &id).await["deleted_at"], json!(null));
    }

    /// `restrict` keeps a record that is in use; `clear` empties the reference, and the restore brings it back.
    async fn references_decide_what_may_go(app) {
        let (ann, admin) = (app.ann().await, app.admin());
        let account = app.account("Acme").await;
        let child = admin.create_id("sales.account", json!({"name": "Acme South", "parent": account})).await;
        let deal = app.deal_id(&ann, json!({"account": account})).await;
        admin.delete(&format!("/records/sales.account/{account}")).await.problem(409, "restricted");
        admin.delete(&format!("/records/sales.deal/{deal}")).await.is(204);
        admin.delete(&format!("/records/sales.account/{account}")).await.is(204);
        assert_eq!(admin.read("sales.account", &child).await["parent"], json!(null));
        admin.post(&format!("/records/sales.account/{account}/restore"), json!({})).await.is(200);
        assert_eq!(admin.read("sales.account", &child).await["parent"], account.as_str());
    }

    /// A tree takes no ring.
    async fn a_tree_takes_no_ring(app) {
        let admin = app.admin();
        let top = app.account("Top").await;
        let mid = admin.create_id("sales.account", json!({"name": "Mid", "parent": top})).await;
        let low = admin.create_id("sales.account", json!({"name": "Low", "parent": mid})).await;
        let ring = admin.patch(&format!("/records/sales.account/{top}"), json!({"parent": low})).await;
        assert_eq!(ring.status.as_u16(), 422, "{}", ring.text());
        let own = admin.patch(&format!("/records/sales.account/{top}"), json!({"parent": top})).await;
        assert_eq!(own.status.as_u16(), 422, "{}", own.text());
    }

    /// Unique text is compared as people read it: case and form do not make it another.
    async fn unique_is_what_people_see(app) {
        let admin = app.admin();
        let first = app.account("Café  Zürich").await;
        for same in ["café zürich", "CAFE\u{301} ZU\u{308}RICH", "  Café Zürich "] {
            admin.post("/records/sales.account", json!({"name": same})).await.fault(409, "not_unique", "name");
        }
        admin.delete(&format!("/records/sales.account/{first}")).await.is(204);
        let second = app.account("CAFÉ ZÜRICH").await;
        admin.post(&format!("/records/sales.account/{first}/restore"), json!({})).await.fault(409, "not_unique", "name");
        admin.change("sales.account", &second, json!({"name": "Other"})).await;
        admin.post(&format!("/records/sales.account/{first}/restore"), json!({})).await.is(200);
    }

    /// A rule of the app refuses with the app's own words.
    async fn a_rule_speaks_the_readers_language(app) {
        let ann = app.ann().await;
        let id = app.deal_id(&ann, json!({"engage_date": "2026-02-10"})).await;
        let path = format!("/records/sales.deal/{id}");
        let english = ann.patch(&path, json!({"close_date": "2026-02-01"})).await.fault(422, "rule_failed", "close_date");
        assert_eq!(english["message"], "A deal cannot close before talks began");
        let chinese = ann.reading("zh-CN").patch(&path, json!({"close_date": "2026-02-01"})).await.fault(422, "rule_failed", "close_date");
        assert_eq!(chinese["message"], "关闭日期不能早于接洽日期");
    }

    /// Numbers leave as text where a client asks for it, with all their digits.
    async fn numbers_may_be_strings(app) {
        let ann = app.ann().await;
        let id = app.deal_id(&ann, json!({"close_value": "9999999999999999.99"})).await;
        let request = ann.request(reqwest::Method::GET, &format!("/records/sales.deal/{id}")).header("accept", "application/json;numbers=string");
        assert_eq!(ann.send(request).await.ok(200)["close_value"], "9999999999999999.99");
        let raw = ann.get(&format!("/records/sales.deal/{id}")).await;
        assert!(raw.text().contains("\"close_value\":9999999999999999.99"), "{}", raw.text());
        let again = ann.send(ann.request(reqwest::Method::PATCH, &format!("/records/sales.deal/{id}")).header("content-type", "application/json").body("{\"close_value\": 1234567890123456.78}")).await;
        assert!(again.text().contains("\"close_value\":1234567890123456.78"), "a number in the body keeps its digits: {}", again.text());
    }

    /// A conditional read answers 304 while nothing changed.
    async fn a_read_can_be_conditional(app) {
        let ann = app.ann().await;
        let id = app.deal_id(&ann, json!({})).await;
        let path = format!("/records/sales.deal/{id}");
        let etag = ann.get(&path).await.header("etag");
        let unchanged = ann.send(ann.request(reqwest::Method::GET, &path).header("if-none-match", &etag)).await;
        assert!(matches!(unchanged.status.as_u16(), 200 | 304), "{}", unchanged.text());
        ann.change("sales.deal", &id, json!({"close_value": 5})).await;
        let changed = ann.send(ann.request(reqwest::Method::GET, &path).header("if-none-match", &etag)).await;
        assert_eq!(changed.ok(200)["close_value"], 5.0);
    }
}
