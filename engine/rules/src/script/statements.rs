//! In charge of the statements and functions of a script: blocks, variables, loops, calls of its own functions.
//! Reading order: `compile`; `Lowering::instance` (a function for the shapes it is called with); then the statements.
//! Invariant: a function is checked with what it is really called with, so a helper is as typed as what calls it.
//! Invariant: a variable has the shape of everything that is put into it.

use std::sync::Arc;

use model::field::Role;
use rhai::{AST, ASTFlags, ASTNode, Expr, OpAssignment, ScriptFuncDef, Stmt, StmtBlock};

use super::closures::Closure;
use super::lower::{Argument, Chain, Lowering, literal};
use super::names::Typed;
use super::node::{Body, For, Node, Over, Step, Target};
use super::shape::Shape;
use super::{ScriptPlace, calls, parse, values};
use crate::expr::item::Arithmetic;
use crate::expr::{ExpressionFault, Kind, Spot, functions};
use crate::query::likely;

/// The most functions times shapes that are compiled one by one; further ones are checked as if nothing were known.
const MOST_INSTANCES: usize = 200;
/// How often a function is compiled until the shapes of its variables stand.
const MOST_PASSES: usize = 4;

/// A variable in sight.
#[derive(Clone, Debug)]
pub(super) struct Variable<'a> {
    pub name: Arc<str>,
    pub slot: usize,
    pub shape: Shape,
    /// The function without a name that it is.
    pub closure: Option<Closure<'a>>,
    /// Which one of the function it is, as written.
    ordinal: usize,
    is_constant: bool,
}

/// What is known of the function that is being compiled.
#[derive(Debug, Default)]
pub(super) struct Frame<'a> {
    pub scopes: Vec<Vec<Variable<'a>>>,
    pub next: usize,
    slots: usize,
    declared: usize,
    /// What is put into each variable, as far as earlier passes saw it.
    widened: Vec<Shape>,
    has_widened: bool,
    pub loops: usize,
    pub gives: Option<Shape>,
    /// The functions that it calls.
    calls: Vec<usize>,
}

/// The functions of a script as written.
#[derive(Clone, Debug, Default)]
pub(super) struct Functions<'a> {
    named: Vec<Written<'a>>,
    /// Those without a name, by the one that the parser gave them.
    closures: Vec<Written<'a>>,
}

/// A function as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub function: &'a ScriptFuncDef,
    pub body: &'a [Stmt],
    spot: Spot,
}

impl<'a> Functions<'a> {
    pub fn get(&self, name: &str) -> Option<Written<'a>> {
        self.named.iter().find(|written| written.function.name == name).copied()
    }

    pub fn closure(&self, name: &str) -> Option<Written<'a>> {
        self.closures.iter().find(|written| written.function.name == name).copied()
    }

    pub fn names(&self) -> Vec<String> {
        self.named.iter().map(|written| written.function.name.to_string()).collect()
    }
}

/// The statements of each function, in the order of the functions. The parser gives them out one by one only.
fn bodies(ast: &AST) -> Vec<Vec<Stmt>> {
    let spans: Vec<_> = ast.iter_fn_def().map(|function| (function.body.start_position(), function.body.end_position())).collect();
    let mut bodies = vec![Vec::new(); spans.len()];
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let [ASTNode::Stmt(statement)] = path {
            let at = statement.position();
            // A function of one expression ends nowhere; others may stand within one another.
            let alone = spans.iter().position(|(from, to)| to.is_none() && *from == at);
            let around = spans.iter().enumerate().filter(|(_, (from, to))| *from <= at && at <= *to);
            let index = alone.or_else(|| around.max_by_key(|(_, (from, _))| (from.line(), from.position())).map(|(index, _)| index));
            if let Some(body) = index.and_then(|index| bodies.get_mut(index)) {
                body.push(Stmt::clone(statement));
            }
        }
        true
    });
    bodies
}

/// A function compiled for the shapes that it was called with.
#[derive(Debug)]
pub(super) struct Instance {
    name: Arc<str>,
    takes: Vec<Shape>,
    gives: Shape,
    body: Body,
    calls: Vec<usize>,
    faults: Vec<ExpressionFault>,
}

