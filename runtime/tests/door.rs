//! In charge of trying the door as browsers, proxies and programs come to it: cookies, forged writes, addresses, streams.
//! Invariant: everything is asked of the real router over a real workspace in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by them")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use engine::auth::{NewToken, NewUser};
use engine::clock::ManualClock;
use engine::{Engine, Options};
use futures_util::StreamExt;
use runtime::{RuntimeState, Settings};
use serde_json::{Value as Json, json};
use tower::ServiceExt;

const PASSWORD: &str = "correct horse battery";

struct Door {
    state: RuntimeState,
    router: Router,
    clock: ManualClock,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn cookie(&self) -> String {
        let text = self.headers["set-cookie"].to_str().expect("text");
        text.split(';').next().expect("a pair").to_owned()
    }
}

async fn door(settings: Settings) -> Door {
    let clock = ManualClock::new(chrono::DateTime::from_timestamp(1_770_000_000, 0).expect("a moment"));
    let options = Options { location: store::Location::SqliteMemory, data_dir: None, clock: Arc::new(clock.clone()) };
    let engine = Engine::open(options).await.expect("opens");
    let state = RuntimeState::new(engine.clone(), settings);
    let ann = NewUser {
        email: "ann@example.com".to_owned(),
        name: "Ann".to_owned(),
        roles: vec!["core.admin".to_owned()],
        password: Some(PASSWORD.to_owned()),
        ..NewUser::default()
    };
    state.auth().create_user(&engine.system(), ann).await.expect("made");
    Door { router: runtime::router(state.clone()), state, clock }
}

impl Door {
    async fn from(&self, peer: &str, method: Method, path: &str, headers: &[(&str, &str)], body: Json) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "crm.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json");
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().expect("an address")));
        let response = self.router.clone().oneshot(request).await.expect("answers");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 24).await.expect("a body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Json) -> Answer {
        self.from("127.0.0.1:5000", method, path, headers, body).await
    }

    /// Signs in as a browser does: cookie and the session's word.
    async fn browser(&self) -> (String, String) {
        let answer = self
            .ask(Method::POST, "/api/v1/auth/login", &[("origin", "http://crm.test")], json!({"email": "ann@example.com", "password": PASSWORD}))
            .await;
        assert_eq!(answer.status, 200);
        (answer.cookie(), answer.json()["csrf"].as_str().expect("a word").to_owned())
    }
}

#[tokio::test]
async fn a_write_by_cookie_needs_the_sessions_word() {
    let door = door(Settings::default()).await;
    let (cookie, csrf) = door.browser().await;
    let body = || json!({"name": "North"});
    let path = "/api/v1/records/core.department";
    assert_eq!(door.ask(Method::POST, path, &[("cookie", &cookie)], body()).await.status, 403);
    let foreign = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str()), ("origin", "http://evil.test")];
    assert_eq!(door.ask(Method::POST, path, &foreign, body()).await.status, 403);
    let elsewhere = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str()), ("sec-fetch-site", "same-site")];
    assert_eq!(door.ask(Method::POST, path, &elsewhere, body()).await.status, 403);
    let ours = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str()), ("origin", "http://crm.test"), ("sec-fetch-site", "same-origin")];
    assert_eq!(door.ask(Method::POST, path, &ours, body()).await.status, 201);
    let (_, others) = door.browser().await;
    assert_eq!(
        door.ask(Method::POST, path, &[("cookie", &cookie), ("x-csrf-token", &others)], body()).await.status,
        403,
        "the word of another session"
    );
    let me = door.ask(Method::GET, "/api/v1/me", &[("cookie", &cookie)], Json::Null).await.json();
    assert_eq!(me["csrf"], csrf.as_str());
}

#[tokio::test]
async fn a_cookies_secret_is_no_token_and_a_token_no_cookie() {
    let door = door(Settings::default()).await;
    let (cookie, _) = door.browser().await;
    let secret = cookie.split('=').nth(1).expect("a secret");
    let bearer = format!("Bearer {secret}");
    assert_eq!(door.ask(Method::GET, "/api/v1/me", &[("authorization", &bearer)], Json::Null).await.status, 401);
    let answer = door.ask(Method::POST, "/api/v1/auth/login", &[], json!({"email": "ann@example.com", "password": PASSWORD})).await;
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(door.ask(Method::GET, "/api/v1/me", &[("cookie", &format!("trellis={token}"))], Json::Null).await.status, 401);
    assert_eq!(door.ask(Method::GET, "/api/v1/me", &[("authorization", &format!("Bearer {token}"))], Json::Null).await.status, 200);
}

