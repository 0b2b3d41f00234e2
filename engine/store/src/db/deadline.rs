//! In charge of ending questions that take too long.
//! Invariant: each question has its own time; what ends one ends no other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::dialect::sqlite::fault;
use crate::fault::Fault;

/// How long one question of a reader may take: its request is answered by then.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// Steps of the database's machine between two looks at the clock.
const STEPS: i32 = 20_000;

/// Ends a question that takes too long, so that a few heavy ones do not hold every reader.
pub(crate) struct Deadline {
    limit: Duration,
    /// When the question at hand is to end.
    at: Mutex<Instant>,
}

impl Deadline {
    pub(super) fn over(connection: &Connection, limit: Duration) -> Result<Arc<Self>, Fault> {
        let deadline = Arc::new(Self { limit, at: Mutex::new(Instant::now()) });
        let watched = Arc::clone(&deadline);
        connection.progress_handler(STEPS, Some(move || watched.is_over())).map_err(|error| fault(&error))?;
        Ok(deadline)
    }

    /// A question begins.
    pub(crate) fn begin(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.limit;
    }

    fn is_over(&self) -> bool {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) <= Instant::now()
    }
}
