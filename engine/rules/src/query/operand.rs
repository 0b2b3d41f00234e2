//! In charge of what stands on the right of a comparison: values, and placeholders for them.
//! Invariant: a placeholder without a value gives none, and its comparison is false in either polarity.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use model::field::{Comparable, Role};
use model::{Cells, Code, EntityId, FieldDef, Input, Message, Op, Schema, Storage, Value, Violation};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::path::{Path, SystemView, resolve_path};
use super::typed::Reading;
use crate::eval::Working;

/// What placeholders stand for.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    /// The person.
    pub me: Option<Uuid>,
    /// The person's record in `core.user`.
    pub me_cells: Option<&'a Cells>,
    /// The person's department and those below.
    pub departments_below: &'a [Uuid],
    /// Everybody below the person.
    pub reports: &'a [Uuid],
    /// The present moment.
    pub now: DateTime<Utc>,
    /// Whose days count.
    pub zone: Tz,
    /// The record at hand.
    pub record: Option<(EntityId, &'a Cells)>,
    /// The app's settings.
    pub settings: &'a Map<String, Json>,
    /// The working time of calendars.
    pub working: Option<&'a dyn Working>,
}

impl Params<'_> {
    /// The present day.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.now.with_timezone(&self.zone).date_naive()
    }
}

/// One item on the right; closed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Fixed(Value),
    Me,
    /// A slot of the person's record.
    MeField(usize),
    MyDepartment,
    MyDepartmentAndBelow,
    MyReports,
    Today,
    Now,
    /// A slot of the record at hand.
    Record(usize),
    /// A setting, and what a column of it would be.
    Setting(String, Storage),
}

impl Item {
    /// The values that it stands for.
    pub(super) fn values(&self, schema: &Schema, params: &Params<'_>) -> Vec<Value> {
        let one = |value: Option<Value>| match value {
            Some(Value::List(items)) => items.to_vec(),
            other => other.filter(|value| !value.is_null()).into_iter().collect(),
        };
        match self {
            Self::Fixed(value) => vec![value.clone()],
            Self::Me => one(params.me.map(Value::Uuid)),
            Self::MeField(slot) => one(params.me_cells.and_then(|cells| cells.get(*slot)).cloned()),
            Self::MyDepartment => {
                let slot = schema.find("core.user").and_then(|user| user.slot("department"));
                one(slot.and_then(|slot| params.me_cells.and_then(|cells| cells.get(slot)).cloned()))
            }
            Self::MyDepartmentAndBelow => params.departments_below.iter().copied().map(Value::Uuid).collect(),
            Self::MyReports => params.reports.iter().copied().map(Value::Uuid).collect(),
            Self::Today => vec![Value::Date(params.today())],
            Self::Now => vec![Value::Timestamp(params.now)],
            Self::Record(slot) => one(params.record.and_then(|(_, cells)| cells.get(*slot)).cloned()),
            Self::Setting(name, storage) => one(params.settings.get(name).map(|json| crate::expr::stored_json(json, *storage))),
        }
    }

    /// Whether it depends on the person.
    pub(super) fn is_personal(&self) -> bool {
        matches!(self, Self::Me | Self::MeField(_) | Self::MyDepartment | Self::MyDepartmentAndBelow | Self::MyReports)
    }

    /// Whether it depends on the time.
    pub(super) fn is_of_the_clock(&self) -> bool {
        matches!(self, Self::Today | Self::Now)
    }
}

/// Reads one item for `field`.
pub(super) fn read(cx: &Reading<'_>, field: &FieldDef, op: Op, json: &Json, at: &str) -> Result<Item, Violation> {
    if json.is_null() {
        return Err(Violation::at(at, Code::Malformed, Message::new("compare_with_null")));
    }
    if let Some(name) = json.as_str().and_then(|text| text.strip_prefix('$')) {
        return placeholder(cx, field, name, at);
    }
    let typed = field.typed.as_ref().ok_or_else(|| not_usable(at, op))?;
    typed.operand(op, &Input::from(json)).map(Item::Fixed).map_err(|reject| {
        let mut fault = Violation::at(format!("{at}{}", reject.pointer), Code::Malformed, reject.message);
        fault.field = Some(field.name.to_string());
        fault
    })
}

