//! In charge of what scripts may ask of the engine: records read, counted, written, people told, as whoever the step acts for.
//! Reading order: `Seat` (a script's host), `write` (what it assigned), `refusal` (why it stopped), `Reach` (what may be seen
//! at all by those for whom it may act).
//! Invariant: records are read with the grants of the step and written through the one write path.
//! Invariant: the record that is being saved is read and set in hand; nothing else of the save is there yet.

use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use model::doc::{FieldAccess, Role};
use model::{Cells, Code, EntityId, FieldDef, FieldId, Input, Schema, Value, Violation, Wording};
use rules::compute::Sources;
use rules::expr::Spot;
use rules::policy::{Access, Grants};
use rules::query::{Params, Predicate, TypedFilter, column_of, parse_sort};
use rules::script::{Change, Found, Host, Limit, Message, Stop, Tell, Wanted, Why};
use serde_json::{Map, Value as Json, json};
use store::{Aggregate, Binned, Function, Lock, Measure, Select};
use uuid::Uuid;

use super::people::{qualified, with_role};
use super::running::{Hand, Running, held};
use super::steps::assign::in_turn;
use super::steps::webhook::{Receiver, connector, send};
use crate::error::Error;
use crate::notices::{Notice, Way, Words, mail_to, tell};
use crate::records::Submission;
use crate::records::lookup::is_live;

/// Where a script sits: the step that runs it, and until when.
pub(crate) struct Seat<'r, 'a> {
    running: &'r Running<'a>,
    about: Option<&'r Hand>,
    params: Params<'r>,
    script: &'r str,
    until: Instant,
}

impl<'r, 'a> Seat<'r, 'a> {
    pub(crate) fn new(running: &'r Running<'a>, about: Option<&'r Hand>, script: &'r str, until: Instant) -> Self {
        let params = running.eyes.params(&running.plan.app, about.map(|hand| (hand.entity, &*hand.cells)));
        Self { running, about, params, script, until }
    }

    /// Whether a record is the one that is being saved.
    fn in_hand(&self, id: Uuid) -> bool {
        self.running.in_hand.is_some() && self.is_own(id)
    }

    fn is_own(&self, id: Uuid) -> bool {
        self.running.record.as_ref().is_some_and(|own| own.id == id)
    }

    fn filter(&self, entity: EntityId, wanted: &Wanted) -> Result<Predicate, Error> {
        let cx = self.running.cx;
        let schema = &cx.app.schema;
        if !cx.grants.sees(entity) {
            return Err(Error::unknown_entity(schema.entity(entity).name.as_str()));
        }
        let read = Predicate::clone(&cx.grants.entity(entity).read);
        let Some(json) = &wanted.filter else { return Ok(read) };
        let typed = model::Filter::parse(json, "")
            .and_then(|filter| TypedFilter::compile(schema, entity, &filter, &*cx.grants, ""))
            .map_err(Error::Invalid)?;
        Ok(Predicate::all(vec![read, typed.bind(schema, &self.params)]))
    }

    fn wrote<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        // What was read before may be another record now.
        self.running.writer.reader.forget();
        done
    }

    /// What a script assigned, as the history of its run shows it.
    pub(crate) fn shown(&self, change: &Change) -> Json {
        let values: Map<String, Json> = change.values.iter().map(|(name, input)| (name.clone(), input.to_json())).collect();
        json!({"record": held(self.running.cx, change.entity, change.id), "values": values})
    }
}

impl Host for Seat<'_, '_> {
    type Fault = Error;

    fn schema(&self) -> &Schema {
        &self.running.cx.app.schema
    }

