//! In charge of what names in a script mean: variables, fields of records, references walked, settings.
//! Invariant: a name resolves against the schema, or there is a fault at its place with the likely meant name.

use std::sync::Arc;

use model::field::Role;
use model::{EntityDef, EntityId, FieldDef};

use super::lower::Lowering;
use super::node::{Node, StageOf};
use super::shape::Shape;
use crate::expr::names::untold;
use crate::expr::node::{StageAttribute, Stages};
use crate::expr::{Kind, Spot, option_names, stage};
use crate::query::{View, likely};

/// A node with what the check knows of it.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub node: Node,
    pub shape: Shape,
    /// The names that it may hold, for choices and stages.
    pub options: Option<Vec<String>>,
    /// The stage that it is, where it is a record's.
    pub stage: Option<(Box<Node>, Arc<str>, Arc<Stages>)>,
    /// The record, and what of it tells more than one thing: a clock, its flows, one of them.
    pub told: Option<(Box<Node>, EntityId, Arc<str>)>,
    /// What stands in a list or map that is written out, in order.
    pub parts: Vec<Typed>,
}

impl Typed {
    pub fn new(node: Node, shape: Shape) -> Self {
        Self { node, shape, options: None, stage: None, told: None, parts: Vec::new() }
    }

    /// Stands where there was a fault, so that the check goes on.
    pub fn unknown() -> Self {
        Self::new(Node::EMPTY, Shape::ANY)
    }
}

/// Everything that those with whose rights a script may run can see between them.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a>(pub &'a dyn Fn(EntityId, model::FieldId) -> bool);

impl View for Seen<'_> {
    fn field<'s>(&self, entity: &'s EntityDef, name: &str) -> Option<&'s FieldDef> {
        entity.find(name).filter(|field| !(self.0)(entity.id, field.id))
    }

    fn entity(&self, _: &EntityDef) -> bool {
        true
    }

    fn rows(&self, _: EntityId) -> Arc<crate::query::Predicate> {
        Arc::new(crate::query::Predicate::True)
    }
}

