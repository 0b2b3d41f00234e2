//! In charge of filters whose names are resolved and whose kinds fit, ready for any person, record and moment.
//! Reading order: `TypedFilter::compile` (names and kinds), `TypedFilter::bind` (placeholders).
//! Invariant: every fault is found at once; binding cannot fail.
//! Invariant: negation is plain and is pushed to the leaves; a leaf without a value is false in either polarity.

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use model::fault::escape_pointer;
use model::field::{ColumnUse, Comparable, Role};
use model::{Code, EntityId, FieldDef, Filter, Message, Op, Schema, Slot, Storage, Value, Violation};

use super::dates::{Within, day_start};
use super::held::{Floor, exact, floor};
pub use super::operand::Params;
use super::operand::{self, Item, not_usable};
use super::path::{Path, Relation, RelationTo, View, resolve_path, resolve_relation, to_target_in_sight};
use super::predicate::{Column, Compare, Leaf, Moment, Predicate, Related, RelatedVia, Test};
use crate::expr::{ClockExpr, Expression, Place, Use};

/// A filter with its names resolved.
#[derive(Clone, Debug)]
pub struct TypedFilter {
    root: Node,
    reads: Arc<[Path]>,
    uses_clock: bool,
    uses_person: bool,
    uses_relations: bool,
}

#[derive(Clone, Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Leaf(Box<LeafNode>),
    Related(Box<RelatedNode>),
}

#[derive(Clone, Debug)]
struct LeafNode {
    path: Path,
    /// For a reference whose targets are not all in sight: the target's id, with its slot.
    target: Option<(Path, Slot)>,
    source: Source,
    storage: Storage,
    comparable: Comparable,
    op: Op,
    right: Right,
}

#[derive(Clone, Debug)]
enum Source {
    Slot(Slot),
    Clock(Arc<ClockExpr>),
}

#[derive(Clone, Debug)]
enum Right {
    Nothing,
    Items(Vec<Item>),
    Within(Within),
    Field(Path, Source),
    /// Below the top in the tree of this entity along this field.
    Under(EntityId, model::FieldId, Item),
}

#[derive(Clone, Debug)]
struct RelatedNode {
    relation: Relation,
    rows: Arc<Predicate>,
    filter: Node,
    negated: bool,
    /// Whether the inner filter is to be negated: `every` is "none that does not".
    inner_negated: bool,
}

/// What a filter is read with.
pub(super) struct Reading<'a> {
    pub(super) schema: &'a Schema,
    pub(super) view: &'a dyn View,
    /// The entity of the record that `$record` stands for.
    pub(super) record: Option<EntityId>,
}

impl TypedFilter {
    /// Every record.
    #[must_use]
    pub fn everything() -> Self {
        Self { root: Node::All(Vec::new()), reads: Arc::new([]), uses_clock: false, uses_person: false, uses_relations: false }
    }

    /// Resolves `filter` over `entity` as `view` shows it; pointers are from `at` on.
    ///
    /// # Errors
    /// Every fault found.
    pub fn compile(schema: &Schema, entity: EntityId, filter: &Filter, view: &dyn View, at: &str) -> Result<Self, Vec<Violation>> {
        Self::compile_with_record(schema, entity, filter, view, at, Some(entity))
    }

    /// The same with `$record` standing for a record of another entity, or of none.
    ///
    /// # Errors
    /// Every fault found.
    pub fn compile_with_record(
        schema: &Schema,
        entity: EntityId,
        filter: &Filter,
        view: &dyn View,
        at: &str,
        record: Option<EntityId>,
    ) -> Result<Self, Vec<Violation>> {
        let mut compiling = Compiling {
            cx: Reading { schema, view, record },
            faults: Vec::new(),
            reads: Vec::new(),
            uses_clock: false,
            uses_person: false,
            uses_relations: false,
        };
        let root = compiling.node(entity, filter, at);
        match root {
            Some(root) if compiling.faults.is_empty() => Ok(Self {
                root,
                reads: compiling.reads.into(),
                uses_clock: compiling.uses_clock,
                uses_person: compiling.uses_person,
                uses_relations: compiling.uses_relations,
            }),
            _ => Err(compiling.faults),
        }
    }

