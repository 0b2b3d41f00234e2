//! In charge of what a template reads: each name looked up in the schema, each filter looked at, all faults with their lines.
//! Reading order: `Shape` in `shape` (what an expression is), `Checking::statement`, `Checking::shape`, `Checking::member`.
//! Invariant: a name is a field of a known entity, a part of a known thing, or made in the template itself; any other is a fault.
//! Invariant: a field is text where it is shown; conditions and arithmetic look at its `value`, so none compares words by accident.

use std::collections::HashMap;

use minijinja::machinery::ast::{CallArg, Expr, Filter, Stmt};
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;
use model::EntityId;
use model::field::Role;
use rules::query::{RelationTo, SystemView, View, likely, resolve_relation};

use super::filters::{FILTERS, Gives, TESTS, Takes};
use super::shape::{Shape, Thing, either};
use super::{PICTURE, PaperFault, PaperPlace, Wanted};

/// What stands in a page's head or would run or load something: a paper is what stands between the tags of the body.
const FOREIGN: [&str; 10] = ["<!doctype", "<html", "<head", "<body", "<script", "<link", "<iframe", "<object", "<embed", "<base"];

/// What `source` reads.
pub(super) fn check(place: PaperPlace<'_>, source: &str) -> Result<Wanted, Vec<PaperFault>> {
    let tree = parse(source, "paper", SyntaxConfig::default()).map_err(|error| vec![super::of_library(&error)])?;
    let mut c = Checking { place, wanted: Wanted::default(), faults: Vec::new(), scopes: vec![HashMap::new()] };
    c.statement(&tree);
    if c.faults.is_empty() { Ok(c.wanted) } else { Err(c.faults) }
}

struct Checking<'a> {
    place: PaperPlace<'a>,
    wanted: Wanted,
    faults: Vec<PaperFault>,
    /// What the template names itself, innermost last.
    scopes: Vec<HashMap<String, Shape>>,
}