impl<'a> Lowering<'a> {
    pub fn seen(&self) -> Seen<'a> {
        Seen(self.place.hidden)
    }

    pub fn def(&self, entity: EntityId) -> &'a EntityDef {
        self.place.schema.entity(entity)
    }

    /// The entity that a name in quotes names.
    pub fn entity_named(&mut self, name: &str, spot: Spot) -> Option<&'a EntityDef> {
        let schema = self.place.schema;
        if let Some(def) = schema.find_from(self.place.app, name) {
            return Some(def);
        }
        let known =
            schema.entities.iter().flat_map(|def| [def.name.as_str()].into_iter().chain((def.name.app() == self.place.app).then(|| def.name.bare())));
        let hint = likely(name, known);
        self.fault_with(spot, format!("there is no entity `{name}`"), hint);
        None
    }

    /// The field of an entity that a name names, where anybody sees it.
    pub fn field_named(&mut self, def: &'a EntityDef, name: &str, spot: Spot) -> Option<&'a FieldDef> {
        let seen = self.seen();
        if let Some(field) = seen.field(def, name) {
            return Some(field);
        }
        let known = def.fields.iter().map(|field| field.name.as_str()).filter(|name| seen.field(def, name).is_some());
        let hint = likely(name, known.chain(def.inverses.keys().map(|name| name.as_str())));
        self.fault_with(spot, format!("`{}` has no field `{name}`", def.name), hint);
        None
    }

    /// What a chain that begins with `name` stands at.
    pub fn begin(&mut self, name: &str, spot: Spot) -> Typed {
        if let Some(variable) = self.variable(name) {
            return Typed::new(Node::Local(variable.slot), variable.shape.clone());
        }
        match name {
            "me" => match self.place.schema.find("core.user") {
                Some(user) => Typed::new(Node::Me, Shape::Kind(Kind::Record(user.id))),
                None => Typed::unknown(),
            },
            "settings" => {
                self.fault(spot, "`settings` are many; name one, as settings.name");
                Typed::unknown()
            }
            _ => {
                let mut known: Vec<String> = self.variables().map(|variable| variable.name.to_string()).collect();
                known.extend(["me", "settings"].map(str::to_owned));
                let hint = likely(name, known.iter().map(String::as_str));
                self.fault_with(spot, format!("there is no variable `{name}`"), hint);
                Typed::unknown()
            }
        }
    }

    /// A setting of the app.
    pub fn setting(&mut self, name: &str, spot: Spot) -> Typed {
        let app = self.place.schema.apps.get(self.place.app);
        let Some(field) = app.and_then(|app| app.app.settings.get(name)) else {
            let hint = likely(name, app.iter().flat_map(|app| app.app.settings.keys()).map(|name| name.as_str()));
            self.fault_with(spot, format!("there is no setting `{name}`"), hint);
            return Typed::unknown();
        };
        let Some(storage) = model::schema::storage_of(field) else {
            self.fault(spot, format!("the setting `{name}` has no value of its own"));
            return Typed::unknown();
        };
        Typed::new(Node::Setting(name.into(), storage), Shape::of(Kind::stored_as(storage)))
    }

    /// One name further.
    pub fn member(&mut self, base: Typed, name: &str, spot: Spot) -> Typed {
        if let Some((record, field, stages)) = base.stage {
            return self.stage(*record, field, stages, name, spot);
        }
        if let Some((record, entity, of)) = base.told {
            return self.part(*record, entity, &of, name, spot);
        }
        let shape = match &base.shape {
            Shape::Kind(Kind::Record(entity)) => return self.field(base.node, *entity, name, spot),
            Shape::Kind(Kind::Any | Kind::Empty | Kind::Structure) | Shape::Map(None) => Shape::ANY,
            Shape::Map(Some(entries)) => match entries.iter().find(|(key, _)| key == name) {
                Some((_, shape)) => shape.clone(),
                None => {
                    let hint = likely(name, entries.iter().map(|(key, _)| key.as_str()));
                    self.fault_with(spot, format!("there is no `{name}` in it"), hint);
                    Shape::ANY
                }
            },
            other => {
                let message = format!("{} has no part `{name}`", other.word(self.place.schema));
                self.fault(spot, message);
                return Typed::unknown();
            }
        };
        Typed::new(Node::Member(Box::new(base.node), name.into(), spot), shape)
    }

    fn field(&mut self, record: Node, entity: EntityId, name: &str, spot: Spot) -> Typed {
        let def = self.def(entity);
        if let Some(inverse) = def.inverses.get(name).filter(|_| def.find(name).is_none()) {
            let shape = Shape::list(Shape::Kind(Kind::Record(inverse.entity)));
            return Typed::new(Node::Member(Box::new(record), name.into(), spot), shape);
        }
        if def.find(name).is_none() && !def.parts(name).is_empty() {
            return Self::telling(record, entity, name);
        }
        let Some(field) = self.field_named(def, name, spot) else { return Typed::unknown() };
        let shape = match &field.role {
            Role::Lines { of, .. } => {
                let lines = self.place.schema.find_from(field.app.as_str(), of);
                Shape::list(lines.map_or(Shape::ANY, |lines| Shape::Kind(Kind::Record(lines.id))))
            }
            _ => Shape::of_field(field),
        };
        let stage = stage::stages_of(self.place.schema, def, field).map(|stages| (Box::new(record.clone()), Arc::from(name), stages));
        let options = option_names(self.place.schema, field);
        Typed { options, stage, ..Typed::new(Node::Member(Box::new(record), name.into(), spot), shape) }
    }

    /// Something of a record that tells more than one thing.
    fn telling(record: Node, entity: EntityId, of: &str) -> Typed {
        let told = Some((Box::new(record), entity, Arc::from(of)));
        Typed { told, ..Typed::new(Node::EMPTY, Shape::Map(Some([].into()))) }
    }

    /// What a clock or a flow of a record tells: a field of its own.
    fn part(&mut self, record: Node, entity: EntityId, of: &str, name: &str, spot: Spot) -> Typed {
        let (def, full) = (self.def(entity), format!("{of}.{name}"));
        if def.find(&full).is_some_and(|field| !field.inner()) {
            return self.field(record, entity, &full, spot);
        }
        if !def.parts(&full).is_empty() {
            return Self::telling(record, entity, &full);
        }
        self.fault_with(spot, untold(def, of, name), likely(name, def.parts(of)));
        Typed::unknown()
    }

    fn stage(&mut self, record: Node, field: Arc<str>, stages: Arc<Stages>, name: &str, spot: Spot) -> Typed {
        let Some((_, attribute)) = StageAttribute::ALL.into_iter().find(|(there, _)| *there == name) else {
            let hint = likely(name, StageAttribute::ALL.map(|(name, _)| name));
            self.fault_with(spot, format!("a stage has no `{name}`"), hint);
            return Typed::unknown();
        };
        let shape = if attribute == StageAttribute::Probability { Shape::NUMBER } else { Shape::TEXT };
        Typed::new(Node::Stage(Box::new(StageOf { record, field, attribute, stages }), spot), shape)
    }
}
