//! In charge of what is told of a conversion: before it is made, and after.
//! Invariant: a value is told as the caller would read it of the record.

use indexmap::IndexMap;
use model::doc::FieldAccess;
use model::field::{Numbers, Role, TextContext};
use model::{EntityId, FieldDef, Input, Value, Violation};
use rules::policy::Access;
use serde_json::{Map, Value as Json, json};

use super::decide::{Decided, Deed};
use super::lines::set_by;
use super::origins;
use super::plan::ConversionPlan;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::drafted;
use crate::records::shape::mask;
use crate::records::slice::{Row, Writer};

/// The same facts with the fields open that the document sets of a target.
pub(super) fn opening(cx: &Ctx, decided: &Decided<'_>) -> Ctx {
    let own = decided.plan.values.iter().map(|made| (decided.plan.entity, made.field));
    let lines = decided.lines.iter().map(|lines| (decided.plan.entity, lines.plan.field));
    let below = decided.lines.iter().flat_map(|lines| set_by(lines.plan));
    Ctx { opened: std::sync::Arc::new(own.chain(lines).chain(below).collect()), ..cx.clone() }
}

/// What would become of each target, and everything that would be wrong.
pub(super) fn preview(w: &Writer<'_>, plan: &ConversionPlan, decided: &[Decided<'_>], faults: Vec<Violation>) -> Result<Json, Error> {
    let mut targets = Map::new();
    let mut all = faults;
    for one in decided {
        let (told, faults) = target(w, decided, one)?;
        targets.insert(one.plan.name.to_string(), told);
        for fault in faults {
            if !all.iter().any(|there| there.pointer == fault.pointer) {
                all.push(fault);
            }
        }
    }
    let errors: Vec<Json> = all
        .iter()
        .map(
            |fault| json!({"pointer": fault.pointer, "field": fault.field, "code": fault.code.as_str(), "message": fault.wording.text(&w.cx.locale)}),
        )
        .collect();
    Ok(json!({
        "conversion": plan.name,
        "label": plan.label(&w.cx.locale),
        "dry_run": true,
        "targets": targets,
        "carry": plan.carry,
        "errors": errors,
    }))
}

fn target(w: &Writer<'_>, decided: &[Decided<'_>], one: &Decided<'_>) -> Result<(Json, Vec<Violation>), Error> {
    let def = w.def(one.plan.entity);
    let mut told = json!({
        "do": one.deed.as_str(), "entity": def.name.as_str(), "label": def.label(&w.cx.locale), "optional": one.plan.optional,
    });
    let mut candidates = Vec::new();
    for id in &one.candidates {
        candidates.extend(origins::told(w.cx, w.tx, def.name.as_str(), *id)?);
    }
    let mut faults = Vec::new();
    if let Some(map) = told.as_object_mut() {
        if one.deed == Deed::Match
            && let Some(record) = origins::told(w.cx, w.tx, def.name.as_str(), one.id)?
        {
            map.extend(record.as_object().cloned().unwrap_or_default());
        }
        if !candidates.is_empty() {
            map.insert("candidates".to_owned(), Json::Array(candidates));
        }
        if matches!(one.deed, Deed::Create | Deed::Open) || (one.deed == Deed::Match && !one.values.is_empty()) {
            let there = (one.deed == Deed::Match).then_some(one.id);
            // Of what is made, also what the document says and the source leaves empty.
            let said = one.plan.values.iter().map(|made| def.field(made.field).name.to_string()).filter(|_| there.is_none()).collect();
            let (values, more) = values(w, decided, one, (one.plan.entity, there), &one.values, said)?;
            map.insert("values".to_owned(), values);
            if one.deed != Deed::Open {
                let at = format!("/values/{}", model::fault::escape_pointer(one.plan.name.as_str()));
                faults.extend(more.into_iter().map(|fault| fault.under(&at)));
            }
        }
        if !one.lines.is_empty() && one.deed != Deed::Skip {
            map.insert("lines".to_owned(), lines(w, decided, one)?);
        }
    }
    Ok((told, faults))
}

