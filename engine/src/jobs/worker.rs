//! In charge of the worker: taking jobs, running them, writing how they ended, sweeping out what is old.
//! Invariant: a job that panics, or that ends the process again and again, harms no other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Message, Value};
use serde_json::Value as Json;
use store::Fault;
use store::system::Cond;
use store::system::file::FILE;
use store::system::job::JOB;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Halt, JobRow, MOST, State, Work, lease};
use crate::Engine;
use crate::error::Error;

/// Jobs that run at the same time.
const AT_ONCE: usize = 2;
/// How often a worker says that it is still at a job.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a worker looks for jobs that nobody told it of.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Starts without any progress after which a job is given up. A server that is killed from outside takes its jobs with
/// it, so a few fruitless starts prove nothing: only then does the job wait longer each time, and only at last is it parked.
const STARTS: u64 = 12;
/// Starts without any progress that follow one another at once.
const STARTS_AT_ONCE: u64 = 2;
/// The longest that a job waits for its next start.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How often what nobody needs any more is swept out.
const SWEEP: Duration = Duration::from_secs(3_600);
/// Jobs that ended are kept so many days.
const KEPT_DAYS: i64 = 30;

/// What a person reads of a job that failed.
fn words(error: &Error, locale: &str) -> String {
    match error {
        Error::Invalid(faults) => {
            let said = faults.iter().map(|fault| {
                let place = fault.field.as_deref().unwrap_or_default();
                let text = fault.wording.text(locale);
                if place.is_empty() { text } else { format!("{place}: {text}") }
            });
            said.collect::<Vec<_>>().join("; ")
        }
        Error::NotFound => Message::new("not_found").text(locale),
        Error::Forbidden => Message::new("forbidden").text(locale),
        Error::Unauthenticated => Message::new("unauthenticated").text(locale),
        Error::Store(Fault::Busy) => Message::new("busy").text(locale),
        Error::Store(fault @ Fault::Full) => fault.to_string(),
        _ => Message::new("internal").text(locale),
    }
}

