//! In charge of the lines of a target: from which lines of the source, how much of each, and what is left of them.
//! Invariant: what is left is worked out under the lock of the source, which whoever else converts it waits for.

use std::collections::HashSet;
use std::str::FromStr;

use indexmap::IndexMap;
use model::doc::Repeat;
use model::fault::escape_pointer;
use model::{Code, EntityId, Input, Message, Value, Violation};
use rules::condition::CompiledCondition;
use rules::query::RelationTo;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::asked::AskedLine;
use super::decide::{Deciding, Seen, Sight};
use super::plan::{LinesPlan, MadeValue, TargetPlan};
use crate::error::Error;
use crate::records::fill::along_hops;
use crate::records::in_order;
use crate::records::lookup::is_live;

/// Lines of a target that are to be.
#[derive(Debug)]
pub(super) struct DecidedLines<'p> {
    pub(super) plan: &'p LinesPlan,
    pub(super) rows: Vec<DecidedLine>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct DecidedLine {
    /// What it is made from.
    pub(super) source: Uuid,
    pub(super) values: IndexMap<String, Input>,
    /// What is left of the numbers that are limited.
    pub(super) left: IndexMap<String, Decimal>,
}

/// Decides the lines of a target.
pub(super) fn decide<'p>(d: &mut Deciding<'_, '_, 'p>, target: &'p TargetPlan, plan: &'p LinesPlan) -> Result<DecidedLines<'p>, Error> {
    let at = format!("/lines/{}/{}", escape_pointer(target.name.as_str()), escape_pointer(plan.name.as_str()));
    let sources = sources(d, plan)?;
    let taken = if d.plan.repeat == Repeat::Remainder && plan.skip_if.is_none() { taken(d, &sources)? } else { HashSet::new() };
    let asked = d.asked.lines.get(target.name.as_str()).and_then(|lines| lines.get(plan.name.as_str()));
    let chosen: Vec<(&Seen, Option<&AskedLine>)> = match asked {
        None => sources.iter().map(|line| (line, None)).collect(),
        Some(rows) => {
            let mut chosen = Vec::new();
            for (index, row) in rows.iter().enumerate() {
                match sources.iter().find(|line| line.id == row.id) {
                    Some(line) => chosen.push((line, Some(row))),
                    None => d.faults.push(Violation::at(format!("{at}/{index}/id"), Code::BadReference, Message::new("bad_reference"))),
                }
            }
            chosen
        }
    };
    let mut rows = Vec::new();
    for (line, row) in chosen {
        let at = format!("{at}/{}", rows.len());
        if taken.contains(&line.id) || is_skipped(d, plan, line) {
            if row.is_some() {
                d.faults.push(Violation::at(format!("{at}/id"), Code::NothingLeft, Message::new("nothing_left")));
            }
            continue;
        }
        rows.extend(one(d, plan, line, row, &at)?);
    }
    Ok(DecidedLines { plan, rows })
}

/// The lines or records of the source in the caller's sight, in order.
fn sources(d: &Deciding<'_, '_, '_>, plan: &LinesPlan) -> Result<Vec<Seen>, Error> {
    let w = d.w;
    let Some(cells) = along_hops(w, &plan.from.hops, &d.source.whole)? else { return Ok(Vec::new()) };
    let def = w.def(plan.from.entity);
    let ids: Vec<Uuid> = match &plan.from.to {
        RelationTo::References(field, _) => {
            let list = def.field(*field).cells(&cells).first().cloned().unwrap_or_default();
            list.items().iter().filter_map(Value::as_uuid).collect()
        }
        RelationTo::Inverse(inverse) => {
            let Some(id) = def.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid) else { return Ok(Vec::new()) };
            in_order(w, inverse, id)?
        }
    };
    let far = w.def(plan.source);
    let mut seen = Vec::new();
    for id in ids {
        if w.reader.in_sight(w.cx, plan.source, id)?
            && let Some(cells) = w.reader.read(plan.source, id)?.filter(|cells| is_live(far, cells))
        {
            seen.push(Seen::new(w, plan.source, id, cells)?);
        }
    }
    Ok(seen)
}

