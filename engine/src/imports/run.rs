//! In charge of running an import: files read on a thread of their own, rows written slice by slice, rows that wait tried again.
//! Reading order: `Run`; `pass`, `part`, `slices`, `write`; `Progress` in `progress`.
//! Invariant: progress and error rows are those of the slices that were committed, also after a kill.
//! Invariant: memory does not grow with the file: a few batches are under way at any time.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use model::doc::Import;
use model::{Code, EntityId, Message, Value, Violation};
use parking_lot::RwLock;
use store::system::change::CHANGE_SET;
use store::{Fault, Tx};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::ghosts::Ghosts;
use super::lines::{self, Refused};
use super::plan::{self, Mapped, Plan};
use super::progress::{ERRORS, Files, Progress, WAITING, placed};
use super::read::{self, Options};
use super::reading::{Handed, Reading};
use super::resolve::Known;
use super::slice::{self, Manner, Outcomes};
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::files::Content;
use crate::jobs::{Halt, Unkept};
use crate::transact::current_or_superseded;

/// Batches that may be under way.
const UNDER_WAY: usize = 8;
/// The fewest and the most rows of a slice.
const SLICE: std::ops::RangeInclusive<usize> = 50..=500;
/// The time that a slice may take of the writer.
const SLICE_MICROS: u128 = 20_000;
/// Slices that share a transaction while nobody else waits for it: pages that they all change are written once.
const TOGETHER: usize = 4;
/// How often a slice is tried that the database had no time for.
const TRIES: u32 = 8;
/// One file of an import.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) document: Import,
    pub(crate) content: Content,
}

/// Keeps what a run tells.
pub(crate) trait Journal: Send + Sync {
    /// Within the transaction of a slice.
    fn keep(&self, tx: &Tx, progress: &Progress, now: DateTime<Utc>) -> Result<(), Halt>;
    /// After the commit.
    fn tell(&self, progress: &Progress);
}

/// For runs that nobody takes up again: seeds and demonstrations.
pub(crate) struct NoJournal;

impl Journal for NoJournal {
    fn keep(&self, _: &Tx, _: &Progress, _: DateTime<Utc>) -> Result<(), Halt> {
        Ok(())
    }

    fn tell(&self, _: &Progress) {}
}

/// An import that is run.
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) cx: Ctx,
    /// The app that the document is of.
    pub(crate) app: Option<String>,
    pub(crate) parts: Vec<Part>,
    pub(crate) dry_run: bool,
    /// Days that dates are moved by.
    pub(crate) shift: i64,
    /// Whether records that a person has changed stay as they are.
    pub(crate) keep_edits: bool,
    /// Names the files of error rows and waiting rows.
    pub(crate) id: Uuid,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) progress: Progress,
    /// The records that were made, where somebody asks.
    pub(crate) made: Option<Vec<Uuid>>,
    /// In a dry run: keys of records that would be there.
    pub(crate) ghosts: Arc<RwLock<Ghosts>>,
    /// Whether lines are counted at the end; headers and lines of a demonstration come in files of their own.
    pub(crate) counts_lines: bool,
    /// While lines are counted: records of a part that are taken back, by their row, with the reason.
    pub(super) refused: Option<Arc<Refused>>,
}

/// What a transaction did.
struct Done {
    outcomes: Outcomes,
    progress: Progress,
    /// Rows that something became of.
    rows: usize,
}

/// What slices share.
#[derive(Clone)]
struct Shared {
    known: Arc<RwLock<Known>>,
    ghosts: Arc<RwLock<Ghosts>>,
}

/// A file's fault, as the import's.
pub(crate) fn of_file(message: Message) -> Error {
    Error::Invalid(vec![Violation::at("/file", Code::BadFormat, message)])
}

/// How a part's file is to be read.
pub(crate) fn options(cx: &Ctx, document: &Import) -> Result<Options, Error> {
    let refused = |name: &str, value: &str| {
        let message = Message::new("import_bad_setting").with("name", name).with("value", value);
        Error::Invalid(vec![Violation::at(format!("/{name}"), Code::BadFormat, message)])
    };
    let delimiter = match document.delimiter.as_deref() {
        None | Some("auto") => None,
        Some("tab" | "\\t") => Some(b'\t'),
        Some(text) => match text.as_bytes() {
            [byte] if *byte != b'"' && *byte != b'\n' && *byte != b'\r' => Some(*byte),
            _ => return Err(refused("delimiter", text)),
        },
    };
    let header_row = document.header_row.unwrap_or(1);
    if header_row == 0 {
        return Err(refused("header_row", "0"));
    }
    Ok(Options {
        encoding: document.encoding.clone(),
        delimiter,
        sheet: document.sheet.clone(),
        header_row,
        zone: cx.zone,
        locale: cx.locale.clone(),
    })
}

