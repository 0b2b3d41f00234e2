//! In charge of functions without a name: `|item| item.amount > 10`, given to a function of lists or called with `.call(…)`.
//! Reading order: `Closure`, `EACH`; then `Lowering::each` and `apply`.
//! Invariant: one is compiled where it is used, within the function that it stands in, for the shapes that it is given there; so
//! it sees and changes what is around it, is as typed as that, and never outlives it.
//! Invariant: its names mean what they mean where it is written.

use rhai::{Expr, FnPtr, Stmt};

use super::lower::Lowering;
use super::names::Typed;
use super::node::{Each, EachOf, Lambda, Node, Target};
use super::shape::Shape;
use super::statements::Written;
use crate::expr::{Kind, Spot};

/// Where one may stand.
pub(super) const NO_VALUE: &str = "give it to a function of lists, or keep it with `let` and write .call(…)";
/// How often functions without a name are compiled at most: one that calls others twice each doubles with every step.
const MOST_INLINED: usize = 2_000;

/// A function without a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closure<'a> {
    written: Written<'a>,
    /// How many of its parameters are variables around it.
    captured: usize,
    /// The scopes, and the variables of the innermost, that are in sight where it is written; none where that is here.
    seen: Option<(usize, usize)>,
}

impl<'a> Closure<'a> {
    fn parameters(&self) -> &'a [rhai::ImmutableString] {
        self.written.function.params.get(self.captured..).unwrap_or_default()
    }
}

/// The functions of lists that take one.
static EACH: &[(&str, Each)] = &[
    ("map", Each::Map),
    ("filter", Each::Filter),
    ("some", Each::Some),
    ("all", Each::All),
    ("find", Each::Find),
    ("reduce", Each::Reduce),
    ("sort", Each::Sort),
];

/// The one called `name`.
pub(super) fn find(name: &str) -> Option<Each> {
    EACH.iter().find(|(there, _)| *there == name).map(|(_, each)| *each)
}

fn name_of(each: Each) -> &'static str {
    EACH.iter().find(|(_, there)| *there == each).map_or("", |(name, _)| *name)
}