fn lines(w: &Writer<'_>, decided: &[Decided<'_>], one: &Decided<'_>) -> Result<Json, Error> {
    let mut fields = Map::new();
    for lines in &one.lines {
        let mut rows = Vec::new();
        let far = w.def(lines.plan.entity);
        for line in &lines.rows {
            let (values, _) = values(w, decided, one, (lines.plan.entity, None), &line.values, Vec::new())?;
            let title = origins::told(w.cx, w.tx, w.def(lines.plan.source).name.as_str(), line.source)?;
            let seen = line.left.iter().filter(|(name, _)| far.find(name).is_some_and(|field| w.cx.grants.entity(far.id).comparable(field.id)));
            let left: Map<String, Json> = seen.map(|(name, left)| (name.clone(), Input::Number(left.to_string()).to_json())).collect();
            rows.push(json!({
                "id": line.source, "title": title.as_ref().and_then(|title| title.get("title")), "values": values, "left": left,
            }));
        }
        fields.insert(lines.plan.name.to_string(), Json::Array(rows));
    }
    Ok(Json::Object(fields))
}

/// The values of a record as it would be, of the fields that are given and of `more`; and what would be wrong with it.
fn values(
    w: &Writer<'_>,
    decided: &[Decided<'_>],
    one: &Decided<'_>,
    (entity, there): (EntityId, Option<uuid::Uuid>),
    given: &IndexMap<String, Input>,
    more: Vec<String>,
) -> Result<(Json, Vec<Violation>), Error> {
    let cx = opening(w.cx, one);
    let inner = Writer::preview(&cx, w.tx);
    let def = inner.def(entity);
    let (row, _) = drafted(&inner, def, there, given)?;
    let mut told = Map::new();
    for name in given.keys().chain(more.iter().filter(|name| !given.contains_key(*name))) {
        let Some(field) = w.cx.grants.field(def, name) else { continue };
        told.insert(name.clone(), value(w, decided, entity, field, &row)?);
    }
    // What a line must name is the record that is not there yet.
    let by = def.line_of.filter(|_| entity != one.plan.entity).map(|line| def.field(line.by).name.to_string());
    let faults = row.faults.into_iter().filter(|fault| by.is_none() || fault.field != by).collect();
    Ok((Json::Object(told), faults))
}

fn value(w: &Writer<'_>, decided: &[Decided<'_>], entity: EntityId, field: &FieldDef, row: &Row) -> Result<Json, Error> {
    let cells = field.cells(&row.after);
    let Some(typed) = field.typed.as_ref().filter(|_| !cells.iter().all(Value::is_null)) else { return Ok(Json::Null) };
    if matches!(field.role, Role::Reference(_) | Role::AnyReference { .. } | Role::References(_)) {
        let ids: Vec<uuid::Uuid> =
            cells.first().into_iter().flat_map(|cell| cell.as_uuid().into_iter().chain(cell.items().iter().filter_map(Value::as_uuid))).collect();
        let new = decided.iter().find(|other| other.deed == Deed::Create && ids.contains(&other.id));
        if let Some(new) = new {
            return Ok(json!({"target": new.plan.name.as_str()}));
        }
    }
    let masked = match w.cx.grants.entity(entity).access(field.id) {
        Access::Hidden => return Ok(Json::Null),
        Access::Masked => true,
        Access::Read | Access::Write => false,
        Access::Scoped { read, otherwise, .. } => {
            let readable = otherwise >= FieldAccess::Read || rules::eval::matches(&read, &w.app.schema, entity, &row.after, &w.reader)?;
            if !readable && otherwise == FieldAccess::None {
                return Ok(Json::Null);
            }
            !readable
        }
    };
    if masked {
        return Ok(mask(&typed.text(cells, TextContext { locale: &w.cx.locale, zone: w.cx.zone })).into());
    }
    let mut bytes = Vec::new();
    typed.write_json(cells, Numbers::Numbers, &mut bytes);
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}
