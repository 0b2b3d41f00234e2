//! In charge of what may be there already: looked at before saving, asked about on every channel, and never told to whom it hides.
//! Invariant: who may not see a record learns at most that there is one, and of a field that they may not read not even that.

use reqwest::Method;
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::{Client, column, id_of};
use tests::folders::{edit, sales};
use tests::on_both;

/// The sales example, whose deals may be there already by four rules; a product that all of a story's deals are of.
async fn install(app: &App) -> String {
    let mut files = sales();
    edit(&mut files, "entities/deal.json", |entity| {
        for name in ["serial", "ticket", "secret_code"] {
            entity["fields"][name] = json!({"kind": "text", "max_length": 60});
        }
        entity["duplicates"] = json!({
            "serial": {"match": [{"field": "serial", "by": "same"}], "then": "warn"},
            "ticket": {"match": [{"field": "ticket", "by": "same"}], "then": "block", "message": {"en": "This ticket is known"}},
            "hidden": {"match": [{"field": "secret_code", "by": "same"}], "then": "warn"},
            "near": {"match": [{"field": "serial", "by": "similar", "at_least": 0.8}, {"field": "product", "by": "same"}], "then": "link"}
        });
    });
    edit(&mut files, "roles/rep.json", |role| role["entities"]["deal"]["fields"]["secret_code"] = json!("none"));
    app.install_files(files).await;
    app.product("GTX", "550").await
}

async fn send(client: &Client, method: Method, path: &str, body: Json) -> tests::client::Answer {
    client.send(client.request(method, path).json(&body)).await
}

/// A deal's values.
fn values(product: &str, more: Json) -> Json {
    let mut values = json!({"product": product});
    for (name, value) in more.as_object().expect("values") {
        values[name] = value.clone();
    }
    values
}

async fn notes(app: &App) -> Vec<String> {
    column(&app.admin().list("core.note", &[("sort", "created_at")]).await, "text")
}

