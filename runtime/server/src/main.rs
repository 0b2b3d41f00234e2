//! In charge of the program: reads the command line, runs what is asked, says how it went.
//! Invariant: ends with 0 when it is done, 1 when the work failed, 2 on wrong use.

mod cli;
mod commands;
mod folders;
mod place;
mod serving;
mod socket;

use std::io::{Read, Write};
use std::process::ExitCode;

use clap::Parser;
use cli::{AppCommand, Cli, Command, UserCommand};
use place::Refused;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("TRELLIS_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(&cli)),
        Err(error) => Err(error.to_string()),
    };
    let (text, code, mut out): (String, ExitCode, Box<dyn Write>) = match done {
        Ok(text) => (text, ExitCode::SUCCESS, Box::new(std::io::stdout())),
        Err(text) => (format!("{}\n", text.trim_end()), ExitCode::FAILURE, Box::new(std::io::stderr())),
    };
    // Whoever closed the pipe has read enough.
    let _closed = out.write_all(text.as_bytes());
    code
}

async fn run(cli: &Cli) -> Result<String, String> {
    match &cli.command {
        Command::Serve(serve) => serving::serve(&cli.place, serve).await.map(|()| String::new()),
        Command::Schema { out } => folders::schemas(out.as_deref()),
        Command::App(AppCommand::Check { folder }) => folders::check(folder),
        Command::App(AppCommand::Test { folder }) => folders::test(folder).await,
        command => on_workspace(cli, command).await,
    }
}

/// Runs a command on the workspace: itself, or by the server that owns it.
async fn on_workspace(cli: &Cli, command: &Command) -> Result<String, String> {
    let mut input = String::new();
    if matches!(command, Command::User(UserCommand::Add { password_stdin: true, .. })) {
        std::io::stdin().read_to_string(&mut input).map_err(|error| error.to_string())?;
    }
    match cli.place.open().await {
        Ok(opened) => {
            let done = commands::run(&opened.engine, command, &input, "http://127.0.0.1:8080").await;
            opened.engine.close().await;
            done
        }
        Err(Refused::Held) => socket::send(&cli.place.socket(), input).await,
        Err(Refused::Failed(reason)) => Err(reason),
    }
}