impl<'a> Lowering<'a> {
    /// The function without a name that an expression is: written out, or kept in a variable.
    pub fn closure(&self, expr: &'a Expr) -> Option<Closure<'a>> {
        let named = |expr: &Expr, captured: usize| match expr {
            Expr::DynamicConstant(value, _) => {
                let pointer = value.clone().try_cast::<FnPtr>()?;
                let written = self.functions.closure(pointer.fn_name())?;
                Some(Closure { written, captured, seen: None })
            }
            _ => None,
        };
        match expr {
            Expr::DynamicConstant(..) => named(expr, 0),
            Expr::Variable(variable, ..) => self.variable(&variable.1)?.closure,
            // What it takes from around it is bound to it first.
            Expr::Stmt(block) => match block.statements() {
                [Stmt::Share(_), Stmt::Expr(bound)] => match &**bound {
                    Expr::FnCall(call, _) => named(call.args.first()?, call.args.len().saturating_sub(1)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// `let name = |…| …`.
    pub fn name_closure(&mut self, name: &str, closure: Closure<'a>) {
        let scopes = &mut self.frame.scopes;
        let seen = closure.seen.or_else(|| Some((scopes.len(), scopes.last()?.len())));
        self.declare(name, Shape::ANY, true);
        if let Some(variable) = self.frame.scopes.last_mut().and_then(|scope| scope.last_mut()) {
            variable.closure = Some(Closure { seen, ..closure });
        }
    }

    /// `name.call(…)`.
    pub fn apply(&mut self, function: &'a Expr, arguments: &'a [Expr], spot: Spot) -> Typed {
        let arguments: Vec<Typed> = arguments.iter().map(|argument| self.expr(argument)).collect();
        let Some(closure) = self.closure(function) else { return Typed::unknown() };
        let (takes, gives) = (closure.parameters().len(), arguments.len());
        if takes != gives {
            self.fault(spot, format!("this function takes {takes} values, not {gives}"));
            return Typed::unknown();
        }
        let shapes: Vec<Shape> = arguments.iter().map(|argument| argument.shape.clone()).collect();
        let (lambda, shape) = self.inline(closure, &shapes, spot);
        Typed::new(Node::Apply(Box::new(lambda), arguments.into_iter().map(|argument| argument.node).collect(), spot), shape)
    }

    /// `list.filter(|item| …)` and its like: the list stands before the point, or first.
    pub fn each(&mut self, each: Each, receiver: Option<(Typed, Target)>, written: &'a [Expr], spot: Spot) -> Typed {
        let name = name_of(each);
        let mut rest = written.iter();
        let (list, target) = match receiver {
            Some(receiver) => receiver,
            None => match rest.next() {
                Some(first @ (Expr::Variable(..) | Expr::Dot(..) | Expr::Index(..))) if self.closure(first).is_none() => {
                    let chain = self.chain(first);
                    (chain.typed, chain.target)
                }
                Some(first) => {
                    let typed = self.expr(first);
                    (typed.clone(), Target { root: typed.node, steps: Vec::new() })
                }
                None => return Typed::unknown(),
            },
        };
        let item = match &list.shape {
            Shape::List(item) => Shape::clone(item),
            Shape::Kind(Kind::Any | Kind::Empty) => Shape::ANY,
            other => {
                let message = format!("`{name}` goes through a list, not {}", self.word(other));
                self.fault(spot, message);
                return Typed::unknown();
            }
        };
        let function = rest.next().and_then(|argument| self.closure(argument).map(|closure| (closure, Spot::from(argument.position()))));
        let Some((closure, at)) = function else {
            self.fault(spot, format!("`{name}` takes a function: list.{name}(|item| …)"));
            return Typed::unknown();
        };
        let start = rest.next().filter(|_| each == Each::Reduce).map(|start| self.expr(start));
        if rest.next().is_some() || (each != Each::Reduce && written.len() > 2) {
            self.fault(spot, format!("`{name}` takes a list and a function"));
        }
        let (takes, least, most) = match each {
            // The item, and where it stands.
            Each::Map | Each::Filter | Each::Some | Each::All | Each::Find => (vec![item.clone(), Shape::NUMBER], 0, 2),
            // What was made so far is what it gives itself: that is known only when it is compiled.
            Each::Reduce => (vec![Shape::ANY, item.clone(), Shape::NUMBER], 2, 3),
            Each::Sort => (vec![item.clone(), item.clone()], 2, 2),
        };
        let count = closure.parameters().len();
        if !(least..=most).contains(&count) {
            self.fault(at, format!("the function given to `{name}` takes {least} to {most} values, not {count}"));
            return Typed::unknown();
        }
        let (lambda, gives) = self.inline(closure, takes.get(..count).unwrap_or_default(), at);
        let shape = match each {
            Each::Map => Shape::list(gives),
            Each::Filter => {
                self.gives_truth(&gives, at);
                list.shape.clone()
            }
            Each::Some | Each::All => {
                self.gives_truth(&gives, at);
                Shape::TRUTH
            }
            Each::Find => {
                self.gives_truth(&gives, at);
                item
            }
            Each::Reduce => start.as_ref().map_or(Shape::ANY, |start| start.shape.join(&gives)),
            Each::Sort => {
                if !matches!(gives.kind(), Kind::Any | Kind::Empty | Kind::Number) {
                    let message = format!("the function given to `sort` gives a number below, at or above 0, not {}", self.word(&gives));
                    self.fault(at, message);
                }
                Shape::EMPTY
            }
        };
        let target = (each == Each::Sort).then_some(target);
        let each = EachOf { each, list: list.node, target, lambda, start: start.map(|start| start.node) };
        Typed::new(Node::Each(Box::new(each), spot), shape)
    }

    fn gives_truth(&mut self, gives: &Shape, at: Spot) {
        let typed = Typed::new(Node::EMPTY, gives.clone());
        self.expect_truth(&typed, "this function gives what is", at);
    }

    /// The body, compiled here with parameters of these shapes, and the shape of what it gives.
    fn inline(&mut self, closure: Closure<'a>, takes: &[Shape], spot: Spot) -> (Lambda, Shape) {
        let nothing = (Lambda { slots: Vec::new(), body: Node::EMPTY }, Shape::ANY);
        let name = closure.written.function.name.as_str();
        if self.within.contains(&name) {
            self.fault(spot, "a function without a name does not call itself: write fn");
            return nothing;
        }
        self.inlined += 1;
        if self.inlined > MOST_INLINED {
            self.fault(spot, "too many functions within one another: write fn");
            return nothing;
        }
        self.within.push(name);
        let outer = closure.seen.map(|(depth, count)| {
            let mut seen: Vec<_> = self.frame.scopes.iter().take(depth).cloned().collect();
            if let Some(innermost) = seen.last_mut() {
                innermost.truncate(count);
            }
            std::mem::replace(&mut self.frame.scopes, seen)
        });
        let (next, loops, gives) = (self.frame.next, std::mem::take(&mut self.frame.loops), self.frame.gives.take());
        self.frame.scopes.push(Vec::new());
        let slots = closure.parameters().iter().zip(takes).map(|(name, shape)| self.declare(name, shape.clone(), false)).collect();
        let typed = self.statements(closure.written.body);
        let given = std::mem::replace(&mut self.frame.gives, gives).map_or_else(|| typed.shape.clone(), |given| given.join(&typed.shape));
        self.frame.scopes.pop();
        self.frame.next = next;
        self.frame.loops = loops;
        if let Some(outer) = outer {
            self.frame.scopes = outer;
        }
        self.within.pop();
        (Lambda { slots, body: typed.node }, given)
    }
}
