//! In charge of step 4 of a write: what was sent becomes typed cells.
//! Invariant: every fault of a submission is collected; nothing is written here.
//! Invariant: a field out of the caller's sight is answered exactly like an unknown one.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use model::field::{AcceptContext, ColumnUse, Role, TextContext};
use model::{Cells, Code, EntityDef, FieldDef, FieldId, Input, Message, Value, Violation};
use rules::policy::Grant;

use crate::ctx::{Cause, Ctx};
use crate::records::submission::Channel;

/// Rows sent for a lines field, in order.
#[derive(Clone, Debug)]
pub(crate) struct SentLines {
    /// The lines field of the parent.
    pub(crate) field: FieldId,
    /// Each row's values.
    pub(crate) rows: Vec<IndexMap<String, Input>>,
}

/// What acceptance makes of one submission.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// The record's cells with what was sent put in.
    pub(crate) cells: Cells,
    /// The fields that were sent (and are no faults).
    pub(crate) sent: BTreeSet<FieldId>,
    /// Rows of lines.
    pub(crate) lines: Vec<SentLines>,
    /// A stage that was sent for an existing record: a move with its checks.
    pub(crate) stage: Option<(FieldId, String)>,
    /// Everything that is wrong.
    pub(crate) faults: Vec<Violation>,
}

/// Whether the record is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Create,
    Update,
}

/// Reads `values` over `base`.
pub(crate) fn accept(cx: &Ctx, def: &EntityDef, grant: &Grant, purpose: Purpose, base: Cells, values: &IndexMap<String, Input>) -> Accepted {
    let mut accepted = Accepted { cells: base, ..Accepted::default() };
    let base = accepted.cells.clone();
    for (key, input) in values {
        let opened = def.find(key).filter(|field| cx.opens(def.id, field.id));
        let Some(field) = opened.or_else(|| cx.grants.field(def, key)) else {
            accepted.faults.push(unknown_field(cx, def, key));
            continue;
        };
        if opened.is_none()
            && let Some(fault) = refusal(cx, grant, field, purpose)
        {
            // A file may bring the numbers of another system, each still once, and says again what stands there anyway.
            let may_say = cx.channel == Channel::Import && is_given(field) && may_write(grant, field, purpose);
            let brings_number = purpose == Purpose::Create && matches!(field.role, Role::Autonumber { .. });
            if may_say && brings_number {
                accept_value(cx, def, field, input, values, &base, &mut accepted);
            } else if !may_say || !stands(cx, def, field, input, values, &base) {
                accepted.faults.push(fault);
            }
            continue;
        }
        if let Role::Lines { .. } = field.role {
            accept_lines(field, input, &mut accepted);
            continue;
        }
        if matches!(field.role, Role::Stage { .. }) && purpose == Purpose::Update {
            match input.as_text() {
                Some(stage) => accepted.stage = Some((field.id, stage.to_owned())),
                None => accepted.faults.push(Violation::of_field(key, Code::WrongType, Message::new("wrong_type").with("expected", "\"…\""))),
            }
            continue;
        }
        accept_value(cx, def, field, input, values, &base, &mut accepted);
    }
    accepted
}

/// The answer to a name that is not there, or not for this caller.
pub(crate) fn unknown_field(cx: &Ctx, def: &EntityDef, name: &str) -> Violation {
    let seen = def.fields.iter().map(|field| field.name.as_str()).filter(|candidate| cx.grants.field(def, candidate).is_some());
    let message = match rules::query::likely(name, seen) {
        Some(hint) => Message::new("unknown_field_hint").with("name", name).with("hint", hint),
        None => Message::new("unknown_field").with("name", name),
    };
    Violation::of_field(name, Code::UnknownField, message)
}

/// Why the caller may not write a field, where they may not.
pub(crate) fn refusal(cx: &Ctx, grant: &Grant, field: &FieldDef, purpose: Purpose) -> Option<Violation> {
    let writable_system = matches!(field.name.as_str(), "owner" | "department" | "position");
    let by_engine = cx.channel == Channel::Engine;
    // What an app brings with it is set up as it was elsewhere; what people import is written from outside.
    let sets_up = by_engine || (cx.channel == Channel::Import && cx.cause == Cause::Seed);
    let of_engine = field.computed() || (field.system && !writable_system && !by_engine) || (is_given(field) && !sets_up);
    let refused = of_engine || !may_write(grant, field, purpose);
    refused.then(|| Violation::of_field(field.name.as_str(), Code::ReadOnlyField, Message::new("read_only_field")))
}

/// Whether a field has its value from the engine or from where it was set up: never from outside.
fn is_given(field: &FieldDef) -> bool {
    matches!(field.role, Role::Autonumber { .. }) || field.doc.common.read_only
}

fn may_write(grant: &Grant, field: &FieldDef, purpose: Purpose) -> bool {
    match purpose {
        Purpose::Create => grant.may_set(field.id),
        Purpose::Update => grant.may_change(field.id),
    }
}

