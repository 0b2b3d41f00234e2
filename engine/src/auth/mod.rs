//! In charge of who is who: passwords, sessions, tokens, links, and the people that they belong to.
//! Reading order: `Auth`; then `secret`, `password`, `limits`, `sessions`, `tokens`, `links`, `users`.
//! Invariant: people are records of `core.user`, written through the same path as all records; only secrets are kept beside them.
//! Invariant: what ends (a session, a token, a person's activity) ends with the next request.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::Engine;

mod limits;
mod links;
mod password;
pub mod secret;
mod sessions;
mod tokens;
mod users;

pub(crate) use limits::network;
pub use sessions::{Client, SessionInfo, SignedIn, Verified};
pub use tokens::{NewToken, Scope, TokenInfo};
pub use users::{NewUser, UserInfo};

/// Signs people in and knows who is. Cheap to clone; one for each engine, for it remembers.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    engine: Engine,
    hasher: password::Hasher,
    limits: limits::Limits,
    /// Secrets that were found good, where no other process can end them.
    known: RwLock<sessions::Known>,
}

impl Auth {
    /// For the workspace of `engine`.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self(Arc::new(Inner { engine, hasher: password::Hasher::new(), limits: limits::Limits::default(), known: RwLock::default() }))
    }

    /// The workspace.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }
}
