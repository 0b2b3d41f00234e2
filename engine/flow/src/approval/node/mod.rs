//! In charge of the kinds of steps: one file each, and the list of them.
//! Invariant: a kind says what happens when a token comes; how tokens move is the machine's business.

use std::fmt::Debug;
use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::approval::{DecisionDoc, TaskAccess, read};
use model::{Label, Name};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::facts::Told;
use super::instance::TokenId;
use super::machine::Machine;
use super::plan::Node;

mod action;
mod auto_approve;
mod auto_reject;
mod cc;
mod decision;
mod delay;
mod exclusive;
mod inclusive;
mod parallel;
mod route;
mod start;
mod subflow;

/// What a token does after it came to a step; closed.
pub(crate) enum Next {
    /// It stays.
    Wait,
    /// It goes on behind.
    On,
    /// It goes into a branch and comes back behind the split.
    Into(Name),
    /// It waits for tokens that it sends into branches.
    Fork(Vec<Name>),
    /// It goes to a step.
    Jump(Name),
    /// The flow ends without success.
    Reject,
}

/// The steps of one block of a kind: the branch, none for what follows a rejection.
pub(crate) type Steps<'a> = (Option<Name>, &'a [Name]);

/// A kind of step, with its settings.
pub(crate) trait NodeKind: Debug + Send + Sync {
    /// The kind's word.
    fn word(&self) -> &'static str;
    /// What people call the step.
    fn label(&self) -> Option<&Label>;
    /// What happens when a token comes.
    fn enter(&self, machine: &mut Machine<'_>, node: &Node, token: TokenId) -> Told<Next>;
    /// The blocks that it holds.
    fn blocks(&self) -> Vec<Steps<'_>> {
        Vec::new()
    }
    /// Whether its branches have tokens of their own.
    fn forks(&self) -> bool {
        false
    }
    /// Whether it is the initiator's.
    fn is_start(&self) -> bool {
        false
    }
    /// Whether its votes are approvals.
    fn approves(&self) -> bool {
        false
    }
    /// Who decides, where people do.
    fn decision(&self) -> Option<&DecisionDoc> {
        None
    }
    /// What may be done with fields.
    fn fields(&self) -> Option<&IndexMap<String, TaskAccess>> {
        None
    }
    /// Whether nobody can know beforehand when it is left, or with what.
    fn is_open_ended(&self) -> bool {
        false
    }
    /// What a child's rejection does here, where it starts flows.
    fn child_rejects(&self) -> bool {
        false
    }
}

type Read = fn(&Map<String, Json>) -> Result<Arc<dyn NodeKind>, String>;

fn of<K: NodeKind + DeserializeOwned + 'static>(settings: &Map<String, Json>) -> Result<Arc<dyn NodeKind>, String> {
    read::<K>(settings).map(|kind| Arc::new(kind) as Arc<dyn NodeKind>)
}

/// Every kind of step.
pub(crate) const KINDS: &[(&str, Read)] = &[
    ("start", of::<start::Start>),
    ("approve", of::<decision::Approve>),
    ("handle", of::<decision::Handle>),
    ("cc", of::<cc::Copy>),
    ("exclusive", of::<exclusive::Exclusive>),
    ("parallel", of::<parallel::Parallel>),
    ("inclusive", of::<inclusive::Inclusive>),
    ("route", of::<route::Route>),
    ("delay", of::<delay::Delay>),
    ("action", of::<action::Action>),
    ("subflow", of::<subflow::Subflow>),
    ("auto_approve", of::<auto_approve::AutoApprove>),
    ("auto_reject", of::<auto_reject::AutoReject>),
];

/// Reads a step's settings.
pub(crate) fn read_kind(word: &str, settings: &Map<String, Json>) -> Result<Arc<dyn NodeKind>, String> {
    let (_, read) = KINDS.iter().find(|(there, _)| *there == word).ok_or_else(|| format!("there is no kind of step `{word}`"))?;
    read(settings)
}

/// The initiator's step of a flow that does not write one.
pub(crate) fn start() -> Arc<dyn NodeKind> {
    Arc::new(start::Start::default())
}

/// The branches of a split in their order.
fn ordered(doc: &model::doc::approval::SplitDoc) -> Vec<&Name> {
    match &doc.order {
        Some(order) => order.iter().filter(|name| doc.branches.contains_key(*name)).collect(),
        None => doc.branches.keys().collect(),
    }
}

/// The blocks of a split.
fn branches(doc: &model::doc::approval::SplitDoc) -> Vec<Steps<'_>> {
    ordered(doc).into_iter().filter_map(|name| Some((Some(name.clone()), doc.branches.get(name)?.steps.as_slice()))).collect()
}
