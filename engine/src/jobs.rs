//! In charge of jobs: work that goes on behind a request, survives the process, and tells how far it is.
//! Reading order: `JobKind` (what a kind of job is), `KINDS`, `JobView` (what is answered), `Work` (what a kind works with),
//! `start_jobs`; then `worker`.
//! Invariant: a job's progress is written in the transaction of what it is about, so it is neither done twice nor left out.
//! Invariant: a job that panics, or that ends the process again and again, harms no other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use model::{Code, Message, Value};
use serde_json::{Map, Value as Json};
use store::system::Cond;
use store::system::job::JOB;
use store::{Fault, Tx};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;

mod worker;

/// One kind of job.
pub(crate) trait JobKind: Sync {
    /// The word in the table of jobs.
    fn name(&self) -> &'static str;
    /// Does it, from where it was left.
    fn run(&self, work: Work) -> BoxFuture<'static, Result<(), Halt>>;
    /// What its answer says beside the counts.
    fn tell(&self, job: &JobRow, answer: &mut Map<String, Json>);
}

/// Every kind of job.
static KINDS: &[&dyn JobKind] =
    &[&crate::imports::job::ImportKind, &crate::exports::job::ExportKind, &crate::change_sets::bulk::BulkKind, &crate::change_sets::undo::UndoKind];

/// A job that was not heard of for so long is another worker's to take.
const LEASE_SECONDS: i64 = 60;
/// Notes that a slow listener may fall behind.
const NOTES: usize = 256;
/// The most jobs of a list.
const MOST: u32 = 200;

/// Where a job is; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a worker.
    Queued,
    /// It is under way.
    Running,
    /// It was halted and may go on.
    Paused,
    /// It is done.
    Done,
    /// It ended with an error.
    Failed,
    /// It was given up.
    Cancelled,
}

impl State {
    const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Paused, Self::Done, Self::Failed, Self::Cancelled];

    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more comes of it by itself.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    fn value(self) -> Value {
        Value::text(self.as_str())
    }
}

/// A job as it is answered.
#[derive(Clone, Debug)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// What kind of job it is.
    pub kind: String,
    /// Where it is.
    pub state: State,
    /// `{"id", "state", "total", "done", …}`.
    pub json: Json,
}

/// That a job moved on.
#[derive(Clone, Debug)]
pub struct JobNote {
    /// The job.
    pub id: Uuid,
    /// Whose it is: nobody else is told.
    pub by: Option<Uuid>,
    /// The job as it is now.
    pub view: Arc<JobView>,
}

/// A row of the table of jobs.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) state: State,
    pub(crate) by: Option<Uuid>,
    pub(crate) body: Json,
    pub(crate) progress: Json,
}

/// Why a job stopped; closed.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Somebody paused or cancelled it, or took it over.
    Asked,
    /// It cannot go on.
    Failed(Error),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Why nothing of a job's transaction was kept; closed.
pub(crate) enum Unkept<T> {
    /// It was only looked at what would be.
    Rolled(Box<T>),
    /// The job stops.
    Halted(Halt),
}

impl<T, E: Into<Halt>> From<E> for Unkept<T> {
    fn from(why: E) -> Self {
        Self::Halted(why.into())
    }
}

/// The jobs of a workspace.
#[derive(Debug)]
pub struct Jobs {
    wake: Notify,
    notes: broadcast::Sender<JobNote>,
    started: AtomicBool,
    stopped: AtomicBool,
    /// Who works here: the same after a restart over the same data folder.
    worker: String,
}

impl Jobs {
    /// The jobs of a workspace whose data is in `data_dir`.
    pub(crate) fn new(data_dir: Option<&Path>) -> Result<Self, Error> {
        let (notes, _) = broadcast::channel(NOTES);
        let worker = match data_dir {
            Some(folder) => worker_of(folder)?,
            None => new_worker()?,
        };
        Ok(Self { wake: Notify::new(), notes, started: AtomicBool::new(false), stopped: AtomicBool::new(false), worker })
    }
}

fn new_worker() -> Result<String, Error> {
    Ok(crate::keys::random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The name of the worker of a data folder. Only one process at a time works there.
fn worker_of(folder: &Path) -> Result<String, Error> {
    let path = folder.join("worker");
    if let Ok(name) = std::fs::read_to_string(&path)
        && name.len() == 16
    {
        return Ok(name);
    }
    let name = new_worker()?;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, &name))
        .map_err(|error| Error::Internal(format!("{}: {error}", path.display())))?;
    Ok(name)
}

impl Jobs {
    /// What jobs tell as they move on.
    #[must_use]
    pub fn notes(&self) -> broadcast::Receiver<JobNote> {
        self.notes.subscribe()
    }