    /// The filter for this person, record and moment.
    #[must_use]
    pub fn bind(&self, schema: &Schema, params: &Params<'_>) -> Predicate {
        Binding { schema, params }.node(&self.root, false, false)
    }

    /// The fields that it looks at, over references too; those of related records are not among them.
    #[must_use]
    pub fn reads(&self) -> &[Path] {
        &self.reads
    }

    /// Whether it depends on the time.
    #[must_use]
    pub fn uses_clock(&self) -> bool {
        self.uses_clock
    }

    /// Whether it depends on the person.
    #[must_use]
    pub fn uses_person(&self) -> bool {
        self.uses_person
    }

    /// Whether it asks about related records: `some`, `none`, `every`.
    #[must_use]
    pub fn uses_relations(&self) -> bool {
        self.uses_relations
    }
}

struct Compiling<'a> {
    cx: Reading<'a>,
    faults: Vec<Violation>,
    reads: Vec<Path>,
    uses_clock: bool,
    uses_person: bool,
    uses_relations: bool,
}

impl Compiling<'_> {
    fn node(&mut self, entity: EntityId, filter: &Filter, at: &str) -> Option<Node> {
        match filter {
            Filter::All { all } => self.list(entity, all, &format!("{at}/all")).map(Node::All),
            Filter::Any { any } => self.list(entity, any, &format!("{at}/any")).map(Node::Any),
            Filter::Not { not } => self.node(entity, not, &format!("{at}/not")).map(|node| Node::Not(Box::new(node))),
            Filter::Some { some, filter } => self.related(entity, some, filter.as_deref(), at, "some", (false, false)),
            Filter::None { none, filter } => self.related(entity, none, filter.as_deref(), at, "none", (true, false)),
            Filter::Every { every, filter } => self.related(entity, every, filter.as_deref(), at, "every", (true, true)),
            Filter::Leaf { field, op, value } => match self.leaf(entity, field, *op, value.as_ref(), at) {
                Ok(leaf) => Some(Node::Leaf(Box::new(leaf))),
                Err(faults) => {
                    self.faults.extend(faults);
                    None
                }
            },
        }
    }

    fn list(&mut self, entity: EntityId, filters: &[Filter], at: &str) -> Option<Vec<Node>> {
        let nodes: Vec<Option<Node>> =
            filters.iter().enumerate().map(|(index, filter)| self.node(entity, filter, &format!("{at}/{index}"))).collect();
        nodes.into_iter().collect()
    }

    fn related(&mut self, entity: EntityId, path: &str, filter: Option<&Filter>, at: &str, word: &str, negations: (bool, bool)) -> Option<Node> {
        let relation = match resolve_relation(self.cx.schema, entity, path, self.cx.view, &format!("{at}/{word}")) {
            Ok(relation) => relation,
            Err(fault) => {
                self.faults.push(fault);
                return None;
            }
        };
        let far = match &relation.to {
            RelationTo::Inverse(inverse) => inverse.entity,
            RelationTo::References(_, entity) => *entity,
        };
        self.uses_relations = true;
        let outer = std::mem::take(&mut self.reads);
        let filter = match filter {
            Some(filter) => self.node(far, filter, &format!("{at}/where")),
            None => Some(Node::All(Vec::new())),
        };
        self.reads = outer;
        let rows = self.cx.view.rows(far);
        Some(Node::Related(Box::new(RelatedNode { relation, rows, filter: filter?, negated: negations.0, inner_negated: negations.1 })))
    }

    fn leaf(&mut self, entity: EntityId, name: &str, op: Op, value: Option<&serde_json::Value>, at: &str) -> Result<LeafNode, Vec<Violation>> {
        let one = |fault: Violation| vec![fault];
        let path = resolve_path(self.cx.schema, entity, name, self.cx.view, &format!("{at}/field")).map_err(one)?;
        let def = self.cx.schema.entity(path.entity);
        let field = path.target(self.cx.schema);
        if !self.cx.view.comparable(def, field) {
            return Err(one(Violation::at(format!("{at}/field"), Code::Malformed, Message::new("bad_operator").with("op", op.as_str()))));
        }
        let Some(typed) = field.typed.clone() else { return Err(one(not_usable(&format!("{at}/op"), op))) };
        if !(typed.operators().contains(&op) || op == Op::Under && field.name.as_str() == "id") {
            return Err(one(not_usable(&format!("{at}/op"), op)));
        }
        let (source, storage) = self.source(path.entity, field, typed.comparable()).ok_or_else(|| one(not_usable(&format!("{at}/op"), op)))?;
        let right = self.right(entity, field, op, value, &format!("{at}/value"))?;
        if !self.reads.contains(&path) {
            self.reads.push(path.clone());
        }
        let target = if op == Op::Under { None } else { to_target_in_sight(self.cx.schema, &path, self.cx.view) };
        let target = target.and_then(|path| path.target(self.cx.schema).slot().map(|slot| (path, slot)));
        Ok(LeafNode { path, target, source, storage, comparable: typed.comparable(), op, right })
    }

    /// What of a field is compared.
    fn source(&mut self, entity: EntityId, field: &FieldDef, comparable: Comparable) -> Option<(Source, Storage)> {
        let def = self.cx.schema.entity(entity);
        if field.on_read {
            let Role::Formula { expression, .. } = &field.role else { return None };
            let place = Place { app: field.app.as_str(), ..Place::of(self.cx.schema, entity, Use::Formula) };
            let compiled = Expression::compile_at(place, expression).ok()?;
            self.uses_clock = true;
            return compiled.on_read().map(|clock| (Source::Clock(Arc::new(clock.clone())), Storage::Int));
        }
        let slot = match comparable {
            Comparable::Folded => field.slots.clone().find(|slot| def.columns.get(*slot).is_some_and(|column| column.purpose == ColumnUse::Fold)),
            Comparable::Nothing | Comparable::Scalar | Comparable::List => None,
        };
        let slot = slot.or(field.slot())?;
        Some((Source::Slot(slot), def.columns.get(slot)?.storage))
    }

    fn right(&mut self, entity: EntityId, field: &FieldDef, op: Op, value: Option<&serde_json::Value>, at: &str) -> Result<Right, Vec<Violation>> {
        let one = |fault: Violation| vec![fault];
        if matches!(op, Op::IsEmpty | Op::IsSet) {
            return match value {
                None => Ok(Right::Nothing),
                Some(_) => Err(one(Violation::at(at, Code::Malformed, Message::new("no_value_here")))),
            };
        }
        let value = value.ok_or_else(|| one(Violation::at(at, Code::Malformed, Message::new("required"))))?;
        if op == Op::Within {
            self.uses_clock = true;
            return Within::parse(value).map(Right::Within).ok_or_else(|| one(Violation::at(at, Code::Malformed, Message::new("bad_within"))));
        }
        if let Some(name) = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("field")).and_then(serde_json::Value::as_str) {
            return self.other_field(entity, field, op, name, at).map_err(one);
        }
        if op == Op::Under {
            return self.under(field, value, at).map_err(one);
        }
        let items = match (op, value) {
            (Op::In | Op::NotIn, serde_json::Value::Array(items)) => {
                items.iter().enumerate().map(|(index, item)| (format!("{at}/{index}"), item)).collect()
            }
            (Op::Between, serde_json::Value::Array(items)) if items.len() == 2 => {
                items.iter().enumerate().map(|(index, item)| (format!("{at}/{index}"), item)).collect()
            }
            (Op::Between, _) => return Err(one(Violation::at(at, Code::Malformed, Message::new("wrong_type").with("expected", "[…, …]")))),
            (Op::In | Op::NotIn, item) if !item.as_str().is_some_and(|text| text.starts_with('$')) => {
                return Err(one(Violation::at(at, Code::Malformed, Message::new("wrong_type").with("expected", "[…]"))));
            }
            (_, item) => vec![(at.to_owned(), item)],
        };
        let (mut read, mut faults) = (Vec::new(), Vec::new());
        for (at, item) in items {
            match operand::read(&self.cx, field, op, item, &at) {
                Ok(item) => {
                    self.uses_clock |= item.is_of_the_clock();
                    self.uses_person |= item.is_personal();
                    read.push(item);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Right::Items(read)) } else { Err(faults) }
    }

    fn other_field(&mut self, entity: EntityId, field: &FieldDef, op: Op, name: &str, at: &str) -> Result<Right, Violation> {
        let wrong = || Violation::at(at, Code::Malformed, Message::new("fields_do_not_compare"));
        if !matches!(op, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge) {
            return Err(not_usable(at, op));
        }
        let path = resolve_path(self.cx.schema, entity, name, self.cx.view, &format!("{at}/field"))?;
        let other = path.target(self.cx.schema);
        let def = self.cx.schema.entity(path.entity);
        let (Some(a), Some(b)) = (&field.typed, &other.typed) else { return Err(wrong()) };
        if !self.cx.view.comparable(def, other) || a.comparable() != b.comparable() || a.comparable() == Comparable::List {
            return Err(wrong());
        }
        let (source, storage) = self.source(path.entity, other, b.comparable()).ok_or_else(wrong)?;
        let own = a.columns().first().map(|column| column.storage);
        let numbers = |storage: Storage| matches!(storage, Storage::Int | Storage::Decimal(_));
        let fits = a.comparable() == Comparable::Folded || own == Some(storage) || (own.is_some_and(numbers) && numbers(storage));
        if !fits {
            return Err(wrong());
        }
        if !self.reads.contains(&path) {
            self.reads.push(path.clone());
        }
        Ok(Right::Field(path, source))
    }

    fn under(&mut self, field: &FieldDef, value: &serde_json::Value, at: &str) -> Result<Right, Violation> {
        let target = match field.targets.first() {
            Some(target) => *target,
            None => self
                .cx
                .schema
                .entities
                .iter()
                .find(|def| def.fields.iter().any(|there| std::ptr::eq(there, field)))
                .map(|def| def.id)
                .ok_or_else(|| not_usable(at, Op::Under))?,
        };
        let tree = self.cx.schema.entity(target).tree.ok_or_else(|| not_usable(at, Op::Under))?;
        let item = operand::read(&self.cx, field, Op::Under, value, &escape_at(at))?;
        self.uses_person |= item.is_personal();
        Ok(Right::Under(target, tree, item))
    }
}

