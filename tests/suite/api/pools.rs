//! In charge of public pools over HTTP: one winner, limits that hold side by side, what is masked until it is claimed.

use serde_json::{Value as Json, json};
use tests::app::App;
use tests::on_both;

async fn install(app: &App, claim: Json) {
    let files = [
        ("app.json", json!({"name": "ponds", "label": "Ponds", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        (
            "entities/lead.json",
            json!({"label": "Lead", "title": "{{ name }}", "owner": "optional",
                   "fields": {"name": {"kind": "text", "required": true}, "phone": {"kind": "phone", "region": "CN"}}}),
        ),
        ("roles/rep.json", json!({"label": "Rep", "entities": {"lead": {"read": "own", "create": true, "update": "own"}}})),
        ("pools/public.json", json!({"entity": "lead", "members": [{"role": "rep"}], "see": "masked", "claim": claim})),
    ];
    app.install_files(files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()).await;
}

async fn rep(app: &App, name: &str) -> tests::client::Client {
    let email = format!("{name}@ponds.test");
    let body = json!({"email": email, "name": name, "roles": ["ponds.rep"], "password": tests::app::PASSWORD});
    let _ = app.admin().post("/admin/users", body).await.ok(201);
    app.nobody().sign_in(&email, tests::app::PASSWORD).await
}

on_both! {
    /// Of a hundred claims at once one wins, and every other hears that it lost.
    async fn a_hundred_claims_have_one_winner(app) {
        install(&app, json!({})).await;
        let id = app.admin().create_id("ponds.lead", json!({"name": "Acme", "owner": null})).await;
        let mut reps = Vec::new();
        for number in 0..10 {
            reps.push(rep(&app, &format!("rep{number}")).await);
        }
        let mut claims = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (rep, id) = (reps[number % reps.len()].clone(), id.clone());
            claims.spawn(async move { rep.post(&format!("/records/ponds.lead/{id}/claim"), json!({"pool": "public"})).await });
        }
        let (mut won, mut lost) = (0, 0);
        while let Some(answer) = claims.join_next().await {
            let answer = answer.expect("an answer");
            if answer.status == 200 {
                won += 1;
            } else {
                answer.problem(409, "claim_lost");
                lost += 1;
            }
        }
        assert_eq!((won, lost), (1, 99));
        let owner = app.admin().read("ponds.lead", &id).await["owner"].clone();
        assert!(owner.is_string(), "{owner}");
    }

    /// A person who claims many at once holds no more than the limit.
    async fn limits_hold_side_by_side(app) {
        install(&app, json!({"hold": 3})).await;
        let amy = rep(&app, "amy").await;
        let mut claims = tokio::task::JoinSet::new();
        for number in 0..12 {
            let id = app.admin().create_id("ponds.lead", json!({"name": format!("Lead {number}"), "owner": null})).await;
            let amy = amy.clone();
            claims.spawn(async move { amy.post(&format!("/records/ponds.lead/{id}/claim"), json!({"pool": "ponds.public"})).await });
        }
        let mut won = 0;
        while let Some(answer) = claims.join_next().await {
            let answer = answer.expect("an answer");
            if answer.status == 200 {
                won += 1;
            } else {
                answer.problem(422, "hold_limit");
            }
        }
        assert_eq!(won, 3);
    }

    /// What lies in a pool is listed and read with ways to reach people masked; a claim opens it.
    async fn what_lies_in_a_pool_is_masked(app) {
        install(&app, json!({})).await;
        let id = app.admin().create_id("ponds.lead", json!({"name": "Acme", "phone": "13812345678", "owner": null})).await;
        let amy = rep(&app, "amy").await;
        assert_eq!(amy.get("/records/ponds.lead").await.ok(200)["data"], json!([]));
        let listed = amy.ask("/records/ponds.lead", &[("pool", "public")]).await.ok(200);
        assert_eq!(listed["data"][0]["name"], "Acme", "{listed}");
        let masked = listed["data"][0]["phone"].as_str().expect("a masked number");
        assert!(masked.contains("***") && !masked.contains("12345"), "{masked}");
        amy.ask("/records/ponds.lead", &[("pool", "public"), ("sort", "phone")]).await.is(400);
        amy.ask("/records/ponds.lead", &[("pool", "none")]).await.problem(404, "not_found");
        let read = amy.get(&format!("/records/ponds.lead/{id}")).await.ok(200);
        assert_eq!(read["phone"], listed["data"][0]["phone"]);
        let standing = amy.get(&format!("/records/ponds.lead/{id}/pool")).await.ok(200);
        assert_eq!((&standing["pool"], &standing["claim"], &standing["release"]), (&json!("ponds.public"), &json!(true), &json!(false)));
        let claimed = amy.post(&format!("/records/ponds.lead/{id}/claim"), json!({"pool": "public"})).await.ok(200);
        assert_eq!(claimed["phone"], "+8613812345678");
        let history = amy.get(&format!("/records/ponds.lead/{id}/history")).await.ok(200);
        assert!(history["data"].as_array().expect("changes").iter().any(|change| change["cause"] == "claim"), "{history}");
        amy.post(&format!("/records/ponds.lead/{id}/claim"), json!({"pool": "public", "colour": "red"})).await.problem(400, "malformed");
        amy.post(&format!("/records/ponds.lead/{id}/release"), json!({"pool": "public"})).await.is(204);
        let meta = amy.get("/meta").await.ok(200);
        let lead = meta["entities"].as_array().expect("entities").iter().find(|entity| entity["name"] == "ponds.lead").expect("leads");
        assert_eq!(lead["pools"][0]["name"], "ponds.public");
        app.ann().await.post(&format!("/records/ponds.lead/{id}/claim"), json!({"pool": "public"})).await.is(404);
    }
}
