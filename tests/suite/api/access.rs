//! In charge of rights over HTTP: what one may not see is not there, through whatever door it is asked for.
//! Invariant: an answer about a hidden field or record is the very answer about one that does not exist.

use serde_json::{Value as Json, json};
use tests::client::{Client, column};
use tests::on_both;

/// The statuses and bodies of the same question about a hidden name and about one that does not exist.
async fn same_answer(client: &Client, path: &str, query: &[(&str, &str)], hidden: &str) {
    let missing = hidden.chars().rev().collect::<String>();
    let swapped: Vec<(String, String)> = query.iter().map(|(key, value)| ((*key).to_owned(), value.replace(hidden, &missing))).collect();
    let swapped: Vec<(&str, &str)> = swapped.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let (about_hidden, about_missing) = (client.ask(path, query).await, client.ask(path, &swapped).await);
    assert_eq!(about_hidden.status, about_missing.status, "{}", about_hidden.text());
    assert_eq!(about_hidden.status.as_u16(), 400, "{}", about_hidden.text());
    assert_eq!(plain(&about_hidden.text(), hidden), plain(&about_missing.text(), &missing));
}

/// A body without the name that it is about, without hints, and without request ids.
fn plain(body: &str, name: &str) -> String {
    let mut json: Json = serde_json::from_str(&body.replace(name, "NAME")).expect("a problem");
    if let Some(members) = json.as_object_mut() {
        members.remove("request_id");
        members.remove("instance");
    }
    json.to_string()
}

