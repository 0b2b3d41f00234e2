//! In charge of running what a script does by cases and by functions without a name: `switch`, `try`, functions of lists.
//! Invariant: what a `try` did before it failed is undone: what was written, told and assigned; variables keep what they hold.
//! Invariant: a limit that was reached ends the script, whatever is tried.

use std::rc::Rc;

use model::Value;

use super::host::Host;
use super::limits::Limits;
use super::node::{Each, EachOf, Lambda, Switch, Test, Try};
use super::run::{Flow, Ran, Run, Why, fill, halt, refuse, stop};
use super::thing::{List, Thing};
use crate::expr::Spot;
use crate::expr::item::{Comparison, Item};

impl<H: Host> Run<'_, H> {
    pub fn switch(&mut self, switch: &Switch, spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let value = self.eval(&switch.value, locals)?.item();
        for case in &switch.cases {
            self.spend(1, spot)?;
            if value.as_ref().is_some_and(|value| fits(&case.test, value)) {
                let holds = match &case.guard {
                    Some(guard) => self.truth(guard, spot, locals)?,
                    None => true,
                };
                if holds && let Some(body) = switch.bodies.get(case.body) {
                    return self.eval(body, locals);
                }
            }
        }
        self.eval(&switch.otherwise, locals)
    }

    pub fn attempt(&mut self, attempt: &Try, spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let assigned: usize = self.changes.values().map(|(_, values)| values.len()).sum();
        self.charge((assigned + 1) * size_of::<Thing>(), spot)?;
        let (changes, host) = (self.changes.clone(), self.host);
        let mut ran = Ok(Thing::EMPTY);
        let kept = host.attempt(&mut || {
            ran = self.eval(&attempt.body, locals);
            !matches!(ran, Err(Flow::Stop(_)))
        });
        kept.map_err(|fault| stop(spot, Why::Host(fault)))?;
        let failed = match ran {
            Err(Flow::Stop(failed)) => failed,
            Ok(_) => return Ok(Thing::EMPTY),
            leads_out => return leads_out,
        };
        let why = match &failed.why {
            Why::Failed(says, _) => says.get(self.host.locale()).to_owned(),
            Why::Refused(refusal) => refusal.to_string(),
            Why::Unknown(message) => message.text(self.host.locale()),
            Why::Limit(_) => return Err(Flow::Stop(failed)),
            Why::Host(fault) => match self.host.caught(fault) {
                Some(why) => why,
                None => return Err(Flow::Stop(failed)),
            },
        };
        self.changes = changes;
        if let Some(slot) = attempt.slot {
            let why = self.made(Thing::value(Value::text(&why)), spot)?;
            fill(locals, slot, why);
        }
        self.eval(&attempt.catch, locals)?;
        Ok(Thing::EMPTY)
    }

    /// Calls a function without a name.
    pub fn apply(&mut self, lambda: &Lambda, arguments: Vec<Thing>, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        for (slot, argument) in lambda.slots.iter().zip(arguments) {
            fill(locals, *slot, argument);
        }
        match self.eval(&lambda.body, locals) {
            Err(Flow::Return(thing)) => Ok(thing),
            other => other,
        }
    }

    fn holds(&mut self, lambda: &Lambda, item: &Thing, index: usize, spot: Spot, locals: &mut Vec<Thing>) -> Result<bool, Flow<H::Fault>> {
        match self.apply(lambda, vec![item.clone(), Thing::count(index)], locals)? {
            Thing::Item(item) => item.as_truth().map_err(|refusal| halt(spot, super::run::Halt::Refused(refusal))),
            other => Err(refuse(spot, format!("{} stands where true or false is asked", other.word()))),
        }
    }

    /// Goes through a list.
    pub fn each_of(&mut self, of: &EachOf, spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let list = match self.eval(&of.list, locals)? {
            Thing::List(list) => list,
            thing if thing.is_empty() => Rc::new(List::default()),
            other => return Err(refuse(spot, format!("this goes through a list, not {}", other.word()))),
        };
        let mut made = List::default();
        match of.each {
            Each::Map => {
                for (index, item) in list.items.iter().enumerate() {
                    let thing = self.apply(&of.lambda, vec![item.clone(), Thing::count(index)], locals)?;
                    made.push(thing).map_err(|limit| halt(spot, limit.into()))?;
                }
            }
            Each::Filter => {
                for (index, item) in list.items.iter().enumerate() {
                    if self.holds(&of.lambda, item, index, spot, locals)? {
                        made.push(item.clone()).map_err(|limit| halt(spot, limit.into()))?;
                    }
                }
            }
            Each::Some | Each::All => {
                let until = of.each == Each::Some;
                for (index, item) in list.items.iter().enumerate() {
                    if self.holds(&of.lambda, item, index, spot, locals)? == until {
                        return Ok(Thing::truth(until));
                    }
                }
                return Ok(Thing::truth(!until));
            }
            Each::Find => {
                for (index, item) in list.items.iter().enumerate() {
                    if self.holds(&of.lambda, item, index, spot, locals)? {
                        return Ok(item.clone());
                    }
                }
                return Ok(Thing::EMPTY);
            }
            Each::Reduce => {
                let mut sum = match &of.start {
                    Some(start) => self.eval(start, locals)?,
                    None => Thing::EMPTY,
                };
                for (index, item) in list.items.iter().enumerate() {
                    sum = self.apply(&of.lambda, vec![sum, item.clone(), Thing::count(index)], locals)?;
                }
                return Ok(sum);
            }
            Each::Sort => {
                made.items = self.sorted(&of.lambda, list.items.clone(), spot, locals)?;
                let sorted = self.made(Thing::list(made.items), spot)?;
                if let Some(target) = &of.target {
                    let keys = self.keys(target, spot, locals)?;
                    self.put_at(target, &keys, spot, locals, |_, place| {
                        *place = sorted;
                        Ok(Thing::EMPTY)
                    })?;
                }
                return Ok(Thing::EMPTY);
            }
        }
        self.made(Thing::List(Rc::new(made)), spot)
    }

    /// Sorts by merging: what the function says may contradict itself, and then some order comes out.
    fn sorted(&mut self, lambda: &Lambda, mut items: Vec<Thing>, spot: Spot, locals: &mut Vec<Thing>) -> Result<Vec<Thing>, Flow<H::Fault>> {
        if items.len() < 2 {
            return Ok(items);
        }
        let second = items.split_off(items.len() / 2);
        let first = self.sorted(lambda, items, spot, locals)?;
        let second = self.sorted(lambda, second, spot, locals)?;
        let mut merged = Vec::with_capacity(first.len() + second.len());
        let (mut left, mut right) = (first.into_iter().peekable(), second.into_iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let order = self.apply(lambda, vec![a.clone(), b.clone()], locals)?.item().unwrap_or(Item::EMPTY);
            let is_after =
                Comparison::Greater.holds(&order, &Item::Value(Value::Int(0))).map_err(|refusal| halt(spot, super::run::Halt::Refused(refusal)))?;
            merged.extend(if is_after { right.next() } else { left.next() });
        }
        merged.extend(left.chain(right));
        debug_assert!(merged.len() <= Limits::ITEMS);
        Ok(merged)
    }
}

/// Whether a value is one that a case is for; values of different kinds are not the same.
fn fits(test: &Test, value: &Item) -> bool {
    match test {
        Test::Same(item) => Comparison::Equal.holds(value, item).unwrap_or(false),
        Test::Within { from, to, with_last } => {
            let last = if *with_last { Comparison::AtMost } else { Comparison::Less };
            Comparison::AtLeast.holds(value, from).unwrap_or(false) && last.holds(value, to).unwrap_or(false)
        }
    }
}
