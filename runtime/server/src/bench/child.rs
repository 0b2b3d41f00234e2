//! In charge of the processes that are measured: this program as a server, and the bare server beside it.
//! Invariant: a child ends with its handle, whatever happens.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The system refused something.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// A question of the bare side failed.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// A process did not do what it should.
    #[error("{0}")]
    Process(String),
}

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server under measurement.
pub(super) struct Child {
    process: std::process::Child,
    pub(super) address: SocketAddr,
}

impl Child {
    /// This program, serving a workspace.
    pub(super) fn trellis(workspace: &Path, log: &Path) -> Result<Self, Failure> {
        Self::start(&["serve", "--data", &workspace.to_string_lossy()], log)
    }

    /// This program, serving the demonstration.
    pub(super) fn demo(workspace: &Path, log: &Path) -> Result<Self, Failure> {
        Self::start(&["serve", "--demo", "--data", &workspace.to_string_lossy()], log)
    }

    /// Bare handlers over the same file.
    pub(super) fn bare(database: &Path, log: &Path) -> Result<Self, Failure> {
        Self::start(&["bench-bare", &database.to_string_lossy()], log)
    }

    fn start(words: &[&str], log: &Path) -> Result<Self, Failure> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(log)?;
        let process = Command::new(std::env::current_exe()?)
            .args(words)
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut child = Self { process, address };
        child.wait()?;
        Ok(child)
    }

    /// Waits until somebody listens.
    fn wait(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if TcpStream::connect(self.address).is_ok_and(|stream| ready(stream).unwrap_or(false)) {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                return Err(Failure::Process(format!("a server ended at once: {status}")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(Failure::Process("a server does not answer".to_owned()))
    }

    /// The processor time that it used so far.
    pub(super) fn cpu(&self) -> Result<Duration, Failure> {
        /// Linux counts in hundredths of a second, whatever the kernel's own tick is.
        const TICK: Duration = Duration::from_millis(10);
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let after_name = text.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u32 = after_name.split(' ').skip(11).take(2).filter_map(|word| word.parse::<u32>().ok()).sum();
        Ok(TICK * ticks)
    }

    /// Its anonymous memory, in megabytes.
    pub(super) fn anonymous_memory(&self) -> Result<f64, Failure> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes: f64 = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or_default();
        Ok(kilobytes / 1_024.0)
    }

    /// Ends it; dropping does it too.
    pub(super) fn stop(self) {}
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; nobody is left to be told.
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// Whether a server says that it is ready.
fn ready(mut stream: TcpStream) -> std::io::Result<bool> {
    use std::io::Read;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// Runs a command of this program on a workspace; what it said.
pub(super) fn command(workspace: &Path, words: &[&str], input: Option<&str>) -> Result<String, Failure> {
    let mut process = Command::new(std::env::current_exe()?)
        .args(words)
        .arg("--data")
        .arg(workspace)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(input), Some(mut pipe)) = (input, process.stdin.take()) {
        writeln!(pipe, "{input}")?;
    }
    let output = process.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(Failure::Process(format!("trellis {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr))))
}
