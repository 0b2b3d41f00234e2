//! In charge of what a script assigns to: variables, parts of them, fields of records.
//! Invariant: what is put into one copy of a list or map is not in another.
//! Invariant: fields that were assigned read as assigned; they are written when the script has ended well.

use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use model::{EntityId, Input, Value};
use uuid::Uuid;

use super::host::Host;
use super::limits::Limit;
use super::node::{Node, Step, Target};
use super::run::{Flow, Ran, Run, fill, halt, refuse};
use super::thing::Thing;
use super::values;
use crate::expr::Spot;
use crate::expr::item::{Arithmetic, Item};

impl<H: Host> Run<'_, H> {
    pub fn assign(&mut self, target: &Target, operator: Option<Arithmetic>, value: &Node, spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let mut value = self.eval(value, locals)?;
        let keys = self.keys(target, spot, locals)?;
        if let Some(operator) = operator {
            let mut there = self.eval(&target.root, locals)?;
            for key in &keys {
                there = self.look_up(&there, key, spot)?;
            }
            let taken = |thing: &Thing| thing.item().ok_or_else(|| refuse(spot, format!("`{}` cannot take {}", operator.sign(), thing.word())));
            let (left, right) = (taken(&there)?, taken(&value)?);
            value = self.arithmetic(operator, &left, &right, spot)?;
        }
        self.put_at(target, &keys, spot, locals, |_, place| {
            *place = value;
            Ok(Thing::EMPTY)
        })
    }

    pub fn change_in_place(&mut self, own: values::Own, target: &Target, arguments: &[Thing], spot: Spot, locals: &mut Vec<Thing>) -> Ran<H::Fault> {
        let keys = self.keys(target, spot, locals)?;
        self.put_at(target, &keys, spot, locals, |run, place| {
            let items = if let Thing::List(list) = &*place { list.items.len() } else { 0 };
            // A list that something else holds, too, is copied first.
            let copied = if let Thing::List(list) = &*place { Rc::strong_count(list) > 1 } else { false };
            let whole = copied || matches!(own, values::Own::Sort | values::Own::Reverse);
            run.spend(if whole { u64::try_from(items).unwrap_or(u64::MAX) } else { 1 }, spot)?;
            run.charge(if copied { items * size_of::<Thing>() } else { size_of::<Thing>() }, spot)?;
            values::change(own, place, arguments).map_err(|why| halt(spot, why))
        })
    }

    /// The steps of a target, their keys made.
    pub fn keys(&mut self, target: &Target, spot: Spot, locals: &mut Vec<Thing>) -> Result<Vec<Thing>, Flow<H::Fault>> {
        let mut keys = Vec::with_capacity(target.steps.len());
        for step in &target.steps {
            keys.push(match step {
                Step::Name(name) => Thing::value(Value::Text(Arc::clone(name))),
                Step::Key(node) => {
                    let key = self.eval(node, locals)?;
                    if key.is_empty() {
                        return Err(refuse(spot, "nothing is put at an empty key"));
                    }
                    key
                }
            });
        }
        Ok(keys)
    }

    fn look_up(&mut self, base: &Thing, key: &Thing, spot: Spot) -> Ran<H::Fault> {
        match (key.as_text(), base, key) {
            (Some(name), ..) => self.member(base, name, spot),
            (None, Thing::List(list), Thing::Item(Item::Value(Value::Int(index)))) => {
                Ok(usize::try_from(*index).ok().and_then(|index| list.items.get(index)).cloned().unwrap_or(Thing::EMPTY))
            }
            _ if base.is_empty() => Ok(Thing::EMPTY),
            _ => Err(refuse(spot, format!("{} cannot be looked up in {}", key.word(), base.word()))),
        }
    }

    /// Puts something at a target: into a variable, within one, or into a field of a record.
    pub fn put_at(
        &mut self,
        target: &Target,
        keys: &[Thing],
        spot: Spot,
        locals: &mut Vec<Thing>,
        put: impl FnOnce(&mut Self, &mut Thing) -> Ran<H::Fault>,
    ) -> Ran<H::Fault> {
        // The last record on the way is what changes.
        let mut here = self.eval(&target.root, locals)?;
        for (index, key) in keys.iter().enumerate() {
            if let (Thing::Record(entity, id), Some(name)) = (&here, key.as_text()) {
                let (entity, id, name) = (*entity, *id, name.to_owned());
                let rest = keys.get(index + 1..).unwrap_or_default();
                let mut whole = self.field(entity, id, &name, spot)?;
                if !matches!((&whole, rest), (Thing::Record(..), [_, ..])) {
                    let result = self.put_within(&mut whole, rest, spot, put)?;
                    self.set(entity, id, name, whole, spot)?;
                    return Ok(result);
                }
            }
            here = self.look_up(&here, key, spot)?;
        }
        drop(here);
        let Node::Local(slot) = &target.root else {
            return Err(refuse(spot, "only a field of a record, or a part of a variable, can be assigned to"));
        };
        let mut whole = locals.get_mut(*slot).map(|there| std::mem::replace(there, Thing::EMPTY)).unwrap_or(Thing::EMPTY);
        let result = self.put_within(&mut whole, keys, spot, put);
        fill(locals, *slot, whole);
        result
    }

    fn put_within(
        &mut self,
        place: &mut Thing,
        keys: &[Thing],
        spot: Spot,
        put: impl FnOnce(&mut Self, &mut Thing) -> Ran<H::Fault>,
    ) -> Ran<H::Fault> {
        let Some((key, rest)) = keys.split_first() else { return put(self, place) };
        if let Thing::Item(Item::Value(Value::Json(json))) = place {
            *place = Thing::from_input(&Input::from(&**json)).map_err(|limit| halt(spot, limit.into()))?;
        }
        let copied = match place {
            Thing::List(list) if Rc::strong_count(list) > 1 => list.items.len(),
            Thing::Map(map) if Rc::strong_count(map) > 1 => map.entries.len() * 2,
            Thing::List(_) | Thing::Map(_) | Thing::Item(_) | Thing::Record(..) => 0,
        };
        self.charge((copied + 1) * size_of::<Thing>(), spot)?;
        self.spend(u64::try_from(copied / 8 + 1).unwrap_or(u64::MAX), spot)?;
        // What is within is taken out, so that it is not copied where nothing else holds it.
        let there = match (&mut *place, key.as_text(), key) {
            (Thing::Map(map), Some(name), _) => Rc::make_mut(map).entries.get_mut(name),
            (Thing::List(list), None, Thing::Item(Item::Value(Value::Int(index)))) => {
                usize::try_from(*index).ok().and_then(|index| Rc::make_mut(list).items.get_mut(index))
            }
            _ => None,
        };
        let mut inner = there.map_or(Thing::EMPTY, |there| std::mem::replace(there, Thing::EMPTY));
        let result = self.put_within(&mut inner, rest, spot, put)?;
        let limited = |limit: Limit| halt(spot, limit.into());
        match (place, key.as_text(), key) {
            (Thing::Map(map), Some(name), _) => Rc::make_mut(map).put(name.to_owned(), inner).map_err(limited)?,
            (Thing::List(list), None, Thing::Item(Item::Value(Value::Int(index)))) => {
                let index = usize::try_from(*index).ok().filter(|index| *index <= list.items.len());
                let index = index.ok_or_else(|| refuse(spot, "there is no such place in the list"))?;
                Rc::make_mut(list).put(index, inner).map_err(limited)?;
            }
            (place, ..) => return Err(refuse(spot, format!("nothing can be put into {}", place.word()))),
        }
        Ok(result)
    }

    /// Assigns to a field.
    fn set(&mut self, entity: EntityId, id: Uuid, name: String, value: Thing, spot: Spot) -> Result<(), Flow<H::Fault>> {
        // What would be sent is made later; that it is not too much is seen here.
        self.input(&value, None, spot)?;
        self.changes.entry((entity, id)).or_insert_with(|| (spot, IndexMap::new())).1.insert(name, value);
        Ok(())
    }

    /// What was assigned to a record is not written after all: it is gone.
    pub fn forget(&mut self, entity: EntityId, id: Uuid) {
        self.changes.shift_remove(&(entity, id));
    }
}
