//! In charge of running a compiled script: its values, its loops, what it assigns, and what that costs.
//! Reading order: `run`, `Ended`; `Run::eval`.
//! Invariant: every node that is run and every value that is made is counted; a limit that is reached ends the script.

use std::collections::HashSet;
use std::rc::Rc;

use indexmap::IndexMap;
use model::{EntityId, FieldDef, Input, Message, Value};
use uuid::Uuid;

use super::host::Host;
use super::limits::{Cost, Limit, Limits};
use super::node::{For, Node, Over};
use super::thing::{List, Map, Thing};
use super::{Compiled, values};
use crate::expr::Spot;
use crate::expr::functions::{Clock, Empties, Function};
use crate::expr::item::{Arithmetic, Comparison, Item, Refusal, whole};
use crate::expr::run::{negate, stored_json};

/// Steps between two looks at the time.
const LOOKS: u64 = 256;

/// What a script assigned to the fields of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its entity.
    pub entity: EntityId,
    /// The record.
    pub id: Uuid,
    /// The values, by field.
    pub values: IndexMap<String, Input>,
    /// Where the first of them was assigned.
    pub spot: Spot,
}

/// A run that ended, well or not.
#[derive(Debug)]
pub struct Ended<F> {
    /// What it did, or why it stopped.
    pub result: Result<Done, Stop<F>>,
    /// What it used.
    pub cost: Cost,
    /// What it noted.
    pub log: Vec<String>,
}

/// What a run that ended well leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// What it gave back.
    pub result: Input,
    /// What is to be written now.
    pub changes: Vec<Change>,
}

/// Why a run stopped, and where.
#[derive(Debug)]
pub struct Stop<F> {
    /// Where.
    pub spot: Spot,
    /// Why.
    pub why: Why<F>,
}

/// Why a run stopped; closed.
#[derive(Debug)]
pub enum Why<F> {
    /// It said so: what it says, and of which field.
    Failed(model::Label, Option<String>),
    /// An operator or function refused.
    Refused(Refusal),
    /// A name that is not there, or not for whoever it acts for.
    Unknown(Message),
    /// It reached a limit.
    Limit(Limit),
    /// What it asked for was refused.
    Host(F),
}

/// Why a value was not made, before it is known where.
#[derive(Debug)]
pub(super) enum Halt {
    Refused(Refusal),
    Limit(Limit),
}

impl From<Limit> for Halt {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

/// What leads out of a node; closed.
pub(super) enum Flow<F> {
    Break,
    Continue,
    Return(Thing),
    Stop(Box<Stop<F>>),
}

pub(super) type Ran<F> = Result<Thing, Flow<F>>;

/// A run.
pub(super) struct Run<'a, H: Host> {
    pub script: &'a Compiled,
    pub host: &'a H,
    pub limits: Limits,
    pub cost: Cost,
    pub log: Vec<String>,
    pub changes: IndexMap<(EntityId, Uuid), (Spot, IndexMap<String, Thing>)>,
    pub read: HashSet<(EntityId, Uuid)>,
    calls: usize,
    depth: usize,
}

/// Runs a script on a record.
pub(super) fn run<H: Host>(
    script: &Compiled,
    host: &H,
    record: Option<(EntityId, Uuid)>,
    given: &IndexMap<String, Value>,
    limits: Limits,
) -> Ended<H::Fault> {
    let mut run =
        Run { script, host, limits, cost: Cost::default(), log: Vec::new(), changes: IndexMap::new(), read: HashSet::new(), calls: 0, depth: 0 };
    let result = run.whole(record, given);
    Ended { result, cost: run.cost, log: run.log }
}

/// That a node stopped.
pub(super) fn stop<F>(spot: Spot, why: Why<F>) -> Flow<F> {
    Flow::Stop(Box::new(Stop { spot, why }))
}

pub(super) fn halt<F>(spot: Spot, halt: Halt) -> Flow<F> {
    stop(
        spot,
        match halt {
            Halt::Refused(refusal) => Why::Refused(refusal),
            Halt::Limit(limit) => Why::Limit(limit),
        },
    )
}

pub(super) fn refuse<F>(spot: Spot, message: impl Into<String>) -> Flow<F> {
    stop(spot, Why::Refused(Refusal::Kinds(message.into())))
}