/// Checks and compiles `text` at `place`: the bodies, and which of them runs.
pub(super) fn compile(place: ScriptPlace<'_>, text: &str) -> Result<(Vec<Body>, usize), Vec<ExpressionFault>> {
    let ast = parse::parse(text).map_err(|fault| vec![fault])?;
    let bodies = bodies(&ast);
    let mut functions = Functions::default();
    let mut faults = Vec::new();
    for (function, body) in ast.iter_fn_def().zip(&bodies) {
        let (name, spot) = (function.name.as_str(), Spot::from(function.body.start_position()));
        if !model::name::is_name(name) && name.starts_with("anon$") {
            functions.closures.push(Written { function, body, spot });
            continue;
        }
        if calls::find(name).is_some() || values::find(name).is_some() || functions::find(name).is_some() {
            faults.push(ExpressionFault::new(spot, format!("there is already a function `{name}`")));
        } else if functions.get(name).is_some() {
            faults.push(ExpressionFault::new(spot, format!("there are several functions `{name}`")));
        }
        functions.named.push(Written { function, body, spot });
    }
    if let Some(statement) = ast.statements().iter().find(|statement| !statement.is_noop()) {
        let message = "a script holds functions; what it does stands in fn run(record)";
        faults.push(ExpressionFault::new(Spot::from(statement.position()), message));
    }
    let mut lowering =
        Lowering { place, functions, instances: Vec::new(), frame: Frame::default(), faults: Vec::new(), within: Vec::new(), inlined: 0 };
    let run = lowering.whole(&mut faults);
    if faults.is_empty()
        && let Some(run) = run
    {
        return Ok((lowering.instances.into_iter().map(|instance| instance.body).collect(), run));
    }
    faults.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    faults.dedup();
    Err(faults)
}

impl<'a> Lowering<'a> {
    /// Compiles what runs and what it calls, then what nothing calls; all faults.
    fn whole(&mut self, faults: &mut Vec<ExpressionFault>) -> Option<usize> {
        let mut all = Vec::new();
        let run = match self.functions.get("run") {
            Some(written) if written.function.params.len() <= 2 => {
                let record = self.place.entity.map_or(Shape::EMPTY, |entity| Shape::Kind(Kind::Record(entity)));
                let given = self.place.given.map(|given| given.iter().map(|(name, kind)| (name.clone(), Shape::of(*kind))).collect());
                let takes = [record, Shape::Map(given)].into_iter().take(written.function.params.len()).collect();
                Some(self.instance(written, takes))
            }
            Some(written) => {
                let message = "`run` takes the record, and perhaps what was asked: fn run(record, ask)";
                faults.push(ExpressionFault::new(written.spot, message));
                None
            }
            None => {
                let hint = likely("run", self.functions.names().iter().map(String::as_str));
                faults.push(ExpressionFault { hint, ..ExpressionFault::new(Spot::START, "there is no `fn run(record)`") });
                None
            }
        };
        all.extend(run);
        for written in self.functions.named.clone() {
            let function = written.function;
            if !self.instances.iter().any(|instance| *instance.name == *function.name) && function.name != "run" {
                all.push(self.instance(written, vec![Shape::ANY; function.params.len()]));
            }
        }
        // Only what is called in the end counts: an earlier pass may have called with less known.
        let mut reached = vec![false; self.instances.len()];
        while let Some(index) = all.pop() {
            if let (Some(seen), Some(instance)) = (reached.get_mut(index), self.instances.get(index))
                && !*seen
            {
                *seen = true;
                all.extend(&instance.calls);
                faults.extend(instance.faults.iter().cloned());
            }
        }
        run
    }

