//! In charge of what the caller sees of records that something is made from: with everything blank that they may not read.
//! Invariant: a value for a field that the caller reads is made from nothing else.

use std::sync::Arc;

use model::doc::FieldAccess;
use model::field::Role;
use model::{Cells, EntityId, FieldId, Value};
use rules::eval::{HostFault, Lookup};
use rules::policy::Access;
use rules::query::RelatedVia;
use uuid::Uuid;

use crate::error::Error;
use crate::records::slice::Writer;

/// Reads other records as the caller sees them.
pub(crate) struct Eyes<'w, 'a> {
    pub(crate) w: &'w Writer<'a>,
    /// Whether what the caller sees masked is read plainly: for values of fields that they see masked, too.
    pub(crate) masked: bool,
}

impl Eyes<'_, '_> {
    /// A record with everything blank that the caller may not read.
    pub(crate) fn blanked(&self, entity: EntityId, cells: &Arc<Cells>) -> Result<Arc<Cells>, Error> {
        let w = self.w;
        if w.cx.grants.is_all() {
            return Ok(Arc::clone(cells));
        }
        let def = w.def(entity);
        let mut seen = Vec::clone(cells);
        for field in &def.fields {
            if self.reads(entity, field.id, cells)? && self.in_sight(field, cells)? {
                continue;
            }
            for slot in field.slots.clone() {
                if let Some(cell) = seen.get_mut(slot) {
                    *cell = Value::Null;
                }
            }
        }
        Ok(Arc::new(seen))
    }

    /// Whether the caller reads a field of a record plainly.
    fn reads(&self, entity: EntityId, field: FieldId, cells: &Cells) -> Result<bool, Error> {
        let w = self.w;
        Ok(match w.cx.grants.entity(entity).access(field) {
            Access::Hidden => false,
            Access::Masked => self.masked,
            Access::Read | Access::Write => true,
            Access::Scoped { read, otherwise, .. } => {
                let least = if self.masked { FieldAccess::Masked } else { FieldAccess::Read };
                otherwise >= least || rules::eval::matches(&read, &w.app.schema, entity, cells, &w.reader)?
            }
        })
    }

    /// A reference to a record out of sight reads as empty.
    fn in_sight(&self, field: &model::FieldDef, cells: &Cells) -> Result<bool, Error> {
        let (Role::Reference(_), Some(target)) = (&field.role, field.targets.first()) else { return Ok(true) };
        match field.cells(cells).first().and_then(Value::as_uuid) {
            Some(id) => self.w.reader.in_sight(self.w.cx, *target, id),
            None => Ok(true),
        }
    }
}

fn host(error: Error) -> HostFault {
    HostFault(error.to_string())
}

impl Lookup for Eyes<'_, '_> {
    fn get(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, HostFault> {
        if !self.w.reader.in_sight(self.w.cx, entity, id).map_err(host)? {
            return Ok(None);
        }
        let found = Lookup::get(&self.w.reader, entity, id)?;
        found.map(|cells| self.blanked(entity, &cells).map_err(host)).transpose()
    }

    fn related(&self, via: &RelatedVia, id: Uuid) -> Result<Vec<Arc<Cells>>, HostFault> {
        let entity = via.entity();
        let def = self.w.def(entity);
        let mut seen = Vec::new();
        for cells in Lookup::related(&self.w.reader, via, id)? {
            let own = def.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid);
            if let Some(own) = own
                && self.w.reader.in_sight(self.w.cx, entity, own).map_err(host)?
            {
                seen.push(self.blanked(entity, &cells).map_err(host)?);
            }
        }
        Ok(seen)
    }

    fn is_member(&self, entity: EntityId, id: Uuid, user: Uuid, write: bool) -> Result<bool, HostFault> {
        self.w.reader.is_member(entity, id, user, write)
    }

    fn is_under(&self, entity: EntityId, parent: FieldId, id: Uuid, top: Uuid) -> Result<bool, HostFault> {
        self.w.reader.is_under(entity, parent, id, top)
    }
}
