//! In charge of SQLite: one writer thread with group commit, and reader threads.
//! Invariant: many waiting transactions share one disk sync; one that fails undoes itself alone: where it wrote before, the batch
//! is undone and run again with a savepoint for each.
//! Invariant: plans follow no statistics, so that they stay the same while tables grow.
//! Invariant: what SQLite undid with the whole batch is run again, each transaction on its own.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::db::deadline::{Deadline, LIMIT};
use crate::db::functions;
use crate::dialect::sqlite::fault;
use crate::fault::Fault;
use crate::tx::{Guard, Tx};

/// Jobs that may wait for the writer.
const QUEUE: usize = 4_096;
/// Jobs that share one commit.
const BATCH: usize = 256;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 512;

/// A unit of work on its way through a thread.
trait Work: Send {
    /// Runs it; whether it is to be kept.
    fn run(&mut self, tx: &Tx) -> bool;
    /// Answers it.
    fn answer(self: Box<Self>, outcome: Result<(), Fault>);
}

struct Job<T, E, F> {
    work: F,
    /// Whether what it writes is kept: a read keeps nothing.
    keep: bool,
    /// Work of the writer that is not answered, this among it.
    unanswered: Option<Arc<AtomicUsize>>,
    result: Option<Result<T, E>>,
    sender: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Work for Job<T, E, F>
where
    T: Send,
    E: From<Fault> + Send,
    F: Fn(&Tx) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &Tx) -> bool {
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| (self.work)(tx)));
        let result = result.unwrap_or_else(|panic| Err(Fault::Panicked(message_of(&*panic)).into()));
        let keep = result.is_ok() && self.keep;
        self.result = Some(result);
        keep
    }

    fn answer(self: Box<Self>, outcome: Result<(), Fault>) {
        let answer = match (outcome, self.result) {
            // A failure of its own stays its answer, whatever became of the batch.
            (_, Some(Err(error))) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(Fault::Undone.into()),
            (Err(fault), _) => Err(fault.into()),
        };
        if let Some(unanswered) = &self.unanswered {
            unanswered.fetch_sub(1, Ordering::AcqRel);
        }
        // Nobody may be waiting any more: a request that was given up.
        let _unsent = self.sender.send(answer);
    }
}

pub(super) fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned())
}

enum Message {
    Work(Box<dyn Work>),
    Backup(PathBuf, oneshot::Sender<Result<(), Fault>>),
    Stop,
}

/// The threads of one database.
pub(super) struct Lanes {
    writer: SyncSender<Message>,
    /// None in memory, where the one connection does all.
    readers: Option<SyncSender<Message>>,
    threads: usize,
    /// Work that was given to the writer and is not answered.
    unanswered: Arc<AtomicUsize>,
    path: Option<PathBuf>,
}

impl Lanes {
    /// Opens a file, or a database in memory, and starts its threads.
    pub(super) fn open(path: Option<PathBuf>) -> Result<Self, Fault> {
        Self::open_within(path, LIMIT)
    }

