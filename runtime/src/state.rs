//! In charge of what all handlers share.
//! Invariant: one engine, one memory of sign-ins; both are cheap to clone.

use std::sync::Arc;

use engine::Engine;
use engine::auth::Auth;
use tokio::sync::watch;

use crate::http::facts::Network;
use crate::http::metrics::Metrics;

/// How a server behaves.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The proxies that are believed.
    pub behind_proxy: Vec<Network>,
    /// The public address, `https://crm.example.com`, without a slash at its end.
    pub base_url: Option<String>,
    /// Whether others than this machine may read metrics.
    pub open_metrics: bool,
    /// Whether the demonstration is served.
    pub demo: bool,
}

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub struct RuntimeState(Arc<Inner>);

struct Inner {
    engine: Engine,
    auth: Auth,
    settings: Settings,
    metrics: Metrics,
    stopping: watch::Sender<bool>,
}

impl RuntimeState {
    /// For the workspace of `engine`.
    #[must_use]
    pub fn new(engine: Engine, settings: Settings) -> Self {
        let auth = Auth::new(engine.clone());
        Self(Arc::new(Inner { engine, auth, settings, metrics: Metrics::default(), stopping: watch::Sender::new(false) }))
    }

    /// The workspace.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Who is who.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// How this server behaves.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Tells what never ends by itself (event streams) to end.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Turns true when the server stops.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }
}
