//! In charge of step 7 of a write, second half: required fields, conditions of fields, locks, rules.
//! Invariant: all faults of a record are told at once; a rule forgives a compared field that is empty.
//! Invariant: a fault of a rule over a field out of the caller's sight is told without that field.

use model::field::Role;
use model::{Cells, Code, EntityDef, FieldDef, Message, Violation, Wording};
use rules::condition::CompiledCondition;

use crate::error::Error;
use crate::published::RulePlan;
use crate::records::moves;
use crate::records::slice::{Doing, Row, Slice, Writer};
use crate::records::submission::Channel;

/// Checks all rows.
pub(crate) fn check(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let mut rows = std::mem::take(&mut slice.rows);
    let running = crate::approvals::lock::Running::of(w, slice.def, &rows)?;
    for row in rows.iter_mut().filter(|row| row.goes_on()) {
        locked(w, slice, row);
        crate::approvals::lock::check(w, slice.def, row, &running)?;
        conditions(w, slice, row);
        let faults = rules_broken(w, slice.def, &slice.plan.rules, row.before.as_deref(), &row.after, false);
        row.faults.extend(faults);
    }
    slice.rows = rows;
    Ok(())
}

/// Whether a condition holds on a record; one that refuses does not.
pub(crate) fn holds(w: &Writer<'_>, app: &str, def: &EntityDef, condition: &CompiledCondition, before: Option<&Cells>, cells: &Cells) -> bool {
    w.on_scope(app, def.id, cells, before, |scope| condition.holds(scope)).unwrap_or(false)
}

/// A locked record takes changes of the fields that stay open, and moves.
fn locked(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row) {
    let (Some(condition), Some(before)) = (&slice.plan.locked_if, row.before.clone()) else { return };
    let def = slice.def;
    if w.cx.channel == Channel::Engine || !holds(w, def.name.app(), def, condition, None, &before) {
        return;
    }
    // What a move asks for is part of the move.
    let asked_for = moves::asked_for(slice, row);
    let lines_sent = row.lines.iter().map(|lines| lines.field);
    let closed: Vec<_> = row
        .sent
        .iter()
        .copied()
        .filter(|field| row.changed(def, *field))
        .chain(lines_sent)
        .filter(|field| !slice.plan.locked_except.contains(field) && !asked_for.contains(field))
        .collect();
    for field in closed {
        row.faults.push(Violation::of_field(def.field(field).name.as_str(), Code::Locked, Message::new("locked")));
    }
}

fn conditions(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row) {
    let def = slice.def;
    let before = row.before.clone();
    for field in def.fields.iter().filter(|field| !field.computed()) {
        let plan = slice.plan.field(field.id);
        let app = field.app.as_str();
        let is_sent_line = row.lines.iter().any(|lines| lines.field == field.id);
        let is_empty = match field.role {
            Role::Lines { .. } => !is_sent_line,
            _ => field.cells(&row.after).iter().all(model::Value::is_null),
        };
        let sent = row.sent.contains(&field.id) || is_sent_line;
        let is_shown = plan.show_if.as_ref().is_none_or(|condition| holds(w, app, def, condition, before.as_deref(), &row.after));
        if !is_shown {
            // A hidden field keeps what it has and takes nothing new.
            if sent && !is_empty && row.changed(def, field.id) {
                row.faults.push(Violation::of_field(field.name.as_str(), Code::ReadOnlyField, Message::new("hidden_field")));
            }
            continue;
        }
        if let Some(condition) = &plan.read_only_if
            && sent
            && w.cx.channel != Channel::Engine
            && row.changed(def, field.id)
            && holds(w, app, def, condition, before.as_deref(), before.as_deref().unwrap_or(&row.after))
        {
            row.faults.push(Violation::of_field(field.name.as_str(), Code::ReadOnlyField, Message::new("read_only_field")));
        }
        let required = is_required(slice, field, row)
            || plan.required_if.as_ref().is_some_and(|condition| holds(w, app, def, condition, before.as_deref(), &row.after));
        if required && is_empty && !matches!(field.role, Role::Lines { .. } | Role::Autonumber { .. }) {
            push_once(row, field, Violation::of_field(field.name.as_str(), Code::Required, Message::new("required")));
        }
    }
}

fn is_required(slice: &Slice<'_>, field: &FieldDef, row: &Row) -> bool {
    let owner_missing = field.name.as_str() == "owner" && slice.def.owner == model::doc::OwnerMode::Required;
    field.doc.common.required || (owner_missing && (row.doing == Doing::Create || row.changed(slice.def, field.id)))
}

/// A field whose value was refused already is not also missing.
fn push_once(row: &mut Row, field: &FieldDef, fault: Violation) {
    if !row.faults.iter().any(|there| there.field.as_deref() == Some(field.name.as_str())) {
        row.faults.push(fault);
    }
}

/// The rules that a record breaks; `of_rollups` looks only at those that a child's change may break.
pub(crate) fn rules_broken(
    w: &Writer<'_>,
    def: &EntityDef,
    rules: &[RulePlan],
    before: Option<&Cells>,
    cells: &Cells,
    of_rollups: bool,
) -> Vec<Violation> {
    let mut faults = Vec::new();
    for rule in rules.iter().filter(|rule| !of_rollups || rule.reads_rollup) {
        let app = def.name.app();
        if rule.condition.as_ref().is_some_and(|condition| !holds(w, app, def, condition, before, cells)) {
            continue;
        }
        let passes = w.on_scope(app, def.id, cells, before, |scope| rule.require.passes(scope)).unwrap_or(false);
        if !passes {
            let field = rule.field.map(|field| def.field(field)).filter(|field| w.cx.grants.field(def, field.name.as_str()).is_some());
            let pointer = field.map(|field| format!("/{}", model::fault::escape_pointer(field.name.as_str()))).unwrap_or_default();
            let wording = match &rule.message {
                Some(label) => Wording::Label(label.clone()),
                None => Wording::Message(Message::new("rule_failed").with("name", &rule.name)),
            };
            faults.push(Violation { pointer, field: field.map(|field| field.name.to_string()), code: Code::RuleFailed, wording });
        }
    }
    faults
}