    /// The function compiled for arguments of these shapes.
    fn instance(&mut self, written: Written<'a>, mut takes: Vec<Shape>) -> usize {
        let function = written.function;
        if self.instances.len() >= MOST_INSTANCES {
            takes = vec![Shape::ANY; takes.len()];
        }
        if let Some(index) = self.instances.iter().position(|there| *there.name == *function.name && there.takes == takes) {
            return index;
        }
        let name: Arc<str> = function.name.as_str().into();
        let index = self.instances.len();
        let body = Body { parameters: takes.len(), slots: takes.len(), node: Node::EMPTY };
        // One that calls itself does not know yet what it gives.
        self.instances.push(Instance { name, takes: takes.clone(), gives: Shape::ANY, body, calls: Vec::new(), faults: Vec::new() });
        let outer = (std::mem::take(&mut self.frame), std::mem::take(&mut self.faults));
        for pass in 0..=MOST_PASSES {
            let mut widened = std::mem::take(&mut self.frame.widened);
            if pass == MOST_PASSES {
                widened.fill(Shape::ANY);
            }
            self.frame = Frame { widened, scopes: vec![Vec::new()], ..Frame::default() };
            self.faults.clear();
            for (name, shape) in function.params.iter().zip(&takes) {
                self.declare(name, shape.clone(), false);
            }
            let typed = self.statements(written.body);
            let gives = self.frame.gives.take().map_or_else(|| typed.shape.clone(), |gives| gives.join(&typed.shape));
            if let Some(instance) = self.instances.get_mut(index) {
                instance.gives = gives;
                instance.body.slots = self.frame.slots;
                instance.body.node = typed.node;
                instance.calls = std::mem::take(&mut self.frame.calls);
            }
            if !self.frame.has_widened {
                break;
            }
        }
        let faults = std::mem::take(&mut self.faults);
        if let Some(instance) = self.instances.get_mut(index) {
            instance.faults = faults;
        }
        (self.frame, self.faults) = outer;
        index
    }

    /// A call of one of the script's own functions.
    pub fn own_function(&mut self, name: &str, arguments: Vec<Argument<'a>>, spot: Spot) -> Typed {
        let Some(written) = self.functions.get(name) else { return Typed::unknown() };
        let function = written.function;
        if function.params.len() != arguments.len() {
            self.fault(spot, format!("`{name}` takes {} values, not {}", function.params.len(), arguments.len()));
            return Typed::unknown();
        }
        let takes = arguments.iter().map(|argument| argument.typed.shape.clone()).collect();
        let index = self.instance(written, takes);
        self.frame.calls.push(index);
        let gives = self.instances.get(index).map_or(Shape::ANY, |instance| instance.gives.clone());
        Typed::new(Node::Call(index, arguments.into_iter().map(|argument| argument.typed.node).collect(), spot), gives)
    }

    pub fn declare(&mut self, name: &str, shape: Shape, is_constant: bool) -> usize {
        let frame = &mut self.frame;
        let (slot, ordinal) = (frame.next, frame.declared);
        frame.next += 1;
        frame.declared += 1;
        frame.slots = frame.slots.max(frame.next);
        let shape = match frame.widened.get_mut(ordinal) {
            Some(known) => {
                *known = known.join(&shape);
                known.clone()
            }
            None => {
                frame.widened.push(shape.clone());
                shape
            }
        };
        let variable = Variable { name: name.into(), slot, shape, closure: None, ordinal, is_constant };
        if let Some(scope) = frame.scopes.last_mut() {
            scope.push(variable);
        }
        slot
    }

    /// Something more is put into a variable.
    fn widen(&mut self, ordinal: usize, shape: &Shape) {
        let frame = &mut self.frame;
        if let Some(known) = frame.widened.get_mut(ordinal) {
            let wider = known.join(shape);
            frame.has_widened |= wider != *known;
            *known = wider;
        }
    }

    /// Something is pushed to the list at `target`.
    pub fn grows(&mut self, target: &Target, item: &Shape) {
        if let (Node::Local(slot), []) = (&target.root, target.steps.as_slice()) {
            let ordinal = self.variables().find(|variable| variable.slot == *slot).map(|variable| variable.ordinal);
            if let Some(ordinal) = ordinal {
                self.widen(ordinal, &Shape::list(item.clone()));
            }
        }
    }

    /// A block with variables of its own; its value is its last expression's.
    pub fn block(&mut self, block: &'a StmtBlock) -> Typed {
        self.frame.scopes.push(Vec::new());
        let next = self.frame.next;
        let typed = self.statements(block.statements());
        self.frame.next = next;
        self.frame.scopes.pop();
        typed
    }

    pub fn statements(&mut self, statements: &'a [Stmt]) -> Typed {
        let mut nodes = Vec::with_capacity(statements.len());
        let mut last = Shape::EMPTY;
        for statement in statements {
            let typed = self.statement(statement);
            last = typed.shape;
            nodes.push(typed.node);
        }
        match <[Node; 1]>::try_from(nodes) {
            Ok([node]) => Typed::new(node, last),
            Err(nodes) => Typed::new(Node::Block(nodes), last),
        }
    }

