//! In charge of what processes are measured on: requests, people who decide, approvals that run, timers that wait.
//! Invariant: people and records come in through the program's own commands; timers through the store's own door.

use std::collections::HashMap;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use chrono::Duration;
use engine::clock::{Clock, SystemClock};
use rusqlite::Connection;
use serde_json::json;
use store::system::timer::{self, Timer};
use store::{Location, Store};
use uuid::Uuid;

use crate::bench::chance::Chance;
use crate::bench::child::{Failure, Site, command};
use crate::bench::data::{file, write_app};

/// The app that is measured.
#[derive(rust_embed::RustEmbed)]
#[folder = "bench_process"]
struct ProcessApp;

/// People who decide.
const REVIEWERS: u64 = 16;
const PASSWORD: &str = "a long enough password";

/// What was made.
pub(super) struct Made {
    /// The workspace; who asks there is who asks for approvals.
    pub(super) site: Site,
    /// Those of who decides, by person.
    pub(super) reviewers: HashMap<Uuid, String>,
    /// The ids of the requests, in a fixed order.
    pub(super) requests: Vec<String>,
}

/// Makes a workspace with so many requests.
pub(super) fn make(scratch: &Path, requests: usize) -> Result<Made, Failure> {
    let app = write_app::<ProcessApp>(&scratch.join("work"))?;
    let mut site = Site { folder: scratch.join("data"), database: None, token: String::new() };
    command(&site, &["app", "install", &app.to_string_lossy()], None)?;
    let token = |address: &str, role: &str| -> Result<String, Failure> {
        command(&site, &["user", "add", address, "--role", role, "--password-stdin"], Some(PASSWORD))?;
        Ok(command(&site, &["token", "new", address], None)?.text)
    };
    let clerk = token("clerk@bench.local", "work.clerk")?;
    let mut words = HashMap::new();
    for number in 0..REVIEWERS {
        let address = address(number);
        words.insert(address.clone(), token(&address, "work.reviewer")?);
    }
    let (rows, map) = (scratch.join("requests.csv"), scratch.join("requests.json"));
    write_requests(&rows, requests)?;
    let person = |column: &str| json!({"from": column, "find": {"entity": "core.user", "by": "email"}});
    let values = json!({
        "name": {"from": "name"}, "amount": {"from": "amount"}, "note": {"from": "note"}, "reviewer": person("reviewer"), "second": person("second"),
    });
    fs::write(&map, json!({"entity": "request", "mode": "create", "values": values}).to_string())?;
    site.token = clerk;
    command(&site, &["import", "work.request", &rows.to_string_lossy(), "--map", &map.to_string_lossy()], None)?;

    let connection = Connection::open(file(&site.folder))?;
    let mut statement = connection.prepare("SELECT id, email FROM core__user")?;
    let people = statement.query_map([], |row| Ok((Uuid::from_bytes(row.get(0)?), row.get::<_, String>(1)?)))?;
    let people: Vec<(Uuid, String)> = people.collect::<Result<_, _>>()?;
    let reviewers = people.into_iter().filter_map(|(id, address)| Some((id, words.remove(&address)?))).collect();
    let mut statement = connection.prepare("SELECT id FROM work__request ORDER BY id")?;
    let ids = statement.query_map([], |row| Ok(Uuid::from_bytes(row.get(0)?).to_string()))?;
    Ok(Made { site, reviewers, requests: ids.collect::<Result<_, _>>()? })
}

fn address(number: u64) -> String {
    format!("reviewer{number}@bench.local")
}

fn write_requests(path: &Path, requests: usize) -> Result<(), Failure> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut chance = Chance::new(3);
    writeln!(file, "name,amount,reviewer,second,note")?;
    for number in 0..requests {
        let reviewer = chance.below(REVIEWERS);
        let second = (reviewer + 1 + chance.below(REVIEWERS - 1)) % REVIEWERS;
        writeln!(file, "Request {number},{},{},{},As asked by the workshop", chance.below(90_000), address(reviewer), address(second))?;
    }
    Ok(file.flush()?)
}

/// Something that waits for a decision.
pub(super) struct Task {
    pub(super) id: Uuid,
    pub(super) person: Uuid,
    pub(super) instance: Uuid,
}

/// All that waits for its first decision, in a fixed order.
pub(super) fn tasks(database: &Path) -> Result<Vec<Task>, Failure> {
    let connection = Connection::open(database)?;
    let mut statement =
        connection.prepare("SELECT id, person, instance FROM sys_approval_task WHERE state = 'open' AND step = 'review' ORDER BY instance")?;
    let id = |row: &rusqlite::Row<'_>, column: usize| row.get(column).map(Uuid::from_bytes);
    let tasks = statement.query_map([], |row| Ok(Task { id: id(row, 0)?, person: id(row, 1)?, instance: id(row, 2)? }))?;
    Ok(tasks.collect::<Result<_, _>>()?)
}

/// Sets timers that wait, the last of them for a year.
pub(super) fn set_timers(workspace: &Path, count: u64) -> Result<(), Failure> {
    /// Timers of one transaction.
    const TOGETHER: u64 = 20_000;
    /// Keys of one question.
    const KEYS: usize = 1_000;
    let failed = |fault: store::Fault| Failure::Process(fault.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&Location::in_folder(workspace)).await.map_err(failed)?;
        let now = SystemClock.now();
        let mut chance = Chance::new(4);
        let mut made = 0;
        while made < count {
            let timers: Vec<Timer> = (0..TOGETHER.min(count - made))
                .map(|_| {
                    let instance = Uuid::from_u64_pair(chance.next(), chance.next());
                    let wait = Duration::seconds(86_400 + i64::try_from(chance.below(364 * 86_400)).unwrap_or_default());
                    Timer {
                        id: Uuid::from_u64_pair(chance.next(), chance.next()),
                        kind: "approval".to_owned(),
                        key: Some(format!("approval:{instance}:1")),
                        subject: Some(instance),
                        due_at: now + wait,
                        tries: 0,
                        body: json!({"instance": instance, "timer": 1}),
                    }
                })
                .collect();
            made += timers.len() as u64;
            store.write(move |tx| timers.chunks(KEYS).try_for_each(|some| timer::set(tx, some))).await.map_err(failed)?;
        }
        store.close().await;
        Ok(())
    })
}
