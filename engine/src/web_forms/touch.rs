//! In charge of what a sending of a public form leaves on timelines: notes, in the language of the app.
//! Invariant: a note about one record names another by its address alone: who may not see that one learns nothing of it.

use indexmap::IndexMap;
use model::field::TextContext;
use model::{Cells, EntityDef, Input, Message};
use serde_json::json;
use uuid::Uuid;

use super::plan::FormPlan;
use crate::error::Error;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Submission, write_in};

/// The most characters of one value in a note.
const LONGEST: usize = 2_000;

/// The form was sent again: what it said goes on the timeline of the record that was there.
pub(super) fn again(w: &Writer<'_>, plan: &FormPlan, def: &EntityDef, record: Uuid, cells: &Cells) -> Result<Vec<ChangeNote>, Error> {
    let locale = language(w, plan);
    let mut text = Message::new("form_sent_again").with("form", label(plan, &locale)).text(&locale);
    for offered in plan.offered(def) {
        let field = offered.field;
        let said = match super::choices::said(w, plan, field, cells)? {
            Some(chosen) => Some(chosen),
            None => field.typed.as_ref().map(|typed| typed.text(field.cells(cells), TextContext { locale: &locale, zone: w.cx.workspace_zone() })),
        };
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            let said: String = said.chars().take(LONGEST).collect();
            text.push_str(&format!("\n{}: {said}", field.doc.label(field.name.as_str(), &locale)));
        }
    }
    note(w, def, record, text)
}

/// The new record resembles another; where `both` is wanted that one is told of, too.
pub(super) fn alike(w: &Writer<'_>, plan: &FormPlan, def: &EntityDef, new: Uuid, old: Uuid, both: bool) -> Result<Vec<ChangeNote>, Error> {
    let locale = language(w, plan);
    let text = |key: &'static str, other: Uuid| {
        Message::new(key).with("form", label(plan, &locale)).with("record", format!("/r/{}/{other}", def.name)).text(&locale)
    };
    let mut notes = note(w, def, new, text("form_resembles", old))?;
    if both {
        notes.extend(note(w, def, old, text("form_resembled", new))?);
    }
    Ok(notes)
}

/// The app's first language.
fn language(w: &Writer<'_>, plan: &FormPlan) -> String {
    w.app.app(&plan.app).and_then(|app| app.app.locales.first().cloned()).unwrap_or_else(|| "en".to_owned())
}

fn label(plan: &FormPlan, locale: &str) -> String {
    plan.doc.label.as_ref().map_or_else(|| plan.name.clone(), |label| label.get(locale).to_owned())
}

fn note(w: &Writer<'_>, def: &EntityDef, about: Uuid, text: String) -> Result<Vec<ChangeNote>, Error> {
    let Some(entity) = w.app.schema.find("core.note") else { return Ok(Vec::new()) };
    let mut values: IndexMap<String, Input> = IndexMap::new();
    values.insert("text".to_owned(), Input::Text(text));
    values.insert("about".to_owned(), Input::from(&json!({"entity": def.name.as_str(), "id": about})));
    let (results, notes) = write_in(w.cx, w.tx, entity.id, &[Submission::Create { id: None, values }])?;
    results.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(notes)
}
