//! In charge of what documents may name: every app's entities with their fields, seen before anything is compiled.
//! Invariant: works on documents however wrong; what cannot be known is let through, for others to judge.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::doc::{App, Entity, Field, OwnerMode};
use crate::name::{Name, is_name};
use crate::schema::ClockPart;

/// The entity of people.
pub(super) const USER: &str = "core.user";
/// The entity of departments.
pub(super) const DEPARTMENT: &str = "core.department";

/// Every app of the workspace.
pub(super) struct World<'a> {
    pub(super) apps: &'a IndexMap<Name, Arc<App>>,
    entities: IndexMap<String, Known<'a>>,
}

/// An entity as documents describe it, extensions included.
pub(super) struct Known<'a> {
    pub(super) name: String,
    pub(super) app: &'a str,
    pub(super) doc: &'a Entity,
    /// Its fields, each with the app that wrote it.
    pub(super) fields: IndexMap<&'a str, (&'a str, &'a Field)>,
    /// Relations to many: the entity of the many.
    pub(super) relations: HashMap<&'a str, String>,
    /// Whether an approval flow runs on its records.
    /// The flows on its records, as paths name them.
    flows: Vec<String>,
    clocks: Vec<&'a str>,
}

/// What a path leads to.
pub(super) enum Reached<'a> {
    /// A field of an app.
    Field(&'a Field),
    /// A field of the engine's own, or something that cannot be known here.
    Other,
}

/// Why a path leads nowhere.
pub(super) struct Lost {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> World<'a> {
    pub(super) fn new(apps: &'a IndexMap<Name, Arc<App>>) -> Self {
        let mut world = Self { apps, entities: IndexMap::new() };
        for (app, documents) in apps {
            for (key, doc) in documents.entities.iter().filter(|(key, doc)| doc.extends.is_none() && is_name(key)) {
                let fields = doc.fields.iter().map(|(name, field)| (name.as_str(), (app.as_str(), field))).collect();
                let clocks = doc.clocks.keys().map(Name::as_str).collect();
                let name = qualify(app.as_str(), key);
                let known = Known { name: name.clone(), app: app.as_str(), doc, fields, relations: HashMap::new(), flows: Vec::new(), clocks };
                world.entities.insert(name, known);
            }
        }
        world.extend();
        world.relate();
        world
    }

    fn extend(&mut self) {
        for (app, documents) in self.apps {
            for extension in documents.entities.values() {
                let Some(known) = extension.extends.as_ref().and_then(|target| self.entities.get_mut(target)) else { continue };
                for (name, field) in &extension.fields {
                    known.fields.entry(name.as_str()).or_insert((app.as_str(), field));
                }
                known.clocks.extend(extension.clocks.keys().map(Name::as_str));
            }
            for (name, approval) in &documents.approvals {
                if let Some(known) = self.entities.get_mut(&qualify(app.as_str(), &approval.entity)) {
                    known.flows.extend([name.to_string(), format!("{app}.{name}")]);
                }
            }
        }
    }

    /// Notes inverses and lines, so that relations to many have names.
    fn relate(&mut self) {
        let mut found: Vec<(String, &'a str, String)> = Vec::new();
        for known in self.entities.values() {
            for (name, (app, field)) in &known.fields {
                let target = |key: &str| field.settings.get(key).and_then(serde_json::Value::as_str);
                let inverse = target("inverse");
                match (field.kind.as_str(), inverse) {
                    ("lines", _) => {
                        let of = target("of").map(|of| qualify(app, of)).unwrap_or_default();
                        found.push((known.name.clone(), name, of));
                    }
                    ("reference" | "references", Some(inverse)) => {
                        found.push((target("to").map(|to| qualify(app, to)).unwrap_or_default(), inverse, known.name.clone()));
                    }
                    ("any_reference", Some(inverse)) => {
                        let to: Vec<String> = self.targets_of_any(app, field);
                        found.extend(to.into_iter().map(|to| (to, inverse, known.name.clone())));
                    }
                    _ => {}
                }
            }
        }
        for (entity, relation, many) in found {
            if let Some(known) = self.entities.get_mut(&entity) {
                known.relations.entry(relation).or_insert(many);
            }
        }
    }

    fn targets_of_any(&self, app: &str, field: &Field) -> Vec<String> {
        let named: Vec<String> = field
            .settings
            .get("to")
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|to| to.as_str())
            .map(|to| qualify(app, to))
            .collect();
        if named.is_empty() { self.entities.keys().cloned().collect() } else { named }
    }

