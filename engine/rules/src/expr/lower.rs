//! In charge of turning the parser's tree into nodes, with every check that needs no record.
//! Invariant: all faults are found in one pass; a fault stands in for its part and the rest is checked on.
//! Invariant: where both kinds are known, only kinds that go together compile.

use chrono::{DateTime, NaiveTime, Utc};
use model::{Schema, Value};
use rhai::{ASTFlags, Expr, FnCallExpr, Stmt, StmtBlock};

use super::constants::constant;
use super::functions::{FUNCTIONS, Function, Gives, Wants, calendars, find};
use super::item::{Arithmetic, Comparison, Item, text_of};
use super::kind::Kind;
use super::names::{Here, Names, Typed};
use super::node::Node;
use super::{ExpressionFault, Place, Spot, Use, parse};
use crate::query::{Path, likely};

/// A whole expression, lowered.
#[derive(Debug)]
pub(super) struct Lowered {
    pub node: Node,
    pub kind: Kind,
    pub reads: Vec<Path>,
    pub given_reads: Vec<(std::sync::Arc<str>, Path)>,
    pub uses_clock: bool,
    /// What the items of a list are, where that is known.
    pub items: Kind,
}

/// Checks and compiles `text` at `place`.
pub(super) fn lower(place: Place<'_>, text: &str) -> Result<Lowered, Vec<ExpressionFault>> {
    let ast = parse::parse(text).map_err(|fault| vec![fault])?;
    let mut lowering = Lowering { names: Names { place, faults: Vec::new(), reads: Vec::new(), given_reads: Vec::new() }, uses_clock: false };
    let typed = match ast.statements() {
        [Stmt::Expr(expr)] => lowering.expr(expr),
        _ => return Err(vec![ExpressionFault::new(Spot::START, "this is more than one expression")]),
    };
    if place.usage == Use::Condition && !typed.kind.is_truth() {
        let message = format!("a condition gives true or false; this gives {}", typed.kind.word(place.schema));
        lowering.names.fault(Spot::START, message);
    }
    if matches!(typed.kind, Kind::Days | Kind::Hours) {
        lowering.names.fault(Spot::START, "a span is no value of its own: add it to a date");
    }
    if lowering.names.faults.is_empty() {
        Ok(Lowered {
            node: typed.node,
            kind: typed.kind,
            items: typed.items,
            reads: lowering.names.reads,
            given_reads: lowering.names.given_reads,
            uses_clock: lowering.uses_clock,
        })
    } else {
        Err(lowering.names.faults)
    }
}

struct Lowering<'a> {
    names: Names<'a>,
    uses_clock: bool,
}

