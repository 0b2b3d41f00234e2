//! In charge of what came of what: the conversions that a record came of, and those that it became others by.
//! Invariant: what is out of the caller's sight, or in the bin, is not told.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use store::Tx;
use store::system::conversion::{Conversion, Origin};
use uuid::Uuid;

use super::plan::ConversionPlan;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{Shape, one_in};

/// Whether what came of a conversion is there still.
pub(super) fn is_there(w: &Writer<'_>, origin: &Origin) -> Result<bool, Error> {
    let Some(def) = w.app.schema.find(&origin.entity) else { return Ok(false) };
    Ok(w.reader.read(def.id, origin.record)?.is_some_and(|cells| is_live(def, &cells)))
}

/// Whether a record was converted before so that it counts: something that was made of it is there, or nothing was made.
pub(super) fn is_converted(w: &Writer<'_>, plan: &ConversionPlan, record: Uuid) -> Result<bool, Error> {
    let earlier: Vec<Uuid> = w.tx.conversions_of(record)?.into_iter().filter(|made| made.name == plan.name).map(|made| made.id).collect();
    if earlier.is_empty() {
        return Ok(false);
    }
    let mut results: BTreeMap<Uuid, Vec<Origin>> = earlier.iter().map(|id| (*id, Vec::new())).collect();
    for origin in w.tx.origins_of(&earlier)?.into_iter().filter(|origin| origin.made && origin.lines.is_none()) {
        results.entry(origin.conversion).or_default().push(origin);
    }
    for made in results.values() {
        let mut there = made.is_empty();
        for origin in made {
            there |= is_there(w, origin)?;
        }
        if there {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `{"entity", "id", "title"}` of a record that the caller sees.
pub(super) fn told(cx: &Ctx, tx: &Tx, entity: &str, id: Uuid) -> Result<Option<Json>, Error> {
    let Some(def) = cx.app.schema.find(entity).filter(|def| cx.grants.sees(def.id)) else { return Ok(None) };
    // A record of the bin is seen by those who may restore it; it came of nothing then.
    let w = Writer::new(cx, tx);
    if !w.reader.in_sight(cx, def.id, id)? {
        return Ok(None);
    }
    let found = one_in(cx, tx, def.id, id, &Shape { fields: Some(Vec::new()), ..Shape::default() })?;
    Ok(found.map(|found| json!({"entity": def.name.as_str(), "id": id, "title": found.title})))
}

/// What a record came of and what it became: `(from, became)`.
pub(super) fn both_ways(cx: &Ctx, tx: &Tx, id: Uuid) -> Result<(Vec<Json>, Vec<Json>), Error> {
    let leading = tx.origins_leading_to(id)?;
    let deeds = tx.conversions(&leading.iter().map(|origin| origin.conversion).collect::<Vec<_>>())?;
    let mut from = Vec::new();
    for origin in &leading {
        let Some(deed) = deeds.iter().find(|deed| deed.id == origin.conversion) else { continue };
        // A line came from a line, which its own page tells.
        let source = if origin.lines.is_some() { source_line(cx, tx, origin, deed)? } else { told(cx, tx, &deed.entity, deed.record)? };
        from.extend(source.map(|source| of(cx, deed, origin, source)));
    }
    let mut became = Vec::new();
    let starting = tx.origins_from(&[id])?;
    let deeds = tx.conversions(&starting.iter().map(|origin| origin.conversion).collect::<Vec<_>>())?;
    let mut rows = Vec::new();
    for origin in &starting {
        let Some(deed) = deeds.iter().find(|deed| deed.id == origin.conversion) else { continue };
        if let Some(result) = told(cx, tx, &origin.entity, origin.record)? {
            rows.push(((deed.at, deed.id, origin.n), of(cx, deed, origin, result)));
        }
    }
    rows.sort_by_key(|(order, _)| *order);
    became.extend(rows.into_iter().map(|(_, row)| row));
    Ok((from, became))
}

/// The line that a line came from, which its conversion names by its entity's lines.
fn source_line(cx: &Ctx, tx: &Tx, origin: &Origin, deed: &Conversion) -> Result<Option<Json>, Error> {
    let plan = cx.app.conversions.qualified(&deed.name);
    let lines = plan.and_then(|plan| {
        let target = plan.targets.iter().find(|target| target.name.as_str() == origin.target)?;
        target.lines.iter().find(|lines| Some(lines.name.as_str()) == origin.lines.as_deref())
    });
    match lines {
        Some(lines) => told(cx, tx, cx.app.schema.entity(lines.source).name.as_str(), origin.source),
        None => Ok(None),
    }
}

fn of(cx: &Ctx, deed: &Conversion, origin: &Origin, record: Json) -> Json {
    let label = cx.app.conversions.qualified(&deed.name).map_or_else(|| deed.name.clone(), |plan| plan.label(&cx.locale));
    let mut told = json!({
        "conversion": deed.name, "label": label, "at": deed.at, "by": deed.by, "target": origin.target, "lines": origin.lines, "made": origin.made,
    });
    if let (Some(told), Some(record)) = (told.as_object_mut(), record.as_object()) {
        told.extend(record.clone());
    }
    told
}
