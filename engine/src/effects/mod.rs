//! In charge of effects outside the workspace: taking them from the outbox, doing them, writing how they ended.
//! Reading order: `EffectKind` (what a kind of effect does), `KINDS`, `Outside` (what speaks to the world), `do_effects`.
//! Invariant: an effect was committed with the change that wants it; it is done at least once, under one key that never changes.
//! Invariant: no transaction is open while the world is spoken to; whoever took an effect has a lease on it.

use std::sync::Arc;

use chrono::Duration;
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value as Json, json};
use store::system::outbox::{self, Effect, EffectState};
use tokio::sync::Semaphore;

use crate::Engine;
use crate::error::Error;
use crate::scheduler::back_off;

mod address;
mod http;
pub(crate) mod mail;
pub mod outside;
pub mod world;

pub(crate) use http::HTTP;
pub use outside::{Answer, Mail, Outside, Refused, Request};

/// One kind of effect.
pub(crate) trait EffectKind: Sync {
    /// The word in the outbox.
    fn name(&self) -> &'static str;
    /// Does it; what is kept of the answer.
    fn perform(&self, engine: Engine, effect: Arc<Effect>) -> BoxFuture<'static, Result<Json, Refused>>;
}

/// Every kind of effect.
static KINDS: &[&dyn EffectKind] = &[&mail::MailKind, &http::HttpKind];

/// Effects that are taken at once.
const TAKEN: u32 = 32;
/// Effects that are under way at the same time.
pub(crate) const AT_ONCE: usize = 64;
/// Who took an effect and is not heard of has lost it after so long.
const LEASE_SECONDS: i64 = 120;

impl Engine {
    async fn take_effects(&self, limit: u32) -> Result<Vec<Effect>, Error> {
        let (now, worker) = (self.now(), self.jobs().worker().to_owned());
        self.store().write(move |tx| outbox::take(tx, &worker, now, Duration::seconds(LEASE_SECONDS), limit).map_err(Error::from)).await
    }

    /// What this worker was at when its process ended is its own to go on with, at once; and all, where no other process works
    /// on this database.
    pub(crate) async fn give_effects_back(&self) -> Result<(), Error> {
        let (now, alone, worker) = (self.now(), self.store().is_exclusive(), self.jobs().worker().to_owned());
        self.store().write(move |tx| outbox::give_back(tx, (!alone).then_some(worker.as_str()), now).map(drop).map_err(Error::from)).await
    }

    /// Does the effects that may be done now; how many there were.
    pub(crate) async fn do_effects(&self) -> Result<usize, Error> {
        let taken = self.take_effects(TAKEN).await?;
        let count = taken.len();
        join_all(taken.into_iter().map(|effect| one(self.clone(), effect))).await;
        Ok(count)
    }

    /// Begins the effects that may be done now, without waiting for them; how many there were.
    pub(crate) async fn begin_effects(&self) -> Result<usize, Error> {
        let free = self.effect_slots().available_permits();
        if free == 0 {
            // Waits until one of them ends.
            drop(self.effect_slots().acquire().await);
        }
        let limit = u32::try_from(self.effect_slots().available_permits()).unwrap_or(TAKEN).clamp(1, TAKEN);
        let taken = self.take_effects(limit).await?;
        let count = taken.len();
        for effect in taken {
            let Ok(permit) = Arc::clone(self.effect_slots()).acquire_owned().await else { return Ok(count) };
            let engine = self.clone();
            tokio::spawn(async move {
                one(engine, effect).await;
                drop(permit);
            });
        }
        Ok(count)
    }
}

pub(crate) fn slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

/// Does one effect and writes how it ended.
async fn one(engine: Engine, effect: Effect) {
    let effect = Arc::new(effect);
    let done = match KINDS.iter().find(|kind| kind.name() == effect.kind) {
        // On a task of its own, so that a panic ends it alone.
        Some(kind) => match tokio::spawn(kind.perform(engine.clone(), Arc::clone(&effect))).await {
            Ok(done) => done,
            Err(error) => Err(Refused::later(format!("it broke down: {error}"))),
        },
        None => Err(Refused::for_good(format!("there is no effect of kind `{}`", effect.kind))),
    };
    let (state, again_at, answer) = match done {
        Ok(answer) => (EffectState::Done, None, answer),
        Err(refused) => {
            let wait = if refused.is_final { None } else { back_off(effect.tries).map(|wait| wait.max(refused.after) + jitter(&effect, wait)) };
            let again_at = wait.map(|wait| engine.now() + wait);
            let state = if again_at.is_some() { EffectState::Waiting } else { EffectState::Dead };
            tracing::warn!(effect = %effect.id, kind = %effect.kind, tries = effect.tries, reason = %refused.reason, ?again_at, "an effect was refused");
            (state, again_at, json!({"error": refused.reason, "answer": refused.answer}))
        }
    };
    let id = effect.id;
    let ended = engine.store().write(move |tx| outbox::ended(tx, id, state, again_at, &answer).map_err(Error::from)).await;
    if let Err(error) = ended {
        // The lease runs out and it is done again, under the same key.
        tracing::error!(effect = %id, %error, "the end of an effect could not be written");
    }
}

/// A part of a wait of its own for each effect, so that those that failed together do not come back together.
fn jitter(effect: &Effect, wait: Duration) -> Duration {
    let share = i32::from(effect.id.as_bytes()[15]);
    if wait < Duration::minutes(1) { Duration::zero() } else { wait / 2_560 * share }
}
