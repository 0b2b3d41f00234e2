//! In charge of compiled expressions: a tree whose names are slots and whose functions are found.
//! Invariant: a tree is at most as deep as the parser allows and has no loops, so it always ends.
//! Invariant: immutable and shared; running it changes nothing in it.

use std::collections::HashMap;
use std::sync::Arc;

use model::{EntityId, Label, Slot, Storage, Value};
use rust_decimal::Decimal;

use super::Spot;
use super::functions::Function;
use super::item::{Arithmetic, Comparison, Item};
use crate::query::Path;

/// Whose cells a path begins at; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// The record.
    Record,
    /// The record before the change.
    Old,
    /// The person who acts.
    Me,
    /// A record that was given by name.
    Given(Arc<str>),
}

/// A field read over references.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub root: Root,
    pub path: Path,
    pub cell: Cell,
}

/// What of the record at the end of a path is read; closed.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// One cell.
    Slot(Slot),
    /// Several cells of one field as a structured value: the names of its parts and their slots.
    Parts(Arc<[(&'static str, Slot)]>),
    /// An attribute of the stage that the cell names.
    Stage(Slot, StageAttribute, Arc<Stages>),
    /// A formula that is computed on read, run on that record.
    Formula(Arc<Node>),
}

/// What an expression may ask of a stage; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageAttribute {
    Name,
    Label,
    Kind,
    Probability,
}

impl StageAttribute {
    pub const ALL: [(&'static str, Self); 4] =
        [("probability", Self::Probability), ("kind", Self::Kind), ("label", Self::Label), ("name", Self::Name)];
}

/// The stages of a stage field.
#[derive(Debug)]
pub(crate) struct Stages {
    /// The cell that names the pipeline, where there are several.
    pub by: Option<Slot>,
    /// Each pipeline's stages by name.
    pub pipelines: Vec<(String, HashMap<String, StageFacts>)>,
}

/// What an expression may know of one stage.
#[derive(Debug)]
pub(crate) struct StageFacts {
    pub label: Option<Label>,
    pub kind: &'static str,
    pub probability: Option<Decimal>,
}

impl Stages {
    /// The stage called `stage` in the pipeline that `cells` is in.
    pub fn find(&self, cells: &[Value], stage: &str) -> Option<&StageFacts> {
        let pipeline = self.by.and_then(|slot| cells.get(slot)).and_then(Value::as_text);
        let named = self.pipelines.iter().find(|(name, _)| Some(name.as_str()) == pipeline).and_then(|(_, stages)| stages.get(stage));
        named.or_else(|| self.pipelines.iter().find_map(|(_, stages)| stages.get(stage)))
    }
}

/// One step of a compiled expression; closed.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Constant(Item),
    Read(Box<Read>),
    /// A setting of the app.
    Setting(Arc<str>, Storage),
    /// A value that was given by name: itself, or one of several by key.
    Given(Arc<str>, Option<Arc<str>>),
    /// A part of a structured value.
    Part(Box<Node>, Arc<str>),
    Not(Box<Node>, Spot),
    Negate(Box<Node>, Spot),
    All(Vec<Node>, Spot),
    Any(Vec<Node>, Spot),
    First(Vec<Node>),
    If(Box<[Node; 3]>, Spot),
    Arithmetic(Arithmetic, Box<[Node; 2]>, Spot),
    Compare(Comparison, Box<[Node; 2]>, Spot),
    List(Vec<Node>),
    /// Texts joined, empty ones left out.
    Join(Vec<Node>, Spot),
    Call(&'static Function, Vec<Node>, Spot),
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Node {
    pub const EMPTY: Self = Self::Constant(Item::EMPTY);

    pub fn is_empty_constant(&self) -> bool {
        matches!(self, Self::Constant(item) if item.is_empty())
    }

    /// The nodes right below.
    pub fn children(&self) -> &[Node] {
        match self {
            Self::Constant(_) | Self::Read(_) | Self::Setting(..) | Self::Given(..) => &[],
            Self::Part(node, _) | Self::Not(node, _) | Self::Negate(node, _) => std::slice::from_ref(&**node),
            Self::All(nodes, _) | Self::Any(nodes, _) | Self::First(nodes) | Self::List(nodes) | Self::Join(nodes, _) | Self::Call(_, nodes, _) => {
                nodes
            }
            Self::If(nodes, _) => &nodes[..],
            Self::Arithmetic(_, nodes, _) | Self::Compare(_, nodes, _) => &nodes[..],
        }
    }

    /// What an expression compares and never tests for being empty: leaves that a rule forgives being empty.
    pub fn forgiven(&self) -> Vec<Node> {
        let (mut compared, mut tested) = (Vec::new(), Vec::new());
        self.collect_compared(false, &mut compared, &mut tested);
        let mut kept: Vec<Node> = Vec::new();
        for leaf in compared {
            if !tested.iter().chain(&kept).any(|other| leaf.same_leaf(other)) {
                kept.push(leaf);
            }
        }
        kept
    }

    fn collect_compared(&self, within: bool, compared: &mut Vec<Node>, tested: &mut Vec<Node>) {
        match self {
            Self::Read(_) | Self::Setting(..) | Self::Given(..) | Self::Part(..) => {
                if within {
                    compared.push(self.clone());
                }
            }
            Self::Compare(comparison, sides, _) if !comparison.is_order() && sides.iter().any(Self::is_empty_constant) => {
                sides.iter().for_each(|side| side.collect_leaves(tested));
            }
            Self::Compare(_, sides, _) => sides.iter().for_each(|side| side.collect_compared(true, compared, tested)),
            Self::First(nodes) => {
                if let Some((last, before)) = nodes.split_last() {
                    before.iter().for_each(|node| node.collect_leaves(tested));
                    last.collect_compared(within, compared, tested);
                }
            }
            Self::Call(function, nodes, _) => {
                let compares = function.empties == super::functions::Empties::AreFalse;
                nodes.iter().for_each(|node| node.collect_compared(within || compares, compared, tested));
            }
            Self::Constant(_)
            | Self::Not(..)
            | Self::Negate(..)
            | Self::All(..)
            | Self::Any(..)
            | Self::If(..)
            | Self::Arithmetic(..)
            | Self::List(_)
            | Self::Join(..) => self.children().iter().for_each(|node| node.collect_compared(within, compared, tested)),
        }
    }

    fn collect_leaves(&self, leaves: &mut Vec<Node>) {
        match self {
            Self::Read(_) | Self::Setting(..) | Self::Given(..) | Self::Part(..) => leaves.push(self.clone()),
            Self::Constant(_)
            | Self::Not(..)
            | Self::Negate(..)
            | Self::All(..)
            | Self::Any(..)
            | Self::First(_)
            | Self::If(..)
            | Self::Arithmetic(..)
            | Self::Compare(..)
            | Self::List(_)
            | Self::Join(..)
            | Self::Call(..) => self.children().iter().for_each(|node| node.collect_leaves(leaves)),
        }
    }

    fn same_leaf(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Read(a), Self::Read(b)) => a.root == b.root && same_path(&a.path, &b.path),
            (Self::Setting(a, _), Self::Setting(b, _)) => a == b,
            (Self::Given(a, a_key), Self::Given(b, b_key)) => a == b && a_key == b_key,
            (Self::Part(a, a_key), Self::Part(b, b_key)) => a_key == b_key && a.same_leaf(b),
            _ => false,
        }
    }
}

/// Whether two paths read the same field over the same references.
pub(crate) fn same_path(a: &Path, b: &Path) -> bool {
    a.field == b.field
        && a.entity == b.entity
        && a.hops.len() == b.hops.len()
        && a.hops.iter().zip(&b.hops).all(|(a, b)| a.from == b.from && a.field == b.field)
}

/// What somebody gives to an expression by name beside the record; closed.
#[derive(Clone, Debug)]
pub enum Given {
    /// A record of this entity.
    Record(EntityId),
    /// Records by these keys, each given as `name.key` too.
    Records(Vec<(String, EntityId)>),
    /// Values by key, of kinds seen only when they are there: a row of a file, a payload.
    Values,
    /// Values by these keys.
    Fields(Vec<(String, super::Kind)>),
    /// One value.
    Value(super::Kind),
}