#[tokio::test]
async fn behind_a_proxy_the_cookie_is_bound_to_tls() {
    let settings = Settings { behind_proxy: vec!["10.0.0.0/8".parse().expect("a network")], ..Settings::default() };
    let door = door(settings).await;
    let body = || json!({"email": "ann@example.com", "password": PASSWORD});
    let told = [("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.7"), ("origin", "https://crm.test")];
    let answer = door.from("10.1.2.3:5000", Method::POST, "/api/v1/auth/login", &told, body()).await;
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    assert!(
        cookie.starts_with("__Host-trellis=") && cookie.contains("Secure") && cookie.contains("HttpOnly") && cookie.contains("Path=/;"),
        "{cookie}"
    );
    assert!(answer.headers.contains_key("strict-transport-security"));
    let cookie = answer.cookie();
    let mut secure = told.to_vec();
    secure.push(("cookie", &cookie));
    let sessions = door.from("10.1.2.3:5000", Method::GET, "/api/v1/me/sessions", &secure, Json::Null).await.json();
    assert_eq!(sessions["data"][0]["address"], "203.0.113.7");
    let stranger = door.from("192.0.2.1:5000", Method::POST, "/api/v1/auth/login", &told[..2], body()).await;
    assert!(stranger.headers["set-cookie"].to_str().expect("text").starts_with("trellis="), "a header of a stranger counts for nothing");
}