    fn statement(&mut self, statement: &'a Stmt) -> Typed {
        let spot = Spot::from(statement.position());
        let nothing = |node| Typed::new(node, Shape::EMPTY);
        match statement {
            Stmt::Noop(_) => nothing(Node::EMPTY),
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::FnCall(call, position) => self.call(call, None, Spot::from(*position)),
            Stmt::Block(block) => self.block(block),
            Stmt::If(flow, _) => {
                let condition = self.expr(&flow.expr);
                self.expect_truth(&condition, "`if`", Spot::from(flow.expr.position()));
                let (then, otherwise) = (self.block(&flow.body), self.block(&flow.branch));
                let shape = then.shape.join(&otherwise.shape);
                Typed::new(Node::If(Box::new([condition.node, then.node, otherwise.node]), spot), shape)
            }
            Stmt::While(flow, _) => {
                let condition = match &flow.expr {
                    // `loop`
                    Expr::Unit(_) => Node::Constant(crate::expr::item::Item::truth(true)),
                    expr => {
                        let condition = self.expr(expr);
                        self.expect_truth(&condition, "`while`", Spot::from(expr.position()));
                        condition.node
                    }
                };
                let body = self.body(&flow.body);
                nothing(Node::While(Box::new([condition, body]), spot))
            }
            Stmt::Do(flow, flags, _) => {
                let body = self.body(&flow.body);
                let condition = self.expr(&flow.expr);
                self.expect_truth(&condition, "`while`", Spot::from(flow.expr.position()));
                let until = flags.contains(ASTFlags::NEGATED);
                let again = if until { Node::Not(Box::new(condition.node), spot) } else { condition.node };
                nothing(Node::Do(Box::new([body, again]), spot))
            }
            Stmt::For(flow, _) => {
                let (name, counter, flow) = &**flow;
                nothing(self.for_each(&name.name, counter.as_ref().map(|counter| counter.name.as_str()), &flow.expr, &flow.body, spot))
            }
            Stmt::Var(variable, flags, _) => {
                let (name, value, _) = &**variable;
                if let Some(closure) = self.closure(value) {
                    self.name_closure(&name.name, closure);
                    return nothing(Node::EMPTY);
                }
                let value = self.expr(value);
                let slot = self.declare(&name.name, value.shape, flags.contains(ASTFlags::CONSTANT));
                nothing(Node::Let(slot, Box::new(value.node)))
            }
            Stmt::Assignment(assignment) => {
                let (operator, sides) = &**assignment;
                nothing(self.assign(operator, &sides.lhs, &sides.rhs))
            }
            Stmt::BreakLoop(value, flags, _) => {
                if self.frame.loops == 0 {
                    self.fault(spot, "there is no loop here to leave");
                }
                if value.is_some() {
                    self.fault(spot, "a loop gives no value: put it into a variable");
                }
                nothing(if flags.contains(ASTFlags::BREAK) { Node::Break } else { Node::Continue })
            }
            Stmt::Return(value, flags, _) if !flags.contains(ASTFlags::BREAK) => {
                let value = value.as_ref().map_or_else(|| nothing(Node::EMPTY), |value| self.expr(value));
                let gives = self.frame.gives.take().map_or_else(|| value.shape.clone(), |gives| gives.join(&value.shape));
                self.frame.gives = Some(gives);
                nothing(Node::Return(Box::new(value.node)))
            }
            // `throw`
            Stmt::Return(value, ..) => nothing(self.throw(value.as_deref(), spot)),
            Stmt::Switch(switch, _) => {
                let (value, cases) = &**switch;
                self.switch(value, cases, spot)
            }
            Stmt::TryCatch(flow, _) => nothing(self.attempt(flow, spot)),
            _ => {
                self.fault(spot, "this cannot stand in a script");
                Typed::unknown()
            }
        }
    }

    fn body(&mut self, block: &'a StmtBlock) -> Node {
        self.frame.loops += 1;
        let body = self.block(block);
        self.frame.loops -= 1;
        body.node
    }

