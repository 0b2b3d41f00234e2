//! In charge of what a script reads of records, maps and lists by name and by place.
//! Invariant: a field that is not shown to whoever the script acts for is answered like one that is not there.
//! Invariant: a record that is gone or out of sight reads as empty.

use std::sync::Arc;

use model::field::Role;
use model::{Cells, EntityId, FieldDef, Message, Value};
use uuid::Uuid;

use super::host::Host;
use super::node::Node;
use super::run::{Flow, Ran, Run, Why, refuse, stop};
use super::thing::Thing;
use crate::expr::item::{Item, whole};
use crate::expr::names::parts_of;
use crate::expr::run::{stage, structure};
use crate::expr::{Spot, from_json};
use crate::query::{Column, Moment, column_of};

/// Steps that reading one more record costs.
const READING: u64 = 20;

impl<H: Host> Run<'_, H> {
    /// What a name means on a value.
    pub fn member(&mut self, base: &Thing, name: &str, spot: Spot) -> Ran<H::Fault> {
        match base {
            Thing::Record(entity, id) => self.field(*entity, *id, name, spot),
            Thing::Map(map) => Ok(map.entries.get(name).cloned().unwrap_or(Thing::EMPTY)),
            Thing::Item(Item::Value(Value::Json(json))) => Ok(json.get(name).map_or(Thing::EMPTY, |part| Thing::value(from_json(part)))),
            thing if thing.is_empty() => Ok(Thing::EMPTY),
            other => Err(refuse(spot, format!("{} has no part `{name}`", other.word()))),
        }
    }

    pub fn index(&mut self, pair: &[Node; 2], spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let [base, key] = pair;
        let (base, key) = (self.eval(base, locals)?, self.eval(key, locals)?);
        match (&base, &key) {
            (Thing::List(list), Thing::Item(Item::Value(value))) => {
                let index = value.as_int().or_else(|| value.as_decimal().and_then(whole));
                let index = index.ok_or_else(|| refuse(spot, format!("a place in a list is a whole number, not {}", key.word())))?;
                // Counted from the end where negative, as the language has it.
                let index = if index < 0 { index.checked_add_unsigned(list.items.len() as u64) } else { Some(index) };
                let index = index.and_then(|index| usize::try_from(index).ok());
                Ok(index.and_then(|index| list.items.get(index)).cloned().unwrap_or(Thing::EMPTY))
            }
            (base, key) => match key.as_text() {
                Some(name) => self.member(base, name, spot),
                None if base.is_empty() || key.is_empty() => Ok(Thing::EMPTY),
                None => Err(refuse(spot, format!("{} cannot be looked up in {}", key.word(), base.word()))),
            },
        }
    }

    fn unknown(&self, entity: EntityId, name: &str, spot: Spot) -> Flow<H::Fault> {
        let entity = self.host.schema().entity(entity).name.to_string();
        stop(spot, Why::Unknown(Message::new("script_unknown_field").with("name", name).with("entity", entity)))
    }

    /// The cells of a record; none where it is not there or out of sight.
    fn cells(&mut self, entity: EntityId, id: Uuid, spot: Spot) -> Result<Option<Arc<Cells>>, Flow<H::Fault>> {
        if self.read.insert((entity, id)) {
            self.spend(READING, spot)?;
        }
        self.host.cells(entity, id).map_err(|fault| stop(spot, Why::Host(fault)))
    }

    /// The value of a record's field, as assigned or as it is.
    pub fn field(&mut self, entity: EntityId, id: Uuid, name: &str, spot: Spot) -> Ran<H::Fault> {
        if let Some(thing) = self.changes.get(&(entity, id)).and_then(|(_, values)| values.get(name)) {
            return Ok(thing.clone());
        }
        let schema = self.host.schema();
        let def = schema.entity(entity);
        let Some(field) = def.find(name).filter(|field| self.host.knows(entity, field)) else {
            return match def.inverses.get(name) {
                Some(inverse) => self.related(inverse.entity, schema.entity(inverse.entity).field(inverse.by).name.as_str(), id, spot),
                None => Err(self.unknown(entity, name, spot)),
            };
        };
        if let Role::Lines { of, by, .. } = &field.role {
            let Some(lines) = schema.find_from(field.app.as_str(), of) else { return Ok(Thing::EMPTY) };
            return self.related(lines.id, by.as_str(), id, spot);
        }
        let Some(cells) = self.cells(entity, id, spot)? else { return Ok(Thing::EMPTY) };
        if !self.host.shows(entity, field, &cells).map_err(|fault| stop(spot, Why::Host(fault)))? {
            return Err(self.unknown(entity, name, spot));
        }
        let thing = self.kept(entity, field, &cells);
        self.made(thing, spot)
    }

    /// What a field holds.
    fn kept(&self, entity: EntityId, field: &FieldDef, cells: &Cells) -> Thing {
        let schema = self.host.schema();
        let def = schema.entity(entity);
        if field.on_read {
            let moment = Moment { today: self.host.params().today(), now: self.host.params().now };
            return match column_of(schema, def, field, moment) {
                Some(Column::Clock(clock, moment)) => Thing::value(clock.value(cells, moment)),
                Some(Column::Slot(_)) | None => Thing::EMPTY,
            };
        }
        let parts = parts_of(def, field);
        if !parts.is_empty() {
            return Thing::value(structure(&parts, cells));
        }
        let held = field.cells(cells);
        match (&field.role, held.first(), field.targets.first()) {
            (Role::Reference(_), Some(Value::Uuid(id)), Some(target)) => Thing::Record(*target, *id),
            (Role::References(_), Some(Value::List(ids)), Some(target)) => {
                Thing::list(ids.iter().filter_map(Value::as_uuid).map(|id| Thing::Record(*target, id)).collect())
            }
            (Role::AnyReference { .. }, Some(Value::Uuid(id)), _) => {
                let target = held.get(1).and_then(Value::as_text).and_then(|name| schema.find(name));
                target.map_or(Thing::EMPTY, |target| Thing::Record(target.id, *id))
            }
            (Role::Secret, ..) => Thing::EMPTY,
            (_, value, _) if !field.doc.common.encrypted => Thing::value(value.cloned().unwrap_or_default()),
            _ => Thing::EMPTY,
        }
    }

    pub fn stage(&mut self, node: &Node, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let Node::Stage(of, spot) = node else { return Ok(Thing::EMPTY) };
        let Thing::Record(entity, id) = self.eval(&of.record, locals)? else { return Ok(Thing::EMPTY) };
        let name = self.field(entity, id, &of.field, *spot)?;
        let Some(slot) = self.host.schema().entity(entity).slot(&of.field) else { return Ok(Thing::EMPTY) };
        let Some(cells) = self.cells(entity, id, *spot)? else { return Ok(Thing::EMPTY) };
        let mut cells = Vec::clone(&cells);
        if let (Some(cell), Thing::Item(Item::Value(value))) = (cells.get_mut(slot), name) {
            *cell = value;
        }
        Ok(Thing::value(stage(&cells, slot, of.attribute, &of.stages, self.host.locale())))
    }
}
