//! In charge of asking: many connections at once, each with one question at a time, for a set time.
//! Invariant: an answer that is not the one that was hoped for ends the measurement: wrong answers are quick.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::child::Failure;

/// A request, but for what is the same in all.
#[derive(Clone)]
pub(super) struct Request {
    /// The method and the path.
    pub(super) line: String,
    /// The body; empty where there is none.
    pub(super) body: String,
    /// The word of who asks, where it is not the load's own.
    pub(super) token: Option<String>,
}

impl Request {
    pub(super) fn get(path: String) -> Self {
        Self { line: format!("GET {path}"), body: String::new(), token: None }
    }

    pub(super) fn post(path: &str, body: String) -> Self {
        Self { line: format!("POST {path}"), body, token: None }
    }

    pub(super) fn patch(path: &str, body: String) -> Self {
        Self { line: format!("PATCH {path}"), body, token: None }
    }

    /// The same, asked by somebody else.
    pub(super) fn by(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }
}

/// A load on a server.
pub(super) struct Load<'a> {
    pub(super) address: SocketAddr,
    pub(super) clients: usize,
    pub(super) lasts: Duration,
    pub(super) token: &'a str,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Micros of each answer, in rising order.
    times: Vec<u32>,
    took: Duration,
    /// What the server's processors did meanwhile.
    pub(super) cpu: Duration,
}

impl Outcome {
    pub(super) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The server's processor time of one answer.
    pub(super) fn cpu_millis(&self) -> f64 {
        self.cpu.as_secs_f64() * 1_000.0 / self.times.len().max(1) as f64
    }

    /// The time within which this share of the answers came, in milliseconds.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let last = self.times.len().saturating_sub(1);
        let place = (last as f64 * share).round();
        self.times.get(place as usize).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }
}

impl Load<'_> {
    /// Asks until the time is over.
    pub(super) fn drive(&self, question: &(dyn Fn(u64) -> Request + Sync)) -> Result<Outcome, Failure> {
        self.drive_until(question, &|| false)
    }

    /// Asks until the time is over, or `over` says so.
    pub(super) fn drive_until(&self, question: &(dyn Fn(u64) -> Request + Sync), over: &(dyn Fn() -> bool + Sync)) -> Result<Outcome, Failure> {
        // Questions are numbered across all runs, so that no create repeats a key.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let began = Instant::now();
        self.ask(&|| (began.elapsed() < self.lasts && !over()).then(|| question(NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    /// Asks each once.
    pub(super) fn all(&self, requests: &[Request]) -> Result<Outcome, Failure> {
        let next = AtomicUsize::new(0);
        self.ask(&|| requests.get(next.fetch_add(1, Ordering::Relaxed)).cloned())
    }

    /// Asks what `next` gives, until it gives nothing.
    fn ask(&self, next: &dyn Fn() -> Option<Request>) -> Result<Outcome, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let began = Instant::now();
            let clients = (0..self.clients).map(|_| async {
                let mut connection = Connection { stream: TcpStream::connect(self.address).await?, buffer: Vec::with_capacity(64 << 10) };
                connection.stream.set_nodelay(true)?;
                let mut times = Vec::new();
                while let Some(request) = next() {
                    let request = self.bytes(&request);
                    let asked = Instant::now();
                    connection.ask(&request).await?;
                    times.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                Ok::<_, Failure>(times)
            });
            let mut outcome = Outcome::default();
            for times in futures_util::future::join_all(clients).await {
                outcome.times.extend(times?);
            }
            outcome.times.sort_unstable();
            outcome.took = began.elapsed();
            Ok(outcome)
        })
    }

    fn bytes(&self, request: &Request) -> Vec<u8> {
        let mut text =
            format!("{} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", request.line, request.token.as_deref().unwrap_or(self.token));
        if !request.body.is_empty() {
            text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", request.body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&request.body);
        text.into_bytes()
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Asks and waits for the whole answer.
    async fn ask(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Failure::Process("a server hung up".to_owned()));
            }
            if whole(&self.buffer).is_some_and(|end| self.buffer.len() >= end) {
                return good(&self.buffer);
            }
        }
    }
}

/// Where the answer ends, once its head is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = std::str::from_utf8(answer.get(..head)?).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some(head + 4 + length)
}

fn good(answer: &[u8]) -> Result<(), Failure> {
    if answer.starts_with(b"HTTP/1.1 2") {
        return Ok(());
    }
    Err(Failure::Process(format!("a server refused: {}", String::from_utf8_lossy(answer))))
}
