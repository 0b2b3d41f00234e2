//! In charge of `trellis bench`: the measured table of the README, each figure beside its limit in the same run.
//! Reading order: `run`; `data` (what is measured on), `child` (who is measured), `load` (who asks), `bare` and `bare_remote`
//! (the limit); then the sections of the table: `file`, `large`, `remote`, `process`.
//! Invariant: both sides of a ratio answer the same questions over the same data, asked by the same generator.
//! Invariant: nothing is measured twice to keep the better one; what misses its target is printed like what meets it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::{Bench, BenchBare, Section};
use crate::terminal::Terminal;

mod bare;
mod bare_remote;
mod chance;
mod child;
mod data;
mod file;
mod large;
mod load;
mod process;
mod questions;
mod remote;
mod sides;
mod table;

use child::{Child, Failure};
use table::{Table, Target};

/// What the sections of the table share.
struct Run<'a> {
    asked: &'a Bench,
    terminal: &'a Terminal,
    /// Where files are put.
    scratch: &'a Path,
    table: Table,
}

impl Run<'_> {
    /// Tells whoever waits what is being done.
    fn tell(&self, what: &str) {
        self.terminal.complain(what);
    }

    /// How long each measurement lasts.
    fn lasts(&self) -> Duration {
        Duration::from_secs(self.asked.seconds)
    }
}

/// Measures everything and prints the table; the exit code. `database` is a server's, where it is to be measured as well.
pub(crate) async fn run(asked: Bench, database: Option<String>, terminal: Terminal) -> u8 {
    // The generator blocks its threads: it lives outside the server's runtime.
    let measured = tokio::task::spawn_blocking(move || {
        let table = measure(&asked, database.as_deref(), &terminal);
        (table, terminal)
    });
    match measured.await {
        Ok((Ok(table), terminal)) => {
            terminal.say(table.to_string());
            crate::DONE
        }
        Ok((Err(failure), terminal)) => {
            terminal.complain(format!("trellis: {failure}"));
            crate::FAILED
        }
        Err(_) => crate::FAILED,
    }
}

/// Serves the limit until the process ends: over a file, or over a server's database; the exit code.
pub(crate) async fn serve_bare(asked: &BenchBare) -> u8 {
    let served = match asked.database.contains("://") {
        true => bare_remote::serve(&asked.database, asked.listen).await,
        false => bare::serve(asked).await,
    };
    match served {
        Ok(()) => crate::DONE,
        Err(failure) => {
            crate::terminal::print_error(&format!("trellis: {failure}"));
            crate::FAILED
        }
    }
}

fn measure(asked: &Bench, database: Option<&str>, terminal: &Terminal) -> Result<Table, Failure> {
    let folder = tempfile::tempdir_in(asked.folder.as_deref().unwrap_or(&std::env::temp_dir()))?;
    let mut run = Run { asked, terminal, scratch: folder.path(), table: Table::default() };
    if asked.only != Some(Section::Process) {
        records(&mut run, database)?;
    }
    if asked.only != Some(Section::Records) {
        process::measure(&mut run)?;
    }
    Ok(run.table)
}

/// What is measured of records: rows in, questions, writes, a publish; the memory at rest.
fn records(run: &mut Run<'_>, database: Option<&str>) -> Result<(), Failure> {
    let site = file::measure(run)?;
    if run.asked.large > 0 {
        large::measure(run, &site)?;
    }
    if let Some(url) = database {
        remote::measure(run, url)?;
    }
    if run.asked.idle {
        run.tell("measuring: idle memory of the demonstration");
        let used = idle_memory(run.scratch)?;
        run.table.add("idle memory of the demonstration, MB", used, None, Target::AtMost(80.0));
    }
    Ok(())
}

fn idle_memory(scratch: &Path) -> Result<f64, Failure> {
    let child = Child::demo(&scratch.join("demo"), &scratch.join("demo.log"))?;
    std::thread::sleep(Duration::from_secs(10));
    let used = child.anonymous_memory()?;
    child.stop();
    Ok(used)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// How long `work` took, in milliseconds, and what came of it.
fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(f64, T), Failure> {
    let began = Instant::now();
    let done = work()?;
    Ok((millis(began.elapsed()), done))
}
