//! In charge of the records that a visitor may choose for a reference: those that the form opens, and of them one field.
//! Invariant: what the form does not open is refused like what is not there.

use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::WebFormChoice;
use model::field::{Role, TextContext};
use model::{Cells, Code, Diagnostic, EntityId, FieldDef, FieldId, Filter, Input, Message, Schema, Value, Violation};
use rules::query::{Column, Leaf, Path, Predicate, SystemView, Test, TypedFilter, parse_sort};
use serde_json::json;
use store::{Binned, Select};
use uuid::Uuid;

use super::plan::FormPlan;
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::slice::Writer;

/// The most records that are offered at once.
const MOST: u32 = 200;
/// The most characters that are searched for.
const LONGEST: usize = 100;

/// What may be chosen for one reference, compiled.
#[derive(Debug)]
pub(crate) struct ChoicePlan {
    entity: EntityId,
    filter: TypedFilter,
    show: FieldId,
}

/// A record that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The record.
    pub id: Uuid,
    /// What is read of it.
    pub text: String,
}

impl ChoicePlan {
    pub(super) fn compile(schema: &Schema, field: &FieldDef, doc: &WebFormChoice, at: &str, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let (Role::Reference(_), [target]) = (&field.role, field.targets.as_slice()) else { return None };
        let def = schema.entity(*target);
        let Some(show) = def.find(doc.show.as_str()).filter(|show| show.slot().is_some()) else {
            faults.push(Diagnostic::error(format!("{at}/show"), format!("`{}` has no field `{}` that is kept", def.name, doc.show)));
            return None;
        };
        // What is searched is compared as a text.
        let probe = json!({"field": doc.show.as_str(), "op": "contains", "value": "a"});
        let probe = Filter::parse(&probe, "").and_then(|probe| TypedFilter::compile(schema, def.id, &probe, &SystemView, ""));
        if probe.is_err() {
            faults.push(Diagnostic::error(format!("{at}/show"), format!("`{}` is no text that can be searched", doc.show)));
            return None;
        }
        match TypedFilter::compile(schema, def.id, &doc.filter, &SystemView, &format!("{at}/filter")) {
            Ok(filter) => Some(Self { entity: def.id, filter, show: show.id }),
            Err(found) => {
                faults.extend(found.into_iter().map(|fault| Diagnostic::error(fault.pointer.clone(), fault.wording.text("en"))));
                None
            }
        }
    }

    fn open(&self, cx: &Ctx, plan: &FormPlan) -> Predicate {
        self.filter.bind(&cx.app.schema, &cx.params(&plan.app, None))
    }
}

impl Engine {
    /// The records that a visitor may choose for a reference of a form, those with `searched` in what is read of them; in its order.
    ///
    /// # Errors
    /// `NotFound` where the form opens no records there.
    pub async fn form_choices(&self, cx: &Ctx, plan: &Arc<FormPlan>, field: &str, searched: Option<&str>) -> Result<Vec<Choice>, Error> {
        let (cx, plan, field) = (cx.clone(), Arc::clone(plan), field.to_owned());
        let searched: Option<String> = searched.map(|text| text.trim().chars().take(LONGEST).collect()).filter(|text: &String| !text.is_empty());
        self.store()
            .read(move |tx| {
                let choice = plan.choices.get(field.as_str()).ok_or(Error::NotFound)?;
                let schema = &cx.app.schema;
                let def = schema.entity(choice.entity);
                let show = def.field(choice.show);
                let mut fits = vec![choice.open(&cx, &plan)];
                if let Some(text) = &searched {
                    let filter = json!({"field": show.name.as_str(), "op": "contains", "value": text});
                    let filter = Filter::parse(&filter, "").map_err(Error::Invalid)?;
                    let typed = TypedFilter::compile(schema, def.id, &filter, &SystemView, "").map_err(Error::Invalid)?;
                    fits.push(typed.bind(schema, &cx.params(&plan.app, None)));
                }
                let sort = parse_sort(schema, def.id, show.name.as_str(), &SystemView, cx.moment(), "").unwrap_or_default();
                let id = def.slot("id").unwrap_or_default();
                let slots = show.slots.clone().chain([id]).collect();
                let query = Select { sort, limit: MOST, slots, ..Select::of(def.id, Predicate::all(fits), Binned::Live) };
                let rows = tx.select(schema, &query)?;
                let read = |cells: &Cells| {
                    let text = show.typed.as_ref()?.text(show.cells(cells), TextContext { locale: &cx.locale, zone: cx.zone });
                    Some(Choice { id: cells.get(id)?.as_uuid()?, text })
                };
                Ok(rows.iter().filter_map(|row| read(&row.cells)).collect())
            })
            .await
    }
}

/// The references among `values` that the form does not open.
pub(super) fn refused(w: &Writer<'_>, plan: &FormPlan, values: &IndexMap<String, Input>) -> Result<Vec<Violation>, Error> {
    let mut faults = Vec::new();
    for (name, choice) in &plan.choices {
        let Some(input) = values.get(name.as_str()).filter(|input| **input != Input::Null) else { continue };
        let def = w.def(choice.entity);
        let chosen = input.as_text().and_then(|text| Uuid::try_parse(text.trim()).ok());
        let leaf = chosen.zip(def.find("id").and_then(|field| Some((field.id, field.slot()?)))).map(|(id, (field, slot))| {
            let test = Test::Equal(Value::Uuid(id));
            Predicate::Leaf(Leaf { path: Path::own(def.id, field), column: Column::Slot(slot), test, negated: false })
        });
        let is_open = match leaf {
            Some(leaf) => w.tx.count(&w.app.schema, def.id, &Predicate::all(vec![leaf, choice.open(w.cx, plan)]), Binned::Live, None)? > 0,
            None => false,
        };
        if !is_open {
            faults.push(Violation::of_field(name.as_str(), Code::BadReference, Message::new("bad_reference")));
        }
    }
    Ok(faults)
}

/// What is read of the record that was chosen for a field; none where nothing is chosen for it.
pub(super) fn said(w: &Writer<'_>, plan: &FormPlan, field: &FieldDef, cells: &Cells) -> Result<Option<String>, Error> {
    let Some(choice) = plan.choices.get(field.name.as_str()) else { return Ok(None) };
    let Some(id) = field.cells(cells).first().and_then(Value::as_uuid) else { return Ok(Some(String::new())) };
    let show = w.def(choice.entity).field(choice.show);
    let Some(chosen) = w.reader.read(choice.entity, id)? else { return Ok(Some(String::new())) };
    Ok(show.typed.as_ref().map(|typed| typed.text(show.cells(&chosen), TextContext { locale: &w.cx.locale, zone: w.cx.workspace_zone() })))
}
