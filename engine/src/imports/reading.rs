//! In charge of the thread that reads ahead: a file's rows become values while the writer writes.
//! Invariant: a few batches are under way at any time, however long the file is.

use std::sync::Arc;

use model::EntityId;
use model::doc::Import;
use tokio::sync::mpsc;

use super::plan::{self, Mapped, Plan};
use super::read::{self, Options, Piece};
use super::run::of_file;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::files::Content;

/// Rows that are handed over at once.
pub(super) const BATCH: usize = 100;

/// What is handed over; closed.
pub(super) enum Handed {
    Plan(Arc<Plan>),
    Rows(Vec<Mapped>),
    Failed(Error),
}

/// What the reading thread works with.
pub(super) struct Reading {
    pub(super) cx: Ctx,
    pub(super) app: Option<String>,
    pub(super) document: Import,
    pub(super) written: Vec<EntityId>,
    pub(super) shift: i64,
    /// The first row that is wanted.
    pub(super) next: u64,
    /// The rows that are wanted, in order; all where absent.
    pub(super) only: Option<Vec<u64>>,
    pub(super) sender: mpsc::Sender<Handed>,
}

impl Reading {
    /// Reads to the end, or until nobody listens any more.
    pub(super) fn run(self, content: &Content, options: &Options) {
        let mut plan: Option<Arc<Plan>> = None;
        let mut batch = Vec::with_capacity(BATCH);
        let mut ordinal = 0_u64;
        let mut only = self.only.as_ref().map(|only| only.iter().copied().peekable());
        let mut failed = None;
        let read = read::rows(content, options, &mut |piece| match piece {
            Piece::Header(columns) => match plan::compile(&self.cx, self.app.as_deref(), &self.document, &columns, &self.written, self.shift) {
                Ok(compiled) => {
                    let compiled = Arc::new(compiled);
                    plan = Some(Arc::clone(&compiled));
                    self.sender.blocking_send(Handed::Plan(compiled)).is_ok()
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            },
            Piece::Row(row) => {
                let here = ordinal;
                ordinal += 1;
                let is_wanted = match &mut only {
                    None => true,
                    Some(only) => {
                        while only.next_if(|next| *next < here).is_some() {}
                        if only.peek().is_none() {
                            return false;
                        }
                        only.next_if_eq(&here).is_some()
                    }
                };
                let Some(plan) = plan.as_ref().filter(|_| is_wanted && here >= self.next) else { return true };
                batch.push(plan.map(&self.cx, row, here));
                if batch.len() < BATCH {
                    return true;
                }
                // Nobody listens any more when the import was halted.
                self.sender.blocking_send(Handed::Rows(std::mem::take(&mut batch))).is_ok()
            }
        });
        let last = match (failed, read) {
            (Some(error), _) => Handed::Failed(error),
            (None, Err(message)) => Handed::Failed(of_file(message)),
            (None, Ok(())) => Handed::Rows(batch),
        };
        let _unheard = self.sender.blocking_send(last);
    }
}
