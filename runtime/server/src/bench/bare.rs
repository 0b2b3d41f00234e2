//! In charge of the limit: the same questions answered by prepared statements behind a bare handler, with no engine.
//! Invariant: the same file, the same columns out, the same rows written, the same disk sync before an answer.
//! Invariant: no rights, no checks of values: what the engine adds is what the ratio shows.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, NaiveDate};
use engine::clock::{Clock, SystemClock};
use rusqlite::{Connection, OpenFlags, Row, params};
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::oneshot;
use uuid::{NoContext, Timestamp, Uuid};

use super::child::Failure;
use crate::cli::BenchBare;

/// Jobs that share one commit, as in the store.
const BATCH: usize = 256;

pub(super) type Answer = rusqlite::Result<Vec<u8>>;
type Work = Box<dyn FnOnce(&Connection) -> Answer + Send>;
pub(super) type Job = (Work, oneshot::Sender<Answer>);

#[derive(Clone)]
pub(super) struct Bare {
    readers: SyncSender<Job>,
    pub(super) writer: SyncSender<Job>,
}

/// Serves until the process ends.
pub(super) async fn serve(asked: &BenchBare) -> Result<(), Failure> {
    let database = Path::new(&asked.database);
    let (readers, inbox) = sync_channel(4_096);
    let inbox = Arc::new(Mutex::new(inbox));
    for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8) {
        let (connection, inbox) = (open(database)?, Arc::clone(&inbox));
        std::thread::spawn(move || read_loop(&connection, &inbox));
    }
    let (writer, inbox) = sync_channel(4_096);
    let connection = open(database)?;
    std::thread::spawn(move || write_loop(&connection, &inbox));
    let bare = Bare { readers, writer };
    let process = super::process::bare::router(asked, &open(database)?, &bare)?;
    let router = Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/api/v1/records/bench.deal", get(page).post(create))
        .route("/api/v1/records/bench.deal/{id}", get(one))
        .route("/api/v1/records/bench.deal/aggregate", post(group))
        .with_state(bare)
        .merge(process);
    let listener = tokio::net::TcpListener::bind(asked.listen).await?;
    Ok(axum::serve(listener, router).await?)
}

