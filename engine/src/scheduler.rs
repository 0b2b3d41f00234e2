//! In charge of what falls due: timers, runs that go on, effects that may be done; on the engine's own clock.
//! Reading order: `TimerKind` (what a kind of timer does), `KINDS`, `Engine::run_due` (all that is due, to its end: scenarios and
//! tests), `start_scheduler` (the server's own loops).
//! Invariant: a timer acts in the transaction that removes it: it acts once, whatever ends the process.
//! Invariant: several processes share the work; what one is at is passed over by the others.
//! Invariant: what fails or panics is put off and harms no other.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use store::system::timer::{self, Timer};
use store::system::{outbox, run};
use store::{Fault, Tx};
use tokio::sync::Notify;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::{ChangeNote, Channel};

/// One kind of timer.
pub(crate) trait TimerKind: Sync {
    /// The word in the table of timers.
    fn name(&self) -> &'static str;
    /// Does what is due, in the transaction that removes the timer.
    ///
    /// # Errors
    /// Then nothing of it is kept, and it is tried again later.
    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error>;
}

/// Every kind of timer.
static KINDS: &[&dyn TimerKind] = &[
    &crate::notices::DigestKind,
    &crate::housekeeping::SweepKind,
    &crate::approvals::timers::ApprovalTimer,
    &crate::approvals::proxies::ProxyTimer,
    &crate::automations::schedule::ScheduleKind,
    &crate::automations::schedule::DateKind,
    &crate::automations::schedule::FillKind,
    &crate::clocks::timers::ClockTimer,
    &crate::clocks::timers::ClockFill,
    &crate::clocks::retime::RetimeTimer,
    &crate::pools::recycle::RecycleTimer,
    &crate::publish::retired::EmptyKind,
];

/// What somebody who acts on a timer works with.
#[expect(dead_code, reason = "kinds of timers that need all of it follow")]
pub(crate) struct Due<'a> {
    pub(crate) engine: &'a Engine,
    /// The engine's own facts, all rights, rules binding.
    pub(crate) cx: &'a Ctx,
    pub(crate) tx: &'a Tx,
    notes: RefCell<Vec<ChangeNote>>,
}

impl<'a> Due<'a> {
    pub(crate) fn new(engine: &'a Engine, cx: &'a Ctx, tx: &'a Tx) -> Self {
        Self { engine, cx, tx, notes: RefCell::default() }
    }

    /// Adds what others are told after the commit.
    pub(crate) fn note(&self, notes: Vec<ChangeNote>) {
        self.notes.borrow_mut().extend(notes);
    }

    pub(crate) fn into_notes(self) -> Vec<ChangeNote> {
        self.notes.into_inner()
    }
}

/// Timers of one transaction.
const TIMERS: u32 = 64;
/// How long one transaction goes on with timers.
const SLICE: Duration = Duration::from_millis(20);
/// The longest sleep: another process may have set a timer, or somebody the clock.
const LOOK: Duration = Duration::from_secs(1);
/// Rounds of `run_due` after which something sets itself off without end.
const ROUNDS: usize = 100_000;
/// The seconds between tries: of steps, effects and timers.
const BACK_OFF: [i64; 8] = [1, 10, 60, 600, 3_600, 86_400, 86_400, 86_400];

/// How long to wait after so many tries in vain; none where it is time to give up.
pub(crate) fn back_off(tries: i64) -> Option<chrono::Duration> {
    let index = usize::try_from(tries.saturating_sub(1)).ok()?;
    BACK_OFF.get(index).map(|seconds| chrono::Duration::seconds(*seconds))
}

/// The loops of a server.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    started: AtomicBool,
    stopped: AtomicBool,
    /// When this process started, where the one before broke off: what was due then begins one by one.
    careful: parking_lot::Mutex<Option<DateTime<Utc>>>,
    wake: Notify,
    effects: Notify,
    /// The line of runs that had its turn last.
    line: parking_lot::Mutex<String>,
}

impl Scheduler {
    /// Takes nothing more; what is under way ends.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_one();
        self.effects.notify_one();
    }

    /// The line of runs that had its turn last.
    pub(crate) fn line(&self) -> &parking_lot::Mutex<String> {
        &self.line
    }

    /// Runs that were due at this moment begin one by one; none where there is nothing to be careful about.
    pub(crate) fn be_careful(&self, with: Option<DateTime<Utc>>) {
        *self.careful.lock() = with;
    }

    pub(crate) fn careful_with(&self) -> Option<DateTime<Utc>> {
        *self.careful.lock()
    }

    /// Whether this process does what falls due.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl Engine {
    /// The engine's own facts as its background work acts: all rights, but rules, conditions and locks bind.
    pub(crate) fn background(&self) -> Ctx {
        Ctx { channel: Channel::Request, ..self.system() }
    }

    /// Does everything that is due now, to its end, in order.
    ///
    /// # Errors
    /// Where the store could not, or something sets itself off without end.
    pub async fn run_due(&self) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let did = self.fire_timers().await? + self.step_runs().await?;
            if did > 0 {
                continue;
            }
            if self.do_effects().await? == 0 {
                return Ok(());
            }
        }
        Err(Error::Internal("what is due never ends".to_owned()))
    }

    /// When the next thing falls due.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn next_due(&self) -> Result<Option<DateTime<Utc>>, Error> {
        self.store().read(|tx| Ok::<_, Error>([timer::earliest(tx)?, run::earliest(tx)?, outbox::earliest(tx)?].into_iter().flatten().min())).await
    }

    /// Starts the loops of this process, once.
    pub fn start_scheduler(&self) {
        if self.scheduler().started.swap(true, Ordering::AcqRel) {
            return;
        }
        tokio::spawn(due_loop(self.clone()));
        tokio::spawn(effect_loop(self.clone()));
    }

    /// Fires timers that are due; how many there were.
    pub(crate) async fn fire_timers(&self) -> Result<usize, Error> {
        let engine = self.clone();
        self.transact_in_background(move |cx, tx| fire(&engine, cx, tx)).await
    }
}