/// That an operator cannot be used with a field.
pub(super) fn not_usable(at: &str, op: Op) -> Violation {
    Violation::at(at, Code::Malformed, Message::new("bad_operator").with("op", op.as_str()))
}

fn placeholder(cx: &Reading<'_>, field: &FieldDef, name: &str, at: &str) -> Result<Item, Violation> {
    let unknown = || Violation::at(at, Code::Malformed, Message::new("unknown_placeholder").with("name", format!("${name}")));
    let wrong = || Violation::at(at, Code::Malformed, Message::new("wrong_placeholder").with("name", format!("${name}")));
    let kind = kind_of(field);
    let item = match name.split_once('.') {
        None => match name {
            "me" => Item::Me,
            "my_department" => Item::MyDepartment,
            "my_department_and_below" => Item::MyDepartmentAndBelow,
            "my_reports" => Item::MyReports,
            "today" => Item::Today,
            "now" => Item::Now,
            _ => return Err(unknown()),
        },
        Some(("me", rest)) => {
            let user = cx.schema.find("core.user").ok_or_else(unknown)?;
            let (slot, source) = slot_of(cx, user.id, rest, at)?;
            fits(kind, source).then_some(Item::MeField(slot)).ok_or_else(wrong)?
        }
        Some(("record", rest)) => {
            let entity = cx.record.ok_or_else(unknown)?;
            let (slot, source) = slot_of(cx, entity, rest, at)?;
            fits(kind, source).then_some(Item::Record(slot)).ok_or_else(wrong)?
        }
        Some(("settings", rest)) => {
            // The setting of the field's own app where it has one of that name.
            let own = cx.schema.apps.get(&field.app);
            let setting = own.into_iter().chain(cx.schema.apps.values()).find_map(|app| app.app.settings.get(rest)).ok_or_else(unknown)?;
            let storage = model::schema::storage_of(setting).ok_or_else(wrong)?;
            fits(kind, Some(storage)).then(|| Item::Setting(rest.to_owned(), storage)).ok_or_else(wrong)?
        }
        Some(_) => return Err(unknown()),
    };
    let is_date = matches!(kind, Some(Storage::Date | Storage::Timestamp));
    let is_id = matches!(kind, Some(Storage::Uuid)) || matches!(field.role, Role::References(_));
    let fits = match item {
        Item::Today | Item::Now => is_date,
        Item::Me | Item::MyDepartment | Item::MyDepartmentAndBelow | Item::MyReports => is_id,
        Item::Fixed(_) | Item::MeField(_) | Item::Record(_) | Item::Setting(..) => true,
    };
    if fits { Ok(item) } else { Err(wrong()) }
}

/// The storage that a field compares by.
fn kind_of(field: &FieldDef) -> Option<Storage> {
    let typed = field.typed.as_ref()?;
    if typed.comparable() == Comparable::List {
        return None;
    }
    typed.columns().first().map(|column| column.storage)
}

fn fits(wanted: Option<Storage>, source: Option<Storage>) -> bool {
    let numbers = |storage: Storage| matches!(storage, Storage::Int | Storage::Decimal(_));
    match (wanted, source) {
        (Some(a), Some(b)) => a == b || (numbers(a) && numbers(b)) || matches!((a, b), (Storage::Timestamp, Storage::Date)),
        (None, _) | (_, None) => true,
    }
}

/// The slot of an own field of `entity`; only its first hop is at hand in memory.
fn slot_of(cx: &Reading<'_>, entity: EntityId, name: &str, at: &str) -> Result<(usize, Option<Storage>), Violation> {
    let path: Path = resolve_path(cx.schema, entity, name, &SystemView, at)?;
    let field = path.target(cx.schema);
    match (path.hops.is_empty(), field.slot()) {
        (true, Some(slot)) => Ok((slot, kind_of(field))),
        _ => Err(Violation::at(at, Code::Malformed, Message::new("unknown_placeholder").with("name", name))),
    }
}