    /// Takes no more jobs; those under way halt at their next step and go on at the next start.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Who works here: the same after a restart over the same data folder.
    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl JobRow {
    fn read(row: &[Value]) -> Option<Self> {
        let [id, kind, state, by, _, body, progress, _] = row else { return None };
        let json = |value: &Value| match value {
            Value::Json(json) => Json::clone(json),
            _ => Json::Null,
        };
        Some(Self {
            id: id.as_uuid()?,
            kind: kind.as_text()?.to_owned(),
            state: State::parse(state.as_text()?)?,
            by: by.as_uuid(),
            body: json(body),
            progress: json(progress),
        })
    }

    /// Starts since it last made progress; any progress makes them 0.
    pub(crate) fn starts(&self) -> u64 {
        self.progress.get("starts").and_then(Json::as_u64).unwrap_or_default()
    }

    fn kind_of(&self) -> Option<&'static dyn JobKind> {
        KINDS.iter().copied().find(|kind| kind.name() == self.kind)
    }

    /// The job as it is answered.
    pub(crate) fn view(&self) -> JobView {
        let mut json = Map::new();
        json.insert("id".to_owned(), self.id.to_string().into());
        json.insert("kind".to_owned(), self.kind.clone().into());
        json.insert("state".to_owned(), self.state.as_str().into());
        for key in ["total", "done", "created", "updated", "skipped", "waiting", "failed", "change_set", "error"] {
            json.insert(key.to_owned(), self.progress.get(key).cloned().unwrap_or_default());
        }
        if let Some(kind) = self.kind_of() {
            kind.tell(self, &mut json);
        }
        JobView { id: self.id, kind: self.kind.clone(), state: self.state, json: Json::Object(json) }
    }
}

/// What a kind works with.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) engine: Engine,
    pub(crate) job: Arc<JobRow>,
}

impl Work {
    /// The facts under which the job acts: those of the person who asked for it, as they are now.
    pub(crate) async fn context(&self) -> Result<Ctx, Error> {
        let locale = self.job.body.get("locale").and_then(Json::as_str);
        let cx = match self.job.by {
            Some(user) => self.engine.context(user, locale).await?,
            None => self.engine.system(),
        };
        Ok(Ctx { locale: locale.map_or_else(|| cx.locale.clone(), str::to_owned), ..cx })
    }

    /// Writes how far the job is, within the transaction of what was done.
    ///
    /// # Errors
    /// `Asked` where it is no longer this worker's to do: nothing of the transaction may be kept.
    pub(crate) fn keep(&self, tx: &Tx, progress: &Json, now: DateTime<Utc>) -> Result<(), Halt> {
        if self.engine.jobs().is_stopped() {
            return Err(Halt::Asked);
        }
        let set = [("progress", Value::Json(Arc::new(progress.clone()))), ("lease", lease(now))];
        let fit = [Cond::Eq("id", Value::Uuid(self.job.id)), Cond::Eq("state", State::Running.value())];
        match tx.change(&JOB, &set, &fit)? {
            1 => Ok(()),
            _ => Err(Halt::Asked),
        }
    }

    /// Tells listeners how far the job is.
    pub(crate) fn tell(&self, progress: &Json) {
        let row = JobRow { progress: progress.clone(), state: State::Running, ..JobRow::clone(&self.job) };
        self.engine.tell_job(&row);
    }
}

fn lease(now: DateTime<Utc>) -> Value {
    Value::Timestamp(now + chrono::Duration::seconds(LEASE_SECONDS))
}

impl Engine {
    /// A new job of the caller's.
    pub(crate) async fn submit_job(&self, cx: &Ctx, kind: &'static str, body: Json, progress: Json) -> Result<JobView, Error> {
        let row = JobRow { id: cx.new_id(), kind: kind.to_owned(), state: State::Queued, by: cx.caller.user(), body, progress };
        let values = vec![
            Value::Uuid(row.id),
            Value::text(kind),
            row.state.value(),
            row.by.map_or(Value::Null, Value::Uuid),
            Value::Timestamp(self.now()),
            Value::Json(Arc::new(row.body.clone())),
            Value::Json(Arc::new(row.progress.clone())),
            Value::Null,
        ];
        self.store().write(move |tx| tx.put(&JOB, std::slice::from_ref(&values)).map_err(Error::from)).await?;
        self.jobs().wake.notify_one();
        self.tell_job(&row);
        Ok(row.view())
    }

    fn tell_job(&self, row: &JobRow) {
        // Nobody may be listening.
        let _unheard = self.jobs().notes.send(JobNote { id: row.id, by: row.by, view: Arc::new(row.view()) });
    }

