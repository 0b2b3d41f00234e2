//! In charge of what a conversion would do: of each target whether it is made, matched or left out, and with which values.
//! Invariant: decides by reading alone; all faults are told at once, with pointers into what was asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::{IfMissing, Repeat};
use model::fault::escape_pointer;
use model::field::{Reject, Role};
use model::{Cells, Code, EntityId, FieldId, Filter, Input, Message, Op, Value, Violation, Wording};
use rules::policy::{Access, Create};
use rules::query::{Predicate, TypedFilter};
use rules::scope::{Extra, Scope};
use uuid::Uuid;

use super::asked::{Asked, Choice};
use super::lines::{self, DecidedLines};
use super::plan::{ConversionPlan, How, LINE, MadeValue, TargetPlan};
use crate::automations::lookups::one_by;
use crate::automations::people::ids;
use crate::error::Error;
use crate::records::accept::{Purpose, refusal, unknown_field};
use crate::records::check::holds;
use crate::records::eyes::Eyes;
use crate::records::json_of;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;

/// Records that are offered where several fit.
const CANDIDATES: u32 = 10;

/// What becomes of a target; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is made.
    Create,
    /// It is there.
    Match,
    /// It is left out.
    Skip,
    /// Several are there: the caller has to choose.
    Open,
}

impl Deed {
    /// The word in answers.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Match => "match",
            Self::Skip => "skip",
            Self::Open => "choose",
        }
    }
}

/// What becomes of a target, and how.
#[derive(Debug)]
pub(super) struct Decided<'p> {
    pub(super) plan: &'p TargetPlan,
    pub(super) deed: Deed,
    /// The record that it is or will be.
    pub(super) id: Uuid,
    /// The records that fit, where several do.
    pub(super) candidates: Vec<Uuid>,
    /// What is written of it.
    pub(super) values: IndexMap<String, Input>,
    pub(super) lines: Vec<DecidedLines<'p>>,
}

/// Which record a target is.
struct Found {
    deed: Deed,
    id: Uuid,
    candidates: Vec<Uuid>,
    /// What it was found by.
    key: Vec<FieldId>,
}

/// Whose eyes a value is made with; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// The caller reads the field: what the caller reads.
    Caller,
    /// The caller sees the field masked: what the caller reads or sees masked.
    Masked,
    /// The caller does not see the field: everything.
    Engine,
}

/// A record as each sees it.
pub(super) struct Seen {
    pub(super) entity: EntityId,
    pub(super) id: Uuid,
    pub(super) whole: Arc<Cells>,
    caller: Arc<Cells>,
    masked: Arc<Cells>,
}

impl Seen {
    pub(super) fn new(w: &Writer<'_>, entity: EntityId, id: Uuid, whole: Arc<Cells>) -> Result<Self, Error> {
        let caller = Eyes { w, masked: false }.blanked(entity, &whole)?;
        let masked = Eyes { w, masked: true }.blanked(entity, &whole)?;
        Ok(Self { entity, id, whole, caller, masked })
    }

    fn by(&self, sight: Sight) -> &Cells {
        match sight {
            Sight::Caller => &self.caller,
            Sight::Masked => &self.masked,
            Sight::Engine => &self.whole,
        }
    }
}

/// What decides.
pub(super) struct Deciding<'d, 'a, 'p> {
    pub(super) w: &'d Writer<'a>,
    pub(super) plan: &'p ConversionPlan,
    pub(super) source: Seen,
    pub(super) asked: &'d Asked,
    /// Whether others who convert the same at this moment are held off.
    pub(super) holding: bool,
    /// The record of each target that is not left out, in order.
    ids: Vec<Option<Uuid>>,
    pub(super) faults: Vec<Violation>,
}

impl<'d, 'a, 'p> Deciding<'d, 'a, 'p> {
    pub(super) fn new(w: &'d Writer<'a>, plan: &'p ConversionPlan, source: Seen, asked: &'d Asked, holding: bool) -> Self {
        Self { w, plan, source, asked, holding, ids: Vec::new(), faults: Vec::new() }
    }