impl Checking<'_> {
    fn fault(&mut self, at: Span, message: impl Into<String>, hint: Option<String>) {
        let fault = PaperFault { line: usize::from(at.start_line).max(1), message: message.into(), hint };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn define(&mut self, name: &str, shape: Shape) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), shape);
        }
    }

    fn within(&mut self, f: impl FnOnce(&mut Self)) {
        self.scopes.push(HashMap::new());
        f(self);
        self.scopes.pop();
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => {
                if let Shape::Records(..) | Shape::Things(..) = self.read(&emit.expr) {
                    self.fault(emit.expr.span(), "a list is not shown as it is: go through it with `{% for … in … %}`", None);
                }
            }
            Stmt::EmitRaw(raw) => self.raw_html(raw.span(), raw.raw),
            Stmt::ForLoop(each) => {
                if each.recursive {
                    self.fault(each.span(), "a loop does not call itself here", None);
                }
                let item = match self.shape(&each.iter) {
                    Shape::Records(entity, path) => Shape::Record(entity, path),
                    Shape::Things(thing, path) => Shape::Thing(thing, path),
                    Shape::Plain => Shape::Plain,
                    Shape::Unknown => Shape::Unknown,
                    Shape::Record(..) | Shape::Thing(..) | Shape::Clock(..) | Shape::Settings | Shape::Value(_) => {
                        self.fault(each.iter.span(), "there is nothing to go through: this is one, not several", None);
                        Shape::Unknown
                    }
                };
                self.within(|c| {
                    c.define("loop", Shape::Plain);
                    c.target(&each.target, item);
                    if let Some(filter) = &each.filter_expr {
                        c.read(filter);
                    }
                    c.statements(&each.body);
                });
                self.statements(&each.else_body);
            }
            Stmt::IfCond(choice) => {
                self.read(&choice.expr);
                self.statements(&choice.true_body);
                self.statements(&choice.false_body);
            }
            Stmt::WithBlock(with) => self.within(|c| {
                for (target, value) in &with.assignments {
                    let shape = c.shape(value);
                    c.target(target, shape);
                }
                c.statements(&with.body);
            }),
            Stmt::Set(set) => {
                let shape = self.shape(&set.expr);
                self.target(&set.target, shape);
            }
            Stmt::SetBlock(set) => {
                self.statements(&set.body);
                self.target(&set.target, Shape::Plain);
            }
            Stmt::AutoEscape(block) => self.fault(block.span(), "escaping is not switched off", None),
            Stmt::FilterBlock(block) => self.fault(block.span(), "filters are put on values, not on blocks", None),
            Stmt::Macro(makes) => {
                self.define(makes.name, Shape::Plain);
                for default in &makes.defaults {
                    self.plain(default);
                }
                self.within(|c| {
                    for argument in &makes.args {
                        c.target(argument, Shape::Plain);
                    }
                    c.statements(&makes.body);
                });
            }
            Stmt::CallBlock(block) => self.fault(block.span(), "a paper has no call blocks", None),
            Stmt::Block(block) => self.statements(&block.body),
            Stmt::Import(import) => self.alone(import.span()),
            Stmt::FromImport(import) => self.alone(import.span()),
            Stmt::Extends(extends) => self.alone(extends.span()),
            Stmt::Include(include) => self.alone(include.span()),
            Stmt::Do(does) => {
                self.arguments(&does.call.args);
            }
        }
    }

    fn alone(&mut self, at: Span) {
        self.fault(at, "a paper stands on its own: it takes nothing from other templates", None);
    }

    /// HTML as it was written.
    fn raw_html(&mut self, at: Span, html: &str) {
        let lower = html.to_ascii_lowercase();
        for tag in FOREIGN {
            if let Some(offset) = lower.find(tag) {
                let lines = html.get(..offset).map_or(0, |before| before.matches('\n').count());
                let at = Span { start_line: at.start_line.saturating_add(u16::try_from(lines).unwrap_or(u16::MAX)), ..at };
                let message = match tag {
                    "<!doctype" | "<html" | "<head" | "<body" => {
                        format!("`{tag}` is not written: a paper is what stands within the body; `<style>` may stand there, too")
                    }
                    _ => format!("`{tag}` has no place on a paper: nothing runs there, and nothing is loaded"),
                };
                self.fault(at, message, None);
            }
        }
    }

    /// Names what a loop or an assignment makes.
    fn target(&mut self, target: &Expr<'_>, shape: Shape) {
        match target {
            Expr::Var(name) => self.define(name.id, shape),
            Expr::List(list) => list.items.iter().for_each(|item| self.target(item, Shape::Plain)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.target(item, Shape::Plain)),
            // A part of a namespace.
            Expr::GetAttr(_) => {}
            other => self.fault(other.span(), "this cannot be given a value", None),
        }
    }

    /// An expression that is shown or asked whether it is there: of records their titles are read.
    fn read(&mut self, expr: &Expr<'_>) -> Shape {
        let shape = self.shape(expr);
        if let Shape::Record(_, path) = &shape {
            self.wanted.take(path);
        }
        if let Shape::Clock(..) = &shape {
            self.fault(expr.span(), "a clock is not shown as it is: name `due_at` or `state`", None);
        }
        shape
    }

    /// An expression that is compared or counted with.
    fn plain(&mut self, expr: &Expr<'_>) {
        match self.shape(expr) {
            Shape::Plain | Shape::Unknown => {}
            Shape::Value(_) => self.fault(expr.span(), "this is text as it is read: compare and count with its `.value`", None),
            Shape::Record(..) | Shape::Thing(..) | Shape::Clock(..) | Shape::Settings => {
                self.fault(expr.span(), "this is not one value: name a field of it, and its `.value`", None);
            }
            Shape::Records(..) | Shape::Things(..) => self.fault(expr.span(), "this is a list: `|length` says how many there are", None),
        }
    }

    fn shape(&mut self, expr: &Expr<'_>) -> Shape {
        match expr {
            Expr::Var(name) => self.named(name.span(), name.id),
            Expr::Const(_) => Shape::Plain,
            Expr::Slice(slice) => {
                for bound in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.plain(bound);
                }
                match self.shape(&slice.expr) {
                    shape @ (Shape::Records(..) | Shape::Things(..) | Shape::Plain | Shape::Unknown) => shape,
                    Shape::Record(..) | Shape::Thing(..) | Shape::Clock(..) | Shape::Settings | Shape::Value(_) => {
                        self.fault(slice.span(), "only lists and texts of one's own are cut", None);
                        Shape::Unknown
                    }
                }
            }
            Expr::UnaryOp(operation) => {
                use minijinja::machinery::ast::UnaryOpKind;
                match operation.op {
                    UnaryOpKind::Not => drop(self.read(&operation.expr)),
                    UnaryOpKind::Neg => self.plain(&operation.expr),
                }
                Shape::Plain
            }
            Expr::BinOp(operation) => {
                use minijinja::machinery::ast::BinOpKind;
                match operation.op {
                    BinOpKind::ScAnd | BinOpKind::ScOr => {
                        let (left, right) = (self.read(&operation.left), self.read(&operation.right));
                        either(left, right)
                    }
                    BinOpKind::Concat => {
                        self.read(&operation.left);
                        self.read(&operation.right);
                        Shape::Plain
                    }
                    _ => {
                        self.plain(&operation.left);
                        self.plain(&operation.right);
                        Shape::Plain
                    }
                }
            }
            Expr::Compare(compare) => {
                self.plain(&compare.expr);
                for operand in &compare.ops {
                    self.plain(&operand.expr);
                }
                Shape::Plain
            }
            Expr::IfExpr(choice) => {
                self.read(&choice.test_expr);
                let yes = self.read(&choice.true_expr);
                match &choice.false_expr {
                    Some(no) => {
                        let no = self.read(no);
                        either(yes, no)
                    }
                    None => yes,
                }
            }
            Expr::Filter(filter) => self.filter(filter.span(), filter),
            Expr::Test(test) => {
                if !TESTS.contains(&test.name) {
                    self.fault(test.span(), format!("there is no test `{}`", test.name), likely(test.name, TESTS.iter().copied()));
                }
                match test.name {
                    "defined" | "undefined" => drop(self.read(&test.expr)),
                    _ => self.plain(&test.expr),
                }
                self.arguments(&test.args);
                Shape::Plain
            }
            Expr::GetAttr(part) => {
                let of = self.shape(&part.expr);
                self.member(part.span(), of, part.name)
            }
            Expr::GetItem(item) => {
                let of = self.shape(&item.expr);
                let name = match &item.subscript_expr {
                    Expr::Const(constant) => constant.value.as_str().map(str::to_owned),
                    _ => None,
                };
                match (of, name) {
                    (Shape::Records(entity, path), None) => {
                        self.plain(&item.subscript_expr);
                        Shape::Record(entity, path)
                    }
                    (Shape::Things(thing, path), None) => {
                        self.plain(&item.subscript_expr);
                        Shape::Thing(thing, path)
                    }
                    (Shape::Plain, _) => {
                        self.plain(&item.subscript_expr);
                        Shape::Plain
                    }
                    (Shape::Unknown, _) => Shape::Unknown,
                    (of, Some(name)) => self.member(item.span(), of, &name),
                    (_, None) => {
                        self.fault(item.span(), "a field is named as it stands, `record.name`", None);
                        Shape::Unknown
                    }
                }
            }
            Expr::Call(call) => {
                match &call.expr {
                    Expr::Var(name) if matches!(name.id, "range" | "namespace" | "dict") => {}
                    other => match self.shape(other) {
                        Shape::Plain | Shape::Unknown => {}
                        _ => self.fault(call.span(), "this cannot be called", None),
                    },
                }
                self.arguments(&call.args);
                Shape::Plain
            }
            Expr::List(list) => self.all_plain(&list.items),
            Expr::Tuple(tuple) => self.all_plain(&tuple.items),
            Expr::Map(map) => {
                self.all_plain(&map.keys);
                self.all_plain(&map.values)
            }
        }
    }

    /// What a list, a map or a call is given: values. Records in it could not be followed.
    fn all_plain(&mut self, items: &[Expr<'_>]) -> Shape {
        for item in items {
            match self.shape(item) {
                Shape::Plain | Shape::Unknown | Shape::Value(_) => {}
                _ => self.fault(item.span(), "a record is not handed on: name its fields", None),
            }
        }
        Shape::Plain
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                    self.all_plain(std::slice::from_ref(expr));
                }
            }
        }
    }

    /// A name that stands alone.
    fn named(&mut self, at: Span, name: &str) -> Shape {
        if let Some(shape) = self.scopes.iter().rev().find_map(|scope| scope.get(name)) {
            return shape.clone();
        }
        match name {
            "record" => Shape::Record(self.place.entity, vec![name.to_owned()]),
            "me" => match self.place.person {
                Some(person) => Shape::Record(person, vec![name.to_owned()]),
                None => Shape::Unknown,
            },
            "approvals" => Shape::Things(Thing::Approval, vec![name.to_owned()]),
            "today" | "now" | "address" | "settings" | "locale" => {
                self.wanted.take(&[name.to_owned()]);
                match name {
                    "today" | "now" => Shape::Value(Vec::new()),
                    "settings" => Shape::Settings,
                    _ => Shape::Plain,
                }
            }
            _ => {
                let own = self.scopes.iter().flat_map(HashMap::keys).map(String::as_str);
                let known = ["record", "me", "approvals", "today", "now", "address", "settings", "locale"].into_iter().chain(own);
                let hint = likely(name, known).or_else(|| {
                    // A field without its record is the usual slip.
                    self.place.schema.entity(self.place.entity).find(name).map(|_| format!("record.{name}"))
                });
                self.fault(at, format!("there is no `{name}` here"), hint);
                Shape::Unknown
            }
        }
    }

    /// A part of something.
    fn member(&mut self, at: Span, of: Shape, name: &str) -> Shape {
        match of {
            Shape::Record(entity, path) => self.field(at, entity, path, name),
            Shape::Clock(entity, mut path, clock) => {
                let name = format!("{clock}.{name}");
                let def = self.place.schema.entity(entity);
                if SystemView.field(def, &name).is_none() {
                    let told = def.fields.iter().filter(|field| !field.inner() && field.clock.is_some()).map(|field| field.name.as_str());
                    let hint = likely(&name, told);
                    self.fault(at, format!("`{}` has no `{name}`", def.name), hint);
                    return Shape::Unknown;
                }
                // The parts of a clock stand below its name.
                path.extend(name.split('.').map(str::to_owned));
                self.wanted.take(&path);
                Shape::Value(path)
            }
            Shape::Thing(thing, mut path) => {
                path.push(name.to_owned());
                if thing == Thing::Approval && name == "acts" {
                    return Shape::Things(Thing::Act, path);
                }
                if !thing.parts().contains(&name) {
                    let hint = likely(name, thing.parts().iter().copied().chain((thing == Thing::Approval).then_some("acts")));
                    self.fault(at, format!("an approval has no `{name}`"), hint);
                    return Shape::Unknown;
                }
                self.wanted.take(&path);
                Shape::Value(path)
            }
            Shape::Settings => {
                if !self.place.settings.contains(&name) {
                    let hint = likely(name, self.place.settings.iter().copied());
                    self.fault(at, format!("there is no setting `{name}`"), hint);
                }
                Shape::Plain
            }
            Shape::Value(_) if name == "value" => Shape::Plain,
            Shape::Value(_) => {
                self.fault(at, format!("this is a value, and has no `{name}`"), Some("value".to_owned()));
                Shape::Unknown
            }
            Shape::Records(..) | Shape::Things(..) => {
                self.fault(at, format!("this is a list, and has no `{name}`: go through it with `{{% for … in … %}}`"), None);
                Shape::Unknown
            }
            Shape::Plain => Shape::Plain,
            Shape::Unknown => Shape::Unknown,
        }
    }

    fn field(&mut self, at: Span, entity: EntityId, mut path: Vec<String>, name: &str) -> Shape {
        let schema = self.place.schema;
        let def = schema.entity(entity);
        path.push(name.to_owned());
        if let Ok(relation) = resolve_relation(schema, entity, name, &SystemView, "") {
            let far = match relation.to {
                RelationTo::Inverse(inverse) => inverse.entity,
                RelationTo::References(_, target) => target,
            };
            self.wanted.take(&path);
            return Shape::Records(far, path);
        }
        match SystemView.field(def, name) {
            Some(field) => {
                self.wanted.take(&path);
                match (&field.role, field.targets.as_slice()) {
                    (Role::Reference(_), [target]) => Shape::Record(*target, path),
                    (Role::Secret, _) => {
                        self.fault(at, format!("`{name}` is a secret, and is never shown"), None);
                        Shape::Unknown
                    }
                    _ => Shape::Value(path),
                }
            }
            None if name == "title" => {
                self.wanted.take(&path);
                Shape::Value(path)
            }
            None if def.clocks.iter().any(|clock| clock.name.as_str() == name) => {
                path.pop();
                Shape::Clock(entity, path, name.to_owned())
            }
            None => {
                let names = def.fields.iter().filter(|field| !field.inner()).map(|field| field.name.as_str());
                let hint = likely(name, names.chain(def.inverses.keys().map(model::Name::as_str)));
                self.fault(at, format!("`{}` has no field `{name}`", def.name), hint);
                Shape::Unknown
            }
        }
    }

    fn filter(&mut self, at: Span, filter: &Filter<'_>) -> Shape {
        let Some(expr) = &filter.expr else { return Shape::Plain };
        let name = match filter.name {
            "d" => "default",
            "e" => "escape",
            "count" => "length",
            other => other,
        };
        let Some(known) = FILTERS.iter().find(|known| known.name == name) else {
            self.fault(at, format!("there is no filter `{name}`"), likely(name, FILTERS.iter().map(|known| known.name)));
            self.shape(expr);
            return Shape::Unknown;
        };
        match known.takes {
            Takes::Text => {
                let shape = self.read(expr);
                self.arguments(&filter.args);
                if let ("image", Shape::Value(path)) = (name, &shape) {
                    let path: Vec<String> = path.iter().cloned().chain([PICTURE.to_owned()]).collect();
                    self.wanted.take(&path);
                }
                match shape {
                    Shape::Records(..) | Shape::Things(..) => {
                        self.fault(at, format!("`{name}` is put on a value, not on a list"), None);
                        Shape::Unknown
                    }
                    // What stands in for it is shown as it is.
                    Shape::Value(_) if name == "default" => Shape::Value(Vec::new()),
                    _ => Shape::Plain,
                }
            }
            Takes::Number => {
                self.plain(expr);
                self.arguments(&filter.args);
                Shape::Plain
            }
            Takes::List => {
                let list = self.shape(expr);
                if matches!(list, Shape::Record(..) | Shape::Thing(..) | Shape::Clock(..) | Shape::Settings | Shape::Value(_)) {
                    self.fault(at, format!("`{name}` is put on a list"), None);
                    return Shape::Unknown;
                }
                self.by_fields(at, known.attribute, &list, &filter.args);
                match (known.gives, list) {
                    (_, Shape::Unknown) => Shape::Unknown,
                    (Gives::Plain, _) | (_, Shape::Plain) => Shape::Plain,
                    (Gives::Value, _) => Shape::Value(Vec::new()),
                    (Gives::Same, list) => list,
                    (Gives::One, Shape::Records(entity, path)) => Shape::Record(entity, path),
                    (Gives::One, Shape::Things(thing, path)) => Shape::Thing(thing, path),
                    (Gives::One, _) => Shape::Unknown,
                }
            }
        }
    }

    /// The arguments of a filter over a list: `attribute` names a field of each.
    fn by_fields(&mut self, at: Span, takes_attribute: bool, list: &Shape, arguments: &[CallArg<'_>]) {
        let mut named = false;
        for argument in arguments {
            let (expr, is_attribute) = match argument {
                CallArg::Kwarg("attribute", expr) => (expr, true),
                CallArg::Pos(expr) if takes_attribute && !named && arguments.len() == 1 && !matches!(list, Shape::Plain) => {
                    (expr, !matches!(expr, Expr::Const(constant) if constant.value.as_str().is_none()))
                }
                CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => (expr, false),
            };
            if !is_attribute {
                self.plain(expr);
                continue;
            }
            named = true;
            let text = match expr {
                Expr::Const(constant) => constant.value.as_str().map(str::to_owned),
                _ => None,
            };
            let Some(text) = text else {
                self.fault(expr.span(), "the field is named as it stands: `attribute=\"amount\"`", None);
                continue;
            };
            let mut here = match list.clone() {
                Shape::Records(entity, path) => Shape::Record(entity, path),
                Shape::Things(thing, path) => Shape::Thing(thing, path),
                other => other,
            };
            for part in text.split('.') {
                here = self.member(expr.span(), here, part);
            }
            if let Shape::Record(_, path) = &here {
                self.wanted.take(path);
            }
        }
        let of_records = matches!(list, Shape::Records(..) | Shape::Things(..));
        if takes_attribute && of_records && !named {
            self.fault(at, "say by which field: `attribute=\"amount\"`", None);
        }
    }
}