    fn open_within(path: Option<PathBuf>, limit: Duration) -> Result<Self, Fault> {
        let connection = connect(path.as_deref(), true)?;
        let (writer, inbox) = sync_channel(QUEUE);
        let unanswered = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&unanswered);
        spawn("store-writer", move || write_loop(connection, &inbox, &counted))?;
        let Some(path) = path else { return Ok(Self { writer, readers: None, threads: 0, unanswered, path: None }) };
        let (readers, inbox) = sync_channel(QUEUE);
        let inbox = Arc::new(Mutex::new(inbox));
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        for index in 0..threads {
            let (connection, inbox) = (connect(Some(&path), false)?, Arc::clone(&inbox));
            let deadline = Deadline::over(&connection, limit)?;
            spawn(&format!("store-reader-{index}"), move || read_loop(connection, &deadline, &inbox))?;
        }
        Ok(Self { writer, readers: Some(readers), threads, unanswered, path: Some(path) })
    }

    pub(super) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => self.send(readers, work, false, None).await,
            None => self.send(&self.writer, work, false, Some(Arc::clone(&self.unanswered))).await,
        }
    }

    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + 'static,
    {
        self.send(&self.writer, work, true, Some(Arc::clone(&self.unanswered))).await
    }

    async fn send<T, E, F>(&self, lane: &SyncSender<Message>, work: F, keep: bool, unanswered: Option<Arc<AtomicUsize>>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        if let Some(unanswered) = &unanswered {
            unanswered.fetch_add(1, Ordering::AcqRel);
        }
        let job = Box::new(Job { work, keep, unanswered, result: None, sender });
        let unsent = match lane.try_send(Message::Work(job)) {
            Ok(()) => None,
            Err(TrySendError::Full(message)) => Some((message, Fault::Busy)),
            Err(TrySendError::Disconnected(message)) => Some((message, Fault::Gone("closed".to_owned()))),
        };
        if let Some((Message::Work(job), fault)) = unsent {
            job.answer(Err(fault));
        }
        answer.await.unwrap_or_else(|_| Err(Fault::Gone("closed".to_owned()).into()))
    }

    pub(super) async fn backup(&self, path: PathBuf) -> Result<(), Fault> {
        let (sender, answer) = oneshot::channel();
        let lane = self.readers.as_ref().unwrap_or(&self.writer);
        lane.try_send(Message::Backup(path, sender)).map_err(|_| Fault::Busy)?;
        answer.await.unwrap_or_else(|_| Err(Fault::Gone("closed".to_owned())))
    }

    /// What the database says of its own soundness; nothing where all is well.
    pub(super) async fn damages(&self) -> Result<Vec<String>, Fault> {
        // A connection of its own: a large file takes longer than a question may.
        let Some(path) = self.path.clone() else { return Ok(Vec::new()) };
        let looked = tokio::task::spawn_blocking(move || {
            let connection = connect(Some(&path), false)?;
            let told = |sql: &str| -> rusqlite::Result<Vec<String>> { connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect() };
            match told("PRAGMA integrity_check(20)") {
                Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
                // Damaged so that it cannot even be looked over.
                Err(error) => Ok(vec![error.to_string()]),
            }
        });
        looked.await.unwrap_or_else(|error| Err(Fault::Panicked(error.to_string())))
    }

    pub(super) fn close(&self) {
        // A full queue drains first; nobody can be told more than that.
        let _closed = self.writer.send(Message::Stop);
        for _ in 0..self.threads {
            if let Some(readers) = &self.readers {
                let _closed = readers.send(Message::Stop);
            }
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(8 << 20).spawn(body).map(drop).map_err(|error| Fault::Gone(error.to_string()))
}

fn connect(path: Option<&Path>, writer: bool) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match path {
        Some(path) => Connection::open_with_flags(path, flags),
        None => Connection::open_in_memory(),
    }
    .map_err(|error| fault(&error))?;
    let cache = if writer { -32_768 } else { -4_096 };
    let pragmas = format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA foreign_keys=ON; \
         PRAGMA temp_store=MEMORY; PRAGMA cache_size={cache}; PRAGMA wal_autocheckpoint=4000; PRAGMA mmap_size=268435456; PRAGMA query_only={};",
        i32::from(!writer)
    );
    connection.execute_batch(&pragmas).map_err(|error| fault(&error))?;
    if writer {
        // Left by an older program; see `Dialect::analyse`.
        connection.execute_batch("DROP TABLE IF EXISTS sqlite_stat1; DROP TABLE IF EXISTS sqlite_stat4;").map_err(|error| fault(&error))?;
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Plans do not depend on the values of parameters: else every binding throws the prepared statement away.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(|error| fault(&error))?;
    functions::add(&connection).map_err(|error| fault(&error))?;
    Ok(connection)
}

fn run(connection: &Connection, sql: &str) -> Result<(), Fault> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop).map_err(|error| fault(&error))
}

fn read_loop(connection: Connection, deadline: &Arc<Deadline>, inbox: &Mutex<Receiver<Message>>) {
    let connection = Rc::new(connection);
    loop {
        let message = match inbox.lock() {
            Ok(inbox) => inbox.recv(),
            Err(poisoned) => poisoned.into_inner().recv(),
        };
        match message {
            Ok(Message::Work(mut work)) => {
                let tx = Tx::reading(Rc::clone(&connection), Arc::clone(deadline));
                deadline.begin();
                let outcome = run(&connection, "BEGIN");
                if outcome.is_ok() {
                    work.run(&tx);
                    tx.end();
                    deadline.begin();
                    let _ended = run(&connection, "COMMIT");
                    if !connection.is_autocommit() {
                        let _undone = run(&connection, "ROLLBACK");
                    }
                }
                work.answer(outcome);
            }
            Ok(Message::Backup(path, sender)) => {
                deadline.begin();
                let outcome = backup(&connection, &path);
                let _unsent = sender.send(outcome);
            }
            Ok(Message::Stop) | Err(_) => return,
        }
    }
}