/// One link of a chain such as `account.owner["name"].len()`.
pub(crate) enum Link<'e> {
    Name(String, Spot),
    Call(&'e FnCallExpr, Spot),
    /// What stands in brackets and is no name in quotes.
    Key(&'e Expr, Spot),
    Unknown(Spot),
}

impl<'a> Lowering<'a> {
    fn expr(&mut self, expr: &Expr) -> Typed {
        let spot = Spot::from(expr.position());
        if let Some((item, kind)) = constant(expr) {
            return Typed::new(Node::Constant(item), kind);
        }
        match expr {
            Expr::DynamicConstant(..) => self.refuse(spot, "this kind of constant is not known here"),
            Expr::InterpolatedString(parts, _) => {
                let nodes = parts.iter().map(|part| self.expr(part).node).collect();
                Typed::new(Node::Join(nodes, spot), Kind::Text)
            }
            Expr::Array(items, _) => {
                let nodes = items.iter().map(|item| self.expr(item).node).collect();
                Typed::new(Node::List(nodes), Kind::List)
            }
            Expr::Variable(..) | Expr::Dot(..) | Expr::Index(..) => self.chain(expr),
            Expr::And(nodes, _) => self.truths(nodes, "&&", spot, Node::All),
            Expr::Or(nodes, _) => self.truths(nodes, "||", spot, Node::Any),
            Expr::Coalesce(nodes, _) => self.coalesce(nodes, spot),
            Expr::FnCall(call, _) => self.call(call, None, spot),
            Expr::Stmt(block) => self.block(block, spot),
            Expr::Map(..) => self.refuse(spot, "an expression has no maps"),
            Expr::ThisPtr(_) => self.refuse(spot, "write `record`"),
            _ => self.refuse(spot, "this cannot stand in an expression"),
        }
    }

    fn refuse(&mut self, spot: Spot, message: &str) -> Typed {
        self.names.fault(spot, message);
        Typed::unknown()
    }

    fn word(&self, kind: Kind) -> String {
        kind.word(self.names.place.schema)
    }

    /// `{ one }`, the branches of `if`, and what stands in `${…}`.
    fn block(&mut self, block: &StmtBlock, spot: Spot) -> Typed {
        match block.statements() {
            [] => Typed::new(Node::EMPTY, Kind::Empty),
            [statement] => self.statement(statement, spot),
            _ => self.refuse(spot, "this is more than one expression"),
        }
    }

    fn statement(&mut self, statement: &Stmt, spot: Spot) -> Typed {
        match statement {
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::Block(block) => self.block(block, spot),
            Stmt::Noop(_) => Typed::new(Node::EMPTY, Kind::Empty),
            Stmt::If(flow, position) => {
                let spot = Spot::from(*position);
                let condition = self.expr(&flow.expr);
                self.expect_truth(&condition, "`if`", spot);
                let (then, otherwise) = (self.block(&flow.body, spot), self.block(&flow.branch, spot));
                let Some(kind) = then.kind.both(otherwise.kind) else {
                    let message = format!("one branch gives {}, the other {}", self.word(then.kind), self.word(otherwise.kind));
                    return self.refuse(spot, &message);
                };
                Typed::new(Node::If(Box::new([condition.node, then.node, otherwise.node]), spot), kind)
            }
            _ => self.refuse(spot, "an expression has no statements"),
        }
    }

    fn expect_truth(&mut self, typed: &Typed, by: &str, spot: Spot) {
        if !typed.kind.is_truth() {
            let message = format!("{by} takes true or false, not {}", self.word(typed.kind));
            self.names.fault(spot, message);
        }
    }

    fn truths(&mut self, exprs: &[Expr], sign: &str, spot: Spot, make: fn(Vec<Node>, Spot) -> Node) -> Typed {
        let mut nodes = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let typed = self.expr(expr);
            self.expect_truth(&typed, &format!("`{sign}`"), Spot::from(expr.position()));
            nodes.push(typed.node);
        }
        Typed::new(make(nodes, spot), Kind::Truth)
    }

    fn coalesce(&mut self, exprs: &[Expr], spot: Spot) -> Typed {
        let mut kind = Kind::Empty;
        let mut nodes = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let typed = self.expr(expr);
            match kind.both(typed.kind) {
                Some(both) => kind = both,
                None => {
                    let message = format!("`??` takes values of one kind, not {} and {}", self.word(kind), self.word(typed.kind));
                    self.names.fault(spot, message);
                }
            }
            nodes.push(typed.node);
        }
        Typed::new(Node::First(nodes), kind)
    }

    /// A chain of names, indexes and methods.
    fn chain(&mut self, expr: &Expr) -> Typed {
        let mut links = Vec::new();
        let head = unchain(expr, &mut links);
        let mut spot = Spot::from(head.position());
        let mut here = match head {
            Expr::Variable(variable, _, position) => {
                if !variable.2.is_empty() {
                    return self.refuse(spot, "an expression has no modules");
                }
                spot = Spot::from(*position);
                self.names.begin(&variable.1, spot)
            }
            other => Some(Here::Value(self.expr(other))),
        };
        for link in links {
            here = match link {
                Link::Name(name, at) => {
                    spot = at;
                    here.and_then(|here| self.names.step(here, &name, at))
                }
                Link::Call(call, at) => {
                    spot = at;
                    let receiver = here.map_or_else(Typed::unknown, |here| self.names.value(here, at));
                    Some(Here::Value(self.call(call, Some(receiver), at)))
                }
                Link::Key(_, at) | Link::Unknown(at) => {
                    self.names.fault(at, "only a name in quotes can stand in [ ]");
                    None
                }
            };
        }
        here.map_or_else(Typed::unknown, |here| self.names.value(here, spot))
    }

    /// An operator, a function, or a method with what stands before its point.
    fn call(&mut self, call: &FnCallExpr, receiver: Option<Typed>, spot: Spot) -> Typed {
        if call.is_qualified() {
            return self.refuse(spot, "an expression has no modules");
        }
        let mut arguments: Vec<Typed> = receiver.into_iter().collect();
        let spots: Vec<Spot> = arguments.iter().map(|_| spot).chain(call.args.iter().map(|argument| Spot::from(argument.position()))).collect();
        for argument in &call.args {
            let typed = self.expr(argument);
            arguments.push(typed);
        }
        let name = call.name.as_str();
        if call.is_operator_call() && name != "contains" {
            return self.operator(name, arguments, spot);
        }
        let Some(function) = find(name) else {
            let hint = likely(name, FUNCTIONS.iter().map(|function| function.name)).map(|name| name.to_owned());
            self.names.faults.push(ExpressionFault { hint, ..ExpressionFault::new(spot, format!("there is no function `{name}`")) });
            return Typed::unknown();
        };
        if let Some(message) = miscounted(name, arguments.len(), (function.least, function.most())) {
            return self.refuse(spot, &message);
        }
        let kinds = arguments.iter().map(|argument| (argument.kind, self.word(argument.kind)));
        let (together, misfits) = misfits(function, kinds);
        for (index, message) in misfits {
            self.names.fault(spots.get(index).copied().unwrap_or(spot), message);
        }
        self.uses_clock |= function.clock;
        for (index, argument) in arguments.iter_mut().enumerate() {
            let at = spots.get(index).copied().unwrap_or(spot);
            match function.wants_at(index) {
                Wants::Rule => self.check_rule(argument, at),
                Wants::Calendar => self.check_calendar(argument, at),
                _ => {}
            }
        }
        let kind = match (function.gives, arguments.first()) {
            (Gives::Kind(kind), _) => kind,
            (Gives::Same, _) if function.repeats => together,
            (Gives::Same, first) => first.map_or(Kind::Any, |first| first.kind),
            (Gives::List(_) | Gives::ListOfSecond, _) => Kind::List,
        };
        let items = match function.gives {
            Gives::List(kind) => kind,
            Gives::ListOfSecond => arguments.get(1).map_or(Kind::Any, |second| second.kind),
            Gives::Kind(_) | Gives::Same => Kind::Any,
        };
        if name == "contains"
            && let [list, item] = arguments.as_slice()
        {
            self.check_option(list, item, spot);
            // `stage in ["won", "lost"]`
            if let Node::List(items) = &list.node {
                items.iter().for_each(|there| self.check_name(item, there, spot));
            }
        }
        let node = Node::Call(function, arguments.into_iter().map(|argument| argument.node).collect(), spot);
        Typed { items, ..Typed::new(node, kind) }
    }

    /// A rule that is written out is read now.
    fn check_rule(&mut self, argument: &Typed, spot: Spot) {
        if let Node::Constant(item) = &argument.node
            && let Some(fault) = text_of(item).and_then(calendars::fault_of)
        {
            self.names.fault(spot, fault);
        }
    }

    /// A calendar is one of the app's; its name is qualified here, so that whoever runs it knows which.
    fn check_calendar(&mut self, argument: &mut Typed, spot: Spot) {
        let Node::Constant(item) = &argument.node else { return self.names.fault(spot, "a calendar is named in quotes") };
        let Some(text) = text_of(item) else { return };
        if self.names.place.usage == Use::Formula {
            return self.names.fault(spot, "calendars change from year to year, so nothing that is stored can be computed from one");
        }
        let place = self.names.place;
        match calendar_named(place.schema, place.app, text) {
            Ok(name) => argument.node = Node::Constant(Item::Value(Value::text(&name))),
            Err(hint) => {
                self.names.faults.push(ExpressionFault { hint, ..ExpressionFault::new(spot, format!("there is no calendar `{text}`")) });
            }
        }
    }

    fn operator(&mut self, sign: &str, mut arguments: Vec<Typed>, spot: Spot) -> Typed {
        match (sign, arguments.len()) {
            ("!", 1) => {
                let Some(inner) = arguments.pop() else { return Typed::unknown() };
                self.expect_truth(&inner, "`!`", spot);
                Typed::new(Node::Not(Box::new(inner.node), spot), Kind::Truth)
            }
            ("-" | "+", 1) => {
                let Some(inner) = arguments.pop() else { return Typed::unknown() };
                if !takes_sign(inner.kind) {
                    let message = format!("`{sign}` cannot take {}", self.word(inner.kind));
                    self.names.fault(spot, message);
                }
                if sign == "+" { inner } else { Typed::new(Node::Negate(Box::new(inner.node), spot), inner.kind) }
            }
            (_, 2) => {
                let (Some(right), Some(left)) = (arguments.pop(), arguments.pop()) else { return Typed::unknown() };
                if let Some(comparison) = Comparison::parse(sign) {
                    return self.compare(comparison, left, right, spot);
                }
                match Arithmetic::parse(sign) {
                    Some(operator) => self.arithmetic(operator, left, right, spot),
                    None => self.refuse(spot, &format!("the operator `{sign}` is not known here")),
                }
            }
            _ => self.refuse(spot, &format!("the operator `{sign}` is not known here")),
        }
    }

    fn arithmetic(&mut self, operator: Arithmetic, left: Typed, right: Typed, spot: Spot) -> Typed {
        let Some(kind) = result_of(operator, left.kind, right.kind) else {
            let (message, hint) = no_result(operator, left.kind, right.kind, self.names.place.schema);
            self.names.faults.push(ExpressionFault { hint, ..ExpressionFault::new(spot, message) });
            return Typed::unknown();
        };
        Typed::new(Node::Arithmetic(operator, Box::new([left.node, right.node]), spot), kind)
    }

    fn compare(&mut self, comparison: Comparison, left: Typed, right: Typed, spot: Spot) -> Typed {
        let (left, right) = (dated(left, right.kind), right);
        let (right, left) = (dated(right, left.kind), left);
        self.check_option(&left, &right, spot);
        self.check_option(&right, &left, spot);
        if let Some((message, hint)) = clash(comparison, left.kind, right.kind, self.names.place.schema) {
            self.names.faults.push(ExpressionFault { hint, ..ExpressionFault::new(spot, message) });
        }
        Typed::new(Node::Compare(comparison, Box::new([left.node, right.node]), spot), Kind::Truth)
    }

    /// A name in quotes beside a choice or a stage must be one of its names.
    fn check_option(&mut self, choice: &Typed, literal: &Typed, spot: Spot) {
        self.check_name(choice, &literal.node, spot);
    }

    fn check_name(&mut self, choice: &Typed, literal: &Node, spot: Spot) {
        let (Some(options), Node::Constant(Item::Value(Value::Text(text)))) = (&choice.options, literal) else { return };
        if !options.iter().any(|option| super::same_text(option, text)) {
            let hint = likely(text, options.iter().map(String::as_str)).map(|name| name.to_owned());
            self.names.faults.push(ExpressionFault { hint, ..ExpressionFault::new(spot, format!("`{text}` is not one of the options")) });
        }
    }
}

