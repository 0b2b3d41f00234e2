//! In charge of turning the parser's expressions into nodes, with every check that needs no record.
//! Invariant: all faults are found in one pass; a fault stands in for its part and the rest is checked on.

use std::sync::Arc;

use model::Value;
use rhai::{Expr, FnCallExpr};

use super::names::Typed;
use super::node::{Node, Step, Target};
use super::shape::Shape;
use super::statements::{Frame, Functions, Instance, Variable};
use super::{ScriptPlace, calls, closures, values};
use crate::expr::constants::constant;
use crate::expr::functions::{FUNCTIONS, Function, Gives, Wants, calendars, find as function};
use crate::expr::item::{Arithmetic, Comparison, Item};
use crate::expr::lower::{Link, calendar_named, clash, miscounted, misfits, no_result, read_as, result_of, takes_sign, unchain};
use crate::expr::{ExpressionFault, Kind, Spot, same_text};
use crate::query::likely;

/// What a script is lowered with.
pub(super) struct Lowering<'a> {
    pub place: ScriptPlace<'a>,
    /// The functions as written.
    pub functions: Functions<'a>,
    /// Those compiled so far, each for the shapes that it was called with.
    pub instances: Vec<Instance>,
    /// The function that is being compiled.
    pub frame: Frame<'a>,
    pub faults: Vec<ExpressionFault>,
    /// The functions without a name that are being compiled, within one another, and how many were.
    pub within: Vec<&'a str>,
    pub inlined: usize,
}

/// An argument of a call, with what was written for it.
pub(super) struct Argument<'e> {
    pub typed: Typed,
    pub written: Option<&'e Expr>,
    pub spot: Spot,
}

impl Argument<'_> {
    /// The text in quotes that was written.
    pub fn literal(&self) -> Option<&str> {
        literal(&self.typed.node)
    }
}

/// A chain of names, lowered.
pub(super) struct Chain {
    pub typed: Typed,
    pub target: Target,
    /// The shape of what its last link is a part of.
    pub owner: Shape,
    /// Where its last link stands.
    pub spot: Spot,
}

/// The text of a constant.
pub(super) fn literal(node: &Node) -> Option<&str> {
    match node {
        Node::Constant(Item::Value(Value::Text(text))) => Some(text),
        _ => None,
    }
}

impl<'a> Lowering<'a> {
    /// Adds a fault.
    pub fn fault(&mut self, spot: Spot, message: impl Into<String>) {
        self.fault_with(spot, message, None);
    }

    pub fn fault_with(&mut self, spot: Spot, message: impl Into<String>, hint: Option<String>) {
        self.faults.push(ExpressionFault { hint, ..ExpressionFault::new(spot, message) });
    }

    fn refuse(&mut self, spot: Spot, message: impl Into<String>) -> Typed {
        self.fault(spot, message);
        Typed::unknown()
    }

