//! In charge of approvals over HTTP: boxes, decisions, locks, who may know of what, many at the same time.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::{Client, id_of};
use tests::on_both;

/// A quote of a rep with one item.
async fn quote(app: &App, by: &Client, discount: u32) -> String {
    let account = app.account(&format!("Acme {}", uuid::Uuid::new_v4().simple())).await;
    let product = app.product(&format!("Product {}", uuid::Uuid::new_v4().simple()), "550").await;
    quote_of(by, &account, &product, discount).await
}

async fn quote_of(by: &Client, account: &str, product: &str, discount: u32) -> String {
    let values = json!({"account": account, "discount": discount, "reason": "A good customer", "items": [{"product": product, "quantity": 2}]});
    by.create_id("sales.quote", values).await
}

async fn begin(by: &Client, flow: &str, record: &str) -> Json {
    by.post("/approvals", json!({"flow": flow, "record": record})).await.ok(201)
}

async fn tasks(of: &Client, which: &str) -> Vec<Json> {
    of.get(&format!("/approvals/tasks?box={which}")).await.ok(200)["data"].as_array().cloned().unwrap_or_default()
}

/// The task of a record in somebody's box.
async fn task(of: &Client, record: &str) -> String {
    let found = tasks(of, "todo").await.into_iter().find(|line| line["record"] == record);
    found.expect("a task")["task"].as_str().expect("an id").to_owned()
}

