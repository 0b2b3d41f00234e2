//! In charge of what a bound filter means for one record in memory: the oracle of the SQL.
//! Invariant: agrees with the SQL of both databases on every record (a property test holds it).
//! Invariant: a far record that is gone, binned or out of sight counts as empty.

use std::cmp::Ordering;
use std::sync::Arc;

use model::schema::Via;
use model::{Cells, EntityId, FieldId, Schema, Value};
use uuid::Uuid;

use crate::query::{Column, Compare, Hop, Leaf, Path, Predicate, Related, RelatedVia, Test};

/// That a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostFault(pub String);

/// Reads other records in memory.
pub trait Lookup {
    /// A record, binned ones too.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn get(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, HostFault>;

    /// The live records that a relation leads to.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn related(&self, via: &RelatedVia, id: Uuid) -> Result<Vec<Arc<Cells>>, HostFault>;

    /// Whether a user is a member of a record.
    ///
    /// # Errors
    /// Where that cannot be read.
    fn is_member(&self, entity: EntityId, id: Uuid, user: Uuid, write: bool) -> Result<bool, HostFault>;

    /// Whether a record is `top` or below it in a tree.
    ///
    /// # Errors
    /// Where the tree cannot be read.
    fn is_under(&self, entity: EntityId, parent: FieldId, id: Uuid, top: Uuid) -> Result<bool, HostFault>;
}

/// Knows the working time of calendars, by qualified name.
pub trait Working: std::fmt::Debug + Send + Sync {
    /// Whether there is work on a day; false where there is no such calendar.
    fn works(&self, calendar: &str, day: chrono::NaiveDate) -> bool;

    /// The working time between two moments; none where there is no such calendar.
    fn between(&self, calendar: &str, from: chrono::DateTime<chrono::Utc>, until: chrono::DateTime<chrono::Utc>) -> Option<chrono::TimeDelta>;
}

/// Reads nothing: for what looks at one record alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl Lookup for NoLookup {
    fn get(&self, _: EntityId, _: Uuid) -> Result<Option<Arc<Cells>>, HostFault> {
        Ok(None)
    }

    fn related(&self, _: &RelatedVia, _: Uuid) -> Result<Vec<Arc<Cells>>, HostFault> {
        Ok(Vec::new())
    }

    fn is_member(&self, _: EntityId, _: Uuid, _: Uuid, _: bool) -> Result<bool, HostFault> {
        Ok(false)
    }

    fn is_under(&self, _: EntityId, _: FieldId, id: Uuid, top: Uuid) -> Result<bool, HostFault> {
        Ok(id == top)
    }
}

/// Whether `record`, one of `entity`, fits.
///
/// # Errors
/// Where another record could not be read.
pub fn matches(predicate: &Predicate, schema: &Schema, entity: EntityId, record: &Cells, lookup: &dyn Lookup) -> Result<bool, HostFault> {
    let eval = Eval { schema, lookup };
    eval.holds(predicate, entity, record)
}

struct Eval<'a> {
    schema: &'a Schema,
    lookup: &'a dyn Lookup,
}

