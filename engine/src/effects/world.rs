//! In charge of speaking to the world for real: mail servers over SMTP, other systems over HTTP.
//! Invariant: a name is resolved once, its addresses are judged, and exactly those are spoken to; no redirect is followed.
//! Invariant: every exchange ends in time; of an answer so much is read and no more.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

use super::address::is_private;
use super::{Answer, Mail, Outside, Refused, Request};
use crate::error::Error;

/// How long one exchange may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const READ: usize = 64 << 10;

/// How the world is reached.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The mail server: `smtp://user:password@host:587?tls=required`, `smtps://…`; none where no mail is sent.
    pub smtp: Option<String>,
    /// What mails come from: `Sales <crm@example.com>`.
    pub mail_from: Option<String>,
    /// A certificate (PEM) that the mail server's is signed by, where no known authority signed it.
    pub smtp_ca: Option<Vec<u8>>,
    /// Whether addresses of private networks may be spoken to.
    pub allow_private: bool,
    /// How long an answer is waited for; ten seconds where absent.
    pub patience: Option<Duration>,
}

/// The world.
pub struct World {
    smtp: Option<Arc<AsyncSmtpTransport<Tokio1Executor>>>,
    from: Option<Mailbox>,
    http: reqwest::Client,
    allow_private: bool,
    patience: Duration,
}

impl World {
    /// Makes ready to speak to the world; nothing is connected yet.
    ///
    /// # Errors
    /// Where a setting has not its form.
    pub fn new(reach: &Reach) -> Result<Self, Error> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| Error::Internal(format!("{what}: {error}"));
        let from = match &reach.mail_from {
            Some(text) => Some(text.parse::<Mailbox>().map_err(|error| wrong("the address that mails come from", &error))?),
            None => None,
        };
        let patience = reach.patience.unwrap_or(TIMEOUT);
        let smtp = match &reach.smtp {
            Some(url) => Some(Arc::new(mailer(url, reach.smtp_ca.as_deref(), patience).map_err(|error| wrong("the mail server", &error))?)),
            None => None,
        };
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("TLS", &error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(Policy::none())
            .timeout(patience)
            .dns_resolver(Judging { allow_private: reach.allow_private })
            .user_agent("trellis")
            .build()
            .map_err(|error| wrong("HTTP", &error))?;
        Ok(Self { smtp, from, http, allow_private: reach.allow_private, patience })
    }
}

fn mailer(url: &str, ca: Option<&[u8]>, patience: Duration) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.timeout(Some(patience));
    if let Some(ca) = ca {
        let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let parameters = TlsParameters::builder(host).add_root_certificate(Certificate::from_pem(ca)?).build()?;
        builder = builder.tls(if url.starts_with("smtps:") { Tls::Wrapper(parameters) } else { Tls::Required(parameters) });
    }
    Ok(builder.build())
}

/// Resolves names to addresses that may be spoken to.
struct Judging {
    allow_private: bool,
}

impl Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let good: Vec<SocketAddr> = found.iter().copied().filter(|address| allow_private || !is_private(address.ip())).collect();
            match (found.is_empty(), good.is_empty()) {
                (false, true) => Err(format!("{} is an address of a private network", name.as_str()).into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

impl Outside for World {
    fn mail(&self, mail: Mail) -> BoxFuture<'static, Result<(), Refused>> {
        let (smtp, from, patience) = (self.smtp.clone(), self.from.clone(), self.patience);
        Box::pin(async move {
            let (Some(smtp), Some(from)) = (smtp, from) else { return Err(Refused::later("no mail server is set up")) };
            let message = written(&mail, from)?;
            match tokio::time::timeout(patience * 3, smtp.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) if error.is_permanent() => Err(Refused::for_good(error.to_string())),
                Ok(Err(error)) => Err(Refused::later(error.to_string())),
                Err(_) => Err(Refused::later("the mail server did not answer in time")),
            }
        })
    }

    fn mail_server(&self) -> BoxFuture<'static, Result<bool, Refused>> {
        let smtp = self.smtp.clone();
        Box::pin(async move {
            let Some(smtp) = smtp else { return Ok(false) };
            match tokio::time::timeout(TIMEOUT, smtp.test_connection()).await {
                Ok(Ok(true)) => Ok(true),
                Ok(Ok(false)) => Err(Refused::later("the mail server takes no mails just now")),
                Ok(Err(error)) => Err(Refused::later(error.to_string())),
                Err(_) => Err(Refused::later("the mail server did not answer in time")),
            }
        })
    }

    fn send(&self, request: Request) -> BoxFuture<'static, Result<Answer, Refused>> {
        let (http, allow_private, patience) = (self.http.clone(), self.allow_private, self.patience);
        Box::pin(async move {
            let url = reqwest::Url::parse(&request.url).map_err(|error| Refused::for_good(format!("the address is none: {error}")))?;
            let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
            if !allow_private && address.is_some_and(is_private) {
                return Err(Refused::for_good("that is an address of a private network"));
            }
            let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| Refused::for_good(error.to_string()))?;
            let mut asked = http.request(method, url).body(request.body);
            for (name, value) in &request.headers {
                asked = asked.header(name, value);
            }
            tokio::time::timeout(patience, exchange(asked)).await.unwrap_or_else(|_| Err(Refused::later("no answer in time")))
        })
    }
}

async fn exchange(asked: reqwest::RequestBuilder) -> Result<Answer, Refused> {
    let told = |error: reqwest::Error| {
        // The innermost cause says it best.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Refused::later(cause.to_string())
    };
    let mut answer = asked.send().await.map_err(told)?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(told)? {
        let room = READ - body.len();
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if body.len() >= READ {
            break;
        }
    }
    Ok(Answer { status, retry_after, body })
}

/// A mail as it is sent: its id is the effect's, so that a mail sent twice is known as one.
fn written(mail: &Mail, from: Mailbox) -> Result<Message, Refused> {
    let refused = |error: &dyn std::fmt::Display| Refused::for_good(error.to_string());
    let to: Mailbox = mail.to.parse().map_err(|error| refused(&error))?;
    let domain = from.email.domain().to_owned();
    Message::builder()
        .from(from)
        .to(to)
        .subject(mail.subject.replace(['\r', '\n'], " "))
        .message_id(Some(format!("<{}@{domain}>", mail.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.clone())
        .map_err(|error| refused(&error))
}