    fn params(&self) -> &Params<'_> {
        &self.params
    }

    fn locale(&self) -> &str {
        &self.running.eyes.locale
    }

    fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    fn cells(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, Error> {
        let (cx, reader) = (self.running.cx, &self.running.writer.reader);
        if let (Some(in_hand), true) = (self.running.in_hand, self.in_hand(id)) {
            return Ok(Some(Arc::new(in_hand.borrow().cells.clone())));
        }
        // Who set the run off knows its record and themselves; fields are asked all the same.
        let known = self.is_own(id) || self.params.me == Some(id) || cx.grants.is_all();
        if !known && !reader.in_sight(cx, entity, id)? {
            return Ok(None);
        }
        match reader.read(entity, id)?.filter(|cells| is_live(cx.app.schema.entity(entity), cells)) {
            Some(cells) => Ok(Some(cells)),
            // One that went to the bin is read as it was.
            None => Ok(self.about.filter(|hand| hand.id == id).map(|hand| Arc::clone(&hand.cells))),
        }
    }

    fn shows(&self, entity: EntityId, field: &FieldDef, cells: &Cells) -> Result<bool, Error> {
        let cx = self.running.cx;
        Ok(match cx.grants.entity(entity).access(field.id) {
            Access::Read | Access::Write => true,
            Access::Hidden | Access::Masked => false,
            Access::Scoped { read, otherwise, .. } => {
                otherwise >= FieldAccess::Read || rules::eval::matches(&read, &cx.app.schema, entity, cells, &self.running.writer.reader)?
            }
        })
    }

    fn knows(&self, entity: EntityId, field: &FieldDef) -> bool {
        self.running.cx.grants.entity(entity).access(field.id).is_visible()
    }

    fn find(&self, entity: EntityId, wanted: &Wanted) -> Result<Found, Error> {
        let (cx, tx) = (self.running.cx, self.running.tx);
        let schema = &cx.app.schema;
        let filter = self.filter(entity, wanted)?;
        let sort = match wanted.sort.as_str() {
            "" => Vec::new(),
            text => parse_sort(schema, entity, text, &*cx.grants, cx.moment(), "/sort").map_err(Error::Invalid)?,
        };
        let Some(slot) = schema.entity(entity).slot("id") else { return Ok(Vec::new()) };
        let query = Select { sort, limit: wanted.limit, slots: vec![slot], ..Select::of(entity, filter, Binned::Live) };
        let rows = tx.select(schema, &query)?;
        let ids: Found = rows.iter().filter_map(|row| row.cells.get(slot).and_then(Value::as_uuid)).collect();
        // They are read next, most likely: all in one question.
        self.running.writer.reader.preload(entity, &ids, Lock::None)?;
        Ok(ids)
    }

    fn count(&self, entity: EntityId, wanted: &Wanted) -> Result<i64, Error> {
        let count = self.running.tx.count(self.schema(), entity, &self.filter(entity, wanted)?, Binned::Live, None)?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    fn sum(&self, entity: EntityId, field: &str, wanted: &Wanted) -> Result<Value, Error> {
        let cx = self.running.cx;
        let (schema, grants) = (&cx.app.schema, &cx.grants);
        let path = rules::query::resolve_path(schema, entity, field, &**grants, "").map_err(|fault| Error::Invalid(vec![fault]))?;
        let (def, field) = (schema.entity(path.entity), path.target(schema));
        let column = column_of(schema, def, field, cx.moment()).filter(|_| grants.entity(def.id).comparable(field.id));
        if column.is_none() {
            return Err(Error::of(Code::Malformed, model::Message::new("not_measurable")));
        }
        let measures = vec![Measure { function: Function::Sum, path: Some(path), column }];
        let rows = self.running.tx.aggregate(schema, &Aggregate { measures, ..Aggregate::of(entity, self.filter(entity, wanted)?) })?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).filter(|sum| !sum.is_null()).unwrap_or(Value::Int(0)))
    }

    fn next_in(&self, role: &str) -> Result<Option<Uuid>, Error> {
        let running = self.running;
        let role = qualified(&running.plan.app, role);
        let people = with_role(running.cx, running.tx, &role, Predicate::True)?;
        if people.is_empty() { Ok(None) } else { in_turn(running, &format!("turn:{}.{}:{role}", running.plan.app, self.script), &people) }
    }

    fn create(&self, entity: EntityId, values: IndexMap<String, Input>) -> Result<Uuid, Error> {
        self.wrote(self.running.write(entity, Submission::Create { id: None, values })).map(|written| written.id)
    }

    fn update(&self, entity: EntityId, id: Uuid, values: IndexMap<String, Input>) -> Result<(), Error> {
        if self.in_hand(id) {
            return self.running.put_in_hand(entity, &values);
        }
        self.wrote(self.running.write(entity, Submission::Update { id, version: None, values })).map(|_| ())
    }

    fn remove(&self, entity: EntityId, id: Uuid) -> Result<(), Error> {
        if self.in_hand(id) {
            return Err(Error::of(Code::ScriptFailed, model::Message::new("script_in_hand")));
        }
        self.wrote(self.running.write(entity, Submission::Delete { id, version: None })).map(|_| ())
    }

    fn move_to(&self, entity: EntityId, id: Uuid, to: String, values: IndexMap<String, Input>) -> Result<(), Error> {
        if self.in_hand(id) {
            return Err(Error::of(Code::ScriptFailed, model::Message::new("script_in_hand")));
        }
        let submission = Submission::Move { id, version: None, field: None, to, values, skip: IndexMap::new() };
        self.wrote(self.running.write(entity, submission)).map(|_| ())
    }

    fn attempt(&self, work: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        let running = self.running;
        let in_hand = running.in_hand.map(|in_hand| in_hand.borrow().clone());
        let (told, wrote) = (running.notes.borrow().len(), running.wrote.get());
        let done = running.tx.savepoint(|_| if work() { Ok(()) } else { Err(Attempt::Failed) });
        if done.is_err() {
            if let (Some(in_hand), Some(before)) = (running.in_hand, in_hand) {
                *in_hand.borrow_mut() = before;
            }
            running.notes.borrow_mut().truncate(told);
            running.wrote.set(wrote);
            running.writer.reader.forget();
        }
        match done {
            Ok(()) | Err(Attempt::Failed) => Ok(()),
            Err(Attempt::Store(fault)) => Err(fault.into()),
        }
    }

    fn caught(&self, fault: &Error) -> Option<String> {
        reason(&self.running.eyes.locale, fault)
    }

    fn tell(&self, how: Tell, message: &Message) -> Result<(), Error> {
        let running = self.running;
        let (cx, tx) = (running.cx, running.tx);
        let mut people = message.people.clone();
        for role in &message.roles {
            people.extend(with_role(cx, tx, &qualified(&running.plan.app, role), Predicate::True)?);
        }
        let about = self.about.map(|hand| (cx.app.schema.entity(hand.entity).name.to_string(), hand.id));
        let notice = Notice { kind: "automation".to_owned(), about, approval: None, teller: running.run };
        let words = |locale: &str| Words { subject: message.subject.get(locale).to_owned(), text: message.body.get(locale).to_owned() };
        let way = match how {
            Tell::Notify => Way::Notice,
            Tell::Mail => Way::Mail,
        };
        let (_, notes) = tell(cx, tx, way, &people, &notice, &|person| Ok(words(&person.locale)))?;
        running.notes.borrow_mut().extend(notes);
        for address in &message.addresses {
            mail_to(cx, tx, address, &notice, &words(&running.eyes.locale))?;
        }
        Ok(())
    }

    fn webhook(&self, to: &str, payload: Option<Json>) -> Result<(), Error> {
        let running = self.running;
        let (url, headers, name) = match connector(self.schema(), &running.plan.app, to) {
            Some((base, headers)) => (base, headers, Some(to.to_owned())),
            None => (to.to_owned(), Map::new(), None),
        };
        let record = self.about.map(|hand| (self.schema().entity(hand.entity).name.to_string(), hand.id));
        let receiver = Receiver { url, method: "POST".to_owned(), headers, sign: None, name };
        let body = payload.unwrap_or_else(|| {
            let data = record.as_ref().map(|(entity, id)| json!({"entity": entity, "id": id}));
            json!({"type": format!("{}.{}", running.plan.name, running.plan.trigger.word()), "timestamp": running.cx.now, "data": data})
        });
        send(running, &receiver, record, Some(&body)).map(|_| ())
    }
}