    /// Decides all targets in order; what is wrong is in `faults`.
    pub(super) fn all(&mut self) -> Result<Vec<Decided<'p>>, Error> {
        let mut decided = Vec::new();
        for target in &self.plan.targets {
            let one = self.target(target)?;
            self.ids.push((one.deed != Deed::Skip).then_some(one.id));
            decided.push(one);
        }
        let with_lines = |one: &&Decided<'_>| one.deed != Deed::Skip && !one.plan.lines.is_empty();
        let rows = decided.iter().filter(with_lines).flat_map(|one| &one.lines).map(|lines| lines.rows.len()).sum::<usize>();
        if self.plan.repeat == Repeat::Remainder && rows == 0 && decided.iter().any(|one| with_lines(&one)) {
            self.faults.push(Violation::at("", Code::NothingLeft, Message::new("nothing_left_at_all")));
        }
        Ok(decided)
    }

    fn target(&mut self, target: &'p TargetPlan) -> Result<Decided<'p>, Error> {
        let (w, def) = (self.w, self.w.def(target.entity));
        let choice = self.asked.targets.get(target.name.as_str()).copied();
        let at = format!("/targets/{}", escape_pointer(target.name.as_str()));
        let skipped = Decided { plan: target, deed: Deed::Skip, id: Uuid::nil(), candidates: Vec::new(), values: IndexMap::new(), lines: Vec::new() };
        if choice == Some(Choice::No) && !target.optional {
            self.faults.push(Violation::at(&at, Code::OutOfRange, Message::new("not_optional")));
        }
        if choice == Some(Choice::No) || (target.optional && !w.cx.grants.sees(target.entity)) {
            return Ok(skipped);
        }
        let mut values = self.values(target)?;
        let own = self.own_values(target, &mut values);
        let Found { mut deed, id, candidates, key } = self.find(target, choice, &values, &at)?;
        if deed == Deed::Create && matches!(w.cx.grants.entity(target.entity).create, Create::No) {
            if target.optional && choice.is_none() {
                return Ok(skipped);
            }
            return Err(if w.cx.grants.sees(target.entity) { Error::Forbidden } else { Error::unknown_entity(def.name.as_str()) });
        }
        if deed == Deed::Open {
            self.faults.push(Violation::at(&at, Code::DuplicateFound, Message::new("several_match")));
        }
        if deed == Deed::Match {
            // What it was found by it has, perhaps in other letters.
            values.retain(|name, _| !key.iter().any(|field| def.field(*field).name == *name.as_str()));
            values = self.merged(target, id, values, &own)?;
        }
        let mut decided = Decided { plan: target, deed, id, candidates, values, lines: Vec::new() };
        for lines in &target.lines {
            decided.lines.push(lines::decide(self, target, lines)?);
        }
        if deed == Deed::Match && decided.lines.iter().any(|lines| !lines.rows.is_empty()) && !self.may_update(target.entity, id)? {
            deed = Deed::Open;
            self.faults.push(Violation::at(&at, Code::Forbidden, Message::new("forbidden")));
            decided.deed = deed;
        }
        Ok(decided)
    }

    /// The values that the document gives; empty ones are left to defaults.
    fn values(&mut self, target: &TargetPlan) -> Result<IndexMap<String, Input>, Error> {
        let mut values = IndexMap::new();
        for made in &target.values {
            let name = self.w.def(target.entity).field(made.field).name.to_string();
            let is_sent = self.asked.values.get(target.name.as_str()).is_some_and(|sent| sent.contains_key(&name));
            match self.make(target.entity, made, None)? {
                Ok(Input::Null) => {}
                Ok(input) => drop(values.insert(name, input)),
                // What the caller says stands in its place.
                Err(_) if is_sent => {}
                Err(reject) => {
                    let at = format!("/values/{}", escape_pointer(target.name.as_str()));
                    self.faults.push(Violation::of_field(&name, reject.code, reject.message).under(&at));
                }
            }
        }
        Ok(values)
    }

    /// Puts in what the caller says; the names of it.
    fn own_values(&mut self, target: &TargetPlan, values: &mut IndexMap<String, Input>) -> BTreeSet<String> {
        let Some(sent) = self.asked.values.get(target.name.as_str()) else { return BTreeSet::new() };
        let at = format!("/values/{}", escape_pointer(target.name.as_str()));
        for (name, input) in sent {
            if self.may_say(target.entity, name, &at) {
                values.insert(name.clone(), input.clone());
            }
        }
        sent.keys().cloned().collect()
    }

    /// Whether the caller may set a field of a new record; where not, that is told.
    pub(super) fn may_say(&mut self, entity: EntityId, name: &str, at: &str) -> bool {
        let (cx, def) = (self.w.cx, self.w.def(entity));
        let fault = match cx.grants.field(def, name) {
            None => Some(unknown_field(cx, def, name)),
            // Lines are said apart, by what they come from.
            Some(field) if matches!(field.role, Role::Lines { .. }) => {
                Some(Violation::of_field(name, Code::ReadOnlyField, Message::new("read_only_field")))
            }
            Some(field) => refusal(cx, cx.grants.entity(entity), field, Purpose::Create),
        };
        match fault {
            Some(fault) => {
                self.faults.push(fault.under(at));
                false
            }
            None => true,
        }
    }

    /// Which record a target is: a new one, or one that is there.
    fn find(&mut self, target: &TargetPlan, choice: Option<Choice>, values: &IndexMap<String, Input>, at: &str) -> Result<Found, Error> {
        let w = self.w;
        let of = |deed, id| Found { deed, id, candidates: Vec::new(), key: Vec::new() };
        match choice {
            Some(Choice::New) => return Ok(of(Deed::Create, w.cx.new_id())),
            Some(Choice::Record(id)) => {
                if w.reader.in_sight(w.cx, target.entity, id)? {
                    return Ok(of(Deed::Match, id));
                }
                self.faults.push(Violation::at(at, Code::BadReference, Message::new("bad_reference")));
                return Ok(of(Deed::Open, id));
            }
            Some(Choice::Yes | Choice::No) | None => {}
        }
        for key in &target.matches {
            let found = self.matching(target.entity, key, values)?;
            match found.as_slice() {
                [] => {}
                [id] => return Ok(Found { key: key.clone(), ..of(Deed::Match, *id) }),
                _ => return Ok(Found { candidates: found, ..of(Deed::Open, w.cx.new_id()) }),
            }
        }
        Ok(of(Deed::Create, w.cx.new_id()))
    }

    /// The records in the caller's sight whose key has these values; none where a value is empty or the caller may not compare.
    fn matching(&self, entity: EntityId, key: &[FieldId], values: &IndexMap<String, Input>) -> Result<Vec<Uuid>, Error> {
        let (w, def) = (self.w, self.w.def(entity));
        let mut all = Vec::new();
        for field in key {
            let name = def.field(*field).name.to_string();
            match values.get(&name) {
                None | Some(Input::Null) => return Ok(Vec::new()),
                Some(input) => all.push(Filter::Leaf { field: name, op: Op::Eq, value: Some(input.to_json()) }),
            }
        }
        if self.holding {
            let said: Vec<String> =
                key.iter().filter_map(|field| values.get(def.field(*field).name.as_str())).map(|v| v.to_json().to_string()).collect();
            w.tx.lock_key(&format!("match:{}:{}", def.name, model::text::fold(&said.join("\u{1f}"))))?;
        }
        // A value that the field cannot have finds nothing; the write says what is wrong with it.
        let Ok(filter) = TypedFilter::compile(&w.app.schema, entity, &Filter::All { all }, &*w.cx.grants, "") else { return Ok(Vec::new()) };
        let predicate = filter.bind(&w.app.schema, &w.cx.params(&self.plan.app, None));
        let in_sight = Predicate::all(vec![predicate, Predicate::clone(&w.cx.grants.entity(entity).read)]);
        ids(w.cx, w.tx, entity, in_sight, CANDIDATES)
    }

    fn may_update(&self, entity: EntityId, id: Uuid) -> Result<bool, Error> {
        let w = self.w;
        let Some(cells) = w.reader.read(entity, id)?.filter(|cells| is_live(w.def(entity), cells)) else { return Ok(false) };
        Ok(rules::eval::matches(&w.cx.grants.entity(entity).update, &w.app.schema, entity, &cells, &w.reader)?)
    }

    /// What a record that is there gets: what the caller says, and the document's values where it has none and may be changed.
    fn merged(
        &mut self,
        target: &TargetPlan,
        id: Uuid,
        values: IndexMap<String, Input>,
        own: &BTreeSet<String>,
    ) -> Result<IndexMap<String, Input>, Error> {
        let (w, def) = (self.w, self.w.def(target.entity));
        let Some(cells) = w.reader.read(target.entity, id)? else { return Ok(IndexMap::new()) };
        let may_update = self.may_update(target.entity, id)?;
        let app = def.name.app();
        let plan = w.plan(target.entity);
        let locked = plan.locked_if.as_ref().is_some_and(|condition| holds(w, app, def, condition, None, &cells));
        let mut merged = IndexMap::new();
        for (name, input) in values {
            if own.contains(&name) {
                if may_update {
                    merged.insert(name, input);
                } else {
                    let at = format!("/values/{}", escape_pointer(target.name.as_str()));
                    self.faults.push(Violation::of_field(&name, Code::ReadOnlyField, Message::new("read_only_field")).under(&at));
                }
                continue;
            }
            let Some(field) = def.find(&name).filter(|field| may_update && field.cells(&cells).iter().all(Value::is_null)) else { continue };
            let conditions = plan.field(field.id);
            let is_open = (!locked || plan.locked_except.contains(&field.id))
                && conditions.show_if.as_ref().is_none_or(|condition| holds(w, app, def, condition, None, &cells))
                && !conditions.read_only_if.as_ref().is_some_and(|condition| holds(w, app, def, condition, None, &cells))
                && crate::approvals::lock::closed(w, def, &[id], &[field.id], w.flow.get())?.is_empty();
            if is_open {
                merged.insert(name, input);
            }
        }
        Ok(merged)
    }

    /// A value as somebody would send it.
    pub(super) fn make(&self, entity: EntityId, made: &MadeValue, line: Option<&Seen>) -> Result<Result<Input, Reject>, Error> {
        let sight = match self.w.cx.grants.entity(entity).access(made.field) {
            Access::Hidden => Sight::Engine,
            Access::Masked => Sight::Masked,
            Access::Read | Access::Write | Access::Scoped { .. } => Sight::Caller,
        };
        self.make_by(sight, entity, made, line)
    }

    /// The same with somebody's eyes.
    pub(super) fn make_by(&self, sight: Sight, entity: EntityId, made: &MadeValue, line: Option<&Seen>) -> Result<Result<Input, Reject>, Error> {
        let (w, def) = (self.w, self.w.def(entity));
        let field = def.field(made.field);
        let (value, find) = match &made.how {
            How::Target(place) => {
                let id = self.ids.get(*place).copied().flatten();
                let target = self.plan.targets.get(*place).map(|target| w.def(target.entity).name.to_string());
                return Ok(Ok(match (id, target) {
                    (Some(id), Some(target)) => pointing(field, &target, id),
                    _ => Input::Null,
                }));
            }
            How::Copy(own) => {
                let Some(line) = line else { return Ok(Ok(Input::Null)) };
                let own = w.def(line.entity).field(*own);
                return Ok(Ok(Input::from(&json_of(own, line.by(sight)))));
            }
            How::Value(value, find) => (value, find),
        };
        let input = match self.on_scope(sight, line, |scope| value.send(scope, field)) {
            Ok(input) => input,
            Err(reject) => return Ok(Err(reject)),
        };
        let Some(by) = find.filter(|_| input != Input::Null) else { return Ok(Ok(input)) };
        Ok(match one_by(w.cx, w.tx, by, &input)? {
            Ok(Some(id)) => Ok(Input::Text(id.to_string())),
            Ok(None) if value.rule().if_missing == Some(IfMissing::Empty) => Ok(Input::Null),
            Ok(None) => Err(Reject::new(Code::BadReference, Message::new("bad_reference"))),
            Err(reject) => Err(reject),
        })
    }

    /// Looks at something on the scope of what is converted, and of a line of it.
    pub(super) fn on_scope<T>(&self, sight: Sight, line: Option<&Seen>, f: impl FnOnce(&Scope<'_>) -> T) -> T {
        let w = self.w;
        let record = self.source.by(sight);
        let extra: Vec<(&str, Extra<'_>)> = line.map(|line| (LINE, Extra::Record(line.entity, line.by(sight)))).into_iter().collect();
        let params = w.cx.params(&self.plan.app, Some((self.source.entity, record)));
        let eyes = Eyes { w, masked: sight == Sight::Masked };
        let lookup: &dyn rules::eval::Lookup = match sight {
            Sight::Engine => &w.reader,
            Sight::Caller | Sight::Masked => &eyes,
        };
        let scope = Scope {
            schema: &w.app.schema,
            entity: self.source.entity,
            record,
            old: None,
            params: &params,
            locale: &w.cx.locale,
            lookup,
            extra: &extra,
        };
        f(&scope)
    }
}

/// An id as it is sent to a field that points at records.
pub(super) fn pointing(field: &model::FieldDef, entity: &str, id: Uuid) -> Input {
    let id = Input::Text(id.to_string());
    match field.role {
        Role::AnyReference { .. } => Input::Map([("entity".to_owned(), Input::Text(entity.to_owned())), ("id".to_owned(), id)].into_iter().collect()),
        Role::References(_) => Input::List(vec![id]),
        _ => id,
    }
}

/// That a record is not one that may be converted now.
pub(super) fn not_convertible() -> Error {
    Error::Invalid(vec![Violation {
        pointer: "/conversion".to_owned(),
        field: None,
        code: Code::RuleFailed,
        wording: Wording::Message(Message::new("not_convertible")),
    }])
}
