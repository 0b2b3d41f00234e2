//! In charge of databases for tests: one of each kind, empty, alone, gone afterwards.
//! Invariant: both databases always; a missing PostgreSQL is a failure.

use std::path::PathBuf;

use sea_orm::{ConnectionTrait, Database as Connection};
use store::Location;
use uuid::Uuid;

/// The databases that every behaviour must be the same on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file of its own.
    Sqlite,
    /// A schema of its own on the server that `TEST_DATABASE_URL` names.
    Postgres,
}

/// An empty database.
pub struct Database {
    /// Which kind.
    pub backend: Backend,
    folder: tempfile::TempDir,
    postgres: Option<(String, String)>,
}

impl Database {
    /// A new one.
    ///
    /// # Panics
    /// Where PostgreSQL is wanted and none is named.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let postgres = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some((postgres_url(), format!("t_{}", Uuid::new_v4().simple()))),
        };
        Self { backend, folder, postgres }
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> Location {
        match &self.postgres {
            None => Location::SqliteFile(self.folder.path().join("trellis.sqlite")),
            Some((url, schema)) => Location::Postgres { url: url.clone(), schema: Some(schema.clone()) },
        }
    }

    /// The data folder that goes with it.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Removes what was made on the server; the folder goes by itself.
    pub async fn remove(self) {
        if let Some((url, schema)) = &self.postgres {
            let connection = Connection::connect(url).await.expect("PostgreSQL is still there");
            // An analysis that PostgreSQL began by itself may stand in the way for a moment.
            let mut tries = 0;
            while let Err(error) = connection.execute_unprepared(&format!("drop schema if exists {schema} cascade")).await {
                tries += 1;
                assert!(tries < 5, "the schema cannot be dropped: {error}");
            }
            connection.close().await.expect("a connection can be closed");
        }
    }
}

/// The PostgreSQL server for tests.
///
/// # Panics
/// Where none is named: run the tests with `./tests/run`.
#[must_use]
pub fn postgres_url() -> String {
    std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names no PostgreSQL; run ./tests/run, which starts one")
}

/// Runs a story on an empty database.
pub fn with_database(backend: Backend, story: impl AsyncFnOnce(&Database)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let database = Database::new(backend);
        story(&database).await;
        database.remove().await;
    });
}
