//! In charge of the door: sign-in, sessions, tokens, limits, and what ends them.
//! Invariant: nothing tells whether an address has an account; what was ended is ended at once.

use chrono::Duration;
use reqwest::Method;
use serde_json::json;
use tests::app::PASSWORD;
use tests::on_both;

on_both! {
    /// Wrong password and unknown address answer alike; nothing is open without signing in.
    async fn the_door_tells_nothing(app) {
        let nobody = app.nobody();
        let _ = app.ann().await;
        let wrong = nobody.post("/auth/login", json!({"email": "ann@example.com", "password": "wrong password"})).await;
        let unknown = nobody.post("/auth/login", json!({"email": "nobody@example.com", "password": "wrong password"})).await;
        wrong.problem(401, "unauthenticated");
        assert_eq!(wrong.json()["detail"], unknown.json()["detail"]);
        assert_eq!(wrong.status, unknown.status);
        for path in ["/me", "/meta", "/records/sales.deal", "/records/nothing.at_all", "/search?q=a", "/changes", "/openapi.json", "/design/apps", "/admin/users", "/events"] {
            nobody.get(path).await.problem(401, "unauthenticated");
        }
        nobody.with_token("no-such-token").get("/me").await.problem(401, "unauthenticated");
        for body in [json!({}), json!({"email": "ann@example.com"}), json!({"email": 5, "password": []}), json!([]), json!(null)] {
            let answer = nobody.post("/auth/login", body).await;
            assert!((400..=422).contains(&answer.status.as_u16()), "{}", answer.text());
        }
    }

    /// A browser gets a cookie that scripts cannot read and no token; its writes need the header that only its own pages send.
    async fn a_browser_gets_a_cookie(app) {
        let _ = app.ann().await;
        let nobody = app.nobody();
        let request = nobody.request(Method::POST, "/auth/login").header("origin", &app.base).json(&json!({"email": "ann@example.com", "password": PASSWORD}));
        let answer = nobody.send(request).await;
        assert!(answer.ok(200).get("token").is_none_or(serde_json::Value::is_null), "{}", answer.text());
        let cookies: Vec<String> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap_or_default().to_owned()).collect();
        let session = cookies.iter().find(|cookie| cookie.contains("HttpOnly")).unwrap_or_else(|| panic!("{cookies:?}"));
        assert!(session.contains("SameSite=Lax"), "{session}");
        let cookie = session.split(';').next().unwrap_or_default().to_owned();
        let reading = nobody.send(nobody.request(Method::GET, "/me").header("cookie", &cookie)).await;
        reading.is(200);
        let forged = nobody.request(Method::POST, "/records/sales.account").header("cookie", &cookie).header("origin", "http://evil.example").json(&json!({"name": "Forged"}));
        let answer = nobody.send(forged).await;
        assert_eq!(answer.status.as_u16(), 403, "{}", answer.text());
        let without = nobody.request(Method::POST, "/records/sales.account").header("cookie", &cookie).json(&json!({"name": "Forged"}));
        assert_eq!(nobody.send(without).await.status.as_u16(), 403);
        assert!(app.admin().find("sales.account", json!({"all": []})).await.is_empty(), "nothing was written");
    }

    /// Leaving, a new password and a disabled account end sessions at once.
    async fn what_is_ended_is_ended(app) {
        let ann = app.ann().await;
        let second = app.nobody().sign_in("ann@example.com", PASSWORD).await;
        ann.post("/auth/logout", json!({})).await.is(204);
        ann.get("/me").await.problem(401, "unauthenticated");
        second.get("/me").await.is(200);
        let third = app.nobody().sign_in("ann@example.com", PASSWORD).await;
        let weak = second.post("/auth/password", json!({"current": PASSWORD, "new": "short"})).await;
        assert_eq!(weak.status.as_u16(), 422, "{}", weak.text());
        let wrong = second.post("/auth/password", json!({"current": "not mine", "new": "another good one"})).await;
        assert!(!wrong.status.is_success(), "{}", wrong.text());
        let changed = second.post("/auth/password", json!({"current": PASSWORD, "new": "another good one"})).await;
        assert!(changed.status.is_success(), "{}", changed.text());
        third.get("/me").await.problem(401, "unauthenticated");
        app.nobody().post("/auth/login", json!({"email": "ann@example.com", "password": PASSWORD})).await.problem(401, "unauthenticated");
        let fourth = app.nobody().sign_in("ann@example.com", "another good one").await;
        app.admin().change("core.user", &fourth.id, json!({"active": false})).await;
        fourth.get("/me").await.problem(401, "unauthenticated");
        app.nobody().post("/auth/login", json!({"email": "ann@example.com", "password": "another good one"})).await.problem(401, "unauthenticated");
    }

    /// A session has an end in time.
    async fn sessions_end_with_time(app) {
        let ann = app.ann().await;
        app.clock.advance(Duration::hours(11));
        ann.get("/me").await.is(200);
        app.clock.advance(Duration::hours(2));
        ann.get("/me").await.problem(401, "unauthenticated");
    }

    /// Guessing is slowed for the guesser, and is no weapon against the owner of the account.
    async fn guessing_is_slowed(app) {
        let _ = app.ann().await;
        let nobody = app.nobody();
        let mut limited = false;
        for attempt in 0..40 {
            let answer = nobody.post("/auth/login", json!({"email": "ann@example.com", "password": format!("guess {attempt}")})).await;
            if answer.status.as_u16() == 429 {
                assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{:?}", answer.headers);
                limited = true;
                break;
            }
        }
        assert!(limited, "forty guesses in no time were all looked at");
        app.clock.advance(Duration::hours(1));
        app.nobody().sign_in("ann@example.com", PASSWORD).await;
    }

    /// A token of one's own: shown once, listed without its secret, ended at once, never above its owner.
    async fn tokens_belong_to_people(app) {
        let ann = app.ann().await;
        let made = ann.post("/me/tokens", json!({"name": "script"})).await;
        let token = made.ok(201);
        let secret = token["token"].as_str().unwrap_or_else(|| panic!("{token}")).to_owned();
        let script = app.nobody().with_token(&secret);
        assert_eq!(script.get("/me").await.ok(200), ann.get("/me").await.ok(200));
        let listed = ann.get("/me/tokens").await;
        assert!(!listed.text().contains(&secret), "{}", listed.text());
        let id = token["id"].as_str().unwrap_or_else(|| panic!("{token}"));
        app.zoe().await.delete(&format!("/me/tokens/{id}")).await.problem(404, "not_found");
        ann.delete(&format!("/me/tokens/{id}")).await.is(204);
        script.get("/me").await.problem(401, "unauthenticated");
    }
}
