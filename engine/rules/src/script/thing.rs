//! In charge of values while a script runs.
//! Invariant: lists and maps are values: what is copied does not change with its copy.
//! Invariant: nested at most [`Limits::NESTED`] deep, so that nothing that walks them, their end included, goes too deep.

use std::rc::Rc;

use indexmap::IndexMap;
use model::field::Role;
use model::{EntityId, FieldDef, Input, Schema, Value};
use uuid::Uuid;

use super::limits::{Limit, Limits};
use crate::expr::from_json;
use crate::expr::item::{Item, plain};
use crate::value::{input_of, shaped};

/// A value on its way.
#[derive(Clone, Debug)]
pub(super) enum Thing {
    Item(Item),
    /// A record, read when it is asked.
    Record(EntityId, Uuid),
    List(Rc<List>),
    Map(Rc<Map>),
}

/// Several values.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub items: Vec<Thing>,
    /// How deep what is in it is nested.
    depth: u8,
}

/// Values by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    pub entries: IndexMap<String, Thing>,
    depth: u8,
}

impl List {
    /// Takes in one more, in its place or at the end.
    pub fn put(&mut self, index: usize, item: Thing) -> Result<(), Limit> {
        self.depth = self.depth.max(item.depth_below()?);
        if let Some(there) = self.items.get_mut(index) {
            *there = item;
            return Ok(());
        }
        if self.items.len() >= Limits::ITEMS {
            return Err(Limit::Items(Limits::ITEMS));
        }
        self.items.push(item);
        Ok(())
    }

    pub fn push(&mut self, item: Thing) -> Result<(), Limit> {
        self.put(self.items.len(), item)
    }
}

impl Map {
    pub fn put(&mut self, key: String, value: Thing) -> Result<(), Limit> {
        self.depth = self.depth.max(value.depth_below()?);
        if self.entries.len() >= Limits::ITEMS && !self.entries.contains_key(&key) {
            return Err(Limit::Items(Limits::ITEMS));
        }
        self.entries.insert(key, value);
        Ok(())
    }
}

impl Thing {
    pub const EMPTY: Self = Self::Item(Item::EMPTY);

    pub fn truth(truth: bool) -> Self {
        Self::Item(Item::truth(truth))
    }

    pub fn value(value: Value) -> Self {
        match value {
            Value::List(items) => Self::list(items.iter().cloned().map(Self::value).collect()),
            value => Self::Item(Item::Value(value)),
        }
    }

    pub fn count(count: usize) -> Self {
        Self::Item(Item::Value(Value::Int(i64::try_from(count).unwrap_or(i64::MAX))))
    }

    /// A list of what is not nested itself.
    pub fn list(items: Vec<Self>) -> Self {
        let depth = items.iter().filter_map(|item| item.depth_below().ok()).max().unwrap_or_default();
        Self::List(Rc::new(List { items, depth }))
    }

