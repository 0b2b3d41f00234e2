//! In charge of what a step works with: the record, what earlier steps gave, whose rights it acts with, and writing.
//! Invariant: records are read when the step acts; what it writes goes through the one write path, one deeper.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use model::{Cells, Code, EntityId, FieldId, Input, Message, Value, Violation};
use rules::expr::Given;
use rules::query::Path;
use rules::scope::{Extra, Scope};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use uuid::Uuid;

use super::compile::{Target, ValuePlan};
use super::lookups;
use super::plan::AutomationPlan;
use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::records::accept::{Purpose, refusal, set_cells, unknown_field};
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Submission, Written, write_in, write_one};

/// A record at hand.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    pub(crate) entity: EntityId,
    pub(crate) id: Uuid,
    pub(crate) cells: Arc<Cells>,
}

/// The record that is being written, where steps act inside its transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct InHand {
    pub(crate) cells: Cells,
    /// The fields that steps set.
    pub(crate) set: BTreeSet<FieldId>,
}

/// What a step works with.
pub(crate) struct Running<'a> {
    /// The facts with whose rights it acts.
    pub(crate) cx: &'a Ctx,
    /// The facts of whoever set it off: `me`, the language.
    pub(crate) eyes: &'a Ctx,
    pub(crate) asker: &'a Caller,
    pub(crate) tx: &'a Tx,
    pub(crate) plan: &'a AutomationPlan,
    pub(crate) step: &'a str,
    /// The run; none inside a transaction.
    pub(crate) run: Option<Uuid>,
    /// When it was set off.
    pub(crate) since: DateTime<Utc>,
    /// When the step was come to first, where it waited.
    pub(crate) waits_since: Option<DateTime<Utc>>,
    pub(crate) record: Option<Hand>,
    pub(crate) old: Option<Arc<Cells>>,
    /// What is seen by name: results of steps, answers, what was sent, items of loops.
    pub(crate) held: &'a Map<String, Json>,
    pub(crate) in_hand: Option<&'a RefCell<InHand>>,
    pub(crate) notes: &'a RefCell<Vec<ChangeNote>>,
    /// Whether anything was written beside the record in hand.
    pub(crate) wrote: &'a Cell<bool>,
    /// What the history of the run shows of the step where it fails.
    pub(crate) told: &'a RefCell<Json>,
    /// Reads records, as they are now.
    pub(crate) writer: Writer<'a>,
}

/// What is seen by a name, on the way to an expression.
enum Seen {
    Record(EntityId, Arc<Cells>),
    Values(IndexMap<String, Value>),
    Value(Value),
}

/// An id from `{"entity", "id"}`.
pub(crate) fn reference_of(json: &Json) -> Option<(String, Uuid)> {
    let id = json.get("id")?.as_str().and_then(|id| Uuid::try_parse(id).ok())?;
    Some((json.get("entity")?.as_str()?.to_owned(), id))
}

/// A record as it is held: `{"entity", "id"}`.
pub(crate) fn held(cx: &Ctx, entity: EntityId, id: Uuid) -> Json {
    json!({"entity": cx.app.schema.entity(entity).name.as_str(), "id": id})
}