fn backup(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let mut target = Connection::open(path).map_err(|error| fault(&error))?;
    let backup = rusqlite::backup::Backup::new(connection, &mut target).map_err(|error| fault(&error))?;
    match backup.step(-1).map_err(|error| fault(&error))? {
        rusqlite::backup::StepResult::Done => Ok(()),
        _ => Err(Fault::Busy),
    }
}

fn write_loop(connection: Connection, inbox: &Receiver<Message>, unanswered: &Arc<AtomicUsize>) {
    let connection = Rc::new(connection);
    while let Ok(first) = inbox.recv() {
        let mut batch: Vec<Box<dyn Work>> = Vec::new();
        let mut next = Some(first);
        let mut stop = false;
        while let Some(message) = next.take() {
            match message {
                Message::Work(work) => batch.push(work),
                Message::Backup(path, sender) => {
                    let outcome = backup(&connection, &path);
                    let _unsent = sender.send(outcome);
                }
                Message::Stop => stop = true,
            }
            if batch.len() < BATCH && !stop {
                next = inbox.try_recv().ok();
            }
        }
        commit_batch(&connection, batch, unanswered);
        if stop {
            let _checkpointed = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);");
            return;
        }
    }
}
/// Runs a batch and answers its work, once what it wrote is on disk.
fn commit_batch(connection: &Rc<Connection>, mut batch: Vec<Box<dyn Work>>, unanswered: &Arc<AtomicUsize>) {
    if batch.is_empty() {
        return;
    }
    match keep_batch(connection, &mut batch, unanswered) {
        Ok(()) => batch.into_iter().for_each(|work| work.answer(Ok(()))),
        Err(fault) if batch.len() == 1 || is_final(&fault) => batch.into_iter().for_each(|work| work.answer(Err(fault.clone()))),
        // A neighbour took the batch with it: each for itself.
        Err(_) => {
            for work in batch {
                let mut alone = vec![work];
                let outcome = keep_batch(connection, &mut alone, unanswered);
                alone.into_iter().for_each(|work| work.answer(outcome.clone()));
            }
        }
    }
}

/// Why a batch was not kept; closed.
enum Unkept {
    /// Something failed after it wrote, and no savepoint keeps it apart from the rest.
    Mixed,
    Fault(Fault),
}

