//! In charge of running a compiled expression on a scope.
//! Invariant: only what is asked for is read: `a && b` does not read what b needs where a is false.
//! Invariant: a record that is gone, binned or not there reads as empty.

use std::sync::Arc;

use model::{Cells, Storage, Value};

use super::functions::{Clock, Empties};
use super::item::{Item, Refusal, decimal, from_json, plain};
use super::node::{Cell, Node, Read, Root, StageAttribute};
use super::{EvalFault, Spot};
use crate::scope::{Extra, Scope};

/// Runs `node` on `scope`.
pub(super) fn run(node: &Node, scope: &Scope<'_>) -> Result<Item, EvalFault> {
    match node {
        Node::Constant(item) => Ok(item.clone()),
        Node::Read(read) => read_path(read, scope),
        Node::Setting(name, storage) => Ok(Item::Value(setting(scope, name, *storage))),
        Node::Given(name, key) => Ok(Item::Value(given(scope, name, key.as_deref()))),
        Node::Part(whole, key) => Ok(match run(whole, scope)? {
            Item::Value(Value::Json(json)) => Item::Value(json.get(&**key).map(from_json).unwrap_or_default()),
            Item::Value(_) | Item::Days(_) | Item::Hours(_) => Item::EMPTY,
        }),
        Node::Not(inner, spot) => truth(inner, scope, *spot).map(|truth| Item::truth(!truth)),
        Node::Negate(inner, spot) => negate(&run(inner, scope)?).map_err(|refusal| EvalFault::at(*spot, refusal)),
        Node::All(nodes, spot) => {
            for node in nodes {
                if !truth(node, scope, *spot)? {
                    return Ok(Item::truth(false));
                }
            }
            Ok(Item::truth(true))
        }
        Node::Any(nodes, spot) => {
            for node in nodes {
                if truth(node, scope, *spot)? {
                    return Ok(Item::truth(true));
                }
            }
            Ok(Item::truth(false))
        }
        Node::First(nodes) => {
            for node in nodes {
                let item = run(node, scope)?;
                if !item.is_empty() {
                    return Ok(item);
                }
            }
            Ok(Item::EMPTY)
        }
        Node::If(nodes, spot) => {
            let [condition, then, otherwise] = &**nodes;
            run(if truth(condition, scope, *spot)? { then } else { otherwise }, scope)
        }
        Node::Arithmetic(operator, sides, spot) => {
            let [left, right] = &**sides;
            operator.apply(&run(left, scope)?, &run(right, scope)?, scope.params.zone).map_err(|refusal| EvalFault::at(*spot, refusal))
        }
        Node::Compare(comparison, sides, spot) => {
            let [left, right] = &**sides;
            comparison.holds(&run(left, scope)?, &run(right, scope)?).map(Item::truth).map_err(|refusal| EvalFault::at(*spot, refusal))
        }
        Node::List(nodes) => {
            let mut items = Vec::with_capacity(nodes.len());
            for node in nodes {
                if let Item::Value(value) = run(node, scope)?
                    && !value.is_null()
                {
                    items.push(value);
                }
            }
            Ok(Item::Value(Value::list(items)))
        }
        Node::Join(nodes, spot) => join(nodes, scope, *spot),
        Node::Call(function, nodes, spot) => {
            let mut arguments = Vec::with_capacity(nodes.len());
            for (index, node) in nodes.iter().enumerate() {
                let item = run(node, scope)?;
                match function.empties {
                    Empties::AreSkipped if item.is_empty() => continue,
                    Empties::Spread if item.is_empty() => return Ok(Item::EMPTY),
                    Empties::AreFalse if item.is_empty() => return Ok(Item::truth(false)),
                    Empties::MayFollow if item.is_empty() && index == 0 => return Ok(Item::EMPTY),
                    Empties::AreSkipped | Empties::Spread | Empties::AreFalse | Empties::MayFollow => arguments.push(item),
                }
            }
            let clock = Clock { now: scope.params.now, zone: scope.params.zone, working: scope.params.working };
            (function.run)(clock, &arguments).map_err(|refusal| EvalFault::at(*spot, refusal))
        }
    }
}

/// Whether `node` holds, an empty value being false.
pub(super) fn truth(node: &Node, scope: &Scope<'_>, spot: Spot) -> Result<bool, EvalFault> {
    run(node, scope)?.as_truth().map_err(|refusal| EvalFault::at(spot, refusal))
}

pub(crate) fn negate(item: &Item) -> Result<Item, Refusal> {
    match item {
        Item::Value(Value::Null) => Ok(Item::EMPTY),
        Item::Value(Value::Int(number)) => number.checked_neg().map(|number| Item::Value(Value::Int(number))).ok_or(Refusal::Overflow),
        Item::Value(Value::Decimal(number)) => Ok(Item::Value(Value::Decimal(-*number))),
        Item::Days(days) => days.checked_neg().map(Item::Days).ok_or(Refusal::Overflow),
        Item::Hours(span) => span.checked_neg().map(Item::Hours).ok_or(Refusal::Overflow),
        Item::Value(_) => Err(Refusal::Kinds(format!("`-` cannot take {}", item.word()))),
    }
}

