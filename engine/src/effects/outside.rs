//! In charge of what speaks to the world on the engine's behalf: the server's own, or a scenario's that only takes notes.
//! Invariant: whoever implements it bounds answers in size and time and reaches no address that is not allowed.

use futures_util::future::BoxFuture;
use uuid::Uuid;

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its id: the same however often it is sent.
    pub id: Uuid,
    /// The address that it goes to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// A request to another system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Where.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What another system answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// How long it asks to be left alone, in seconds.
    pub retry_after: Option<i64>,
    /// The first part of its body.
    pub body: Vec<u8>,
}

/// That the world did not take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why, for an administrator.
    pub reason: String,
    /// Whether trying again is of no use.
    pub is_final: bool,
    /// How long to wait at least.
    pub after: chrono::Duration,
    /// What was answered.
    pub answer: Option<String>,
}

impl Refused {
    /// Not now.
    #[must_use]
    pub fn later(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_final: false, after: chrono::Duration::zero(), answer: None }
    }

    /// Never.
    #[must_use]
    pub fn for_good(reason: impl Into<String>) -> Self {
        Self { is_final: true, ..Self::later(reason) }
    }
}

/// What speaks to the world.
pub trait Outside: Send + Sync {
    /// Hands a mail to the mail server.
    fn mail(&self, mail: Mail) -> BoxFuture<'static, Result<(), Refused>>;
    /// Whether a mail server is set up; where it is, it was asked and answered.
    fn mail_server(&self) -> BoxFuture<'static, Result<bool, Refused>> {
        Box::pin(async { Ok(false) })
    }
    /// Sends a request.
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Answer, Refused>>;
}

/// A world that cannot be reached: commands that only look, and tests that need none.
#[derive(Debug, Default)]
pub struct Nowhere;

impl Outside for Nowhere {
    fn mail(&self, _: Mail) -> BoxFuture<'static, Result<(), Refused>> {
        Box::pin(async { Err(Refused::later("no mail server is set up")) })
    }

    fn send(&self, _: Request) -> BoxFuture<'static, Result<Answer, Refused>> {
        Box::pin(async { Err(Refused::later("nothing outside can be reached from here")) })
    }
}