fn fire(engine: &Engine, cx: &Ctx, tx: &Tx) -> Result<(usize, Vec<ChangeNote>), Error> {
    let timers = timer::due(tx, cx.now, TIMERS)?;
    let (mut done, mut notes) = (Vec::new(), Vec::new());
    let (started, mut count) = (Instant::now(), 0);
    for timer in &timers {
        // Others write, too: what is left is due in the next transaction.
        if count > 0 && started.elapsed() >= SLICE {
            break;
        }
        count += 1;
        let Some(kind) = KINDS.iter().find(|kind| kind.name() == timer.kind) else {
            tracing::error!(kind = %timer.kind, "a timer of an unknown kind was dropped");
            done.push(timer.id);
            continue;
        };
        // Removed first, so that the kind may set the same key again.
        let fired = tx.savepoint(|tx| {
            timer::done(tx, &[timer.id])?;
            let due = Due::new(engine, cx, tx);
            caught(|| kind.fire(&due, timer))?;
            Ok::<_, Error>(due.into_notes())
        });
        match fired {
            Ok(more) => notes.extend(more),
            Err(Error::Store(fault)) if fault.is_transient() => return Err(Error::Store(fault)),
            Err(error) => {
                tracing::warn!(kind = %timer.kind, %error, "a timer could not be done and is tried again");
                let tries = timer.tries + 1;
                let wait = back_off(tries).unwrap_or(chrono::Duration::days(1));
                timer::put_off(tx, timer.id, cx.now + wait, tries)?;
            }
        }
    }
    timer::done(tx, &done)?;
    Ok((count, notes))
}

/// What `work` gives; a panic is an error of it alone.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Store(Fault::Panicked(said.unwrap_or_default())))
    })
}

/// Timers and runs, as they fall due.
async fn due_loop(engine: Engine) {
    let begun = async { engine.begin_work().await.and(engine.keep_house().await) }.await;
    if let Err(error) = begun {
        tracing::error!(%error, "the start of the work could not be written");
    }
    while !engine.scheduler().is_stopped() {
        let did = async { Ok::<_, Error>(engine.fire_timers().await? + go_on(&engine).await?) }.await;
        engine.scheduler().effects.notify_one();
        match did {
            Ok(0) => {
                tokio::select! {
                    () = engine.store().stirred() => {}
                    () = engine.scheduler().wake.notified() => {}
                    () = tokio::time::sleep(until_next(&engine).await) => {}
                }
            }
            Ok(_) => {}
            Err(Error::Store(Fault::Gone(_))) if engine.store().is_exclusive() => return,
            Err(error) => {
                tracing::error!(%error, "what is due could not be done");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Goes on with runs; carefully until all that were due when a process broke off have had their turn.
async fn go_on(engine: &Engine) -> Result<usize, Error> {
    if let Some(moment) = engine.scheduler().careful_with() {
        if engine.step_carefully(moment).await? {
            return Ok(1);
        }
        engine.scheduler().be_careful(None);
    }
    engine.step_runs().await
}

async fn until_next(engine: &Engine) -> Duration {
    match engine.next_due().await {
        Ok(Some(due)) => (due - engine.now()).to_std().unwrap_or_default().clamp(Duration::from_millis(1), LOOK),
        Ok(None) | Err(_) => LOOK,
    }
}

/// Effects, many at a time: one that hangs holds no other.
async fn effect_loop(engine: Engine) {
    if let Err(error) = engine.give_effects_back().await {
        tracing::error!(%error, "effects of an earlier process wait for their leases to end");
    }
    while !engine.scheduler().is_stopped() {
        match engine.begin_effects().await {
            Ok(0) => {
                let _woken = tokio::time::timeout(LOOK, engine.scheduler().effects.notified()).await;
            }
            Ok(_) => {}
            Err(Error::Store(Fault::Gone(_))) if engine.store().is_exclusive() => return,
            Err(error) => {
                tracing::error!(%error, "effects could not be taken");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}
