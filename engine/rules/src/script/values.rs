//! In charge of the functions of scripts over lists, maps and texts, beside those that expressions have.
//! Invariant: adding one is an entry here and an arm of its kind; what it makes is charged to the run.

use std::rc::Rc;

use model::Value;

use super::limits::Limits;
use super::run::Halt;
use super::shape::Shape;
use super::thing::{List, Thing};
use crate::expr::Kind;
use crate::expr::item::{Item, Refusal, decimal};
use crate::expr::lower::{moment_of, read_as};

/// Which function; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Push,
    Pop,
    Sort,
    Reverse,
    Keys,
    Values,
    Join,
    Split,
    ToString,
    ToNumber,
    Date,
    DateTime,
}

/// One function.
pub(super) struct OwnFunction {
    /// As written.
    pub name: &'static str,
    pub own: Own,
    /// How many arguments must be there, and how many may.
    pub takes: (usize, usize),
    /// Whether it changes its first.
    pub changes: bool,
}

const fn of(name: &'static str, own: Own, least: usize, most: usize) -> OwnFunction {
    OwnFunction { name, own, takes: (least, most), changes: false }
}

const fn changing(name: &'static str, own: Own, least: usize, most: usize) -> OwnFunction {
    OwnFunction { name, own, takes: (least, most), changes: true }
}

/// Every function, in the order of the reference.
pub(super) static OWN: &[OwnFunction] = &[
    changing("push", Own::Push, 2, 2),
    changing("pop", Own::Pop, 1, 1),
    changing("sort", Own::Sort, 1, 1),
    changing("reverse", Own::Reverse, 1, 1),
    of("keys", Own::Keys, 1, 1),
    of("values", Own::Values, 1, 1),
    of("join", Own::Join, 1, 2),
    of("split", Own::Split, 2, 2),
    of("to_string", Own::ToString, 1, 1),
    of("to_number", Own::ToNumber, 1, 1),
    of("date", Own::Date, 1, 1),
    of("date_time", Own::DateTime, 1, 1),
];

/// The one called `name`.
pub(super) fn find(name: &str) -> Option<&'static OwnFunction> {
    OWN.iter().find(|function| function.name == name)
}

impl Own {
    /// What its first argument must be, in words; none where it is that.
    pub fn refuses(self, first: &Shape) -> Option<&'static str> {
        let is = |wanted: fn(&Shape) -> bool, word| (!matches!(first, Shape::Kind(Kind::Any | Kind::Empty)) && !wanted(first)).then_some(word);
        match self {
            Self::Push | Self::Pop | Self::Sort | Self::Reverse | Self::Join => is(|shape| matches!(shape, Shape::List(_)), "a list"),
            Self::Keys | Self::Values => is(|shape| matches!(shape, Shape::Map(_) | Shape::Kind(Kind::Structure)), "a map"),
            Self::Split | Self::Date | Self::DateTime => is(|shape| *shape == Shape::TEXT, "a text"),
            Self::ToNumber => is(|shape| matches!(shape, Shape::Kind(Kind::Text | Kind::Number)), "a text"),
            Self::ToString => is(|shape| !matches!(shape, Shape::List(_) | Shape::Map(_) | Shape::Kind(Kind::Sealed)), "a value"),
        }
    }

    /// What it gives.
    pub fn gives(self, first: &Shape) -> Shape {
        match (self, first) {
            (Self::Pop, Shape::List(item)) => Shape::clone(item),
            (Self::Pop | Self::Push | Self::Sort | Self::Reverse, _) => Shape::ANY,
            (Self::Keys | Self::Split, _) => Shape::list(Shape::TEXT),
            (Self::Values, _) => Shape::list(Shape::ANY),
            (Self::Join | Self::ToString, _) => Shape::TEXT,
            (Self::ToNumber, _) => Shape::NUMBER,
            (Self::Date, _) => Shape::Kind(Kind::Day),
            (Self::DateTime, _) => Shape::Kind(Kind::Moment),
        }
    }
}

fn refused(name: &str, thing: &Thing) -> Halt {
    Halt::Refused(Refusal::Kinds(format!("`{name}` cannot take {}", thing.word())))
}

