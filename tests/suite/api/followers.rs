//! In charge of following records: who follows which, and what they are told of.
//! Invariant: a follower is told once of what somebody else did, and of nothing that they may not see.

use reqwest::Method;
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::{Client, column};
use tests::folders::{edit, sales};
use tests::on_both;

async fn follow(client: &Client, method: Method, deal: &str) -> u16 {
    let path = format!("/records/sales.deal/{deal}/followers/me");
    client.send(client.request(method, &path)).await.status.as_u16()
}

/// The notices of a person about what they follow, the oldest first.
async fn told(client: &Client) -> Vec<String> {
    let filter = json!({"field": "kind", "op": "=", "value": "followed"}).to_string();
    column(&client.list("core.notification", &[("filter", &filter), ("sort", "created_at")]).await, "text")
}

async fn me(client: &Client) -> String {
    client.get("/me").await.ok(200)["id"].as_str().unwrap_or_default().to_owned()
}

/// The sales example with a field that reps do not see.
async fn install(app: &App) {
    let mut files = sales();
    edit(&mut files, "entities/deal.json", |entity| entity["fields"]["margin_note"] = json!({"kind": "text", "label": "Margin"}));
    edit(&mut files, "roles/rep.json", |role| role["entities"]["deal"]["fields"]["margin_note"] = json!("none"));
    app.install_files(files).await;
}

on_both! {
    /// A follower hears of changes, of notes, of the bin; whoever did it does not.
    async fn a_follower_hears_of_it(app) {
        install(&app).await;
        let (ann, ben, zoe) = (app.ann().await, app.ben().await, app.zoe().await);
        let deal = app.deal_id(&ann, json!({"close_value": 1})).await;
        assert_eq!(follow(&ben, Method::PUT, &deal).await, 204);
        assert_eq!(follow(&ben, Method::PUT, &deal).await, 204);
        assert_eq!(follow(&ann, Method::PUT, &deal).await, 204);
        assert_eq!(follow(&zoe, Method::PUT, &deal).await, 404);

        ann.change("sales.deal", &deal, json!({"close_value": 7})).await;
        ann.change("sales.deal", &deal, json!({"close_value": 7})).await;
        let heard = told(&ben).await;
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].starts_with("Changed: ") && heard[0].ends_with("By ann"), "{heard:?}");
        assert!(!heard[0].contains('7'), "{heard:?}");
        ann.post(&format!("/records/sales.deal/{deal}/notes"), json!({"text": "They called"})).await.is(201);
        assert_eq!(told(&ben).await[1..], ["Added: Note\nBy ann"]);
        assert_eq!(told(&ann).await, [] as [&str; 0]);

        // What ben does is told to ann alone.
        ben.post(&format!("/records/sales.deal/{deal}/notes"), json!({"text": "I know"})).await.is(201);
        assert_eq!((told(&ann).await.len(), told(&ben).await.len()), (1, 2));

        assert_eq!(follow(&ben, Method::DELETE, &deal).await, 204);
        ann.change("sales.deal", &deal, json!({"close_value": 8})).await;
        assert_eq!(told(&ben).await.len(), 2);
    }

    /// Fields that one may not read say nothing, nor does a record that left one's sight.
    async fn what_is_out_of_sight_says_nothing(app) {
        install(&app).await;
        let (admin, ann, ben, zoe) = (app.admin(), app.ann().await, app.ben().await, app.zoe().await);
        let deal = app.deal_id(&ann, json!({"close_value": 1})).await;
        assert_eq!(follow(&ben, Method::PUT, &deal).await, 204);
        admin.change("sales.deal", &deal, json!({"margin_note": "thin"})).await;
        assert_eq!(told(&ben).await, [] as [&str; 0]);
        admin.change("sales.deal", &deal, json!({"margin_note": "thinner", "close_value": 3})).await;
        assert_eq!(told(&ben).await.len(), 1);
        assert!(!told(&ben).await[0].contains("Margin"));

        admin.change("sales.deal", &deal, json!({"owner": me(&zoe).await})).await;
        let before = told(&ben).await.len();
        admin.change("sales.deal", &deal, json!({"close_value": 9})).await;
        assert_eq!(told(&ben).await.len(), before);
        // One stops following what one no longer sees.
        assert_eq!(follow(&ben, Method::DELETE, &deal).await, 204);
    }

    /// The list of followers is paged, shown to whoever sees the record, and goes along with a merge.
    async fn followers_are_listed_and_merged(app) {
        let (admin, ann, ben, zoe) = (app.admin(), app.ann().await, app.ben().await, app.zoe().await);
        let (one, other) = (app.deal_id(&ann, json!({})).await, app.deal_id(&ann, json!({})).await);
        assert_eq!(follow(&ben, Method::PUT, &one).await, 204);
        assert_eq!(follow(&ann, Method::PUT, &other).await, 204);
        let path = format!("/records/sales.deal/{other}/followers");
        admin.post(&format!("/records/sales.deal/{other}/merge"), json!({"from": [one]})).await.is(200);
        let listed: Json = ben.get(&path).await.ok(200);
        let users = column(listed["data"].as_array().expect("a list"), "user");
        let mut expected = vec![me(&ann).await, me(&ben).await];
        expected.sort();
        assert_eq!((users, &listed["mine"], &listed["next"]), (expected.clone(), &json!(true), &Json::Null));
        let rest = ann.get(&format!("{path}?after={}", expected[0])).await.ok(200);
        assert_eq!(column(rest["data"].as_array().expect("a list"), "user"), expected[1..]);
        ann.get(&format!("{path}?after=x")).await.is(400);
        zoe.get(&path).await.problem(404, "not_found");
        app.nobody().get(&path).await.problem(401, "unauthenticated");
    }
}
