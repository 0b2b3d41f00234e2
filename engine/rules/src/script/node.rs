//! In charge of compiled scripts: trees whose names are slots and whose functions are found.
//! Invariant: immutable and shared; running it changes nothing in it.

use std::sync::Arc;

use model::Storage;

use super::calls::Call;
use super::values::Own;
use crate::expr::Spot;
use crate::expr::functions::Function;
use crate::expr::item::{Arithmetic, Comparison, Item};
use crate::expr::node::{StageAttribute, Stages};

/// One step of a script; closed.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Item),
    Local(usize),
    Me,
    Setting(Arc<str>, Storage),
    /// A field of a record, a value of a map, a part of a structured value.
    Member(Box<Node>, Arc<str>, Spot),
    /// An attribute of the stage that a field of a record holds.
    Stage(Box<StageOf>, Spot),
    /// An item of a list, or a value of a map.
    Index(Box<[Node; 2]>, Spot),
    List(Vec<Node>, Spot),
    Map(Vec<(Arc<str>, Node)>, Spot),
    /// Texts joined, empty ones left out.
    Join(Vec<Node>, Spot),
    Not(Box<Node>, Spot),
    Negate(Box<Node>, Spot),
    All(Vec<Node>, Spot),
    Any(Vec<Node>, Spot),
    First(Vec<Node>),
    If(Box<[Node; 3]>, Spot),
    Arithmetic(Arithmetic, Box<[Node; 2]>, Spot),
    Compare(Comparison, Box<[Node; 2]>, Spot),
    /// A function of expressions.
    Pure(&'static Function, Vec<Node>, Spot),
    /// A function of scripts over values.
    Own(Own, Vec<Node>, Spot),
    /// A function of scripts that changes its first argument.
    Change(Own, Box<Target>, Vec<Node>, Spot),
    /// A function of the script, by its place.
    Call(usize, Vec<Node>, Spot),
    /// Something asked of the host.
    Host(Call, Vec<Node>, Spot),
    Let(usize, Box<Node>),
    Assign(Box<Target>, Option<Arithmetic>, Box<Node>, Spot),
    Block(Vec<Node>),
    While(Box<[Node; 2]>, Spot),
    /// The body, then whether once more.
    Do(Box<[Node; 2]>, Spot),
    For(Box<For>, Spot),
    Switch(Box<Switch>, Spot),
    Try(Box<Try>, Spot),
    /// A function without a name, called.
    Apply(Box<Lambda>, Vec<Node>, Spot),
    /// A function without a name, called for the items of a list.
    Each(Box<EachOf>, Spot),
    Break,
    Continue,
    Return(Box<Node>),
}

impl Node {
    pub const EMPTY: Self = Self::Constant(Item::EMPTY);
}

/// An attribute of a stage.
#[derive(Clone, Debug)]
pub(super) struct StageOf {
    /// The record.
    pub record: Node,
    /// Its stage field.
    pub field: Arc<str>,
    pub attribute: StageAttribute,
    pub stages: Arc<Stages>,
}

/// A loop over something.
#[derive(Clone, Debug)]
pub(super) struct For {
    pub over: Over,
    pub item: usize,
    /// Where it counts from 0, where it is asked to.
    pub counter: Option<usize>,
    pub body: Node,
}

/// What a loop goes through; closed.
#[derive(Clone, Debug)]
pub(super) enum Over {
    /// A list.
    Items(Node),
    /// Whole numbers, with the last or without.
    Numbers { from: Node, to: Node, with_last: bool },
}

/// What is done by the value of something.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    pub value: Node,
    /// In the order in which they are tried.
    pub cases: Vec<Case>,
    pub bodies: Vec<Node>,
    pub otherwise: Node,
}

/// One value, or several, of a `switch`.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub test: Test,
    pub guard: Option<Node>,
    /// Which of the bodies is run.
    pub body: usize,
}

/// Which values a case is for; closed.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Same(Item),
    /// Numbers, with the last or without.
    Within {
        from: Item,
        to: Item,
        with_last: bool,
    },
}

/// Something that may fail, and what is done then.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub body: Node,
    /// Where it is put why it failed.
    pub slot: Option<usize>,
    pub catch: Node,
}

/// A function without a name, within the function that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Lambda {
    /// Where its arguments are put.
    pub slots: Vec<usize>,
    pub body: Node,
}

/// A list whose items are gone through by a function.
#[derive(Clone, Debug)]
pub(super) struct EachOf {
    pub each: Each,
    pub list: Node,
    /// Where the list stands, where it is changed.
    pub target: Option<Target>,
    pub lambda: Lambda,
    /// What `reduce` begins with.
    pub start: Option<Node>,
}

/// What is made of a list by a function; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    Map,
    Filter,
    Some,
    All,
    Find,
    Reduce,
    Sort,
}

/// What is assigned to: a variable, or something within what `root` gives.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub root: Node,
    pub steps: Vec<Step>,
}

/// One step into a value; closed.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Name(Arc<str>),
    Key(Node),
}

/// One function of a script, for arguments of certain shapes.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub parameters: usize,
    /// How many slots it needs, parameters included.
    pub slots: usize,
    pub node: Node,
}

impl Node {
    /// Where it stands, where it says so.
    pub fn spot(&self) -> Option<Spot> {
        match self {
            Self::Constant(_) | Self::Local(_) | Self::Me | Self::Setting(..) | Self::First(_) | Self::Let(..) | Self::Block(_) => None,
            Self::Break | Self::Continue | Self::Return(_) => None,
            Self::Member(.., spot)
            | Self::Stage(_, spot)
            | Self::Index(_, spot)
            | Self::List(_, spot)
            | Self::Map(_, spot)
            | Self::Join(_, spot)
            | Self::Not(_, spot)
            | Self::Negate(_, spot)
            | Self::All(_, spot)
            | Self::Any(_, spot)
            | Self::If(_, spot)
            | Self::Arithmetic(.., spot)
            | Self::Compare(.., spot)
            | Self::Pure(.., spot)
            | Self::Own(.., spot)
            | Self::Change(.., spot)
            | Self::Call(.., spot)
            | Self::Host(.., spot)
            | Self::Assign(.., spot)
            | Self::Switch(_, spot)
            | Self::Try(_, spot)
            | Self::Apply(.., spot)
            | Self::Each(_, spot)
            | Self::While(_, spot)
            | Self::Do(_, spot)
            | Self::For(_, spot) => Some(*spot),
        }
    }
}
