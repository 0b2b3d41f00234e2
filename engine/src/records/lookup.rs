//! In charge of reading other records in memory within one transaction: references, related records, titles.
//! Invariant: a record is read once; what this transaction wrote is seen at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use model::{Cells, EntityId, FieldId, Schema, Value};
use rules::eval::{HostFault, Lookup};
use rules::expr::Expression;
use rules::query::{Path, RelatedVia};
use rules::scope::Scope;
use store::{Lock, Tx};
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::error::Error;

/// Records that were read; none where there is no such record.
type Seen = HashMap<(EntityId, Uuid), Option<Arc<Cells>>>;

/// Reads records over an open transaction.
pub(crate) struct Reader<'a> {
    tx: &'a Tx,
    schema: &'a Schema,
    seen: RefCell<Seen>,
    sight: RefCell<HashMap<(EntityId, Uuid), bool>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(tx: &'a Tx, schema: &'a Schema) -> Self {
        Self { tx, schema, seen: RefCell::default(), sight: RefCell::default() }
    }

    /// Reads records ahead, all in one query.
    pub(crate) fn preload(&self, entity: EntityId, ids: &[Uuid], lock: Lock) -> Result<(), store::Fault> {
        let mut missing: Vec<Uuid> = {
            let seen = self.seen.borrow();
            // Where others may write, what was read without a lock may have changed since.
            let stale = lock != Lock::None && !self.tx.is_alone();
            ids.iter().filter(|id| stale || !seen.contains_key(&(entity, **id))).copied().collect()
        };
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let found = self.tx.load(self.schema.entity(entity), &missing, lock)?;
        let mut seen = self.seen.borrow_mut();
        for (id, cells) in missing.into_iter().zip(found) {
            seen.insert((entity, id), cells.map(Arc::new));
        }
        Ok(())
    }

    /// The record, binned ones too.
    pub(crate) fn read(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, store::Fault> {
        if let Some(known) = self.seen.borrow().get(&(entity, id)) {
            return Ok(known.clone());
        }
        self.preload(entity, &[id], Lock::None)?;
        Ok(self.seen.borrow().get(&(entity, id)).cloned().flatten())
    }

    /// Remembers what was written.
    pub(crate) fn put(&self, entity: EntityId, id: Uuid, cells: Arc<Cells>) {
        self.seen.borrow_mut().insert((entity, id), Some(cells));
        self.sight.borrow_mut().clear();
    }

    /// Forgets what was read: something else may have written it.
    pub(crate) fn forget(&self) {
        self.seen.borrow_mut().clear();
        self.sight.borrow_mut().clear();
    }

    /// Whether the caller sees a live record.
    pub(crate) fn in_sight(&self, cx: &Ctx, entity: EntityId, id: Uuid) -> Result<bool, Error> {
        if let Some(known) = self.sight.borrow().get(&(entity, id)) {
            return Ok(*known);
        }
        let def = self.schema.entity(entity);
        let seen = match self.read(entity, id)? {
            Some(cells) if is_live(def, &cells) => rules::eval::matches(&cx.grants.entity(entity).read, self.schema, entity, &cells, self)?,
            Some(_) | None => false,
        };
        self.sight.borrow_mut().insert((entity, id), seen);
        Ok(seen)
    }

    /// The values at the end of a path; nothing where a field or a record on it is out of the reader's sight.
    pub(crate) fn seen_along(&self, cx: &Ctx, path: &Path, cells: &Cells) -> Result<Vec<Value>, Error> {
        let mut from = Arc::new(cells.clone());
        for hop in &path.hops {
            if !cx.grants.entity(hop.from).comparable(hop.field) {
                return Ok(Vec::new());
            }
            let target = self.schema.entity(hop.from).field(hop.field).cells(&from).first().and_then(Value::as_uuid);
            match target.map(|id| Ok::<_, Error>((self.in_sight(cx, hop.to, id)?, self.read(hop.to, id)?))).transpose()? {
                Some((true, Some(there))) => from = there,
                Some(_) | None => return Ok(Vec::new()),
            }
        }
        if !cx.grants.entity(path.entity).comparable(path.field) {
            return Ok(Vec::new());
        }
        Ok(self.schema.entity(path.entity).field(path.field).cells(&from).to_vec())
    }

    /// The value of an expression on a record, already fit for output; none where it refuses.
    pub(crate) fn evaluate(&self, cx: &Ctx, entity: EntityId, record: &Cells, expression: &Expression) -> Option<Value> {
        let params = cx.params(self.schema.entity(entity).name.app(), Some((entity, record)));
        let scope = Scope { schema: self.schema, entity, record, old: None, params: &params, locale: &cx.locale, lookup: self, extra: &[] };
        expression.eval(&scope).ok()
    }
}

/// Whether a record is not in the bin.
pub(crate) fn is_live(def: &model::EntityDef, cells: &Cells) -> bool {
    def.slot("deleted_at").and_then(|slot| cells.get(slot)).is_none_or(Value::is_null)
}

fn host(fault: store::Fault) -> HostFault {
    HostFault(fault.to_string())
}

impl Lookup for Reader<'_> {
    fn get(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, HostFault> {
        self.read(entity, id).map_err(host)
    }

    fn related(&self, via: &RelatedVia, id: Uuid) -> Result<Vec<Arc<Cells>>, HostFault> {
        let found = self.tx.related(self.schema, via, &[id]).map_err(host)?;
        Ok(found.into_iter().map(|(_, cells)| Arc::new(cells)).collect())
    }

    fn is_member(&self, entity: EntityId, id: Uuid, user: Uuid, write: bool) -> Result<bool, HostFault> {
        self.tx.is_member(self.schema.entity(entity).name.as_str(), id, user, write).map_err(host)
    }

    fn is_under(&self, entity: EntityId, parent: FieldId, id: Uuid, top: Uuid) -> Result<bool, HostFault> {
        const DEEPEST: usize = 100;
        let def = self.schema.entity(entity);
        let mut here = id;
        for _ in 0..DEEPEST {
            if here == top {
                return Ok(true);
            }
            let Some(cells) = self.read(entity, here).map_err(host)? else { return Ok(false) };
            match def.field(parent).cells(&cells).first().and_then(Value::as_uuid) {
                Some(above) => here = above,
                None => return Ok(false),
            }
        }
        Ok(false)
    }
}
