//! In charge of the compiled structure of a workspace: all apps' entities with typed fields and columns.
//! Reading order: `Schema`, `EntityDef`, `FieldDef`; `build` makes them from documents.
//! Invariant: a `Schema` is immutable and whole: every reference, path and inverse in it resolves.
//! Invariant: the cells of a record stand in the order of `EntityDef::columns`; system columns come first.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::doc::{App, DepartmentMode, Entity, Field, MemberRight, OwnerMode};
use crate::field::{ColumnUse, OnDelete, Role, TypedField};
use crate::filter::Filter;
use crate::name::{EntityName, Name};
use crate::value::{Storage, Value};

mod build;
mod clock;
mod draft;
mod flow;
mod layout;
mod system;

pub(crate) use build::option_list;
pub use build::{IsOnRead, build};
pub use clock::{ClockDef, ClockPart};
pub use flow::FlowState;
pub use layout::{ColumnNote, Layout, next_layout, physical};
pub use system::SYSTEM_FIELDS;

/// An entity's place in its schema; stable only within one schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub u32);

/// A field's place in its entity; stable only within one schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u32);

/// The slot of a cell in a record, and of its column in the table.
pub type Slot = usize;

/// One record's cells, in the order of its entity's columns.
pub type Cells = Vec<Value>;

/// All entities of a workspace, compiled.
#[derive(Debug, Default)]
pub struct Schema {
    /// The documents, by app.
    pub apps: IndexMap<Name, Arc<App>>,
    /// The entities; an `EntityId` is an index.
    pub entities: Vec<EntityDef>,
    pub(crate) by_name: HashMap<Box<str>, EntityId>,
    /// Bare names that exactly one app has.
    pub(crate) by_bare_name: HashMap<Box<str>, EntityId>,
}

/// One entity, compiled.
#[derive(Debug)]
pub struct EntityDef {
    /// Its place.
    pub id: EntityId,
    /// `sales.deal`.
    pub name: EntityName,
    /// The physical table.
    pub table: String,
    /// The document with all extensions merged in.
    pub doc: Arc<Entity>,
    /// System fields, then the entity's own in their order.
    pub fields: Vec<FieldDef>,
    pub(crate) field_by_name: HashMap<Box<str>, FieldId>,
    /// The columns, in the order of a record's cells.
    pub columns: Vec<ColumnDef>,
    /// Relations to many, by name: inverses and lines.
    pub inverses: IndexMap<Name, InverseDef>,
    /// References of any entity that point here, for `on_delete`.
    pub referrers: Vec<Referrer>,
    /// The field that is the tree's parent.
    pub tree: Option<FieldId>,
    /// The stage fields.
    pub stages: Vec<FieldId>,
    /// Whether records have an owner.
    pub owner: OwnerMode,
    /// Whether records have a department.
    pub department: Option<DepartmentMode>,
    /// Rights that members may have.
    pub members: Vec<MemberRight>,
    /// Where this is a line entity: the parent and the reference to it.
    pub line_of: Option<LineOf>,
    /// The clocks that run on its records, each with where it keeps its state.
    pub clocks: Vec<ClockDef>,
}

/// That an entity's records are lines of another's.
#[derive(Clone, Copy, Debug)]
pub struct LineOf {
    /// The parent entity.
    pub parent: EntityId,
    /// The lines field of the parent.
    pub lines: FieldId,
    /// The line's reference to its parent.
    pub by: FieldId,
}

/// A relation to many, seen from the one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InverseDef {
    /// What it is called here.
    pub name: Name,
    /// The entity of the many.
    pub entity: EntityId,
    /// The field there that points here.
    pub by: FieldId,
    /// How that field points.
    pub via: Via,
}

/// How a field points at records; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A reference: one id in a column.
    Column,
    /// References: ids in a link table.
    Link,
    /// An any-reference: entity and id in two columns.
    AnyColumn,
}

/// A field elsewhere that points at an entity.
#[derive(Clone, Copy, Debug)]
pub struct Referrer {
    /// Where the field is.
    pub entity: EntityId,
    /// The field.
    pub field: FieldId,
    /// How it points.
    pub via: Via,
    /// What the deletion of the target does.
    pub on_delete: OnDelete,
}

/// One field, compiled.
#[derive(Debug)]
pub struct FieldDef {
    /// Its place.
    pub id: FieldId,
    /// Its name.
    pub name: Name,
    /// The app that the field came from (an extension's app, or the entity's own).
    pub app: Name,
    /// The document.
    pub doc: Field,
    /// What it is to the engine.
    pub role: Role,
    /// Its values' type; lines have none.
    pub typed: Option<Arc<dyn TypedField>>,
    /// Its columns; empty for lines and for what is computed on read.
    pub slots: Range<Slot>,
    /// Whether the engine makes it itself (`id`, `created_at`, …).
    pub system: bool,
    /// The entities that it points at: one for references and lines, some for any-references (empty: any).
    pub targets: Vec<EntityId>,
    /// The clock whose state it is a part of, and which part.
    pub clock: Option<(Name, ClockPart)>,
    /// The approval flow whose state on the record it is.
    pub flow: Option<FlowState>,
    /// The field of which it says whether its value is still the one that was copied into it.
    pub copied: Option<Name>,
    /// Computed on read: a formula that depends on the clock. It has no cells.
    pub on_read: bool,
    /// The link table of a kind that holds many.
    pub link_table: Option<String>,
}