/// The head of a chain and its links.
pub(crate) fn unchain<'e>(expr: &'e Expr, links: &mut Vec<Link<'e>>) -> &'e Expr {
    match expr {
        Expr::Dot(pair, ..) => {
            let head = unchain(&pair.lhs, links);
            tail(&pair.rhs, links);
            head
        }
        Expr::Index(pair, flags, _) => {
            let head = unchain(&pair.lhs, links);
            index(&pair.rhs, *flags, links);
            head
        }
        head => head,
    }
}

/// What stands behind a point.
fn tail<'e>(expr: &'e Expr, links: &mut Vec<Link<'e>>) {
    let spot = Spot::from(expr.position());
    match expr {
        Expr::Property(property, position) => links.push(Link::Name(property.2.to_string(), Spot::from(*position))),
        Expr::MethodCall(call, position) => links.push(Link::Call(call, Spot::from(*position))),
        Expr::Dot(pair, ..) => {
            tail(&pair.lhs, links);
            tail(&pair.rhs, links);
        }
        Expr::Index(pair, flags, _) => {
            tail(&pair.lhs, links);
            index(&pair.rhs, *flags, links);
        }
        _ => links.push(Link::Unknown(spot)),
    }
}

/// What stands in brackets; without the flag the chain goes on behind them.
fn index<'e>(expr: &'e Expr, flags: ASTFlags, links: &mut Vec<Link<'e>>) {
    match expr {
        Expr::Dot(pair, ..) if !flags.contains(ASTFlags::BREAK) => {
            key(&pair.lhs, links);
            tail(&pair.rhs, links);
        }
        Expr::Index(pair, inner, _) if !flags.contains(ASTFlags::BREAK) => {
            key(&pair.lhs, links);
            index(&pair.rhs, *inner, links);
        }
        other => key(other, links),
    }
}

