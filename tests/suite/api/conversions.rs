//! In charge of conversions over HTTP: what is offered, a preview that writes nothing, the deed, and where records came from.
//! Invariant: of two who convert at once one wins; what a caller may not see is not told.

use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::{Client, id_of};
use tests::on_both;

/// A lead that may be converted.
async fn lead(app: &App, owner: &Client, company: &str) -> String {
    let products = app.admin().list("sales.product", &[]).await.len();
    let product = app.product(&format!("Pump {products}"), "550").await;
    let values = json!({"name": "Wei", "phone": "+8613812345678", "company": company, "stage": "qualified", "product": product, "amount": "5500"});
    tests::client::id_of(&owner.post("/records/sales.lead?duplicates=accept", values).await.ok(201))
}

fn faults(problem: &Json) -> Vec<String> {
    let told = |fault: &Json| format!("{} {}", fault["code"].as_str().unwrap_or_default(), fault["pointer"].as_str().unwrap_or_default());
    problem["errors"].as_array().expect("errors").iter().map(told).collect()
}

on_both! {
    /// A lead offers a conversion; its preview says what would come of it and leaves everything as it was.
    async fn a_preview_writes_nothing(app) {
        let ann = app.ann().await;
        let id = lead(&app, &ann, "Acme").await;
        let path = format!("/records/sales.lead/{id}");
        let meta = ann.get("/meta").await.ok(200);
        let offered = meta["entities"].as_array().expect("entities").iter().find(|entity| entity["name"] == "sales.lead").expect("leads");
        assert_eq!(offered["conversions"][0]["name"], "sales.qualify", "{offered}");
        assert!(ann.get("/openapi.json").await.ok(200)["paths"].get("/records/sales.lead/{id}/convert").is_some());
        let of_record = ann.get(&format!("{path}/conversions")).await.ok(200);
        assert_eq!((&of_record["data"][0]["name"], &of_record["data"][0]["ask"]), (&json!("sales.qualify"), &json!(true)));
        assert_eq!((&of_record["from"], &of_record["became"]), (&json!([]), &json!([])));
        let seen = ann.post(&format!("{path}/convert"), json!({"conversion": "qualify", "dry_run": true})).await.ok(200);
        assert_eq!(seen["errors"], json!([]), "{seen}");
        let targets = &seen["targets"];
        assert_eq!((&targets["account"]["do"], &targets["account"]["values"]["name"]), (&json!("create"), &json!("Acme")));
        assert_eq!(targets["deal"]["values"]["account"], json!({"target": "account"}), "{targets}");
        assert_eq!((&targets["deal"]["optional"], &targets["deal"]["values"]["close_value"]), (&json!(true), &json!(5500.0)));
        assert!(ann.list("sales.account", &[]).await.is_empty());
        assert_eq!(ann.read("sales.lead", &id).await["stage"], "qualified");
        // What would be wrong is told beside it.
        let body = json!({"conversion": "qualify", "dry_run": true, "values": {"account": {"name": ""}, "deal": {"product": null}}});
        let wrong = ann.post(&format!("{path}/convert"), body).await.ok(200);
        let pointers: Vec<&str> = wrong["errors"].as_array().expect("errors").iter().filter_map(|fault| fault["pointer"].as_str()).collect();
        assert_eq!(pointers, ["/values/account/name", "/values/deal/product"], "{wrong}");
    }

    /// What comes of it knows where it came from, and the other way round; all of it is one change set.
    async fn results_remember_their_origin(app) {
        let ann = app.ann().await;
        let id = lead(&app, &ann, "Acme").await;
        let path = format!("/records/sales.lead/{id}/convert");
        let made = ann.post(&path, json!({"conversion": "sales.qualify", "values": {"contact": {"name": "Li Wei"}}})).await.ok(200);
        let account = made["targets"]["account"]["id"].as_str().expect("an id").to_owned();
        assert_eq!((&made["targets"]["account"]["do"], &made["targets"]["account"]["title"]), (&json!("create"), &json!("Acme")));
        assert_eq!(made["targets"]["contact"]["title"], "Li Wei");
        let from = ann.get(&format!("/records/sales.account/{account}/conversions")).await.ok(200);
        assert_eq!((&from["from"][0]["entity"], &from["from"][0]["id"], &from["from"][0]["made"]), (&json!("sales.lead"), &json!(id), &json!(true)));
        let became = ann.get(&format!("/records/sales.lead/{id}/conversions")).await.ok(200);
        assert_eq!(became["data"], json!([]), "a lead is converted once");
        let names: Vec<&str> = became["became"].as_array().expect("results").iter().filter_map(|one| one["target"].as_str()).collect();
        assert_eq!(names, ["account", "contact", "deal"]);
        let again = ann.post(&path, json!({"conversion": "qualify"})).await;
        again.problem(409, "already_converted");
        // A deal that another team may not see is not told of; a record that is gone is nothing's result.
        let zoe = app.zoe().await;
        let of_zoe = zoe.get(&format!("/records/sales.account/{account}/conversions")).await.ok(200);
        assert_eq!(of_zoe["from"], json!([]), "the lead is out of sight");
        let deal = made["targets"]["deal"]["id"].as_str().expect("an id");
        app.mo().await.delete(&format!("/records/sales.deal/{deal}")).await.is(204);
        let became = ann.get(&format!("/records/sales.lead/{id}/conversions")).await.ok(200);
        assert_eq!(became["became"].as_array().map(Vec::len), Some(2), "{became}");
    }

    /// The same key sent again is answered with what was made; another body under it is refused.
    async fn a_key_converts_once(app) {
        let ann = app.ann().await;
        let account = app.account("Acme").await;
        let product = app.product("Pump", "550").await;
        let quote = ann.create_id("sales.quote", json!({"account": account, "items": [{"product": product, "quantity": 10}]})).await;
        let line = id_of(&ann.list("sales.quote_line", &[]).await[0]);
        let path = format!("/records/sales.quote/{quote}/convert");
        let body = |quantity: i64| json!({"conversion": "to_contract", "values": {"contract": {"amount": 1}}, "lines": [{"id": line, "quantity": quantity}]});
        let send = |body: Json| ann.send(ann.request(reqwest::Method::POST, &path).header("idempotency-key", "k-1").json(&body));
        let first = send(body(4)).await.ok(200);
        assert_eq!(send(body(4)).await.ok(200), first);
        send(body(3)).await.problem(422, "idempotency_mismatch");
        assert_eq!(ann.list("sales.contract", &[]).await.len(), 1);
        let contract = first["targets"]["contract"]["id"].as_str().expect("an id");
        let lines = ann.find("sales.contract_line", json!({"field": "contract", "op": "=", "value": contract})).await;
        assert_eq!((lines.len(), &lines[0]["quantity"], &lines[0]["price"]), (1, &json!(4), &json!(550.0)));
        let of_line = ann.get(&format!("/records/sales.contract_line/{}/conversions", id_of(&lines[0]))).await.ok(200);
        assert_eq!((&of_line["from"][0]["entity"], &of_line["from"][0]["id"]), (&json!("sales.quote_line"), &json!(line)));
        let more = ann.post(&path, body(7)).await;
        assert_eq!(faults(&more.problem(409, "nothing_left")), ["nothing_left /lines/contract/items/0/quantity"]);
    }

    /// Many convert one lead at the same moment: one account, one winner. Many take of one quote: never more than it has.
    async fn of_many_at_once_one_wins(app) {
        const MANY: usize = 6;
        let (ann, mo) = (app.ann().await, app.mo().await);
        let id = lead(&app, &ann, "Acme").await;
        let path = format!("/records/sales.lead/{id}/convert");
        let asked = (0..MANY).map(|n| if n % 2 == 0 { &ann } else { &mo }).map(|who| who.post(&path, json!({"conversion": "qualify"})));
        let statuses: Vec<u16> = futures_util::future::join_all(asked).await.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
        assert_eq!(ann.list("sales.account", &[]).await.len(), 1);
        let quote = ann.create_id("sales.quote", json!({"account": app.account("Best").await,
            "items": [{"product": app.product("Valve", "5").await, "quantity": 10}]})).await;
        let path = format!("/records/sales.quote/{quote}/convert");
        let line = id_of(&ann.list("sales.quote_line", &[]).await[0]);
        let body = json!({"conversion": "to_contract", "values": {"contract": {"amount": 1}}, "lines": [{"id": line, "quantity": 4}]});
        let answers = futures_util::future::join_all((0..MANY).map(|_| ann.post(&path, body.clone()))).await;
        let done = answers.iter().filter(|answer| answer.status.as_u16() == 200).count();
        assert_eq!(done, 2, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        assert_eq!(ann.read("sales.quote_line", &line).await["contracted"], json!(8));
        // Different leads of one company at the same moment: one account.
        let leads = [lead(&app, &ann, "Same").await, lead(&app, &mo, "Same ").await, lead(&app, &ann, "same").await];
        let asked = leads.iter().map(|id| {
            let path = format!("/records/sales.lead/{id}/convert");
            let mo = mo.clone();
            async move { mo.post(&path, json!({"conversion": "qualify"})).await }
        });
        for answer in futures_util::future::join_all(asked).await {
            let _ = answer.ok(200);
        }
        assert_eq!(ann.find("sales.account", json!({"field": "name", "op": "=", "value": "same"})).await.len(), 1);
    }

    /// What is malformed, out of sight or not allowed is answered as everywhere, all at once.
    async fn what_is_refused(app) {
        let (ann, zoe) = (app.ann().await, app.zoe().await);
        let id = lead(&app, &ann, "Acme").await;
        let path = format!("/records/sales.lead/{id}/convert");
        zoe.post(&path, json!({"conversion": "qualify"})).await.problem(404, "not_found");
        ann.post(&path, json!({"conversion": "nothing"})).await.problem(404, "not_found");
        ann.post(&path, json!({})).await.fault(422, "required", "conversion");
        ann.post(&path, json!({"conversion": "qualify", "colour": 1})).await.problem(400, "malformed");
        let body = json!({"conversion": "qualify", "values": {"account": {"won_value": 1, "nme": "x"}, "deal": {"close_value": "much"}, "x": {}}});
        let faulty = ann.post(&path, body).await.problem(400, "unknown_field");
        assert_eq!(faults(&faulty), ["unknown_field /values/x"], "what is meant is read first");
        let body = json!({"conversion": "qualify", "values": {"account": {"won_value": 1, "nme": "x"}}, "targets": {"contact": false}});
        let faulty = ann.post(&path, body).await.problem(400, "unknown_field");
        assert_eq!(faults(&faulty), ["read_only_field /values/account/won_value", "unknown_field /values/account/nme", "out_of_range /targets/contact"]);
        assert_eq!(ann.read("sales.lead", &id).await["stage"], "qualified");
    }
}