/// One column, compiled.
#[derive(Clone, Debug)]
pub struct ColumnDef {
    /// The physical name.
    pub name: String,
    /// What it holds.
    pub storage: Storage,
    /// The field that it belongs to.
    pub field: FieldId,
    /// What it is for.
    pub purpose: ColumnUse,
}

impl Schema {
    /// The entity called `name`: qualified, or bare while exactly one app has it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&EntityDef> {
        self.by_name.get(name).or_else(|| self.by_bare_name.get(name)).and_then(|id| self.get(*id))
    }

    /// The entity called `name` as a document of `app` writes it: bare within the app, else qualified.
    #[must_use]
    pub fn find_from(&self, app: &str, name: &str) -> Option<&EntityDef> {
        if name.contains('.') { self.by_name.get(name) } else { self.by_name.get(format!("{app}.{name}").as_str()) }.and_then(|id| self.get(*id))
    }

    fn get(&self, id: EntityId) -> Option<&EntityDef> {
        self.entities.get(usize::try_from(id.0).ok()?)
    }

    /// The entity at `id`, which must be of this schema.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "an EntityId is only made by the schema that it indexes")]
    pub fn entity(&self, id: EntityId) -> &EntityDef {
        &self.entities[id.0 as usize]
    }
}

impl EntityDef {
    /// The field called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&FieldDef> {
        self.field_by_name.get(name).map(|id| self.field(*id))
    }

    /// The field at `id`, which must be of this entity.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a FieldId is only made by the entity that it indexes")]
    pub fn field(&self, id: FieldId) -> &FieldDef {
        &self.fields[id.0 as usize]
    }

    /// The slot of the value of the field called `name`, where it has cells.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<Slot> {
        self.find(name).and_then(FieldDef::slot)
    }

    /// A record without any value.
    #[must_use]
    pub fn empty(&self) -> Cells {
        vec![Value::Null; self.columns.len()]
    }

    /// What the engine tells below a name that is no field: of `first_reply`, `due_at` and `state`; of `approvals`, the flows.
    pub fn parts<'a>(&'a self, below: &str) -> Vec<&'a str> {
        let next = |field: &'a FieldDef| field.name.as_str().strip_prefix(below)?.strip_prefix('.')?.split('.').next();
        let mut parts: Vec<&str> = self.fields.iter().filter(|field| field.system && !field.inner()).filter_map(next).collect();
        parts.dedup();
        parts
    }

    /// What people call one, in `locale`.
    #[must_use]
    pub fn label(&self, locale: &str) -> &str {
        self.doc.label.as_ref().map_or(self.name.bare(), |label| label.get(locale))
    }

    /// What people call many, in `locale`.
    #[must_use]
    pub fn plural(&self, locale: &str) -> &str {
        self.doc.plural.as_ref().map_or_else(|| self.label(locale), |label| label.get(locale))
    }
}

impl FieldDef {
    /// The slot of its value, where it has cells.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        (!self.slots.is_empty()).then_some(self.slots.start)
    }

    /// Its cells in `record`.
    #[must_use]
    pub fn cells<'a>(&self, record: &'a [Value]) -> &'a [Value] {
        record.get(self.slots.clone()).unwrap_or(&[])
    }

    /// Whether it is the engine's own and told to nobody.
    #[must_use]
    pub fn inner(&self) -> bool {
        self.copied.is_some() || self.clock.as_ref().is_some_and(|(_, part)| !part.is_told())
    }

    /// The name by which a role grants it: a part of a clock goes by the clock, the state of one flow by `approval_state`.
    #[must_use]
    pub fn granted_as(&self) -> &Name {
        let of_flow = self.flow.as_ref().map(|flow| &flow.granted_as);
        self.clock.as_ref().map(|(clock, _)| clock).or(of_flow).unwrap_or(&self.name)
    }

    /// Whether the engine computes it: nobody writes it.
    #[must_use]
    pub fn computed(&self) -> bool {
        matches!(self.role, Role::Formula { .. } | Role::Lookup { .. } | Role::Rollup(_))
    }

    /// The reference's filter, where it has one.
    #[must_use]
    pub fn choice_filter(&self) -> Option<&Filter> {
        match &self.role {
            Role::Reference(spec) | Role::References(spec) => spec.filter.as_ref(),
            Role::Plain
            | Role::Money { .. }
            | Role::Choice { .. }
            | Role::Stage { .. }
            | Role::AnyReference { .. }
            | Role::Lines { .. }
            | Role::Files { .. }
            | Role::Autonumber { .. }
            | Role::Formula { .. }
            | Role::Lookup { .. }
            | Role::Rollup(_)
            | Role::Secret => None,
        }
    }
}

/// The storage of the values of a field that stands on its own, such as a setting; none where it has no value.
#[must_use]
pub fn storage_of(field: &Field) -> Option<Storage> {
    build::storage_of(field)
}