/// Writes what a script assigned to one record.
pub(crate) fn write(seat: &Seat<'_, '_>, change: &Change) -> Result<(), Error> {
    match seat.update(change.entity, change.id, change.values.clone()) {
        // What is wrong with the record that is being saved is told as of its own fields.
        Err(error) if seat.in_hand(change.id) => Err(error),
        done => done.map_err(|error| placed(seat, change.spot, error)),
    }
}

/// Why a script stopped, as others read it.
pub(crate) fn refusal(seat: &Seat<'_, '_>, stop: Stop<Error>) -> Error {
    let spot = stop.spot;
    let key = |key| at(seat, spot, key);
    let message = match stop.why {
        Why::Failed(label, field) => {
            let pointer = field.as_ref().map(|field| format!("/{}", model::fault::escape_pointer(field))).unwrap_or_default();
            return Error::Invalid(vec![Violation { pointer, field, code: Code::ScriptFailed, wording: Wording::Label(label) }]);
        }
        Why::Host(error) => return placed(seat, spot, error),
        Why::Refused(refusal) => key("script_failed").with("reason", refusal),
        Why::Unknown(message) => key("script_failed").with("reason", message.text(&seat.running.eyes.locale)),
        Why::Limit(limit) => match limit {
            Limit::Operations(most) => key("script_operations").with("limit", most),
            Limit::Calls(most) => key("script_calls").with("limit", most),
            Limit::Rows(most) => key("script_rows").with("limit", most),
            Limit::Memory(most) => key("script_memory").with("limit", most >> 20),
            Limit::Items(most) => key("script_items").with("limit", most),
            Limit::Depth => key("script_depth"),
            Limit::Time => key("script_time"),
        },
    };
    Error::of(Code::ScriptFailed, message)
}