fn key<'e>(expr: &'e Expr, links: &mut Vec<Link<'e>>) {
    let spot = Spot::from(expr.position());
    links.push(match expr {
        Expr::StringConstant(text, _) => Link::Name(text.to_string(), spot),
        other => Link::Key(other, spot),
    });
}

/// The qualified name of a calendar that an app names; what was likely meant where there is none.
pub(crate) fn calendar_named(schema: &Schema, app: &str, text: &str) -> Result<String, Option<String>> {
    let (owner, name) = text.split_once('.').unwrap_or((app, text));
    if schema.apps.get(owner).is_some_and(|app| app.calendars.contains_key(name)) {
        return Ok(format!("{owner}.{name}"));
    }
    let known = schema.apps.get(app).into_iter().flat_map(|app| app.calendars.keys().map(|name| name.as_str()));
    Err(likely(name, known).map(|name| name.to_owned()))
}

/// Why two kinds cannot be compared, and what was likely meant; none where they can.
pub(crate) fn clash(comparison: Comparison, left: Kind, right: Kind, schema: &Schema) -> Option<(String, Option<String>)> {
    let sealed = [left, right].contains(&Kind::Sealed) && ![left, right].contains(&Kind::Empty);
    let fits = left.both(right).is_some() && !sealed;
    if fits && (!comparison.is_order() || (left.is_ordered() && right.is_ordered())) {
        return None;
    }
    let message = if fits {
        let unordered = if left.is_ordered() { right } else { left };
        format!("{} has no order", unordered.word(schema))
    } else {
        format!("{} and {} cannot be compared", left.word(schema), right.word(schema))
    };
    let hint = match (left, right) {
        (Kind::Day, Kind::Moment) | (Kind::Moment, Kind::Day) => Some("day(…) gives the date of a date with time".to_owned()),
        (Kind::Record(_), Kind::Text) | (Kind::Text, Kind::Record(_)) => Some("compare a field of it, such as its name".to_owned()),
        (Kind::Day | Kind::Moment | Kind::Time, Kind::Text) | (Kind::Text, Kind::Day | Kind::Moment | Kind::Time) => {
            Some("write a date as \"2026-01-31\", with time as \"2026-01-31T09:00:00Z\"".to_owned())
        }
        _ => None,
    };
    Some((message, hint))
}

