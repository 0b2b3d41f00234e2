//! In charge of a running workspace for tests: the real engine and the real router on a loopback port, with a clock that
//! is moved by hand, the sales example installed, and people of every kind who can sign in.
//! Invariant: nothing here knows a short cut: people, departments and data come in through the API, but for the first
//! administrator.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use engine::Engine;
use engine::clock::ManualClock;
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use crate::backend::{Backend, Database, with_database};
use crate::client::{Client, id_of};
use crate::folders;

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

/// A running workspace.
pub struct App {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    /// The clock.
    pub clock: ManualClock,
    /// The engine behind it.
    pub engine: Engine,
    /// Which database.
    pub backend: Backend,
    admin: Client,
    people: Mutex<HashMap<String, Client>>,
    departments: Mutex<HashMap<String, String>>,
    server: tokio::task::JoinHandle<()>,
}

/// When the clock of a test begins.
#[must_use]
pub fn beginning() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 9, 0, 0).single().expect("a moment")
}

impl App {
    /// A workspace with the core app, an administrator, and the sales example.
    pub async fn start(database: &Database) -> Self {
        let clock = ManualClock::new(beginning());
        let engine = crate::serve::open(database, Arc::new(clock.clone())).await;
        let (base, server) = crate::serve::serve(&engine, "admin@example.com", PASSWORD).await;
        let nobody = Client::nobody(&base);
        let admin = nobody.sign_in("admin@example.com", PASSWORD).await;
        let app = Self { base, clock, engine, backend: database.backend, admin, people: Mutex::default(), departments: Mutex::default(), server };
        app.install_files(folders::sales()).await;
        app
    }

    /// The workspace that another one began and ended.
    pub async fn again(database: &Database) -> Self {
        let clock = ManualClock::new(beginning());
        let engine = crate::serve::open(database, Arc::new(clock.clone())).await;
        let (base, server) = crate::serve::serve_again(&engine).await;
        let admin = Client::nobody(&base).sign_in("admin@example.com", PASSWORD).await;
        Self { base, clock, engine, backend: database.backend, admin, people: Mutex::default(), departments: Mutex::default(), server }
    }

    /// Installs an app from a folder of the repository, over the API.
    pub async fn install(&self, folder: &str) -> Json {
        self.install_files(folders::read(folder)).await
    }

    /// Installs an app from files.
    pub async fn install_files(&self, files: Vec<(String, Vec<u8>)>) -> Json {
        let answer = self
            .admin
            .send(self.admin.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(folders::zip(&files)));
        let answer = answer.await;
        assert!(answer.status.is_success(), "{}: {}", answer.asked, answer.text());
        answer.json()
    }

    /// The workspace's administrator.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// Nobody.
    #[must_use]
    pub fn nobody(&self) -> Client {
        Client::nobody(&self.base)
    }

    /// A department, made when it is first asked for.
    pub async fn department(&self, name: &str) -> String {
        let mut departments = self.departments.lock().await;
        if let Some(id) = departments.get(name) {
            return id.clone();
        }
        let id = self.admin.create_id("core.department", json!({"name": name})).await;
        departments.insert(name.to_owned(), id.clone());
        id
    }

    /// A person, made when first asked for: a role of sales and a department.
    pub async fn person(&self, name: &str, role: &str, department: &str) -> Client {
        if let Some(client) = self.people.lock().await.get(name) {
            return client.clone();
        }
        let department = self.department(department).await;
        let email = format!("{name}@example.com");
        let body = json!({"email": email, "name": name, "roles": [format!("sales.{role}")], "department": department, "password": PASSWORD});
        let _ = self.admin.post("/admin/users", body).await.ok(201);
        let client = self.nobody().sign_in(&email, PASSWORD).await;
        self.people.lock().await.insert(name.to_owned(), client.clone());
        client
    }

    /// A rep of the department `north`.
    pub async fn ann(&self) -> Client {
        self.person("ann", "rep", "north").await
    }

    /// Another rep of `north`.
    pub async fn ben(&self) -> Client {
        self.person("ben", "rep", "north").await
    }

    /// The manager of `north`.
    pub async fn mo(&self) -> Client {
        self.person("mo", "manager", "north").await
    }

    /// A rep of `south`, who sees none of north's deals.
    pub async fn zoe(&self) -> Client {
        self.person("zoe", "rep", "south").await
    }

    /// A product.
    pub async fn product(&self, name: &str, price: &str) -> String {
        self.admin.create_id("sales.product", json!({"name": name, "series": "gtx", "sales_price": price})).await
    }

    /// An account.
    pub async fn account(&self, name: &str) -> String {
        self.admin.create_id("sales.account", json!({"name": name, "sector": "technology"})).await
    }

    /// A deal of `owner` over a product and an account that are made for it where `values` names none.
    pub async fn deal(&self, owner: &Client, mut values: Json) -> Json {
        if values.get("product").is_none() {
            let name = format!("Product {}", uuid::Uuid::new_v4().simple());
            values["product"] = Json::String(self.product(&name, "550").await);
        }
        owner.create("sales.deal", values).await
    }

    /// A deal's id.
    pub async fn deal_id(&self, owner: &Client, values: Json) -> String {
        id_of(&self.deal(owner, values).await)
    }

    /// Moves the clock, and does what falls due on the way.
    pub async fn pass(&self, by: chrono::Duration) {
        let target = self.engine.now() + by;
        while let Some(due) = self.engine.next_due().await.expect("due").filter(|due| *due <= target) {
            self.clock.set(due.max(self.engine.now()));
            self.engine.run_due().await.expect("done");
        }
        self.clock.set(target);
    }

    /// Ends the server.
    pub async fn stop(self) {
        self.server.abort();
        self.engine.store().close().await;
    }
}

/// Runs a story on a fresh workspace.
pub fn run<F, Fut>(backend: Backend, story: F)
where
    F: FnOnce(Arc<App>) -> Fut,
    Fut: Future<Output = ()>,
{
    with_database(backend, async |database| {
        let app = Arc::new(App::start(database).await);
        story(Arc::clone(&app)).await;
        if let Ok(app) = Arc::try_unwrap(app).map_err(|_| ()) {
            app.stop().await;
        }
    });
}

/// Declares stories as tests, one for each database.
#[macro_export]
macro_rules! on_both {
    ($($(#[doc = $about:literal])* async fn $name:ident($app:ident) $body:block)*) => {$(
        $(#[doc = $about])*
        mod $name {
            #[allow(unused_imports, reason = "a story may need nothing from around it")]
            use super::*;

            async fn story($app: std::sync::Arc<$crate::app::App>) $body

            #[test]
            fn sqlite() {
                $crate::app::run($crate::backend::Backend::Sqlite, story);
            }

            #[test]
            fn postgres() {
                $crate::app::run($crate::backend::Backend::Postgres, story);
            }
        }
    )*};
}