/// Whether an input is the value that a record has already, or would have if nothing were said.
fn stands(cx: &Ctx, def: &EntityDef, field: &FieldDef, input: &Input, values: &IndexMap<String, Input>, base: &Cells) -> bool {
    let sibling = |name: &str| sibling_text(cx, def, values, base, name);
    let read = match (&field.typed, input) {
        (_, Input::Null) => Ok(Vec::new()),
        (Some(typed), input) => typed.accept(input, &AcceptContext { now: cx.now, sibling: &sibling }),
        (None, _) => return false,
    };
    let with = |read: Vec<Value>| {
        let mut cells = base.clone();
        set_cells(def, field, read, &mut cells);
        cells
    };
    // Of a record that comes to be, its default will stand there.
    let default = match (&field.doc.common.default, &field.typed) {
        (Some(model::doc::ValueSpec::Plain(json)), Some(typed)) if field.cells(base).iter().all(Value::is_null) => {
            typed.accept(&Input::from(json), &AcceptContext { now: cx.now, sibling: &sibling }).ok()
        }
        _ => None,
    };
    let there = default.map_or_else(|| base.clone(), with);
    read.is_ok_and(|read| !differs(def, field, &there, &with(read)))
}

fn accept_lines(field: &FieldDef, input: &Input, accepted: &mut Accepted) {
    let name = field.name.as_str();
    let Some(items) = input.as_list() else {
        accepted.faults.push(Violation::of_field(name, Code::WrongType, Message::new("wrong_type").with("expected", "[{…}]")));
        return;
    };
    let mut rows = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.as_map() {
            Some(map) => rows.push(map.clone()),
            None => {
                let at = format!("/{}/{index}", model::fault::escape_pointer(name));
                accepted.faults.push(Violation::at(at, Code::WrongType, Message::new("wrong_type").with("expected", "{…}")));
            }
        }
    }
    accepted.lines.push(SentLines { field: field.id, rows });
}

fn accept_value(cx: &Ctx, def: &EntityDef, field: &FieldDef, input: &Input, values: &IndexMap<String, Input>, base: &Cells, accepted: &mut Accepted) {
    let Some(typed) = &field.typed else { return };
    let read = if *input == Input::Null {
        Ok(Vec::new())
    } else {
        let sibling = |name: &str| sibling_text(cx, def, values, base, name);
        typed.accept(input, &AcceptContext { now: cx.now, sibling: &sibling })
    };
    match read {
        Ok(read) => {
            set_cells(def, field, read, &mut accepted.cells);
            accepted.sent.insert(field.id);
        }
        Err(rejects) => {
            for reject in rejects {
                let mut fault = Violation::of_field(field.name.as_str(), reject.code, reject.message);
                fault.pointer.push_str(&reject.pointer);
                accepted.faults.push(fault);
            }
        }
    }
}

/// The text of another field: as sent, else as the record has it.
fn sibling_text(cx: &Ctx, def: &EntityDef, values: &IndexMap<String, Input>, base: &Cells, name: &str) -> Option<String> {
    if let Some(sent) = values.get(name) {
        return sent.as_text().map(str::to_owned);
    }
    let field = def.find(name)?;
    let cells = field.cells(base);
    let value = cells.first()?;
    match value {
        Value::Text(text) => Some(text.to_string()),
        // A new record will have its default.
        Value::Null => match &field.doc.common.default {
            Some(model::doc::ValueSpec::Plain(json)) => json.as_str().map(str::to_owned),
            Some(model::doc::ValueSpec::Rule(_)) | None => None,
        },
        _ => field.typed.as_ref().map(|typed| typed.text(cells, TextContext { locale: &cx.locale, zone: cx.zone })),
    }
}

/// Puts the values of a field's `Value` and `Part` columns into their cells (all `Null` where `read` is
/// empty) and makes its `Fold` and `Sort` cells.
pub(crate) fn set_cells(def: &EntityDef, field: &FieldDef, read: Vec<Value>, cells: &mut Cells) {
    let mut read = read.into_iter();
    for slot in field.slots.clone() {
        let Some(column) = def.columns.get(slot) else { continue };
        if matches!(column.purpose, ColumnUse::Value | ColumnUse::Part)
            && let Some(cell) = cells.get_mut(slot)
        {
            *cell = read.next().unwrap_or(Value::Null);
        }
    }
    derive_keys(def, field, cells);
}

/// Makes the `Fold` and `Sort` cells of a field from its value.
fn derive_keys(def: &EntityDef, field: &FieldDef, cells: &mut Cells) {
    let derived = |column: &&model::schema::ColumnDef| matches!(column.purpose, ColumnUse::Fold | ColumnUse::Sort);
    let Some(columns) = def.columns.get(field.slots.clone()) else { return };
    if !columns.iter().any(|column| derived(&column)) {
        return;
    }
    let text = match field.cells(cells).first() {
        None | Some(Value::Null) => None,
        Some(Value::Text(text)) => Some(text.to_string()),
        Some(_) => field.typed.as_ref().map(|typed| typed.text(field.cells(cells), TextContext { locale: "en", zone: chrono_tz::UTC })),
    };
    for slot in field.slots.clone() {
        let Some(column) = def.columns.get(slot) else { continue };
        let derived = match (column.purpose, &text) {
            (ColumnUse::Value | ColumnUse::Part, _) => continue,
            (ColumnUse::Fold | ColumnUse::Sort, None) => Value::Null,
            (ColumnUse::Fold, Some(text)) => Value::text(&model::text::fold(text)),
            (ColumnUse::Sort, Some(text)) => Value::Bytes(rules::keys::sort_key(text).into()),
        };
        if let Some(cell) = cells.get_mut(slot) {
            *cell = derived;
        }
    }
}

/// Whether a field's value differs between two states of a record.
pub(crate) fn differs(def: &EntityDef, field: &FieldDef, before: &Cells, after: &Cells) -> bool {
    field.slots.clone().any(|slot| {
        def.columns.get(slot).is_some_and(|column| matches!(column.purpose, ColumnUse::Value | ColumnUse::Part))
            && before.get(slot) != after.get(slot)
    })
}