#[tokio::test]
async fn metrics_are_for_this_machine() {
    let door = door(Settings::default()).await;
    assert_eq!(door.ask(Method::GET, "/metrics", &[], Json::Null).await.status, 200);
    assert_eq!(door.from("192.0.2.1:5000", Method::GET, "/metrics", &[], Json::Null).await.status, 403);
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say() {
    let door = door(Settings::default()).await;
    let ann = door.state.auth().find_user("ann@example.com").await.expect("works").expect("there");
    let make = |scopes: &[&str]| NewToken { name: "t".to_owned(), scopes: scopes.iter().map(|word| (*word).to_owned()).collect(), expires_at: None };
    let (reading, _) = door.state.auth().make_token(ann, make(&["read"])).await.expect("made");
    let bearer = format!("Bearer {reading}");
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(door.ask(Method::GET, "/api/v1/records/core.department", &headers, Json::Null).await.status, 200);
    assert_eq!(door.ask(Method::POST, "/api/v1/records/core.department/query", &headers, json!({})).await.status, 200);
    assert_eq!(door.ask(Method::POST, "/api/v1/records/core.department", &headers, json!({"name": "N"})).await.status, 403);
    assert_eq!(door.ask(Method::GET, "/api/v1/admin/users", &headers, Json::Null).await.status, 403);
    assert_eq!(door.ask(Method::POST, "/api/v1/me/tokens", &headers, json!({"name": "more"})).await.status, 403);
    assert!(door.state.auth().make_token(ann, make(&["everything"])).await.is_err());
}

#[tokio::test]
async fn sessions_slide_and_end() {
    let door = door(Settings::default()).await;
    let (cookie, _) = door.browser().await;
    let me = async || door.ask(Method::GET, "/api/v1/me", &[("cookie", &cookie)], Json::Null).await.status;
    for _ in 0..71 {
        door.clock.advance(chrono::Duration::hours(10));
        assert_eq!(me().await, 200);
    }
    door.clock.advance(chrono::Duration::hours(11));
    assert_eq!(me().await, 401, "thirty days are the most");
    let (cookie, _) = door.browser().await;
    door.clock.advance(chrono::Duration::hours(13));
    assert_eq!(door.ask(Method::GET, "/api/v1/me", &[("cookie", &cookie)], Json::Null).await.status, 401);
}

#[tokio::test]
async fn a_link_works_once() {
    let door = door(Settings::default()).await;
    let ann = door.state.auth().find_user("ann@example.com").await.expect("works").expect("there");
    let (cookie, _) = door.browser().await;
    let first = door.state.auth().make_link(ann).await.expect("made");
    let link = door.state.auth().make_link(ann).await.expect("made");
    let set = async |token: &str, password: &str| {
        door.ask(Method::POST, "/api/v1/auth/reset", &[], json!({"token": token, "password": password})).await.status
    };
    assert_eq!(set(&first, "another good one").await, 404, "a newer link ends the older one");
    assert_eq!(set(&link, "short").await, 422);
    assert_eq!(set(&link, "another good one").await, 204);
    assert_eq!(set(&link, "and another one").await, 404);
    assert_eq!(door.ask(Method::GET, "/api/v1/me", &[("cookie", &cookie)], Json::Null).await.status, 401, "sessions end with the password");
    let late = door.state.auth().make_link(ann).await.expect("made");
    door.clock.advance(chrono::Duration::hours(25));
    assert_eq!(set(&late, "and another one").await, 404);
}

#[tokio::test]
async fn events_come_as_they_happen_and_go_on_where_they_broke_off() {
    let door = door(Settings::default()).await;
    let answer = door.ask(Method::POST, "/api/v1/auth/login", &[], json!({"email": "ann@example.com", "password": PASSWORD})).await;
    let bearer = format!("Bearer {}", answer.json()["token"].as_str().expect("a token"));
    let listen = async |last: Option<&str>| {
        let mut request = Request::builder().uri("/api/v1/events").header("authorization", &bearer);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = door.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("answers");
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    };
    let mut stream = listen(None).await;
    let first = door.ask(Method::POST, "/api/v1/records/core.department", &[("authorization", &bearer)], json!({"name": "North"})).await.json();
    let next = async |stream: &mut axum::body::BodyDataStream| {
        let piece = tokio::time::timeout(std::time::Duration::from_secs(10), stream.next()).await.expect("in time").expect("a piece").expect("whole");
        String::from_utf8_lossy(&piece).into_owned()
    };
    let event = next(&mut stream).await;
    assert!(event.contains("event: change") && event.contains(first["id"].as_str().expect("an id")), "{event}");
    let seq = event.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    drop(stream);
    let second = door.ask(Method::POST, "/api/v1/records/core.department", &[("authorization", &bearer)], json!({"name": "South"})).await.json();
    let event = next(&mut listen(Some(&seq)).await).await;
    assert!(event.contains(second["id"].as_str().expect("an id")) && !event.contains(first["id"].as_str().expect("an id")), "{event}");
    let ended = door.ask(Method::POST, "/api/v1/auth/logout", &[("authorization", &bearer)], json!({})).await;
    assert_eq!(ended.status, 204);
}

#[tokio::test]
async fn settings_hold_values_of_their_kind() {
    let door = door(Settings::default()).await;
    let answer = door.ask(Method::POST, "/api/v1/auth/login", &[], json!({"email": "ann@example.com", "password": PASSWORD})).await;
    let bearer = format!("Bearer {}", answer.json()["token"].as_str().expect("a token"));
    let headers = [("authorization", bearer.as_str())];
    let app = json!({
        "app": {"name": "shop", "version": "1.0.0", "format": 1, "label": {"en": "Shop"}, "settings": {"factor": {"kind": "decimal", "label": {"en": "Factor"}, "default": 1}}},
        "entities": {"item": {"label": {"en": "Item"}, "plural": {"en": "Items"}, "title": "{{ name }}", "fields": {"name": {"kind": "text", "label": {"en": "Name"}}}}},
    });
    let installed = door.ask(Method::POST, "/api/v1/design/apps", &headers, app).await;
    assert_eq!(installed.status, 201, "{}", String::from_utf8_lossy(&installed.body));
    let set = async |body: Json| door.ask(Method::PATCH, "/api/v1/admin/settings", &headers, body).await;
    assert_eq!(set(json!({"shop": {"factor": "much"}})).await.status, 422);
    assert_eq!(set(json!({"shop": {"facto": 2}})).await.status, 400);
    assert_eq!(set(json!({"shop": {"factor": 2.5}})).await.status, 200);
    let told = door.ask(Method::GET, "/api/v1/admin/settings", &headers, Json::Null).await.json();
    assert_eq!(told["data"]["shop"]["factor"], 2.5);
    assert_eq!(set(json!({"shop": {"factor": null}})).await.json()["data"]["shop"]["factor"], 1);
}