impl Running<'_> {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.cx.now
    }

    /// The record that something given is.
    pub(crate) fn held_record(&self, name: &str) -> Option<(EntityId, Uuid)> {
        let held = self.held.get(name).or_else(|| name.split_once('.').and_then(|(first, key)| self.held.get(first)?.get(key)));
        let (entity, id) = reference_of(held?)?;
        Some((self.cx.app.schema.find(&entity)?.id, id))
    }

    /// A text in what was given, `payload.customer.mail`.
    pub(crate) fn held_text(&self, name: &str) -> Option<String> {
        let mut parts = name.split('.');
        let mut here = self.held.get(parts.next()?)?;
        for part in parts {
            here = here.get(part)?;
        }
        here.as_str().map(str::to_owned)
    }

    /// The values that something given holds, by key.
    pub(crate) fn held_values(&self, name: &str, given: &Given) -> IndexMap<String, Value> {
        let json = self.held.get(name).unwrap_or(&Json::Null);
        match given {
            Given::Fields(fields) => {
                fields.iter().map(|(name, kind)| (name.clone(), lookups::of_kind(json.get(name).unwrap_or(&Json::Null), *kind))).collect()
            }
            Given::Values => json.as_object().into_iter().flatten().map(|(name, json)| (name.clone(), rules::expr::from_json(json))).collect(),
            Given::Record(_) | Given::Records(_) | Given::Value(_) => IndexMap::new(),
        }
    }

    fn seen(&self, name: &str, given: &Given) -> Result<Seen, Error> {
        let json = self.held.get(name).unwrap_or(&Json::Null);
        Ok(match given {
            Given::Record(entity) => {
                let def = self.cx.app.schema.entity(*entity);
                let cells = match self.held_record(name) {
                    Some((there, id)) if there == *entity => self.writer.reader.read(there, id)?.filter(|cells| is_live(def, cells)),
                    Some(_) | None => None,
                };
                Seen::Record(*entity, cells.unwrap_or_else(|| Arc::new(def.empty())))
            }
            // Each of them is given by both names.
            Given::Records(_) => Seen::Values(IndexMap::new()),
            Given::Fields(_) | Given::Values => Seen::Values(self.held_values(name, given)),
            Given::Value(kind) => Seen::Value(lookups::of_kind(json, *kind)),
        })
    }

    /// Looks at something on the scope of a record; the trigger's where none is named.
    pub(crate) fn on_scope<T>(&self, about: Option<&Hand>, f: impl FnOnce(&Scope<'_>) -> T) -> Result<T, Error> {
        let seen: Vec<(&str, Seen)> =
            self.plan.given.iter().map(|(name, given)| Ok((name.as_str(), self.seen(name, given)?))).collect::<Result<_, Error>>()?;
        let extra: Vec<(&str, Extra<'_>)> = seen
            .iter()
            .map(|(name, seen)| {
                let extra = match seen {
                    Seen::Record(entity, cells) => Extra::Record(*entity, cells),
                    Seen::Values(values) => Extra::Values(values),
                    Seen::Value(value) => Extra::Value(value.clone()),
                };
                (*name, extra)
            })
            .collect();
        let in_hand = self.in_hand.map(|hand| Arc::new(hand.borrow().cells.clone()));
        let nobody = self.nobody();
        let own = self.record.as_ref();
        let is_own = about.is_none_or(|about| own.is_some_and(|own| own.id == about.id));
        let (entity, cells) = match about.or(own) {
            Some(hand) if is_own && in_hand.is_some() => (hand.entity, in_hand.as_ref().unwrap_or(&hand.cells)),
            Some(hand) => (hand.entity, &hand.cells),
            None => (nobody.0, &nobody.1),
        };
        let params = self.eyes.params(&self.plan.app, Some((entity, cells)));
        let old = if is_own { self.old.as_deref() } else { None };
        let scope = Scope {
            schema: &self.cx.app.schema,
            entity,
            record: cells,
            old,
            params: &params,
            locale: &self.eyes.locale,
            lookup: &self.writer.reader,
            extra: &extra,
        };
        Ok(f(&scope))
    }

    fn nobody(&self) -> (EntityId, Arc<Cells>) {
        match self.cx.app.schema.find("core.user") {
            Some(def) => (def.id, Arc::new(def.empty())),
            None => (EntityId(0), Arc::default()),
        }
    }

    /// The cells at the end of a path from something given, or from the record.
    pub(crate) fn end_of(&self, from: Option<&str>, path: &Path) -> Result<Vec<Value>, Error> {
        let begin = match from {
            None => self.present().map(|hand| hand.cells),
            Some(name) => match self.held_record(name) {
                Some((entity, id)) => self.writer.reader.read(entity, id)?,
                None => None,
            },
        };
        match begin {
            Some(cells) => crate::records::fill::along(&self.writer, path, &cells),
            None => Ok(Vec::new()),
        }
    }

    /// The trigger's record as it is at this moment.
    pub(crate) fn present(&self) -> Option<Hand> {
        let hand = self.record.clone()?;
        match self.in_hand {
            Some(in_hand) => Some(Hand { cells: Arc::new(in_hand.borrow().cells.clone()), ..hand }),
            None => Some(hand),
        }
    }

    /// The record that a step is about; none where it is not there.
    pub(crate) fn about(&self, target: Option<&Target>) -> Result<Option<Hand>, Error> {
        let Some(target) = target else { return Ok(self.present()) };
        let found = match (&target.path, &target.from) {
            (Some(path), from) => {
                let id = self.end_of(from.as_deref(), path)?.first().and_then(Value::as_uuid);
                id.map(|id| (target.entity, id))
            }
            (None, Some(name)) => self.held_record(name),
            (None, None) => return Ok(self.present()),
        };
        let Some((entity, id)) = found else { return Ok(None) };
        let def = self.cx.app.schema.entity(entity);
        let cells = self.writer.reader.read(entity, id)?.filter(|cells| is_live(def, cells));
        Ok(cells.map(|cells| Hand { entity, id, cells }))
    }

    /// The values of a step as somebody would send them.
    pub(crate) fn values(&self, entity: EntityId, plans: &[ValuePlan]) -> Result<IndexMap<String, Input>, Error> {
        let mut values = IndexMap::new();
        let mut faults = Vec::new();
        for plan in plans {
            let field = self.cx.app.schema.entity(entity).field(plan.field);
            let made = self.on_scope(None, |scope| plan.value.send(scope, field))?;
            let made = match made {
                Ok(input) => lookups::found(self, plan, input)?,
                Err(reject) => Err(reject),
            };
            match made {
                Ok(input) => {
                    values.insert(field.name.to_string(), input);
                }
                Err(reject) => faults.push(Violation::of_field(field.name.as_str(), reject.code, reject.message)),
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(Error::Invalid(faults)) }
    }

    /// Sets values of the record in hand.
    pub(crate) fn set_in_hand(&self, in_hand: &RefCell<InHand>, entity: EntityId, plans: &[ValuePlan]) -> Result<(), Error> {
        let def = self.cx.app.schema.entity(entity);
        let mut faults = Vec::new();
        for plan in plans {
            let field = def.field(plan.field);
            let made = self.on_scope(None, |scope| plan.value.send(scope, field))?;
            let made = match made {
                Ok(input) => lookups::found(self, plan, input)?,
                Err(reject) => Err(reject),
            };
            match made.and_then(|input| lookups::accepted(self.cx, def, field, &input, &in_hand.borrow().cells)) {
                Ok(cells) => {
                    let mut hand = in_hand.borrow_mut();
                    set_cells(def, field, cells, &mut hand.cells);
                    hand.set.insert(field.id);
                }
                Err(reject) => faults.push(Violation::of_field(field.name.as_str(), reject.code, reject.message)),
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    /// Sets values of the record in hand as somebody sent them, as far as whoever the step acts for may write them.
    pub(crate) fn put_in_hand(&self, entity: EntityId, values: &IndexMap<String, Input>) -> Result<(), Error> {
        let Some(in_hand) = self.in_hand else { return Err(nothing_there()) };
        let def = self.cx.app.schema.entity(entity);
        let grant = self.cx.grants.entity(entity);
        let mut faults = Vec::new();
        for (name, input) in values {
            let Some(field) = self.cx.grants.field(def, name) else {
                faults.push(unknown_field(self.cx, def, name));
                continue;
            };
            let purpose = if self.old.is_some() { Purpose::Update } else { Purpose::Create };
            if let Some(fault) = refusal(self.cx, grant, field, purpose) {
                faults.push(fault);
                continue;
            }
            let made = lookups::accepted(self.cx, def, field, input, &in_hand.borrow().cells);
            match made {
                Ok(cells) => {
                    let mut hand = in_hand.borrow_mut();
                    set_cells(def, field, cells, &mut hand.cells);
                    hand.set.insert(field.id);
                }
                Err(reject) => faults.push(Violation::of_field(field.name.as_str(), reject.code, reject.message)),
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    /// Writes one thing.
    pub(crate) fn write(&self, entity: EntityId, submission: Submission) -> Result<Written, Error> {
        let (written, notes) = if self.run.is_some() {
            // A step that fails undoes itself.
            write_one(self.cx, self.tx, entity, &submission)?
        } else {
            let (mut results, notes) = write_in(self.cx, self.tx, entity, &[submission])?;
            (results.pop().unwrap_or(Err(Error::NotFound))?, notes)
        };
        self.notes.borrow_mut().extend(notes);
        self.wrote.set(true);
        Ok(written)
    }
}

/// That a step found nothing to act on.
pub(crate) fn nothing_there() -> Error {
    Error::of(Code::BadReference, Message::new("step_without_record"))
}
