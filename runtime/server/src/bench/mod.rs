//! In charge of `trellis bench`: the measured table of the README, each figure beside its limit in the same run.
//! Reading order: `run`; `data` (what is measured on), `child` (who is measured), `load` (who asks), `bare` (the limit).
//! Invariant: both sides of a ratio answer the same questions over the same file, asked by the same generator.
//! Invariant: nothing is measured twice to keep the better one; what misses its target is printed like what meets it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::Bench;
use crate::terminal::Terminal;

mod bare;
mod chance;
mod child;
mod data;
mod load;
mod questions;
mod table;

pub(crate) use bare::serve as serve_bare;

use child::{Child, Failure};
use load::{Load, Outcome};
use questions::Questions;
use table::{Table, Target};

/// Connections that ask at once.
const CLIENTS: usize = 32;

/// Measures everything and prints the table; the exit code.
pub(crate) async fn run(asked: Bench, terminal: Terminal) -> u8 {
    // The generator blocks its threads: it lives outside the server's runtime.
    let measured = tokio::task::spawn_blocking(move || {
        let table = measure(&asked, &terminal);
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

fn measure(asked: &Bench, terminal: &Terminal) -> Result<Table, Failure> {
    let folder = tempfile::tempdir_in(asked.folder.as_deref().unwrap_or(&std::env::temp_dir()))?;
    let workspace = folder.path().join("data");
    let mut table = Table::default();
    terminal.complain(format!("making {} deals", asked.rows));
    let made = data::make(folder.path(), &workspace, asked.rows)?;
    table.add("import, rows/s", made.rows_per_second, None, Target::AtLeast(20_000.0));
    let questions = Questions::of(&workspace)?;
    let lasts = Duration::from_secs(asked.seconds);

    let began = Instant::now();
    let trellis = Child::trellis(&workspace, &folder.path().join("trellis.log"))?;
    table.add("start on an existing workspace, ms", millis(began.elapsed()), None, Target::AtMost(300.0));
    let bare = Child::bare(&data::database(&workspace), &folder.path().join("bare.log"))?;
    let token = made.token.as_str();

    let reads: [(&str, Questioner<'_>, f64); 4] = [
        ("get one", &|n| questions.get(n), 0.15),
        ("page of 50, filtered and sorted", &|n| questions.page(n), 0.35),
        ("group by, with sum", &|_| questions.group(), f64::INFINITY),
        ("search", &|n| questions.search(n), f64::INFINITY),
    ];
    for (name, question, most_cpu) in reads {
        terminal.complain(format!("measuring: {name}"));
        let (ours, limit) = both(&trellis, &bare, token, lasts, question)?;
        let target = match name {
            "group by, with sum" => Target::RatioAtLeast(1.0 / 1.2),
            _ => Target::RatioAtLeast(0.5),
        };
        table.add(&format!("{name}, answers/s"), ours.per_second(), Some(limit.per_second()), target);
        if most_cpu.is_finite() {
            table.add(&format!("{name}, CPU ms"), ours.cpu_millis(), Some(limit.cpu_millis()), Target::AtMost(most_cpu));
        }
        table.add(&format!("{name}, p99 ms"), ours.quantile(0.99), Some(limit.quantile(0.99)), Target::None);
    }
    terminal.complain("measuring: durable create");
    let (ours, limit) = both(&trellis, &bare, token, lasts, &|n| questions.create(n))?;
    table.add("durable create, rows/s", ours.per_second(), Some(limit.per_second()), Target::RatioAtLeast(0.25));
    table.add("durable create, at least 4,000 rows/s", ours.per_second(), None, Target::AtLeast(4_000.0));
    table.add("durable create, CPU ms", ours.cpu_millis(), Some(limit.cpu_millis()), Target::None);
    table.add("durable create, p99 ms", ours.quantile(0.99), Some(limit.quantile(0.99)), Target::None);
    trellis.stop();
    bare.stop();
    table.add("new field, ms of the whole publish", new_field(&workspace, folder.path())?, None, Target::None);
    if asked.idle {
        terminal.complain("measuring: idle memory of the demonstration");
        table.add("idle memory of the demonstration, MB", idle_memory(folder.path())?, None, Target::AtMost(80.0));
    }
    Ok(table)
}

/// Makes the bytes of the n-th request to be sent to either side.
type Questioner<'a> = &'a (dyn Fn(u64) -> load::Request + Sync);

/// Asks both sides the same, one after the other.
fn both(trellis: &Child, bare: &Child, token: &str, lasts: Duration, question: Questioner<'_>) -> Result<(Outcome, Outcome), Failure> {
    let ask = |child: &Child, lasts: Duration| -> Result<Outcome, Failure> {
        let before = child.cpu()?;
        let mut outcome = Load { address: child.address, clients: CLIENTS, lasts, token }.drive(question)?;
        outcome.cpu = child.cpu()?.saturating_sub(before);
        Ok(outcome)
    };
    // Warm caches for both: the first answers of a process are not what is asked about.
    let warm = lasts / 5;
    ask(bare, warm)?;
    ask(trellis, warm)?;
    let limit = ask(bare, lasts)?;
    let ours = ask(trellis, lasts)?;
    Ok((ours, limit))
}

fn new_field(workspace: &Path, scratch: &Path) -> Result<f64, Failure> {
    let app = data::app_with_a_new_field(scratch)?;
    let began = Instant::now();
    child::command(workspace, &["app", "upgrade", &app.to_string_lossy()], None)?;
    Ok(millis(began.elapsed()))
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