    /// The entity called `name` in a document of `app`.
    pub(super) fn entity(&self, app: &str, name: &str) -> Option<&Known<'a>> {
        self.entities.get(&qualify(app, name))
    }

    /// What a document of `app` may call entities.
    pub(super) fn entity_names(&self, app: &str) -> Vec<String> {
        self.entities.values().map(|known| if known.app == app { known.doc_name().to_owned() } else { known.name.clone() }).collect()
    }

    /// What a path from `entity` leads to.
    pub(super) fn path(&self, entity: &Known<'a>, path: &str) -> Result<Reached<'a>, Lost> {
        let mut here = entity;
        let mut names = path.split('.').peekable();
        let mut hops = 0;
        while let Some(name) = names.next() {
            if here.is_clock(name) {
                return self.part_of_clock(here, name, names.next(), names.next().is_none());
            }
            if name == "approvals" && here.has_flow() {
                return self.state_of_flow(here, &names.collect::<Vec<_>>().join("."));
            }
            let is_last = names.peek().is_none();
            let field = here.fields.get(name).copied();
            if field.is_none() && !here.has_system(name) {
                return Err(self.no_field(here, name));
            }
            if is_last {
                return Ok(field.map_or(Reached::Other, |(_, field)| Reached::Field(field)));
            }
            hops += 1;
            if hops > crate::filter::MAX_HOPS {
                return Err(Lost { message: format!("`{path}` walks more than {} references", crate::filter::MAX_HOPS), hint: None });
            }
            here = match self.far(field, name) {
                Ok(Some(far)) => far,
                Ok(None) => return Ok(Reached::Other),
                Err(message) => return Err(Lost { message, hint: None }),
            };
        }
        Ok(Reached::Other)
    }

    /// The entity behind a reference; none where it cannot be known.
    fn far(&self, field: Option<(&'a str, &'a Field)>, name: &str) -> Result<Option<&Known<'a>>, String> {
        match field {
            Some((app, field)) if field.kind == "reference" => {
                // A reference that leads nowhere is told where it is written.
                Ok(field.settings.get("to").and_then(serde_json::Value::as_str).and_then(|to| self.entity(app, to)))
            }
            // Money in its parts, an option's label: what expressions reach beyond references.
            Some((_, field)) if matches!(field.kind.as_str(), "lookup" | "formula") => Ok(None),
            Some(_) => Err(format!("`{name}` is not a reference to one record")),
            None => Ok(match name {
                "owner" | "created_by" | "updated_by" => self.entities.get(USER),
                "department" => self.entities.get(DEPARTMENT),
                _ => return Err(format!("`{name}` is not a reference to one record")),
            }),
        }
    }

    /// What a flow tells of a record: how it stands.
    fn state_of_flow(&self, entity: &Known<'a>, told: &str) -> Result<Reached<'a>, Lost> {
        match told.strip_suffix(".state") {
            Some(flow) if entity.flows.iter().any(|there| there == flow) => Ok(Reached::Other),
            Some(flow) => Err(Lost {
                message: format!("no flow `{flow}` is about `{}`", entity.name),
                hint: crate::hint::nearest(flow, entity.flows.iter().map(String::as_str)),
            }),
            None => Err(Lost { message: format!("of a flow the state is told: approvals.{told}.state"), hint: None }),
        }
    }

    /// What a clock tells: when it is due, and how it stands.
    fn part_of_clock(&self, entity: &Known<'a>, clock: &str, part: Option<&str>, is_last: bool) -> Result<Reached<'a>, Lost> {
        let told = ClockPart::TOLD.map(ClockPart::as_str);
        match part {
            Some(part) if is_last && told.contains(&part) => Ok(Reached::Other),
            Some(part) => Err(Lost { message: format!("the clock `{clock}` tells no `{part}`"), hint: crate::hint::nearest(part, told) }),
            None => Err(Lost {
                message: format!("`{}` has no field `{clock}`; its clock tells {clock}.due_at and {clock}.state", entity.name),
                hint: None,
            }),
        }
    }

    fn no_field(&self, entity: &Known<'a>, name: &str) -> Lost {
        let hint = crate::hint::nearest(name, entity.field_names());
        Lost { message: format!("`{}` has no field `{name}`", entity.name), hint }
    }
}

impl<'a> Known<'a> {
    fn doc_name(&self) -> &str {
        self.name.split_once('.').map_or("", |(_, name)| name)
    }

    /// Whether `name` is a field, of an app or of the engine.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name) || self.has_system(name)
    }

    /// Whether an approval flow is about its records.
    pub(super) fn has_flow(&self) -> bool {
        !self.flows.is_empty()
    }

    fn has_system(&self, name: &str) -> bool {
        match name {
            "owner" | "owner_since" => self.doc.owner != OwnerMode::None,
            "department" => self.doc.department.is_some(),
            "members" => !self.doc.members.is_empty(),
            "approval_state" => self.has_flow(),
            _ => crate::schema::SYSTEM_FIELDS.contains(&name),
        }
    }

    /// Whether `name` is one of its clocks.
    pub(super) fn is_clock(&self, name: &str) -> bool {
        self.clocks.contains(&name)
    }

    /// The names of its clocks.
    pub(super) fn clocks(&self) -> &[&'a str] {
        &self.clocks
    }

    /// Everything that may be meant as a field.
    pub(super) fn field_names(&self) -> impl Iterator<Item = &str> {
        let system = crate::schema::SYSTEM_FIELDS.into_iter().filter(|name| self.has_system(name));
        self.fields.keys().copied().chain(system).chain(self.has_flow().then_some("approval_state"))
    }

    /// The field called `name` that an app wrote.
    pub(super) fn field(&self, name: &str) -> Option<&'a Field> {
        self.fields.get(name).map(|(_, field)| *field)
    }

    /// The names of the pipelines of its stage fields, each with the app that they are of.
    pub(super) fn pipelines(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.values().filter(|(_, field)| field.kind == "stage").flat_map(|(app, field)| {
            let pipelines = field.settings.get("pipelines").and_then(serde_json::Value::as_array);
            pipelines.into_iter().flatten().filter_map(|name| name.as_str()).map(move |name| (*app, name))
        })
    }
}

/// `name` with the app in front where it is bare.
pub(super) fn qualify(app: &str, name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{app}.{name}") }
}
