//! In charge of the promise that no lead is lost: whatever happens to leads, each is owned with an open task, or in the pool with
//! none, or closed with none.

use chrono::Duration;
use reqwest::Method;
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::chance::Chance;
use tests::client::{Client, column};
use tests::on_both;

/// A deed at random; what is refused is fine, a fault is not.
async fn deed(app: &App, admin: &Client, people: &[String], chance: &mut Chance, number: usize) {
    let leads = admin.list("sales.lead", &[("limit", "1000")]).await;
    let lead = (!leads.is_empty()).then(|| chance.of(&leads)["id"].as_str().unwrap_or_default().to_owned());
    let path = |tail: &str| format!("/records/sales.lead/{}{tail}", lead.clone().unwrap_or_default());
    let answer = match (chance.below(10), &lead) {
        (0..=2, _) | (_, None) => {
            let nobody = app.nobody();
            // Some numbers come again: then the first lead hears of it.
            let phone = format!("+1212555{:04}", chance.below(number + 3));
            let region = *chance.of(&["central", "east", "west"]);
            let body = json!({"name": format!("Lead {number}"), "phone": phone, "region": region});
            nobody.send(nobody.request(Method::POST, "//f/sales.contact_us").json(&body)).await
        }
        (3, _) => {
            admin.post("/records/sales.lead", json!({"name": "Own", "email": format!("l{number}@example.com"), "owner": chance.of(people)})).await
        }
        (4..=5, _) => admin.patch(&path(""), json!({"owner": chance.of(people)})).await,
        (6, _) => admin.patch(&path(""), json!({"owner": null})).await,
        (7, _) => admin.post(&path("/move"), json!({"stage": "disqualified", "values": {"disqualified_reason": "no_need"}})).await,
        (8, _) => admin.post(&path("/move"), json!({"stage": "new"})).await,
        _ => {
            let stage = *chance.of(&["contacted", "qualified", "converted"]);
            admin.post(&path("/move"), json!({"stage": stage, "values": {"company": "C"}})).await
        }
    };
    assert!(matches!(answer.status.as_u16(), 200 | 201 | 204 | 422 | 429), "{}: {}", answer.asked, answer.text());
}

on_both! {
    /// Deeds at random, with hours between them; after all that follows, every lead has its place.
    async fn no_lead_is_lost(app) {
        let (ann, zoe) = (app.ann().await, app.zoe().await);
        for (team, office) in [("north", "Central"), ("south", "East")] {
            let (team, office) = (app.department(team).await, app.department(office).await);
            app.admin().change("core.department", &team, json!({"parent": office})).await;
        }
        let people = [ann.id.clone(), zoe.id.clone()];
        let mut chance = Chance::new(7);
        for number in 0..70 {
            let admin = app.nobody().sign_in("admin@example.com", tests::app::PASSWORD).await;
            deed(&app, &admin, &people, &mut chance, number).await;
            app.engine.run_due().await.expect("done");
            if chance.once_in(4) {
                app.clock.set(app.engine.now() + Duration::hours(5));
                app.engine.run_due().await.expect("done");
            }
        }
        let admin = app.nobody().sign_in("admin@example.com", tests::app::PASSWORD).await;
        let leads = admin.list("sales.lead", &[("limit", "1000")]).await;
        assert!(leads.len() > 15, "{}", leads.len());
        for lead in &leads {
            let open = admin.find("core.task", json!({"all": [{"field": "about", "op": "=", "value": lead["id"]}, {"field": "done", "op": "=", "value": false}]})).await;
            let owners = column(&open, "owner");
            let is_open = matches!(lead["stage"].as_str(), Some("new" | "contacted" | "qualified"));
            let good = match (is_open, &lead["owner"]) {
                (true, Json::String(owner)) => owners.len() == 1 && owners[0] == *owner,
                _ => owners.is_empty(),
            };
            assert!(good, "{lead} has {open:?}");
        }
    }
}
