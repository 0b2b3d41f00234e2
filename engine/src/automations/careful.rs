//! In charge of runs that may end the process: after one that broke off, each run that is due says that it begins before it
//! does, and one that did so three times without coming back is parked.
//! Invariant: a process that started in order pays nothing for it.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use store::system::run::{self, Run, RunState, RunStep};
use store::system::worker;
use store::{Lock, Tx};
use uuid::Uuid;

use super::runner::go_on;
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::ChangeNote;

/// How often a run may begin without coming back.
const MOST: i64 = 3;
/// Where a run counts that it began.
const BEGUN: &str = "begun";

impl Engine {
    /// Takes note that this process begins its work; it is careful where the one before broke off.
    pub(crate) async fn begin_work(&self) -> Result<(), Error> {
        let (name, alone, now) = (self.jobs().worker().to_owned(), self.store().is_exclusive(), self.now());
        let broke_off = self.store().write(move |tx| worker::begins(tx, &name, alone, now).map_err(Error::from)).await?;
        if broke_off {
            tracing::warn!("the process before this one broke off: runs that are due begin one by one");
        }
        self.scheduler().be_careful(broke_off.then_some(now));
        Ok(())
    }

    /// Takes note that this process ends in order.
    pub(crate) async fn end_work(&self) -> Result<(), Error> {
        let name = self.jobs().worker().to_owned();
        self.store().write(move |tx| worker::ends(tx, &name).map_err(Error::from)).await
    }

    /// Goes on with one run that was due at a moment, carefully; whether there was one.
    pub(crate) async fn step_carefully(&self, moment: DateTime<Utc>) -> Result<bool, Error> {
        let taken = self.transact_in_background(move |cx, tx| Ok((take(cx, tx, moment)?, Vec::new()))).await?;
        let id = match taken {
            None => return Ok(false),
            Some(Taken::Parked) => return Ok(true),
            Some(Taken::Begun(id)) => id,
        };
        self.transact_in_background(move |cx, tx| Ok(((), goes_on(cx, tx, id)?))).await?;
        Ok(true)
    }
}

/// What became of the run that was due; closed.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Begun(Uuid),
    Parked,
}

/// The run that waits longest in the first line with one: it says that it begins, or is parked.
fn take(cx: &Ctx, tx: &Tx, moment: DateTime<Utc>) -> Result<Option<Taken>, Error> {
    let mut line = String::new();
    while let Some(next) = run::next_line(tx, &line)? {
        if let Some(run) = run::due(tx, &next, moment, 1)?.pop() {
            return begins(cx, tx, run).map(Some);
        }
        line = next;
    }
    Ok(None)
}

fn begins(cx: &Ctx, tx: &Tx, mut run: Run) -> Result<Taken, Error> {
    let count = run.body.get(BEGUN).and_then(Json::as_i64).unwrap_or_default() + 1;
    if count > MOST {
        let reason = format!("it began {MOST} times and the program ended each time before it came back");
        let n = run.body.get("steps").and_then(Json::as_i64).unwrap_or_default() + 1;
        let step = run.body.pointer("/at").and_then(|at| serde_json::from_value::<flow::automation::Position>(at.clone()).ok());
        let step = step.and_then(|at| at.step().map(str::to_owned)).unwrap_or_default();
        let note = RunStep { run: run.id, n, step, state: "failed".to_owned(), at: cx.now, micros: 0, data: Json::Null, error: Some(reason.clone()) };
        (run.state, run.ended_at, run.error) = (RunState::Dead, Some(cx.now), Some(reason));
        forget(&mut run);
        if let Some(map) = run.body.as_object_mut() {
            map.insert("steps".to_owned(), n.into());
        }
        run::note(tx, &[note])?;
        run::keep(tx, &run)?;
        return Ok(Taken::Parked);
    }
    if let Some(map) = run.body.as_object_mut() {
        map.insert(BEGUN.to_owned(), json!(count));
    }
    run::keep(tx, &run)?;
    Ok(Taken::Begun(run.id))
}

/// What is written of a run that came back has no count any more.
fn goes_on(cx: &Ctx, tx: &Tx, id: Uuid) -> Result<Vec<ChangeNote>, Error> {
    match run::get(tx, id, Lock::Update)?.filter(|run| !run.state.is_ended()) {
        Some(run) => go_on(cx, tx, run, Instant::now()),
        None => Ok(Vec::new()),
    }
}