impl Run {
    /// An import that nobody takes up again, with all its files in memory.
    pub(crate) fn plain(engine: &Engine, cx: Ctx, app: Option<&str>, parts: Vec<Part>) -> Self {
        let id = cx.new_id();
        Self {
            engine: engine.clone(),
            cx,
            app: app.map(str::to_owned),
            parts,
            dry_run: false,
            shift: 0,
            keep_edits: false,
            id,
            journal: Arc::new(NoJournal),
            progress: Progress::default(),
            made: None,
            ghosts: Arc::default(),
            counts_lines: false,
            refused: None,
        }
    }

    /// Runs to the end, from where the progress is.
    ///
    /// # Errors
    /// `Asked` where it was paused or cancelled; what is wrong with the file or the document.
    pub(crate) async fn run(&mut self) -> Result<(), Halt> {
        self.begin().await?;
        while !self.progress.counting {
            self.pass().await?;
            let progress = &mut self.progress;
            if progress.waiting == 0 || progress.last {
                progress.counting = true;
                break;
            }
            // Without a step forward the rows are tried once more, and then told.
            progress.last = progress.pass > 0 && progress.waiting == progress.waited;
            progress.pass += 1;
            progress.waited = progress.waiting;
            (progress.waiting, progress.part, progress.next) = (0, 0, 0);
        }
        self.count_lines().await?;
        self.finish().await
    }

    /// Counts rows and names the change set.
    async fn begin(&mut self) -> Result<(), Halt> {
        let change_set = *self.progress.change_set.get_or_insert_with(|| self.cx.new_id());
        self.cx.change_set = Some(change_set);
        self.progress.errors.resize(self.parts.len().clamp(1, ERRORS.len()), 0);
        if self.progress.total.is_none() {
            self.progress.total = self.count().await?;
        }
        if self.dry_run {
            return Ok(());
        }
        let label = self.parts.first().map(|part| part.document.entity.clone()).unwrap_or_default();
        let row = vec![
            Value::Uuid(change_set),
            Value::Timestamp(self.engine.now()),
            self.cx.caller.user().map_or(Value::Null, Value::Uuid),
            Value::text(&label),
            Value::Null,
        ];
        self.engine.store().write(move |tx| tx.put_over(&CHANGE_SET, row.clone()).map_err(Halt::from)).await
    }