on_both! {
    /// A field with `none` does not exist for filter, sort, group, measure, having, fields, expand, search, write, history, meta.
    async fn a_hidden_field_does_not_exist(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let id = app.deal_id(&ann, json!({})).await;
        let note = "Xylophone secret";
        mo.change("sales.deal", &id, json!({"manager_note": note})).await;
        assert_eq!(mo.read("sales.deal", &id).await["manager_note"], note);
        assert!(ann.read("sales.deal", &id).await.get("manager_note").is_none());
        let hidden = "manager_note";
        let deals = "/records/sales.deal";
        let leaf = json!({"field": hidden, "op": "contains", "value": "Xylophone"});
        for filter in [leaf.clone(), json!({"not": leaf}), json!({"any": [leaf, {"all": []}]}), json!({"field": hidden, "op": "is_set"})] {
            same_answer(&ann, deals, &[("filter", &filter.to_string())], hidden).await;
        }
        same_answer(&ann, deals, &[("sort", hidden)], hidden).await;
        same_answer(&ann, deals, &[("sort", "-manager_note")], hidden).await;
        same_answer(&ann, deals, &[("fields", hidden)], hidden).await;
        same_answer(&ann, deals, &[("expand", hidden)], hidden).await;
        same_answer(&ann, "/records/sales.account", &[("filter", &json!({"some": "deals", "where": {"field": hidden, "op": "is_set"}}).to_string())], hidden).await;
        for body in [
            json!({"group_by": [hidden], "measures": ["count"]}),
            json!({"measures": [{"max": hidden}]}),
            json!({"measures": [{"distinct": hidden}]}),
            json!({"measures": ["count"], "filter": {"field": hidden, "op": "is_set"}}),
        ] {
            ann.post("/records/sales.deal/aggregate", body).await.is(400);
        }
        ann.patch(&format!("{deals}/{id}"), json!({hidden: "x"})).await.fault(400, "unknown_field", hidden);
        ann.post(deals, json!({hidden: "x"})).await.fault(400, "unknown_field", hidden);
        let batch = ann.post(&format!("{deals}/batch"), json!({"atomic": false, "operations": [{"op": "update", "id": id, "values": {hidden: "x"}}]})).await;
        assert!(batch.text().contains("unknown_field"), "{}", batch.text());
        for answer in [
            ann.get(&format!("{deals}/{id}/history")).await,
            ann.get(&format!("{deals}/{id}/timeline")).await,
            ann.get("/changes").await,
            ann.ask(deals, &[("q", "Xylophone")]).await,
            ann.ask("/search", &[("q", "Xylophone")]).await,
            ann.get("/meta").await,
            ann.get("/openapi.json").await,
        ] {
            assert!(answer.status.is_success(), "{}: {}", answer.asked, answer.text());
            assert!(!answer.text().contains("Xylophone"), "{} shows it: {}", answer.asked, answer.text());
            let about_deal = answer.asked.contains("meta") || answer.asked.contains("openapi");
            assert!(!about_deal || !answer.text().contains(hidden), "{} names it", answer.asked);
        }
        let feed = ann.get("/changes").await.ok(200);
        let named = feed["data"].as_array().expect("data").iter().any(|change| change["fields"].to_string().contains(hidden));
        assert!(!named, "the feed names it: {feed}");
    }

    /// A record out of sight answers 404 through every door, and is in no list, count, group, search or feed.
    async fn a_hidden_record_is_not_there(app) {
        let (ann, zoe) = (app.ann().await, app.zoe().await);
        let account = app.account("Acme").await;
        let id = app.deal_id(&ann, json!({"account": account, "close_value": 77})).await;
        let path = format!("/records/sales.deal/{id}");
        let missing = "/records/sales.deal/018f0000-0000-7000-8000-000000000000";
        for (door, body) in [("", None), ("/history", None), ("/timeline", None)] {
            let _: Option<Json> = body;
            let (hidden, absent) = (zoe.get(&format!("{path}{door}")).await, zoe.get(&format!("{missing}{door}")).await);
            hidden.problem(404, "not_found");
            assert_eq!(hidden.status, absent.status);
        }
        zoe.patch(&path, json!({"close_value": 1})).await.problem(404, "not_found");
        zoe.delete(&path).await.problem(404, "not_found");
        zoe.post(&format!("{path}/restore"), json!({})).await.problem(404, "not_found");
        zoe.step("sales.deal", &id, json!({"stage": "engaging"})).await.problem(404, "not_found");
        let note = |id: &str| json!({"about": {"entity": "sales.deal", "id": id}, "text": "hello"});
        let (hidden, absent) = (zoe.post("/records/core.note", note(&id)).await, zoe.post("/records/core.note", note("018f0000-0000-7000-8000-000000000000")).await);
        assert!(matches!(hidden.status.as_u16(), 403 | 422), "{}", hidden.text());
        assert_eq!((hidden.status, hidden.json()["code"].clone()), (absent.status, absent.json()["code"].clone()));
        assert_eq!(ann.read("sales.deal", &id).await["version"], 1, "nothing was written");
        assert!(zoe.list("sales.deal", &[]).await.is_empty());
        let total = zoe.ask("/records/sales.deal", &[("total", "exact")]).await.ok(200);
        assert_eq!(total["total"], 0);
        let sums = zoe.post("/records/sales.deal/aggregate", json!({"measures": ["count", {"sum": "close_value"}]})).await.ok(200);
        assert_eq!(sums["data"][0]["count"], 0, "{sums}");
        assert_eq!(zoe.find("sales.account", json!({"some": "deals"})).await, Vec::<Json>::new(), "a hop carries the caller's rights");
        let expanded = zoe.ask(&format!("/records/sales.account/{account}"), &[("expand", "deals")]).await.ok(200);
        assert_eq!(expanded["expanded"]["deals"]["data"], json!([]));
        assert_eq!(zoe.get(&format!("/records/sales.account/{account}/related/deals")).await.ok(200)["data"], json!([]));
        let found = zoe.ask("/search", &[("q", "Acme")]).await.ok(200);
        assert_eq!(column(found["data"].as_array().expect("data"), "entity"), ["sales.account"], "{found}");
        let feed = zoe.get("/changes").await.ok(200);
        assert!(!feed.to_string().contains(&id), "{feed}");
        assert_eq!(app.admin().read("sales.account", &account).await["open_deals"], 1, "a stored roll-up counts all");
    }

    /// One may read more than one may change; `read_only_field` and `forbidden` are for what one may see.
    async fn reading_is_not_writing(app) {
        let (ann, ben, mo) = (app.ann().await, app.ben().await, app.mo().await);
        let id = app.deal_id(&ann, json!({})).await;
        assert_eq!(ben.read("sales.deal", &id).await["owner"], ann.id.as_str());
        ben.patch(&format!("/records/sales.deal/{id}"), json!({"close_value": 1})).await.problem(403, "forbidden");
        mo.change("sales.deal", &id, json!({"close_value": 1})).await;
        let account = ann.create_id("sales.account", json!({"name": "Initech"})).await;
        ann.patch(&format!("/records/sales.account/{account}"), json!({"credit_limit": 5})).await.fault(422, "read_only_field", "credit_limit");
        ann.post("/records/sales.account", json!({"name": "Umbrella", "credit_limit": 5})).await.fault(422, "read_only_field", "credit_limit");
        ann.patch(&format!("/records/sales.deal/{id}"), json!({"weighted": 5})).await.fault(422, "read_only_field", "weighted");
        ann.patch(&format!("/records/sales.deal/{id}"), json!({"created_at": "2020-01-01T00:00:00Z"})).await.fault(422, "read_only_field", "created_at");
        ann.post("/records/sales.product", json!({"name": "New", "sales_price": 1})).await.problem(403, "forbidden");
    }

    /// Nobody may hand a record out of their own sight, nor make one there, but by assigning it.
    async fn a_write_keeps_within_reach(app) {
        let (ann, zoe) = (app.ann().await, app.zoe().await);
        let id = app.deal_id(&ann, json!({})).await;
        let given = ann.patch(&format!("/records/sales.deal/{id}"), json!({"owner": zoe.id})).await;
        assert_eq!(given.status.as_u16(), 204, "an assignment answers without the record: {}", given.text());
        ann.get(&format!("/records/sales.deal/{id}")).await.problem(404, "not_found");
        assert_eq!(zoe.read("sales.deal", &id).await["owner"], zoe.id.as_str());
        let feed = ann.get("/changes").await.ok(200);
        let last = feed["data"].as_array().and_then(|data| data.iter().rev().find(|change| change["id"] == id.as_str()).cloned());
        assert_eq!(last.map(|change| change["op"].clone()), Some(json!("hidden")), "{feed}");
    }

    /// What hangs on a record follows that record's rights.
    async fn notes_follow_what_they_are_about(app) {
        let (ann, ben, zoe) = (app.ann().await, app.ben().await, app.zoe().await);
        let id = app.deal_id(&ann, json!({})).await;
        let note = ann.create_id("core.note", json!({"about": {"entity": "sales.deal", "id": id}, "text": "Call on Monday"})).await;
        assert_eq!(ben.read("core.note", &note).await["text"], "Call on Monday");
        zoe.get(&format!("/records/core.note/{note}")).await.problem(404, "not_found");
        assert!(zoe.list("core.note", &[]).await.is_empty());
        ben.patch(&format!("/records/core.note/{note}"), json!({"text": "No"})).await.problem(403, "forbidden");
        let related = ben.get(&format!("/records/sales.deal/{id}/related/notes")).await.ok(200);
        assert_eq!(related["data"].as_array().map(Vec::len), Some(1));
    }

    /// Rights that change hold from the next request on.
    async fn rights_change_at_once(app) {
        let (ann, admin) = (app.ann().await, app.admin());
        let id = app.deal_id(&ann, json!({})).await;
        let south = app.department("south").await;
        let other = app.deal_id(&app.zoe().await, json!({})).await;
        ann.get(&format!("/records/sales.deal/{other}")).await.problem(404, "not_found");
        admin.change("core.user", &ann.id, json!({"department": south})).await;
        let seen = column(&ann.list("sales.deal", &[]).await, "id");
        assert!(seen.contains(&other), "{seen:?}");
        admin.change("core.user", &ann.id, json!({"roles": []})).await;
        ann.get("/records/sales.deal").await.is(404);
        ann.get(&format!("/records/sales.deal/{id}")).await.is(404);
        admin.change("core.user", &ann.id, json!({"active": false})).await;
        ann.get("/me").await.problem(401, "unauthenticated");
    }

    /// A record is shared by hand, never beyond what the sharer may do.
    async fn members_see_what_is_shared(app) {
        let mut files = tests::folders::sales();
        tests::folders::edit(&mut files, "entities/deal.json", |entity| entity["members"] = json!(["read", "write"]));
        tests::folders::edit(&mut files, "roles/rep.json", |role| {
            role["entities"]["deal"]["read"] = json!("own");
            role["entities"]["deal"]["update"] = json!("own");
        });
        app.install_files(files).await;
        let (ann, ben, zoe) = (app.ann().await, app.ben().await, app.zoe().await);
        let id = app.deal_id(&ann, json!({})).await;
        let members = format!("/records/sales.deal/{id}/members");
        zoe.get(&members).await.problem(404, "not_found");
        zoe.post(&members, json!({"user": zoe.id, "right": "write"})).await.problem(404, "not_found");
        ann.post(&members, json!({"user": zoe.id, "right": "read"})).await.is(204);
        assert_eq!(zoe.read("sales.deal", &id).await["id"], json!(id));
        assert_eq!(column(&zoe.list("sales.deal", &[]).await, "id"), std::slice::from_ref(&id));
        zoe.patch(&format!("/records/sales.deal/{id}"), json!({"close_value": 1})).await.problem(403, "forbidden");
        zoe.post(&members, json!({"user": ben.id, "right": "write"})).await.problem(403, "forbidden");
        zoe.post(&members, json!({"user": ben.id, "right": "read"})).await.is(204);
        assert_eq!(ben.read("sales.deal", &id).await["id"], json!(id));
        ann.post(&members, json!({"user": zoe.id, "right": "write"})).await.is(204);
        zoe.change("sales.deal", &id, json!({"close_value": 1})).await;
        ben.delete(&format!("{members}/{}", zoe.id)).await.problem(403, "forbidden");
        assert_eq!(ann.get(&members).await.ok(200)["data"].as_array().map(Vec::len), Some(2));
        ben.delete(&format!("{members}/{}", ben.id)).await.is(204);
        ben.get(&format!("/records/sales.deal/{id}")).await.problem(404, "not_found");
        ann.post(&members, json!({"user": id, "right": "read"})).await.fault(422, "bad_reference", "user");
        let accounts = app.account("Acme").await;
        app.admin().post(&format!("/records/sales.account/{accounts}/members"), json!({"user": zoe.id, "right": "read"})).await.fault(422, "bad_format", "right");
    }
}