/// Why an operator cannot take two kinds, and what was likely meant.
pub(crate) fn no_result(operator: Arithmetic, left: Kind, right: Kind, schema: &Schema) -> (String, Option<String>) {
    let hint = match (left, right) {
        (Kind::Day | Kind::Moment, Kind::Number) => Some("add days(n) or hours(n)".to_owned()),
        (Kind::Day, Kind::Hours) => Some("a date has no hours: add days(n)".to_owned()),
        _ => None,
    };
    (format!("`{}` cannot take {} and {}", operator.sign(), left.word(schema), right.word(schema)), hint)
}

/// Why a function cannot take so many values; none where it can.
pub(crate) fn miscounted(name: &str, given: usize, (least, most): (usize, usize)) -> Option<String> {
    if (least..=most).contains(&given) {
        return None;
    }
    let count = if least == most { least.to_string() } else { format!("{least} to {most}") };
    Some(format!("`{name}` takes {count} values, not {given}"))
}

/// The kind that the values of a function with values of one kind have together, and what does not fit, by its place; each
/// value is its kind and what people call it.
pub(crate) fn misfits(function: &Function, values: impl Iterator<Item = (Kind, String)>) -> (Kind, Vec<(usize, String)>) {
    let (name, mut together, mut misfits) = (function.name, Kind::Empty, Vec::new());
    for (index, (kind, word)) in values.enumerate() {
        let wants = function.wants_at(index);
        if !wants.takes(kind) {
            misfits.push((index, format!("`{name}` takes {}, not {word}", wants.word())));
        }
        if function.repeats {
            match together.both(kind) {
                Some(both) => together = both,
                None => misfits.push((index, format!("`{name}` takes values of one kind"))),
            }
        }
    }
    (together, misfits)
}