    pub fn variables(&self) -> impl Iterator<Item = &Variable<'a>> {
        self.frame.scopes.iter().rev().flat_map(|scope| scope.iter().rev())
    }

    pub fn variable(&self, name: &str) -> Option<&Variable<'a>> {
        self.variables().find(|variable| &*variable.name == name)
    }

    pub fn word(&self, shape: &Shape) -> String {
        shape.word(self.place.schema)
    }

    pub fn expr(&mut self, expr: &'a Expr) -> Typed {
        let spot = Spot::from(expr.position());
        if let Some((item, kind)) = constant(expr) {
            return Typed::new(Node::Constant(item), Shape::of(kind));
        }
        if self.closure(expr).is_some() && !matches!(expr, Expr::Variable(..)) {
            return self.refuse(spot, closures::NO_VALUE);
        }
        match expr {
            Expr::DynamicConstant(..) => self.refuse(spot, "this kind of constant is not known here"),
            Expr::InterpolatedString(parts, _) => {
                let nodes = parts.iter().map(|part| self.expr(part).node).collect();
                Typed::new(Node::Join(nodes, spot), Shape::TEXT)
            }
            Expr::Array(items, _) => {
                let parts: Vec<Typed> = items.iter().map(|item| self.expr(item)).collect();
                let shape = parts.iter().fold(Shape::EMPTY, |shape, part| shape.join(&part.shape));
                let nodes = parts.iter().map(|part| part.node.clone()).collect();
                Typed { parts, ..Typed::new(Node::List(nodes, spot), Shape::list(shape)) }
            }
            Expr::Map(map, _) => {
                let parts: Vec<Typed> = map.0.iter().map(|(_, value)| self.expr(value)).collect();
                let entries = map.0.iter().zip(&parts).map(|((name, _), part)| (Arc::from(name.as_str()), part.node.clone())).collect();
                Typed { parts, ..Typed::new(Node::Map(entries, spot), Shape::Map(None)) }
            }
            Expr::Variable(..) | Expr::Dot(..) | Expr::Index(..) => self.chain(expr).typed,
            Expr::And(nodes, _) => self.truths(nodes, "&&", spot, Node::All),
            Expr::Or(nodes, _) => self.truths(nodes, "||", spot, Node::Any),
            Expr::Coalesce(nodes, _) => {
                let mut shape = Shape::EMPTY;
                let mut lowered = Vec::with_capacity(nodes.len());
                for node in nodes.iter() {
                    let typed = self.expr(node);
                    shape = shape.join(&typed.shape);
                    lowered.push(typed.node);
                }
                Typed::new(Node::First(lowered), shape)
            }
            Expr::FnCall(call, _) => self.call(call, None, spot),
            Expr::Stmt(block) => self.block(block),
            Expr::ThisPtr(_) => self.refuse(spot, "there is no `this`: a function is given what it needs"),
            _ => self.refuse(spot, "this cannot stand in a script"),
        }
    }

    pub fn expect_truth(&mut self, typed: &Typed, by: &str, spot: Spot) {
        if !typed.shape.is_truth() {
            let message = format!("{by} takes true or false, not {}", self.word(&typed.shape));
            self.fault(spot, message);
        }
    }

    fn truths(&mut self, exprs: &'a [Expr], sign: &str, spot: Spot, make: fn(Vec<Node>, Spot) -> Node) -> Typed {
        let mut nodes = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let typed = self.expr(expr);
            self.expect_truth(&typed, &format!("`{sign}`"), Spot::from(expr.position()));
            nodes.push(typed.node);
        }
        Typed::new(make(nodes, spot), Shape::TRUTH)
    }

    /// A chain of names, indexes and methods, and the place that it names.
    pub fn chain(&mut self, expr: &'a Expr) -> Chain {
        let mut links = Vec::new();
        let head = unchain(expr, &mut links);
        let mut links = links.into_iter().peekable();
        let spot = Spot::from(head.position());
        let mut last = spot;
        let mut here = match head {
            Expr::Variable(variable, _, _) if !variable.2.is_empty() => self.refuse(spot, "a script has no modules"),
            Expr::Variable(variable, ..) if variable.1 == "settings" && self.variable("settings").is_none() => match links.next() {
                Some(Link::Name(name, at)) => self.setting(&name, at),
                _ => self.begin("settings", spot),
            },
            Expr::Variable(variable, ..) if self.closure(head).is_some() => match links.next() {
                Some(Link::Call(call, at)) if call.name == "call" => self.apply(head, &call.args, at),
                _ => self.refuse(spot, format!("`{}` is a function: {}", variable.1, closures::NO_VALUE)),
            },
            Expr::Variable(variable, ..) => self.begin(&variable.1, spot),
            other => self.expr(other),
        };
        let mut target = Target { root: here.node.clone(), steps: Vec::new() };
        let mut owner = Shape::EMPTY;
        for link in links {
            owner = here.shape.clone();
            match link {
                Link::Name(name, at) => {
                    last = at;
                    here = self.member(here, &name, at);
                    target.steps.push(Step::Name(name.into()));
                }
                Link::Key(key, at) => {
                    last = at;
                    let key = self.expr(key);
                    target.steps.push(Step::Key(key.node.clone()));
                    here = self.index(here, key, at);
                }
                Link::Call(call, at) => {
                    here = self.call(call, Some((here, target)), at);
                    target = Target { root: here.node.clone(), steps: Vec::new() };
                }
                Link::Unknown(at) => here = self.refuse(at, "this cannot stand behind a point"),
            }
        }
        Chain { typed: here, target, owner, spot: last }
    }

    fn index(&mut self, base: Typed, key: Typed, spot: Spot) -> Typed {
        let shape = match (&base.shape, key.shape.kind()) {
            (Shape::List(item), Kind::Number | Kind::Any | Kind::Empty) => Shape::clone(item),
            (Shape::Map(_) | Shape::Kind(Kind::Structure), Kind::Text | Kind::Any | Kind::Empty) => Shape::ANY,
            (Shape::Kind(Kind::Any | Kind::Empty), _) => Shape::ANY,
            // A field by a name that is made.
            (Shape::Kind(Kind::Record(_)), Kind::Text | Kind::Any) => Shape::ANY,
            (base, _) => {
                let message = format!("{} cannot be looked up in {}", self.word(&key.shape), self.word(base));
                return self.refuse(spot, message);
            }
        };
        Typed::new(Node::Index(Box::new([base.node, key.node]), spot), shape)
    }

    /// An operator, a function, or a method with what stands before its point.
    pub fn call(&mut self, call: &'a FnCallExpr, receiver: Option<(Typed, Target)>, spot: Spot) -> Typed {
        if call.is_qualified() {
            return self.refuse(spot, "a script has no modules");
        }
        let name = call.name.as_str();
        if let Some(each) = closures::find(name).filter(|_| self.functions.get(name).is_none())
            && call.args.iter().any(|argument| self.closure(argument).is_some())
        {
            return self.each(each, receiver, &call.args, spot);
        }
        let changes = values::find(name).filter(|own| own.changes && self.functions.get(name).is_none());
        let mut arguments: Vec<Argument<'a>> = Vec::new();
        let mut target = None;
        if let Some((typed, place)) = receiver {
            target = Some(place);
            arguments.push(Argument { typed, written: None, spot });
        }
        for argument in &call.args {
            let at = Spot::from(argument.position());
            let typed = if changes.is_some() && arguments.is_empty() {
                let chain = self.chain(argument);
                target = Some(chain.target);
                chain.typed
            } else {
                self.expr(argument)
            };
            arguments.push(Argument { typed, written: Some(argument), spot: at });
        }
        if call.is_operator_call() && name != "contains" {
            return self.operator(name, arguments, spot);
        }
        if self.functions.get(name).is_some() {
            return self.own_function(name, arguments, spot);
        }
        if let Some(host) = calls::find(name) {
            return if self.counts(name, arguments.len(), (host.least, host.most), spot) {
                self.ask(host, arguments, spot)
            } else {
                Typed::unknown()
            };
        }
        if let Some(own) = values::find(name) {
            return if self.counts(name, arguments.len(), own.takes, spot) {
                self.value_function(own, target, arguments, spot)
            } else {
                Typed::unknown()
            };
        }
        self.function(name, arguments, spot)
    }

    fn counts(&mut self, name: &str, given: usize, takes: (usize, usize), spot: Spot) -> bool {
        let fault = miscounted(name, given, takes);
        let fits = fault.is_none();
        self.faults.extend(fault.map(|message| ExpressionFault::new(spot, message)));
        fits
    }

    /// A function of scripts over lists, maps and texts.
    fn value_function(&mut self, own: &'static values::OwnFunction, target: Option<Target>, arguments: Vec<Argument<'a>>, spot: Spot) -> Typed {
        let mut arguments = arguments.into_iter();
        let Some(first) = arguments.next() else { return Typed::unknown() };
        if let Some(wanted) = own.own.refuses(&first.typed.shape) {
            let message = format!("`{}` takes {wanted}, not {}", own.name, self.word(&first.typed.shape));
            self.fault(first.spot, message);
        }
        let shape = own.own.gives(&first.typed.shape);
        let rest: Vec<Argument<'_>> = arguments.collect();
        match target.filter(|_| own.changes) {
            Some(target) => {
                if let (values::Own::Push, [item]) = (own.own, rest.as_slice()) {
                    self.grows(&target, &item.typed.shape);
                }
                Typed::new(Node::Change(own.own, Box::new(target), rest.into_iter().map(|argument| argument.typed.node).collect(), spot), shape)
            }
            None => {
                let nodes = std::iter::once(first).chain(rest).map(|argument| argument.typed.node).collect();
                Typed::new(Node::Own(own.own, nodes, spot), shape)
            }
        }
    }

    /// A function of expressions.
    fn function(&mut self, name: &str, mut arguments: Vec<Argument<'a>>, spot: Spot) -> Typed {
        let Some(function) = function(name) else {
            let own: Vec<String> = self.functions.names();
            let known = FUNCTIONS.iter().map(|function| function.name).chain(calls::CALLS.iter().map(|call| call.name));
            let known = known.chain(values::OWN.iter().map(|own| own.name)).chain(own.iter().map(String::as_str));
            let each = closures::find(name).map(|_| format!("give it a function: list.{name}(|item| …)"));
            let hint = each.or_else(|| likely(name, known));
            self.fault_with(spot, format!("there is no function `{name}`"), hint);
            return Typed::unknown();
        };
        if !self.counts(name, arguments.len(), (function.least, function.most()), spot) {
            return Typed::unknown();
        }
        self.check_named(function, &mut arguments);
        let kinds = arguments.iter().map(|argument| (argument.typed.shape.kind(), self.word(&argument.typed.shape)));
        let (together, misfits) = misfits(function, kinds);
        for (index, message) in misfits {
            self.fault(arguments.get(index).map_or(spot, |argument| argument.spot), message);
        }
        let shape = match (function.gives, arguments.first()) {
            (Gives::Kind(kind), _) => Shape::of(kind),
            (Gives::List(kind), _) => Shape::list(Shape::of(kind)),
            (Gives::ListOfSecond, _) => Shape::list(arguments.get(1).map_or(Shape::ANY, |second| second.typed.shape.clone())),
            (Gives::Same, _) if function.repeats => Shape::of(together),
            (Gives::Same, first) => first.map_or(Shape::ANY, |first| first.typed.shape.clone()),
        };
        if let ("contains", [list, item]) = (name, arguments.as_slice()) {
            self.check_option(&list.typed, &item.typed.node, item.spot);
            if let Node::List(items, _) = &list.typed.node {
                for there in items {
                    self.check_option(&item.typed, there, list.spot);
                }
            }
        }
        Typed::new(Node::Pure(function, arguments.into_iter().map(|argument| argument.typed.node).collect(), spot), shape)
    }

    /// Rules and calendars that are written out are looked up now; a calendar's name is qualified.
    fn check_named(&mut self, function: &Function, arguments: &mut [Argument<'a>]) {
        for (index, argument) in arguments.iter_mut().enumerate() {
            let (wants, spot) = (function.wants_at(index), argument.spot);
            let Some(text) = argument.literal().filter(|_| matches!(wants, Wants::Rule | Wants::Calendar)).map(str::to_owned) else { continue };
            if wants == Wants::Rule {
                if let Some(fault) = calendars::fault_of(&text) {
                    self.fault(spot, fault);
                }
                continue;
            }
            match calendar_named(self.place.schema, self.place.app, &text) {
                Ok(name) => argument.typed.node = Node::Constant(Item::Value(Value::text(&name))),
                Err(hint) => self.fault_with(spot, format!("there is no calendar `{text}`"), hint),
            }
        }
    }

    fn operator(&mut self, sign: &str, arguments: Vec<Argument<'a>>, spot: Spot) -> Typed {
        let mut arguments = arguments.into_iter().map(|argument| argument.typed);
        match (arguments.next(), arguments.next()) {
            (Some(inner), None) => self.sign(sign, inner, spot),
            (Some(left), Some(right)) => {
                if let Some(comparison) = Comparison::parse(sign) {
                    return self.compare(comparison, left, right, spot);
                }
                match Arithmetic::parse(sign) {
                    Some(operator) => self.arithmetic(operator, left, right, spot),
                    None => self.refuse(spot, format!("the operator `{sign}` is not known here")),
                }
            }
            (None, _) => Typed::unknown(),
        }
    }

    fn sign(&mut self, sign: &str, inner: Typed, spot: Spot) -> Typed {
        match sign {
            "!" => {
                self.expect_truth(&inner, "`!`", spot);
                Typed::new(Node::Not(Box::new(inner.node), spot), Shape::TRUTH)
            }
            "-" | "+" => {
                if !takes_sign(inner.shape.kind()) {
                    let message = format!("`{sign}` cannot take {}", self.word(&inner.shape));
                    self.fault(spot, message);
                }
                if sign == "+" { inner } else { Typed::new(Node::Negate(Box::new(inner.node), spot), inner.shape) }
            }
            _ => self.refuse(spot, format!("the operator `{sign}` is not known here")),
        }
    }

    pub fn arithmetic(&mut self, operator: Arithmetic, left: Typed, right: Typed, spot: Spot) -> Typed {
        let (a, b) = (left.shape.kind(), right.shape.kind());
        let Some(kind) = result_of(operator, a, b) else {
            let (message, hint) = no_result(operator, a, b, self.place.schema);
            self.fault_with(spot, message, hint);
            return Typed::unknown();
        };
        Typed::new(Node::Arithmetic(operator, Box::new([left.node, right.node]), spot), Shape::of(kind))
    }

    fn compare(&mut self, comparison: Comparison, left: Typed, right: Typed, spot: Spot) -> Typed {
        let left = dated(left, right.shape.kind());
        let right = dated(right, left.shape.kind());
        self.check_option(&left, &right.node, spot);
        self.check_option(&right, &left.node, spot);
        if let Some((message, hint)) = clash(comparison, left.shape.kind(), right.shape.kind(), self.place.schema) {
            self.fault_with(spot, message, hint);
        }
        Typed::new(Node::Compare(comparison, Box::new([left.node, right.node]), spot), Shape::TRUTH)
    }

    /// A name in quotes beside a choice or a stage must be one of its names.
    pub fn check_option(&mut self, choice: &Typed, written: &Node, spot: Spot) {
        if let (Some(options), Some(text)) = (&choice.options, literal(written))
            && !options.iter().any(|option| same_text(option, text))
        {
            let hint = likely(text, options.iter().map(String::as_str));
            self.fault_with(spot, format!("`{text}` is not one of the options"), hint);
        }
    }
}

/// A text in quotes beside a date, a moment, a time or a record is one, where it can be read so.
pub(super) fn dated(typed: Typed, beside: Kind) -> Typed {
    match literal(&typed.node).and_then(|text| read_as(text, beside)) {
        Some(value) => Typed::new(Node::Constant(Item::Value(value)), Shape::of(beside)),
        None => typed,
    }
}
