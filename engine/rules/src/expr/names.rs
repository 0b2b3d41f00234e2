//! In charge of what names in an expression mean: fields, references walked, stages, settings, given things.
//! Reading order: `Here` (where a chain of names has come), `Names::begin`, `Names::step`, `Names::value`.
//! Invariant: a name resolves against the schema, or there is a fault at its place with the likely meant name.

use std::sync::Arc;

use model::field::Role;
use model::filter::MAX_HOPS;
use model::{EntityDef, EntityId, FieldDef};

use super::functions::FUNCTIONS;
use super::kind::Kind;
use super::node::{Cell, Given, Node, Read, Root, StageAttribute, same_path};
use super::{ExpressionFault, Place, Spot, Use, stage};
use crate::query::{Hop, Path, Predicate, likely};

/// Why nothing is told by `name` of something that tells more than one thing.
pub(crate) fn untold(entity: &EntityDef, of: &str, name: &str) -> String {
    match (entity.clocks.iter().any(|clock| clock.name == *of), of) {
        (true, _) => format!("the clock `{of}` tells no `{name}`"),
        (false, "approvals") => format!("no flow `{name}` is about `{}`", entity.name),
        (false, _) => format!("`{of}` tells no `{name}`"),
    }
}

/// Why something that tells more than one thing is no value by itself.
fn unnamed(entity: &EntityDef, of: &str) -> String {
    let first = entity.parts(of).first().copied().unwrap_or_default();
    match (entity.clocks.iter().any(|clock| clock.name == *of), of) {
        (true, _) => format!("`{of}` is a clock; name what it tells, as {of}.state"),
        (false, "approvals") => format!("`{of}` are many; name one, as {of}.{first}.state"),
        (false, _) => format!("name what `{of}` tells, as {of}.{first}"),
    }
}

/// A node with what the check knows of it.
#[derive(Debug)]
pub(super) struct Typed {
    pub node: Node,
    pub kind: Kind,
    /// The names that it may hold, for choices and stages.
    pub options: Option<Vec<String>>,
    /// What the items of a list are, where that is known.
    pub items: Kind,
}

impl Typed {
    pub fn new(node: Node, kind: Kind) -> Self {
        Self { node, kind, options: None, items: Kind::Any }
    }

    /// Stands where there was a fault, so that the check goes on.
    pub fn unknown() -> Self {
        Self::new(Node::EMPTY, Kind::Any)
    }
}

/// Where a chain of names has come; closed.
pub(super) enum Here<'a> {
    /// A record.
    Record { root: Root, hops: Vec<Hop>, entity: &'a EntityDef },
    /// A field of a record.
    Field { root: Root, hops: Vec<Hop>, entity: &'a EntityDef, field: &'a FieldDef },
    /// Something that a record tells more than one thing of: a clock, its flows, one of them.
    Part { root: Root, hops: Vec<Hop>, entity: &'a EntityDef, of: String },
    /// The app's settings.
    Settings,
    /// Things given under one name, by key.
    Given(&'a str, &'a Given),
    /// A value.
    Value(Typed),
}

/// Resolves names and remembers what was read.
pub(super) struct Names<'a> {
    pub place: Place<'a>,
    pub faults: Vec<ExpressionFault>,
    pub reads: Vec<Path>,
    /// What was read of records that are given, by name.
    pub given_reads: Vec<(Arc<str>, Path)>,
}

impl<'a> Names<'a> {
    /// Adds a fault.
    pub fn fault(&mut self, spot: Spot, message: impl Into<String>) {
        self.faults.push(ExpressionFault::new(spot, message));
    }

    fn fault_with(&mut self, spot: Spot, message: impl Into<String>, hint: Option<String>) {
        self.faults.push(ExpressionFault { hint, ..ExpressionFault::new(spot, message) });
    }