impl Eval<'_> {
    fn holds(&self, predicate: &Predicate, entity: EntityId, record: &Cells) -> Result<bool, HostFault> {
        match predicate {
            Predicate::True => Ok(true),
            Predicate::False => Ok(false),
            Predicate::All(parts) => {
                for part in parts {
                    if !self.holds(part, entity, record)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Predicate::Any(parts) => {
                for part in parts {
                    if self.holds(part, entity, record)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Predicate::Leaf(leaf) => Ok(self.leaf(leaf, record)? != leaf.negated),
            Predicate::Related(related) => Ok(self.related(related, record)? != related.negated),
            Predicate::Through(through) => {
                let id = self.schema.entity(entity).field(through.field).cells(record).first().and_then(Value::as_uuid);
                self.through(through.to, id, &through.filter)
            }
            Predicate::ThroughAny(through) => {
                let cells = self.schema.entity(entity).field(through.field).cells(record);
                let [Value::Uuid(id), Value::Text(name), ..] = cells else { return Ok(false) };
                let target = through.targets.iter().find(|(target, _)| self.schema.entity(*target).name.as_str() == &**name);
                match target {
                    Some((target, filter)) => self.through(*target, Some(*id), filter),
                    None => Ok(false),
                }
            }
            Predicate::Member { user, write } => match self.id_of(entity, record) {
                Some(id) => self.lookup.is_member(entity, id, *user, *write),
                None => Ok(false),
            },
        }
    }

    fn id_of(&self, entity: EntityId, record: &Cells) -> Option<Uuid> {
        self.schema.entity(entity).slot("id").and_then(|slot| record.get(slot)).and_then(Value::as_uuid)
    }

    fn is_live(&self, entity: EntityId, record: &Cells) -> bool {
        self.schema.entity(entity).slot("deleted_at").and_then(|slot| record.get(slot)).is_none_or(Value::is_null)
    }

    fn through(&self, entity: EntityId, id: Option<Uuid>, filter: &Predicate) -> Result<bool, HostFault> {
        let Some(id) = id else { return Ok(false) };
        match self.lookup.get(entity, id)? {
            Some(far) if self.is_live(entity, &far) => self.holds(filter, entity, &far),
            Some(_) | None => Ok(false),
        }
    }

    /// The record at the end of some references; none where it counts as empty.
    fn walk<'r>(&self, hops: &[Hop], record: &'r Cells) -> Result<Option<Far<'r>>, HostFault> {
        let mut here = Far::Near(record);
        for hop in hops {
            let id = self.schema.entity(hop.from).field(hop.field).cells(here.cells()).first().and_then(Value::as_uuid);
            let Some(id) = id else { return Ok(None) };
            match self.lookup.get(hop.to, id)? {
                Some(far) if self.is_live(hop.to, &far) && self.holds(&hop.rows, hop.to, &far)? => here = Far::Away(far),
                Some(_) | None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    fn value(&self, path: &Path, column: &Column, record: &Cells) -> Result<Value, HostFault> {
        let Some(far) = self.walk(&path.hops, record)? else { return Ok(Value::Null) };
        Ok(match column {
            Column::Slot(slot) => far.cells().get(*slot).cloned().unwrap_or_default(),
            Column::Clock(clock, moment) => clock.value(far.cells(), *moment),
        })
    }

    fn leaf(&self, leaf: &Leaf, record: &Cells) -> Result<bool, HostFault> {
        let value = self.value(&leaf.path, &leaf.column, record)?;
        if matches!(leaf.test, Test::Empty) {
            return Ok(value.is_null());
        }
        if value.is_null() {
            return Ok(false);
        }
        let order = |other: &Value| if other.is_null() { None } else { value.order(other) };
        let text = |wanted: &Arc<str>, test: fn(&str, &str) -> bool| value.as_text().is_some_and(|text| test(text, wanted));
        Ok(match &leaf.test {
            Test::Empty => false,
            Test::Equal(other) => order(other) == Some(Ordering::Equal),
            Test::In(others) => others.iter().any(|other| order(other) == Some(Ordering::Equal)),
            Test::Less(other) => order(other) == Some(Ordering::Less),
            Test::LessEqual(other) => order(other).is_some_and(Ordering::is_le),
            Test::Greater(other) => order(other) == Some(Ordering::Greater),
            Test::GreaterEqual(other) => order(other).is_some_and(Ordering::is_ge),
            Test::Range(from, until) => {
                from.as_ref().is_none_or(|from| order(from).is_some_and(Ordering::is_ge))
                    && until.as_ref().is_none_or(|until| order(until) == Some(Ordering::Less))
            }
            Test::Contains(wanted) => text(wanted, |text, wanted| text.contains(wanted)),
            Test::StartsWith(wanted) => text(wanted, |text, wanted| text.starts_with(wanted)),
            Test::EndsWith(wanted) => text(wanted, |text, wanted| text.ends_with(wanted)),
            Test::Has(item) => value.items().iter().any(|there| there.order(item) == Some(Ordering::Equal)),
            Test::Under { entity, parent, top } => match value.as_uuid() {
                Some(id) => self.lookup.is_under(*entity, *parent, id, *top)?,
                None => false,
            },
            Test::Field(compare, path, column) => {
                let other = self.value(path, column, record)?;
                let order = if other.is_null() { None } else { value.order(&other) };
                match compare {
                    Compare::Equal => order == Some(Ordering::Equal),
                    Compare::Less => order == Some(Ordering::Less),
                    Compare::LessEqual => order.is_some_and(Ordering::is_le),
                    Compare::Greater => order == Some(Ordering::Greater),
                    Compare::GreaterEqual => order.is_some_and(Ordering::is_ge),
                }
            }
        })
    }

    fn related(&self, related: &Related, record: &Cells) -> Result<bool, HostFault> {
        let Some(far) = self.walk(&related.hops, record)? else { return Ok(false) };
        let Some(id) = self.id_of(related.entity, far.cells()) else { return Ok(false) };
        let entity = related.via.entity();
        let records = match &related.via {
            RelatedVia::Inverse(_) => self.lookup.related(&related.via, id)?,
            RelatedVia::References(field, target) => {
                let ids = self.schema.entity(related.entity).field(*field).cells(far.cells()).first().map_or(&[][..], Value::items);
                let mut found = Vec::new();
                for id in ids.iter().filter_map(Value::as_uuid) {
                    found.extend(self.lookup.get(*target, id)?.filter(|cells| self.is_live(*target, cells)));
                }
                found
            }
        };
        for there in records {
            if self.holds(&related.rows, entity, &there)? && self.holds(&related.filter, entity, &there)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

enum Far<'r> {
    Near(&'r Cells),
    Away(Arc<Cells>),
}

impl Far<'_> {
    fn cells(&self) -> &Cells {
        match self {
            Self::Near(cells) => cells,
            Self::Away(cells) => cells,
        }
    }
}

/// Whether a record of the many points at `id` in the way that an inverse says.
#[must_use]
pub fn points_at(schema: &Schema, via: &RelatedVia, record: &Cells, id: Uuid, target: &str) -> bool {
    match via {
        RelatedVia::Inverse(inverse) => {
            let cells = schema.entity(inverse.entity).field(inverse.by).cells(record);
            match (inverse.via, cells) {
                (Via::Column, [Value::Uuid(there), ..]) => *there == id,
                (Via::Link, [Value::List(items), ..]) => items.iter().any(|item| item.as_uuid() == Some(id)),
                (Via::AnyColumn, [Value::Uuid(there), Value::Text(entity), ..]) => *there == id && **entity == *target,
                _ => false,
            }
        }
        RelatedVia::References(..) => false,
    }
}
