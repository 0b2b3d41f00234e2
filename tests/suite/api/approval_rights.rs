//! In charge of rights around approvals over HTTP: what a task shows and hides, who may show it to whom, what a lock holds.

use serde_json::{Value as Json, json};
use tests::app::{App, PASSWORD};
use tests::client::{Client, id_of};
use tests::folders;
use tests::on_both;

/// The app of the flows, with more documents or others.
async fn installed(app: &App, more: &[(&str, Json)]) {
    let mut files = folders::read("tests/apps/approvals");
    files.retain(|(name, _)| !name.starts_with("scenarios/") && more.iter().all(|(other, _)| name != other));
    files.extend(more.iter().map(|(name, json)| ((*name).to_owned(), serde_json::to_vec(json).expect("a document"))));
    let _ = app.install_files(files).await;
}

/// Somebody with roles of the app; their id is `/me`'s.
async fn person(app: &App, name: &str, roles: &[&str], more: Json) -> Client {
    let email = format!("{name}@example.com");
    let roles: Vec<String> = roles.iter().map(|role| format!("approvals.{role}")).collect();
    let made = app.admin().post("/admin/users", json!({"email": email, "name": name, "roles": roles, "password": PASSWORD})).await.ok(201);
    if more.as_object().is_some_and(|more| !more.is_empty()) {
        let _ = app.admin().change("core.user", &id_of(&made), more).await;
    }
    app.nobody().sign_in(&email, PASSWORD).await
}

async fn id(of: &Client) -> String {
    id_of(&of.get("/me").await.ok(200))
}

async fn task(of: &Client, record: &str) -> Json {
    let tasks = of.get("/approvals/tasks?box=todo").await.ok(200);
    tasks["data"].as_array().into_iter().flatten().find(|line| line["record"] == record).cloned().unwrap_or_else(|| panic!("no task: {tasks}"))
}

async fn upload(of: &Client, name: &str, bytes: Vec<u8>) -> String {
    let part = reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned());
    let form = reqwest::multipart::Form::new().part("file", part);
    id_of(&of.send(of.request(reqwest::Method::POST, "/files").multipart(form)).await.ok(201))
}

/// A picture of one pixel.
const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01,
    0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x00, 0x01, 0x00, 0x00,
    0x05, 0x00, 0x01, 0x0d, 0x0a, 0x2d, 0xb4, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

fn own(fields: Json) -> Json {
    json!({"entities": {"quote": {"read": "own", "create": true, "update": "own", "fields": fields}, "core.user": {"read": "all"}}})
}

fn shown_flow() -> Json {
    json!({
        "entity": "quote",
        "settings": {"title": "{{ record.name }} {{ record.amount }} {{ record.cost }}", "summary": ["amount", "cost", "discount"], "watched": ["amount", "cost"],
            "managers": [{"by": "role", "role": "flow_admin"}]},
        "steps": {
            "look": {"kind": "approve", "approvers": [{"by": "role", "role": "guest"}], "fields": {"cost": "read", "amount": "hidden", "discount": "write"}},
            "tell": {"kind": "cc", "to": [{"by": "role", "role": "reader"}], "fields": {"cost": "hidden"}},
            "last": {"kind": "approve", "approvers": [{"by": "role", "role": "boss"}]}},
        "root": ["look", "tell", "last"]})
}

