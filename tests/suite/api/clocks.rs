//! In charge of clocks over HTTP: what they count and say, filters over them, a machine's clock that jumps, calendars that change.

use chrono::{Duration, TimeZone, Utc};
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::{Client, column};
use tests::on_both;

async fn agent(app: &App, department: Option<&str>) -> Client {
    let mut body = json!({"email": "amy@clocks.test", "name": "Amy", "roles": ["clocks.agent"], "password": tests::app::PASSWORD});
    if let Some(department) = department {
        body["department"] = department.into();
    }
    let _ = app.admin().post("/admin/users", body).await.ok(201);
    app.nobody().sign_in("amy@clocks.test", tests::app::PASSWORD).await
}

/// How often an automation ran for a record.
async fn runs(app: &App, automation: &str, record: &str) -> usize {
    let query = [("automation", automation), ("record", record)];
    // Sessions end while days pass.
    let admin = app.nobody().sign_in("admin@example.com", tests::app::PASSWORD).await;
    let answer = admin.ask("/automations/runs", &query).await.ok(200);
    answer["data"].as_array().expect("runs").len()
}

/// A clock of a record: its state and when it is due.
async fn stands(client: &Client, entity: &str, id: &str, clock: &str) -> (Json, Json) {
    let record = client.read(entity, id).await;
    (record[format!("{clock}.state")].clone(), record[format!("{clock}.due_at")].clone())
}

fn running(due_at: &str) -> (Json, Json) {
    (json!("running"), json!(due_at))
}

