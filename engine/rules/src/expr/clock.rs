//! In charge of formulas that are computed on read: the closed form that memory and SQL compute alike.
//! Invariant: such a formula is a difference of days between date fields, today, now and `??`; all of one kind.
//! Invariant: whether a text has the form is decided by its tree alone, so that the schema can be built without compiling.

use model::{Slot, Storage, Value};
use rhai::{Expr, Stmt};

use super::item::{Arithmetic, Item, days_from};
use super::node::{Cell, Node, Root};
use super::{Place, parse};
use crate::query::Moment;

/// The days from one term to another.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockExpr {
    /// From.
    pub from: ClockTerm,
    /// To.
    pub to: ClockTerm,
    /// Whether the terms are moments; else they are days.
    pub moments: bool,
}

/// A day or a moment; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum ClockTerm {
    /// A field of the record.
    Slot(Slot),
    /// Today, or now.
    Present,
    /// The first that is not empty.
    First(Vec<ClockTerm>),
}

impl ClockExpr {
    /// Its value on a record.
    #[must_use]
    pub fn value(&self, cells: &[Value], moment: Moment) -> Value {
        let (from, to) = (self.from.value(cells, moment, self.moments), self.to.value(cells, moment, self.moments));
        days_from(&Item::Value(from), &Item::Value(to)).map_or(Value::Null, Value::Int)
    }

    /// The slots that it reads.
    #[must_use]
    pub fn slots(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        self.from.collect(&mut slots);
        self.to.collect(&mut slots);
        slots
    }
}

impl ClockTerm {
    fn value(&self, cells: &[Value], moment: Moment, moments: bool) -> Value {
        match self {
            Self::Slot(slot) => cells.get(*slot).cloned().unwrap_or_default(),
            Self::Present if moments => Value::Timestamp(moment.now),
            Self::Present => Value::Date(moment.today),
            Self::First(terms) => terms.iter().map(|term| term.value(cells, moment, moments)).find(|value| !value.is_null()).unwrap_or_default(),
        }
    }

    fn collect(&self, slots: &mut Vec<Slot>) {
        match self {
            Self::Slot(slot) => slots.push(*slot),
            Self::Present => {}
            Self::First(terms) => terms.iter().for_each(|term| term.collect(slots)),
        }
    }
}

/// Whether the expression `text` is computed on read.
#[must_use]
pub fn is_on_read(text: &str) -> bool {
    let Ok(ast) = parse::parse(text) else { return false };
    match ast.statements() {
        [Stmt::Expr(expr)] => {
            let mut present = false;
            is_difference(expr, &mut present) && present
        }
        _ => false,
    }
}

fn is_difference(expr: &Expr, present: &mut bool) -> bool {
    let Expr::FnCall(call, _) = expr else { return false };
    let is_known = matches!(call.name.as_str(), "days_between" | "-");
    is_known && call.args.len() == 2 && call.args.iter().all(|argument| is_term(argument, present))
}

fn is_term(expr: &Expr, present: &mut bool) -> bool {
    match expr {
        Expr::Variable(..) => true,
        Expr::Coalesce(terms, _) => terms.iter().all(|term| is_term(term, present)),
        Expr::FnCall(call, _) if call.args.is_empty() && matches!(call.name.as_str(), "today" | "now") => {
            *present = true;
            true
        }
        _ => false,
    }
}

/// The closed form of a compiled expression, where it has it and reads only date fields of its own record.
pub(super) fn of(node: &Node, place: Place<'_>) -> Option<ClockExpr> {
    let (from, to) = match node {
        Node::Call(function, nodes, _) if function.name == "days_between" => match nodes.as_slice() {
            [from, to] => (from, to),
            _ => return None,
        },
        Node::Arithmetic(Arithmetic::Subtract, sides, _) => (&sides[1], &sides[0]),
        _ => return None,
    };
    let mut seen = Seen::default();
    let (from, to) = (term(from, place, &mut seen)?, term(to, place, &mut seen)?);
    let moments = seen.moments;
    (seen.present && seen.days != seen.moments).then_some(ClockExpr { from, to, moments })
}

#[derive(Default)]
struct Seen {
    days: bool,
    moments: bool,
    present: bool,
}

fn term(node: &Node, place: Place<'_>, seen: &mut Seen) -> Option<ClockTerm> {
    match node {
        Node::Read(read) if read.root == Root::Record && read.path.hops.is_empty() => {
            let Cell::Slot(slot) = read.cell else { return None };
            match place.schema.entity(place.entity).columns.get(slot)?.storage {
                Storage::Date => seen.days = true,
                Storage::Timestamp => seen.moments = true,
                _ => return None,
            }
            Some(ClockTerm::Slot(slot))
        }
        Node::First(nodes) => nodes.iter().map(|node| term(node, place, seen)).collect::<Option<_>>().map(ClockTerm::First),
        Node::Call(function, nodes, _) if nodes.is_empty() && matches!(function.name, "today" | "now") => {
            seen.present = true;
            if function.name == "today" {
                seen.days = true;
            } else {
                seen.moments = true;
            }
            Some(ClockTerm::Present)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::is_on_read;

    #[test]
    fn only_plain_differences_are_computed_on_read() {
        assert!(is_on_read("days_between(engage_date, close_date ?? today())"));
        assert!(is_on_read("today() - due"));
        assert!(!is_on_read("days_between(a, b)"));
        assert!(!is_on_read("days_between(a, today()) + 1"));
        assert!(!is_on_read("now() + hours(24)"));
        assert!(!is_on_read("days_between(a,"));
    }
}
