//! In charge of how a job over many records goes on: step by step, each with its progress in one transaction.
//! Invariant: a step under a snapshot that is no longer current is done again under the new one.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use store::Tx;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::jobs::{Halt, Unkept, Work};
use crate::records::ChangeNote;

/// Records of one step, at least and at most; between them as many as fit into [`STEP`].
const FEW: usize = 25;
const MANY: usize = 500;
/// What a step may take of the writer.
const STEP: Duration = Duration::from_millis(20);
/// Records that are named with the reason why nothing was done to them; the others are counted.
const NAMED: usize = 200;
/// How often a step is tried again where the database was busy.
const TRIES: u32 = 4;

/// How far a job is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    pub(super) total: Option<u64>,
    pub(super) done: u64,
    pub(super) updated: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
    pub(super) change_set: Option<Uuid>,
    /// Where it goes on.
    pub(super) after: Option<String>,
    /// Records that were left as they are, with the reason.
    pub(super) left: Vec<Left>,
    /// Starts since it last made progress.
    pub(super) starts: u64,
}

/// A record that was left as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Left {
    pub(super) entity: String,
    pub(super) id: Uuid,
    pub(super) reason: String,
}

impl Progress {
    /// Names a record that was left as it is.
    pub(super) fn leave(&mut self, entity: &str, id: Uuid, reason: String) {
        if self.left.len() < NAMED {
            self.left.push(Left { entity: entity.to_owned(), id, reason });
        }
    }
}

/// How many records the next step takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(usize);

impl Pace {
    /// Few at first: a step that ends the process is then small.
    pub(super) fn begin() -> Self {
        Self(FEW)
    }

    pub(super) fn records(self) -> usize {
        self.0
    }

    /// As many as would have fitted.
    fn learn(&mut self, count: usize, took: Duration) {
        let fitting = count.max(1) as u128 * STEP.as_micros() / took.as_micros().max(1);
        self.0 = usize::try_from(fitting).unwrap_or(MANY).clamp(FEW, MANY);
    }
}

/// What a step did.
pub(super) struct Stepped {
    pub(super) progress: Progress,
    pub(super) notes: Vec<ChangeNote>,
}

/// Does a step in one transaction with its progress. With `dry` all but the progress is taken back.
pub(super) async fn step<F>(work: &Work, cx: &mut Ctx, pace: &mut Pace, count: usize, dry: bool, act: F) -> Result<Progress, Halt>
where
    F: Fn(&Ctx, &Tx) -> Result<Stepped, Error> + Clone + Send + Sync + 'static,
{
    let mut tries = 0;
    loop {
        cx.now = work.engine.now();
        let (at, job, act) = (cx.clone(), work.clone(), act.clone());
        let started = Instant::now();
        let done = work.engine.store().write(move |tx| {
            crate::transact::current_or_superseded(&at, tx)?;
            let stepped = act(&at, tx)?;
            if dry {
                return Err(Unkept::Rolled(Box::new(stepped)));
            }
            job.keep(tx, &told(&stepped.progress)?, at.now)?;
            Ok(stepped)
        });
        let stepped = match done.await {
            Ok(stepped) => stepped,
            Err(Unkept::Rolled(stepped)) => {
                let (job, progress, now) = (work.clone(), told(&stepped.progress)?, cx.now);
                work.engine.store().write(move |tx| job.keep(tx, &progress, now)).await?;
                Stepped { notes: Vec::new(), ..*stepped }
            }
            Err(Unkept::Halted(Halt::Failed(Error::Superseded))) => {
                *cx = work.engine.renewed(cx).await?;
                continue;
            }
            Err(Unkept::Halted(Halt::Failed(Error::Store(fault)))) if tries < TRIES && (fault == store::Fault::Busy || fault.is_transient()) => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10 << tries)).await;
                continue;
            }
            Err(Unkept::Halted(halt)) => return Err(halt),
        };
        pace.learn(count, started.elapsed());
        work.engine.tell(stepped.notes);
        work.tell(&told(&stepped.progress)?);
        return Ok(stepped.progress);
    }
}

fn told(progress: &Progress) -> Result<serde_json::Value, Error> {
    serde_json::to_value(progress).map_err(|error| Error::Internal(error.to_string()))
}