/// What a function that changes nothing makes of its arguments.
pub(super) fn make(own: Own, arguments: &[Thing]) -> Result<Thing, Halt> {
    let Some(first) = arguments.first() else { return Ok(Thing::EMPTY) };
    if first.is_empty() {
        return Ok(Thing::EMPTY);
    }
    match (own, first) {
        (Own::Keys, Thing::Map(map)) => Ok(Thing::list(map.entries.keys().map(|key| Thing::value(Value::text(key))).collect())),
        (Own::Values, Thing::Map(map)) => {
            let mut list = List::default();
            for value in map.entries.values() {
                list.push(value.clone())?;
            }
            Ok(Thing::List(Rc::new(list)))
        }
        (Own::Join, Thing::List(list)) => {
            let between = arguments.get(1).and_then(Thing::as_text).unwrap_or_default();
            let mut text = String::new();
            for (index, item) in list.items.iter().enumerate() {
                if index > 0 {
                    text.push_str(between);
                }
                text.push_str(&item.text().ok_or_else(|| refused("join", item))?);
                if text.len() > Limits::TEXT {
                    return Err(Halt::Refused(Refusal::TooLong));
                }
            }
            Ok(Thing::value(Value::text(&text)))
        }
        (Own::Split, thing) => {
            let text = thing.as_text().ok_or_else(|| refused("split", thing))?;
            let by = arguments.get(1).and_then(Thing::as_text).unwrap_or_default();
            if by.is_empty() {
                return Ok(Thing::list(vec![thing.clone()]));
            }
            let mut list = List::default();
            for part in text.split(by) {
                list.push(Thing::value(Value::text(part)))?;
            }
            Ok(Thing::List(Rc::new(list)))
        }
        (Own::ToString, thing) => thing.text().map(|text| Thing::value(Value::text(&text))).ok_or_else(|| refused("to_string", thing)),
        (Own::ToNumber, Thing::Item(Item::Value(Value::Int(_) | Value::Decimal(_)))) => Ok(first.clone()),
        (Own::ToNumber, thing) => {
            let text = thing.as_text().ok_or_else(|| refused("to_number", thing))?.trim();
            let number = text.parse().map(Value::Int).ok().or_else(|| decimal(text).map(Value::Decimal));
            // What is no number is nothing, to be met with `??`.
            Ok(number.map_or(Thing::EMPTY, Thing::value))
        }
        (Own::Date, thing) => {
            let text = thing.as_text().ok_or_else(|| refused("date", thing))?;
            Ok(read_as(text, Kind::Day).map_or(Thing::EMPTY, Thing::value))
        }
        (Own::DateTime, thing) => {
            let text = thing.as_text().ok_or_else(|| refused("date_time", thing))?;
            Ok(moment_of(text).map_or(Thing::EMPTY, |moment| Thing::value(Value::Timestamp(moment))))
        }
        (Own::Keys | Own::Values | Own::Join, thing) => Err(refused(name_of(own), thing)),
        (Own::Push | Own::Pop | Own::Sort | Own::Reverse, thing) => Err(refused(name_of(own), thing)),
    }
}

fn name_of(own: Own) -> &'static str {
    OWN.iter().find(|function| function.own == own).map_or("", |function| function.name)
}

/// Changes the list in place; what it gives.
pub(super) fn change(own: Own, place: &mut Thing, arguments: &[Thing]) -> Result<Thing, Halt> {
    if place.is_empty() && own == Own::Push {
        *place = Thing::list(Vec::new());
    }
    let list = match place {
        Thing::List(list) => Rc::make_mut(list),
        Thing::Item(item) if item.is_empty() => return Ok(Thing::EMPTY),
        other => return Err(refused(name_of(own), other)),
    };
    match own {
        Own::Push => {
            list.push(arguments.first().cloned().unwrap_or(Thing::EMPTY))?;
            Ok(Thing::EMPTY)
        }
        Own::Pop => Ok(list.items.pop().unwrap_or(Thing::EMPTY)),
        Own::Reverse => {
            list.items.reverse();
            Ok(Thing::EMPTY)
        }
        Own::Sort => {
            sort(list)?;
            Ok(Thing::EMPTY)
        }
        Own::Keys | Own::Values | Own::Join | Own::Split | Own::ToString | Own::ToNumber | Own::Date | Own::DateTime => Ok(Thing::EMPTY),
    }
}

/// Sorts numbers, texts or dates, all of one kind; what is empty comes first.
fn sort(list: &mut List) -> Result<(), Halt> {
    use crate::expr::item::Comparison;
    let mut items = Vec::with_capacity(list.items.len());
    for thing in &list.items {
        items.push(match thing {
            Thing::Item(item) => item.clone(),
            other => return Err(refused("sort", other)),
        });
    }
    let mut failed = None;
    items.sort_by(|a, b| {
        let less = |a: &Item, b: &Item| Comparison::Less.holds(a, b);
        match (a.is_empty(), b.is_empty()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) => std::cmp::Ordering::Less,
            (false, true) => std::cmp::Ordering::Greater,
            (false, false) => match (less(a, b), less(b, a)) {
                (Ok(true), _) => std::cmp::Ordering::Less,
                (_, Ok(true)) => std::cmp::Ordering::Greater,
                (Ok(false), Ok(false)) => std::cmp::Ordering::Equal,
                (Err(refusal), _) | (_, Err(refusal)) => {
                    failed = Some(refusal);
                    std::cmp::Ordering::Equal
                }
            },
        }
    });
    match failed {
        Some(refusal) => Err(Halt::Refused(refusal)),
        None => {
            list.items = items.into_iter().map(Thing::Item).collect();
            Ok(())
        }
    }
}