    /// The rows of all parts, where counting is quick.
    async fn count(&self) -> Result<Option<u64>, Halt> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.push((part.content.clone(), options(&self.cx, &part.document)?));
        }
        let counted = tokio::task::spawn_blocking(move || {
            let mut total = 0;
            for (content, options) in all {
                match read::count(&content, &options) {
                    Some(rows) => total += rows,
                    None => return None,
                }
            }
            Some(total)
        });
        counted.await.map_err(|error| Error::Internal(error.to_string()).into())
    }

    /// Reads all parts, or the rows of them that wait.
    async fn pass(&mut self) -> Result<(), Halt> {
        let waiting = if self.progress.pass == 0 { None } else { Some(self.waiting().await?) };
        while self.progress.part < self.parts.len() {
            let part = self.progress.part;
            let only = waiting.as_ref().map(|waiting| {
                waiting.iter().map(|row| placed(*row)).filter(|(of, _)| *of == part).map(|(_, ordinal)| ordinal).collect::<Vec<u64>>()
            });
            if only.as_ref().is_none_or(|only| !only.is_empty()) {
                self.part(part, only).await?;
            }
            self.progress.part += 1;
            self.progress.next = 0;
        }
        Ok(())
    }

    /// The rows that wait since the pass before.
    async fn waiting(&self) -> Result<Vec<u64>, Halt> {
        let file = WAITING[(self.progress.pass as usize + 1) % 2];
        let (content, count) = (self.engine.files().scratch().content(self.id, file), self.progress.waited);
        let read = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<u64>> {
            let Some(content) = content else { return Ok(Vec::new()) };
            let mut bytes = Vec::new();
            content.open()?.take(count * 8).read_to_end(&mut bytes)?;
            Ok(bytes.as_chunks::<8>().0.iter().copied().map(u64::from_le_bytes).collect())
        });
        let read = read.await.map_err(|error| Error::Internal(error.to_string()))?;
        Ok(read.map_err(|error| Error::Internal(format!("waiting rows: {error}")))?)
    }

    /// Starts the thread that reads a part.
    fn reading(&self, part: &Part, only: Option<Vec<u64>>) -> Result<mpsc::Receiver<Handed>, Error> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let reading = Reading {
            cx: self.cx.clone(),
            app: self.app.clone(),
            document: part.document.clone(),
            written: self.written(),
            shift: self.shift,
            next: self.progress.next,
            only,
            sender,
        };
        let (content, options) = (part.content.clone(), options(&self.cx, &part.document)?);
        tokio::task::spawn_blocking(move || reading.run(&content, &options));
        Ok(receiver)
    }

    /// The entities that the import writes.
    fn written(&self) -> Vec<EntityId> {
        let of = |part: &Part| plan::entity_of(&self.cx, self.app.as_deref(), &part.document.entity).ok().map(|def| def.id);
        self.parts.iter().filter_map(of).collect()
    }

    /// Writes the rows of a part.
    pub(super) async fn part(&mut self, number: usize, only: Option<Vec<u64>>) -> Result<(), Halt> {
        let Some(part) = self.parts.get(number).cloned() else { return Ok(()) };
        let mut handed = self.reading(&part, only)?;
        let mut plan = match handed.recv().await {
            Some(Handed::Plan(plan)) => plan,
            Some(Handed::Failed(error)) => return Err(error.into()),
            Some(Handed::Rows(_)) | None => return Err(Error::Internal("the reading thread ended".to_owned()).into()),
        };
        let shared = Shared { known: Arc::default(), ghosts: Arc::clone(&self.ghosts) };
        let mut rows: VecDeque<Mapped> = VecDeque::new();
        // After a start that led nowhere the first step is the smallest one: a row that ends the process is then alone.
        let (mut size, mut open) = (if self.progress.starts > 1 { 1 } else { *SLICE.start() }, true);
        let mut together = 1;
        while open || !rows.is_empty() {
            while open && rows.len() < size * together {
                // More than a slice is taken as far as it is there.
                let next = if rows.len() < size { handed.recv().await } else { handed.try_recv().ok() };
                match next {
                    Some(Handed::Rows(more)) => rows.extend(more),
                    Some(Handed::Failed(error)) => return Err(error.into()),
                    Some(Handed::Plan(_)) => {}
                    None if rows.len() < size => open = false,
                    None => break,
                }
            }
            let slices: Vec<Mapped> = rows.drain(..(size * together).min(rows.len())).collect();
            if slices.is_empty() {
                continue;
            }
            let (left, written, micros) = self.slices(&part.document, &mut plan, slices, size, &shared).await?;
            left.into_iter().rev().for_each(|row| rows.push_front(row));
            let fitting = written as u128 * SLICE_MICROS / micros.max(1);
            size = usize::try_from(fitting).unwrap_or(*SLICE.end()).clamp(*SLICE.start(), *SLICE.end());
            together = if self.dry_run { 1 } else { TOGETHER };
        }
        Ok(())
    }

    /// Writes slices of `size` rows in one transaction: the rows that are left because others waited for it, how many were
    /// written, and the time that it took of the writer.
    async fn slices(
        &mut self,
        document: &Import,
        plan: &mut Arc<Plan>,
        mut rows: Vec<Mapped>,
        size: usize,
        shared: &Shared,
    ) -> Result<(Vec<Mapped>, usize, u128), Halt> {
        let mut tries = 0;
        loop {
            self.cx.now = self.engine.now();
            if plan.revision != self.cx.app.revision {
                *plan = Arc::new(plan::compile(&self.cx, self.app.as_deref(), document, &plan.columns, &self.written(), self.shift)?);
                shared.known.write().clear();
            }
            if rows.first().is_some_and(|row| row.revision != plan.revision) {
                rows = rows.into_iter().map(|row| plan.map(&self.cx, row.row, row.ordinal)).collect();
            }
            let slices = Arc::new(rows);
            let started = Instant::now();
            let (done, micros) = match self.write(plan, &slices, size, shared).await {
                Ok(done) => done,
                Err(Unkept::Rolled(rolled)) => {
                    let micros = started.elapsed().as_micros();
                    self.keep_alone(&rolled.progress).await?;
                    (*rolled, micros)
                }
                Err(Unkept::Halted(Halt::Failed(Error::Superseded))) => {
                    self.cx = self.engine.renewed(&self.cx).await?;
                    rows = Arc::unwrap_or_clone(slices);
                    continue;
                }
                Err(Unkept::Halted(Halt::Failed(Error::Store(fault)))) if tries < TRIES && (fault == Fault::Busy || fault.is_transient()) => {
                    tries += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(10 << tries)).await;
                    rows = Arc::unwrap_or_clone(slices);
                    continue;
                }
                Err(Unkept::Halted(halt)) => return Err(halt),
            };
            let Done { outcomes, progress, rows: written } = done;
            self.progress = progress;
            if self.dry_run {
                shared.ghosts.write().extend(outcomes.ghosts);
            } else {
                shared.known.write().extend(outcomes.found);
                self.engine.tell(outcomes.notes);
            }
            if let Some(made) = &mut self.made {
                made.extend(outcomes.made.into_iter().map(|(_, id)| id));
            }
            self.journal.tell(&self.progress);
            let left = if written < slices.len() { Arc::unwrap_or_clone(slices).split_off(written) } else { Vec::new() };
            return Ok((left, written, micros));
        }
    }

    /// One transaction: the rows, the files of error rows and of waiting ones, the progress. It ends after a slice that others
    /// wait for.
    async fn write(&self, plan: &Arc<Plan>, rows: &Arc<Vec<Mapped>>, size: usize, shared: &Shared) -> Result<(Done, u128), Unkept<Done>> {
        let (cx, plan, rows, shared) = (self.cx.clone(), Arc::clone(plan), Arc::clone(rows), shared.clone());
        let (before, journal, dry_run, keep_edits) = (self.progress.clone(), Arc::clone(&self.journal), self.dry_run, self.keep_edits);
        let (watch, refused) = (self.watches(plan.entity), self.refused.clone());
        let files = Files { scratch: self.engine.files().scratch().clone(), id: self.id };
        let work = move |tx: &Tx| {
            let started = Instant::now();
            current_or_superseded(&cx, tx)?;
            let (known, ghosts) = (shared.known.read(), shared.ghosts.read());
            let manner = Manner { known: &known, ghosts: dry_run.then_some(&*ghosts), last: before.last, keep_edits };
            let mut done = Done { outcomes: Outcomes::default(), progress: before.clone(), rows: 0 };
            for slice in rows.chunks(size.max(1)) {
                let outcomes = match &refused {
                    None => slice::write(&cx, tx, &plan, slice, manner)?,
                    Some(refused) => lines::take_back(&cx, tx, plan.entity, slice, refused)?,
                };
                done.progress = files.note(&plan, slice, &outcomes, &done.progress, watch)?;
                done.outcomes.extend(outcomes);
                done.rows += slice.len();
                if tx.is_awaited() {
                    break;
                }
            }
            if dry_run {
                return Err(Unkept::Rolled(Box::new(done)));
            }
            journal.keep(tx, &done.progress, cx.now)?;
            Ok((done, started.elapsed().as_micros()))
        };
        self.engine.store().write(work).await
    }

    /// Writes the progress on its own: of a dry run, whose transactions are taken back.
    async fn keep_alone(&self, progress: &Progress) -> Result<(), Halt> {
        let (journal, progress, now) = (Arc::clone(&self.journal), progress.clone(), self.engine.now());
        self.engine.store().write(move |tx| journal.keep(tx, &progress, now)).await
    }

    /// The last word on how far it is.
    async fn finish(&mut self) -> Result<(), Halt> {
        self.progress.total = Some(self.progress.done);
        self.progress.waiting = self.progress.held;
        let progress = self.progress.clone();
        self.keep_alone(&progress).await?;
        self.journal.tell(&progress);
        Ok(())
    }
}