pub(super) fn open(database: &Path) -> rusqlite::Result<Connection> {
    let path: PathBuf = database.to_owned();
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-4096; PRAGMA mmap_size=268435456;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn read_loop(connection: &Connection, inbox: &Mutex<Receiver<Job>>) {
    loop {
        let job = match inbox.lock() {
            Ok(inbox) => inbox.recv(),
            Err(poisoned) => poisoned.into_inner().recv(),
        };
        let Ok((work, sender)) = job else { return };
        let _gone = sender.send(work(connection));
    }
}

fn write_loop(connection: &Connection, inbox: &Receiver<Job>) {
    while let Ok(first) = inbox.recv() {
        let mut jobs = vec![first];
        while jobs.len() < BATCH
            && let Ok(job) = inbox.try_recv()
        {
            jobs.push(job);
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let begun = connection.execute_batch("BEGIN IMMEDIATE");
        for (work, sender) in jobs {
            answers.push((work(connection), sender));
        }
        let done = begun.and_then(|()| connection.execute_batch("COMMIT"));
        for (answer, sender) in answers {
            let answer = if done.is_ok() { answer } else { Err(rusqlite::Error::InvalidQuery) };
            let _gone = sender.send(answer);
        }
    }
}

pub(super) async fn send(lane: &SyncSender<Job>, status: StatusCode, work: impl FnOnce(&Connection) -> Answer + Send + 'static) -> Response {
    let (sender, answer) = oneshot::channel();
    if lane.try_send((Box::new(work), sender)).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match answer.await {
        Ok(Ok(bytes)) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// All columns that the engine answers with.
pub(super) const COLUMNS: &str = "d.id, d.version, d.code, d.name, d.account, d.status, d.amount, d.probability, d.quantity, d.close_date, d.seen_at, d.active, \
     d.contact, d.note, d.created_at, d.updated_at, d.created_by, d.updated_by, d.owner";

async fn one(State(bare): State<Bare>, UrlPath(id): UrlPath<Uuid>) -> Response {
    send(&bare.readers, StatusCode::OK, move |connection| {
        let sql = format!("SELECT {COLUMNS}, NULL FROM bench__deal d WHERE d.id = ? AND d.deleted_at IS NULL");
        connection.prepare_cached(&sql)?.query_row([id.as_bytes()], |row| {
            let mut out = Vec::with_capacity(700);
            write_row(row, &mut out)?;
            Ok(out)
        })
    })
    .await
}

/// What a page is asked with.
#[derive(Deserialize)]
pub(super) struct Asked {
    filter: Option<String>,
    pub(super) q: Option<String>,
}

impl Asked {
    /// The stage and the least probability of the filter.
    pub(super) fn wanted(&self) -> (String, i64) {
        let filter: Json = serde_json::from_str(self.filter.as_deref().unwrap_or_default()).unwrap_or_default();
        (filter["all"][0]["value"].as_str().unwrap_or_default().to_owned(), filter["all"][1]["value"].as_i64().unwrap_or_default())
    }
}

async fn page(State(bare): State<Bare>, Query(asked): Query<Asked>) -> Response {
    send(&bare.readers, StatusCode::OK, move |connection| {
        if let Some(words) = &asked.q {
            return search(connection, words);
        }
        let (status, least) = asked.wanted();
        let sql = format!(
            "SELECT {COLUMNS}, a.name FROM bench__deal d LEFT JOIN bench__account a ON a.id = d.account AND a.deleted_at IS NULL
             WHERE d.deleted_at IS NULL AND d.status = ? AND d.probability >= ? ORDER BY d.close_date DESC, d.id DESC LIMIT 50"
        );
        list(connection.prepare_cached(&sql)?.query(params![status, least * 100])?)
    })
    .await
}

fn search(connection: &Connection, words: &str) -> Answer {
    let question: Vec<String> = words.split(' ').map(|word| format!("\"{word}\"*")).collect();
    let question = format!("{} AND \"zzzbenchdealzzz\"", question.join(" AND "));
    let sql = format!(
        "SELECT {COLUMNS}, NULL FROM bench__deal d WHERE d.deleted_at IS NULL AND d.id IN
           (SELECT s.record FROM sys_search_text f CROSS JOIN sys_search s ON s.doc = f.rowid WHERE f.sys_search_text MATCH ? AND s.entity = 'bench.deal')
         ORDER BY d.id LIMIT 20"
    );
    list(connection.prepare_cached(&sql)?.query([question])?)
}

fn list(mut rows: rusqlite::Rows<'_>) -> Answer {
    let mut out = Vec::with_capacity(20_000);
    out.extend_from_slice(b"{\"data\":[");
    let mut first = true;
    while let Some(row) = rows.next()? {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_row(row, &mut out)?;
    }
    out.extend_from_slice(b"],\"next\":null}");
    Ok(out)
}

async fn group(State(bare): State<Bare>) -> Response {
    send(&bare.readers, StatusCode::OK, |connection| {
        let mut statement = connection.prepare_cached(
            "SELECT d.status, sum(d.amount), count(*) FROM bench__deal d
             WHERE d.deleted_at IS NULL AND (d.status <> 'lost' OR d.status IS NULL) GROUP BY d.status ORDER BY d.status",
        )?;
        let mut rows = statement.query([])?;
        let mut out = String::from("{\"data\":[");
        while let Some(row) = rows.next()? {
            let (status, sum, count): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            // Writing to a text cannot fail.
            let _written = write!(out, "{{\"status\":\"{status}\",\"sum_amount\":{}.{:02},\"count\":{count}}},", sum / 100, sum % 100);
        }
        out.push_str("]}");
        Ok(out.into_bytes())
    })
    .await
}

/// Writes a row of [`COLUMNS`] and an account's name.
fn write_row(row: &Row<'_>, out: &mut Vec<u8>) -> rusqlite::Result<()> {
    use std::io::Write as _;
    let text = |out: &mut Vec<u8>, text: Option<&str>| match text {
        Some(text) => serde_json::to_writer(out, text).unwrap_or_default(),
        None => out.extend_from_slice(b"null"),
    };
    let failed = |_| rusqlite::Error::InvalidQuery;
    let id =
        |index: usize| -> rusqlite::Result<Option<String>> { Ok(row.get::<_, Option<[u8; 16]>>(index)?.map(|id| Uuid::from_bytes(id).to_string())) };
    out.extend_from_slice(b"{\"id\":");
    text(out, id(0)?.as_deref());
    write!(out, ",\"version\":{}", row.get::<_, i64>(1)?).map_err(failed)?;
    for (index, name) in [(2, "code"), (3, "name"), (5, "status"), (12, "contact"), (13, "note"), (19, "account.name")] {
        write!(out, ",\"{name}\":").map_err(failed)?;
        text(out, row.get_ref(index)?.as_str_or_null()?);
    }
    for (index, name) in [(4, "account"), (16, "created_by"), (17, "updated_by"), (18, "owner")] {
        write!(out, ",\"{name}\":").map_err(failed)?;
        text(out, id(index)?.as_deref());
    }
    for (index, name) in [(6, "amount"), (7, "probability")] {
        match row.get::<_, Option<i64>>(index)? {
            Some(number) => write!(out, ",\"{name}\":{}.{:02}", number / 100, number % 100),
            None => write!(out, ",\"{name}\":null"),
        }
        .map_err(failed)?;
    }
    write!(out, ",\"quantity\":{}", row.get::<_, Option<i64>>(8)?.unwrap_or_default()).map_err(failed)?;
    match row.get::<_, Option<i32>>(9)?.and_then(NaiveDate::from_num_days_from_ce_opt) {
        Some(day) => write!(out, ",\"close_date\":\"{day}\""),
        None => write!(out, ",\"close_date\":null"),
    }
    .map_err(failed)?;
    for (index, name) in [(10, "seen_at"), (14, "created_at"), (15, "updated_at")] {
        match row.get::<_, Option<i64>>(index)?.and_then(DateTime::from_timestamp_micros) {
            Some(moment) => write!(out, ",\"{name}\":\"{}\"", moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            None => write!(out, ",\"{name}\":null"),
        }
        .map_err(failed)?;
    }
    write!(out, ",\"active\":{}}}", row.get::<_, Option<bool>>(11)?.unwrap_or_default()).map_err(failed)
}

/// A deal as it is sent.
#[derive(Deserialize)]
pub(super) struct NewDeal {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) account: Uuid,
    pub(super) status: String,
    pub(super) amount: i64,
    pub(super) probability: i64,
    pub(super) quantity: i64,
    pub(super) close_date: NaiveDate,
    pub(super) seen_at: DateTime<chrono::Utc>,
    pub(super) active: bool,
    pub(super) note: String,
}

impl NewDeal {
    /// What its log entry says.
    pub(super) fn patch(&self) -> String {
        format!("{{\"code\":[null,\"{}\"],\"name\":[null,\"{}\"],\"note\":[null,\"{}\"]}}", self.code, self.name, self.note)
    }

    /// Whether it counts for its account.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "new" | "open")
    }
}

async fn create(State(bare): State<Bare>, body: Bytes) -> Response {
    let Ok(deal) = serde_json::from_slice::<NewDeal>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    send(&bare.writer, StatusCode::CREATED, move |connection| insert(connection, &deal)).await
}

/// A new id, rising like the engine's: a random key would scatter the pages that a bare insert touches.
pub(super) fn id_at(moment: DateTime<chrono::Utc>) -> Uuid {
    Uuid::new_v7(Timestamp::from_unix(NoContext, u64::try_from(moment.timestamp()).unwrap_or_default(), moment.timestamp_subsec_nanos()))
}

/// The rows that the engine writes for a new deal: record, change, search, the parent and its change.
fn insert(connection: &Connection, deal: &NewDeal) -> Answer {
    let moment = SystemClock.now();
    let now = moment.timestamp_micros();
    let id = id_at(moment);
    let day = chrono::Datelike::num_days_from_ce(&deal.close_date);
    connection
        .prepare_cached(
            "INSERT INTO bench__deal (id, version, code, name, account, status, amount, probability, quantity, close_date, seen_at, active, note, created_at, updated_at,
               code__fold, code__sort, name__fold, name__sort, note__fold)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?2, CAST(?2 AS BLOB), ?3, CAST(?3 AS BLOB), ?12)",
        )?
        .execute(params![
            id.as_bytes(),
            deal.code,
            deal.name,
            deal.account.as_bytes(),
            deal.status,
            deal.amount * 100,
            deal.probability * 100,
            deal.quantity,
            day,
            deal.seen_at.timestamp_micros(),
            deal.active,
            deal.note,
            now
        ])?;
    let patch = deal.patch();
    let mut change = connection.prepare_cached(
        "INSERT INTO sys_change (entity, record, op, version, at, by, cause, change_set, depth, patch) VALUES (?, ?, ?, 1, ?, NULL, ?, NULL, 0, ?)",
    )?;
    change.execute(params!["bench.deal", id.as_bytes(), "created", now, "request", patch])?;
    let doc: i64 = connection
        .prepare_cached("INSERT INTO sys_search (entity, record) VALUES ('bench.deal', ?) RETURNING doc")?
        .query_row([id.as_bytes()], |row| row.get(0))?;
    connection
        .prepare_cached("INSERT INTO sys_search_text (rowid, tokens) VALUES (?, ?)")?
        .execute(params![doc, format!("{} zzzbenchdealzzz", deal.name)])?;
    if deal.is_open() {
        connection
            .prepare_cached("UPDATE bench__account SET open_amount = open_amount + ? WHERE id = ?")?
            .execute(params![deal.amount * 100, deal.account.as_bytes()])?;
        change.execute(params!["bench.account", deal.account.as_bytes(), "updated", now, "computed", "{\"open_amount\":[1,2]}"])?;
    }
    Ok(format!("{{\"id\":\"{id}\",\"version\":1,\"name\":\"{}\"}}", deal.name).into_bytes())
}
