//! In charge of asking the host: what a script's call means, its filter, its values, its people.
//! Invariant: every call is counted before it is asked; what is empty in a filter matches nothing, it never widens.

use indexmap::IndexMap;
use model::{EntityDef, EntityId, Input, Label, Value};
use serde_json::{Map as JsonMap, Value as Json, json};
use uuid::Uuid;

use super::ask::is_filter;
use super::calls::Call;
use super::host::{Host, Message, Tell, Wanted};
use super::limits::{Limit, Limits};
use super::run::{Flow, Ran, Run, Why, refuse, stop};
use super::thing::{Map, Thing};
use crate::expr::Spot;
use crate::expr::item::Item;

/// Steps that a call costs beside what the host counts.
const ASKING: u64 = 20;

impl<H: Host> Run<'_, H> {
    /// Asks the host.
    pub fn ask(&mut self, call: Call, arguments: &[Thing], spot: Spot) -> Ran<H::Fault> {
        self.spend(ASKING, spot)?;
        if !matches!(call, Call::Log | Call::Fail) {
            self.cost.calls += 1;
            if self.cost.calls > self.limits.calls {
                return Err(stop(spot, Why::Limit(Limit::Calls(self.limits.calls))));
            }
            if !self.host.has_time() {
                return Err(stop(spot, Why::Limit(Limit::Time)));
            }
        }
        let first = arguments.first().unwrap_or(&Thing::EMPTY);
        let rest = arguments.get(1..).unwrap_or_default();
        match call {
            Call::Get | Call::Find | Call::Count | Call::Sum | Call::Create => {
                let name = first.as_text().ok_or_else(|| refuse(spot, format!("an entity is named, not {}", first.word())))?;
                let def = self.host.schema().find_from(&self.script.app, name);
                let entity = def.map(|def| def.id).ok_or_else(|| refuse(spot, format!("there is no entity `{name}`")))?;
                self.about(call, entity, rest, spot)
            }
            Call::NextIn => {
                let role = first.as_text().ok_or_else(|| refuse(spot, format!("a role is named, not {}", first.word())))?;
                let found = self.host.next_in(role).map_err(|fault| stop(spot, Why::Host(fault)))?;
                let user = self.host.schema().find("core.user").map(|user| user.id);
                Ok(found.zip(user).map_or(Thing::EMPTY, |(id, user)| Thing::Record(user, id)))
            }
            Call::Update | Call::Remove | Call::MoveTo => {
                let Thing::Record(entity, id) = *first else {
                    return Err(refuse(spot, format!("this takes a record, not {}", first.word())));
                };
                self.write(call, entity, id, rest, spot)
            }
            Call::Notify => self.tell(Tell::Notify, first, rest, spot),
            Call::Mail => self.tell(Tell::Mail, first, rest, spot),
            Call::Webhook => {
                let to = first.as_text().ok_or_else(|| refuse(spot, format!("an address is a text, not {}", first.word())))?.to_owned();
                let payload = match rest.first() {
                    Some(thing) => Some(self.input(thing, None, spot)?.to_json()),
                    None => None,
                };
                self.host.webhook(&to, payload).map_err(|fault| stop(spot, Why::Host(fault)))?;
                Ok(Thing::EMPTY)
            }
            Call::Fail => {
                let says = self.label(first, spot)?;
                Err(stop(spot, Why::Failed(says, rest.first().and_then(Thing::as_text).map(str::to_owned))))
            }
            Call::Log => {
                self.note(first, spot)?;
                Ok(Thing::EMPTY)
            }
        }
    }

    fn note(&mut self, thing: &Thing, spot: Spot) -> Result<(), Flow<H::Fault>> {
        if self.log.len() >= Limits::LOG {
            return Ok(());
        }
        let line = match thing.text() {
            Some(text) => text,
            None => self.input(thing, None, spot)?.to_json().to_string(),
        };
        self.charge(line.len(), spot)?;
        self.log.push(line.chars().take(Limits::LINE).collect());
        Ok(())
    }

    fn about(&mut self, call: Call, entity: EntityId, rest: &[Thing], spot: Spot) -> Ran<H::Fault> {
        let first = rest.first().unwrap_or(&Thing::EMPTY);
        match call {
            Call::Get => self.get(entity, first, spot),
            Call::Sum => {
                let field = first.as_text().ok_or_else(|| refuse(spot, format!("a field is named, not {}", first.word())))?.to_owned();
                let Some(wanted) = self.wanted(entity, rest.get(1), spot)? else { return Ok(Thing::value(Value::Int(0))) };
                self.host.sum(entity, &field, &wanted).map(Thing::value).map_err(|fault| stop(spot, Why::Host(fault)))
            }
            Call::Create => {
                let values = self.values(entity, first, spot)?;
                self.host.create(entity, values).map(|id| Thing::Record(entity, id)).map_err(|fault| stop(spot, Why::Host(fault)))
            }
            Call::Find => self.find(entity, rest, spot),
            _ => {
                let Some(wanted) = self.wanted(entity, rest.first(), spot)? else { return Ok(Thing::value(Value::Int(0))) };
                self.host.count(entity, &wanted).map(|count| Thing::value(Value::Int(count))).map_err(|fault| stop(spot, Why::Host(fault)))
            }
        }
    }

    fn get(&mut self, entity: EntityId, by: &Thing, spot: Spot) -> Ran<H::Fault> {
        if let Thing::Map(_) = by {
            let Some(wanted) = self.wanted(entity, Some(by), spot)? else { return Ok(Thing::EMPTY) };
            let found = self.found(entity, &Wanted { limit: 1, ..wanted }, spot)?;
            return Ok(found.first().map_or(Thing::EMPTY, |id| Thing::Record(entity, *id)));
        }
        let Some(id) = by.as_id() else {
            return if by.is_empty() { Ok(Thing::EMPTY) } else { Err(refuse(spot, format!("`get` takes an id or a map, not {}", by.word()))) };
        };
        let cells = self.host.cells(entity, id).map_err(|fault| stop(spot, Why::Host(fault)))?;
        Ok(cells.map_or(Thing::EMPTY, |_| Thing::Record(entity, id)))
    }

    fn find(&mut self, entity: EntityId, rest: &[Thing], spot: Spot) -> Ran<H::Fault> {
        let Some(mut wanted) = self.wanted(entity, rest.first(), spot)? else { return Ok(Thing::list(Vec::new())) };
        let mut most = None;
        if let Some(Thing::Map(options)) = rest.get(1) {
            (wanted.sort, most) = self.options(options, spot)?;
        }
        // One more than allowed is asked for, to know whether there are more than the script may see.
        wanted.limit = most.unwrap_or(Limits::ROWS_OF_ONE + 1);
        let found = self.found(entity, &wanted, spot)?;
        if most.is_none() && found.len() > usize::try_from(Limits::ROWS_OF_ONE).unwrap_or(usize::MAX) {
            return Err(stop(spot, Why::Limit(Limit::Rows(u64::from(Limits::ROWS_OF_ONE)))));
        }
        self.charge(found.len() * size_of::<Thing>(), spot)?;
        Ok(Thing::list(found.into_iter().map(|id| Thing::Record(entity, id)).collect()))
    }

    fn options(&mut self, options: &Map, spot: Spot) -> Result<(String, Option<u32>), Flow<H::Fault>> {
        let sort = match options.entries.get("sort") {
            Some(Thing::List(list)) => list.items.iter().filter_map(Thing::as_text).collect::<Vec<_>>().join(","),
            Some(thing) => thing.as_text().unwrap_or_default().to_owned(),
            None => String::new(),
        };
        let limit = match options.entries.get("limit") {
            None => None,
            Some(Thing::Item(Item::Value(Value::Int(limit)))) => match u32::try_from(*limit) {
                Ok(limit) if limit <= Limits::ROWS_OF_ONE => Some(limit),
                _ => return Err(stop(spot, Why::Limit(Limit::Rows(u64::from(Limits::ROWS_OF_ONE))))),
            },
            Some(other) => return Err(refuse(spot, format!("`limit` is a whole number, not {}", other.word()))),
        };
        Ok((sort, limit))
    }

    fn found(&mut self, entity: EntityId, wanted: &Wanted, spot: Spot) -> Result<Vec<Uuid>, Flow<H::Fault>> {
        if wanted.limit == 0 {
            return Ok(Vec::new());
        }
        let found = self.host.find(entity, wanted).map_err(|fault| stop(spot, Why::Host(fault)))?;
        self.cost.rows += u64::try_from(found.len()).unwrap_or(u64::MAX);
        if self.cost.rows > self.limits.rows {
            return Err(stop(spot, Why::Limit(Limit::Rows(self.limits.rows))));
        }
        Ok(found)
    }

    /// The records that one points back from: lines, or the many of a relation.
    pub fn related(&mut self, entity: EntityId, by: &str, id: Uuid, spot: Spot) -> Ran<H::Fault> {
        self.cost.calls += 1;
        if self.cost.calls > self.limits.calls {
            return Err(stop(spot, Why::Limit(Limit::Calls(self.limits.calls))));
        }
        let field = self.host.schema().entity(entity).find(by);
        let op = if field.is_some_and(|field| matches!(field.role, model::field::Role::References(_))) { "contains" } else { "=" };
        let filter = json!({"field": by, "op": op, "value": id});
        let wanted = Wanted { filter: Some(filter), sort: String::new(), limit: Limits::ROWS_OF_ONE + 1 };
        let found = self.found(entity, &wanted, spot)?;
        if found.len() > usize::try_from(Limits::ROWS_OF_ONE).unwrap_or(usize::MAX) {
            return Err(stop(spot, Why::Limit(Limit::Rows(u64::from(Limits::ROWS_OF_ONE)))));
        }
        Ok(Thing::list(found.into_iter().map(|id| Thing::Record(entity, id)).collect()))
    }

    /// Which records a map means; none where it can mean no record.
    fn wanted(&mut self, entity: EntityId, filter: Option<&Thing>, spot: Spot) -> Result<Option<Wanted>, Flow<H::Fault>> {
        let map = match filter {
            None => return Ok(Some(Wanted::default())),
            Some(Thing::Map(map)) => map,
            Some(other) => return Err(refuse(spot, format!("records are searched by a map, not by {}", other.word()))),
        };
        let def = self.host.schema().entity(entity);
        let input = self.input(&Thing::Map(std::rc::Rc::clone(map)), None, spot)?;
        Ok(filter_of(def, &input).map(|filter| Wanted { filter: Some(filter), ..Wanted::default() }))
    }

    /// The values of a map, by field.
    fn values(&mut self, entity: EntityId, thing: &Thing, spot: Spot) -> Result<IndexMap<String, Input>, Flow<H::Fault>> {
        let Thing::Map(map) = thing else { return Err(refuse(spot, format!("values stand in a map, not in {}", thing.word()))) };
        let schema = self.host.schema();
        let def = schema.entity(entity);
        let mut values = IndexMap::with_capacity(map.entries.len());
        for (name, thing) in &map.entries {
            values.insert(name.clone(), self.input(thing, def.find(name), spot)?);
        }
        Ok(values)
    }

    fn write(&mut self, call: Call, entity: EntityId, id: Uuid, rest: &[Thing], spot: Spot) -> Ran<H::Fault> {
        let host = self.host;
        let done = match call {
            Call::Update => {
                let values = self.values(entity, rest.first().unwrap_or(&Thing::EMPTY), spot)?;
                host.update(entity, id, values)
            }
            Call::MoveTo => {
                let stage = rest.first().and_then(Thing::as_text).ok_or_else(|| refuse(spot, "a stage is named by a text"))?.to_owned();
                let values = match rest.get(1) {
                    Some(values) => self.values(entity, values, spot)?,
                    None => IndexMap::new(),
                };
                host.move_to(entity, id, stage, values)
            }
            _ => {
                self.forget(entity, id);
                host.remove(entity, id)
            }
        };
        done.map(|()| Thing::EMPTY).map_err(|fault| stop(spot, Why::Host(fault)))
    }

    fn tell(&mut self, how: Tell, to: &Thing, rest: &[Thing], spot: Spot) -> Ran<H::Fault> {
        let empty = Label::Plain(String::new());
        let mut message = Message { people: Vec::new(), roles: Vec::new(), addresses: Vec::new(), subject: empty.clone(), body: empty };
        let all: &[Thing] = if let Thing::List(list) = to { &list.items } else { std::slice::from_ref(to) };
        for one in all {
            match one {
                Thing::Record(_, id) | Thing::Item(Item::Value(Value::Uuid(id))) => message.people.push(*id),
                Thing::Map(map) => message.roles.extend(map.entries.get("role").and_then(Thing::as_text).map(str::to_owned)),
                thing if thing.is_empty() => {}
                thing => match thing.as_text().filter(|text| text.contains('@')) {
                    Some(address) => message.addresses.push(address.to_owned()),
                    None => return Err(refuse(spot, format!("{} cannot be told anything", thing.word()))),
                },
            }
        }
        if let Some(subject) = rest.first() {
            message.subject = self.label(subject, spot)?;
        }
        if let Some(body) = rest.get(1) {
            message.body = self.label(body, spot)?;
        }
        self.host.tell(how, &message).map_err(|fault| stop(spot, Why::Host(fault)))?;
        Ok(Thing::EMPTY)
    }

    /// A text, or one for each language.
    fn label(&mut self, thing: &Thing, spot: Spot) -> Result<Label, Flow<H::Fault>> {
        if let Thing::Map(map) = thing {
            let mut texts = IndexMap::with_capacity(map.entries.len());
            for (locale, text) in &map.entries {
                texts.insert(locale.clone(), text.text().ok_or_else(|| refuse(spot, format!("{} is no text", text.word())))?);
            }
            return Ok(Label::Localised(texts));
        }
        thing.text().map(Label::Plain).ok_or_else(|| refuse(spot, format!("{} is no text", thing.word())))
    }
}

/// The filter that a map means; none where a value in it is empty.
fn filter_of(def: &EntityDef, input: &Input) -> Option<Json> {
    let map = input.as_map()?;
    if is_filter(def, map.keys().map(String::as_str)) {
        return full(def, input);
    }
    let leaf = |(name, value): (&String, &Input)| (*value != Input::Null).then(|| json!({"field": name, "op": "=", "value": value.to_json()}));
    let leaves = map.iter().map(leaf).collect::<Option<Vec<_>>>()?;
    Some(json!({"all": leaves}))
}

/// A full filter, with maps of field to value within it made out.
fn full(def: &EntityDef, input: &Input) -> Option<Json> {
    let map = input.as_map()?;
    let mut made = JsonMap::new();
    for (key, value) in map {
        let json = match (key.as_str(), value) {
            ("all" | "any", Input::List(items)) => Json::Array(items.iter().map(|item| filter_of(def, item)).collect::<Option<_>>()?),
            ("not", inner) => filter_of(def, inner)?,
            ("value", Input::Null) => return None,
            (_, value) => value.to_json(),
        };
        made.insert(key.clone(), json);
    }
    Some(Json::Object(made))
}
