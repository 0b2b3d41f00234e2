//! In charge of the processes that are measured: this program as a server, and the bare server beside it.
//! Invariant: a child ends with its handle, whatever happens.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The system refused something.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// A question of the bare side failed.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// The same, of a server.
    #[error("{0}")]
    Server(#[from] sqlx::Error),
    /// A process did not do what it should.
    #[error("{0}")]
    Process(String),
}

/// A workspace under measurement: its data folder, and its database where that is not the file in it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) folder: PathBuf,
    pub(super) database: Option<String>,
    /// The word of who asks: a seller, not an administrator.
    pub(super) token: String,
}

impl Site {
    /// What the bare server is told.
    fn bare(&self) -> String {
        self.database.clone().unwrap_or_else(|| super::data::file(&self.folder).to_string_lossy().into_owned())
    }

    /// The words by which this program finds it.
    fn words(&self) -> Vec<String> {
        let folder = self.folder.to_string_lossy().into_owned();
        let mut words = vec!["--data".to_owned(), folder];
        words.extend(self.database.iter().flat_map(|url| ["--database".to_owned(), url.clone()]));
        words
    }
}

/// This program once more, untouched by what this one was told through variables.
fn program() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRELLIS_") {
            command.env_remove(name);
        }
    }
    Ok(command)
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
    pub(super) fn trellis(site: &Site, log: &Path) -> Result<Self, Failure> {
        Self::start([vec!["serve".to_owned()], site.words()].concat(), log)
    }

    /// This program, serving the demonstration.
    pub(super) fn demo(workspace: &Path, log: &Path) -> Result<Self, Failure> {
        Self::start(["serve", "--demo", "--data", &workspace.to_string_lossy()].map(str::to_owned).to_vec(), log)
    }

    /// Bare handlers over the same database.
    pub(super) fn bare(site: &Site, log: &Path) -> Result<Self, Failure> {
        Self::start(vec!["bench-bare".to_owned(), site.bare()], log)
    }

    /// Bare handlers over the same file that write what a decision and a ticket came to.
    pub(super) fn bare_process(site: &Site, decision: uuid::Uuid, ticket: uuid::Uuid, log: &Path) -> Result<Self, Failure> {
        let words = ["bench-bare".to_owned(), site.bare(), "--decision".to_owned(), decision.to_string(), "--ticket".to_owned(), ticket.to_string()];
        Self::start(words.to_vec(), log)
    }

    fn start(words: Vec<String>, log: &Path) -> Result<Self, Failure> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (path, log) = (log, File::create(log)?);
        let process =
            program()?.args(words).args(["--listen", &address.to_string()]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut child = Self { process, address };
        match child.wait() {
            Ok(()) => Ok(child),
            Err(failure) => {
                let said = std::fs::read_to_string(path).unwrap_or_default();
                Err(Failure::Process(format!("{failure}: {}", said.trim())))
            }
        }
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
        Ok(anonymous(self.process.id())?)
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

/// The anonymous memory of a process, in megabytes: what it holds itself, without the files that it maps.
fn anonymous(process: u32) -> std::io::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes: f64 = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or_default();
    Ok(kilobytes / 1_024.0)
}

/// What a command came to.
pub(super) struct Said {
    /// What it printed.
    pub(super) text: String,
    /// The most memory that it held, in megabytes.
    pub(super) most_memory: f64,
}

/// Runs a command of this program on a workspace.
pub(super) fn command(site: &Site, words: &[&str], input: Option<&str>) -> Result<Said, Failure> {
    /// How often its memory is looked at.
    const LOOK: Duration = Duration::from_millis(10);
    let mut process = program()?
        .args(words)
        .args(site.words())
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(input), Some(mut pipe)) = (input, process.stdin.take()) {
        writeln!(pipe, "{input}")?;
    }
    let (id, over) = (process.id(), AtomicBool::new(false));
    let (output, most_memory) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !over.load(Ordering::Acquire) {
                // It may have ended between two looks.
                most = most.max(anonymous(id).unwrap_or_default());
                std::thread::sleep(LOOK);
            }
            most
        });
        let output = process.wait_with_output();
        over.store(true, Ordering::Release);
        (output, watching.join().unwrap_or_default())
    });
    let output = output?;
    if output.status.success() {
        return Ok(Said { text: String::from_utf8_lossy(&output.stdout).trim().to_owned(), most_memory });
    }
    Err(Failure::Process(format!("trellis {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr))))
}
