//! In charge of starting the real engine behind the real router, in this process.
//! Invariant: the one place in the tests that knows how the program is put together.

use std::net::SocketAddr;
use std::sync::Arc;

use engine::clock::Clock;
use engine::{Engine, Options};
use runtime::{RuntimeState, Settings};
use tokio::task::JoinHandle;

use crate::backend::Database;

/// Opens a workspace.
pub async fn open(database: &Database, clock: Arc<dyn Clock>) -> Engine {
    let options = Options { location: database.location(), data_dir: Some(database.data_dir()), clock };
    Engine::open(options).await.unwrap_or_else(|error| panic!("the workspace does not open: {error}"))
}

/// Serves it on a free port, with its first administrator.
pub async fn serve(engine: &Engine, email: &str, password: &str) -> (String, JoinHandle<()>) {
    let admin = engine::auth::NewUser {
        email: email.to_owned(),
        name: "Admin".to_owned(),
        roles: vec!["core.admin".to_owned()],
        password: Some(password.to_owned()),
        ..engine::auth::NewUser::default()
    };
    let auth = engine::auth::Auth::new(engine.clone());
    auth.create_user(&engine.system(), admin).await.unwrap_or_else(|error| panic!("no first administrator: {error}"));
    serve_again(engine).await
}

/// Serves a workspace that has its people on a free port.
pub async fn serve_again(engine: &Engine) -> (String, JoinHandle<()>) {
    engine.start_jobs();
    let state = RuntimeState::new(engine.clone(), Settings::default());
    let service = runtime::router(state).into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move { axum::serve(listener, service).await.expect("the server runs") });
    (base, server)
}
