//! In charge of whom a step means: paths to people, roles, addresses.
//! Invariant: read when the step acts, not when the run began.

use model::field::Role;
use model::{EntityId, Value};
use rules::query::{Column, Leaf, Path, Predicate, SystemView, Test, TypedFilter, resolve_path};
use serde_json::Value as Json;
use store::{Binned, Select, Tx};
use uuid::Uuid;

use super::compile::{Compiling, split_given};
use super::running::Running;
use crate::ctx::Ctx;
use crate::error::Error;

/// Whom a step means; closed.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// The person, or people, at the end of a path from something given or from the record; an address at its end.
    Path { from: Option<String>, path: Path, address: bool },
    /// The person that something given is.
    Given(String),
    /// Whoever set the run off.
    Me,
    /// Everybody with a role, qualified; of these, those whom a filter over people keeps.
    Role(String, Option<TypedFilter>),
    /// An address.
    Address(String),
}

/// Whom a step found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) people: Vec<Uuid>,
    pub(crate) addresses: Vec<String>,
}

impl Found {
    pub(crate) fn is_empty(&self) -> bool {
        self.people.is_empty() && self.addresses.is_empty()
    }
}

impl Who {
    /// Compiles `owner.manager`, `{"role": "manager", "where": filter}`, `$me`, an address.
    pub(crate) fn compile(c: &mut Compiling<'_>, json: &Json, at: &str) -> Option<Self> {
        match json {
            Json::String(text) if text == "$me" => Some(Self::Me),
            Json::String(text) if text.contains('@') => Some(Self::Address(text.clone())),
            Json::String(text) => path(c, text, at),
            Json::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Json::as_str);
                if let Some(role) = text("role") {
                    let narrowed = match map.get("where") {
                        Some(filter) => Some(c.filter(c.nobody(), filter, &format!("{at}/where"))?),
                        None => None,
                    };
                    return Some(Self::Role(qualified(c.app, role), narrowed));
                }
                match text("from").or_else(|| text("user")) {
                    Some(from) => path(c, from, at),
                    None => {
                        c.fault(at, "expected a path to a person, or {\"role\": …}");
                        None
                    }
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => {
                c.fault(at, "expected a path to a person, or {\"role\": …}");
                None
            }
        }
    }
}

/// A role's qualified name, as it stands in a document of `app`.
pub(crate) fn qualified(app: &str, role: &str) -> String {
    if role.contains('.') { role.to_owned() } else { format!("{app}.{role}") }
}

fn path(c: &mut Compiling<'_>, text: &str, at: &str) -> Option<Who> {
    let (first, rest) = split_given(&c.given, text);
    let user = c.nobody();
    let given = c.given.iter().find(|(name, _)| name == first).map(|(_, given)| given.clone());
    let (from, entity, rest) = match given {
        Some(rules::expr::Given::Record(entity)) => match rest {
            Some(rest) => (Some(first.to_owned()), entity, rest.to_owned()),
            None if entity == user => return Some(Who::Given(first.to_owned())),
            None => {
                c.fault(at, format!("`{text}` is no person"));
                return None;
            }
        },
        // An address in what was sent.
        Some(_) => return Some(Who::Given(text.to_owned())),
        None => match c.entity {
            Some(entity) => (None, entity, if first == "record" { rest?.to_owned() } else { text.to_owned() }),
            None => {
                c.fault(at, format!("`{text}` is nothing here: there is no record"));
                return None;
            }
        },
    };
    match resolve_path(c.schema, entity, &rest, &SystemView, at) {
        Ok(path) => {
            let field = path.target(c.schema);
            let points = matches!(field.role, Role::Reference(_) | Role::References(_)) && field.targets.first() == Some(&user);
            let address = field.doc.kind == "email";
            if points || address {
                return Some(Who::Path { from, path, address });
            }
            c.fault(at, format!("`{text}` leads to no person and no address"));
            None
        }
        Err(fault) => {
            c.fault(at, fault.wording.text("en"));
            None
        }
    }
}

impl Running<'_> {
    /// Whom a step means now.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub(crate) fn find_people(&self, all: &[Who]) -> Result<Found, Error> {
        let mut found = Found::default();
        for who in all {
            match who {
                Who::Me => found.people.extend(self.asker.user()),
                Who::Address(address) => found.addresses.push(address.clone()),
                Who::Role(role, narrowed) => {
                    let schema = &self.cx.app.schema;
                    let kept = match narrowed {
                        Some(filter) => self.on_scope(None, |scope| filter.bind(schema, &scope.placeholders()))?,
                        None => Predicate::True,
                    };
                    found.people.extend(with_role(self.cx, self.tx, role, kept)?);
                }
                Who::Given(name) => self.given_person(name, &mut found),
                Who::Path { from, path, address } => {
                    let cells = self.end_of(from.as_deref(), path)?;
                    let values =
                        cells.first().map(|value| if matches!(value, Value::List(_)) { value.items().to_vec() } else { vec![value.clone()] });
                    for value in values.unwrap_or_default() {
                        match (&value, address) {
                            (Value::Uuid(id), false) => found.people.push(*id),
                            (Value::Text(text), true) => found.addresses.push(text.to_string()),
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn given_person(&self, name: &str, found: &mut Found) {
        match self.held_record(name) {
            Some((_, id)) => found.people.push(id),
            None => found.addresses.extend(self.held_text(name).filter(|text| text.contains('@'))),
        }
    }
}

/// The active people with a role whom `kept` keeps, in the order in which they came.
///
/// # Errors
/// Where the store could not.
pub(crate) fn with_role(cx: &Ctx, tx: &Tx, role: &str, kept: Predicate) -> Result<Vec<Uuid>, Error> {
    const MOST: u32 = 10_000;
    let Some(def) = cx.app.schema.find("core.user") else { return Ok(Vec::new()) };
    let leaf = |name: &str, test: Test, negated: bool| {
        let field = def.find(name)?;
        Some(Predicate::Leaf(Leaf { path: Path::own(def.id, field.id), column: Column::Slot(field.slot()?), test, negated }))
    };
    let parts = [leaf("roles", Test::Has(Value::text(role)), false), leaf("active", Test::Equal(Value::Bool(false)), true)];
    let filter = Predicate::all(parts.into_iter().flatten().chain([kept]).collect());
    ids(cx, tx, def.id, filter, MOST)
}

/// The ids of the live records that fit, in their order.
pub(crate) fn ids(cx: &Ctx, tx: &Tx, entity: EntityId, filter: Predicate, limit: u32) -> Result<Vec<Uuid>, Error> {
    let def = cx.app.schema.entity(entity);
    let Some(slot) = def.slot("id") else { return Ok(Vec::new()) };
    let query = Select { limit, slots: vec![slot], ..Select::of(entity, filter, Binned::Live) };
    let rows = tx.select(&cx.app.schema, &query)?;
    Ok(rows.iter().filter_map(|row| row.cells.get(slot).and_then(Value::as_uuid)).collect())
}
