//! In charge of steps 1, 3 and 8 of a write: whether the caller may.
//! Invariant: what one may not see answers like what is not there.
//! Invariant: nothing is written out of the writer's own sight but by assignment, which answers without the record.

use model::doc::Needs;
use model::{Cells, Code, Message, Value, Violation};
use rules::policy::{Access, Create, Grant};

use crate::ctx::Caller;
use crate::error::Error;
use crate::records::lookup::is_live;
use crate::records::slice::{Doing, Row, Slice, Writer};

/// Step 1: may this caller do such a thing at all.
pub(crate) fn authorize(w: &Writer<'_>, slice: &mut Slice<'_>) {
    let (grant, visible) = (slice.grant, w.cx.grants.sees(slice.def.id));
    for row in &mut slice.rows {
        if row.doing == Doing::Create && matches!(grant.create, Create::No) {
            row.failed = Some(if visible { Error::Forbidden } else { Error::unknown_entity(slice.def.name.as_str()) });
        }
    }
}

/// Step 3: may this caller touch these records.
pub(crate) fn before(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    let (def, grant) = (slice.def, slice.grant);
    for row in slice.well_mut() {
        let Some(before) = row.before.clone() else { continue };
        let schema = &w.app.schema;
        if !is_live(def, &before) || !rules::eval::matches(&grant.read, schema, def.id, &before, &w.reader)? {
            row.failed = Some(Error::NotFound);
        } else if !rules::eval::matches(&grant.update, schema, def.id, &before, &w.reader)? {
            row.failed = Some(Error::Forbidden);
        }
    }
    Ok(())
}

/// Step 8: may the records be as they are to be.
pub(crate) fn after(w: &Writer<'_>, slice: &mut Slice<'_>) -> Result<(), Error> {
    if w.cx.grants.is_all() {
        return Ok(());
    }
    let (def, grant) = (slice.def, slice.grant);
    for row in slice.rows.iter_mut().filter(|row| row.is_well()) {
        fields(w, slice.def, grant, row)?;
        if gives_rights(w, def, row) {
            row.failed = Some(Error::Forbidden);
            continue;
        }
        if row.doing == Doing::Create && !may_create(w, def, &grant.create, row)? {
            row.failed = Some(Error::Forbidden);
            continue;
        }
        if row.doing == Doing::Update && !may_hang(w, def, grant, row)? {
            row.failed = Some(Error::Forbidden);
            continue;
        }
        if rules::eval::matches(&grant.read, &w.app.schema, def.id, &row.after, &w.reader)? {
            continue;
        }
        let reassigned =
            row.doing == Doing::Update && ["owner", "department"].iter().filter_map(|name| def.find(name)).any(|field| row.changed(def, field.id));
        if reassigned {
            row.left_sight = true;
        } else {
            row.failed = Some(Error::Forbidden);
        }
    }
    Ok(())
}

/// Fields that may be written on some records only.
fn fields(w: &Writer<'_>, def: &model::EntityDef, grant: &Grant, row: &mut Row) -> Result<(), Error> {
    for id in row.sent.iter().copied().filter(|id| !w.cx.opens(def.id, *id)).collect::<Vec<_>>() {
        let Access::Scoped { write, .. } = grant.access(id) else { continue };
        let looked_at = row.before.as_deref().unwrap_or(&row.after);
        if !rules::eval::matches(&write, &w.app.schema, def.id, looked_at, &w.reader)? {
            let name = def.field(id).name.as_str();
            row.faults.push(Violation::of_field(name, Code::ReadOnlyField, Message::new("read_only_field")));
        }
    }
    Ok(())
}

/// Whether a person who is no administrator would give or take roles that are not theirs, or change how an administrator
/// signs in: nobody gives a right that they do not have.
fn gives_rights(w: &Writer<'_>, def: &model::EntityDef, row: &Row) -> bool {
    if def.name.as_str() != "core.user" {
        return false;
    }
    let roles = |cells: Option<&Cells>| -> Vec<String> {
        let items = cells.zip(def.find("roles")).and_then(|(cells, field)| field.cells(cells).first()).map_or(&[][..], Value::items);
        items.iter().filter_map(Value::as_text).map(str::to_owned).collect()
    };
    let (before, after) = (roles(row.before.as_deref()), roles(Some(&row.after)));
    let own: &[String] = match &w.cx.caller {
        Caller::System => return false,
        Caller::Person(person) => &person.roles,
    };
    let moved = before.iter().filter(|role| !after.contains(role)).chain(after.iter().filter(|role| !before.contains(role)));
    let mut not_theirs = moved.filter(|role| !own.contains(role));
    let is_admin = before.iter().any(|role| role == "core.admin");
    let signs_in_by = ["email", "active"].into_iter().filter_map(|name| def.find(name)).any(|field| row.changed(def, field.id));
    not_theirs.next().is_some() || (is_admin && signs_in_by)
}

/// Who hangs a record on another one needs the same right there as who makes it there.
fn may_hang(w: &Writer<'_>, def: &model::EntityDef, grant: &Grant, row: &Row) -> Result<bool, Error> {
    if let Create::Through { field, .. } = &grant.create
        && row.changed(def, *field)
        && !may_create(w, def, &grant.create, row)?
    {
        return Ok(false);
    }
    let hung_elsewhere = grant.update.through().into_iter().any(|field| row.changed(def, field));
    Ok(!hung_elsewhere || rules::eval::matches(&grant.update, &w.app.schema, def.id, &row.after, &w.reader)?)
}

fn may_create(w: &Writer<'_>, def: &model::EntityDef, create: &Create, row: &Row) -> Result<bool, Error> {
    let (field, needs) = match create {
        Create::No => return Ok(false),
        Create::Yes => return Ok(true),
        Create::Through { field, needs } => (def.field(*field), *needs),
    };
    let cells = field.cells(&row.after);
    let Some(id) = cells.first().and_then(Value::as_uuid) else { return Ok(true) };
    let target = match cells {
        [_, Value::Text(entity), ..] => w.app.schema.find(entity).map(|def| def.id),
        _ => field.targets.first().copied(),
    };
    let Some(target) = target else { return Ok(false) };
    let Some(record) = w.reader.read(target, id)? else { return Ok(false) };
    if !is_live(w.def(target), &record) || !w.reader.in_sight(w.cx, target, id)? {
        return Ok(false);
    }
    let grant = w.cx.grants.entity(target);
    let rows = match needs {
        Needs::Read => return Ok(true),
        Needs::Update => &grant.update,
        Needs::Delete => &grant.delete,
    };
    Ok(rules::eval::matches(rows, &w.app.schema, target, &record, &w.reader)?)
}