    fn own(&self) -> &'a EntityDef {
        self.place.schema.entity(self.place.entity)
    }

    /// What a chain that begins with `name` stands at.
    pub fn begin(&mut self, name: &str, spot: Spot) -> Option<Here<'a>> {
        if let Some((name, given)) = self.place.given.iter().find(|(there, _)| there == name) {
            return Some(match given {
                Given::Record(entity) => self.record(Root::Given(name.as_str().into()), *entity),
                Given::Value(kind) => Here::Value(Typed::new(Node::Given(name.as_str().into(), None), *kind)),
                Given::Values | Given::Fields(_) | Given::Records(_) => Here::Given(name, given),
            });
        }
        let in_formula = self.place.usage == Use::Formula;
        match name {
            "record" => Some(self.record(Root::Record, self.place.entity)),
            "settings" => Some(Here::Settings),
            "old" if in_formula => {
                self.fault(spot, "a formula has no past: `old` cannot be used here");
                None
            }
            "old" => Some(self.record(Root::Old, self.place.entity)),
            "me" if in_formula => {
                self.fault(spot, "a formula is the same for everybody: `me` cannot be used here");
                None
            }
            "me" => match self.place.schema.find("core.user") {
                Some(user) => Some(self.record(Root::Me, user.id)),
                None => {
                    self.fault(spot, "there are no users here");
                    None
                }
            },
            _ => self.field(Root::Record, Vec::new(), self.own(), name, spot, true),
        }
    }

    fn record(&self, root: Root, entity: EntityId) -> Here<'a> {
        Here::Record { root, hops: Vec::new(), entity: self.place.schema.entity(entity) }
    }

    /// One name further.
    pub fn step(&mut self, here: Here<'a>, name: &str, spot: Spot) -> Option<Here<'a>> {
        match here {
            Here::Record { root, hops, entity } => self.field(root, hops, entity, name, spot, false),
            Here::Field { root, hops, entity, field } => self.below(root, hops, entity, field, name, spot),
            Here::Part { root, hops, entity, of } => self.part(root, hops, entity, &of, name, spot),
            Here::Settings => self.setting(name, spot),
            Here::Given(given_name, given) => self.given(given_name, given, name, spot),
            Here::Value(typed) => match typed.kind {
                Kind::Structure | Kind::Any | Kind::Empty => Some(Here::Value(Typed::new(Node::Part(Box::new(typed.node), name.into()), Kind::Any))),
                kind => {
                    self.fault(spot, format!("{} has no part `{name}`", kind.word(self.place.schema)));
                    None
                }
            },
        }
    }

    /// A field of `entity`.
    fn field(&mut self, root: Root, hops: Vec<Hop>, entity: &'a EntityDef, name: &str, spot: Spot, is_bare: bool) -> Option<Here<'a>> {
        if let Some(field) = entity.find(name) {
            return Some(Here::Field { root, hops, entity, field });
        }
        if !entity.parts(name).is_empty() {
            return Some(Here::Part { root, hops, entity, of: name.to_owned() });
        }
        if entity.inverses.contains_key(name) {
            self.fault(spot, format!("`{name}` is many records; roll them up in a field and use that"));
            return None;
        }
        let mut known: Vec<&str> = entity.fields.iter().map(|field| field.name.as_str()).collect();
        if is_bare {
            known.extend(["record", "old", "me", "settings"]);
            known.extend(self.place.given.iter().map(|(name, _)| name.as_str()));
            if FUNCTIONS.iter().any(|function| function.name == name) {
                self.fault_with(spot, format!("`{name}` is a function"), Some(format!("write {name}(…)")));
                return None;
            }
        }
        let hint = likely(name, known).map(|name| name.to_owned());
        self.fault_with(spot, format!("`{}` has no field `{name}`", entity.name), hint);
        None
    }

    /// What is behind a field: the record that it refers to, an attribute of a stage, a part of a structure.
    fn below(&mut self, root: Root, mut hops: Vec<Hop>, entity: &'a EntityDef, field: &'a FieldDef, name: &str, spot: Spot) -> Option<Here<'a>> {
        if let (Role::Reference(_), [target]) = (&field.role, field.targets.as_slice()) {
            if hops.len() >= MAX_HOPS {
                self.fault(spot, format!("a path may walk {MAX_HOPS} references at most"));
                return None;
            }
            hops.push(Hop { from: entity.id, field: field.id, to: *target, rows: Arc::new(Predicate::True) });
            return self.field(root, hops, self.place.schema.entity(*target), name, spot, false);
        }
        if let Some(stages) = stage::stages_of(self.place.schema, entity, field) {
            let Some((_, attribute)) = StageAttribute::ALL.into_iter().find(|(there, _)| *there == name) else {
                let known = StageAttribute::ALL.map(|(name, _)| name);
                self.fault_with(spot, format!("a stage has no `{name}`"), likely(name, known).map(|name| name.to_owned()));
                return None;
            };
            if let Some(by) = stages.by.and_then(|slot| entity.columns.get(slot)) {
                self.remember(&root, Path { hops: hops.clone(), field: by.field, entity: entity.id });
            }
            let kind = if attribute == StageAttribute::Probability { Kind::Number } else { Kind::Text };
            let slot = field.slot()?;
            return Some(Here::Value(self.read(root, hops, entity, field, Cell::Stage(slot, attribute, stages), kind)));
        }
        if let Some((_, slot)) = parts_of(entity, field).iter().find(|(part, _)| *part == name) {
            let kind = entity.columns.get(*slot).map_or(Kind::Any, |column| Kind::stored_as(column.storage));
            return Some(Here::Value(self.read(root, hops, entity, field, Cell::Slot(*slot), kind)));
        }
        let typed = self.value(Here::Field { root, hops, entity, field }, spot);
        self.step(Here::Value(typed), name, spot)
    }

    /// What a clock or a flow tells: `first_reply.state`, `approvals.discount.state`.
    fn part(&mut self, root: Root, hops: Vec<Hop>, entity: &'a EntityDef, of: &str, name: &str, spot: Spot) -> Option<Here<'a>> {
        let full = format!("{of}.{name}");
        if let Some(field) = entity.find(&full).filter(|field| !field.inner()) {
            return Some(Here::Field { root, hops, entity, field });
        }
        if !entity.parts(&full).is_empty() {
            return Some(Here::Part { root, hops, entity, of: full });
        }
        let hint = likely(name, entity.parts(of)).map(|name| name.to_owned());
        self.fault_with(spot, untold(entity, of, name), hint);
        None
    }

    fn setting(&mut self, name: &str, spot: Spot) -> Option<Here<'a>> {
        let app = self.place.schema.apps.get(self.place.app);
        let Some(field) = app.and_then(|app| app.app.settings.get(name)) else {
            let known: Vec<&str> = app.iter().flat_map(|app| app.app.settings.keys()).map(|name| name.as_str()).collect();
            self.fault_with(spot, format!("there is no setting `{name}`"), likely(name, known).map(|name| name.to_owned()));
            return None;
        };
        let Some(storage) = model::schema::storage_of(field) else {
            self.fault(spot, format!("the setting `{name}` has no value of its own"));
            return None;
        };
        Some(Here::Value(Typed::new(Node::Setting(name.into(), storage), Kind::stored_as(storage))))
    }

    fn given(&mut self, given_name: &str, given: &Given, name: &str, spot: Spot) -> Option<Here<'a>> {
        if let Given::Records(records) = given
            && let Some((_, entity)) = records.iter().find(|(there, _)| there == name)
        {
            return Some(self.record(Root::Given(format!("{given_name}.{name}").into()), *entity));
        }
        let kind = match given {
            Given::Values => Some(Kind::Any),
            Given::Fields(fields) => fields.iter().find(|(there, _)| there == name).map(|(_, kind)| *kind),
            Given::Record(_) | Given::Records(_) | Given::Value(_) => None,
        };
        let Some(kind) = kind else {
            let known: Vec<&str> = match given {
                Given::Fields(fields) => fields.iter().map(|(name, _)| name.as_str()).collect(),
                Given::Records(records) => records.iter().map(|(name, _)| name.as_str()).collect(),
                Given::Record(_) | Given::Values | Given::Value(_) => Vec::new(),
            };
            self.fault_with(spot, format!("`{given_name}` has no `{name}`"), likely(name, known).map(|name| name.to_owned()));
            return None;
        };
        Some(Here::Value(Typed::new(Node::Given(given_name.into(), Some(name.into())), kind)))
    }

    /// The value where a chain ends.
    pub fn value(&mut self, here: Here<'a>, spot: Spot) -> Typed {
        match here {
            Here::Value(typed) => typed,
            Here::Settings => {
                self.fault(spot, "`settings` are many; name one, as settings.name");
                Typed::unknown()
            }
            Here::Part { entity, of, .. } => {
                self.fault(spot, unnamed(entity, &of));
                Typed::unknown()
            }
            Here::Given(name, _) => {
                self.fault(spot, format!("`{name}` holds many values; name one, as {name}.name"));
                Typed::unknown()
            }
            Here::Record { root, hops, entity } => match entity.find("id") {
                Some(field) => {
                    let kind = Kind::Record(entity.id);
                    field.slot().map_or_else(Typed::unknown, |slot| self.read(root, hops, entity, field, Cell::Slot(slot), kind))
                }
                None => Typed::unknown(),
            },
            Here::Field { root, hops, entity, field } => self.field_value(root, hops, entity, field, spot),
        }
    }

    fn field_value(&mut self, root: Root, hops: Vec<Hop>, entity: &'a EntityDef, field: &'a FieldDef, spot: Spot) -> Typed {
        if matches!(field.role, Role::Lines { .. }) {
            self.fault(spot, format!("`{}` are lines; roll them up in a field and use that", field.name));
            return Typed::unknown();
        }
        if field.on_read {
            return self.computed_on_read(root, hops, entity, field, spot);
        }
        let kind = Kind::of(field);
        let parts = parts_of(entity, field);
        let cell = match (field.slot(), parts.is_empty()) {
            (Some(_), false) => Cell::Parts(parts.into()),
            (Some(slot), true) => Cell::Slot(slot),
            (None, _) => {
                self.fault(spot, format!("`{}` holds no value", field.name));
                return Typed::unknown();
            }
        };
        let kind = if matches!(cell, Cell::Parts(_)) { Kind::Structure } else { kind };
        let mut typed = self.read(root, hops, entity, field, cell, kind);
        typed.options = stage::names_of(self.place.schema, field);
        typed
    }

    /// A formula without cells: it is run on the spot.
    fn computed_on_read(&mut self, root: Root, hops: Vec<Hop>, entity: &'a EntityDef, field: &'a FieldDef, spot: Spot) -> Typed {
        let Role::Formula { expression, .. } = &field.role else {
            self.fault(spot, format!("`{}` holds no value", field.name));
            return Typed::unknown();
        };
        if self.place.usage == Use::Formula {
            self.fault(spot, format!("`{}` changes with the clock, so nothing that is stored can be computed from it", field.name));
            return Typed::unknown();
        }
        let place = Place { schema: self.place.schema, entity: entity.id, app: field.app.as_str(), usage: Use::Formula, given: &[] };
        match super::lower::lower(place, expression) {
            Ok(inner) => {
                for path in &inner.reads {
                    let hops = hops.iter().chain(&path.hops).cloned().collect();
                    self.remember(&root, Path { hops, field: path.field, entity: path.entity });
                }
                self.read(root, hops, entity, field, Cell::Formula(Arc::new(inner.node)), inner.kind)
            }
            Err(_) => {
                self.fault(spot, format!("the formula of `{}` has faults of its own", field.name));
                Typed::unknown()
            }
        }
    }

    fn read(&mut self, root: Root, hops: Vec<Hop>, entity: &EntityDef, field: &FieldDef, cell: Cell, kind: Kind) -> Typed {
        let path = Path { hops, field: field.id, entity: entity.id };
        self.remember(&root, path.clone());
        Typed::new(Node::Read(Box::new(Read { root, path, cell })), kind)
    }

    fn remember(&mut self, root: &Root, path: Path) {
        match root {
            Root::Record if !self.reads.iter().any(|there| same_path(there, &path)) => self.reads.push(path),
            Root::Given(name) => self.given_reads.push((Arc::clone(name), path)),
            Root::Record | Root::Old | Root::Me => {}
        }
    }
}

/// The parts of a place, by name, with their slots; none for other fields.
pub(crate) fn parts_of(entity: &EntityDef, field: &FieldDef) -> Vec<(&'static str, usize)> {
    const PARTS: [&str; 2] = ["lat", "lng"];
    let Some(typed) = &field.typed else { return Vec::new() };
    let columns = typed.columns();
    let found: Vec<(&'static str, usize)> = PARTS
        .into_iter()
        .filter_map(|part| columns.iter().position(|column| column.suffix == part).map(|index| (part, field.slots.start + index)))
        .filter(|(_, slot)| *slot < entity.columns.len())
        .collect();
    if found.len() == PARTS.len() { found } else { Vec::new() }
}