/// Takes jobs and runs them, a few at a time.
pub(super) async fn worker(engine: Engine) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    if let Err(error) = take_back(&engine).await {
        tracing::error!(%error, "jobs of an earlier process could not be taken up");
    }
    let mut swept: Option<Instant> = None;
    while !engine.jobs().is_stopped() {
        if swept.is_none_or(|at| at.elapsed() > SWEEP) {
            swept = Some(Instant::now());
            tokio::spawn(sweep(engine.clone()));
        }
        let Ok(permit) = Arc::clone(&at_once).acquire_owned().await else { return };
        match claim(&engine).await {
            Ok(Some(job)) => {
                let engine = engine.clone();
                tokio::spawn(async move {
                    run(engine, job).await;
                    drop(permit);
                });
            }
            Ok(None) => {
                drop(permit);
                let _woken = tokio::time::timeout(LOOK_AGAIN, engine.jobs().wake.notified()).await;
            }
            Err(Error::Store(Fault::Gone(_))) if engine.store().is_exclusive() => return,
            Err(error) => {
                tracing::error!(%error, "no job could be taken");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Sweeps out uploads that hang on nothing, and jobs that ended long ago with their files.
async fn sweep(engine: Engine) {
    let before = engine.now() - chrono::Duration::days(KEPT_DAYS);
    let gone = engine
        .store()
        .write(move |tx| {
            let ended = State::ALL.into_iter().filter(|state| state.is_ended()).map(State::value).collect();
            let old = tx.find(&JOB, &[Cond::In("state", ended), Cond::Lt("at", Value::Timestamp(before))], &[("id", false)], MOST)?;
            let ids: Vec<Uuid> = old.iter().filter_map(|row| JobRow::read(row)).map(|row| row.id).collect();
            let values: Vec<Value> = ids.iter().copied().map(Value::Uuid).collect();
            tx.remove(&FILE, &[Cond::Eq("entity", Value::text("job")), Cond::In("record", values.clone())])?;
            tx.remove(&JOB, &[Cond::In("id", values)])?;
            Ok::<_, Error>(ids)
        })
        .await;
    match gone {
        Ok(ids) => ids.into_iter().for_each(|id| engine.files().scratch().remove(id)),
        Err(error) => tracing::warn!(%error, "old jobs could not be swept"),
    }
    if let Err(error) = engine.sweep_files().await {
        tracing::warn!(%error, "files could not be swept");
    }
}

/// What this worker had under way when its process ended is its own to go on with, at once; and all, where no other
/// process works on this database.
async fn take_back(engine: &Engine) -> Result<(), Error> {
    let (alone, worker, now) = (engine.store().is_exclusive(), engine.jobs().worker.clone(), engine.now());
    engine
        .store()
        .write(move |tx| {
            let running = tx.find(&JOB, &[Cond::Eq("state", State::Running.value())], &[], MOST)?;
            let own = |row: &JobRow| alone || row.body.get("worker").and_then(Json::as_str) == Some(worker.as_str());
            for row in running.iter().filter_map(|row| JobRow::read(row)).filter(own) {
                let set = [("state", State::Queued.value()), ("lease", not_before(now, row.starts()))];
                tx.change(&JOB, &set, &[Cond::Eq("id", Value::Uuid(row.id))])?;
            }
            Ok(())
        })
        .await
}

/// When a job that was started so often without progress may start again; at once where that is not often.
fn not_before(now: chrono::DateTime<chrono::Utc>, starts: u64) -> Value {
    let Some(doublings) = starts.checked_sub(STARTS_AT_ONCE + 1) else { return Value::Null };
    let wait = LONGEST_WAIT.min(Duration::from_secs(1 << doublings.min(16)));
    Value::Timestamp(now + wait)
}

/// The next job, now running; none where there is none.
async fn claim(engine: &Engine) -> Result<Option<JobRow>, Error> {
    let (now, worker) = (engine.now(), engine.jobs().worker.clone());
    let taken = engine
        .store()
        .write(move |tx| {
            tx.lock_key("jobs")?;
            // New ones, those whose wait is over, those whose worker was not heard of.
            let (queued, running) = (State::Queued.value(), State::Running.value());
            let over = || Cond::Lt("lease", Value::Timestamp(now));
            let mut rows = Vec::new();
            for fit in
                [[Cond::Eq("state", queued.clone()), Cond::Empty("lease")], [Cond::Eq("state", queued), over()], [Cond::Eq("state", running), over()]]
            {
                rows = tx.find(&JOB, &fit, &[("id", false)], 1)?;
                if !rows.is_empty() {
                    break;
                }
            }
            let Some(mut row) = rows.first().and_then(|row| JobRow::read(row)) else { return Ok(None) };
            let starts = row.starts() + 1;
            if let Json::Object(progress) = &mut row.progress {
                progress.insert("starts".to_owned(), starts.into());
            }
            row.state = if starts > STARTS { State::Failed } else { State::Running };
            if row.state == State::Failed
                && let Json::Object(progress) = &mut row.progress
            {
                progress.insert("error".to_owned(), Message::new("job_parked").text("en").into());
                progress.insert("starts".to_owned(), 0.into());
            }
            if let Json::Object(body) = &mut row.body {
                body.insert("worker".to_owned(), worker.clone().into());
            }
            let json = |json: &Json| Value::Json(Arc::new(json.clone()));
            let set = [("state", row.state.value()), ("lease", lease(now)), ("progress", json(&row.progress)), ("body", json(&row.body))];
            tx.change(&JOB, &set, &[Cond::Eq("id", Value::Uuid(row.id))])?;
            Ok::<_, Error>(Some(row))
        })
        .await?;
    if let Some(row) = &taken {
        engine.tell_job(row);
    }
    Ok(taken.filter(|row| row.state == State::Running))
}

/// Runs a job to its end, whatever that is.
async fn run(engine: Engine, job: JobRow) {
    let Some(kind) = job.kind_of() else {
        end(&engine, &job, State::Failed, Some("unknown kind".to_owned())).await;
        return;
    };
    let work = Work { engine: engine.clone(), job: Arc::new(job.clone()) };
    let locale = job.body.get("locale").and_then(Json::as_str).unwrap_or("en").to_owned();
    // On a task of its own, so that a panic ends it alone.
    let mut task = tokio::spawn(kind.run(work));
    let ended = loop {
        match tokio::time::timeout(HEARTBEAT, &mut task).await {
            Ok(ended) => break ended,
            Err(_) => still_at_it(&engine, job.id).await,
        }
    };
    match ended {
        Ok(Ok(())) => end(&engine, &job, State::Done, None).await,
        Ok(Err(Halt::Asked)) => {}
        Ok(Err(Halt::Failed(error))) => {
            tracing::warn!(job = %job.id, kind = %job.kind, %error, "a job failed");
            end(&engine, &job, State::Failed, Some(words(&error, &locale))).await;
        }
        Err(panic) => {
            tracing::error!(job = %job.id, kind = %job.kind, %panic, "a job panicked");
            end(&engine, &job, State::Failed, Some(Message::new("internal").text(&locale))).await;
        }
    }
}

/// Says that this worker is still at a job.
async fn still_at_it(engine: &Engine, id: Uuid) {
    let now = engine.now();
    let fit = move || [Cond::Eq("id", Value::Uuid(id)), Cond::Eq("state", State::Running.value())];
    let said = engine.store().write(move |tx| tx.change(&JOB, &[("lease", lease(now))], &fit()).map(drop).map_err(Error::from)).await;
    if let Err(error) = said {
        tracing::warn!(job = %id, %error, "a lease could not be renewed");
    }
}

async fn end(engine: &Engine, job: &JobRow, state: State, error: Option<String>) {
    let id = job.id;
    let ended = engine
        .store()
        .write(move |tx| {
            let fit = [Cond::Eq("id", Value::Uuid(id)), Cond::Eq("state", State::Running.value())];
            let Some(mut row) = tx.find(&JOB, &fit, &[], 1)?.first().and_then(|row| JobRow::read(row)) else { return Ok(None) };
            if let Json::Object(progress) = &mut row.progress {
                progress.insert("error".to_owned(), error.clone().map_or(Json::Null, Json::String));
                progress.insert("starts".to_owned(), 0.into());
                if state == State::Done {
                    let done = progress.get("done").cloned().unwrap_or_default();
                    progress.insert("total".to_owned(), done);
                }
            }
            row.state = state;
            let set = [("state", state.value()), ("progress", Value::Json(Arc::new(row.progress.clone()))), ("lease", Value::Null)];
            tx.change(&JOB, &set, &fit)?;
            Ok::<_, Error>(Some(row))
        })
        .await;
    match ended {
        Ok(Some(row)) => engine.tell_job(&row),
        Ok(None) => {}
        Err(error) => tracing::error!(job = %id, %error, "the end of a job could not be written"),
    }
}
