//! In charge of rights: one caller's over a whole schema, compiled once per person and revision.
//! Reading order: `Grants`, `Grant`, `Access`; `compile` makes them from roles.
//! Invariant: what no role grants is not there; several roles add up, rows per action and fields per entity.
//! Invariant: a field made from hidden fields is hidden, unless a role grants it by its name.

use std::sync::Arc;

use model::doc::{FieldAccess, Needs};
use model::{EntityDef, EntityId, FieldDef, FieldId, Schema};

use crate::compute::Sources;
use crate::query::{Predicate, View};

mod compile;
mod scope;

/// What one caller may do.
#[derive(Clone, Debug)]
pub struct Grants {
    entities: Vec<Grant>,
    all: bool,
    uses_clock: bool,
}

/// What one caller may do with one entity.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The records that are in sight.
    pub read: Arc<Predicate>,
    /// Those that may be changed; they must be in sight, too.
    pub update: Arc<Predicate>,
    /// Those that may be deleted and restored.
    pub delete: Arc<Predicate>,
    /// Whether records may be created.
    pub create: Create,
    /// Whether records may be exported.
    pub export: bool,
    fields: Vec<FieldGrant>,
    visible: bool,
}

/// Whether records may be created; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Create {
    /// No.
    No,
    /// Yes.
    Yes,
    /// Where the caller may do so much to the record that a reference points at.
    Through {
        /// The reference.
        field: FieldId,
        /// What one must be allowed there.
        needs: Needs,
    },
}

/// What may be done with one field.
#[derive(Clone, Debug)]
struct FieldGrant {
    access: Access,
}

/// A right on a field; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// As if it were not there.
    Hidden,
    /// Its presence and a part of it.
    Masked,
    /// Read.
    Read,
    /// Read and written.
    Write,
    /// It depends on the record.
    Scoped {
        /// The records on which it is read.
        read: Arc<Predicate>,
        /// The records on which it is written.
        write: Arc<Predicate>,
        /// What holds on all others.
        otherwise: FieldAccess,
    },
}

impl Access {
    /// Whether it exists for the caller.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        match self {
            Self::Hidden => false,
            Self::Masked | Self::Read | Self::Write | Self::Scoped { .. } => true,
        }
    }

    /// Whether its plain value is read on every record.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Read | Self::Write => true,
            Self::Scoped { read, otherwise, .. } => **read == Predicate::True || *otherwise >= FieldAccess::Read,
            Self::Hidden | Self::Masked => false,
        }
    }
}

impl Grants {
    /// All rights.
    #[must_use]
    pub fn all(schema: &Schema) -> Self {
        let entities = schema
            .entities
            .iter()
            .map(|def| Grant {
                read: Arc::new(Predicate::True),
                update: Arc::new(Predicate::True),
                delete: Arc::new(Predicate::True),
                create: Create::Yes,
                export: true,
                fields: def.fields.iter().map(|field| FieldGrant { access: if field.inner() { Access::Hidden } else { Access::Write } }).collect(),
                visible: true,
            })
            .collect();
        Self { entities, all: true, uses_clock: false }
    }

    /// Whether no right is missing.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Whether they are others at another moment: a role's filter looks at the clock.
    #[must_use]
    pub fn uses_clock(&self) -> bool {
        self.uses_clock
    }

    /// The rights on `entity`, which must be of the schema that they were compiled for.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "an EntityId is only made by the schema that the grants are of")]
    pub fn entity(&self, entity: EntityId) -> &Grant {
        &self.entities[entity.0 as usize]
    }

    /// The same rights with every record of one entity in sight; fields stay as they are.
    #[must_use]
    pub fn with_rows(&self, entity: EntityId) -> Self {
        let mut wider = self.clone();
        if let Some(grant) = wider.entities.get_mut(entity.0 as usize) {
            grant.read = Arc::new(Predicate::True);
        }
        wider
    }

