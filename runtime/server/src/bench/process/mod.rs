//! In charge of measuring processes: decisions, timers, automations, scripts, while much waits.
//! Reading order: `measure`; `data` (what waits), `shadow` and `bare` (the limit: the same rows by bare statements), `cost`
//! (what is looked at in memory).
//! Invariant: the clock is the real one, and what is measured is seen from outside: answers over HTTP, rows in the file.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};
use engine::clock::{Clock, SystemClock};
use rusqlite::Connection;
use serde_json::json;

use self::data::{Made, Task};
use self::shadow::Shadow;
use super::child::{Child, Failure};
use super::data::file;
use super::load::{Load, Outcome, Request};
use super::table::{Table, Target};
use super::{Run, millis};

pub(super) mod bare;
mod cost;
mod data;
mod shadow;

/// People who decide at once.
const CLIENTS: usize = 16;
/// Timers that fall due at once.
const TIMED: usize = 1_000;
/// How long after the last preparation they do.
const AHEAD: Duration = Duration::from_secs(10);
/// Automation runs that are measured.
const RUNS: usize = 5_000;
/// How long anything may take until it counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures it all.
pub(super) fn measure(run: &mut Run<'_>) -> Result<(), Failure> {
    let (asked, terminal, table) = (run.asked, run.terminal, &mut run.table);
    let scratch = run.scratch.join("process");
    std::fs::create_dir_all(&scratch)?;
    let running = usize::try_from(asked.instances).unwrap_or(usize::MAX);
    terminal.complain(format!("making {running} requests"));
    let made = data::make(&scratch, running + TIMED)?;
    let (site, database) = (&made.site, file(&made.site.folder));
    let log = |name: &str| scratch.join(name);

    terminal.complain(format!("starting {running} approvals"));
    let server = Child::trellis(site, &log("starts.log"))?;
    let starts: Vec<Request> = made.requests.iter().take(running).map(|request| begin("work.purchase", request)).collect();
    let (started, _) = ask(&server, &made, &starts)?;
    table.add("approvals started, 1/s", started.per_second(), None, Target::None);
    server.stop();
    terminal.complain(format!("setting {} timers", asked.timers));
    data::set_timers(&site.folder, asked.timers)?;

    let began = Instant::now();
    let server = Child::trellis(site, &log("trellis.log"))?;
    table.add("start with all that waits, ms", millis(began.elapsed()), None, Target::AtMost(300.0));
    let tasks = data::tasks(&database)?;
    let (first, tasks) = tasks.split_first().ok_or_else(|| Failure::Process("nobody has anything to decide".to_owned()))?;
    ask(&server, &made, &[decide(&made, first)])?;
    ask(&server, &made, &[ticket(0)])?;
    until_idle(&database)?;
    let connection = super::bare::open(&database)?;
    let sample = connection.query_row("SELECT id FROM work__ticket", [], |row| row.get::<_, [u8; 16]>(0))?;
    let bare = Child::bare_process(site, first.instance, uuid::Uuid::from_bytes(sample), &log("bare.log"))?;

    terminal.complain("measuring: decisions");
    decisions(&server, &bare, &made, tasks, table)?;
    terminal.complain("measuring: timers that fall due at once");
    let late = timers(&server, &made, &database)?;
    table.add(
        &format!("{TIMED} timers due at once, the last one late by ms"),
        millis(late),
        Some(millis(bare_timers(&connection)?)),
        Target::AtMost(1_000.0),
    );
    terminal.complain("measuring: a script before each write");
    scripts(&server, &made, Duration::from_secs(asked.seconds), table)?;
    terminal.complain("measuring: automation runs");
    let ours = runs(&server, &made, &database)?;
    // What the bare side writes would be taken for runs to go on with.
    server.stop();
    let limit = runs(&bare, &made, &database)?;
    table.add("automation of three steps, runs/s", ours.0, Some(limit.0), Target::AtLeast(1_000.0));
    table.add("automation of three steps, CPU ms", ours.1, Some(limit.1), Target::None);
    bare.stop();
    drop(connection);
    terminal.complain("measuring: expressions and scripts in memory");
    cost::measure(&site.folder, table)
}

