//! In charge of sweeping out what nobody needs any more: runs that ended, effects that were done, keys of requests.
//! Invariant: a little at a time; what failed for good stays until a person gave it up.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::timer::{self, Timer};
use store::system::{form_link, form_sender, idempotency, outbox, run};

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::scheduler::{Due, TimerKind};

/// The word in the table of timers.
const SWEEP: &str = "sweep";
/// Rows of each table that one transaction takes.
const AT_ONCE: u32 = 200;
/// When, in the workspace's zone: people sleep.
const HOUR: u32 = 3;
/// How long a key of a request is known.
const KEYS: Duration = Duration::days(2);
/// How long it is known who sent public forms.
const SENDERS: Duration = Duration::hours(2);
/// How long runs and effects are kept where no setting says.
const KEPT_DAYS: i64 = 90;

impl Engine {
    /// Sets the daily timer, where there is none.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn keep_house(&self) -> Result<(), Error> {
        let cx = self.background();
        self.store()
            .write(move |tx| {
                if timer::of_key(tx, SWEEP)?.is_none() {
                    timer::set(tx, &[timer_at(&cx, next(&cx))])?;
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

fn timer_at(cx: &Ctx, due_at: DateTime<Utc>) -> Timer {
    Timer { id: cx.new_id(), kind: SWEEP.to_owned(), key: Some(SWEEP.to_owned()), subject: None, due_at, tries: 0, body: json!({}) }
}

/// The next night.
fn next(cx: &Ctx) -> DateTime<Utc> {
    let zone = cx.workspace_zone();
    let today = cx.now.with_timezone(&zone).date_naive();
    let time = chrono::NaiveTime::from_hms_opt(HOUR, 0, 0).unwrap_or_default();
    let moments = (0..3).filter_map(|days| today.checked_add_days(chrono::Days::new(days))).map(|day| crate::times::moment(zone, day, time));
    moments.into_iter().find(|moment| *moment > cx.now).unwrap_or(cx.now + Duration::days(1))
}

/// The daily sweep.
pub(crate) struct SweepKind;

impl TimerKind for SweepKind {
    fn name(&self) -> &'static str {
        SWEEP
    }

    fn fire(&self, due: &Due<'_>, _: &Timer) -> Result<(), Error> {
        let (cx, tx) = (due.cx, due.tx);
        let due_at = if sweep(cx, tx)? { cx.now } else { next(cx) };
        Ok(timer::set(tx, &[timer_at(cx, due_at)])?)
    }
}

/// Sweeps a little; whether there may be more.
fn sweep(cx: &Ctx, tx: &Tx) -> Result<bool, Error> {
    let days = cx.app.settings_of("core").get("keep_runs").and_then(Json::as_i64).unwrap_or(KEPT_DAYS).max(1);
    let before = cx.now - Duration::days(days);
    let swept = [
        run::sweep(tx, before, AT_ONCE)?,
        outbox::sweep(tx, before, AT_ONCE)?,
        idempotency::sweep(tx, cx.now - KEYS, AT_ONCE)?,
        form_link::sweep(tx, before, AT_ONCE)?,
        form_sender::sweep(tx, cx.now - SENDERS, AT_ONCE)?,
    ];
    Ok(swept.contains(&u64::from(AT_ONCE)))
}