fn escape_at(at: &str) -> String {
    at.split('/').map(escape_pointer).collect::<Vec<_>>().join("/")
}

struct Binding<'a> {
    schema: &'a Schema,
    params: &'a Params<'a>,
}

impl Binding<'_> {
    /// `absent` is what a leaf without a value becomes: false for the record that is asked about, and so true for the
    /// related records of which none may fit.
    fn node(&self, node: &Node, negated: bool, absent: bool) -> Predicate {
        let parts = |nodes: &[Node]| nodes.iter().map(|node| self.node(node, negated, absent)).collect();
        match node {
            Node::All(nodes) if negated => Predicate::any(parts(nodes)),
            Node::All(nodes) => Predicate::all(parts(nodes)),
            Node::Any(nodes) if negated => Predicate::all(parts(nodes)),
            Node::Any(nodes) => Predicate::any(parts(nodes)),
            Node::Not(node) => self.node(node, !negated, absent),
            Node::Leaf(leaf) => self.leaf(leaf, negated, absent),
            Node::Related(related) => {
                let via = match &related.relation.to {
                    RelationTo::Inverse(inverse) => RelatedVia::Inverse(inverse.clone()),
                    RelationTo::References(field, entity) => RelatedVia::References(*field, *entity),
                };
                let negated = related.negated != negated;
                Predicate::Related(Related {
                    hops: related.relation.hops.clone(),
                    entity: related.relation.entity,
                    via,
                    rows: Arc::clone(&related.rows),
                    filter: Box::new(self.node(&related.filter, related.inner_negated, absent != negated)),
                    negated,
                })
            }
        }
    }

    fn column(&self, source: &Source) -> Column {
        match source {
            Source::Slot(slot) => Column::Slot(*slot),
            Source::Clock(clock) => Column::Clock(Arc::clone(clock), Moment { today: self.params.today(), now: self.params.now }),
        }
    }

    fn leaf(&self, leaf: &LeafNode, negated: bool, absent: bool) -> Predicate {
        let is_negative = matches!(leaf.op, Op::Ne | Op::NotIn | Op::NotContains | Op::IsSet);
        let negated = negated != is_negative;
        let Some(tests) = self.tests(leaf, negated) else { return if absent { Predicate::True } else { Predicate::False } };
        let make = |test: Option<Test>| match test {
            Some(test) => self.tested(leaf, test, negated),
            // A comparison that no value of the column can pass.
            None if negated => Predicate::True,
            None => Predicate::False,
        };
        match tests {
            Tests::Any(tests) if negated => Predicate::all(tests.into_iter().map(make).collect()),
            Tests::Any(tests) => Predicate::any(tests.into_iter().map(make).collect()),
            Tests::All(tests) if negated => Predicate::any(tests.into_iter().map(make).collect()),
            Tests::All(tests) => Predicate::all(tests.into_iter().map(make).collect()),
        }
    }

    /// One test of a leaf. A reference whose target is out of sight counts as empty.
    fn tested(&self, leaf: &LeafNode, test: Test, negated: bool) -> Predicate {
        let own = |test| Predicate::Leaf(Leaf { path: leaf.path.clone(), column: self.column(&leaf.source), test, negated });
        let Some((path, slot)) = &leaf.target else { return own(test) };
        let far = |test| Predicate::Leaf(Leaf { path: path.clone(), column: Column::Slot(*slot), test, negated });
        if negated || test == Test::Empty {
            return far(test);
        }
        // The reference itself, too: an index finds it.
        Predicate::all(vec![own(test.clone()), far(test)])
    }

    /// The tests of a leaf, which is to be `negated`; none where a placeholder has no value.
    fn tests(&self, leaf: &LeafNode, negated: bool) -> Option<Tests> {
        let one = |test: Test| Some(Tests::Any(vec![Some(test)]));
        match &leaf.right {
            Right::Nothing => one(Test::Empty),
            Right::Within(within) => one(self.within(leaf, *within)),
            Right::Field(path, source) => {
                let compare = match leaf.op {
                    Op::Lt => Compare::Less,
                    Op::Le => Compare::LessEqual,
                    Op::Gt => Compare::Greater,
                    Op::Ge => Compare::GreaterEqual,
                    _ => Compare::Equal,
                };
                one(Test::Field(compare, path.clone(), self.column(source)))
            }
            Right::Under(entity, parent, item) => {
                let tops: Vec<_> = item.values(self.schema, self.params).iter().filter_map(Value::as_uuid).collect();
                if tops.is_empty() {
                    return None;
                }
                Some(Tests::Any(tops.into_iter().map(|top| Some(Test::Under { entity: *entity, parent: *parent, top })).collect()))
            }
            Right::Items(items) => self.items(leaf, items, negated),
        }
    }

    fn items(&self, leaf: &LeafNode, items: &[Item], negated: bool) -> Option<Tests> {
        let values: Vec<Vec<Value>> = items.iter().map(|item| item.values(self.schema, self.params)).collect();
        let missing = values.iter().any(Vec::is_empty);
        let values: Vec<Value> = values.into_iter().flatten().map(|value| self.comparable(leaf, value)).collect();
        match leaf.op {
            Op::In | Op::NotIn => {
                // A list of its own may be empty. A placeholder that stands for nothing is no item of the list; where
                // that would widen the list's opposite, or nothing else is there, the leaf has no value.
                if missing && (negated || values.is_empty()) {
                    return None;
                }
                if leaf.storage == Storage::Timestamp && values.iter().any(|value| matches!(value, Value::Date(_))) {
                    return Some(Tests::Any(values.into_iter().map(|value| self.equal(leaf, value)).collect()));
                }
                let fitting: Vec<Value> = values.into_iter().filter_map(|value| exact(leaf.storage, value)).collect();
                Some(Tests::Any(vec![Some(Test::In(fitting))]))
            }
            Op::Between => {
                let [low, high] = <[Value; 2]>::try_from(values).ok().filter(|_| !missing)?;
                Some(Tests::All(vec![self.ordered(leaf, Op::Ge, low), self.ordered(leaf, Op::Le, high)]))
            }
            _ if missing => None,
            // A placeholder may stand for several values: one that fits is enough.
            op => Some(Tests::Any(values.into_iter().map(|value| self.single(leaf, op, value)).collect())),
        }
    }

    fn single(&self, leaf: &LeafNode, op: Op, value: Value) -> Option<Test> {
        let text = |value: &Value| value.as_text().map(Arc::from);
        match op {
            Op::Eq | Op::Ne => self.equal(leaf, value),
            Op::Contains | Op::NotContains if leaf.comparable == Comparable::List => Some(Test::Has(value)),
            Op::Contains | Op::NotContains => text(&value).map(Test::Contains),
            Op::StartsWith => text(&value).map(Test::StartsWith),
            Op::EndsWith => text(&value).map(Test::EndsWith),
            op => self.ordered(leaf, op, value),
        }
    }

    fn equal(&self, leaf: &LeafNode, value: Value) -> Option<Test> {
        match (leaf.storage, &value) {
            (Storage::Timestamp, Value::Date(day)) => Some(self.day_range(Some(*day), next(*day))),
            _ => exact(leaf.storage, value).map(Test::Equal),
        }
    }

    fn day_range(&self, from: Option<NaiveDate>, until: Option<NaiveDate>) -> Test {
        let moment = |day: NaiveDate| Value::Timestamp(day_start(day, self.params.zone));
        Test::Range(from.map(moment), until.map(moment))
    }

    fn ordered(&self, leaf: &LeafNode, op: Op, value: Value) -> Option<Test> {
        if let (Storage::Timestamp, Value::Date(day)) = (leaf.storage, &value) {
            let moment = |day: NaiveDate| Value::Timestamp(day_start(day, self.params.zone));
            return match op {
                Op::Lt => Some(Test::Less(moment(*day))),
                Op::Le => next(*day).map(|next| Test::Less(moment(next))),
                Op::Gt => next(*day).map(|next| Test::GreaterEqual(moment(next))),
                _ => Some(Test::GreaterEqual(moment(*day))),
            };
        }
        Some(match (op, floor(leaf.storage, &value)?) {
            (Op::Lt, Floor::Same(value)) => Test::Less(value),
            (Op::Le, Floor::Same(value)) | (Op::Lt | Op::Le, Floor::Below(value)) => Test::LessEqual(value),
            (Op::Ge, Floor::Same(value)) => Test::GreaterEqual(value),
            (_, Floor::Same(value) | Floor::Below(value)) => Test::Greater(value),
            (Op::Lt | Op::Le, Floor::Nothing(_)) => return None,
            (_, Floor::Nothing(least)) => Test::GreaterEqual(least),
        })
    }

    /// A value in the form that its column is compared in.
    fn comparable(&self, leaf: &LeafNode, value: Value) -> Value {
        match (leaf.comparable, leaf.storage, &value) {
            (Comparable::Folded, _, Value::Text(text)) => Value::Text(model::text::fold(text).into()),
            (_, Storage::Int | Storage::Decimal(_), Value::Text(digits)) => crate::expr::decimal(digits).map(Value::Decimal).unwrap_or(value),
            (_, Storage::Date, Value::Timestamp(moment)) => Value::Date(moment.with_timezone(&self.params.zone).date_naive()),
            _ => value,
        }
    }

    fn within(&self, leaf: &LeafNode, within: Within) -> Test {
        let today = self.params.today();
        match (leaf.storage, within) {
            (Storage::Timestamp, Within::Past) => Test::Less(Value::Timestamp(self.params.now)),
            (Storage::Timestamp, Within::Future) => Test::Greater(Value::Timestamp(self.params.now)),
            (Storage::Timestamp, within) => {
                let (from, until) = within.days(today);
                self.day_range(from, until)
            }
            (_, within) => {
                let (from, until) = within.days(today);
                Test::Range(from.map(Value::Date), until.map(Value::Date))
            }
        }
    }
}

enum Tests {
    Any(Vec<Option<Test>>),
    All(Vec<Option<Test>>),
}

fn next(day: NaiveDate) -> Option<NaiveDate> {
    day.checked_add_days(Days::new(1))
}
