//! In charge of what goes wrong around automations and approvals, on both databases: each fault ends as it should.
//!
//! | fault | where it is tested |
//! |---|---|
//! | the process is killed | `crash`: writes, imports, publishing, automations, clocks |
//! | a mail server that hangs | here |
//! | a receiver that answers 500, 301 to a private address, or without end | `automations::calls_are_signed_and_tried_again` |
//! | a receiver that answers 10 MB slowly | here |
//! | a script that loops or allocates without end | `scripts::a_script_without_end_is_ended`, `rules/tests/scripts.rs`, tests/apps/scripts |
//! | an approver who leaves or is deleted in the middle | tests/apps/approvals, `e11_somebody_leaves`, `an_approver_is_deleted` |
//! | a machine's clock that jumps an hour | here; `clocks::a_jump_of_the_clock_says_nothing_twice` |
//! | two people who press at once | `approvals::two_press_at_once`; tests/apps/approvals, `e04_three_press_at_once` |

use std::sync::Arc;

use chrono::Duration;
use engine::effects::world::{Reach, World};
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::column;
use tests::on_both;
use tests::sinks::{MailSink, Mood, WebSink};

/// How long an answer is waited for here.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

async fn install(app: &App, more: &[(&str, Json)]) {
    let mut files = vec![
        ("app.json", json!({"name": "faulty", "label": "Faulty", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        (
            "entities/thing.json",
            json!({"label": "Thing", "title": "{{ name }}", "owner": "optional",
                   "fields": {"name": {"kind": "text", "required": true}, "email": {"kind": "email"}}}),
        ),
        ("entities/log.json", json!({"label": "Log", "title": "{{ what }}", "fields": {"what": {"kind": "text"}}})),
        ("roles/maker.json", json!({"label": "Maker", "entities": {"thing": {"read": "all", "create": true, "update": "all"}}})),
    ];
    files.extend(more.iter().map(|(path, json)| (*path, json.clone())));
    app.install_files(files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()).await;
}

fn reach(app: &App, mail: &MailSink) {
    let reach = Reach {
        smtp: Some(format!("smtp://crm:secret@{}", mail.address)),
        mail_from: Some("crm@example.com".to_owned()),
        allow_private: true,
        patience: Some(PATIENCE),
        ..Reach::default()
    };
    app.engine.set_outside(Arc::new(World::new(&reach).expect("a world")));
}

fn log(what: &str) -> Json {
    json!({"kind": "create", "entity": "log", "values": {"what": what}})
}

async fn person(app: &App, name: &str) -> tests::client::Client {
    let email = format!("{name}@faulty.test");
    let body = json!({"email": email, "name": name, "roles": ["faulty.maker"], "password": tests::app::PASSWORD});
    let _ = app.admin().post("/admin/users", body).await.ok(201);
    app.nobody().sign_in(&email, tests::app::PASSWORD).await
}

on_both! {
    /// A mail server that takes a connection and says nothing holds up nobody else; its mail goes out once, later.
    async fn a_mail_server_that_hangs(app) {
        let (silent, web) = (MailSink::start_silent().await, WebSink::start().await);
        let mail = json!({"kind": "mail", "to": ["email"], "subject": "Hello", "body": "…"});
        let call = json!({"kind": "webhook", "url": "$secret.receiver", "values": {"name": {"from": "name"}}});
        let greet = json!({"on": {"record": "created", "entity": "thing"}, "steps": {"mail": mail, "call": call}, "root": ["mail", "call"]});
        install(&app, &[("automations/greet.json", greet)]).await;
        app.admin().patch("/admin/secrets/faulty", json!({"receiver": format!("{}/in", web.base)})).await.is(204);
        reach(&app, &silent);
        app.admin().create("faulty.thing", json!({"name": "a", "email": "v@example.org"})).await;
        app.engine.run_due().await.expect("done");
        app.pass(Duration::minutes(2)).await;
        assert_eq!(web.calls().len(), 1, "the call did not wait for the mail");
        let runs = app.admin().ask("/automations/runs", &[("automation", "faulty.greet")]).await.ok(200);
        assert_eq!(runs["data"][0]["state"], "done", "{runs}");
        let speaks = MailSink::start().await;
        reach(&app, &speaks);
        app.pass(Duration::hours(2)).await;
        app.pass(Duration::days(4)).await;
        assert_eq!(speaks.mails().len(), 1, "{:?}", speaks.mails());
    }

    /// A receiver that dribbles ten megabytes is not waited for; it is called again, under the same id.
    async fn a_receiver_that_is_slow(app) {
        let (mail, web) = (MailSink::start().await, WebSink::start().await);
        web.be([Mood::Slow, Mood::Slow]);
        let call = json!({"kind": "webhook", "url": "$secret.receiver", "values": {"name": {"from": "name"}}});
        let tell = json!({"on": {"record": "created", "entity": "thing"}, "steps": {"call": call}, "root": ["call"]});
        install(&app, &[("automations/tell.json", tell)]).await;
        app.admin().patch("/admin/secrets/faulty", json!({"receiver": format!("{}/in", web.base)})).await.is(204);
        reach(&app, &mail);
        app.admin().create("faulty.thing", json!({"name": "a"})).await;
        app.engine.run_due().await.expect("done");
        app.pass(Duration::hours(1)).await;
        app.pass(Duration::days(4)).await;
        let calls = web.calls();
        assert_eq!(calls.len(), 3, "{calls:?}");
        assert!(calls.iter().all(|call| call.header("webhook-id") == calls[0].header("webhook-id")), "{calls:?}");
    }

    /// Schedules, waiting runs and deadlines of approvals go by the machine's clock: a jump ahead does what is due by then, and
    /// back again nothing twice.
    async fn a_clock_that_jumps(app) {
        let nightly = json!({"on": {"schedule": "30 * * * *", "zone": "UTC"}, "steps": {"log": log("hour")}, "root": ["log"]});
        let wait = json!({"on": {"record": "created", "entity": "thing"},
                          "steps": {"pause": {"kind": "wait", "for": "PT1H"}, "log": log("waited")}, "root": ["pause", "log"]});
        let flow = json!({"entity": "thing", "root": ["vote"],
                          "steps": {"vote": {"kind": "approve", "approvers": [{"by": "initiator"}], "if_initiator": "self",
                                             "timeouts": [{"after": "PT1H", "calendar": "natural", "do": "approve"}]}},
                          "on_approved": {"steps": {"log": log("approved")}, "root": ["log"]}});
        install(&app, &[("automations/nightly.json", nightly), ("automations/wait.json", wait), ("approvals/agree.json", flow)]).await;
        let amy = person(&app, "amy").await;
        let jump = async |by: Duration| {
            app.clock.advance(by);
            app.engine.run_due().await.expect("done");
        };
        let logged = async || {
            let mut logs = column(&app.admin().find("faulty.log", json!({"all": []})).await, "what");
            logs.sort();
            logs
        };
        app.engine.run_due().await.expect("done");
        let thing = amy.create_id("faulty.thing", json!({"name": "a"})).await;
        let _ = amy.post("/approvals", json!({"flow": "faulty.agree", "record": thing})).await.ok(201);
        jump(Duration::minutes(5)).await;
        assert!(logged().await.is_empty());
        // 10:05: the hour's half, the wait and the deadline lie behind.
        jump(Duration::hours(1)).await;
        assert_eq!(logged().await, ["approved", "hour", "waited"]);
        // 09:05 again, and on to 10:10: nothing of it comes twice.
        jump(-Duration::hours(1)).await;
        jump(Duration::minutes(65)).await;
        assert_eq!(logged().await, ["approved", "hour", "waited"]);
        // From 10:30 on it goes on as before.
        jump(Duration::minutes(21)).await;
        assert_eq!(logged().await, ["approved", "hour", "hour", "waited"]);
        // Set back, what was begun meanwhile still ends an hour later by the clock as it is now.
        jump(-Duration::hours(1)).await;
        amy.create("faulty.thing", json!({"name": "b"})).await;
        app.engine.run_due().await.expect("done");
        jump(Duration::minutes(61)).await;
        assert_eq!(logged().await.iter().filter(|what| *what == "waited").count(), 2);
    }
}