impl From<Fault> for Unkept {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Whether running the transactions one by one cannot help.
fn is_final(fault: &Fault) -> bool {
    matches!(fault, Fault::Full | Fault::Gone(_))
}

/// Most batches hold nothing that fails after it wrote: they go without savepoints, which copy every page that is touched.
fn keep_batch(connection: &Rc<Connection>, batch: &mut [Box<dyn Work>], unanswered: &Arc<AtomicUsize>) -> Result<(), Fault> {
    let outcome = match try_batch(connection, batch, Guard::None, unanswered) {
        Err(Unkept::Mixed) => try_batch(connection, batch, Guard::Savepoints, unanswered),
        outcome => outcome,
    };
    outcome.map_err(|unkept| match unkept {
        Unkept::Mixed => Fault::Undone,
        Unkept::Fault(fault) => fault,
    })
}

fn try_batch(connection: &Rc<Connection>, batch: &mut [Box<dyn Work>], guard: Guard, unanswered: &Arc<AtomicUsize>) -> Result<(), Unkept> {
    run(connection, "BEGIN IMMEDIATE")?;
    let outcome = run_all(connection, batch, guard, unanswered).and_then(|()| Ok(run(connection, "COMMIT")?));
    if outcome.is_err() && !connection.is_autocommit() {
        let _undone = run(connection, "ROLLBACK");
    }
    outcome
}

fn run_all(connection: &Rc<Connection>, batch: &mut [Box<dyn Work>], guard: Guard, unanswered: &Arc<AtomicUsize>) -> Result<(), Unkept> {
    let begin = || Tx::sqlite(Rc::clone(connection), guard, Some(Arc::clone(unanswered)));
    let is_alone = batch.len() == 1;
    let mut texts = Vec::new();
    for work in batch {
        if guard == Guard::Savepoints {
            run(connection, "SAVEPOINT job")?;
        }
        let tx = begin();
        let keep = work.run(&tx);
        tx.end();
        if connection.is_autocommit() {
            // Disk full, an I/O error, out of memory: SQLite undid everything.
            return Err(tx.last_fault().unwrap_or(Fault::Undone).into());
        }
        match guard {
            Guard::None if tx.is_doomed() => return Err(Unkept::Mixed),
            Guard::None if !keep && tx.has_written() => return Err(if is_alone { Fault::Undone.into() } else { Unkept::Mixed }),
            Guard::None => {}
            Guard::Savepoints => {
                if !keep {
                    run(connection, "ROLLBACK TO job")?;
                }
                run(connection, "RELEASE job")?;
            }
        }
        if keep {
            texts.extend(tx.take_index_work());
        }
    }
    if texts.is_empty() {
        return Ok(());
    }
    // Once for all, outside of any savepoint.
    let tx = begin();
    let indexed = tx.index(texts);
    tx.end();
    Ok(indexed?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::idempotency::IDEMPOTENCY;
    use model::{Storage, Value};

    fn key(number: i64) -> Vec<Value> {
        let cell = |storage: &Storage| match storage {
            Storage::Text => Value::text(&number.to_string()),
            Storage::Bytes => Value::Bytes([1_u8][..].into()),
            _ => Value::Null,
        };
        IDEMPOTENCY.columns.iter().map(|(_, storage)| cell(storage)).collect()
    }

    /// Work that waits together for the writer shares one commit; what fails after it wrote takes only itself away.
    #[tokio::test]
    async fn a_failure_undoes_itself_alone() {
        let lanes = Lanes::open(None).expect("a database");
        lanes.write(crate::system::migrate).await.expect("tables");
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        // The first holds the writer until the others stand in its queue; run again, it does not wait again.
        let waited = std::sync::atomic::AtomicBool::new(false);
        let first = lanes.write(move |_| {
            if !waited.swap(true, std::sync::atomic::Ordering::SeqCst) {
                gate.lock().map_err(|_| Fault::Undone)?.recv().map_err(|_| Fault::Undone)?;
            }
            Ok::<_, Fault>(())
        });
        let works = (0..20_i64).map(|number| {
            lanes.write(move |tx| {
                tx.put(&IDEMPOTENCY, &[key(number)])?;
                if number % 3 == 0 { Err(Fault::Sql("on purpose".to_owned())) } else { Ok(number) }
            })
        });
        let opening = async {
            tokio::task::yield_now().await;
            open.send(()).map_err(|_| Fault::Undone)
        };
        let (first, answers, opened) = futures_util::future::join3(first, futures_util::future::join_all(works), opening).await;
        assert!(first.is_ok() && opened.is_ok());
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_err(), number % 3 == 0, "{number}: {answer:?}");
        }
        let kept = lanes.read(|tx| tx.find(&IDEMPOTENCY, &[], &[], 100)).await.expect("rows");
        assert_eq!(kept.len(), 13);
        lanes.close();
    }

