//! In charge of PostgreSQL: a pool, transactions on blocking threads, numbering of changes.
//! Invariant: a transaction that collided is run again, up to five times; isolation is read committed with explicit locks.
//! Invariant: changes get their number after the commit, whole transactions together, by one elected sequencer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, Executor};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, SqlxPostgresConnector, Statement, TransactionTrait};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::TRIES;
use crate::ddl::{Step, index_text};
use crate::dialect::Dialect;
use crate::dialect::postgres::{decode, encode, fault, of_driver};
use crate::fault::Fault;
use crate::sql::{Decode, Sql};
use crate::tx::Tx;
use model::Value;

/// Connections, and so transactions at once.
const CONNECTIONS: u32 = 16;

/// Connections for what is kept whatever becomes of a transaction: they are never waited for while they wait.
const APART: u32 = 4;
/// How long a transaction waits for its turn before it is told that the database is busy.
const WAIT: Duration = Duration::from_secs(5);
/// How long one statement may take, in milliseconds.
const STATEMENT_TIMEOUT: &str = "60000";
/// How long one statement may wait for a lock, in milliseconds: a request behind a table that is held is told that it is busy.
const LOCK_TIMEOUT: &str = "8000";
/// What keeps a change of the structure from waiting: those who come later wait behind it.
const SHORT_LOCKS: &str = "SET LOCAL lock_timeout = '100ms'";
/// How often a change of the structure asks for its locks again: for half a minute.
const LOCK_TRIES: u32 = 100;

/// The pool of one database.
pub(super) struct Pool {
    connection: DatabaseConnection,
    apart: DatabaseConnection,
    slots: Arc<Semaphore>,
    numbering: Arc<tokio::sync::Mutex<u64>>,
    tickets: std::sync::atomic::AtomicU64,
}

/// How statements reach the database; closed.
enum Way {
    /// All in one transaction.
    Together(DatabaseTransaction),
    /// Each on its own: what is only read needs no transaction, since each statement sees its own moment anyway.
    Apart(DatabaseConnection),
}

/// One transaction, driven from a blocking thread.
pub(crate) struct Session {
    way: Way,
    handle: Handle,
    apart: DatabaseConnection,
}

impl Session {
    pub(crate) fn query(&self, sql: &Sql, how: &[Decode]) -> Result<Vec<Vec<Value>>, Fault> {
        let found = match &self.way {
            Way::Together(transaction) => self.handle.block_on(transaction.query_all_raw(statement(sql))),
            Way::Apart(pool) => self.handle.block_on(pool.query_all_raw(statement(sql))),
        };
        let found = found.map_err(|error| fault(&error))?;
        rows_of(&found, how)
    }

    /// The rows of a statement that is kept whatever becomes of the transaction.
    pub(crate) fn query_apart(&self, sql: &Sql, how: &[Decode]) -> Result<Vec<Vec<Value>>, Fault> {
        let found = self.handle.block_on(self.apart.query_all_raw(statement(sql))).map_err(|error| fault(&error))?;
        rows_of(&found, how)
    }

    pub(crate) fn execute(&self, sql: &Sql) -> Result<u64, Fault> {
        let done = match &self.way {
            Way::Together(transaction) => self.handle.block_on(transaction.execute_raw(statement(sql))),
            Way::Apart(pool) => self.handle.block_on(pool.execute_raw(statement(sql))),
        };
        done.map(|done| done.rows_affected()).map_err(|error| fault(&error))
    }

    pub(crate) fn script(&self, text: &str) -> Result<(), Fault> {
        let done = match &self.way {
            Way::Together(transaction) => self.handle.block_on(transaction.execute_unprepared(text)),
            Way::Apart(pool) => self.handle.block_on(pool.execute_unprepared(text)),
        };
        done.map(drop).map_err(|error| fault(&error))
    }
}

fn rows_of(found: &[sea_orm::QueryResult], how: &[Decode]) -> Result<Vec<Vec<Value>>, Fault> {
    found
        .iter()
        .map(|row| {
            let row = row.try_as_pg_row().ok_or_else(|| Fault::Sql("a row of another database".to_owned()))?;
            how.iter().enumerate().map(|(index, how)| decode(*how, row, index)).collect()
        })
        .collect()
}

