//! In charge of what is known of a write while it goes down the ordered list: one row per submission.
//! Invariant: a row with a fault or an error stays in its place and is left out of every later step.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use model::{Cells, EntityDef, EntityId, FieldId, Value, Violation};
use rules::policy::Grant;
use rules::query::Params;
use rules::scope::Scope;
use store::Tx;
use uuid::Uuid;

use crate::clocks::Sayings;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::{EntityPlan, Published};
use crate::records::accept::SentLines;
use crate::records::consequences::Touched;
use crate::records::history::Log;
use crate::records::likeness::Likeness;
use crate::records::lookup::Reader;
use crate::records::submission::Outcome;

/// What a write works with.
pub(crate) struct Writer<'a> {
    pub(crate) cx: &'a Ctx,
    pub(crate) tx: &'a Tx,
    pub(crate) app: &'a Published,
    pub(crate) reader: Reader<'a>,
    /// Changes of this transaction, appended to the log at its end.
    pub(crate) log: std::cell::RefCell<Log>,
    /// Records that may come under approval and changed here, each with how it was first.
    pub(crate) changed: std::cell::RefCell<Vec<Touched>>,
    /// Whether lines are being written as part of their parent.
    pub(crate) within_parent: std::cell::Cell<bool>,
    /// The running approval whose own step is being written.
    pub(crate) flow: std::cell::Cell<Option<Uuid>>,
    /// Whether nothing is to be written: no number is given.
    pub(crate) is_preview: bool,
    /// The rule of duplicates that whoever writes has looked at already.
    pub(crate) settled: Option<String>,
    /// The fields that a publish fills for the first time, where this is one: their values follow from the documents, so
    /// nothing is logged and no rule is asked.
    pub(crate) filling: Option<&'a BTreeSet<(EntityId, FieldId)>>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(cx: &'a Ctx, tx: &'a Tx) -> Self {
        Self {
            cx,
            tx,
            app: &cx.app,
            reader: Reader::new(tx, &cx.app.schema),
            log: std::cell::RefCell::default(),
            changed: std::cell::RefCell::default(),
            within_parent: std::cell::Cell::new(false),
            flow: std::cell::Cell::new(cx.flow),
            is_preview: false,
            settled: None,
            filling: None,
        }
    }

    /// One that fills what a publish adds.
    pub(crate) fn filling(cx: &'a Ctx, tx: &'a Tx, fresh: &'a BTreeSet<(EntityId, FieldId)>) -> Self {
        Self { filling: Some(fresh), ..Self::new(cx, tx) }
    }

    /// One that writes nothing.
    pub(crate) fn preview(cx: &'a Ctx, tx: &'a Tx) -> Self {
        Self { is_preview: true, ..Self::new(cx, tx) }
    }

    /// Whether a derived field is computed here: a publish leaves those alone that are as they were.
    pub(crate) fn computes(&self, entity: EntityId, field: FieldId) -> bool {
        self.filling.is_none_or(|fresh| fresh.contains(&(entity, field)))
    }

    pub(crate) fn def(&self, entity: EntityId) -> &'a EntityDef {
        self.app.schema.entity(entity)
    }

    pub(crate) fn plan(&self, entity: EntityId) -> &'a EntityPlan {
        self.app.plan(entity)
    }

    pub(crate) fn params<'b>(&'b self, app: &str, entity: EntityId, record: &'b Cells) -> Params<'b> {
        self.cx.params(app, Some((entity, record)))
    }

    /// Evaluates something on a record's scope.
    pub(crate) fn on_scope<T>(&self, app: &str, entity: EntityId, record: &Cells, old: Option<&Cells>, f: impl FnOnce(&Scope<'_>) -> T) -> T {
        let params = self.params(app, entity, record);
        f(&Scope { schema: &self.app.schema, entity, record, old, params: &params, locale: &self.cx.locale, lookup: &self.reader, extra: &[] })
    }
}

/// What is done to a record; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Create,
    Update,
}

/// A move between stages that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Moving {
    pub(crate) field: FieldId,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    pub(crate) skip: IndexMap<String, String>,
}

/// An approval that a move has to pass first.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    /// The flow, qualified.
    pub(crate) flow: String,
    /// The move.
    pub(crate) moving: Moving,
    /// The instance that was begun for it.
    pub(crate) begun: Option<Uuid>,
}

/// One record on its way down the list.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) doing: Doing,
    pub(crate) version: Option<i64>,
    /// The version that it has, or its parent has, before the write.
    pub(crate) current: Option<i64>,
    pub(crate) before: Option<Arc<Cells>>,
    pub(crate) after: Cells,
    pub(crate) sent: BTreeSet<FieldId>,
    /// Those of them that an automation set.
    pub(crate) set: BTreeSet<FieldId>,
    pub(crate) lines: Vec<SentLines>,
    pub(crate) moving: Option<Moving>,
    /// The approval that must pass before it moves.
    pub(crate) awaits: Option<Awaited>,
    pub(crate) faults: Vec<Violation>,
    pub(crate) failed: Option<Error>,
    /// The records that refuse it, which may be the same thing.
    pub(crate) alike: Vec<Likeness>,
    /// Records that may be the same thing and do not refuse it, each with whether it is told, too.
    pub(crate) resembles: Vec<(Uuid, bool)>,
    pub(crate) outcome: Option<Outcome>,
    /// Whether the record is out of the caller's sight now.
    pub(crate) left_sight: bool,
    /// What its clocks said.
    pub(crate) sayings: Sayings,
}

impl Row {
    pub(crate) fn new(id: Uuid, doing: Doing, version: Option<i64>) -> Self {
        Self {
            id,
            doing,
            version,
            current: None,
            before: None,
            after: Vec::new(),
            sent: BTreeSet::new(),
            set: BTreeSet::new(),
            lines: Vec::new(),
            moving: None,
            awaits: None,
            faults: Vec::new(),
            failed: None,
            alike: Vec::new(),
            resembles: Vec::new(),
            outcome: None,
            left_sight: false,
            sayings: Sayings::new(),
        }
    }

    /// Whether later steps look at it.
    pub(crate) fn is_well(&self) -> bool {
        self.faults.is_empty() && self.failed.is_none()
    }

    /// Whether it is still worth checking: faults are collected, errors end it.
    pub(crate) fn goes_on(&self) -> bool {
        self.failed.is_none()
    }

    pub(crate) fn changed(&self, def: &EntityDef, field: FieldId) -> bool {
        let field = def.field(field);
        match &self.before {
            None => field.cells(&self.after).iter().any(|cell| !cell.is_null()),
            Some(before) => field.cells(before) != field.cells(&self.after),
        }
    }

    /// The value of a field as it will be.
    pub(crate) fn value<'b>(&'b self, def: &EntityDef, field: FieldId) -> &'b Value {
        static NULL: Value = Value::Null;
        def.field(field).slot().and_then(|slot| self.after.get(slot)).unwrap_or(&NULL)
    }

    pub(crate) fn set(&mut self, def: &EntityDef, name: &str, value: Value) {
        if let Some(slot) = def.slot(name)
            && let Some(cell) = self.after.get_mut(slot)
        {
            *cell = value;
        }
    }
}

/// The rows of one entity that are written together.
pub(crate) struct Slice<'a> {
    pub(crate) def: &'a EntityDef,
    pub(crate) plan: &'a EntityPlan,
    pub(crate) grant: &'a Grant,
    pub(crate) rows: Vec<Row>,
}

impl Slice<'_> {
    pub(crate) fn well(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_well())
    }

    pub(crate) fn well_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut().filter(|row| row.is_well())
    }
}
