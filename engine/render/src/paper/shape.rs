//! In charge of what an expression of a template may be.

use model::EntityId;

/// The parts of an approval and of what was done in it.
const APPROVAL: &[&str] = &["flow", "number", "title", "state", "initiator", "submitted_at", "ended_at"];
const ACT: &[&str] = &["step", "person", "for_person", "what", "opinion", "at", "signature"];
/// A thing with known parts; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Approval,
    Act,
}

impl Thing {
    pub(super) fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Approval => APPROVAL,
            Self::Act => ACT,
        }
    }
}

/// What an expression is; closed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A record, reached so.
    Record(EntityId, Vec<String>),
    /// Several records.
    Records(EntityId, Vec<String>),
    /// Something else with known parts.
    Thing(Thing, Vec<String>),
    /// Several of them.
    Things(Thing, Vec<String>),
    /// The first part of a clock's name.
    Clock(EntityId, Vec<String>, String),
    /// A value, reached so where it is a field's: text where it is shown, `value` where it is looked at.
    Value(Vec<String>),
    /// The settings of the app.
    Settings,
    /// Made by the template itself.
    Plain,
    /// Nothing more is known, after a fault.
    Unknown,
}

/// What one of two is.
pub(super) fn either(a: Shape, b: Shape) -> Shape {
    match (a, b) {
        (Shape::Unknown, _) | (_, Shape::Unknown) => Shape::Unknown,
        (Shape::Plain, Shape::Plain) => Shape::Plain,
        (a, b) if a == b => a,
        // Shown as text, whichever it is.
        _ => Shape::Value(Vec::new()),
    }
}
