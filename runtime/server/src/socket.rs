//! In charge of commands for a workspace that is being served: sent to its server over a socket file.
//! Invariant: the socket is for the owner of the data folder alone (mode 0600); one command a connection.

use std::path::Path;

use clap::Parser;
use engine::Engine;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::cli::Cli;
use crate::commands;

/// A command on its way.
#[derive(Serialize, Deserialize)]
struct Asked {
    arguments: Vec<String>,
    folder: String,
    input: String,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
struct Answered {
    ok: bool,
    text: String,
}

/// The most that a command or an answer holds, in bytes.
const MOST: u64 = 64 << 20;

/// Takes commands until the program ends.
///
/// # Errors
/// Where the socket cannot be made.
pub fn listen(path: &Path, engine: Engine, base: String) -> std::io::Result<()> {
    // Whoever holds the lock of the folder owns the name: an old socket is a leftover.
    let _absent = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (engine, base) = (engine.clone(), base.clone());
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &engine, &base).await {
                    tracing::warn!(%error, "a command was not answered");
                }
            });
        }
    });
    Ok(())
}

async fn answer(mut stream: UnixStream, engine: &Engine, base: &str) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    (&mut stream).take(MOST).read_to_end(&mut bytes).await?;
    let answered = match serde_json::from_slice::<Asked>(&bytes) {
        Ok(asked) => {
            let done = match Cli::try_parse_from(&asked.arguments) {
                Ok(cli) => {
                    let command = in_folder(cli, Path::new(&asked.folder)).command;
                    commands::run(engine, &command, &asked.input, base).await
                }
                Err(error) => Err(error.to_string()),
            };
            Answered { ok: done.is_ok(), text: done.unwrap_or_else(|text| text) }
        }
        Err(error) => Answered { ok: false, text: error.to_string() },
    };
    stream.write_all(&serde_json::to_vec(&answered)?).await?;
    stream.shutdown().await
}

/// Paths of a command are those of the folder that it was given in.
fn in_folder(mut cli: Cli, folder: &Path) -> Cli {
    use crate::cli::{AppCommand, Command};
    match &mut cli.command {
        Command::App(AppCommand::Install { folder: path }) => *path = folder.join(&*path),
        Command::App(AppCommand::Export { name, out }) => *out = Some(folder.join(out.clone().unwrap_or_else(|| name.as_str().into()))),
        Command::Backup { file } => *file = folder.join(&*file),
        _ => {}
    }
    cli
}

/// Sends this program's own command to the server of a workspace.
///
/// # Errors
/// What the command says, or that no server answers.
pub async fn send(path: &Path, input: String) -> Result<String, String> {
    let gone = |error: std::io::Error| format!("the workspace is in use, and its server does not answer: {error}");
    let mut stream = UnixStream::connect(path).await.map_err(gone)?;
    let folder = std::env::current_dir().map_err(gone)?.to_string_lossy().into_owned();
    let asked = Asked { arguments: std::env::args().collect(), folder, input };
    let bytes = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    stream.write_all(&bytes).await.map_err(gone)?;
    stream.shutdown().await.map_err(gone)?;
    let mut bytes = Vec::new();
    stream.take(MOST).read_to_end(&mut bytes).await.map_err(gone)?;
    let answered: Answered = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if answered.ok { Ok(answered.text) } else { Err(answered.text) }
}