    /// A question without an end holds no reader: it is ended, and the next one is answered.
    #[tokio::test]
    async fn a_question_that_takes_too_long_is_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let lanes = Lanes::open_within(Some(folder.path().join("a.sqlite")), Duration::from_millis(200)).expect("a database");
        let endless = |tx: &Tx| {
            let mut sql = tx.sql();
            sql.push("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n");
            tx.query(&sql, &[crate::sql::Decode::Plain(Storage::Int)])
        };
        let short = |tx: &Tx| {
            let mut sql = tx.sql();
            sql.push("SELECT 7");
            tx.query(&sql, &[crate::sql::Decode::Plain(Storage::Int)])
        };
        for _ in 0..12 {
            assert_eq!(lanes.read(endless).await, Err(Fault::Busy));
        }
        assert_eq!(lanes.read(short).await, Ok(vec![vec![Value::Int(7)]]));
        lanes.close();
    }

    /// A page that was overwritten is named.
    #[tokio::test]
    async fn a_damaged_file_is_told() {
        use std::io::{Seek, SeekFrom, Write};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.sqlite");
        let lanes = Lanes::open(Some(path.clone())).expect("a database");
        lanes.write(crate::system::migrate).await.expect("tables");
        lanes.write(|tx| tx.put(&IDEMPOTENCY, &(0..500).map(key).collect::<Vec<_>>())).await.expect("rows");
        assert_eq!(lanes.damages().await, Ok(Vec::new()));
        lanes.close();
        let whole = Connection::open(&path).expect("the file");
        // The writer that ends does the same at the same time.
        while whole.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).expect("an answer") != 0 {
            std::thread::yield_now();
        }
        let (pages, size): (u32, u32) =
            whole.query_row("SELECT * FROM pragma_page_count, pragma_page_size", [], |row| Ok((row.get(0)?, row.get(1)?))).expect("pages");
        drop(whole);
        let mut file = std::fs::File::options().write(true).open(&path).expect("the file");
        file.seek(SeekFrom::Start(u64::from(pages - 2) * u64::from(size))).expect("a place");
        file.write_all(&vec![0xA5; size as usize * 2]).expect("written");
        let lanes = Lanes::open(Some(path)).expect("it opens");
        assert_ne!(lanes.damages().await, Ok(Vec::new()));
        lanes.close();
    }

    /// What an older program counted while tables were empty must not decide how they are read when they are full.

    #[tokio::test]
    async fn a_part_that_fails_is_undone_alone() {
        let lanes = Lanes::open(None).expect("a database");
        lanes.write(crate::system::migrate).await.expect("tables");
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let inner = lanes.write(move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            tx.put(&IDEMPOTENCY, &[key(1)])?;
            let part = tx.savepoint(|tx| {
                tx.put(&IDEMPOTENCY, &[key(2)])?;
                tx.put(&IDEMPOTENCY, &[key(1)])
            });
            assert!(part.is_err());
            tx.put(&IDEMPOTENCY, &[key(3)])
        });
        inner.await.expect("the rest is kept");
        let kept = lanes.read(|tx| tx.find(&IDEMPOTENCY, &[], &[("key", false)], 100)).await.expect("rows");
        assert_eq!(kept, [key(1), key(3)]);
        assert_eq!(runs.load(Ordering::SeqCst), 2, "first without savepoints, then with them");
        // What fails before it wrote needs no second run.
        let counted = Arc::clone(&runs);
        let outer = lanes.write(move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            let part = tx.savepoint(|tx| tx.put(&IDEMPOTENCY, &[key(1)]));
            assert!(part.is_err());
            tx.put(&IDEMPOTENCY, &[key(4)])
        });
        outer.await.expect("the rest is kept");
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        lanes.close();
    }

    #[tokio::test]
    async fn long_work_sees_that_others_wait() {
        let lanes = Lanes::open(None).expect("a database");
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let first = lanes.write(move |tx| {
            gate.lock().map_err(|_| Fault::Undone)?.recv().map_err(|_| Fault::Undone)?;
            Ok::<_, Fault>(tx.is_awaited())
        });
        let second = async {
            // Polled after the first, whose work is with the writer by then.
            tokio::task::yield_now().await;
            let waiting = lanes.write(|tx| Ok::<_, Fault>(tx.is_awaited()));
            let opening = async {
                tokio::task::yield_now().await;
                open.send(()).map_err(|_| Fault::Undone)
            };
            futures_util::future::join(waiting, opening).await.0
        };
        let (first, _) = futures_util::future::join(first, second).await;
        assert_eq!(first, Ok(true));
        assert_eq!(lanes.write(|tx| Ok::<_, Fault>(tx.is_awaited())).await, Ok(false));
        lanes.close();
    }

    #[tokio::test]
    async fn old_statistics_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.sqlite");
        let older = Connection::open(&path).expect("a database");
        older.execute_batch("CREATE TABLE t (a INTEGER); CREATE INDEX i ON t (a); INSERT INTO t VALUES (1); ANALYZE;").expect("statistics");
        drop(older);
        let lanes = Lanes::open(Some(path)).expect("the same database");
        let left = lanes.read(|tx| tx.columns_of("sqlite_stat1")).await.expect("columns");
        assert_eq!(left, Vec::<String>::new());
        lanes.close();
    }
}