/// The lines from which a line that is still there was made by this conversion.
fn taken(d: &Deciding<'_, '_, '_>, sources: &[Seen]) -> Result<HashSet<Uuid>, Error> {
    let w = d.w;
    let ids: Vec<Uuid> = sources.iter().map(|line| line.id).collect();
    let mine: HashSet<Uuid> = w.tx.conversions_of(d.source.id)?.into_iter().filter(|made| made.name == d.plan.name).map(|made| made.id).collect();
    let mut taken = HashSet::new();
    for origin in w.tx.origins_from(&ids)?.into_iter().filter(|origin| mine.contains(&origin.conversion)) {
        if super::origins::is_there(w, &origin)? {
            taken.insert(origin.source);
        }
    }
    Ok(taken)
}

fn is_skipped(d: &Deciding<'_, '_, '_>, plan: &LinesPlan, line: &Seen) -> bool {
    match &plan.skip_if {
        None => false,
        Some(condition @ CompiledCondition::Expression(_)) => d.on_scope(Sight::Engine, Some(line), |scope| condition.holds(scope)).unwrap_or(false),
        Some(condition @ CompiledCondition::Filter(..)) => {
            d.w.on_scope(&d.plan.app, line.entity, &line.whole, None, |scope| condition.holds(scope)).unwrap_or(false)
        }
    }
}

/// A line; none where nothing of it is left and nobody asked for it.
fn one(d: &mut Deciding<'_, '_, '_>, plan: &LinesPlan, line: &Seen, asked: Option<&AskedLine>, at: &str) -> Result<Option<DecidedLine>, Error> {
    let (mut values, mut limits) = (IndexMap::new(), IndexMap::new());
    for made in &plan.values {
        let name = d.w.def(plan.entity).field(made.field).name.to_string();
        let wanted = asked.and_then(|asked| asked.values.get(&name));
        let offered = match d.make(plan.entity, made, Some(line))? {
            Ok(input) => input,
            Err(_) if wanted.is_some() => Input::Null,
            Err(reject) => {
                d.faults.push(Violation::of_field(&name, reject.code, reject.message).under(at));
                continue;
            }
        };
        if let Some(left) = left(d, plan, made, line)? {
            let exceeded = wanted.and_then(number).is_some_and(|wanted| wanted > left);
            if left <= Decimal::ZERO && asked.is_none() {
                return Ok(None);
            }
            if left <= Decimal::ZERO || exceeded {
                d.faults.push(Violation::of_field(&name, Code::NothingLeft, Message::new("nothing_left")).under(at));
            }
            limits.insert(name.clone(), left);
        }
        if offered != Input::Null {
            values.insert(name, offered);
        }
    }
    for (name, input) in asked.into_iter().flat_map(|asked| &asked.values) {
        if *name == *plan.by.as_str() {
            d.faults.push(Violation::of_field(name, Code::ReadOnlyField, Message::new("read_only_field")).under(at));
        } else if d.may_say(plan.entity, name, at) {
            values.insert(name.clone(), input.clone());
        }
    }
    Ok(Some(DecidedLine { source: line.id, values, left: limits }))
}

/// What is left of a line, whoever asks; none where the value is no such number.
fn left(d: &Deciding<'_, '_, '_>, plan: &LinesPlan, made: &MadeValue, line: &Seen) -> Result<Option<Decimal>, Error> {
    if d.plan.repeat != Repeat::Remainder || !made.is_remainder {
        return Ok(None);
    }
    Ok(d.make_by(Sight::Engine, plan.entity, made, Some(line))?.ok().as_ref().and_then(number))
}

fn number(input: &Input) -> Option<Decimal> {
    match input {
        Input::Number(text) | Input::Text(text) => Decimal::from_str(text).ok(),
        Input::Null | Input::Bool(_) | Input::List(_) | Input::Map(_) => None,
    }
}

/// The fields of a line that the document sets.
pub(super) fn set_by(plan: &LinesPlan) -> impl Iterator<Item = (EntityId, model::FieldId)> + '_ {
    plan.values.iter().map(|made| (plan.entity, made.field))
}
