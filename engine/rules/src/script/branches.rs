//! In charge of what a script does by cases: `switch`, `try` and `throw`, checked and compiled.
//! Invariant: what stands before `=>` goes together with what is looked at, where both are known.

use std::collections::BTreeMap;

use rhai::{Expr, FlowControl, RangeCase, SwitchCasesCollection};

use super::calls;
use super::lower::{Argument, Lowering, dated};
use super::names::Typed;
use super::node::{Case, Node, Switch, Test, Try};
use super::shape::Shape;
use crate::expr::constants::of_dynamic;
use crate::expr::item::{Comparison, Item};
use crate::expr::lower::clash;
use crate::expr::{Kind, Spot};

impl<'a> Lowering<'a> {
    /// `switch value { 1 | 2 => …, 3..5 if … => …, _ => … }`: single values come first, then ranges, then what is left.
    pub fn switch(&mut self, value: &'a Expr, written: &'a SwitchCasesCollection, spot: Spot) -> Typed {
        let value = self.expr(value);
        let mut shape = if written.def_case.is_some() { None } else { Some(Shape::EMPTY) };
        let (mut guards, mut bodies) = (Vec::new(), Vec::new());
        for case in &written.expressions {
            guards.push(match &case.lhs {
                Expr::BoolConstant(true, _) => None,
                guard => {
                    let typed = self.expr(guard);
                    self.expect_truth(&typed, "`if`", Spot::from(guard.position()));
                    Some(typed.node)
                }
            });
            let body = self.expr(&case.rhs);
            shape = Some(shape.map_or_else(|| body.shape.clone(), |shape: Shape| shape.join(&body.shape)));
            bodies.push(body.node);
        }
        let at = |index: usize| written.expressions.get(index).map_or(spot, |case| Spot::from(case.rhs.position()));
        let guard = |index: usize| guards.get(index).cloned().flatten();
        // The parser keeps single values by their hash; they are tried in the order of what they lead to.
        let mut singles: BTreeMap<usize, Vec<&rhai::Dynamic>> = BTreeMap::new();
        for case in written.cases.values() {
            let is_range = case.value.is::<std::ops::Range<i64>>() || case.value.is::<std::ops::RangeInclusive<i64>>();
            for index in case.blocks.iter().filter(|_| !is_range) {
                singles.entry(*index).or_default().push(&case.value);
            }
        }
        let mut cases = Vec::new();
        for (index, values) in singles {
            for single in values {
                let Some((item, kind)) = of_dynamic(single) else {
                    self.fault(at(index), "before `=>` stand numbers, texts, true, false, () and ranges of whole numbers");
                    continue;
                };
                let test = Test::Same(self.case_of(&value, item, kind, at(index)));
                cases.push(Case { test, guard: guard(index), body: index });
            }
        }
        for range in &written.ranges {
            let number = |number: i64| Item::Value(model::Value::Int(number));
            let (test, index) = match range {
                RangeCase::ExclusiveInt(range, index) => {
                    (Test::Within { from: number(range.start), to: number(range.end), with_last: false }, *index)
                }
                RangeCase::InclusiveInt(range, index) => {
                    (Test::Within { from: number(*range.start()), to: number(*range.end()), with_last: true }, *index)
                }
            };
            if !matches!(value.shape.kind(), Kind::Any | Kind::Empty | Kind::Number) {
                let message = format!("{} lies in no range", self.word(&value.shape));
                self.fault(at(index), message);
            }
            cases.push(Case { test, guard: guard(index), body: index });
        }
        let otherwise = written.def_case.and_then(|index| bodies.get(index).cloned()).unwrap_or(Node::EMPTY);
        let switch = Switch { value: value.node, cases, bodies, otherwise };
        Typed::new(Node::Switch(Box::new(switch), spot), shape.unwrap_or(Shape::EMPTY))
    }

    /// A value before `=>`, as it is compared: what cannot be the same is a fault, as with `==`.
    fn case_of(&mut self, value: &Typed, item: Item, kind: Kind, spot: Spot) -> Item {
        let written = dated(Typed::new(Node::Constant(item.clone()), Shape::of(kind)), value.shape.kind());
        self.check_option(value, &written.node, spot);
        if let Some((message, hint)) = clash(Comparison::Equal, value.shape.kind(), written.shape.kind(), self.place.schema) {
            self.fault_with(spot, message, hint);
        }
        match written.node {
            Node::Constant(read) => read,
            _ => item,
        }
    }

    /// `try { … } catch (why) { … }`: `why` is what a person would read.
    pub fn attempt(&mut self, flow: &'a FlowControl, spot: Spot) -> Node {
        let body = self.block(&flow.body).node;
        self.frame.scopes.push(Vec::new());
        let next = self.frame.next;
        let slot = match &flow.expr {
            Expr::Variable(variable, ..) => Some(self.declare(&variable.1, Shape::TEXT, true)),
            _ => None,
        };
        let catch = self.block(&flow.branch).node;
        self.frame.next = next;
        self.frame.scopes.pop();
        Node::Try(Box::new(Try { body, slot, catch }), spot)
    }

    /// `throw "…"` is `fail("…")`.
    pub fn throw(&mut self, value: Option<&'a Expr>, spot: Spot) -> Node {
        let (Some(value), Some(fail)) = (value, calls::find("fail")) else {
            self.fault(spot, "say why: throw \"…\"");
            return Node::EMPTY;
        };
        let argument = Argument { typed: self.expr(value), written: Some(value), spot: Spot::from(value.position()) };
        self.ask(fail, vec![argument], spot).node
    }
}