/// A message about a place in the script.
fn at(seat: &Seat<'_, '_>, spot: Spot, key: &'static str) -> model::Message {
    model::Message::new(key).with("script", seat.script).with("line", spot.line).with("column", spot.column)
}

/// How something that a script tried ended; closed.
enum Attempt {
    /// It is to be undone.
    Failed,
    /// The database could not.
    Store(store::Fault),
}

impl From<store::Fault> for Attempt {
    fn from(fault: store::Fault) -> Self {
        Self::Store(fault)
    }
}

/// Why something was refused to a script, in words; none for what is no fault of the script.
fn reason(locale: &str, error: &Error) -> Option<String> {
    Some(match error {
        Error::Store(_) | Error::Internal(_) | Error::Superseded => return None,
        Error::Invalid(faults) if faults.iter().any(|fault| fault.code == Code::DepthExceeded) => return None,
        Error::Invalid(faults) => {
            let told = faults.iter().map(|fault| match fault.pointer.as_str() {
                "" => fault.wording.text(locale),
                pointer => format!("{pointer}: {}", fault.wording.text(locale)),
            });
            told.collect::<Vec<_>>().join("; ")
        }
        Error::NotFound => model::Message::new("not_found").text(locale),
        Error::Forbidden => model::Message::new("forbidden").text(locale),
        Error::StaleVersion { .. } => model::Message::new("stale_version").text(locale),
        other => other.to_string(),
    })
}

/// What was refused to a script, with its place in it; what is no fault of the script stays as it is.
fn placed(seat: &Seat<'_, '_>, spot: Spot, error: Error) -> Error {
    let Some(reason) = reason(&seat.running.eyes.locale, &error) else { return error };
    Error::of(Code::ScriptFailed, at(seat, spot, "script_failed").with("reason", reason))
}

/// What those for whom a script may act can see between them.
pub(crate) struct Reach(Option<Grants>);

impl Reach {
    /// Everything: the system's.
    pub(crate) fn everything() -> Self {
        Self(None)
    }

    /// What people see who may set the automation off: those with the roles of its button, else anybody with a role.
    pub(crate) fn of(schema: &Schema, app: &str, on: &Map<String, Json>) -> Self {
        let named: Vec<String> =
            on.get("roles").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).map(|role| qualified(app, role)).collect();
        let all = schema.apps.iter().flat_map(|(app, own)| own.roles.iter().map(move |(name, role)| (app.as_str(), name.as_str(), role)));
        let roles: Vec<(&str, &Role)> = all
            .filter(|(app, name, _)| named.is_empty() || named.iter().any(|named| *named == format!("{app}.{name}")))
            .map(|(app, _, role)| (app, role))
            .collect();
        static NONE: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
        let params = Params {
            me: None,
            me_cells: None,
            departments_below: &[],
            reports: &[],
            now: chrono::DateTime::UNIX_EPOCH,
            zone: chrono_tz::UTC,
            record: None,
            settings: &NONE,
            working: None,
        };
        Self(Some(Grants::compile(schema, &Sources::default(), &roles, &params)))
    }

    /// Whether nobody of them sees a field; of an entity that none of them sees, only administrators could set anything off.
    pub(crate) fn hides(&self, entity: EntityId, field: FieldId) -> bool {
        self.0.as_ref().is_some_and(|grants| grants.sees(entity) && !grants.entity(entity).access(field).is_visible())
    }
}
