//! In charge of PostgreSQL: a pool, transactions on blocking threads, numbering of changes.
//! Invariant: a transaction that collided is run again, up to five times; isolation is read committed with explicit locks.
//! Invariant: changes get their number after the commit, whole transactions together, by one elected sequencer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, SqlxPostgresConnector, Statement, TransactionTrait};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::db::TRIES;
use crate::dialect::postgres::{decode, encode, fault};
use crate::fault::Fault;
use crate::sql::{Decode, Sql};
use crate::tx::Tx;
use model::Value;

/// Connections, and so transactions at once.
const CONNECTIONS: u32 = 16;

/// The pool of one database.
pub(super) struct Pool {
    connection: DatabaseConnection,
    slots: Arc<Semaphore>,
    numbering: Arc<tokio::sync::Mutex<u64>>,
    tickets: std::sync::atomic::AtomicU64,
}

/// One transaction, driven from a blocking thread.
pub(crate) struct Session {
    transaction: DatabaseTransaction,
    handle: Handle,
}

impl Session {
    pub(crate) fn query(&self, sql: &Sql, how: &[Decode]) -> Result<Vec<Vec<Value>>, Fault> {
        let found = self.handle.block_on(self.transaction.query_all_raw(statement(sql))).map_err(|error| fault(&error))?;
        found
            .iter()
            .map(|row| {
                let row = row.try_as_pg_row().ok_or_else(|| Fault::Sql("a row of another database".to_owned()))?;
                how.iter().enumerate().map(|(index, how)| decode(*how, row, index)).collect()
            })
            .collect()
    }

    pub(crate) fn execute(&self, sql: &Sql) -> Result<u64, Fault> {
        self.handle.block_on(self.transaction.execute_raw(statement(sql))).map(|done| done.rows_affected()).map_err(|error| fault(&error))
    }

    pub(crate) fn script(&self, text: &str) -> Result<(), Fault> {
        self.handle.block_on(self.transaction.execute_unprepared(text)).map(drop).map_err(|error| fault(&error))
    }
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
            ("statement_timeout", "60000"),
            ("idle_in_transaction_session_timeout", "60000"),
            ("timezone", "UTC"),
        ]);
        if let Some(schema) = schema {
            if !model::name::is_name(schema) {
                return Err(Fault::Gone(format!("`{schema}` is not a name")));
            }
            options = options.options([("search_path", schema)]);
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(10))
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
            let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| E::from(Fault::Gone("closed".to_owned())))?;
            let transaction = match self.connection.begin().await.map_err(|error| fault(&error)) {
                Ok(transaction) => transaction,
                // A connection that died while it lay in the pool is replaced by a new one.
                Err(Fault::Gone(_)) if attempt < TRIES => continue,
                Err(fault) => return Err(fault.into()),
            };
            let (work, handle) = (Arc::clone(&work), Handle::current());
            let done = tokio::task::spawn_blocking(move || {
                let _slot = slot;
                once(&*work, transaction, handle, keep)
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

    /// Numbers committed changes in the order in which they may be seen.
    pub(super) async fn number_changes(&self) {
        // The ticket is drawn after the own commit: a round that began after it saw that commit.
        use std::sync::atomic::Ordering;
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
    }
}

enum Outcome<T, E> {
    Done(Result<T, E>),
    Again(Fault),
}

fn once<T, E: From<Fault>>(
    work: &(impl Fn(&Tx) -> Result<T, E> + Sync),
    transaction: DatabaseTransaction,
    handle: Handle,
    keep: bool,
) -> Outcome<T, E> {
    let session = std::rc::Rc::new(Session { transaction, handle: handle.clone() });
    let tx = Tx::postgres(std::rc::Rc::clone(&session));
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| work(&tx)));
    let result = result.unwrap_or_else(|panic| Err(Fault::Panicked(super::sqlite::message_of(&*panic)).into()));
    tx.end();
    let last = tx.last_fault();
    drop(tx);
    let Some(session) = std::rc::Rc::into_inner(session) else {
        return Outcome::Done(Err(Fault::Sql("a transaction outlived its work".to_owned()).into()));
    };
    if result.is_err() || !keep {
        let _undone = handle.block_on(session.transaction.rollback());
        return match last {
            Some(fault) if fault.is_transient() && result.is_err() => Outcome::Again(fault),
            _ => Outcome::Done(result),
        };
    }
    match handle.block_on(session.transaction.commit()).map_err(|error| fault(&error)) {
        Ok(()) => Outcome::Done(result),
        Err(fault) if fault.is_transient() => Outcome::Again(fault),
        Err(fault) => Outcome::Done(Err(fault.into())),
    }
}
