//! In charge of talking HTTP in tests: requests as one caller, and answers that can be asked about.
//! Invariant: an answer that is not what was expected fails with the whole answer in the message.

use reqwest::{Method, StatusCode, Url};
use serde_json::{Value as Json, json};

/// What speaks HTTP. The program brings its own cryptography, and so do its tests.
#[must_use]
pub fn http() -> reqwest::Client {
    // Another test of this process may have been first.
    let _there = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// One caller.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    locale: &'static str,
    /// The caller's record in `core.user`; empty for nobody.
    pub id: String,
}

impl Client {
    /// Nobody, at `base`.
    #[must_use]
    pub fn nobody(base: &str) -> Self {
        Self { http: http(), base: base.to_owned(), token: None, locale: "en", id: String::new() }
    }

    /// The same with a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same reading another language.
    #[must_use]
    pub fn reading(&self, locale: &'static str) -> Self {
        Self { locale, ..self.clone() }
    }

    /// The token, for requests made by hand.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// Signs in.
    pub async fn sign_in(&self, email: &str, password: &str) -> Self {
        let answer = self.post("/auth/login", json!({"email": email, "password": password})).await.ok(200);
        let token = answer["token"].as_str().unwrap_or_else(|| panic!("no token in {answer}"));
        let client = self.with_token(token);
        let me = client.get("/me").await.ok(200);
        let id = me["id"].as_str().or_else(|| me["user"]["id"].as_str()).unwrap_or_else(|| panic!("no id in {me}")).to_owned();
        Self { id, ..client }
    }

    /// Sends a file.
    pub async fn upload(&self, name: &str, kind: &str, bytes: Vec<u8>) -> Answer {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned()).mime_str(kind).expect("a type");
        self.send(self.request(Method::POST, "/files").multipart(reqwest::multipart::Form::new().part("file", part))).await
    }

    /// A request by hand. A path that does not begin with `/api` or `//` is below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(outside) => format!("{}/{outside}", self.base),
            None => format!("{}/api/v1{path}", self.base),
        };
        let mut request = self.http.request(method, url).header("accept-language", self.locale);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request
    }

    /// Sends a request made by hand.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request that can be sent");
        let asked = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await.unwrap_or_else(|error| panic!("{asked}: {error}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_else(|error| panic!("{asked}: {error}")).to_vec();
        Answer { asked, status, headers, body }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET with a query.
    pub async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        let url = Url::parse_with_params(&format!("{}/api/v1{path}", self.base), query).expect("an address");
        let mut request = self.http.get(url).header("accept-language", self.locale);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        self.send(request).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Json) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// POST of a body by hand.
    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(Method::POST, path).header("content-type", "application/json").body(body)).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: Json) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    // ---- records, in the words of the tests

    /// A new record, as answered.
    pub async fn create(&self, entity: &str, values: Json) -> Json {
        self.post(&format!("/records/{entity}"), values).await.ok(201)
    }

    /// A new record's id.
    pub async fn create_id(&self, entity: &str, values: Json) -> String {
        id_of(&self.create(entity, values).await)
    }

    /// A record.
    pub async fn read(&self, entity: &str, id: &str) -> Json {
        self.get(&format!("/records/{entity}/{id}")).await.ok(200)
    }

    /// A record changed, as answered.
    pub async fn change(&self, entity: &str, id: &str, values: Json) -> Json {
        self.patch(&format!("/records/{entity}/{id}"), values).await.ok(200)
    }

    /// A move in a pipeline.
    pub async fn step(&self, entity: &str, id: &str, body: Json) -> Answer {
        self.post(&format!("/records/{entity}/{id}/move"), body).await
    }

    /// The rows of a list.
    pub async fn list(&self, entity: &str, query: &[(&str, &str)]) -> Vec<Json> {
        let answer = self.ask(&format!("/records/{entity}"), query).await.ok(200);
        answer["data"].as_array().unwrap_or_else(|| panic!("no data in {answer}")).clone()
    }

    /// The rows that a filter selects.
    pub async fn find(&self, entity: &str, filter: Json) -> Vec<Json> {
        self.list(entity, &[("filter", &filter.to_string()), ("limit", "1000")]).await
    }

    /// Follows a list to its end, page by page.
    pub async fn pages(&self, entity: &str, query: &[(&str, &str)]) -> Vec<Json> {
        let (mut rows, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut page_query = query.to_vec();
            if let Some(after) = &after {
                page_query.push(("after", after));
            }
            let page = self.ask(&format!("/records/{entity}"), &page_query).await.ok(200);
            rows.extend(page["data"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return rows,
            }
            assert!(rows.len() < 100_000, "a list without an end");
        }
    }
}

/// A record's id.
#[must_use]
pub fn id_of(record: &Json) -> String {
    record["id"].as_str().unwrap_or_else(|| panic!("no id in {record}")).to_owned()
}

/// One column of rows, as text.
#[must_use]
pub fn column(rows: &[Json], field: &str) -> Vec<String> {
    rows.iter().map(|row| row[field].as_str().map_or_else(|| row[field].to_string(), str::to_owned)).collect()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// What was asked.
    pub asked: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header; empty where it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {} is no JSON ({error}): {}", self.asked, self.status, self.text()))
    }

    /// The body of an answer with this status.
    #[must_use = "the answer is only checked for its status"]
    pub fn ok(&self, status: u16) -> Json {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text());
        if self.body.is_empty() { Json::Null } else { self.json() }
    }

    /// That the answer has this status; its body does not matter.
    pub fn is(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text());
    }

    /// A problem with this status and code, in the form that every problem has.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Json {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text());
        assert!(self.header("content-type").starts_with("application/problem+json"), "{}: {}", self.asked, self.header("content-type"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}: {problem}", self.asked);
        assert_eq!(problem["status"], status, "{problem}");
        for key in ["type", "title", "detail"] {
            assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "{key} is missing: {problem}");
        }
        assert!(problem["errors"].is_array(), "{problem}");
        problem
    }

    /// A problem with a fault of this code at this field among its errors.
    #[track_caller]
    pub fn fault(&self, status: u16, code: &str, field: &str) -> Json {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text());
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let found = errors.iter().find(|error| error["code"] == code && (error["field"] == field || error["pointer"] == format!("/{field}")));
        found.unwrap_or_else(|| panic!("{}: no {code} at {field} in {problem}", self.asked)).clone()
    }
}