/// Asks each once, by all clients; what it cost the server is in the outcome, the wall time beside it.
fn ask(child: &Child, made: &Made, requests: &[Request]) -> Result<(Outcome, Duration), Failure> {
    let (before, began) = (child.cpu()?, Instant::now());
    let mut outcome = Load { address: child.address, clients: CLIENTS, lasts: Duration::ZERO, token: &made.site.token }.all(requests)?;
    outcome.cpu = child.cpu()?.saturating_sub(before);
    Ok((outcome, began.elapsed()))
}

fn begin(flow: &str, request: &str) -> Request {
    Request::post("/api/v1/approvals", json!({"flow": flow, "record": request}).to_string())
}

fn decide(made: &Made, task: &Task) -> Request {
    let token = made.reviewers.get(&task.person).map_or("", String::as_str);
    Request::post(&format!("/api/v1/approvals/tasks/{}/approve", task.id), "{}".to_owned()).by(token)
}

fn ticket(number: usize) -> Request {
    let priority = ["low", "usual", "high"].get(number % 3).copied().unwrap_or_default();
    let body = json!({
        "subject": format!("The machine in hall {number} stands still"), "priority": priority, "customer": format!("Customer {number}"),
        "note": "Called this morning; wants to hear of us today",
    });
    Request::post("/api/v1/records/work.ticket", body.to_string())
}

/// Each side decides as many, none of them twice.
fn decisions(server: &Child, bare: &Child, made: &Made, tasks: &[Task], table: &mut Table) -> Result<(), Failure> {
    let share = (tasks.len() / 4).min(4_000);
    let requests: Vec<Request> = tasks.iter().map(|task| decide(made, task)).collect();
    let mut parts = requests.chunks(share.max(1));
    let mut next = || parts.next().unwrap_or_default();
    let (theirs, own) = (next(), next());
    let (warm, theirs) = theirs.split_at(theirs.len() / 5);
    ask(bare, made, warm)?;
    let (limit, _) = ask(bare, made, theirs)?;
    let (warm, own) = own.split_at(own.len() / 5);
    ask(server, made, warm)?;
    let (ours, _) = ask(server, made, own)?;
    table.add("decisions, 1/s", ours.per_second(), Some(limit.per_second()), Target::None);
    table.add("decisions, median ms", ours.quantile(0.5), Some(limit.quantile(0.5)), Target::AtMost(10.0));
    table.add("decisions, p99 ms", ours.quantile(0.99), Some(limit.quantile(0.99)), Target::None);
    table.add("decisions, CPU ms", ours.cpu_millis(), Some(limit.cpu_millis()), Target::None);
    Ok(())
}

/// Starts flows that wait for one moment; how long after it the last one went on.
fn timers(server: &Child, made: &Made, database: &Path) -> Result<Duration, Failure> {
    let due = (SystemClock.now() + AHEAD).trunc_subsecs(0);
    let timed: Vec<&String> = made.requests.iter().rev().take(TIMED).collect();
    let body = json!({"due": due}).to_string();
    let moved: Vec<Request> = timed.iter().map(|id| Request::patch(&format!("/api/v1/records/work.request/{id}"), body.clone())).collect();
    ask(server, made, &moved)?;
    let begun: Vec<Request> = timed.iter().map(|id| begin("work.timed", id)).collect();
    ask(server, made, &begun)?;
    let connection = super::bare::open(database)?;
    let waiting = || -> Result<i64, Failure> {
        let sql = "SELECT count(*) FROM sys_timer WHERE visible_at = ?";
        Ok(connection.prepare_cached(sql)?.query_row([due.timestamp_micros()], |row| row.get(0))?)
    };
    if SystemClock.now() >= due || usize::try_from(waiting()?).unwrap_or_default() != TIMED {
        return Err(Failure::Process("the timers were not set in time".to_owned()));
    }
    std::thread::sleep((due - SystemClock.now()).to_std().unwrap_or_default());
    wait(|| Ok(waiting()? == 0))?;
    let late = since(due);
    let sql = "SELECT count(*) FROM sys_approval_task WHERE step = 'look' AND state = 'open'";
    let opened: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    if usize::try_from(opened).unwrap_or_default() != TIMED {
        return Err(Failure::Process(format!("{opened} of {TIMED} timers did what they are for")));
    }
    Ok(late)
}