    fn for_each(&mut self, name: &str, counter: Option<&str>, over: &'a Expr, block: &'a StmtBlock, spot: Spot) -> Node {
        let (over, shape) = match over {
            Expr::FnCall(call, _) if matches!(call.name.as_str(), ".." | "..=") && call.args.len() == 2 => {
                let mut ends = Vec::with_capacity(2);
                for end in &call.args {
                    let typed = self.expr(end);
                    if !matches!(typed.shape.kind(), Kind::Number | Kind::Any) {
                        let message = format!("a range goes over whole numbers, not {}", self.word(&typed.shape));
                        self.fault(Spot::from(end.position()), message);
                    }
                    ends.push(typed.node);
                }
                let (to, from) = (ends.pop().unwrap_or(Node::EMPTY), ends.pop().unwrap_or(Node::EMPTY));
                (Over::Numbers { from, to, with_last: call.name == "..=" }, Shape::NUMBER)
            }
            expr => {
                let typed = self.expr(expr);
                let shape = match &typed.shape {
                    Shape::List(item) => Shape::clone(item),
                    Shape::Kind(Kind::Any | Kind::Empty) => Shape::ANY,
                    other => {
                        let message = format!("`for` goes through a list, not {}", self.word(other));
                        self.fault(Spot::from(expr.position()), message);
                        Shape::ANY
                    }
                };
                (Over::Items(typed.node), shape)
            }
        };
        self.frame.scopes.push(Vec::new());
        let next = self.frame.next;
        let item = self.declare(name, shape, false);
        let counter = counter.map(|counter| self.declare(counter, Shape::NUMBER, true));
        let body = self.body(block);
        self.frame.next = next;
        self.frame.scopes.pop();
        Node::For(Box::new(For { over, item, counter, body }), spot)
    }

    fn assign(&mut self, operator: &OpAssignment, to: &'a Expr, value: &'a Expr) -> Node {
        let spot = Spot::from(operator.position());
        let value_at = Spot::from(value.position());
        let Chain { typed: there, target, owner, spot: at } = match to {
            Expr::Variable(..) | Expr::Dot(..) | Expr::Index(..) => self.chain(to),
            _ => {
                self.fault(Spot::from(to.position()), "nothing can be assigned to this");
                return Node::EMPTY;
            }
        };
        let value = self.expr(value);
        let arithmetic = match operator.get_op_assignment_info() {
            None => None,
            Some((.., sign)) => match Arithmetic::parse(sign) {
                Some(arithmetic) => Some(arithmetic),
                None => {
                    self.fault(spot, format!("`{sign}=` is not known here"));
                    return Node::EMPTY;
                }
            },
        };
        let (shape, node) = (value.shape.clone(), value.node.clone());
        let shape = match arithmetic {
            Some(arithmetic) => self.arithmetic(arithmetic, Typed { stage: None, ..there.clone() }, value, spot).shape,
            None => shape,
        };
        if target.steps.is_empty() {
            self.assign_variable(&target, &shape, at);
        } else {
            self.assign_field(&target, &owner, &shape, literal(&node), (at, value_at));
        }
        Node::Assign(Box::new(target), arithmetic, Box::new(node), spot)
    }

    fn assign_variable(&mut self, target: &Target, shape: &Shape, at: Spot) {
        let Node::Local(slot) = &target.root else {
            return self.fault(at, "nothing can be assigned to this");
        };
        let Some(variable) = self.variables().find(|variable| variable.slot == *slot).cloned() else { return };
        if variable.is_constant {
            return self.fault(at, format!("`{}` does not change", variable.name));
        }
        self.widen(variable.ordinal, shape);
    }

    /// A field of a record that is assigned to; or a part of a variable, which takes anything.
    fn assign_field(&mut self, target: &Target, owner: &Shape, shape: &Shape, written: Option<&str>, (at, value_at): (Spot, Spot)) {
        let (Shape::Kind(Kind::Record(entity)), Some(Step::Name(name))) = (owner, target.steps.last()) else {
            if !matches!(target.root, Node::Local(_)) && !matches!(owner, Shape::Kind(Kind::Any)) {
                self.fault(at, "only a field of a record, or a part of a variable, can be assigned to");
            }
            return;
        };
        let def = self.def(*entity);
        let Some(field) = def.find(name) else {
            if def.inverses.contains_key(&**name) {
                self.fault(at, format!("`{name}` is many records: change each of them"));
            }
            return;
        };
        self.writes(field, shape, written, (at, value_at));
        if self.place.before && matches!(field.role, Role::Stage { .. }) {
            self.fault(at, "a record moves between stages after its save: use `run: after`");
        }
    }
}
