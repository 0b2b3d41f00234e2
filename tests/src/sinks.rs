//! In charge of receivers for tests: a web server and a mail server on loopback, real ones, that take down what reaches them
//! and misbehave when they are told to.
//! Invariant: what a sink took down is what came over its socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A call as it came in.
#[derive(Clone, Debug)]
pub struct Call {
    /// The path.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Call {
    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(there, _)| there == name).map_or("", |(_, value)| value)
    }
}

/// How the web server answers; closed.
#[derive(Clone, Debug)]
pub enum Mood {
    /// 200.
    Well,
    /// Another status, with a header.
    Status(u16, &'static str),
    /// 200 and more than anybody wants to read.
    Endless,
    /// 200 and an answer of 10 MB, a few bytes at a time.
    Slow,
}

/// A web server.
pub struct WebSink {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    calls: Arc<Mutex<Vec<Call>>>,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    task: JoinHandle<()>,
}

impl WebSink {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let moods = Arc::<Mutex<VecDeque<Mood>>>::default();
        let (taken, next) = (Arc::clone(&calls), Arc::clone(&moods));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (taken, next) = (Arc::clone(&taken), Arc::clone(&next));
                tokio::spawn(async move {
                    // Whoever calls may be killed in the middle.
                    drop(exchange(stream, &taken, &next).await);
                });
            }
        });
        Self { base, calls, moods, task }
    }

    /// What came in so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("calls").clone()
    }

    /// How the next calls are answered, in order; after that well.
    pub fn be(&self, moods: impl IntoIterator<Item = Mood>) {
        self.moods.lock().expect("moods").extend(moods);
    }
}

impl Drop for WebSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn exchange(mut stream: TcpStream, calls: &Mutex<Vec<Call>>, moods: &Mutex<VecDeque<Mood>>) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    read.read_line(&mut line).await?;
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        line.clear();
        if read.read_line(&mut line).await? == 0 {
            // Whoever called is gone: that was no call.
            return Ok(());
        }
        let Some((name, value)) = line.trim().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse().unwrap_or(0);
        }
        headers.push((name, value));
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    calls.lock().expect("calls").push(Call { path, headers, body: String::from_utf8_lossy(&body).into_owned() });
    let mood = moods.lock().expect("moods").pop_front().unwrap_or(Mood::Well);
    match mood {
        Mood::Well => write.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await,
        Mood::Status(status, header) => {
            write.write_all(format!("HTTP/1.1 {status} So\r\n{header}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await
        }
        Mood::Slow => {
            write.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\nconnection: close\r\n\r\n").await?;
            // Never again within anybody's patience: the line stays open until the other side hangs up.
            write.write_all(b"xxxx").await?;
            read.read_to_end(&mut body).await.map(drop)
        }
        Mood::Endless => {
            write.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            let chunk = vec![b'x'; 64 << 10];
            loop {
                write.write_all(&chunk).await?;
            }
        }
    }
}

/// A mail server that asks for a name and a password.
pub struct MailSink {
    /// `127.0.0.1:PORT`.
    pub address: String,
    heard: Arc<Heard>,
    task: JoinHandle<()>,
}

/// What a mail server took down.
#[derive(Default)]
struct Heard {
    mails: Mutex<Vec<String>>,
    refusals: Mutex<VecDeque<&'static str>>,
    /// Words that came in the clear.
    clear: Mutex<Vec<String>>,
}

impl MailSink {
    /// Starts one that speaks in the clear.
    pub async fn start() -> Self {
        Self::begin(None).await
    }

    /// Starts one that takes nothing before the connection is secured by STARTTLS; its certificate is signed by [`Self::CA`].
    pub async fn start_secured() -> Self {
        let pem = |bytes: &'static [u8]| rustls::pki_types::CertificateDer::from_pem_slice(bytes).expect("a certificate");
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(include_bytes!("tls/leaf.key")).expect("a key");
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![pem(include_bytes!("tls/leaf.pem"))], key)
            .expect("a certificate and its key");
        Self::begin(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// Who signed the certificate of a secured one. The key beside it opens nothing but these tests.
    pub const CA: &'static [u8] = include_bytes!("tls/ca.pem");

    /// Starts one that takes connections and never says a word.
    pub async fn start_silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Self { address, heard: Arc::default(), task }
    }

    async fn begin(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let heard = Arc::<Heard>::default();
        let all = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, tls) = (Arc::clone(&all), tls.clone());
                tokio::spawn(async move {
                    drop(received(stream, tls, &heard).await);
                });
            }
        });
        Self { address, heard, task }
    }

    /// The mails that were taken, as they came.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        self.heard.mails.lock().expect("mails").clone()
    }

    /// The words that came before a connection was secured.
    #[must_use]
    pub fn in_the_clear(&self) -> Vec<String> {
        self.heard.clear.lock().expect("words").clone()
    }

    /// What the next mails are refused with, `451 later`.
    pub fn refuse(&self, answers: impl IntoIterator<Item = &'static str>) {
        self.heard.refusals.lock().expect("refusals").extend(answers);
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn received(mut stream: TcpStream, tls: Option<TlsAcceptor>, heard: &Heard) -> std::io::Result<()> {
    stream.write_all(b"220 sink\r\n").await?;
    let Some(tls) = tls else { return talk(&mut stream, Line::Open, heard).await.map(drop) };
    if talk(&mut stream, Line::Clear, heard).await? {
        talk(&mut tls.accept(stream).await?, Line::Open, heard).await?;
    }
    Ok(())
}

/// What a line is good for; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Mails are taken on it.
    Open,
    /// It is to be secured first.
    Clear,
}

/// Speaks until one hangs up, or wants the line secured: then true.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, kind: Line, heard: &Heard) -> std::io::Result<bool> {
    let (read, mut write) = tokio::io::split(stream);
    let mut read = BufReader::new(read);
    let (mut line, mut is_known) = (String::new(), false);
    loop {
        line.clear();
        if read.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        if kind == Line::Clear {
            heard.clear.lock().expect("words").push(word.clone());
        }
        let answer: &str = match (word.as_str(), kind) {
            ("EHLO", Line::Clear) => "250-sink\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
            ("EHLO", Line::Open) => "250-sink\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n",
            ("STARTTLS", Line::Clear) => {
                write.write_all(b"220 go on\r\n").await?;
                return Ok(true);
            }
            ("AUTH" | "MAIL" | "RCPT" | "DATA", Line::Clear) => "530 STARTTLS first\r\n",
            // `crm` and `secret`, as PLAIN has them.
            ("AUTH", Line::Open) if line.trim_end().ends_with("AGNybQBzZWNyZXQ=") => {
                is_known = true;
                "235 welcome\r\n"
            }
            ("AUTH", Line::Open) => "535 who are you\r\n",
            ("MAIL" | "RCPT", Line::Open) if !is_known => "530 who are you\r\n",
            ("MAIL" | "RCPT" | "RSET" | "NOOP", _) => "250 ok\r\n",
            ("DATA", Line::Open) => {
                write.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                loop {
                    line.clear();
                    if read.read_line(&mut line).await? == 0 || line == ".\r\n" {
                        break;
                    }
                    mail.push_str(&line);
                }
                let refused = heard.refusals.lock().expect("refusals").pop_front();
                match refused {
                    Some(answer) => {
                        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
                        continue;
                    }
                    None => {
                        heard.mails.lock().expect("mails").push(mail);
                        "250 taken\r\n"
                    }
                }
            }
            ("QUIT", _) => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(false);
            }
            _ => "502 what\r\n",
        };
        write.write_all(answer.as_bytes()).await?;
    }
}
