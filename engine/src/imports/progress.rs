//! In charge of how far an import is, and of the files that it writes beside the database.
//! Invariant: error rows, waiting rows and watched records are those of the slices that were committed, also after a kill.

use serde::{Deserialize, Serialize};
use store::Fault;
use uuid::Uuid;

use super::plan::{Mapped, Plan};
use super::report;
use super::slice::{End, Outcomes};
use crate::error::Error;

/// Files of error rows, by part; parts beyond share the last.
pub(super) const ERRORS: [&str; 4] = ["errors-0.csv", "errors-1.csv", "errors-2.csv", "errors-3.csv"];
/// Rows that wait, by turns: one is read while the other is written.
pub(super) const WAITING: [&str; 2] = ["waiting-0", "waiting-1"];
/// Records that were made whose lines are counted at the end: the place of the row, and the id.
pub(super) const MADE: &str = "made";
/// Bytes of one of them.
pub(super) const WATCHED: usize = 24;
/// Bits of an ordinal in the place of a row; the part stands above.
const ORDINAL_BITS: u32 = 48;

/// The place of a row in the import.
pub(super) fn place(part: usize, ordinal: u64) -> u64 {
    (part as u64) << ORDINAL_BITS | ordinal
}

/// The part and the ordinal of a place.
pub(super) fn placed(place: u64) -> (usize, u64) {
    (usize::try_from(place >> ORDINAL_BITS).unwrap_or(usize::MAX), place & ((1 << ORDINAL_BITS) - 1))
}

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// Rows in all, where that is known.
    pub(crate) total: Option<u64>,
    /// Rows that something became of.
    pub(crate) done: u64,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    /// The changes that belong together.
    pub(crate) change_set: Option<Uuid>,
    pub(crate) error: Option<String>,
    /// Starts without progress.
    pub(crate) starts: u64,
    /// The time that rows that wait are tried.
    pub(super) pass: u32,
    /// Whether no later row can bring what is missing.
    pub(super) last: bool,
    /// The part that is read.
    pub(super) part: usize,
    /// The next row of it.
    pub(super) next: u64,
    /// Rows that wait: for a later row while the import runs, for a person when it is done.
    pub(super) waiting: u64,
    /// Rows that waited after the pass before.
    pub(super) waited: u64,
    /// Rows that wait for a person.
    pub(super) held: u64,
    /// How long the files of error rows are.
    pub(super) errors: Vec<u64>,
    /// Records that were made whose lines are counted at the end, and how many of them were looked at.
    pub(super) watched: u64,
    pub(super) counted: u64,
    /// Whether all rows are written and lines are being counted.
    pub(super) counting: bool,
}

impl Progress {
    /// The file of error rows of a part, and whether it has any.
    pub(crate) fn error_file(&self, part: usize) -> Option<&'static str> {
        let part = part.min(ERRORS.len() - 1);
        self.errors.get(part).filter(|length| **length > 0).and_then(|_| ERRORS.get(part).copied())
    }

    /// The first part that has error rows.
    pub(crate) fn first_errors(&self) -> Option<usize> {
        self.errors.iter().position(|length| *length > 0)
    }
}

/// The files that a slice writes beside the database. Written at places that the progress knows, so that a slice that is
/// run again, or taken up after a kill, writes them again instead of twice.
pub(super) struct Files {
    pub(super) scratch: crate::files::scratch::Scratch,
    pub(super) id: Uuid,
}

impl Files {
    /// Writes the error rows, the waiting rows and the watched records of a slice; how far the import is then.
    pub(super) fn note(&self, plan: &Plan, rows: &[Mapped], outcomes: &Outcomes, before: &Progress, watch: bool) -> Result<Progress, Error> {
        let mut progress = Progress { starts: 0, ..before.clone() };
        let (mut failed, mut waiting) = (Vec::new(), Vec::new());
        for (row, end) in rows.iter().zip(&outcomes.ends) {
            progress.next = progress.next.max(row.ordinal + 1);
            match end {
                End::Created => progress.created += 1,
                End::Updated => progress.updated += 1,
                End::Skipped => progress.skipped += 1,
                End::Waits => {
                    waiting.extend_from_slice(&place(progress.part, row.ordinal).to_le_bytes());
                    progress.waiting += 1;
                    continue;
                }
                End::Held(reason) => {
                    failed.push((row, reason.as_str()));
                    progress.held += 1;
                }
                End::Refused(reason) => {
                    failed.push((row, reason.as_str()));
                    progress.created = progress.created.saturating_sub(1);
                    progress.failed += 1;
                    continue;
                }
                End::Failed(reason) => {
                    failed.push((row, reason.as_str()));
                    progress.failed += 1;
                }
            }
            progress.done += 1;
        }
        if !failed.is_empty() {
            let part = progress.part.min(ERRORS.len() - 1);
            let length = progress.errors.get(part).copied().unwrap_or_default();
            let mut bytes = report::lines(&plan.columns, failed.into_iter(), plan.habits.zone)?;
            if length == 0 {
                bytes = report::begun(&plan.columns, &bytes)?;
            }
            self.put(ERRORS[part], length, &bytes)?;
            if let Some(place) = progress.errors.get_mut(part) {
                *place = length + bytes.len() as u64;
            }
        }
        if !waiting.is_empty() {
            self.put(WAITING[progress.pass as usize % 2], before.waiting * 8, &waiting)?;
        }
        if watch && !outcomes.made.is_empty() {
            let mut made = Vec::with_capacity(outcomes.made.len() * WATCHED);
            for (index, id) in &outcomes.made {
                let Some(row) = rows.get(*index) else { continue };
                made.extend_from_slice(&place(progress.part, row.ordinal).to_le_bytes());
                made.extend_from_slice(id.as_bytes());
            }
            self.put(MADE, before.watched * WATCHED as u64, &made)?;
            progress.watched += (made.len() / WATCHED) as u64;
        }
        Ok(progress)
    }

    fn put(&self, file: &'static str, at: u64, bytes: &[u8]) -> Result<(), Error> {
        self.scratch.write_at(self.id, file, at, bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge => Error::Store(Fault::Full),
            _ => Error::Internal(format!("{file}: {error}")),
        })
    }
}
