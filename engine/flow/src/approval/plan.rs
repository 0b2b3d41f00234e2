//! In charge of a flow as compiled: the tree of its document as blocks, so that every split has exactly one join.
//! Invariant: a step stands in exactly one block; the compiled flow is never changed, an instance keeps the one it began with.

use indexmap::IndexMap;
use model::doc::approval::{Approval, FlowSettings, FlowStart, TaskAccess, read_key};
use model::{Diagnostic, Label, Name};

use super::node::{self, NodeKind};

/// The word of each result's steps in the document.
pub const RESULTS: [&str; 5] = ["on_approved", "on_rejected", "on_withdrawn", "on_revoked", "on_ended"];

/// Steps that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The step that they are of.
    pub owner: Name,
    /// The branch of a split; none for what follows a rejection.
    pub branch: Option<Name>,
}

/// A step, compiled.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: Name,
    /// What people call it.
    pub label: Option<Label>,
    /// The block that it stands in; none for the top.
    pub block: Option<Block>,
    /// Its place there.
    pub index: usize,
    /// What it is.
    pub(crate) kind: std::sync::Arc<dyn NodeKind>,
}

/// A flow, compiled.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name.
    pub name: Name,
    /// What people call it.
    pub label: Option<Label>,
    /// Who may start it, and when.
    pub start: FlowStart,
    /// What holds for it as a whole.
    pub settings: FlowSettings,
    /// The results that have steps to run.
    pub results: Vec<&'static str>,
    nodes: IndexMap<Name, Node>,
    root: Vec<Name>,
    first: Name,
}

impl Flow {
    /// Compiles a document.
    ///
    /// # Errors
    /// Every fault found; pointers are into the document.
    pub fn compile(name: &Name, doc: &Approval) -> Result<Self, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let mut told = |at: &str, message: String| faults.push(Diagnostic::error(at, message));
        let start = read_key(&doc.settings, "start").unwrap_or_else(|message| {
            told("/start", message);
            FlowStart::default()
        });
        let settings = read_key(&doc.settings, "settings").unwrap_or_else(|message| {
            told("/settings", message);
            FlowSettings::default()
        });
        let mut kinds = IndexMap::new();
        for (step, written) in &doc.steps {
            match node::read_kind(&written.kind, &written.settings) {
                Ok(kind) => {
                    kinds.insert(step.clone(), kind);
                }
                Err(message) => told(&format!("/steps/{step}"), message),
            }
        }
        let mut root = doc.root.clone();
        let first = root.iter().chain(doc.steps.keys()).find(|name| kinds.get(*name).is_some_and(|kind| kind.is_start())).cloned();
        let first = first.or_else(|| {
            // A flow without a step of the initiator has one of its own.
            let made = ["start", "start_of_flow"].iter().filter_map(|name| Name::parse(name)).find(|name| !kinds.contains_key(name))?;
            kinds.insert(made.clone(), node::start());
            root.insert(0, made.clone());
            Some(made)
        });
        let Some(first) = first.filter(|_| faults.is_empty()) else { return Err(faults) };
        let mut flow = Self {
            name: name.clone(),
            label: doc.label.clone(),
            start,
            settings,
            results: RESULTS.into_iter().filter(|word| doc.settings.contains_key(*word)).collect(),
            nodes: IndexMap::new(),
            root,
            first,
        };
        flow.place(&kinds, &mut faults);
        if faults.is_empty() { Ok(flow) } else { Err(faults) }
    }

    /// Gives each step its place.
    fn place(&mut self, kinds: &IndexMap<Name, std::sync::Arc<dyn NodeKind>>, faults: &mut Vec<Diagnostic>) {
        let mut todo: Vec<(Option<Block>, Vec<Name>)> = vec![(None, self.root.clone())];
        while let Some((block, steps)) = todo.pop() {
            for (index, name) in steps.iter().enumerate() {
                let Some(kind) = kinds.get(name) else {
                    faults.push(Diagnostic::error(format!("/steps/{name}"), format!("there is no step `{name}`")));
                    continue;
                };
                if self.nodes.contains_key(name) {
                    faults.push(Diagnostic::error(format!("/steps/{name}"), format!("`{name}` stands in more than one place")));
                    continue;
                }
                let label = kind.label().cloned();
                self.nodes.insert(name.clone(), Node { name: name.clone(), label, block: block.clone(), index, kind: std::sync::Arc::clone(kind) });
                todo.extend(kind.blocks().into_iter().map(|(branch, steps)| (Some(Block { owner: name.clone(), branch }), steps.to_vec())));
            }
        }
    }

    /// The step called `name`.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The steps.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The initiator's step.
    #[must_use]
    pub fn first(&self) -> &Name {
        &self.first
    }

    /// What may be done with fields in the step called `name`.
    #[must_use]
    pub fn fields(&self, name: &str) -> Option<&IndexMap<String, TaskAccess>> {
        self.nodes.get(name).and_then(|node| node.kind.fields())
    }

    /// The steps of a block.
    pub(crate) fn steps(&self, block: Option<&Block>) -> &[Name] {
        let Some(block) = block else { return &self.root };
        let Some(owner) = self.nodes.get(&block.owner) else { return &[] };
        owner.kind.blocks().into_iter().find(|(branch, _)| *branch == block.branch).map_or(&[], |(_, steps)| steps)
    }

    /// The first step of the whole flow.
    pub(crate) fn entry(&self) -> Option<&Name> {
        self.root.first()
    }

    /// Where a step stands in the document as one reads it: from above, each block behind the step that it is of.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<Vec<usize>> {
        let mut place = Vec::new();
        let mut at = Some(self.nodes.get(name)?);
        while let Some(node) = at {
            place.push(node.index);
            at = node.block.as_ref().and_then(|block| {
                let owner = self.nodes.get(&block.owner)?;
                place.push(owner.kind.blocks().iter().position(|(branch, _)| *branch == block.branch).unwrap_or_default());
                Some(owner)
            });
        }
        place.reverse();
        Some(place)
    }

    /// The splits that send out several tokens on the way to a step, from the outside, each with the branch.
    #[must_use]
    pub fn splits(&self, name: &str) -> Vec<(Name, Name)> {
        let mut found = Vec::new();
        let mut at = self.nodes.get(name);
        while let Some(node) = at {
            let Some(block) = &node.block else { break };
            let owner = self.nodes.get(&block.owner);
            if let (Some(owner), Some(branch)) = (owner, &block.branch)
                && owner.kind.forks()
            {
                found.push((owner.name.clone(), branch.clone()));
            }
            at = owner;
        }
        found.reverse();
        found
    }
}

impl Node {
    /// Who decides and how, where people do.
    #[must_use]
    pub fn decision(&self) -> Option<&model::doc::approval::DecisionDoc> {
        self.kind.decision()
    }

    /// The word of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind.word()
    }
}
