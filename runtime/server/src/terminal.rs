//! In charge of what a command says, and of what it is told: here, or over the socket to whoever asked.
//! Invariant: a command never prints by itself, so that it can run within the server for somebody else.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// One thing that a command says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A line of the result.
    Out(String),
    /// A line about what goes wrong.
    Error(String),
    /// How far it is: done, of how many where that is known.
    Progress(u64, Option<u64>),
    /// It has ended with this exit code.
    Exit(u8),
}

/// What a command speaks to.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    lines: UnboundedSender<Line>,
    folder: PathBuf,
    input: Option<String>,
}

impl Terminal {
    /// A terminal whose lines come out of the other end.
    pub(crate) fn new(folder: PathBuf, input: Option<String>) -> (Self, UnboundedReceiver<Line>) {
        let (lines, other_end) = unbounded_channel();
        (Self { lines, folder, input }, other_end)
    }

    fn send(&self, line: Line) {
        // Whoever asked may have gone; the work goes on.
        let _nobody = self.lines.send(line);
    }

    /// A line of the result.
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.send(Line::Out(text.into()));
    }

    /// A line about what goes wrong.
    pub(crate) fn complain(&self, text: impl Into<String>) {
        self.send(Line::Error(text.into()));
    }

    /// How far it is.
    pub(crate) fn progress(&self, done: u64, total: Option<u64>) {
        self.send(Line::Progress(done, total));
    }

    /// The exit code.
    pub(crate) fn exit(&self, code: u8) {
        self.send(Line::Exit(code));
    }

    /// A path as whoever asked means it.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The first line of the input.
    pub(crate) fn input(&self) -> Option<&str> {
        self.input.as_deref()
    }
}

/// Prints lines until the command has ended: its exit code.
pub(crate) async fn print(mut lines: UnboundedReceiver<Line>) -> u8 {
    let mut screen = Screen { bar: None };
    while let Some(line) = lines.recv().await {
        if let Some(code) = screen.show(line) {
            return code;
        }
    }
    crate::FAILED
}

/// The screen of this process.
pub(crate) struct Screen {
    bar: Option<ProgressBar>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { bar: None }
    }

    /// Shows a line; the exit code where it is one.
    pub(crate) fn show(&mut self, line: Line) -> Option<u8> {
        if !matches!(line, Line::Progress(..))
            && let Some(bar) = self.bar.take()
        {
            bar.finish_and_clear();
        }
        match line {
            Line::Out(text) => print_line(&text),
            Line::Error(text) => print_error(&text),
            Line::Progress(done, total) if std::io::stderr().is_terminal() => {
                let bar = self.bar.get_or_insert_with(bar);
                bar.set_length(total.unwrap_or(done).max(done));
                bar.set_position(done);
            }
            Line::Progress(..) => {}
            Line::Exit(code) => return Some(code),
        }
        None
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Prints a line of the result.
pub(crate) fn print_line(text: &str) {
    // A reader that has gone away is no fault of ours.
    let _gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line about what goes wrong.
pub(crate) fn print_error(text: &str) {
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}

/// The first line of this process's input.
pub(crate) fn read_line() -> Option<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned()).filter(|line| !line.is_empty())
}