    /// The same rights with some fields of one entity read, whatever the roles say, and others not there. What is made from a
    /// field that is not there is not there either, unless it is read by its own name.
    #[must_use]
    pub fn with_fields(&self, schema: &Schema, sources: &Sources, entity: EntityId, shown: &[FieldId], hidden: &[FieldId]) -> Self {
        let mut other = self.clone();
        other.all &= hidden.is_empty();
        let named = |there: &EntityDef, field: FieldId| there.id == entity && shown.contains(&field);
        let gone = |there: &EntityDef, field: &FieldDef| {
            let own = there.id == entity && hidden.contains(&field.id);
            let made = || sources.all_of(there.id, field.id).iter().any(|(of, source)| *of == entity && hidden.contains(source));
            own || (!hidden.is_empty() && field.computed() && !named(there, field.id) && made())
        };
        for (def, grant) in schema.entities.iter().zip(&mut other.entities) {
            for (field, grant) in def.fields.iter().zip(&mut grant.fields) {
                if gone(def, field) {
                    grant.access = Access::Hidden;
                } else if named(def, field.id) && !matches!(grant.access, Access::Write) {
                    grant.access = Access::Read;
                }
            }
        }
        other
    }

    /// The same rights with other records of one entity in sight and nothing done to them, some of its fields masked. What is
    /// made from a masked field is not there.
    #[must_use]
    pub fn with_sight(&self, schema: &Schema, sources: &Sources, entity: EntityId, rows: Predicate, masked: &[FieldId]) -> Self {
        let mut other = self.clone();
        other.all = false;
        for (def, grant) in schema.entities.iter().zip(&mut other.entities) {
            if def.id == entity {
                grant.read = Arc::new(rows.clone());
                (grant.update, grant.delete) = (Arc::new(Predicate::False), Arc::new(Predicate::False));
                (grant.create, grant.export) = (Create::No, false);
            }
            for (field, grant) in def.fields.iter().zip(&mut grant.fields) {
                let is_masked = def.id == entity && masked.contains(&field.id);
                let made = || sources.all_of(def.id, field.id).iter().any(|(of, source)| *of == entity && masked.contains(source));
                if is_masked && grant.access.is_visible() {
                    grant.access = Access::Masked;
                } else if (field.computed() || field.clock.is_some()) && !masked.is_empty() && made() {
                    grant.access = Access::Hidden;
                } else if def.id == entity && matches!(grant.access, Access::Scoped { .. }) {
                    // What depends on the record is the owner's, and there is none.
                    grant.access = Access::Masked;
                }
            }
        }
        other
    }

    /// Whether the entity exists for the caller.
    #[must_use]
    pub fn sees(&self, entity: EntityId) -> bool {
        self.entity(entity).visible
    }

    /// The field of `def` called `name`, or none where it is hidden or not there.
    #[must_use]
    pub fn field<'s>(&self, def: &'s EntityDef, name: &str) -> Option<&'s FieldDef> {
        def.find(name).filter(|field| self.entity(def.id).access(field.id).is_visible())
    }
}

impl Grant {
    fn field(&self, field: FieldId) -> Option<&FieldGrant> {
        self.fields.get(field.0 as usize)
    }

    /// The right on a field.
    #[must_use]
    pub fn access(&self, field: FieldId) -> Access {
        self.field(field).map_or(Access::Hidden, |grant| grant.access.clone())
    }

    /// Whether a field may be set on a new record.
    #[must_use]
    pub fn may_set(&self, field: FieldId) -> bool {
        !matches!(self.create, Create::No) && self.writes(field)
    }

    /// Whether a field may be changed on some record.
    #[must_use]
    pub fn may_change(&self, field: FieldId) -> bool {
        *self.update != Predicate::False && self.writes(field)
    }

    fn writes(&self, field: FieldId) -> bool {
        match self.field(field).map(|grant| &grant.access) {
            Some(Access::Write) => true,
            Some(Access::Scoped { write, .. }) => **write != Predicate::False,
            Some(Access::Hidden | Access::Masked | Access::Read) | None => false,
        }
    }

    /// Whether a field may be compared, sorted, grouped and searched by.
    #[must_use]
    pub fn comparable(&self, field: FieldId) -> bool {
        self.field(field).is_some_and(|grant| grant.access.is_plain())
    }
}

impl View for Grants {
    fn field<'s>(&self, entity: &'s EntityDef, name: &str) -> Option<&'s FieldDef> {
        Self::field(self, entity, name)
    }

    fn comparable(&self, entity: &EntityDef, field: &FieldDef) -> bool {
        self.entity(entity.id).comparable(field.id)
    }

    fn entity(&self, entity: &EntityDef) -> bool {
        self.sees(entity.id)
    }

    fn rows(&self, entity: EntityId) -> Arc<Predicate> {
        Arc::clone(&Self::entity(self, entity).read)
    }
}
