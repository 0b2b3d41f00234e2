//! In charge of connections: where a workspace's database is, and running work on it.
//! Reading order: `Location`, `Store`; then `sqlite` (threads) and `postgres` (pool).
//! Invariant: work is a plain function over a `Tx`; it may be run again, so it must be free of outside effects.
//! Invariant: nothing of a transaction is answered before it is on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::ddl::Step;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::system;
use crate::tx::Tx;

mod deadline;
mod functions;
mod postgres;
mod sqlite;

pub(crate) use deadline::Deadline;
pub(crate) use postgres::Session;

/// How often a transaction that collided is tried again.
const TRIES: usize = 5;

/// Where a workspace's database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite.
    SqliteFile(PathBuf),
    /// SQLite in memory: scenarios and tests.
    SqliteMemory,
    /// PostgreSQL.
    Postgres {
        /// `postgres://…`.
        url: String,
        /// The schema of the workspace's tables; `public` where absent.
        schema: Option<String>,
    },
}

impl Location {
    /// A database that ends with the program: what a scenario runs on.
    #[must_use]
    pub const fn scratch() -> Self {
        Self::SqliteMemory
    }

    /// A file of SQLite in a data folder.
    #[must_use]
    pub fn in_folder(folder: &std::path::Path) -> Self {
        Self::SqliteFile(folder.join("trellis.sqlite"))
    }

    /// The location that a URL names: `sqlite:PATH`, `sqlite::memory:`, `postgres://…`.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        if url == "sqlite::memory:" {
            return Some(Self::SqliteMemory);
        }
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Some(Self::SqliteFile(PathBuf::from(path.trim_start_matches("//"))));
        }
        (url.starts_with("postgres://") || url.starts_with("postgresql://")).then(|| Self::Postgres { url: url.to_owned(), schema: None })
    }
}

/// A workspace's database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    base: Base,
    /// Somebody committed something that is to be done.
    stirred: Notify,
}

enum Base {
    Sqlite(sqlite::Lanes),
    Postgres(postgres::Pool),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store(")?;
        f.write_str(self.dialect().name())?;
        f.write_str(")")
    }
}

impl Store {
    /// Opens a database and brings its own tables up to date.
    ///
    /// # Errors
    /// Where it cannot be opened, or is of a newer version.
    pub async fn open(location: &Location) -> Result<Self, Fault> {
        let base = match location {
            Location::SqliteFile(path) => Base::Sqlite(sqlite::Lanes::open(Some(path.clone()))?),
            Location::SqliteMemory => Base::Sqlite(sqlite::Lanes::open(None)?),
            Location::Postgres { url, schema } => Base::Postgres(postgres::Pool::open(url, schema.as_deref()).await?),
        };
        let store = Self(Arc::new(Inner { base, stirred: Notify::new() }));
        store.write(system::migrate).await?;
        if let Base::Postgres(pool) = &store.0.base {
            // What was committed when a former process ended.
            pool.number_changes().await;
        }
        Ok(store)
    }

    fn dialect(&self) -> Dialect {
        match &self.0.base {
            Base::Sqlite(_) => Dialect::Sqlite,
            Base::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The database's name.
    #[must_use]
    pub fn dialect_name(&self) -> &'static str {
        self.dialect().name()
    }

    /// Whether no other process writes this database: what is known of it in memory holds.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.dialect() == Dialect::Sqlite
    }

    /// Runs `work` on one consistent state. It cannot write.
    ///
    /// # Errors
    /// What `work` says, or that the database could not.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + Sync + 'static,
    {
        match &self.0.base {
            Base::Sqlite(lanes) => lanes.read(work).await,
            Base::Postgres(pool) => pool.run(work, false).await,
        }
    }

    /// Runs `work` in one transaction. It is on disk when this returns; with an error nothing of it is.
    ///
    /// # Errors
    /// What `work` says, or that the database could not.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + Sync + 'static,
    {
        self.keep(work, false).await
    }

    /// Waits until something was committed that is to be done; at once where that was since the last call.
    pub async fn stirred(&self) {
        self.0.stirred.notified().await;
    }

    /// Runs `work`, which changes the structure, in one transaction. It waits for locks no longer than those behind it may be
    /// delayed, and is tried again.
    ///
    /// # Errors
    /// What `work` says, or that the database could not.
    pub async fn restructure<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + Sync + 'static,
    {
        self.keep(work, true).await
    }

    async fn keep<T, E, F>(&self, work: F, short_locks: bool) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
        F: Fn(&Tx) -> Result<T, E> + Send + Sync + 'static,
    {
        let (stirs, appends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (told, appended) = (Arc::clone(&stirs), Arc::clone(&appends));
        let work = move |tx: &Tx| {
            let result = work(tx);
            told.store(tx.is_stirred(), Ordering::Release);
            appended.store(tx.has_appended(), Ordering::Release);
            result
        };
        let result = match &self.0.base {
            Base::Sqlite(lanes) => lanes.write(work).await,
            Base::Postgres(pool) => {
                let result = if short_locks { pool.restructure(work).await } else { pool.run(work, true).await };
                if result.is_ok() && appends.load(Ordering::Acquire) {
                    pool.number_changes().await;
                }
                result
            }
        };
        if result.is_ok() && stirs.load(Ordering::Acquire) {
            self.0.stirred.notify_one();
        }
        result
    }

    /// Makes an index while others write, where the database can; else in a transaction of its own.
    ///
    /// # Errors
    /// Where two live records agree in what is to be unique, or the database cannot.
    pub async fn build_index(&self, step: &Step) -> Result<(), Fault> {
        match &self.0.base {
            Base::Sqlite(lanes) => {
                let step = step.clone();
                lanes.write(move |tx| tx.apply(&step)).await
            }
            Base::Postgres(pool) => pool.build_index(step).await,
        }
    }

    /// Writes a consistent copy of the whole database into a file, while work goes on.
    ///
    /// # Errors
    /// Where the database has no such thing, or the file cannot be written.
    pub async fn backup(&self, path: PathBuf) -> Result<(), Fault> {
        match &self.0.base {
            Base::Sqlite(lanes) => lanes.backup(path).await,
            Base::Postgres(_) => Err(Fault::Sql("use pg_dump for a workspace on PostgreSQL".to_owned())),
        }
    }

    /// What the database says of its own soundness; nothing where all is well. It looks at every page, and takes its time.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub async fn damages(&self) -> Result<Vec<String>, Fault> {
        match &self.0.base {
            Base::Sqlite(lanes) => lanes.damages().await,
            Base::Postgres(pool) => pool.run(crate::system::damages, false).await,
        }
    }

    /// Stops taking work and closes the connections.
    pub async fn close(&self) {
        match &self.0.base {
            Base::Sqlite(lanes) => lanes.close(),
            Base::Postgres(pool) => pool.close().await,
        }
    }
}
