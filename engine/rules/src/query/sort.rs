//! In charge of the order of lists: `-amount,name`, resolved against a caller's view.
//! Invariant: texts are ordered by their collation keys, choices and stages by the order of their options.

use std::sync::Arc;

use model::field::ColumnUse;
use model::{Code, EntityDef, EntityId, FieldDef, Message, Schema, Violation};

use crate::expr::{Expression, Place, Use};
use crate::query::{Column, Moment, Path, View, resolve_path};

/// One key of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// The field.
    pub path: Path,
    /// What of it is compared.
    pub column: Column,
    /// The names of its options in their order, where it is a choice or a stage.
    pub options: Option<Vec<String>>,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// The column that holds a field's value, or computes it.
#[must_use]
pub fn column_of(schema: &Schema, entity: &EntityDef, field: &FieldDef, moment: Moment) -> Option<Column> {
    if let Some(slot) = field.slot() {
        return Some(Column::Slot(slot));
    }
    let model::field::Role::Formula { expression, .. } = &field.role else { return None };
    let place = Place { app: field.app.as_str(), ..Place::of(schema, entity.id, Use::Formula) };
    let compiled = Expression::compile_at(place, expression).ok()?;
    compiled.on_read().map(|clock| Column::Clock(Arc::new(clock.clone()), moment))
}

/// The column that a field is ordered by.
#[must_use]
pub fn sort_column(schema: &Schema, entity: &EntityDef, field: &FieldDef, moment: Moment) -> Option<Column> {
    let key = field.slots.clone().find(|slot| entity.columns.get(*slot).is_some_and(|column| column.purpose == ColumnUse::Sort));
    match key {
        Some(slot) => Some(Column::Slot(slot)),
        None => column_of(schema, entity, field, moment),
    }
}

/// Reads an order.
///
/// # Errors
/// Every name that is hidden, not there, or has no order.
pub fn parse_sort(schema: &Schema, entity: EntityId, text: &str, view: &dyn View, moment: Moment, at: &str) -> Result<Vec<Sort>, Vec<Violation>> {
    const MOST: usize = 5;
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (descending, name) = part.strip_prefix('-').map_or((false, part), |name| (true, name));
        match resolve_path(schema, entity, name, view, at) {
            Ok(path) => {
                let (def, field) = (schema.entity(path.entity), path.target(schema));
                let sortable = field.typed.as_ref().is_some_and(|typed| typed.sortable()) && view.comparable(def, field);
                match sort_column(schema, def, field, moment).filter(|_| sortable) {
                    Some(column) => {
                        let options = crate::expr::option_names(schema, field);
                        keys.push(Sort { path, column, options, descending });
                    }
                    None => faults.push(Violation::at(at, Code::Malformed, Message::new("not_sortable"))),
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    if keys.len() > MOST {
        faults.push(Violation::at(at, Code::Malformed, Message::new("too_many").with("max", MOST)));
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults) }
}