fn join(nodes: &[Node], scope: &Scope<'_>, spot: Spot) -> Result<Item, EvalFault> {
    let mut text = String::new();
    for node in nodes {
        let item = run(node, scope)?;
        let piece = match &item {
            Item::Value(value) => plain(value),
            Item::Days(_) | Item::Hours(_) => None,
        };
        let refused = || EvalFault::at(spot, Refusal::Kinds(format!("{} has no text", item.word())));
        text.push_str(&piece.ok_or_else(refused)?);
        if text.len() > super::item::MAX_TEXT {
            return Err(EvalFault::at(spot, Refusal::TooLong));
        }
    }
    Item::text(&text).map_err(|refusal| EvalFault::at(spot, refusal))
}

fn setting(scope: &Scope<'_>, name: &str, storage: Storage) -> Value {
    scope.params.settings.get(name).map(|json| stored_json(json, storage)).unwrap_or_default()
}

/// The value that JSON stands for where it is known what a column of it would be.
#[must_use]
pub fn stored_json(json: &serde_json::Value, storage: Storage) -> Value {
    match (storage, from_json(json)) {
        // Long decimals are kept as strings in JSON.
        (Storage::Int | Storage::Decimal(_), Value::Text(digits)) => decimal(&digits).map(Value::Decimal).unwrap_or_default(),
        (Storage::Date, Value::Text(day)) => day.parse().map(Value::Date).unwrap_or_default(),
        (Storage::Time, Value::Text(time)) => super::lower::time_of(&time).map(Value::Time).unwrap_or_default(),
        (Storage::Timestamp, Value::Text(moment)) => super::lower::moment_of(&moment).map(Value::Timestamp).unwrap_or_default(),
        (Storage::Uuid, Value::Text(id)) => uuid::Uuid::try_parse(&id).map(Value::Uuid).unwrap_or_default(),
        (_, value) => value,
    }
}

fn given(scope: &Scope<'_>, name: &str, key: Option<&str>) -> Value {
    match (scope.given(name), key) {
        (Some(Extra::Value(value)), None) => value.clone(),
        (Some(Extra::Values(values)), Some(key)) => values.get(key).cloned().unwrap_or_default(),
        (Some(Extra::Value(Value::Json(json))), Some(key)) => json.get(key).map(from_json).unwrap_or_default(),
        (Some(Extra::Value(_) | Extra::Values(_) | Extra::Record(..)) | None, _) => Value::Null,
    }
}

/// The cells that a path begins at.
fn begin<'a>(root: &Root, scope: &Scope<'a>) -> Option<&'a Cells> {
    match root {
        Root::Record => Some(scope.record),
        Root::Old => scope.old,
        Root::Me => scope.params.me_cells,
        Root::Given(name) => match scope.given(name) {
            Some(Extra::Record(_, cells)) => Some(cells),
            Some(Extra::Values(_) | Extra::Value(_)) | None => None,
        },
    }
}

fn read_path(read: &Read, scope: &Scope<'_>) -> Result<Item, EvalFault> {
    let Some(first) = begin(&read.root, scope) else { return Ok(Item::EMPTY) };
    let mut far: Option<Arc<Cells>> = None;
    for hop in &read.path.hops {
        let here = far.as_deref().unwrap_or(first);
        let id = scope.schema.entity(hop.from).field(hop.field).slot().and_then(|slot| here.get(slot)).and_then(Value::as_uuid);
        let Some(id) = id else { return Ok(Item::EMPTY) };
        match scope.lookup.get(hop.to, id)? {
            Some(cells) if !is_binned(scope, hop.to, &cells) => far = Some(cells),
            Some(_) | None => return Ok(Item::EMPTY),
        }
    }
    let cells = far.as_deref().unwrap_or(first);
    match &read.cell {
        Cell::Slot(slot) => Ok(Item::Value(cells.get(*slot).cloned().unwrap_or_default())),
        Cell::Parts(parts) => Ok(Item::Value(structure(parts, cells))),
        Cell::Stage(slot, attribute, stages) => Ok(Item::Value(stage(cells, *slot, *attribute, stages, scope.locale))),
        Cell::Formula(node) => run(node, &Scope { entity: read.path.entity, record: cells, old: None, extra: &[], ..*scope }),
    }
}

fn is_binned(scope: &Scope<'_>, entity: model::EntityId, cells: &Cells) -> bool {
    scope.schema.entity(entity).slot("deleted_at").and_then(|slot| cells.get(slot)).is_some_and(|deleted| !deleted.is_null())
}

/// The parts of a field that are there, by name; empty where none is.
pub(crate) fn structure(parts: &[(&'static str, usize)], cells: &Cells) -> Value {
    let map: serde_json::Map<String, serde_json::Value> = parts
        .iter()
        .filter_map(|(name, slot)| cells.get(*slot).filter(|value| !value.is_null()).and_then(plain).map(|text| ((*name).to_owned(), text.into())))
        .collect();
    if map.is_empty() { Value::Null } else { Value::Json(Arc::new(serde_json::Value::Object(map))) }
}

pub(crate) fn stage(cells: &Cells, slot: usize, attribute: StageAttribute, stages: &super::node::Stages, locale: &str) -> Value {
    let Some(Value::Text(name)) = cells.get(slot) else { return Value::Null };
    let facts = stages.find(cells, name);
    match attribute {
        StageAttribute::Name => Value::Text(Arc::clone(name)),
        StageAttribute::Label => {
            facts.and_then(|facts| facts.label.as_ref()).map_or_else(|| Value::Text(Arc::clone(name)), |label| Value::text(label.get(locale)))
        }
        StageAttribute::Kind => facts.map(|facts| Value::text(facts.kind)).unwrap_or_default(),
        StageAttribute::Probability => facts.and_then(|facts| facts.probability).map(Value::Decimal).unwrap_or_default(),
    }
}
