//! In charge of automations over HTTP: runs and their history, buttons, hooks, mails and calls that really go out.
//! Invariant: what reaches a receiver twice has one id; what it refuses is tried again; what is private is not reached.

use std::sync::Arc;

use chrono::Duration;
use engine::effects::world::{Reach, World};
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::on_both;
use tests::sinks::{MailSink, Mood, WebSink};

/// An app with a thing, and `automations` by name.
async fn install(app: &App, automations: Json) {
    let mut files = vec![
        ("app.json", json!({"name": "auto", "label": "Auto", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        (
            "entities/thing.json",
            json!({"label": "Thing", "title": "{{ name }}", "owner": "optional",
                   "fields": {"name": {"kind": "text", "required": true}, "note": {"kind": "text"}, "email": {"kind": "email"}}}),
        ),
        ("roles/maker.json", json!({"label": "Maker", "entities": {"thing": {"read": "all", "create": true, "update": "all"}}})),
    ];
    let names: Vec<(String, Json)> =
        automations.as_object().expect("automations").iter().map(|(name, doc)| (format!("automations/{name}.json"), doc.clone())).collect();
    files.extend(names.iter().map(|(path, doc)| (path.as_str(), doc.clone())));
    app.install_files(files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()).await;
}

fn reach(app: &App, reach: &Reach) {
    app.engine.set_outside(Arc::new(World::new(reach).expect("a world")));
}

fn calling() -> Json {
    json!({"tell": {
        "on": {"record": "created", "entity": "thing"},
        "steps": {
            "note": {"kind": "update", "values": {"note": "seen"}},
            "call": {"kind": "webhook", "url": "$secret.receiver", "sign": "$secret.key", "values": {"name": {"from": "name"}}}
        },
        "root": ["note", "call"]
    }})
}

on_both! {
    /// A call is signed, tried again under the same id, and its run is told with what each step did.
    async fn calls_are_signed_and_tried_again(app) {
        let sink = WebSink::start().await;
        sink.be([Mood::Status(500, "x-a: b"), Mood::Status(301, "location: http://10.0.0.1/"), Mood::Endless]);
        install(&app, calling()).await;
        let admin = app.admin();
        admin.patch("/admin/secrets/auto", json!({"receiver": format!("{}/in", sink.base), "key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})).await.is(204);
        assert_eq!(admin.get("/admin/secrets/auto").await.ok(200)["data"], json!(["key", "receiver"]));
        reach(&app, &Reach { allow_private: true, ..Reach::default() });
        let id = admin.create_id("auto.thing", json!({"name": "first"})).await;
        app.engine.run_due().await.expect("done");
        app.pass(Duration::seconds(20)).await;
        let calls = sink.calls();
        assert_eq!(calls.len(), 3, "{calls:?}");
        assert!(calls.iter().all(|call| call.path == "/in" && call.body == r#"{"name":"first"}"#), "{calls:?}");
        assert!(calls.iter().all(|call| call.header("webhook-id") == calls[0].header("webhook-id") && !call.header("webhook-id").is_empty()));
        assert!(calls.iter().all(|call| call.header("webhook-signature").starts_with("v1,")), "{calls:?}");
        assert_eq!(admin.read("auto.thing", &id).await["note"], "seen");
        let runs = admin.ask("/automations/runs", &[("automation", "auto.tell"), ("record", &id)]).await.ok(200);
        assert_eq!((&runs["data"][0]["state"], &runs["next"]), (&json!("done"), &Json::Null));
        let run = admin.get(&format!("/automations/runs/{}", runs["data"][0]["id"].as_str().expect("an id"))).await.ok(200);
        let steps: Vec<&str> = run["steps"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect();
        assert_eq!(steps, ["note", "call"], "{run}");
        app.ann().await.get("/automations/runs").await.is(403);
        app.pass(Duration::days(4)).await;
        assert_eq!(sink.calls().len(), 3, "what was taken is not sent again");
    }

    /// An address of a private network is not called unless that is allowed.
    async fn private_addresses_are_refused(app) {
        let sink = WebSink::start().await;
        install(&app, calling()).await;
        let port = sink.base.rsplit(':').next().expect("a port").to_owned();
        reach(&app, &Reach::default());
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"] {
            let secrets = json!({"receiver": format!("http://{host}:{port}/"), "key": "plain"});
            app.admin().patch("/admin/secrets/auto", secrets).await.is(204);
            app.admin().create("auto.thing", json!({"name": host})).await;
            app.engine.run_due().await.expect("done");
        }
        app.pass(Duration::minutes(2)).await;
        assert!(sink.calls().is_empty(), "{:?}", sink.calls());
    }

    /// A mail goes out once, under one id, however often the mail server puts it off; who is refused for good is left.
    async fn mails_are_sent(app) {
        let sink = MailSink::start().await;
        sink.refuse(["451 later", "451 later"]);
        install(&app, json!({"greet": {
            "on": {"record": "created", "entity": "thing"},
            "steps": {"mail": {"kind": "mail", "to": ["email", "owner"], "subject": "Hello {{ record.name }}", "body": "你好"}},
            "root": ["mail"]
        }})).await;
        let smtp = Some(format!("smtp://crm:secret@{}", sink.address));
        reach(&app, &Reach { smtp, mail_from: Some("CRM <crm@example.com>".to_owned()), allow_private: true, ..Reach::default() });
        app.admin().create("auto.thing", json!({"name": "world", "email": "v@example.org"})).await;
        app.engine.run_due().await.expect("done");
        app.pass(Duration::minutes(5)).await;
        let mails = sink.mails();
        assert_eq!(mails.len(), 2, "one to the address, one to the owner: {mails:?}");
        assert!(mails.iter().any(|mail| mail.contains("To: v@example.org")) && mails.iter().any(|mail| mail.contains("To: admin@example.com")));
        assert!(mails.iter().all(|mail| mail.contains("Subject: Hello world") && mail.contains("Message-ID: <")), "{mails:?}");
        sink.refuse(["550 nobody here"]);
        app.admin().create("auto.thing", json!({"name": "again", "email": "w@example.org"})).await;
        app.engine.run_due().await.expect("done");
        app.pass(Duration::days(5)).await;
        assert_eq!(sink.mails().len(), 3, "{:?}", sink.mails());
    }

    /// Name, password and mail go over a line that is secured and a server that is known, or they do not go.
    async fn mails_go_over_a_secured_line(app) {
        let (secured, open) = (MailSink::start_secured().await, MailSink::start().await);
        install(&app, json!({"greet": {
            "on": {"record": "created", "entity": "thing"},
            "steps": {"mail": {"kind": "mail", "to": ["email"], "subject": "Hello", "body": "there"}},
            "root": ["mail"]
        }})).await;
        let to = |sink: &MailSink, ca: Option<&[u8]>| Reach {
            smtp: Some(format!("smtp://crm:secret@localhost:{}?tls=required", sink.address.rsplit(':').next().expect("a port"))),
            mail_from: Some("crm@example.com".to_owned()),
            smtp_ca: ca.map(<[u8]>::to_vec),
            ..Reach::default()
        };
        app.admin().create("auto.thing", json!({"name": "one", "email": "v@example.org"})).await;
        for reached in [to(&secured, None), to(&open, Some(MailSink::CA))] {
            reach(&app, &reached);
            app.engine.run_due().await.expect("done");
            app.pass(Duration::seconds(15)).await;
        }
        assert!(secured.mails().is_empty() && open.mails().is_empty(), "a stranger, and a line in the clear");
        reach(&app, &to(&secured, Some(MailSink::CA)));
        app.pass(Duration::minutes(12)).await;
        assert_eq!(secured.mails().len(), 1, "{:?}", secured.mails());
        assert!(secured.in_the_clear().iter().all(|word| matches!(word.as_str(), "EHLO" | "STARTTLS")), "{:?}", secured.in_the_clear());
    }

    /// Who wants quiet hours is written to when they end; who wants a digest gets one mail a day.
    async fn people_are_left_alone(app) {
        let sink = MailSink::start().await;
        install(&app, json!({"tell": {
            "on": {"record": "created", "entity": "thing"},
            "steps": {"tell": {"kind": "notify", "to": ["owner"], "subject": "New: {{ record.name }}", "body": "Look at it"}},
            "root": ["tell"]
        }})).await;
        reach(&app, &Reach { smtp: Some(format!("smtp://crm:secret@{}", sink.address)), mail_from: Some("crm@example.com".to_owned()), ..Reach::default() });
        let ann = app.ann().await;
        let prefer = async |wish: Json| {
            let ann = app.nobody().sign_in("ann@example.com", tests::app::PASSWORD).await;
            ann.patch("/me/preferences", json!({"notify": wish})).await.ok(200)
        };
        let make = async |name: &str| {
            let admin = app.nobody().sign_in("admin@example.com", tests::app::PASSWORD).await;
            admin.create("auto.thing", json!({"name": name, "owner": ann.id})).await;
            app.engine.run_due().await.expect("done");
        };
        let told = |count: usize| {
            let mails = sink.mails();
            assert_eq!(mails.len(), count, "{mails:?}");
            mails.last().cloned().unwrap_or_default()
        };
        make("silent").await;
        told(0);
        prefer(json!({"mail": "at_once", "quiet": {"from": "22:00", "until": "07:00"}})).await;
        make("by day").await;
        assert!(told(1).contains("New: by day"));
        app.pass(Duration::hours(14)).await;
        make("at night").await;
        app.pass(Duration::minutes(7 * 60 + 59)).await;
        told(1);
        app.pass(Duration::minutes(1)).await;
        assert!(told(2).contains("New: at night"));
        prefer(json!({"mail": "digest", "digest_at": "18:00"})).await;
        for name in ["first", "second", "third"] {
            make(name).await;
        }
        app.pass(Duration::minutes(10 * 60 + 59)).await;
        told(2);
        app.pass(Duration::minutes(1)).await;
        let digest = told(3);
        assert!(["New: first", "New: second", "New: third"].iter().all(|subject| digest.contains(subject)), "{digest}");
        app.pass(Duration::days(2)).await;
        told(3);
        let there = app.nobody().sign_in("ann@example.com", tests::app::PASSWORD).await.list("core.notification", &[]).await;
        assert_eq!(there.len(), 6, "in the app there is one for each");
    }

    /// What ran and was sent long ago is swept out by night; what died waits for a person.
    async fn what_is_old_goes(app) {
        install(&app, json!({
            "well": {"on": {"record": "created", "entity": "thing"}, "steps": {"note": {"kind": "update", "values": {"note": "seen"}}}, "root": ["note"]},
            "ill": {"on": {"record": "created", "entity": "thing"}, "steps": {"copy": {"kind": "create", "entity": "thing", "values": {"name": {"from": "email"}}}}, "root": ["copy"]}
        })).await;
        app.admin().create("auto.thing", json!({"name": "a"})).await;
        app.engine.keep_house().await.expect("a timer");
        app.engine.keep_house().await.expect("the same");
        app.engine.run_due().await.expect("done");
        let states = async || {
            let admin = app.nobody().sign_in("admin@example.com", tests::app::PASSWORD).await;
            let runs = admin.get("/automations/runs").await.ok(200);
            let mut states: Vec<String> = runs["data"].as_array().expect("runs").iter().map(|run| run["state"].as_str().unwrap_or_default().to_owned()).collect();
            states.sort();
            states
        };
        app.pass(Duration::days(89)).await;
        assert_eq!(states().await, ["dead", "done"]);
        app.pass(Duration::days(3)).await;
        assert_eq!(states().await, ["dead"]);
    }

    /// Another system calls in with a secret of its own.
    async fn hooks(app) {
        install(&app, json!({"shop": {
            "on": {"webhook": "shop"},
            "steps": {"make": {"kind": "create", "entity": "thing", "values": {"name": {"from": "payload.name"}, "note": {"text": "{{ payload.note }}"}}}},
            "root": ["make"]
        }})).await;
        let admin = app.admin();
        let path = admin.get("/automations/auto.shop/hook").await.ok(200)["path"].as_str().expect("a path").to_owned();
        app.ann().await.get("/automations/auto.shop/hook").await.is(403);
        let nobody = app.nobody();
        let send = async |path: &str| nobody.send(nobody.request(reqwest::Method::POST, &format!("/{path}")).json(&json!({"name": "from the shop", "note": "n"}))).await;
        send(&path).await.is(202);
        send("/hooks/auto.shop/0123456789abcdef0123456789abcdef").await.problem(404, "not_found");
        send("/hooks/auto.none/0123456789abcdef0123456789abcdef").await.problem(404, "not_found");
        app.engine.run_due().await.expect("done");
        let made = admin.find("auto.thing", json!({"field": "name", "op": "=", "value": "from the shop"})).await;
        assert_eq!((made.len(), &made[0]["note"]), (1, &json!("n")));
    }

    /// A button acts before it is answered; what fails is tried again, by hand too, from the step that failed.
    async fn buttons_and_retries(app) {
        install(&app, json!({
            "rename": {
                "on": {"button": "rename", "entity": "thing", "label": "Rename", "ask": {"name": {"kind": "text", "required": true}}},
                "steps": {"set": {"kind": "update", "values": {"name": {"from": "ask.name"}}}}, "root": ["set"]
            },
            "copy": {
                "on": {"record": "updated", "entity": "thing", "fields": ["note"]}, "if": {"field": "note", "op": "=", "value": "copy"},
                "steps": {
                    "one": {"kind": "create", "entity": "thing", "values": {"name": {"text": "copy of {{ record.name }}"}}},
                    "two": {"kind": "create", "entity": "thing", "values": {"name": {"from": "email"}}}
                },
                "root": ["one", "two"]
            }
        })).await;
        let admin = app.admin();
        let id = admin.create_id("auto.thing", json!({"name": "a"})).await;
        assert_eq!(admin.get(&format!("/records/auto.thing/{id}/buttons")).await.ok(200)["data"][0]["name"], "rename");
        admin.post(&format!("/records/auto.thing/{id}/buttons/rename"), json!({})).await.fault(422, "required", "name");
        let pressed = admin.post(&format!("/records/auto.thing/{id}/buttons/rename"), json!({"name": "b"})).await.ok(200);
        assert_eq!((&pressed["state"], &admin.read("auto.thing", &id).await["name"]), (&json!("done"), &json!("b")));
        app.ann().await.post(&format!("/records/auto.thing/{id}/buttons/rename"), json!({"name": "c"})).await.is(404);
        admin.change("auto.thing", &id, json!({"note": "copy"})).await;
        app.engine.run_due().await.expect("done");
        let failed = admin.ask("/automations/runs", &[("state", "failed")]).await.ok(200)["data"][0].clone();
        assert!(failed["error"].as_str().is_some_and(|error| error.contains("required")), "{failed}");
        let run = failed["id"].as_str().expect("an id").to_owned();
        admin.change("auto.thing", &id, json!({"email": "x@example.org"})).await;
        admin.post(&format!("/automations/runs/{run}/retry"), json!({})).await.is(200);
        app.engine.run_due().await.expect("done");
        assert_eq!(admin.get(&format!("/automations/runs/{run}")).await.ok(200)["state"], "done");
        let copies = admin.find("auto.thing", json!({"field": "name", "op": "starts_with", "value": "copy of"})).await;
        assert_eq!(copies.len(), 1, "the step before the one that failed is not done again");
        admin.post(&format!("/automations/runs/{run}/cancel"), json!({})).await.problem(409, "locked");
        admin.ask("/automations/runs", &[("state", "odd")]).await.is(400);
    }

    /// An automation is switched off and on by a revision; what waits of it is given up only when that is said.
    async fn automations_are_switched(app) {
        install(&app, json!({"later": {
            "on": {"record": "created", "entity": "thing"},
            "steps": {"wait": {"kind": "wait", "for": "PT1H"}, "note": {"kind": "update", "values": {"note": "seen"}}},
            "root": ["wait", "note"]
        }})).await;
        let admin = app.admin();
        let of = async || admin.get("/automations").await.ok(200)["data"].as_array().expect("all").iter().find(|one| one["automation"] == "auto.later").cloned().expect("it");
        let waits = admin.create_id("auto.thing", json!({"name": "waits"})).await;
        app.engine.run_due().await.expect("done");
        let there = of().await;
        assert_eq!((&there["off"], &there["waiting"], &there["entity"]), (&json!(false), &json!(1), &json!("auto.thing")), "{there}");
        app.ann().await.get("/automations").await.is(403);
        app.ann().await.post("/automations/auto.later/switch", json!({"on": false})).await.is(403);
        admin.post("/automations/auto.nothing/switch", json!({"on": false})).await.is(404);
        admin.post("/automations/auto.later/switch", json!({})).await.fault(422, "required", "on");
        assert_eq!(admin.post("/automations/auto.later/switch", json!({"on": false})).await.ok(200)["cancelled"], 0);
        admin.create("auto.thing", json!({"name": "sets nothing off"})).await;
        app.engine.run_due().await.expect("done");
        let there = of().await;
        assert_eq!((&there["off"], &there["waiting"]), (&json!(true), &json!(1)), "{there}");
        app.pass(Duration::hours(2)).await;
        assert_eq!(admin.read("auto.thing", &waits).await["note"], "seen", "what waited goes on");
        admin.post("/automations/auto.later/switch", json!({"on": true})).await.is(200);
        let given_up = admin.create_id("auto.thing", json!({"name": "given up"})).await;
        app.engine.run_due().await.expect("done");
        assert_eq!(admin.post("/automations/auto.later/switch", json!({"on": false, "cancel_waiting": true})).await.ok(200)["cancelled"], 1);
        app.pass(Duration::hours(2)).await;
        assert_eq!(admin.read("auto.thing", &given_up).await["note"], Json::Null);
        let runs = admin.ask("/automations/runs", &[("automation", "auto.later"), ("state", "cancelled")]).await.ok(200);
        assert_eq!(runs["data"].as_array().map(Vec::len), Some(1), "{runs}");
    }
}