impl<H: Host> Run<'_, H> {
    fn whole(&mut self, record: Option<(EntityId, Uuid)>, given: &IndexMap<String, Value>) -> Result<Done, Stop<H::Fault>> {
        let limited = |limit| Stop { spot: Spot::START, why: Why::Limit(limit) };
        let record = record.map_or(Thing::EMPTY, |(entity, id)| Thing::Record(entity, id));
        let mut named = Map::default();
        for (name, value) in given {
            named.put(name.clone(), Thing::value(value.clone())).map_err(limited)?;
        }
        let given = Thing::Map(Rc::new(named));
        let parameters = self.script.bodies.get(self.script.run).map_or(0, |body| body.parameters);
        let arguments = vec![record, given].into_iter().take(parameters).collect();
        let thing = match self.function(self.script.run, arguments, Spot::START) {
            Ok(thing) => thing,
            Err(Flow::Stop(stop)) => return Err(*stop),
            Err(Flow::Return(thing)) => thing,
            Err(Flow::Break | Flow::Continue) => Thing::EMPTY,
        };
        let result = self.input(&thing, None, Spot::START).map_err(|flow| match flow {
            Flow::Stop(stop) => *stop,
            Flow::Break | Flow::Continue | Flow::Return(_) => limited(Limit::Depth),
        })?;
        let mut changes = Vec::with_capacity(self.changes.len());
        let schema = self.host.schema();
        for ((entity, id), (spot, values)) in &self.changes {
            let def = schema.entity(*entity);
            let values = values.iter().map(|(name, thing)| (name.clone(), thing.input(schema, def.find(name)))).collect();
            changes.push(Change { entity: *entity, id: *id, values, spot: *spot });
        }
        Ok(Done { result, changes })
    }

    /// Counts steps; ends the run where there are too many, or the time is up.
    pub fn spend(&mut self, operations: u64, spot: Spot) -> Result<(), Flow<H::Fault>> {
        let before = self.cost.operations;
        self.cost.operations += operations;
        if self.cost.operations > self.limits.operations {
            return Err(stop(spot, Why::Limit(Limit::Operations(self.limits.operations))));
        }
        if before / LOOKS != self.cost.operations / LOOKS && !self.host.has_time() {
            return Err(stop(spot, Why::Limit(Limit::Time)));
        }
        Ok(())
    }

    /// Counts what a value takes.
    pub fn charge(&mut self, bytes: usize, spot: Spot) -> Result<(), Flow<H::Fault>> {
        self.cost.memory += u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.cost.memory > self.limits.memory { Err(stop(spot, Why::Limit(Limit::Memory(self.limits.memory)))) } else { Ok(()) }
    }

    /// The size of a value that was made, counted once where it was made.
    pub fn made(&mut self, thing: Thing, spot: Spot) -> Ran<H::Fault> {
        let bytes = match &thing {
            Thing::Item(Item::Value(Value::Text(text))) => text.len(),
            Thing::Item(_) | Thing::Record(..) => return Ok(thing),
            Thing::List(list) => list.items.len() * size_of::<Thing>(),
            Thing::Map(map) => map.entries.len() * (size_of::<Thing>() + 64),
        };
        self.charge(bytes + 32, spot)?;
        Ok(thing)
    }

    /// As it is sent; what is shared is counted wherever it stands.
    pub fn input(&mut self, thing: &Thing, field: Option<&FieldDef>, spot: Spot) -> Result<Input, Flow<H::Fault>> {
        let size = thing.size(Limits::ITEMS + 1);
        if size > Limits::ITEMS {
            return Err(stop(spot, Why::Limit(Limit::Items(Limits::ITEMS))));
        }
        self.charge(size * size_of::<Input>(), spot)?;
        Ok(thing.input(self.host.schema(), field))
    }

    fn clock(&self) -> Clock<'_> {
        let params = self.host.params();
        Clock { now: params.now, zone: params.zone, working: params.working }
    }

    fn function(&mut self, index: usize, mut locals: Vec<Thing>, spot: Spot) -> Ran<H::Fault> {
        let Some(body) = self.script.bodies.get(index) else { return Ok(Thing::EMPTY) };
        if self.calls >= Limits::DEPTH {
            return Err(stop(spot, Why::Limit(Limit::Depth)));
        }
        self.calls += 1;
        locals.resize(body.slots.max(locals.len()), Thing::EMPTY);
        let result = self.eval(&body.node, &mut locals);
        self.calls -= 1;
        match result {
            Err(Flow::Return(thing)) => Ok(thing),
            other => other,
        }
    }

    /// Runs a node.
    pub fn eval(&mut self, node: &Node, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        match node {
            Node::Constant(item) => return Ok(Thing::Item(item.clone())),
            Node::Local(slot) => return Ok(locals.get(*slot).cloned().unwrap_or(Thing::EMPTY)),
            _ => {}
        }
        self.spend(1, Spot::START)?;
        self.depth += 1;
        let result = if self.depth > self.limits.nested { Err(stop(Spot::START, Why::Limit(Limit::Depth))) } else { self.within(node, locals) };
        self.depth -= 1;
        // A limit is told where it was reached, as near as a node says where it is.
        result.map_err(|flow| placed(flow, node))
    }

    fn within(&mut self, node: &Node, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        match node {
            Node::Constant(_) | Node::Local(_) | Node::Me | Node::Setting(..) | Node::Break | Node::Continue => self.leaf(node),
            Node::Member(base, name, spot) => {
                let base = self.eval(base, locals)?;
                self.member(&base, name, *spot)
            }
            Node::Stage(..) => self.stage(node, locals),
            Node::Index(pair, spot) => self.index(pair, *spot, locals),
            Node::List(..) | Node::Map(..) | Node::Join(..) => self.make(node, locals),
            Node::Not(inner, spot) => {
                let truth = self.truth(inner, *spot, locals)?;
                Ok(Thing::truth(!truth))
            }
            Node::Negate(inner, spot) => {
                let item = self.item(inner, *spot, locals)?;
                negate(&item).map(Thing::Item).map_err(|refusal| halt(*spot, Halt::Refused(refusal)))
            }
            Node::All(nodes, spot) => self.truths(nodes, false, *spot, locals),
            Node::Any(nodes, spot) => self.truths(nodes, true, *spot, locals),
            Node::First(nodes) => {
                for node in nodes {
                    let thing = self.eval(node, locals)?;
                    if !thing.is_empty() {
                        return Ok(thing);
                    }
                }
                Ok(Thing::EMPTY)
            }
            Node::If(nodes, spot) => {
                let [condition, then, otherwise] = &**nodes;
                let chosen = if self.truth(condition, *spot, locals)? { then } else { otherwise };
                self.eval(chosen, locals)
            }
            Node::Arithmetic(operator, sides, spot) => {
                let [left, right] = &**sides;
                let (left, right) = (self.item(left, *spot, locals)?, self.item(right, *spot, locals)?);
                self.arithmetic(*operator, &left, &right, *spot)
            }
            Node::Compare(comparison, sides, spot) => {
                let [left, right] = &**sides;
                let (left, right) = (self.eval(left, locals)?, self.eval(right, locals)?);
                self.compare(*comparison, &left, &right, *spot).map(Thing::truth)
            }
            Node::Pure(function, nodes, spot) => self.pure(function, nodes, *spot, locals),
            Node::Own(own, nodes, spot) => {
                let arguments = self.each(nodes, locals)?;
                let made = values::make(*own, &arguments).map_err(|why| halt(*spot, why))?;
                self.made(made, *spot)
            }
            Node::Change(own, target, nodes, spot) => {
                let arguments = self.each(nodes, locals)?;
                self.change_in_place(*own, target, &arguments, *spot, locals)
            }
            Node::Call(index, nodes, spot) => {
                let arguments = self.each(nodes, locals)?;
                self.function(*index, arguments, *spot)
            }
            Node::Host(call, nodes, spot) => {
                let arguments = self.each(nodes, locals)?;
                self.ask(*call, &arguments, *spot)
            }
            Node::Let(slot, value) => {
                let value = self.eval(value, locals)?;
                fill(locals, *slot, value);
                Ok(Thing::EMPTY)
            }
            Node::Assign(target, operator, value, spot) => self.assign(target, *operator, value, *spot, locals),
            Node::Block(nodes) => {
                let mut last = Thing::EMPTY;
                for node in nodes {
                    last = self.eval(node, locals)?;
                }
                Ok(last)
            }
            Node::While(..) | Node::Do(..) | Node::For(..) => self.repeat(node, locals),
            Node::Switch(switch, spot) => self.switch(switch, *spot, locals),
            Node::Try(attempt, spot) => self.attempt(attempt, *spot, locals),
            Node::Apply(lambda, nodes, _) => {
                let arguments = self.each(nodes, locals)?;
                self.apply(lambda, arguments, locals)
            }
            Node::Each(each, spot) => self.each_of(each, *spot, locals),
            Node::Return(value) => {
                let value = self.eval(value, locals)?;
                Err(Flow::Return(value))
            }
        }
    }

    fn leaf(&mut self, node: &Node) -> Ran<H::Fault> {
        let params = self.host.params();
        Ok(match node {
            Node::Me => match (params.me, self.host.schema().find("core.user")) {
                (Some(me), Some(user)) => Thing::Record(user.id, me),
                _ => Thing::EMPTY,
            },
            Node::Setting(name, storage) => params.settings.get(&**name).map_or(Thing::EMPTY, |json| Thing::value(stored_json(json, *storage))),
            Node::Break => return Err(Flow::Break),
            Node::Continue => return Err(Flow::Continue),
            _ => Thing::EMPTY,
        })
    }

    fn each(&mut self, nodes: &[Node], locals: &mut Vec<Thing>) -> Result<Vec<Thing>, Flow<H::Fault>> {
        let mut things = Vec::with_capacity(nodes.len());
        for node in nodes {
            things.push(self.eval(node, locals)?);
        }
        Ok(things)
    }

    fn item(&mut self, node: &Node, spot: Spot, locals: &mut Vec<Thing>) -> Result<Item, Flow<H::Fault>> {
        match self.eval(node, locals)? {
            Thing::Item(item) => Ok(item),
            Thing::Record(_, id) => Ok(Item::Value(Value::Uuid(id))),
            other => Err(refuse(spot, format!("this cannot take {}", other.word()))),
        }
    }

    pub fn truth(&mut self, node: &Node, spot: Spot, locals: &mut Vec<Thing>) -> Result<bool, Flow<H::Fault>> {
        match self.eval(node, locals)? {
            Thing::Item(item) => item.as_truth().map_err(|refusal| halt(spot, Halt::Refused(refusal))),
            other => Err(refuse(spot, format!("{} stands where true or false is asked", other.word()))),
        }
    }

    fn truths(&mut self, nodes: &[Node], until: bool, spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        for node in nodes {
            if self.truth(node, spot, locals)? == until {
                return Ok(Thing::truth(until));
            }
        }
        Ok(Thing::truth(!until))
    }

    fn make(&mut self, node: &Node, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        match node {
            Node::List(nodes, spot) => {
                let mut list = List::default();
                for node in nodes {
                    list.push(self.eval(node, locals)?).map_err(|limit| halt(*spot, limit.into()))?;
                }
                self.made(Thing::List(Rc::new(list)), *spot)
            }
            Node::Map(entries, spot) => {
                let mut map = Map::default();
                for (key, node) in entries {
                    map.put(key.to_string(), self.eval(node, locals)?).map_err(|limit| halt(*spot, limit.into()))?;
                }
                self.made(Thing::Map(Rc::new(map)), *spot)
            }
            Node::Join(nodes, spot) => {
                let mut text = String::new();
                for node in nodes {
                    let thing = self.eval(node, locals)?;
                    text.push_str(&thing.text().ok_or_else(|| refuse(*spot, format!("{} has no text", thing.word())))?);
                    if text.len() > Limits::TEXT {
                        return Err(halt(*spot, Halt::Refused(Refusal::TooLong)));
                    }
                }
                self.made(Thing::value(Value::text(&text)), *spot)
            }
            _ => Ok(Thing::EMPTY),
        }
    }

    pub fn arithmetic(&mut self, operator: Arithmetic, left: &Item, right: &Item, spot: Spot) -> Ran<H::Fault> {
        let zone = self.host.params().zone;
        let made = operator.apply(left, right, zone).map_err(|refusal| halt(spot, Halt::Refused(refusal)))?;
        self.made(Thing::Item(made), spot)
    }

    fn compare(&mut self, comparison: Comparison, left: &Thing, right: &Thing, spot: Spot) -> Result<bool, Flow<H::Fault>> {
        if let (Thing::List(_) | Thing::Map(_), _) | (_, Thing::List(_) | Thing::Map(_)) = (left, right)
            && !comparison.is_order()
            && (left.is_empty() || right.is_empty())
        {
            return Ok(comparison == Comparison::Unequal);
        }
        if let (Thing::List(a), Thing::List(b)) = (left, right) {
            self.spend(u64::try_from(a.items.len() + b.items.len()).unwrap_or(u64::MAX), spot)?;
        }
        match (left.item(), right.item()) {
            (Some(left), Some(right)) => comparison.holds(&left, &right).map_err(|refusal| halt(spot, Halt::Refused(refusal))),
            _ => Err(refuse(spot, format!("{} and {} cannot be compared", left.word(), right.word()))),
        }
    }

    fn pure(&mut self, function: &'static Function, nodes: &[Node], spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let arguments = self.each(nodes, locals)?;
        match (function.name, arguments.as_slice()) {
            ("len", [Thing::List(list)]) => return Ok(Thing::count(list.items.len())),
            ("contains", [Thing::List(list), item]) => {
                for there in &list.items {
                    self.spend(1, spot)?;
                    if !item.is_empty() && self.compare(Comparison::Equal, there, item, spot)? {
                        return Ok(Thing::truth(true));
                    }
                }
                return Ok(Thing::truth(false));
            }
            _ => {}
        }
        let mut items = Vec::with_capacity(arguments.len());
        for (index, thing) in arguments.iter().enumerate() {
            let Some(item) = thing.item() else { return Err(refuse(spot, format!("`{}` cannot take {}", function.name, thing.word()))) };
            match function.empties {
                Empties::AreSkipped if item.is_empty() => continue,
                Empties::Spread if item.is_empty() => return Ok(Thing::EMPTY),
                Empties::AreFalse if item.is_empty() => return Ok(Thing::truth(false)),
                Empties::MayFollow if item.is_empty() && index == 0 => return Ok(Thing::EMPTY),
                Empties::AreSkipped | Empties::Spread | Empties::AreFalse | Empties::MayFollow => items.push(item),
            }
        }
        let made = (function.run)(self.clock(), &items).map_err(|refusal| halt(spot, Halt::Refused(refusal)))?;
        let thing = match made {
            Item::Value(value) => Thing::value(value),
            span => Thing::Item(span),
        };
        self.made(thing, spot)
    }

    fn repeat(&mut self, node: &Node, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        match node {
            Node::While(nodes, spot) => {
                let [condition, body] = &**nodes;
                while self.truth(condition, *spot, locals)? {
                    self.spend(1, *spot)?;
                    if self.once(body, locals)? {
                        break;
                    }
                }
            }
            Node::Do(nodes, spot) => {
                let [body, again] = &**nodes;
                loop {
                    self.spend(1, *spot)?;
                    if self.once(body, locals)? || !self.truth(again, *spot, locals)? {
                        break;
                    }
                }
            }
            Node::For(each, spot) => self.for_each(each, *spot, locals)?,
            _ => {}
        }
        Ok(Thing::EMPTY)
    }

    /// A loop's body, once; whether the loop ends with it.
    fn once(&mut self, body: &Node, locals: &mut Vec<Thing>) -> Result<bool, Flow<H::Fault>> {
        match self.eval(body, locals) {
            Ok(_) | Err(Flow::Continue) => Ok(false),
            Err(Flow::Break) => Ok(true),
            Err(other) => Err(other),
        }
    }

    fn for_each(&mut self, each: &For, spot: Spot, locals: &mut Vec<Thing>) -> Result<(), Flow<H::Fault>> {
        let turn = |run: &mut Self, index: usize, thing: Thing, locals: &mut Vec<Thing>| {
            run.spend(1, spot)?;
            fill(locals, each.item, thing);
            if let Some(counter) = each.counter {
                fill(locals, counter, Thing::count(index));
            }
            run.once(&each.body, locals)
        };
        match &each.over {
            Over::Items(over) => {
                let items = match self.eval(over, locals)? {
                    Thing::List(list) => list,
                    thing if thing.is_empty() => return Ok(()),
                    other => return Err(refuse(spot, format!("`for` goes through a list, not {}", other.word()))),
                };
                for (index, thing) in items.items.iter().enumerate() {
                    if turn(self, index, thing.clone(), locals)? {
                        break;
                    }
                }
            }
            Over::Numbers { from, to, with_last } => {
                let (from, to) = (self.whole_number(from, spot, locals)?, self.whole_number(to, spot, locals)?);
                let Some(end) = (if *with_last { to.checked_add(1) } else { Some(to) }) else { return Ok(()) };
                for (index, number) in (from..end).enumerate() {
                    if turn(self, index, Thing::value(Value::Int(number)), locals)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn whole_number(&mut self, node: &Node, spot: Spot, locals: &mut Vec<Thing>) -> Result<i64, Flow<H::Fault>> {
        let item = self.item(node, spot, locals)?;
        let number = match &item {
            Item::Value(value) => value.as_int().or_else(|| value.as_decimal().and_then(whole)),
            Item::Days(_) | Item::Hours(_) => None,
        };
        number.ok_or_else(|| refuse(spot, format!("a range goes over whole numbers, not {}", item.word())))
    }
}

pub(super) fn fill(locals: &mut Vec<Thing>, slot: usize, value: Thing) {
    match locals.get_mut(slot) {
        Some(there) => *there = value,
        None => locals.push(value),
    }
}

/// A limit that was told without a place gets that of the node around it.
fn placed<F>(mut flow: Flow<F>, node: &Node) -> Flow<F> {
    if let Flow::Stop(stop) = &mut flow
        && stop.spot == Spot::START
        && let Some(spot) = node.spot()
    {
        stop.spot = spot;
    }
    flow
}