on_both! {
    /// P26: an open task shows its record and the fields that its step names, hides those that it hides, everywhere; afterwards
    /// nothing is left of it.
    async fn a_task_shows_what_its_step_says(app) {
        let margin = json!({"kind": "formula", "label": "Margin", "result": "money", "expr": "amount - cost"});
        let mut quote: Json = serde_json::from_slice(&std::fs::read(folders::root().join("tests/apps/approvals/entities/quote.json")).expect("a file")).expect("JSON");
        quote["fields"]["margin"] = margin;
        installed(&app, &[
            ("entities/quote.json", quote), ("approvals/shown.json", shown_flow()),
            ("roles/guest.json", own(json!({"cost": "none", "discount": "read"}))), ("roles/reader.json", own(json!({}))),
        ]).await;
        let amy = person(&app, "amy", &["rep"], json!({})).await;
        let (gus, rea) = (person(&app, "gus", &["guest"], json!({})).await, person(&app, "rea", &["reader"], json!({})).await);
        let cy = person(&app, "cy", &["boss"], json!({})).await;
        let record = amy.create_id("approvals.quote", json!({"name": "Secret", "amount": 4321, "cost": 1234, "discount": 3})).await;
        let path = format!("/records/approvals.quote/{record}");
        gus.get(&path).await.problem(404, "not_found");
        let begun = amy.post("/approvals", json!({"flow": "approvals.shown", "record": record})).await.ok(201);
        let at = format!("/approvals/{}", id_of(&begun));
        // The holder: the role shows neither the record nor its cost; the step shows both, and hides the amount.
        let read = gus.get(&path).await.ok(200);
        assert_eq!((&read["name"], &read["cost"], &read["discount"]), (&json!("Secret"), &json!(1234.0), &json!(3.0)), "{read}");
        assert!(read.get("amount").is_none() && read.get("margin").is_none(), "{read}");
        let detail = gus.get(&at).await.ok(200);
        assert_eq!((&detail["values"]["cost"], detail["values"].get("amount")), (&json!(1234.0), None), "{detail}");
        let line = task(&gus, &record).await;
        assert_eq!((&line["summary"]["cost"], line["summary"].get("amount")), (&json!(1234.0), None), "{line}");
        let notices = gus.list("core.notification", &[]).await;
        for told in [&detail["title"], &line["title"], &notices[0]["subject"]] {
            let told = told.as_str().expect("words");
            assert!(told.contains("Secret") && told.contains("234") && !told.contains("321"), "{told}");
        }
        let names = |json: &Json, names: &[&str]| names.iter().filter(|name| json.to_string().contains(&format!("\"{name}\":"))).count();
        // Nor does anything name what a step hides: the snapshot of the submission, the diffs, the list of what the task opens.
        assert_eq!(names(&detail, &["amount", "margin"]), 0, "{detail}");
        assert_eq!(detail["tasks"][0]["fields"], json!({"cost": "read", "discount": "write"}));
        assert_eq!(detail["timeline"][0]["values"]["cost"], "1234.00", "{detail}");
        gus.post(&format!("/approvals/tasks/{}/approve", line["task"].as_str().expect("an id")), json!({})).await.is(200);
        // Whose task is done knows of the instance, and sees nothing of the record any more.
        gus.get(&path).await.problem(404, "not_found");
        let _ = app.admin().post(&format!("{at}/admin/unlock"), json!({"opinion": "changed"})).await.ok(200);
        let _ = app.admin().change("approvals.quote", &record, json!({"amount": 98765, "cost": 55555})).await;
        let detail = gus.get(&at).await.ok(200);
        assert_eq!((&detail["values"], &detail["changed"]), (&Json::Null, &json!({})), "{detail}");
        let line = &gus.get("/approvals/tasks?box=done").await.ok(200)["data"][0];
        assert_eq!((&detail["title"], &line["title"], &line["summary"]), (&json!("shown"), &json!("shown"), &Json::Null), "{line}");
        assert_eq!(names(&detail, &["amount", "cost", "margin"]), 0, "{detail}");
        // A copy shows what its step shows.
        let read = rea.get(&path).await.ok(200);
        assert_eq!((&read["amount"], read.get("cost"), read.get("margin")), (&json!(98765.0), None, None), "{read}");
        let line = &rea.get("/approvals/tasks?box=copied").await.ok(200)["data"][0];
        assert_eq!((&line["summary"]["amount"], line["summary"].get("cost")), (&json!(98765.0), None), "{line}");
        assert_eq!(cy.get(&at).await.ok(200)["changed"], json!({"amount": ["4321.00", "98765.00"], "cost": ["1234.00", "55555.00"]}), "whose role shows it sees it");
    }

    /// What a record was when it was submitted, what each decider changed in it, and by which way they came; what is not decided
    /// yet is kept for whoever wrote it, and for nobody else.
    async fn the_course_keeps_what_the_record_was(app) {
        installed(&app, &[]).await;
        let amy = person(&app, "amy", &["rep"], json!({})).await;
        let bo = person(&app, "bo", &["head"], json!({})).await;
        let _ = app.admin().change("core.user", &id(&amy).await, json!({"manager": id(&bo).await})).await;
        let record = amy.create_id("approvals.quote", json!({"name": "Q", "amount": 10, "discount": 10, "cost": 7})).await;
        let ahead = amy.post("/approvals/forecast", json!({"flow": "approvals.discount", "record": record, "values": {"discount": 2}})).await.ok(200);
        assert_eq!(ahead["steps"][0]["step"], "small", "{ahead}");
        let ahead = amy.post("/approvals/forecast", json!({"flow": "approvals.discount", "values": {"discount": 20}})).await.ok(200);
        assert_eq!((&ahead["steps"][0]["step"], &ahead["steps"][0]["names"]), (&json!("chain"), &json!(["bo"])), "{ahead}");
        amy.post("/approvals/forecast", json!({"flow": "approvals.discount"})).await.fault(422, "required", "record");
        amy.post("/approvals/forecast", json!({"flow": "approvals.discount", "values": {"discont": 2}})).await.fault(400, "unknown_field", "discont");
        let begun = amy.post("/approvals", json!({"flow": "approvals.discount", "record": record})).await.ok(201);
        let at = format!("/approvals/{}", id_of(&begun));
        let task = format!("/approvals/tasks/{}", task(&bo, &record).await["task"].as_str().expect("an id"));
        let kept = json!({"opinion": "Perhaps", "values": {"discount": 8}});
        amy.post(&format!("{task}/save"), kept.clone()).await.problem(403, "not_your_task");
        bo.post(&format!("{task}/save"), json!({"values": {"amount": 1}})).await.fault(422, "read_only_field", "amount");
        bo.post(&format!("{task}/save"), json!({"files": []})).await.fault(400, "malformed", "files");
        assert_eq!(bo.post(&format!("{task}/save"), kept).await.ok(200), json!({"left_out": []}));
        let detail = bo.get(&at).await.ok(200);
        assert_eq!((&detail["tasks"][0]["kept"]["opinion"], &detail["tasks"][0]["kept"]["values"]), (&json!("Perhaps"), &json!({"discount": 8})));
        assert!(!amy.get(&at).await.ok(200).to_string().contains("Perhaps"), "it is whose it is");
        assert_eq!((&amy.read("approvals.quote", &record).await["discount"], &detail["since_submitted"]), (&json!(10.0), &json!({})));
        bo.post(&format!("{task}/approve"), json!({"opinion": "Well", "values": {"discount": 8}})).await.is(200);
        let told = amy.get(&at).await.ok(200);
        let line = |word: &str| told["timeline"].as_array().expect("events").iter().find(|line| line["event"] == word).expect("an event").clone();
        let (submitted, voted) = (line("submitted"), line("voted"));
        assert_eq!((&submitted["values"]["discount"], &submitted["values"]["cost"], &submitted["channel"]), (&json!("10.00"), &json!("7.00"), &json!("api")), "{submitted}");
        assert!(submitted["revision"].as_i64() > Some(0) && submitted.get("changes").is_none(), "{submitted}");
        assert_eq!((&voted["changes"], voted.get("values"), voted.get("device")), (&json!({"discount": ["10.00", "8.00"]}), None, None), "{voted}");
        let visit = told["people"].as_array().expect("visits").iter().find(|visit| visit["step"] == "manager").expect("a visit");
        assert_eq!((&visit["changes"], &told["since_submitted"]["discount"]), (&json!({"discount": ["10.00", "8.00"]}), &json!(["10.00", "8.00"])), "{told}");
    }

    /// P35: a hundred who submit at the same moment get a hundred numbers.
    async fn each_has_a_number_of_its_own(app) {
        installed(&app, &[]).await;
        let amy = person(&app, "amy", &["rep"], json!({})).await;
        let mut records = Vec::new();
        for number in 0..100 {
            records.push(amy.create_id("approvals.quote", json!({"name": format!("Q{number}"), "amount": 1, "discount": 10})).await);
        }
        let submit = |record: &String| {
            let (amy, body) = (amy.clone(), json!({"flow": "approvals.discount", "record": record}));
            tokio::spawn(async move { id_of(&amy.post("/approvals", body).await.ok(201)) })
        };
        let begun: Vec<_> = records.iter().map(submit).collect();
        let mut numbers = std::collections::BTreeSet::new();
        for begun in begun {
            let detail = amy.get(&format!("/approvals/{}", begun.await.expect("an answer"))).await.ok(200);
            numbers.insert(detail["number"].as_str().expect("a number").to_owned());
        }
        assert_eq!(numbers.len(), 100, "{numbers:?}");
    }

    /// Who merely knows of an instance cannot let others see it, nor himself for longer.
    async fn a_look_is_given_by_those_who_may(app) {
        installed(&app, &[("roles/guest.json", own(json!({})))]).await;
        let amy = person(&app, "amy", &["rep"], json!({})).await;
        let (fin, gus) = (person(&app, "fin", &["finance"], json!({})).await, person(&app, "gus", &["guest"], json!({})).await);
        let bo = person(&app, "bo", &["head"], json!({})).await;
        let _ = app.admin().change("core.user", &id(&amy).await, json!({"manager": id(&bo).await})).await;
        let record = amy.create_id("approvals.quote", json!({"name": "Q", "amount": 10, "discount": 10})).await;
        let begun = amy.post("/approvals", json!({"flow": "approvals.discount", "record": record})).await.ok(201);
        let (at, gus_id, fin_id) = (format!("/approvals/{}", id_of(&begun)), id(&gus).await, id(&fin).await);
        fin.post(&format!("{at}/copy"), json!({"people": [gus_id]})).await.problem(403, "forbidden");
        fin.post(&format!("{at}/comment"), json!({"opinion": "look", "mentions": [gus_id, fin_id]})).await.is(200);
        gus.get(&at).await.problem(404, "not_found");
        amy.post(&format!("{at}/copy"), json!({"people": [id(&amy).await]})).await.fault(422, "bad_reference", "people");
        amy.post(&format!("{at}/copy"), json!({"people": [gus_id]})).await.is(200);
        gus.get(&at).await.is(200);
        bo.post(&format!("/approvals/tasks/{}/approve", task(&bo, &record).await["task"].as_str().expect("an id")), json!({})).await.is(200);
        bo.post(&format!("{at}/copy"), json!({"people": [fin_id]})).await.problem(409, "task_closed");
    }

    /// A record under approval does not go with another, and nothing is taken out of it or given back to it.
    async fn a_lock_holds_on_every_way(app) {
        let mut quote: Json = serde_json::from_slice(&std::fs::read(folders::root().join("tests/apps/approvals/entities/quote.json")).expect("a file")).expect("JSON");
        quote["fields"]["order"] = json!({"kind": "reference", "to": "order", "on_delete": "cascade", "label": "Order"});
        quote["fields"]["contract"] = json!({"kind": "reference", "to": "contract", "on_delete": "clear", "label": "Contract"});
        let stamp = json!({"on": {"record": "updated", "entity": "quote", "fields": ["discount"]}, "run": "before", "steps": {"s": {"kind": "update", "values": {"amount": 1}}}, "root": ["s"]});
        installed(&app, &[("entities/quote.json", quote), ("automations/stamp.json", stamp)]).await;
        let (amy, bo) = (person(&app, "amy", &["rep"], json!({})).await, person(&app, "bo", &["head"], json!({})).await);
        let _ = app.admin().change("core.user", &id(&amy).await, json!({"manager": id(&bo).await})).await;
        let order = amy.create_id("approvals.order", json!({"name": "O", "lines": [{"item": "a"}]})).await;
        let contract = amy.create_id("approvals.contract", json!({"name": "C"})).await;
        let free = amy.create_id("approvals.quote", json!({"name": "free", "contract": contract})).await;
        amy.delete(&format!("/records/approvals.contract/{contract}")).await.is(204);
        amy.post(&format!("/records/approvals.contract/{contract}/restore"), json!({})).await.is(200);
        assert_eq!(amy.read("approvals.quote", &free).await["contract"], contract, "what is free is given back");
        let record = amy.create_id("approvals.quote", json!({"name": "Q", "amount": 10, "discount": 10, "order": order, "contract": contract})).await;
        amy.delete(&format!("/records/approvals.contract/{contract}")).await.is(204);
        let begun = amy.post("/approvals", json!({"flow": "approvals.discount", "record": record})).await.ok(201);
        amy.post(&format!("/records/approvals.contract/{contract}/restore"), json!({})).await.problem(409, "locked");
        amy.delete(&format!("/records/approvals.order/{order}")).await.problem(409, "locked");
        let other = amy.create_id("approvals.contract", json!({"name": "D"})).await;
        let _ = amy.post(&format!("/approvals/{}/withdraw", id_of(&begun)), json!({})).await;
        let _ = amy.change("approvals.quote", &record, json!({"contract": other})).await;
        let _ = amy.post("/approvals", json!({"flow": "approvals.discount", "record": record})).await.ok(201);
        amy.delete(&format!("/records/approvals.contract/{other}")).await.problem(409, "locked");
        assert_eq!(amy.read("approvals.quote", &record).await["contract"], other);
        // An automation that a decision's values set off is not the flow's own step.
        let line = task(&bo, &record).await;
        let at = format!("/approvals/tasks/{}/approve", line["task"].as_str().expect("an id"));
        bo.post(&at, json!({"values": {"discount": 4}})).await.fault(409, "locked", "amount");
        bo.post(&at, json!({})).await.is(200);
        amy.delete(&format!("/records/approvals.contract/{other}")).await.is(204);
    }

    /// A move that names an approval is made when that has passed, with what was asked for, checked again.
    async fn a_move_waits_for_its_approval(app) {
        let (offer, roles) = (
            json!({"label": "Offer", "title": "{{ name }}", "owner": "required", "fields": {
                "name": {"kind": "text", "label": "Name", "required": true}, "price": {"kind": "money", "label": "Price"},
                "stage": {"kind": "stage", "label": "Stage", "pipelines": ["offers"]}}}),
            json!({"entities": {"offer": {"read": "all", "create": true, "update": "all", "delete": "all"}, "core.user": {"read": "all"}}}),
        );
        let pipeline = json!({"entity": "offer", "label": "Offers", "order": ["draft", "sent"], "stages": {
            "draft": {"label": "Draft", "kind": "open", "next": {"sent": {"if": {"field": "price", "op": ">", "value": 0}, "ask": ["price"], "approval": "closing"}}},
            "sent": {"label": "Sent", "kind": "won", "next": {}}}});
        let flow = json!({"entity": "offer", "settings": {"managers": [{"by": "role", "role": "flow_admin"}], "withdraw": "any_time_running"},
            "steps": {"a": {"kind": "approve", "approvers": [{"by": "role", "role": "judge"}]}}, "root": ["a"]});
        installed(&app, &[
            ("entities/offer.json", offer), ("pipelines/offers.json", pipeline), ("approvals/closing.json", flow),
            ("roles/seller.json", roles.clone()), ("roles/judge.json", roles),
        ]).await;
        let (amy, jo) = (person(&app, "amy", &["seller"], json!({})).await, person(&app, "jo", &["judge"], json!({})).await);
        let record = amy.create_id("approvals.offer", json!({"name": "X"})).await;
        let (at, step) = (format!("/records/approvals.offer/{record}"), format!("/records/approvals.offer/{record}/move"));
        let ask = json!({"stage": "sent", "values": {"price": 7}});
        amy.post(&step, json!({"stage": "sent"})).await.fault(422, "transition_refused", "stage");
        let waits = amy.post(&step, ask.clone()).await.ok(202);
        let read = amy.read("approvals.offer", &record).await;
        assert_eq!((&read["stage"], &read["price"], &read["approval_state"]), (&json!("draft"), &Json::Null, &json!("running")), "{read}");
        amy.post(&step, ask.clone()).await.fault(409, "locked", "stage");
        amy.post(&format!("/approvals/{}/withdraw", waits["approval"].as_str().expect("an id")), json!({})).await.is(200);
        assert_eq!(amy.read("approvals.offer", &record).await["stage"], "draft", "any other end drops it");
        // By a plain change, too; and with a key it is begun once.
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let change = amy.request(reqwest::Method::PATCH, &at).header("Idempotency-Key", "once").json(&json!({"stage": "sent", "price": 9}));
            ids.insert(amy.send(change).await.ok(202)["approval"].to_string());
        }
        assert_eq!(ids.len(), 1);
        let line = task(&jo, &record).await;
        let decided = jo.post(&format!("/approvals/tasks/{}/approve", line["task"].as_str().expect("an id")), json!({})).await.ok(200);
        let read = amy.read("approvals.offer", &record).await;
        assert_eq!((&decided["state"], &read["stage"], &read["price"]), (&json!("approved"), &json!("sent"), &json!(9.0)), "{read}");
        // What does not hold any more when it is approved stands still, and is tried again.
        let second = amy.create_id("approvals.offer", json!({"name": "Y", "price": 3})).await;
        let waits = amy.post(&format!("/records/approvals.offer/{second}/move"), json!({"stage": "sent"})).await.ok(202);
        let waits = format!("/approvals/{}", waits["approval"].as_str().expect("an id"));
        let admin = app.admin();
        let _ = admin.post(&format!("{waits}/admin/unlock"), json!({"opinion": "a slip"})).await.ok(200);
        let _ = admin.change("approvals.offer", &second, json!({"price": 0})).await;
        let task = task(&jo, &second).await;
        let decided = jo.post(&format!("/approvals/tasks/{}/approve", task["task"].as_str().expect("an id")), json!({})).await.ok(200);
        assert_eq!((&decided["state"], &amy.read("approvals.offer", &second).await["stage"]), (&json!("running"), &json!("draft")));
        assert!(admin.get(&waits).await.ok(200)["parked"][0]["reason"].is_string());
        assert!(amy.get(&waits).await.ok(200)["parked"][0]["reason"].is_null(), "why is for those who mend it");
        let _ = admin.change("approvals.offer", &second, json!({"price": 5})).await;
        let again = admin.post(&format!("{waits}/admin/resume"), json!({"opinion": "mended"})).await.ok(200);
        assert_eq!((&again["state"], &amy.read("approvals.offer", &second).await["stage"]), (&json!("approved"), &json!("sent")));
    }

    /// A signature is a picture that the signer uploaded for it, kept with what was signed; files are uploads, not words.
    async fn a_signature_is_a_signature(app) {
        let flow = json!({"entity": "quote", "settings": {"managers": [{"by": "role", "role": "flow_admin"}]},
            "steps": {"a": {"kind": "approve", "approvers": [{"by": "role", "role": "boss"}], "signature": true}}, "root": ["a"]});
        installed(&app, &[("approvals/sealed.json", flow), ("roles/guest.json", own(json!({})))]).await;
        let (amy, cy) = (person(&app, "amy", &["rep"], json!({})).await, person(&app, "cy", &["boss"], json!({})).await);
        let gus = person(&app, "gus", &["guest"], json!({})).await;
        let record = amy.create_id("approvals.quote", json!({"name": "Q", "amount": 10})).await;
        let begun = amy.post("/approvals", json!({"flow": "approvals.sealed", "record": record})).await.ok(201);
        let instance = format!("/approvals/{}", id_of(&begun));
        let at = format!("/approvals/tasks/{}/approve", task(&cy, &record).await["task"].as_str().expect("an id"));
        let (words, picture) = (upload(&cy, "a.txt", b"hello".to_vec()).await, upload(&cy, "s.png", PIXEL.to_vec()).await);
        let foreign = upload(&amy, "s.png", PIXEL.to_vec()).await;
        cy.post(&at, json!({})).await.fault(422, "required", "signature");
        for wrong in [json!(""), json!([]), json!("yes"), json!(1)] {
            cy.post(&at, json!({"signature": wrong})).await.fault(422, "wrong_type", "signature");
        }
        for wrong in [json!({}), json!({"name": "  "}), json!({"strokes": []}), json!({"strokes": [[]]})] {
            cy.post(&at, json!({"signature": wrong})).await.fault(422, "required", "signature");
        }
        for wrong in [json!({"strokes": "x"}), json!({"strokes": [["x"]]}), json!({"else": 1})] {
            cy.post(&at, json!({"signature": wrong})).await.fault(422, "wrong_type", "signature");
        }
        for wrong in [json!({"id": "s"}), json!({"id": uuid::Uuid::new_v4()}), json!({"id": foreign})] {
            cy.post(&at, json!({"signature": wrong})).await.fault(422, "bad_reference", "signature");
        }
        cy.post(&at, json!({"signature": {"id": words}})).await.fault(422, "bad_format", "signature");
        for wrong in [json!("x"), json!({"id": words}), json!(["x"])] {
            cy.post(&at, json!({"signature": {"id": picture}, "files": wrong})).await.fault(422, "wrong_type", "files");
        }
        cy.post(&at, json!({"signature": {"id": picture}, "files": [{"id": foreign}]})).await.fault(422, "bad_reference", "files");
        cy.post(&at, json!({"signature": {"id": picture}, "seq": "1"})).await.fault(422, "wrong_type", "seq");
        cy.post(&at, json!({"signature": {"id": picture}, "files": [{"id": words}]})).await.is(200);
        let told = amy.get(&instance).await.ok(200);
        let vote = told["timeline"].as_array().into_iter().flatten().find(|event| event["event"] == "voted").cloned().expect("a vote");
        let signed = &vote["signature"];
        assert_eq!((&signed["file"]["id"], &signed["instance"], &signed["seat"]), (&json!(picture), &begun["id"], &vote["seat"]), "{vote}");
        assert!([&signed["content_hash"], &signed["file_hash"]].iter().all(|hash| hash.as_str().is_some_and(|hash| hash.len() == 64)), "{vote}");
        assert_eq!((&vote["files"][0]["id"], &vote["files"][0]["name"]), (&json!(words), &json!("a.txt")), "{vote}");
        // Who may know of the instance may read them; it cannot be used for another.
        for file in [&picture, &words] {
            amy.get(&format!("/files/{file}")).await.is(200);
            gus.get(&format!("/files/{file}")).await.problem(404, "not_found");
        }
        amy.post(&format!("{instance}/comment"), json!({"opinion": "x", "files": [{"id": picture}]})).await.fault(422, "bad_reference", "files");
        let other = amy.create_id("approvals.quote", json!({"name": "R", "amount": 10})).await;
        let _ = amy.post("/approvals", json!({"flow": "approvals.sealed", "record": other})).await.ok(201);
        let at = format!("/approvals/tasks/{}/approve", task(&cy, &other).await["task"].as_str().expect("an id"));
        cy.post(&at, json!({"signature": {"id": picture}})).await.fault(422, "bad_reference", "signature");
        cy.post(&at, json!({"signature": {"name": "Cy", "strokes": [[1, 2, 3, 4]]}})).await.is(200);
    }
}