fn since(moment: DateTime<Utc>) -> Duration {
    (SystemClock.now() - moment).to_std().unwrap_or_default()
}

/// How long bare statements take for the rows that the timers wrote.
fn bare_timers(connection: &Connection) -> Result<Duration, Failure> {
    /// Timers of one transaction, as in the engine.
    const TOGETHER: usize = 64;
    let sql = "SELECT instance, record FROM sys_approval_task WHERE step = 'look'";
    let done: Vec<([u8; 16], [u8; 16])> = connection.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let Some((instance, record)) = done.first().map(|(instance, record)| (uuid::Uuid::from_bytes(*instance), uuid::Uuid::from_bytes(*record))) else {
        return Ok(Duration::ZERO);
    };
    let shadow = Shadow::of_timer(connection, instance, record)?;
    let began = Instant::now();
    for some in done.chunks(TOGETHER) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (instance, record) in some {
            shadow.fire(connection, uuid::Uuid::from_bytes(*instance), uuid::Uuid::from_bytes(*record))?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(began.elapsed())
}

/// The same rows with and without a script that runs before each is written.
fn scripts(server: &Child, made: &Made, lasts: Duration, table: &mut Table) -> Result<(), Failure> {
    let order = |entity: &'static str| {
        move |n: u64| {
            let body = json!({
                "name": format!("Order {n}"), "quantity": n % 700, "amount": n % 90_000, "due": "2026-12-24", "note": "As agreed on the telephone",
            });
            Request::post(&format!("/api/v1/records/{entity}"), body.to_string())
        }
    };
    let ask = |entity: &'static str, lasts: Duration| -> Result<Outcome, Failure> {
        let before = server.cpu()?;
        let mut outcome = Load { address: server.address, clients: CLIENTS, lasts, token: &made.site.token }.drive(&order(entity))?;
        outcome.cpu = server.cpu()?.saturating_sub(before);
        Ok(outcome)
    };
    for entity in ["work.order", "work.checked_order"] {
        ask(entity, lasts / 5)?;
    }
    let (plain, checked) = (ask("work.order", lasts)?, ask("work.checked_order", lasts)?);
    table.add("create, rows/s, with a script before each, and without", checked.per_second(), Some(plain.per_second()), Target::None);
    let more = (checked.cpu_millis() - plain.cpu_millis()) * 1_000.0;
    table.add("a script before a write, CPU µs", more, None, Target::None);
    Ok(())
}

/// Makes tickets and waits until the automation of each ended: runs a second, and processor time of each in milliseconds.
fn runs(child: &Child, made: &Made, database: &Path) -> Result<(f64, f64), Failure> {
    let connection = super::bare::open(database)?;
    let count = |sql: &str| -> Result<i64, Failure> { Ok(connection.query_row(sql, [], |row| row.get(0))?) };
    let ended = || count("SELECT count(*) FROM sys_run WHERE state = 'done'");
    let noted = || count("SELECT count(*) FROM sys_run_step WHERE state = 'done'");
    let (runs, steps, cpu) = (ended()?, noted()?, child.cpu()?);
    let tickets: Vec<Request> = (1..=RUNS).map(ticket).collect();
    let began = Instant::now();
    ask(child, made, &tickets)?;
    until_idle(database)?;
    let took = began.elapsed();
    let cpu = child.cpu()?.saturating_sub(cpu);
    let (runs, steps) = (ended()? - runs, noted()? - steps);
    if usize::try_from(runs).unwrap_or_default() != RUNS || steps != 3 * runs {
        return Err(Failure::Process(format!("{runs} of {RUNS} runs ended, with {steps} steps")));
    }
    Ok((RUNS as f64 / took.as_secs_f64(), millis(cpu) / RUNS as f64))
}

/// Waits until no run has anything to do.
fn until_idle(database: &Path) -> Result<(), Failure> {
    let connection = super::bare::open(database)?;
    wait(|| {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM sys_run WHERE line > '')";
        Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, bool>(0))?)
    })
}

fn wait(done: impl Fn() -> Result<bool, Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    while !done()? {
        if began.elapsed() > PATIENCE {
            return Err(Failure::Process("something that was to happen did not".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