/// A run that a person lets go on begins anew.
pub(crate) fn forget(run: &mut Run) {
    if let Some(map) = run.body.as_object_mut() {
        map.remove(BEGUN);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::doc::Package;
    use store::Location;
    use store::system::Cond;
    use store::system::run::{RUN, RUN_STEP};

    use super::*;
    use crate::clock::ManualClock;
    use crate::records::{Batch, Submission};
    use crate::{Engine, Options};

    async fn workspace() -> Engine {
        let clock = ManualClock::new("2026-03-02T09:00:00Z".parse().expect("a moment"));
        let engine = Engine::open(Options { location: Location::scratch(), data_dir: None, clock: Arc::new(clock) }).await.expect("opens");
        let files = [
            ("app.json", json!({"name": "auto", "label": "Auto", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
            ("entities/thing.json", json!({"label": "Thing", "fields": {"name": {"kind": "text"}, "note": {"kind": "text"}}})),
            (
                "automations/tell.json",
                json!({"on": {"record": "created", "entity": "thing"},
                       "steps": {"note": {"kind": "update", "values": {"note": "seen"}}}, "root": ["note"]}),
            ),
        ];
        let files = files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect();
        let package = Package::from_files(Some("auto"), files).expect("an app");
        engine.install(&engine.system(), package, "test").await.expect("installs");
        let cx = engine.background();
        let thing = engine.entity(&cx, "auto.thing").expect("things").id;
        let create = Submission::Create { id: None, values: [("name".to_owned(), model::Input::Text("one".to_owned()))].into_iter().collect() };
        engine.write(&cx, Batch::one(thing, create)).await.expect("written");
        engine
    }

    async fn only_run(engine: &Engine) -> (Run, usize) {
        let found = engine.store().read(|tx| {
            let run = tx.find(&RUN, &[], &[], 1)?.first().and_then(|row| Run::read(row)).ok_or(Error::NotFound)?;
            let steps = tx.find(&RUN_STEP, &[Cond::Eq("run", model::Value::Uuid(run.id))], &[], 10)?;
            Ok::<_, Error>((run, steps.len()))
        });
        found.await.expect("a run")
    }

    /// The process ends between the note that a run begins and its end.
    async fn crash(engine: &Engine) -> Option<Taken> {
        let at = engine.clone();
        engine.store().write(move |tx| take(&at.background(), tx, at.now())).await.expect("taken")
    }

    #[tokio::test]
    async fn a_run_that_ends_the_process_is_parked() {
        let engine = workspace().await;
        for _ in 0..MOST {
            assert!(matches!(crash(&engine).await, Some(Taken::Begun(_))));
        }
        assert!(engine.step_carefully(engine.now()).await.expect("looked"), "it is parked");
        let (run, steps) = only_run(&engine).await;
        assert_eq!((run.state, steps), (RunState::Dead, 1));
        assert!(run.error.is_some_and(|error| error.contains("3 times")));
        assert!(!engine.step_carefully(engine.now()).await.expect("looked"), "nothing is due");
        engine.retry_run(&engine.system(), run.id).await.expect("a person lets it go on");
        assert!(engine.step_carefully(engine.now()).await.expect("looked"));
        assert_eq!(only_run(&engine).await.0.state, RunState::Done);
        engine.close().await;
    }

    #[tokio::test]
    async fn one_that_comes_back_is_counted_anew() {
        let engine = workspace().await;
        for _ in 1..MOST {
            crash(&engine).await;
        }
        assert!(engine.step_carefully(engine.now()).await.expect("looked"));
        let (run, _) = only_run(&engine).await;
        assert_eq!((run.state, run.body.get(BEGUN)), (RunState::Done, None));
        engine.close().await;
    }

    #[tokio::test]
    async fn a_process_knows_how_the_one_before_ended() {
        let engine = workspace().await;
        engine.begin_work().await.expect("begun");
        assert!(engine.scheduler().careful_with().is_none());
        engine.begin_work().await.expect("begun");
        assert_eq!(engine.scheduler().careful_with(), Some(engine.now()), "nobody said that the one before ended");
        engine.end_work().await.expect("ended");
        engine.begin_work().await.expect("begun");
        assert!(engine.scheduler().careful_with().is_none());
        engine.close().await;
    }
}
