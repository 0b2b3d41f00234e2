//! In charge of one transaction of a verb: it works under the current revision, and others are told after the commit.
//! Invariant: no work is kept that was done under a stale snapshot; who began under one begins again under the new one.

use std::sync::Arc;

use model::EntityId;
use store::Tx;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::ChangeNote;

/// How often a revision may change under one who begins again.
const TRIES: usize = 4;

impl Engine {
    /// Does `work` in one transaction as the caller; what it answers. `work` may be done more than once: only the last counts.
    /// Ids of entities are those of the snapshot that `work` is given: [`Ctx::entity_named`] finds them there.
    ///
    /// # Errors
    /// What `work` refuses; `Busy` where revision follows revision.
    pub(crate) async fn transact<T, W>(&self, cx: &Ctx, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Fn(&Ctx, &Tx) -> Result<(T, Vec<ChangeNote>), Error> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let mut cx = cx.clone();
        for _ in 0..TRIES {
            let (at, work) = (cx.clone(), Arc::clone(&work));
            let done = self
                .store()
                .write(move |tx| {
                    current_or_superseded(&at, tx)?;
                    work(&at, tx)
                })
                .await;
            match done {
                Ok((answer, notes)) => {
                    self.tell(notes);
                    return Ok(answer);
                }
                Err(Error::Superseded) => cx = self.renewed(&cx).await?,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Store(store::Fault::Busy))
    }

    /// Does `work` in one transaction for the program itself: its moment is the one in which its turn comes.
    ///
    /// # Errors
    /// As [`Engine::transact`].
    pub(crate) async fn transact_in_background<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Fn(&Ctx, &Tx) -> Result<(T, Vec<ChangeNote>), Error> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        for _ in 0..TRIES {
            let (engine, work) = (self.clone(), Arc::clone(&work));
            let done = self
                .store()
                .write(move |tx| {
                    let cx = engine.background();
                    current_or_superseded(&cx, tx)?;
                    work(&cx, tx)
                })
                .await;
            match done {
                Ok((answer, notes)) => {
                    self.tell(notes);
                    return Ok(answer);
                }
                Err(Error::Superseded) => self.reload_if_stale().await?,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Store(store::Fault::Busy))
    }
}

impl Ctx {
    /// The entity of a qualified name in this snapshot.
    ///
    /// # Errors
    /// `NotFound` where the revision has none.
    pub(crate) fn entity_named(&self, name: &str) -> Result<EntityId, Error> {
        Ok(self.app.schema.find(name).ok_or(Error::NotFound)?.id)
    }
}

/// The snapshot must be the current one: no writer works under a stale one.
pub(crate) fn current_or_superseded(cx: &Ctx, tx: &Tx) -> Result<(), Error> {
    tx.lock_revision(false)?;
    if tx.revision()? == cx.app.revision { Ok(()) } else { Err(Error::Superseded) }
}