/// Whether `-` and `+` may stand before a value of a kind.
pub(crate) fn takes_sign(kind: Kind) -> bool {
    matches!(kind, Kind::Any | Kind::Empty | Kind::Number | Kind::Days | Kind::Hours)
}

/// The kind that an operator gives, where the operands go together.
pub(crate) fn result_of(operator: Arithmetic, left: Kind, right: Kind) -> Option<Kind> {
    use Kind::{Any, Day, Days, Empty, Hours, Moment, Number, Structure, Text, Time, Truth};
    match (operator, left, right) {
        (_, Kind::Sealed, _) | (_, _, Kind::Sealed) => None,
        (_, Empty, other) | (_, other, Empty) => Some(if operator == Arithmetic::Divide && other == Any { Number } else { other }),
        (_, Number, Number) => Some(Number),
        (Arithmetic::Add, Text, Text | Number | Day | Moment | Time | Truth | Any)
        | (Arithmetic::Add, Number | Day | Moment | Time | Truth | Any, Text) => Some(Text),
        (Arithmetic::Add, Day, Days) | (Arithmetic::Add, Days, Day) | (Arithmetic::Subtract, Day, Days) => Some(Day),
        (Arithmetic::Add, Moment, Days | Hours) | (Arithmetic::Add, Days | Hours, Moment) | (Arithmetic::Subtract, Moment, Days | Hours) => {
            Some(Moment)
        }
        (Arithmetic::Subtract, Day, Day) | (Arithmetic::Subtract, Moment, Moment) => Some(Number),
        (Arithmetic::Add | Arithmetic::Subtract, Days, Days) => Some(Days),
        (Arithmetic::Add | Arithmetic::Subtract, Hours, Hours) => Some(Hours),
        (Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder | Arithmetic::Power, Any, Number | Any)
        | (Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder | Arithmetic::Power, Number, Any) => Some(Number),
        (Arithmetic::Add | Arithmetic::Subtract, Any, other) | (Arithmetic::Add | Arithmetic::Subtract, other, Any) if other != Structure => {
            Some(Any)
        }
        _ => None,
    }
}

/// A text in quotes beside a date, a moment, a time or a record is one, where it can be read so.
fn dated(typed: Typed, beside: Kind) -> Typed {
    let Node::Constant(Item::Value(Value::Text(text))) = &typed.node else { return typed };
    read_as(text, beside).map_or(typed, |value| Typed::new(Node::Constant(Item::Value(value)), beside))
}

/// The value of a kind that a text spells; none where it spells none, or the kind is not one that texts spell.
pub(crate) fn read_as(text: &str, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Day => text.parse().ok().map(Value::Date),
        Kind::Moment => moment_of(text).map(Value::Timestamp),
        Kind::Time => time_of(text).map(Value::Time),
        Kind::Id | Kind::Record(_) => uuid::Uuid::try_parse(text).ok().map(Value::Uuid),
        Kind::Any
        | Kind::Empty
        | Kind::Truth
        | Kind::Number
        | Kind::Text
        | Kind::Days
        | Kind::Hours
        | Kind::List
        | Kind::Structure
        | Kind::Sealed => None,
    }
}

/// The time of day that a text spells.
pub(crate) fn time_of(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
}

/// The moment that a text spells.
pub(crate) fn moment_of(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.with_timezone(&Utc))
}