fn statement(sql: &Sql) -> Statement {
    let values: Vec<sea_orm::sea_query::Value> = sql.binds.iter().map(|(storage, value)| encode(*storage, value)).collect();
    Statement::from_sql_and_values(DatabaseBackend::Postgres, sql.text.as_str(), values)
}

impl Pool {
    /// Connects, and makes the schema where it is not there.
    pub(super) async fn open(url: &str, schema: Option<&str>) -> Result<Self, Fault> {
        let gone = |error: sea_orm::sqlx::Error| Fault::Gone(error.to_string());
        let mut options: PgConnectOptions = url.parse().map_err(gone)?;
        options = options.statement_cache_capacity(512).options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("lock_timeout", LOCK_TIMEOUT),
            ("idle_in_transaction_session_timeout", "60000"),
            ("timezone", "UTC"),
        ]);
        if let Some(schema) = schema {
            if !model::name::is_name(schema) {
                return Err(Fault::Gone(format!("`{schema}` is not a name")));
            }
            options = options.options([("search_path", schema)]);
        }
        let apart = PgPoolOptions::new().max_connections(APART).acquire_timeout(WAIT).connect_lazy_with(options.clone());
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false)
            .acquire_timeout(WAIT)
            .idle_timeout(Duration::from_secs(300))
            .max_lifetime(Duration::from_secs(1_800))
            .connect_with(options)
            .await
            .map_err(gone)?;
        let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
        if let Some(schema) = schema {
            connection.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await.map_err(|error| fault(&error))?;
        }
        Ok(Self {
            connection,
            apart: SqlxPostgresConnector::from_sqlx_postgres_pool(apart),
            slots: Arc::new(Semaphore::new(CONNECTIONS as usize)),
            numbering: Arc::new(tokio::sync::Mutex::new(0)),
            tickets: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// Runs work in a transaction, again where it collided.
    pub(super) async fn run<T, E, F>(&self, work: F, keep: bool) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        for attempt in 1..=TRIES {
            let slot = self.slot().await?;
            let way = match keep {
                false => Way::Apart(self.connection.clone()),
                true => match self.connection.begin().await.map_err(|error| fault(&error)) {
                    Ok(transaction) => Way::Together(transaction),
                    // A connection that died while it lay in the pool is replaced by a new one.
                    Err(Fault::Gone(_)) if attempt < TRIES => continue,
                    Err(fault) => return Err(fault.into()),
                },
            };
            let (work, handle, apart) = (Arc::clone(&work), Handle::current(), self.apart.clone());
            let done = tokio::task::spawn_blocking(move || {
                let _slot = slot;
                once(&*work, Session { way, handle, apart }, keep)
            });
            match done.await {
                Ok(Outcome::Done(result)) => return result,
                Ok(Outcome::Again(_)) if attempt < TRIES => tokio::time::sleep(Duration::from_millis(5 << attempt)).await,
                Ok(Outcome::Again(fault)) => return Err(fault.into()),
                Err(error) => return Err(Fault::Panicked(error.to_string()).into()),
            }
        }
        Err(Fault::Collision.into())
    }

    /// Runs work that changes the structure: a lock that is not had at once is given up and asked for again, so that nobody
    /// queues behind it for long.
    pub(super) async fn restructure<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        for attempt in 0.. {
            let (inner, waited) = (Arc::clone(&work), Arc::new(AtomicBool::new(false)));
            let noted = Arc::clone(&waited);
            let result = self
                .run(
                    move |tx| {
                        tx.script(SHORT_LOCKS)?;
                        let result = inner(tx);
                        noted.store(result.is_err() && tx.last_fault() == Some(Fault::Busy), Ordering::SeqCst);
                        result
                    },
                    true,
                )
                .await;
            if attempt < LOCK_TRIES && waited.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(20 << attempt.min(4))).await;
                continue;
            }
            return result;
        }
        Err(Fault::Busy.into())
    }

    /// Makes an index beside running writers. What could not be finished is removed.
    pub(super) async fn build_index(&self, step: &Step) -> Result<(), Fault> {
        let Step::CreateIndex { name, .. } = step else { return Ok(()) };
        let _slot = self.slot().await?;
        let wrong = |error: sea_orm::sqlx::Error| of_driver(&error);
        let mut connection = self.connection.get_postgres_connection_pool().acquire().await.map_err(wrong)?;
        let gone = format!("DROP INDEX CONCURRENTLY IF EXISTS \"{name}\"");
        // An index takes as long as its table is large; afterwards the connection is as it was.
        let mut made = Ok(());
        for text in ["SET statement_timeout = 0; SET lock_timeout = 0".to_owned(), gone.clone(), index_text(Dialect::Postgres, step, true)] {
            made = connection.execute(AssertSqlSafe(text)).await.map(drop).map_err(wrong);
            if made.is_err() {
                break;
            }
        }
        if made.is_err() {
            connection.execute(AssertSqlSafe(gone)).await.map_err(wrong)?;
        }
        let as_before = format!("SET statement_timeout = {STATEMENT_TIMEOUT}; SET lock_timeout = {LOCK_TIMEOUT}");
        connection.execute(AssertSqlSafe(as_before)).await.map_err(wrong)?;
        made
    }

    /// A place for one transaction; whoever waits too long is told that it is busy.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, Fault> {
        match tokio::time::timeout(WAIT, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(Fault::Gone("closed".to_owned())),
            Err(_) => Err(Fault::Busy),
        }
    }

    /// Numbers committed changes in the order in which they may be seen.
    pub(super) async fn number_changes(&self) {
        // The ticket is drawn after the own commit: a round that began after it saw that commit.
        let mine = self.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        let mut covered = self.numbering.lock().await;
        if *covered >= mine {
            return;
        }
        let upto = self.tickets.load(Ordering::SeqCst);
        let numbered = self.run::<_, Fault, _>(crate::system::change::number, true).await;
        if numbered.is_ok() {
            *covered = upto;
        }
        if let Err(fault) = numbered {
            tracing::warn!(%fault, "changes were not numbered; the next write will");
        }
    }

    pub(super) async fn close(&self) {
        let _closed = self.connection.clone().close().await;
        let _closed = self.apart.clone().close().await;
    }
}