on_both! {
    /// From submission to decision: forecast, lock, box, detail, timeline; the same request twice is one decision.
    async fn a_discount_is_approved(app) {
        let (ann, mo, zoe) = (app.ann().await, app.mo().await, app.zoe().await);
        let me = ann.get("/me").await.ok(200);
        let manager = mo.get("/me").await.ok(200);
        app.admin().change("core.user", me["id"].as_str().expect("an id"), json!({"manager": manager["id"]})).await;
        let record = quote(&app, &ann, 10).await;
        assert_eq!(ann.read("sales.quote", &record).await["approval_state"], "none");
        let path = ann.post("/approvals/forecast", json!({"flow": "sales.discount", "record": record})).await.ok(200);
        assert_eq!(path["steps"][0]["people"], json!([manager["id"]]), "{path}");
        ann.post("/approvals", json!({"flow": "sales.nothing", "record": record})).await.fault(422, "bad_reference", "flow");
        zoe.post("/approvals", json!({"flow": "sales.discount", "record": record})).await.problem(404, "not_found");
        let begun = begin(&ann, "sales.discount", &record).await;
        assert_eq!(begun["state"], "running");
        ann.post("/approvals", json!({"flow": "sales.discount", "record": record})).await.problem(409, "already_running");
        ann.patch(&format!("/records/sales.quote/{record}"), json!({"discount": 1})).await.fault(409, "locked", "discount");
        ann.patch(&format!("/records/sales.quote/{record}"), json!({"notes": "still open"})).await.is(200);
        ann.delete(&format!("/records/sales.quote/{record}")).await.problem(409, "locked");
        let line = &tasks(&mo, "todo").await[0];
        assert_eq!((&line["step"], &line["summary"]["discount"], &line["initiator"]["name"]), (&json!("manager"), &json!(10.0), &json!("ann")), "{line}");
        let task = task(&mo, &record).await;
        let detail = mo.get(&format!("/approvals/{task}")).await.ok(200);
        assert_eq!((&detail["tasks"][0]["mine"], &detail["values"]["total"]), (&json!(true), &json!(990.0)), "{detail}");
        let id = begun["id"].as_str().expect("an id");
        zoe.get(&format!("/approvals/{id}")).await.problem(404, "not_found");
        zoe.post(&format!("/approvals/tasks/{task}/approve"), json!({})).await.problem(404, "not_found");
        ann.post(&format!("/approvals/tasks/{task}/approve"), json!({})).await.problem(403, "not_your_task");
        mo.post(&format!("/approvals/tasks/{task}/reject"), json!({})).await.fault(422, "required", "opinion");
        mo.post(&format!("/approvals/tasks/{task}/approve"), json!({"values": {"notes": "no"}})).await.fault(422, "read_only_field", "notes");
        mo.post(&format!("/approvals/tasks/{task}/aprove"), json!({})).await.problem(404, "not_found");
        mo.post(&format!("/approvals/tasks/{task}/approve"), json!({"opinon": "x"})).await.fault(400, "malformed", "opinon");
        ann.post(&format!("/approvals/{id}/urge"), json!({})).await.is(200);
        ann.post(&format!("/approvals/{id}/urge"), json!({})).await.problem(429, "too_soon");
        let path = format!("/approvals/tasks/{task}/approve");
        for _ in 0..2 {
            let request = mo.request(Method::POST, &path).header("Idempotency-Key", "once").json(&json!({"opinion": "fine", "values": {"discount": 8}}));
            assert_eq!(mo.send(request).await.ok(200)["state"], "approved");
        }
        mo.post(&path, json!({})).await.problem(409, "task_closed");
        let after = ann.read("sales.quote", &record).await;
        assert_eq!((&after["approval_state"], &after["total"]), (&json!("approved"), &json!(1012.0)));
        assert!(tasks(&mo, "todo").await.iter().all(|line| line["record"] != record.as_str()));
        assert!(tasks(&mo, "done").await.iter().any(|line| line["record"] == record.as_str()));
        assert!(tasks(&ann, "mine").await.iter().any(|line| line["id"] == id && line["state"] == "approved"));
        let told = ann.get(&format!("/approvals/{id}")).await.ok(200);
        let votes = told["timeline"].as_array().expect("events").iter().filter(|event| event["event"] == "voted").count();
        assert_eq!(votes, 1, "{told}");
        let of_record = ann.get(&format!("/records/sales.quote/{record}/approvals")).await.ok(200);
        assert_eq!(of_record["data"][0]["id"], id);
    }

    /// Two who press at the same time: one counts, the other is told so.
    async fn two_press_at_once(app) {
        let ann = app.ann().await;
        let (one, two) = (app.person("fin", "finance", "money").await, app.person("fox", "finance", "money").await);
        let _lex = app.person("lex", "legal", "law").await;
        let account = app.account("Acme").await;
        let record = ann.create_id("sales.contract", json!({"account": account, "amount": 100})).await;
        let _ = begin(&ann, "sales.contract", &record).await;
        let (first, second) = (task(&one, &record).await, task(&two, &record).await);
        let (first, second) = (format!("/approvals/tasks/{first}/approve"), format!("/approvals/tasks/{second}/approve"));
        let (a, b) = tokio::join!(one.post(&first, json!({})), two.post(&second, json!({})));
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", a.text(), b.text());
    }

    /// Numbers are given once, however many are submitted at the same time.
    async fn numbers_are_unique(app) {
        let ann = app.ann().await;
        let mut records = Vec::new();
        for _ in 0..12 {
            records.push(quote(&app, &ann, 10).await);
        }
        let begun: Vec<_> = records.iter().map(|record| begin(&ann, "sales.discount", record)).collect();
        let ids = futures_util::future::join_all(begun).await;
        assert_eq!(ids.iter().map(id_of).collect::<BTreeSet<_>>().len(), 12);
        let numbers: BTreeSet<String> = tasks(&ann, "mine").await.iter().filter_map(|line| line["number"].as_str().map(str::to_owned)).collect();
        assert_eq!(numbers.len(), 12, "{numbers:?}");
    }

    /// Many at once: each for itself; a stand-in decides for who is away.
    async fn in_bulk_and_for_another(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let me = ann.get("/me").await.ok(200);
        let manager = mo.get("/me").await.ok(200);
        app.admin().change("core.user", me["id"].as_str().expect("an id"), json!({"manager": manager["id"]})).await;
        let records = [quote(&app, &ann, 10).await, quote(&app, &ann, 12).await];
        for record in &records {
            let _ = begin(&ann, "sales.discount", record).await;
        }
        let ben = app.ben().await;
        let deputy = ben.get("/me").await.ok(200);
        mo.post("/me/proxies", json!({"by": manager["id"]})).await.fault(422, "bad_reference", "by");
        let made = mo.post("/me/proxies", json!({"by": deputy["id"], "open_tasks": true})).await.ok(201);
        let task = task(&ben, &records[0]).await;
        assert_eq!(ben.post(&format!("/approvals/tasks/{task}/approve"), json!({})).await.ok(200)["state"], "approved");
        mo.delete(&format!("/me/proxies/{}", id_of(&made))).await.is(204);
        assert!(tasks(&ben, "todo").await.is_empty());
        let open: Vec<Json> = tasks(&mo, "todo").await.iter().map(|line| line["task"].clone()).collect();
        assert_eq!(open.len(), 1);
        let results = mo.post("/approvals/bulk", json!({"tasks": [open[0], uuid::Uuid::new_v4()]})).await.ok(200);
        assert_eq!((&results["results"][0]["status"], &results["results"][1]["status"]), (&json!(200), &json!(404)), "{results}");
    }

    /// However many tasks somebody has, they go over in turn, and back; a stand-in that ended meanwhile takes nothing more.
    async fn many_tasks_go_over_in_turn(app) {
        let (ann, mo, ben) = (app.ann().await, app.mo().await, app.ben().await);
        let id = |me: &Json| me["id"].as_str().expect("an id").to_owned();
        let (me, manager, deputy) = (ann.get("/me").await.ok(200), mo.get("/me").await.ok(200), ben.get("/me").await.ok(200));
        app.admin().change("core.user", &id(&me), json!({"manager": manager["id"]})).await;
        let (account, product) = (app.account("Acme").await, app.product("Product", "550").await);
        for _ in 0..60 {
            let record = quote_of(&ann, &account, &product, 10).await;
            let _ = begin(&ann, "sales.discount", &record).await;
        }
        let before = async |client: &Client| client.get("/approvals/tasks?limit=1").await.ok(200)["counts"]["todo"].clone();
        let over = async || mo.post("/me/proxies", json!({"by": deputy["id"], "open_tasks": true})).await.ok(201);
        let made = over().await;
        assert_eq!(before(&ben).await, 50);
        app.engine.run_due().await.expect("done");
        assert_eq!(before(&ben).await, 60);
        mo.delete(&format!("/me/proxies/{}", id_of(&made))).await.is(204);
        assert_eq!(before(&ben).await, 10);
        app.engine.run_due().await.expect("done");
        assert_eq!((before(&ben).await, before(&mo).await), (json!(0), json!(60)));
        let made = over().await;
        mo.delete(&format!("/me/proxies/{}", id_of(&made))).await.is(204);
        app.engine.run_due().await.expect("done");
        assert_eq!(before(&ben).await, 0);
    }

    /// What is offered is what is taken: the decision to who has the task, the way back to the initiator, stepping in to managers.
    async fn what_one_may_do(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let me = ann.get("/me").await.ok(200);
        let manager = mo.get("/me").await.ok(200);
        app.admin().change("core.user", me["id"].as_str().expect("an id"), json!({"manager": manager["id"]})).await;
        let record = quote(&app, &ann, 10).await;
        let offered = ann.get(&format!("/records/sales.quote/{record}/approvals")).await.ok(200);
        assert_eq!(offered["submit"], json!([{"flow": "sales.discount", "label": "Discount approval"}]), "{offered}");
        let id = id_of(&begin(&ann, "sales.discount", &record).await);
        let there = ann.get(&format!("/records/sales.quote/{record}/approvals")).await.ok(200);
        assert_eq!((&there["submit"], &there["data"][0]["locked"]), (&json!([]), &json!(true)), "{there}");
        assert_eq!(there["data"][0]["at"][0]["people"][0]["name"], "mo", "{there}");
        let (his, hers) = (mo.get(&format!("/approvals/{id}")).await.ok(200), ann.get(&format!("/approvals/{id}")).await.ok(200));
        let (his_task, her_task) = (&his["tasks"][0]["may"], &hers["tasks"][0]["may"]);
        assert_eq!((&his_task["approve"], &his_task["reject"], &his_task["transfer"]), (&json!(true), &json!(true), &json!(true)), "{his}");
        assert_eq!((&her_task["approve"], &her_task["transfer"], &her_task["return"]), (&json!(false), &json!(false), &json!([])), "{hers}");
        assert_eq!(his_task["return"], json!([{"to": "initiator", "step": "start", "label": "Initiator"}]), "{his}");
        assert_eq!((&his["may"]["withdraw"], &hers["may"]["withdraw"], &hers["may"]["urge"]), (&json!(false), &json!(true), &json!(true)));
        assert_eq!((&his["may"]["admin"], &hers["may"]["admin"]), (&Json::Null, &Json::Null));
        let ruled = app.admin().get(&format!("/approvals/{id}")).await.ok(200);
        assert_eq!(ruled["may"]["admin"]["end"], json!(["approved", "rejected", "ended"]), "{ruled}");
        // Everything that is said to be possible is done.
        let task = task(&mo, &record).await;
        mo.post(&format!("/approvals/tasks/{task}/return"), json!({"to": "initiator", "opinion": "Why?", "resubmit": "straight"})).await.is(200);
        let back = ann.get(&format!("/approvals/{id}")).await.ok(200);
        assert_eq!((&back["may"]["submit"], &back["may"]["withdraw"]), (&json!(true), &json!(true)), "{back}");
        assert_eq!(ann.post("/approvals", json!({"flow": "sales.discount", "record": record})).await.ok(200)["id"], id.as_str());
    }

    /// A box is narrowed by step, initiator, moment and words, and paged without gaps where much came at one moment.
    async fn a_box_is_searched_and_paged(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let me = ann.get("/me").await.ok(200);
        let manager = mo.get("/me").await.ok(200);
        app.admin().change("core.user", me["id"].as_str().expect("an id"), json!({"manager": manager["id"]})).await;
        let mut records = Vec::new();
        for _ in 0..5 {
            let record = quote(&app, &ann, 10).await;
            let _ = begin(&ann, "sales.discount", &record).await;
            records.push(record);
        }
        let (mut seen, mut after) = (BTreeSet::new(), String::new());
        for _ in 0..3 {
            let page = mo.get(&format!("/approvals/tasks?limit=2{after}")).await.ok(200);
            seen.extend(page["data"].as_array().expect("lines").iter().map(|line| line["record"].as_str().expect("an id").to_owned()));
            after = page["next"].as_str().map(|next| format!("&after={next}")).unwrap_or_default();
        }
        assert_eq!((seen.len(), after.as_str()), (5, ""), "{seen:?}");
        let count = async |query: String| mo.get(&format!("/approvals/tasks?{query}")).await.ok(200)["data"].as_array().map_or(0, Vec::len);
        let initiator = me["id"].as_str().expect("an id");
        assert_eq!(count(format!("initiator={initiator}&step=manager")).await, 5);
        assert_eq!(count(format!("initiator={}", manager["id"].as_str().expect("an id"))).await, 0);
        assert_eq!(count("step=managers".to_owned()).await, 0);
        assert_eq!(count("since=2000-01-01T00:00:00Z&q=q-".to_owned()).await, 5);
        assert_eq!(count("since=2999-01-01T00:00:00Z".to_owned()).await, 0);
        assert_eq!(count("q=nothing".to_owned()).await, 0);
        mo.get("/approvals/tasks?after=nowhere").await.is(400);
        let flows = mo.get("/approvals/flows").await.ok(200);
        assert!(flows["data"].as_array().expect("flows").iter().any(|flow| flow["flow"] == "sales.contract" && flow["steps"][0]["step"] == "legal"), "{flows}");
    }

    /// A file hangs on a comment: for who may know of the approval, and for nobody else; another's upload is no file of one's own.
    async fn files_hang_on_comments(app) {
        let (ann, mo, zoe) = (app.ann().await, app.mo().await, app.zoe().await);
        let me = ann.get("/me").await.ok(200);
        let manager = mo.get("/me").await.ok(200);
        app.admin().change("core.user", me["id"].as_str().expect("an id"), json!({"manager": manager["id"]})).await;
        let record = quote(&app, &ann, 10).await;
        let id = id_of(&begin(&ann, "sales.discount", &record).await);
        let upload = async |by: &Client| id_of(&by.upload("order.txt", "text/plain", b"an order".to_vec()).await.ok(201));
        let (file, foreign) = (upload(&ann).await, upload(&zoe).await);
        let comment = |file: &str| json!({"opinion": "See here", "files": [{"id": file, "name": "forged"}]});
        ann.post(&format!("/approvals/{id}/comment"), comment(&foreign)).await.fault(422, "bad_reference", "files");
        ann.post(&format!("/approvals/{id}/comment"), comment(&file)).await.is(200);
        let told = mo.get(&format!("/approvals/{id}")).await.ok(200);
        let said = told["timeline"].as_array().expect("events").iter().find(|event| event["event"] == "commented").cloned().expect("a comment");
        assert_eq!(said["files"][0]["name"], "order.txt", "{said}");
        mo.get(&format!("/files/{file}")).await.is(200);
        zoe.get(&format!("/files/{file}")).await.problem(404, "not_found");
    }

    /// Whom one may choose is told, before the submission and with a task; the chosen decide, and nobody else can be chosen.
    async fn deciders_are_chosen(app) {
        let doc = |json: Json| json.to_string().into_bytes();
        let step = |by: &str| json!({"kind": "approve", "approvers": [{"by": by, "among": [{"by": "role", "role": "boss"}]}], "mode": {"kind": "any"}});
        let flow = json!({
            "entity": "thing", "label": "Pick", "start": {"by": ["boss"]},
            "steps": {"first": step("initiator_selects"), "second": step("previous_selects")}, "root": ["first", "second"]
        });
        let everything = json!({"read": "all", "create": true, "update": "all"});
        app.install_files(vec![
            ("app.json".to_owned(), doc(json!({"name": "pick", "label": "Pick", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]}))),
            ("entities/thing.json".to_owned(), doc(json!({"label": "Thing", "title": "{{ name }}", "fields": {"name": {"kind": "text", "required": true}}}))),
            ("roles/boss.json".to_owned(), doc(json!({"label": "Boss", "entities": {"thing": everything}}))),
            ("approvals/pick.json".to_owned(), doc(flow)),
        ])
        .await;
        let ann = app.ann().await;
        let mut ids = Vec::new();
        for client in [&ann, &app.mo().await, &app.ben().await] {
            let id = client.get("/me").await.ok(200)["id"].as_str().expect("an id").to_owned();
            let roles = app.admin().read("core.user", &id).await["roles"].clone();
            let mut roles: Vec<Json> = roles.as_array().cloned().unwrap_or_default();
            roles.push(json!("pick.boss"));
            app.admin().change("core.user", &id, json!({"roles": roles})).await;
            ids.push(id);
        }
        let zoe = app.zoe().await.get("/me").await.ok(200);
        let record = ann.create_id("pick.thing", json!({"name": "chosen"})).await;
        let asked = json!({"flow": "pick.pick", "record": record});
        let foreseen = ann.post("/approvals/forecast", asked).await.ok(200);
        assert_eq!((&foreseen["choose"][0]["step"], foreseen["choose"][0]["among"].as_array().map(Vec::len)), (&json!("first"), Some(3)), "{foreseen}");
        let chosen = |step: &str, who: &Json| json!({step: [who]});
        ann.post("/approvals", json!({"flow": "pick.pick", "record": record, "select": chosen("first", &zoe["id"])})).await.fault(422, "bad_reference", "select");
        ann.post("/approvals", json!({"flow": "pick.pick", "record": record, "select": chosen("first", &json!(ids[1]))})).await.is(201);
        let mo = app.mo().await;
        let his = task(&mo, &record).await;
        let told = mo.get(&format!("/approvals/{his}")).await.ok(200);
        assert_eq!((&told["tasks"][0]["choose"][0]["step"], told["tasks"][0]["choose"][0]["among"].as_array().map(Vec::len)), (&json!("second"), Some(3)), "{told}");
        mo.post(&format!("/approvals/tasks/{his}/approve"), json!({"select": chosen("second", &json!(ids[2]))})).await.is(200);
        let bens = task(&app.ben().await, &record).await;
        assert_eq!(app.ben().await.post(&format!("/approvals/tasks/{bens}/approve"), json!({})).await.ok(200)["state"], "approved");
    }

    /// A key is one person's request to one place: another's decision under the same key is theirs.
    async fn keys_are_ones_own(app) {
        let ann = app.ann().await;
        let (fin, lex) = (app.person("fin", "finance", "money").await, app.person("lex", "legal", "law").await);
        let account = app.account("Acme").await;
        let record = ann.create_id("sales.contract", json!({"account": account, "amount": 100})).await;
        let begun = begin(&ann, "sales.contract", &record).await;
        for person in [&fin, &lex] {
            let path = format!("/approvals/tasks/{}/approve", task(person, &record).await);
            let keyed = |body: Json| person.send(person.request(Method::POST, &path).header("Idempotency-Key", "same").json(&body));
            let first = keyed(json!({})).await.ok(200);
            assert_eq!(keyed(json!({})).await.ok(200), first);
            keyed(json!({"opinion": "other"})).await.problem(422, "idempotency_mismatch");
            assert!(tasks(person, "todo").await.iter().all(|line| line["record"] != record.as_str()));
        }
        let told = ann.get(&format!("/approvals/{}", id_of(&begun))).await.ok(200);
        let votes = told["timeline"].as_array().expect("events").iter().filter(|event| event["event"] == "voted").count();
        assert_eq!(votes, 2, "{told}");
    }

    /// E15: fifty at once, three of which need a signature: these say so, the others are approved. E14: who decides from a page
    /// that is behind is told so.
    async fn fifty_at_once(app) {
        app.install("tests/apps/approvals").await;
        let admin = app.admin();
        let person = async |name: &str, role: &str| {
            let email = format!("{name}@example.com");
            let body = json!({"email": email, "name": name, "roles": [format!("approvals.{role}")], "password": tests::app::PASSWORD});
            let _ = admin.post("/admin/users", body).await.ok(201);
            app.nobody().sign_in(&email, tests::app::PASSWORD).await
        };
        let (amy, fin) = (person("amy", "rep").await, person("finn", "finance").await);
        // An approval is not revoked while another flow holds the record.
        let quote = amy.create_id("approvals.quote", json!({"name": "Q", "discount": 2})).await;
        let small = begin(&amy, "approvals.discount", &quote).await;
        assert_eq!(small["state"], "approved");
        let _ = begin(&amy, "approvals.costed", &quote).await;
        amy.post(&format!("/approvals/{}/revoke", id_of(&small)), json!({"opinion": "why"})).await.problem(409, "already_running");
        let mut signed = BTreeSet::new();
        for number in 0..50 {
            let (way, flow) = if number % 20 == 7 { ("sign", "approvals.signed") } else { ("any", "approvals.anyone") };
            let record = amy.create_id("approvals.claim", json!({"name": format!("c{number}"), "way": way})).await;
            let _ = begin(&amy, flow, &record).await;
            if way == "sign" {
                signed.insert(record);
            }
        }
        let open = fin.ask("/approvals/tasks", &[("limit", "100")]).await.ok(200)["data"].as_array().cloned().expect("tasks");
        assert_eq!((open.len(), signed.len()), (50, 3));
        // K16: what has an id has it as text.
        assert!(open.iter().all(|line| line["task"].is_string() && line["id"].is_string() && line["record"].is_string()));
        let ids: Vec<&Json> = open.iter().map(|line| &line["task"]).collect();
        let results = fin.post("/approvals/bulk", json!({"tasks": ids})).await.ok(200);
        for (line, result) in open.iter().zip(results["results"].as_array().expect("results")) {
            let expected = if signed.contains(line["record"].as_str().expect("an id")) { 403 } else { 200 };
            assert_eq!(result["status"], expected, "{result}");
        }
        let left = fin.ask("/approvals/tasks", &[("limit", "100")]).await.ok(200)["data"].as_array().cloned().expect("tasks");
        assert_eq!(left.iter().map(|line| line["record"].as_str().expect("an id").to_owned()).collect::<BTreeSet<_>>(), signed);
        // The same task, open in a page and on a card.
        let (task, id) = (left[0]["task"].as_str().expect("an id"), left[0]["id"].as_str().expect("an id"));
        let seen = fin.get(&format!("/approvals/{id}")).await.ok(200)["seq"].clone();
        amy.post(&format!("/approvals/{id}/comment"), json!({"opinion": "soon, please"})).await.is(200);
        let path = format!("/approvals/tasks/{task}/approve");
        let answer = fin.post(&path, json!({"signature": {"name": "Fin"}, "seq": seen})).await;
        assert!(answer.status.as_u16() == 412 || answer.status.as_u16() == 409, "{}", answer.text());
    }
}