    /// The row of a job that is the caller's, or any for an administrator.
    pub(crate) async fn job_row(&self, cx: &Ctx, id: Uuid) -> Result<JobRow, Error> {
        let rows = self.store().read(move |tx| tx.find(&JOB, &[Cond::Eq("id", Value::Uuid(id))], &[], 1).map_err(Error::from)).await?;
        let row = rows.first().and_then(|row| JobRow::read(row)).ok_or(Error::NotFound)?;
        if cx.caller.is_admin() || row.by == cx.caller.user() { Ok(row) } else { Err(Error::NotFound) }
    }

    /// A job of the caller's; any for an administrator.
    ///
    /// # Errors
    /// `NotFound` where there is none in sight.
    pub async fn job(&self, cx: &Ctx, id: Uuid) -> Result<JobView, Error> {
        Ok(self.job_row(cx, id).await?.view())
    }

    /// The caller's jobs, newest first; all for an administrator.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn job_list(&self, cx: &Ctx, kind: Option<&str>, limit: u32) -> Result<Vec<JobView>, Error> {
        let (by, is_admin, kind) = (cx.caller.user(), cx.caller.is_admin(), kind.map(str::to_owned));
        let rows = self
            .store()
            .read(move |tx| {
                let mut fit = Vec::new();
                if let (false, Some(by)) = (is_admin, by) {
                    fit.push(Cond::Eq("by", Value::Uuid(by)));
                }
                if let Some(kind) = &kind {
                    fit.push(Cond::Eq("kind", Value::text(kind)));
                }
                tx.find(&JOB, &fit, &[("id", true)], limit.clamp(1, MOST)).map_err(Error::from)
            })
            .await?;
        Ok(rows.iter().filter_map(|row| JobRow::read(row)).map(|row| row.view()).collect())
    }

    /// Halts a job; it may go on later.
    ///
    /// # Errors
    /// `NotFound`; that it has ended.
    pub async fn pause_job(&self, cx: &Ctx, id: Uuid) -> Result<JobView, Error> {
        self.turn(cx, id, &[State::Queued, State::Running], State::Paused, "paused").await
    }

    /// Lets a job go on: one that was paused, or one that failed, from where it was.
    ///
    /// # Errors
    /// `NotFound`; that it is in no such state.
    pub async fn resume_job(&self, cx: &Ctx, id: Uuid) -> Result<JobView, Error> {
        let view = self.turn(cx, id, &[State::Paused, State::Failed], State::Queued, "resumed").await?;
        self.jobs().wake.notify_one();
        Ok(view)
    }

    /// Gives a job up; what it did stays.
    ///
    /// # Errors
    /// `NotFound`; that it has ended.
    pub async fn cancel_job(&self, cx: &Ctx, id: Uuid) -> Result<JobView, Error> {
        self.turn(cx, id, &[State::Queued, State::Running, State::Paused], State::Cancelled, "cancelled").await
    }

    async fn turn(&self, cx: &Ctx, id: Uuid, from: &'static [State], to: State, verb: &'static str) -> Result<JobView, Error> {
        let mut row = self.job_row(cx, id).await?;
        let changed = self
            .store()
            .write(move |tx| {
                let fit = [Cond::Eq("id", Value::Uuid(id)), Cond::In("state", from.iter().map(|state| state.value()).collect())];
                tx.change(&JOB, &[("state", to.value()), ("lease", Value::Null)], &fit).map_err(Error::from)
            })
            .await?;
        if changed == 0 {
            let message = Message::new("job_state").with("state", self.job_row(cx, id).await?.state.as_str()).with("verb", verb);
            return Err(Error::of(Code::Locked, message));
        }
        row.state = to;
        self.tell_job(&row);
        Ok(row.view())
    }

    /// Waits until a job has ended or is paused, telling how far it is.
    ///
    /// # Errors
    /// `NotFound` where there is none in sight.
    pub async fn wait_job(&self, cx: &Ctx, id: Uuid, mut progress: impl FnMut(&JobView) + Send) -> Result<JobView, Error> {
        const LOOK: Duration = Duration::from_millis(250);
        let mut notes = self.jobs().notes();
        loop {
            let view = self.job(cx, id).await?;
            progress(&view);
            if view.state.is_ended() || view.state == State::Paused {
                return Ok(view);
            }
            let heard = async {
                loop {
                    match notes.recv().await {
                        Ok(note) if note.id == id => return note.view,
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => std::future::pending::<()>().await,
                    }
                }
            };
            if let Ok(view) = tokio::time::timeout(LOOK, heard).await
                && !view.state.is_ended()
            {
                progress(&view);
            }
        }
    }

    /// Starts the worker of this process, once. It takes up what an earlier process left.
    pub fn start_jobs(&self) {
        if self.jobs().started.swap(true, Ordering::AcqRel) {
            return;
        }
        tokio::spawn(worker::worker(self.clone()));
    }
}