enum Outcome<T, E> {
    Done(Result<T, E>),
    Again(Fault),
}

fn once<T, E: From<Fault>>(work: &(impl Fn(&Tx) -> Result<T, E> + Sync), session: Session, keep: bool) -> Outcome<T, E> {
    let handle = session.handle.clone();
    let session = std::rc::Rc::new(session);
    let tx = Tx::postgres(std::rc::Rc::clone(&session));
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let result = work(&tx)?;
        if keep {
            tx.index_now()?;
        }
        Ok(result)
    }));
    let result = result.unwrap_or_else(|panic| Err(Fault::Panicked(super::sqlite::message_of(&*panic)).into()));
    tx.end();
    let last = tx.last_fault();
    drop(tx);
    let Some(session) = std::rc::Rc::into_inner(session) else {
        return Outcome::Done(Err(Fault::Sql("a transaction outlived its work".to_owned()).into()));
    };
    let transaction = match session.way {
        Way::Together(transaction) => transaction,
        // What is only read may be read again, on another connection where this one died.
        Way::Apart(_) => {
            return match last {
                Some(fault) if result.is_err() && (fault.is_transient() || matches!(fault, Fault::Gone(_))) => Outcome::Again(fault),
                _ => Outcome::Done(result),
            };
        }
    };
    if result.is_err() || !keep {
        let _undone = handle.block_on(transaction.rollback());
        return match last {
            Some(fault) if fault.is_transient() && result.is_err() => Outcome::Again(fault),
            _ => Outcome::Done(result),
        };
    }
    match handle.block_on(transaction.commit()).map_err(|error| fault(&error)) {
        Ok(()) => Outcome::Done(result),
        Err(fault) if fault.is_transient() => Outcome::Again(fault),
        Err(fault) => Outcome::Done(Err(fault.into())),
    }
}