on_both! {
    /// A likely duplicate is refused until the person says that it is another one; a rule that blocks stays.
    async fn it_is_asked_about_and_confirmed(app) {
        let gtx = install(&app).await;
        let ann = app.ann().await;
        let first = app.deal_id(&ann, json!({"serial": "SN 1", "ticket": "T1"})).await;
        let path = "/records/sales.deal";
        let again = values(&gtx, json!({"serial": "sn 1"}));

        let refused = send(&ann, Method::POST, path, again.clone()).await.problem(409, "duplicate_found");
        let told = &refused["errors"][0];
        assert_eq!((&told["rule"], &told["field"], &told["blocks"]), (&json!("serial"), &json!("serial"), &json!(false)), "{refused}");
        assert_eq!((&told["records"][0]["id"], &told["records"][0]["entity"]), (&json!(first), &json!("sales.deal")), "{refused}");
        assert!(told["records"][0]["title"].as_str().is_some_and(|title| !title.is_empty()), "{refused}");
        assert_eq!(ann.list("sales.deal", &[]).await.len(), 1);

        let second = send(&ann, Method::POST, &format!("{path}?duplicates=accept"), again.clone()).await.ok(201);
        assert_eq!(notes(&app).await, [format!("This resembles a record that was there: /r/sales.deal/{first}")]);
        send(&ann, Method::POST, &format!("{path}?duplicates=perhaps"), again).await.problem(400, "malformed");

        let known = values(&gtx, json!({"ticket": "t1"}));
        let blocked = send(&ann, Method::POST, &format!("{path}?duplicates=accept"), known).await.problem(409, "duplicate_found");
        assert_eq!((&blocked["errors"][0]["blocks"], &blocked["detail"]), (&json!(true), &json!("This ticket is known")), "{blocked}");

        // A change that makes it so is one, another is none.
        let third = app.deal_id(&ann, json!({"serial": "SN 3"})).await;
        let place = format!("{path}/{third}");
        send(&ann, Method::PATCH, &place, json!({"serial": "SN 1"})).await.problem(409, "duplicate_found");
        send(&ann, Method::PATCH, &format!("{path}/{}", id_of(&second)), json!({"close_value": 5})).await.is(200);
        send(&ann, Method::PATCH, &format!("{place}?duplicates=accept"), json!({"serial": "SN 1"})).await.is(200);
        // What is wrong is told first.
        let wrong = values(&gtx, json!({"serial": "SN 1", "close_value": "much"}));
        send(&ann, Method::POST, path, wrong).await.fault(422, "wrong_type", "close_value");
    }

    /// One looks before one saves, with the fields and records that one sees.
    async fn one_looks_before_saving(app) {
        let gtx = install(&app).await;
        let (ann, zoe, admin) = (app.ann().await, app.zoe().await, app.admin());
        let first = app.deal_id(&ann, json!({"serial": "SN 1"})).await;
        let path = "/records/sales.deal/duplicates";
        let ask = json!({"values": {"serial": "sn 1"}});

        let seen = ann.post(path, ask.clone()).await.ok(200);
        assert_eq!((&seen["data"][0]["rule"], &seen["data"][0]["records"][0]["id"]), (&json!("serial"), &json!(first)), "{seen}");
        assert_eq!(ann.post(path, json!({"values": {"serial": "SN 1"}, "id": first})).await.ok(200)["data"], json!([]));
        assert_eq!(ann.post(path, json!({"values": {}})).await.ok(200)["data"], json!([]));
        ann.post(path, json!({"values": {"nothing": 1}})).await.problem(400, "unknown_field");
        ann.post(path, json!({"value": {}})).await.problem(400, "malformed");
        app.nobody().post(path, ask.clone()).await.problem(401, "unauthenticated");

        // Out of sight: nothing when looking, and that there is one when saving.
        assert_eq!(zoe.post(path, ask).await.ok(200)["data"], json!([]));
        let hidden = send(&zoe, Method::POST, "/records/sales.deal", values(&gtx, json!({"serial": "SN 1"}))).await.problem(409, "duplicate_found");
        assert_eq!(hidden["errors"][0]["records"], json!([]), "{hidden}");
        assert!(!hidden.to_string().contains(&first), "{hidden}");

        // By a field that one may not read nothing is found.
        admin.change("sales.deal", &first, json!({"secret_code": "X"})).await;
        ann.post(path, json!({"values": {"secret_code": "X"}})).await.problem(400, "unknown_field");
        let found = admin.post(path, json!({"values": {"secret_code": "x"}})).await.ok(200);
        assert_eq!(found["data"][0]["rule"], "hidden", "{found}");
    }

    /// What is alike in something is linked without a question: both timelines say so.
    async fn what_is_linked_is_not_asked_about(app) {
        let gtx = install(&app).await;
        let ann = app.ann().await;
        let (one, other) = (values(&gtx, json!({"serial": "Engine 4711"})), values(&gtx, json!({"serial": "Engine 4712"})));
        let first = id_of(&send(&ann, Method::POST, "/records/sales.deal", one).await.ok(201));
        let second = id_of(&send(&ann, Method::POST, "/records/sales.deal", other).await.ok(201));
        let far = values(&gtx, json!({"serial": "Pump"}));
        send(&ann, Method::POST, "/records/sales.deal", far).await.is(201);
        let said = [format!("This resembles a record that was there: /r/sales.deal/{first}"), format!("A new record resembles this one: /r/sales.deal/{second}")];
        assert_eq!(notes(&app).await, said);
    }

    /// Many at once: each against what is there and against those before it.
    async fn a_batch_finds_its_own(app) {
        let gtx = install(&app).await;
        let ann = app.ann().await;
        let mut operations = Vec::new();
        for serial in ["SN 1", "SN 2", "sn 1"] {
            operations.push(json!({"op": "create", "values": values(&gtx, json!({"serial": serial}))}));
        }
        let path = "/records/sales.deal/batch";
        let refused = ann.post(path, json!({"operations": operations})).await.problem(409, "duplicate_found");
        assert_eq!(refused["errors"][0]["pointer"], "/operations/2/values", "{refused}");
        assert_eq!(ann.list("sales.deal", &[]).await.len(), 0);
        let each = ann.post(path, json!({"atomic": false, "operations": operations})).await.ok(200);
        let statuses: Vec<&Json> = each["results"].as_array().into_iter().flatten().map(|result| &result["status"]).collect();
        assert_eq!(statuses, [&json!(201), &json!(201), &json!(409)], "{each}");
        ann.post(path, json!({"duplicates": "accept", "operations": operations})).await.is(200);
        assert_eq!(ann.list("sales.deal", &[]).await.len(), 5);
    }

    /// A file's rows that may be there already come back with the reason, unless the import takes them.
    async fn an_import_refuses_them_or_takes_them(app) {
        let gtx = install(&app).await;
        let admin = app.admin();

        let first = id_of(&send(&admin, Method::POST, "/records/sales.deal", values(&gtx, json!({"serial": "SN 1", "ticket": "T1"}))).await.ok(201));
        let csv = format!("product,serial,ticket\n{gtx},sn 1,\n{gtx},SN 2,\n{gtx},SN 2,\n{gtx},SN 4,T1\n");
        let spec = |more: Json| {
            let mut spec = json!({"entity": "sales.deal", "mode": "create"});
            for (key, value) in more.as_object().expect("settings") {
                spec[key] = value.clone();
            }
            spec
        };
        let asked = import(&app, &admin, &csv, spec(json!({}))).await;
        assert_eq!((&asked["created"], &asked["failed"]), (&json!(1), &json!(3)), "{asked}");
        let errors = admin.get(&format!("/imports/{}/errors", asked["id"].as_str().unwrap_or_default())).await.text();
        assert!(errors.contains(&first) && errors.contains("This ticket is known"), "{errors}");
        let taken = import(&app, &admin, &csv, spec(json!({"duplicates": "accept"}))).await;
        assert_eq!((&taken["created"], &taken["failed"]), (&json!(3), &json!(1)), "{taken}");
    }

    /// Two who send the same at once: one is asked.
    async fn of_two_at_once_one_is_asked(app) {
        let gtx = install(&app).await;
        let ann = app.ann().await;
        let body = values(&gtx, json!({"serial": "SN 1"}));
        let tasks: Vec<_> = (0..8).map(|_| {
            let (ann, body) = (ann.clone(), body.clone());
            tokio::spawn(async move { send(&ann, Method::POST, "/records/sales.deal", body).await.status.as_u16() })
        }).collect();
        let mut statuses = Vec::new();
        for task in tasks {
            statuses.push(task.await.expect("answers"));
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    }
}

async fn import(app: &App, client: &Client, csv: &str, spec: Json) -> Json {
    let part = reqwest::multipart::Part::bytes(csv.as_bytes().to_vec()).file_name("deals.csv");
    let form = reqwest::multipart::Form::new().text("spec", spec.to_string()).part("file", part);
    let job = client.send(client.request(Method::POST, "/imports").multipart(form)).await.ok(202);
    let id = job["id"].as_str().unwrap_or_else(|| panic!("{job}")).to_owned();
    let cx = app.engine.system();
    app.engine.wait_job(&cx, id.parse().expect("an id"), |_| {}).await.expect("ends");
    client.get(&format!("/imports/{id}")).await.ok(200)
}
