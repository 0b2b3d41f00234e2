//! In charge of what a dry run would have left behind: its slices are taken back one by one, so later ones would not see
//! what earlier ones wrote.
//! Invariant: only what is small is kept of a record: hashes of the keys by which others find it or collide with it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use model::field::Role;
use model::{Cells, EntityDef, Value};
use uuid::Uuid;

use super::plan::key_text;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::UniquePlan;
use crate::records::integrity;
use crate::records::slice::Writer;

/// One thing that a record of a dry run would have left; closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ghost {
    /// A key by which rows find it.
    Key(u64),
    /// A unique key that it has.
    Taken { key: u64, by: u64 },
    /// A period that it holds of a unique key.
    Period { key: u64, from: Value, until: Value, by: u64 },
}

/// What the slices so far would have left.
#[derive(Debug, Default)]
pub(crate) struct Ghosts {
    keys: HashSet<u64>,
    taken: HashMap<u64, u64>,
    periods: HashMap<u64, Vec<(Value, Value, u64)>>,
}

impl Ghosts {
    /// Remembers what a slice would have left.
    pub(crate) fn extend(&mut self, ghosts: Vec<Ghost>) {
        for ghost in ghosts {
            match ghost {
                Ghost::Key(key) => {
                    self.keys.insert(key);
                }
                Ghost::Taken { key, by } => {
                    self.taken.insert(key, by);
                }
                Ghost::Period { key, from, until, by } => self.periods.entry(key).or_default().push((from, until, by)),
            }
        }
    }

    /// Whether a record with this key would be there.
    pub(crate) fn has(&self, key: u64) -> bool {
        self.keys.contains(&key)
    }

    /// Whether another record would have this already.
    fn collides(&self, ghost: &Ghost) -> bool {
        match ghost {
            Ghost::Key(_) => false,
            Ghost::Taken { key, by } => self.taken.get(key).is_some_and(|there| there != by),
            Ghost::Period { key, from, until, by } => self
                .periods
                .get(key)
                .into_iter()
                .flatten()
                .any(|(start, end, there)| there != by && integrity::begins_before(start, until) && integrity::begins_before(from, end)),
        }
    }
}

/// A key of a record, small enough to keep many.
pub(crate) fn key(def: &EntityDef, by: &str, text: &str) -> u64 {
    hash(&(def.name.as_str(), by, text))
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// What a record that was written would have of unique keys; an error where another would have them already.
///
/// # Errors
/// The conflict, as the write path words it.
pub(crate) fn unique(cx: &Ctx, w: &Writer<'_>, def: &EntityDef, id: Uuid, cells: &Cells, there: &Ghosts) -> Result<Vec<Ghost>, Error> {
    let (mut ghosts, mut faults) = (Vec::new(), Vec::new());
    // Numbers that a trial run gives are given again once it is undone.
    let is_given = |plan: &UniquePlan| plan.fields.iter().any(|field| matches!(def.field(*field).role, Role::Autonumber { .. }));
    for (number, plan) in cx.app.plan(def.id).unique.iter().enumerate().filter(|(_, plan)| !is_given(plan)) {
        let Some(values) = integrity::unique_key(w, def, plan, cells)? else { continue };
        let texts: Vec<String> = values.iter().map(key_text).collect();
        let (key, by) = (hash(&(def.name.as_str(), number, texts)), hash(&id));
        let ghost = match plan.period {
            None => Ghost::Taken { key, by },
            Some((from, until)) => {
                let cell = |field| def.field(field).cells(cells).first().cloned().unwrap_or_default();
                let (from, until) = (cell(from), cell(until));
                if from.is_null() {
                    continue;
                }
                Ghost::Period { key, from, until, by }
            }
        };
        if there.collides(&ghost) {
            faults.push(integrity::conflict(def, plan));
        }
        ghosts.push(ghost);
    }
    if faults.is_empty() { Ok(ghosts) } else { Err(Error::Invalid(faults)) }
}
