//! In charge of the program `trellis`: reads the command line, works or serves, says how it ended.
//! Reading order: `cli` (what can be asked), `config` (files and variables), `workspace` (who holds the data folder),
//! then `serve`, and `commands` with a file for each noun.
//! Invariant: exit codes are 0 for done, 1 for failed, 2 for wrong use.

use std::process::ExitCode;

mod bench;
mod cli;
mod commands;
mod config;
mod remote;
mod serve;
mod terminal;
mod workspace;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The work failed.
pub(crate) const FAILED: u8 = 1;
/// It was asked for wrongly.
pub(crate) const WRONG_USE: u8 = 2;

/// Requests make and drop many small values on several threads at once, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A help text is printed through the same door, and is no failure.
            let code = if error.use_stderr() { WRONG_USE } else { DONE };
            let _unprintable = error.print();
            return ExitCode::from(code);
        }
    };
    start_logs(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::print_error(&format!("the program cannot start its threads: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(run(cli));
    // What still blocks a thread must not hold the program.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ExitCode::from(code)
}

async fn run(cli: cli::Cli) -> u8 {
    survive_file_limits();
    match cli.command {
        cli::Command::Serve(ref options) => serve::run(&cli.common, options).await,
        cli::Command::BenchBare(ref asked) => bench::serve_bare(asked).await,
        command => commands::run_here_or_there(&cli.common, command).await,
    }
}

/// A limit on the size of files ends a program that does not listen for its signal. One that listens is told by the write
/// that fails, and answers that there is no room. Listening once holds for the rest of the process.
fn survive_file_limits() {
    /// `SIGXFSZ`: the same on every system that we run on.
    const FILE_TOO_LARGE: i32 = 25;
    if let Err(error) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(FILE_TOO_LARGE)) {
        tracing::warn!(%error, "a limit on the size of files would end the program");
    }
}

fn start_logs(cli: &cli::Cli) {
    use tracing_subscriber::EnvFilter;
    let default = if matches!(cli.command, cli::Command::Serve(_)) { "info,sqlx=warn,sea_orm=warn" } else { "warn" };
    let filter = cli.common.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if cli.common.log_format == cli::LogFormat::Json { logs.json().init() } else { logs.init() }
}
