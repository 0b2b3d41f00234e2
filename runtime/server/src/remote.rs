//! In charge of commands that find the workspace being served: they are sent to the server and its words come back.
//! Invariant: the socket is for the owner of the data folder alone (mode 0600): whoever may connect could read the data anyway.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use engine::auth::Auth;

use crate::cli;
use crate::commands;
use crate::terminal::{Line, Screen, Terminal};

/// The longest request.
const MAX_REQUEST: u64 = 1 << 20;

/// A command on its way to the server.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    words: Vec<String>,
    folder: PathBuf,
    input: Option<String>,
}

/// Sends this process's command to the server; its exit code. None where no server answers.
pub(crate) async fn send(socket: &Path, input: Option<String>) -> Option<u8> {
    let stream = UnixStream::connect(socket).await.ok()?;
    let (reading, mut writing) = stream.into_split();
    let sent =
        Sent { words: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(), folder: std::env::current_dir().ok()?, input };
    let mut text = serde_json::to_string(&sent).ok()?;
    text.push('\n');
    writing.write_all(text.as_bytes()).await.ok()?;
    let mut lines = BufReader::new(reading).lines();
    let mut screen = Screen::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(line) = serde_json::from_str::<Line>(&line)
            && let Some(code) = screen.show(line)
        {
            return Some(code);
        }
    }
    screen.show(Line::Error("the server went away before the command had ended".to_owned()));
    Some(crate::FAILED)
}

/// Listens for commands.
pub(crate) fn listen(socket: &Path, auth: Auth) -> std::io::Result<tokio::task::JoinHandle<()>> {
    // The folder is held, so a socket that is there is one that a server left behind.
    match std::fs::remove_file(socket) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve_one(stream, auth.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "a command could not be taken");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    }))
}

async fn serve_one(stream: UnixStream, auth: Auth) {
    let (reading, mut writing) = stream.into_split();
    let mut text = String::new();
    let Ok(_) = BufReader::new(reading.take(MAX_REQUEST)).read_line(&mut text).await else { return };
    let Ok(sent) = serde_json::from_str::<Sent>(&text) else { return };
    let (terminal, mut lines) = Terminal::new(sent.folder, sent.input);
    let words: Vec<OsString> = sent.words.into_iter().map(OsString::from).collect();
    tokio::spawn(async move {
        let code = match cli::parse(&words) {
            Ok(cli) => commands::run(cli.command, &auth, &terminal).await,
            Err(error) => {
                terminal.complain(error.to_string());
                crate::WRONG_USE
            }
        };
        terminal.exit(code);
    });
    while let Some(line) = lines.recv().await {
        let Ok(mut text) = serde_json::to_string(&line) else { continue };
        text.push('\n');
        if writing.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