    fn depth_below(&self) -> Result<u8, Limit> {
        let below = match self {
            Self::Item(_) | Self::Record(..) => return Ok(0),
            Self::List(list) => list.depth,
            Self::Map(map) => map.depth,
        };
        below.checked_add(1).filter(|depth| *depth < Limits::NESTED).ok_or(Limit::Depth)
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Item(item) if item.is_empty())
    }

    /// What people call a value like this.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Item(item) => item.word(),
            Self::Record(..) => "a record",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// As operators and functions of expressions take it; none for maps and for lists of lists.
    pub fn item(&self) -> Option<Item> {
        match self {
            Self::Item(item) => Some(item.clone()),
            Self::Record(_, id) => Some(Item::Value(Value::Uuid(*id))),
            Self::List(list) => {
                let items = list.items.iter().map(|thing| match thing {
                    Self::Item(Item::Value(value)) => Some(value.clone()),
                    Self::Record(_, id) => Some(Value::Uuid(*id)),
                    Self::Item(Item::Days(_) | Item::Hours(_)) | Self::List(_) | Self::Map(_) => None,
                });
                items.collect::<Option<Vec<_>>>().map(|items| Item::Value(Value::list(items)))
            }
            Self::Map(_) => None,
        }
    }

    /// The text within.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Item(Item::Value(Value::Text(text))) => Some(text),
            Self::Item(_) | Self::Record(..) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The id of a record: of the record itself, or of what spells one.
    pub fn as_id(&self) -> Option<Uuid> {
        match self {
            Self::Record(_, id) | Self::Item(Item::Value(Value::Uuid(id))) => Some(*id),
            Self::Item(Item::Value(Value::Text(text))) => Uuid::try_parse(text).ok(),
            Self::Item(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What is read in text: an item as expressions join it, a record as its id.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Item(Item::Value(value)) => plain(value),
            Self::Record(_, id) => Some(id.to_string()),
            Self::Item(Item::Days(_) | Item::Hours(_)) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// As it is sent to a field; the field says how a record is named.
    pub fn input(&self, schema: &Schema, field: Option<&FieldDef>) -> Input {
        match self {
            Self::Item(Item::Value(value)) => match field {
                Some(field) => shaped(input_of(value), field),
                None => input_of(value),
            },
            // A span is no value of its own; the field refuses what it is given for one.
            Self::Item(Item::Days(span) | Item::Hours(span)) => Input::Number(span.to_string()),
            Self::Record(entity, id) => match field.map(|field| &field.role) {
                Some(Role::AnyReference { .. }) => {
                    let name = Input::Text(schema.entity(*entity).name.to_string());
                    Input::Map([("entity".to_owned(), name), ("id".to_owned(), Input::Text(id.to_string()))].into_iter().collect())
                }
                _ => Input::Text(id.to_string()),
            },
            Self::List(list) => Input::List(list.items.iter().map(|item| item.input(schema, field)).collect()),
            Self::Map(map) => Input::Map(map.entries.iter().map(|(key, value)| (key.clone(), value.input(schema, None))).collect()),
        }
    }

    /// How many values it holds in all, itself included, up to `most`: what is shared counts wherever it stands.
    pub fn size(&self, most: usize) -> usize {
        let mut left = most;
        self.count_down(&mut left);
        most - left
    }

    fn count_down(&self, left: &mut usize) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        match self {
            Self::Item(_) | Self::Record(..) => {}
            Self::List(list) => list.items.iter().for_each(|item| {
                if *left > 0 {
                    item.count_down(left);
                }
            }),
            Self::Map(map) => map.entries.values().for_each(|value| {
                if *left > 0 {
                    value.count_down(left);
                }
            }),
        }
    }

    /// What was sent or kept as JSON.
    pub fn from_input(input: &Input) -> Result<Self, Limit> {
        Ok(match input {
            Input::List(items) => {
                let mut list = List::default();
                for item in items {
                    list.push(Self::from_input(item)?)?;
                }
                Self::List(Rc::new(list))
            }
            Input::Map(entries) => {
                let mut map = Map::default();
                for (key, value) in entries {
                    map.put(key.clone(), Self::from_input(value)?)?;
                }
                Self::Map(Rc::new(map))
            }
            plain => Self::value(from_json(&plain.to_json())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_itself_is_counted_no_further_than_asked() {
        let mut thing = Thing::EMPTY;
        for _ in 0..20 {
            thing = Thing::list(vec![thing.clone(), thing]);
        }
        assert_eq!(thing.size(1_000), 1_000);
    }

    #[test]
    fn nesting_ends() {
        let mut thing = Thing::EMPTY;
        let mut deep = 0;
        loop {
            let mut list = List::default();
            if list.push(thing).is_err() {
                break;
            }
            thing = Thing::List(Rc::new(list));
            deep += 1;
            assert!(deep < 100);
        }
        assert_eq!(deep, usize::from(Limits::NESTED));
    }
}