on_both! {
    /// A clock counts working or natural time as its limit says, stands still while it is paused, warns and is missed once, and
    /// is filtered, sorted and counted like any field.
    async fn clocks_count_pause_and_speak(app) {
        app.install("tests/apps/clocks").await;
        let amy = agent(&app, None).await;
        // 17:00 in the office; a working day has eight hours.
        let plain = amy.create_id("clocks.ticket", json!({"subject": "plain"})).await;
        let urgent = amy.create_id("clocks.ticket", json!({"subject": "urgent", "priority": "urgent"})).await;
        let low = amy.create_id("clocks.ticket", json!({"subject": "low", "priority": "low"})).await;
        assert_eq!(stands(&amy, "clocks.ticket", &plain, "first_reply").await, running("2026-03-03T09:00:00Z"));
        assert_eq!(stands(&amy, "clocks.ticket", &urgent, "first_reply").await, running("2026-03-02T11:00:00Z"));
        assert_eq!(stands(&amy, "clocks.ticket", &low, "first_reply").await, running("2026-03-03T09:00:00Z"));
        let rows = amy.list("clocks.ticket", &[("sort", "first_reply.due_at,subject"), ("fields", "subject,first_reply.due_at")]).await;
        assert_eq!(column(&rows, "subject"), ["urgent", "low", "plain"]);
        let due = json!({"field": "first_reply.due_at", "op": "<", "value": "2026-03-03T00:00:00Z"});
        assert_eq!(column(&amy.find("clocks.ticket", due).await, "subject"), ["urgent"]);
        amy.change("clocks.ticket", &low, json!({"status": "waiting"})).await;
        assert_eq!(stands(&amy, "clocks.ticket", &low, "first_reply").await, (json!("paused"), Json::Null));
        app.pass(Duration::minutes(61)).await;
        assert_eq!((runs(&app, "clocks.reply_warning", &urgent).await, runs(&app, "clocks.reply_missed", &urgent).await), (1, 0));
        app.pass(Duration::hours(1)).await;
        assert_eq!((runs(&app, "clocks.reply_warning", &urgent).await, runs(&app, "clocks.reply_missed", &urgent).await), (1, 1));
        let grouped = json!({"group_by": ["first_reply.state"], "measures": ["count"]});
        let groups = amy.post("/records/clocks.ticket/aggregate", grouped).await.ok(200);
        for state in ["running", "paused", "missed"] {
            assert!(groups["data"].as_array().expect("groups").contains(&json!({"first_reply.state": state, "count": 1})), "{groups}");
        }
        amy.change("clocks.ticket", &low, json!({"status": "open"})).await;
        amy.change("clocks.ticket", &plain, json!({"replied_at": "2026-03-02T10:30:00Z"})).await;
        assert_eq!(stands(&amy, "clocks.ticket", &plain, "first_reply").await, (json!("met"), json!("2026-03-03T09:00:00Z")));
        app.ann().await.get(&format!("/records/clocks.ticket/{low}")).await.is(404);
        app.pass(Duration::days(3)).await;
        for (ticket, said) in [(&plain, (0, 0)), (&urgent, (1, 1)), (&low, (1, 1))] {
            assert_eq!((runs(&app, "clocks.reply_warning", ticket).await, runs(&app, "clocks.reply_missed", ticket).await), said, "{ticket}");
        }
        let amy = app.nobody().sign_in("amy@clocks.test", tests::app::PASSWORD).await;
        amy.patch(&format!("/records/clocks.ticket/{low}"), json!({"first_reply.state": "met"})).await.problem(422, "read_only_field");
    }

    /// A machine's clock that jumps an hour ahead says what is due by then; back again it says nothing twice and counts nothing twice.
    async fn a_jump_of_the_clock_says_nothing_twice(app) {
        app.install("tests/apps/clocks").await;
        let amy = agent(&app, None).await;
        let id = amy.create_id("clocks.ticket", json!({"subject": "A", "priority": "urgent"})).await;
        let due = running("2026-03-02T11:00:00Z");
        let jump = async |by: Duration| {
            app.clock.advance(by);
            app.engine.run_due().await.expect("done");
        };
        jump(Duration::minutes(65)).await;
        assert_eq!(runs(&app, "clocks.reply_warning", &id).await, 1);
        jump(-Duration::hours(1)).await;
        amy.change("clocks.ticket", &id, json!({"subject": "B"})).await;
        assert_eq!(stands(&amy, "clocks.ticket", &id, "first_reply").await, due);
        jump(Duration::minutes(60)).await;
        assert_eq!((runs(&app, "clocks.reply_warning", &id).await, runs(&app, "clocks.reply_missed", &id).await), (1, 0));
        // Back before it began: a pause has counted nothing, and all of its two hours are left.
        app.clock.set(Utc.with_ymd_and_hms(2026, 3, 2, 8, 0, 0).single().expect("a moment"));
        amy.change("clocks.ticket", &id, json!({"status": "waiting"})).await;
        jump(Duration::minutes(30)).await;
        amy.change("clocks.ticket", &id, json!({"status": "open"})).await;
        assert_eq!(stands(&amy, "clocks.ticket", &id, "first_reply").await, running("2026-03-02T10:30:00Z"));
        jump(Duration::hours(3)).await;
        assert_eq!((runs(&app, "clocks.reply_warning", &id).await, runs(&app, "clocks.reply_missed", &id).await), (1, 1));
        jump(-Duration::hours(1)).await;
        amy.change("clocks.ticket", &id, json!({"subject": "C"})).await;
        jump(Duration::hours(2)).await;
        assert_eq!(stands(&amy, "clocks.ticket", &id, "first_reply").await.0, "missed");
        assert_eq!((runs(&app, "clocks.reply_warning", &id).await, runs(&app, "clocks.reply_missed", &id).await), (1, 1));
    }

    /// Clocks that count by the calendar of the owner's department follow it when it is another, all of them, without being written.
    async fn open_clocks_follow_their_calendar(app) {
        app.install("tests/apps/clocks").await;
        let (north, south) = (app.department("n").await, app.department("s").await);
        let amy = agent(&app, Some(&north)).await;
        // More than are brought in line in one transaction.
        let operations: Vec<Json> = (0..250).map(|number| json!({"op": "create", "values": {"name": format!("Errand {number}")}})).collect();
        let _ = amy.post("/records/clocks.errand/batch", json!({"atomic": true, "operations": operations})).await.ok(200);
        let mine = amy.create("clocks.errand", json!({"name": "mine", "owner": null})).await;
        let due = async || {
            app.engine.run_due().await.expect("done");
            let rows = amy.pages("clocks.errand", &[("fields", "name,round.due_at,version"), ("limit", "100")]).await;
            let own = rows.iter().filter(|row| row["name"] != "mine");
            let mut moments: Vec<String> = own.map(|row| format!("{} {}", row["round.due_at"].as_str().unwrap_or("none"), row["version"])).collect();
            assert_eq!(moments.len(), 250);
            moments.dedup();
            moments
        };
        assert_eq!(due().await, ["2026-03-02T17:00:00Z 1"]);
        app.admin().change("core.department", &north, json!({"calendar": "clocks.office"})).await;
        assert_eq!(due().await, ["2026-03-03T09:00:00Z 1"]);
        app.admin().change("core.user", &amy.id, json!({"department": south})).await;
        assert_eq!(due().await, ["2026-03-02T17:00:00Z 1"]);
        app.admin().change("core.department", &south, json!({"parent": north})).await;
        assert_eq!(due().await, ["2026-03-03T09:00:00Z 1"]);
        let id = tests::client::id_of(&mine);
        assert_eq!(stands(&amy, "clocks.errand", &id, "round").await, running("2026-03-02T17:00:00Z"));
        app.admin().patch("/admin/settings", json!({"core": {"calendar": "clocks.office"}})).await;
        app.engine.run_due().await.expect("done");
        assert_eq!(stands(&amy, "clocks.errand", &id, "round").await, running("2026-03-03T09:00:00Z"));
    }
}
