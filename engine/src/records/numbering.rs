//! In charge of autonumbers: their pattern and when one is given.
//! Invariant: a number is given once and never changes; its counter is that of all parts rendered before the digits.

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use model::field::{Role, TextContext};
use model::{Cells, EntityDef, FieldDef, Value};
use rules::query::{SystemView, resolve_path};

use crate::error::Error;
use crate::records::accept::set_cells;
use crate::records::fill::along;
use crate::records::slice::{Row, Slice, Writer};

/// Gives the numbers that are due. Conditions look at the record before its formulas are computed.
pub(crate) fn give(w: &Writer<'_>, slice: &Slice<'_>, row: &mut Row) -> Result<(), Error> {
    let def = slice.def;
    if w.is_preview {
        return Ok(());
    }
    for field in &def.fields {
        let Role::Autonumber { pattern, no_gaps, .. } = &field.role else { continue };
        if !row.value(def, field.id).is_null() || !row.is_well() || row.sent.contains(&field.id) {
            continue;
        }
        let due = match &slice.plan.field(field.id).given_if {
            None => true,
            Some(condition) => {
                let old = row.before.as_deref();
                w.on_scope(field.app.as_str(), def.id, &row.after, old, |scope| condition.holds(scope)).unwrap_or(false)
            }
        };
        if due {
            let number = next(w, slice, row, field, (pattern, *no_gaps))?;
            set_cells(def, field, vec![Value::text(&number)], &mut row.after);
        }
    }
    Ok(())
}

fn next(w: &Writer<'_>, slice: &Slice<'_>, row: &Row, field: &FieldDef, rule: (&str, bool)) -> Result<String, Error> {
    numbered(w, slice.def, &row.after, &format!("{}.{}", slice.def.name, field.name), rule)
}

/// The next number of a flow, for one of its records.
pub(crate) fn flow_number(w: &Writer<'_>, def: &EntityDef, record: uuid::Uuid, flow: &str, pattern: &str) -> Result<String, Error> {
    let cells = w.reader.read(def.id, record)?.unwrap_or_default();
    numbered(w, def, &cells, &format!("approval {flow}"), (pattern, false))
}

fn numbered(w: &Writer<'_>, def: &EntityDef, cells: &Cells, counter: &str, (pattern, no_gaps): (&str, bool)) -> Result<String, Error> {
    let (mut head, mut tail, mut width) = (String::new(), String::new(), None);
    for part in parts(pattern) {
        let target = if width.is_none() { &mut head } else { &mut tail };
        match part {
            Part::Text(text) => target.push_str(text),
            Part::Digits(digits) if width.is_none() => width = Some(digits),
            Part::Digits(digits) => tail.push_str(&"0".repeat(digits)),
            Part::Name(name) => {
                let text = match date_part(name, w.cx.now, w.cx.workspace_zone()) {
                    Some(text) => text,
                    None => path_text(w, def, cells, name)?,
                };
                target.push_str(&text);
            }
        }
    }
    let key = format!("{counter}:{head}");
    let number = if no_gaps { w.tx.next_number(&key)? } else { w.tx.next_number_apart(&key)? };
    Ok(match width {
        Some(width) => format!("{head}{number:0width$}{tail}"),
        None => format!("{head}{number}"),
    })
}

enum Part<'p> {
    Text(&'p str),
    Name(&'p str),
    Digits(usize),
}

/// The parts of `HT-{branch.code}-{yyyy}-{0000}`.
fn parts(pattern: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((inside, after)) = after.split_once('}') else { break };
        if !before.is_empty() {
            found.push(Part::Text(before));
        }
        let digits = !inside.is_empty() && inside.bytes().all(|byte| byte == b'0');
        found.push(if digits { Part::Digits(inside.len()) } else { Part::Name(inside) });
        rest = after;
    }
    if !rest.is_empty() {
        found.push(Part::Text(rest));
    }
    found
}

fn date_part(name: &str, now: DateTime<Utc>, zone: Tz) -> Option<String> {
    let day = now.with_timezone(&zone).date_naive();
    Some(match name {
        "yyyy" => format!("{:04}", day.year()),
        "yy" => format!("{:02}", day.year().rem_euclid(100)),
        "mm" | "MM" => format!("{:02}", day.month()),
        "dd" => format!("{:02}", day.day()),
        "yyyymm" | "yyyyMM" => format!("{:04}{:02}", day.year(), day.month()),
        "yyyymmdd" | "yyyyMMdd" => format!("{:04}{:02}{:02}", day.year(), day.month(), day.day()),
        _ => return None,
    })
}

fn path_text(w: &Writer<'_>, def: &EntityDef, record: &Cells, name: &str) -> Result<String, Error> {
    let schema = &w.app.schema;
    let Ok(path) = resolve_path(schema, def.id, name, &SystemView, "") else { return Ok(String::new()) };
    let cells = along(w, &path, record)?;
    let typed = path.target(schema).typed.clone();
    Ok(typed.map(|typed| typed.text(&cells, TextContext { locale: "en", zone: w.cx.workspace_zone() })).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_texts_names_and_digits() {
        let shown: Vec<String> = parts("HT-{branch.code}-{yyyy}-{0000}/A")
            .iter()
            .map(|part| match part {
                Part::Text(text) => format!("t{text}"),
                Part::Name(name) => format!("n{name}"),
                Part::Digits(digits) => format!("d{digits}"),
            })
            .collect();
        assert_eq!(shown, ["tHT-", "nbranch.code", "t-", "nyyyy", "t-", "d4", "t/A"]);
    }
}
