//! In charge of the real program as a process of its own: started, talked to, killed, started again.
//! Invariant: a process that was started here is ended here, by its own handle.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database as Connection};
use uuid::Uuid;

use crate::app::PASSWORD;
use crate::backend::{Backend, postgres_url};
use crate::client::Client;
use crate::folders;

/// Where the program is.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TRELLIS_BINARY") {
        return PathBuf::from(path);
    }
    let here = std::env::current_exe().expect("this test is a file");
    let built = here.ancestors().nth(2).expect("target/debug").join("trellis");
    assert!(built.is_file(), "{} is not built: cargo build -p server", built.display());
    built
}

/// A workspace on disk that the program works on.
pub struct Workspace {
    folder: tempfile::TempDir,
    /// The database's URL, where it is not the file in the folder.
    pub database: Option<String>,
    postgres: Option<String>,
}

impl Workspace {
    /// An empty one.
    pub async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (mut database, mut postgres) = (None, None);
        if backend == Backend::Postgres {
            let name = format!("w_{}", Uuid::new_v4().simple());
            server_says(&format!("create database {name}")).await;
            let url = postgres_url();
            let (server, _) = url.rsplit_once('/').expect("a URL with a database");
            database = Some(format!("{server}/{name}"));
            postgres = Some(name);
        }
        Self { folder, database, postgres }
    }

    /// With an administrator and the sales example in it.
    pub async fn with_sales(backend: Backend) -> Self {
        let workspace = Self::new(backend).await;
        workspace.run(&["user", "add", "admin@example.com", "--name", "Admin", "--role", "core.admin", "--password-stdin"], PASSWORD);
        let app = tempfile::tempdir().expect("a scratch folder");
        for (name, bytes) in folders::sales() {
            let path = app.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        }
        workspace.run(&["app", "install", &app.path().to_string_lossy()], "");
        workspace
    }

    /// The data folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Command::new(binary()), arguments)
    }

    fn command_of(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).arg("--data").arg(self.path()).current_dir(folders::root());
        if let Some(database) = &self.database {
            command.arg("--database").arg(database);
        }
        command
    }

    /// Runs a command of the program to its end; it must succeed.
    pub fn run(&self, arguments: &[&str], input: &str) -> String {
        let (code, text) = self.try_run(arguments, input);
        assert_eq!(code, Some(0), "trellis {arguments:?}: {text}");
        text
    }

    /// Runs a command of the program to its end: its exit code and what it said.
    pub fn try_run(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut child =
            self.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        child.stdin.take().expect("an input").write_all(format!("{input}\n").as_bytes()).ok();
        let output = child.wait_with_output().expect("the program ends");
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    /// Starts a server and waits until it answers.
    pub async fn serve(&self) -> Server {
        self.serve_with(&[]).await
    }

    /// Starts a server with further flags and waits until it answers.
    pub async fn serve_with(&self, flags: &[&str]) -> Server {
        self.serve_by(&|| Command::new(binary()), flags).await
    }

    /// Starts a server none of whose files may grow beyond so many blocks of 512 bytes.
    pub async fn serve_within(&self, blocks: u64) -> Server {
        let limited = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -f {blocks} && exec \"$0\" \"$@\"")]).arg(binary());
            shell
        };
        self.serve_by(&limited, &[]).await
    }

    async fn serve_by(&self, program: &dyn Fn() -> Command, flags: &[&str]) -> Server {
        for _ in 0..5 {
            let port = free_port();
            let log = std::fs::File::options().create(true).append(true).open(self.path().join("server.log")).expect("a log");
            let errors = log.try_clone().expect("a log");
            let child = self
                .command_of(program(), &[&["serve", "--listen", &format!("127.0.0.1:{port}")], flags].concat())
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .spawn();
            let mut server = Server { child: child.expect("the program runs"), base: format!("http://127.0.0.1:{port}") };
            if server.is_ready().await {
                return server;
            }
        }
        panic!("the server does not start: {}", self.log());
    }

    /// What servers said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("server.log")).unwrap_or_default()
    }

    /// Removes the database on the server.
    pub async fn remove(self) {
        if let Some(name) = &self.postgres {
            server_says(&format!("drop database if exists {name} with (force)")).await;
        }
    }

    /// Cuts every connection to the database, as a restart of PostgreSQL would.
    pub async fn cut_connections(&self) {
        if let Some(name) = &self.postgres {
            server_says(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")).await;
        }
    }
}

async fn server_says(statement: &str) {
    let connection = Connection::connect(postgres_url()).await.expect("PostgreSQL answers");
    connection.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    connection.close().await.expect("a connection can be closed");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A running server.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub base: String,
}

impl Server {
    async fn is_ready(&mut self) -> bool {
        let http = crate::client::http();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if self.child.try_wait().expect("a process").is_some() {
                return false;
            }
            if http.get(format!("{}/readyz", self.base)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Signs the administrator in.
    pub async fn admin(&self) -> Client {
        Client::nobody(&self.base).sign_in("admin@example.com", PASSWORD).await
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("a process that can be killed");
        self.child.wait().expect("a process that ends");
    }

    /// Asks it to end, and waits: its exit code.
    pub fn stop(mut self) -> Option<i32> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(15) {
            if let Some(status) = self.child.try_wait().expect("a process") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not end when asked");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
